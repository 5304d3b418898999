package interest

import "encoding/binary"

const (
	arenaUnit      = 8       // bytes; blocks are multiples of it
	arenaChunkBits = 13      // units in a chunk, as a power of two
	arenaFirst     = 64      // bytes in the first chunk at the start
	arenaChunk     = 1 << 16 // bytes in a chunk: arenaUnit << arenaChunkBits
)

// arena stores the tokens that are too long for their node. A block is known
// by a 32-bit reference: the chunk's number above the unit within it. Freed
// blocks go to a list by size, linked through the blocks themselves, which
// serves the common churn (names of equal length) without growth.
type arena struct {
	chunks [][]byte
	cur    int      // the chunk that new blocks are cut from
	used   int      // bytes cut from it
	free   []uint32 // by size in units: 1 + reference of a freed block, 0 for none
	spare  []uint32 // numbers of chunks that held one oversized block, now free
	live   int      // bytes in blocks in use
	size   int      // bytes in all chunks
}

func arenaUnits(n int) int { return (n + arenaUnit - 1) / arenaUnit }

// at returns the n bytes stored under ref.
func (a *arena) at(ref uint32, n int) []byte {
	pos := int(ref&(1<<arenaChunkBits-1)) * arenaUnit
	return a.chunks[ref>>arenaChunkBits][pos : pos+n]
}

// put stores a copy of b, which is not empty, and returns its reference.
func (a *arena) put(b []byte) uint32 {
	ref := a.alloc(arenaUnits(len(b)))
	copy(a.at(ref, len(b)), b)
	return ref
}

func (a *arena) alloc(units int) uint32 {
	n := units * arenaUnit
	a.live += n
	if n > arenaChunk {
		return a.allocOversized(n)
	}
	if units < len(a.free) && a.free[units] != 0 {
		ref := a.free[units] - 1
		a.free[units] = binary.LittleEndian.Uint32(a.at(ref, 4))
		return ref
	}
	a.reserve(n)
	ref := uint32(a.cur)<<arenaChunkBits | uint32(a.used/arenaUnit)
	a.used += n
	return ref
}

// reserve makes room for n bytes in the current chunk. The first chunk grows
// in place; what is left of a later one becomes a free block.
func (a *arena) reserve(n int) {
	if len(a.chunks) == 0 {
		a.addChunk(max(arenaFirst, n))
	}
	size := len(a.chunks[a.cur])
	if a.used+n <= size {
		return
	}
	if a.cur == 0 && size < arenaChunk && a.used+n <= arenaChunk {
		grown := make([]byte, min(arenaChunk, max(2*size, a.used+n)))
		copy(grown, a.chunks[0])
		a.size += len(grown) - size
		a.chunks[0] = grown
		return
	}
	if rest := (size - a.used) / arenaUnit; rest > 0 {
		a.link(uint32(a.cur)<<arenaChunkBits|uint32(a.used/arenaUnit), rest)
	}
	a.addChunk(arenaChunk)
}

func (a *arena) addChunk(n int) {
	a.cur, a.used = len(a.chunks), 0
	a.chunks = append(a.chunks, make([]byte, n))
	a.size += n
}

func (a *arena) allocOversized(n int) uint32 {
	if len(a.chunks) == 0 {
		a.addChunk(arenaFirst) // keeps chunk 0 the one that grows in place
	}
	a.size += n
	if k := len(a.spare); k > 0 {
		c := a.spare[k-1]
		a.spare = a.spare[:k-1]
		a.chunks[c] = make([]byte, n)
		return c << arenaChunkBits
	}
	a.chunks = append(a.chunks, make([]byte, n))
	return uint32(len(a.chunks)-1) << arenaChunkBits
}

// release gives back the block of n bytes stored under ref.
func (a *arena) release(ref uint32, n int) {
	units := arenaUnits(n)
	a.live -= units * arenaUnit
	if units*arenaUnit > arenaChunk {
		c := ref >> arenaChunkBits
		a.size -= len(a.chunks[c])
		a.chunks[c] = nil
		a.spare = append(a.spare, c)
		return
	}
	a.link(ref, units)
}

func (a *arena) link(ref uint32, units int) {
	for units >= len(a.free) {
		a.free = append(a.free, 0)
	}
	binary.LittleEndian.PutUint32(a.at(ref, 4), a.free[units])
	a.free[units] = ref + 1
}
