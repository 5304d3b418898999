package daemons

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/border"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/daemon"
	"github.com/banyanmq/banyan/pkg/daemon/intake"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/gatewayview"
	"github.com/banyanmq/banyan/pkg/monitor/routeview"
	"github.com/banyanmq/banyan/pkg/route"
	"github.com/banyanmq/banyan/pkg/system"
)

// Patience is how long anything may take.
const Patience = 20 * time.Second

// Server is a daemon in this process.
type Server struct {
	*daemon.Process
	System *system.Service
	addr   func(kind string) string
	t      testing.TB
}

// Hub starts a hubd with the settings in text, whose client port is the kernel's choice.
func Hub(t testing.TB, name, text string) *Server {
	return start(t, config.Hubd, name, "listen: \"127.0.0.1:-1\"\n"+text, hub)
}

// Leaf starts a leafd.
func Leaf(t testing.TB, name, text string) *Server {
	return start(t, config.Leafd, name, "listen: \"127.0.0.1:-1\"\n"+text, hub)
}

// Gwd starts a gwd.
func Gwd(t testing.TB, name, text string) *Server {
	return start(t, config.Gwd, name, text, gwd)
}

func start(t testing.TB, kind config.Daemon, name, text string, build func(*Server) error) *Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".conf")
	text = fmt.Sprintf("server_name: %s\nlog_file: %q\n", name, filepath.Join(filepath.Dir(file), "log")) + text
	if kind == config.Gwd {
		text = "border {}\n" + text
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(config.LoadOptions{Daemon: kind, File: file})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p, err := daemon.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Process: p, t: t}
	if err := build(s); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			if b, err := os.ReadFile(cfg.Log.File); err == nil {
				t.Logf("log of %s:\n%s", name, b)
			}
		}
	})
	return s
}

// hub is what hubd and leafd are made of.
func hub(s *Server) error {
	p := s.Process
	in, err := intake.New(p)
	if err != nil {
		return err
	}
	hooks := in.Hooks
	var routes *route.Service
	if p.Config.Cluster != nil {
		routes, err = route.New(route.Options{
			Server: p.Server, Broker: p.Broker, Registry: p.Routes, Settings: p.Config.Cluster, Role: route.Hub, Log: p.Log,
			URLs: p.ClientURLs, LeafURLs: p.LeafURLs, GatewayURLs: p.GatewayURLs, MaxPayload: int32(p.Config.Limits.MaxPayload),
		})
		if err != nil {
			return err
		}
		hooks.Route, hooks.RouteAddr = routeview.Details, routes.Addr
		p.Broker.SetWay(func(a *broker.Account, cluster, server []byte) *broker.Port {
			if string(cluster) != string(p.Broker.ClusterHash[:]) {
				return nil
			}
			return routes.PortForServer(a, server)
		})
	}
	reports := monitor.NewReports(monitor.Options{
		Server: p.Server, Config: p.Config, Broker: p.Broker, ClientURLs: p.ClientURLs,
		Clients: p.Clients, Routes: p.Routes, Leafs: p.Leafs, Draining: p.Draining(), Hooks: hooks, TLS: p.TLS, Log: p.Log,
	})
	s.System = system.New(system.Options{
		Server: p.Server, Config: p.Config, Broker: p.Broker, Reports: reports,
		Clients: p.Clients, Routes: p.Routes, Leafs: p.Leafs, Draining: p.Draining(), LameDuck: in.Clients.LameDuck, TLS: p.TLS, Log: p.Log,
	})
	p.Add(daemon.ServicePart(daemon.Services, "system services", "", "", s.System))
	part := daemon.ServicePart(daemon.Intake, "client listener", "nats", "nats", in.Clients)
	part.Drain = in.Drain
	p.Add(part)
	if in.Leafs != nil {
		p.Add(daemon.ServicePart(daemon.Intake, "leaf listener", "leafnodes", "nats", in.Leafs))
	}
	if routes != nil {
		p.Add(daemon.ServicePart(daemon.Mesh, "cluster listener", "cluster", "nats", routes))
	}
	s.addr = func(kind string) string {
		switch {
		case kind == "nats":
			return in.Clients.Addr().String()
		case kind == "cluster" && routes != nil:
			return routes.Addr().String()
		case kind == "leafnodes" && in.Leafs != nil && in.Leafs.Addr() != nil:
			return in.Leafs.Addr().String()
		}
		return ""
	}
	return nil
}

