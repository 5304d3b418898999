package interest

import (
	"bytes"
	"encoding/binary"

	"github.com/banyanmq/banyan/pkg/subject"
)

// node is one token of one or more patterns; the path from the root spells the
// pattern. All links are node numbers, 0 for none, so the collector has nothing
// to follow. A node is half a cache line.
//
// Children stand in a list, "*" first, then ">", then the literal tokens;
// the flags tell which of the three kinds there are. Literal children are found
// through the table, the two wildcards at the head of the list.
type node struct {
	parent, first, next, prev uint32

	meta uint32 // flags, and the token's length in the low bits

	// tok is the token, padded with zeros, or if it is longer than that its
	// reference in the arena and its first eight bytes.
	tok [inlineToken]byte
}

const (
	flagStar  = 1 << (31 - iota) // has a child "*"
	flagRest                     // has a child ">"
	flagLit                      // has a literal child
	flagVal                      // the pattern that ends here has values
	flagMore                     // more than one of them, in a list
	flagGroup                    // many of them, in a group
	flagFree                     // not in use; next links the free ones

	lenMask = 1<<25 - 1 // far above what a control line can hold
)

func (n *node) tokenLen() int { return int(n.meta & lenMask) }

func (n *node) hasValues() bool { return n.meta&flagVal != 0 }

func (n *node) has(k *key) bool {
	return binary.LittleEndian.Uint64(n.tok[:]) == k.lo && binary.LittleEndian.Uint32(n.tok[8:]) == k.hi
}

// isWild reports whether n is its parent's "*" or ">". No literal child of a
// valid pattern has such a token.
func (n *node) isWild() bool {
	return n.meta&lenMask == 1 && (n.tok[0] == '*' || n.tok[0] == '>')
}

// tree holds the tokens of the patterns, without their values.
type tree struct {
	hasher
	nodes vec[node] // number 0 is the root
	table table
	arena arena
	free  uint32 // list of free nodes, by next
	live  uint32 // nodes in use, the root excluded
}

func (t *tree) init(h hasher) {
	t.hasher = h
	t.nodes.push(node{})
}

// token returns n's token, valid until the tree changes.
func (t *tree) token(n *node) []byte {
	k := n.tokenLen()
	if k <= inlineToken {
		return n.tok[:k]
	}
	return t.arena.at(binary.LittleEndian.Uint32(n.tok[:]), k)
}

// literal returns the child of parent with a literal token, 0 if there is none.
func (t *tree) literal(parent uint32, k *key) uint32 {
	if len(t.table.dir) == 0 {
		return 0
	}
	h := k.slot(parent)
	slots := t.table.dir[h>>t.table.shift].slots
	mask := uint32(len(slots) - 1)
	for i := h; ; i++ {
		s := slots[i&mask]
		if s.node == 0 {
			return 0
		}
		if s.hash == h && t.isChild(s.node, parent, k) {
			return s.node
		}
	}
}

func (t *tree) isChild(id, parent uint32, k *key) bool {
	n := t.nodes.at(id)
	if n.parent != parent || n.tokenLen() != len(k.tok) {
		return false
	}
	if len(k.tok) <= inlineToken {
		return n.has(k)
	}
	return binary.LittleEndian.Uint64(n.tok[4:]) == k.lo && string(t.token(n)) == string(k.tok)
}

// child returns the child of parent for a token of a pattern, 0 if there is none.
func (t *tree) child(parent uint32, k *key) uint32 {
	n := t.nodes.at(parent)
	if len(k.tok) == 1 {
		switch k.tok[0] {
		case '*':
			if n.meta&flagStar == 0 {
				return 0
			}
			return n.first
		case '>':
			return t.restChild(n)
		}
	}
	if n.meta&flagLit == 0 {
		return 0
	}
	return t.literal(parent, k)
}

// restChild returns the child ">" of n, 0 if there is none.
func (t *tree) restChild(n *node) uint32 {
	switch n.meta & (flagStar | flagRest) {
	case flagRest:
		return n.first
	case flagStar | flagRest:
		return t.nodes.at(n.first).next
	}
	return 0
}

