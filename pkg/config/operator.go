package config

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// OperatorMode is the settings of a server whose accounts and users are told by
// tokens that operators sign (jwt-operator 3).
type OperatorMode struct {
	// JWTs of the operators; TrustedKeys are public keys of operators without
	// one. The two exclude each other.
	JWTs        []string
	TrustedKeys []string
	Resolver    Resolver
	// ResolverTLS is for the server of a URL resolver.
	ResolverTLS *TLS
	// Preload is put into the resolver at the start.
	Preload []AccountJWT
	// PinnedAccounts, if any, are the only ones that may log in, besides the
	// system account.
	PinnedAccounts []string
	// DefaultSentinel is the user JWT of connections that bring none.
	DefaultSentinel string
}

// AccountJWT is an account with its token.
type AccountJWT struct {
	Account string
	JWT     string
}

// ResolverKind is where account tokens come from.
type ResolverKind string

// The kinds.
const (
	ResolverMemory ResolverKind = "memory" // the settings alone
	ResolverURL    ResolverKind = "url"    // an HTTP server
	ResolverFull   ResolverKind = "full"   // a directory with all accounts
	ResolverCache  ResolverKind = "cache"  // a directory with those that were asked for
)

// Resolver says where account tokens come from.
type Resolver struct {
	Kind ResolverKind
	// URL is what the account's key is appended to.
	URL string
	Dir string
	// AllowDelete lets operators delete accounts; HardDelete removes the file
	// where otherwise it is renamed.
	AllowDelete, HardDelete bool
	// Interval of the exchange between servers with full directories.
	Interval time.Duration
	// Timeout of a question to other servers.
	Timeout time.Duration
	// TTL in a cache; 0: as long as the token is valid.
	TTL time.Duration
	// Limit of accounts; 0 is unlimited.
	Limit int
}

// Defaults of resolvers (jwt-operator 9).
const (
	DefaultResolverInterval = time.Minute
	DefaultResolverTimeout  = 1900 * time.Millisecond
	DefaultResolverCache    = 1000
)

func operatorRows() []*option {
	const in = noClients
	rows := []*option{
		{yaml: "auth.operator", conf: "operator/operators/root/roots/root_operator/root_operators", kind: kCustom, read: readOperators, in: in, field: "Operator.JWTs", text: "operator JWTs, or files with them"},
		{yaml: "auth.trusted_keys", conf: "trusted/trusted_keys", kind: kCustom, read: readTrusted, in: in, field: "Operator.TrustedKeys", text: "public keys of operators"},
		{yaml: "auth.resolver", conf: "resolver/account_resolver/accounts_resolver", kind: kCustom, read: readResolver, in: in, field: "Operator.Resolver", text: "where account JWTs come from: memory, a URL or a directory"},
		{yaml: "auth.resolver_preload", conf: "resolver_preload", kind: kCustom, read: readPreload, in: in, field: "Operator.Preload", text: "account JWTs by account"},
		{yaml: "auth.pinned_accounts", conf: "resolver_pinned_accounts", kind: kStrings, in: in, field: "Operator.PinnedAccounts", text: "accounts that may log in"},
		{yaml: "auth.default_sentinel", conf: "default_sentinel", kind: kCustom, read: readToken, in: in, field: "Operator.DefaultSentinel", text: "user JWT of connections without one"},
	}
	return append(rows, tlsRows("auth.resolver_tls", "resolver_tls", "Operator.ResolverTLS", in)...)
}

var tokenPattern = pattern(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)

// readOperators reads one or several JWTs, each written out or in a file.
func readOperators(d *decoder, path string, v *conf.Value) (any, bool) {
	read, ok := d.strings(path, v)
	if !ok {
		return nil, false
	}
	var list []string
	for _, s := range read.([]string) {
		name := d.path(s)
		text, err := d.readFile(name)
		switch {
		case err == nil:
			token := tokenPattern().FindString(string(text))
			if token == "" {
				d.errorf(v.Pos, path, "%s holds no JWT", name)
				return nil, false
			}
			list = append(list, token)
		case strings.HasPrefix(s, "eyJ"):
			list = append(list, strings.TrimSpace(s))
		case errors.Is(err, fs.ErrNotExist):
			d.errorf(v.Pos, path, "no operator JWT, and no file, %q", shown(s))
			return nil, false
		default:
			d.errorf(v.Pos, path, "reading the operator JWT: %v", err)
			return nil, false
		}
	}
	return list, true
}

func readTrusted(d *decoder, path string, v *conf.Value) (any, bool) {
	read, ok := d.strings(path, v)
	if !ok {
		return nil, false
	}
	for _, k := range read.([]string) {
		if !nkeys.IsValidPublicOperatorKey(k) {
			d.errorf(v.Pos, path, "trust key %q is required to be a valid public operator nkey", shown(k))
			return nil, false
		}
	}
	return read, true
}

func readToken(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.String || !tokenPattern().MatchString(v.Str) {
		d.errorf(v.Pos, path, "want a JWT, got %s", v.Kind)
		return nil, false
	}
	return v.Str, true
}

