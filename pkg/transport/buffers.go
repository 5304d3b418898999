package transport

import (
	"math/bits"
	"sync"
)

// Buffers come in powers of two. Smaller ones than minClass are not worth a
// pool slot of their own, larger ones than maxClass are rare enough to be left
// to the collector.
const (
	minClass = 9  // 512 B
	maxClass = 23 // 8 MiB, the largest payload that is advised
)

var pools [maxClass + 1]sync.Pool

// getBuf returns an empty slice with room for at least n bytes.
func getBuf(n int) []byte {
	c := classOf(n)
	if c > maxClass {
		return make([]byte, 0, n)
	}
	if p, _ := pools[c].Get().(*[]byte); p != nil {
		b := *p
		*p = nil
		headers.Put(p)
		return b[:0]
	}
	return make([]byte, 0, 1<<c)
}

// moveBuf moves what b holds to a buffer with room for at least n bytes in all,
// and gives b back.
func moveBuf(b []byte, n int) []byte {
	to := append(getBuf(n), b...)
	putBuf(b)
	return to
}

// headers recycles the slice headers that carry buffers through the pools, so
// that giving a buffer back does not allocate.
var headers = sync.Pool{New: func() any { return new([]byte) }}

// putBuf gives a buffer of getBuf back. The caller must not use it afterwards.
func putBuf(b []byte) {
	c := bits.Len(uint(cap(b))) - 1
	if c < minClass || c > maxClass || cap(b) != 1<<c {
		return
	}
	p := headers.Get().(*[]byte)
	*p = b[:0]
	pools[c].Put(p)
}

func classOf(n int) int {
	if n <= 1<<minClass {
		return minClass
	}
	return bits.Len(uint(n - 1))
}
