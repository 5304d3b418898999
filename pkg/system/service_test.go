package system_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/system"
)

// TestRequests: each service by PING and by id.
func TestRequests(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	cid, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		z, body string
		path    []string
		want    any
	}{
		{"VARZ", "", []string{"data", "server_id"}, serverID},
		{"VARZ", "{}", []string{"data", "x_daemon"}, "hubd"},
		{"CONNZ", "", []string{"data", "num_connections"}, 1.0},
		{"CONNZ", `{"auth":true,"user":"ann"}`, []string{"data", "num_connections"}, 0.0},
		{"CONNZ", `{"state":1}`, []string{"data", "total"}, 0.0},
		{"CONNZ", fmt.Sprintf(`{"cid":%d}`, cid), []string{"data", "limit"}, 1.0},
		{"CONNZ", `{"sort":"zz"}`, []string{"error", "description"}, "invalid sorting option: zz"},
		{"CONNZ", `{"sort":"zz"}`, []string{"error", "code"}, 500.0},
		{"CONNZ", `{"limit":"x"}`, []string{"error", "code"}, 400.0},
		{"CONNZ", `garbage`, []string{"error", "description"}, "invalid character 'g' looking for beginning of value"},
		{"SUBSZ", `{"subscriptions":true,"account":"$SYS","test":"$SYS.REQ.SERVER.PING"}`, []string{"data", "total"}, 1.0},
		{"ROUTEZ", "", []string{"data", "num_routes"}, 0.0},
		{"GATEWAYZ", "", []string{"data", "server_id"}, serverID},
		{"LEAFZ", "", []string{"data", "leafnodes"}, 0.0},
		{"ACCOUNTZ", `{"account":"APP"}`, []string{"data", "account_detail", "account_name"}, "APP"},
		{"ACCOUNTZ", `{"account":"NOPE"}`, []string{"error", "description"}, "Account NOPE does not exist"},
		{"HEALTHZ", "", []string{"data", "status"}, "ok"},
		{"HEALTHZ", "", []string{"data", "status_code"}, 200.0},
		{"STATSZ", "", []string{"statsz", "active_servers"}, 1.0},
		{"STATSZ", "", []string{"statsz", "connections"}, 1.0},
		{"IDZ", "", []string{"id"}, serverID},
		{"IDZ", "", []string{"name"}, "alpha"},
	}
	for _, row := range rows {
		for _, to := range []string{"PING", serverID} {
			subject := "$SYS.REQ.SERVER." + to + "." + row.z
			v := request(t, nc, subject, row.body)
			if got := at(v, row.path...); got != row.want {
				t.Errorf("%s %s: %v is %v, want %v in %v", subject, row.body, row.path, got, row.want, v)
			}
			if _, failed := v["error"]; failed && v["data"] != nil {
				t.Errorf("%s: data with an error", subject)
			}
			if row.z != "IDZ" && at(v, "server", "id") != serverID {
				t.Errorf("%s: no server info: %v", subject, v)
			}
		}
	}
	if v := request(t, nc, "$SYS.REQ.SERVER.PING", ""); at(v, "statsz", "active_servers") != 1.0 {
		t.Errorf("PING: %v", v)
	}
	for _, unknown := range []string{"$SYS.REQ.SERVER.PING.NOPE", "$SYS.REQ.SERVER.PING.KICK", "$SYS.REQ.SERVER." + serverID + ".NOPE", "$SYS.REQ.ACCOUNT.APP.NOPE"} {
		if _, err := nc.Request(unknown, nil, patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: %v, want no responders", unknown, err)
		}
	}
}

// TestServerInfo: each field, and a seq that grows with each message.
func TestServerInfo(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	last := 0.0
	for _, z := range []string{"VARZ", "STATSZ", "CONNZ", "HEALTHZ"} {
		s := at(request(t, nc, "$SYS.REQ.SERVER.PING."+z, ""), "server")
		for key, want := range map[string]any{
			"name": "alpha", "host": "127.0.0.1", "id": serverID, "cluster": "sfo", "ver": "2.14.5", "jetstream": false, "flags": 0.0,
		} {
			if at(s, key) != want {
				t.Errorf("%s: %s is %v, want %v", z, key, at(s, key), want)
			}
		}
		seq, _ := at(s, "seq").(float64)
		if seq <= last {
			t.Errorf("%s: seq %v after %v", z, seq, last)
		}
		last = seq
		if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(at(s, "time"))); err != nil {
			t.Errorf("%s: %v", z, err)
		}
	}
}

