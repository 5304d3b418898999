package client

import (
	"fmt"
	"strings"
	"testing"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/config"
)

// vault has accounts between which a little is shared. A exports the stream ev.>, the private
// stream secret.> to C, the service svc.*, a service per account pos.*.x and a private
// service adm to C; B imports what it may.
func vault(t *testing.T) *hub {
	cfg := &config.Config{}
	user := func(name, account string, p *config.Permissions) config.User {
		return config.User{Name: name, Password: config.Secret(name), Account: account, Permissions: p}
	}
	h := startHub(t, func(c *config.Config) {
		c.Accounts = []config.Account{
			{
				Name: "A", Users: []config.User{user("a", "A", nil)},
				Exports: []config.Export{
					{Stream: "ev.>"}, {Stream: "secret.>", Accounts: []string{"C"}},
					{Service: "svc.*"}, {Service: "pos.*.x", TokenPosition: 2}, {Service: "adm", Accounts: []string{"C"}},
				},
				Mappings: []account.Mapping{{Source: "in", To: []account.Destination{{Subject: "inner", Weight: 100}}}},
			},
			{
				Name: "B",
				Users: []config.User{
					user("b", "B", nil),
					user("limited", "B", &config.Permissions{
						Publish:   config.SubjectPermission{Deny: []string{"my.1", "fin"}},
						Subscribe: config.SubjectPermission{Allow: []string{"p.ev.*", "_INBOX.>"}, Deny: []string{"p.ev.no"}},
					}),
				},
				Imports: []config.Import{
					{Stream: &config.Source{Account: "A", Subject: "ev.>"}, Prefix: "p"},
					{Service: &config.Source{Account: "A", Subject: "svc.*"}, To: "my.$1"},
					{Service: &config.Source{Account: "A", Subject: "pos.B.x"}, To: "pos"},
				},
				Mappings: []account.Mapping{{Source: "door", To: []account.Destination{{Subject: "fin", Weight: 100}}}},
			},
			{Name: "C", Users: []config.User{user("c", "C", nil)}},
		}
		c.SystemAccount = "SYS"
		cfg = c
	})
	if err := h.broker.Share(cfg.Definitions()); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestBypass: ways by which something might get from one account to another, or past a
// permission, through what is shared. Each step is "user: operation"; want is all that
// the listener may have heard after them.
func TestBypass(t *testing.T) {
	pub := func(user, subj string, more ...string) string {
		return user + ": PUB " + strings.Join(append([]string{subj}, more...), " ") + " 1\r\nx\r\n"
	}
	sub := func(user, subj string, queue ...string) string {
		return user + ": SUB " + strings.Join(append([]string{subj}, queue...), " ") + " 1\r\n"
	}
	violation := func(what, subj string) string {
		return fmt.Sprintf("-ERR 'Permissions Violation for %s \"%s\"'\r\n", what, subj)
	}
	for _, c := range []struct {
		name     string
		steps    []string
		listener string
		want     string
	}{
		{"publishing under the exporter's name", []string{sub("a", ">"), pub("b", "ev.x")}, "a", ""},
		{"publishing into an imported stream", []string{sub("a", ">"), pub("b", "p.ev.x")}, "a", ""},
		{"a service by its own name", []string{sub("a", ">"), pub("b", "svc.1")}, "a", ""},
		{"a service that is not imported", []string{sub("a", ">"), pub("b", "adm")}, "a", ""},
		{"a private stream", []string{sub("b", ">"), pub("a", "secret.x")}, "b", ""},
		{"a private stream under the prefix", []string{sub("b", "p.secret.>"), pub("a", "secret.x")}, "b", ""},
		{"what is not exported, to everything", []string{sub("b", ">"), pub("a", "other")}, "b", ""},
		{"what is not exported, to the prefix", []string{sub("b", "p.>"), pub("a", "other.x")}, "b", ""},
		{"a third account", []string{sub("c", ">"), pub("a", "ev.x"), pub("b", "p.ev.x"), pub("b", "my.1")}, "c", ""},
		{"the exporter's name of an import", []string{sub("b", "ev.>"), pub("a", "ev.x")}, "b", ""},
		{"a wildcard that only covers the exporter's name", []string{sub("b", "*.x"), pub("a", "ev.x")}, "b", ""},
		{"the system account", []string{sub("b", "$SYS.>"), pub("a", "$SYS.ACCOUNT.B.X")}, "b", ""},
		{"another account's token", []string{sub("a", "pos.>"), pub("b", "pos.C.x")}, "a", ""},
		{"a wildcard as token", []string{sub("a", "pos.>"), pub("b", "pos.*.x")}, "a", ""},
		{"wildcards in a request", []string{sub("a", "svc.1"), pub("b", "my.*"), pub("b", "my.>")}, "a", ""},
		{"more tokens than the import has", []string{sub("a", ">"), pub("b", "my.1.2"), pub("b", "my")}, "a", ""},
		{"an empty token in a request", []string{sub("a", ">"), pub("b", "my.")}, "a", ""},
		{"answering who did not ask", []string{sub("b", "_INBOX.x"), pub("a", "_INBOX.x")}, "b", ""},
		{"guessing an answer's subject", []string{sub("b", ">"), pub("a", "_R_.000000.000000")}, "b", ""},
		{"an answer from the wrong side", []string{sub("a", ">"), pub("b", "_R_.000000.000000")}, "a", ""},
		{"listening to answers of others", []string{sub("a", "svc.1"), sub("c", "_R_.>"), pub("b", "my.1", "_INBOX.x")}, "c", ""},
		{"a reserved reply in a request", []string{sub("a", "svc.1"), pub("b", "my.1", "_R_.x.y")}, "b",
			violation("Publish with Reply of", "_R_.x.y")},
		{"a gateway's reply as subject", []string{sub("a", ">"), pub("b", "_GR_.abcdef.ghijkl.svc.1")}, "b",
			violation("Publish to", "_GR_.abcdef.ghijkl.svc.1")},
		{"a reply through a stream", []string{sub("a", "back"), sub("b", "p.ev.x"), pub("a", "ev.x", "back"), pub("b", "back")}, "a", ""},
		{"a group name does not open an account", []string{sub("b", "ev.x", "q"), sub("a", "none", "q"), pub("a", "ev.x")}, "b", ""},
		{"a denied local name, plain", []string{sub("limited", "p.ev.*"), pub("a", "ev.no")}, "limited", ""},
		{"a denied local name, in a group", []string{sub("limited", "p.ev.*", "q"), pub("a", "ev.no")}, "limited", ""},
		{"a wider wildcard than allowed", []string{sub("limited", "p.ev.>"), pub("a", "ev.a.b")}, "limited",
			violation("Subscription to", "p.ev.>")},
		{"a service whose local name is denied", []string{sub("a", "svc.1"), pub("limited", "my.1")}, "limited",
			violation("Publish to", "my.1")},
		{"a mapping around a denied subject", []string{sub("b", "fin"), pub("limited", "door")}, "limited",
			violation("Publish to", "fin")},
		{"the importer's mapping in the exporter", []string{sub("a", "fin"), pub("a", "door")}, "a", ""},
		{"the exporter's mapping in the importer", []string{sub("b", "inner"), pub("b", "in")}, "b", ""},
		{"the exporter's mapping to what is not shared", []string{sub("b", ">"), pub("a", "in")}, "b", ""},
		{"a request does not go on as a stream", []string{sub("b", "p.>"), pub("b", "my.1")}, "b", ""},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			h := vault(t)
			users := map[string]*raw{}
			for _, name := range []string{"a", "b", "c", "limited"} {
				users[name] = h.ready(t, userPass(name))
			}
			for _, step := range c.steps {
				name, op, _ := strings.Cut(step, ": ")
				users[name].send(op)
				if name != c.listener {
					users[name].sync(t)
				}
			}
			users[c.listener].ask("", c.want)
		})
	}
}

