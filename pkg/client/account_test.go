package client

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/config"
)

// sharing makes a hub of accounts A and B with a user each of the same name.
func sharing(t *testing.T, change ...func(a, b *config.Account)) *hub {
	t.Helper()
	accounts := []config.Account{
		{Name: "A", Users: []config.User{{Name: "a", Password: "a", Account: "A"}}},
		{Name: "B", Users: []config.User{{Name: "b", Password: "b", Account: "B"}}},
	}
	for _, f := range change {
		f(&accounts[0], &accounts[1])
	}
	cfg := &config.Config{}
	h := startHub(t, func(c *config.Config) {
		c.Accounts = accounts
		c.Limits.MaxPayload = 1 << 20
		cfg = c
	})
	if err := h.broker.Share(cfg.Definitions()); err != nil {
		t.Fatal(err)
	}
	return h
}

func userPass(user string) string { return fmt.Sprintf(`"user":%q,"pass":%q`, user, user) }

// talk is the example of two foundations.
func talk(a, b *config.Account) {
	a.Exports = []config.Export{{Stream: "acme.>"}, {Service: "hello"}}
	b.Imports = []config.Import{
		{Stream: &config.Source{Account: "A", Subject: "acme.>"}, Prefix: "cncf"},
		{Service: &config.Source{Account: "A", Subject: "hello"}, To: "cncf.hello", Share: true},
	}
}

func TestTalk(t *testing.T) {
	h := sharing(t, talk)
	a, b := h.ready(t, userPass("a")), h.ready(t, userPass("b"))
	b.ask("SUB cncf.acme.> 1\r\nSUB _INBOX.> 2\r\n", "")
	a.ask("PUB acme.ticker reply.a 4\r\ntick\r\n", "")
	b.expect("MSG cncf.acme.ticker 1 reply.a 4\r\ntick\r\n")

	b.ask("PUB cncf.hello _INBOX.c 2\r\nhi\r\n", "HMSG _INBOX.c 2 42 42\r\nNATS/1.0 503\r\nNats-Subject: cncf.hello\r\n\r\n\r\n")
	a.ask("SUB hello q 9\r\n", "")
	b.ask("PUB cncf.hello _INBOX.c 2\r\nhi\r\n", "")
	line := a.line()
	m := regexp.MustCompile(`^HMSG hello 9 (_R_\.[0-9A-Za-z]{6}\.[0-9A-Za-z]{6}) \d+ \d+\r\n$`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("got %q", line)
	}
	a.expect("NATS/1.0\r\n")
	info := a.line()
	if !regexp.MustCompile(`^Nats-Request-Info: {"start":"[^"]+","host":"127.0.0.1","id":\d+,"acc":"B","user":"b","rtt":\d+,"server":"NTEST","kind":"Client","client_type":"nats"}\r\n$`).MatchString(info) {
		t.Errorf("got %q", info)
	}
	a.expect("\r\nhi\r\n")
	a.ask("PUB "+m[1]+" 5\r\nhello\r\n", "")
	b.expect("MSG _INBOX.c 2 5\r\nhello\r\n")
	// The second answer goes nowhere, and nobody but servers makes such replies.
	a.ask("PUB "+m[1]+" 5\r\nagain\r\n", "")
	b.ask("PUB cncf.hello "+m[1]+" 0\r\n\r\n", "-ERR 'Permissions Violation for Publish with Reply of \""+m[1]+"\"'\r\n")
	b.ask("UNSUB 1\r\n", "")
	a.ask("PUB acme.ticker 4\r\ntick\r\n", "")
	b.ask("", "")
}

// TestImportLimits: auto-unsubscribe counts what comes through imports, and a deny is of
// the local name, for groups too.
func TestImportLimits(t *testing.T) {
	h := sharing(t, talk, func(_, b *config.Account) {
		b.Users[0].Permissions = &config.Permissions{Subscribe: config.SubjectPermission{Deny: []string{"cncf.acme.secret"}}}
	})
	a, b := h.ready(t, userPass("a")), h.ready(t, userPass("b"))
	b.ask("SUB cncf.> 1\r\nUNSUB 1 2\r\nSUB cncf.acme.> q 2\r\n", "")
	a.ask("PUB acme.secret 1\r\n0\r\nPUB acme.x 1\r\n1\r\n", "")
	b.expect("MSG cncf.acme.x 1 1\r\n1\r\nMSG cncf.acme.x 2 1\r\n1\r\n")
	a.ask("PUB acme.y 1\r\n2\r\nPUB acme.z 1\r\n3\r\n", "")
	b.ask("", "MSG cncf.acme.y 1 1\r\n2\r\nMSG cncf.acme.y 2 1\r\n2\r\nMSG cncf.acme.z 2 1\r\n3\r\n")
	if n := h.broker.Account("A").Subscriptions(); n != 1 {
		t.Errorf("%d subscriptions in the exporting account", n)
	}
}

