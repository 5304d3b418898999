package leaf

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

func checkRemotes(list []config.LeafRemote) error {
	for i := range list {
		if len(list[i].URLs) == 0 {
			return fmt.Errorf("leaf node remote %q has no url: give at least one", list[i].Name)
		}
	}
	return nil
}

// Prepare takes new settings: remotes come and go, those that ask for the same as before
// keep their link. See daemon.Prepare.
func (s *Service) Prepare(ch *config.Change) (apply func(), err error) {
	if !ch.Any("LeafNodes", "Limits", "Auth", "Accounts", "ConnectErrorReports", "ReconnectErrorReports") {
		return nil, nil
	}
	if n := ch.New.LeafNodes; n != nil {
		if err := checkRemotes(n.Remotes); err != nil {
			return nil, err
		}
	}
	return func() { s.apply(ch) }, nil
}

func (s *Service) apply(ch *config.Change) {
	block := ch.New.LeafNodes
	if block == nil {
		block = new(config.LeafNodes)
	}
	old := s.set()
	next := s.opts.state(block, ch.New.Limits, ch.New.ConnectErrorReports, ch.New.ReconnectErrorReports)
	if s.ln != nil {
		next.address = s.addressOf(next)
		if next.TLS != nil {
			if next.tls = old.tls; next.tls == nil {
				next.tls, _ = next.TLS.Server() // it was read while the change was prepared
			}
		}
	}
	s.state.Store(next)
	s.gate.limitRate(next.TLS)
	if u := s.opts.LeafURLs; s.ln != nil && u != nil && (next.address != old.address || next.NoAdvertise != old.NoAdvertise) {
		var own []string
		if !next.NoAdvertise {
			own = []string{next.address}
		}
		u.SetOwn(own)
	}
	s.replaceRemotes(next)
	s.renewLinks(ch, old, next)
	if ch.Any("Accounts") {
		s.shedAccounts()
	}
}

// replaceRemotes makes the remotes those of the settings.
func (s *Service) replaceRemotes(set *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.remotes
	s.remotes = nil
	for i := range set.Remotes {
		cfg := &set.Remotes[i]
		at := slices.IndexFunc(left, func(r *remote) bool { return sameLink(r.cfg(), cfg) })
		if at < 0 {
			r := newRemote(s, cfg)
			s.remotes = append(s.remotes, r)
			s.opts.Log.Noticef("Reloaded: LeafNode Remote urls=%v, account=%q added", hosts(cfg.URLs), r.account())
			s.dialLocked(r)
			continue
		}
		r := left[at]
		left = slices.Delete(slices.Clone(left), at, at+1)
		was := r.cfg().Disabled
		r.conf.Store(cfg)
		s.remotes = append(s.remotes, r)
		if was != cfg.Disabled {
			s.opts.Log.Noticef("Reloaded: LeafNode Remote urls=%v, account=%q Disabled value is: %v", hosts(cfg.URLs), r.account(), cfg.Disabled)
			if cfg.Disabled {
				r.stop(RemoteDisabled)
			} else {
				s.dialLocked(r)
			}
		}
	}
	for _, r := range left {
		s.opts.Log.Noticef("Reloaded: LeafNode Remote urls=%v, account=%q removed", hosts(r.cfg().URLs), r.account())
		r.stop(RemoteStopped)
	}
}

// sameLink tells whether two remotes ask for the same link. What counts only when it is
// dialed may differ.
func sameLink(a, b *config.LeafRemote) bool {
	x, y := *a, *b
	for _, r := range []*config.LeafRemote{&x, &y} {
		r.TLS, r.DialTimeout, r.FirstInfoTimeout, r.ReconnectSpread, r.Disabled = nil, 0, 0, 0, false
	}
	return config.Same(x, y)
}

