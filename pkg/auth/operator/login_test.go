package operator

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/pkg/auth/usertoken"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const nonce = "d8Aequ-8n4GHErE"

// open makes the Operator of a tree.
func open(t testing.TB, tr *operatortest.Tree, change ...func(*Options)) *Operator {
	t.Helper()
	set := tr.Settings()
	r, err := NewResolver(set.Resolver, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Settings: set, SystemAccount: tr.System.Pub, Resolver: r}
	for _, f := range change {
		f(&o)
	}
	op, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(op.Close)
	return op
}

// show is what a client of a user shows.
func show(t testing.TB, u operatortest.User) *auth.Credentials {
	return &auth.Credentials{
		Kind: config.Standard, JWT: u.Token, Sig: u.Sig(t, nonce), Nonce: nonce,
		Remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4000},
	}
}

// refuses expects a refusal for a reason.
func refuses(t testing.TB, a auth.Authenticator, c *auth.Credentials, reason string) {
	t.Helper()
	id, err := a.Authenticate(c)
	switch {
	case err == nil:
		t.Errorf("%s: let in as %s/%s", reason, id.Account, id.User)
	case !errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), reason):
		t.Errorf("want %q, got %v", reason, err)
	case c.Sig != "" && strings.Contains(err.Error(), c.Sig) || c.JWT != "" && strings.Contains(err.Error(), c.JWT):
		t.Errorf("error tells a secret: %v", err)
	}
}