// TestFilters: a request that is not for this server is not answered.
func TestFilters(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	rows := map[string]bool{
		`{"server_name":"alp"}`: true, `{"server_name":"alp","exact_match":true}`: false, `{"server_name":"alpha","exact_match":true}`: true,
		`{"server_name":"beta"}`: false, `{"cluster":"sf"}`: true, `{"cluster":"ams"}`: false, `{"host":"127"}`: true, `{"host":"10."}`: false,
		`{"tags":["ssd"]}`: true, `{"tags":["ssd","region:eu"]}`: true, `{"tags":["ssd","gpu"]}`: false, `{"domain":"hub"}`: false, `{}`: true,
		`{"server_name":"beta","limit":"not a number"}`: false,
	}
	inbox := nats.NewInbox()
	answers := listen(t, nc, inbox+".*")
	n := 0
	for body, want := range rows {
		n++
		if err := nc.PublishRequest("$SYS.REQ.SERVER.PING.VARZ", fmt.Sprintf("%s.%d", inbox, n), []byte(body)); err != nil {
			t.Fatal(err)
		}
		// Requests are answered in order: the answer to a second one ends the wait.
		if err := nc.PublishRequest("$SYS.REQ.SERVER.PING.IDZ", inbox+".end", nil); err != nil {
			t.Fatal(err)
		}
		m, _ := next(t, answers)
		got := m.Subject != inbox+".end"
		if got != want {
			t.Errorf("%s: answered: %v, want %v", body, got, want)
		}
		if got {
			if m, _ := next(t, answers); m.Subject != inbox+".end" {
				t.Errorf("%s: a second answer", body)
			}
		}
	}
}

// TestCompression: as the request asks.
func TestCompression(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	for accept, want := range map[string]string{"snappy": "snappy", "s2": "snappy", "gzip": "gzip", "br": "identity", "": ""} {
		m := nats.NewMsg("$SYS.REQ.SERVER.PING.VARZ")
		if accept != "" {
			m.Header.Set("Accept-Encoding", accept)
		}
		r, err := nc.RequestMsg(m, patience)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Header.Get("Content-Encoding"); got != want {
			t.Errorf("%q: Content-Encoding %q, want %q", accept, got, want)
		}
		body := r.Data
		switch want {
		case "snappy":
			body, err = io.ReadAll(s2.NewReader(bytes.NewReader(body)))
		case "gzip":
			var z *gzip.Reader
			if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
				body, err = io.ReadAll(z)
			}
		}
		if err != nil {
			t.Fatalf("%q: %v", accept, err)
		}
		if at(decode(t, body), "data", "server_id") != serverID {
			t.Errorf("%q: %s", accept, body)
		}
	}
	m := nats.NewMsg("$SYS.REQ.SERVER.PING")
	m.Header.Set("Accept-Encoding", "snappy")
	if r, err := nc.RequestMsg(m, patience); err != nil || r.Header.Get("Content-Encoding") != "" || decode(t, r.Data) == nil {
		t.Errorf("bare PING: %v, %v", r, err)
	}
}

// TestUserInfo: any user is told of itself, by its own server only.
func TestUserInfo(t *testing.T) {
	h := startHub(t)
	v := request(t, h.nats(t, ""), "$SYS.REQ.USER.INFO", "")
	d := at(v, "data")
	if at(d, "user") != "ann" || at(d, "account") != "APP" || at(v, "server", "id") != serverID {
		t.Errorf("%v", v)
	}
	p := at(d, "permissions")
	if got := fmt.Sprint(at(p, "subscribe", "allow")); got != "[_INBOX.> x.> q]" {
		t.Errorf("subscribe: %s", got)
	}
	if at(p, "responses", "max") != 2.0 || at(p, "responses", "ttl") != float64(time.Minute) {
		t.Errorf("responses: %v", at(p, "responses"))
	}
	if d := at(request(t, h.nats(t, "sys"), "$SYS.REQ.USER.INFO", ""), "data"); at(d, "account") != "$SYS" || at(d, "permissions") != nil {
		t.Errorf("%v", d)
	}
	// Accounts that are made later are served too.
	late := h.broker.Account("LATE")
	if !late.HasInterest([]byte("$SYS.REQ.USER.INFO")) {
		t.Error("an account that was made later is not served")
	}
	// What comes in from other servers is not for us.
	c := system.NewClient(h.broker, 0)
	defer c.Close()
	port := &broker.Port{ID: h.broker.NextID(), Class: broker.Route, Reach: broker.FromRoute, Origin: broker.Origin{Class: broker.Route}, Sink: nothing{}, Aggregate: true}
	in := h.broker.NewInlet(port)
	if n := in.Publish(&broker.Msg{Account: late, Subject: []byte("$SYS.REQ.USER.INFO"), Reply: []byte("r")}); n != 0 {
		t.Errorf("a request from another server went to %d", n)
	}
	if _, err := h.nats(t, "").Request("$SYS.REQ.SERVER.PING.VARZ", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("an ordinary account asks for VARZ: %v, want no responders", err)
	}
}

