package auth

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/subject"
)

func hash(t *testing.T, p string) config.Secret {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(p), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return config.Secret(h)
}

// try returns "account/user" or "no".
func try(t *testing.T, a Authenticator, c Credentials) string {
	t.Helper()
	if c.Kind == "" {
		c.Kind = config.Standard
	}
	id, err := a.Authenticate(&c)
	if err != nil {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("error %v", err)
		}
		if c.Pass != "" && strings.Contains(err.Error(), c.Pass) || c.Token != "" && strings.Contains(err.Error(), c.Token) {
			t.Errorf("error tells a secret: %v", err)
		}
		return "no"
	}
	return id.Account + "/" + id.User
}

func TestLogin(t *testing.T) {
	bc := hash(t, "pw")
	twoY := config.Secret("$2y" + string(bc)[3:])
	users := &config.Config{SystemAccount: "$SYS"}
	users.Auth.Users = []config.User{
		{Name: "plain", Password: "pw"}, {Name: "hashed", Password: bc}, {Name: "y", Password: twoY}, {Name: "empty"},
		{Name: "web", Password: "pw", AllowedConnectionTypes: []config.ConnectionType{config.WebSocket}},
	}
	users.Accounts = []config.Account{{Name: "A", Users: []config.User{{Name: "ann", Password: "pw"}}}}
	guest := &config.Config{SystemAccount: "$SYS", Auth: config.Authorization{NoAuthUser: "guest"}}
	guest.Accounts = []config.Account{{Name: "B", Users: []config.User{{Name: "guest", Password: "pw"}, {Name: "bob", Password: "pw"}}}}
	sysOnly := &config.Config{SystemAccount: "SYS", Accounts: []config.Account{{Name: "SYS", Users: []config.User{{Name: "root", Password: "pw"}}}}}
	sysAndMore := &config.Config{SystemAccount: "SYS", Accounts: append([]config.Account{{Name: "A"}}, sysOnly.Accounts...)}
	globalToo := &config.Config{SystemAccount: "SYS", Accounts: append([]config.Account{{Name: "$G", Users: []config.User{{Name: "g"}}}}, sysOnly.Accounts...)}
	settings := map[string]*config.Config{
		"open": {}, "users": users, "guest": guest, "sysOnly": sysOnly, "sysAndMore": sysAndMore, "globalToo": globalToo,
		"token": {Auth: config.Authorization{Token: "t0k"}}, "hashedToken": {Auth: config.Authorization{Token: hash(t, "T0K")}},
		"single": {Auth: config.Authorization{User: "one", Password: "pw"}},
	}
	for _, row := range []struct {
		in   string
		c    Credentials
		want string
	}{
		{"open", Credentials{}, "$G/"},
		{"open", Credentials{User: "x", Pass: "y"}, "$G/"},
		{"users", Credentials{}, "no"},
		{"users", Credentials{User: "plain", Pass: "pw"}, "$G/plain"},
		{"users", Credentials{User: "plain", Pass: "pw "}, "no"},
		{"users", Credentials{User: "plain"}, "no"},
		{"users", Credentials{User: "hashed", Pass: "pw"}, "$G/hashed"},
		{"users", Credentials{User: "hashed", Pass: string(bc)}, "no"},
		{"users", Credentials{User: "y", Pass: "pw"}, "$G/y"},
		{"users", Credentials{User: "empty"}, "$G/empty"},
		{"users", Credentials{User: "empty", Pass: "x"}, "no"},
		{"users", Credentials{User: "ann", Pass: "pw"}, "A/ann"},
		{"users", Credentials{User: "Ann", Pass: "pw"}, "no"},
		{"users", Credentials{Token: "pw"}, "no"},
		{"users", Credentials{User: "web", Pass: "pw"}, "no"},
		{"users", Credentials{User: "web", Pass: "pw", Kind: config.WebSocket}, "$G/web"},
		{"guest", Credentials{}, "B/guest"},
		{"guest", Credentials{User: "bob", Pass: "pw"}, "B/bob"},
		{"guest", Credentials{User: "bob", Pass: "no"}, "no"},
		{"guest", Credentials{Pass: "pw"}, "no"},
		{"guest", Credentials{Token: "pw"}, "no"},
		{"sysOnly", Credentials{}, "$G/"},
		{"sysOnly", Credentials{User: "root", Pass: "pw"}, "SYS/root"},
		{"sysOnly", Credentials{User: "root", Pass: "x"}, "no"},
		{"sysOnly", Credentials{User: "x", Pass: "y"}, "no"},
		{"sysAndMore", Credentials{}, "no"},
		{"globalToo", Credentials{}, "no"},
		{"token", Credentials{Token: "t0k"}, "$G/[REDACTED]"},
		{"token", Credentials{Token: "t0k2"}, "no"},
		{"token", Credentials{}, "no"},
		{"token", Credentials{User: "T0K", Pass: "T0K"}, "no"},
		{"hashedToken", Credentials{Token: "T0K"}, "$G/[REDACTED]"},
		{"hashedToken", Credentials{Token: "no"}, "no"},
		{"single", Credentials{User: "one", Pass: "pw"}, "$G/one"},
		{"single", Credentials{User: "two", Pass: "pw"}, "no"},
		{"single", Credentials{}, "no"},
	} {
		if got := try(t, FromConfig(settings[row.in]), row.c); got != row.want {
			t.Errorf("%s, %+v: %s, want %s", row.in, row.c, got, row.want)
		}
	}
	for in, want := range map[string]Policy{
		"open":        {},
		"users":       {Required: true, Announced: true},
		"guest":       {Required: true, Anonymous: true},
		"sysOnly":     {Required: true, Announced: true, Anonymous: true},
		"sysAndMore":  {Required: true, Announced: true},
		"token":       {Required: true, Announced: true},
		"hashedToken": {Required: true, Announced: true},
	} {
		if got := FromConfig(settings[in]).Policy(config.Standard); got != want {
			t.Errorf("%s: policy %+v", in, got)
		}
	}
	for in, want := range map[string]bool{"open": false, "users": true, "token": true, "hashedToken": false} {
		if got := FromConfig(settings[in]).PlaintextPasswords(); got != want {
			t.Errorf("%s: plain text %v", in, got)
		}
	}
}

