package interest

import "github.com/banyanmq/banyan/pkg/subject"

const (
	scanNodes     = 512  // nodes looked at while the lock is held
	overlapBudget = 4096 // nodes that Overlapping visits in one go
)

// batch is pairs collected under the lock, to be handed out without it.
type batch[V comparable] struct {
	text []byte // the patterns, one after the other
	ends []int  // where each ends in text
	vals []V
	upto []int // where the values of each end in vals
}

func (b *batch[V]) reset() {
	clear(b.vals)
	b.text, b.ends, b.vals, b.upto = b.text[:0], b.ends[:0], b.vals[:0], b.upto[:0]
}

// add collects the pairs of a node whose pattern overlaps filter, any if nil.
func (b *batch[V]) add(c *core[V], id uint32, filter []byte) {
	start := len(b.text)
	b.text = c.appendPattern(b.text, id)
	if filter != nil && !subject.Overlap(b.text[start:], filter) {
		b.text = b.text[:start]
		return
	}
	b.vals = c.appendValues(id, b.vals)
	b.ends = append(b.ends, len(b.text))
	b.upto = append(b.upto, len(b.vals))
}

func (b *batch[V]) each(f func(pattern []byte, v V) bool) bool {
	from, val := 0, 0
	for i, end := range b.ends {
		for ; val < b.upto[i]; val++ {
			if !f(b.text[from:end:end], b.vals[val]) {
				return false
			}
		}
		from = end
	}
	return true
}

// Walk calls f for each pair until f returns false. A pair that is there from
// the start to the end of the walk is seen exactly once; one that comes or
// goes meanwhile, perhaps. The pattern is valid during the call only. No lock
// is held while f runs: f may use the index.
func (x *Index[V]) Walk(f func(pattern []byte, v V) bool) { x.scan(nil, f) }

// Overlapping calls f for each pair whose pattern has a subject in common with
// the given valid pattern, until f returns false, under the same terms as Walk.
func (x *Index[V]) Overlapping(pattern []byte, f func(pattern []byte, v V) bool) {
	var b batch[V]
	if x.overlapping(pattern, &b) {
		b.each(f)
		return
	}
	x.scan(pattern, f)
}

// overlapping collects what overlaps the pattern by going down the tree. It
// returns false when that would hold the lock for long.
func (x *Index[V]) overlapping(pattern []byte, b *batch[V]) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	budget := overlapBudget
	for _, c := range []*core[V]{x.old, x.cur} {
		if c == nil {
			continue
		}
		ids, ok := c.overlap(0, pattern, nil, &budget)
		if !ok {
			return false
		}
		for _, id := range ids {
			b.add(c, id, nil)
		}
	}
	return true
}

// scan goes through the nodes by number, a piece at a time.
func (x *Index[V]) scan(filter []byte, f func(pattern []byte, v V) bool) {
	x.mu.Lock()
	x.scans++
	old, cur := x.old, x.cur // they stay while scans > 0, unless cur is nil
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		x.scans--
		x.mu.Unlock()
	}()
	var b batch[V]
	for _, c := range []*core[V]{old, cur} {
		for id, more := uint32(1), c != nil; more; {
			b.reset()
			x.mu.RLock()
			end := min(id+scanNodes, c.nodes.n)
			for ; id < end; id++ {
				if c.nodes.at(id).hasValues() {
					b.add(c, id, filter)
				}
			}
			more = id < c.nodes.n
			x.mu.RUnlock()
			if !b.each(f) {
				return
			}
		}
	}
}
