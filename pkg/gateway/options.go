package gateway

import (
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/subject"
)

// Options of a Service. Server, Broker and Settings are required.
type Options struct {
	Server   *link.Server
	Broker   *broker.Broker
	Registry *link.Registry // of gateway connections; nil makes one
	Settings *config.Gateway
	// URLs are the gateway addresses of our cluster. Start sets the own one; others
	// are added by who learns of them.
	URLs *link.URLs
	Log  *logging.Logger

	MaxPayload int32 // announced, and the most that is accepted (at least 64 MiB)
	// PingInterval is at most 15 s, which is the default.
	PingInterval time.Duration
	PingMax      int // 2
	// OwnPing is the interval towards gwds of other regions: 2 s.
	OwnPing time.Duration
	// MaxQueued is how many bytes of messages may wait for one remote: 256 MiB.
	// What would pass it is dropped.
	MaxQueued int64
	// Retry is the pause between rounds of dialing: 1 s.
	Retry time.Duration

	// AllowOptimistic admits remotes without gateway_iom, which are sent everything
	// until they refuse it. Hubs cannot be told of such interest, so it is of use
	// only for services of this process.
	AllowOptimistic bool

	// How many failed dials make one line in the log, before and after the first
	// success. 0: 3600 and 1.
	ConnectErrorReports   int
	ReconnectErrorReports int

	Hooks Hooks
}

// Hooks join the gateways to the rest of a gwd. Each may be nil. They are called
// by any goroutine.
type Hooks struct {
	// Outgoing and Incoming say what may cross in an account. They are asked once
	// for each account and connection. nil means everything may.
	Outgoing func(account string) *Filter
	Incoming func(account string) *Filter

	// MapReply is asked for a message with a reply that leaves for another region:
	// the hash of the server that the reply must come back to, or false if
	// interest will bring it there (gateways 10.3). Called on the message path.
	MapReply func(m *broker.Msg) (server [6]byte, ok bool)

	// Arrived is called for each message from another region before it is routed;
	// it may change m.Reply. Called on the message path.
	Arrived func(m *broker.Msg, from string)

	// FenceHubs calls done when the members of our cluster have handled everything
	// that they were sent up to now.
	FenceHubs func(done func())

	// Relay passes messages on by way of other gwds of our region.
	Relay Relay

	// Changed tells that Remotes would have another result than before.
	Changed func()

	// Gossip is told of each region and its addresses when they are new.
	Gossip func(gateway string, urls []string)

	// NameTaken tells whether a member of our cluster has this server name.
	NameTaken func(serverName string) bool

	// Uncounted is an origin of interest that remotes are not told of.
	Uncounted broker.Origin
}

// Relay sends m to another gwd of our region, to be passed on to one remote and
// nowhere else. Flush writes what was sent. Fence calls done, once and in any case
// within a few seconds, when all that was sent by way of that gwd has arrived.
type Relay interface {
	SendTargeted(peerID, remote string, m *broker.Msg, groups [][]byte) bool
	FlushTargeted()
	Fence(peerID string, done func())
}

const (
	protoLevel       = 3
	defaultPing      = 15 * time.Second
	defaultPingMax   = 2
	defaultOwnPing   = 2 * time.Second
	defaultRetry     = time.Second
	maxRetry         = 30 * time.Second
	defaultMaxQueued = 256 << 20
	// controlRoom is how much more than MaxQueued may wait, for lines that must not
	// be lost.
	controlRoom  = 64 << 20
	leastPayload = 64 << 20
	maxLine      = 64 << 10
	dialTimeout  = time.Second
	authTimeout  = 2 * time.Second
	tlsTimeout   = 2 * time.Second
	infoTimeout  = 10 * time.Second
	finishLimit  = time.Second
	closeLimit   = 2 * time.Second
	readyWait    = 500 * time.Millisecond
	maxRegions   = 1024
	maxName      = 256 // bytes of a region's name, and of an address
	maxURLs      = 256 // learned of one region
	firstPing    = time.Second
	// handover is how long a connection that was replaced may take to deliver what
	// was sent on it.
	handover = time.Second
)

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
	if o.PingInterval <= 0 || o.PingInterval > defaultPing {
		o.PingInterval = defaultPing
	}
	orDefault(&o.PingMax, defaultPingMax)
	orDefault(&o.OwnPing, defaultOwnPing)
	orDefault(&o.MaxQueued, defaultMaxQueued)
	orDefault(&o.Retry, defaultRetry)
	orDefault(&o.MaxPayload, 1<<20)
	orDefault(&o.ConnectErrorReports, 3600)
	orDefault(&o.ReconnectErrorReports, 1)
	open := func(string) *Filter { return nil }
	if o.Hooks.Outgoing == nil {
		o.Hooks.Outgoing = open
	}
	if o.Hooks.Incoming == nil {
		o.Hooks.Incoming = open
	}
}

func orDefault[T int | int32 | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Filter is what may cross the border in one account in one direction. A nil
// *Filter lets everything pass.
type Filter struct{ allow, deny []string }

// NewFilter makes a Filter; of empty lists it is nil. Deny beats allow, an empty
// allow list allows everything.
func NewFilter(p config.SubjectPermission) *Filter {
	if len(p.Allow) == 0 && len(p.Deny) == 0 {
		return nil
	}
	return &Filter{allow: p.Allow, deny: p.Deny}
}

// Message tells whether a message on this subject may cross.
func (f *Filter) Message(subj []byte) bool {
	if f == nil {
		return true
	}
	for _, p := range f.deny {
		if subject.Match(p, subj) {
			return false
		}
	}
	for _, p := range f.allow {
		if subject.Match(p, subj) {
			return true
		}
	}
	return len(f.allow) == 0
}

// interest tells whether any message on a pattern may cross.
func (f *Filter) interest(pattern []byte) bool {
	if f == nil {
		return true
	}
	for _, p := range f.deny {
		if subject.Subset(pattern, p) {
			return false
		}
	}
	for _, p := range f.allow {
		if subject.Overlap(pattern, p) {
			return true
		}
	}
	return len(f.allow) == 0
}
