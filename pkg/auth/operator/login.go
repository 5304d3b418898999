package operator

import (
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth"
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
	until  time.Time // zero: no end
}

// Policy implements auth.Authenticator.
func (o *Operator) Policy(config.ConnectionType) auth.Policy {
	return auth.Policy{Required: true, Announced: true, Anonymous: o.o.Settings.DefaultSentinel != "", Nonce: true}
}

// Authenticate implements auth.Authenticator. The steps are those of
// jwt-operator 4.
func (o *Operator) Authenticate(c *auth.Credentials) (*auth.Identity, error) {
	claims, err := o.token(c)
	if err != nil {
		return nil, err
	}
	vr := jwt.CreateValidationResults()
	if claims.Validate(vr); vr.IsBlocking(true) || expired(claims.Expires, o.o.Now()) {
		return nil, auth.Refused("User JWT no longer valid: %s", issues(vr))
	}
	key := memberOf(claims)
	if o.pinned != nil && !o.pinned[key] {
		return nil, auth.Refused("account %s is not a pinned account", key)
	}
	a, err := o.lookup(key)
	var bad badToken
	switch {
	case err == nil:
	case errors.Is(err, ErrUnknown), errors.As(err, &bad):
		return nil, auth.Refused("account %s: %v", key, err)
	default:
		return nil, errors.Join(auth.ErrUnavailable, err)
	}
	u, err := a.user(claims, c)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.identity(u), nil
}

// token is the user's own, or the one for those who have none.
func (o *Operator) token(c *auth.Credentials) (*jwt.UserClaims, error) {
	if c.JWT != "" {
		claims, err := jwt.DecodeUserClaims(strings.TrimSpace(c.JWT))
		if err == nil {
			return claims, nil
		}
		if o.o.Settings.DefaultSentinel == "" {
			return nil, auth.Refused("User JWT not valid: %v", err)
		}
	}
	if s := o.o.Settings.DefaultSentinel; s != "" {
		if claims, err := jwt.DecodeUserClaims(s); err == nil {
			return claims, nil
		}
	}
	return nil, auth.Refused("Authentication requires a user JWT")
}

// user judges a token against the account's claims and what the connection shows.
func (a *account) user(claims *jwt.UserClaims, c *auth.Credentials) (*user, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := &user{claims: claims, limits: claims.UserPermissionLimits, leaf: c.Kind == config.LeafNode || c.Kind == config.LeafWS}
	if err := a.scope(u); err != nil {
		return nil, err
	}
	u.bearer = u.limits.BearerToken
	if v := a.admits(u); v != nil {
		return nil, auth.Refused("%s", v.why)
	}
	if u.limits.ProxyRequired {
		return nil, auth.Refused("user %s must come through a trusted proxy", claims.Subject)
	}
	if !allowedKind(u.limits.AllowedConnectionTypes, c.Kind) {
		return nil, auth.Refused("connection type %s of user %s", c.Kind, claims.Subject)
	}
	if !u.bearer {
		if err := auth.VerifySignature(claims.Subject, c.Nonce, c.Sig); err != nil {
			return nil, auth.Refused("user %s: %v", claims.Subject, err)
		}
	}
	if !allowedSource(u.limits.Src, c.Remote) {
		return nil, auth.Refused("Bad src Ip %v", c.Remote)
	}
	end, inside := window(a.o.o.Now(), &u.limits.UserLimits)
	if !inside {
		return nil, auth.Refused("user %s is outside of its times", claims.Subject)
	}
	u.until = end
	if claims.Expires > 0 {
		if at := time.Unix(claims.Expires, 0); u.until.IsZero() || at.Before(u.until) {
			u.until = at
		}
	}
	p := settings(u.limits.Permissions)
	u.perms, u.plain = auth.NewPermissions(p), p == nil
	return u, nil
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

var kinds = []config.ConnectionType{
	config.Standard, config.WebSocket, config.LeafNode, config.LeafWS, config.MQTT, config.MQTTWS, config.InProcess,
}

// allowedKind: kinds that do not exist do not count, as long as one is left.
func allowedKind(list []string, kind config.ConnectionType) bool {
	if len(list) == 0 {
		return true
	}
	return slices.Contains(kinds, kind) && slices.ContainsFunc(list, func(x string) bool {
		return config.ConnectionType(strings.ToUpper(x)) == kind
	})
}

func allowedSource(list []string, remote net.Addr) bool {
	if len(list) == 0 {
		return true
	}
	t, ok := remote.(*net.TCPAddr)
	if !ok {
		return false
	}
	return slices.ContainsFunc(list, func(cidr string) bool {
		_, n, err := net.ParseCIDR(strings.TrimSpace(cidr))
		return err == nil && n.Contains(t.IP)
	})
}

// identity is what a user is under the claims in force. a.mu is held.
func (a *account) identity(u *user) *auth.Identity {
	id := &auth.Identity{
		User: u.claims.Subject, NKey: u.claims.Subject, Account: a.key, Permissions: u.perms,
		Attach: func(s auth.Session) (func(), error) { return a.attach(u, s) },
	}
	if u.plain {
		id.Permissions = a.defaults
	}
	subs := tighter(u.limits.Subs, a.claims.Limits.Subs)
	payload := min(tighter(u.limits.Payload, a.claims.Limits.Payload), 1<<31-1)
	id.MaxSubs, id.NoSubs = int(max(min(subs, 1<<31-1), 0)), subs == 0
	id.MaxPayload, id.NoPayload = max(payload, 0), payload == 0
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

// settings are permissions of a token in the form of those of settings; nil if
// it says nothing.
func settings(p jwt.Permissions) *config.Permissions {
	if p.Pub.Empty() && p.Sub.Empty() && p.Resp == nil {
		return nil
	}
	out := &config.Permissions{
		Publish:   config.SubjectPermission{Allow: p.Pub.Allow, Deny: p.Pub.Deny},
		Subscribe: config.SubjectPermission{Allow: p.Sub.Allow, Deny: p.Sub.Deny},
	}
	if r := p.Resp; r != nil {
		out.AllowResponses = &config.ResponsePermission{Max: r.MaxMsgs, Expires: r.Expires}
	}
	return out
}
