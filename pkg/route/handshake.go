package route

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/wire"
)

func (s *Service) accept(nc net.Conn) {
	c, err := s.newConn(nc, nil, "")
	if err != nil {
		nc.Close()
		return
	}
	s.run(c, c.welcome)
}

// welcome is the acceptor's side of the opening.
func (c *conn) welcome() error {
	s := c.s
	c.log.Debugf("Route connection created")
	if s.set().serverTLS != nil {
		if err := c.tc.StartTLS(s.set().serverTLS, true, s.tlsLimit()); err != nil {
			return &closing{reason: wire.ReasonTLSHandshake, note: "TLS route handshake error: " + err.Error()}
		}
	}
	hello := s.info()
	hello.Nonce = wire.NewNonce()
	hello.Compression = string(s.set().mode)
	hello.PoolSize = s.set().pool
	c.tc.WriteFlush(wire.AppendInfo(nil, hello))
	if err := c.awaitConnect(); err != nil {
		return err
	}
	if c.remote.Role != "" {
		hello.PoolSize = s.poolWith(c.remote.Role)
	}
	role := c.remote.Role
	in, err := c.awaitInfo()
	if err != nil {
		return err
	}
	if in.Role == "" {
		in.Role = role
	}
	if err := c.identify(in); err != nil {
		return err
	}
	mode, err := wire.SelectCompression(s.set().mode, wire.CompressionMode(in.Compression))
	if err != nil {
		return err
	}
	c.comp = mode
	if mode.Compresses() {
		c.tc.StartS2Read()
		if err := c.startS2Write(); err != nil {
			return err
		}
		hello.Nonce = ""
		hello.Compression = string(mode)
		c.tc.WriteFlush(wire.AppendInfo(nil, hello))
		if in, err = c.awaitInfo(); err != nil {
			return err
		}
	}
	if in.Role == "" {
		in.Role = role
	}
	c.remote = *in
	if err := c.place(); err != nil {
		return err
	}
	if err := s.reserve(c); err != nil {
		return err
	}
	return s.activate(c)
}

func (s *Service) tlsLimit() time.Duration {
	if t := s.set().Cluster.TLS; t != nil && t.Timeout > 0 {
		return t.Timeout
	}
	return 2 * time.Second
}

// silence is how long a connection may take to introduce itself.
func (s *Service) silence() time.Duration { return s.set().ping * time.Duration(s.set().pingMax+1) }

// awaitConnect wants CONNECT as the first line. Whoever says anything else first
// is not a server.
func (c *conn) awaitConnect() error {
	auth := c.s.set().Cluster.Auth
	limit, late := c.s.silence(), errStale
	if auth.User != "" {
		limit = auth.Timeout
		if limit <= 0 {
			limit = defaultAuthLimit
		}
		late = &closing{reason: wire.ReasonAuthTimeout, text: wire.TextAuthTimeout}
	}
	deadline := time.Now().Add(limit)
	b, err := c.tc.Peek(1, deadline)
	if err != nil {
		return timedOut(err, late)
	}
	if b[0]|0x20 != 'c' {
		return errAuth
	}
	if err := c.nextOp(deadline); err != nil {
		return timedOut(err, late)
	}
	if c.op.Kind != wire.KindConnect {
		return wire.ErrUnknownOp
	}
	return c.checkConnect(c.op.Arg)
}

func timedOut(err error, late *closing) error {
	if transport.IsTimeout(err) {
		return late
	}
	return err
}

// nextOp reads one operation during the opening. Messages and interest have no
// place there.
func (c *conn) nextOp(deadline time.Time) error {
	line, err := c.tc.ReadLine(wire.DefaultMaxPeerControlLine+64, deadline)
	if errors.Is(err, transport.ErrLineTooLong) {
		return wire.ErrControlLine
	}
	if err != nil {
		return err
	}
	c.line = append(append(c.line[:0], line...), wire.CRLF...)
	n, _, err := c.parser.Next(c.line, &c.op)
	if err != nil {
		return err
	}
	if n == 0 {
		return &closing{reason: wire.ReasonProtocolViolation, note: "message before INFO"}
	}
	return nil
}

