// Hubd is the cluster core of a region: clients, routes to the other members of
// the cluster, and leaf links.
package main

import (
	"context"
	"os"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/cli/access"
	"github.com/banyanmq/banyan/pkg/cli/keysjwt"
	"github.com/banyanmq/banyan/pkg/client"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/daemon"
	"github.com/banyanmq/banyan/pkg/daemon/intake"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/console"
	"github.com/banyanmq/banyan/pkg/monitor/metrics/prom"
	"github.com/banyanmq/banyan/pkg/monitor/routeview"
	"github.com/banyanmq/banyan/pkg/route"
	"github.com/banyanmq/banyan/pkg/system"
)

func main() {
	os.Exit(cli.Main(cli.Daemon{
		Name:   config.Hubd,
		Short:  "The cluster core of a Banyan region: clients, routes and leaf links",
		Keys:   keysjwt.Commands,
		Access: access.Command,
		Run: func(ctx context.Context, o cli.RunOptions) error {
			return daemon.Run(ctx, o.Config, o.Warnings, o.Again, build)
		},
	}))
}

func build(p *daemon.Process) error {
	in, err := intake.New(p)
	if err != nil {
		return err
	}
	if !p.Config.InOperatorMode() && auth.FromConfig(p.Config).PlaintextPasswords() {
		p.Log.Warnf("Plaintext passwords detected, use nkeys or bcrypt")
	}
	if p.Config.Gateway != nil {
		p.Log.Noticef("The gateway block is served by gwd: run it with the same file")
	}
	clients, leafs, hooks := in.Clients, in.Leafs, in.Hooks

	var routes *route.Service
	if p.Config.Cluster != nil {
		routes, err = route.New(route.Options{
			Server: p.Server, Broker: p.Broker, Registry: p.Routes, Settings: p.Config.Cluster, Role: route.Hub, Log: p.Log,
			URLs: p.ClientURLs, WebSocketURLs: p.WebSocketURLs, LeafURLs: p.LeafURLs, GatewayURLs: p.GatewayURLs,
			MaxPayload:          int32(p.Config.Limits.MaxPayload),
			ConnectErrorReports: p.Config.ConnectErrorReports, ReconnectErrorReports: p.Config.ReconnectErrorReports,
		})
		if err != nil {
			return err
		}
		hooks.Route, hooks.RouteAddr = routeview.Details, routes.Addr
		p.Broker.SetWay(func(a *broker.Account, cluster, server []byte) *broker.Port {
			if string(cluster) != string(p.Broker.ClusterHash[:]) {
				return nil // the border has announced interest in such subjects
			}
			return routes.PortForServer(a, server)
		})
	}

	observe(p, hooks, clients)
	part := daemon.ServicePart(daemon.Intake, "client listener", "nats", scheme(p.Config.Client.TLS), clients)
	part.Drain = func(ctx context.Context) {
		if routes != nil {
			routes.LameDuck()
		}
		in.Drain(ctx)
	}
	p.Add(part)
	var leafTLS *config.TLS
	if p.Config.LeafNodes != nil {
		leafTLS = p.Config.LeafNodes.TLS
	}
	p.Add(daemon.ServicePart(daemon.Intake, "leaf listener", "leafnodes", scheme(leafTLS), leafs))
	if routes != nil {
		p.Add(daemon.ServicePart(daemon.Mesh, "cluster listener", "cluster", scheme(p.Config.Cluster.TLS), routes))
	}
	return nil
}

// scheme is that of an address in the ports file.
func scheme(t *config.TLS) string {
	if t != nil {
		return "tls"
	}
	return "nats"
}

// observe adds what lets people and tools look into the process.
func observe(p *daemon.Process, hooks monitor.Hooks, clients *client.Service) {
	http := monitor.New(monitor.Options{
		Extra:  console.Pages(p.Config, prom.Handler),
		Server: p.Server, Config: p.Config, Broker: p.Broker, ClientURLs: p.ClientURLs, WebSocketURLs: p.WebSocketURLs,
		Clients: p.Clients, Routes: p.Routes, Leafs: p.Leafs,
		Draining: p.Draining(), Hooks: hooks, TLS: p.TLS, Log: p.Log,
	})
	p.Add(daemon.ServicePart(daemon.Watching, "monitoring listener", "monitoring", http.Scheme(), http))
	p.Add(daemon.ServicePart(daemon.Services, "system services", "", "", system.New(system.Options{
		Server: p.Server, Config: p.Config, Broker: p.Broker, Reports: http.Reports(),
		Clients: p.Clients, Routes: p.Routes, Leafs: p.Leafs,
		Draining: p.Draining(), LameDuck: clients.LameDuck, TLS: p.TLS, Log: p.Log,
	})))
}
