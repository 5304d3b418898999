package gateway

import (
	"net"
	"strconv"

	"github.com/banyanmq/banyan/pkg/version"
	"github.com/banyanmq/banyan/pkg/wire"
)

// fenceInfo is an INFO between gwds of two regions. A PING only tells that the gwd at
// the far end has read what came before; this tells that the hubs behind it have
// handled it, so that what comes another way cannot be there earlier.
type fenceInfo struct {
	wire.GatewayInfo
	Fence  string `json:"x_fence,omitempty"`  // dialer to acceptor: answer when hubs have all
	Fenced string `json:"x_fenced,omitempty"` // acceptor to dialer: they have
}

// info is our full INFO.
func (s *Service) info() *wire.GatewayInfo {
	set := s.set().Gateway
	host, port := s.address()
	return &wire.GatewayInfo{
		ServerID: s.o.Server.ID, ServerName: s.o.Server.Name, Version: version.Protocol, Proto: protoLevel,
		Host: host, Port: port, Headers: true, MaxPayload: s.set().maxPayload,
		AuthRequired: set.Auth.User != "", TLSRequired: set.TLS != nil, TLSVerify: set.TLS != nil,
		Gateway: s.name, GatewayURLs: s.ownURLs(), GatewayURL: net.JoinHostPort(host, strconv.Itoa(port)),
		NewReplyPrefix: true, InterestOnlyMode: true,
		Banyan: version.Version, Role: wire.RoleGateway, LameDuck: s.leaving.Load(),
	}
}

// ownURLs are the gateway addresses of our cluster.
func (s *Service) ownURLs() []string {
	if all := s.o.URLs.All(); len(all) > 0 {
		return all
	}
	return s.o.URLs.Own()
}

// address is what remotes are told to dial.
func (s *Service) address() (host string, port int) {
	set := s.set().Gateway
	host, port = set.Host, s.Addr().Port
	if set.Advertise != "" {
		h, p, err := net.SplitHostPort(set.Advertise)
		if err != nil {
			return set.Advertise, port
		}
		if n, err := strconv.Atoi(p); err == nil && n > 0 {
			port = n
		}
		return h, port
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return s.reachable, port
	}
	return host, port
}

// reachableHost is the first global address of an interface. Without one the
// loopback address is better than none: it serves a region on one machine.
func reachableHost() (host string, global bool) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "127.0.0.1", false
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if ok && n.IP.IsGlobalUnicast() {
			return n.IP.String(), true
		}
	}
	return "127.0.0.1", false
}

// command is an INFO that concerns one account.
func (s *Service) command(cmd int, account string) []byte {
	return wire.AppendInfo(nil, &wire.GatewayInfo{Gateway: s.name, Cmd: cmd, CmdPayload: []byte(account)})
}

// gossip is an INFO about another cluster.
func (s *Service) gossip(gateway string, urls []string) []byte {
	return wire.AppendInfo(nil, &wire.GatewayInfo{
		ServerID: s.o.Server.ID, Gateway: gateway, GatewayURLs: urls, Cmd: wire.GatewayCmdGossip,
	})
}

// urlsChanged tells all inbound peers the addresses of our cluster anew.
func (s *Service) urlsChanged() {
	s.mu.Lock()
	open := s.opened
	s.mu.Unlock()
	if !open || s.leaving.Load() {
		// Who is about to go tells nothing of others, whom it loses sight of now.
		return
	}
	line := wire.AppendInfo(nil, s.info())
	for _, c := range s.list(inbound) {
		c.tc.WriteFlush(line)
	}
}

// onInfo handles an INFO that comes later than the first.
func (c *conn) onInfo(arg []byte) error {
	var in fenceInfo
	if err := wire.DecodeJSON(arg, &in); err != nil {
		return wire.ErrBadJSON
	}
	switch {
	case in.Fence != "":
		c.onFence(in.Fence)
		return nil
	case in.Fenced != "":
		c.onFenced(in.Fenced)
		return nil
	}
	switch in.Cmd {
	case 0:
		return c.fullInfo(&in.GatewayInfo)
	case wire.GatewayCmdGossip:
		c.s.Learn(in.Gateway, in.GatewayURLs)
		return nil
	case wire.GatewayCmdAllInterestStart, wire.GatewayCmdAllInterestEnd:
	default:
		c.log.RateLimitedWarnf("Received unknown gateway command %d from gateway %q", in.Cmd, c.name)
		return nil
	}
	start := in.Cmd == wire.GatewayCmdAllInterestStart
	switch {
	case len(in.CmdPayload) == 0 && start:
		return refuse(wire.ReasonProtocolViolation, wire.TextAccountAbsentStart)
	case len(in.CmdPayload) == 0:
		return refuse(wire.ReasonProtocolViolation, wire.TextAccountAbsentComplete)
	case c.dir == inbound:
		// Interest never flows from a dialer.
		c.log.RateLimitedWarnf("Received gateway command %d from gateway %q on an inbound connection: ignored", in.Cmd, c.name)
	case start:
		c.table.listing(in.CmdPayload)
	default:
		c.table.listed(in.CmdPayload)
	}
	return nil
}

// fullInfo handles a change of what the peer says of itself. The identity of
// a connection is fixed: only the addresses count, and the wish to be left.
func (c *conn) fullInfo(in *wire.GatewayInfo) error {
	if in.Gateway != c.name {
		return refuse(wire.ReasonWrongGateway, wire.TextGatewayWrongName(c.s.name, c.name, in.Gateway))
	}
	if c.dir == outbound {
		c.region.learned(in.GatewayURLs, true)
		if in.Move && c.ready.Load() {
			c.region.move(c)
		}
		return nil
	}
	c.s.Learn(in.Gateway, in.GatewayURLs)
	return nil
}

// Learn is told of a cluster and its addresses: by gossip, by a cluster mate, or
// by the cluster itself when it dialed us. A cluster that was not known is dialed.
func (s *Service) Learn(gateway string, urls []string) {
	if gateway == "" || gateway == s.name || len(urls) == 0 || s.leaving.Load() {
		return
	}
	r := s.region(gateway, !s.set().Gateway.RejectUnknown)
	if r == nil {
		return
	}
	if s.set().Gateway.RejectUnknown && !r.configured() {
		return
	}
	if r.learned(urls, false) {
		if f := s.o.Hooks.Gossip; f != nil {
			f(gateway, r.addresses())
		}
	}
	r.dial()
}
