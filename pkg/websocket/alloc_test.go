package websocket

import (
	"bytes"
	"fmt"
	"testing"
)

// TestNoAllocation: nothing on the way of messages allocates.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	ops := bytes.Repeat([]byte("PUB foo.bar 16\r\n0123456789abcdef\r\n"), 20)
	for _, compress := range []bool{false, true} {
		server := NewCodec(Options{Compress: compress})
		client := NewCodec(Options{Client: true, Compress: compress})
		in, _ := client.Encode(nil, ops)
		plain, out := make([]byte, 0, 1<<16), make([]byte, 0, 1<<16)
		got := testing.AllocsPerRun(200, func() {
			rest := in
			for len(rest) > 0 {
				p, n, _, err := server.Decode(plain, rest)
				if err != nil || n == 0 && len(p) == 0 {
					t.Fatal(n, err)
				}
				rest = rest[n:]
			}
			if _, err := server.Encode(out, ops); err != nil {
				t.Fatal(err)
			}
		})
		if got > 0 {
			t.Errorf("compressed %v: %v allocations", compress, got)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{32, 256, 4096, 65536} {
		for _, compress := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/compressed=%v", size, compress), func(b *testing.B) {
				ops := traffic(size)
				in, _ := NewCodec(Options{Client: true, Compress: compress}).Encode(nil, ops)
				c := NewCodec(Options{Compress: compress})
				plain := make([]byte, 0, 1<<17)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					for rest := in; len(rest) > 0; {
						_, n, _, _ := c.Decode(plain, rest)
						rest = rest[n:]
					}
				}
			})
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{32, 256, 4096, 65536} {
		for _, compress := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/compressed=%v", size, compress), func(b *testing.B) {
				ops := traffic(size)
				c := NewCodec(Options{Compress: compress})
				out := make([]byte, 0, 1<<17)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					p, _ := c.Encode(out, ops)
					n = len(p)
				}
				b.ReportMetric(float64(n)/float64(size), "ratio")
			})
		}
	}
}

// traffic looks like what a server sends: lines that differ a little and JSON.
func traffic(size int) []byte {
	var b []byte
	for i := 0; len(b) < size; i++ {
		body := fmt.Sprintf(`{"id":%d,"device":"sensor-%d","temperature":%d.%d,"ok":%v}`, i*7919, i%13, i%40, i%10, i%3 == 0)
		b = append(b, fmt.Sprintf("MSG telemetry.site-%d.sensor 1 %d\r\n%s\r\n", i%5, len(body), body)...)
	}
	return b[:size]
}