func TestLeafLogin(t *testing.T) {
	base := func(l config.LeafAuth) *config.Config {
		c := &config.Config{LeafNodes: &config.LeafNodes{Auth: l}}
		c.Accounts = []config.Account{{Name: "A", Users: []config.User{
			{Name: "ann", Password: "pw"},
			{Name: "std", Password: "pw", AllowedConnectionTypes: []config.ConnectionType{config.Standard}},
			{Name: "leaf", Password: "pw", AllowedConnectionTypes: []config.ConnectionType{config.LeafNode}},
		}}}
		return c
	}
	leaf := func(u, p string) Credentials { return Credentials{Kind: config.LeafNode, User: u, Pass: p} }
	for _, row := range []struct {
		l    config.LeafAuth
		c    Credentials
		want string
	}{
		{config.LeafAuth{}, leaf("ann", "pw"), "A/ann"},
		{config.LeafAuth{}, leaf("leaf", "pw"), "A/leaf"},
		{config.LeafAuth{}, leaf("std", "pw"), "no"},
		{config.LeafAuth{}, leaf("", ""), "no"},
		{config.LeafAuth{User: "l", Password: "pw"}, leaf("l", "pw"), "$G/l"},
		{config.LeafAuth{User: "l", Password: "pw", Account: "B"}, leaf("l", "pw"), "B/l"},
		{config.LeafAuth{User: "l", Password: "pw"}, leaf("ann", "pw"), "no"},
		{config.LeafAuth{Users: []config.LeafUser{{Name: "u", Password: "pw", Account: "C"}, {Name: "v"}}}, leaf("u", "pw"), "C/u"},
		{config.LeafAuth{Users: []config.LeafUser{{Name: "u", Password: "pw", Account: "C"}, {Name: "v"}}}, leaf("v", ""), "$G/v"},
		{config.LeafAuth{Users: []config.LeafUser{{Name: "u", Password: "pw"}}}, leaf("ann", "pw"), "no"},
	} {
		if got := try(t, FromConfig(base(row.l)), row.c); got != row.want {
			t.Errorf("%+v, %+v: %s, want %s", row.l, row.c, got, row.want)
		}
	}
	open := &config.Config{LeafNodes: &config.LeafNodes{Auth: config.LeafAuth{Account: "L"}}}
	if got := try(t, FromConfig(open), leaf("", "")); got != "L/" {
		t.Errorf("open: %s", got)
	}
	if p := FromConfig(base(config.LeafAuth{User: "l"})).Policy(config.LeafNode); !p.Required {
		t.Errorf("policy %+v", p)
	}
}

