package transport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ashore makes pair leave out the Poller, with which all tests run otherwise.
var ashore bool

// TestAshore runs the tests of what a Poller changes once more without one.
func TestAshore(t *testing.T) {
	ashore = true
	defer func() { ashore = false }()
	for name, f := range map[string]func(*testing.T){
		"OrderAndContent": TestOrderAndContent, "ByteAtATime": TestByteAtATime, "ReadLineThenServe": TestReadLineThenServe,
		"SlowPending": TestSlowPending, "SlowWrite": TestSlowWrite, "Finish": TestFinish, "AbortWakesReader": TestAbortWakesReader,
		"Interrupt": TestInterrupt, "Kill": TestKill, "MayBlock": TestMayBlock, "EOF": TestEOF, "IdleOwnsNothing": TestIdleOwnsNothing,
		"FinishBesideFlush": TestFinishBesideFlush, "LargeMessageGrows": TestLargeMessageGrows,
		"AnnouncedSizeIsNotTrusted": TestAnnouncedSizeIsNotTrusted, "WriteRetry": TestWriteRetry,
	} {
		t.Run(name, f)
	}
}

// pair returns both ends of a loopback connection.
func pair(t testing.TB, a, b Options) (*Conn, *Conn) {
	t.Helper()
	if !ashore {
		p := NewPoller(2)
		t.Cleanup(p.Close)
		a.Poller, b.Poller = p, p
	}
	x, y := sockets(t)
	ca, err := New(x, a)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := New(y, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close(); cb.Close() })
	return ca, cb
}

func sockets(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan net.Conn, 1)
	go func() {
		c, _ := ln.Accept()
		got <- c
	}()
	x, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return x, <-got
}

// frames is a handler for length-prefixed frames.
type frames struct {
	on    func(p []byte) error
	sizes []int // of blocks
}

func (f *frames) HandleBlock(b []byte) (n, need int, err error) {
	f.sizes = append(f.sizes, len(b))
	for {
		rest := b[n:]
		if len(rest) < 4 {
			return n, 0, nil
		}
		size := 4 + int(binary.BigEndian.Uint32(rest))
		if len(rest) < size {
			return n, size, nil
		}
		if err := f.on(rest[4:size]); err != nil {
			return n, 0, err
		}
		n += size
	}
}

func frame(p []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...)
}

var errDone = errors.New("done")

// layerings are the ways in which two ends can be connected.
func layerings() map[string]func(t *testing.T, a, b *Conn) {
	both := func(t *testing.T, f, g func() error) {
		t.Helper()
		var wg sync.WaitGroup
		var ferr error
		wg.Add(1)
		go func() { defer wg.Done(); ferr = f() }()
		if err := g(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if ferr != nil {
			t.Fatal(ferr)
		}
	}
	startTLS := func(t *testing.T, a, b *Conn) {
		cfg := serverTLS(t)
		both(t, func() error { return a.StartTLS(cfg, true, 5*time.Second) },
			func() error {
				return b.StartTLS(&tls.Config{InsecureSkipVerify: true}, false, 5*time.Second)
			})
	}
	startS2 := func(l Level) func(t *testing.T, a, b *Conn) {
		return func(t *testing.T, a, b *Conn) {
			for _, c := range []*Conn{a, b} {
				c.StartS2Read()
				if err := c.StartS2Write(l, time.Second); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return map[string]func(t *testing.T, a, b *Conn){
		"plain":           func(*testing.T, *Conn, *Conn) {},
		"tls":             startTLS,
		"s2":              startS2(Fast),
		"s2 best":         startS2(Best),
		"s2 uncompressed": startS2(Uncompressed),
		"s2 over tls": func(t *testing.T, a, b *Conn) {
			startTLS(t, a, b)
			startS2(Better)(t, a, b)
		},
	}
}

func serverTLS(t testing.TB) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// TestOrderAndContent has several goroutines queue frames of all sizes at one
// end; the other must get each goroutine's frames whole and in order.
func TestOrderAndContent(t *testing.T) {
	const writers, each = 4, 200
	for name, layer := range layerings() {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Options{}, Options{})
			layer(t, a, b)
			var wg sync.WaitGroup
			for w := range writers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					rng := mrand.New(mrand.NewPCG(uint64(w), 1))
					for i := range each {
						p := make([]byte, 8+rng.IntN(1<<rng.IntN(17)))
						binary.BigEndian.PutUint32(p, uint32(w))
						binary.BigEndian.PutUint32(p[4:], uint32(i))
						for j := 8; j < len(p); j++ {
							p[j] = byte(w + i)
						}
						if !a.Write(frame(p)) {
							t.Error("not taken")
							return
						}
						if i%7 == 0 {
							a.Flush()
						}
					}
					a.Flush()
				}()
			}
			var next [writers]uint32
			total := 0
			err := b.Serve(&frames{on: func(p []byte) error {
				w, i := binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:])
				if i != next[w] {
					t.Fatalf("writer %d: frame %d, want %d", w, i, next[w])
				}
				next[w]++
				for _, c := range p[8:] {
					if c != byte(w+i) {
						t.Fatalf("writer %d frame %d: content %d", w, i, c)
					}
				}
				if total++; total == writers*each {
					return errDone
				}
				return nil
			}})
			if !errors.Is(err, errDone) {
				t.Fatalf("Serve: %v after %d frames", err, total)
			}
			wg.Wait()
			waitFor(t, func() bool { return a.Pending() == 0 })
		})
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("condition not reached in 5 s")
		}
	}
}