// sync waits until all that was sent has been handled.
func (c *raw) sync(t *testing.T) {
	t.Helper()
	c.send("PING\r\n")
	for c.line() != "PONG\r\n" {
	}
}

// TestHonestUse: what the same accounts do share, so that TestBypass shows something.
func TestHonestUse(t *testing.T) {
	h := vault(t)
	a, b, l := h.ready(t, userPass("a")), h.ready(t, userPass("b")), h.ready(t, userPass("limited"))
	l.ask("SUB p.ev.* 1\r\nSUB p.ev.* q 2\r\n", "")
	b.ask("SUB > 1\r\n", "")
	a.ask("PUB ev.yes 1\r\nx\r\n", "")
	l.expect("MSG p.ev.yes 1 1\r\nx\r\nMSG p.ev.yes 2 1\r\nx\r\n")
	b.expect("MSG p.ev.yes 1 1\r\nx\r\n")
	b.ask("UNSUB 1\r\n", "")
	a.ask("SUB svc.* 1\r\nSUB pos.> 2\r\n", "")
	for pub, want := range map[string]string{"my.1": "HMSG svc.1 1 ", "pos": "HMSG pos.B.x 2 "} {
		b.ask("PUB "+pub+" 1\r\nx\r\n", "")
		if got := a.line(); !strings.HasPrefix(got, want) {
			t.Errorf("%s arrives as %q", pub, got)
		}
		for a.line() != "x\r\n" {
		}
	}
}
