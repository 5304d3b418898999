package route

import (
	"crypto/subtle"
	"net"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/version"
	"github.com/banyanmq/banyan/pkg/wire"
)

// info is INFO with the keys that only our own daemons know.
type info struct {
	wire.RouteInfo
	// Accounts have connections of their own; a peer dials only those that it has
	// listed too, so that a list that differs does no harm.
	Accounts []string `json:"x_accounts,omitempty"`
	// State is told by gwds, for other gwds.
	State *BorderState `json:"x_border,omitempty"`
}

const protoLevel = 3

// poolWith is the pool size towards a peer of a role: gwds have one connection
// between them.
func (s *Service) poolWith(role string) int {
	if s.o.Role == BorderRole && role == wire.RoleGateway {
		return 0
	}
	return s.set().pool
}

// info is what we tell of ourselves, without what depends on the connection.
func (s *Service) info() *info {
	set := s.set().Cluster
	in := &info{}
	in.ServerID = s.o.Server.ID
	in.ServerName = s.o.Server.Name
	in.Version = version.Protocol
	in.Proto = protoLevel
	in.Go = runtime.Version()
	in.Banyan = version.Version
	in.Headers = true
	in.MaxPayload = s.set().maxPayload
	in.Cluster, in.ClusterDynamic = s.o.Server.Cluster()
	in.AuthRequired = set.Auth.User != ""
	in.TLSRequired = set.TLS != nil
	in.TLSVerify = set.TLS != nil
	in.Host, in.Port = s.address()
	if set.Advertise != "" {
		in.IP = "nats-route://" + net.JoinHostPort(in.Host, strconv.Itoa(in.Port)) + "/"
	}
	in.LeafOrigin, in.LeafOriginDel = true, true
	in.Import = s.set().imports.wire()
	in.Export = s.set().exports.wire()
	in.GatewayURL = first(s.o.GatewayURLs.Own())
	if s.o.Role == Hub {
		in.Role = wire.RoleHub
		in.Caps = []string{wire.CapFence}
		in.JetStream = s.o.JetStream
		if !set.NoAdvertise {
			in.ConnectURLs = s.o.URLs.Own()
			in.WSConnectURLs = s.o.WebSocketURLs.Own()
		}
		if u := first(s.o.LeafURLs.Own()); u != "" {
			in.LeafURLs = []string{u}
		}
		for a := range s.set().pinned {
			in.Accounts = append(in.Accounts, a)
		}
		slices.Sort(in.Accounts)
	} else {
		in.Role = wire.RoleGateway
		in.Caps = []string{wire.CapTargetedMsg, wire.CapFence, capRemotes}
		in.Remotes = s.remotes()
		if f := s.o.Border.State; f != nil {
			st := f()
			in.State = &st
		}
	}
	s.mu.Lock()
	in.LameDuck = s.lameDuck
	s.mu.Unlock()
	return in
}

