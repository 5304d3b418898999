// Package intake is what the daemons that take work in, hubd and leafd, have in
// common: who connections are, the client listener, the leaf links, and how these
// are drained together.
package intake

import (
	"context"
	"sync"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/callout"
	"github.com/banyanmq/banyan/pkg/auth/operator"
	"github.com/banyanmq/banyan/pkg/client"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/daemon"
	"github.com/banyanmq/banyan/pkg/leaf"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/clientview"
	"github.com/banyanmq/banyan/pkg/monitor/leafview"
	"github.com/banyanmq/banyan/pkg/monitor/operatorview"
	"github.com/banyanmq/banyan/pkg/system/claims"
	"github.com/banyanmq/banyan/pkg/system/question"
	"github.com/banyanmq/banyan/pkg/version"
)

// Intake is a daemon's clients and leaf links.
type Intake struct {
	Clients *client.Service
	Leafs   *leaf.Service
	// Hooks show both in monitoring.
	Hooks monitor.Hooks

	p *daemon.Process
}

// New makes them from the settings of p. It adds the account resolver to p if there
// is one; the two services are for the caller to add.
func New(p *daemon.Process) (*Intake, error) {
	in := &Intake{p: p}
	users, judge, err := in.authenticator()
	if err != nil {
		return nil, err
	}
	penalties := failedLogins(p)
	links := p.Config.LeafNodes
	if links == nil {
		links = new(config.LeafNodes) // a reload may name hubs to dial
	}
	in.Leafs = leaf.New(leaf.Options{
		Server: p.Server, Broker: p.Broker, Registry: p.Leafs, Auth: users, Judge: judge, Penalties: penalties,
		LeafURLs: p.LeafURLs, WebSocketURLs: p.WebSocketURLs,
		Settings: links, Limits: p.Config.Limits, Log: p.Log,
		ConnectReports: p.Config.ConnectErrorReports, ReconnectReports: p.Config.ReconnectErrorReports,
	})
	options := client.Options{
		Server: p.Server, Broker: p.Broker, Registry: p.Clients, URLs: p.ClientURLs, WebSocketURLs: p.WebSocketURLs,
		Auth: users, Judge: judge, Penalties: penalties, Settings: p.Config, Log: p.Log,
	}
	if links.Enabled() {
		options.Leafs = in.Leafs.AcceptWebSocket
	}
	in.Clients = client.New(options)
	in.Hooks.Client, in.Hooks.ClientAddr, in.Hooks.SlowEvents = clientview.Details, in.Clients.Addr, clientview.SlowEvents(in.Clients)
	in.Hooks.ClientCounts = clientview.Counts(in.Clients)
	in.Hooks.ReloadFailed = p.ReloadFailed
	in.addWebSocket()
	in.Hooks.Leaf, in.Hooks.LeafAddr, in.Hooks.LeafRemotes = leafview.Details, in.Leafs.Addr, leafview.Remotes(in.Leafs.Links)
	return in, nil
}

// addWebSocket shows the WebSocket listener, which the client listener starts and stops.
func (in *Intake) addWebSocket() {
	w := in.p.Config.WebSocket
	if w == nil || !w.Enabled() {
		return
	}
	in.Hooks.WebSocket = clientview.WebSocket(func() *config.WebSocketListener { return in.p.Settings().WebSocket }, in.Clients.WebSocketAddr)
	scheme := "ws"
	if w.TLS != nil {
		scheme = "wss"
	}
	in.p.Add(daemon.Part{
		Phase: daemon.Intake, Name: "websocket listener", Start: func() error { return nil },
		Endpoint: &daemon.Endpoint{Kind: "websocket", Scheme: scheme, Addr: in.Clients.WebSocketAddr},
	})
}

// Drain sends clients and leaf nodes away over the time that the settings give.
func (in *Intake) Drain(ctx context.Context) {
	duck := in.p.Settings().LameDuck
	var wg sync.WaitGroup
	wg.Go(func() { in.Leafs.Drain(ctx, duck.Duration-duck.Grace) })
	in.Clients.Drain(ctx, duck.Duration, duck.Grace)
	wg.Wait()
}

