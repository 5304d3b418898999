package auth

import (
	"fmt"

	"github.com/banyanmq/banyan/pkg/config"
)

// Settings is the Authenticator of the settings.
type Settings struct {
	hash *hashing

	users  map[string]*user
	order  []*user          // as in the settings
	keys   map[string]*user // by public key
	noAuth *user

	single *user // the one user of the authorization block
	token  config.Secret
	// tokenProxy: who shows the token must come through a trusted proxy.
	tokenProxy bool

	leafSingle  *user
	leafKey     *user
	leafKeys    map[string]*user
	leafUsers   map[string]*user
	leafOrder   []*user
	leafAccount string

	// ways are what holds for kinds of connections whose listener overrides something.
	ways map[config.ConnectionType]*Settings

	required   bool
	announced  bool // INFO says so even where those without a name are let in
	openGlobal bool // only the system account has users: others need none
	// mapping: some listener knows users by their certificates, so that a user
	// without a password is one, and not open to everybody elsewhere.
	mapping bool
	// decoy is a hash that costs as much as the dearest of the users': what is
	// compared with no hash is compared with it, so that time does not tell who is
	// a user.
	decoy config.Secret
}

// user is an entry of the settings with the identity that it becomes.
type user struct {
	name     string
	nkey     string
	password config.Secret
	kinds    []config.ConnectionType // empty: all
	proxy    bool                    // must come through a trusted proxy
	identity *Identity
}

func (u *user) allows(kind config.ConnectionType) bool {
	if len(u.kinds) == 0 {
		return true
	}
	for _, k := range u.kinds {
		if k == kind {
			return true
		}
	}
	return false
}

// FromConfig makes the Authenticator of c, which has been checked.
func FromConfig(c *config.Config) *Settings {
	s := &Settings{
		hash: newHashing(), users: make(map[string]*user), keys: make(map[string]*user), token: c.Auth.Token, required: c.AuthRequired(),
		tokenProxy: c.Auth.ProxyRequired,
	}
	s.mapping = c.Client.TLS != nil && c.Client.TLS.VerifyAndMap ||
		c.LeafNodes != nil && c.LeafNodes.TLS != nil && c.LeafNodes.TLS.VerifyAndMap ||
		c.WebSocket != nil && c.WebSocket.TLS != nil && c.WebSocket.TLS.VerifyAndMap
	for i := range c.Auth.Users {
		s.add(&c.Auth.Users[i], config.DefaultAccount)
	}
	onlySystem := !c.NoSystemAccount
	for i := range c.Accounts {
		a := &c.Accounts[i]
		for j := range a.Users {
			s.add(&a.Users[j], a.Name)
		}
		if a.Name != c.SystemAccount && a.Name != config.DefaultAccount {
			onlySystem = false
		}
	}
	if c.Auth.User != "" {
		s.single = newUser(c.Auth.User, c.Auth.Password, config.DefaultAccount)
		s.single.proxy = c.Auth.ProxyRequired
	}
	if s.noAuth = s.users[c.Auth.NoAuthUser]; s.noAuth == nil {
		s.noAuth = s.keys[c.Auth.NoAuthUser]
	}
	s.openGlobal = s.required && onlySystem && s.noAuth == nil && c.Auth.Callout == nil &&
		s.single == nil && s.token == "" && len(c.Auth.Users) == 0 && !s.globalUsers(c)
	if l := c.LeafNodes; l != nil {
		s.addLeafs(&l.Auth)
	}
	s.chooseDecoy()
	s.addWays(c)
	return s
}

// chooseDecoy takes the dearest of all hashes.
func (s *Settings) chooseDecoy() {
	dearest := 0
	take := func(p config.Secret) {
		if cost := hashCost(p); cost > dearest {
			s.decoy, dearest = p, cost
		}
	}
	take(s.token)
	for _, u := range []*user{s.single, s.leafSingle} {
		if u != nil {
			take(u.password)
		}
	}
	for _, list := range [][]*user{s.order, s.leafOrder} {
		for _, u := range list {
			take(u.password)
		}
	}
}

// globalUsers tells whether the global account has users of its own.
func (s *Settings) globalUsers(c *config.Config) bool {
	for i := range c.Accounts {
		if c.Accounts[i].Name == config.DefaultAccount && len(c.Accounts[i].Users) > 0 {
			return true
		}
	}
	return false
}

