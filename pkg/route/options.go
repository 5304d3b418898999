package route

import (
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Role is what this process is in its cluster.
type Role uint8

// The roles.
const (
	Hub        Role = iota // hubd
	BorderRole             // gwd
)

// Options of a Service. Server, Broker and Settings are required.
type Options struct {
	Server   *link.Server
	Broker   *broker.Broker
	Registry *link.Registry // of routes; nil makes one
	Settings *config.Cluster
	Role     Role
	Log      *logging.Logger

	// URLs are the client addresses of the cluster: own ones are announced, those of
	// peers are added. WebSocketURLs, LeafURLs and GatewayURLs are the same for
	// WebSocket clients, leaf links and gateways. Each may be nil.
	URLs          *link.URLs
	WebSocketURLs *link.URLs
	LeafURLs      *link.URLs
	GatewayURLs   *link.URLs

	// CreateAccounts makes accounts that peers name and that do not exist. A gwd
	// does so always.
	CreateAccounts bool

	// Border is required in the role BorderRole, and unused in the other.
	Border *BorderHooks

	MaxPayload int32 // announced only
	JetStream  bool  // announced only

	// ConnectErrorReports and ReconnectErrorReports: how many failed dials make
	// one line in the log, before and after the first success. 0: 3600 and 1.
	ConnectErrorReports   int
	ReconnectErrorReports int

	// BorderPing and BorderPingMax keep connections between hubs and gwds alive.
	// 0: 2 s, 2.
	BorderPing    time.Duration
	BorderPingMax int
	// FenceTimeout is how long messages wait while an account moves to another gwd.
	// 0: 200 ms.
	FenceTimeout time.Duration

	// onEnd is told of the end of each connection, also of one that was never
	// registered.
	onEnd func(reason wire.CloseReason, err error)
	// maxPending is how many bytes of messages may wait for one connection. 0: 256 MiB.
	maxPending int64
}

const (
	defaultPoolSize  = 3
	maxPeerPool      = 1024 // that a peer may claim: memory is set aside for it
	defaultPing      = 30 * time.Second
	ownPing          = 5 * time.Second // between our own daemons
	defaultPingMax   = 2
	defaultBorder    = 2 * time.Second
	leastSuspension  = 2 * time.Second // of the process, to be noticed
	defaultFence     = 200 * time.Millisecond
	peerFence        = time.Second // the way is through another region and back
	fenceBytes       = 4 << 20
	defaultPending   = 256 << 20
	controlRoom      = 64 << 20 // for interest and INFO, beyond what messages may fill
	defaultAuthLimit = 2 * time.Second
	dialTimeout      = time.Second
	finishLimit      = time.Second

	// borderOrigin is the origin of interest of other regions (gateways 18.5), and
	// that of messages from a hub that must stay at a gwd.
	borderOrigin = wire.BorderOrigin
)

// capRemotes: lines LS+ with a region's name, between gwds.
const capRemotes = "remotes"

func (o *Options) fill() {
	if o.Registry == nil {
		o.Registry = link.NewRegistry(0)
	}
	if o.Log == nil {
		o.Log = logging.Discard()
	}
	if o.URLs == nil {
		o.URLs = new(link.URLs)
	}
	if o.WebSocketURLs == nil {
		o.WebSocketURLs = new(link.URLs)
	}
	if o.LeafURLs == nil {
		o.LeafURLs = new(link.URLs)
	}
	if o.GatewayURLs == nil {
		o.GatewayURLs = new(link.URLs)
	}
	if o.ConnectErrorReports <= 0 {
		o.ConnectErrorReports = 3600
	}
	if o.ReconnectErrorReports <= 0 {
		o.ReconnectErrorReports = 1
	}
	if o.BorderPing <= 0 {
		o.BorderPing = defaultBorder
	}
	if o.BorderPingMax <= 0 {
		o.BorderPingMax = defaultPingMax
	}
	if o.FenceTimeout <= 0 {
		o.FenceTimeout = defaultFence
	}
	if o.maxPending <= 0 {
		o.maxPending = defaultPending
	}
	if o.Role == BorderRole {
		o.CreateAccounts = true
		if o.Border == nil {
			o.Border = new(BorderHooks)
		}
	}
}
