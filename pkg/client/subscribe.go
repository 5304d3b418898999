package client

import (
	"unsafe"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/wire"
)

// subscribe handles SUB. The checks come in the order of client-protocol 7.
func (c *conn) subscribe(op *wire.Op) {
	perms := c.identity.Permissions
	max := c.set.limits.MaxSubscriptionTokens
	switch {
	case !perms.CanSubscribe(op.Subject, op.Queue), string(op.Queue) == noQueue:
		c.fail(wire.TextSubscribeViolation(string(op.Subject), string(op.Queue)))
		c.log().RateLimitedWarnf("Subscription Violation - User %q, Subject %q, Queue %q, SID %q",
			c.identity.User, op.Subject, op.Queue, op.SID)
		return
	case max > 0 && subject.TokenCount(op.Subject) > max:
		c.fail(wire.TextTooManyTokens(string(op.Subject)))
		return
	case c.maxSubs > 0 && c.subCount() >= c.maxSubs:
		c.fail(wire.TextMaxSubscriptions)
		return
	case !subject.ValidSubscribe(op.Subject):
		c.fail(wire.TextInvalidSubject)
		return
	}
	if c.addSub(op, perms.Filters(op.Subject, op.Queue)) {
		c.ok()
		return
	}
	c.ok() // a live sid: the first subscription stays
}

func (c *conn) subCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs.len()
}

// addSub makes the subscription unless its sid is taken.
func (c *conn) addSub(op *wire.Op, filter bool) bool {
	c.mu.Lock()
	old := c.subs.get(op.SID)
	c.mu.Unlock()
	if old != nil {
		if c.worn.Load() {
			c.dropWorn() // perhaps it is over
		}
		c.mu.Lock()
		old = c.subs.get(op.SID)
		c.mu.Unlock()
		if old != nil {
			return false
		}
	}
	s := c.newSub(op)
	s.State.Filter = filter
	c.mu.Lock()
	c.subs.add(s)
	c.mu.Unlock()
	c.account.Subscribe(s, 1)
	return true
}

// newSub copies what the subscription keeps, in one piece.
func (c *conn) newSub(op *wire.Op) *broker.Sub {
	n, q := len(op.Subject), len(op.Queue)
	b := make([]byte, 0, n+q+len(op.SID))
	b = append(append(append(b, op.Subject...), op.Queue...), op.SID...)
	sid := unsafe.String(unsafe.SliceData(b[n+q:]), len(op.SID)) // b never changes
	s := &broker.Sub{Port: &c.port, Subject: b[:n:n], SID: sid, Origin: c.port.Origin, Tier: broker.TierDirect}
	if q > 0 {
		s.Queue = b[n : n+q : n+q]
	}
	return s
}

// unsubscribe handles UNSUB.
func (c *conn) unsubscribe(op *wire.Op) {
	c.mu.Lock()
	s := c.subs.get(op.SID)
	c.mu.Unlock()
	if s == nil {
		c.ok()
		return
	}
	limit := int64(op.Max)
	c.t.Locked(func() {
		if limit > s.State.Delivered {
			s.State.Max = int32(limit) // of at most nine digits
		} else {
			s.State.Gone = true
			limit = 0
		}
	})
	if limit <= 0 {
		c.mu.Lock()
		c.subs.remove(s)
		c.mu.Unlock()
		s.Account.Unsubscribe(s)
	}
	if c.trace {
		c.log().Tracef("<-> [DELSUB %s]", op.SID)
	}
	c.ok()
}

// dropSubs takes all subscriptions away; closed: and nothing more is delivered.
func (c *conn) dropSubs(closed bool) {
	c.mu.Lock()
	all := c.subs.clear()
	c.t.Locked(func() {
		c.out.closed = c.out.closed || closed
		for _, s := range all {
			s.State.Gone = true
		}
		c.out.worn = nil
		c.worn.Store(false)
	})
	c.mu.Unlock()
	c.account.UnsubscribeAll(all)
}

// subset is a connection's subscriptions by their sid: a list while there are few.
type subset struct {
	few  []*broker.Sub
	many *sids // instead of few
}

func (l *subset) len() int {
	if l.many != nil {
		return l.many.n
	}
	return len(l.few)
}

func (l *subset) get(sid []byte) *broker.Sub {
	if l.many != nil {
		return l.many.get(string(sid))
	}
	for _, s := range l.few {
		if s.SID == string(sid) {
			return s
		}
	}
	return nil
}

func (l *subset) add(s *broker.Sub) {
	if l.many == nil && len(l.few) < fewSubs {
		l.few = append(l.few, s)
		return
	}
	if l.many == nil {
		l.many = newSids()
		for _, x := range l.few {
			l.many.put(x)
		}
		l.few = nil
	}
	l.many.put(s)
}

// remove takes s away, and nothing else that has its sid by now.
func (l *subset) remove(s *broker.Sub) {
	if l.many != nil {
		l.many.remove(s)
		return
	}
	for i, x := range l.few {
		if x == s {
			last := len(l.few) - 1
			l.few[i], l.few[last] = l.few[last], nil
			l.few = l.few[:last]
			return
		}
	}
}

func (l *subset) all() []*broker.Sub {
	all := append([]*broker.Sub(nil), l.few...)
	if l.many != nil {
		all = l.many.appendAll(all)
	}
	return all
}

func (l *subset) clear() []*broker.Sub {
	all := l.all()
	*l = subset{}
	return all
}
