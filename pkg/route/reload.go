package route

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Prepare takes new settings. Routes that are no longer listed end and are not dialed
// again, new ones are dialed; who dialed us with a user that is none any more is sent
// away. Permissions change under the routes. What both sides agree on when a connection
// opens, the pool, accounts with connections of their own and whether there is
// compression, makes all routes anew. See daemon.Prepare.
func (s *Service) Prepare(ch *config.Change) (apply func(), err error) {
	if !ch.Any("Cluster", "ConnectErrorReports", "ReconnectErrorReports", "Limits") || ch.New.Cluster == nil {
		return nil, nil
	}
	next, err := s.newState(ch.New.Cluster, ch.New.ConnectErrorReports, ch.New.ReconnectErrorReports, s.maxPayload(ch.New))
	if err != nil {
		return nil, err
	}
	return func() { s.apply(next) }, nil
}

func (s *Service) apply(next *state) {
	old := s.set()
	if next.TLS != nil {
		if next.serverTLS = old.serverTLS; next.serverTLS == nil {
			next.serverTLS, _ = next.TLS.Server() // it was read while the change was prepared
		}
	}
	remake := old.remake(next)
	s.mu.Lock()
	s.changing = remake // nothing opens between what was and what is to be
	s.state.Store(next)
	ended := s.retargetLocked(next.Routes)
	for c := range s.conns {
		switch {
		case remake:
			ended[c] = &closing{reason: wire.ReasonClientClosed}
		case !c.dialed() && next.Auth.User != "" && (next.Auth.User != old.Auth.User || next.Auth.Password != old.Auth.Password):
			ended[c] = errAuth
		}
	}
	s.bumpLocked()
	s.mu.Unlock()
	for c, why := range ended {
		c.end(why)
	}
	if remake {
		s.awaitEnd(ended)
	}
	if next.Name != "" && next.Name != old.Name {
		s.adopt(next.Name, false, "")
	}
	if !remake {
		s.renew(old, next)
	}
	if next.Advertise != old.Advertise || next.NoAdvertise != old.NoAdvertise || !config.Same(old.Permissions, next.Permissions) {
		s.tellAll(func(p *peer) *info {
			in := s.info()
			in.PoolSize = s.poolWith(p.role)
			return in
		})
	}
}

// awaitEnd lets routes open again once those have ended, or after a while.
func (s *Service) awaitEnd(ended map[*conn]*closing) {
	limit := time.NewTimer(remakeLimit)
	defer limit.Stop()
	for c := range ended {
		select {
		case <-c.done:
			continue
		case <-limit.C:
		}
		break
	}
	s.mu.Lock()
	s.changing = false
	s.bumpLocked()
	s.mu.Unlock()
}

const remakeLimit = 2 * time.Second

// remake tells whether connections that were opened by set do not fit next.
func (set *state) remake(next *state) bool {
	leveled := set.mode.Compresses() && next.mode.Compresses() // each side chooses its own level
	return set.pool != next.pool || set.mode != next.mode && !leveled || !maps.Equal(set.pinned, next.pinned)
}

// retargetLocked makes the dialed routes those of a list. It returns the connections of
// those that are not in it any more. s.mu is held, as it is by keep where it reads.
func (s *Service) retargetLocked(routes []*url.URL) map[*conn]*closing {
	ended := make(map[*conn]*closing)
	if !s.started || s.closing {
		return ended
	}
	left := s.targets
	s.targets = nil
	seen := make(map[string]bool)
	for _, u := range routes {
		host := strings.ToLower(u.Host)
		if seen[host] {
			s.o.Log.Warnf("Duplicate route entry detected: %s", u.Host)
			continue
		}
		seen[host] = true
		t := &target{url: u, explicit: true, stopped: make(chan struct{})}
		if at := slices.IndexFunc(left, func(t *target) bool { return strings.EqualFold(t.url.Host, u.Host) }); at >= 0 {
			old := left[at]
			left = slices.Delete(slices.Clone(left), at, at+1)
			if old.url.String() == u.String() {
				s.targets = append(s.targets, old)
				continue
			}
			// With another user from the next dial on; what is up stays.
			close(old.stopped)
			t.id, t.self = old.id, old.self
		}
		s.targets = append(s.targets, t)
		s.wg.Add(1)
		go s.keep(t)
	}
	for _, t := range left {
		s.o.Log.Noticef("Removed route URL %s", t.url.Host)
		close(t.stopped)
		for c := range s.conns {
			if c.target == t || c.peer != nil && c.peer.id == t.id && t.id != "" {
				ended[c] = &closing{reason: wire.ReasonClientClosed}
			}
		}
		for host, x := range s.implicit {
			if x.id == t.id && t.id != "" {
				x.stop()
				delete(s.implicit, host)
			}
		}
	}
	return ended
}

// stop ends the dialing of a target. Service.mu is held.
func (t *target) stop() {
	select {
	case <-t.stopped:
	default:
		close(t.stopped)
	}
}

func (t *target) isStopped() bool {
	select {
	case <-t.stopped:
		return true
	default:
		return false
	}
}
