package interest

import (
	"sync"
	"sync/atomic"

	"github.com/banyanmq/banyan/pkg/subject"
)

// Index maps subject patterns to values of type V. It is safe for concurrent
// use. Use New.
type Index[V comparable] struct {
	mu      sync.RWMutex
	list    []item[V]
	changes atomic.Uint64
}

type item[V comparable] struct {
	pattern []byte
	v       V
}

// New returns an empty index.
func New[V comparable]() *Index[V] {
	x := &Index[V]{}
	x.changes.Store(1)
	return x
}

// Insert adds v under pattern, which is valid (subject.ValidSubscribe) and not
// kept. Inserting the same pair again has no effect.
func (x *Index[V]) Insert(pattern []byte, v V) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, it := range x.list {
		if it.v == v && string(it.pattern) == string(pattern) {
			return
		}
	}
	x.list = append(x.list, item[V]{append([]byte(nil), pattern...), v})
	x.changes.Add(1)
}

// Remove takes v away from pattern and reports whether it was there.
func (x *Index[V]) Remove(pattern []byte, v V) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, it := range x.list {
		if it.v == v && string(it.pattern) == string(pattern) {
			x.list = append(x.list[:i], x.list[i+1:]...)
			x.changes.Add(1)
			return true
		}
	}
	return false
}

// Match appends to dst the values of all patterns that match the published
// subject, in no particular order: a value appears once for each of its
// patterns that matches.
func (x *Index[V]) Match(subj []byte, dst []V) []V {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, it := range x.list {
		if subject.Match(it.pattern, subj) {
			dst = append(dst, it.v)
		}
	}
	return dst
}

// MatchesAny reports whether any pattern matches the published subject.
func (x *Index[V]) MatchesAny(subj []byte) bool { return len(x.Match(subj, nil)) > 0 }

// Len returns the number of (pattern, value) pairs.
func (x *Index[V]) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.list)
}

// Overlapping calls f for each pair whose pattern has a subject in common with
// the given pattern, until f returns false. The pattern passed to f is valid
// during the call only. f must not use the index.
func (x *Index[V]) Overlapping(pattern []byte, f func(pattern []byte, v V) bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, it := range x.list {
		if subject.Overlap(it.pattern, pattern) && !f(it.pattern, it.v) {
			return
		}
	}
}

// Walk calls f for each pair until f returns false, under the same conditions
// as Overlapping.
func (x *Index[V]) Walk(f func(pattern []byte, v V) bool) {
	x.Overlapping([]byte(">"), f)
}

// Stamp identifies the state of the interest in one subject. The zero Stamp is
// never fresh.
type Stamp struct {
	sum uint64
}

// Stamp returns the state of the interest in subj. It is taken before the
// Match whose result it guards.
func (x *Index[V]) Stamp(subj []byte) Stamp { return Stamp{x.changes.Load()} }

// Fresh reports whether the result of a Match made after s was taken still holds.
func (x *Index[V]) Fresh(s Stamp) bool { return s.sum == x.changes.Load() }
