package client

import (
	"fmt"
	"strings"
	"testing"
)

// hpubs is a block of n messages with headers of a usual size.
func hpubs(n, size int, subject string) []byte {
	hdr := "NATS/1.0\r\nNats-Msg-Id: 0123456789abcdef\r\nContent-Type: application/json\r\nX-Request-Id: 6ba7b810-9dad-11d1-80b4-00c04fd430c8\r\n\r\n"
	one := fmt.Sprintf("HPUB %s %d %d\r\n%s%s\r\n", subject, len(hdr), len(hdr)+size, hdr, strings.Repeat("x", size))
	return []byte(strings.Repeat(one, n))
}

// BenchmarkHeaders is what a message with headers costs that is not traced, and one
// without them.
func BenchmarkHeaders(b *testing.B) {
	const n = 256
	for name, blk := range map[string][]byte{"with": hpubs(n, 128, "foo"), "without": pubs(n, 128, "foo")} {
		for _, subs := range []int{0, 1} {
			b.Run(fmt.Sprintf("%s/subscribers=%d", name, subs), func(b *testing.B) {
				h := startHub(b)
				for _, s := range loops(b, h, subs, quiet+`,"headers":true`) {
					s.feed("SUB foo 1\r\n")
				}
				pub := loops(b, h, 1, quiet+`,"headers":true`)[0]
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; i < b.N; i += n {
					pub.block(blk)
				}
			})
		}
	}
}

// TestHeadersDoNotAllocate: messages with headers that ask for no trace.
func TestHeadersDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools forget at random")
	}
	h := startHub(t)
	sub := loops(t, h, 1, quiet+`,"headers":true`)[0]
	sub.feed("SUB foo 1\r\n")
	pub := loops(t, h, 1, quiet+`,"headers":true`)[0]
	b := hpubs(16, 128, "foo")
	for range 50 {
		pub.block(b)
	}
	if n := testing.AllocsPerRun(200, func() { pub.block(b) }); n != 0 {
		t.Errorf("%v allocations for a block of 16 messages", n)
	}
}
