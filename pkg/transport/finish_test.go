package transport

import (
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
