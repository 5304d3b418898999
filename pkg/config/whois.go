package config

import (
	"slices"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// Settings of who decides about logins besides users and passwords: services that
// are asked, proxies that vouch, and what failing costs.

// Callout is a service that decides who logs in (jwt-operator 12). Operators' accounts
// say in their tokens whether they have one.
type Callout struct {
	// Issuer is the public key of an account that the service signs its answers
	// with, and the users in them.
	Issuer string
	// Account in which the service listens.
	Account string
	// AuthUsers, by name or nkey, are not asked about: the service itself.
	AuthUsers []string
	// XKey is the service's public curve key; with it requests and answers are
	// encrypted.
	XKey string
	// AllowedAccounts, if any, are those whose users are asked about, besides $G.
	AllowedAccounts []string
	// AllowSystemAccount lets the service place users in the system account.
	AllowSystemAccount bool
}

// FailedLogin is what a failed login costs who tried.
type FailedLogin struct {
	// Delay before the answer, doubled from the fourth failure of an address on. 0 is
	// none.
	Delay time.Duration
	// MaxDelay is the most.
	MaxDelay time.Duration
}

// Defaults of [FailedLogin].
const (
	DefaultFailedLoginDelay    = 20 * time.Millisecond
	DefaultFailedLoginMaxDelay = time.Second
)

func whoisRows() []*option {
	const block = "authorization.auth_callout/auth_hook"
	return []*option{
		{yaml: "auth.callout", conf: block, kind: kBlock, in: noClients, field: "Auth.Callout"},
		{yaml: "auth.callout.issuer", conf: block + ".issuer", kind: kCustom, in: noClients, field: "Auth.Callout.Issuer",
			read: readKey(nkeys.IsValidPublicAccountKey, "Expected callout user to be a valid public account nkey, got %q")},
		{yaml: "auth.callout.account", conf: block + ".account/acc", kind: kString, in: noClients, field: "Auth.Callout.Account"},
		{yaml: "auth.callout.auth_users", conf: block + ".auth_users/users", kind: kStrings, in: noClients, field: "Auth.Callout.AuthUsers"},
		{yaml: "auth.callout.xkey", conf: block + ".xkey/key", kind: kCustom, in: noClients, field: "Auth.Callout.XKey",
			read: readKey(nkeys.IsValidPublicCurveKey, "Expected callout xkey to be a valid public xkey, got %q")},
		{yaml: "auth.callout.allowed_accounts", conf: block + ".allowed_accounts", kind: kStrings, in: noClients, field: "Auth.Callout.AllowedAccounts"},
		{yaml: "auth.callout.allow_system_account", conf: block + ".allow_system_account", kind: kBool, in: noClients, field: "Auth.Callout.AllowSystemAccount"},
		{yaml: "auth.proxy_required", conf: "authorization.proxy_required", kind: kBool, in: noClients, field: "Auth.ProxyRequired"},
		{yaml: "auth.trusted_proxies", conf: "proxies.trusted", kind: kCustom, read: readProxies, in: noClients, field: "Auth.TrustedProxies"},
		{yaml: "auth.failed_login.delay", conf: "authorization.failed_login_delay", kind: kStrictDuration, in: noClients,
			def: DefaultFailedLoginDelay, field: "Auth.FailedLogin.Delay"},
		{yaml: "auth.failed_login.max_delay", conf: "authorization.failed_login_max_delay", kind: kStrictDuration, in: noClients,
			def: DefaultFailedLoginMaxDelay, field: "Auth.FailedLogin.MaxDelay"},
	}
}

// readKey reads a public key; the message repeats what stands in its place, unless
// that is a seed.
func readKey(valid func(string) bool, message string) reader {
	return func(d *decoder, path string, v *conf.Value) (any, bool) {
		if v.Kind != conf.String || !valid(v.Str) {
			d.errorf(v.Pos, path, message, shown(v.Str))
			return nil, false
		}
		return v.Str, true
	}
}

// readProxies reads a list of public keys, or of maps that hold one.
func readProxies(d *decoder, path string, v *conf.Value) (any, bool) {
	items := v.Items
	if v.Kind != conf.Array {
		items = []*conf.Value{v}
	}
	var keys []string
	for _, it := range items {
		key := it
		if it.Kind == conf.Map {
			if len(it.Entries) != 1 || it.Get("key") == nil {
				d.errorf(it.Pos, path, `want {key: "..."} with a public key, got %s`, it.Describe())
				return nil, false
			}
			key = it.Get("key")
		}
		switch {
		case key.Kind != conf.String || !nkeys.IsValidPublicKey(key.Str):
			d.errorf(it.Pos, path, "proxy trusted key %q is invalid: want a public nkey", shown(key.Str))
			return nil, false
		case slices.Contains(keys, key.Str):
			d.errorf(it.Pos, path, "proxy trusted key %q is in the list twice", key.Str)
			return nil, false
		}
		keys = append(keys, key.Str)
	}
	return keys, true
}

func (c *Callout) complete() {
	if c != nil && c.Account == "" {
		c.Account = DefaultAccount
	}
}

func (l *loader) validateCallout() {
	k := l.cfg.Auth.Callout
	if k == nil {
		return
	}
	if l.cfg.InOperatorMode() {
		l.errorf(l.firstOrigin("auth.callout"), "", "operators do not allow authorization callouts to be configured directly")
		return
	}
	switch {
	case k.Issuer == "":
		l.errorf(l.firstOrigin("auth.callout"), "", "Authorization callouts require an issuer to be specified")
	case len(k.AuthUsers) == 0:
		l.errorf(l.firstOrigin("auth.callout"), "", "Authorization callouts require authorized users to be specified")
	case !l.knownAccount(k.Account):
		l.fail("auth.callout.account", "auth_callout account %q not found in configured accounts", k.Account)
	}
	for _, a := range k.AllowedAccounts {
		if !l.knownAccount(a) {
			l.fail("auth.callout.allowed_accounts", "auth_callout allowed account %q not found in configured accounts", a)
		}
	}
	for _, name := range k.AuthUsers {
		if !l.cfg.hasUser(name) {
			l.warnf(l.origin["auth.callout.auth_users"], "", "auth_callout user %q is no user of these settings: nobody can be the service by that name", name)
		}
	}
}

// hasUser tells whether the settings know a user by a name or nkey.
func (c *Config) hasUser(name string) bool {
	is := func(u User) bool { return u.Name == name || u.NKey == name }
	return name == c.Auth.User || slices.ContainsFunc(c.Auth.Users, is) ||
		slices.ContainsFunc(c.Accounts, func(a Account) bool { return slices.ContainsFunc(a.Users, is) })
}

func (l *loader) validateFailedLogin() {
	f := l.cfg.Auth.FailedLogin
	if f.Delay < 0 || f.Delay > f.MaxDelay {
		l.fail(l.either("auth.failed_login.delay", "auth.failed_login.max_delay"), "the delay of failed logins (%v) must be between 0 and its maximum (%v)", f.Delay, f.MaxDelay)
	} else if f.MaxDelay > time.Minute {
		l.fail("auth.failed_login.max_delay", "the delay of failed logins must not be above 1m, got %v", f.MaxDelay)
	}
}
