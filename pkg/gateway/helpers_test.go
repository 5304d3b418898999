package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/wire"
	"github.com/banyanmq/banyan/test/procs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// await waits until f holds.
func await(t testing.TB, what string, f func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !f() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// site is one gwd: its gateways, and a hub that is a port of the broker.
type site struct {
	*Service
	b   *broker.Broker
	hub *hub
	log *logLines
}

// hub stands for a hub's route at a gwd.
type hub struct {
	port *broker.Port
	in   *broker.Inlet
	mu   sync.Mutex
	got  []string
}

func (h *hub) Deliver(*broker.Msg, *broker.Sub) bool { return false }

func (h *hub) DeliverOnce(m *broker.Msg, _ bool, groups [][]byte) bool {
	line := string(wire.AppendRouteMsg(nil, nil, []byte(m.Account.Name), m.Subject, m.Reply, groups, m.HdrLen, len(m.Payload)))
	h.mu.Lock()
	h.got = append(h.got, strings.TrimSpace(line)+" "+strings.ReplaceAll(string(m.Payload), "\r\n", `\r\n`))
	h.mu.Unlock()
	return true
}

func (h *hub) Flush() {}

// take returns what the hub was sent.
func (h *hub) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	got := h.got
	h.got = nil
	return got
}

func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.got)
}

func (h *hub) sub(a *broker.Account, subj, queue string) *broker.Sub {
	s := &broker.Sub{Port: h.port, Subject: []byte(subj), Origin: h.port.Origin}
	if queue != "" {
		s.Queue = []byte(queue)
	}
	a.Subscribe(s, 1)
	return s
}

// pub sends as the hub would: its route's lines name the groups.
func (h *hub) pub(a *broker.Account, subj, reply, payload string, groups ...string) int {
	m := broker.Msg{Account: a, Subject: []byte(subj), Payload: []byte(payload), Listed: true}
	if reply != "" {
		m.Reply = []byte(reply)
	}
	for _, g := range groups {
		m.Groups = append(m.Groups, []byte(g))
	}
	n := h.in.Publish(&m)
	h.in.Flush()
	return n
}

// logLines keeps what was logged.
type logLines struct {
	path string
}

func (l *logLines) has(text string) bool {
	b, _ := os.ReadFile(l.path)
	return strings.Contains(string(b), text)
}

// newSite starts a gateway named name that knows the remotes (name, then addresses).
func newSite(t testing.TB, name string, change func(*Options), remotes ...config.RemoteGateway) *site {
	t.Helper()
	file := t.TempDir() + "/log"
	lg, err := logging.New(logging.Options{File: file, Debug: true})
	if err != nil {
		t.Fatal(err)
	}
	srv := &link.Server{ID: "N" + name + "GWD", Name: name + "-gwd", Product: "gwd", Started: time.Now()}
	srv.SetCluster(name, false)
	srv.Poller = transport.NewPoller(2)
	t.Cleanup(srv.Poller.Close)
	b := broker.New(srv.ID, name, "")
	b.Answers = broker.FromGateway
	o := Options{
		Server: srv, Broker: b, Log: lg.Logger(), Retry: 50 * time.Millisecond,
		Settings: &config.Gateway{Name: name, Listen: config.Listen{Host: "127.0.0.1", Port: -1}, Remotes: remotes},
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{}
	h.port = &broker.Port{
		ID: b.NextID(), Class: broker.Route, Reach: broker.FromRouteAtBorder, Aggregate: true, Sink: h,
		Origin: broker.Origin{Class: broker.Route},
	}
	h.in = b.NewInlet(h.port)
	b.SetWay(func(_ *broker.Account, cluster, server []byte) *broker.Port {
		if string(cluster) == string(b.ClusterHash[:]) {
			if string(server) == wire.GatewayHash("NHUB") {
				return h.port
			}
			return nil
		}
		return s.Way(cluster)
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		lg.Close()
		if t.Failed() {
			text, _ := os.ReadFile(file)
			t.Logf("log of %s:\n%s", name, text)
		}
	})
	return &site{Service: s, b: b, hub: h, log: &logLines{file}}
}

func remote(name string, addrs ...string) config.RemoteGateway {
	r := config.RemoteGateway{Name: name}
	for _, a := range addrs {
		r.URLs = append(r.URLs, &url.URL{Scheme: "nats", Host: a})
	}
	return r
}

// has waits until the site has an outbound connection to a remote.
func (s *site) has(t testing.TB, remote string) *region {
	t.Helper()
	await(t, "outbound to "+remote, func() bool {
		r := s.region(remote, false)
		return r != nil && r.live() != nil
	})
	return s.region(remote, false)
}

// interest waits until the remote is known to want a subject, or not to.
func (s *site) interest(t testing.TB, account, subj string, on bool) {
	t.Helper()
	await(t, fmt.Sprintf("interest in %s %s is %v", account, subj, on), func() bool {
		for _, x := range s.b.Account(account).Matching([]byte(subj), nil) {
			if x.Port.Class == broker.Gateway {
				return on
			}
		}
		return !on
	})
}

// reference starts a reference server that is a member of region name. It skips the
// test if there is none.
func reference(t testing.TB, name, server, more string) (*procs.Process, procs.Ports) {
	t.Helper()
	exe, err := procs.Reference()
	if err != nil {
		t.Skip(err)
	}
	p, err := procs.Start(procs.Spec{Exe: exe, Dir: t.TempDir(), Config: fmt.Sprintf(
		"server_name: %s\nlisten: 127.0.0.1:-1\nports_file_dir: \"{{dir}}\"\ndebug: true\n%s", server, more)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ports, err := p.Ports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return p, ports
}

// raw is a scripted peer.
type raw struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func dialRaw(t testing.TB, addr string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &raw{t, nc, bufio.NewReader(nc)}
}

func (r *raw) send(lines ...string) {
	for _, l := range lines {
		if _, err := r.nc.Write([]byte(l + "\r\n")); err != nil {
			r.t.Logf("writing %q: %v", l, err)
		}
	}
}

// line reads a line, "" at the end.
func (r *raw) line() string {
	r.nc.SetReadDeadline(time.Now().Add(patience))
	l, err := r.r.ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSpace(l)
}

// until reads lines up to one that begins with a word, answering PINGs.
func (r *raw) until(begin string) (lines []string) {
	r.t.Helper()
	for {
		l := r.line()
		if l == "" {
			r.t.Fatalf("the connection ended before %q; got %q", begin, lines)
		}
		if l == "PING" && begin != "PING" {
			r.send("PONG")
			continue
		}
		lines = append(lines, l)
		if strings.HasPrefix(l, begin) {
			return lines
		}
	}
}

func msgWithHeader(a *broker.Account, subj, hdr, body string) *broker.Msg {
	return &broker.Msg{Account: a, Subject: []byte(subj), HdrLen: len(hdr), Payload: []byte(hdr + body), Listed: true}
}

func newReader(nc net.Conn) *bufio.Reader { return bufio.NewReader(nc) }
