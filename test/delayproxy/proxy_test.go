package delayproxy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo serves a listener that sends back what it gets, and then ends the stream.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func start(t *testing.T, cfg Config) *Proxy {
	t.Helper()
	p, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

func ping(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	var b [4]byte
	if _, err := io.ReadFull(c, b[:]); err != nil || string(b[:]) != "ping" {
		t.Fatalf("got %q, %v", b, err)
	}
	return time.Since(began)
}

// served tells whether a new connection carries bytes; one that is reset may fail at any step.
func served(p *Proxy) bool {
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = c.Write([]byte("x"))
	n, _ := c.Read(make([]byte, 1))
	return n > 0
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come true", what)
		}
	}
}

func TestRoundTripTakesAtLeastRTT(t *testing.T) {
	const rtt = 60 * time.Millisecond
	p := start(t, Config{Target: echo(t), RTT: rtt})
	c := dial(t, p)
	if d := ping(t, c); d < 2*rtt { // the handshake's part is in the first one
		t.Errorf("first answer after %v, want at least %v", d, 2*rtt)
	}
	for range 3 {
		if d := ping(t, c); d < rtt {
			t.Errorf("round trip took %v, want at least %v", d, rtt)
		}
	}
	p.SetRTT(0)
	best := time.Hour
	for range 10 {
		best = min(best, ping(t, c))
	}
	if best > rtt {
		t.Errorf("without delay the best round trip took %v", best)
	}
}

func TestBytesArriveWholeAndInOrderThroughASmallWindow(t *testing.T) {
	p := start(t, Config{Target: echo(t), RTT: 2 * time.Millisecond, Window: 32 << 10})
	c := dial(t, p)
	data := make([]byte, 3<<20+17)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(data)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- errors.Join(err, c.CloseWrite())
	}()
	// The end of the stream goes through as well: ReadAll returns.
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(got) != sha256.Sum256(data) {
		t.Fatalf("%d bytes came back, %d sent, equal: %v", len(got), len(data), bytes.Equal(got, data))
	}
	eventually(t, "the end of the connection", func() bool { return p.Stats().Open == 0 })
	if s := p.Stats(); s.Up != int64(len(data)) || s.Down != s.Up || s.Accepted != 1 || s.Refused+s.Cut != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestPipelinedBytesShareTheDelay(t *testing.T) {
	const rtt, n = 100 * time.Millisecond, 30
	p := start(t, Config{Target: echo(t), RTT: rtt})
	c := dial(t, p)
	ping(t, c)
	began := time.Now()
	for range n {
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // separate reads at the proxy
	}
	if _, err := io.ReadFull(c, make([]byte, 4*n)); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d < rtt || d > n*rtt/2 {
		t.Errorf("%d pipelined messages took %v; the delay was added up or left out", n, d)
	}
}

func TestFreezeHoldsEverythingAndThawLosesNothing(t *testing.T) {
	p := start(t, Config{Target: echo(t)})
	c := dial(t, p)
	ping(t, c)
	p.Freeze()
	p.Freeze()
	if _, err := c.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("frozen, yet read %d, %v", n, err)
	}
	late := dial(t, p) // accepted by the kernel, not served
	_ = late.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	_, _ = late.Write([]byte("late"))
	if _, err := late.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a new connection was served while frozen: %v", err)
	}
	p.Thaw()
	p.Thaw()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	var b [4]byte
	if _, err := io.ReadFull(c, b[:]); err != nil || string(b[:]) != "held" {
		t.Fatalf("after thaw %q, %v", b, err)
	}
	_ = late.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(late, b[:]); err != nil || string(b[:]) != "late" {
		t.Fatalf("after thaw %q, %v", b, err)
	}
}

func TestCutResetsAndServesAgain(t *testing.T) {
	p := start(t, Config{Target: echo(t)})
	a, b := dial(t, p), dial(t, p)
	ping(t, a)
	ping(t, b)
	if n := p.Cut(); n != 2 {
		t.Errorf("Cut reset %d connections, want 2", n)
	}
	for _, c := range []net.Conn{a, b} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after Cut a read gave %v, want a reset", err)
		}
	}
	ping(t, dial(t, p))
	if s := p.Stats(); s.Cut != 2 || s.Accepted != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestRefuseAndMissingTarget(t *testing.T) {
	target := echo(t)
	p := start(t, Config{Target: target})
	old := dial(t, p)
	ping(t, old)
	p.Refuse(true)
	if served(p) {
		t.Error("a refused connection was served")
	}
	ping(t, old)
	p.Refuse(false)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	l.Close()
	p.SetTarget(gone)
	if served(p) {
		t.Error("a connection to a missing target was served")
	}
	p.SetTarget(target)
	ping(t, dial(t, p))
	eventually(t, "the count of refusals", func() bool { return p.Stats().Refused == 2 })
}

func TestTargetsResetReachesTheClient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := start(t, Config{Target: l.Addr().String(), RTT: 10 * time.Millisecond})
	c := dial(t, p)
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	reset(s)
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client saw %v", err)
	}
	eventually(t, "the end of the connection", func() bool { return p.Stats().Open == 0 })
}

func TestCloseWhileFrozenAndBusy(t *testing.T) {
	p, err := Start(Config{Target: echo(t), RTT: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	q, err := Start(Config{Target: echo(t), Window: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p) // waits for an hour-long handshake
	d := dial(t, q)
	ping(t, d)
	q.Freeze()
	_ = d.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	_, _ = d.Write(make([]byte, 16<<20)) // held by back-pressure
	for _, x := range []*Proxy{p, q} {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		x.Thaw()
		x.Freeze()
		if s := x.Stats(); s.Open != 0 {
			t.Errorf("after Close %+v", s)
		}
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("Close left a connection")
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{{}, {Target: "x:1", RTT: -1}, {Target: "x:1", Listen: "no port"}} {
		if p, err := Start(cfg); err == nil {
			p.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
}
