package broker

import (
	"bytes"
	"hash/maphash"
)

const (
	cacheMin = 32   // slots of a cache in use
	cacheMax = 8192 // and at most
	// ways is how many slots a subject may be in: those that share a line of the
	// processor's cache.
	ways = 4
	// watchFor is after how many misses nobody waits for a subject to come back.
	watchFor = 2 * cacheMax
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
	slots []slot  // sets of ways by hash of the subject; nil until used
	again int     // subjects that came back soon after they were driven out
	late  watch
	seed  maphash.Seed
	rng   uint64
	spare result // for results that are not kept
	match []*Sub // scratch
	full  []byte // scratch: a mapped reply subject

	put batch

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
	returns     bool // what is being built is for a rescue, which may go back
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
	if in.put.held != nil {
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
	set := in.set(h)
	for i := range set {
		if set[i].hash != uint32(h>>32) {
			continue
		}
		if r := set[i].r; r != nil && r.account == a && bytes.Equal(r.subject, subj) {
			r.used = true
			if !a.index.Fresh(r.stamp) {
				in.build(r, a, subj, in.port.Reach, false)
			}
			in.last = r
			return r
		}
	}
	return in.miss(set, h, a, subj)
}

// slot is one place of the cache.
type slot struct {
	r    *result
	hash uint32 // of the subject in r
	gone uint32 // hash of a subject that found no place in this set or lost it
}

// set is where the subject with a hash may be.
func (in *Inlet) set(h uint64) []slot {
	i := int(h&uint64(len(in.slots)/ways-1)) * ways
	return in.slots[i : i+ways : i+ways]
}

// watch waits for some of the subjects that found no place or lost it: how many were
// missed until one comes back tells how large a cache would have held them all, also
// when that is many times the present one.
type watch struct {
	misses uint32
	hashes [4]uint32
	since  [4]uint32 // misses when it began; 0: the place is free
}

// saw notes a miss, and returns how many there were since that subject was let go;
// 0 if it is not waited for.
func (w *watch) saw(h uint32) int {
	w.misses++
	for i := range w.hashes {
		if w.hashes[i] == h && w.since[i] != 0 {
			n := w.misses - w.since[i]
			w.since[i] = 0
			return int(n)
		}
	}
	return 0
}

// let notes that a subject is let go.
func (w *watch) let(h uint32) {
	for i := range w.hashes {
		if w.since[i] == 0 || w.misses-w.since[i] > watchFor {
			w.hashes[i], w.since[i] = h, w.misses
			return
		}
	}
}

// miss makes a result that is not in the cache. It takes the place of one that was
// not used since the last miss in its set, or else is not kept: subjects used once,
// such as reply subjects, do not drive out the ones used often. Only subjects
// that come back make the cache grow.
func (in *Inlet) miss(set []slot, h uint64, a *Account, subj []byte) *result {
	h32 := uint32(h >> 32)
	if in.returned(set, h32) {
		set = in.set(h)
	}
	at := place(set)
	if at == nil {
		in.letGo(set, h32)
		in.build(&in.spare, a, subj, in.port.Reach, false)
		return &in.spare
	}
	if at.r == nil {
		at.r = new(result)
	} else {
		in.letGo(set, at.hash)
	}
	at.hash = h32
	at.r.used = false
	in.build(at.r, a, subj, in.port.Reach, false)
	in.last = at.r
	return at.r
}

// place is the slot of a set that a new result may have; nil if all were used lately.
func place(set []slot) *slot {
	var at *slot
	for i := range set {
		switch s := &set[i]; {
		case s.r == nil:
			return s
		case !s.r.used:
			at = s
		}
	}
	if at == nil {
		for i := range set {
			set[i].r.used = false
		}
	}
	return at
}

// returned notes a miss and makes the cache larger, which it reports, if that would
// have avoided enough of them.
func (in *Inlet) returned(set []slot, h uint32) bool {
	size := len(in.slots)
	if size >= cacheMax {
		return false
	}
	for i := range set {
		if set[i].gone == h {
			in.again++
			break
		}
	}
	if in.again > size/4 {
		size *= 2
	}
	if n := in.late.saw(h); n > 0 {
		for size < cacheMax && size < 2*n {
			size *= 2
		}
	}
	if size == len(in.slots) {
		return false
	}
	in.grow(size)
	return true
}

// letGo remembers a subject that is not in the cache, or not any more.
func (in *Inlet) letGo(set []slot, h uint32) {
	set[h%ways].gone = h
	in.late.let(h)
}

// grow makes the cache larger. What is in one set goes to sets that get nothing from
// another: there is room.
func (in *Inlet) grow(size int) {
	in.again = 0
	old := in.slots
	in.slots = make([]slot, size)
	for _, s := range old {
		if s.r == nil {
			continue
		}
		set := in.set(maphash.Bytes(in.seed, s.r.subject))
		for i := range set {
			if set[i].r == nil {
				set[i].r, set[i].hash = s.r, s.hash
				break
			}
		}
	}
}

// Rest gives up the cache. To be called when the connection has been idle.
func (in *Inlet) Rest() {
	in.slots, in.last, in.match, in.dirty, in.put.msgs = nil, nil, nil, nil, nil
	in.crossings, in.faces, in.turned, in.mapped = nil, nil, [2][]byte{}, [2][]byte{}
	in.spare = result{}
	in.again, in.late = 0, watch{}
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
	if in.put.held != nil {
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
