package route

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/banyanmq/banyan/pkg/wire"
)

// target is an address to keep connections to.
type target struct {
	url      *url.URL
	explicit bool          // configured; else learned by gossip
	gossip   int           // gossip_mode with which it was learned
	ours     bool          // one of our own daemons has been there; used by keep
	stopped  chan struct{} // closed when it is not to be dialed any more

	// Guarded by Service.mu.
	id   string // of the server that was found there
	self bool   // it is this process
}

const (
	redialExplicit = time.Second
	redialJitter   = 100 * time.Millisecond
	redialMax      = 30 * time.Second
	ownRetries     = 30
)

func jitter() time.Duration { return rand.N(redialJitter) }

// need is what a target still lacks.
type need uint8

const (
	needNothing  need = iota
	needShared        // a connection of the pool, or the only one
	needDedicate      // one for an account
)

// keep dials until the target has all its connections, and again when one is lost.
// A route learned by gossip is given up when a dial fails too often, or when
// the other side turns out to do the dialing.
func (s *Service) keep(t *target) {
	defer s.wg.Done()
	defer s.forgetTarget(t)
	var pause time.Duration
	failures, ever := 0, false
	for {
		if pause > 0 && !s.sleep(t, pause) || t.isStopped() {
			return
		}
		what, account, changed := s.needs(t)
		if what == needNothing {
			remade := s.remaking()
			if !t.explicit && !remade && !s.maintains(t) {
				return
			}
			select {
			case <-s.ctx.Done():
				return
			case <-t.stopped:
				return
			case <-changed:
			}
			switch {
			case remade:
				pause = jitter() // nothing is wrong over there
			case s.lacking(t):
				pause = t.redial()
			default:
				pause = 0
			}
			continue
		}
		err := s.dial(t, account)
		switch {
		case s.ctx.Err() != nil:
			return
		case err == nil:
			failures, ever, pause = 0, true, 0
			continue
		case errors.Is(err, errSelf):
			s.mu.Lock()
			t.self = true
			s.bumpLocked()
			s.mu.Unlock()
			return
		case errors.Is(err, errDuplicate):
			// Both sides dial. Once they agree, each keeps up what it has dialed.
			pause = redialExplicit + jitter()
			continue
		}
		if s.refusal(t, account, err) {
			pause = jitter()
			continue
		}
		failures++
		s.logDial(t, err, failures, ever)
		if !t.explicit && failures > s.retries(t) {
			return
		}
		pause = s.backoff(failures)
	}
}

// retries is how often a route learned by gossip is dialed again. One of our own
// daemons that was up is given longer than the settings say: nobody else would
// join the two again.
func (s *Service) retries(t *target) int {
	n := s.set().Cluster.ConnectRetries
	if t.ours {
		n = max(n, ownRetries)
	}
	return n
}

func (t *target) redial() time.Duration {
	if t.explicit {
		return redialExplicit + jitter()
	}
	return jitter()
}

func (s *Service) backoff(failures int) time.Duration {
	pause := redialExplicit
	if s.set().Cluster.ConnectBackoff {
		pause = min(pause<<min(failures-1, 5), redialMax)
	}
	return pause + jitter()
}

func (s *Service) logDial(t *target, err error, failures int, ever bool) {
	every := s.set().connectReports
	if ever {
		every = s.set().reconnectReports
	}
	if failures == 1 || failures%every == 0 {
		s.o.Log.Errorf("Error trying to connect to route (attempt %d): %s: %v", failures, t.url.Host, err)
	}
}

func (s *Service) forgetTarget(t *target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.implicit[t.url.Host] == t {
		delete(s.implicit, t.url.Host)
	}
}

func (s *Service) sleep(t *target, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.stopped:
		return false
	case <-s.ctx.Done():
		return false
	}
}

func (s *Service) lacking(t *target) bool {
	what, _, _ := s.needs(t)
	return what != needNothing
}

// needs tells what to dial next; changed is closed when it may be different.
func (s *Service) needs(t *target) (what need, account string, changed chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = s.changed
	if s.closing || s.changing {
		return needNothing, "", changed
	}
	p := s.peers[t.id]
	switch {
	case p == nil:
		return needShared, "", changed
	case p.single:
		if p.one == nil {
			return needShared, "", changed
		}
		return needNothing, "", changed
	}
	for _, c := range p.pool {
		if c == nil {
			return needShared, "", changed
		}
	}
	for a := range p.accounts {
		if p.dedicated[a] == nil && !p.refused[a] {
			return needDedicate, a, changed
		}
	}
	return needNothing, "", changed
}

// remaking tells whether all routes are being made anew.
func (s *Service) remaking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changing
}

// maintains tells whether any connection to the peer was dialed by us.
func (s *Service) maintains(t *target) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[t.id]
	if p == nil {
		return true
	}
	ours := func(c *conn) bool { return c != nil && c.dialed() }
	if ours(p.one) || slices.ContainsFunc(p.pool, ours) {
		return true
	}
	for _, c := range p.dedicated {
		if ours(c) {
			return true
		}
	}
	return false
}

// refusal notes that a peer will not serve an account's own connection: for good
// if it can't, and for a peer known by gossip alone when it does not want to, so
// that the rest of its connections is kept up.
func (s *Service) refusal(t *target, account string, err error) bool {
	var end *closing
	if account == "" || !errors.As(err, &end) {
		return false
	}
	never := end.note == wire.TextNoDedicatedRoute(account) || end.text == wire.TextNoDedicatedRoute(account)
	if !never && (t.explicit || end.reason != wire.ReasonParseError) {
		return false
	}
	s.mu.Lock()
	if p := s.peers[t.id]; p != nil {
		p.refused[account] = true
		p.refreshLocked()
	}
	s.bumpLocked()
	s.mu.Unlock()
	return true
}

// dial opens one connection and returns when it is up and the peer has confirmed
// it, or with what ended it.
func (s *Service) dial(t *target, account string) error {
	addrs, err := s.resolve(t.url)
	if err != nil {
		return err
	}
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	var nc net.Conn
	for _, addr := range addrs {
		if nc, err = d.DialContext(s.ctx, "tcp", addr); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	c, err := s.newConn(nc, t, account)
	if err != nil {
		nc.Close()
		return err
	}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		s.run(c, c.greet)
	}()
	select {
	case <-c.up:
		t.ours = t.ours || c.peer.ours
		return nil
	case <-c.done:
		if wire.CloseReason(c.reason.Load()) == wire.ReasonDuplicateRoute {
			return errDuplicate
		}
		return c.cause
	}
}

// resolve finds the addresses of a URL, without our own, in random order.
func (s *Service) resolve(u *url.URL) ([]string, error) {
	port := u.Port()
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
	defer cancel()
	hosts, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if err != nil {
		return nil, err
	}
	var usable []string
	for _, i := range rand.Perm(len(hosts)) {
		if h := hosts[i]; !s.isOwn(h, port) {
			usable = append(usable, net.JoinHostPort(h, port))
		}
	}
	if len(usable) == 0 {
		return nil, errSelf
	}
	return usable, nil
}

// isOwn tells whether an address is one of this machine's with our route port.
func (s *Service) isOwn(host, port string) bool {
	if s.lis == nil || strconv.Itoa(s.lis.Addr().Port) != port {
		return false
	}
	ip := net.ParseIP(host)
	if own := s.lis.Addr().IP; !own.IsUnspecified() {
		return own.Equal(ip)
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}