// firstLiteral returns the first of n's literal children, 0 if there is none.
func (t *tree) firstLiteral(n *node) uint32 {
	c := n.first
	if n.meta&flagStar != 0 {
		c = t.nodes.at(c).next
	}
	if n.meta&flagRest != 0 {
		c = t.nodes.at(c).next
	}
	return c
}

// find returns the node of the pattern, 0 if there is none.
func (t *tree) find(pattern []byte) uint32 {
	var k key
	id := uint32(0)
	for more := true; more; {
		var tok []byte
		tok, pattern, more = subject.Cut(pattern)
		t.key(&k, tok)
		if id = t.child(id, &k); id == 0 {
			return 0
		}
	}
	return id
}

// holds reports whether the pattern itself has values.
func (t *tree) holds(pattern []byte) bool {
	id := t.find(pattern)
	return id != 0 && t.nodes.at(id).hasValues()
}

// add returns the node of the pattern and makes it if need be.
func (t *tree) add(pattern []byte) uint32 {
	var k key
	id := uint32(0)
	for more := true; more; {
		var tok []byte
		tok, pattern, more = subject.Cut(pattern)
		t.key(&k, tok)
		c := t.child(id, &k)
		if c == 0 {
			c = t.newChild(id, &k)
		}
		id = c
	}
	return id
}

func (t *tree) newChild(parent uint32, k *key) uint32 {
	x := node{parent: parent, meta: uint32(len(k.tok))}
	if len(k.tok) <= inlineToken {
		binary.LittleEndian.PutUint64(x.tok[:], k.lo)
		binary.LittleEndian.PutUint32(x.tok[8:], k.hi)
	} else {
		binary.LittleEndian.PutUint32(x.tok[:], t.arena.put(k.tok))
		binary.LittleEndian.PutUint64(x.tok[4:], k.lo)
	}
	id := t.free
	if id != 0 {
		n := t.nodes.at(id)
		t.free = n.next
		*n = x
	} else {
		id = t.nodes.push(x)
	}
	t.live++
	t.link(parent, id)
	if !x.isWild() {
		t.table.insert(k.slot(parent), id)
	}
	return id
}

// link puts the node into its parent's list at the place of its kind.
func (t *tree) link(parent, id uint32) {
	p, n := t.nodes.at(parent), t.nodes.at(id)
	kind, after := uint32(flagLit), uint32(0)
	switch {
	case !n.isWild():
		if after = t.restChild(p); after == 0 && p.meta&flagStar != 0 {
			after = p.first
		}
	case n.tok[0] == '*':
		kind = flagStar
	default:
		kind = flagRest
		if p.meta&flagStar != 0 {
			after = p.first
		}
	}
	p.meta |= kind
	n.prev = after
	if after == 0 {
		n.next, p.first = p.first, id
	} else {
		a := t.nodes.at(after)
		n.next, a.next = a.next, id
	}
	if n.next != 0 {
		t.nodes.at(n.next).prev = id
	}
}

func (t *tree) unlink(id uint32) {
	n := t.nodes.at(id)
	p := t.nodes.at(n.parent)
	if n.prev == 0 {
		p.first = n.next
	} else {
		t.nodes.at(n.prev).next = n.next
	}
	if n.next != 0 {
		t.nodes.at(n.next).prev = n.prev
	}
	switch {
	case !n.isWild():
		if t.firstLiteral(p) == 0 {
			p.meta &^= flagLit
		}
	case n.tok[0] == '*':
		p.meta &^= flagStar
	default:
		p.meta &^= flagRest
	}
}