// awaitInfo reads the peer's next INFO.
func (c *conn) awaitInfo() (*info, error) {
	deadline := time.Now().Add(c.s.silence())
	for {
		if err := c.nextOp(deadline); err != nil {
			return nil, timedOut(err, errStale)
		}
		switch c.op.Kind {
		case wire.KindInfo:
			in := new(info)
			if err := wire.DecodeJSON(c.op.Arg, in); err != nil {
				return nil, err
			}
			return in, nil
		case wire.KindPing:
			c.tc.WriteFlush([]byte(wire.LinePong))
		case wire.KindPong, wire.KindOK:
		case wire.KindErr:
			return nil, c.peerError()
		default:
			return nil, &closing{reason: wire.ReasonProtocolViolation, note: c.op.Kind.String() + " before INFO"}
		}
	}
}

// identify judges who the peer says it is.
func (c *conn) identify(in *info) error {
	s := c.s
	c.remote = *in
	if in.ServerID == s.o.Server.ID {
		return errSelf
	}
	if in.ServerID == "" || c.dialed() && in.ClientID != 0 {
		return &closing{reason: wire.ReasonIncorrectPort, note: wire.TextWrongPort}
	}
	if err := c.checkCluster(in.Cluster, in.ClusterDynamic, in.ServerID, false); err != nil {
		return err
	}
	if !c.dialed() && in.ServerName == s.o.Server.Name {
		return &closing{reason: wire.ReasonDuplicateServerName,
			note: "Remote server has a duplicate name: \"" + in.ServerName + "\""}
	}
	return nil
}

// place judges, at the acceptor, which place in the table the dialer wants.
func (c *conn) place() error {
	s, in := c.s, &c.remote
	own := s.poolWith(in.Role)
	pooled := own > 0 && in.PoolSize > 0
	violation := func(text string) error {
		return &closing{reason: wire.ReasonProtocolViolation, text: text}
	}
	if a := in.RouteAccount; a != "" {
		c.acct = s.o.Broker.Lookup([]byte(a))
		switch {
		case c.acct == nil && s.o.CreateAccounts && pooled:
			c.acct = s.o.Broker.Account(a)
		case c.acct == nil:
			return &closing{reason: wire.ReasonMissingAccount, text: wire.TextRouteAccountMissing(a)}
		}
		switch {
		case !pooled:
			return violation(wire.TextNoDedicatedRoute(a))
		case !s.set().pinned[a] && s.o.Role != BorderRole:
			return violation(wire.TextNoRouteForAccount(a))
		}
		c.account = a
		return nil
	}
	if pooled && (in.PoolIndex < 0 || in.PoolIndex >= max(own, in.PoolSize)) {
		return violation(wire.TextInvalidPoolIndex(in.PoolIndex, in.PoolSize))
	}
	c.slot = max(in.PoolIndex, 0)
	return nil
}

// greet is the dialer's side of the opening.
func (c *conn) greet() error {
	s := c.s
	began := time.Now()
	if t := s.set().Cluster.TLS; t != nil {
		cfg, err := t.Client(s.tlsName(c.target.url.Hostname()))
		if err == nil {
			err = c.tc.StartTLS(cfg, false, s.tlsLimit())
		}
		if err != nil {
			return &closing{reason: wire.ReasonTLSHandshake, note: "TLS route handshake error: " + err.Error()}
		}
	}
	c.tc.WriteFlush(s.connectLine(c.target))
	in, err := c.awaitInfo()
	if err != nil {
		return err
	}
	if err := c.identify(in); err != nil {
		return err
	}
	s.mu.Lock()
	c.target.id = in.ServerID
	s.mu.Unlock()
	if in.PoolIndex != 0 {
		return &closing{reason: wire.ReasonProtocolViolation, text: wire.TextPoolIndexSet(in.PoolIndex)}
	}
	mode, err := wire.SelectCompression(s.set().mode, wire.CompressionMode(in.Compression))
	if err != nil {
		return err
	}
	c.comp = mode
	hello := s.info()
	hello.PoolSize = s.poolWith(in.Role)
	hello.Compression = string(mode)
	hello.GossipMode = c.target.gossip
	rtt := time.Since(began)
	if mode.Compresses() {
		c.tc.WriteFlush(wire.AppendInfo(nil, hello))
		if err := c.startS2WriteAt(rtt); err != nil {
			return err
		}
		c.tc.StartS2Read()
		if in, err = c.awaitInfo(); err != nil {
			return err
		}
	}
	role := c.remote.Role
	c.remote = *in
	if in.Role == "" {
		c.remote.Role = role
	}
	if c.account != "" {
		if c.acct = s.o.Broker.Lookup([]byte(c.account)); c.acct == nil {
			c.acct = s.o.Broker.Account(c.account)
		}
	}
	if err := s.reserve(c); err != nil {
		return err
	}
	hello.RouteAccount = c.account
	if c.account == "" && !c.peer.single {
		hello.PoolIndex = c.slot
	}
	c.tc.Write(wire.AppendInfo(nil, hello))
	return s.activate(c)
}

