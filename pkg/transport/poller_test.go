package transport

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// TestInterrupt: reading ends, what is queued is still written.
func TestInterrupt(t *testing.T) {
	a, b := pair(t, Options{}, Options{})
	served := make(chan error, 1)
	seen := make(chan struct{}, 2)
	go func() { served <- a.Serve(&frames{on: func([]byte) error { seen <- struct{}{}; return nil }}) }()
	b.WriteFlush(frame([]byte("x")))
	<-seen
	a.Write(frame([]byte("last")))
	a.Interrupt()
	if err := <-served; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Serve: %v", err)
	}
	go a.Finish(nil, time.Second)
	got := ""
	b.Serve(&frames{on: func(p []byte) error { got = string(p); return nil }})
	if got != "last" {
		t.Fatalf("got %q", got)
	}
	b.Close()
}

// TestWriteRetry: a peer that reads slowly is told of, and kept.
func TestWriteRetry(t *testing.T) {
	var slow atomic.Int64
	opts := Options{WriteDeadline: 300 * time.Millisecond, WriteRetry: true, OnSlow: func() { slow.Add(1) }}
	a, b := pair(t, opts, Options{})
	served := make(chan error, 1)
	go func() {
		err := a.Serve(&frames{})
		a.Close()
		served <- err
	}()
	const size = 64 << 20
	a.Write(frame(make([]byte, size)))
	a.Flush()
	buf := make([]byte, 64<<10)
	for read := 0; read < size+4; {
		n, err := b.nc.Read(buf)
		if err != nil {
			t.Fatalf("after %d bytes: %v; Serve: %v", read, err, a.Cause())
		}
		read += n
		if slow.Load() < 1 {
			time.Sleep(time.Millisecond) // a slow reader is what this is about
		}
	}
	if slow.Load() == 0 {
		t.Error("nobody was told")
	}
	a.Abort(nil)
	<-served
}

// wary handles frames, and those that say "wait" on a goroutine of its own only.
type wary struct {
	frames
	c     *Conn
	waits int
}

func (w *wary) HandleBlock(b []byte) (n, need int, err error) {
	if len(b) >= 8 && string(b[4:8]) == "wait" {
		if w.c.Afloat() {
			return 0, 0, ErrMayBlock
		}
		w.waits++
		time.Sleep(time.Millisecond) // what would hold up all others
		return 4 + int(binary.BigEndian.Uint32(b)), 0, w.on(b[4:8])
	}
	size := 4 + int(binary.BigEndian.Uint32(b))
	return size, 0, w.on(b[4:size])
}

// TestMayBlock: a handler that has to wait gets a goroutine for it, and nothing is
// lost or done twice on the way there and back.
func TestMayBlock(t *testing.T) {
	for name, layer := range layerings() {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Options{}, Options{})
			layer(t, a, b)
			var got []string
			w := &wary{c: b, frames: frames{on: func(p []byte) error {
				got = append(got, string(p))
				if string(p) == "done" {
					return errDone
				}
				b.WriteFlush(frame(p))
				return nil
			}}}
			served := make(chan error, 1)
			go func() { served <- b.Serve(w) }()
			want := 0
			turns := 0
			a.WriteFlush(frame([]byte("a")))
			err := a.Serve(&frames{on: func(p []byte) error {
				turns++
				if turns == 100 {
					a.WriteFlush(frame([]byte("done")))
					return errDone
				}
				m := []byte("word")
				if turns%3 == 0 {
					m = []byte("wait")
					want++
				}
				a.WriteFlush(frame(m))
				return nil
			}})
			if !errors.Is(err, errDone) {
				t.Fatal(err)
			}
			if err := <-served; !errors.Is(err, errDone) {
				t.Fatal(err)
			}
			if len(got) != 101 || w.waits != want {
				t.Fatalf("%d frames, %d waits; want 101 and %d", len(got), w.waits, want)
			}
		})
	}
}
