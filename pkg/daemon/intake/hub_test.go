package intake_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/daemon"
	"github.com/banyanmq/banyan/pkg/daemon/intake"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/route"
	"github.com/banyanmq/banyan/pkg/system"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// hub is a hubd inside the test.
type hub struct {
	*daemon.Process
	in     *intake.Intake
	routes *route.Service
	log    string
	file   string
}

// start runs a hub with settings in the .conf format, besides those of its ports.
func start(t testing.TB, conf string) *hub {
	t.Helper()
	dir := t.TempDir()
	file, log := filepath.Join(dir, "hub.conf"), filepath.Join(dir, "log")
	conf = fmt.Sprintf("listen: 127.0.0.1:-1, log_file: %q, debug: true\n%s", log, conf)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() (*config.Config, []config.Warning, error) {
		return config.Load(config.LoadOptions{Daemon: config.Hubd, File: file})
	}
	cfg, _, err := load()
	if err != nil {
		t.Fatalf("%v in\n%s", err, conf)
	}
	p, err := daemon.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.SetLoad(load)
	h := &hub{Process: p, log: log, file: file}
	if h.in, err = intake.New(p); err != nil {
		t.Fatal(err)
	}
	hooks := h.in.Hooks
	if cfg.Cluster != nil {
		h.routes, err = route.New(route.Options{
			Server: p.Server, Broker: p.Broker, Registry: p.Routes, Settings: cfg.Cluster, Role: route.Hub, Log: p.Log,
			URLs: p.ClientURLs, LeafURLs: p.LeafURLs, GatewayURLs: p.GatewayURLs, MaxPayload: int32(cfg.Limits.MaxPayload),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	reports := monitor.New(monitor.Options{
		Server: p.Server, Config: cfg, Broker: p.Broker, ClientURLs: p.ClientURLs,
		Clients: p.Clients, Routes: p.Routes, Leafs: p.Leafs, Draining: p.Draining(), Hooks: hooks, Log: p.Log,
	}).Reports()
	p.Add(daemon.ServicePart(daemon.Services, "system services", "", "", system.New(system.Options{
		Server: p.Server, Config: cfg, Broker: p.Broker, Reports: reports, Clients: p.Clients, Routes: p.Routes, Leafs: p.Leafs, Log: p.Log,
	})))
	p.Add(daemon.ServicePart(daemon.Intake, "client listener", "nats", "nats", h.in.Clients))
	if h.in.Leafs != nil {
		p.Add(daemon.ServicePart(daemon.Intake, "leaf listener", "leafnodes", "nats", h.in.Leafs))
	}
	if h.routes != nil {
		p.Add(daemon.ServicePart(daemon.Mesh, "cluster listener", "cluster", "nats", h.routes))
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return h
}

func (h *hub) addr() string { return h.in.Clients.Addr().String() }

// connect is a client that must get in.
func (h *hub) connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := h.try(opts...)
	if err != nil {
		t.Fatalf("%v\n%s", err, h.logged())
	}
	t.Cleanup(nc.Close)
	return nc
}

func (h *hub) try(opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect("nats://"+h.addr(), append([]nats.Option{nats.NoReconnect(), nats.Timeout(patience)}, opts...)...)
}

func (h *hub) logged() string {
	b, _ := os.ReadFile(h.log)
	return string(b)
}

// says waits until the log holds a text.
func (h *hub) says(t testing.TB, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(h.logged(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log lacks %q:\n%s", text, h.logged())
		}
	}
}

// info finds an open client by its name.
func (h *hub) info(t testing.TB, name string) link.Info {
	t.Helper()
	for _, c := range h.Clients.Open() {
		if i := c.Info(false); i.Name == name {
			return i
		}
	}
	t.Fatalf("no client %q", name)
	return link.Info{}
}

// closed waits for the end of a client of a name.
func (h *hub) closed(t testing.TB, name string) link.Info {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		for _, i := range h.Clients.Closed() {
			if i.Name == name {
				return i
			}
		}
		if time.Now().After(end) {
			t.Fatalf("connection %q was not closed", name)
		}
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
	}
}
