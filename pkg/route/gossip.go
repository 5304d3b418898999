package route

import (
	"maps"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/banyanmq/banyan/pkg/wire"
)

// gossip tells the other peers of the server behind a connection that has just
// come up: on the first one, and on each dedicated one (cluster-routes 9).
func (s *Service) gossip(c *conn, first bool) {
	if !first && c.account == "" || c.remote.Port <= 0 && c.remote.IP == "" {
		return
	}
	switch {
	case !c.dialed() && c.remote.GossipMode == wire.GossipDisabled:
		return
	case c.dialed() && !c.target.explicit && c.target.gossip != wire.GossipOverride:
		return
	}
	in := c.announcement()
	for _, p := range s.peerList() {
		if p == c.peer || c.account != "" && p.single {
			continue
		}
		to := p.speaker()
		if t := p.table.Load(); c.account != "" && t.dedicated[c.account] != nil {
			to = t.dedicated[c.account]
		}
		if to == nil {
			continue
		}
		in.GossipMode = wire.GossipDisabled
		switch {
		case c.dialed() && !c.target.explicit:
			in.GossipMode = wire.GossipDefault
		case c.dialed(), to.dialed() && to.target.explicit:
			in.GossipMode = wire.GossipOverride
		}
		to.tc.WriteFlush(wire.AppendInfo(nil, in))
	}
}

// announcement is the INFO of the server behind c, to be passed on.
func (c *conn) announcement() *info {
	in := c.remote
	in.Nonce = ""
	in.PoolIndex = 0
	in.RouteAccount = c.account
	in.Remotes = nil
	if in.IP == "" {
		host, _, err := net.SplitHostPort(c.tc.RemoteAddr().String())
		if err != nil {
			host = in.Host
		}
		in.IP = "nats-route://" + net.JoinHostPort(host, strconv.Itoa(in.Port)) + "/"
	}
	return &in
}

// laterInfo handles an INFO on a registered connection (cluster-routes 4.3).
func (c *conn) laterInfo() error {
	in := new(info)
	if err := wire.DecodeJSON(c.op.Arg, in); err != nil {
		return err
	}
	if in.Cluster != "" {
		if err := c.checkCluster(in.Cluster, in.ClusterDynamic, c.remote.ServerID, false); err != nil {
			return err
		}
	}
	switch {
	case in.AccountMoveID != "":
		c.moveAccount(in)
	case in.Gateway != "":
		c.gatewayGossip(in)
	case in.ServerID != "" && in.ServerID != c.remote.ServerID:
		c.s.heard(in)
	default:
		c.update(in)
	}
	return nil
}

// moveAccount answers a peer that is about to give an account connections of
// its own (cluster-routes 15.2): what it announced here for the account goes, and
// comes again on the new connection. If that never comes up, the peer's interest
// may come back here at any time.
func (c *conn) moveAccount(in *info) {
	if in.RouteAccount == "" {
		return // an answer; we have not asked
	}
	if a := c.s.o.Broker.Lookup([]byte(in.RouteAccount)); a != nil {
		c.dropAccount(a)
	}
	answer := wire.RouteInfo{PoolSize: in.PoolSize, AccountMoveID: in.AccountMoveID}
	c.tc.Write(wire.AppendInfo(nil, &answer))
}

func (c *conn) gatewayGossip(in *info) {
	if c.s.o.Role != BorderRole {
		c.log.Errorf("Received information about gateway %q from %s, but gateway is not configured", in.Gateway, c.remote.ServerID)
		return
	}
	if f := c.s.o.Border.GatewayGossip; f != nil {
		f(in.Gateway, in.GatewayURLs)
	}
}

// heard is told of another server of the cluster.
func (s *Service) heard(in *info) {
	if in.ServerID == s.o.Server.ID || s.set().pool == 0 && in.RouteAccount != "" {
		return
	}
	addr := strings.TrimSuffix(in.IP, "/")
	if addr == "" {
		addr = "nats-route://" + net.JoinHostPort(in.Host, strconv.Itoa(in.Port))
	}
	u, err := url.Parse(addr)
	if err != nil || u.Port() == "" || u.Port() == "0" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[in.ServerID]
	if s.closing || p != nil && (in.RouteAccount == "" || p.single || p.dedicated[in.RouteAccount] != nil) {
		return
	}
	if p != nil && !p.accounts[in.RouteAccount] && s.o.Role != BorderRole {
		return
	}
	if p != nil {
		// Whoever dials this peer opens the connection for the account too.
		if !p.accounts[in.RouteAccount] {
			p.accounts = maps.Clone(p.accounts)
			p.accounts[in.RouteAccount] = true
			p.refreshLocked()
			s.bumpLocked()
		}
		return
	}
	if s.implicit[u.Host] != nil || s.configuredLocked(u, in) {
		return
	}
	t := &target{url: u, gossip: in.GossipMode, stopped: make(chan struct{})}
	s.implicit[u.Host] = t
	s.wg.Add(1)
	go s.keep(t)
}

// configuredLocked tells whether an address is one of the configured routes.
func (s *Service) configuredLocked(u *url.URL, in *info) bool {
	port := strconv.Itoa(in.Port)
	for _, t := range s.targets {
		if t.url.Host == u.Host || t.url.Host == net.JoinHostPort(in.Host, port) || t.id == in.ServerID {
			return true
		}
	}
	return false
}

// update takes what a peer tells of itself later.
func (c *conn) update(in *info) {
	s, p := c.s, c.peer
	if in.ServerID == p.id {
		c.exportsChanged(in.Export)
	}
	if in.LameDuck {
		s.forgetURLs(p)
		s.mu.Lock()
		again := p.leaving
		p.leaving = true
		s.mu.Unlock()
		if p.role == wire.RoleGateway && !again {
			c.log.Noticef("%q is about to leave", p.name)
			if s.border != nil {
				s.border.drain(p)
			} else if h := s.o.Border; h != nil && h.PeerGone != nil {
				h.PeerGone(p.id)
			}
		}
		return
	}
	if s.o.Role == BorderRole && p.role == wire.RoleGateway && in.ServerID == p.id {
		s.tellRemotes(in)
	}
}

// exportsChanged announces again what the peer refused before and accepts now
// (cluster-routes 13.6).
func (c *conn) exportsChanged(now *wire.SubjectPermission) {
	p := c.peer
	p.watchMu.Lock()
	before, after := filterOf(p.exports), filterOf(now)
	p.exports = now
	p.watchMu.Unlock()
	if before == nil || before.same(after) {
		return
	}
	for _, w := range p.announcers() {
		w.again(func(subj []byte) bool { return after.admits(subj) && !before.admits(subj) })
	}
}

func filterOf(p *wire.SubjectPermission) *filter {
	if p == nil || len(p.Allow) == 0 && len(p.Deny) == 0 {
		return nil
	}
	return &filter{p.Allow, p.Deny}
}