// dialLocked begins to keep a remote's link. s.mu is held.
func (s *Service) dialLocked(r *remote) {
	if !s.started || s.closed || r.cfg().Disabled {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	r.set(RemoteDialing, func() { r.final = "" })
	before := r.ended
	ended := make(chan struct{})
	r.cancel, r.ended = cancel, ended
	s.wg.Go(func() {
		defer close(ended)
		if before != nil {
			<-before
		}
		r.run(ctx)
	})
}

// stop ends the link for good, or until it is dialed again. Service.mu is held.
func (r *remote) stop(s RemoteState) {
	if r.cancel != nil {
		r.cancel()
		r.cancel = nil
	}
	r.set(s, func() { r.final = s })
}

// renewLinks gives links that are there what can change under them, and ends those that
// have to be made anew.
func (s *Service) renewLinks(ch *config.Change, old, next *state) {
	remake := s.ln != nil && (!config.Same(old.Compression, next.Compression) || old.Isolate != next.Isolate)
	var review *auth.Review
	if s.opts.Judge != nil && ch.Any(auth.ReviewedFields...) {
		review = s.opts.Judge.Review()
	}
	unpinned := 0
	for _, l := range s.open() {
		l.c.SetWriting(next.WriteDeadline, next.WriteTimeout != config.WriteTimeoutClose)
		if l.unpinned(next, ch.New.WebSocket) {
			unpinned++
			l.stop(&ending{reason: wire.ReasonTLSHandshake, detail: "the peer's certificate is not pinned any more"})
			continue
		}
		if l.remote == nil && remake {
			l.Close(wire.ReasonClientClosed)
			continue
		}
		if l.remote == nil && review != nil && l.admitted() {
			if e := l.review(review); e != nil {
				l.stop(e)
				continue
			}
		}
		if l.isUp() {
			l.pinger.SetPace(next.PingInterval, next.PingMax)
		}
	}
	if unpinned > 0 {
		s.opts.Log.Noticef("Disconnect %d leafnodes due to pinned certs reload", unpinned)
	}
}

// unpinned tells whether the peer's certificate is none of those that are let in now.
func (l *conn) unpinned(set *state, w *config.WebSocketListener) bool {
	if !l.isUp() {
		return false // its handshake is judged by what is current
	}
	st := l.c.TLSState()
	if st == nil {
		return false
	}
	block := set.TLS
	switch {
	case l.remote != nil:
		block = l.remote.tls(set)
	case l.web != nil && w != nil: // it came in by that listener
		block = w.TLS
	}
	return block.Unpinned(st.PeerCertificates)
}

// admitted tells whether the peer is known to be somebody.
func (l *conn) admitted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shown != nil
}

// review asks whether the peer may stay what it is; an ending says that it may not.
func (l *conn) review(r *auth.Review) *ending {
	l.mu.Lock()
	id := l.now
	l.mu.Unlock()
	v := r.Of(id, l.web.kind(), func() *auth.Credentials { return l.shown })
	switch {
	case v.End:
		return ended(v.Reason, v.Text)
	case v.Identity != nil:
		l.mu.Lock()
		l.now = v.Identity
		l.mu.Unlock()
		if l.isUp() {
			l.tellPermissions(v.Identity)
		}
		l.Permit(v.Identity)
	}
	return nil
}

// tellPermissions has the peer keep to new permissions by itself: what it sends against
// them ends the link.
func (l *conn) tellPermissions(id *auth.Identity) {
	info := l.svc.listenInfo()
	info.Import, info.Export = new(wire.SubjectPermission), new(wire.SubjectPermission)
	if p := id.Permissions; p != nil && p.Source != nil {
		*info.Import = wire.SubjectPermission{Allow: p.Source.Subscribe.Allow, Deny: p.Source.Subscribe.Deny}
		*info.Export = wire.SubjectPermission{Allow: p.Source.Publish.Allow, Deny: p.Source.Publish.Deny}
	}
	l.c.WriteFlush(wire.AppendInfo(nil, &info))
}

// generation is that of the users; see auth.Judge.
func (s *Service) generation() uint64 {
	if s.opts.Judge == nil {
		return 0
	}
	return s.opts.Judge.Generation()
}

// rejudge notes by what the peer was admitted. If the users have changed since then, it
// is judged once more: whoever went through all links may have missed this one.
func (l *conn) rejudge() *ending {
	if l.remote != nil || l.ident == nil {
		return nil
	}
	l.mu.Lock()
	l.shown, l.now = l.creds, l.ident
	l.mu.Unlock()
	if j := l.svc.opts.Judge; j != nil && j.Generation() != l.judged {
		return l.review(j.Review())
	}
	return nil
}

// shedAccounts ends the youngest leaf nodes of accounts that have too many.
func (s *Service) shedAccounts() {
	s.mu.Lock()
	var all []*account
	for _, a := range s.accounts {
		all = append(all, a)
	}
	s.mu.Unlock()
	for _, a := range all {
		a.mu.Lock()
		var list []*conn
		for l := range a.links {
			if l.remote == nil {
				list = append(list, l)
			}
		}
		a.mu.Unlock()
		limit := a.Limits().MaxLeafNodes
		excess := len(list) + int(a.LeafsElsewhere.Load()) - limit
		if limit <= 0 || excess <= 0 {
			continue
		}
		slices.SortFunc(list, func(x, y *conn) int { return cmp.Compare(y.id, x.id) })
		for _, l := range list[:min(excess, len(list))] {
			l.stop(ended(wire.ReasonMaxAccountConnections, wire.TextMaxAccountConnections))
		}
	}
}
