package client

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// news is what the reader of a connection has yet to take on; nil fields: nothing of it.
type news struct {
	id  *auth.Identity
	set *terms
}

// tell adds to the news. It may be called by any goroutine.
func (c *conn) tell(add func(*news)) {
	for {
		old := c.news.Load()
		next := new(news)
		if old != nil {
			*next = *old
		}
		add(next)
		if c.news.CompareAndSwap(old, next) {
			return
		}
	}
}

// forgetIdentity drops news of an identity that the connection has no more.
func (c *conn) forgetIdentity() {
	if c.news.Load() != nil {
		c.tell(func(n *news) { n.id = nil })
	}
}

// fields are the settings that concern clients.
var fields = []string{"Client", "Limits", "Auth", "Accounts", "Mappings", "Log", "LeafNodes.TLS", "WebSocket"}

// Prepare takes new settings for new connections and for those that are there. See
// daemon.Prepare.
func (s *Service) Prepare(ch *config.Change) (apply func(), err error) {
	if !ch.Any(fields...) {
		return nil, nil
	}
	if a := ch.New.Client.Advertise; a != "" {
		if _, _, err := splitAdvertise(a, 0); err != nil {
			return nil, fmt.Errorf("client advertise %q: %w", a, err)
		}
	}
	if err := s.web.check(ch.New.WebSocket); err != nil {
		return nil, err
	}
	return func() { s.apply(ch) }, nil
}

func (s *Service) apply(ch *config.Change) {
	old := s.set.Load()
	next := s.newTerms(ch.New)
	if t := ch.New.Client.TLS; t != nil {
		if next.tls = old.tls; next.tls == nil {
			next.tls, _ = t.Server() // it was read while the change was prepared
		}
		s.rate.set(t.ConnectionRateLimit)
	}
	next.base = old.base
	if s.ln != nil {
		own, err := s.advertise(next)
		s.set.Store(next)
		if err == nil && ch.Any("Client.Advertise") {
			s.o.URLs.SetOwn(own) // which tells all clients
		}
	} else {
		s.set.Store(next)
	}
	web := s.web.apply(s, ch)
	inform := old.base.MaxPayload != next.base.MaxPayload || old.base.TLSRequired != next.base.TLSRequired || ch.Any("Accounts")
	unpinned := 0
	var review *auth.Review
	if s.o.Judge != nil && ch.Any(auth.ReviewedFields...) {
		review = s.o.Judge.Review()
	}
	s.eachClient(func(c *conn) {
		set := next
		if c.web != nil {
			set = web
		}
		c.renew(set)
		if c.unpinned(set.block) {
			unpinned++
			c.shut(wire.ReasonTLSHandshake, "")
			return
		}
		if review != nil && !c.review(review) {
			return
		}
		if inform {
			c.sendInfo(false)
		}
	})
	if unpinned > 0 {
		s.log.Noticef("Disconnect %d clients due to pinned certs reload", unpinned)
	}
	s.shed(next.limits.MaxConnections)
	if ch.Any("Accounts") {
		s.shedAccounts()
	}
}

// renew gives a connection new settings. The reader takes them on before it looks at
// anything else that the client sends.
func (c *conn) renew(set *terms) {
	c.tell(func(n *news) { n.set = set })
	c.t.SetMaxPending(set.limits.MaxPending)
	c.t.SetWriting(set.limits.WriteDeadline, set.limits.WriteTimeout == config.WriteTimeoutRetry)
	c.t.Locked(func() { c.out.trace = set.trace })
	c.mu.Lock()
	p := c.pinger
	c.mu.Unlock()
	if p != nil {
		p.SetPace(set.limits.PingInterval, set.limits.PingMax)
	}
}

// settleIn is the reader's part of renew.
func (c *conn) settleIn() {
	c.trace = c.set.trace
	c.parser.MaxControlLine = c.set.limits.MaxControlLine
	if !c.connected && c.identity == nobody {
		c.gate = c.set.policy.Required
	}
}