func (s *Settings) addLeafs(l *config.LeafAuth) {
	s.leafAccount = orGlobal(l.Account)
	if l.User != "" {
		s.leafSingle = newUser(l.User, l.Password, s.leafAccount)
		s.leafSingle.proxy = l.ProxyRequired
	}
	if l.NKey != "" {
		s.leafKey = newKeyUser(l.NKey, s.leafAccount)
		s.leafKey.proxy = l.ProxyRequired
	}
	if len(l.Users) > 0 {
		s.leafUsers = make(map[string]*user, len(l.Users))
	}
	s.leafKeys = make(map[string]*user)
	for _, x := range l.Users {
		if x.NKey != "" {
			s.leafKeys[x.NKey] = newKeyUser(x.NKey, orGlobal(x.Account))
			s.leafKeys[x.NKey].proxy = x.ProxyRequired
			continue
		}
		u := newUser(x.Name, x.Password, orGlobal(x.Account))
		u.proxy = x.ProxyRequired
		s.leafUsers[x.Name] = u
		s.leafOrder = append(s.leafOrder, u)
	}
}

func orGlobal(account string) string {
	if account == "" {
		return config.DefaultAccount
	}
	return account
}

func newUser(name string, password config.Secret, account string) *user {
	u := &user{name: name, password: password, identity: &Identity{User: name, Account: account}}
	u.identity.entry = u
	return u
}

func newKeyUser(nkey, account string) *user {
	u := &user{nkey: nkey, identity: &Identity{User: nkey, NKey: nkey, Account: account}}
	u.identity.entry = u
	return u
}

func (s *Settings) add(c *config.User, account string) {
	if c.Account != "" {
		account = c.Account
	}
	u := newUser(c.Name, c.Password, account)
	if c.NKey != "" {
		u = newKeyUser(c.NKey, account)
	}
	u.kinds, u.proxy = c.AllowedConnectionTypes, c.ProxyRequired
	u.identity.Permissions = NewPermissions(c.Permissions)
	if c.NKey != "" {
		s.keys[c.NKey] = u
		return
	}
	s.users[c.Name] = u
	s.order = append(s.order, u)
}

func isLeaf(kind config.ConnectionType) bool {
	return kind == config.LeafNode || kind == config.LeafWS
}

// OwnLeafs tells whether leaf nodes have users of their own, so that those of clients
// are not theirs.
func (s *Settings) OwnLeafs() bool {
	return s.leafSingle != nil || s.leafKey != nil || s.leafUsers != nil
}

// Policy implements Authenticator.
func (s *Settings) Policy(kind config.ConnectionType) Policy {
	if o := s.ways[kind]; o != nil {
		s = o
	}
	if isLeaf(kind) && s.OwnLeafs() {
		return Policy{Required: true, Announced: true, Nonce: s.leafKey != nil || len(s.leafKeys) > 0}
	}
	if !s.required {
		return Policy{}
	}
	named := s.noAuth != nil && s.noAuth.allows(kind) && !s.noAuth.proxy
	return Policy{Required: true, Announced: !named || s.announced, Anonymous: named || s.openGlobal, Nonce: len(s.keys) > 0}
}

// Authenticate implements Authenticator: the login decision of accounts-auth 4.
func (s *Settings) Authenticate(c *Credentials) (*Identity, error) {
	if o := s.ways[c.Kind]; o != nil {
		s = o
	}
	if isLeaf(c.Kind) {
		switch {
		case s.leafSingle != nil:
			return s.check(s.leafSingle, c)
		case s.leafKey != nil:
			return prove(map[string]*user{s.leafKey.nkey: s.leafKey}, c)
		case s.leafUsers != nil && c.NKey != "" && len(s.leafKeys) > 0:
			return prove(s.leafKeys, c)
		case s.leafUsers != nil:
			return s.pick(s.leafUsers, s.leafOrder, c, false)
		case !s.required:
			return &Identity{Account: orGlobal(s.leafAccount)}, nil
		}
	}
	switch {
	case !s.required:
		return everybody, nil
	case s.openGlobal && c.anonymous():
		return everybody, nil
	case len(s.keys) > 0 && c.NKey != "":
		return prove(s.keys, c)
	case s.noAuth != nil && s.noAuth.nkey != "" && !c.MapCertificate && c.nameless():
		return s.anybody(c)
	case len(s.users) > 0:
		return s.pick(s.users, s.order, c, true)
	case s.token != "":
		if ok, err := s.matches(s.token, c.Token, c, ProxyRequired(s.tokenProxy, c, "") == nil); err != nil {
			return nil, err
		} else if !ok {
			return nil, refused("token")
		}
		if err := ProxyRequired(s.tokenProxy, c, "who shows the token"); err != nil {
			return nil, err
		}
		return tokenHolder, nil
	case s.single != nil:
		return s.check(s.single, c)
	}
	return nil, refused("nothing is configured to check against")
}

