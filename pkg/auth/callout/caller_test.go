package callout

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/pkg/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asking is a Caller of a server that asks f, and the issuer of answers.
func asking(t testing.TB, timeout time.Duration, f Ask) (*Caller, operatortest.Key) {
	t.Helper()
	server := operatortest.NewKey(t, nkeys.PrefixByteServer)
	c := New(Options{Server: func() jwt.ServerID { return jwt.ServerID{Name: "S", ID: server.Pub} }, Identity: server, Timeout: timeout})
	t.Cleanup(c.Close)
	c.SetAsk(f)
	return c, operatortest.NewKey(t, nkeys.PrefixByteAccount)
}

// letIn is an answer to a request.
func letIn(t testing.TB, issuer operatortest.Key, payload []byte) []byte {
	r, err := jwt.DecodeAuthorizationRequestClaims(string(payload))
	if err != nil {
		t.Error(err)
		return nil
	}
	u := jwt.NewUserClaims(r.UserNkey)
	u.Audience = "APP"
	a := jwt.NewAuthorizationResponseClaims(r.UserNkey)
	a.Audience, a.Jwt = r.Server.ID, operatortest.Sign(t, u, issuer)
	return []byte(operatortest.Sign(t, a, issuer))
}

func question(issuer operatortest.Key) *Question {
	return &Question{Account: "AUTH", Subject: issuer.Pub, Signed: func(i, _ string) bool { return i == issuer.Pub }}
}

var peer = &auth.Credentials{Kind: config.Standard, User: "u", Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}}

// However many log in, so many are asked about at a time; the others wait, and all
// come in.
func TestQuestionsAreBounded(t *testing.T) {
	var issuer operatortest.Key
	var now, most atomic.Int64
	var once sync.Once
	full := make(chan struct{})
	open := make(chan struct{})
	c, issuer := asking(t, time.Minute, func(_ context.Context, _ string, _, payload []byte) ([]byte, error) {
		if n := now.Add(1); n == MaxAsking {
			once.Do(func() { close(full) })
		} else if n > most.Load() {
			most.Store(n)
		}
		<-open
		b := letIn(t, issuer, payload)
		now.Add(-1)
		return b, nil
	})
	const logins = MaxAsking + 50
	var wg sync.WaitGroup
	for range logins {
		wg.Go(func() {
			if _, _, err := c.Decide(question(issuer), peer); err != nil {
				t.Error(err)
			}
		})
	}
	<-full
	for end := time.Now().Add(10 * time.Second); c.waiting.Load() < logins-MaxAsking; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d wait", c.waiting.Load())
		}
	}
	close(open)
	wg.Wait()
	if n := most.Load(); n > MaxAsking {
		t.Errorf("%d questions at a time", n)
	}
	if c.waiting.Load() != 0 || len(c.slots) != 0 {
		t.Error("something is held")
	}
}

