package route

import (
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/wire"
)

// held is one key of interest that the peer announced on this connection: a
// subscription of its port, or a share of the region's border.
type held struct {
	sub    *broker.Sub
	border *borderKey
}

// accountOf finds the account of a line; nil if it does not exist here.
func (c *conn) accountOf(name []byte) *broker.Account {
	if c.account != "" {
		return c.acct
	}
	if a := c.lastAcc; a != nil && a.Name == string(name) {
		return a
	}
	a := c.s.o.Broker.Lookup(name)
	if a == nil {
		if !c.s.o.CreateAccounts || len(name) == 0 {
			return nil
		}
		a = c.s.o.Broker.Account(string(name))
	}
	c.lastAcc = a
	return a
}

// keyOf is the key of an interest line among all of the connection. RS and LS lines
// are different name spaces; a peer that never names the origin when it takes
// interest away has one origin for all.
func (c *conn) keyOf(op *wire.Op, a *broker.Account) []byte {
	k := c.scratch[:0]
	if len(op.Origin) > 0 {
		k = append(k, 'L')
		if !c.parser.DelWithoutOrigin {
			k = append(k, op.Origin...)
		}
	} else {
		k = append(k, 'R')
	}
	k = append(append(k, ' '), a.Name...)
	k = append(append(k, ' '), op.Subject...)
	if op.Queue != nil {
		k = append(append(k, ' '), op.Queue...)
	}
	c.scratch = k
	return k
}

func (c *conn) interestAdd() {
	op := &c.op
	if op.Dirty || !subject.ValidSubscribe(op.Subject) {
		return
	}
	a := c.accountOf(op.Account)
	if a == nil {
		if c.peer.role == wire.RoleGateway {
			return // accounts of other regions need not exist here
		}
		c.log.Errorf("Unknown account %q for remote subject %q", op.Account, op.Subject)
		return
	}
	c.touch()
	if c.foreign(a, true) || !c.s.set().exports.admits(op.Subject) {
		return
	}
	key := c.keyOf(op, a)
	if h := c.keys[string(key)]; h != nil {
		if h.sub != nil && op.Queue != nil {
			a.SetWeight(h.sub, op.Weight)
		}
		return
	}
	h := new(held)
	if c.s.border != nil && c.peer.role == wire.RoleGateway && string(op.Origin) == borderOrigin {
		h.border = c.s.border.add(c, a, op.Subject, op.Queue)
	} else {
		h.sub = c.newSub(op)
		weight := int32(1)
		if op.Queue != nil {
			weight = op.Weight
		}
		a.Subscribe(h.sub, weight)
		c.fresh(a, op.Subject)
	}
	c.keys[string(key)] = h
}

// newSub copies a line's subject and queue, in one piece.
func (c *conn) newSub(op *wire.Op) *broker.Sub {
	buf := make([]byte, 0, len(op.Subject)+len(op.Queue))
	buf = append(append(buf, op.Subject...), op.Queue...)
	n := len(op.Subject)
	s := &broker.Sub{Port: c.port, Subject: buf[:n:n], Origin: c.port.Origin, Tier: broker.TierDirect}
	if op.Queue != nil {
		s.Queue = buf[n:]
	}
	if len(op.Origin) > 0 {
		s.Tier = broker.TierLeaf
		s.Origin.Cluster = c.origin(op.Origin)
	}
	return s
}

func (c *conn) interestDel() {
	op := &c.op
	if op.Dirty {
		return
	}
	var a *broker.Account
	if c.account != "" {
		a = c.acct
	} else if a = c.s.o.Broker.Lookup(op.Account); a == nil {
		return
	}
	c.touch()
	if c.foreign(a, false) {
		return
	}
	if c.parser.DelWithoutOrigin && c.verb == 'l' {
		op.Origin = anyOrigin
	}
	key := c.keyOf(op, a)
	h := c.keys[string(key)]
	if h == nil {
		return
	}
	delete(c.keys, string(key))
	if h.border != nil {
		c.s.border.remove(c, h.border)
	} else {
		a.Unsubscribe(h.sub)
	}
}

// anyOrigin stands for the origin that an old peer leaves out when it takes
// interest away.
var anyOrigin = []byte{'*'}

// dropInterest takes everything away that the peer announced here, in one change
// for each account.
func (c *conn) dropInterest() {
	subs := make(map[*broker.Account][]*broker.Sub)
	for _, h := range c.keys {
		if h.border != nil {
			c.s.border.remove(c, h.border)
			continue
		}
		subs[h.sub.Account] = append(subs[h.sub.Account], h.sub)
	}
	c.keys = nil
	for a, list := range subs {
		a.UnsubscribeAll(list)
	}
}

// dropAccount does it for one account.
func (c *conn) dropAccount(a *broker.Account) {
	var list []*broker.Sub
	for k, h := range c.keys {
		if h.sub != nil && h.sub.Account == a {
			list = append(list, h.sub)
			delete(c.keys, k)
		}
	}
	a.UnsubscribeAll(list)
}

const maxOrigins = 1024

// origin gives the name of a leaf cluster without allocating each time.
func (c *conn) origin(name []byte) string {
	if s, ok := c.origins[string(name)]; ok {
		return s
	}
	if c.origins == nil || len(c.origins) >= maxOrigins {
		c.origins = make(map[string]string)
	}
	s := string(name)
	c.origins[s] = s
	return s
}

// touch notes activity, with the clock read once a block.
func (c *conn) touch() {
	if c.now.IsZero() {
		c.now = time.Now()
		c.active1.Store(c.now.UnixNano())
	}
}

// message passes one message from the peer on.
func (c *conn) message() {
	op := &c.op
	if op.Dirty {
		return
	}
	a := c.accountOf(op.Account)
	if a == nil {
		c.log.Debugf("Unknown account %q for routed message on subject: %q", op.Account, op.Subject)
		return
	}
	c.touch()
	m := &c.msg
	m.Account, m.Subject, m.Reply = a, op.Subject, op.Reply
	m.HdrLen, m.Payload = op.HdrLen, op.Payload
	m.Groups, m.Listed = op.Queues, true
	m.Cluster = ""
	if len(op.Origin) > 0 {
		if c.inside != nil && string(op.Origin) == borderOrigin {
			c.inside.Publish(m)
			return
		}
		m.Cluster = c.origin(op.Origin)
	}
	if c.unaware && !c.s.advertise.Load() {
		// Another gwd owns the border: what comes here is for this process.
		c.inside.Publish(m)
		return
	}
	if op.HasQueues || m.Cluster != "" {
		c.inlet.Publish(m)
		return
	}
	c.inlet.Enqueue(m) // its slices are the block's
}
