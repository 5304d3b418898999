package auth

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Credentials are what a peer showed of itself.
type Credentials struct {
	// Kind is what the connection is used for.
	Kind config.ConnectionType

	User, Pass, Token string
	NKey, Sig, JWT    string
	ProxySig          string
	// Nonce is what this connection's INFO carried, "" if it carried none.
	Nonce string
	// Proxy is the key of the trusted proxy that ProxySig is of. [Proxies] fills it in.
	Proxy string

	// ID of the connection, and what its CONNECT says of the program at the other
	// end: for those who are asked to judge, not for judging here.
	ID                  uint64
	Name, Lang, Version string
	Protocol            int

	// TLS is the state of the connection's TLS, nil without.
	TLS *tls.ConnectionState
	// MapCertificate: the listener takes identities from certificates.
	MapCertificate bool

	Remote net.Addr

	// reviewed: it is one that was let in before, and is not turned away for want of
	// room.
	reviewed bool
}

// anonymous tells whether nothing was shown that an identity could come from.
func (c *Credentials) anonymous() bool {
	return c.nameless() && c.NKey == ""
}

// nameless tells whether neither a name nor a password nor a token was shown. A
// JWT counts for nothing where there is no operator.
func (c *Credentials) nameless() bool { return c.User == "" && c.Pass == "" && c.Token == "" }

// Redacted stands where a secret would be shown.
const Redacted = "[REDACTED]"

// Unlimited is the value of a limit that does not limit. 0 means the same, so
// that an Identity without limits needs none set.
const Unlimited = -1

// Identity is what a connection is once it has been authenticated. It is shared
// and not changed.
type Identity struct {
	// User is the name for logs and monitoring, "" for nobody in particular.
	User string
	// NKey is the public key that was proved, "" if none was.
	NKey string
	// Account is where the connection belongs; "" is the global account.
	Account string
	// Permissions nil means that everything is allowed.
	Permissions *Permissions

	// Limits below those of the server; 0 or negative: none.
	MaxPayload int64
	MaxSubs    int
	// NoPayload and NoSubs: the limit is zero, which MaxPayload and MaxSubs can't
	// say.
	NoPayload, NoSubs bool
	// MaxConnections of the account.
	MaxConnections int

	// What is shown of it besides: what its token and its account are named, the
	// token's tags, who signed it and the token itself ([Redacted] if it needs no
	// proof), when it ends (zero: never), and the trusted proxy it came through.
	NameTag, AccountTag string
	Tags                []string
	IssuerKey, JWT      string
	Expires             time.Time
	Proxy               string

	// Attach is called when a connection has become this identity, so that it can
	// be ended, or be given other permissions, later; detach is called when it
	// is none any more. An error refuses it after all. nil: nobody wants to know.
	Attach func(Session) (detach func(), err error)

	entry *user // of the settings that it comes from; nil: of none in particular
}

// Session is a connection that was admitted, as an Authenticator sees it that
// may change its mind. The methods are called by any goroutine and do not block.
type Session interface {
	// End closes the connection. text is that of its -ERR; "" says nothing.
	End(reason wire.CloseReason, text string)
	// Permit replaces permissions and limits by those of id, which is of the same
	// account and user.
	Permit(id *Identity)
}

// Policy is what a listener has to know before anybody has shown anything.
type Policy struct {
	// Required: CONNECT must come first, and in time.
	Required bool
	// Announced: INFO says that authentication is required from the start.
	Announced bool
	// Anonymous: who shows nothing may become somebody, even without CONNECT.
	Anonymous bool
	// Nonce: INFO must carry one.
	Nonce bool
}

// Authenticator decides who may connect. Its methods are safe for concurrent
// use. Authenticate may take as long as a password hash or a question to
// somebody else takes; it is called on the goroutine of the connection.
type Authenticator interface {
	// Policy for connections of a kind.
	Policy(kind config.ConnectionType) Policy
	// Authenticate returns the identity, or an error that says why there is none:
	// for the log alone, the peer is always told the same.
	Authenticate(c *Credentials) (*Identity, error)
}

// Errors that Authenticate wraps.
var (
	// ErrRefused: what was shown is not enough.
	ErrRefused = errors.New("authorization violation")
	// ErrUnavailable: it could not be judged. The peer is closed without a word,
	// so that it tries again.
	ErrUnavailable = errors.New("authentication unavailable")
	// ErrTooMany: the account has as many connections as it may have. Only Attach
	// returns it.
	ErrTooMany = errors.New("the account has as many connections as it may have")
)

// Open admits everybody to the global account.
type Open struct{}

// Policy asks for nothing.
func (Open) Policy(config.ConnectionType) Policy { return Policy{} }

// Authenticate admits.
func (Open) Authenticate(*Credentials) (*Identity, error) { return everybody, nil }

var everybody = &Identity{Account: config.DefaultAccount}
