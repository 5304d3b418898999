package client

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
)

// loop is a client whose blocks are handed in by the test instead of being read
// from its socket; what it is sent goes to the socket and is thrown away.
type loop struct {
	tb testing.TB
	h  *hub
	*conn
	peer net.Conn
}

// loops makes connected clients on a hub.
func loops(t testing.TB, h *hub, n int, connect string) []*loop {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	all := make([]*loop, n)
	for i := range all {
		peer, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c, err := h.newConn(nc)
		if err != nil {
			t.Fatal(err)
		}
		if !h.register(c) {
			t.Fatal("not registered")
		}
		l := &loop{tb: t, h: h, conn: c, peer: peer}
		done := make(chan struct{})
		go func() {
			defer close(done)
			b := make([]byte, 64<<10)
			for {
				if _, err := peer.Read(b); err != nil {
					return
				}
			}
		}()
		t.Cleanup(func() {
			peer.Close()
			c.end(io.EOF)
			<-done
		})
		l.feed("CONNECT " + connect + "}\r\nPING\r\n")
		all[i] = l
	}
	return all
}

func (l *loop) feed(s string) { l.block([]byte(s)) }

func (l *loop) block(b []byte) {
	n, _, err := l.HandleBlock(b)
	if err != nil || n != len(b) {
		l.tb.Fatalf("HandleBlock(%.40q): %d of %d, %v", b, n, len(b), err)
	}
}

// pubs is a block of n messages.
func pubs(n, size int, subject string) []byte {
	one := fmt.Sprintf("PUB %s %d\r\n%s\r\n", subject, size, strings.Repeat("x", size))
	return []byte(strings.Repeat(one, n))
}

// paths are the message paths that must not allocate.
var paths = []struct {
	name string
	subs []string // one for each subscriber connection
	pub  string
	user string // of the publisher
}{
	{name: "no subscriber", pub: "foo"},
	{name: "one subscriber", subs: []string{"SUB foo 1\r\n"}, pub: "foo"},
	{name: "wildcard", subs: []string{"SUB foo.> 1\r\n"}, pub: "foo.bar"},
	{name: "fan-out 10", subs: strings.Split(strings.Repeat("SUB foo 1\r\n,", 10), ",")[:10], pub: "foo"},
	{name: "queue group of 4", subs: strings.Split(strings.Repeat("SUB foo q 1\r\n,", 4), ",")[:4], pub: "foo"},
	{name: "three queue groups", subs: []string{"SUB foo a 1\r\nSUB foo b 2\r\n", "SUB foo b 1\r\nSUB foo c 2\r\n"}, pub: "foo"},
	{name: "permissions", subs: []string{"SUB foo.1 1\r\n"}, pub: "foo.1", user: `,"user":"p","pass":"p"`},
	{name: "reply", subs: []string{"SUB foo 1\r\n"}, pub: "foo _INBOX.1"},
	{name: "no responders", pub: "foo _INBOX.1"},
}

func withPermissions(c *config.Config) {
	c.Auth.NoAuthUser = "n"
	c.Auth.Users = []config.User{
		{Name: "n", Account: "$G"},
		{Name: "p", Password: "p", Account: "$G", Permissions: &config.Permissions{
			Publish:   config.SubjectPermission{Allow: []string{"bar", "foo.*"}, Deny: []string{"foo.2"}},
			Subscribe: config.SubjectPermission{Allow: []string{">"}},
		}},
	}
}

func TestMessagePathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools forget at random")
	}
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			h := startHub(t, withPermissions)
			subs := loops(t, h, len(p.subs), quiet)
			for i, s := range p.subs {
				subs[i].feed(s)
			}
			pub := loops(t, h, 1, quiet+p.user)[0]
			pub.feed("SUB _INBOX.* 9\r\n")
			b := pubs(16, 128, p.pub)
			for range 50 {
				pub.block(b) // warm: caches, pools, queues
			}
			if n := testing.AllocsPerRun(200, func() { pub.block(b) }); n != 0 {
				t.Errorf("%v allocations for a block of 16 messages", n)
			}
		})
	}
}

func BenchmarkHandleBlock(b *testing.B) {
	for _, p := range paths {
		b.Run(p.name, func(b *testing.B) {
			h := startHub(b, withPermissions)
			subs := loops(b, h, len(p.subs), quiet)
			for i, s := range p.subs {
				subs[i].feed(s)
			}
			pub := loops(b, h, 1, quiet+p.user)[0]
			const n = 256
			blk := pubs(n, 128, p.pub)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += n {
				pub.block(blk)
			}
		})
	}
}

// BenchmarkSubjects is a block of messages that go to one subscriber, over so many subjects in turn.
func BenchmarkSubjects(b *testing.B) {
	for _, subjects := range []int{1, 2, 500, 2500} {
		b.Run(fmt.Sprint(subjects), func(b *testing.B) {
			h := startHub(b)
			sub := loops(b, h, 1, quiet)[0]
			sub.feed("SUB foo.* 1\r\n")
			pub := loops(b, h, 1, quiet)[0]
			const n = 250
			var blocks [][]byte
			for at := 0; at < max(subjects, n); at += n {
				var blk []byte
				for i := range n {
					blk = append(blk, pubs(1, 128, fmt.Sprintf("foo.subject-%04d", (at+i)%subjects))...)
				}
				blocks = append(blocks, blk)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += n {
				pub.block(blocks[i/n%len(blocks)])
			}
		})
	}
}

// BenchmarkSockets is publisher to subscriber through two loopback sockets.
func BenchmarkSockets(b *testing.B) {
	for _, size := range []int{16, 128, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			h := startHub(b)
			sub, pub := h.ready(b), h.ready(b)
			sub.ask("SUB foo 1\r\n", "")
			n := max(1, 32768/size)
			blk := pubs(n, size, "foo")
			line := len(fmt.Sprintf("MSG foo 1 %d\r\n", size)) + size + 2
			b.SetBytes(int64(size))
			b.ResetTimer()
			done := make(chan error)
			blocks := (b.N + n - 1) / n
			// What is under way is bounded, or the subscriber is cut off as slow.
			credit := make(chan struct{}, 64)
			go func() {
				for range blocks {
					if _, err := io.CopyN(io.Discard, sub.Conn, int64(n*line)); err != nil {
						done <- err
						return
					}
					<-credit
				}
				done <- nil
			}()
			for range blocks {
				credit <- struct{}{}
				if _, err := pub.Write(blk); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkConnect is a client that comes, says hello and goes, both ends.
func BenchmarkConnect(b *testing.B) {
	h := startHub(b)
	b.ReportAllocs()
	for range b.N {
		c := h.ready(b)
		c.Close()
	}
}

// BenchmarkDeliver is the queue side alone.
func BenchmarkDeliver(b *testing.B) {
	h := startHub(b)
	l := loops(b, h, 2, quiet)
	l[0].feed("SUB foo 1\r\n")
	l[1].feed("PUB foo 1\r\nx\r\n")
	m := l[1].pub.msg
	m.Payload = make([]byte, 128)
	m.From = &l[1].port
	s := l[0].subs.few[0]
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if !l[0].Deliver(&m, s) {
			b.Fatal(l[0].conn.t.Cause())
		}
		if i%256 == 0 {
			l[0].Flush()
		}
	}
}
