package callout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Subject is where services listen. Who is in their account must not publish there.
const Subject = "$SYS.REQ.USER.AUTH"

// XKeyHeader tells the service whose curve key a request is encrypted with.
const XKeyHeader = "Nats-Server-Xkey"

// Bounds of what goes on at a time.
const (
	// MaxAsking is how many questions are under way.
	MaxAsking = 256
	// MaxWaiting is how many logins wait to ask one.
	MaxWaiting = 8192
	// unavailableSpread is over how long connections are closed that could not be
	// judged, so that they do not come back in one moment.
	unavailableSpread = 100 * time.Millisecond
	// maxReason is how much of a service's own words is repeated.
	maxReason = 256
	// maxName and maxTags bound what a service calls a user, which stands in log lines,
	// events and monitoring: bytes of the name and of each tag, and how many tags.
	maxName = 256
	maxTags = 64
)

// Ask publishes a request on [Subject] in an account and returns the first answer.
// It ends with ctx. header is a whole header block, or nil.
type Ask func(ctx context.Context, account string, header, payload []byte) ([]byte, error)

// ErrNobody is what an Ask returns when nobody listens.
var ErrNobody = errors.New("no service listens")

// Options of a Caller. All but Curve must be set.
type Options struct {
	// Server is who asks: what requests say of it.
	Server func() jwt.ServerID
	// Identity signs requests; its public key is Server's ID.
	Identity nkeys.KeyPair
	// Curve encrypts requests. nil: services that want it are not asked.
	Curve nkeys.KeyPair
	// Timeout of a login, waiting included.
	Timeout time.Duration
	// Now nil is time.Now.
	Now func() time.Time
}

// Caller asks services. It is safe for concurrent use. A nil *Caller asks nobody:
// all logins that need it are unavailable.
type Caller struct {
	o       Options
	ctx     context.Context
	stop    context.CancelFunc
	ask     atomic.Pointer[Ask]
	timeout atomic.Int64 // time.Duration
	slots   chan struct{}
	waiting atomic.Int64
}

// New makes a Caller that can't ask before SetAsk.
func New(o Options) *Caller {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Caller{o: o, slots: make(chan struct{}, MaxAsking)}
	c.SetTimeout(o.Timeout)
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// SetTimeout changes Options.Timeout for logins to come; 0 is two seconds.
func (c *Caller) SetTimeout(d time.Duration) {
	if d <= 0 {
		d = 2 * time.Second
	}
	c.timeout.Store(int64(d))
}

func (c *Caller) limit() time.Duration { return time.Duration(c.timeout.Load()) }

// SetAsk gives the way to services; nil takes it away.
func (c *Caller) SetAsk(f Ask) {
	if f == nil {
		c.ask.Store(nil)
		return
	}
	c.ask.Store(&f)
}

// Close ends questions that are under way.
func (c *Caller) Close() { c.stop() }

// Question is whom to ask about a connection.
type Question struct {
	// Account in which the service listens.
	Account string
	// Subject of the request: the issuer that is expected, or the account's key.
	Subject string
	// XKey is the service's public curve key, "" if nothing is encrypted.
	XKey string
	// Signed tells whether an answer's issuer counts, who claims to be of an
	// account, or does not (""). Of an answer that is sealed by the service's key it
	// is not asked if SealVouches.
	Signed      func(issuer, issuerAccount string) bool
	SealVouches bool
	// What is known of the peer so far.
	User, NameTag string
	Tags          []string
}

// Refusal is one that events in the service's account tell of.
func (q *Question) Refusal(format string, args ...any) error {
	return &auth.Refusal{Account: q.Account, Text: sentence(fmt.Sprintf(format, args...))}
}

// Because is an error that was found with what the service has said.
func (q *Question) Because(err error) error {
	text, reason := err.Error(), auth.ReasonOf(err)
	text = strings.TrimPrefix(text, auth.ErrRefused.Error()+": ")
	return &auth.Refusal{Account: q.Account, Text: sentence(text), Reason: reason}
}

func (q *Question) unavailable(format string, args ...any) error {
	return &auth.Refusal{Account: q.Account, Text: sentence(fmt.Sprintf(format, args...)), Unavailable: true}
}

// sentence makes a text fit for a line of a log, its first letter upper case.
func sentence(s string) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		out = append(out, r)
	}
	if len(out) > 0 {
		out[0] = unicode.ToUpper(out[0])
	}
	return string(out)
}

// Decide asks about a connection and returns the user that it becomes, with the
// user's token. It blocks, for the timeout at most.
func (c *Caller) Decide(q *Question, creds *auth.Credentials) (*jwt.UserClaims, string, error) {
	if c == nil {
		return nil, "", q.unavailable("no way to ask the authorization service of account %q", q.Account)
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.limit())
	defer cancel()
	user, token, err := c.decide(ctx, q, creds)
	if errors.Is(err, auth.ErrUnavailable) {
		t := time.NewTimer(rand.N(unavailableSpread))
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.ctx.Done():
		}
	}
	return user, token, err
}

func (c *Caller) decide(ctx context.Context, q *Question, creds *auth.Credentials) (*jwt.UserClaims, string, error) {
	ask := c.ask.Load()
	if ask == nil {
		return nil, "", q.unavailable("no way to ask the authorization service of account %q", q.Account)
	}
	if err := c.enter(ctx, q); err != nil {
		return nil, "", err
	}
	defer func() { <-c.slots }()
	nkey, err := freshKey()
	if err != nil {
		return nil, "", q.unavailable("authorization request: %v", err)
	}
	header, payload, err := c.request(q, creds, nkey)
	if err != nil {
		return nil, "", q.unavailable("authorization request: %v", err)
	}
	answer, err := (*ask)(ctx, q.Account, header, payload)
	switch {
	case err == nil:
		return c.check(q, nkey, answer)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, "", q.unavailable("auth callout timed out on account %q", q.Account)
	}
	return nil, "", q.unavailable("auth callout on account %q: %v", q.Account, err)
}

// enter waits for room to ask.
func (c *Caller) enter(ctx context.Context, q *Question) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
	}
	if c.waiting.Add(1) > MaxWaiting {
		c.waiting.Add(-1)
		return q.unavailable("too many logins wait for the authorization service of account %q", q.Account)
	}
	defer c.waiting.Add(-1)
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return q.unavailable("too many logins wait for the authorization service of account %q", q.Account)
	}
}

// freshKey is the key that a user is known by in one request and its answer. Nobody
// has its private part.
func freshKey() (string, error) {
	kp, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	defer kp.Wipe()
	return kp.PublicKey()
}

func headerBlock(xkey string) []byte {
	return []byte("NATS/1.0" + wire.CRLF + XKeyHeader + ": " + xkey + wire.CRLF + wire.CRLF)
}
