package system_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/config"
)

// gather sends a request and collects answers until there were n, and then for a moment
// whether there are more.
func gather(t testing.TB, nc *nats.Conn, subject, body string, n int) []map[string]any {
	t.Helper()
	answers := listen(t, nc, nats.NewInbox())
	if err := nc.PublishRequest(subject, answers.Subject, []byte(body)); err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for len(all) < n {
		m, v := next(t, answers)
		if m.Header.Get("Status") == "503" {
			t.Fatalf("%s: no responders", subject)
		}
		all = append(all, v)
	}
	if m, err := answers.NextMsg(50 * time.Millisecond); err == nil {
		t.Fatalf("%s: one answer too many: %s", subject, m.Data)
	}
	return all
}

// TestOwnAccount: ordinary accounts ask for themselves, whatever they write.
func TestOwnAccount(t *testing.T) {
	h := startHub(t)
	sys := h.nats(t, "sys")
	ann := h.nats(t, "ann", nats.Name("anns"))
	bob := h.nats(t, "bob", nats.Name("bobs"))
	for _, subject := range []string{"$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"} {
		for _, body := range []string{"", `{"auth":true,"acc":"APP"}`, `{"acc":"$SYS"}`} {
			v := gather(t, bob, subject, body, 1)[0]
			list, _ := at(v, "data", "connections").([]any)
			if len(list) != 1 || at(list[0], "name") != "bobs" {
				t.Errorf("%s %s by bob: %v", subject, body, v)
			}
		}
		if v := gather(t, sys, subject, "", 1)[0]; at(v, "data", "num_connections") != 3.0 {
			t.Errorf("%s by sys: %v", subject, v)
		}
	}
	v := gather(t, ann, "$SYS.REQ.ACCOUNT.PING.STATZ", `{"accounts":["OTHER"]}`, 1)[0]
	list, _ := at(v, "data", "account_statz").([]any)
	if len(list) != 1 || at(list[0], "acc") != "APP" || at(list[0], "conns") != 1.0 {
		t.Errorf("STATZ by ann: %v", v)
	}
	for _, z := range []string{"$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.OTHER.CONNZ", "$SYS.REQ.ACCOUNT.PING.SUBSZ", "$SYS.REQ.SERVER." + serverID + ".CONNZ"} {
		if _, err := bob.Request(z, nil, patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s by bob: %v, want no responders", z, err)
		}
	}
	// The header that says who asks can't be made up.
	m := nats.NewMsg("$SYS.REQ.ACCOUNT.PING.CONNZ")
	m.Header["Nats-Request-Info"] = []string{`{"acc":"APP"}`}
	got, err := bob.RequestMsg(m, patience)
	if err != nil {
		t.Fatal(err)
	}
	if v := decode(t, got.Data); at(v, "data", "num_connections") != 1.0 {
		t.Errorf("with a header of its own: %v", v)
	}
}

// TestSpecialAnswers: what is asked of a server besides its reports.
func TestSpecialAnswers(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	ask := func(z, body string) map[string]any {
		t.Helper()
		return request(t, nc, "$SYS.REQ.SERVER."+serverID+"."+z, body)
	}
	for body, want := range map[string]string{
		"":                                      "Profile name not specified",
		`{"name":"zz"}`:                         `Profile "zz" not found`,
		`{"name":"cpu","duration":20000000000}`: "Duration 20s should be between 0s and 15s",
	} {
		if v := ask("PROFILEZ", body); at(v, "data", "error") != want {
			t.Errorf("PROFILEZ %s: %v", body, v)
		}
	}
	for _, body := range []string{`{"name":"goroutine","debug":1}`, `{"name":"cpu","duration":1000000}`} {
		if p, _ := at(ask("PROFILEZ", body), "data", "profile").(string); p == "" {
			t.Errorf("PROFILEZ %s: no profile", body)
		}
	}
	v := ask("EXPVARZ", "")
	if at(v, "data", "memstats", "HeapAlloc") == nil || at(v, "data", "cmdline") == nil {
		t.Errorf("EXPVARZ: %v", v)
	}
	if v := ask("JSZ", ""); at(v, "data", "disabled") != true || at(v, "data", "server_id") != serverID {
		t.Errorf("JSZ: %v", v)
	}
	if v := ask("JSZ", `{"account":"NOPE"}`); at(v, "error", "description") != `account "NOPE" not found` {
		t.Errorf("JSZ of no account: %v", v)
	}
	if v := request(t, nc, "$SYS.REQ.ACCOUNT.APP.JSZ", ""); at(v, "error", "description") != `account "APP" not jetstream enabled` {
		t.Errorf("JSZ of an account: %v", v)
	}
	for _, z := range []string{"RAFTZ", "IPQUEUESZ"} {
		if d, ok := at(ask(z, ""), "data").(map[string]any); !ok || len(d) != 0 {
			t.Errorf("%s: %v", z, d)
		}
	}
	if v := ask("RELOAD", ""); at(v, "error", "code") != 500.0 {
		t.Errorf("RELOAD: %v", v)
	}
}

// TestReload: the hook's result is the answer.
func TestReload(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	results := []error{nil, errors.New("no such file")}
	n := 0
	h.Service.SetReload(func() error { n++; return results[n-1] })
	to := "$SYS.REQ.SERVER." + serverID + ".RELOAD"
	v := request(t, nc, to, "")
	if v["error"] != nil || v["data"] != nil || at(v, "server", "id") != serverID {
		t.Errorf("success: %v", v)
	}
	if v = request(t, nc, to, ""); at(v, "error", "description") != "no such file" {
		t.Errorf("failure: %v", v)
	}
	if got := fmt.Sprint(at(v, "error", "code")); got != fmt.Sprint(http.StatusInternalServerError) {
		t.Errorf("code %s", got)
	}
}

// TestDebugSubscribers counts what accounts that import the service subscribe to.
func TestDebugSubscribers(t *testing.T) {
	h := startHub(t, func(c *config.Config) {
		i := config.Import{Service: &config.Source{Account: "$SYS", Subject: "$SYS.DEBUG.SUBSCRIBERS"}}
		c.Accounts[2].Imports = []config.Import{i}
	})
	if err := h.broker.Share(h.options.Config.Definitions()); err != nil {
		t.Fatal(err)
	}
	if p := account.Check(h.options.Config.Definitions()); len(p) > 0 {
		t.Fatal(p[0].Err)
	}
	bob, ann := h.nats(t, "bob"), h.nats(t, "ann")
	listen(t, bob, "x.one")
	listen(t, bob, "x.*")
	if _, err := bob.QueueSubscribeSync("x.two", "q"); err != nil {
		t.Fatal(err)
	}
	listen(t, ann, "_INBOX.one")
	for body, want := range map[string]string{"x.one": "1", "x.*": "2", "x.> q": "1", "y": "0"} {
		m, err := bob.Request("$SYS.DEBUG.SUBSCRIBERS", []byte(body), patience)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if got := strings.TrimSpace(string(m.Data)); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}
