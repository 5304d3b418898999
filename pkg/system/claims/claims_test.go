package claims

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/operator"
	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/system"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// server is one with a resolver, beside others on one broker.
type server struct {
	*Service
	op  *operator.Operator
	set config.Resolver
}

func start(t testing.TB, b *broker.Broker, tr *operatortest.Tree, id string, r config.Resolver) *server {
	t.Helper()
	if r.Kind != config.ResolverMemory && r.Dir == "" {
		r.Dir = filepath.Join(t.TempDir(), "jwt")
	}
	if r.Interval == 0 {
		r.Interval = time.Hour
	}
	r.Timeout = time.Second
	set := tr.Settings()
	set.Resolver = r
	set.Preload = []config.AccountJWT{{Account: tr.System.Pub, JWT: tr.System.Kept()}}
	res, err := operator.NewResolver(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	op, err := operator.New(operator.Options{Settings: set, SystemAccount: tr.System.Pub, Resolver: res})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Server: &link.Server{ID: id, Name: id}, Config: &config.Config{Operator: set}, Broker: b, Operator: op})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); op.Close() })
	return &server{s, op, r}
}

// asker is nsc, or an operator with a client.
type asker struct {
	t   testing.TB
	b   *broker.Broker
	c   *system.Client
	acc *broker.Account
}

func newAsker(t testing.TB, b *broker.Broker) *asker {
	c := system.NewClient(b, 0)
	t.Cleanup(c.Close)
	return &asker{t, b, c, b.SystemAccount()}
}

// ask sends a request and returns n answers.
func (a *asker) ask(n int, subject, payload string) []string {
	a.t.Helper()
	got := make(chan string, 100)
	s := a.c.Subscribe(a.acc, "_INBOX.test", system.SubOptions{}, func(r *system.Request) { got <- string(r.Payload) })
	defer a.c.Unsubscribe(s)
	a.c.Publish(a.acc, subject, "_INBOX.test", nil, []byte(payload))
	var list []string
	for range n {
		select {
		case x := <-got:
			list = append(list, x)
		case <-time.After(patience):
			a.t.Fatalf("%s: %d answers of %d: %q", subject, len(list), n, list)
		}
	}
	return list
}

// said is the message of one answer, or the description of its error.
func (a *asker) said(subject, payload string) string {
	a.t.Helper()
	var s status
	if err := json.Unmarshal([]byte(a.ask(1, subject, payload)[0]), &s); err != nil {
		a.t.Fatal(err)
	}
	if s.Server.Name == "" || (s.Data == nil) == (s.Error == nil) {
		a.t.Fatalf("%+v", s)
	}
	if s.Error != nil {
		return "error: " + s.Error.Description
	}
	return s.Data.Message
}

func show(t testing.TB, u operatortest.User) *auth.Credentials {
	return &auth.Credentials{Kind: config.Standard, JWT: u.Token, Sig: u.Sig(t, "nonce"), Nonce: "nonce", Remote: &net.TCPAddr{}}
}

