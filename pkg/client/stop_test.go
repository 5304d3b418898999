package client

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
)

// What a publisher was told to have arrived is delivered though the server stops: it
// lies in the subscriber's queue, who is slow.
func TestStopDeliversWhatWasAccepted(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.Limits.MaxPending = 64 << 20 })
	sub := h.ready(t)
	sub.send("SUB a 1\r\nPING\r\n")
	sub.expect("PONG\r\n")
	pub := h.ready(t)
	const n, size = 2500, 16 << 10
	body := bytes.Repeat([]byte{'x'}, size-8)
	go func() {
		for i := range n {
			fmt.Fprintf(pub, "PUB a %d\r\n%08d%s\r\n", size, i, body)
		}
		io.WriteString(pub, "PING\r\n")
	}()
	pub.expect("PONG\r\n")
	done := make(chan time.Duration)
	go func() {
		began := time.Now()
		h.Close()
		done <- time.Since(began)
	}()
	sub.SetReadDeadline(time.Now().Add(patience))
	for i := range n {
		head := fmt.Sprintf("MSG a 1 %d\r\n%08d", size, i)
		sub.expect(head)
		if _, err := sub.r.Discard(size - 8 + 2); err != nil {
			t.Fatalf("message %d of %d: %v", i, n, err)
		}
		sub.SetReadDeadline(time.Now().Add(patience))
	}
	if rest, err := io.ReadAll(sub.r); err != nil || len(rest) > 0 {
		t.Errorf("after the last message: %q, %v", rest, err)
	}
	if took := <-done; took > patience {
		t.Errorf("the stop took %v", took)
	}
}

// A subscriber that reads nothing does not hold the stop up for long.
func TestStopDoesNotWaitForTheDeaf(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.Limits.MaxPending = 64 << 20 })
	sub := h.ready(t)
	sub.send("SUB a 1\r\nPING\r\n")
	sub.expect("PONG\r\n")
	pub := h.ready(t)
	go func() {
		for range 2000 {
			fmt.Fprintf(pub, "PUB a %d\r\n%s\r\n", 16<<10, bytes.Repeat([]byte{'x'}, 16<<10))
		}
		io.WriteString(pub, "PING\r\n")
	}()
	pub.expect("PONG\r\n")
	began := time.Now()
	h.Close()
	if took := time.Since(began); took > 3*finishLimit {
		t.Errorf("the stop took %v", took)
	}
}
