package websocket

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
)

// deflateTail is what the sender leaves off each message (RFC 7692, 7.2.1), and
// behind it an empty last block, so that the stream ends there.
const deflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// A message may expand to so many times max_payload whatever it consists of: a
// client may put many operations into one. Beyond that the ratio decides, of
// which more than a hundred is no traffic that anybody has.
const (
	expandFactor = 64
	expandLeast  = 1 << 20
	expandRatio  = 100
)

// message is a compressed message: gathered while it comes in, inflated when it
// is complete. Borrowed from a pool; the decompressor only for the second part.
type message struct {
	in  []byte
	out int64 // inflated so far
	z   *decompressor
}

type decompressor struct {
	src bytes.Reader
	r   io.Reader
}

var (
	messages      = sync.Pool{New: func() any { return new(message) }}
	decompressors = sync.Pool{New: func() any {
		z := new(decompressor)
		z.r = flate.NewReader(&z.src)
		return z
	}}
)

// keepGathered is the largest buffer that goes back to the pool.
const keepGathered = 128 << 10

func newMessage() *message { return messages.Get().(*message) }

func (m *message) free() {
	if m.z != nil {
		m.z.src.Reset(nil)
		decompressors.Put(m.z)
		m.z = nil
	}
	if cap(m.in) > keepGathered {
		m.in = nil
	}
	m.in, m.out = m.in[:0], 0
	messages.Put(m)
}

// inflate appends up to budget bytes. done: that was all.
func (m *message) inflate(dst []byte, budget, payload int) (out []byte, done bool, err error) {
	if m.z == nil {
		m.in = append(m.in, deflateTail...)
		m.z = decompressors.Get().(*decompressor)
		m.z.src.Reset(m.in)
		if err := m.z.r.(flate.Resetter).Reset(&m.z.src, nil); err != nil {
			return dst, false, errCorrupt
		}
	}
	for budget > 0 {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, min(budget, max(4*len(m.in), 1<<10)))
		}
		room := dst[len(dst):min(cap(dst), len(dst)+budget)]
		n, err := m.z.r.Read(room)
		dst = dst[:len(dst)+n]
		budget -= n
		m.out += int64(n)
		if m.out > int64(max(expandFactor*payload, expandLeast)) && m.out > expandRatio*int64(len(m.in)) {
			return dst, false, errExpansion
		}
		if errors.Is(err, io.EOF) {
			return dst, true, nil
		}
		if err != nil {
			return dst, false, errCorrupt
		}
	}
	return dst, false, nil
}

// compressor is a place that StatelessDeflate writes to. That needs 16 KiB of stack
// and nothing else; a compressor with state of the same speed takes half a
// megabyte, to make messages of a few KiB, each on its own, no shorter.
type compressor struct{ out []byte }

func (z *compressor) Write(p []byte) (int, error) {
	z.out = append(z.out, p...)
	return len(p), nil
}

var compressors = sync.Pool{New: func() any { return new(compressor) }}

// sizeRoom is the length of the header that most compressed frames get.
const sizeRoom = 4

// appendCompressed appends plain as one compressed message of one frame. ok is
// false, with nothing appended, when that would be no shorter.
func (c *Codec) appendCompressed(dst, plain []byte) (out []byte, ok bool) {
	z := compressors.Get().(*compressor)
	defer func() {
		z.out = nil
		compressors.Put(z)
	}()
	masked := c.client && !c.unmasked
	room := sizeRoom
	if masked {
		room += 4
	}
	at := len(dst)
	z.out = append(dst, "\x00\x00\x00\x00\x00\x00\x00\x00"[:room]...)
	err := flate.StatelessDeflate(z, plain, false, nil)
	body := z.out[at+room:]
	size := len(body) - 4
	if err != nil || size >= len(plain) || size < 0 || !bytes.HasSuffix(body, []byte(deflateTail[:4])) {
		return z.out[:at], false
	}
	key := nextKey(masked)
	head := appendHeader(z.out[:at], finBit|rsv1Bit|opBinary, size, masked, key)
	end := len(head) + size
	if len(head) != at+room { // the length took fewer bytes than there was room for
		copy(z.out[len(head):end], body)
	}
	out = z.out[:end]
	if masked {
		xor(out[len(head):], out[len(head):], key)
	}
	return out, true
}