func TestPush(t *testing.T) {
	tr := operatortest.New(t)
	b := broker.New("NTEST", "", tr.System.Pub)
	s := start(t, b, tr, "ONE", config.Resolver{Kind: config.ResolverFull, AllowDelete: true})
	nsc := newAsker(t, b)
	a := tr.Account("A")
	u := a.User(nil)
	if _, err := s.op.Authenticate(show(t, u)); err == nil {
		t.Fatal("the account is not known yet")
	}
	file := filepath.Join(s.set.Dir, a.Pub+".jwt")
	content := func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	first := a.Token()
	for _, subject := range []string{"$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.ACCOUNT." + a.Pub + ".CLAIMS.UPDATE", "$SYS.ACCOUNT." + a.Pub + ".CLAIMS.UPDATE"} {
		if m := nsc.said(subject, first); m != "jwt updated" {
			t.Errorf("%s: %s", subject, m)
		}
	}
	if content() != first {
		t.Error("the file is not the token")
	}
	if _, err := s.op.Authenticate(show(t, u)); err != nil {
		t.Errorf("the push took no effect: %v", err)
	}

	// What must change nothing.
	other := tr.Account("B")
	foreign := *a
	dead := *a.Claims
	dead.Expires = time.Now().Add(-time.Second).Unix()
	strange := operatortest.New(t)
	bad := jwt.NewAccountClaims(a.Pub)
	bad.Exports = jwt.Exports{{Name: "x", Subject: "a b", Type: jwt.Stream}}
	older := *a.Claims
	for name, x := range map[string]struct{ subject, token, want string }{
		"empty":            {"$SYS.REQ.CLAIMS.UPDATE", "", "error: jwt update error - request body is empty"},
		"junk":             {"$SYS.REQ.CLAIMS.UPDATE", "junk", "error: jwt update resulted in error - expected 3 chunks"},
		"foreign operator": {"$SYS.REQ.CLAIMS.UPDATE", operatortest.Sign(t, foreign.Claims, strange.Signer), "error: jwt update resulted in error - account validation failed"},
		"self-signed":      {"$SYS.REQ.CLAIMS.UPDATE", operatortest.Sign(t, &older, a.Key), "error: jwt update resulted in error - account validation failed"},
		"expired":          {"$SYS.REQ.CLAIMS.UPDATE", operatortest.Sign(t, &dead, tr.Signer), "error: jwt update resulted in error - account validation failed"},
		"not valid":        {"$SYS.REQ.CLAIMS.UPDATE", operatortest.Sign(t, bad, tr.Signer), "error: jwt update resulted in error - account validation failed"},
		"other account":    {"$SYS.REQ.ACCOUNT." + a.Pub + ".CLAIMS.UPDATE", other.Token(), "error: jwt update resulted in error - subject does not match jwt content"},
		"a user's token":   {"$SYS.REQ.CLAIMS.UPDATE", u.Token, "error: jwt update resulted in error - not account claim"},
	} {
		if m := nsc.said(x.subject, x.token); !strings.HasPrefix(m, x.want) {
			t.Errorf("%s: %s", name, m)
		}
	}
	if content() != first {
		t.Error("the file has changed")
	}
	if l := s.dir.List(); len(l) != 2 {
		t.Errorf("%d accounts are kept", len(l))
	}

	// A later one counts, and the earlier one does not come back.
	for a.Claims.IssuedAt == jwtIssued(t, first) {
		time.Sleep(50 * time.Millisecond)
		a.Claims.Name = "A2"
		a.Token()
	}
	if m := nsc.said("$SYS.REQ.CLAIMS.UPDATE", a.Token()); m != "jwt updated" {
		t.Error(m)
	}
	if m := nsc.said("$SYS.REQ.CLAIMS.UPDATE", first); !strings.Contains(m, "newer") {
		t.Errorf("roll-back: %s", m)
	}

	var list struct {
		Server system.ServerInfo
		Data   []string
	}
	if err := json.Unmarshal([]byte(nsc.ask(1, "$SYS.REQ.CLAIMS.LIST", "")[0]), &list); err != nil || len(list.Data) != 2 || !slices.Contains(list.Data, a.Pub) {
		t.Errorf("%+v, %v", list, err)
	}
	if all := nsc.ask(3, "$SYS.REQ.CLAIMS.PACK", ""); all[2] != "" || !strings.Contains(strings.Join(all, "\n"), a.Pub+"|"+content()) {
		t.Errorf("%.50q", all)
	}
	hash := s.dir.Hash()
	if all := nsc.ask(1, "$SYS.REQ.CLAIMS.PACK", string(hash[:])); all[0] != "" {
		t.Errorf("%.50q", all)
	}
	if x := nsc.ask(1, "$SYS.REQ.ACCOUNT."+a.Pub+".CLAIMS.LOOKUP", ""); x[0] != content() {
		t.Errorf("%.50q", x)
	}
	if x := nsc.ask(1, "$SYS.REQ.ACCOUNT."+other.Pub+".CLAIMS.LOOKUP", ""); x[0] != "" {
		t.Errorf("%.50q", x)
	}
}

func jwtIssued(t testing.TB, token string) int64 {
	t.Helper()
	c, err := jwt.DecodeAccountClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	return c.IssuedAt
}

