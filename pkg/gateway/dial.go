package gateway

import (
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/banyanmq/banyan/pkg/wire"
)

func shuffle(list []target) {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// dial begins to keep an outbound connection, unless that is being done.
func (r *region) dial() {
	s := r.s
	s.mu.Lock()
	if !s.opened || s.closing {
		s.mu.Unlock()
		return
	}
	r.mu.Lock()
	start := !r.dialing && (r.settings != nil || len(r.urls) > 0)
	r.dialing = r.dialing || start
	r.mu.Unlock()
	if start {
		s.wg.Add(1)
		go r.keep()
	}
	s.mu.Unlock()
}

// keep holds one outbound connection, for ever if the remote is configured. After
// a loss it dials at once, but a round never begins earlier than Retry
// behind the one before.
func (r *region) keep() {
	defer r.s.wg.Done()
	failed := 0
	everUp := false
	avoid := ""
	for {
		began := time.Now()
		c := r.connect(avoid, failed, everUp)
		used := false
		for c != nil {
			avoid = c.url
			<-c.done
			used = used || c.ready.Load()
			c = r.live()
		}
		if used {
			everUp, failed = true, 0
		} else {
			// Nobody there, or somebody who hangs up: patience with both ends some time.
			failed++
			if r.giveUp(failed) {
				return
			}
		}
		if !r.s.pause(r.wait(began, failed)) {
			r.mu.Lock()
			r.dialing = false
			r.mu.Unlock()
			return
		}
	}
}

func (r *region) live() *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// wait is the pause before the next round.
func (r *region) wait(began time.Time, failed int) time.Duration {
	pause := r.s.o.Retry
	if r.s.set().Gateway.ConnectBackoff && failed > 1 {
		pause = min(pause<<min(failed-1, 10), maxRetry)
	}
	if failed > 0 {
		return pause + rand.N(100*time.Millisecond)
	}
	return max(0, pause-time.Since(began))
}

// giveUp tells whether a learned remote is not dialed any more. It is as long as
// the remote itself has a connection to us (gateways 13.2), and again when
// somebody tells of it.
func (r *region) giveUp(failed int) bool {
	s := r.s
	if r.configured() || failed <= s.set().Gateway.ConnectRetries || s.hasInbound(r.name) {
		return false
	}
	r.mu.Lock()
	r.dialing = false
	r.mu.Unlock()
	s.log.Noticef("Giving up connecting to implicit gateway %q", r.name)
	return true
}

// connect tries each address once. A connection that it returns is being read.
func (r *region) connect(avoid string, failed int, everUp bool) *conn {
	kind := "implicit"
	if r.configured() {
		kind = "explicit"
	}
	every := r.s.set().connectReports
	if everUp {
		every = r.s.set().reconnectReports
	}
	for _, t := range r.targets(avoid) {
		if r.s.ctx.Err() != nil {
			return nil
		}
		c, err := r.open(t)
		if err == nil {
			return c
		}
		if failed == 0 || failed%every == 0 {
			r.s.log.Errorf("Error connecting to %s gateway %q (%s) (attempt %d): %v", kind, r.name, t.addr, failed+1, err)
		} else {
			r.s.log.Debugf("Error connecting to %s gateway %q (%s) (attempt %d): %v", kind, r.name, t.addr, failed+1, err)
		}
	}
	return nil
}

// open dials one address and opens the connection.
func (r *region) open(t target) (*conn, error) {
	s := r.s
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	nc, err := d.DialContext(s.ctx, "tcp", t.addr)
	if err != nil {
		return nil, err
	}
	c, err := s.newConn(nc, outbound)
	if err != nil {
		return nil, err
	}
	c.name, c.url = r.name, t.addr
	if err := c.greet(r, t); err != nil {
		c.end(err)
		return nil, closingOf(err)
	}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		c.serve()
	}()
	return c, nil
}