type nothing struct{}

func (nothing) Deliver(*broker.Msg, *broker.Sub) bool        { return true }
func (nothing) DeliverOnce(*broker.Msg, bool, [][]byte) bool { return true }
func (nothing) Flush()                                       {}

// TestAccountRequests: what can be asked of one account.
func TestAccountRequests(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	h.nats(t, "ann")
	for _, row := range []struct {
		subject, body string
		path          []string
		want          any
	}{
		{"APP.CONNZ", `{"acc":"OTHER"}`, []string{"data", "num_connections"}, 1.0},
		{"OTHER.CONNZ", "", []string{"data", "num_connections"}, 0.0},
		{"NOPE.CONNZ", "", []string{"data", "connections"}, nil},
		{"APP.SUBSZ", "", []string{"data", "num_subscriptions"}, 4.0},
		{"APP.LEAFZ", "", []string{"data", "leafnodes"}, 0.0},
		{"APP.INFO", "", []string{"data", "account_name"}, "APP"},
		{"NOPE.INFO", "", []string{"error", "code"}, 500.0},
		{"APP.CONNS", "", []string{"conns"}, 1.0},
		{"APP.CONNS", "", []string{"acc"}, "APP"},
		{"PING.CONNZ", "", []string{"data", "num_connections"}, 2.0},
	} {
		v := request(t, nc, "$SYS.REQ.ACCOUNT."+row.subject, row.body)
		if got := at(v, row.path...); got != row.want {
			t.Errorf("%s %s: %v is %v, want %v in %v", row.subject, row.body, row.path, got, row.want, v)
		}
	}
	for body, want := range map[string]int{"": 2, `{"accounts":["APP","OTHER"]}`: 1, `{"accounts":["APP","OTHER"],"include_unused":true}`: 2} {
		v := request(t, nc, "$SYS.REQ.ACCOUNT.PING.STATZ", body)
		if l, _ := at(v, "data", "account_statz").([]any); len(l) != want {
			t.Errorf("STATZ %s: %v, want %d accounts", body, l, want)
		}
	}
	// No connections: no answer at all.
	if _, err := nc.Request("$SYS.REQ.ACCOUNT.OTHER.CONNS", nil, 100*time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("CONNS of an account without connections: %v", err)
	}
}

// TestConnectionEvents: connect, disconnect, counts, refused.
func TestConnectionEvents(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	connects, ends := listen(t, nc, "$SYS.ACCOUNT.*.CONNECT"), listen(t, nc, "$SYS.ACCOUNT.*.DISCONNECT")
	counts, older := listen(t, nc, "$SYS.ACCOUNT.APP.SERVER.CONNS"), listen(t, nc, "$SYS.SERVER.ACCOUNT.APP.CONNS")
	refused := listen(t, nc, "$SYS.SERVER.*.CLIENT.AUTH.ERR")

	app := h.nats(t, "ann", nats.Name("orders"))
	m, v := next(t, connects)
	if m.Subject != "$SYS.ACCOUNT.APP.CONNECT" || v["type"] != "io.nats.server.advisory.v1.client_connect" || len(fmt.Sprint(v["id"])) != 22 {
		t.Errorf("%s: %v", m.Subject, v)
	}
	for key, want := range map[string]any{
		"acc": "APP", "user": "ann", "name": "orders", "lang": "go", "kind": "Client", "client_type": "nats", "host": "127.0.0.1",
	} {
		if got := at(v, "client", key); got != want {
			t.Errorf("client %s is %v, want %v", key, got, want)
		}
	}
	_, c := next(t, counts)
	_, o := next(t, older)
	if c["conns"] != 1.0 || c["acc"] != "APP" || c["total_conns"] != 1.0 || c["id"] != o["id"] || c["type"] != "io.nats.server.advisory.v1.account_connections" ||
		at(c, "server", "seq") == at(o, "server", "seq") {
		t.Errorf("counts: %v and %v", c, o)
	}

	if err := app.Publish("x.y", []byte("12345")); err != nil {
		t.Fatal(err)
	}
	if err := app.Flush(); err != nil {
		t.Fatal(err)
	}
	app.Close()
	m, v = next(t, ends)
	if m.Subject != "$SYS.ACCOUNT.APP.DISCONNECT" || v["reason"] != "Client Closed" || at(v, "sent", "msgs") != 1.0 || at(v, "sent", "bytes") != 5.0 ||
		at(v, "received", "msgs") != 0.0 || at(v, "client", "stop") == nil {
		t.Errorf("%s: %v", m.Subject, v)
	}
	if _, c := next(t, counts); c["conns"] != 0.0 {
		t.Errorf("counts: %v", c)
	}

	if _, err := nats.Connect("nats://"+h.clients.Addr().String(), nats.UserInfo("ann", "wrong")); err == nil {
		t.Fatal("a wrong password is taken")
	}
	m, v = next(t, refused)
	if m.Subject != "$SYS.SERVER."+serverID+".CLIENT.AUTH.ERR" || v["reason"] != "Authentication Failure" || v["type"] != "io.nats.server.advisory.v1.client_disconnect" {
		t.Errorf("%s: %v", m.Subject, v)
	}
}