func TestDelete(t *testing.T) {
	tr := operatortest.New(t)
	b := broker.New("NTEST", "", tr.System.Pub)
	s := start(t, b, tr, "ONE", config.Resolver{Kind: config.ResolverFull, AllowDelete: true})
	nsc := newAsker(t, b)
	a := tr.Account("A")
	token := a.Token()
	nsc.said("$SYS.REQ.CLAIMS.UPDATE", token)
	u := a.User(nil)
	if _, err := s.op.Authenticate(show(t, u)); err != nil {
		t.Fatal(err)
	}
	order := func(by operatortest.Key, subject string, accounts ...any) string {
		c := jwt.NewGenericClaims(subject)
		c.Data["accounts"] = accounts
		return operatortest.Sign(t, c, by)
	}
	stranger := operatortest.New(t).Operator
	for name, x := range map[string][2]string{
		"stranger":        {order(stranger, stranger.Pub, a.Pub), "failed - not trusted"},
		"not self-signed": {order(tr.Operator, stranger.Pub, a.Pub), "failed - not self signed"},
		"system account":  {order(tr.Operator, tr.Operator.Pub, tr.System.Pub), "failed - not allowed to delete system account"},
		"junk":            {"junk", "failed - malformed request"},
		"no accounts":     {order(tr.Operator, tr.Operator.Pub), "failed - malformed request"},
	} {
		if m := nsc.said("$SYS.REQ.CLAIMS.DELETE", x[0]); !strings.Contains(m, x[1]) {
			t.Errorf("%s: %s", name, m)
		}
	}
	for range 2 { // the second time it is gone already
		if m := nsc.said("$SYS.REQ.CLAIMS.DELETE", order(tr.Operator, tr.Operator.Pub, a.Pub)); m != "deleted 1 accounts" {
			t.Error(m)
		}
	}
	if _, err := os.Stat(filepath.Join(s.set.Dir, a.Pub+".jwt.deleted")); err != nil {
		t.Error(err)
	}
	if _, err := s.op.Authenticate(show(t, u)); err == nil {
		t.Error("a user of a deleted account came in")
	}
	if err := s.op.Merge(a.Pub, token); err != nil {
		t.Error(err)
	}
	if l := s.dir.List(); slices.Contains(l, a.Pub) {
		t.Error("another server brought it back")
	}
	if m := nsc.said("$SYS.REQ.CLAIMS.UPDATE", token); m != "jwt updated" {
		t.Error(m)
	}
	if _, err := s.op.Authenticate(show(t, u)); err != nil {
		t.Errorf("the same token does not revive it: %v", err)
	}
}

func TestLookupAndExchange(t *testing.T) {
	tr := operatortest.New(t)
	b := broker.New("NTEST", "", tr.System.Pub)
	nsc := newAsker(t, b)
	full := start(t, b, tr, "FULL", config.Resolver{Kind: config.ResolverFull})
	a, unknown := tr.Account("A"), tr.Account("X")
	if _, err := full.op.Authenticate(show(t, unknown.User(nil))); err == nil {
		t.Error("an account that nobody has")
	}
	nsc.said("$SYS.REQ.CLAIMS.UPDATE", a.Token())
	cache := start(t, b, tr, "CACHE", config.Resolver{Kind: config.ResolverCache})
	if _, err := cache.op.Authenticate(show(t, a.User(nil))); err != nil {
		t.Errorf("look-up: %v", err)
	}
	if l := cache.dir.List(); !slices.Contains(l, a.Pub) {
		t.Error("the cache did not keep it")
	}
	begin := time.Now()
	for range 3 {
		if _, err := cache.op.Authenticate(show(t, unknown.User(nil))); err == nil {
			t.Error("an account that nobody has")
		}
	}
	if d := time.Since(begin); d > 900*time.Millisecond {
		t.Errorf("an account that nobody has took %s", d)
	}
	late := start(t, b, tr, "LATE", config.Resolver{Kind: config.ResolverFull})
	for end := time.Now().Add(patience); len(late.dir.List()) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the second full server did not get what the first has")
		}
	}
	if late.dir.Hash() != full.dir.Hash() {
		t.Error("both hold the same and differ")
	}
	mem := start(t, b, tr, "MEM", config.Resolver{Kind: config.ResolverMemory})
	_ = mem
	got := map[string]int{}
	for _, x := range nsc.ask(4, "$SYS.REQ.ACCOUNT."+a.Pub+".CLAIMS.UPDATE", a.Token()) {
		var s status
		if err := json.Unmarshal([]byte(x), &s); err != nil || s.Data == nil {
			t.Fatal(x)
		}
		got[s.Server.Name+" "+s.Data.Message]++
	}
	for _, want := range []string{"FULL jwt updated", "LATE jwt updated", "CACHE jwt updated cache", "MEM jwt update skipped"} {
		if got[want] != 1 {
			t.Errorf("%v lacks %q", got, want)
		}
	}
}