// greet is the dialer's side of the opening (gateways 4.2).
func (c *conn) greet(r *region, t target) error {
	s := c.s
	if t.tls != nil {
		cfg, err := t.tls.Client(t.serverName)
		if err != nil {
			return silent(wire.ReasonTLSHandshake, "%v", err)
		}
		limit := t.tls.Timeout
		orDefault(&limit, tlsTimeout)
		if err := c.tc.StartTLS(cfg, false, limit); err != nil {
			return silent(wire.ReasonTLSHandshake, "TLS gateway handshake error: %v", err)
		}
	}
	if err := c.readInfo(time.Now().Add(s.infoLimit())); err != nil {
		return err
	}
	if err := c.checkInfo(); err != nil {
		return err
	}
	connect := wire.GatewayConnect{TLSRequired: t.tls != nil, Name: s.o.Server.ID, Gateway: s.name, Role: wire.RoleGateway}
	if t.user != nil {
		connect.User = t.user.Username()
		connect.Pass, _ = t.user.Password()
	} else if a := s.set().Gateway.Auth; a.User != "" {
		connect.User, connect.Pass = a.User, string(a.Password)
	}
	c.region, c.table = r, r.newTable(0)
	c.table.asks = c.remote.InterestOnlyMode
	c.tc.Write(wire.AppendConnect(nil, &connect))
	c.tc.Write(wire.AppendInfo(nil, s.info()))
	c.startPinger()
	s.o.Registry.Add(c)
	c.keepTo(s.set()) // a reload may have missed it
	c.probe(c.opened)
	if r.learned(c.remote.GatewayURLs, true) && s.o.Hooks.Gossip != nil {
		s.o.Hooks.Gossip(r.name, r.addresses())
	}
	return nil
}

// readInfo reads the peer's first INFO.
func (c *conn) readInfo(by time.Time) error {
	for {
		verb, arg, err := c.line(by)
		if err != nil {
			return err
		}
		switch verb {
		case "INFO":
			if wire.DecodeJSON([]byte(arg), &c.remote) != nil {
				return wire.ErrBadJSON
			}
			return nil
		case "-ERR":
			return silent(wire.ReasonClientClosed, "the peer said %s", arg)
		case "PING":
			c.tc.WriteFlush([]byte(wire.LinePong))
		default:
			return silent(wire.ReasonProtocolViolation, "expected INFO, got %.32q", verb)
		}
	}
}

// checkInfo judges the INFO of what was dialed (gateways 4.5).
func (c *conn) checkInfo() error {
	in := &c.remote
	switch {
	case in.Gateway == "" || in.ClientID != 0:
		return refuse(wire.ReasonIncorrectPort, wire.TextGatewayWrongPort(c.name))
	case in.Gateway != c.name:
		return refuse(wire.ReasonWrongGateway, wire.TextGatewayWrongName(c.s.name, c.name, in.Gateway))
	}
	return c.checkPeer()
}

// checkPeer judges what both sides look at.
func (c *conn) checkPeer() error {
	in := &c.remote
	s := c.s
	if in.ServerName != "" && (in.ServerName == s.o.Server.Name || s.o.Hooks.NameTaken != nil && s.o.Hooks.NameTaken(in.ServerName)) {
		note := fmt.Sprintf("Remote server has a duplicate name: %q", in.ServerName)
		c.log.Errorf("%s", note)
		return &closing{reason: wire.ReasonDuplicateServerName, note: note}
	}
	if !in.InterestOnlyMode && !s.o.AllowOptimistic {
		note := fmt.Sprintf("gateway %q (version %s) sends without interest: servers before 2.9 are not supported", c.name, in.Version)
		c.log.Errorf("%s", note)
		return &closing{reason: wire.ReasonWrongGateway, note: note}
	}
	return nil
}

// opened is called when the first PONG has come: the round trip is known, and the
// peer's interest stands before the PONG.
func (c *conn) opened(rtt time.Duration) {
	c.ready.Store(true)
	c.pinger.SetRTT(rtt)
	if !c.table.asks {
		for _, a := range c.s.o.Broker.Accounts() {
			c.table.assume(a.Name)
		}
	}
	c.log.Noticef("Outbound gateway connection to %q (%s) registered", c.name, c.remote.ServerID)
	c.region.measured(c, rtt)
	c.region.usable(c)
	c.probeSoon(earlyProbes)
}

// probeSoon measures the way n more times, a little apart.
func (c *conn) probeSoon(n int) {
	c.pongMu.Lock()
	defer c.pongMu.Unlock()
	if c.ended || n == 0 {
		return
	}
	c.probing = time.AfterFunc(earlyPause, func() {
		c.probe(func(rtt time.Duration) { c.region.measured(c, rtt) })
		c.probeSoon(n - 1)
	})
}

// move looks for another connection to take c's place, because the peer is about
// to leave.
func (r *region) move(c *conn) {
	if !c.moving.CompareAndSwap(false, true) {
		return
	}
	s := r.s
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.wg.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.wg.Done()
		defer c.moving.Store(false)
		for _, t := range r.targets(c.url) {
			if t.addr == c.url {
				continue
			}
			if next, err := r.open(t); err == nil {
				c.log.Noticef("Moving from %s to %s as gateway %q asks", c.url, next.url, r.name)
				return
			}
		}
	}()
}
