package operator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth/callout"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/logging"
)

// Options of an Operator. Settings and Resolver must be set.
type Options struct {
	Settings *config.OperatorMode
	// SystemAccount is the key of the system account, or a name that no token
	// can have.
	SystemAccount string
	Resolver      Resolver
	// OnAccount is told the claims of an account that was loaded or has changed,
	// nil of one that was deleted; calls for one account come one after the
	// other. It must not call back.
	OnAccount func(key string, c *jwt.AccountClaims)
	// Callout asks the services of accounts that have their users judged by one. nil:
	// nobody of such an account may log in.
	Callout *callout.Caller
	// Now nil is time.Now.
	Now func() time.Time
	// Log nil logs nothing.
	Log *logging.Logger
}

// Ask asks other servers for the token of an account; ErrUnknown if none of them
// has it.
type Ask func(ctx context.Context, account string) (string, error)

// Times and sizes of look-ups.
const (
	fetchLimit = 1900 * time.Millisecond
	missFor    = 2 * time.Second // an account that nobody had is not asked for again
	staleFor   = time.Second     // one that has expired is fetched again
	maxMisses  = 8192
	maxAsking  = 64 // look-ups at a time
)

// Operator is the Authenticator of operator mode. Its methods are safe for
// concurrent use.
type Operator struct {
	o       Options
	inForce atomic.Pointer[rules]
	log     *logging.Logger
	ctx     context.Context
	stop    context.CancelFunc
	asking  chan struct{}
	timeout time.Duration

	pinnedFails atomic.Uint64

	mu       sync.Mutex
	ask      Ask
	accounts map[string]*account
	flights  map[string]*flight
	misses   map[string]time.Time // until when

	// sharing orders what is told of imports and exports. It comes before all other
	// locks.
	sharing     sync.Mutex
	tell        Share
	wanted      map[string]bool // are being looked up
	activations *time.Timer     // the next token of an import expires
	work        sync.WaitGroup
}

// flight is a look-up that goes on.
type flight struct {
	done chan struct{}
	acc  *account
	err  error
}

// New checks the operators and puts the preloads into the resolver.
func New(o Options) (*Operator, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = logging.Discard()
	}
	first, err := newRules(o.Settings, o.SystemAccount)
	if err != nil {
		return nil, err
	}
	op := &Operator{
		o: o, log: o.Log, asking: make(chan struct{}, maxAsking), timeout: fetchLimit,
		accounts: make(map[string]*account), flights: make(map[string]*flight), misses: make(map[string]time.Time),
		wanted: make(map[string]bool),
	}
	if d := o.Settings.Resolver.Timeout; d > 0 {
		op.timeout = d
	}
	op.ctx, op.stop = context.WithCancel(context.Background())
	op.inForce.Store(first)
	if err := op.preload(); err != nil {
		return nil, err
	}
	return op, nil
}

func (o *Operator) preload() error {
	list, err := o.rules().preloads(o.o.Settings, o.o.Resolver)
	if err != nil {
		return err
	}
	for _, p := range list {
		if _, err := o.o.Resolver.(Store).Save(p.claims, p.token, false); err != nil {
			return fmt.Errorf("preloaded JWT of account %s: %w", p.claims.Subject, err)
		}
	}
	return nil
}

// SetCallout gives what Options.Callout does. Before connections are served.
func (o *Operator) SetCallout(c *callout.Caller) { o.o.Callout = c }

// SetAsk gives the way to ask other servers; nil takes it away.
func (o *Operator) SetAsk(f Ask) {
	o.mu.Lock()
	o.ask = f
	o.mu.Unlock()
}

// Close ends look-ups that go on, and all timers.
func (o *Operator) Close() {
	o.stop()
	o.sharing.Lock()
	if o.activations != nil {
		o.activations.Stop()
	}
	o.sharing.Unlock()
	o.work.Wait()
	for _, a := range o.loaded() {
		a.close()
	}
}

func (o *Operator) loaded() []*account {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]*account, 0, len(o.accounts))
	for _, a := range o.accounts {
		all = append(all, a)
	}
	return all
}

// lookup finds an account that connections may be of. It may have to be fetched;
// many that want the same one wait for one fetch.
func (o *Operator) lookup(key string) (*account, error) {
	now := o.o.Now()
	o.mu.Lock()
	a := o.accounts[key]
	if a != nil && !a.stale(now) {
		o.mu.Unlock()
		return a, nil
	}
	if until, ok := o.misses[key]; ok && now.Before(until) {
		o.mu.Unlock()
		if a != nil {
			return a, nil
		}
		return nil, ErrUnknown
	}
	f := o.flights[key]
	if f != nil {
		o.mu.Unlock()
		<-f.done // ends with o.ctx at the latest
		return f.acc, f.err
	}
	f = &flight{done: make(chan struct{})}
	o.flights[key] = f
	ask := o.ask
	o.mu.Unlock()

	f.acc, f.err = o.fetch(key, a, ask)
	if f.err == nil && f.acc.shares() {
		o.share()
	}
	o.mu.Lock()
	delete(o.flights, key)
	if f.err != nil || f.acc == a {
		o.missLocked(key, now)
	}
	o.mu.Unlock()
	close(f.done)
	return f.acc, f.err
}

