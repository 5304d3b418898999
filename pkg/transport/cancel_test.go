package transport

import (
	"io"
	"testing"
	"time"
)

// A reservation that is given up, or filled with nothing, leaves no empty chunk
// behind: the writer would never get past it.
func TestCancelLeavesNoEmptyChunk(t *testing.T) {
	a, b := sockets(t)
	c, err := New(a, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("one"))
	if c.Reserve(100_000) == nil { // more than the chunk has room for
		t.Fatal("refused")
	}
	c.Cancel()
	if !c.Write(nil) {
		t.Fatal("refused")
	}
	done := make(chan struct{})
	go func() {
		c.Flush()
		if r := c.Reserve(0); r == nil {
			t.Error("refused")
		} else {
			c.Commit(r)
		}
		c.WriteFlush([]byte("two"))
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the writer is stuck")
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(b, got); err != nil || string(got) != "onetwo" {
		t.Fatalf("got %q, %v", got, err)
	}
}
