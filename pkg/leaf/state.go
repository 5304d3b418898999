package leaf

import (
	"crypto/tls"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// state is what links go by: the block with defaults filled in, and what follows from
// it. It is not changed: a reload makes another one.
type state struct {
	config.LeafNodes
	limits                           config.Limits
	tls                              *tls.Config // of the listener, nil without TLS
	address                          string      // host:port where leaf nodes reach us; "" without a listener
	connectReports, reconnectReports int
}

// set is the state in force.
func (s *Service) set() *state { return s.state.Load() }

// state leaves out what only an open listener has.
func (o *Options) state(block *config.LeafNodes, limits config.Limits, connect, reconnect int) *state {
	s := &state{LeafNodes: *block, limits: limits, connectReports: connect, reconnectReports: reconnect}
	s.Reconnect = orElse(s.Reconnect, defaultReconnect)
	s.ReconnectSpread = orElse(s.ReconnectSpread, defaultSpread)
	s.ReconnectMax = orElse(s.ReconnectMax, defaultReconnectMax)
	s.DialTimeout = orElse(s.DialTimeout, defaultDialTimeout)
	s.HandshakeTimeout = orElse(s.HandshakeTimeout, defaultHandshake)
	s.PingInterval = orElse(s.PingInterval, orElse(limits.PingInterval, defaultPingInterval))
	if s.PingMax <= 0 {
		s.PingMax = defaultPingMax
	}
	s.WriteDeadline = orElse(s.WriteDeadline, limits.WriteDeadline)
	if s.Auth.Timeout <= 0 {
		s.Auth.Timeout = defaultAuthTimeout
		if s.TLS != nil {
			s.Auth.Timeout = tlsTimeout(s.TLS) + time.Second
		}
	}
	if s.Compression.Mode == "" {
		s.Compression.Mode = config.CompressionS2Auto
	}
	return s
}

// maxLine is the longest line that a peer may send.
func (s *state) maxLine() int {
	if s.limits.MaxControlLine <= 0 {
		return wire.DefaultMaxPeerControlLine
	}
	return 16 * s.limits.MaxControlLine
}

// addressOf is where leaf nodes are told to reach us.
func (s *Service) addressOf(set *state) string {
	if a := set.Advertise; a != "" {
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			host, port = a, strconv.Itoa(s.port)
		}
		return net.JoinHostPort(host, port)
	}
	return net.JoinHostPort(s.host, strconv.Itoa(s.port))
}

func (s *Service) remoteList() []*remote {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.remotes)
}
