package transport

import (
	"sync"
	"testing"
	"time"
)

// TestFinishBesideFlush: the last bytes are written though another goroutine is in the midst of
// a Flush that began before they were queued.
func TestFinishBesideFlush(t *testing.T) {
	for range 60 {
		a, b := pair(t, Options{}, Options{})
		started, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			close(started)
			for a.Cause() == nil {
				a.WriteFlush(frame([]byte("more")))
			}
		}()
		<-started
		a.Write(frame([]byte("-ERR")))
		go a.Finish(nil, time.Second)
		got := false
		err := b.Serve(&frames{on: func(p []byte) error {
			got = got || string(p) == "-ERR"
			return nil
		}})
		if !got {
			t.Fatalf("last bytes lost: %v", err)
		}
		b.Close()
		<-done
	}
}

// TestFinishServing: what the peer sends until it sees the end is handled, and then the connection is closed without
// waiting any longer.
func TestFinishServing(t *testing.T) {
	for name, layer := range layerings() {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Options{}, Options{})
			layer(t, a, b)
			sent, got := 0, 0
			seen := make(chan struct{}) // b has seen the end
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					select {
					case <-seen:
						b.Finish(nil, time.Second)
						return
					default:
					}
					if !b.WriteFlush(frame([]byte("more"))) {
						return
					}
					sent++
					time.Sleep(100 * time.Microsecond)
				}
			})
			wg.Go(func() {
				defer close(seen)
				_ = b.Serve(&frames{on: func([]byte) error { return nil }})
			})
			first := make(chan struct{})
			err := a.Serve(&frames{on: func([]byte) error {
				if got++; got == 10 {
					close(first)
					a.Interrupt()
				}
				return nil
			}})
			<-first
			if !IsTimeout(err) {
				t.Errorf("Serve ended with %v", err)
			}
			began := time.Now()
			a.FinishServing(nil, time.Second, 20*time.Second)
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("it took %v though the peer has closed", d)
			}
			wg.Wait()
			if got != sent {
				t.Errorf("%d frames were handled of %d sent", got, sent)
			}
		})
	}
}
