package leaf

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/client"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long tests wait for what must come.
const patience = 10 * time.Second

// node is one process with clients and leaf links.
type node struct {
	t   testing.TB
	srv *link.Server
	b   *broker.Broker
	reg *link.Registry
	cfg *config.Config
	o   Options
	s   *Service
	c   *client.Service
}

var nodes atomic.Int64

// newNode prepares a server of this name; change may alter its settings.
func newNode(t testing.TB, name string, change ...func(n *node)) *node {
	t.Helper()
	id := fmt.Sprintf("N%055d", nodes.Add(1))
	n := &node{t: t, srv: &link.Server{ID: id, Name: name, Version: "0.0.1"}, reg: link.NewRegistry(100)}
	n.srv.Poller = transport.NewPoller(2)
	t.Cleanup(n.srv.Poller.Close)
	n.cfg = &config.Config{
		Client:        config.Client{Listen: config.Listen{Host: "127.0.0.1", Port: -1}},
		SystemAccount: config.DefaultSystemAccount,
		LeafNodes:     &config.LeafNodes{},
	}
	n.o = Options{Server: n.srv, Registry: n.reg, LeafURLs: new(link.URLs), Settings: n.cfg.LeafNodes}
	for _, f := range change {
		f(n)
	}
	cluster, _ := n.srv.Cluster()
	n.b = broker.New(id, cluster, "")
	n.o.Broker, n.o.Limits = n.b, n.cfg.Limits
	if n.o.Auth == nil {
		n.o.Auth = auth.FromConfig(n.cfg)
	}
	n.s = New(n.o)
	n.c = client.New(client.Options{
		Server: n.srv, Broker: n.b, Registry: link.NewRegistry(10), URLs: new(link.URLs), Auth: n.o.Auth, Settings: n.cfg,
		Leafs: n.s.AcceptWebSocket,
	})
	return n
}

func (n *node) start() *node {
	n.t.Helper()
	if err := n.c.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(n.c.Close)
	if err := n.s.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(n.s.Close)
	return n
}

func startNode(t testing.TB, name string, change ...func(n *node)) *node {
	t.Helper()
	return newNode(t, name, change...).start()
}

// listening opens a leaf listener.
func listening(n *node) { n.cfg.LeafNodes.Listen = config.Listen{Host: "127.0.0.1", Port: -1} }

// dialing adds a remote; change may alter it.
func dialing(addr string, change ...func(r *config.LeafRemote)) func(n *node) {
	return func(n *node) {
		u, err := url.Parse("nats-leaf://" + addr)
		if err != nil {
			n.t.Fatal(err)
		}
		r := config.LeafRemote{URLs: []*url.URL{u}, NoRandomize: true, IgnoreDiscovered: config.Yes}
		for _, f := range change {
			f(&r)
		}
		n.cfg.LeafNodes.Remotes = append(n.cfg.LeafNodes.Remotes, r)
	}
}

// compressing sets the mode of listener and remotes given before.
func compressing(m config.CompressionMode) func(n *node) {
	return func(n *node) {
		n.cfg.LeafNodes.Compression.Mode = m
		for i := range n.cfg.LeafNodes.Remotes {
			n.cfg.LeafNodes.Remotes[i].Compression.Mode = m
		}
	}
}

// hurried makes remotes come back soon, for tests of what comes after.
func hurried(n *node) {
	n.cfg.LeafNodes.Reconnect = 20 * time.Millisecond
	n.cfg.LeafNodes.ReconnectMax = 100 * time.Millisecond
	n.cfg.LeafNodes.ReconnectSpread = 50 * time.Millisecond
}

func (n *node) addr() string { return n.s.Addr().String() }

func (n *node) nats(opts ...nats.Option) *nats.Conn {
	n.t.Helper()
	return connect(n.t, "nats://"+n.c.Addr().String(), opts...)
}

