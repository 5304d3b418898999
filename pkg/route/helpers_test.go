package route

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is one process with routes, and a client of our own.
type node struct {
	t   testing.TB
	id  string
	srv *link.Server
	b   *broker.Broker
	set *config.Cluster
	o   Options
	s   *Service
}

var nodeCount struct {
	sync.Mutex
	n int
}

func nodeID() string {
	nodeCount.Lock()
	defer nodeCount.Unlock()
	nodeCount.n++
	return fmt.Sprintf("N%055d", nodeCount.n)
}

// newNode prepares a hub of cluster CL; tune may change its options.
func newNode(t testing.TB, tune func(n *node)) *node {
	t.Helper()
	n := &node{t: t, id: nodeID()}
	n.srv = &link.Server{ID: n.id, Name: "name-" + n.id[50:]}
	n.srv.Poller = transport.NewPoller(2)
	t.Cleanup(n.srv.Poller.Close)
	n.srv.SetCluster("CL", false)
	n.set = &config.Cluster{Name: "CL", Listen: config.Listen{Host: "127.0.0.1", Port: -1}}
	n.b = broker.New(n.id, "CL", "")
	n.b.Account("A")
	n.b.Account("B")
	n.o = Options{Server: n.srv, Broker: n.b, Settings: n.set, URLs: new(link.URLs),
		LeafURLs: new(link.URLs), GatewayURLs: new(link.URLs), Registry: link.NewRegistry(10), Log: testLog(t)}
	if tune != nil {
		tune(n)
	}
	s, err := New(n.o)
	if err != nil {
		t.Fatal(err)
	}
	n.s = s
	return n
}

func (n *node) start() *node {
	n.t.Helper()
	if err := n.s.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(n.s.Close)
	return n
}

func startNode(t testing.TB, tune func(n *node)) *node {
	t.Helper()
	return newNode(t, tune).start()
}

func (n *node) url() *url.URL {
	return &url.URL{Scheme: "nats-route", Host: n.s.Addr().String()}
}

// dialing lets a node dial others.
func dialing(to ...*node) func(n *node) {
	return func(n *node) {
		for _, x := range to {
			n.set.Routes = append(n.set.Routes, x.url())
		}
	}
}

func (n *node) synced() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.s.WaitSynced(ctx); err != nil {
		n.t.Fatal(err)
	}
}

func testLog(t testing.TB) *logging.Logger { return logging.Discard() }

// client is a port of class Client that records what it gets.
type client struct {
	n     *node
	a     *broker.Account
	port  *broker.Port
	inlet *broker.Inlet

	mu   sync.Mutex
	got  []string // "subject reply payload" and for queues " [queue]"
	news chan struct{}
}

func (n *node) client(account string) *client {
	c := &client{n: n, a: n.b.Account(account), news: make(chan struct{}, 1)}
	c.port = &broker.Port{ID: n.b.NextID(), Class: broker.Client, Reach: broker.FromClient,
		Origin: broker.Origin{Class: broker.Client}, Sink: c}
	c.inlet = n.b.NewInlet(c.port)
	return c
}

func (c *client) Deliver(m *broker.Msg, s *broker.Sub) bool {
	line := string(m.Subject) + " " + string(m.Reply) + " " + string(m.Payload)
	if s.Queue != nil {
		line += " [" + string(s.Queue) + "]"
	}
	c.mu.Lock()
	c.got = append(c.got, line)
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
	return true
}

func (c *client) DeliverOnce(*broker.Msg, bool, [][]byte) bool { panic("not aggregate") }
func (c *client) Flush()                                       {}

func (c *client) sub(subj, queue string) *broker.Sub {
	s := &broker.Sub{Port: c.port, Subject: []byte(subj), Origin: c.port.Origin}
	if queue != "" {
		s.Queue = []byte(queue)
	}
	c.a.Subscribe(s, 1)
	return s
}

func (c *client) pub(subj, reply, payload string) int {
	m := &broker.Msg{Account: c.a, Subject: []byte(subj), Payload: []byte(payload)}
	if reply != "" {
		m.Reply = []byte(reply)
	}
	n := c.inlet.Publish(m)
	c.inlet.Flush()
	return n
}

func (c *client) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

func (c *client) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}

// want waits until n messages have come, and no more within a moment.
func (c *client) want(n int) []string {
	c.n.t.Helper()
	eventually(c.n.t, func() bool { return c.count() >= n }, func() string {
		return fmt.Sprintf("%d of %d messages: %q", c.count(), n, c.take())
	})
	time.Sleep(20 * time.Millisecond) // what would be a duplicate has time to come
	got := c.take()
	if len(got) != n {
		c.n.t.Fatalf("got %d messages instead of %d: %.10q", len(got), n, got)
	}
	return got
}

func eventually(t testing.TB, ok func() bool, what func() string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain: " + what())
		}
		time.Sleep(time.Millisecond)
	}
}

// knows waits until a message on subj would go somewhere, or nowhere.
func (n *node) knows(account, subj string, yes bool) {
	n.t.Helper()
	a := n.b.Account(account)
	eventually(n.t, func() bool { return a.HasInterest([]byte(subj)) == yes }, func() string {
		return fmt.Sprintf("%s: interest in %s %s should be %v", n.srv.Name, account, subj, yes)
	})
}

// weight waits until the routed weight of a queue is w.
func (n *node) weight(account, subj, queue string, w int32) {
	n.t.Helper()
	a := n.b.Account(account)
	sum := func() (k int32) {
		for _, s := range a.Matching([]byte(subj), nil) {
			if s.Port.Class == broker.Route && bytes.Equal(s.Queue, []byte(queue)) {
				k += s.Weight()
			}
		}
		return k
	}
	eventually(n.t, func() bool { return sum() == w }, func() string {
		return fmt.Sprintf("weight of %s %s is %d instead of %d", subj, queue, sum(), w)
	})
}

// routes waits until there are n connections, all in sync.
func (n *node) routes(count int) {
	n.t.Helper()
	eventually(n.t, func() bool {
		list := n.s.Peers()
		for _, i := range list {
			if !i.More.(Details).Synced {
				return false
			}
		}
		return len(list) == count
	}, func() string {
		s := fmt.Sprintf("%d routes instead of %d:", len(n.s.Peers()), count)
		for _, i := range n.s.Peers() {
			s += fmt.Sprintf("\n%+v", i.More)
		}
		return s
	})
}

// freePort is a port that was free a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
