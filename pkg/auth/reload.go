package auth

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Users is the Authenticator of settings that may be replaced while connections are
// there. What the change means for those is asked for by a [Review]; a connection that
// logs in meanwhile compares [Users.Generation] before and after.
type Users struct {
	wrap func(*Settings, *config.Config) Authenticator
	now  atomic.Pointer[generation]
}

// generation is what is in force until the next change.
type generation struct {
	settings *Settings
	front    Authenticator
	asks     bool // services decide about logins too
	callout  *config.Callout
	reguard  bool // what is denied to the services' own accounts has changed
	number   uint64
}

// Judge is who knows what a change of the users means for connections that were
// admitted before.
type Judge interface {
	Generation() uint64
	Review() *Review
}

// NewUsers makes the users of c. wrap puts something in front of them, for c and for
// the settings of each change; nil: nothing.
func NewUsers(c *config.Config, wrap func(*Settings, *config.Config) Authenticator) *Users {
	u := &Users{wrap: wrap}
	u.now.Store(u.generation(c, nil))
	return u
}

func (u *Users) generation(c *config.Config, old *generation) *generation {
	g := &generation{settings: FromConfig(c), asks: c.Auth.Callout != nil, callout: c.Auth.Callout}
	if old != nil {
		g.settings.hash = old.settings.hash // comparisons that go on count
		for _, w := range g.settings.ways {
			w.hash = g.settings.hash
		}
		g.number = old.number + 1
		g.reguard = !config.Same(g.callout, old.callout)
	}
	g.front = g.settings
	if u.wrap != nil {
		g.front = u.wrap(g.settings, c)
	}
	return g
}

// Prepare makes the users of a change; apply puts them into force.
func (u *Users) Prepare(ch *config.Change) (apply func(), err error) {
	if !ch.Any(ReviewedFields...) {
		return nil, nil
	}
	next := u.generation(ch.New, u.now.Load())
	return func() { u.now.Store(next) }, nil
}

// ReviewedFields are the settings whose change may concern connections that were
// admitted.
var ReviewedFields = []string{"Auth", "Accounts", "Client.TLS", "LeafNodes.Auth", "LeafNodes.TLS", "WebSocket"}

// Generation counts the changes.
func (u *Users) Generation() uint64 { return u.now.Load().number }

// Policy implements Authenticator.
func (u *Users) Policy(kind config.ConnectionType) Policy { return u.now.Load().front.Policy(kind) }

// Authenticate implements Authenticator.
func (u *Users) Authenticate(c *Credentials) (*Identity, error) {
	return u.now.Load().front.Authenticate(c)
}

// Review judges connections by the users in force now. Its methods are safe for
// concurrent use.
type Review struct {
	g *generation

	mu     sync.Mutex
	seen   map[place]standing
	logins map[login]outcome
}

// place is an entry of former settings, on a kind of connection.
type place struct {
	kind  config.ConnectionType
	entry *user
}

type standing uint8

const (
	unchanged standing = iota
	gone               // or moved to another account
	changed
)

// login is what decides about one, where no key and no certificate does.
type login struct {
	kind                     config.ConnectionType
	user, pass, token, proxy string
}

type outcome struct {
	id  *Identity
	err error
}

// Review begins a review.
func (u *Users) Review() *Review {
	return &Review{g: u.now.Load(), seen: make(map[place]standing), logins: make(map[login]outcome)}
}

// Verdict is what becomes of a connection. The zero value changes nothing.
type Verdict struct {
	// End: it is closed, with this reason and -ERR ("": without a word).
	End    bool
	Reason wire.CloseReason
	Text   string
	// Identity, if not nil, takes the place of the one it has.
	Identity *Identity
}

// Of judges a connection by its identity, and if that is not enough by what it showed
// (accounts-auth 17): a user that is gone, or that moved to another account, is closed
// without a word; one whose password is not right any more is told; else permissions
// change under the connection.
func (r *Review) Of(id *Identity, kind config.ConnectionType, show func() *Credentials) Verdict {
	if id.entry != nil {
		switch r.standing(place{kind, id.entry}) {
		case gone:
			return Verdict{End: true, Reason: wire.ReasonClientClosed}
		case unchanged:
			// Unless it became that user by showing nothing, which is another matter.
			if c := show(); !c.nameless() || c.NKey != "" || c.MapCertificate || r.g.anybody(kind) == id.entry.label() {
				return r.guarded(id, kind)
			}
		}
	} else if r.g.asks {
		if x, ok := r.g.front.(placer); !ok || !x.Keeps(id) {
			// It comes back, and the service is asked that is there now.
			return Verdict{End: true, Reason: wire.ReasonClientClosed}
		}
		return Verdict{} // a service has decided, and is not asked again
	}
	next, err := r.login(show())
	switch {
	case err != nil:
		return Verdict{End: true, Reason: wire.ReasonAuthFailure, Text: wire.TextAuthViolation}
	case orGlobal(next.Account) != orGlobal(id.Account):
		return Verdict{End: true, Reason: wire.ReasonClientClosed}
	case next.User == id.User && next.NKey == id.NKey && samePermissions(next.Permissions, id.Permissions):
		return Verdict{}
	}
	if id.Proxy != "" {
		through := *next
		through.Proxy = id.Proxy
		next = &through
	}
	return Verdict{Identity: next}
}

