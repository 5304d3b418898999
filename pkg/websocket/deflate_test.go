package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestBomb: what expands without end is refused, and little memory is taken for it.
func TestBomb(t *testing.T) {
	c := NewCodec(Options{Compress: true, MaxPayload: 1 << 20})
	c.SetMaxPayload(1 << 20)
	bomb := deflated(t, make([]byte, 80<<20))
	in := masked(0xc2, string(bomb))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	out := make([]byte, 0, MaxFrame)
	var err error
	total := 0
	for err == nil {
		var n int
		out, n, _, err = c.Decode(out[:0], in)
		in = in[n:]
		total += len(out)
		if len(out) > MaxFrame {
			t.Fatalf("%d bytes at once", len(out))
		}
		if n == 0 && len(out) == 0 {
			break
		}
	}
	runtime.ReadMemStats(&after)
	if err != errExpansion {
		t.Fatalf("after %d bytes: %v", total, err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("took %d bytes of memory", took)
	}
}

// TestManyInOne: one compressed message may hold many operations, each within the limit.
func TestManyInOne(t *testing.T) {
	for _, payload := range []int{4096, 1 << 20} {
		c := NewCodec(Options{Compress: true, MaxPayload: payload})
		c.SetMaxPayload(payload)
		one := fmt.Sprintf("PUB foo %d\r\n%s\r\n", payload/2, strings.Repeat("x", payload/2))
		all := strings.Repeat(one, 100)
		got, _, err := decodeAll(t, c, masked(0xc2, string(deflated(t, []byte(all)))), 0)
		if err != nil || string(got) != all {
			t.Errorf("max_payload %d: %d of %d bytes, %v", payload, len(got), len(all), err)
		}
	}
}

func TestCompressedLimit(t *testing.T) {
	big := string(deflated(t, noise(200<<10)))
	c := NewCodec(Options{Compress: true})
	var e *Error
	if _, _, err := decodeAll(t, c, masked(0xc2, big), 1000); !errors.As(err, &e) || e.Code != CodeTooBig {
		t.Errorf("before the peer is known: %v", err)
	}
	c = NewCodec(Options{Compress: true})
	c.SetMaxPayload(1 << 20)
	if _, _, err := decodeAll(t, c, masked(0xc2, big), 1000); err != nil {
		t.Errorf("a peer that is known: %v", err)
	}
	c = NewCodec(Options{Compress: true})
	c.SetMaxPayload(4096)
	if _, _, err := decodeAll(t, c, masked(0xc2, big), 1000); !errors.As(err, &e) || e.Code != CodeTooBig {
		t.Errorf("8 times max_payload: %v", err)
	}
}

// TestIdleOwnsNothing: what an idle connection keeps is the Codec alone.
func TestIdleOwnsNothing(t *testing.T) {
	c := NewCodec(Options{Compress: true})
	in := append(masked(0x89, "ping"), masked(0xc2, string(deflated(t, bytes.Repeat([]byte("a"), 1000))))...)
	if _, _, err := decodeAll(t, c, in, 7); err != nil {
		t.Fatal(err)
	}
	c.Encode(nil, bytes.Repeat([]byte("a"), 1000))
	if c.message != nil || c.replies != nil {
		t.Errorf("kept %v and %v", c.message, c.replies)
	}
}
