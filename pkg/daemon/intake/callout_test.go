package intake_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/pkg/wire"
)

const accounts = `
accounts {
  AUTH { users: [ { user: svc, password: s3cret } ] }
  APP { users: [ { user: known, password: right } ], default_permissions: { publish: { deny: "no.default" } } }
  OTHER { nkey: ACRPUL2KGVN2F2IHUUYAT2PDPSW566WH4ZVAROQHMMPVKMDSWPZEYSTW }
  SYS { users: [ { user: admin, password: admin } ] }
}
system_account: SYS
`

// delegating is a hub that asks s, which has connected to it.
func delegating(t testing.TB, s *service, more string) *hub {
	t.Helper()
	h := start(t, accounts+"authorization { failed_login_delay: 0s, timeout: 1, "+s.settings()+"}\n"+more)
	s.serve(h.connect(t, nats.UserInfo("svc", "s3cret"), nats.Name("service")))
	return h
}

func both(t *testing.T, f func(t *testing.T, s *service)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { f(t, newService(t, false)) })
	t.Run("encrypted", func(t *testing.T) { f(t, newService(t, true)) })
}

// info asks the server who a client is.
func info(t testing.TB, nc *nats.Conn) map[string]any {
	t.Helper()
	m, err := nc.Request("$SYS.REQ.USER.INFO", nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Data map[string]any }
	if err := json.Unmarshal(m.Data, &v); err != nil {
		t.Fatal(err)
	}
	return v.Data
}