func (s *Service) remotes() []wire.RemoteCluster {
	if f := s.o.Border.Remotes; f != nil {
		return f()
	}
	return nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// address is what peers are told to dial.
func (s *Service) address() (host string, port int) {
	set := s.set().Cluster
	if s.lis != nil {
		host, port = set.Host, s.lis.Addr().Port
	}
	if set.Advertise == "" {
		return host, port
	}
	h, p, err := net.SplitHostPort(set.Advertise)
	if err != nil {
		return set.Advertise, port
	}
	if n, err := strconv.Atoi(p); err == nil && n > 0 {
		port = n
	}
	return h, port
}

// connectLine is the dialer's CONNECT.
func (s *Service) connectLine(t *target) []byte {
	name, dynamic := s.o.Server.Cluster()
	c := wire.RouteConnect{
		Echo: true, Headers: true, Name: s.o.Server.ID, Cluster: name, ClusterDynamic: dynamic,
		TLSRequired: s.set().Cluster.TLS != nil, LeafOrigin: true, LeafOriginDel: true,
		Role: s.roleName(),
	}
	if u := t.url.User; u != nil {
		c.User = u.Username()
		c.Pass, _ = u.Password()
	} else if a := s.set().Cluster.Auth; a.User != "" {
		c.User, c.Pass = a.User, string(a.Password)
	}
	return wire.AppendConnect(nil, &c)
}

func (s *Service) roleName() string {
	if s.o.Role == Hub {
		return wire.RoleHub
	}
	return wire.RoleGateway
}

// checkConnect judges a dialer's CONNECT (cluster-routes 5).
func (c *conn) checkConnect(arg []byte) error {
	var con wire.RouteConnect
	if err := wire.DecodeJSON(arg, &con); err != nil {
		return err
	}
	switch {
	case con.Lang != "":
		return &closing{reason: wire.ReasonIncorrectPort, text: wire.TextRoutePort}
	case con.Gateway != "":
		return &closing{reason: wire.ReasonWrongGateway, text: wire.TextGatewayOnRoutePort(con.Gateway)}
	case !c.authorized(&con):
		return errAuth
	}
	c.remote.Role = con.Role
	return c.checkCluster(con.Cluster, con.ClusterDynamic, con.Name, true)
}

func (c *conn) authorized(con *wire.RouteConnect) bool {
	set := c.s.set().Cluster
	if t := set.TLS; t != nil && (t.VerifyAndMap || t.CheckKnownURLs) {
		return c.certificateFits(t)
	}
	if set.Auth.User == "" {
		return true
	}
	user := subtle.ConstantTimeCompare([]byte(con.User), []byte(set.Auth.User))
	pass := subtle.ConstantTimeCompare([]byte(con.Pass), []byte(set.Auth.Password))
	return user&pass == 1
}

// certificateFits looks for the user, or a configured host, in the peer's
// certificate.
func (c *conn) certificateFits(t *config.TLS) bool {
	state := c.tc.TLSState()
	if state == nil || len(state.PeerCertificates) == 0 {
		return false
	}
	return t.PeerFits(state.PeerCertificates[0], c.s.set().Cluster.Auth.User, c.s.set().Cluster.Routes)
}

// checkCluster compares cluster names and takes over the other's if this server
// has none of its own (cluster-routes 6).
func (c *conn) checkCluster(theirs string, dynamic bool, id string, connect bool) error {
	s := c.s
	ours, ownDynamic := s.o.Server.Cluster()
	if theirs == "" || theirs == ours {
		return nil
	}
	if ownDynamic && (!dynamic || theirs > ours) {
		s.adopt(theirs, dynamic || !connect, id)
		return nil
	}
	if dynamic && c.remote.Role != "" {
		return nil // one of our own gives way as soon as it sees our INFO
	}
	end := &closing{reason: wire.ReasonClusterNameConflict}
	if connect {
		end.text = wire.TextClusterNameConflict(theirs, ours)
	}
	return end
}

// adopt takes over a cluster's name: routes to others than id come back under it.
func (s *Service) adopt(name string, dynamic bool, id string) {
	s.o.Log.Noticef("Cluster name updated to %s", name)
	s.o.Server.SetCluster(name, dynamic)
	s.mu.Lock()
	var ended []*conn
	for c := range s.conns {
		if c.active && c.remote.ServerID != id {
			ended = append(ended, c)
		}
	}
	s.mu.Unlock()
	for _, c := range ended {
		c.Close(wire.ReasonClusterNameConflict)
	}
}

// filter is one list of route permissions.
type filter struct{ allow, deny []string }

func newFilter(p config.SubjectPermission) *filter {
	if len(p.Allow) == 0 && len(p.Deny) == 0 {
		return nil
	}
	return &filter{p.Allow, p.Deny}
}

// admits tells whether interest in subj may pass. nil admits all.
func (f *filter) admits(subj []byte) bool {
	if f == nil {
		return true
	}
	covered := func(list []string) bool {
		for _, p := range list {
			if subject.Subset(subj, p) {
				return true
			}
		}
		return false
	}
	return (len(f.allow) == 0 || covered(f.allow)) && !covered(f.deny)
}

// same tells whether both admit the same by the same lists.
func (f *filter) same(o *filter) bool {
	if f == nil || o == nil {
		return f == o
	}
	return slices.Equal(f.allow, o.allow) && slices.Equal(f.deny, o.deny)
}

func (f *filter) wire() *wire.SubjectPermission {
	if f == nil {
		return nil
	}
	return &wire.SubjectPermission{Allow: f.allow, Deny: f.deny}
}

// level is the S2 level of a mode; auto goes by the round trip.
func (s *Service) level(mode wire.CompressionMode, rtt time.Duration) wire.CompressionMode {
	if mode == wire.CompressionS2Auto {
		return wire.CompressionForRTT(rtt, s.set().thresholds)
	}
	return mode
}