// A server that was away during a deletion hears of it, and brings nothing back; what was
// pushed again since stays; who only listens in the system account decides nothing.
func TestDeletionsAreExchanged(t *testing.T) {
	tr := operatortest.New(t)
	b := broker.New("NTEST", "", tr.System.Pub)
	nsc := newAsker(t, b)
	set := func() config.Resolver {
		return config.Resolver{Kind: config.ResolverFull, AllowDelete: true, Dir: filepath.Join(t.TempDir(), "jwt")}
	}
	first, second := set(), set()
	one, two := start(t, b, tr, "ONE", first), start(t, b, tr, "TWO", second)
	gone, again, kept := tr.Account("GONE"), tr.Account("AGAIN"), tr.Account("KEPT")
	token := gone.Token()
	for _, x := range []string{token, again.Token(), kept.Token()} {
		for _, x := range nsc.ask(2, "$SYS.REQ.CLAIMS.UPDATE", x) {
			if !strings.Contains(x, "jwt updated") {
				t.Fatal(x)
			}
		}
	}
	two.Close()
	two.op.Close()
	c := jwt.NewGenericClaims(tr.Operator.Pub)
	c.Data["accounts"] = []any{gone.Pub, again.Pub}
	if m := nsc.said("$SYS.REQ.CLAIMS.DELETE", operatortest.Sign(t, c, tr.Operator)); m != "deleted 2 accounts" {
		t.Fatal(m)
	}
	later := again.Token()
	for jwtIssued(t, later) <= c.IssuedAt { // tokens know seconds
		time.Sleep(50 * time.Millisecond)
		later = again.Token()
	}
	if m := nsc.said("$SYS.REQ.CLAIMS.UPDATE", later); m != "jwt updated" {
		t.Fatal(m)
	}
	has := func(s *server, a *operatortest.Account) bool { return slices.Contains(s.dir.List(), a.Pub) }
	same := func(a, b *server) {
		t.Helper()
		for end := time.Now().Add(patience); a.dir.Hash() != b.dir.Hash() || a.dir.OrdersHash() != b.dir.OrdersHash(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("they differ: %v %v", a.dir.List(), b.dir.List())
			}
		}
		for _, s := range []*server{a, b} {
			if has(s, gone) || !has(s, again) || !has(s, kept) {
				t.Errorf("gone %v, again %v, kept %v", has(s, gone), has(s, again), has(s, kept))
			}
		}
	}
	two = start(t, b, tr, "TWO", second)
	same(one, two)
	if _, err := two.op.Authenticate(show(t, gone.User(nil))); err == nil {
		t.Error("a user of the deleted account came in")
	}

	// One that never had them, and the first after a restart, know as well.
	three := start(t, b, tr, "THREE", set())
	same(two, three)
	one.Close()
	one.op.Close()
	one = start(t, b, tr, "ONE", first)
	same(one, three)
	for _, s := range []*server{one, two, three} {
		if err := s.op.Merge(gone.Pub, token); err != nil {
			t.Error(err)
		}
		if has(s, gone) {
			t.Error("another server brought it back")
		}
	}

	// Orders of strangers, and for the system account, do nothing.
	strange := operatortest.New(t).Operator
	for _, by := range []operatortest.Key{strange, tr.Operator} {
		c := jwt.NewGenericClaims(by.Pub)
		c.Data["accounts"] = []any{kept.Pub, tr.System.Pub}
		one.mergeDeletion(operatortest.Sign(t, c, by))
	}
	if !has(one, kept) || len(one.dir.Orders()) != 1 {
		t.Errorf("an order that must not count did: %v, %d orders", has(one, kept), len(one.dir.Orders()))
	}
}