// review asks whether the client may stay what it is. It reports false for one that is
// closed.
func (c *conn) review(r *auth.Review) bool {
	c.mu.Lock()
	id, o, strangers, login := c.identity, c.options, c.subs.len() > 0, c.logins
	c.mu.Unlock()
	if n := c.news.Load(); n != nil && n.id != nil {
		id = n.id // which it is about to be
	}
	if id == nobody {
		// It has shown nothing yet, and will have to if that is wanted now.
		if strangers && c.terms().policy.Required {
			c.cut(wire.ReasonAuthFailure, wire.TextAuthViolation)
			return false
		}
		return true
	}
	if o == nil {
		d := wire.DefaultClientConnect()
		o = &d
	}
	v := r.Of(id, c.kind(), func() *auth.Credentials {
		cr := c.credentials(o)
		cr.Proxy = id.Proxy
		return cr
	})
	switch {
	case v.End:
		c.log().Noticef("Closed by a reload: user %q is not what it was", id.User)
		c.cut(v.Reason, v.Text)
		return false
	case v.Identity != nil:
		c.permit(v.Identity, login)
	}
	return true
}

// cut ends a connection that gets nothing more from this moment on, but for text.
func (c *conn) cut(reason wire.CloseReason, text string) {
	c.t.Locked(func() { c.out.closed = true })
	c.shut(reason, text)
}

// generation is that of the users; see auth.Judge.
func (s *Service) generation() uint64 {
	if s.o.Judge == nil {
		return 0
	}
	return s.o.Judge.Generation()
}

// bindAs is bind for an identity that was found when the users were of a generation. If
// they have changed since, the change may have been carried out before this connection
// was known to be that user, so that it is judged here.
func (c *conn) bindAs(id *auth.Identity, generation uint64) error {
	if err := c.bind(id); err != nil {
		return err
	}
	if c.s.o.Judge != nil && c.s.o.Judge.Generation() != generation && !c.review(c.s.o.Judge.Review()) {
		return &ending{reason: wire.ReasonAuthFailure}
	}
	return nil
}

// unpinned tells whether the client's certificate is none of those that are let in now.
func (c *conn) unpinned(t *config.TLS) bool {
	c.mu.Lock()
	facts := c.tls
	c.mu.Unlock()
	return facts != nil && t.Unpinned(facts.certs)
}

// shed closes clients above a limit, whichever.
func (s *Service) shed(limit int) {
	if limit == 0 {
		return
	}
	excess := s.open.Load() - int64(max(limit, 0))
	if excess <= 0 {
		return
	}
	var all []*conn
	s.eachClient(func(c *conn) { all = append(all, c) })
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	closed := 0
	for _, c := range all {
		if closed == int(excess) {
			break
		}
		c.cut(wire.ReasonMaxConnections, wire.TextMaxConnections)
		closed++
	}
	s.log.Noticef("Closed %d connections to fall within max_connections", closed)
}

// shedAccounts closes the youngest clients of accounts that have too many.
func (s *Service) shedAccounts() {
	of := make(map[*broker.Account][]*conn)
	s.eachClient(func(c *conn) {
		c.mu.Lock()
		if c.bound && c.identity != nobody && c.reason == wire.ReasonNone {
			of[c.account] = append(of[c.account], c)
		}
		c.mu.Unlock()
	})
	for a, list := range of {
		limit := int64(a.Limits().MaxConnections)
		excess := int64(len(list)) + a.Leafs.Load() + a.Elsewhere.Load() - limit
		if limit <= 0 || excess <= 0 {
			continue
		}
		slices.SortFunc(list, func(x, y *conn) int { return cmp.Compare(y.id, x.id) })
		for _, c := range list[:min(int(excess), len(list))] {
			c.cut(wire.ReasonMaxAccountConnections, wire.TextMaxAccountConnections)
		}
	}
}
