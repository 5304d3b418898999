package border

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/gateway"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/route"
	"github.com/banyanmq/banyan/pkg/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

func await(t testing.TB, what string, f func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !f() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

var serial atomic.Int64

func newServer(t testing.TB, cluster, name string) *link.Server {
	s := &link.Server{ID: fmt.Sprintf("N%055d", serial.Add(1)), Name: name, Started: time.Now()}
	s.SetCluster(cluster, false)
	s.Poller = transport.NewPoller(2)
	t.Cleanup(s.Poller.Close)
	return s
}

func testLog(t testing.TB, name string) *logging.Logger {
	t.Helper()
	file := t.TempDir() + "/log"
	lg, err := logging.New(logging.Options{File: file, Debug: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lg.Close()
		if t.Failed() {
			text, _ := os.ReadFile(file)
			t.Logf("log of %s:\n%s", name, text)
		}
	})
	return lg.Logger()
}

// hub is one hub of a region, with the routes of a real one and clients that are
// ports of its broker.
type hub struct {
	t      testing.TB
	b      *broker.Broker
	routes *route.Service
	srv    *link.Server
}

func newHub(t testing.TB, region, name string, to ...*hub) *hub {
	t.Helper()
	return newHubWith(t, region, name, 0, to...)
}

// newHubWith makes a hub that pings gwds so often; 0 is the default.
func newHubWith(t testing.TB, region, name string, ping time.Duration, to ...*hub) *hub {
	t.Helper()
	h := &hub{t: t, srv: newServer(t, region, name)}
	h.b = broker.New(h.srv.ID, region, "")
	h.b.Account("A")
	set := &config.Cluster{Name: region, Listen: config.Listen{Host: "127.0.0.1", Port: -1}}
	for _, x := range to {
		set.Routes = append(set.Routes, x.url())
	}
	var err error
	h.routes, err = route.New(route.Options{Server: h.srv, Broker: h.b, Settings: set, Log: testLog(t, region+"-"+name), BorderPing: ping})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.routes.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.routes.Close)
	return h
}

func (h *hub) url() *url.URL {
	return &url.URL{Scheme: "nats-route", Host: h.routes.Addr().String()}
}

// client is a client of a hub.
type client struct {
	h    *hub
	a    *broker.Account
	port *broker.Port
	pub  sync.Mutex // for in
	in   *broker.Inlet

	mu  sync.Mutex
	got []received
	fun func(m received)
}

type received struct{ subject, reply, payload string }

func (h *hub) client(account string) *client {
	c := &client{h: h, a: h.b.Account(account)}
	c.port = &broker.Port{
		ID: h.b.NextID(), Class: broker.Client, Reach: broker.FromClient, Sink: c,
		Origin: broker.Origin{Class: broker.Client},
	}
	c.in = h.b.NewInlet(c.port)
	h.t.Cleanup(c.port.Replies.Stop)
	return c
}

func (c *client) Deliver(m *broker.Msg, _ *broker.Sub) bool {
	r := received{subject: string(m.Subject), payload: string(m.Payload)}
	if len(m.Reply) > 0 {
		r.reply = string(c.port.Replies.Strip(m.Reply))
	}
	c.mu.Lock()
	c.got = append(c.got, r)
	f := c.fun
	c.mu.Unlock()
	if f != nil {
		f(r)
	}
	return true
}

func (c *client) DeliverOnce(*broker.Msg, bool, [][]byte) bool { return false }
func (c *client) Flush()                                       {}

// sub subscribes, with a queue group if queue is not empty.
func (c *client) sub(subj, queue string) *broker.Sub {
	s := &broker.Sub{Port: c.port, Subject: []byte(subj), Origin: c.port.Origin}
	if queue != "" {
		s.Queue = []byte(queue)
	}
	c.a.Subscribe(s, 1)
	return s
}

func (c *client) unsub(s *broker.Sub) { c.a.Unsubscribe(s) }

// send publishes and returns to how many destinations it went.
func (c *client) send(subj, reply, payload string) int {
	c.pub.Lock()
	defer c.pub.Unlock()
	m := broker.Msg{Account: c.a, Subject: []byte(subj), Payload: []byte(payload)}
	if reply != "" {
		m.Reply = []byte(reply)
	}
	n := c.in.Publish(&m)
	c.in.Flush()
	return n
}

