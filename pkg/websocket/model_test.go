package websocket

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// Frames made by hand: what a peer may send, right or wrong.

type frame struct {
	first   byte
	masked  bool
	payload []byte
	wide    int // 2 or 8: length not in the shortest form
}

func (f frame) bytes() []byte {
	b := []byte{f.first}
	m, n := byte(0), len(f.payload)
	if f.masked {
		m = 0x80
	}
	switch {
	case f.wide == 8 || n > 0xffff:
		b = binary.BigEndian.AppendUint64(append(b, m|127), uint64(n))
	case f.wide == 2 || n > 125:
		b = binary.BigEndian.AppendUint16(append(b, m|126), uint16(n))
	default:
		b = append(b, m|byte(n))
	}
	if !f.masked {
		return append(b, f.payload...)
	}
	key := []byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key...)
	for i, c := range f.payload {
		b = append(b, c^key[i%4])
	}
	return b
}

// masked is a frame of a client.
func masked(first byte, payload string) []byte {
	return frame{first: first, masked: true, payload: []byte(payload)}.bytes()
}

// deflated is a message compressed by the standard library, without its tail.
func deflated(t testing.TB, p []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(p)
	w.Flush()
	return bytes.TrimSuffix(out.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// decodeAll is the loop of a connection: b comes in pieces of the given size (0:
// at once). It fails the test when the codec makes no headway though it could.
func decodeAll(t testing.TB, c *Codec, b []byte, piece int) (out []byte, replied bool, err error) {
	t.Helper()
	if piece <= 0 {
		piece = max(len(b), 1)
	}
	var kept []byte
	for len(b) > 0 {
		n := min(piece, len(b))
		kept = append(kept, b[:n]...)
		b = b[n:]
		for {
			room := make([]byte, 0, piece%5*100)
			got, n, reply, err := c.Decode(room, kept)
			if cap(room) > 0 && cap(got) != cap(room) {
				t.Fatalf("%d bytes in a room of %d", len(got), cap(room))
			}
			if n > len(kept) {
				t.Fatalf("consumed %d of %d bytes", n, len(kept))
			}
			kept = kept[n:]
			out = append(out, got...)
			replied = replied || reply
			if err != nil {
				return out, replied, err
			}
			if n == 0 && len(got) == 0 {
				break
			}
		}
		if len(kept) > 0 && len(kept) >= maxHeader+maxControl {
			t.Fatalf("%d bytes are left lying", len(kept))
		}
	}
	return out, replied, nil
}

// parsed is a frame that the codec sent, as a strict reader of the other side sees it.
type parsed struct {
	first   byte
	payload []byte
}

// readFrames takes frames apart.
func readFrames(t testing.TB, b []byte, masked bool) (all []parsed) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 2 {
			t.Fatalf("%d stray bytes", len(b))
		}
		f := parsed{first: b[0]}
		if (b[1]&0x80 != 0) != masked {
			t.Fatalf("mask bit of %x", b[:2])
		}
		n, at := int(b[1]&0x7f), 2
		switch n {
		case 126:
			n, at = int(binary.BigEndian.Uint16(b[2:])), 4
			if n < 126 {
				t.Fatalf("length %d is not in the shortest form", n)
			}
		case 127:
			n, at = int(binary.BigEndian.Uint64(b[2:])), 10
			if n <= 0xffff {
				t.Fatalf("length %d is not in the shortest form", n)
			}
		}
		var key []byte
		if masked {
			key, at = b[at:at+4], at+4
		}
		if len(b) < at+n {
			t.Fatalf("frame of %d bytes is cut after %d", n, len(b)-at)
		}
		f.payload = bytes.Clone(b[at : at+n])
		for i := range f.payload {
			if masked {
				f.payload[i] ^= key[i%4]
			}
		}
		all = append(all, f)
		b = b[at+n:]
	}
	return all
}

// inflated is the content of data frames, each a message of its own.
func inflated(t testing.TB, frames []parsed) (out []byte) {
	t.Helper()
	for _, f := range frames {
		switch f.first {
		case 0x82:
			out = append(out, f.payload...)
		case 0xc2:
			in := io.MultiReader(bytes.NewReader(f.payload), bytes.NewReader([]byte{0, 0, 0xff, 0xff}))
			p, err := io.ReadAll(flate.NewReader(in))
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
			out = append(out, p...)
		default:
			t.Fatalf("frame %#x in place of data", f.first)
		}
	}
	return out
}
