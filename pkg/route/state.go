package route

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// state is what routes go by: the block and what follows from it. It is not changed: a
// reload makes another one.
type state struct {
	*config.Cluster
	pool       int // connections a peer that we want; 0: no pooling
	pinned     map[string]bool
	mode       wire.CompressionMode
	thresholds []time.Duration
	ping       time.Duration
	pingMax    int
	imports    *filter // interest that we send
	exports    *filter // interest that we accept
	serverTLS  *tls.Config
	maxPayload int32 // announced only

	connectReports, reconnectReports int
}

// set is the state in force.
func (s *Service) set() *state { return s.state.Load() }

// newState leaves TLS to the caller.
func (s *Service) newState(block *config.Cluster, connect, reconnect int, maxPayload int32) (*state, error) {
	set := &state{
		Cluster: block, pool: block.PoolSize, pinned: make(map[string]bool), ping: block.PingInterval, pingMax: block.PingMax,
		connectReports: connect, reconnectReports: reconnect, maxPayload: maxPayload,
	}
	orReports(&set.connectReports, &set.reconnectReports)
	switch {
	case set.pool == 0:
		set.pool = defaultPoolSize
	case set.pool < 0:
		set.pool = 0
		if len(block.Accounts) > 0 {
			return nil, errors.New("pool_size cannot be negative if pinned accounts are specified")
		}
	}
	if set.pool > 0 {
		for _, a := range block.Accounts {
			set.pinned[a] = true
		}
		set.pinned[s.o.Broker.SystemAccount().Name] = true
	}
	if set.ping <= 0 || set.ping > defaultPing {
		set.ping = defaultPing
	}
	if set.pingMax <= 0 {
		set.pingMax = defaultPingMax
	}
	set.mode = wire.CompressionMode(block.Compression.Mode)
	if set.mode == "" {
		set.mode = wire.CompressionAccept
	}
	if set.thresholds = block.Compression.RTTThresholds; len(set.thresholds) == 0 {
		set.thresholds = wire.DefaultRTTThresholds()
	}
	if p := block.Permissions; p != nil {
		set.imports = newFilter(p.Publish)
		set.exports = newFilter(p.Subscribe)
	}
	return set, nil
}

func orReports(connect, reconnect *int) {
	if *connect <= 0 {
		*connect = 3600
	}
	if *reconnect <= 0 {
		*reconnect = 1
	}
}