func TestIsHash(t *testing.T) {
	for s, want := range map[string]bool{
		"$2a$10$abc": true, "$2b$04$": true, "$2x$11$x": true, "$2y$11$x": true,
		"": false, "$2": false, "$2c$10$abc": false, "$2a$1$abc": false, "$2a$10abc": false, "2a$10$abc": false, "$2a$xx$abc": false,
	} {
		if IsHash(s) != want {
			t.Errorf("%q", s)
		}
	}
}

func perms(pub, pubDeny, sub, subDeny string, r *config.ResponsePermission) *Permissions {
	list := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(s, ",")
	}
	return NewPermissions(&config.Permissions{
		Publish:   config.SubjectPermission{Allow: list(pub), Deny: list(pubDeny)},
		Subscribe: config.SubjectPermission{Allow: list(sub), Deny: list(subDeny)}, AllowResponses: r,
	})
}

// The table of accounts-auth 6.2, and what is said below it.
func TestSubscribePermissions(t *testing.T) {
	for _, row := range []struct{ allow, deny, yes, no string }{
		{"foo", "", "foo,foo v1,foo other", "bar,foo.a,*,>"},
		{"foo v1", "", "foo v1", "foo,foo other"},
		{"foo,foo v1", "", "foo,foo v1", "foo other"},
		{"foo v1,foo v2.*", "", "foo v1,foo v2.x", "foo,foo v2,foo v2.x.y,foo other"},
		{"bar.*", "", "bar.a,bar.*", "bar.>,>,bar,bar.a.b"},
		{"*", "", "a,*", ">,a.b"},
		{">", "", "a,>,a.* q", ""},
		{"", "d", "a,> q,d.x", "d,d q"},
		{"", "d q", "d,d x", "d q"},
		{"", "d.*", "d.>,d,>", "d.x,d.*,d.* q"},
		{"foo,foo v1", "foo v1", "foo", "foo v1"},
		{"", "", "anything,> q", ""},
	} {
		p := perms("", "", row.allow, row.deny, nil)
		check := func(list string, want bool) {
			for _, s := range strings.Split(list, ",") {
				if s == "" {
					continue
				}
				subj, queue, _ := strings.Cut(s, " ")
				var q []byte
				if queue != "" {
					q = []byte(queue)
				}
				if got := p.CanSubscribe([]byte(subj), q); got != want {
					t.Errorf("allow %q deny %q: SUB %q is %v", row.allow, row.deny, s, got)
				}
			}
		}
		check(row.yes, true)
		check(row.no, false)
	}
	var none *Permissions
	if !none.CanSubscribe([]byte(">"), nil) || !none.CanPublish([]byte("x")) || none.Filters([]byte(">"), nil) ||
		!none.Delivers([]byte("x"), nil) || none.Restricted() || NewResponses(none) != nil {
		t.Error("no permissions restrict something")
	}
}

// What is admitted and not filtered never needs filtering; what is refused would
// have been filtered entirely or is outside the allowed.
func TestDenyIsComplete(t *testing.T) {
	tok := rapid.SampledFrom([]string{"a", "b", "*"})
	pattern := rapid.Custom(func(t *rapid.T) string {
		s := strings.Join(rapid.SliceOfN(tok, 1, 3).Draw(t, "tokens"), ".")
		if rapid.Bool().Draw(t, "rest") {
			s += ".>"
		}
		return s
	})
	literal := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 4).Draw(t, "subject"), ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		allow, deny := rapid.SliceOfN(pattern, 0, 3).Draw(t, "allow"), rapid.SliceOfN(pattern, 0, 3).Draw(t, "deny")
		p := perms("", "", strings.Join(allow, ","), strings.Join(deny, ","), nil)
		sub, subj := []byte(pattern.Draw(t, "sub")), []byte(literal.Draw(t, "published"))
		if !p.CanSubscribe(sub, nil) || !subject.Match(sub, subj) {
			return
		}
		allowed := len(allow) == 0
		for _, a := range allow {
			allowed = allowed || subject.Match(a, subj)
		}
		denied := false
		for _, d := range deny {
			denied = denied || subject.Match(d, subj)
		}
		if !allowed {
			t.Fatalf("%q reaches %q, which is not allowed", sub, subj)
		}
		if delivered := !p.Filters(sub, nil) || p.Delivers(subj, nil); delivered == denied {
			t.Fatalf("%q for %q: denied %v, delivered %v", subj, sub, denied, delivered)
		}
	})
}

