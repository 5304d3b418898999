// Leafd is the edge node: local clients on loopback, and leaf links to its hubs.
package main

import (
	"context"
	"os"
	"sync"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/operator"
	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/cli/keysjwt"
	"github.com/banyanmq/banyan/pkg/client"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/daemon"
	"github.com/banyanmq/banyan/pkg/leaf"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/clientview"
	"github.com/banyanmq/banyan/pkg/monitor/leafview"
	"github.com/banyanmq/banyan/pkg/system"
	"github.com/banyanmq/banyan/pkg/system/claims"
)

func main() {
	os.Exit(cli.Main(cli.Daemon{
		Name:  config.Leafd,
		Short: "The edge node of Banyan: local clients, and a link to a hub",
		Keys:  keysjwt.Commands,
		Run: func(ctx context.Context, o cli.RunOptions) error {
			return daemon.Run(ctx, o.Config, o.Warnings, build)
		},
	}))
}

func build(p *daemon.Process) error {
	users, err := authenticator(p)
	if err != nil {
		return err
	}
	clients := client.New(client.Options{
		Server: p.Server, Broker: p.Broker, Registry: p.Clients, URLs: p.ClientURLs,
		Auth: users, Settings: p.Config, Log: p.Log,
	})
	hooks := monitor.Hooks{
		Client: clientview.Details, ClientAddr: clients.Addr, SlowEvents: clientview.SlowEvents(clients),
	}
	var leafs *leaf.Service
	if p.Config.LeafNodes != nil {
		leafs = leaf.New(leaf.Options{
			Server: p.Server, Broker: p.Broker, Registry: p.Leafs, Auth: users, LeafURLs: p.LeafURLs,
			Settings: p.Config.LeafNodes, Limits: p.Config.Limits, Log: p.Log,
			ConnectReports: p.Config.ConnectErrorReports, ReconnectReports: p.Config.ReconnectErrorReports,
		})
		hooks.Leaf, hooks.LeafAddr, hooks.LeafRemotes = leafview.Details, leafs.Addr, leafview.Remotes(leafs.Links)
	}
	http := monitor.New(monitor.Options{
		Server: p.Server, Config: p.Config, Broker: p.Broker, ClientURLs: p.ClientURLs,
		Clients: p.Clients, Leafs: p.Leafs, Draining: p.Draining(), Hooks: hooks, Log: p.Log,
	})
	p.Add(daemon.ServicePart(daemon.Watching, "monitoring listener", "monitoring", "http", http))
	p.Add(daemon.ServicePart(daemon.Services, "system services", "", "", system.New(system.Options{
		Server: p.Server, Config: p.Config, Broker: p.Broker, Reports: http.Reports(),
		Clients: p.Clients, Leafs: p.Leafs, Draining: p.Draining(), LameDuck: clients.LameDuck, Log: p.Log,
	})))

	part := daemon.ServicePart(daemon.Intake, "client listener", "nats", "nats", clients)
	part.Drain = func(ctx context.Context) {
		duck := p.Config.LameDuck
		var wg sync.WaitGroup
		if leafs != nil {
			wg.Go(func() { leafs.Drain(ctx, duck.Duration-duck.Grace) })
		}
		clients.Drain(ctx, duck.Duration, duck.Grace)
		wg.Wait()
	}
	p.Add(part)
	if leafs != nil {
		p.Add(daemon.ServicePart(daemon.Intake, "leaf links", "leafnodes", "nats", leafs))
	}
	return nil
}

// authenticator is who decides who connections are.
func authenticator(p *daemon.Process) (auth.Authenticator, error) {
	if !p.Config.InOperatorMode() {
		return auth.FromConfig(p.Config), nil
	}
	op, err := operator.Open(p.Config, p.Log)
	if err != nil {
		return nil, err
	}
	op.SetShare(p.Broker.Share)
	tokens := claims.New(claims.Options{Server: p.Server, Config: p.Config, Broker: p.Broker, Operator: op, Log: p.Log})
	p.Add(daemon.Part{Phase: daemon.Services, Name: "account resolver", Start: tokens.Start, Stop: func() {
		tokens.Close()
		op.Close()
	}})
	return op, nil
}
