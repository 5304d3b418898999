package route

import (
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/banyanmq/banyan/pkg/broker"
)

// BenchmarkSend is the way of a client's message to a route.
func BenchmarkSend(b *testing.B) {
	n := startNode(b, nil)
	r := joinRaw(b, n, "NR", "")
	r.write("RS+ A x\nPING")
	r.until("PONG")
	go io.Copy(io.Discard, r.nc)
	c := n.client("A")
	m := &broker.Msg{Account: c.a, Subject: []byte("x"), Payload: make([]byte, 128)}
	b.SetBytes(128)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.inlet.Publish(m)
		if i%256 == 0 {
			c.inlet.Flush()
		}
	}
}

// BenchmarkReceive is the way of a message from a route to a client.
func BenchmarkReceive(b *testing.B) {
	n := startNode(b, nil)
	r := joinRaw(b, n, "NR", "")
	c := &counter{done: make(chan struct{}, 1)}
	port := &broker.Port{ID: 1, Class: broker.Client, Origin: broker.Origin{Class: broker.Client}, Sink: c}
	n.b.Account("A").Subscribe(&broker.Sub{Port: port, Subject: []byte("x"), Origin: port.Origin}, 1)
	block := []byte(strings.Repeat("RMSG A x 128\r\n"+strings.Repeat("y", 128)+"\r\n", 400))
	b.SetBytes(128)
	b.ReportAllocs()
	b.ResetTimer()
	for k := 0; k < b.N; k += 400 {
		r.nc.Write(block)
	}
	c.mu.Lock()
	for c.n < b.N {
		c.mu.Unlock()
		<-c.done
		c.mu.Lock()
	}
	c.mu.Unlock()
}

type counter struct {
	mu   sync.Mutex
	n    int
	done chan struct{}
}

func (c *counter) Deliver(*broker.Msg, *broker.Sub) bool {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return true
}
func (c *counter) DeliverOnce(*broker.Msg, bool, [][]byte) bool { return false }
func (c *counter) Flush() {
	select {
	case c.done <- struct{}{}:
	default:
	}
}