// TestStatszByItself: published while somebody listens, not otherwise.
func TestStatszByItself(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	s := listen(t, nc, "$SYS.SERVER."+serverID+".STATSZ")
	_, v := next(t, s)
	if at(v, "server", "id") != serverID || at(v, "statsz", "start") == nil || at(v, "statsz", "mem") == nil {
		t.Errorf("%v", v)
	}
	// A request without a reply subject makes it be published.
	if err := nc.Publish("$SYS.REQ.SERVER.PING.STATSZ", nil); err != nil {
		t.Fatal(err)
	}
	next(t, s)
}

// TestOtherServers: who is heard is counted, until it says goodbye; what is older
// than what was heard is not believed.
func TestOtherServers(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	mine := listen(t, nc, "$SYS.SERVER."+serverID+".STATSZ")
	active := func() any { return at(request(t, nc, "$SYS.REQ.SERVER.PING", ""), "statsz", "active_servers") }
	say := func(id, what, body string) {
		t.Helper()
		if err := nc.Publish("$SYS.SERVER."+id+"."+what, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	say("NB", "STATSZ", `{"server":{"name":"b","id":"NB","seq":1},"statsz":{}}`)
	say("NC", "STATSZ", `{"server":{"name":"c","id":"NC","seq":1},"statsz":{}}`)
	say("NC", "STATSZ", `{"server":{"name":"c","id":"NC","seq":1},"statsz":{}}`)
	say("ND", "STATSZ", `no JSON`)
	say(serverID, "STATSZ", `{"server":{"id":"`+serverID+`","seq":1},"statsz":{}}`)
	if n := active(); n != 3.0 {
		t.Errorf("%v active servers, want 3", n)
	}
	// Newcomers are told who we are.
	for {
		if _, v := next(t, mine); at(v, "statsz") != nil && at(v, "server", "name") == "alpha" {
			break
		}
	}
	say("NB", "SHUTDOWN", `{"name":"b","id":"NB","seq":2}`)
	if n := active(); n != 2.0 {
		t.Errorf("%v active servers, want 2", n)
	}
}

// TestOrders: kick, lame duck, reload.
func TestOrders(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	to := "$SYS.REQ.SERVER." + serverID + "."
	kicked, lame := make(chan struct{}), make(chan struct{})
	app := h.nats(t, "ann", nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(kicked) }),
		nats.LameDuckModeHandler(func(*nats.Conn) { close(lame) }))
	cid, err := app.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		order, body string
		code        float64
		text        string
	}{
		{"KICK", `{"cid":99999}`, 500, "no such client or leafnode id"},
		{"KICK", ``, 400, `a body with "cid" is needed`},
		{"KICK", `x`, 400, "invalid character 'x' looking for beginning of value"},
		{"LDM", `{"cid":99999}`, 500, "no such client id"},
		{"RELOAD", ``, 500, "reloading is not supported by this daemon, restart it instead"},
	} {
		v := request(t, nc, to+row.order, row.body)
		if at(v, "error", "code") != row.code || at(v, "error", "description") != row.text {
			t.Errorf("%s %s: %v", row.order, row.body, v)
		}
	}
	body := fmt.Sprintf(`{"cid":%d}`, cid)
	if v := request(t, nc, to+"LDM", body); v["error"] != nil || v["server"] == nil {
		t.Errorf("LDM: %v", v)
	}
	await(t, lame)
	if v := request(t, nc, to+"KICK", body); v["error"] != nil || len(v) != 1 {
		t.Errorf("KICK: %v", v)
	}
	await(t, kicked)
}

func await(t *testing.T, c chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain")
	}
}

