package broker

import (
	"bytes"
	"hash/maphash"
)

const (
	cacheMin = 32   // slots of a cache in use
	cacheMax = 4096 // and at most
	// flushBudget bounds what one block may have queued before its destinations
	// are flushed early: beyond it, what was queued first leaves the processor's
	// cache before it is written.
	flushBudget = 4 << 20
)

// Inlet is where the messages of one connection enter. It is used by one
// goroutine, the one that reads the connection.
type Inlet struct {
	b    *Broker
	port *Port

	last  *result // of the previous message
	slots []slot  // direct-mapped by hash of the subject; nil until used
	again int     // subjects that came back after they were driven out
	seed  maphash.Seed
	rng   uint64
	spare result // for results that are not kept
	match []*Sub // scratch
	full  []byte // scratch: a mapped reply subject

	// What Enqueue has put off: messages for the destinations of held.
	held  *result
	batch []Msg
	size  int // bytes of their payloads

	token  uint64
	dirty  []Sink
	queued int

	crossings []*crossing // one for each step of a message that crosses accounts
	depth     int         // of them in use
	shown     Msg         // scratch: a message as another account sees it
	turned    [2][]byte   // scratch: its subject
	mapped    [2][]byte   // the last mapped subject, and scratch
	faces     []face

	// trace is that of the message on its way, nil if it is not traced.
	trace *Trace
	// MayTrace tells whether traces of messages from another server may be published on
	// a subject; nil: on any.
	MayTrace func(dest []byte) bool

	msgs, bytes int64
	marked      bool
	rescues     bool
	traces      bool // messages with headers may be traced already
}

// NewInlet returns the inlet of a port.
func (b *Broker) NewInlet(p *Port) *Inlet {
	in := &Inlet{b: b, port: p, seed: maphash.MakeSeed(), traces: p.Class != Client}
	in.rng = maphash.Bytes(in.seed, []byte{1}) | 1
	return in
}

// Publish routes m, which came in on this inlet, and returns to how many
// destinations it was handed. Destinations are written when Flush is called.
func (in *Inlet) Publish(m *Msg) int {
	if m.HdrLen > 0 && in.traces && mayBeTraced(m) {
		return in.arrived(m)
	}
	if in.held != nil {
		in.Settle()
	}
	in.count(m)
	if isMapped(m.Subject) {
		return in.publishMapped(m)
	}
	if full, ok := in.port.Replies.Find(m.Subject); ok {
		return in.publishAnswer(m, full)
	}
	return in.route(in.find(m.Account, m.Subject), m)
}

func (in *Inlet) count(m *Msg) {
	m.From = in.port
	in.msgs++
	in.bytes += int64(len(m.Payload))
}

func (in *Inlet) route(r *result, m *Msg) int {
	if r.empty {
		if in.rescues && len(m.Groups) > 0 {
			return in.rescue(m, 0)
		}
		return 0
	}
	return in.deliver(r, m)
}

// find returns the destinations of a subject, from the cache if they still hold.
func (in *Inlet) find(a *Account, subj []byte) *result {
	if r := in.last; r != nil && r.account == a && bytes.Equal(r.subject, subj) && a.index.Fresh(r.stamp) {
		return r
	}
	if in.slots == nil {
		in.slots = make([]slot, cacheMin)
	}
	h := maphash.Bytes(in.seed, subj)
	at := &in.slots[h&uint64(len(in.slots)-1)]
	r := at.r
	if r != nil && r.account == a && bytes.Equal(r.subject, subj) {
		r.used = true
		if !a.index.Fresh(r.stamp) {
			in.build(r, a, subj, in.port.Reach, false)
		}
		in.last = r
		return r
	}
	return in.miss(at, h, a, subj)
}

// slot is one place of the cache.
type slot struct {
	r    *result
	hash uint32 // of the subject in r
	gone uint32 // hash of the last subject that found no place here or lost it
}

// miss makes a result that is not in the cache. One that is in its slot and was
// used since the last miss there stays: subjects used once, such as reply
// subjects, do not drive out the ones used often. Only subjects that come back
// make the cache grow.
func (in *Inlet) miss(at *slot, h uint64, a *Account, subj []byte) *result {
	h32 := uint32(h >> 32)
	if at.gone == h32 {
		in.again++
		if in.again > len(in.slots)/4 && len(in.slots) < cacheMax {
			in.grow()
			at = &in.slots[h&uint64(len(in.slots)-1)]
		}
	}
	r := at.r
	if r != nil && r.used {
		r.used = false
		at.gone = h32
		in.build(&in.spare, a, subj, in.port.Reach, false)
		return &in.spare
	}
	if r == nil {
		r = new(result)
		at.r = r
	} else {
		at.gone = at.hash
	}
	at.hash = h32
	r.used = false
	in.build(r, a, subj, in.port.Reach, false)
	in.last = r
	return r
}

// grow makes the cache four times as large.
func (in *Inlet) grow() {
	in.again = 0
	bigger := make([]slot, 4*len(in.slots))
	for _, s := range in.slots {
		if s.r != nil {
			bigger[maphash.Bytes(in.seed, s.r.subject)&uint64(len(bigger)-1)] = slot{r: s.r, hash: s.hash}
		}
	}
	in.slots = bigger
}

// Rest gives up the cache. To be called when the connection has been idle.
func (in *Inlet) Rest() {
	in.slots, in.last, in.match, in.dirty, in.batch = nil, nil, nil, nil, nil
	in.crossings, in.faces, in.turned, in.mapped = nil, nil, [2][]byte{}, [2][]byte{}
	in.spare = result{}
	in.again = 0
}

// mark makes sure that p is flushed at the end of the block.
func (in *Inlet) mark(p *Port, n int) {
	if !in.marked {
		in.marked = true
		in.token = in.b.blocks.Add(1)
	}
	if p.token.Load() != in.token {
		p.token.Store(in.token)
		in.dirty = append(in.dirty, p.Sink)
	}
	if in.queued += n + 32; in.queued > flushBudget {
		in.flushDirty()
	}
}

// Flush ends a block: what its messages queued is written, and what it counted
// is published.
func (in *Inlet) Flush() {
	if in.held != nil {
		in.Settle()
	}
	if in.msgs > 0 {
		in.port.In.Msgs.Add(in.msgs)
		in.port.In.Bytes.Add(in.bytes)
		in.msgs, in.bytes = 0, 0
	}
	if in.marked {
		in.flushDirty()
	}
}

func (in *Inlet) flushDirty() {
	for i, s := range in.dirty {
		s.Flush()
		in.dirty[i] = nil
	}
	in.dirty = in.dirty[:0]
	in.queued = 0
	in.marked = false
}

// random is xorshift: cheap, and good enough to share work fairly.
func (in *Inlet) random(n uint32) uint32 {
	x := in.rng
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	in.rng = x
	return uint32((x >> 32) * uint64(n) >> 32)
}
