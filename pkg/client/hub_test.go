package client

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hub is a client listener over a broker of its own.
type hub struct {
	*Service
	broker   *broker.Broker
	registry *link.Registry
	urls     *link.URLs
	addr     string
}

// patience is how long tests wait for what must come.
const patience = 10 * time.Second

func startHub(t testing.TB, change ...func(*config.Config)) *hub {
	t.Helper()
	cfg := &config.Config{Client: config.Client{Listen: config.Listen{Host: "127.0.0.1", Port: -1}}}
	for _, f := range change {
		f(cfg)
	}
	h := &hub{broker: broker.New("NTEST", "", cfg.SystemAccount), registry: link.NewRegistry(100), urls: new(link.URLs)}
	h.Service = New(Options{
		Server: &link.Server{ID: "NTEST", Name: "NTEST", XKey: "XTEST", Version: "0.0.1", Poller: newPoller(t)},
		Broker: h.broker, Registry: h.registry, URLs: h.urls, Auth: auth.FromConfig(cfg), Settings: cfg,
		FirstPing: time.Hour, // so that no PING comes between
	})
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	h.addr = h.Addr().String()
	return h
}

func newPoller(t testing.TB) *transport.Poller {
	p := transport.NewPoller(2)
	t.Cleanup(p.Close)
	return p
}

func (h *hub) nats(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("nats://"+h.addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// raw is a client made of a socket.
type raw struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (h *hub) raw(t testing.TB) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return newRaw(t, nc)
}

func newRaw(t testing.TB, nc net.Conn) *raw { return &raw{t, nc, bufio.NewReader(nc)} }

// dial connects and reads INFO.
func (h *hub) dial(t testing.TB) *raw {
	t.Helper()
	c := h.raw(t)
	c.info()
	return c
}

const quiet = `{"verbose":false,"pedantic":false,"protocol":1,"headers":true,"no_responders":true`

// ready is a client past its first PONG; extra is added to its CONNECT.
func (h *hub) ready(t testing.TB, extra ...string) *raw {
	t.Helper()
	c := h.dial(t)
	c.send("CONNECT " + quiet + strings.Join(append([]string{""}, extra...), ",") + "}\r\nPING\r\n")
	c.expect("PONG\r\n")
	if i := c.info(); !i.ConnectInfo {
		t.Fatalf("INFO after PONG is %+v", i)
	}
	return c
}

func (c *raw) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("sending %.60q: %v", s, err)
	}
}

func (c *raw) line() string {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	l, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("reading a line: %v, after %q", err, l)
	}
	return l
}

func (c *raw) info() (i wire.ClientInfo) {
	c.t.Helper()
	l := c.line()
	js, ok := strings.CutPrefix(l, "INFO ")
	if !ok {
		c.t.Fatalf("got %q instead of INFO", l)
	}
	if err := json.Unmarshal([]byte(js), &i); err != nil {
		c.t.Fatal(err)
	}
	return i
}

// expect reads exactly want.
func (c *raw) expect(want string) {
	c.t.Helper()
	b := make([]byte, len(want))
	c.SetReadDeadline(time.Now().Add(patience))
	n, err := io.ReadFull(c.r, b)
	if got := string(b[:n]); got != want {
		c.t.Fatalf("got  %q (%v)\nwant %q", got, err, want)
	}
}

// ask sends s and a PING and expects want before the PONG.
func (c *raw) ask(s, want string) {
	c.t.Helper()
	c.send(s + "PING\r\n")
	c.expect(want + "PONG\r\n")
}

// eof expects nothing but the end.
func (c *raw) eof() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c.r)
	if len(b) > 0 || err != nil {
		c.t.Fatalf("instead of the end: %.100q, %v", b, err)
	}
}

// ended reads until the end, however it comes.
func (c *raw) ended() string {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("still open after %q", b)
	}
	return string(b)
}

// silent expects that nothing comes for a while.
func (c *raw) silent(d time.Duration) {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(d))
	if b, err := c.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		all, _ := c.r.Peek(c.r.Buffered())
		c.t.Fatalf("expected silence, got %q %q, %v", b, all, err)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
	}
}

// reasonOf waits for a connection to be closed and returns why.
func (h *hub) reasonOf(t testing.TB, id uint64) wire.CloseReason {
	t.Helper()
	var r wire.CloseReason
	eventually(t, "connection closed", func() bool {
		for _, i := range h.registry.Closed() {
			if i.ID == id {
				r = i.Reason
				return true
			}
		}
		return false
	})
	return r
}
