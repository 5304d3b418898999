package intake_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
)

// operated is a hub of an operator with an account whose users a service judges.
type operated struct {
	*hub
	s        *service
	tree     *operatortest.Tree
	auth     *operatortest.Account
	app      *operatortest.Account
	sentinel operatortest.User
	svc      operatortest.User
}

func tree(t testing.TB, encrypted bool, allowed ...string) *operated {
	o := &operated{s: newService(t, encrypted), tree: operatortest.New(t)}
	o.auth, o.app = o.tree.Account("AUTH"), o.tree.Account("APP")
	o.svc = o.auth.User(nil)
	o.sentinel = o.auth.User(nil, func(c *jwt.UserClaims) {
		c.Name = "sentinel"
		c.BearerToken = true
		c.Sub.Deny.Add(">")
		c.Pub.Deny.Add(">")
	})
	x := &o.auth.Claims.Authorization
	x.AuthUsers.Add(o.svc.Pub)
	for _, a := range allowed {
		if a == "APP" {
			a = o.app.Pub
		}
		x.AllowedAccounts.Add(a)
	}
	if o.s.curve != nil {
		x.XKey = o.s.curve.Pub
	}
	o.s.issuer = o.auth.Key
	return o
}

func (o *operated) start(t testing.TB, more string) *operated {
	set := o.tree.Settings()
	preload := ""
	for _, p := range set.Preload {
		preload += fmt.Sprintf("%s: %s\n", p.Account, p.JWT)
	}
	o.hub = start(t, fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload {\n%s}\nauthorization { failed_login_delay: 0s, timeout: 1 }\n%s", set.JWTs[0], preload, more))
	o.s.serve(o.connect(t, creds(o.svc)))
	return o
}

func creds(u operatortest.User) nats.Option {
	seed, _ := u.Seed()
	return nats.UserJWTAndSeed(u.Token, string(seed))
}

func bearer(u operatortest.User) nats.Option {
	return nats.UserJWT(func() (string, error) { return u.Token, nil }, func([]byte) ([]byte, error) { return nil, nil })
}

// asUser is the answer that lets the peer in as a user that a key has signed.
func (r *request) asUser(by operatortest.Key, account string, change func(*jwt.UserClaims)) []byte {
	return r.signed("", r.s.issuer, by, func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) {
		u.IssuerAccount = account
		if change != nil {
			change(u)
		}
	})
}

func TestOperatorCallout(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		o := tree(t, encrypted, "APP")
		scope := o.app.Scope("team", func(p *jwt.UserPermissionLimits) { p.Pub.Allow.Add("u.{{name()}}", "$SYS.REQ.USER.INFO") })
		o.start(t, "default_sentinel: "+o.sentinel.Token)

		o.s.set(func(r *request) []byte { return r.asUser(o.app.Key, "", nil) })
		nc := o.connect(t, bearer(o.sentinel), nats.UserInfo("bob", "b"))
		if u := info(t, nc); u["user"] != "bob" || u["account"] != o.app.Pub || u["account_name"] != "APP" || u["user_name"] != "bob" {
			t.Errorf("%v", u)
		}
		r := o.s.requests()[0]
		if r.Subject != o.auth.Pub || r.ConnectOptions.JWT != o.sentinel.Token || r.ConnectOptions.Password != "b" || r.ClientInformation.User != o.sentinel.Pub || r.ClientInformation.NameTag != "sentinel" {
			t.Errorf("%+v", r.AuthorizationRequestClaims)
		}
		// Without a token of its own; signing keys; scopes; the service's own account.
		o.s.set(func(r *request) []byte { return r.asUser(o.app.Signer, o.app.Pub, nil) })
		if u := info(t, o.connect(t, nats.UserInfo("al", "b"))); u["user"] != "al" || u["account"] != o.app.Pub {
			t.Errorf("%v", u)
		}
		o.s.set(func(r *request) []byte {
			return r.asUser(scope, o.app.Pub, func(u *jwt.UserClaims) { u.SetScoped(true) })
		})
		u := info(t, o.connect(t, nats.UserInfo("cy", "b")))
		if p, _ := u["permissions"].(map[string]any); p == nil || !strings.Contains(fmt.Sprint(p["publish"]), "u.cy") {
			t.Errorf("%v", u)
		}
		o.s.set(func(r *request) []byte { return r.asUser(o.auth.Key, "", nil) })
		u = info(t, o.connect(t, nats.UserInfo("di", "b")))
		if p, _ := u["permissions"].(map[string]any); u["account"] != o.auth.Pub || p == nil || !strings.Contains(fmt.Sprint(p["publish"]), "$SYS.REQ.USER.AUTH") {
			t.Errorf("%v", u)
		}
		o.Stop()
	}
}