func admits(t testing.TB, a auth.Authenticator, c *auth.Credentials) *auth.Identity {
	t.Helper()
	id, err := a.Authenticate(c)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestLogin(t *testing.T) {
	tr := operatortest.New(t)
	a := tr.Account("A")
	op := open(t, tr)
	if p := op.Policy(config.Standard); !p.Required || !p.Announced || !p.Nonce || p.Anonymous {
		t.Errorf("policy %+v", p)
	}
	for _, by := range []*operatortest.Key{nil, &a.Signer} {
		u := a.User(by)
		id := admits(t, op, show(t, u))
		if id.Account != a.Pub || id.User != u.Pub || id.Permissions != nil || id.MaxPayload != 0 || id.NoSubs || id.NoPayload {
			t.Errorf("%+v", id)
		}
	}
	padded := show(t, a.User(nil))
	raw, err := base64.RawURLEncoding.DecodeString(padded.Sig)
	if err != nil {
		t.Fatal(err)
	}
	padded.Sig = base64.StdEncoding.EncodeToString(raw)
	admits(t, op, padded)
	bearer := show(t, a.User(nil, func(c *jwt.UserClaims) { c.BearerToken = true }))
	bearer.Sig = ""
	admits(t, op, bearer)
}

// forge changes the claims of a token and leaves the signature.
func forge(t testing.TB, token string, change func(map[string]any)) string {
	t.Helper()
	parts := strings.Split(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	if b, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(b)
	return strings.Join(parts, ".")
}

// TestAttacks: each of these must be refused.
func TestAttacks(t *testing.T) {
	tr := operatortest.New(t)
	a, b := tr.Account("A"), tr.Account("B")
	a.Claims.Limits.DisallowBearer = false
	b.Claims.Limits.DisallowBearer = true
	role := a.Scope("role", func(l *jwt.UserPermissionLimits) { l.Pub.Allow.Add("u.{{name()}}.>") })
	denying := a.Scope("denying", func(l *jwt.UserPermissionLimits) { l.Pub.Deny.Add("u.{{tag(team)}}") })
	broken := a.Scope("broken", func(l *jwt.UserPermissionLimits) { l.Pub.Allow.Add("u.{{nothing()}}") })
	viaProxy := a.Scope("proxy", func(l *jwt.UserPermissionLimits) { l.ProxyRequired = true })
	webOnly := a.Scope("web", func(l *jwt.UserPermissionLimits) { l.AllowedConnectionTypes.Add(jwt.ConnectionTypeWebsocket) })
	revoked := a.User(nil)
	a.Claims.Revoke(revoked.Pub)
	strangeAccount := operatortest.New(t).Account("C")
	selfSigned := operatortest.NewKey(t, nkeys.PrefixByteAccount)
	dead := tr.Account("D")
	op := open(t, tr, func(o *Options) {
		dead.Claims.Expires = time.Now().Add(-time.Minute).Unix()
		store := o.Resolver.(Store)
		store.Save(dead.Claims, dead.Token(), false)
		mem := o.Resolver.(*Memory)
		// What a resolver says is not believed.
		mem.tokens[strangeAccount.Pub] = strangeAccount.Token()
		mem.tokens[selfSigned.Pub] = operatortest.Sign(t, jwt.NewAccountClaims(selfSigned.Pub), selfSigned)
		o.Settings.Preload = o.Settings.Preload[:3]
	})
	u, other := a.User(nil), a.User(nil)
	good := show(t, u)
	with := func(change func(c *auth.Credentials)) *auth.Credentials {
		c := *good
		change(&c)
		return &c
	}
	token := func(f func(*jwt.UserClaims)) *auth.Credentials { return show(t, a.User(nil, f)) }
	forged := func(f func(map[string]any)) *auth.Credentials {
		return with(func(c *auth.Credentials) { c.JWT = forge(t, u.Token, f) })
	}
	named := func(by operatortest.Key, f func(*jwt.UserClaims)) *auth.Credentials { return show(t, a.User(&by, f)) }
	none := strings.Split(u.Token, ".")
	none[0] = base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"none"}`))
	now := time.Now()
	clock := func(d time.Duration) string { return now.Add(d).Format("15:04:05") }
	for name, x := range map[string]struct {
		c      *auth.Credentials
		reason string
	}{
		"nothing":                             {&auth.Credentials{Kind: config.Standard, Nonce: nonce}, "requires a user JWT"},
		"user and password":                   {&auth.Credentials{Kind: config.Standard, User: "a", Pass: "b"}, "requires a user JWT"},
		"nkey alone":                          {with(func(c *auth.Credentials) { c.NKey, c.JWT = u.Pub, "" }), "requires a user JWT"},
		"no signature":                        {with(func(c *auth.Credentials) { c.Sig = "" }), "signature"},
		"swapped nonce":                       {with(func(c *auth.Credentials) { c.Nonce = "another-nonce-1" }), "signature"},
		"replayed signature of another login": {with(func(c *auth.Credentials) { c.Sig = u.Sig(t, "another-nonce-1") }), "signature"},
		"signature over the decoded nonce": {with(func(c *auth.Credentials) {
			b, _ := base64.RawURLEncoding.DecodeString(nonce)
			c.Sig = u.Sig(t, string(b))
		}), "signature"},
		"signature of another user":            {with(func(c *auth.Credentials) { c.Sig = other.Sig(t, nonce) }), "signature"},
		"signature of the account's key":       {with(func(c *auth.Credentials) { c.Sig = a.Sig(t, nonce) }), "signature"},
		"signature not in base64":              {with(func(c *auth.Credentials) { c.Sig = "!!" }), "base64"},
		"token of another with own signature":  {with(func(c *auth.Credentials) { c.JWT = other.Token }), "signature"},
		"no nonce was given":                   {with(func(c *auth.Credentials) { c.Nonce = "" }), "nonce"},
		"algorithm none":                       {with(func(c *auth.Credentials) { c.JWT = strings.Join(none, ".") }), "not valid"},
		"algorithm none without a signature":   {with(func(c *auth.Credentials) { c.JWT = none[0] + "." + none[1] + "." }), "not valid"},
		"token without a signature":            {with(func(c *auth.Credentials) { c.JWT = u.Token[:strings.LastIndex(u.Token, ".")+1] }), "not valid"},
		"not a token":                          {with(func(c *auth.Credentials) { c.JWT = "eyJ.eyJ.x" }), "not valid"},
		"an account's token":                   {with(func(c *auth.Credentials) { c.JWT = a.Token() }), "not valid"},
		"the operator's token":                 {with(func(c *auth.Credentials) { c.JWT = operatortest.Sign(t, tr.Claims, tr.Operator) }), "not valid"},
		"forged subject":                       {forged(func(m map[string]any) { m["sub"] = other.Pub }), "not valid"},
		"forged issuer":                        {forged(func(m map[string]any) { m["iss"] = b.Pub }), "not valid"},
		"forged issuer account":                {forged(func(m map[string]any) { m["nats"].(map[string]any)["issuer_account"] = b.Pub }), "not valid"},
		"forged bearer":                        {forged(func(m map[string]any) { m["nats"].(map[string]any)["bearer_token"] = true }), "not valid"},
		"forged expiry":                        {forged(func(m map[string]any) { m["exp"] = 0 }), "not valid"},
		"signed by the user itself":            {with(func(c *auth.Credentials) { c.JWT = selfUser(t, u) }), "not valid"},
		"other account claimed by signing key": {named(a.Signer, func(c *jwt.UserClaims) { c.IssuerAccount = b.Pub }), "issuer is not known"},
		"own account, unknown signing key":     {named(operatortest.NewKey(t, nkeys.PrefixByteAccount), func(*jwt.UserClaims) {}), "issuer is not known"},
		"signed by another account's key":      {named(b.Key, func(*jwt.UserClaims) {}), "issuer is not known"},
		"signing key without issuer account":   {named(a.Signer, func(c *jwt.UserClaims) { c.IssuerAccount = "" }), "no such account"},
		"account nobody knows":                 {show(t, tr.Account("X").User(nil)), "no such account"},
		"account of another operator":          {show(t, strangeAccount.User(nil)), "not trusted"},
		"self-signed account":                  {show(t, userOf(t, selfSigned)), "not trusted"},
		"expired account":                      {show(t, dead.User(nil)), "account validation failed"},
		"expired":                              {token(func(c *jwt.UserClaims) { c.Expires = now.Add(-time.Second).Unix() }), "no longer valid"},
		"expires this second":                  {token(func(c *jwt.UserClaims) { c.Expires = now.Unix() }), "no longer valid"},
		"not yet valid":                        {token(func(c *jwt.UserClaims) { c.NotBefore = now.Add(time.Hour).Unix() }), "no longer valid"},
		"revoked":                              {show(t, revoked), "revoked"},
		"bearer where none may be":             {show(t, b.User(nil, func(c *jwt.UserClaims) { c.BearerToken = true })), "bearer"},
		"wrong kind of connection":             {token(func(c *jwt.UserClaims) { c.AllowedConnectionTypes.Add("MQTT") }), "connection type"},
		"only unknown kinds of connection":     {token(func(c *jwt.UserClaims) { c.AllowedConnectionTypes.Add("CARRIER_PIGEON") }), "connection type"},
		"kind that the template forbids":       {named(webOnly, func(*jwt.UserClaims) {}), "connection type"},
		"other network":                        {token(func(c *jwt.UserClaims) { c.Src.Add("198.51.100.0/24") }), "Bad src"},
		"network unknown":                      {srcOnly(t, a), "Bad src"},
		"outside of times": {token(func(c *jwt.UserClaims) {
			c.Times = []jwt.TimeRange{{Start: clock(time.Hour), End: clock(2 * time.Hour)}}
		}), "times"},
		"times of a place that is not":       {token(func(c *jwt.UserClaims) { c.Locale = "Nowhere/Atlantis" }), "no longer valid"},
		"proxy wanted":                       {token(func(c *jwt.UserClaims) { c.ProxyRequired = true }), "proxy"},
		"proxy wanted by the template":       {named(viaProxy, func(*jwt.UserClaims) {}), "proxy"},
		"scoped with permissions of its own": {named(role, func(c *jwt.UserClaims) { c.Pub.Allow.Add(">") }), "scoped users require no permissions"},
		"scoped with limits of its own":      {named(role, func(c *jwt.UserClaims) { c.Limits.Subs = -1 }), "scoped users require no permissions"},
		"scoped and bearer":                  {named(role, func(c *jwt.UserClaims) { c.BearerToken = true }), "scoped users require no permissions"},
		"name is a wildcard":                 {named(role, func(c *jwt.UserClaims) { c.Name = "*" }), "wildcard"},
		"name is a full wildcard":            {named(role, func(c *jwt.UserClaims) { c.Name = ">" }), "wildcard"},
		"name has a queue":                   {named(role, func(c *jwt.UserClaims) { c.Name = "a b" }), "wildcard or a space"},
		"name pushes tokens aside":           {named(role, func(c *jwt.UserClaims) { c.Name = "victim.x" }), "dot"},
		"deny entry without a value":         {named(denying, func(*jwt.UserClaims) {}), "invalid permissions"},
		"deny entry that is no subject":      {named(denying, func(c *jwt.UserClaims) { c.Tags = jwt.TagList{"team:"} }), "invalid permissions"},
		"template that cannot be understood": {named(broken, func(*jwt.UserClaims) {}), "unknown operation"},
		"queue in a publish entry":           {token(func(c *jwt.UserClaims) { c.Pub.Allow.Add("a b") }), "no longer valid"},
		"user of the global account":         {token(func(c *jwt.UserClaims) { c.IssuerAccount = "$G" }), "no longer valid"},
		"user of $SYS by name":               {token(func(c *jwt.UserClaims) { c.IssuerAccount = "$SYS" }), "no longer valid"},
		"system account by another's key":    {named(a.Key, func(c *jwt.UserClaims) { c.IssuerAccount = tr.System.Pub }), "issuer is not known"},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, op, x.c, x.reason) })
	}
	admits(t, op, good) // and the one they are made from is good
}

// selfUser is a token that the user's own key has signed.
func selfUser(t testing.TB, u operatortest.User) string {
	c := jwt.NewGenericClaims(u.Pub)
	c.Data["type"], c.Data["version"] = "user", 2
	return operatortest.Sign(t, c, u.Key)
}

func userOf(t testing.TB, account operatortest.Key) operatortest.User {
	u := operatortest.User{Key: operatortest.NewKey(t, nkeys.PrefixByteUser)}
	u.Token = operatortest.Sign(t, jwt.NewUserClaims(u.Pub), account)
	return u
}

func srcOnly(t testing.TB, a *operatortest.Account) *auth.Credentials {
	c := show(t, a.User(nil, func(c *jwt.UserClaims) { c.Src.Add("192.0.2.0/24") }))
	c.Remote = nil
	return c
}

func TestStrictOperator(t *testing.T) {
	tr := operatortest.New(t)
	tr.Claims.StrictSigningKeyUsage = true
	a := tr.Account("A")
	bySelf := tr.Account("B")
	op := open(t, tr, func(o *Options) {
		o.Resolver.(*Memory).tokens[bySelf.Pub] = operatortest.Sign(t, bySelf.Claims, tr.Operator)
		o.Settings.Preload = o.Settings.Preload[:2]
	})
	refuses(t, op, show(t, a.User(nil)), "issuer is not known")
	admits(t, op, show(t, a.User(&a.Signer)))
	refuses(t, op, show(t, bySelf.User(&bySelf.Signer)), "operator requires issuer to be a signing key")
}

func TestPinnedAccounts(t *testing.T) {
	tr := operatortest.New(t)
	a, b := tr.Account("A"), tr.Account("B")
	op := open(t, tr, func(o *Options) { o.Settings.PinnedAccounts = []string{a.Pub} })
	admits(t, op, show(t, a.User(nil)))
	admits(t, op, show(t, tr.System.User(nil)))
	refuses(t, op, show(t, b.User(nil)), "pinned")
}

func TestSentinel(t *testing.T) {
	tr := operatortest.New(t)
	a := tr.Account("A")
	s := a.User(nil, func(c *jwt.UserClaims) { c.BearerToken = true; c.Pub.Deny.Add(">") })
	op := open(t, tr, func(o *Options) { o.Settings.DefaultSentinel = s.Token })
	if id := admits(t, op, &auth.Credentials{Kind: config.Standard, Nonce: nonce}); id.User != s.Pub || id.Permissions.CanPublish([]byte("x")) {
		t.Errorf("%+v", id)
	}
	set := tr.Settings()
	for token, want := range map[string]string{"eyJ": "default sentinel JWT not valid", a.User(nil).Token: "default sentinel must be a bearer token"} {
		set.DefaultSentinel = token
		if _, err := New(Options{Settings: set, Resolver: NewMemory()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}

func TestOperatorsAreChecked(t *testing.T) {
	tr := operatortest.New(t)
	for want, change := range map[string]func(*jwt.OperatorClaims){
		"expected major version 9":      func(c *jwt.OperatorClaims) { c.AssertServerVersion = "9.0.0" },
		"assert server version error":   func(c *jwt.OperatorClaims) { c.AssertServerVersion = "9" },
		"is not an operator public key": func(c *jwt.OperatorClaims) { c.SigningKeys.Add("OABC") },
		"is not signed by its own key":  func(c *jwt.OperatorClaims) { c.Subject = operatortest.NewKey(t, nkeys.PrefixByteOperator).Pub },
	} {
		c := *tr.Claims
		c.SigningKeys = append(jwt.StringList(nil), tr.Claims.SigningKeys...)
		change(&c)
		_, err := New(Options{Settings: &config.OperatorMode{JWTs: []string{operatortest.Sign(t, &c, tr.Operator)}}, Resolver: NewMemory()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestTemplates(t *testing.T) {
	tr := operatortest.New(t)
	a := tr.Account("Acme")
	a.Claims.Tags = jwt.TagList{"region:eu"}
	role := a.Scope("r", func(l *jwt.UserPermissionLimits) {
		l.Pub.Allow = jwt.StringList{"n.{{ Name() }}.>", "s.{{subject()}}", "an.{{account-name()}}", "as.{{account-subject()}}", "t.{{tag(Team)}}.{{tag(env)}}", "x.{{tag(none)}}", "r.{{account-tag(region)}}"}
		l.Sub.Allow = jwt.StringList{"only.{{tag(none)}}"}
		l.Sub.Deny = jwt.StringList{"end.{{tag(dotted)}}"}
		l.Subs, l.Payload = 7, 512
	})
	op := open(t, tr)
	u := a.User(&role, func(c *jwt.UserClaims) {
		c.Name = "joe"
		c.Tags = jwt.TagList{"team:red", "team:blue", "env:dev", "env:prod", "dotted:a.b"}
	})
	id := admits(t, op, show(t, u))
	p := id.Permissions.Source
	if got, want := strings.Join(p.Publish.Allow, " "), "n.joe.> s."+u.Pub+" an.Acme as."+a.Pub+" t.red.dev t.red.prod t.blue.dev t.blue.prod r.eu"; sorted(got) != sorted(want) {
		t.Errorf("publish %s", got)
	}
	if len(p.Subscribe.Allow) != 0 || strings.Join(p.Subscribe.Deny, " ") != "end.a.b >" {
		t.Errorf("subscribe %+v", p.Subscribe)
	}
	if id.Permissions.CanSubscribe([]byte("anything"), nil) || id.MaxSubs != 7 || id.MaxPayload != 512 {
		t.Errorf("%+v", id)
	}
	many := values{}
	for i := range 65 {
		many.tags = append(many.tags, "a:"+strings.Repeat("x", i+1), "b:"+strings.Repeat("y", i+1))
	}
	if _, err := many.expand([]string{"{{tag(a)}}.{{tag(b)}}"}, false); err == nil {
		t.Error("4225 subjects were made")
	}
}

func sorted(s string) string {
	f := strings.Fields(s)
	for i := range f {
		for j := i + 1; j < len(f); j++ {
			if f[j] < f[i] {
				f[i], f[j] = f[j], f[i]
			}
		}
	}
	return strings.Join(f, " ")
}

func TestWindow(t *testing.T) {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		x, err := time.ParseInLocation("2006-01-02 15:04:05", "2026-11-24 "+s, loc)
		if err != nil {
			t.Fatal(err)
		}
		return x.UTC()
	}
	for _, x := range []struct {
		now    string
		ranges []jwt.TimeRange
		end    string
	}{
		{"10:00:00", []jwt.TimeRange{{Start: "09:00:00", End: "11:00:00"}}, "2026-11-24 11:00:00"},
		{"09:00:00", []jwt.TimeRange{{Start: "09:00:00", End: "11:00:00"}}, ""},
		{"11:00:00", []jwt.TimeRange{{Start: "09:00:00", End: "11:00:00"}}, ""},
		{"10:00:00", []jwt.TimeRange{{Start: "09:00:00", End: "11:00:00"}, {Start: "09:30:00", End: "12:00:00"}}, "2026-11-24 12:00:00"},
		{"23:30:00", []jwt.TimeRange{{Start: "23:00:00", End: "01:00:00"}}, "2026-11-25 01:00:00"},
		{"00:30:00", []jwt.TimeRange{{Start: "23:00:00", End: "01:00:00"}}, "2026-11-24 01:00:00"},
		{"01:30:00", []jwt.TimeRange{{Start: "23:00:00", End: "01:00:00"}}, ""},
	} {
		end, ok := usertoken.Window(at(x.now), &jwt.UserLimits{Times: x.ranges, Locale: "Europe/Berlin"})
		if got := end.In(loc).Format("2006-01-02 15:04:05"); ok != (x.end != "") || ok && got != x.end {
			t.Errorf("%s in %v: %v until %s, want %q", x.now, x.ranges, ok, got, x.end)
		}
	}
	if _, ok := usertoken.Window(time.Now(), &jwt.UserLimits{}); !ok {
		t.Error("no ranges: not inside")
	}
}

// fake is a connection.
type fake struct {
	mu     sync.Mutex
	ended  bool
	reason wire.CloseReason
	text   string
	permit *auth.Identity
}

func (f *fake) End(r wire.CloseReason, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended, f.reason, f.text = true, r, text
	}
}

func (f *fake) Permit(id *auth.Identity) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.permit = id
}

func (f *fake) state() (bool, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended, f.text
}

// connect is a whole login.
func connect(t testing.TB, op *Operator, c *auth.Credentials) (*fake, func()) {
	t.Helper()
	f := &fake{}
	detach, err := admits(t, op, c).Attach(f)
	if err != nil {
		t.Fatal(err)
	}
	return f, detach
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal(what + ": not in time")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestLiveChanges(t *testing.T) {
	tr := operatortest.New(t)
	a := tr.Account("A")
	role := a.Scope("r", func(l *jwt.UserPermissionLimits) { l.Pub.Allow.Add("a") })
	op := open(t, tr)
	byKey, bySigner, byRole, owned, bearer := a.User(nil), a.User(&a.Signer), a.User(&role),
		a.User(nil, func(c *jwt.UserClaims) { c.Pub.Allow.Add("own") }), a.User(nil, func(c *jwt.UserClaims) { c.BearerToken = true })
	conns := map[string]*fake{}
	for name, u := range map[string]operatortest.User{"key": byKey, "signer": bySigner, "role": byRole, "owned": owned, "bearer": bearer} {
		conns[name], _ = connect(t, op, show(t, u))
	}
	issued := time.Now().Unix()
	push := func() {
		t.Helper()
		token := a.Token()
		if _, u, err := op.Update(token); err != nil || !u.Applied {
			t.Fatal(u, err)
		}
	}
	expect := func(want map[string]string) {
		t.Helper()
		for name, f := range conns {
			ended, text := f.state()
			if w, gone := want[name]; ended != gone || text != w {
				t.Errorf("%s: ended %v %q, want %v %q", name, ended, text, gone, w)
			}
		}
	}
	a.Claims.DefaultPermissions.Sub.Deny.Add("secret")
	push()
	expect(nil)
	if conns["key"].permit == nil || conns["key"].permit.Permissions.CanSubscribe([]byte("secret"), nil) || conns["owned"].permit != nil {
		t.Error("default permissions did not reach those, and only those, that have none of their own")
	}
	a.Claims.Limits.DisallowBearer = true
	push()
	expect(map[string]string{"bearer": wire.TextAuthViolation})
	a.Claims.RevokeAt(byKey.Pub, time.Unix(issued-5, 0)) // before it was issued
	push()
	expect(map[string]string{"bearer": wire.TextAuthViolation})
	a.Claims.RevokeAt(byKey.Pub, time.Unix(issued+5, 0))
	push()
	expect(map[string]string{"bearer": wire.TextAuthViolation, "key": wire.TextUserRevoked})
	s := a.Claims.SigningKeys[role.Pub].(*jwt.UserScope)
	changed := *s
	changed.Template.Pub.Allow = jwt.StringList{"a", "b"}
	a.Claims.SigningKeys[role.Pub] = &changed
	push()
	expect(map[string]string{"bearer": wire.TextAuthViolation, "key": wire.TextUserRevoked, "role": ""})
	delete(a.Claims.SigningKeys, a.Signer.Pub)
	push()
	expect(map[string]string{"bearer": wire.TextAuthViolation, "key": wire.TextUserRevoked, "role": "", "signer": ""})
	refuses(t, op, show(t, bySigner), "issuer is not known")
	refuses(t, op, show(t, byKey), "revoked")
	a.Claims.Revocations = jwt.RevocationList{"*": issued + 5}
	push()
	expect(map[string]string{"bearer": wire.TextAuthViolation, "key": wire.TextUserRevoked, "role": "", "signer": "", "owned": wire.TextUserRevoked})
}

func TestExpiry(t *testing.T) {
	tr := operatortest.New(t)
	a, b := tr.Account("A"), tr.Account("B")
	b.Claims.Expires = time.Now().Add(2 * time.Second).Unix()
	op := open(t, tr)
	u := a.User(nil, func(c *jwt.UserClaims) { c.Expires = time.Now().Add(2 * time.Second).Unix() })
	f, _ := connect(t, op, show(t, u))
	g, _ := connect(t, op, show(t, b.User(nil)))
	gone, detach := connect(t, op, show(t, u))
	detach()
	if ended, _ := f.state(); ended {
		t.Fatal("ended too early")
	}
	await(t, "user's expiry", func() bool { e, text := f.state(); return e && text == wire.TextUserExpired })
	await(t, "account's expiry", func() bool { e, text := g.state(); return e && text == wire.TextAccountExpired })
	if e, _ := gone.state(); e {
		t.Error("a connection that had gone was ended")
	}
	refuses(t, op, show(t, u), "no longer valid")
	refuses(t, op, show(t, b.User(nil)), "expired")
	b.Claims.Expires = 0
	if _, _, err := op.Update(b.Token()); err != nil {
		t.Fatal(err)
	}
	admits(t, op, show(t, b.User(nil)))
}

func TestConnectionLimits(t *testing.T) {
	tr := operatortest.New(t)
	a := tr.Account("A")
	a.Claims.Limits.Conn, a.Claims.Limits.LeafNodeConn = 3, 1
	op := open(t, tr)
	u := a.User(nil)
	leaf := show(t, u)
	leaf.Kind = config.LeafNode
	one, _ := connect(t, op, show(t, u))
	two, _ := connect(t, op, leaf)
	if _, err := admits(t, op, leaf).Attach(&fake{}); !errors.Is(err, auth.ErrTooMany) {
		t.Errorf("second leaf: %v", err)
	}
	_, detach := connect(t, op, show(t, u))
	if _, err := admits(t, op, show(t, u)).Attach(&fake{}); !errors.Is(err, auth.ErrTooMany) {
		t.Errorf("fourth: %v", err)
	}
	detach()
	three, _ := connect(t, op, show(t, u))
	a.Claims.Limits.Conn, a.Claims.Limits.LeafNodeConn = 1, -1
	a.Claims.Limits.Subs, a.Claims.Limits.Payload = 5, 0
	if _, _, err := op.Update(a.Token()); err != nil {
		t.Fatal(err)
	}
	for i, f := range []*fake{one, two, three} {
		ended, text := f.state()
		if ended != (i > 0) || ended && text != wire.TextMaxAccountConnections {
			t.Errorf("connection %d: %v %q", i, ended, text)
		}
	}
	if p := one.permit; p == nil || p.MaxSubs != 5 || !p.NoPayload || p.NoSubs {
		t.Errorf("limits %+v", one.permit)
	}
	// A token that names no limits has limits of zero.
	id := admits(t, op, show(t, tr.System.User(nil, func(c *jwt.UserClaims) { c.Limits = jwt.Limits{} })))
	if !id.NoSubs || !id.NoPayload {
		t.Errorf("%+v", id)
	}
}
