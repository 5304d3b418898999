// Gwd is the border of a region: it joins the region's hubs and holds the
// connections to other regions.
package main

import (
	"context"
	"os"

	"github.com/banyanmq/banyan/pkg/border"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/daemon"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/console"
	"github.com/banyanmq/banyan/pkg/monitor/gatewayview"
	"github.com/banyanmq/banyan/pkg/monitor/metrics/prom"
	"github.com/banyanmq/banyan/pkg/monitor/routeview"
	"github.com/banyanmq/banyan/pkg/system"
)

func main() {
	os.Exit(cli.Main(cli.Daemon{
		Name:  config.Gwd,
		Short: "The border of a Banyan region: carries messages between its hubs and other regions",
		Run: func(ctx context.Context, o cli.RunOptions) error {
			return daemon.Run(ctx, o.Config, o.Warnings, o.Again, build)
		},
	}))
}

func build(p *daemon.Process) error {
	b, err := border.New(border.Options{
		Server: p.Server, Broker: p.Broker, Config: p.Config, Log: p.Log,
		Routes: p.Routes, Gateways: p.Gateways, GatewayURLs: p.GatewayURLs,
	})
	if err != nil {
		return err
	}
	http := monitor.New(monitor.Options{
		Extra:  console.Pages(p.Config, prom.Handler),
		Server: p.Server, Config: p.Config, Broker: p.Broker, Routes: p.Routes, Gateways: p.Gateways,
		Draining: p.Draining(), TLS: p.TLS, Log: p.Log,
		Hooks: monitor.Hooks{
			Route: routeview.Details, RouteAddr: b.RouteAddr, ReloadFailed: p.ReloadFailed,
			Gateway: gatewayview.Details, GatewayAddr: b.Addr, GatewayAccounts: gatewayview.Accounts(b.Gateways().Status),
		},
	})
	p.Add(daemon.ServicePart(daemon.Watching, "monitoring listener", "monitoring", http.Scheme(), http))
	p.Add(daemon.ServicePart(daemon.Services, "system services", "", "", system.New(system.Options{
		Server: p.Server, Config: p.Config, Broker: p.Broker, Reports: http.Reports(),
		Routes: p.Routes, Gateways: p.Gateways, Reach: broker.FromClientAtBorder, Draining: p.Draining(), TLS: p.TLS, Log: p.Log,
	})))
	p.Add(daemon.ServicePart(daemon.Mesh, "border", "gateway", "nats", b))
	// The routes live and die with the border; this part is there for the ports file.
	p.Add(daemon.Part{
		Phase:    daemon.Mesh,
		Name:     "routes",
		Start:    func() error { return nil },
		Endpoint: &daemon.Endpoint{Kind: "cluster", Scheme: "nats", Addr: b.RouteAddr},
	})
	return nil
}
