package config

import (
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
)

// Daemon says whose settings these are.
type Daemon string

// The three daemons. The value is the name of the binary.
const (
	Hubd  Daemon = "hubd"
	Gwd   Daemon = "gwd"
	Leafd Daemon = "leafd"
)

// DefaultSystemAccount is the system account's name when the settings name none.
const DefaultSystemAccount = "$SYS"

// DefaultAccount is the account of users that belong to no other.
const DefaultAccount = "$G"

// Config is the whole of a daemon's settings. Blocks that are pointers are nil
// when the settings do not mention them: the part they describe is off.
type Config struct {
	Daemon Daemon

	// secrets are the files that hold some, with what.
	secrets map[string]string

	// File is the path the settings were read from; "" without a file.
	File string
	// Digest is "sha256:" and the hex hash of the file's content, "" without
	// a file. Equal for files that differ in comments and layout only.
	Digest string
	// Files are the ones that settings were read from: File, what it includes, and
	// what secrets and operators' JWTs are in; those too that were not there.
	Files []string
	// SharedWithHub says that a gwd read a hub's .conf: names, ports and files
	// were derived from the hub's so that both can run side by side.
	SharedWithHub bool

	// ServerName is "" when not set; the daemon then uses its server id.
	ServerName string
	Tags       []string
	Metadata   map[string]string

	// Client is the client listener. Port 0 means not opened (gwd).
	Client Client
	Limits Limits
	Auth   Authorization
	// Accounts in the order of the file. The system account and "$G" appear
	// only when the settings mention them.
	Accounts []Account
	// Mappings of "$G".
	Mappings []account.Mapping
	// SystemAccount is never "" unless NoSystemAccount is set.
	SystemAccount   string
	NoSystemAccount bool
	// Operator nil: accounts and users are those above.
	Operator *OperatorMode

	Cluster   *Cluster           // hubd, gwd
	Gateway   *Gateway           // gwd; in hubd only so that it can say that gwd serves it
	Border    Border             // gwd
	LeafNodes *LeafNodes         // hubd, leafd
	WebSocket *WebSocketListener // hubd, leafd

	// OCSP of our own certificates, and the cache for those of peers (see [TLS.OCSPPeer]).
	OCSP      OCSP
	OCSPCache OCSPCache

	HTTP     HTTP
	Log      Log
	LameDuck LameDuck
	Reload   Reload

	// ConnectErrorReports: the first failed dial of a peer is logged, then one
	// in so many. ReconnectErrorReports: the same after a lost connection.
	ConnectErrorReports   int
	ReconnectErrorReports int

	PidFile string
	// PortsFileDir is where "<name>_<pid>.ports" is written; "" writes none.
	PortsFileDir string
	// ProfPort opens the profiling listener on the client host; 0 is off, -1
	// lets the kernel choose.
	ProfPort int
	// ProfBlockRate samples one blocking event per so many nanoseconds spent
	// blocked, for the block profile; 0 samples none.
	ProfBlockRate int
}

// Listen is an address to listen on.
type Listen struct {
	// Host is a name or address without brackets.
	Host string
	// Port 0 means not opened, -1 lets the kernel choose.
	Port int
}

// Enabled says whether the listener is to be opened.
func (l Listen) Enabled() bool { return l.Port != 0 }

// Addr is the address in the form net.Listen takes: port -1 becomes 0.
func (l Listen) Addr() string {
	return net.JoinHostPort(l.Host, strconv.Itoa(max(l.Port, 0)))
}

// Client is the listener for applications.
type Client struct {
	Listen
	// Advertise is "host[:port]" told to clients of peers; "" tells the
	// listener's own addresses.
	Advertise string
	// AllowLAN lets leafd listen on an address that is not loopback.
	AllowLAN bool
	TLS      *TLS
	// AllowNonTLS lets clients choose not to use TLS though it is configured.
	AllowNonTLS bool
	// ProxyProtocol expects a PROXY v1 or v2 header on each connection.
	ProxyProtocol bool
	// NoHeaders turns message headers off ("headers":false in INFO).
	NoHeaders bool
	// MaxClosed is how many closed connections are remembered for monitoring.
	MaxClosed int
}

// WriteTimeout says what happens to a connection whose writes miss the write deadline.
type WriteTimeout string

