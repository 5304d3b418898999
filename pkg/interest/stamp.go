package interest

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"

	"github.com/banyanmq/banyan/pkg/subject"
)

// How a cached result is known to be stale.
//
// An index counts its changes in an array of counters. A change bumps the one
// counter that its pattern belongs to:
//
//	a.b.c   (literal)                  the slot of the whole subject
//	a.b.*   (wildcard behind 2 tokens) the slot of "a.b"
//	a.*.c   (wildcard behind 1)        the slot of "a"
//	*.b.c   (wildcard at the front)    slot 0
//
// A subject's result depends on those four counters and on no others. They are
// shared with whatever else falls into the same slots, which costs a useless
// match now and then, never a stale result. A Stamp is the slots' numbers and
// the sum of the counters. Counters only grow, so an equal sum means that each
// of them is unchanged.
//
// Claim: once Insert or Remove has returned, no result matched before it, of a
// subject that it concerns, is Fresh. The order that makes it so: a Stamp is
// read before its Match; a change modifies the tree first, then bumps its
// counter, both under the write lock. Suppose Fresh, called after the change
// returned, finds the sum equal. It has seen the bump (an atomic store that
// happened before), hence the Stamp had seen it too, hence the Match, which
// takes the read lock after the Stamp was read, came after the change and its
// result is the new one. A Fresh that runs at the same time as the change may
// say either: the two are unordered, and so are a message and a SUB in flight
// on two connections.
//
// The array grows with the index and with the number of changes. A new array
// starts above anything that the old one held, so that all older stamps are
// stale; slot numbers of old stamps are within it.
type epochs struct {
	slots []uint64 // 0 for patterns with a wildcard in front, then 2^k; atomic
	base  uint64   // what all slots started at
}

const (
	epochsFirst = 8     // hashed slots at the start: an idle account stays tiny
	epochsStep  = 8     // growth by this factor
	epochsSmall = 512   // bound for small indexes, however often they change
	epochsMax   = 65536 // bound for large ones: about one slot a subscription
)

// Distinct salts keep "a" as a whole subject apart from "a" in front of others.
const (
	saltWhole = 0
	saltOne   = 0x5bd1e995
	saltTwo   = 0xc2b2ae35
)

func newEpochs(hashed int, base uint64) *epochs {
	e := &epochs{slots: make([]uint64, 1+hashed), base: base}
	for i := range e.slots {
		e.slots[i] = base
	}
	return e
}

func (e *epochs) slot(seed maphash.Seed, prefix []byte, salt uint64) uint32 {
	return 1 + uint32(maphash.Bytes(seed, prefix)^salt)&uint32(len(e.slots)-2)
}

// Stamp identifies a state of the interest in one subject. The zero Stamp is
// never fresh. A Stamp belongs to the index that made it.
type Stamp struct {
	sum             uint64
	whole, one, two uint32
}

// Stamp returns the state of the interest in subj. It must be taken before the
// Match whose result it guards.
func (x *Index[V]) Stamp(subj []byte) Stamp {
	e := x.epochs.Load()
	s := Stamp{whole: e.slot(x.hasher.seed, subj, saltWhole)}
	if i := bytes.IndexByte(subj, '.'); i >= 0 {
		s.one = e.slot(x.hasher.seed, subj[:i], saltOne)
		if j := bytes.IndexByte(subj[i+1:], '.'); j >= 0 {
			s.two = e.slot(x.hasher.seed, subj[:i+1+j], saltTwo)
		}
	}
	s.sum = e.sum(s)
	return s
}

func (e *epochs) sum(s Stamp) uint64 {
	c := e.slots
	return atomic.LoadUint64(&c[0]) + atomic.LoadUint64(&c[s.whole]) +
		atomic.LoadUint64(&c[s.one]) + atomic.LoadUint64(&c[s.two])
}

// Fresh reports whether the result of a Match made after s was taken still
// holds: if so, no pattern that matches the subject was inserted or removed
// since; if not, one may have been. It takes no lock and may be called for each message.
func (x *Index[V]) Fresh(s Stamp) bool { return x.epochs.Load().sum(s) == s.sum }

// bump counts a change of the pattern's interest. The caller holds the write
// lock and has made the change already.
func (x *Index[V]) bump(pattern []byte) {
	e := x.epochs.Load()
	c := &e.slots[e.patternSlot(x.hasher.seed, pattern)]
	atomic.AddUint64(c, 1)
	if x.bumps++; x.bumps >= uint64(4*len(e.slots)) {
		x.growEpochs(e)
	}
}

// patternSlot returns the number of the counter that the pattern belongs to.
func (e *epochs) patternSlot(seed maphash.Seed, pattern []byte) uint32 {
	first, rest, _ := subject.Cut(pattern)
	if subject.HasWildcard(first) {
		return 0
	}
	if !subject.HasWildcard(rest) {
		return e.slot(seed, pattern, saltWhole)
	}
	second, _, _ := subject.Cut(rest)
	if subject.HasWildcard(second) {
		return e.slot(seed, first, saltOne)
	}
	return e.slot(seed, pattern[:len(first)+1+len(second)], saltTwo)
}

// growEpochs replaces the array if a larger one is called for. No counter of
// the old one is above its base plus the bumps since, so the new base is above
// them all, and any sum over the new array above any sum over the old.
func (x *Index[V]) growEpochs(e *epochs) {
	hashed := len(e.slots) - 1
	limit := epochsSmall
	for limit < epochsMax && limit < x.n() {
		limit *= 2
	}
	if hashed >= limit {
		return
	}
	x.epochs.Store(newEpochs(min(hashed*epochsStep, limit), e.base+x.bumps+1))
	x.bumps = 0
}
