// Hubd is the cluster core of a data centre: clients, routes and leaf links.
package main

import (
	"context"
	"os"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/client"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/daemon"
)

func main() {
	os.Exit(cli.Main(cli.Daemon{
		Name:  config.Hubd,
		Short: "The cluster core of a Banyan region: clients, routes and leaf links",
		Run: func(ctx context.Context, o cli.RunOptions) error {
			return daemon.Run(ctx, o.Config, o.Warnings, build)
		},
	}))
}

func build(p *daemon.Process) error {
	users := auth.FromConfig(p.Config)
	if users.PlaintextPasswords() {
		p.Log.Warnf("Plaintext passwords detected, use nkeys or bcrypt")
	}
	clients := client.New(client.Options{
		Server: p.Server, Broker: p.Broker, Registry: p.Clients, URLs: p.ClientURLs,
		Auth: users, Settings: p.Config, Log: p.Log,
	})
	part := daemon.ServicePart("client listener", "nats", "nats", clients)
	part.Drain = func(ctx context.Context) {
		clients.Drain(ctx, p.Config.LameDuck.Duration, p.Config.LameDuck.Grace)
	}
	p.Add(part)
	return nil
}