// The policies. [Limits.WriteTimeout] and the link blocks never hold
// [WriteTimeoutDefault]: it is resolved to close for clients, retry for links.
const (
	WriteTimeoutDefault WriteTimeout = "default"
	WriteTimeoutClose   WriteTimeout = "close"
	WriteTimeoutRetry   WriteTimeout = "retry"
)

// Limits are the limits of client connections and the timers that links inherit.
type Limits struct {
	// MaxConnections of clients; negative admits nobody (a written 0 is -1).
	MaxConnections int
	// MaxPayload in bytes of header and body together; -1 is unlimited.
	MaxPayload int64
	// MaxPending is the outbound queue of one connection, in bytes.
	MaxPending int64
	// MaxControlLine in bytes.
	MaxControlLine int
	// MaxSubscriptions per connection; 0 and negative are unlimited.
	MaxSubscriptions int
	// MaxSubscriptionTokens of a subject; 0 is unlimited.
	MaxSubscriptionTokens int

	PingInterval  time.Duration
	PingMax       int
	WriteDeadline time.Duration
	// WriteTimeout for clients: close or retry.
	WriteTimeout WriteTimeout
}

// Secret is a password, hash or token. It prints and marshals as "[REDACTED]";
// string(s) is the value.
type Secret string

const redacted = "[REDACTED]"

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString keeps %#v from printing the value.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText keeps encoders from writing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Authorization is who may connect as a client, outside of accounts.
type Authorization struct {
	// User and Password, or Token, or Users; the three exclude each other.
	User     string
	Password Secret
	Token    Secret
	Users    []User
	// Timeout for CONNECT after INFO. The TLS timeout plus one second when TLS
	// is on and nothing is set, two seconds otherwise.
	Timeout time.Duration
	// Default permissions of Users without their own (already merged into
	// them by Load; kept for display).
	DefaultPermissions *Permissions
	// NoAuthUser names the user that a client without credentials becomes.
	NoAuthUser string
	// ProxyRequired: the one user, or who shows the token, must come through a
	// trusted proxy.
	ProxyRequired bool
	// TrustedProxies are the public keys of proxies that may vouch for connections.
	TrustedProxies []string
	// Callout nil: the settings decide alone.
	Callout     *Callout
	FailedLogin FailedLogin
}

// AuthRequired says whether clients must authenticate with the settings alone:
// a single user, a token, users here or in an account, or operators.
func (c *Config) AuthRequired() bool {
	if c.InOperatorMode() {
		return true
	}
	if c.Auth.User != "" || c.Auth.Token != "" || len(c.Auth.Users) > 0 || c.Auth.Callout != nil {
		return true
	}
	for i := range c.Accounts {
		if len(c.Accounts[i].Users) > 0 {
			return true
		}
	}
	return false
}

// ConnectionType restricts what a user's credentials may be used for.
type ConnectionType string

// The connection types, as written in settings (any case) and shown in monitoring.
const (
	Standard  ConnectionType = "STANDARD"
	WebSocket ConnectionType = "WEBSOCKET"
	LeafNode  ConnectionType = "LEAFNODE"
	LeafWS    ConnectionType = "LEAFNODE_WS"
	MQTT      ConnectionType = "MQTT"
	MQTTWS    ConnectionType = "MQTT_WS"
	InProcess ConnectionType = "IN_PROCESS"
)

// User is one identity: a name, or a public key.
type User struct {
	Name string
	// NKey is the public key of a user that proves to have the private one; it
	// has neither Name nor Password.
	NKey string
	// Password in clear or as a bcrypt hash ("$2a$...", also 2b, 2x, 2y). ""
	// matches an empty password, or marks an identity of a certificate.
	Password Secret
	// Account the user belongs to; "$G" for users of the authorization block.
	Account string
	// Permissions nil means everything is allowed.
	Permissions *Permissions
	// AllowedConnectionTypes empty means all.
	AllowedConnectionTypes []ConnectionType
	// ProxyRequired: only through a trusted proxy.
	ProxyRequired bool
}

// Permissions of a user, or of routes (see [Cluster]).
type Permissions struct {
	Publish   SubjectPermission
	Subscribe SubjectPermission
	// AllowResponses nil means no response permission.
	AllowResponses *ResponsePermission
}

// SubjectPermission is a pair of lists. An empty Allow allows everything,
// except for Publish together with AllowResponses. Entries of Subscribe may
// carry a queue: "subject queue".
type SubjectPermission struct {
	Allow []string
	Deny  []string
}