var tokenHolder = &Identity{User: Redacted, Account: config.DefaultAccount}

// pick finds the user that the peer claims to be, and checks it.
func (s *Settings) pick(users map[string]*user, order []*user, c *Credentials, structural bool) (*Identity, error) {
	if c.MapCertificate {
		u, err := fromCertificate(users, order, c, structural)
		if err != nil {
			return nil, err
		}
		if ok, err := s.matches(u.password, c.Pass, c, u.proxied(c) == nil); err != nil {
			return nil, err
		} else if !ok {
			return nil, refused("password of user %q, known by certificate", u.name)
		}
		if err := u.proxied(c); err != nil {
			return nil, err
		}
		return u.identity, nil
	}
	if structural && s.noAuth != nil && c.nameless() {
		return s.anybody(c)
	}
	u := users[c.User]
	if u == nil {
		if s.decoy != "" {
			if _, err := s.hash.matches(s.decoy, c.Pass, c, false); err != nil {
				return nil, err
			}
		}
		return nil, refused("unknown user %q", c.User)
	}
	return s.check(u, c)
}

// anybody is the user that those become who show nothing.
func (s *Settings) anybody(c *Credentials) (*Identity, error) {
	if !s.noAuth.allows(c.Kind) {
		return nil, refused("connection type %s of no_auth_user %q", c.Kind, s.noAuth.identity.User)
	}
	if err := s.noAuth.proxied(c); err != nil {
		return nil, err
	}
	return s.noAuth.identity, nil
}

func (u *user) proxied(c *Credentials) error {
	if !u.proxy {
		return nil
	}
	return ProxyRequired(true, c, fmt.Sprintf("user %q", u.identity.User))
}

// prove finds the user with the key that is shown, and has it proved. An unknown
// key is refused, whatever else is shown; so is one that no_auth_user names and
// that comes without a proof.
func prove(keys map[string]*user, c *Credentials) (*Identity, error) {
	u := keys[c.NKey]
	if u == nil {
		return nil, refused("unknown nkey %q", c.NKey)
	}
	if !u.allows(c.Kind) {
		return nil, refused("connection type %s of nkey %q", c.Kind, u.nkey)
	}
	if err := u.proxied(c); err != nil {
		return nil, err
	}
	if err := VerifySignature(u.nkey, c.Nonce, c.Sig); err != nil {
		return nil, refused("nkey %q: %v", u.nkey, err)
	}
	return u.identity, nil
}

// check judges who claims to be u. The password is compared before anything else
// is said, whatever else is wrong: a refusal takes the same time for all causes.
func (s *Settings) check(u *user, c *Credentials) (*Identity, error) {
	fine := u.name == c.User && u.allows(c.Kind) && u.proxied(c) == nil
	right, err := s.matches(u.password, c.Pass, c, fine)
	switch {
	case err != nil:
		return nil, err
	case u.name != c.User:
		return nil, refused("unknown user %q", c.User)
	case !u.allows(c.Kind):
		return nil, refused("connection type %s of user %q", c.Kind, u.name)
	case s.mapping && u.password == "":
		return nil, refused("user %q has no password and is known by certificate only", u.name)
	case !right:
		return nil, refused("password of user %q", u.name)
	}
	if err := u.proxied(c); err != nil {
		return nil, err
	}
	return u.identity, nil
}

// matches tells whether shown is the configured password or token, in clear or hashed.
// A comparison in clear that fails takes as long as one of hashes where there are any.
func (s *Settings) matches(configured config.Secret, shown string, c *Credentials, lately bool) (ok bool, err error) {
	if IsHash(string(configured)) {
		return s.hash.matches(configured, shown, c, lately)
	}
	ok = matchesClear(configured, shown)
	if !ok && s.decoy != "" {
		_, err = s.hash.matches(s.decoy, shown, c, false)
	}
	return ok, err
}

// PlaintextPasswords tells whether some password or token is not hashed, for a
// warning at the start.
func (s *Settings) PlaintextPasswords() bool {
	plain := func(p config.Secret) bool { return p != "" && !IsHash(string(p)) }
	if plain(s.token) || s.single != nil && plain(s.single.password) {
		return true
	}
	for _, u := range s.order {
		if plain(u.password) {
			return true
		}
	}
	if o := s.ways[config.WebSocket]; o != nil {
		return plain(o.token) || o.single != nil && plain(o.single.password)
	}
	return false
}
