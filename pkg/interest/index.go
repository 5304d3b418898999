package interest

import (
	"sync"
	"sync/atomic"
)

// Index maps subject patterns to values of type V, which should be small: a
// pointer or a number. It is safe for concurrent use: Insert and Remove go one
// after the other, for about a microsecond each; Match runs beside other Match
// calls. Make it with New.
type Index[V comparable] struct {
	epochs atomic.Pointer[epochs] // replaced under mu
	hasher hasher

	mu    sync.RWMutex
	cur   *core[V] // nil until there is a first pair
	old   *core[V] // being moved to cur, nil most of the time
	next  uint32   // node of old at which moving goes on
	scans int      // Walk and Overlapping under way: nothing is moved meanwhile
	bumps uint64   // since epochs was replaced
	buf   []byte   // the pattern being moved
	floor uint32   // size from which tidy cares
}

// New returns an empty index. It costs a few hundred bytes.
func New[V comparable]() *Index[V] {
	x := &Index[V]{hasher: newHasher(), floor: tidyFrom}
	x.epochs.Store(newEpochs(epochsFirst, 1))
	return x
}

// Insert adds v under pattern, which is valid (subject.ValidSubscribe) and not
// kept. Inserting the same pair again has no effect.
func (x *Index[V]) Insert(pattern []byte, v V) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cur == nil {
		x.cur = newCore[V](x.hasher)
	}
	// A pattern is in one core only: equal pairs are seen, and Walk meets each
	// pattern once.
	c := x.cur
	if x.old != nil && x.old.holds(pattern) {
		c = x.old
	}
	if c.insert(pattern, v) {
		x.bump(pattern)
		x.tidy()
	}
}

// Remove takes v away from pattern and reports whether it was there.
func (x *Index[V]) Remove(pattern []byte, v V) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cur == nil {
		return false
	}
	if !x.cur.remove(pattern, v) && (x.old == nil || !x.old.remove(pattern, v)) {
		return false
	}
	x.bump(pattern)
	x.tidy()
	return true
}

// Match appends to dst the values of all patterns that match the published
// subject, in no particular order: a value appears once for each of its
// patterns that matches. Wildcards in the subject have no meaning; a subject
// with an empty token matches nothing (see subject.Match). It allocates only
// if dst is too small.
func (x *Index[V]) Match(subj []byte, dst []V) []V {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.cur == nil {
		return dst
	}
	if x.old != nil {
		dst = x.old.matchValues(subj, dst)
	}
	return x.cur.matchValues(subj, dst)
}

func (c *core[V]) matchValues(subj []byte, dst []V) []V {
	var buf [64]uint32
	for _, id := range c.match(subj, buf[:0]) {
		dst = c.appendValues(id, dst)
	}
	return dst
}

// MatchesAny reports whether any pattern matches the published subject.
func (x *Index[V]) MatchesAny(subj []byte) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var buf [64]uint32
	return x.cur != nil && len(x.cur.match(subj, buf[:0])) > 0 ||
		x.old != nil && len(x.old.match(subj, buf[:0])) > 0
}

// Len returns the number of pairs.
func (x *Index[V]) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.n()
}

func (x *Index[V]) n() int {
	n := 0
	if x.cur != nil {
		n = x.cur.n
	}
	if x.old != nil {
		n += x.old.n
	}
	return n
}

const (
	tidyFrom  = vecSeg
	tidyNodes = 64 // nodes looked at per change while a core is moved
	tidyMoves = 4  // patterns moved per change
)

// tidy gives memory back after a mass removal. A core that has become sparse
// is moved, a few patterns with each later change, to a new one; while that
// lasts a pattern is in either of the two, and Match asks both.
func (x *Index[V]) tidy() {
	if x.scans > 0 {
		return
	}
	if x.old == nil {
		switch {
		case !x.cur.sparse(x.floor):
		case x.cur.n == 0:
			x.cur = nil
		default:
			x.old, x.cur, x.next = x.cur, newCore[V](x.hasher), 1
		}
		return
	}
	moves := tidyMoves
	for range tidyNodes {
		if x.next >= x.old.nodes.n || moves == 0 {
			break
		}
		if x.old.nodes.at(x.next).hasValues() {
			x.buf = x.old.appendPattern(x.buf[:0], x.next)
			x.old.moveTo(x.cur, x.next, x.buf)
			moves--
		}
		x.next++
	}
	if x.old.n == 0 {
		x.old, x.buf = nil, nil
	}
}
