package operator

import (
	"errors"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/callout"
	"github.com/banyanmq/banyan/pkg/auth/usertoken"
	"github.com/banyanmq/banyan/pkg/config"
)

// user is a connection's user as its token, and what signed it, make it.
type user struct {
	claims *jwt.UserClaims
	limits jwt.UserPermissionLimits // of the token, or of the template with values filled in
	perms  *auth.Permissions
	plain  bool // has no permissions of its own
	bearer bool
	leaf   bool
	// delegated: a service vouches for it, under another name than its token's
	// subject.
	delegated bool
	token     string    // to be shown
	until     time.Time // zero: no end
}

// Policy implements auth.Authenticator.
func (o *Operator) Policy(config.ConnectionType) auth.Policy {
	return auth.Policy{Required: true, Announced: true, Anonymous: o.rules().sentinel != "", Nonce: true}
}

// Authenticate implements auth.Authenticator. The steps are those of
// jwt-operator 4.
func (o *Operator) Authenticate(c *auth.Credentials) (*auth.Identity, error) {
	claims, token, err := o.token(c)
	if err != nil {
		return nil, err
	}
	vr := jwt.CreateValidationResults()
	if claims.Validate(vr); vr.IsBlocking(true) || usertoken.Expired(claims.Expires, o.o.Now()) {
		return nil, auth.Refused("User JWT no longer valid: %s", usertoken.Issues(vr))
	}
	key := memberOf(claims)
	a, err := o.account(key)
	if err != nil {
		return nil, err
	}
	u := &user{claims: claims, token: token}
	if err := a.judge(u, c); err != nil {
		return nil, err
	}
	if q := a.question(u); q != nil {
		return o.callOut(a, q, c)
	}
	return a.admit(u), nil
}

// admit is who a user is now.
func (a *account) admit(u *user) *auth.Identity {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.identity(u)
}

// account finds an account that may log in.
func (o *Operator) account(key string) (*account, error) {
	if !o.rules().admits(key) {
		o.pinnedFails.Add(1)
		return nil, auth.Refused("account %s is not a pinned account", key)
	}
	a, err := o.lookup(key)
	var bad badToken
	switch {
	case err == nil:
		return a, nil
	case errors.Is(err, ErrUnknown), errors.As(err, &bad):
		return nil, auth.Refused("account %s: %v", key, err)
	}
	return nil, errors.Join(auth.ErrUnavailable, err)
}

// token is the user's own, or the one for those who have none.
func (o *Operator) token(c *auth.Credentials) (*jwt.UserClaims, string, error) {
	sentinel := o.rules().sentinel
	if token := strings.TrimSpace(c.JWT); token != "" {
		claims, err := jwt.DecodeUserClaims(token)
		if err == nil {
			return claims, token, nil
		}
		if sentinel == "" {
			return nil, "", auth.Refused("User JWT not valid: %v", err)
		}
	}
	if sentinel != "" {
		if claims, err := jwt.DecodeUserClaims(sentinel); err == nil {
			return claims, sentinel, nil
		}
	}
	return nil, "", auth.Refused("Authentication requires a user JWT")
}

// judge fills in what a user's token and what signed it make of the user, and
// judges that against the account's claims and what the connection shows.
func (a *account) judge(u *user, c *auth.Credentials) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	claims := u.claims
	u.limits, u.leaf = claims.UserPermissionLimits, c.Kind == config.LeafNode || c.Kind == config.LeafWS
	if err := a.scope(u); err != nil {
		return err
	}
	u.bearer = u.limits.BearerToken
	if v := a.admits(u); v != nil {
		return auth.Refused("%s", v.why)
	}
	until, err := usertoken.Admit(claims.Subject, &u.limits, claims.Expires, c, a.o.o.Now())
	if err != nil {
		return err
	}
	u.until = until
	if !u.bearer && !u.delegated {
		if err := auth.VerifySignature(claims.Subject, c.Nonce, c.Sig); err != nil {
			return auth.Refused("user %s: %v", claims.Subject, err)
		}
	}
	p := usertoken.Permissions(u.limits.Permissions)
	u.perms, u.plain = auth.NewPermissions(p), p == nil
	return nil
}

// scope takes permissions and limits from the template of the key that signed
// the user, if it has one.
func (a *account) scope(u *user) error {
	s, ok := a.claims.SigningKeys.GetScope(u.claims.Issuer)
	if !ok || s == nil {
		return nil
	}
	us, ok := s.(*jwt.UserScope)
	if !ok {
		return auth.Refused("signing key %s has a scope of an unknown kind", u.claims.Issuer)
	}
	if err := us.ValidateScopedSigner(u.claims); err != nil {
		return auth.Refused("%v", err)
	}
	u.limits = us.Template
	v := &values{
		name: u.claims.Name, subject: u.claims.Subject, accountName: a.claims.Name, accountKey: a.key,
		tags: u.claims.Tags, accountTags: a.claims.Tags,
	}
	p, err := v.fill(us.Template.Permissions)
	if err != nil {
		return auth.Refused("%v", err)
	}
	u.limits.Permissions = p
	return nil
}

// identity is what a user is under the claims in force. a.mu is held.
func (a *account) identity(u *user) *auth.Identity {
	id := &auth.Identity{
		User: u.claims.Subject, NKey: u.claims.Subject, Account: a.key, AccountTag: a.claims.Name, Permissions: u.perms, Expires: u.until,
		Attach: func(s auth.Session) (func(), error) { return a.attach(u, s) },
	}
	if u.delegated {
		id.NKey = ""
		if u.claims.Name != "" {
			id.User = u.claims.Name
		}
	}
	if u.plain {
		id.Permissions = a.defaults
	}
	if a.claims.HasExternalAuthorization() {
		id.Permissions = id.Permissions.Denying(callout.Subject)
	}
	usertoken.Limit(id, tighter(u.limits.Subs, a.claims.Limits.Subs), tighter(u.limits.Payload, a.claims.Limits.Payload))
	usertoken.Show(id, u.claims, u.token, u.bearer)
	return id
}

// tighter is the lower of two limits, of which negative ones do not limit.
func tighter(a, b int64) int64 {
	switch {
	case a < 0:
		return max(b, -1)
	case b < 0:
		return a
	}
	return min(a, b)
}
