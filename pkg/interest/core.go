package interest

const (
	groupFrom = 9  // values of one pattern from which they form a group
	groupTo   = 4  // values at which a group becomes a list again
	groupMap  = 64 // values from which a group finds a value by map
)

// core is the index without locks: a tree of tokens and the values of its
// nodes. Most patterns have one value, which stands in vals under the node's own
// number. The others of a few are a linked list of numbers in over, and many, as
// for a subject that a whole fleet listens to, are a group of their own.
type core[V comparable] struct {
	tree
	vals vec[V] // by node

	over     vec[V]      // number 0 is not used
	links    vec[uint32] // the next of each in its list, 0 at the end
	freeOver uint32
	liveOver uint32

	groups    []group[V]
	freeGroup []uint32

	// more is the list's head or the group's number of the nodes with flagMore
	// or flagGroup.
	more map[uint32]uint32

	n int // pairs
}

// group is the values of one node in a row, for fast copying.
type group[V comparable] struct {
	vals []V
	pos  map[V]uint32 // where each is in vals; nil while there are few
}

func newCore[V comparable](h hasher) *core[V] {
	c := &core[V]{}
	c.init(h)
	return c
}

// insert reports whether the pair is new.
func (c *core[V]) insert(pattern []byte, v V) bool {
	if !c.addValue(c.addNode(pattern), v) {
		return false
	}
	c.n++
	return true
}

// addNode returns the node of the pattern, made if need be, with room for a value.
func (c *core[V]) addNode(pattern []byte) uint32 {
	id := c.add(pattern)
	var none V
	for c.vals.n < c.nodes.n {
		c.vals.push(none)
	}
	return id
}

func (c *core[V]) addValue(id uint32, v V) bool {
	n := c.nodes.at(id)
	switch {
	case n.meta&flagVal == 0:
		*c.vals.at(id) = v
		n.meta |= flagVal
		return true
	case n.meta&flagGroup != 0:
		return c.groups[c.more[id]].add(v)
	case *c.vals.at(id) == v:
		return false
	}
	head, count := uint32(0), 1
	if n.meta&flagMore != 0 {
		head = c.more[id]
	}
	for e := head; e != 0; e = *c.links.at(e) {
		if *c.over.at(e) == v {
			return false
		}
		count++
	}
	if count+1 == groupFrom {
		c.toGroup(id)
		return c.groups[c.more[id]].add(v)
	}
	if c.more == nil {
		c.more = make(map[uint32]uint32)
	}
	c.more[id] = c.newOver(v, head)
	n.meta |= flagMore
	return true
}

// remove reports whether the pair was there.
func (c *core[V]) remove(pattern []byte, v V) bool {
	id := c.find(pattern)
	if id == 0 || !c.nodes.at(id).hasValues() || !c.removeValue(id, v) {
		return false
	}
	c.n--
	c.prune(id)
	return true
}

func (c *core[V]) removeValue(id uint32, v V) bool {
	n, one := c.nodes.at(id), c.vals.at(id)
	switch {
	case n.meta&flagGroup != 0:
		g := &c.groups[c.more[id]]
		if !g.remove(v) {
			return false
		}
		if len(g.vals) == groupTo {
			for _, v := range c.dropGroup(id).vals {
				c.addValue(id, v)
			}
		}
		return true
	case n.meta&flagMore == 0:
		if *one != v {
			return false
		}
		var none V
		*one = none
		n.meta &^= flagVal
		return true
	}
	head := c.more[id]
	at := &head
	if *one == v {
		*one = *c.over.at(head)
	} else {
		for *at != 0 && *c.over.at(*at) != v {
			at = c.links.at(*at)
		}
		if *at == 0 {
			return false
		}
	}
	e := *at
	*at = *c.links.at(e)
	c.releaseOver(e)
	c.setMore(id, head)
	return true
}

