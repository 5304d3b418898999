package client

import (
	"crypto/tls"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// terms are what connections go by. They are not changed: a reload makes others.
type terms struct {
	config *config.Config
	kind   config.ConnectionType
	limits config.Limits
	block  *config.TLS   // of the listener
	tls    *tls.Config   // nil: without TLS
	login  time.Duration // for CONNECT; 0: what follows from block
	policy auth.Policy
	trace  bool
	base   wire.ClientInfo // INFO as far as it is the same for all
}

// newTerms leaves out what only Start can know.
func (s *Service) newTerms(cfg *config.Config) *terms {
	set := &terms{
		config: cfg, kind: config.Standard, limits: cfg.Limits, block: cfg.Client.TLS, login: cfg.Auth.Timeout,
		trace: s.o.Log.TraceEnabled(), policy: s.o.Auth.Policy(config.Standard),
	}
	l := &set.limits
	orDefault(&l.MaxPayload, defaultMaxPayload)
	orDefault(&l.MaxPending, defaultMaxPending)
	orDefault(&l.PingInterval, defaultPingInterval)
	orDefault(&l.PingMax, defaultPingMax)
	orDefault(&l.MaxControlLine, wire.DefaultMaxControlLine)
	return set
}
