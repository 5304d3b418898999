package intake_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/bcrypt"
)

// reload writes settings and puts them into force.
func (h *hub) reload(t testing.TB, conf string) {
	t.Helper()
	conf = fmt.Sprintf("listen: 127.0.0.1:-1, log_file: %q, debug: true\n%s", h.log, conf)
	if err := os.WriteFile(h.file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.Reload(); err != nil {
		t.Fatalf("%v in\n%s", err, conf)
	}
}

// byHand is a client without a library.
type byHand struct {
	nc net.Conn
	r  *bufio.Reader
}

func (h *hub) hand(t testing.TB, lines string) *byHand {
	t.Helper()
	nc, err := net.Dial("tcp", h.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &byHand{nc, bufio.NewReader(nc)}
	c.send(t, lines+"PING\r\n")
	c.until(t, "^PONG")
	c.until(t, "^INFO") // with connect_info
	return c
}

func (c *byHand) send(t testing.TB, lines string) {
	t.Helper()
	if _, err := io.WriteString(c.nc, lines); err != nil {
		t.Fatal(err)
	}
}

// until reads up to a line that matches, "EOF" for the end; what comes before must be
// nothing but INFO and PING.
func (c *byHand) until(t testing.TB, want string) {
	t.Helper()
	if err := c.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := c.r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		switch {
		case errors.Is(err, io.EOF) && want == "EOF":
			return
		case err != nil:
			t.Fatalf("want %s, got %v", want, err)
		case regexp.MustCompile(want).MatchString(line):
			return
		case !strings.HasPrefix(line, "INFO ") && line != "PING":
			t.Fatalf("want %s, got %s", want, line)
		}
	}
}

// TestReloadClients: what each change means for a client that is connected. "< line" is
// what it is sent then (EOF: it is closed), "> line" what it sends. The client stays
// unless it is said otherwise.
func TestReloadClients(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("p"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	const (
		joe   = `CONNECT {"verbose":false,"protocol":1,"user":"joe","pass":"p"}`
		any   = `CONNECT {"verbose":false,"protocol":1}`
		users = "accounts { A { users: [{user: joe, password: p}, {user: x, password: x}] }, B { users: [{user: b, password: b}] } }\n"
		auth  = "< -ERR 'Authorization Violation'\n< EOF"
	)
	one := func(user string) string {
		return "accounts { A { users: [{user: x, password: x}, " + user + "] }, B { users: [{user: b, password: b}] } }\n"
	}
	for _, c := range []struct{ name, before, client, after, then string }{
		{"nothing", users, joe, users, ""},
		{"user gone", users, joe, one("{user: y, password: y}"), "< EOF"},
		{"password changed", users, joe, one("{user: joe, password: other}"), auth},
		{"password hashed", users, joe, one("{user: joe, password: '" + string(hash) + "'}"), ""},
		{"account changed", users, joe, "accounts { A { users: [{user: x, password: x}] }, B { users: [{user: joe, password: p}] } }", "< EOF"},
		{"type not allowed", users, joe, one("{user: joe, password: p, allowed_connection_types: [LEAFNODE]}"), auth},
		{"other user changed", users, joe, strings.Replace(users, "password: x", "password: y", 1), ""},
		{"subscriptions", users, joe + "\nSUB a 1\nSUB b q 2\nSUB c 3", one("{user: joe, password: p, permissions: {subscribe: {allow: [c]}}}"),
			"< -ERR 'Permissions Violation for Subscription to \"a\" (sid \"1\")'\n" +
				"< -ERR 'Permissions Violation for Subscription to \"b\" using queue \"q\" (sid \"2\")'\n> PUB c 1\n> x\n< MSG c 3 1\n< x\n" +
				"> SUB a 4\n< -ERR 'Permissions Violation for Subscription to \"a\"'"},
		{"publishing", users, joe + "\nSUB > 1", one("{user: joe, password: p, permissions: {publish: {deny: [a]}}}"),
			"> PUB a 1\n> x\n< -ERR 'Permissions Violation for Publish to \"a\"'\n> PUB b 1\n> x\n< MSG b 1 1\n< x"},
		{"everything allowed", one("{user: joe, password: p, permissions: {publish: {deny: [a]}, subscribe: {deny: [b]}}}"), joe,
			users, "> SUB b 1\n> PUB b 1\n> x\n< MSG b 1 1\n< x\n> SUB a 2\n> PUB a 1\n> x\n< MSG a 2 1\n< x"},
		{"auth turned on", "", any, users, auth},
		{"auth turned on for who shows it", "", joe, "authorization {users: [{user: joe, password: p}]}", ""},
		{"auth turned off", "authorization {users: [{user: joe, password: p}]}", joe, "", "< EOF"},
		{"token", "authorization {token: t}", `CONNECT {"verbose":false,"protocol":1,"auth_token":"t"}`, "authorization {token: u}", auth},
		{"single user", "authorization {user: joe, password: p}", joe, "authorization {user: joe, password: q}", auth},
		{"no_auth_user goes", users + "no_auth_user: x", any, users, auth},
		{"no_auth_user changes account", users + "no_auth_user: x", any, users + "no_auth_user: b", "< EOF"},
		{"max_connections", "", any, "max_connections: 0", "< -ERR 'maximum connections exceeded'\n< EOF"},
		{"max_payload", "max_payload: 100", any, "max_payload: 10", "< INFO .*\"max_payload\":10,.*\n> PUB a 11\n> 12345678901\n< -ERR 'Maximum Payload Violation'\n< EOF"},
		{"max_payload up", "max_payload: 10", any + "\nSUB a 1", "max_payload: 100", "< INFO .*\"max_payload\":100,.*\n> PUB a 11\n> 12345678901\n< MSG a 1 11\n< 12345678901"},
		{"max_control_line", "", any, "max_control_line: 16", "> SUB averylongsubjectindeed 1\n< -ERR 'maximum control line exceeded'\n< EOF"},
		{"max_subscriptions", "", any + "\nSUB a 1", "max_subscriptions: 1", "> SUB b 2\n< -ERR 'maximum subscriptions exceeded'"},
		{"ping", "", any, "ping_interval: '50ms'", "< PING"},
		{"account limit", users, joe, strings.Replace(users, "A { users", "A { limits: {max_subscriptions: 1}, users", 1), "> SUB a 1\n> SUB b 2\n< -ERR 'maximum subscriptions exceeded'"},
		{"mapping", users, joe + "\nSUB to 1", strings.Replace(users, "A { users", "A { mappings: {from: to}, users", 1), "> PUB from 1\n> x\n< MSG to 1 1\n< x"},
		{"export and import", users, joe + "\nSUB a 1", `accounts { A { users: [{user: joe, password: p}], imports: [{stream: {account: B, subject: a}}] }, B { users: [{user: b, password: b}], exports: [{stream: a}] } }`,
			"b> PUB a 1\nb> x\n< MSG a 1 1\n< x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, c.before)
			cl := h.hand(t, strings.ReplaceAll(c.client, "\n", "\r\n")+"\r\n")
			h.reload(t, c.after)
			closed := false
			for _, line := range strings.Split(c.then, "\n") {
				switch {
				case line == "":
				case strings.HasPrefix(line, "> "):
					cl.send(t, line[2:]+"\r\n")
				case line == "b> x":
				case strings.HasPrefix(line, "b> "):
					h.hand(t, `CONNECT {"verbose":false,"protocol":1,"user":"b","pass":"b"}`+"\r\n").send(t, line[3:]+"\r\nx\r\n")
				case line == "< EOF":
					cl.until(t, "EOF")
					closed = true
				case strings.HasPrefix(line, "< INFO"):
					cl.until(t, line[2:])
				default:
					cl.until(t, "^"+regexp.QuoteMeta(line[2:])+"$")
				}
			}
			if !closed {
				cl.send(t, "PING\r\n")
				cl.until(t, "^PONG$")
			}
		})
	}
}

// TestReloadWriteDeadline: it counts for a client that was there before.
func TestReloadWriteDeadline(t *testing.T) {
	h := start(t, `write_deadline: "1m"`)
	slow := h.hand(t, `CONNECT {"verbose":false,"protocol":1,"name":"slow"}`+"\r\nSUB a 1\r\n")
	h.reload(t, `write_deadline: "100ms"`)
	nc := h.connect(t)
	block := make([]byte, 64<<10)
	for range 400 { // more than sockets hold, and less than may wait
		if err := nc.Publish("a", block); err != nil {
			t.Fatal(err)
		}
	}
	if r := h.closed(t, "slow").Reason.String(); r != "Slow Consumer (Write Deadline)" {
		t.Errorf("closed with %q", r)
	}
	slow.nc.Close()
}

// TestReloadCallout: services that decide about logins come, change and go. Whom one has
// placed stays as long as it is the one.
func TestReloadCallout(t *testing.T) {
	one, two := newService(t, false), newService(t, true)
	conf := func(callout string) string {
		return accounts + "authorization { failed_login_delay: 0s, timeout: 1, " + callout + "}\n"
	}
	for _, s := range []*service{one, two} {
		s.set(func(r *request) []byte { return r.allow("APP", nil) })
	}
	h := start(t, conf(""))
	errs := make(chan error, 10)
	svc := h.connect(t, nats.UserInfo("svc", "s3cret"), nats.Name("service"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	sub := one.serve(svc)
	known := h.connect(t, nats.UserInfo("known", "right"), nats.Name("known"))
	stranger := func(name string) *nats.Conn {
		t.Helper()
		nc := h.connect(t, nats.UserInfo("stranger", "x"), nats.Name(name))
		if u := info(t, nc); u["account"] != "APP" || u["user"] != "stranger" {
			t.Errorf("%s: %v", name, u)
		}
		return nc
	}
	refused := func(what string) {
		t.Helper()
		if nc, err := h.try(nats.UserInfo("stranger", "x")); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", what, err)
			if err == nil {
				nc.Close()
			}
		}
	}
	mayAsk := func(may bool) {
		t.Helper()
		if err := svc.Publish("$SYS.REQ.USER.AUTH", nil); err != nil {
			t.Fatal(err)
		}
		if err := svc.Flush(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-errs:
			if may {
				t.Errorf("the service's user: %v", err)
			}
		case <-time.After(50 * time.Millisecond):
			if !may {
				t.Error("the service's user may ask it")
			}
		}
	}
	refused("without a service")

	h.reload(t, conf(one.settings()))
	first := stranger("first")
	mayAsk(false)
	h.reload(t, conf(one.settings())+"max_payload: 1000")
	if err := first.Flush(); err != nil {
		t.Errorf("whom the service has placed: %v", err)
	}

	// Another service: whom the former has placed goes without a word, to be asked about.
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	sub = two.serve(svc)
	h.reload(t, conf(two.settings()))
	if i := h.closed(t, "first"); i.Reason.String() != "Client Closed" {
		t.Errorf("closed with %s", i.Reason)
	}
	stranger("second")
	mayAsk(false)

	// None again.
	h.reload(t, conf(""))
	if i := h.closed(t, "second"); i.Reason.String() != "Authentication Failure" {
		t.Errorf("closed with %s", i.Reason)
	}
	refused("without a service again")
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	mayAsk(true)
	for name, nc := range map[string]*nats.Conn{"known": known, "svc": svc} {
		if err := nc.Flush(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
