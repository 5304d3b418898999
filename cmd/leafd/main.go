// Leafd is the edge node: local clients on loopback, and leaf links to its hubs.
package main

import (
	"context"
	"os"

	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/cli/access"
	"github.com/banyanmq/banyan/pkg/cli/keysjwt"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/daemon"
	"github.com/banyanmq/banyan/pkg/daemon/intake"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/console"
	"github.com/banyanmq/banyan/pkg/monitor/metrics"
	"github.com/banyanmq/banyan/pkg/system"
)

func main() {
	os.Exit(cli.Main(cli.Daemon{
		Name:   config.Leafd,
		Short:  "The edge node of Banyan: local clients, and a link to a hub",
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
	clients, leafs, hooks := in.Clients, in.Leafs, in.Hooks
	http := monitor.New(monitor.Options{
		Extra:  console.Pages(p.Config, metrics.Handler),
		Server: p.Server, Config: p.Config, Broker: p.Broker, ClientURLs: p.ClientURLs, WebSocketURLs: p.WebSocketURLs,
		Clients: p.Clients, Leafs: p.Leafs, Draining: p.Draining(), Hooks: hooks, TLS: p.TLS, Log: p.Log,
	})
	p.Add(daemon.ServicePart(daemon.Watching, "monitoring listener", "monitoring", http.Scheme(), http))
	p.Add(daemon.ServicePart(daemon.Services, "system services", "", "", system.New(system.Options{
		Server: p.Server, Config: p.Config, Broker: p.Broker, Reports: http.Reports(),
		Clients: p.Clients, Leafs: p.Leafs, Draining: p.Draining(), LameDuck: clients.LameDuck, TLS: p.TLS, Log: p.Log,
	})))

	part := daemon.ServicePart(daemon.Intake, "client listener", "nats", "nats", clients)
	part.Drain = in.Drain
	p.Add(part)
	p.Add(daemon.ServicePart(daemon.Intake, "leaf links", "leafnodes", "nats", leafs))
	return nil
}
