package client

import (
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// lineRoom is the most that a MSG or HMSG line and the CRLF behind the payload
// take beside subject, sid and reply: verb, blanks, two sizes of ten digits.
const lineRoom = len("HMSG ") + 4 + 2*10 + 2*len(wire.CRLF)

// Deliver implements broker.Sink. It runs on the publisher's goroutine.
func (c *conn) Deliver(m *broker.Msg, s *broker.Sub) bool {
	if m.From == s.Port && c.noEcho {
		return false
	}
	subj, reply := m.Subject, m.Reply
	if m.Original != nil {
		subj = m.Original
	}
	if len(reply) > 0 && m.From.Class != broker.Client && (reply[0] == '$' || reply[0] == '_') {
		subj, reply = c.outside(subj, reply)
		if _, ok := broker.Tracked(reply); ok {
			c.requested(reply)
		}
	}
	b := c.t.ReserveOrFlush(len(subj) + len(s.SID) + len(reply) + len(m.Payload) + lineRoom)
	if b == nil {
		return false
	}
	if !c.out.takes(s, subj) {
		c.t.Cancel()
		return false
	}
	hdr, payload := c.count(m, s, reply)
	b = wire.AppendClientMsg(b, subj, s.SID, reply, hdr, len(payload))
	b = append(b, payload...)
	trace := c.out.trace
	c.t.Commit(append(b, wire.CRLF...))
	if trace {
		c.traceOut(subj, s, reply, m.HdrLen, m.Payload)
	}
	return true
}

func (c *conn) deliverEach(ms []broker.Msg, s *broker.Sub) (n int) {
	for i := range ms {
		if c.Deliver(&ms[i], s) {
			n++
		}
	}
	return n
}

// batchRoom is about how much of a batch is appended at a time: small against a
// chunk of the queue.
const batchRoom = 16 << 10

// startRoom is for `MSG subject sid ` in a batch; what is longer is delivered one
// by one.
const startRoom = 256

// DeliverBatch implements broker.BatchSink.
func (c *conn) DeliverBatch(ms []broker.Msg, s *broker.Sub, mixed bool) (n int) {
	if len(ms) == 0 || ms[0].From == s.Port && c.noEcho {
		return 0
	}
	if ms[0].From.Class != broker.Client || len(ms[0].Subject)+len(s.SID) > startRoom-len("MSG   ") {
		return c.deliverEach(ms, s)
	}
	// On one subject the line's start is the same for each, but for the H.
	var room [startRoom]byte
	start := wire.AppendClientPrefix(room[:0], ms[0].Subject, s.SID, false)
	fixed := len(s.SID) + lineRoom
	for len(ms) > 0 {
		size, k := 0, 0
		for k < len(ms) && (k == 0 || size < batchRoom) {
			m := &ms[k]
			size += fixed + len(m.Subject) + len(m.Reply) + len(m.Payload)
			k++
		}
		b := c.t.ReserveOrFlush(size)
		if b == nil {
			return n
		}
		if c.out.trace {
			c.t.Cancel()
			return n + c.deliverEach(ms, s)
		}
		had := n
		for i := range ms[:k] {
			m := &ms[i]
			if !c.out.takes(s, m.Subject) {
				continue // one on another subject may be taken
			}
			hdr, payload := c.count(m, s, m.Reply)
			if mixed {
				b = wire.AppendClientMsg(b, m.Subject, s.SID, m.Reply, hdr, len(payload))
			} else {
				if hdr > 0 {
					b = append(b, 'H')
				}
				b = append(b, start...)
				b = wire.AppendClientTail(b, m.Reply, hdr, len(payload))
			}
			b = append(b, payload...)
			b = append(b, wire.CRLF...)
			n++
		}
		if n > had {
			c.t.Commit(b)
		} else if c.t.Cancel(); !mixed {
			return n
		}
		ms = ms[k:]
	}
	return n
}

// takes tells whether a message on subj may be queued for s now.
func (o *delivery) takes(s *broker.Sub, subj []byte) bool {
	st := &s.State
	return !(o.closed || st.Gone || st.Max > 0 && st.Delivered >= int64(st.Max) ||
		st.Filter && !o.permissions.Delivers(subj, s.Queue))
}

// count notes that s gets m, and returns what of it the client understands: the
// length of the header, and header and body.
func (c *conn) count(m *broker.Msg, s *broker.Sub, reply []byte) (hdr int, payload []byte) {
	o, st := &c.out, &s.State
	hdr, payload = m.HdrLen, m.Payload
	if hdr > 0 && !o.headers {
		hdr, payload = 0, payload[hdr:]
	}
	st.Delivered++
	if st.Delivered == int64(st.Max) {
		o.worn = append(o.worn, s)
		c.worn.Store(true)
	}
	if o.responses != nil {
		o.responses.Delivered(reply)
	}
	o.msgs++
	o.bytes += int64(len(payload))
	return hdr, payload
}

// outside turns what servers say to each other in a reply into what a client
// sees: without the prefix of a mapped reply, and with the original subject of a
// stream's message (cluster-routes 14.6, 14.7).
func (c *conn) outside(subj, reply []byte) (s, r []byte) {
	reply = c.port.Replies.Strip(reply)
	if ack, original, ok := wire.SplitDeliverReply(reply); ok {
		return original, ack
	}
	return subj, reply
}

// DeliverOnce implements broker.Sink; clients are not aggregate.
func (c *conn) DeliverOnce(*broker.Msg, bool, [][]byte) bool { return false }

// Flush implements broker.Sink.
func (c *conn) Flush() {
	if c.worn.Load() {
		c.dropWorn()
	}
	c.t.Flush()
}

// dropWorn takes away the subscriptions that got their last message. It runs on
// any goroutine: interest can't be changed where Deliver runs.
func (c *conn) dropWorn() {
	c.mu.Lock()
	var worn []*broker.Sub
	c.t.Locked(func() {
		worn, c.out.worn = c.out.worn, nil
		c.worn.Store(false)
		for _, s := range worn {
			s.State.Gone = true
		}
	})
	for _, s := range worn {
		c.subs.remove(s)
	}
	c.mu.Unlock()
	for _, s := range worn {
		s.Account.Unsubscribe(s)
	}
}