func (c *core[V]) setMore(id, head uint32) {
	if head != 0 {
		c.more[id] = head
		return
	}
	delete(c.more, id)
	c.nodes.at(id).meta &^= flagMore
}

func (c *core[V]) newOver(v V, next uint32) uint32 {
	if c.over.n == 0 {
		var none V
		c.over.push(none)
		c.links.push(0)
	}
	c.liveOver++
	e := c.freeOver
	if e == 0 {
		c.links.push(next)
		return c.over.push(v)
	}
	c.freeOver = *c.links.at(e)
	*c.over.at(e), *c.links.at(e) = v, next
	return e
}

// releaseOver also forgets the value, so that the collector can have it.
func (c *core[V]) releaseOver(e uint32) {
	var none V
	*c.over.at(e), *c.links.at(e) = none, c.freeOver
	c.freeOver = e
	c.liveOver--
}

// appendValues appends the values of the node to dst.
func (c *core[V]) appendValues(id uint32, dst []V) []V {
	meta := c.nodes.at(id).meta
	if meta&flagGroup != 0 {
		return append(dst, c.groups[c.more[id]].vals...)
	}
	dst = append(dst, *c.vals.at(id))
	if meta&flagMore != 0 {
		for e := c.more[id]; e != 0; e = *c.links.at(e) {
			dst = append(dst, *c.over.at(e))
		}
	}
	return dst
}

// clearList takes all values away from a node without a group.
func (c *core[V]) clearList(id uint32) {
	n := c.nodes.at(id)
	if n.meta&flagMore != 0 {
		for e := c.more[id]; e != 0; {
			next := *c.links.at(e)
			c.releaseOver(e)
			e = next
		}
		c.setMore(id, 0)
	}
	var none V
	*c.vals.at(id) = none
	n.meta &^= flagVal
}

func (c *core[V]) toGroup(id uint32) {
	g := group[V]{vals: c.appendValues(id, make([]V, 0, 2*groupFrom))}
	c.clearList(id)
	c.setGroup(id, g)
}

// setGroup gives g to a node without values.
func (c *core[V]) setGroup(id uint32, g group[V]) {
	k := uint32(len(c.groups))
	if last := len(c.freeGroup) - 1; last >= 0 {
		k = c.freeGroup[last]
		c.freeGroup = c.freeGroup[:last]
		c.groups[k] = g
	} else {
		c.groups = append(c.groups, g)
	}
	if c.more == nil {
		c.more = make(map[uint32]uint32)
	}
	c.more[id] = k
	c.nodes.at(id).meta |= flagVal | flagGroup
}

func (c *core[V]) dropGroup(id uint32) group[V] {
	k := c.more[id]
	g := c.groups[k]
	c.groups[k] = group[V]{}
	c.freeGroup = append(c.freeGroup, k)
	delete(c.more, id)
	c.nodes.at(id).meta &^= flagVal | flagGroup
	return g
}

// moveTo moves all values of the node to another core, in which its pattern
// has none.
func (c *core[V]) moveTo(to *core[V], id uint32, pattern []byte) {
	dst := to.addNode(pattern)
	moved := 0
	if c.nodes.at(id).meta&flagGroup != 0 {
		g := c.dropGroup(id)
		moved = len(g.vals)
		to.setGroup(dst, g)
	} else {
		var buf [groupFrom]V
		for _, v := range c.appendValues(id, buf[:0]) {
			to.addValue(dst, v)
			moved++
		}
		c.clearList(id)
	}
	c.n -= moved
	to.n += moved
	c.prune(id)
}

// sparse reports whether the core holds much less than it once did. One that
// never had more than floor nodes or further values, or 64 bytes of tokens for each, is
// not worth the trouble.
func (c *core[V]) sparse(floor uint32) bool {
	return c.nodes.n > floor && c.live < c.nodes.n/4 ||
		c.over.n > floor && c.liveOver < c.over.n/4 ||
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