func (r *Review) standing(p place) standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.seen[p]
	if !ok {
		s = r.g.settings.standing(p)
		r.seen[p] = s
	}
	return s
}

// guarded is for a user that is what it was, but that may have become one of an account
// where a service listens, or is none any more.
func (r *Review) guarded(id *Identity, kind config.ConnectionType) Verdict {
	if !r.g.reguard {
		return Verdict{}
	}
	next := r.g.settings.counterpart(kind, id.entry).identity
	if x, ok := r.g.front.(guard); ok {
		next = x.Guard(next)
	}
	if samePermissions(next.Permissions, id.Permissions) {
		return Verdict{}
	}
	other := *id
	other.Permissions, other.entry = next.Permissions, next.entry
	return Verdict{Identity: &other}
}

// placer is an Authenticator in front of settings that lets in whom the settings do not
// know. Keeps tells whether it still would.
type placer interface {
	Keeps(id *Identity) bool
}

// guard is an Authenticator in front of settings that does not leave the identities
// which these give as they are.
type guard interface {
	Guard(id *Identity) *Identity
}

func (g *generation) authenticate(c *Credentials) (*Identity, error) {
	c.reviewed = true
	id, err := g.settings.Authenticate(c)
	if x, ok := g.front.(guard); ok && err == nil {
		id = x.Guard(id)
	}
	return id, err
}

// login is Authenticate, once for all who show the same.
func (r *Review) login(c *Credentials) (*Identity, error) {
	if c.NKey != "" || c.MapCertificate {
		return r.g.authenticate(c)
	}
	key := login{c.Kind, c.User, c.Pass, c.Token, c.Proxy}
	r.mu.Lock()
	o, ok := r.logins[key]
	r.mu.Unlock()
	if !ok {
		o.id, o.err = r.g.authenticate(c)
		r.mu.Lock()
		r.logins[key] = o
		r.mu.Unlock()
	}
	return o.id, o.err
}

// anybody is the label of the user that those become who show nothing.
func (g *generation) anybody(kind config.ConnectionType) string {
	s := g.settings
	if w := s.ways[kind]; w != nil {
		s = w
	}
	if s.noAuth == nil {
		return ""
	}
	return s.noAuth.label()
}

func (u *user) label() string {
	if u.nkey != "" {
		return u.nkey
	}
	return u.name
}

// standing finds out what became of an entry of former settings.
func (s *Settings) standing(p place) standing {
	now := s.counterpart(p.kind, p.entry)
	switch {
	case now == nil, now.identity.Account != p.entry.identity.Account:
		return gone
	case now.password == p.entry.password && now.proxy == p.entry.proxy && slices.Equal(now.kinds, p.entry.kinds) &&
		!(s.mapping && now.password == "") && samePermissions(now.identity.Permissions, p.entry.identity.Permissions):
		return unchanged
	}
	return changed
}

func samePermissions(a, b *Permissions) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a == b || config.Same(a.Source, b.Source)
}

// counterpart is the entry that would be found for who was e; nil: none.
func (s *Settings) counterpart(kind config.ConnectionType, e *user) *user {
	if w := s.ways[kind]; w != nil {
		s = w
	}
	same := func(u *user) bool { return u != nil && u.name == e.name && u.nkey == e.nkey }
	users, keys, singles := s.users, s.keys, []*user{s.single}
	if isLeaf(kind) && s.OwnLeafs() {
		users, keys, singles = s.leafUsers, s.leafKeys, []*user{s.leafSingle, s.leafKey}
	}
	if e.nkey != "" && keys[e.nkey] != nil {
		return keys[e.nkey]
	}
	if e.nkey == "" && users[e.name] != nil {
		return users[e.name]
	}
	if i := slices.IndexFunc(singles, same); i >= 0 {
		return singles[i]
	}
	return nil
}

var _ Judge = (*Users)(nil)