func TestMappings(t *testing.T) {
	h := sharing(t, func(a, _ *config.Account) {
		a.Mappings = []account.Mapping{
			{Source: "a", To: []account.Destination{{Subject: "b", Weight: 100}}},
			{Source: "b.*", To: []account.Destination{{Subject: "c.{{left(1,2)}}", Weight: 100}}},
			{Source: "lost", To: []account.Destination{{Subject: "lost", Weight: 0}}},
		}
		a.Users = append(a.Users, config.User{Name: "u", Password: "u", Account: "A",
			Permissions: &config.Permissions{Publish: config.SubjectPermission{Allow: []string{"a", "c.>"}}}})
	})
	s, p, u := h.ready(t, userPass("a")), h.ready(t, userPass("a")), h.ready(t, userPass("u"))
	s.ask("SUB > 1\r\nSUB r 2\r\n", "")
	p.ask("PUB a r 1\r\n1\r\nPUB a 1\r\n2\r\nPUB b.xyz 1\r\n3\r\nHPUB b.q 12 13\r\nNATS/1.0\r\n\r\n4\r\nPUB z 1\r\n5\r\nPUB lost 1\r\n6\r\n", "")
	s.expect("MSG b 1 r 1\r\n1\r\nMSG b 1 1\r\n2\r\nMSG c.xy 1 1\r\n3\r\nHMSG c.q 1 12 13\r\nNATS/1.0\r\n\r\n4\r\nMSG z 1 1\r\n5\r\n")
	u.ask("PUB a 1\r\n1\r\n", "-ERR 'Permissions Violation for Publish to \"b\"'\r\n")
	u.ask("PUB b.1 1\r\n7\r\n", "")
	s.expect("MSG c.1 1 1\r\n7\r\n")
	// No responders are told of the subject that the client knows.
	s.ask("UNSUB 1\r\nSUB a 1\r\n", "")
	s.ask("PUB a r 1\r\n8\r\n", "HMSG r 2 33 33\r\nNATS/1.0 503\r\nNats-Subject: a\r\n\r\n\r\n")
}

func TestAccountLimits(t *testing.T) {
	h := sharing(t, func(a, _ *config.Account) {
		a.Limits = account.Limits{MaxConnections: 2, MaxSubscriptions: 1, MaxPayload: 10}
	})
	c := h.dial(t)
	c.send("CONNECT " + quiet + "," + userPass("a") + "}\r\nPING\r\n")
	c.expect("PONG\r\n")
	if i := c.info(); i.MaxPayload != 10 {
		t.Errorf("INFO says %d", i.MaxPayload)
	}
	c.ask("SUB a 1\r\nSUB b 2\r\n", "-ERR 'maximum subscriptions exceeded'\r\n")
	h.ready(t, userPass("a"))
	late := h.dial(t)
	late.send("CONNECT " + quiet + "," + userPass("a") + "}\r\n")
	late.expect("-ERR 'maximum account active connections exceeded'\r\n")
	late.eof()
	h.ready(t, userPass("b"))
	c.send("PUB a 11\r\n")
	c.expect("-ERR 'Maximum Payload Violation'\r\n")
	c.eof()
}

// TestOfficialClient: requests with the mux inbox, load balanced over the exporter's group.
func TestOfficialClient(t *testing.T) {
	h := sharing(t, talk)
	var served [2]int
	for i := range served {
		nc := h.nats(t, nats.UserInfo("a", "a"))
		if _, err := nc.QueueSubscribe("hello", "q", func(m *nats.Msg) { served[i]++; m.Respond(m.Data) }); err != nil {
			t.Fatal(err)
		}
		nc.Flush()
	}
	nc := h.nats(t, nats.UserInfo("b", "b"))
	for i := range 100 {
		m, err := nc.Request("cncf.hello", fmt.Append(nil, i), patience)
		if err != nil || string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("%v, %v", m, err)
		}
	}
	eventually(t, "100 requests served", func() bool { return nc.Stats().InMsgs == 100 })
	if _, err := nc.Request("nobody", nil, time.Second); err != nats.ErrNoResponders {
		t.Errorf("%v", err)
	}
}
