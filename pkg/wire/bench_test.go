package wire

import (
	"bytes"
	"strconv"
	"testing"
)

// benchOps gives one block of count equal operations.
func benchOps(op string, count int) []byte { return bytes.Repeat([]byte(op), count) }

func payload(n int) string { return string(bytes.Repeat([]byte{'x'}, n)) }

type nexter interface {
	Next(b []byte, op *Op) (n, need int, err error)
}

// benchParse reports the time of one operation in a block of many.
func benchParse(b *testing.B, p nexter, op string) {
	const count = 256
	block := benchOps(op, count)
	var o Op
	b.ReportAllocs()
	b.SetBytes(int64(len(op)))
	for i := 0; i < b.N; i += count {
		for rest := block; len(rest) > 0; {
			n, _, err := p.Next(rest, &o)
			if n == 0 {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}

func BenchmarkParsePub(b *testing.B) {
	for _, size := range []int{16, 128, 1024} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			benchParse(b, &ClientParser{MaxPayload: -1}, "PUB bench.subject "+strconv.Itoa(size)+"\r\n"+payload(size)+"\r\n")
		})
	}
	b.Run("reply", func(b *testing.B) {
		benchParse(b, &ClientParser{MaxPayload: -1}, "PUB bench.subject _INBOX.Yxw9Ff2q4Ue8VqDVR6NyLj.abcdefgh 128\r\n"+payload(128)+"\r\n")
	})
}

func BenchmarkParseHpub(b *testing.B) {
	benchParse(b, &ClientParser{MaxPayload: -1, Headers: true}, "HPUB bench.subject 12 140\r\nNATS/1.0\r\n\r\n"+payload(128)+"\r\n")
}

func BenchmarkParsePing(b *testing.B) { benchParse(b, &ClientParser{}, "PING\r\n") }
func BenchmarkParseSub(b *testing.B)  { benchParse(b, &ClientParser{}, "SUB orders.*.created 1234\r\n") }

func BenchmarkParseRmsg(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		benchParse(b, &PeerParser{}, "RMSG $G bench.subject 128\r\n"+payload(128)+"\r\n")
	})
	b.Run("groups", func(b *testing.B) {
		benchParse(b, &PeerParser{}, "RMSG $G bench.subject + reply.1 q1 q2 128\r\n"+payload(128)+"\r\n")
	})
}

func BenchmarkParseLmsg(b *testing.B) {
	benchParse(b, &PeerParser{Dialect: DialectLeaf}, "LMSG bench.subject 128\r\n"+payload(128)+"\r\n")
}

func BenchmarkAppendClientMsg(b *testing.B) {
	subject := []byte("bench.subject")
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendClientMsg(buf[:0], subject, "12", nil, 0, 128)
	}
}

func BenchmarkAppendClientTail(b *testing.B) {
	prefix := AppendClientPrefix(nil, []byte("bench.subject"), "12", false)
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = append(buf[:0], prefix...)
		buf = AppendClientTail(buf, nil, 0, 128)
	}
}

func BenchmarkAppendRouteMsg(b *testing.B) {
	account, subject := []byte("$G"), []byte("bench.subject")
	groups := [][]byte{[]byte("q1")}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendRouteMsg(buf[:0], nil, account, subject, nil, groups, 0, 128)
	}
}

func BenchmarkAppendDecimal(b *testing.B) {
	buf := make([]byte, 0, 32)
	for b.Loop() {
		buf = AppendDecimal(buf[:0], 1048576)
	}
}

func BenchmarkHeaderValue(b *testing.B) {
	hdr := []byte("NATS/1.0\r\nNats-Msg-Id: abcdef\r\nContent-Type: text/plain\r\nNats-Expected-Stream: ORDERS\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := HeaderValue(hdr, "Nats-Expected-Stream"); !ok {
			b.Fatal("not found")
		}
	}
}
