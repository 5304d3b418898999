package websocket

import (
	"encoding/binary"
	"math/bits"
)

// Layout of a frame (RFC 6455, 5.2):
//
//	0   FIN RSV1 RSV2 RSV3 opcode(4)
//	1   MASK length(7)        0..125, or 126: 16 bits follow, 127: 64 bits follow
//	..  length                big endian
//	..  masking key (4)       if MASK is set
//	..  payload               XORed with the key, which repeats
const (
	finBit  = 0x80
	rsv1Bit = 0x40 // the message is compressed
	rsvBits = 0x30 // RSV2 and RSV3
	maskBit = 0x80

	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa

	// maxControl is the most that a control frame carries.
	maxControl = 125
	// maxHeader is the longest header.
	maxHeader = 14
)

// header is a frame's header.
type header struct {
	op     byte
	fin    bool
	rsv1   bool
	masked bool
	key    uint32 // little endian: byte i of the key is key >> 8i
	size   uint64 // of the payload
	len    int    // of the header itself
}

func (h *header) control() bool { return h.op >= opClose }

// parse reads a header off the front of b. more: it is not complete.
func (h *header) parse(b []byte) (more bool) {
	if len(b) < 2 {
		return true
	}
	h.op, h.fin, h.rsv1 = b[0]&0xf, b[0]&finBit != 0, b[0]&rsv1Bit != 0
	h.masked = b[1]&maskBit != 0
	h.size, h.len = uint64(b[1]&^maskBit), 2
	switch h.size {
	case 126:
		h.len += 2
	case 127:
		h.len += 8
	}
	at := h.len
	if h.masked {
		h.len += 4
	}
	if len(b) < h.len {
		return true
	}
	switch h.size {
	case 126:
		h.size = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		h.size = binary.BigEndian.Uint64(b[2:])
	}
	if h.masked {
		h.key = binary.LittleEndian.Uint32(b[at:])
	}
	return false
}

// appendHeader appends a header with the shortest length. A key is for the side
// that masks; without it masked must be false.
func appendHeader(b []byte, first byte, size int, masked bool, key uint32) []byte {
	m := byte(0)
	if masked {
		m = maskBit
	}
	switch {
	case size <= 125:
		b = append(b, first, m|byte(size))
	case size <= 0xffff:
		b = append(b, first, m|126, byte(size>>8), byte(size))
	default:
		b = append(b, first, m|127)
		b = binary.BigEndian.AppendUint64(b, uint64(size))
	}
	if masked {
		b = binary.LittleEndian.AppendUint32(b, key)
	}
	return b
}

// xor sets dst to src XORed with a key that repeats, both of the same length, and
// returns the key turned so that it goes on behind them. dst may be src.
func xor(dst, src []byte, key uint32) uint32 {
	n := len(src)
	dst = dst[:n]
	if n >= 8 {
		wide := uint64(key)<<32 | uint64(key)
		for len(src) >= 32 {
			d, s := dst[:32], src[:32]
			binary.LittleEndian.PutUint64(d, binary.LittleEndian.Uint64(s)^wide)
			binary.LittleEndian.PutUint64(d[8:], binary.LittleEndian.Uint64(s[8:])^wide)
			binary.LittleEndian.PutUint64(d[16:], binary.LittleEndian.Uint64(s[16:])^wide)
			binary.LittleEndian.PutUint64(d[24:], binary.LittleEndian.Uint64(s[24:])^wide)
			dst, src = dst[32:], src[32:]
		}
		for len(src) >= 8 {
			binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^wide)
			dst, src = dst[8:], src[8:]
		}
	}
	for i := range src {
		dst[i] = src[i] ^ byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}