// authenticator is who decides who connections are: behind the proxies that may
// vouch for them, an operator's accounts or the settings, and services that are
// asked.
func (in *Intake) authenticator() (*auth.Proxies, auth.Judge, error) {
	p := in.p
	users, judge, err := in.users()
	if err != nil {
		return nil, nil, err
	}
	proxies, err := auth.TrustProxies(users, p.Config.Auth.TrustedProxies)
	if err != nil {
		return nil, nil, err
	}
	p.Add(daemon.Part{Name: "trusted proxies", Prepare: func(ch *config.Change) (func(), error) {
		if !ch.Any("Auth.TrustedProxies") {
			return nil, nil
		}
		if _, err := auth.TrustProxies(nil, ch.New.Auth.TrustedProxies); err != nil {
			return nil, err
		}
		return func() { _ = proxies.Trust(ch.New.Auth.TrustedProxies) }, nil
	}})
	return proxies, judge, nil
}

// failedLogins is what these cost.
func failedLogins(p *daemon.Process) *auth.Penalties {
	f := p.Config.Auth.FailedLogin
	penalties := auth.NewPenalties(f.Delay, f.MaxDelay)
	p.Add(daemon.Part{Name: "failed logins", Prepare: func(ch *config.Change) (func(), error) {
		f := ch.New.Auth.FailedLogin
		return func() { penalties.Set(f.Delay, f.MaxDelay) }, nil
	}})
	return penalties
}

// caller makes the part that asks services about logins.
func caller(p *daemon.Process) *callout.Caller {
	c := callout.New(callout.Options{Server: func() jwt.ServerID { return serverID(p) }, Identity: p.Keys.Identity, Curve: p.Keys.Curve, Timeout: p.Config.Auth.Timeout})
	q := question.New(p.Server, p.Broker, c)
	p.Add(daemon.Part{Phase: daemon.Services, Name: "authorization callouts", Start: q.Start, Stop: q.Close, Prepare: func(ch *config.Change) (func(), error) {
		return func() { c.SetTimeout(ch.New.Auth.Timeout) }, nil
	}})
	return c
}

// serverID is what services are told of this server.
func serverID(p *daemon.Process) jwt.ServerID {
	id := jwt.ServerID{
		Name: p.Server.Name, Host: p.Config.Client.Host, ID: p.Server.ID, Version: version.Protocol, Tags: p.Settings().Tags,
	}
	id.Cluster, _ = p.Server.Cluster()
	return id
}

// users are those of an operator or of the settings. The second result is nil where they
// end connections themselves.
func (in *Intake) users() (auth.Authenticator, auth.Judge, error) {
	p := in.p
	if p.Config.InOperatorMode() {
		op, err := operator.Open(p.Config, p.Log)
		if err != nil {
			return nil, nil, err
		}
		op.SetCallout(caller(p))
		op.SetShare(p.Broker.Share)
		in.Hooks.Account, in.Hooks.PinnedFails = operatorview.Account(op.Show), op.PinnedFails
		tokens := claims.New(claims.Options{Server: p.Server, Config: p.Config, Broker: p.Broker, Operator: op, Log: p.Log})
		p.Add(daemon.Part{Phase: daemon.Services, Name: "account resolver", Start: tokens.Start, Prepare: func(ch *config.Change) (func(), error) {
			operators, err := op.Prepare(ch)
			if err != nil {
				return nil, err
			}
			told, err := tokens.Prepare(ch)
			return func() {
				operators()
				told()
			}, err
		}, Stop: func() {
			tokens.Close()
			op.Close()
		}})
		return op, nil, nil
	}
	asks := caller(p)
	users := auth.NewUsers(p.Config, func(s *auth.Settings, c *config.Config) auth.Authenticator {
		if c.Auth.Callout == nil {
			return s
		}
		return callout.Delegate(s, c, asks)
	})
	p.Add(daemon.Part{Name: "users", Prepare: users.Prepare})
	return users, users, nil
}