// readPreload reads a map from accounts to JWTs, or in YAML a list of
// {account, jwt}.
func readPreload(d *decoder, path string, v *conf.Value) (any, bool) {
	var list []AccountJWT
	before := len(d.errors)
	put := func(pos conf.Pos, account string, v *conf.Value) {
		switch {
		case v == nil || v.Kind != conf.String:
			d.errorf(pos, path, "want an account and its JWT")
		case !nkeys.IsValidPublicAccountKey(account):
			d.errorf(pos, path, "preload account key %q is not a valid public account nkey", shown(account))
		default:
			list = append(list, AccountJWT{account, strings.TrimSpace(v.Str)})
		}
	}
	switch {
	case v.Kind == conf.Map:
		for _, e := range v.Entries {
			if !e.Variable {
				put(e.Pos, e.Key, e.Value)
			}
		}
	case v.Kind == conf.Array && d.lang == langYAML:
		for _, it := range v.Items {
			a := it.Get("account")
			if it.Kind != conf.Map || len(it.Entries) != 2 || a == nil {
				d.errorf(it.Pos, path, "want {account: ..., jwt: ...}, got %s", it.Describe())
				continue
			}
			put(it.Pos, a.Str, it.Get("jwt"))
		}
	case v.Kind == conf.Null:
	default:
		d.errorf(v.Pos, path, "preload should be a map of account_public_key:account_jwt")
	}
	return list, len(d.errors) == before
}

var resolverScope = sync.OnceValue(func() *scope {
	return newScope("resolver", "unknown field %q", []*option{
		{yaml: "type", conf: "type", kind: kString, field: "Kind"},
		{yaml: "url", conf: "url", kind: kString, field: "URL"},
		{yaml: "dir", conf: "dir", kind: kPath, field: "Dir"},
		{yaml: "allow_delete", conf: "allow_delete", kind: kBool, field: "AllowDelete"},
		{yaml: "hard_delete", conf: "hard_delete", kind: kBool, field: "HardDelete"},
		{yaml: "interval", conf: "interval", kind: kStrictDuration, field: "Interval"},
		{yaml: "timeout", conf: "timeout", kind: kStrictDuration, field: "Timeout"},
		{yaml: "ttl", conf: "ttl", kind: kStrictDuration, field: "TTL"},
		{yaml: "limit", conf: "limit", kind: kInteger, field: "Limit"},
	})
})

// rawResolver is what a resolver block holds before it is judged.
type rawResolver struct {
	Kind, URL, Dir          string
	AllowDelete, HardDelete bool
	Interval, Timeout, TTL  time.Duration
	Limit                   int
}

const badResolver = `error parsing account resolver, should be MEM or  URL("url") or a map containing dir and type state=[FULL|CACHE])`

var urlResolver = pattern(`(?i)^url\(\s*["']?([^"')]*)["']?\s*\)$`)

func readResolver(d *decoder, path string, v *conf.Value) (any, bool) {
	var raw rawResolver
	switch v.Kind {
	case conf.String:
		if m := urlResolver().FindStringSubmatch(v.Str); m != nil {
			raw.Kind, raw.URL = "url", m[1]
		} else {
			raw.Kind = v.Str
		}
	case conf.Map:
		before := len(d.errors)
		if d.object(resolverScope(), v, path, &raw); len(d.errors) > before {
			return nil, false
		}
	default:
		d.errorf(v.Pos, path, "%s", badResolver)
		return nil, false
	}
	r := Resolver{
		URL: raw.URL, Dir: raw.Dir, AllowDelete: raw.AllowDelete, HardDelete: raw.HardDelete,
		Interval: raw.Interval, Timeout: raw.Timeout, TTL: raw.TTL, Limit: raw.Limit,
	}
	if message := r.settle(strings.ToLower(raw.Kind)); message != "" {
		d.errorf(v.Pos, path, "%s", message)
		return nil, false
	}
	return r, true
}

// settle fills in defaults, or says what is wrong.
func (r *Resolver) settle(kind string) string {
	switch kind {
	case "mem", "memory":
		r.Kind = ResolverMemory
		return ""
	case "url":
		r.Kind = ResolverURL
		if u, err := url.Parse(r.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Sprintf("%q is not the URL of an HTTP server", r.URL)
		}
	case "full":
		r.Kind = ResolverFull
	case "cache":
		r.Kind = ResolverCache
	default:
		return badResolver
	}
	if r.Timeout <= 0 {
		r.Timeout = DefaultResolverTimeout
	}
	switch {
	case r.Kind == ResolverURL:
	case r.Dir == "":
		return "dir has no value and needs to point to a directory"
	case r.Kind == ResolverFull && r.TTL != 0:
		return "FULL does not accept ttl"
	case r.Kind == ResolverFull && r.HardDelete && !r.AllowDelete:
		return "hard_delete has no effect without delete"
	case r.Kind == ResolverCache && r.Interval != 0:
		return "CACHE does not accept sync"
	case r.Kind == ResolverCache && r.HardDelete:
		return "CACHE does not accept hard_delete"
	case r.Kind == ResolverCache && r.AllowDelete:
		return "CACHE does not accept allow_delete"
	case r.Limit < 0:
		return "limit must not be below 0"
	}
	if fi, err := os.Stat(r.Dir); r.Dir != "" && err == nil && !fi.IsDir() {
		return "dir needs to point to an accessible directory"
	}
	if r.Kind == ResolverFull && r.Interval <= 0 {
		r.Interval = DefaultResolverInterval
	}
	if r.Kind == ResolverCache && r.Limit == 0 {
		r.Limit = DefaultResolverCache
	}
	return ""
}