// ResponsePermission lets a user publish to the reply subject of a message it
// received.
type ResponsePermission struct {
	// Max responses per message; negative is unlimited.
	Max int
	// Expires after this time; negative is never.
	Expires time.Duration
}

// Account is an isolated subject space with its users.
type Account struct {
	Name string
	// NKey is the account's public key; it names it to others and decides nothing.
	NKey  string
	Users []User
	// DefaultPermissions of users without their own (already merged into them
	// by Load; kept for display).
	DefaultPermissions *Permissions

	Exports  []Export
	Imports  []Import
	Mappings []account.Mapping
	Limits   account.Limits
	// Trace is which messages are traced that ask for it by their header traceparent.
	Trace *account.Trace
}

// Compression of a route or leaf link.
type Compression struct {
	Mode CompressionMode
	// RTTThresholds of mode s2_auto, ascending, at most four: below the first
	// uncompressed, below the second fast, then better, then best; 0 skips a level.
	RTTThresholds []time.Duration
}

// CompressionMode in the words of the wire protocols.
type CompressionMode string

// The modes.
const (
	CompressionNotSupported CompressionMode = "not supported"
	CompressionOff          CompressionMode = "off"
	CompressionAccept       CompressionMode = "accept"
	CompressionS2Fast       CompressionMode = "s2_fast"
	CompressionS2Better     CompressionMode = "s2_better"
	CompressionS2Best       CompressionMode = "s2_best"
	CompressionS2Auto       CompressionMode = "s2_auto"
)

// LinkAuth is what a dialing peer has to present; routes and gateways know one
// user only.
type LinkAuth struct {
	User     string
	Password Secret
	// Timeout as in [Authorization].
	Timeout time.Duration
}

// Cluster is the routes of a hub or gwd.
type Cluster struct {
	// Name is "" for a dynamic name, which the daemon generates and may change.
	Name string
	Listen
	// Advertise is "host[:port]" put in INFO; "" advertises the listener.
	Advertise   string
	NoAdvertise bool
	// Routes have a port each and carry the block's user where the file gives
	// none: log them with Redacted.
	Routes []*url.URL
	Auth   LinkAuth
	TLS    *TLS
	// Permissions of routes: Publish is what interest we send ("import"),
	// Subscribe is what interest we accept ("export"). Nil is no filter.
	Permissions *Permissions
	// PoolSize of connections per peer; -1 turns pooling and dedicated
	// connections off.
	PoolSize int
	// Accounts with connections of their own. The system account is added
	// by the route layer, not here.
	Accounts    []string
	Compression Compression
	// PingInterval is at most 30 s.
	PingInterval time.Duration
	PingMax      int
	// ConnectRetries after the first failure of a route learned by gossip;
	// routes listed here are dialed for ever.
	ConnectRetries int
	// ConnectBackoff doubles the pause between dials from 1 s to 30 s; false
	// keeps it at 1 s.
	ConnectBackoff bool
	WriteDeadline  time.Duration
	WriteTimeout   WriteTimeout
}

// Gateway is the connections between regions.
type Gateway struct {
	// Name equals the cluster's name.
	Name string
	Listen
	Advertise string
	Auth      LinkAuth
	// TLS of the listener and default for dialing; always mutual.
	TLS *TLS
	// Remotes may contain the own name, which is not dialed.
	Remotes        []RemoteGateway
	RejectUnknown  bool
	ConnectRetries int
	ConnectBackoff bool
	WriteDeadline  time.Duration
	WriteTimeout   WriteTimeout
}

// RemoteGateway is one region to dial.
type RemoteGateway struct {
	Name string
	// URLs as [Cluster.Routes].
	URLs []*url.URL
	// TLS nil means the gateway block's.
	TLS *TLS
}

// BorderMode is how several gwd of one region share its border.
type BorderMode string

// The modes: in multi every gwd announces to the hubs and hubs choose one per
// account; in single_owner, for clusters with unmodified servers, the one with
// the highest priority alone does.
const (
	BorderMulti       BorderMode = "multi"
	BorderSingleOwner BorderMode = "single_owner"
)

