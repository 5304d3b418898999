package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

// Frames of an S2 or Snappy stream.
const (
	s2Compressed = 0x00
	s2Stored     = 0x01
	s2Skippable  = 0x80 // and up: to be skipped; below are none that we know
	s2Identifier = 0xff

	s2Header   = 4
	s2Checksum = 4
	// s2MaxBlock is the most that a frame may unpack to.
	s2MaxBlock = 4 << 20
)

var (
	s2Magic    = []byte("S2sTwO")
	snappyName = []byte("sNaPpY")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

var (
	errS2Corrupt = errors.New("corrupt S2 stream")
	errS2TooBig  = errors.New("an S2 block of more than 4 MiB")
)

// s2Decoder unpacks a stream of frames, each as soon as it is whole. Streams may
// follow each other. Between two calls it holds nothing.
type s2Decoder struct {
	begun bool
	skip  int // bytes to come of a frame that is not wanted
}

func (d *s2Decoder) decode(dst, src []byte) (out []byte, consumed int, err error) {
	had := len(dst)
	for {
		n := min(d.skip, len(src)-consumed)
		d.skip -= n
		consumed += n
		head := src[consumed:]
		if len(head) < s2Header || len(dst)-had >= firstRead {
			// What is unpacked is handled before the next frame is.
			return dst, consumed, nil
		}
		size := int(head[1]) | int(head[2])<<8 | int(head[3])<<16
		if err := d.check(head[0], size); err != nil {
			return dst, consumed, err
		}
		if head[0] >= s2Skippable && head[0] != s2Identifier {
			d.skip, consumed = size, consumed+s2Header
			continue
		}
		if len(head) < s2Header+size {
			return dst, consumed, nil
		}
		if dst, err = d.frame(dst, head[0], head[s2Header:s2Header+size]); err != nil {
			return dst, consumed, err
		}
		consumed += s2Header + size
	}
}

// check judges a frame by its header, before its bytes are waited for.
func (d *s2Decoder) check(kind byte, size int) error {
	switch {
	case kind == s2Identifier:
		if size != len(s2Magic) {
			return errS2Corrupt
		}
		return nil
	case !d.begun:
		return errS2Corrupt
	case kind == s2Compressed || kind == s2Stored:
		if size < s2Checksum {
			return errS2Corrupt
		}
		if size > s2Checksum+s2.MaxEncodedLen(s2MaxBlock) {
			return errS2TooBig
		}
	case kind < s2Skippable:
		return errS2Corrupt
	}
	return nil
}

// frame appends what a whole frame holds.
func (d *s2Decoder) frame(dst []byte, kind byte, body []byte) ([]byte, error) {
	had := len(dst)
	switch kind {
	case s2Identifier:
		if !bytes.Equal(body, s2Magic) && !bytes.Equal(body, snappyName) {
			return dst, errS2Corrupt
		}
		d.begun = true
		return dst, nil
	case s2Compressed:
		n, err := s2.DecodedLen(body[s2Checksum:])
		if err != nil {
			return dst, errS2Corrupt
		}
		if n > s2MaxBlock {
			return dst, errS2TooBig
		}
		dst = roomFor(dst, n)
		if _, err := s2.Decode(dst[had:had+n], body[s2Checksum:]); err != nil {
			return dst[:had], errS2Corrupt
		}
		dst = dst[:had+n]
	case s2Stored:
		if len(body)-s2Checksum > s2MaxBlock {
			return dst, errS2TooBig
		}
		dst = append(roomFor(dst, len(body)-s2Checksum), body[s2Checksum:]...)
	}
	sum := crc32.Checksum(dst[had:], castagnoli)
	if binary.LittleEndian.Uint32(body) != (sum>>15|sum<<17)+0xa282ead8 {
		return dst[:had], errS2Corrupt
	}
	return dst, nil
}

// roomFor makes room for n more bytes in a buffer of getBuf.
func roomFor(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return moveBuf(dst, len(dst)+n)
}