// InOperatorMode says whether operators decide who the accounts and users are.
func (c *Config) InOperatorMode() bool {
	return c.Operator != nil && (len(c.Operator.JWTs) > 0 || len(c.Operator.TrustedKeys) > 0)
}

// operatorFacts are what settings follow from an operator's JWT. Its signature is
// checked where it is used.
type operatorFacts struct {
	NATS struct {
		SystemAccount    string `json:"system_account"`
		AccountServerURL string `json:"account_server_url"`
	} `json:"nats"`
}

func peekOperator(token string) (f operatorFacts) {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if b, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			json.Unmarshal(b, &f)
		}
	}
	return f
}

// completeOperator takes the system account and the resolver from the operator
// where the settings do not name them.
func (l *loader) completeOperator() {
	c := l.cfg
	if !c.InOperatorMode() {
		return
	}
	o := c.Operator
	o.ResolverTLS.complete()
	if len(o.JWTs) == 1 {
		f := peekOperator(o.JWTs[0]).NATS
		if f.SystemAccount != "" {
			switch {
			case c.SystemAccount == "" && !c.NoSystemAccount:
				c.SystemAccount = f.SystemAccount
			case c.SystemAccount != f.SystemAccount && !c.NoSystemAccount:
				l.fail("auth.system_account", "system_account in config and operator JWT must be identical")
			}
		}
		if o.Resolver.Kind == "" && f.AccountServerURL != "" {
			r := Resolver{URL: strings.TrimSuffix(f.AccountServerURL, "/") + "/accounts/"}
			if r.settle("url") == "" {
				o.Resolver = r
			}
		}
	}
}

func (l *loader) validateOperator() {
	c := l.cfg
	o := c.Operator
	if o == nil {
		return
	}
	if !c.InOperatorMode() {
		if o.DefaultSentinel != "" {
			l.fail("auth.default_sentinel", "default sentinel requires operators and accounts")
		}
		return
	}
	dir := o.Resolver.Kind == ResolverFull || o.Resolver.Kind == ResolverCache
	at := l.either("auth.operator", "auth.trusted_keys")
	switch {
	case len(o.JWTs) > 0 && len(o.TrustedKeys) > 0:
		l.fail("auth.trusted_keys", "conflicting options for 'TrustedKeys' and 'TrustedOperators'")
	case o.Resolver.Kind == "":
		l.fail(at, "operators require an account resolver to be configured")
	case len(c.Accounts) > 0:
		l.fail(at, "operators do not allow Accounts to be configured directly")
	case len(c.Auth.Users) > 0 || c.Auth.User != "" || c.Auth.Token != "":
		l.fail(at, "operators do not allow users to be configured directly")
	case c.Auth.NoAuthUser != "":
		l.fail("auth.no_auth_user", "no_auth_user not compatible with Trusted Operator")
	case dir && !nkeys.IsValidPublicAccountKey(c.SystemAccount):
		l.fail(at, "using nats based account resolver - the system account needs to be specified in configuration or the operator jwt")
	case len(o.Preload) > 0 && o.Resolver.Kind == ResolverURL:
		l.fail("auth.resolver_preload", "resolver preloads only available for writeable resolver types MEM/DIR/CACHE_DIR")
	}
	for _, k := range o.PinnedAccounts {
		if !nkeys.IsValidPublicAccountKey(k) {
			l.fail("auth.pinned_accounts", "pinned account key %q is not a valid public account nkey", shown(k))
		}
	}
	if n := c.LeafNodes; n != nil {
		if n.Auth.User != "" || n.Auth.NKey != "" || len(n.Auth.Users) > 0 {
			l.fail(l.either("leafs.users", "leafs.user"), "operator mode does not allow specifying users in leafnode config")
		}
		for i := range n.Remotes {
			if !nkeys.IsValidPublicAccountKey(n.Remotes[i].Account) {
				l.fail("upstreams", "operator mode requires account nkeys in remotes. Please add an `account` key to each remote in your `leafnodes` section, to assign it to an account. Each account value should be a 56 character public key, starting with the letter 'A'")
			}
		}
	}
}

// operatorAccount says whether a name can be an account that tokens tell of.
func (c *Config) operatorAccount(name string) bool {
	return c.InOperatorMode() && nkeys.IsValidPublicAccountKey(name)
}
