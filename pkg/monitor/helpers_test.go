package monitor_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/client"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/clientview"
	"github.com/banyanmq/banyan/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// hub is a daemon with clients and the HTTP port.
type hub struct {
	*monitor.Service
	clients  *client.Service
	broker   *broker.Broker
	config   *config.Config
	options  monitor.Options
	base     string
	draining chan struct{}
}

func serverID() string { return "NTEST" }

// newOptions are those of a daemon of which nothing is started.
func newOptions(change ...func(*config.Config)) monitor.Options {
	cfg := &config.Config{
		Daemon: config.Hubd,
		Client: config.Client{Listen: config.Listen{Host: "127.0.0.1", Port: -1}},
		HTTP:   config.HTTP{Listen: config.Listen{Host: "127.0.0.1", Port: -1}},
		Limits: config.Limits{
			MaxConnections: 100, MaxPayload: 1 << 20, MaxPending: 64 << 20, MaxControlLine: 4096, PingInterval: 2 * time.Minute, PingMax: 2,
			WriteDeadline: 10 * time.Second,
		},
	}
	for _, f := range change {
		f(cfg)
	}
	return monitor.Options{
		Server: &link.Server{ID: serverID(), Name: "test", XKey: "XTEST", Version: "0.0.1", Product: "hubd", Started: time.Now()},
		Config: cfg, Broker: broker.New(serverID(), "", cfg.SystemAccount), ClientURLs: new(link.URLs),
		Clients: link.NewRegistry(100), Routes: link.NewRegistry(100), Gateways: link.NewRegistry(100), Leafs: link.NewRegistry(100),
		Hooks: monitor.Hooks{Client: clientview.Details},
	}
}

func startHub(t testing.TB, change ...func(*config.Config)) *hub {
	t.Helper()
	o := newOptions(change...)
	h := &hub{broker: o.Broker, config: o.Config, draining: make(chan struct{})}
	o.Draining = h.draining
	h.clients = client.New(client.Options{
		Server: o.Server, Broker: o.Broker, Registry: o.Clients, URLs: o.ClientURLs, Auth: auth.FromConfig(o.Config), Settings: o.Config,
	})
	o.Hooks.ClientAddr = func() *net.TCPAddr { return h.clients.Addr() }
	h.options = o
	h.Service = monitor.New(o)
	for _, s := range []interface{ Start() error }{h.clients, h.Service} {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(h.Close)
	t.Cleanup(h.clients.Close)
	h.base = "http://" + h.Addr().String() + o.Config.HTTP.BasePath
	return h
}

func (h *hub) nats(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("nats://"+h.clients.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// get asks and returns the status, the header and the body.
func get(t testing.TB, method, url string, header ...string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

// ask decodes an answer that must be a success.
func ask[T any](t testing.TB, url string) T {
	t.Helper()
	code, _, body := get(t, http.MethodGet, url)
	var v T
	if code != http.StatusOK {
		t.Fatalf("%s: status %d, %s", url, code, body)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%s: %v in %s", url, err, body)
	}
	return v
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// fake is a connection of any kind.
type fake struct{ i link.Info }

func (f *fake) ID() uint64             { return f.i.ID }
func (f *fake) Info(bool) link.Info    { return f.i }
func (f *fake) Close(wire.CloseReason) {}

func add(r *link.Registry, i link.Info) *fake {
	f := &fake{i}
	r.Add(f)
	return f
}

func remove(r *link.Registry, f *fake, reason wire.CloseReason, at time.Time) {
	i := f.i
	i.Reason, i.Stopped = reason, at
	r.Remove(f, i)
}