func TestByteAtATime(t *testing.T) {
	for name, layer := range layerings() {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Options{}, Options{})
			layer(t, a, b)
			msg := frame([]byte("hello, world"))
			go func() {
				for i := range msg {
					a.WriteFlush(msg[i : i+1])
				}
			}()
			err := b.Serve(&frames{on: func(p []byte) error {
				if string(p) != "hello, world" {
					t.Errorf("got %q", p)
				}
				return errDone
			}})
			if !errors.Is(err, errDone) {
				t.Fatal(err)
			}
		})
	}
}

func TestReadLineThenServe(t *testing.T) {
	a, b := pair(t, Options{}, Options{})
	a.WriteFlush(append([]byte("INFO {}\r\nsecond\n"), frame([]byte("x"))...))
	for _, want := range []string{"INFO {}", "second"} {
		line, err := b.ReadLine(100, time.Now().Add(5*time.Second))
		if err != nil || string(line) != want {
			t.Fatalf("ReadLine = %q, %v; want %q", line, err, want)
		}
	}
	if err := b.Serve(&frames{on: func(p []byte) error { return errDone }}); !errors.Is(err, errDone) {
		t.Fatal(err)
	}
}

func TestReadLineLimits(t *testing.T) {
	a, b := pair(t, Options{}, Options{})
	a.WriteFlush(bytes.Repeat([]byte("x"), 50))
	if _, err := b.ReadLine(20, time.Now().Add(5*time.Second)); !errors.Is(err, ErrLineTooLong) {
		t.Fatalf("endless line: %v", err)
	}
	_, d := pair(t, Options{}, Options{})
	if _, err := d.ReadLine(20, time.Now().Add(10*time.Millisecond)); !IsTimeout(err) {
		t.Fatalf("silence: %v", err)
	}
}

func TestPeek(t *testing.T) {
	a, b := pair(t, Options{}, Options{})
	if got, err := b.Peek(1, time.Now().Add(5*time.Millisecond)); !IsTimeout(err) || len(got) != 0 {
		t.Fatalf("silence: %q, %v", got, err)
	}
	a.WriteFlush([]byte("PROXY x\r\n"))
	got, err := b.Peek(6, time.Now().Add(5*time.Second))
	if err != nil || !bytes.HasPrefix(got, []byte("PROXY ")) {
		t.Fatalf("%q, %v", got, err)
	}
	waitFor(t, func() bool { got, _ := b.Peek(9, time.Now().Add(time.Second)); return len(got) == 9 })
	b.Discard(9)
	a.WriteFlush([]byte("next\n"))
	if line, err := b.ReadLine(10, time.Time{}); err != nil || string(line) != "next" {
		t.Fatalf("%q, %v", line, err)
	}
}

// TestSlowPending: a peer that does not read is cut off at the limit, and nobody
// who writes to it is held up.
func TestSlowPending(t *testing.T) {
	a, _ := pair(t, Options{MaxPending: 1 << 20}, Options{})
	served := make(chan error, 1)
	go func() { served <- a.Serve(&frames{}) }()
	p := make([]byte, 64<<10)
	for i := range 1000 {
		if !a.Write(p) {
			break
		}
		a.Flush()
		if i == 999 {
			t.Fatal("never over the limit")
		}
	}
	if err := <-served; !errors.Is(err, ErrSlowPending) {
		t.Fatalf("Serve: %v", err)
	}
	if a.Write(p) {
		t.Fatal("taken after the end")
	}
	a.Close()
	if n := a.Pending(); n != 0 {
		t.Fatalf("%d bytes left in the queue", n)
	}
}

