package transport

import (
	"errors"
	"testing"
	"time"
)

// TestSetWriting: a connection that was given an hour takes on a shorter deadline.
func TestSetWriting(t *testing.T) {
	a, b := pair(t, Options{WriteDeadline: time.Hour, WriteRetry: true}, Options{})
	defer b.Close()
	served := make(chan error, 1)
	go func() { served <- a.Serve(&frames{}) }()
	a.SetWriting(20*time.Millisecond, false)
	a.Write(make([]byte, 16<<20))
	a.Flush()
	if err := <-served; !errors.Is(err, ErrSlowWrite) {
		t.Fatalf("Serve: %v", err)
	}
	a.Close()
}