// tlsName is the name that a certificate must be for: the host that was dialed, or
// for an address learned by gossip the first host name among the configured routes.
func (s *Service) tlsName(host string) string {
	if net.ParseIP(host) == nil {
		return host
	}
	for _, u := range s.set().Cluster.Routes {
		if h := u.Hostname(); net.ParseIP(h) == nil {
			return h
		}
	}
	return host
}

var s2Levels = map[wire.CompressionMode]transport.Level{
	wire.CompressionS2Uncompressed: transport.Uncompressed,
	wire.CompressionS2Fast:         transport.Fast,
	wire.CompressionS2Better:       transport.Better,
	wire.CompressionS2Best:         transport.Best,
}

func (c *conn) startS2Write() error { return c.startS2WriteAt(time.Since(c.tc.Started())) }

func (c *conn) startS2WriteAt(rtt time.Duration) error {
	if err := c.tc.StartS2Write(s2Levels[c.s.level(c.comp, rtt)], finishLimit); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return &closing{reason: wire.ReasonSlowWrite, note: "peer does not read"}
		}
		return err
	}
	return nil
}

// adjustLevel follows the round trip. Where bytes wait, it is left for the next time.
func (c *conn) adjustLevel(rtt time.Duration) {
	c.tc.StartS2Write(s2Levels[c.s.level(c.mode(), rtt)], 0)
}

// reserve gives c its place in the peer's table, or refuses it as a duplicate.
func (s *Service) reserve(c *conn) error {
	if n := c.remote.PoolSize; n < 0 || n > max(s.set().pool, maxPeerPool) {
		return &closing{reason: wire.ReasonProtocolViolation, note: fmt.Sprintf("peer claims a pool of %d connections", n)}
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return errShutdown
	}
	p := s.peers[c.remote.ServerID]
	if p == nil {
		p = s.newPeerLocked(c)
	}
	if p.single && c.account != "" {
		s.mu.Unlock()
		return &closing{reason: wire.ReasonProtocolViolation, text: wire.TextNoDedicatedRoute(c.account)}
	}
	if c.account == "" && !p.single {
		if c.dialed() {
			c.slot = slices.Index(p.pool, nil)
		} else {
			p.growLocked(c.slot + 1)
		}
		if c.slot < 0 {
			s.mu.Unlock()
			return errDuplicate
		}
	}
	old := p.slotLocked(c)
	if old != nil && !s.replaces(c, old, p) {
		s.mu.Unlock()
		return errDuplicate
	}
	p.setSlotLocked(c, c)
	if old != nil {
		p.refreshLocked()
	}
	c.peer = p
	s.mu.Unlock()
	if old != nil {
		old.Close(wire.ReasonDuplicateRoute)
	}
	return nil
}

// replaces decides between two connections for one place (cluster-routes 8). A
// dialer never insists. An acceptor of a reference server keeps the first, but
// its own dialed connection only once the other side has confirmed it: when dials
// cross, the other side has refused it already. Between our own, the dial of the
// smaller server id wins, on both sides; and a second dial of the same side means
// that the first connection is dead.
func (s *Service) replaces(c, old *conn, p *peer) bool {
	switch {
	case c.dialed() || old.dead.Load():
		return old.dead.Load()
	case !p.ours:
		return old.dialed() && !old.synced.Load()
	case !old.dialed():
		return true
	}
	return p.id < s.o.Server.ID
}
