package gateway

import (
	"strings"
	"sync"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/wire"
)

// source is what an inbound connection has besides: it brings messages, and is
// told the interest of our cluster.
type source struct {
	c       *conn
	port    *broker.Port
	inlet   *broker.Inlet
	flusher *link.Flusher
	msg     broker.Msg

	// Of the last message; used by the reading goroutine only.
	acct    *broker.Account
	filter  *Filter
	filters map[*broker.Account]*Filter

	mu       sync.Mutex
	stopped  bool
	watched  map[*broker.Account]*announcer
	stopHook func()
}

func newSource(c *conn) *source {
	in := &source{
		c: c, filters: make(map[*broker.Account]*Filter), watched: make(map[*broker.Account]*announcer),
		flusher: link.NewFlusher(c.tc.Flush),
	}
	in.port = &broker.Port{
		ID: c.id, Class: broker.Gateway, Reach: broker.FromGateway, Origin: broker.Origin{Class: broker.Gateway},
		Aggregate: true, Sink: inboundSink{c: c},
	}
	in.inlet = c.s.o.Broker.NewInlet(in.port)
	return in
}

// nowhere is the sink of ports that only bring messages.
type nowhere struct{}

func (nowhere) Deliver(*broker.Msg, *broker.Sub) bool        { return false }
func (nowhere) DeliverOnce(*broker.Msg, bool, [][]byte) bool { return false }
func (nowhere) Flush()                                       {}

// announce begins to tell interest, account by account.
func (in *source) announce() {
	stop := in.c.s.o.Broker.EachAccount(in.watch)
	in.mu.Lock()
	in.stopHook = stop
	stopped := in.stopped
	in.mu.Unlock()
	if stopped {
		stop()
	}
}

func (in *source) watch(a *broker.Account) {
	w := &announcer{in: in, filter: in.c.s.o.Hooks.Incoming(a.Name)}
	in.mu.Lock()
	if in.stopped || in.watched[a] != nil {
		in.mu.Unlock()
		return
	}
	in.watched[a] = w
	in.mu.Unlock()
	a.Watch(w, nil, func() {
		if w.listing {
			w.listing = false
			in.c.tc.Write(in.c.s.command(wire.GatewayCmdAllInterestEnd, a.Name))
		}
	})
	in.mu.Lock()
	stopped := in.stopped
	in.mu.Unlock()
	if stopped {
		a.Unwatch(w)
	}
	in.flusher.Soon()
}

func (in *source) stop() {
	in.mu.Lock()
	in.stopped = true
	stop := in.stopHook
	watched := in.watched
	in.watched = nil
	in.mu.Unlock()
	if stop != nil {
		stop()
	}
	for a, w := range watched {
		a.Unwatch(w)
	}
}

// announcer tells one inbound peer the interest of our cluster in one account:
// what hubs and services of gwds have, not what other regions have. Its
// fields are guarded by the account's lock.
type announcer struct {
	in      *source
	filter  *Filter
	listed  bool // the peer knows that plain interest of this account is listed
	listing bool
}

const told = broker.Route | broker.Client

// crosses tells whether interest in a subject is for other regions. Replies with a
// prefix find their way without interest.
func (w *announcer) crosses(in *broker.Interest) bool {
	s := string(in.Subject)
	if strings.HasPrefix(s, wire.GatewayReplyPrefix) || strings.HasPrefix(s, wire.OldGatewayReplyPrefix) {
		return false
	}
	return w.filter.interest(in.Subject) && subject.Reemittable(in.Subject) && subject.Reemittable(in.Queue)
}

// Snapshot tells a key when the connection has come up.
func (w *announcer) Snapshot(a *broker.Account, in *broker.Interest) {
	if in.Sum(told, w.in.c.s.o.Hooks.Uncounted) > 0 && w.crosses(in) {
		w.tell(a, in, true)
	}
}

// Changed tells the first and the last interest under a key (gateways 6.3).
func (w *announcer) Changed(a *broker.Account, in *broker.Interest, from broker.Origin, old, now int32) {
	if from.Class&told == 0 || from == w.in.c.s.o.Hooks.Uncounted {
		return
	}
	after := in.Sum(told, w.in.c.s.o.Hooks.Uncounted)
	before := after - now + old
	if (before > 0) == (after > 0) || !w.crosses(in) {
		return
	}
	w.tell(a, in, after > 0)
	if w.listing {
		w.listing = false
		w.in.c.tc.Write(w.in.c.s.command(wire.GatewayCmdAllInterestEnd, a.Name))
	}
	w.in.flusher.Soon()
}

func (w *announcer) tell(a *broker.Account, in *broker.Interest, on bool) {
	c := w.in.c
	if in.Queue == nil && !w.listed {
		// A plain RS+ without this before it would be lost (gateways 6.2).
		w.listed, w.listing = true, true
		c.tc.Write(c.s.command(wire.GatewayCmdAllInterestStart, a.Name))
	}
	b := c.tc.Reserve(len(a.Name) + len(in.Subject) + len(in.Queue) + 24)
	if b == nil {
		return
	}
	verb := wire.VerbRouteAdd
	if !on {
		verb = wire.VerbRouteDel
	}
	c.tc.Commit(wire.AppendInterest(b, verb, nil, []byte(a.Name), in.Subject, in.Queue, 1))
}

// onMsg routes a message from another region.
func (c *conn) onMsg(op *wire.Op) {
	in := c.in
	if in.acct == nil || in.acct.Name != string(op.Account) {
		a := c.s.o.Broker.Lookup(op.Account)
		if a == nil || op.Dirty {
			// Nobody here has interest in it.
			c.ignored.Add(1)
			return
		}
		f, known := in.filters[a]
		if !known {
			f = c.s.o.Hooks.Incoming(a.Name)
			in.filters[a] = f
		}
		in.acct, in.filter = a, f
	}
	if op.Dirty {
		c.ignored.Add(1)
		return
	}
	m := &in.msg
	*m = broker.Msg{
		Account: in.acct, Subject: op.Subject, Reply: op.Reply, HdrLen: op.HdrLen, Payload: op.Payload,
		Groups: op.Queues, Listed: true,
	}
	switch {
	case wire.IsGatewayReply(op.Subject):
		// An answer to what was let out.
	case wire.IsOldGatewayReply(op.Subject):
		hash, _, plain, _ := wire.SplitGatewayReply(op.Subject)
		if string(hash) != c.s.oldHash {
			c.ignored.Add(1)
			return
		}
		m.Subject, m.Groups, m.Listed = plain, nil, false
	case !in.filter.Message(op.Subject):
		c.ignored.Add(1)
		return
	}
	if f := c.s.o.Hooks.Arrived; f != nil {
		f(m, c.name)
	}
	in.inlet.Publish(m)
}
