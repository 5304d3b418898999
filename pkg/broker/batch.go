package broker

import "bytes"

// A flood of messages on one subject is handed over a destination at a time, not
// a message at a time: each destination is locked once, and what is appended to
// it, and written when it is much, is still in the processor's cache.

const (
	batchMsgs  = 512
	batchBytes = 256 << 10
	// batchFlush is from how many bytes on a destination is written at once
	// instead of at the end of the block.
	batchFlush = 16 << 10
)

// BatchSink is a Sink that takes several messages on one subject at once.
type BatchSink interface {
	Sink
	// DeliverBatch queues messages for one subscription, in order, and returns how
	// many it took. The rules of Sink.Deliver apply.
	DeliverBatch(ms []Msg, s *Sub) int
}

// Enqueue routes m as Publish does, but may put off handing it over until the next
// call of Settle, Publish or Flush, or of Enqueue with another subject. The slices of
// m must stay as they are until then. The caller settles before it queues
// anything of its own on a connection that messages may go to, and before it
// changes interest.
func (in *Inlet) Enqueue(m *Msg) {
	if m.HdrLen > 0 && in.traces && mayBeTraced(m) {
		in.arrived(m)
		return
	}
	r := in.held
	if r != nil {
		if r.account == m.Account && bytes.Equal(r.subject, m.Subject) && r.account.index.Fresh(r.stamp) && !in.port.Replies.active.Load() {
			in.hold(m)
			return
		}
		in.Settle()
	}
	if in.port.Replies.active.Load() || isMapped(m.Subject) {
		in.Publish(m)
		return
	}
	if r = in.find(m.Account, m.Subject); r != in.last || !r.batch {
		in.count(m)
		in.route(r, m)
		return
	}
	in.held = r
	in.hold(m)
}

func (in *Inlet) hold(m *Msg) {
	in.count(m)
	if in.held.empty {
		return
	}
	in.batch = append(in.batch, *m)
	in.size += len(m.Payload)
	if len(in.batch) == batchMsgs || in.size >= batchBytes {
		r := in.held
		in.Settle()
		in.held = r
	}
}

// Settle hands over what Enqueue has put off.
func (in *Inlet) Settle() {
	r := in.held
	in.held = nil
	if r == nil || len(in.batch) == 0 {
		return
	}
	large := in.size >= batchFlush && len(r.direct) > 1
	for _, s := range r.direct {
		k := s.Port.batch
		if k.DeliverBatch(in.batch, s) == 0 {
			continue
		}
		if large {
			k.Flush()
		} else {
			in.mark(s.Port, in.size)
		}
	}
	clear(in.batch)
	in.batch = in.batch[:0]
	in.size = 0
}

// Batched makes the port take messages through k, which is also its Sink. Before
// the port is used.
func (p *Port) Batched(k BatchSink) {
	p.Sink = k
	p.batch = k
}
