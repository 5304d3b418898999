package leaf

import (
	"bytes"
	"unsafe"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/wire"
)

// counts tells whether the peer is told of interest of this origin: of the classes for
// its role, but not of its own cluster's, and not of other leaf nodes' if it is
// isolated. Interest of leaf nodes at other members of the cluster bears their
// tag and is leaf interest too.
func (l *conn) counts(o broker.Origin) bool {
	if o.Class&l.told == 0 || o.Same(l.own) {
		return false
	}
	return !l.peer.isolated || o.Class != broker.LeafDown && (o.Class != broker.Route || o.Cluster == "")
}

// sum is the interest under one key that the peer is told of. Of plain interest only
// whether there is any counts, so the first share will do.
func (l *conn) sum(in *broker.Interest) (n int32) {
	for o, k := range in.All() {
		if k > 0 && l.counts(o) {
			n += k
			if in.Queue == nil {
				return 1
			}
		}
	}
	return n
}

// Snapshot announces a key when the link comes up.
func (l *conn) Snapshot(_ *broker.Account, in *broker.Interest) {
	if l.groupsOnly && in.Queue == nil {
		return
	}
	if n := l.sum(in); n > 0 && l.rules.Load().recv.interest(in.Subject) {
		l.announce(in, n)
	}
}

// Changed announces a change. Of queue groups each change of weight is told, of plain
// interest the first and the last.
func (l *conn) Changed(_ *broker.Account, in *broker.Interest, from broker.Origin, old, now int32) {
	if !l.counts(from) || l.groupsOnly && in.Queue == nil {
		return
	}
	n := l.sum(in)
	if in.Queue == nil {
		// was: whether there was any before this change.
		was := old > 0
		for o, k := range in.All() {
			if was {
				break
			}
			was = k > 0 && o != from && l.counts(o)
		}
		if was == (n > 0) {
			return
		}
	}
	if !l.rules.Load().recv.interest(in.Subject) {
		return
	}
	l.announce(in, n)
	l.flusher.Soon()
}

// announce queues LS+ or LS-. The account is locked, so lines stand in the order
// of the changes.
func (l *conn) announce(in *broker.Interest, n int32) {
	if !subject.Reemittable(in.Subject) || !subject.Reemittable(in.Queue) {
		return
	}
	b := l.c.Reserve(len("LS+ ") + len(in.Subject) + len(in.Queue) + 24)
	if b == nil {
		return
	}
	verb := wire.VerbLeafAdd
	if n <= 0 {
		verb = wire.VerbLeafDel
	}
	l.c.Commit(wire.AppendInterest(b, verb, nil, nil, in.Subject, in.Queue, n))
}

// setRules changes what the link may carry, and tells the peer what that changes
// about our interest.
func (l *conn) setRules(next *rules) {
	l.acct.Do(func() {
		was := l.rules.Load()
		l.rules.Store(next)
		l.acct.EachInterest(func(in *broker.Interest) {
			n := l.sum(in)
			before, after := was.recv.interest(in.Subject), next.recv.interest(in.Subject)
			switch {
			case n <= 0 || before == after:
			case after:
				l.announce(in, n)
			default:
				l.announce(in, 0)
			}
		})
	})
	l.flusher.Soon()
}

// addInterest handles LS+.
func (l *conn) addInterest(op *wire.Op) *ending {
	if op.Dirty {
		return nil
	}
	if !subject.ValidSubscribe(op.Subject) {
		l.reply(wire.TextInvalidSubscription)
		return nil
	}
	if string(op.Subject) == l.acct.loop {
		return l.looped()
	}
	if !l.rules.Load().send.interest(op.Subject) {
		return l.forbiddenInterest(op)
	}
	var buf [256]byte
	key := appendKey(buf[:0], op)
	if s := l.subs[string(key)]; s != nil {
		if s.Queue != nil && s.Weight() != op.Weight {
			l.acct.SetWeight(s, op.Weight)
		}
		return nil
	}
	if l.fullOfSubs() {
		l.reply(wire.TextMaxSubscriptions)
		return nil
	}
	s := l.newSub(key, op)
	weight := int32(1)
	if s.Queue != nil {
		weight = op.Weight
	}
	l.subsMu.Lock()
	l.subs[s.SID] = s
	l.subsMu.Unlock()
	l.acct.Subscribe(s, weight)
	return nil
}

// forbiddenInterest: a spoke ignores what it may not serve; a hub ends a link that asks
// for what its user may not have, unless that is a wildcard, of which the
// peer is spared what is not allowed (leafnodes 9.2).
func (l *conn) forbiddenInterest(op *wire.Op) *ending {
	if !l.hub || l.remote != nil || subject.HasWildcard(op.Subject) {
		return nil
	}
	return ended(wire.ReasonProtocolViolation, wire.TextSubscribeViolation(string(op.Subject), ""))
}

// appendKey appends what tells interest apart: subject, or subject and queue.
func appendKey(dst []byte, op *wire.Op) []byte {
	dst = append(dst, op.Subject...)
	if len(op.Queue) > 0 {
		dst = append(dst, ' ')
		dst = append(dst, op.Queue...)
	}
	return dst
}

// newSub makes a subscription whose names, and whose key in subs, are one copy that
// never changes.
func (l *conn) newSub(key []byte, op *wire.Op) *broker.Sub {
	kept := bytes.Clone(key)
	n := len(op.Subject)
	s := &broker.Sub{
		Port: l.port, Origin: l.port.Origin, Tier: broker.TierLeaf,
		Subject: kept[:n:n], SID: unsafe.String(unsafe.SliceData(kept), len(kept)),
	}
	if len(op.Queue) > 0 {
		s.Queue = kept[n+1:]
	}
	return s
}

// delInterest handles LS-. What is not there is ignored.
func (l *conn) delInterest(op *wire.Op) {
	var buf [256]byte
	key := appendKey(buf[:0], op)
	s := l.subs[string(key)]
	if s == nil {
		return
	}
	l.acct.Unsubscribe(s)
	l.subsMu.Lock()
	delete(l.subs, string(key))
	l.subsMu.Unlock()
}

// reply queues an -ERR that the link survives.
func (l *conn) reply(text string) { l.c.Write(wire.AppendErr(nil, text)) }