func TestOperatorCalloutRefusals(t *testing.T) {
	o := tree(t, false, "APP")
	other := o.tree.Account("OTHER")
	scope := o.app.Scope("team", func(*jwt.UserPermissionLimits) {})
	strange := operatortest.NewKey(t, nkeys.PrefixByteAccount)
	o.start(t, "")
	for _, x := range []struct {
		name   string
		answer func(*request) []byte
		why    string
	}{
		{"error", func(r *request) []byte { return r.deny("no") }, "Auth callout service returned an error: no"},
		{"foreign answer", func(r *request) []byte { return r.signed("", strange, o.app.Key, nil) }, "Auth callout signing key is unknown"},
		{"foreign answer with the account's name", func(r *request) []byte {
			return r.signed("", strange, o.app.Key, func(_ *jwt.UserClaims, a *jwt.AuthorizationResponseClaims) { a.IssuerAccount = o.auth.Pub })
		}, "Auth callout signing key is unknown"},
		{"another account of the operator", func(r *request) []byte { return r.signed("", o.app.Key, o.app.Key, nil) }, "Auth callout signing key is unknown"},
		{"not allowed account", func(r *request) []byte { return r.asUser(other.Key, "", nil) }, "not permitted as valid account option"},
		{"unknown key", func(r *request) []byte { return r.asUser(strange, o.app.Pub, nil) }, "User JWT issuer is not known"},
		{"unknown account", func(r *request) []byte { return r.asUser(strange, "", nil) }, "not permitted as valid account option"},
		{"scoped with limits", func(r *request) []byte { return r.asUser(scope, o.app.Pub, nil) }, "Scoped users require no permissions or limits set"},
		{"source", func(r *request) []byte {
			return r.asUser(o.app.Key, "", func(u *jwt.UserClaims) { u.Src.Set("10.0.0.0/8") })
		}, "Bad src Ip"},
	} {
		o.s.set(x.answer)
		if _, err := o.try(nats.Name(x.name), bearer(o.sentinel)); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", x.name, err)
		}
		if i := o.closed(t, x.name); !strings.Contains(i.Refusal, x.why) || i.RefusedBy != o.auth.Pub {
			t.Errorf("%s: %s %q by %s", x.name, i.Reason, i.Refusal, i.RefusedBy)
		}
	}
	// A sentinel that is none is refused without a question.
	before, begin := len(o.s.requests()), time.Now()
	mute := o.auth.User(nil) // wants a proof
	if _, err := o.try(bearer(mute)); !errors.Is(err, nats.ErrAuthorization) || time.Since(begin) > 900*time.Millisecond || len(o.s.requests()) != before {
		t.Errorf("%v after %s, %d questions", err, time.Since(begin), len(o.s.requests())-before)
	}
}

// Any account may be named; what is revoked there stays out; sealed answers vouch
// for themselves.
func TestOperatorCalloutAnyAccount(t *testing.T) {
	o := tree(t, true, jwt.AnyAccount)
	o.app.Claims.RevokeAt(jwt.All, time.Now().Add(time.Minute))
	other := o.tree.Account("OTHER")
	o.start(t, "")
	strange := operatortest.NewKey(t, nkeys.PrefixByteAccount)
	o.s.set(func(r *request) []byte { return r.signed("", strange, other.Key, nil) })
	if u := info(t, o.connect(t, bearer(o.sentinel))); u["account"] != other.Pub {
		t.Errorf("%v", u)
	}
	o.s.set(func(r *request) []byte { return r.asUser(o.app.Key, "", nil) })
	if _, err := o.try(nats.Name("revoked"), bearer(o.sentinel)); !errors.Is(err, nats.ErrAuthorization) {
		t.Error(err)
	}
	if i := o.closed(t, "revoked"); !strings.Contains(i.Refusal, "revoked") {
		t.Errorf("%q", i.Refusal)
	}
}