func TestPublishVerdicts(t *testing.T) {
	p := perms("a.*,b.>", "b.no,b.*.no", "", "", nil)
	v := NewVerdicts(p)
	rapid.Check(t, func(t *rapid.T) {
		s := []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "no", "x", "*", ">"}), 1, 4).Draw(t, "s"), "."))
		want := subject.Match("a.*", s) || subject.Match("b.>", s) && !subject.Match("b.no", s) && !subject.Match("b.*.no", s)
		for range 2 {
			if v.CanPublish(s) != want || p.CanPublish(s) != want {
				t.Fatalf("%s: %v", s, !want)
			}
		}
	})
	long := []byte("b." + strings.Repeat("x", 1000))
	if !v.CanPublish(long) || v.CanPublish(long[2:]) {
		t.Error("long subjects")
	}
	subjects := make([][]byte, 200)
	for i := range subjects {
		subjects[i] = fmt.Appendf(nil, "b.%d", i)
		v.CanPublish(subjects[i])
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, s := range subjects {
			v.CanPublish(s)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestResponses(t *testing.T) {
	p := perms("", "", "", "", &config.ResponsePermission{})
	if p.CanPublish([]byte("x")) || !p.Restricted() {
		t.Error("no allow list and response permissions: nothing may be published")
	}
	x := []byte("x")
	r := NewResponses(p)
	if r.Answer(x) {
		t.Error("an answer without a request")
	}
	r.Delivered(x)
	first, second := r.Answer(x), r.Answer(x)
	if !first || second {
		t.Error("one answer is the default")
	}
	r.Delivered(x)
	r.Delivered(x)
	first, second = r.Answer(x), r.Answer(x)
	if third := r.Answer(x); !first || !second || third {
		t.Error("two requests, two answers")
	}
	r.Delivered(nil)
	if r.Answer(nil) {
		t.Error("no reply subject")
	}

	many := NewResponses(perms("ok", "", "", "", &config.ResponsePermission{Max: -1, Expires: -1}))
	many.Delivered(x)
	for range 100 {
		if !many.Answer(x) {
			t.Fatal("any number of answers")
		}
	}
	many.Delivered([]byte("ok"))
	if len(many.open) != 1 {
		t.Error("noted what may be published anyhow")
	}

	brief := NewResponses(perms("", "", "", "", &config.ResponsePermission{Max: 5, Expires: time.Millisecond}))
	brief.Delivered(x)
	brief.Delivered([]byte("y"))
	for brief.open["x"] != nil && !brief.open["x"].gone(time.Now()) {
		time.Sleep(time.Millisecond)
	}
	if brief.Answer(x) {
		t.Error("too late")
	}
	brief.sweepLocked(time.Now().Add(time.Second))
	if len(brief.open) != 0 {
		t.Errorf("%d left after a sweep", len(brief.open))
	}
	var none *Responses
	none.Delivered(x)
	if none.Answer(x) {
		t.Error("nil answers")
	}
}

func TestResponsesConcurrently(t *testing.T) {
	r := NewResponses(perms("", "", "", "", &config.ResponsePermission{Max: 1}))
	var wg sync.WaitGroup
	const n = 500
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range n {
				r.Delivered(fmt.Appendf(nil, "%d.%d", g, i))
			}
		}()
	}
	wg.Wait()
	for g := range 4 {
		for i := range n {
			if s := fmt.Appendf(nil, "%d.%d", g, i); !r.Answer(s) || r.Answer(s) {
				t.Fatalf("answers to %s", s)
			}
		}
	}
}

func TestOpen(t *testing.T) {
	if got := try(t, Open{}, Credentials{User: "x"}); got != "$G/" || (Open{}).Policy(config.Standard).Required {
		t.Error(got)
	}
}
