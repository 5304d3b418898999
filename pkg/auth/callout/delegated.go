package callout

import (
	"slices"
	"sync"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/usertoken"
	"github.com/banyanmq/banyan/pkg/config"
)

// Delegated is the Authenticator of settings with a service: it decides about all
// whom settings do not except, whatever settings themselves would say.
type Delegated struct {
	users    *auth.Settings
	set      config.Callout
	system   string
	accounts map[string]place
	names    map[string]string // of accounts, by their nkeys
	caller   *Caller

	mu     sync.Mutex
	denied map[*auth.Permissions]*auth.Permissions
}

// place is an account where users may be placed.
type place struct {
	defaults *auth.Permissions
}

// Delegate puts the service of c.Auth.Callout behind users.
func Delegate(users *auth.Settings, c *config.Config, caller *Caller) *Delegated {
	d := &Delegated{
		users: users, set: *c.Auth.Callout, system: c.SystemAccount, caller: caller,
		accounts: make(map[string]place), names: make(map[string]string), denied: make(map[*auth.Permissions]*auth.Permissions),
	}
	d.accounts[config.DefaultAccount] = place{auth.NewPermissions(c.Auth.DefaultPermissions)}
	if d.system != "" {
		d.accounts[d.system] = place{}
	}
	for i := range c.Accounts {
		a := &c.Accounts[i]
		d.accounts[a.Name] = place{auth.NewPermissions(a.DefaultPermissions)}
		if a.NKey != "" {
			d.names[a.NKey] = a.Name
		}
	}
	return d
}

// Policy implements auth.Authenticator.
func (d *Delegated) Policy(kind config.ConnectionType) auth.Policy { return d.users.Policy(kind) }

// Authenticate implements auth.Authenticator.
func (d *Delegated) Authenticate(c *auth.Credentials) (*auth.Identity, error) {
	id, err := d.users.Authenticate(c)
	if !d.asks(c, id, err) {
		if err != nil {
			return nil, err
		}
		return d.Guard(id), nil
	}
	q := &Question{
		Account: d.set.Account, Subject: d.set.Issuer, XKey: d.set.XKey, User: shownUser(c),
		Signed: func(issuer, account string) bool {
			return issuer == d.set.Issuer && (account == "" || account == issuer)
		},
	}
	claims, token, err := d.caller.Decide(q, c)
	if err != nil {
		return nil, err
	}
	return d.place(q, claims, token, c)
}

// asks tells whether the service decides. Those who are excepted are so by what
// they have proved, not by what they say: a name alone keeps nobody from being
// asked about, except from being refused.
func (d *Delegated) asks(c *auth.Credentials, id *auth.Identity, err error) bool {
	leaf := c.Kind == config.LeafNode || c.Kind == config.LeafWS
	switch {
	case leaf && d.users.OwnLeafs():
		return false
	case err != nil:
		return !d.excepted(c.User) && !d.excepted(c.NKey)
	case d.excepted(id.NKey) && c.NKey == id.NKey:
		return false
	case d.excepted(id.User) && (c.User == id.User || c.MapCertificate):
		return false
	case leaf || len(d.set.AllowedAccounts) == 0:
		return true
	}
	account := account(id)
	return account == config.DefaultAccount || slices.Contains(d.set.AllowedAccounts, account)
}

func (d *Delegated) excepted(user string) bool {
	return user != "" && slices.Contains(d.set.AuthUsers, user)
}

func account(id *auth.Identity) string {
	if id.Account == "" {
		return config.DefaultAccount
	}
	return id.Account
}

// shownUser is who the peer says it is.
func shownUser(c *auth.Credentials) string {
	switch {
	case c.NKey != "":
		return c.NKey
	case c.User != "":
		return c.User
	case c.Token != "":
		return auth.Redacted
	}
	return ""
}

// Guard keeps users of the service's account from asking the service themselves.
func (d *Delegated) Guard(id *auth.Identity) *auth.Identity {
	if account(id) != d.set.Account {
		return id
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.denied[id.Permissions]
	if p == nil {
		p = id.Permissions.Denying(Subject)
		d.denied[id.Permissions] = p
	}
	out := *id
	out.Permissions = p
	return &out
}

// Keeps tells whether a service as the settings have it now could have placed somebody
// where id is.
func (d *Delegated) Keeps(id *auth.Identity) bool {
	name := account(id)
	_, ok := d.accounts[name]
	return ok && id.IssuerKey == d.set.Issuer && !d.barred(name)
}

// barred tells whether services must not place users in an account.
func (d *Delegated) barred(account string) bool {
	return account == d.system && !d.set.AllowSystemAccount && !slices.Contains(d.set.AllowedAccounts, account)
}

// place makes a user of the account that the service has chosen.
func (d *Delegated) place(q *Question, u *jwt.UserClaims, token string, c *auth.Credentials) (*auth.Identity, error) {
	if u.IssuerAccount != "" {
		return nil, q.Refusal("error non operator mode account %q: attempted to use issuer_account", q.Account)
	}
	if u.Issuer != d.set.Issuer {
		return nil, q.Refusal("wrong issuer for auth callout response on account %q, expected %q got %q", q.Account, d.set.Issuer, u.Issuer)
	}
	until, err := usertoken.Admit(u.Subject, &u.UserPermissionLimits, u.Expires, c, d.caller.o.Now())
	if err != nil {
		return nil, q.Because(err)
	}
	name := u.Audience
	if n, ok := d.names[name]; ok {
		name = n
	}
	at, ok := d.accounts[name]
	if !ok {
		return nil, q.Refusal("no valid account %q for auth callout response on account %q: account missing", name, q.Account)
	}
	if d.barred(name) {
		return nil, q.Refusal("auth callout on account %q must not place users in the system account %q: auth_callout.allow_system_account is not set", q.Account, name)
	}
	id := &auth.Identity{User: u.Name, Account: name, Expires: until, Attach: auth.Until(until)}
	if id.User == "" {
		id.User = u.Subject
	}
	if p := usertoken.Permissions(u.Permissions); p != nil {
		id.Permissions = auth.NewPermissions(p)
	} else {
		id.Permissions = at.defaults
	}
	if name == d.set.Account {
		id.Permissions = id.Permissions.Denying(Subject)
	}
	usertoken.Limit(id, u.Subs, u.UserPermissionLimits.Payload)
	usertoken.Show(id, u, token, u.BearerToken)
	return id, nil
}
