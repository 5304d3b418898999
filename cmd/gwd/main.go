// Gwd is the border of a region: it joins the region's hubs and holds the
// connections to other regions.
package main

import (
	"context"
	"os"

	"github.com/banyanmq/banyan/pkg/border"
	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/daemon"
)

func main() {
	os.Exit(cli.Main(cli.Daemon{
		Name:  config.Gwd,
		Short: "The border of a Banyan region: carries messages between its hubs and other regions",
		Run: func(ctx context.Context, o cli.RunOptions) error {
			return daemon.Run(ctx, o.Config, o.Warnings, build)
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
	p.Add(daemon.ServicePart("border", "gateway", "nats", b))
	// The routes live and die with the border; this part is there for the ports file.
	p.Add(daemon.Part{
		Name:     "routes",
		Start:    func() error { return nil },
		Endpoint: &daemon.Endpoint{Kind: "cluster", Scheme: "nats", Addr: b.RouteAddr},
	})
	return nil
}