// Border is what only gwd has: how it shares the border and what may cross.
type Border struct {
	Mode BorderMode
	// Priority in single_owner mode; the highest live one owns. Must differ
	// between the gwd of one region.
	Priority int
	// Policies in the order of the file. An account without an entry is
	// unrestricted; the system account always has one (see
	// [DefaultSystemDeny]) unless the settings give their own.
	Policies []BorderPolicy
	// ReadyTimeout limits the wait for the interest of every configured hub
	// before the gateway listener opens.
	ReadyTimeout time.Duration
	// MissingHub is how long a configured hub may be missing before new
	// gateway connections are refused.
	MissingHub time.Duration
	// CloseSpacing is the pause between inbound gateway connections that are
	// closed on a planned stop.
	CloseSpacing time.Duration
	// FenceTimeout is how long a hub holds messages back while its account
	// moves to another gwd.
	FenceTimeout time.Duration
	// PingInterval and PingMax of routes to hubs.
	PingInterval time.Duration
	PingMax      int
}

// BorderPolicy filters the subjects of one account in each direction; Deny
// beats Allow, an empty Allow allows everything.
type BorderPolicy struct {
	Account  string
	Outgoing SubjectPermission
	Incoming SubjectPermission
}

// LeafNodes is the listener for leaf links and the hubs to dial.
type LeafNodes struct {
	Listen
	Advertise   string
	NoAdvertise bool
	Auth        LeafAuth
	TLS         *TLS
	Remotes     []LeafRemote
	// Reconnect is the first pause of the back-off after a failed dial.
	Reconnect time.Duration
	// ReconnectSpread is the span of the random first pause after losing a
	// link that was healthy, so that a fleet does not come back in one moment.
	ReconnectSpread time.Duration
	// ReconnectMax is the longest pause of the back-off.
	ReconnectMax time.Duration
	DialTimeout  time.Duration
	// HandshakeTimeout limits everything between connect and ready.
	HandshakeTimeout time.Duration
	// MinVersion of leaf nodes that may connect, "" for any.
	MinVersion  string
	Compression Compression
	// Isolate keeps the interest of other leaf nodes from leaf nodes.
	Isolate       bool
	PingInterval  time.Duration
	PingMax       int
	WriteDeadline time.Duration
	WriteTimeout  WriteTimeout
}

// LeafAuth is who may connect as a leaf node. Empty falls back to the users of
// the client listener.
type LeafAuth struct {
	User     string
	Password Secret
	// Account that leaf nodes are bound to when User is used or nothing is
	// required; "" is "$G".
	Account string
	// NKey is the public key that all leaf nodes share, bound to Account.
	NKey    string
	Users   []LeafUser
	Timeout time.Duration
	// ProxyRequired: User or NKey must come through a trusted proxy.
	ProxyRequired bool
}

// LeafUser is one identity of a leaf node, as [User].
type LeafUser struct {
	Name     string
	NKey     string
	Password Secret
	// Account "" is "$G".
	Account string
	// ProxyRequired: only through a trusted proxy.
	ProxyRequired bool
}

// LeafRemote is one link to a hub.
type LeafRemote struct {
	// Name labels the link in logs; "" when not set.
	Name string
	// URLs have a port each (7422 when the file gives none, of WebSocket 80 or 443),
	// are all of WebSocket or none, and carry User and
	// Password where they give none of their own: log them with Redacted.
	URLs     []*url.URL
	User     string
	Password Secret
	// Credentials is a file with a user's JWT and key, Seed the seed of a user's
	// key or a file with it. They are used at each dial anew. They exclude each
	// other.
	Credentials string
	Seed        Secret
	// Account is the local account that the link serves, "$G" by default.
	Account string
	TLS     *TLS
	// Hub swaps the roles: the dialing side acts as the hub.
	Hub         bool
	DenyImports []string
	DenyExports []string
	// NoRandomize keeps the order of URLs.
	NoRandomize bool
	// IgnoreDiscovered keeps to the URLs above whatever hubs tell of their cluster.
	// Load settles what is not said: Yes at leafd, No elsewhere.
	IgnoreDiscovered Choice
	// Isolate keeps interest that came from our own leaf nodes from the hub;
	// RequestIsolation asks the hub to do the same for us.
	Isolate          bool
	RequestIsolation bool
	Compression      Compression
	FirstInfoTimeout time.Duration
	DialTimeout      time.Duration
	// WebSocketCompression offers permessage-deflate, WebSocketNoMasking frames that
	// are not masked.
	WebSocketCompression bool
	WebSocketNoMasking   bool
	Proxy                *LeafProxy
	// ReconnectSpread overrides [LeafNodes.ReconnectSpread].
	ReconnectSpread time.Duration
	// Disabled remotes are configured but not dialed.
	Disabled bool
}

