package leaf

import (
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
)

// Options of a Service.
type Options struct {
	Server   *link.Server
	Broker   *broker.Broker
	Registry *link.Registry
	// Auth decides who a dialing leaf node is; nil admits everybody.
	Auth auth.Authenticator
	// Penalties delay the answers to failed logins; nil: no delays.
	Penalties *auth.Penalties
	// Judge says what becomes of links when those who may log in change; nil: nothing.
	Judge auth.Judge
	// LeafURLs is the listen addresses of this cluster's members for leaf nodes,
	// as told to them; nil: only our own.
	LeafURLs *link.URLs
	// WebSocketURLs are those of the cluster's WebSocket listeners, told to leaf
	// nodes; nil: there are none.
	WebSocketURLs *link.URLs
	// Settings must not be nil. Zero durations get the defaults of leafnodes 2.
	Settings *config.LeafNodes
	// Limits are those of the server: payload, control line, pings.
	Limits config.Limits
	// ConnectReports and ReconnectReports: the first failure of a remote is
	// logged, then one in so many; 0 logs only the first.
	ConnectReports   int
	ReconnectReports int
	// Credentials gives what a remote proves itself with; nil takes user,
	// password or token from the settings.
	Credentials func(r *config.LeafRemote) Credentials
	// MaxHandshakes is how many links may be opening at a time; beyond it
	// newcomers are sent away before anything costly. 0: 200 per processor.
	MaxHandshakes int
	Log           *logging.Logger
}

// Credentials are what a remote proves itself with.
type Credentials interface {
	// Prove is called for each connection with the hub's nonce, so that files
	// that were replaced are seen. An error fails this attempt at once.
	Prove(nonce string) (Proof, error)
}

// Proof is the part of CONNECT that says who we are.
type Proof struct {
	User, Pass, Token string
	NKey, JWT, Sig    string
}

// fixed is a proof that does not depend on the nonce.
type fixed Proof

func (f fixed) Prove(string) (Proof, error) { return Proof(f), nil }

// Details is what monitoring shows of a leaf link, in link.Info.More.
type Details struct {
	ServerID    string
	Cluster     string // of the peer
	Version     string // of the peer
	IsSpoke     bool   // we are the spoke
	IsIsolated  bool
	Solicited   bool
	Remote      string // label of the remote that we dialed
	URL         string // that we dialed
	Compression string // mode of our sending side
	Proxy       string // key of the trusted proxy that it came through
	// Oversized and Denied count messages that were not sent because the peer's
	// limit or the permissions forbid it, Dropped those for which there was no room
	// because the peer takes them too slowly.
	Oversized int64
	Denied    int64
	Dropped   int64
	// Identity of a leaf node that dialed us; it is not changed.
	Identity *auth.Identity
	// Subscriptions is the peer's interest, when asked for.
	Subscriptions []string
}

// RemoteStatus is the state of one hub to dial.
type RemoteStatus struct {
	Name     string
	URLs     []string // configured, without user information
	Learned  []string
	Account  string
	State    RemoteState
	URL      string // in use, or last tried
	Attempts int    // since the link was last up
	LastErr  string
	FailedAt time.Time
	NextDial time.Time // zero unless waiting
	UpSince  time.Time // zero unless up
	RTT      time.Duration
	LinkID   uint64 // 0 unless up
}

// RemoteState says what a remote is doing.
type RemoteState string

// The states.
const (
	RemoteDialing  RemoteState = "dialing"
	RemoteUp       RemoteState = "up"
	RemoteWaiting  RemoteState = "waiting"
	RemoteDisabled RemoteState = "disabled"
	RemoteStopped  RemoteState = "stopped"
)

// Defaults of leafnodes 2, 3 and 21.
const (
	defaultReconnect    = time.Second
	defaultSpread       = 5 * time.Second
	defaultReconnectMax = time.Minute
	defaultDialTimeout  = time.Second
	defaultHandshake    = 10 * time.Second
	defaultTLSTimeout   = 2 * time.Second
	defaultAuthTimeout  = 2 * time.Second
	defaultFirstInfo    = time.Second
	defaultPingInterval = 2 * time.Minute
	defaultPingMax      = 2
	defaultFallback     = 50 * time.Millisecond
	connectInfoTimeout  = 2 * time.Second // from CONNECT to the INFO that answers it
	firstPing           = time.Second
	maxPending          = 256 << 20 // then messages are dropped; interest is not
	finishLimit         = time.Second
	handshakesPerCPU    = 200
	leafProto           = 3 // message tracing
	unackedLimit        = 15 * time.Second
	defaultDrainSpread  = 30 * time.Second
	defaultFailBack     = 30 * time.Minute
	keepIdle            = 30 * time.Second // then the kernel probes
	keepEvery           = 5 * time.Second
)

// orElse is d unless it is not positive.
func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func tlsTimeout(t *config.TLS) time.Duration {
	if t == nil {
		return defaultTLSTimeout
	}
	return orElse(t.Timeout, defaultTLSTimeout)
}
