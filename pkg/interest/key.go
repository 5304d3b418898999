package interest

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// inlineToken is the length up to which a token is stored in its node.
const inlineToken = 12

// hasher makes keys of tokens. Its seeds are random, so that nobody outside
// can choose tokens that collide.
type hasher struct {
	seed   maphash.Seed
	s0, s1 uint64
}

func newHasher() hasher {
	seed := maphash.MakeSeed()
	return hasher{seed: seed, s0: maphash.String(seed, "0"), s1: maphash.String(seed, "1")}
}

// key is a token prepared for look-ups. A token of up to inlineToken bytes is
// held whole in lo and hi, little endian and padded with zeros, just as a node
// holds it; of a longer one lo has the first eight bytes.
type key struct {
	tok  []byte
	lo   uint64
	hi   uint32
	hash uint64
}

// key makes k the key of tok. It writes in place: returning a struct of this
// size through memory costs more than the rest of the function.
func (h *hasher) key(k *key, tok []byte) {
	n := len(tok)
	k.tok, k.hi = tok, 0
	switch {
	case n > inlineToken:
		k.lo = binary.LittleEndian.Uint64(tok)
		k.hash = maphash.Bytes(h.seed, tok)
		return
	case n >= 8:
		k.lo = binary.LittleEndian.Uint64(tok)
		k.hi = binary.LittleEndian.Uint32(tok[n-4:]) >> (8 * (inlineToken - n))
	case n >= 4:
		k.lo = uint64(binary.LittleEndian.Uint32(tok)) |
			uint64(binary.LittleEndian.Uint32(tok[n-4:]))<<(8*(n-4))
	case n > 0:
		k.lo = uint64(tok[0]) | uint64(tok[n/2])<<(8*(n/2)) | uint64(tok[n-1])<<(8*(n-1))
	default:
		k.lo = 0
	}
	hi, lo := bits.Mul64(k.lo^h.s0, (uint64(n)<<32|uint64(k.hi))^h.s1)
	k.hash = hi ^ lo
}

// slot returns the hash under which the table has the child of parent.
func (k *key) slot(parent uint32) uint32 {
	hi, lo := bits.Mul64(k.hash^uint64(parent)*0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return uint32(hi ^ lo)
}