func TestCalloutLetsIn(t *testing.T) {
	both(t, func(t *testing.T, s *service) {
		h := delegating(t, s, "")
		s.set(func(r *request) []byte {
			return r.allow("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) {
				u.Tags.Add("team:a")
				u.Pub.Allow.Add("yes.>", "$SYS.REQ.USER.INFO")
				u.Sub.Allow.Add("in.*", "_INBOX.>")
				u.Subs = 2
				u.UserPermissionLimits.Payload = 64
				u.Expires = time.Now().Add(time.Hour).Unix()
			})
		})
		errs := make(chan error, 10)
		// The settings know the name and want another password: the service decides.
		nc := h.connect(t, nats.UserInfo("known", "wrong"), nats.Name("app"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
		seen := s.requests()
		if len(seen) != 1 {
			t.Fatalf("%d requests", len(seen))
		}
		r := seen[0]
		if r.Issuer != h.Server.ID || r.Server.ID != h.Server.ID || r.Subject != s.issuer.Pub || r.Audience != "nats-authorization-request" ||
			!nkeys.IsValidPublicUserKey(r.UserNkey) || r.Expires == 0 {
			t.Errorf("%+v", r.AuthorizationRequestClaims)
		}
		if o := r.ConnectOptions; o.Username != "known" || o.Password != "wrong" || o.Name != "app" || o.Lang != "go" || o.Protocol != 1 || o.Version != nats.Version {
			t.Errorf("%+v", o)
		}
		if i := r.ClientInformation; i.Host != "127.0.0.1" || i.ID == 0 || i.User != "known" || i.Kind != "Client" || i.Type != "nats" || i.Nonce != "" {
			t.Errorf("%+v", i)
		}
		if (r.Server.XKey == h.Server.XKey) != (s.curve != nil) || s.curve != nil && (!strings.HasPrefix(string(r.raw), "xkv1") || r.header.Get("Nats-Server-Xkey") != h.Server.XKey) {
			t.Errorf("encryption: %+v %v", r.Server, r.header)
		}

		eventually(t, "it is told its largest payload", func() bool { return nc.MaxPayload() == 64 })
		u := info(t, nc) // takes one subscription
		if u["user"] != "known" || u["account"] != "APP" || u["user_name"] != "known" || u["permissions"] == nil || u["expires"].(float64) > 3600e9 || u["expires"].(float64) < 3500e9 {
			t.Errorf("%v", u)
		}
		nc.Publish("no", nil)
		if err := <-errs; !errors.Is(err, nats.ErrPermissionViolation) {
			t.Error(err)
		}
		for _, subject := range []string{"in.a", "in.b"} {
			if _, err := nc.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-errs; !errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
			t.Errorf("its own limit of subscriptions: %v", err)
		}
		i := h.in.Hooks.Client(h.info(t, "app"))
		if i.NameTag != "known" || len(i.Tags) != 1 || i.Issuer != s.issuer.Pub || !strings.HasPrefix(i.JWT, "eyJ") {
			t.Errorf("%+v", i)
		}

		// By the account's key, with the account's permissions.
		s.set(func(r *request) []byte {
			return r.allow("ACRPUL2KGVN2F2IHUUYAT2PDPSW566WH4ZVAROQHMMPVKMDSWPZEYSTW", nil)
		})
		if u := info(t, h.connect(t, nats.Token("t"))); u["account"] != "OTHER" {
			t.Errorf("%v", u)
		}
		s.set(func(r *request) []byte { return r.allow("APP", nil) })
		nc = h.connect(t, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
		nc.Publish("no.default", nil)
		if err := <-errs; !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("default permissions: %v", err)
		}
	})
}

// Each spoiled answer is refused with the one text, and the log says why.
func TestCalloutRefusals(t *testing.T) {
	both(t, func(t *testing.T, s *service) {
		h := delegating(t, s, "")
		service := h.connect(t, nats.UserInfo("svc", "s3cret"))
		events, err := service.SubscribeSync("$SYS.ACCOUNT.CLIENT.AUTH.ERR")
		if err != nil {
			t.Fatal(err)
		}
		service.Flush()
		strange := operatortest.NewKey(t, nkeys.PrefixByteAccount)
		other := operatortest.NewKey(t, nkeys.PrefixByteUser)
		type claims = func(u *jwt.UserClaims, a *jwt.AuthorizationResponseClaims)
		spoiled := func(account string, f claims) func(*request) []byte {
			return func(r *request) []byte { return r.allow(account, f) }
		}
		var replayed []byte // an answer for a login that was let in
		s.set(func(r *request) []byte {
			replayed = r.allow("APP", nil)
			return replayed
		})
		h.connect(t).Close()
		cases := []struct {
			name   string
			answer func(*request) []byte
			why    string
		}{
			{"empty", func(*request) []byte { return []byte{} }, `Auth callout violation: "no reason supplied" on account "AUTH"`},
			{"error", func(r *request) []byte { return r.deny("go\naway") }, "Auth callout service returned an error: go away"},
			{"replayed", func(*request) []byte { return replayed }, "Auth callout violation: auth callout response is not for expected user"},
			{"other user in it", spoiled("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) { u.Subject = other.Pub }), "Expected authorized user of "},
			{"audience", spoiled("APP", func(_ *jwt.UserClaims, a *jwt.AuthorizationResponseClaims) {
				a.Audience = operatortest.NewKey(t, nkeys.PrefixByteServer).Pub
			}), "Auth callout violation: auth callout response is not for server"},
			{"no audience", spoiled("APP", func(_ *jwt.UserClaims, a *jwt.AuthorizationResponseClaims) { a.Audience = "" }), "Authorization response had validation errors: Audience must be a server public key"},
			{"nothing in it", spoiled("APP", func(_ *jwt.UserClaims, a *jwt.AuthorizationResponseClaims) { a.Jwt = " " }), ""},
			{"both in it", spoiled("APP", func(_ *jwt.UserClaims, a *jwt.AuthorizationResponseClaims) { a.Jwt, a.Error = "eyJ", "x" }), "Authorization response had validation errors: Only Error or Jwt can be set"},
			{"expired", spoiled("APP", func(_ *jwt.UserClaims, a *jwt.AuthorizationResponseClaims) {
				a.Expires = time.Now().Add(-time.Second).Unix()
			}), "Authorization response had validation errors: "},
			{"expired user", spoiled("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) {
				u.Expires = time.Now().Add(-time.Second).Unix()
			}), "Error validating user JWT: "},
			{"issuer", func(r *request) []byte { return r.signed("APP", strange, strange, nil) }, "Auth callout signing key is unknown"},
			{"issuer of the answer", func(r *request) []byte { return r.signed("APP", strange, s.issuer, nil) }, "Auth callout signing key is unknown"},
			{"issuer that names another", func(r *request) []byte {
				return r.signed("APP", strange, s.issuer, func(_ *jwt.UserClaims, a *jwt.AuthorizationResponseClaims) { a.IssuerAccount = s.issuer.Pub })
			}, "Auth callout signing key is unknown"},
			{"issuer of the user", func(r *request) []byte { return r.signed("APP", s.issuer, strange, nil) }, "Wrong issuer for auth callout response"},
			{"issuer account", spoiled("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) { u.IssuerAccount = strange.Pub }), "Error non operator mode account"},
			{"a long name", spoiled("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) { u.Name = strings.Repeat("n", 257) }), "Authorized user has a name or a tag of 257 bytes"},
			{"a long tag", spoiled("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) { u.Tags.Add(strings.Repeat("t", 300)) }), "Authorized user has a name or a tag of 300 bytes"},
			{"a name of two lines", spoiled("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) { u.Name = "a\nb" }), "Authorized user has a name or a tag with control characters"},
			{"account", spoiled("NOPE", nil), `No valid account "NOPE" for auth callout response on account "AUTH": account missing`},
			{"no account", spoiled("", nil), `No valid account ""`},
			{"system account", spoiled("SYS", nil), "must not place users in the system account"},
			{"source", spoiled("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) { u.Src.Set("10.0.0.0/8") }), "Bad src Ip"},
			{"kind", spoiled("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) { u.AllowedConnectionTypes.Add("MQTT") }), "Connection type STANDARD"},
			{"times", spoiled("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) {
				now := time.Now().UTC()
				u.Locale = "UTC"
				u.Times = []jwt.TimeRange{{Start: now.Add(time.Hour).Format("15:04:05"), End: now.Add(2 * time.Hour).Format("15:04:05")}}
			}), "outside of its times"},
			{"proxy", spoiled("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) { u.ProxyRequired = true }), "must come through a trusted proxy"},
			{"unsigned", func(r *request) []byte {
				return r.seal([]byte(unsigned(string(r.clear().allow("APP", nil)))))
			}, "Claim failed V2 signature verification"},
			{"junk", func(r *request) []byte { return r.seal([]byte("junk")) }, "Expected 3 chunks"},
			{"a user's token", func(r *request) []byte {
				return r.seal([]byte(operatortest.Sign(t, jwt.NewUserClaims(r.UserNkey), s.issuer)))
			}, "Not an authorization request claim"},
		}
		for _, x := range cases {
			s.set(x.answer)
			if _, err := h.try(nats.Name(x.name), nats.UserInfo("u", "p")); !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("%s: %v", x.name, err)
			}
			i := h.closed(t, x.name)
			want := wire.ReasonAuthFailure
			if x.name == "proxy" {
				want = wire.ReasonProxyRequired
			}
			if i.Reason != want || !strings.Contains(i.Refusal, x.why) || i.RefusedBy != "AUTH" {
				t.Errorf("%s: %s, %q by %q", x.name, i.Reason, i.Refusal, i.RefusedBy)
			}
			m, err := events.NextMsg(patience)
			if err != nil {
				t.Fatalf("%s: no event: %v", x.name, err)
			}
			var e struct {
				Type, Reason string
				Client       struct{ Name string }
			}
			if json.Unmarshal(m.Data, &e); e.Client.Name != x.name || e.Reason != i.Refusal || e.Type != "io.nats.server.advisory.v1.client_disconnect" {
				t.Errorf("%s: event %s", x.name, m.Data)
			}
		}
	})
}

// raw is the opening of a client made of a socket: what comes after CONNECT.
func raw(t testing.TB, h *hub, connect string) (got string, took time.Duration) {
	t.Helper()
	nc, err := net.Dial("tcp", h.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(nc)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := io.WriteString(nc, "CONNECT "+connect+"\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), time.Since(begin)
}

// Who could not be judged is not refused: the end without a word makes clients try
// again.
func TestCalloutUnavailable(t *testing.T) {
	s := newService(t, false)
	h := start(t, accounts+"authorization { failed_login_delay: 0s, timeout: 1, "+s.settings()+"}")
	const connect = `{"user":"u","pass":"p","name":"u"}`
	got, took := raw(t, h, connect)
	if got != "" || took > 900*time.Millisecond {
		t.Errorf("nobody listens: %q after %s", got, took)
	}
	h.says(t, "no service listens")
	if i := h.closed(t, "u"); i.RefusedBy != "AUTH" || !strings.Contains(i.Refusal, "no service listens") {
		t.Errorf("%q by %q", i.Refusal, i.RefusedBy)
	}
	sub := s.serve(h.connect(t, nats.UserInfo("svc", "s3cret")))
	got, took = raw(t, h, connect)
	if got != "" || took < 950*time.Millisecond || took > 5*time.Second {
		t.Errorf("it does not answer: %q after %s", got, took)
	}
	h.says(t, `Auth callout timed out on account "AUTH"`)
	// A service that comes back within a moment is waited for.
	s.set(func(r *request) []byte { return r.allow("APP", nil) })
	again := h.connect(t, nats.UserInfo("svc", "s3cret"))
	sub.Unsubscribe()
	eventually(t, "the service is gone", func() bool { return !h.Broker.Account("AUTH").HasInterest([]byte("$SYS.REQ.USER.AUTH")) })
	done := make(chan error, 1)
	go func() {
		nc, err := h.try(nats.UserInfo("u", "p"))
		if err == nil {
			nc.Close()
		}
		done <- err
	}()
	s.serve(again)
	if err := <-done; err != nil {
		t.Errorf("a service that comes back: %v", err)
	}
	// Who is late has waited for nothing, whatever it says afterwards.
	s.set(late(1200*time.Millisecond, func(r *request) []byte { return r.allow("APP", nil) }))
	if got, _ = raw(t, h, connect); got != "" {
		t.Errorf("too late: %q", got)
	}
}

func TestCalloutExceptions(t *testing.T) {
	s := newService(t, false)
	s.set(func(r *request) []byte { return r.deny("nobody") })
	h := delegating(t, s, "")
	// The service itself is not asked about, and can't ask.
	errs := make(chan error, 1)
	nc := h.connect(t, nats.UserInfo("svc", "s3cret"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	nc.Publish("$SYS.REQ.USER.AUTH", nil)
	if err := <-errs; !errors.Is(err, nats.ErrPermissionViolation) {
		t.Error(err)
	}
	before := len(s.requests())
	if _, err := h.try(nats.UserInfo("svc", "wrong")); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the service's name without its password: %v", err)
	}
	if n := len(s.requests()); n != before {
		t.Error("it was asked about its own name")
	}
	// Everybody else is, the system account's users too.
	if _, err := h.try(nats.UserInfo("admin", "admin")); !errors.Is(err, nats.ErrAuthorization) || len(s.requests()) != before+1 {
		t.Errorf("%v, %d requests", err, len(s.requests())-before)
	}
	// A user whom it places in its own account can't ask either.
	s.set(func(r *request) []byte { return r.allow("AUTH", nil) })
	nc = h.connect(t, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	nc.Publish("$SYS.REQ.USER.AUTH", nil)
	if err := <-errs; !errors.Is(err, nats.ErrPermissionViolation) {
		t.Error(err)
	}
}

func TestCalloutAllowedAccounts(t *testing.T) {
	s := newService(t, false)
	s.set(func(r *request) []byte { return r.allow(r.ConnectOptions.Password, nil) })
	conf := strings.Replace(s.settings(), "auth_users", "allow_system_account: true, allowed_accounts: [ OTHER ], auth_users", 1)
	h := start(t, accounts+"authorization { "+conf+"}\nno_auth_user: known")
	s.serve(h.connect(t, nats.UserInfo("svc", "s3cret")))
	if u := info(t, h.connect(t, nats.UserInfo("known", "right"))); u["account"] != "APP" || len(s.requests()) != 0 {
		t.Errorf("a user of an account that is not listed: %v, %d requests", u, len(s.requests()))
	}
	if u := info(t, h.connect(t)); u["account"] != "APP" || len(s.requests()) != 0 {
		t.Errorf("no_auth_user: %v, %d requests", u, len(s.requests()))
	}
	if u := info(t, h.connect(t, nats.UserInfo("known", "SYS"))); u["account"] != "SYS" || len(s.requests()) != 1 {
		t.Errorf("a wrong password is the service's affair, and the system account is open to it: %v", u)
	}
}

func TestCalloutExpiry(t *testing.T) {
	s := newService(t, true)
	s.set(func(r *request) []byte {
		return r.allow("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) {
			u.Expires = time.Now().Add(2 * time.Second).Unix()
		})
	})
	h := delegating(t, s, "")
	got, took := raw(t, h, `{"verbose":false,"user":"u"}`)
	if !strings.HasSuffix(got, "-ERR '"+wire.TextUserExpired+"'\r\n") || took > 4*time.Second {
		t.Errorf("%q after %s", got, took)
	}
}

// Zero limits are limits, as for users of an operator.
func TestCalloutZeroLimits(t *testing.T) {
	s := newService(t, false)
	s.set(func(r *request) []byte {
		return r.allow("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) { u.Subs = 0 })
	})
	h := delegating(t, s, "")
	if got, _ := raw(t, h, `{"verbose":false,"user":"u"}`); got != "-ERR '"+wire.TextMaxSubscriptions+"'\r\n" {
		t.Errorf("%q", got)
	}
}

// Many at once, at both servers of a cluster of which one has the service.
func TestCalloutCluster(t *testing.T) {
	s := newService(t, true)
	var at sync.Map
	s.set(func(r *request) []byte {
		at.Store(r.Server.Name+"/"+r.Server.Cluster, true)
		return r.allow("APP", nil)
	})
	conf := accounts + "authorization { timeout: 5, " + s.settings() + "}\n"
	a := start(t, conf+"server_name: A, cluster { name: c, listen: 127.0.0.1:-1 }")
	b := start(t, conf+"server_name: B, cluster { name: c, listen: 127.0.0.1:-1, routes: [ nats://"+a.routes.Addr().String()+" ] }")
	s.serve(a.connect(t, nats.UserInfo("svc", "s3cret")))
	eventually(t, "both servers know of the service", func() bool {
		return b.Broker.Account("AUTH").HasInterest([]byte("$SYS.REQ.USER.AUTH"))
	})
	var wg sync.WaitGroup
	for _, h := range []*hub{b, a} {
		for range 40 {
			wg.Go(func() {
				nc, err := h.try(nats.UserInfo("u", "p"))
				if err != nil {
					t.Error(err)
					return
				}
				nc.Close()
			})
		}
	}
	wg.Wait()
	for _, name := range []string{"A/c", "B/c"} {
		if _, ok := at.Load(name); !ok {
			t.Errorf("nothing from %s", name)
		}
	}
	// Without the service at A, one at B does it, without a change at the asking side.
	s2 := s
	s2.serve(b.connect(t, nats.UserInfo("svc", "s3cret")))
	nc, err := a.try(nats.UserInfo("u", "p"))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

// The service sits behind a leaf link; and a leaf node itself is asked about.
func TestCalloutLeaf(t *testing.T) {
	s := newService(t, true)
	s.set(func(r *request) []byte {
		return r.allow("APP", func(u *jwt.UserClaims, _ *jwt.AuthorizationResponseClaims) { u.Name = "edge" })
	})
	h := start(t, accounts+"authorization { timeout: 2, "+s.settings()+"}\nleafnodes { listen: 127.0.0.1:-1 }")
	addr := h.in.Leafs.Addr().String()
	edge := start(t, "server_name: EDGE, leafnodes { remotes: [ { url: nats://svc:s3cret@"+addr+" } ] }")
	eventually(t, "the leaf link is up", func() bool { return edge.Leafs.Len() == 1 && h.Leafs.Len() == 1 })
	s.serve(edge.connect(t))
	if u := info(t, h.connect(t, nats.UserInfo("u", "p"))); u["account"] != "APP" {
		t.Errorf("%v", u)
	}
	before := len(s.requests())
	second := start(t, "server_name: SECOND, leafnodes { remotes: [ { url: nats://leaf:leaf@"+addr+" } ] }")
	eventually(t, "the second link is up", func() bool { return second.Leafs.Len() == 1 && h.Leafs.Len() == 2 })
	r := s.requests()[before]
	if i := r.ClientInformation; i.Kind != "Leafnode" || i.Type != "" || i.Name != "SECOND" || r.ConnectOptions.Username != "leaf" || r.ConnectOptions.Password != "leaf" {
		t.Errorf("%+v %+v", i, r.ConnectOptions)
	}
	found := false
	for _, c := range h.Leafs.Open() {
		i := c.Info(false)
		found = found || i.Account == "APP" && i.User == "edge"
	}
	if !found {
		t.Error("no leaf link of APP")
	}
}