func (o *Operator) missLocked(key string, now time.Time) {
	if len(o.misses) >= maxMisses {
		for k, until := range o.misses {
			if now.After(until) {
				delete(o.misses, k)
			}
		}
	}
	if len(o.misses) < maxMisses {
		d := missFor
		if o.accounts[key] != nil {
			d = staleFor
		}
		o.misses[key] = now.Add(d)
	}
}

// fetch takes an account from the resolver, or from other servers. was is what
// is known of it, which may have expired.
func (o *Operator) fetch(key string, was *account, ask Ask) (*account, error) {
	ctx, cancel := context.WithTimeout(o.ctx, o.timeout)
	defer cancel()
	token, err := o.o.Resolver.Fetch(ctx, key)
	var c *jwt.AccountClaims
	if err == nil {
		c, err = o.rules().trust.account(key, token)
	}
	if err != nil && ask != nil {
		if c, token, err = o.askOthers(ctx, key, ask); err == nil {
			if s, ok := o.o.Resolver.(Store); ok {
				if _, err := s.Save(c, token, true); err != nil {
					o.log.Warnf("Keeping the JWT of account %s: %v", key, err)
				}
			}
		}
	}
	switch {
	case err == nil:
		return o.apply(key, c, token), nil
	case was != nil:
		return was, nil // as it is, expired
	case key == o.o.SystemAccount && o.o.Settings.Resolver.Kind != config.ResolverMemory:
		return o.bootstrap(key), nil
	}
	return nil, err
}

func (o *Operator) askOthers(ctx context.Context, key string, ask Ask) (*jwt.AccountClaims, string, error) {
	select {
	case o.asking <- struct{}{}:
		defer func() { <-o.asking }()
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	token, err := ask(ctx, key)
	if err != nil {
		return nil, "", err
	}
	c, err := o.rules().trust.account(key, token)
	return c, token, err
}

// bootstrap makes a system account up, so that its token can be pushed. Its users
// are those that its own key has signed.
func (o *Operator) bootstrap(key string) *account {
	c := jwt.NewAccountClaims(key)
	c.Issuer = key
	a := o.apply(key, c, "")
	o.log.Warnf("The JWT of the system account %s is not known yet", key)
	return a
}

// apply makes claims the ones in force. They have been checked.
func (o *Operator) apply(key string, c *jwt.AccountClaims, token string) *account {
	o.mu.Lock()
	a := o.accounts[key]
	if a == nil {
		a = newAccount(o, key)
		o.accounts[key] = a
	}
	delete(o.misses, key)
	o.mu.Unlock()
	a.apply(c, token)
	return a
}

// Update takes a new token of an account: stores it, and puts it into force if
// the account is loaded. Tokens of strangers, expired ones and ones that are
// older than what is there are refused.
func (o *Operator) Update(token string) (account string, u Updated, err error) {
	if raw, err := jwt.DecodeAccountClaims(token); err == nil {
		account = raw.Subject
	}
	c, err := o.rules().trust.account("", token)
	if err != nil {
		return account, u, err
	}
	return o.take(c, token, false)
}

// Merge is Update for a token that another server has told of: one that was
// deleted here after it was issued is not taken.
func (o *Operator) Merge(account, token string) error {
	c, err := o.rules().trust.account(account, token)
	if err != nil {
		return err
	}
	_, _, err = o.take(c, token, true)
	return err
}

// Updated says what became of a token.
type Updated struct {
	Stored  bool
	Applied bool // the account is loaded
}

func (o *Operator) take(c *jwt.AccountClaims, token string, merge bool) (string, Updated, error) {
	var u Updated
	key := c.Subject
	if s, ok := o.o.Resolver.(Store); ok && s.Takes(key) {
		stored, err := s.Save(c, token, merge)
		if err != nil {
			return key, u, err
		}
		u.Stored = stored
	}
	o.mu.Lock()
	a := o.accounts[key]
	delete(o.misses, key)
	o.mu.Unlock()
	if a == nil {
		return key, u, nil
	}
	if a.older(c) {
		return key, u, ErrOlder
	}
	u.Applied = true
	before := a.shares()
	o.apply(key, c, token)
	if before || shares(c) {
		o.share()
	}
	return key, u, nil
}

// Reasons why an order to delete is refused.
var (
	errMalformed     = errors.New("malformed request")
	errNotSelfSigned = errors.New("not self signed")
	errNotTrusted    = errors.New("not trusted")
	errDeleteOff     = errors.New("delete must be enabled in server config")
	errDeleteSystem  = errors.New("not allowed to delete system account")
)

// Judge checks a token that is said to be of an account, and returns when it was
// issued.
func (o *Operator) Judge(account, token string) (issued int64, err error) {
	c, err := o.rules().trust.account(account, token)
	if err != nil {
		return 0, err
	}
	return c.IssuedAt, nil
}

// PinnedFails counts logins of accounts that are not among those that may log in.
func (o *Operator) PinnedFails() uint64 { return o.pinnedFails.Load() }

// Resolver is where tokens come from.
func (o *Operator) Resolver() Resolver { return o.o.Resolver }

// Known tells whether an account is loaded.
func (o *Operator) Known(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.accounts[key] != nil
}
