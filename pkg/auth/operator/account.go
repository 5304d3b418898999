package operator

import (
	"cmp"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/usertoken"
	"github.com/banyanmq/banyan/pkg/wire"
)

// account is a loaded account with its connections.
type account struct {
	o   *Operator
	key string

	// mu orders changes of claims with connections that come and go. Sessions are
	// called with it held.
	mu       sync.Mutex
	claims   *jwt.AccountClaims
	token    string
	deleted  bool
	closed   bool
	defaults *auth.Permissions // of users that have none of their own
	expiry   *time.Timer
	sessions map[*session]struct{}
	next     uint64
}

// session is one connection of a user.
type session struct {
	auth.Session
	user  *user
	age   uint64
	timer *time.Timer
}

func newAccount(o *Operator, key string) *account {
	return &account{o: o, key: key, sessions: make(map[*session]struct{})}
}

// stale tells whether it is worth to ask for newer claims.
func (a *account) stale(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.claims == nil || a.deleted || a.token == "" || usertoken.Expired(a.claims.Expires, now)
}

func (a *account) shares() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return shares(a.claims)
}

// older tells whether claims are older than those in force.
func (a *account) older(c *jwt.AccountClaims) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.claims != nil && !a.deleted && a.token != "" && c.IssuedAt < a.claims.IssuedAt
}

// apply puts claims into force and ends the connections that they do not allow.
func (a *account) apply(c *jwt.AccountClaims, token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.token == token && token != "" && !a.deleted {
		return
	}
	old := a.claims
	a.claims, a.token, a.deleted = c, token, false
	a.defaults = auth.NewPermissions(usertoken.Permissions(c.DefaultPermissions))
	a.timeLocked()
	if a.o.o.OnAccount != nil {
		a.o.o.OnAccount(a.key, c)
	}
	if old == nil {
		return
	}
	defaultsChanged := !reflect.DeepEqual(old.DefaultPermissions, c.DefaultPermissions)
	limitsChanged := old.Limits.NatsLimits != c.Limits.NatsLimits ||
		old.HasExternalAuthorization() != c.HasExternalAuthorization()
	for _, s := range a.orderedLocked() {
		switch err := a.admits(s.user); {
		case err != nil:
			s.End(err.reason, err.text)
		case !reflect.DeepEqual(old.SigningKeys[s.user.claims.Issuer], c.SigningKeys[s.user.claims.Issuer]):
			s.End(wire.ReasonAuthFailure, "")
		case limitsChanged || defaultsChanged && s.user.plain:
			s.Permit(a.identity(s.user))
		}
	}
	a.trimLocked()
}

// orderedLocked lists the connections, oldest first.
func (a *account) orderedLocked() []*session {
	all := make([]*session, 0, len(a.sessions))
	for s := range a.sessions {
		all = append(all, s)
	}
	slices.SortFunc(all, func(x, y *session) int { return cmp.Compare(x.age, y.age) })
	return all
}

// trimLocked ends the youngest connections above the limits.
func (a *account) trimLocked() {
	conns, leafs := 0, 0
	for _, s := range a.orderedLocked() {
		conns++
		over := above(conns, a.claims.Limits.Conn)
		if s.user.leaf {
			leafs++
			over = over || above(leafs, a.claims.Limits.LeafNodeConn)
		}
		if over {
			s.End(wire.ReasonMaxAccountConnections, wire.TextMaxAccountConnections)
		}
	}
}

func above(n int, limit int64) bool { return limit >= 0 && int64(n) > limit }

// timeLocked sets the timer of the account's end.
func (a *account) timeLocked() {
	if a.expiry != nil {
		a.expiry.Stop()
		a.expiry = nil
	}
	if at := a.claims.Expires; at > 0 {
		a.expiry = time.AfterFunc(time.Unix(at, 0).Sub(a.o.o.Now()), func() { a.expire(at) })
	}
}

// expire ends all connections when the claims that ended at this second are
// still in force.
func (a *account) expire(at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.claims.Expires != at {
		return
	}
	for s := range a.sessions {
		s.End(wire.ReasonAuthExpired, wire.TextAccountExpired)
	}
}

// remove is what deletion means. A later token, the same one too, revives it.
func (a *account) remove() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deleted = true
	if a.o.o.OnAccount != nil {
		a.o.o.OnAccount(a.key, nil)
	}
	for s := range a.sessions {
		s.End(wire.ReasonAuthExpired, wire.TextAccountExpired)
	}
}

func (a *account) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.expiry != nil {
		a.expiry.Stop()
	}
	for s := range a.sessions {
		if s.timer != nil {
			s.timer.Stop()
		}
	}
}

// attach takes a connection in. What was true when the user was judged is
// judged once more, since claims may have changed in between.
func (a *account) attach(u *user, c auth.Session) (detach func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.admits(u); err != nil {
		return nil, auth.Refused("%s", err.why)
	}
	conns, leafs := len(a.sessions)+1, 1
	if u.leaf {
		for s := range a.sessions {
			if s.user.leaf {
				leafs++
			}
		}
	}
	if above(conns, a.claims.Limits.Conn) || u.leaf && above(leafs, a.claims.Limits.LeafNodeConn) {
		return nil, auth.ErrTooMany
	}
	a.next++
	s := &session{Session: c, user: u, age: a.next}
	if !u.until.IsZero() && !a.closed {
		s.timer = time.AfterFunc(u.until.Sub(a.o.o.Now()), func() { s.End(wire.ReasonAuthExpired, wire.TextUserExpired) })
	}
	a.sessions[s] = struct{}{}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.sessions, s)
		if s.timer != nil {
			s.timer.Stop()
		}
	}, nil
}

// verdict is why a user may not be, or stay, connected.
type verdict struct {
	why    string
	reason wire.CloseReason
	text   string // for one that is connected
}

// admits judges what can change while a user is connected. a.mu is held.
func (a *account) admits(u *user) *verdict {
	c, now := a.claims, a.o.o.Now()
	_, signs := c.SigningKeys[u.claims.Issuer]
	strict := a.o.rules().trust.keys[c.Issuer]
	switch {
	case a.deleted:
		return &verdict{"the account was deleted", wire.ReasonAuthExpired, wire.TextAccountExpired}
	case usertoken.Expired(c.Expires, now):
		return &verdict{"the account has expired", wire.ReasonAuthExpired, wire.TextAccountExpired}
	case !signs && (u.claims.Issuer != a.key || bool(strict)):
		return &verdict{"User JWT issuer is not known", wire.ReasonAuthFailure, ""}
	case u.bearer && c.Limits.DisallowBearer:
		return &verdict{"the account does not allow bearer tokens", wire.ReasonAuthFailure, wire.TextAuthViolation}
	case c.Revocations.IsRevoked(u.claims.Subject, time.Unix(u.claims.IssuedAt, 0)):
		return &verdict{"User authentication revoked", wire.ReasonCredentialsRevoked, wire.TextUserRevoked}
	}
	return nil
}
