package interest

const (
	segFirst = 8    // slots of the first segment at the start
	segMax   = 2048 // slots at which a segment splits
	maxDepth = 20   // bounds the directory whatever the hashes are
)

// table finds a node by the hash of (parent, token). It is an extendible hash
// table: the top bits of the hash choose a segment from a directory, the low
// bits the place in it, by linear probing. A full segment is split in two, so
// growing never rehashes more than one segment.
//
// The table compares hashes only; the caller verifies each candidate. Node 0
// is the root, which is nobody's child: 0 marks an empty slot.
type table struct {
	dir   []*segment
	shift uint8 // 32 - log2(len(dir))
}

type segment struct {
	slots []slot
	used  uint32
	depth uint8 // top bits that all hashes in it have in common
}

type slot struct {
	hash uint32
	node uint32
}

// full keeps probes for absent tokens, the usual case below wildcards, short.
func (s *segment) full() bool { return int(s.used)*4 >= len(s.slots)*3 }

func (s *segment) place(x slot) {
	mask := uint32(len(s.slots) - 1)
	i := x.hash & mask
	for s.slots[i].node != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = x
	s.used++
}

func (t *table) insert(hash, node uint32) {
	if len(t.dir) == 0 {
		t.dir = []*segment{{slots: make([]slot, segFirst)}}
		t.shift = 32
	}
	for {
		s := t.dir[hash>>t.shift]
		if !s.full() {
			s.place(slot{hash, node})
			return
		}
		t.grow(s, hash)
	}
}

// grow makes room in s, the segment of hash.
func (t *table) grow(s *segment, hash uint32) {
	old := s.slots
	if len(old) < segMax || s.depth == maxDepth {
		s.slots, s.used = make([]slot, 2*len(old)), 0
		for _, x := range old {
			if x.node != 0 {
				s.place(x)
			}
		}
		return
	}
	if s.depth == 32-t.shift {
		dir := make([]*segment, 2*len(t.dir))
		for i, d := range t.dir {
			dir[2*i], dir[2*i+1] = d, d
		}
		t.dir = dir
		t.shift--
	}
	depth := s.depth + 1
	lo := &segment{slots: make([]slot, segMax), depth: depth}
	hi := &segment{slots: make([]slot, segMax), depth: depth}
	bit := uint32(1) << (32 - depth)
	for _, x := range old {
		switch {
		case x.node == 0:
		case x.hash&bit == 0:
			lo.place(x)
		default:
			hi.place(x)
		}
	}
	// The directory entries of s are neighbours: all with its common top bits.
	width := uint32(1) << (32 - t.shift - s.depth)
	first := hash >> t.shift &^ (width - 1)
	for i := range width {
		if i < width/2 {
			t.dir[first+i] = lo
		} else {
			t.dir[first+i] = hi
		}
	}
}

// remove takes the node out, which must be in the table under that hash. Later
// slots of the run move up, so there are no tombstones.
func (t *table) remove(hash, node uint32) {
	s := t.dir[hash>>t.shift]
	mask := uint32(len(s.slots) - 1)
	i := hash & mask
	for s.slots[i].node != node {
		i = (i + 1) & mask
	}
	for j := i; ; {
		j = (j + 1) & mask
		if s.slots[j].node == 0 {
			break
		}
		home := s.slots[j].hash & mask
		if (j-home)&mask >= (j-i)&mask {
			s.slots[i] = s.slots[j]
			i = j
		}
	}
	s.slots[i] = slot{}
	s.used--
}