// TestEnd: LAMEDUCK when the process drains, SHUTDOWN as the last message.
func TestEnd(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t, "sys")
	all := listen(t, nc, "$SYS.SERVER."+serverID+".*")
	next(t, all) // STATSZ
	close(h.draining)
	m, v := next(t, all)
	for strings.HasSuffix(m.Subject, ".STATSZ") {
		m, v = next(t, all)
	}
	if !strings.HasSuffix(m.Subject, ".LAMEDUCK") || v["id"] != serverID || v["name"] != "alpha" {
		t.Errorf("%s: %v", m.Subject, v)
	}
	h.Close()
	for m, v = next(t, all); strings.HasSuffix(m.Subject, ".STATSZ"); m, v = next(t, all) {
	}
	if !strings.HasSuffix(m.Subject, ".SHUTDOWN") || v["id"] != serverID {
		t.Errorf("%s: %v", m.Subject, v)
	}
	if _, err := nc.Request("$SYS.REQ.SERVER.PING", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("after Close: %v, want no responders", err)
	}
	for _, a := range h.broker.Accounts() {
		a.EachSub(func(s *broker.Sub) bool {
			if s.SID == "" {
				t.Errorf("account %s: interest in %s is left", a.Name, s.Subject)
			}
			return true
		})
	}
	h.Close()
}

// TestWithoutSystemAccount: nothing is there, and nothing breaks.
func TestWithoutSystemAccount(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.NoSystemAccount = true })
	if _, err := h.nats(t, "ann").Request("$SYS.REQ.USER.INFO", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("%v, want no responders", err)
	}
	h.Close()
	system.New(h.options).Close()
}

// FuzzRequest: whatever the body, there is an answer in JSON or none, and the
// service lives.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"", "{}", "null", "[]", `"x"`, `{"server_name":1}`, `{"tags":null,"tags":["a"]}`, `{"offset":-1,"limit":1e99}`, `{"cid":-1}`,
		`{"subscriptions":true,"offset":9223372036854775807,"limit":9223372036854775807,"state":9}`, "\x00", strings.Repeat("[", 1000),
	} {
		f.Add("CONNZ", []byte(s), "snappy")
		f.Add("SUBSZ", []byte(s), "")
		f.Add("KICK", []byte(s), "x")
	}
	h := startHub(f)
	c := system.NewClient(h.broker, 0)
	f.Cleanup(c.Close)
	acc := h.broker.SystemAccount()
	answers := make(chan *system.Request, 16)
	c.Subscribe(acc, "answers.*", system.SubOptions{}, func(r *system.Request) { answers <- r })
	f.Fuzz(func(t *testing.T, z string, body []byte, accept string) {
		if z == "" || strings.ContainsAny(z, " .*>\r\n\t\x00") || strings.ContainsAny(accept, "\r\n") {
			return
		}
		hdr := []byte("NATS/1.0\r\nAccept-Encoding: " + accept + "\r\n\r\n")
		for _, subject := range []string{"$SYS.REQ.SERVER." + serverID + "." + z, "$SYS.REQ.ACCOUNT.APP." + z, "$SYS.REQ.ACCOUNT." + z + ".CONNZ"} {
			c.Publish(acc, subject, "answers.one", hdr, body)
		}
		c.Publish(acc, "$SYS.REQ.SERVER.PING.IDZ", "answers.end", nil, nil)
		for {
			select {
			case r := <-answers:
				if r.Subject == "answers.end" {
					return
				}
				if r.Payload[0] == '{' {
					decode(t, r.Payload)
				}
			case <-time.After(patience):
				t.Fatalf("%q %q: the service is silent", z, body)
			}
		}
	})
}

// TestAccountsThatNoSubjectCanName: what listens to all events is not sent lines
// that it can't read.
func TestAccountsThatNoSubjectCanName(t *testing.T) {
	odd := []string{"two words", "*", ">", "a..b", "tab\tbed", "line\r\nbreak"}
	h := startHub(t, func(c *config.Config) {
		for i, name := range odd {
			user := fmt.Sprint("odd", i)
			c.Accounts = append(c.Accounts, config.Account{Name: name, Users: []config.User{{Name: user, Password: "pw", Account: name}}})
		}
	})
	nc := h.nats(t, "sys")
	all := listen(t, nc, "$SYS.ACCOUNT.>")
	for i := range odd {
		h.nats(t, fmt.Sprint("odd", i)).Close()
	}
	h.nats(t, "ann")
	for {
		m, v := next(t, all)
		acc := at(v, "client", "acc")
		if acc == nil {
			acc = v["acc"]
		}
		if acc == "APP" && strings.HasSuffix(m.Subject, ".CONNECT") {
			break
		}
		if acc != "$SYS" {
			t.Errorf("%q: %v", m.Subject, v)
		}
	}
}