func (c *client) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

func (c *client) take() []received {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}

// answers makes c answer each request with its own name, from another goroutine:
// a sink must not call the broker.
func (c *client) answers(name string) {
	requests := make(chan received, 1024)
	stop, done := make(chan struct{}), make(chan struct{})
	c.mu.Lock()
	c.fun = func(m received) {
		if m.reply != "" {
			requests <- m
		}
	}
	c.mu.Unlock()
	go func() {
		defer close(done)
		for {
			select {
			case m := <-requests:
				c.send(m.reply, "", name)
			case <-stop:
				return
			}
		}
	}()
	c.h.t.Cleanup(func() {
		close(stop)
		<-done
	})
}

// request sends a request with a fresh inbox and waits for one answer.
func (c *client) request(subj string) (answer string, ok bool) {
	inbox := fmt.Sprintf("_INBOX.%d", serial.Add(1))
	s := c.sub(inbox, "")
	defer c.unsub(s)
	if c.send(subj, inbox, "?") == 0 {
		return "", false
	}
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		c.mu.Lock()
		for i, m := range c.got {
			if m.subject == inbox {
				c.got = append(c.got[:i], c.got[i+1:]...)
				c.mu.Unlock()
				return m.payload, true
			}
		}
		c.mu.Unlock()
		time.Sleep(200 * time.Microsecond)
	}
	return "", false
}

// gwdOptions changes what newGwd makes.
type gwdOptions struct {
	remotes []config.RemoteGateway
	routes  []*url.URL
	border  config.Border
	gateway func(*gateway.Options)
}

// newGwd makes a gwd of the hubs' region.
func newGwd(t testing.TB, region, name string, hubs []*hub, o gwdOptions) *Service {
	t.Helper()
	srv := newServer(t, region, name)
	cfg := &config.Config{
		Daemon:  config.Gwd,
		Cluster: &config.Cluster{Name: region, Listen: config.Listen{Host: "127.0.0.1", Port: -1}, Routes: o.routes},
		Gateway: &config.Gateway{Name: region, Listen: config.Listen{Host: "127.0.0.1", Port: -1}, Remotes: o.remotes},
		Border:  o.border,
	}
	cfg.Limits.MaxPayload = 1 << 20
	if len(cfg.Border.Policies) == 0 {
		deny := config.SubjectPermission{Deny: config.DefaultSystemDeny()}
		cfg.Border.Policies = []config.BorderPolicy{{Account: "$SYS", Outgoing: deny, Incoming: deny}}
	}
	for _, h := range hubs {
		cfg.Cluster.Routes = append(cfg.Cluster.Routes, h.url())
	}
	s, err := New(Options{
		Server: srv, Broker: broker.New(srv.ID, region, ""), Config: cfg, Log: testLog(t, region+"-"+name),
		Tune: func(_ *route.Options, g *gateway.Options) {
			g.Retry = 50 * time.Millisecond
			if o.gateway != nil {
				o.gateway(g)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func remoteOf(name string, gwds ...*Service) config.RemoteGateway {
	r := config.RemoteGateway{Name: name}
	for _, g := range gwds {
		r.URLs = append(r.URLs, &url.URL{Scheme: "nats", Host: g.Addr().String()})
	}
	return r
}

// reaches waits until a gwd has an outbound connection to each remote.
func reaches(t testing.TB, g *Service, remotes ...string) {
	t.Helper()
	await(t, fmt.Sprint("outbound connections to ", remotes), func() bool {
		var names []string
		for _, r := range g.Gateways().Remotes() {
			names = append(names, r.Name)
		}
		for _, want := range remotes {
			if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+want+" ") {
				return false
			}
		}
		return true
	})
}

// wants waits until a hub knows, or does not know any more, that another region
// wants a subject.
func (h *hub) wants(account, subj string, on bool) {
	h.t.Helper()
	await(h.t, fmt.Sprintf("%s: interest of other regions in %s is %v", h.srv.Name, subj, on), func() bool {
		for _, x := range h.b.Account(account).Matching([]byte(subj), nil) {
			if x.Port.Class == broker.Border {
				return on
			}
		}
		return !on
	})
}
