package monitor

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/tlsmaterial"
)

// Options of Reports and of a Service. Server, Config and Broker are required.
type Options struct {
	Server *link.Server
	Config *config.Config
	Broker *broker.Broker

	// ClientURLs is what clients are told of: connect_urls of /varz.
	ClientURLs *link.URLs

	// WebSocketURLs is the same for WebSocket clients; nil: there are none.
	WebSocketURLs *link.URLs

	// The connections that this daemon has; nil: none of that kind. Reports counts
	// what closes, so it is to be made before the first connection.
	Clients  *link.Registry
	Routes   *link.Registry
	Gateways *link.Registry
	Leafs    *link.Registry

	// Draining is closed when the process begins to stop gently; nil: never.
	Draining <-chan struct{}

	// TLS is what keeps certificates, with what is known of revoked ones; nil: not shown.
	TLS *tlsmaterial.Keeper

	Hooks Hooks
	Log   *logging.Logger

	// Extra are further handlers by path, all below it if it ends with a slash.
	// They are made from the Reports that they show.
	Extra map[string]func(*Reports) http.Handler
}

// Hooks add what only other packages know. Each may be nil, and is called by any
// goroutine when somebody asks.
type Hooks struct {
	// Details of a connection, made from what its package left in link.Info.More.
	Client  func(link.Info) ClientDetails
	Route   func(link.Info) RouteDetails
	Gateway func(link.Info) GatewayDetails
	Leaf    func(link.Info) LeafDetails
	// GatewayAccounts is what is known of the interest of another region.
	GatewayAccounts func(remote string) []GatewayAccount
	// LeafRemotes lists the hubs that leaf links dial, up or down.
	LeafRemotes func() []LeafRemote

	// Addresses that are listened on; a nil result means not (yet). A listener that
	// the settings ask for and that is not open makes /healthz fail.
	ClientAddr  func() *net.TCPAddr
	RouteAddr   func() *net.TCPAddr
	GatewayAddr func() *net.TCPAddr
	LeafAddr    func() *net.TCPAddr
	// NotReady names further parts that are not ready to work.
	NotReady func() []string

	// Sections of /varz of listeners that only their packages know; nil: not there.
	WebSocket func() *WebSocketVarz
	MQTT      func() *MQTTVarz
	// PinnedFails counts logins of accounts that are not among those that may log in.
	PinnedFails func() uint64
	// Account is what the token of an account says, nil if there is none.
	Account func(name string) *AccountMore
	// Jsz and Raftz answer for streams; Queues are what is under way inside.
	Jsz    func(JszOptions) (any, error)
	Raftz  func(RaftzOptions) (any, error)
	Queues func() map[string]IPQueue

	// ReloadFailed tells that the last attempt to load settings failed, and that older
	// ones are in force; nil: never.
	ReloadFailed func() bool

	// SlowEvents counts connections of a kind that were found slow and not closed
	// for it; those that were closed are counted here.
	SlowEvents func(link.Kind) int64
	// ClientCounts are what is counted of all clients together.
	ClientCounts func() ClientCounts
}

// ClientCounts are counts since the start.
type ClientCounts struct {
	Denied       int64 // messages that their publisher may not publish
	NoResponders int64 // requests that nobody serves
}

// Losses count messages that were not passed on.
type Losses struct {
	Full      int64 // there was no room: the peer takes them too slowly
	Denied    int64 // they may not
	Oversized int64 // the peer takes none of that size
}

func (l *Losses) add(o Losses) {
	l.Full, l.Denied, l.Oversized = l.Full+o.Full, l.Denied+o.Denied, l.Oversized+o.Oversized
}

func (l *Losses) atLeast(o Losses) {
	l.Full, l.Denied, l.Oversized = max(l.Full, o.Full), max(l.Denied, o.Denied), max(l.Oversized, o.Oversized)
}

