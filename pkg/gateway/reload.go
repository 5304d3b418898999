package gateway

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// state is what connections go by. It is not changed: a reload makes another one.
type state struct {
	*config.Gateway
	serverTLS                        *tls.Config
	connectReports, reconnectReports int
	ping                             time.Duration
	pingMax                          int
	maxPayload                       int32
}

// set is the state in force.
func (s *Service) set() *state { return s.state.Load() }

// newState leaves TLS to the caller.
func newState(block *config.Gateway, connect, reconnect int, limits config.Limits) *state {
	set := &state{
		Gateway: block, connectReports: connect, reconnectReports: reconnect,
		ping: limits.PingInterval, pingMax: limits.PingMax, maxPayload: int32(limits.MaxPayload),
	}
	orDefault(&set.connectReports, 3600)
	orDefault(&set.reconnectReports, 1)
	if set.ping <= 0 || set.ping > defaultPing {
		set.ping = defaultPing
	}
	orDefault(&set.pingMax, defaultPingMax)
	orDefault(&set.maxPayload, 1<<20)
	return set
}

// Prepare takes new settings. Regions that are no longer listed are not dialed any more,
// new ones are; a connection to an address that is not listed any more is made anew; who
// dialed us with a user that is none any more, or whose region is unknown now and must not
// be, is sent away. See daemon.Prepare.
func (s *Service) Prepare(ch *config.Change) (apply func(), err error) {
	if !ch.Any("Gateway", "ConnectErrorReports", "ReconnectErrorReports", "Limits") || ch.New.Gateway == nil {
		return nil, nil
	}
	for _, r := range ch.New.Gateway.Remotes {
		if !validName(r.Name) {
			return nil, fmt.Errorf("gateway remote %q: want a name without blanks, of at most %d bytes", r.Name, maxName)
		}
	}
	limits := ch.New.Limits
	orDefault(&limits.PingInterval, s.o.PingInterval)
	orDefault(&limits.PingMax, s.o.PingMax)
	orDefault(&limits.MaxPayload, int64(s.o.MaxPayload))
	next := newState(ch.New.Gateway, ch.New.ConnectErrorReports, ch.New.ReconnectErrorReports, limits)
	return func() { s.apply(next) }, nil
}

func (s *Service) apply(next *state) {
	old := s.set()
	if next.TLS != nil {
		if next.serverTLS = old.serverTLS; next.serverTLS == nil {
			next.serverTLS, _ = next.TLS.Server() // it was read while the change was prepared
		}
	}
	s.state.Store(next)
	listed := make(map[string]bool)
	for i := range next.Remotes {
		set := &next.Remotes[i]
		if set.Name == s.name {
			continue
		}
		listed[set.Name] = true
		if r := s.region(set.Name, true); r != nil {
			r.renew(set)
			r.dial()
		}
	}
	for _, r := range s.regions() {
		if !listed[r.name] && r.configured() {
			s.log.Noticef("Reloaded: gateway %q removed", r.name)
			r.renew(nil)
		}
	}
	other := next.Auth.User != "" && (next.Auth.User != old.Auth.User || next.Auth.Password != old.Auth.Password)
	for _, c := range s.list(inbound) {
		switch {
		case other:
			c.tc.Write(wire.AppendErr(nil, wire.TextAuthViolation))
			c.Close(wire.ReasonAuthFailure)
		case next.RejectUnknown && !listed[c.name]:
			c.Close(wire.ReasonWrongGateway)
		}
	}
	s.renewLinks(next)
}

// renewLinks has the connections that are there go by the settings in force.
func (s *Service) renewLinks(set *state) {
	unpinned := 0
	for _, x := range s.o.Registry.Open() {
		if c, ok := x.(*conn); ok && c.keepTo(set) {
			unpinned++
		}
	}
	if unpinned > 0 {
		s.log.Noticef("Disconnect %d gateways due to pinned certs reload", unpinned)
	}
}

// keepTo gives the connection what can change under it. It reports true for one that is
// closed, because the peer's certificate is none of those that are let in now.
func (c *conn) keepTo(set *state) (closed bool) {
	c.tc.SetWriting(set.WriteDeadline, set.WriteTimeout != config.WriteTimeoutClose)
	c.pinger.SetPace(c.pingEvery(set), set.pingMax)
	block := set.TLS
	if c.region != nil {
		block = c.region.tls(set)
	}
	if st := c.tc.TLSState(); st != nil && block.Unpinned(st.PeerCertificates) {
		c.Close(wire.ReasonTLSHandshake)
		return true
	}
	return false
}

// tls is the block that the region is dialed with.
func (r *region) tls(set *state) *config.TLS {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.settings != nil && r.settings.TLS != nil {
		return r.settings.TLS
	}
	return set.TLS
}

// renew gives a region other settings, nil: none. Its connection stays if the address is
// still one of its.
func (r *region) renew(set *config.RemoteGateway) {
	r.mu.Lock()
	r.settings = set
	if set == nil {
		r.urls, r.former = nil, nil
	}
	c := r.current
	keep := c == nil || set != nil && slices.ContainsFunc(set.URLs, func(u *url.URL) bool { return u.Host == c.url }) || set != nil && slices.Contains(r.urls, c.url)
	r.mu.Unlock()
	if !keep {
		c.Close(wire.ReasonClientClosed)
	}
}