func TestUnavailable(t *testing.T) {
	var issuer operatortest.Key
	c, issuer := asking(t, 50*time.Millisecond, nil)
	q := question(issuer)
	check := func(name, why string, q *Question, c *Caller) {
		t.Helper()
		_, _, err := c.Decide(q, peer)
		var r *auth.Refusal
		if !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrRefused) || !errors.As(err, &r) || r.Account != "AUTH" || !strings.Contains(strings.ToLower(r.Text), why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	check("none", "no way to ask", q, c)
	check("nil", "no way to ask", q, nil)
	sealed := *q
	sealed.XKey = operatortest.NewKey(t, nkeys.PrefixByteCurve).Pub
	c.SetAsk(func(ctx context.Context, _ string, _, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	check("no curve key", "no curve key", &sealed, c)
	check("silence", "timed out", q, c)
	c.SetAsk(func(context.Context, string, []byte, []byte) ([]byte, error) { return nil, ErrNobody })
	check("nobody", "no service listens", q, c)
	for range MaxAsking {
		c.slots <- struct{}{}
	}
	check("no room", "too many logins wait", q, c)
	c.waiting.Store(MaxWaiting)
	check("no room to wait", "too many logins wait", q, c)
	c.waiting.Store(0)
	for range MaxAsking {
		<-c.slots
	}
	long, issuer := asking(t, time.Hour, func(ctx context.Context, _ string, _, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	done := make(chan error, 1)
	go func() {
		_, _, err := long.Decide(question(issuer), peer)
		done <- err
	}()
	long.Close()
	if err := <-done; !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("closing: %v", err)
	}
}

// A change of settings does not lift what keeps users from asking the service.
func TestGuardOutlivesChanges(t *testing.T) {
	c, issuer := asking(t, time.Second, nil)
	cfg := func(deny string) *config.Config {
		k := &config.Config{Accounts: []config.Account{{Name: "AUTH", Users: []config.User{{
			Name: "svc", Password: "p", Account: "AUTH", Permissions: &config.Permissions{Publish: config.SubjectPermission{Deny: []string{deny}}},
		}}}}}
		k.Auth.Callout = &config.Callout{Issuer: issuer.Pub, Account: "AUTH", AuthUsers: []string{"svc"}}
		return k
	}
	old, next := cfg("a"), cfg("b")
	users := auth.NewUsers(old, func(s *auth.Settings, k *config.Config) auth.Authenticator { return Delegate(s, k, c) })
	show := &auth.Credentials{Kind: config.Standard, User: "svc", Pass: "p"}
	id, err := users.Authenticate(show)
	if err != nil {
		t.Fatal(err)
	}
	apply, err := users.Prepare(config.Compare(old, next))
	if err != nil || apply == nil {
		t.Fatal(err)
	}
	apply()
	v := users.Review().Of(id, config.Standard, func() *auth.Credentials { return show })
	if v.Identity == nil || v.Identity.Permissions.CanPublish([]byte("b")) || !v.Identity.Permissions.CanPublish([]byte("a")) {
		t.Fatalf("%+v", v)
	}
	for _, x := range []*auth.Identity{id, v.Identity} {
		if x.Permissions.CanPublish([]byte(Subject)) {
			t.Error("the service's users may ask it")
		}
	}
}

// TestAccountOfPlacedUsersGoes: who was placed in an account is none of its users in the
// settings, and goes with it all the same.
func TestAccountOfPlacedUsersGoes(t *testing.T) {
	var issuer operatortest.Key
	c, issuer := asking(t, time.Second, func(_ context.Context, _ string, _, payload []byte) ([]byte, error) {
		return letIn(t, issuer, payload), nil
	})
	settings := func(accounts ...string) *config.Config {
		k := &config.Config{Accounts: []config.Account{{Name: "AUTH", Users: []config.User{{Name: "svc", Password: "p", Account: "AUTH"}}}}}
		for _, a := range accounts {
			k.Accounts = append(k.Accounts, config.Account{Name: a})
		}
		k.Auth.Callout = &config.Callout{Issuer: issuer.Pub, Account: "AUTH", AuthUsers: []string{"svc"}}
		return k
	}
	old := settings("APP", "B")
	users := auth.NewUsers(old, func(s *auth.Settings, k *config.Config) auth.Authenticator { return Delegate(s, k, c) })
	id, err := users.Authenticate(peer)
	if err != nil || id.Account != "APP" {
		t.Fatal(id, err)
	}
	for _, x := range []struct {
		accounts []string
		end      bool
	}{{[]string{"APP"}, false}, {[]string{"B"}, true}} {
		next := settings(x.accounts...)
		apply, err := users.Prepare(config.Compare(old, next))
		if err != nil || apply == nil {
			t.Fatal(err)
		}
		apply()
		old = next
		v := users.Review().Of(id, config.Standard, func() *auth.Credentials { return peer })
		if v.End != x.end || v.Identity != nil {
			t.Errorf("with %v: %+v", x.accounts, v)
		}
	}
}

// Who is excepted is so by what was proved.
func TestExceptions(t *testing.T) {
	asked := 0
	var issuer operatortest.Key
	c, issuer := asking(t, time.Second, func(_ context.Context, _ string, _, payload []byte) ([]byte, error) {
		asked++
		return letIn(t, issuer, payload), nil
	})
	key := operatortest.NewKey(t, nkeys.PrefixByteUser)
	k := &config.Config{Accounts: []config.Account{
		{Name: "AUTH", Users: []config.User{{Name: "svc", Password: "p", Account: "AUTH"}}},
		{Name: "APP", Users: []config.User{{NKey: key.Pub, Account: "APP"}, {Name: "joe", Password: "p", Account: "APP"}}},
	}}
	k.Auth.NoAuthUser = "svc"
	k.Auth.Callout = &config.Callout{Issuer: issuer.Pub, Account: "AUTH", AuthUsers: []string{"svc"}}
	d := Delegate(auth.FromConfig(k), k, c)
	for name, x := range map[string]struct {
		c     auth.Credentials
		asked int
		in    bool
	}{
		"the service":         {auth.Credentials{User: "svc", Pass: "p"}, 0, true},
		"its name":            {auth.Credentials{User: "svc", Pass: "x"}, 0, false},
		"a key with its name": {auth.Credentials{User: "svc", Pass: "x", NKey: key.Pub, Nonce: "n", Sig: key.Sig(t, "n")}, 1, true},
		"who shows nothing and becomes the service": {auth.Credentials{}, 1, true},
		"another user": {auth.Credentials{User: "joe", Pass: "p"}, 1, true},
		"a stranger":   {auth.Credentials{User: "x", Pass: "p"}, 1, true},
	} {
		asked = 0
		x.c.Kind = config.Standard
		x.c.Remote = peer.Remote
		id, err := d.Authenticate(&x.c)
		if (err == nil) != x.in || asked != x.asked {
			t.Errorf("%s: %+v, %v, asked %d times", name, id, err, asked)
		}
	}
}

// FuzzAnswer: no bytes but a signed answer let anybody in, and none do harm.
func FuzzAnswer(f *testing.F) {
	c, issuer := asking(f, time.Second, nil)
	kp, err := nkeys.CreateCurveKeys()
	if err != nil {
		f.Fatal(err)
	}
	c.o.Curve = kp
	xkey, _ := kp.PublicKey()
	user := operatortest.NewKey(f, nkeys.PrefixByteUser)
	header, payload, err := c.request(question(issuer), peer, user.Pub)
	if err != nil || header != nil {
		f.Fatal(err)
	}
	good := letIn(f, operatortest.NewKey(f, nkeys.PrefixByteAccount), payload)
	for _, s := range [][]byte{nil, []byte("eyJ"), []byte("a.b.c"), []byte("xkv1"), payload, good} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		q := question(issuer)
		if sealed {
			q.XKey = xkey
		}
		if u, token, err := c.check(q, user.Pub, b); err == nil || u != nil || token != "" || !errors.Is(err, auth.ErrRefused) {
			t.Errorf("%q: %v, %v", b, u, err)
		}
	})
}
