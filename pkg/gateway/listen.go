package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/url"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/wire"
)

// accept serves one connection from its first byte to its last.
func (s *Service) accept(nc net.Conn) {
	// Most often a gwd is ready within a few milliseconds.
	wait := time.NewTimer(readyWait)
	select {
	case <-s.ready:
	case <-s.ctx.Done():
	case <-wait.C:
	}
	wait.Stop()
	if !s.accepting() {
		// Not ready: a remote that has another address is better off there.
		if t, ok := nc.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		nc.Close()
		return
	}
	c, err := s.newConn(nc, inbound)
	if err != nil {
		return
	}
	if err := c.welcome(); err != nil {
		c.end(err)
		return
	}
	c.serve()
}

// welcome is the acceptor's side of the opening (gateways 4.2).
func (c *conn) welcome() error {
	s := c.s
	set := s.set().Gateway
	limit := set.Auth.Timeout
	if t := set.TLS; t != nil {
		hs := t.Timeout
		orDefault(&hs, tlsTimeout)
		if err := c.tc.StartTLS(s.set().serverTLS, true, hs); err != nil {
			return silent(wire.ReasonTLSHandshake, "TLS gateway handshake error: %v", err)
		}
		orDefault(&limit, hs+time.Second)
	}
	orDefault(&limit, authTimeout)
	c.tc.WriteFlush(wire.AppendInfo(nil, s.info()))
	if err := c.readConnect(time.Now().Add(limit)); err != nil {
		return err
	}
	if err := c.readInfo(time.Now().Add(s.infoLimit())); err != nil {
		return err
	}
	if c.remote.Gateway != c.name {
		return refuse(wire.ReasonWrongGateway, wire.TextGatewayWrongName(s.name, c.name, c.remote.Gateway))
	}
	if err := c.checkPeer(); err != nil {
		return err
	}
	c.in = newSource(c)
	c.startPinger()
	s.o.Registry.Add(c)
	c.keepTo(s.set()) // a reload may have missed it
	c.in.announce()
	for _, r := range s.regions() {
		if r.name == c.name {
			continue
		}
		if urls := r.addresses(); len(urls) > 0 {
			c.tc.Write(s.gossip(r.name, urls))
		}
	}
	c.tc.Flush()
	c.log.Noticef("Inbound gateway connection from %q (%s) registered", c.name, c.remote.ServerID)
	s.Learn(c.name, c.remote.GatewayURLs)
	return nil
}

// readConnect reads and judges CONNECT, which must be the dialer's first line.
func (c *conn) readConnect(by time.Time) error {
	late := func(err error) error {
		if transport.IsTimeout(err) && c.tc.Cause() == nil {
			return refuse(wire.ReasonAuthTimeout, wire.TextAuthTimeout)
		}
		return err
	}
	unauthorized := refuse(wire.ReasonAuthFailure, wire.TextAuthViolation)
	first, err := c.tc.Peek(1, by)
	if err != nil {
		return late(err)
	}
	if !wire.MayBeConnect(first[0]) {
		return unauthorized
	}
	verb, arg, err := c.line(by)
	if err != nil {
		return late(err)
	}
	if verb != "CONNECT" {
		return unauthorized
	}
	var con wire.GatewayConnect
	if wire.DecodeJSON([]byte(arg), &con) != nil {
		return wire.ErrBadJSON
	}
	switch {
	case con.Gateway == "" || con.Lang != "":
		return refuse(wire.ReasonIncorrectPort, wire.TextGatewayPort)
	case !c.authorized(&con):
		return unauthorized
	case con.Gateway == c.s.name:
		// Our own cluster is no other region: messages would turn in a circle.
		c.log.Errorf("Rejecting connection from gateway %q: it has our own name", con.Gateway)
		return refuse(wire.ReasonWrongGateway, wire.TextGatewayRejected(c.s.name))
	case c.s.set().Gateway.RejectUnknown && !c.s.known(con.Gateway), !validName(con.Gateway):
		c.log.Errorf("Rejecting connection from gateway %q", con.Gateway)
		return refuse(wire.ReasonWrongGateway, wire.TextGatewayRejected(c.s.name))
	}
	c.name = con.Gateway
	return nil
}

func (c *conn) authorized(con *wire.GatewayConnect) bool {
	set := c.s.set().Gateway
	if t := set.TLS; t != nil && (t.VerifyAndMap || t.CheckKnownURLs) {
		return c.certificateFits(t)
	}
	if set.Auth.User == "" {
		return true
	}
	return equal(con.User, set.Auth.User) && equal(con.Pass, string(set.Auth.Password))
}

// equal compares in a time that tells nothing.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// certificateFits looks for a configured host, or for the user, in the peer's
// certificate.
func (c *conn) certificateFits(t *config.TLS) bool {
	state := c.tc.TLSState()
	if state == nil || len(state.PeerCertificates) == 0 {
		return false
	}
	var known []*url.URL
	for _, r := range c.s.set().Gateway.Remotes {
		known = append(known, r.URLs...)
	}
	return t.PeerFits(state.PeerCertificates[0], c.s.set().Gateway.Auth.User, known)
}