func connect(t testing.TB, u string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(u, append([]nats.Option{nats.Timeout(patience)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// failer is a test, of the testing package or of rapid.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// eventually waits for a condition.
func eventually(t failer, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", patience, what)
		case <-tick.C:
		}
	}
}

// links waits for a number of open links.
func (n *node) links(want int) *node {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%d leaf links at %s", want, n.srv.Name), func() bool { return n.reg.Len() == want })
	return n
}

// wants waits until an account has interest that a subject would match.
func (n *node) wants(account, subj string) {
	n.t.Helper()
	n.hasInterest(account, subj, true)
}

func (n *node) hasInterest(account, subj string, want bool) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("interest of %s in %s %s: %v", n.srv.Name, account, subj, want), func() bool {
		return n.b.Account(account).HasInterest([]byte(subj)) == want
	})
}

// box collects messages.
type box struct {
	t testing.TB
	c chan *nats.Msg
}

func subscribe(t testing.TB, nc *nats.Conn, subj, queue string) *box {
	t.Helper()
	b := &box{t, make(chan *nats.Msg, 20000)}
	var err error
	if queue == "" {
		_, err = nc.ChanSubscribe(subj, b.c)
	} else {
		_, err = nc.ChanQueueSubscribe(subj, queue, b.c)
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *box) get() *nats.Msg {
	b.t.Helper()
	select {
	case m := <-b.c:
		return m
	case <-time.After(patience):
		b.t.Fatal("no message")
		return nil
	}
}

func (b *box) expect(data string) {
	b.t.Helper()
	if m := b.get(); string(m.Data) != data {
		b.t.Fatalf("got %q, want %q", m.Data, data)
	}
}

func publish(t testing.TB, nc *nats.Conn, subj, data string) {
	t.Helper()
	if err := nc.Publish(subj, []byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// numbered publishes n numbered messages and checks that all come, each once and in order.
func numbered(t testing.TB, from *nats.Conn, to *box, subj string, n int) {
	t.Helper()
	for i := range n {
		if err := from.Publish(subj, fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, from, subj, "end")
	for i := range n {
		to.expect(fmt.Sprint(i))
	}
	to.expect("end")
}

// shared publishes n messages and checks that the members of a group get each once
// between them. It returns how many each got.
func shared(t testing.TB, from *nats.Conn, subj string, n int, members ...*box) []int {
	t.Helper()
	seen := make(map[string]int)
	counts := make([]int, len(members))
	var mu sync.Mutex
	var wg sync.WaitGroup
	done := make(chan struct{})
	total := 0
	for i, b := range members {
		wg.Go(func() {
			for {
				select {
				case m := <-b.c:
					mu.Lock()
					seen[string(m.Data)]++
					counts[i]++
					total++
					mu.Unlock()
				case <-done:
					return
				}
			}
		})
	}
	for i := range n {
		if err := from.Publish(subj, fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all messages of the group", func() bool { mu.Lock(); defer mu.Unlock(); return total >= n })
	close(done)
	wg.Wait()
	if total != n || len(seen) != n {
		t.Fatalf("%d messages for %d published, %d different", total, n, len(seen))
	}
	return counts
}

// respond answers requests with a name.
func respond(t testing.TB, nc *nats.Conn, subj, name string) {
	t.Helper()
	if _, err := nc.Subscribe(subj, func(m *nats.Msg) {
		r := nats.NewMsg(m.Reply)
		r.Header.Set("By", name)
		r.Data = []byte(name + " got " + string(m.Data))
		m.RespondMsg(r)
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func request(t testing.TB, nc *nats.Conn, subj, data, want string) {
	t.Helper()
	m, err := nc.Request(subj, []byte(data), patience)
	if err != nil {
		t.Fatalf("request %s: %v", subj, err)
	}
	if string(m.Data) != want || m.Header.Get("By") == "" {
		t.Fatalf("answer %q with header %v, want %q", m.Data, m.Header, want)
	}
}

func has(list []string, part string) bool {
	return strings.Contains(strings.Join(list, "\n"), part)
}
