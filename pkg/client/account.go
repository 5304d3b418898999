package client

import (
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Introduce implements broker.Introducer: what a service in another account may learn
// of a client that lets it.
func (c *conn) Introduce() broker.Requester {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := broker.Requester{
		Start: c.t.Started().UTC().Format(time.RFC3339Nano), Host: addrIP(c.remote), ID: c.id,
		User: c.identity.User, Server: c.s.o.Server.Name, Kind: "Client", ClientType: c.clientType(),
	}
	r.Cluster, _ = c.s.o.Server.Cluster()
	if o := c.options; o != nil {
		r.Name, r.Lang, r.Version = o.Name, o.Lang, o.Version
	}
	return r
}

// RTT implements broker.Introducer.
func (c *conn) RTT() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinger != nil && c.pinger.RTT() > 0 {
		return c.pinger.RTT()
	}
	return c.estimate
}

// mapped gives op the subject under which the account has it published; false: it is lost
// on purpose. What the client may publish is judged afterwards (accounts-auth 10.1).
func (c *conn) mapped(p *publisher, op *wire.Op) bool {
	to, ok := p.inlet.Map(c.account, op.Subject)
	if !ok {
		c.ok()
		return false
	}
	op.Subject = to
	return true
}

// limitsOf are what holds for a connection of an identity: the lower of its own limits
// and of its account's.
type limitsOf struct {
	connections, subs int64
	payload           int64
}

func newLimits(a *broker.Account, id *auth.Identity) limitsOf {
	l := a.Limits()
	return limitsOf{
		connections: lower(int64(id.MaxConnections), int64(l.MaxConnections)),
		subs:        lower(int64(id.MaxSubs), int64(l.MaxSubscriptions)),
		payload:     lower(id.MaxPayload, l.MaxPayload),
	}
}
