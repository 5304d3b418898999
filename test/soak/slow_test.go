//go:build soak && linux

package soak

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/e2e/estate"
)

// crowd is many subscribers of one subject that keep account of what they got and how late it was.
type crowd struct {
	start time.Time

	mu      sync.Mutex
	members []member // guarded by mu
	phase   int      // guarded by mu
	late    map[int][]time.Duration
}

type member struct {
	next uint64 // the number that must come
	gaps int
}

func (c *crowd) join(t *testing.T, nc *nats.Conn, i int) {
	t.Helper()
	sub, err := nc.Subscribe("crowd", func(m *nats.Msg) {
		n, sent := binary.BigEndian.Uint64(m.Data), time.Duration(binary.BigEndian.Uint64(m.Data[8:]))
		late := time.Since(c.start) - sent
		c.mu.Lock()
		defer c.mu.Unlock()
		if me := &c.members[i]; n != me.next {
			me.gaps++
			me.next = n + 1
		} else {
			me.next++
		}
		c.late[c.phase] = append(c.late[c.phase], late)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
}

func (c *crowd) enter(phase int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase = phase
}

func (c *crowd) p99(phase int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.late[phase]
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}

// A subscriber that stops reading is cut off when its queue is full, without a word, while a thousand others lose nothing.
// What it does to their latency is printed.
func TestSlowSubscriberBesideAThousand(t *testing.T) {
	const members, rate, maxPending, bulk = 1000, 20, 16 << 20, 64 << 10
	e := estate.New(t, bins)
	hub := e.Hub(estate.HubSpec{Name: "hub", Clients: ", limits: {max_pending: 16MiB}"})
	e.Start(hub)
	c := &crowd{start: time.Now(), members: make([]member, members), late: make(map[int][]time.Duration)}
	for i := range members {
		c.join(t, e.Connect(hub), i)
	}
	publisher, flood := e.Connect(hub), e.Connect(hub)
	e.Eventually("everybody is subscribed", func() error {
		v, err := hub.Varz()
		if err == nil && v.Subscriptions < members {
			err = fmt.Errorf("%d subscriptions", v.Subscriptions)
		}
		return err
	})

	// The publishers go on through all phases: only the reading of the one subscriber changes.
	stop := make(chan struct{})
	var wg sync.WaitGroup
	sent := uint64(0)
	every := func(rate int, do func()) {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				do()
			case <-stop:
				return
			}
		}
	}
	wg.Go(func() {
		buf := make([]byte, 256)
		every(rate, func() {
			binary.BigEndian.PutUint64(buf, sent)
			binary.BigEndian.PutUint64(buf[8:], uint64(time.Since(c.start)))
			if publisher.Publish("crowd", buf) == nil && publisher.Flush() == nil {
				sent++
			}
		})
	})
	wg.Go(func() {
		buf := make([]byte, bulk)
		every(60, func() { _ = flood.Publish("bulk", buf); _ = flood.Flush() })
	})
	finish := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer finish()

	const rounds = 3
	for round := range rounds {
		before, err := hub.Varz()
		if err != nil {
			t.Fatal(err)
		}
		slow := newReader(t, hub)
		c.enter(10 * round)
		time.Sleep(6 * time.Second) // a quiet time to compare with
		slow.stop()
		c.enter(10*round + 1)
		begin := time.Now()
		e.Eventually("the slow subscriber is cut off", func() error {
			v, err := hub.Varz()
			if err == nil && v.SlowConsumers != before.SlowConsumers+1 {
				err = fmt.Errorf("%d slow consumers, %d before", v.SlowConsumers, before.SlowConsumers)
			}
			return err
		})
		t.Logf("round %d: cut off %v after it stopped reading", round, time.Since(begin).Round(time.Millisecond))
		c.enter(100)
		rest := slow.rest(t)
		if bytes.Contains(rest, []byte("-ERR")) {
			t.Errorf("the slow subscriber was told: %q", rest[max(0, len(rest)-200):])
		}
		checkClosed(t, e, hub, slow.name)
	}
	finish()
	e.Eventually("everybody has everything", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i := range c.members {
			if c.members[i].next < sent {
				return fmt.Errorf("subscriber %d has %d of %d", i, c.members[i].next, sent)
			}
		}
		return nil
	})
	c.mu.Lock()
	for i := range c.members {
		if c.members[i].gaps > 0 {
			t.Errorf("subscriber %d has %d gaps", i, c.members[i].gaps)
		}
	}
	c.mu.Unlock()
	v, err := hub.Varz()
	if err != nil {
		t.Fatal(err)
	}
	if v.SlowConsumers != rounds {
		t.Errorf("%d slow consumers were counted, want %d: nobody else may be cut off", v.SlowConsumers, rounds)
	}
	var quiet, busy time.Duration
	for round := range rounds {
		q, b := c.p99(10*round), c.p99(10*round+1)
		t.Logf("round %d: p99 quiet %v, beside the slow one %v: %.2f times", round, q, b, float64(b)/float64(max(q, 1)))
		quiet, busy = quiet+q, busy+b
	}
	ratio := float64(busy) / float64(max(quiet, 1))
	t.Logf("p99 beside a slow subscriber is %.2f times the quiet one over %d rounds (goal: at most 2)", ratio, rounds)
	if ratio > 2 {
		t.Logf("FLAG: the goal is missed; on a machine that does other work this says little")
	}
}

func checkClosed(t *testing.T, e *estate.Estate, hub *estate.Node, name string) {
	t.Helper()
	e.Eventually("the closed connection is listed with its reason", func() error {
		var z struct {
			Conns []struct {
				Name   string `json:"name"`
				Reason string `json:"reason"`
			} `json:"connections"`
		}
		if err := hub.Get("/connz?state=closed&limit=10000", &z); err != nil {
			return err
		}
		for _, c := range z.Conns {
			if c.Name == name {
				if c.Reason != "Slow Consumer (Pending Bytes)" {
					t.Errorf("reason %q", c.Reason)
				}
				return nil
			}
		}
		return fmt.Errorf("%q is not among %d", name, len(z.Conns))
	})
}

// reader is a subscriber on a bare socket that can stop reading.
type reader struct {
	name string
	c    net.Conn
	r    *bufio.Reader
	halt chan struct{}
	done chan struct{}
}

func newReader(t *testing.T, hub *estate.Node) *reader {
	t.Helper()
	c, err := net.Dial("tcp", hub.Addr("nats"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := &reader{
		name: "slow " + c.LocalAddr().String(), c: c, r: bufio.NewReader(c), halt: make(chan struct{}), done: make(chan struct{}),
	}
	fmt.Fprintf(c, "CONNECT {\"verbose\":false,\"name\":%q}\r\nSUB bulk 1\r\nPING\r\n", r.name)
	for {
		line, err := r.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "PONG") {
			break
		}
	}
	go func() {
		defer close(r.done)
		buf := make([]byte, 64<<10)
		for {
			select {
			case <-r.halt:
				return
			default:
			}
			if _, err := r.r.Read(buf); err != nil {
				return
			}
		}
	}()
	return r
}

func (r *reader) stop() {
	close(r.halt)
	<-r.done
}

// rest reads what is still in the socket, up to its end.
func (r *reader) rest(t *testing.T) []byte {
	t.Helper()
	_ = r.c.SetReadDeadline(time.Now().Add(estate.Patience))
	b, err := io.ReadAll(r.r)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("the connection of the slow subscriber was not ended: %v", err)
	}
	return b
}