// Choice is a switch that tells "not said" from off.
type Choice uint8

// The choices.
const (
	Unsaid Choice = iota
	Yes
	No
)

// HTTP is the monitoring listener.
type HTTP struct {
	Listen
	// HTTPS is how the address was given when it is to be served with TLS; Load
	// makes it the Listen above and sets TLS.
	HTTPS Listen
	// TLS serves with the certificate of clients, or in a gwd that of the border.
	TLS bool
	// BasePath has one leading and no trailing slash; "" serves at the root.
	BasePath string
	// Token must be shown for everything but /healthz; "" asks for none.
	Token Secret
	// ClientCA is a file of authorities; whoever shows a certificate of theirs needs no
	// token, and whoever does not needs one. HTTPS only.
	ClientCA string
	// AuthTLS is ServerTLS with ClientCA; nil without. Load makes it.
	AuthTLS *TLS
	Console ConsoleMode
	Metrics Metrics
}

// ConsoleMode says whether the page for people is served.
type ConsoleMode string

// The modes. Auto serves it where only this machine can see it.
const (
	ConsoleAuto ConsoleMode = "auto"
	ConsoleOn   ConsoleMode = "on"
	ConsoleOff  ConsoleMode = "off"
)

// Metrics is what Prometheus may scrape.
type Metrics struct {
	Enabled bool
	// Path below the base path, with one leading slash.
	Path string
	// PerAccount shows figures of each account.
	PerAccount bool
	// MaxSeries is how many accounts, and how many links, have figures of their
	// own; the others are summed up as one.
	MaxSeries int
	// Compat adds the names that the exporter of the reference server's monitoring has.
	Compat MetricsCompat
}

// MetricsCompat says which other names metrics are shown by, besides their own.
type MetricsCompat string

// The names; "" is off. Those of the exporter begin with nats_ where its chart installs it, and with
// gnatsd_ where nothing else was asked for.
const (
	CompatOff      MetricsCompat = "off"
	CompatExporter MetricsCompat = "exporter"
	CompatGnatsd   MetricsCompat = "gnatsd"
)

// ServerTLS is the block whose certificate the monitoring listener shows, nil if
// there is none.
func (c *Config) ServerTLS() *TLS {
	switch {
	case c.Client.TLS != nil:
		return c.Client.TLS
	case c.Daemon == Gwd && c.Gateway != nil && c.Gateway.TLS != nil:
		return c.Gateway.TLS
	case c.Daemon == Gwd && c.Cluster != nil:
		return c.Cluster.TLS
	}
	return nil
}

// LogFormat is how lines are written.
type LogFormat string

// The formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Log is where and what to log.
type Log struct {
	// File, else RemoteSyslog, else Syslog, else stderr.
	File string
	// Syslog is the local system logger; RemoteSyslog one at udp://host:514,
	// tcp://host:514 or unix:///path.
	Syslog       bool
	RemoteSyslog string

	Format LogFormat
	Debug  bool
	Trace  bool
	// TraceVerbose also traces the system account; TraceHeaders cuts traced
	// messages after their headers. Both imply Trace.
	TraceVerbose bool
	TraceHeaders bool
	// Time writes time stamps, UTC in that zone.
	Time bool
	UTC  bool
	// SizeLimit in bytes rotates the file; 0 never.
	SizeLimit int64
	// MaxFiles kept including the live one; 0 keeps all.
	MaxFiles int
	// MaxTracedMsgLen cuts traced payloads; 0 is unlimited.
	MaxTracedMsgLen int
}

// Reload is when settings are read again without being asked to.
type Reload struct {
	// Watch reloads when a file that the settings were read from has changed.
	Watch bool
}

// LameDuck is the slow way to stop.
type LameDuck struct {
	// Duration over which clients are closed, at least 30 s.
	Duration time.Duration
	// Grace before the first is closed; shorter than Duration.
	Grace time.Duration
	// OnTerm makes SIGTERM a lame duck instead of an immediate stop.
	OnTerm bool
}
