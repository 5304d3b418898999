package client

import (
	"errors"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

func (s *terms) authTimeout() time.Duration {
	if d := s.login; d > 0 {
		return d
	}
	if s.tls != nil {
		return s.tlsTimeout() + time.Second
	}
	return defaultAuthTimeout
}

func (s *terms) tlsTimeout() time.Duration {
	if t := s.block; t != nil && t.Timeout > 0 {
		return t.Timeout
	}
	return defaultTLSTimeout
}

// authTimedOut runs when CONNECT did not come in time. CONNECT stops the timer
// before it is looked at, so only one of the two happens; the one that comes
// second calls it again, in case it is faster at telling the client.
func (c *conn) authTimedOut() { c.shut(wire.ReasonAuthTimeout, wire.TextAuthTimeout) }

// stopAuthTimer reports false when the timer was faster.
func (c *conn) stopAuthTimer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.authTimer == nil {
		return true
	}
	ok := c.authTimer.Stop()
	c.authTimer = nil
	return ok
}

// connect handles CONNECT, the first one and any other (client-protocol 4).
func (c *conn) connect(arg []byte) error {
	if !c.stopAuthTimer() {
		c.authTimedOut()
		return &ending{reason: wire.ReasonAuthTimeout}
	}
	o := wire.DefaultClientConnect()
	if c.options != nil {
		o = *c.options
	}
	if err := o.Decode(arg); err != nil {
		return c.violation(err)
	}
	if c.connected || c.identity != nobody {
		c.dropSubs(false)
	}
	if !c.connected {
		c.mu.Lock()
		c.estimate = time.Since(c.t.Started())
		c.mu.Unlock()
	}
	c.web.fill(&o)
	c.mu.Lock()
	c.options = &o
	c.mu.Unlock()
	judged := c.s.generation()
	id, err := c.s.o.Auth.Authenticate(c.credentials(&o))
	if err == nil && (o.Account != "" || o.NewAccount) {
		err = errAccountNamed
	}
	if err != nil {
		return c.refuse(err)
	}
	if err := c.bindAs(id, judged); err != nil {
		return err
	}
	headers := o.Headers && !c.set.config.Client.NoHeaders
	switch {
	case o.Protocol != 0 && o.Protocol != 1:
		return c.fatal(wire.ReasonBadClientProtocol, wire.TextInvalidClientProtocol)
	case o.NoResponders && !headers:
		return c.fatal(wire.ReasonNoRespondersNeedsHeaders, wire.TextNoRespondersHeaders)
	}
	c.verbose, c.pedantic, c.noEcho, c.noResp = o.Verbose, o.Pedantic, !o.Echo, o.NoResponders
	c.parser.Headers = headers
	c.t.Locked(func() { c.out.headers = headers })
	c.careful = c.verbose || c.pedantic || id.Permissions.Restricted()
	again := c.connected
	c.connected, c.gate = true, false
	c.t.Rest()
	c.ok()
	c.mu.Lock()
	if c.reason == wire.ReasonNone {
		c.startPinger(min(c.set.limits.PingInterval, c.s.o.FirstPing))
	}
	c.mu.Unlock()
	if !again {
		c.s.o.Registry.Opened(c.Info(false))
	}
	return nil
}

var errAccountNamed = errors.New("CONNECT names an account")

func (c *conn) credentials(o *wire.ClientConnect) *auth.Credentials {
	set := c.terms()
	t := set.block
	return &auth.Credentials{
		Kind: set.kind,
		User: o.User, Pass: o.Pass, Token: o.Token, NKey: o.NKey, Sig: o.Sig, JWT: o.JWT, ProxySig: o.ProxySig,
		Nonce: c.nonce, TLS: c.t.TLSState(), MapCertificate: t != nil && t.VerifyAndMap, Remote: c.remote,
		ID: c.id, Name: o.Name, Lang: o.Lang, Version: o.Version, Protocol: o.Protocol,
	}
}

// enterUnasked lets a client in that sent something else before CONNECT, as the
// user that those without credentials become. The operation is then handled.
func (c *conn) enterUnasked() error {
	if !c.set.policy.Anonymous {
		return c.refuse(errNotConnect)
	}
	if !c.stopAuthTimer() {
		c.authTimedOut()
		return &ending{reason: wire.ReasonAuthTimeout}
	}
	o := wire.DefaultClientConnect()
	judged := c.s.generation()
	id, err := c.s.o.Auth.Authenticate(c.credentials(&o))
	if err != nil {
		return c.refuse(err)
	}
	if err := c.bindAs(id, judged); err != nil {
		return err
	}
	c.gate = false
	c.s.o.Registry.Opened(c.Info(false))
	return nil
}

var errNotConnect = errors.New("something else came before CONNECT")

// bind makes the connection one of id's account. There are no subscriptions, but those
// that were made before CONNECT by nobody in particular, which stay if nothing changes for
// them.
func (c *conn) bind(id *auth.Identity) error {
	name := id.Account
	if name == "" {
		name = config.DefaultAccount
	}
	a := c.s.o.Broker.Account(name)
	if (a != c.account || id.Permissions != nil) && c.subCount() > 0 {
		c.dropSubs(false)
	}
	c.unbind()
	n := a.Clients.Add(1)
	c.mu.Lock()
	c.account, c.identity, c.bound = a, id, true
	c.mu.Unlock()
	limits := newLimits(a, id)
	if limits.connections > 0 && n+a.Leafs.Load()+a.Elsewhere.Load() > limits.connections {
		return c.fatal(wire.ReasonMaxAccountConnections, wire.TextMaxAccountConnections)
	}
	if id.Attach != nil {
		detach, err := id.Attach(c)
		switch {
		case errors.Is(err, auth.ErrTooMany):
			return c.fatal(wire.ReasonMaxAccountConnections, wire.TextMaxAccountConnections)
		case err != nil:
			return c.refuse(err)
		}
		c.detach = detach
	}
	if id.NoSubs {
		return c.fatal(wire.ReasonMaxSubscriptions, wire.TextMaxSubscriptions)
	}
	c.assume(id, false)
	return nil
}

// unbind takes the connection off its account's count.
func (c *conn) unbind() {
	if c.detach != nil {
		c.detach()
		c.detach = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logins++ // what is still being said to who it was does not count
	c.forgetIdentity()
	if c.bound {
		c.account.Clients.Add(-1)
		c.bound = false
	}
}

// lower is the smaller of two limits, of which those not above 0 do not limit.
func lower(a, b int64) int64 {
	if b > 0 && (a <= 0 || b < a) {
		return b
	}
	return a
}
