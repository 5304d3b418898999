package operator

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/config"
)

// rules are what the settings say of whom to believe. They are not changed.
type rules struct {
	trust    *trust
	pinned   map[string]bool // nil: all
	sentinel string
}

func (o *Operator) rules() *rules { return o.inForce.Load() }

func newRules(s *config.OperatorMode, system string) (*rules, error) {
	t, err := newTrust(s)
	if err != nil {
		return nil, err
	}
	if err := checkSentinel(s.DefaultSentinel); err != nil {
		return nil, err
	}
	r := &rules{trust: t, sentinel: s.DefaultSentinel}
	if p := s.PinnedAccounts; len(p) > 0 {
		r.pinned = map[string]bool{system: true}
		for _, k := range p {
			r.pinned[k] = true
		}
	}
	return r, nil
}

// admits tells whether an account's users may log in.
func (r *rules) admits(account string) bool { return r.pinned == nil || r.pinned[account] }

// checkSentinel: what anybody becomes who brings nothing must not be able to do
// anything by itself, or be open to all on purpose.
func checkSentinel(token string) error {
	if token == "" {
		return nil
	}
	c, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return fmt.Errorf("default sentinel JWT not valid: %w", err)
	}
	if !c.BearerToken && !(c.IssuerAccount != "" && c.HasEmptyPermissions()) {
		return errors.New("default sentinel must be a bearer token")
	}
	return nil
}

// preloaded is a token of the settings that was checked.
type preloaded struct {
	claims *jwt.AccountClaims
	token  string
}

func (r *rules) preloads(s *config.OperatorMode, to Resolver) (list []preloaded, err error) {
	if len(s.Preload) == 0 {
		return nil, nil
	}
	if _, ok := to.(Store); !ok {
		return nil, errors.New("resolver preloads only available for writeable resolver types MEM/DIR/CACHE_DIR")
	}
	for _, p := range s.Preload {
		c, err := r.trust.account(p.Account, p.JWT)
		if err != nil {
			return nil, fmt.Errorf("preloaded JWT of account %s: %w", p.Account, err)
		}
		list = append(list, preloaded{c, p.JWT})
	}
	return list, nil
}

// Prepare takes new operators, preloads and pinned accounts. Accounts that nobody trusted
// has signed any more, that are not pinned, or that a resolver in memory has no token of,
// end with their connections; of others the resolver's token is read again, so that files
// that were put into its directory count. See daemon.Prepare.
func (o *Operator) Prepare(ch *config.Change) (apply func(), err error) {
	s := ch.New.Operator
	if s == nil {
		return nil, nil
	}
	next, err := newRules(s, o.o.SystemAccount)
	if err != nil {
		return nil, fmt.Errorf("operator mode: %w", err)
	}
	list, err := next.preloads(s, o.o.Resolver)
	if err != nil {
		return nil, err
	}
	return func() { o.reload(next, list) }, nil
}

func (o *Operator) reload(next *rules, list []preloaded) {
	o.inForce.Store(next)
	if m, ok := o.o.Resolver.(*Memory); ok {
		m.replace(list)
	} else {
		for _, p := range list {
			if _, err := o.o.Resolver.(Store).Save(p.claims, p.token, false); err != nil && !errors.Is(err, ErrOlder) {
				o.log.Warnf("Keeping the preloaded JWT of account %s: %v", p.claims.Subject, err)
			}
		}
	}
	o.mu.Lock()
	clear(o.misses)
	o.mu.Unlock()
	for _, a := range o.loaded() {
		o.reread(a, next)
	}
	o.share()
}

// reread judges a loaded account by new rules.
func (o *Operator) reread(a *account, by *rules) {
	a.mu.Lock()
	was, deleted := a.token, a.deleted
	a.mu.Unlock()
	_, local := o.o.Resolver.(Store)
	token := was
	if local {
		ctx, cancel := context.WithTimeout(o.ctx, o.timeout)
		t, err := o.o.Resolver.Fetch(ctx, a.key)
		cancel()
		if err != nil && was != "" && a.key != o.o.SystemAccount {
			a.remove()
			return
		}
		if err == nil {
			token = t
		}
	}
	if token == "" {
		return // a system account whose token nobody has
	}
	c, err := by.trust.account(a.key, token)
	switch {
	case err != nil || !by.admits(a.key):
		if !deleted {
			o.log.Noticef("The account %s is not trusted any more", a.key)
			a.remove()
		}
	case token != was || deleted:
		o.apply(a.key, c, token)
	}
}

// replace makes the tokens those of a list.
func (m *Memory) replace(list []preloaded) {
	tokens := make(map[string]string, len(list))
	for _, p := range list {
		tokens[p.claims.Subject] = p.token
	}
	m.mu.Lock()
	m.tokens = tokens
	m.mu.Unlock()
}