// prune frees the node and its ancestors as far as they lead to no value.
func (t *tree) prune(id uint32) {
	for id != 0 {
		n := t.nodes.at(id)
		if n.first != 0 || n.hasValues() {
			return
		}
		parent := n.parent
		t.unlink(id)
		if !n.isWild() {
			var k key
			t.key(&k, t.token(n))
			t.table.remove(k.slot(parent), id)
		}
		if k := n.tokenLen(); k > inlineToken {
			t.arena.release(binary.LittleEndian.Uint32(n.tok[:]), k)
		}
		*n = node{meta: flagFree, next: t.free}
		t.free = id
		t.live--
		id = parent
	}
}

// appendPattern appends the pattern of the node to buf.
func (t *tree) appendPattern(buf []byte, id uint32) []byte {
	size := -1
	for i := id; i != 0; {
		n := t.nodes.at(i)
		size += n.tokenLen() + 1
		i = n.parent
	}
	end := len(buf) + size
	if cap(buf) < end {
		buf = append(buf[:cap(buf)], make([]byte, end-cap(buf))...)
	}
	buf = buf[:end]
	for i := id; i != 0; {
		n := t.nodes.at(i)
		end -= n.tokenLen()
		copy(buf[end:], t.token(n))
		if i = n.parent; i != 0 {
			end--
			buf[end] = '.'
		}
	}
	return buf
}

// match appends to out the nodes with values whose patterns match the
// published subject. It goes down level by level with all nodes that still
// fit, so each token is looked at and hashed once.
func (t *tree) match(subj []byte, out []uint32) []uint32 {
	var bufA, bufB [64]uint32
	level, next := append(bufA[:0], 0), bufB[:0]
	found := len(out)
	var k key
	for {
		end := bytes.IndexByte(subj, '.')
		last := end < 0
		if last {
			end = len(subj)
		}
		if end == 0 {
			return out[:found]
		}
		t.key(&k, subj[:end])
		next = next[:0]
		for _, id := range level {
			n := t.nodes.at(id)
			if n.meta&flagRest != 0 {
				out = append(out, t.restChild(n))
			}
			if n.meta&flagStar != 0 {
				next = append(next, n.first)
			}
			if n.meta&flagLit == 0 {
				continue
			}
			if c := t.literal(id, &k); c != 0 {
				next = append(next, c)
			}
		}
		level, next = next, level
		if last {
			break
		}
		subj = subj[end+1:]
		if len(level) == 0 {
			if len(out) > found && !subject.NoEmptyToken(subj) {
				return out[:found]
			}
			return out
		}
	}
	for _, id := range level {
		if t.nodes.at(id).hasValues() {
			out = append(out, id)
		}
	}
	return out
}

// overlap appends to out the nodes with values whose patterns overlap the
// given one, below the node id. It gives up, returning false, after *budget
// nodes.
func (t *tree) overlap(id uint32, pattern []byte, out []uint32, budget *int) ([]uint32, bool) {
	tok, rest, more := subject.Cut(pattern)
	wild := len(tok) == 1 && (tok[0] == '*' || tok[0] == '>')
	below := len(tok) == 1 && tok[0] == '>'
	visit := func(c uint32) bool {
		if *budget--; *budget < 0 {
			return false
		}
		n := t.nodes.at(c)
		isRest := n.isWild() && n.tok[0] == '>'
		if (isRest || below || !more) && n.hasValues() {
			out = append(out, c)
		}
		ok := true
		switch {
		case n.first == 0:
		case below:
			out, ok = t.overlap(c, pattern, out, budget)
		case more:
			out, ok = t.overlap(c, rest, out, budget)
		}
		return ok
	}
	n := t.nodes.at(id)
	if wild {
		for c := n.first; c != 0; c = t.nodes.at(c).next {
			if !visit(c) {
				return out, false
			}
		}
		return out, true
	}
	if n.meta&flagStar != 0 && !visit(n.first) {
		return out, false
	}
	if c := t.restChild(n); c != 0 && !visit(c) {
		return out, false
	}
	if n.meta&flagLit != 0 {
		var k key
		t.key(&k, tok)
		if c := t.literal(id, &k); c != 0 && !visit(c) {
			return out, false
		}
	}
	return out, true
}
