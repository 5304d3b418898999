package interest

import "hash/maphash"

const (
	groupFrom = 9  // values of one pattern from which they form a group
	groupTo   = 4  // values at which a group becomes a list again
	groupMap  = 64 // values from which a group finds a value by map
)

// core is the index without locks: a tree of tokens and the values of its
// nodes. The few values of a node are a linked list of numbers; many, as for a
// subject that a whole fleet listens to, are a group of their own.
type core[V comparable] struct {
	tree
	vals      vec[V]      // number 0 is not used
	links     vec[uint32] // next of each value in its list, 0 at the end
	freeVals  uint32
	liveVals  uint32
	groups    []group[V]
	freeGroup []uint32
	n         int // pairs
}

// group is the values of one node in a row, for fast copying.
type group[V comparable] struct {
	vals []V
	pos  map[V]uint32 // where each is in vals; nil while there are few
}

func newCore[V comparable](seed maphash.Seed) *core[V] {
	c := &core[V]{}
	c.init(seed)
	var none V
	c.vals.push(none)
	c.links.push(0)
	return c
}

// insert reports whether the pair is new.
func (c *core[V]) insert(pattern []byte, v V) bool {
	id := c.add(pattern)
	n := c.nodes.at(id)
	if n.meta&flagGroup != 0 {
		if !c.groups[n.values].add(v) {
			return false
		}
		c.n++
		return true
	}
	count := 0
	for e := n.values; e != 0; e = *c.links.at(e) {
		if *c.vals.at(e) == v {
			return false
		}
		count++
	}
	if count+1 == groupFrom {
		c.toGroup(n)
		c.groups[n.values].add(v)
	} else {
		c.pushValue(n, v)
	}
	c.n++
	return true
}

// remove reports whether the pair was there.
func (c *core[V]) remove(pattern []byte, v V) bool {
	id := c.find(pattern)
	if id == 0 {
		return false
	}
	n := c.nodes.at(id)
	if n.meta&flagGroup != 0 {
		g := &c.groups[n.values]
		if !g.remove(v) {
			return false
		}
		if len(g.vals) == groupTo {
			c.toList(n)
		}
		c.n--
		return true
	}
	for at := &n.values; *at != 0; at = c.links.at(*at) {
		if e := *at; *c.vals.at(e) == v {
			*at = *c.links.at(e)
			c.freeValue(e)
			c.n--
			c.prune(id)
			return true
		}
	}
	return false
}

func (c *core[V]) pushValue(n *node, v V) {
	e := c.freeVals
	if e != 0 {
		c.freeVals = *c.links.at(e)
		*c.vals.at(e), *c.links.at(e) = v, n.values
	} else {
		e = c.vals.push(v)
		c.links.push(n.values)
	}
	n.values = e
	c.liveVals++
}

// freeValue also forgets the value, so that the collector can have it.
func (c *core[V]) freeValue(e uint32) {
	var none V
	*c.vals.at(e), *c.links.at(e) = none, c.freeVals
	c.freeVals = e
	c.liveVals--
}

// appendValues appends the values of n to dst.
func (c *core[V]) appendValues(n *node, dst []V) []V {
	if n.meta&flagGroup != 0 {
		return append(dst, c.groups[n.values].vals...)
	}
	for e := n.values; e != 0; e = *c.links.at(e) {
		dst = append(dst, *c.vals.at(e))
	}
	return dst
}

func (c *core[V]) toGroup(n *node) {
	g := group[V]{vals: c.appendValues(n, make([]V, 0, 2*groupFrom))}
	for e := n.values; e != 0; {
		next := *c.links.at(e)
		c.freeValue(e)
		e = next
	}
	c.setGroup(n, g)
}

func (c *core[V]) setGroup(n *node, g group[V]) {
	n.meta |= flagGroup
	if k := len(c.freeGroup); k > 0 {
		n.values = c.freeGroup[k-1]
		c.freeGroup = c.freeGroup[:k-1]
		c.groups[n.values] = g
		return
	}
	n.values = uint32(len(c.groups))
	c.groups = append(c.groups, g)
}

func (c *core[V]) dropGroup(n *node) group[V] {
	g := c.groups[n.values]
	c.groups[n.values] = group[V]{}
	c.freeGroup = append(c.freeGroup, n.values)
	n.meta &^= flagGroup
	n.values = 0
	return g
}

func (c *core[V]) toList(n *node) {
	for _, v := range c.dropGroup(n).vals {
		c.pushValue(n, v)
	}
}

// moveTo moves all values of the node to another core, where their pattern has
// none, and returns how many there were.
func (c *core[V]) moveTo(to *core[V], id uint32, pattern []byte) int {
	n := c.nodes.at(id)
	dst := to.nodes.at(to.add(pattern))
	moved := 0
	if n.meta&flagGroup != 0 {
		g := c.dropGroup(n)
		moved = len(g.vals)
		to.setGroup(dst, g)
	}
	for e := n.values; e != 0; moved++ {
		to.pushValue(dst, *c.vals.at(e))
		next := *c.links.at(e)
		c.freeValue(e)
		e = next
	}
	n.values = 0
	c.n -= moved
	to.n += moved
	c.prune(id)
	return moved
}

// sparse reports whether the core holds much less than it once did. One that
// never had more than floor nodes or values, or 64 bytes of tokens for each, is
// not worth the trouble.
func (c *core[V]) sparse(floor uint32) bool {
	return c.nodes.n > floor && c.live < c.nodes.n/4 ||
		c.vals.n > floor && c.liveVals < c.vals.n/4 ||
		c.arena.size > 64*int(floor) && c.arena.live < c.arena.size/4
}

// add reports whether v is new to the group.
func (g *group[V]) add(v V) bool {
	if g.find(v) >= 0 {
		return false
	}
	g.vals = append(g.vals, v)
	switch {
	case g.pos != nil:
		g.pos[v] = uint32(len(g.vals) - 1)
	case len(g.vals) == groupMap:
		g.pos = make(map[V]uint32, 2*groupMap)
		for i, v := range g.vals {
			g.pos[v] = uint32(i)
		}
	}
	return true
}

func (g *group[V]) find(v V) int {
	if g.pos != nil {
		if i, ok := g.pos[v]; ok {
			return int(i)
		}
		return -1
	}
	for i := range g.vals {
		if g.vals[i] == v {
			return i
		}
	}
	return -1
}

func (g *group[V]) remove(v V) bool {
	i := g.find(v)
	if i < 0 {
		return false
	}
	last := len(g.vals) - 1
	moved := g.vals[last]
	g.vals[i] = moved
	var none V
	g.vals[last] = none
	g.vals = g.vals[:last]
	if g.pos != nil {
		g.pos[moved] = uint32(i)
		delete(g.pos, v)
		if last < groupMap/2 {
			g.pos = nil
		}
	}
	if cap(g.vals) > 2*groupMap && last < cap(g.vals)/4 {
		g.vals = append(make([]V, 0, cap(g.vals)/2), g.vals...)
		if g.pos != nil { // a Go map never shrinks by itself
			g.pos = make(map[V]uint32, last)
			for i, v := range g.vals {
				g.pos[v] = uint32(i)
			}
		}
	}
	return true
}
