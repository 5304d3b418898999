package broker

import "bytes"

// A flood of messages on one subject, or on several that have one and the same
// destination, is handed over a destination at a time, not a message at a time:
// each destination is locked once, and what is appended to it, and written when it
// is much, is still in the processor's cache.

const (
	batchMsgs  = 512
	batchBytes = 256 << 10
	// batchFlush is from how many bytes on a destination is written at once
	// instead of at the end of the block.
	batchFlush = 16 << 10
)

// BatchSink is a Sink that takes several messages of one inlet at once.
type BatchSink interface {
	Sink
	// DeliverBatch queues messages for one subscription, in order, and returns how
	// many it took. mixed: they may be on several subjects, else all are on that of
	// the first. The rules of Sink.Deliver apply.
	DeliverBatch(ms []Msg, s *Sub, mixed bool) int
}

// batch is what Enqueue has put off.
type batch struct {
	// held is the result for the last message's subject; nil if nothing is put off.
	held *result
	// only is the one destination of all messages, if there is one. What held had
	// before may have been made anew for another subject, a Sub stays what it is.
	only  *Sub
	mixed bool // on several subjects
	msgs  []Msg
	size  int // bytes of their payloads
}

// Enqueue routes m as Publish does, but may put off handing it over until the next
// call of Settle, Publish, Flush or Enqueue. The slices of m must stay as they are
// until the next Settle, Publish or Flush. The caller settles before it queues
// anything of its own on a connection that messages may go to, and before it
// changes interest.
func (in *Inlet) Enqueue(m *Msg) {
	if m.HdrLen > 0 && in.traces && mayBeTraced(m) {
		in.arrived(m)
		return
	}
	answers := in.port.Replies.active.Load()
	if r := in.put.held; r != nil {
		if r.account == m.Account && bytes.Equal(r.subject, m.Subject) && r.account.index.Fresh(r.stamp) && !answers {
			in.hold(m)
			return
		}
		if in.put.only == nil || answers || isMapped(m.Subject) {
			in.Settle()
		}
	}
	if answers || isMapped(m.Subject) {
		in.Publish(m)
		return
	}
	r := in.find(m.Account, m.Subject)
	kept := r == in.last // not in the scratch result
	if only := in.put.only; only != nil {
		if kept && r.only() == only {
			in.put.held, in.put.mixed = r, true
			in.hold(m)
			return
		}
		in.Settle()
	}
	if !kept || !r.batch {
		in.count(m)
		in.route(r, m)
		return
	}
	in.put.held, in.put.only = r, r.only()
	in.hold(m)
}

// only is the destination of a result that has a single one, which takes batches.
func (r *result) only() *Sub {
	if r.batch && len(r.direct) == 1 {
		return r.direct[0]
	}
	return nil
}

func (in *Inlet) hold(m *Msg) {
	in.count(m)
	p := &in.put
	if p.held.empty {
		return
	}
	p.msgs = append(p.msgs, *m)
	p.size += len(m.Payload)
	if len(p.msgs) == batchMsgs || p.size >= batchBytes {
		in.handOver()
	}
}

// Settle hands over what Enqueue has put off.
func (in *Inlet) Settle() {
	if len(in.put.msgs) > 0 {
		in.handOver()
	}
	in.put.held, in.put.only = nil, nil
}

// handOver empties the batch; more for the same destinations may follow.
func (in *Inlet) handOver() {
	p := &in.put
	if s := p.only; s != nil {
		if s.Port.batch.DeliverBatch(p.msgs, s, p.mixed) > 0 {
			in.mark(s.Port, p.size)
		}
	} else {
		large := p.size >= batchFlush
		for _, s := range p.held.direct {
			k := s.Port.batch
			if k.DeliverBatch(p.msgs, s, false) == 0 {
				continue
			}
			if large {
				k.Flush()
			} else {
				in.mark(s.Port, p.size)
			}
		}
	}
	clear(p.msgs)
	p.msgs = p.msgs[:0]
	p.size, p.mixed = 0, false
}

// Batched makes the port take messages through k, which is also its Sink. Before
// the port is used.
func (p *Port) Batched(k BatchSink) {
	p.Sink = k
	p.batch = k
}