func TestSlowWrite(t *testing.T) {
	for _, retry := range []bool{false, true} {
		slow := 0
		a, b := pair(t, Options{WriteDeadline: 20 * time.Millisecond, WriteRetry: retry, OnSlow: func() { slow++ }}, Options{})
		served := make(chan error, 1)
		go func() { served <- a.Serve(&frames{}) }()
		a.Write(make([]byte, 16<<20))
		a.Flush()
		if err := <-served; !errors.Is(err, ErrSlowWrite) {
			t.Fatalf("retry %v: %v", retry, err)
		}
		a.Close()
		b.Close()
	}
}

// TestFinish: the last bytes reach a peer that goes on writing.
func TestFinish(t *testing.T) {
	for name, layer := range layerings() {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Options{}, Options{})
			layer(t, a, b)
			go func() {
				for b.WriteFlush(make([]byte, 4096)) && b.Cause() == nil {
				}
			}()
			last := frame([]byte("-ERR"))
			a.Write(last)
			done := make(chan struct{})
			go func() {
				a.Finish(nil, time.Second)
				close(done)
			}()
			got := false
			err := b.Serve(&frames{on: func(p []byte) error {
				got = string(p) == "-ERR"
				return nil
			}})
			if !got {
				t.Fatalf("last bytes lost: %v", err)
			}
			b.Abort(nil)
			<-done
		})
	}
}

func TestAbortWakesReader(t *testing.T) {
	for name, layer := range layerings() {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Options{}, Options{})
			layer(t, a, b)
			served := make(chan error, 1)
			go func() { served <- a.Serve(&frames{}) }()
			a.Abort(errDone)
			if err := <-served; !errors.Is(err, errDone) {
				t.Fatal(err)
			}
			a.Close()
			if err := b.Serve(&frames{}); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("peer: %v", err)
			}
		})
	}
}

// TestKill: what was on its way when the connection was given up never arrives.
func TestKill(t *testing.T) {
	a, b := pair(t, Options{}, Options{})
	a.Write(make([]byte, 8<<20)) // more than the kernel takes
	a.Flush()
	a.Kill(nil)
	a.Close()
	_, err := io.Copy(io.Discard, b.nc)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("peer: %v, want a reset", err)
	}
}

func TestEOF(t *testing.T) {
	x, y := sockets(t)
	defer x.Close()
	c, err := New(y, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	x.Write(frame([]byte("bye")))
	x.(*net.TCPConn).CloseWrite()
	seen := 0
	err = c.Serve(&frames{on: func([]byte) error { seen++; return nil }})
	if !errors.Is(err, io.EOF) || seen != 1 {
		t.Fatalf("%v after %d frames", err, seen)
	}
}

// TestIdleOwnsNothing: no buffer is held while a connection waits.
func TestIdleOwnsNothing(t *testing.T) {
	a, b := pair(t, Options{}, Options{})
	seen := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Serve(&frames{on: func([]byte) error { seen <- struct{}{}; return nil }})
	}()
	a.WriteFlush(frame([]byte("x")))
	<-seen
	waitFor(t, func() bool {
		held := true
		a.Locked(func() { held = a.tail != nil || len(a.queue) > 0 })
		return !held
	})
	b.Abort(nil)
	<-ended
	if b.rbuf != nil {
		t.Error("the reader ended with a buffer in hand")
	}
}

func BenchmarkPingPong(bm *testing.B) {
	a, b := pair(bm, Options{}, Options{})
	msg := frame([]byte("x"))
	go b.Serve(&frames{on: func([]byte) error { b.WriteFlush(msg); return nil }})
	n := 0
	bm.ReportAllocs()
	a.WriteFlush(msg)
	f := &echo{frames{on: func([]byte) error {
		if n++; n == bm.N {
			return errDone
		}
		a.WriteFlush(msg)
		return nil
	}}}
	a.Serve(f)
	b.Abort(nil)
}

type echo struct{ frames }

func (e *echo) HandleBlock(b []byte) (int, int, error) {
	e.sizes = e.sizes[:0]
	return e.frames.HandleBlock(b)
}