// ClientDetails is what /connz shows of a client beyond link.Info.
type ClientDetails struct {
	Type          string // nats, websocket, mqtt
	Lang, Version string
	TLSFirst      bool
	PeerCerts     []PeerCert
	Permissions   *Permissions
	Subs          []SubDetail // when asked for
	// MQTTClient is the client id of MQTT, Proxy the key of a trusted proxy.
	MQTTClient, Proxy string
	// Of a user of an operator's account. JWT is for showing: that of a bearer is redacted.
	JWT, Issuer, NameTag string
	Tags                 []string
	// AccountTag is what the token of its account is named, Expires when it ends; zero:
	// never.
	AccountTag string
	Expires    time.Time
}

// RouteDetails is what /routez shows of a route beyond link.Info.
type RouteDetails struct {
	RemoteID, RemoteName     string
	DidSolicit, IsConfigured bool
	Account                  string // of a dedicated route
	Border                   bool   // to a gwd
	Compression              string
	Import, Export           *SubjectPermission // as agreed with the peer
	Subs                     []SubDetail        // when asked for
	Lost                     Losses
}

// GatewayDetails is what /gatewayz shows of a gateway connection.
type GatewayDetails struct {
	Remote     string // name of the other cluster
	RemoteID   string // id of the server at the other end
	Outbound   bool
	Configured bool
	Lost       Losses
}

// LeafDetails is what /leafz shows of a leaf link beyond link.Info.
type LeafDetails struct {
	IsSpoke, IsIsolated bool
	Compression         string
	Proxy               string   // key of a trusted proxy
	Subs                []string // when asked for
	Lost                Losses
}

// LeafRemote is the state of a hub that is dialed.
type LeafRemote struct {
	Name      string     `json:"name,omitempty"`
	Account   string     `json:"account,omitempty"`
	URLs      []string   `json:"urls,omitempty"`
	URL       string     `json:"url,omitempty"` // in use, or tried last
	State     string     `json:"state"`
	Attempts  int        `json:"attempts"`
	LastError string     `json:"last_error,omitempty"`
	FailedAt  *time.Time `json:"failed_at,omitempty"`
	NextDial  *time.Time `json:"next_dial,omitempty"`
	UpSince   *time.Time `json:"up_since,omitempty"`
}

// Reports makes the answers of all endpoints. Safe for concurrent use.
type Reports struct {
	o     Options
	set   atomic.Pointer[inForce]
	tally tally
	usage usage

	httpPort atomic.Int64 // 0: not listened on
	requests [len(paths)]atomic.Uint64
	handlers map[string]http.Handler
}

// NewReports makes Reports. To be called before connections are served.
func NewReports(o Options) *Reports {
	if o.Log == nil {
		o.Log = logging.Discard()
	}
	r := &Reports{o: o}
	r.tally.watch(r)
	r.set.Store(newInForce(o.Config, o.Server.Started))
	r.handlers = make(map[string]http.Handler, len(o.Extra))
	for path, f := range o.Extra {
		r.handlers[path] = f(r)
	}
	return r
}

// ClientDetails is what the hooks know of a client.
func (r *Reports) ClientDetails(i link.Info) ClientDetails { return r.client(i) }

// client and the like are what the hooks know; without a hook, little.
func (r *Reports) client(i link.Info) ClientDetails {
	if f := r.o.Hooks.Client; f != nil {
		return f(i)
	}
	return ClientDetails{}
}

func (r *Reports) route(i link.Info) RouteDetails {
	if f := r.o.Hooks.Route; f != nil {
		return f(i)
	}
	return RouteDetails{RemoteID: i.Name}
}

func (r *Reports) gateway(i link.Info) GatewayDetails {
	if f := r.o.Hooks.Gateway; f != nil {
		return f(i)
	}
	return GatewayDetails{Remote: i.Name}
}

func (r *Reports) leaf(i link.Info) LeafDetails {
	if f := r.o.Hooks.Leaf; f != nil {
		return f(i)
	}
	return LeafDetails{}
}

// Options are what the Reports were made from.
func (r *Reports) Options() Options { return r.o }