func gwd(s *Server) error {
	p := s.Process
	b, err := border.New(border.Options{
		Server: p.Server, Broker: p.Broker, Config: p.Config, Log: p.Log,
		Routes: p.Routes, Gateways: p.Gateways, GatewayURLs: p.GatewayURLs,
	})
	if err != nil {
		return err
	}
	reports := monitor.NewReports(monitor.Options{
		Server: p.Server, Config: p.Config, Broker: p.Broker, Routes: p.Routes, Gateways: p.Gateways, Draining: p.Draining(), TLS: p.TLS, Log: p.Log,
		Hooks: monitor.Hooks{
			Route: routeview.Details, RouteAddr: b.RouteAddr,
			Gateway: gatewayview.Details, GatewayAddr: b.Addr, GatewayAccounts: gatewayview.Accounts(b.Gateways().Status),
		},
	})
	s.System = system.New(system.Options{
		Server: p.Server, Config: p.Config, Broker: p.Broker, Reports: reports,
		Routes: p.Routes, Gateways: p.Gateways, Reach: broker.FromClientAtBorder, Draining: p.Draining(), TLS: p.TLS, Log: p.Log,
	})
	p.Add(daemon.ServicePart(daemon.Services, "system services", "", "", s.System))
	p.Add(daemon.ServicePart(daemon.Mesh, "border", "gateway", "nats", b))
	s.addr = func(kind string) string {
		switch kind {
		case "gateway":
			return b.Addr().String()
		case "cluster":
			return b.RouteAddr().String()
		}
		return ""
	}
	return nil
}

// Addr is the address of a listener: nats, cluster, gateway or leafnodes.
func (s *Server) Addr(kind string) string {
	s.t.Helper()
	a := s.addr(kind)
	if a == "" {
		s.t.Fatalf("%s has no %s listener", s.Server.Name, kind)
	}
	return a
}

// Nats connects a client. Its password is "pw".
func (s *Server) Nats(user string, opts ...nats.Option) *nats.Conn {
	s.t.Helper()
	if user != "" {
		opts = append(opts, nats.UserInfo(user, "pw"))
	}
	nc, err := nats.Connect("nats://"+s.Addr("nats"), opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// Knows waits until the account has interest in a subject from a class of connections.
func (s *Server) Knows(account, subject string, class broker.Class) {
	s.t.Helper()
	Eventually(s.t, fmt.Sprintf("%s knows of %s in %s", s.Server.Name, subject, account), func() bool {
		for _, sub := range s.Broker.Account(account).Matching([]byte(subject), nil) {
			if sub.Port.Class&class != 0 {
				return true
			}
		}
		return false
	})
}

// Cluster starts n hubs of one cluster, named n1, n2 ..., and waits until each has
// heard of all others. text returns further settings.
func Cluster(t testing.TB, name string, n int, text func(i int) string) []*Server {
	t.Helper()
	var all []*Server
	var routes []string
	for i := range n {
		s := Hub(t, fmt.Sprintf("%s%d", name, i+1), fmt.Sprintf("cluster { name: %s, listen: \"127.0.0.1:-1\", routes: [%s] }\n", name, strings.Join(routes, ","))+text(i))
		all = append(all, s)
		routes = append(routes, fmt.Sprintf("%q", "nats://"+s.Addr("cluster")))
	}
	for _, s := range all {
		Eventually(t, s.Server.Name+" knows all servers", func() bool { return s.System.Servers() == n })
	}
	return all
}

// Eventually waits until ok.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never happened that %s", what)
		}
	}
}
