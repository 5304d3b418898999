package system_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/daemons"
)

const tenants = `
accounts {
  SYS { users: [{user: sys, password: pw}] }
  APP { users: [{user: ann, password: pw}], imports: [{service: {account: SYS, subject: "$SYS.DEBUG.SUBSCRIBERS"}}] }
  OTHER { users: [{user: bob, password: pw}] }
}
system_account: SYS
no_auth_user: ann
`

// TestTools plays the requests that the ecosystem's tools send against a cluster of two
// hubs, with the headers that they send, and looks at the figures that they show.
func TestTools(t *testing.T) {
	all := daemons.Cluster(t, "c", 2, func(int) string { return tenants })
	one, two := all[0], all[1]
	sys := one.Nats("sys", nats.Name("the CLI"))
	ann, ann2, bob := one.Nats("ann", nats.Name("ann1")), two.Nats("ann", nats.Name("ann2")), two.Nats("bob")
	sub := listen(t, ann2, "orders.*")
	one.Knows("APP", "orders.new", 0xff)
	if err := ann.Publish("orders.new", []byte("12345")); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.NextMsg(patience); err != nil {
		t.Fatal(err)
	}

	// server list, ping, watch; surveyor: a bare PING tells how many answers to expect.
	for _, v := range gather(t, sys, "$SYS.REQ.SERVER.PING", "", 2) {
		if at(v, "statsz", "active_servers") != 2.0 || at(v, "server", "cluster") != "c" || at(v, "statsz", "cores") == nil {
			t.Errorf("PING: %v", v)
		}
		if routes, _ := at(v, "statsz", "routes").([]any); len(routes) == 0 {
			t.Errorf("PING: no routes in %v", v)
		}
	}
	// server info NAME, and ID.
	v := snappy(t, sys, "$SYS.REQ.SERVER.PING.VARZ", `{"server_name":"c2","exact_match":true}`, 1)[0]
	if at(v, "data", "server_name") != "c2" || at(v, "data", "connections") != 2.0 || at(v, "data", "cluster", "name") != "c" {
		t.Errorf("server info: %v", v)
	}
	id := fmt.Sprint(at(v, "data", "server_id"))
	if v = snappy(t, sys, "$SYS.REQ.SERVER."+id+".VARZ", "", 1)[0]; at(v, "data", "server_id") != id {
		t.Errorf("server info by id: %v", v)
	}
	// server report connections, accounts.
	conns := 0.0
	for _, v := range snappy(t, sys, "$SYS.REQ.SERVER.PING.CONNZ", `{"auth":true,"subscriptions":true,"state":0,"limit":1024,"offset":0}`, 2) {
		conns += at(v, "data", "num_connections").(float64)
		for _, c := range at(v, "data", "connections").([]any) {
			if at(c, "account") == "" || at(c, "authorized_user") == "" {
				t.Errorf("report: %v", c)
			}
		}
	}
	if conns != 4 {
		t.Errorf("report connections: %v", conns)
	}
	snappy(t, sys, "$SYS.REQ.SERVER.PING.CONNZ", `{"offset":1025,"limit":1024}`, 2)
	// The other reports, checks and what surveyor reads.
	for _, z := range []string{"JSZ", "HEALTHZ", "GATEWAYZ", "ROUTEZ", "LEAFZ", "RAFTZ", "SUBSZ", "ACCOUNTZ", "EXPVARZ", "IPQUEUESZ"} {
		for _, v := range snappy(t, sys, "$SYS.REQ.SERVER.PING."+z, "{}", 2) {
			if v["error"] != nil || v["data"] == nil {
				t.Errorf("%s: %v", z, v)
			}
		}
	}
	for _, v := range gather(t, sys, "$SYS.REQ.SERVER.PING.HEALTHZ", `{"details":true}`, 2) {
		if at(v, "data", "status") != "ok" {
			t.Errorf("report health: %v", v)
		}
	}
	// surveyor: figures of all accounts.
	app := 0.0
	for _, v := range gather(t, sys, "$SYS.REQ.ACCOUNT.PING.STATZ", `{"include_unused":true}`, 2) {
		for _, a := range at(v, "data", "account_statz").([]any) {
			if at(a, "acc") == "APP" {
				app += at(a, "conns").(float64)
			}
		}
	}
	if app != 2 {
		t.Errorf("connections of APP: %v", app)
	}
	// account info, account report: an ordinary account asks all servers for itself.
	if v = request(t, ann, "$SYS.REQ.USER.INFO", ""); at(v, "data", "account") != "APP" || at(v, "data", "user") != "ann" {
		t.Errorf("USER.INFO: %v", v)
	}
	sum := 0.0
	for _, v := range gather(t, ann, "$SYS.REQ.ACCOUNT.PING.STATZ", "", 2) {
		list, _ := at(v, "data", "account_statz").([]any)
		if len(list) != 1 || at(list[0], "acc") != "APP" {
			t.Fatalf("STATZ by ann: %v", v)
		}
		sum += at(list[0], "conns").(float64)
	}
	if sum != 2 {
		t.Errorf("connections of APP by itself: %v", sum)
	}
	names := map[string]bool{}
	for _, v := range gather(t, bob, "$SYS.REQ.ACCOUNT.PING.CONNZ", `{"acc":"APP","auth":true}`, 2) {
		list, _ := at(v, "data", "connections").([]any)
		for _, c := range list {
			names[fmt.Sprint(at(c, "authorized_user"))] = true
		}
	}
	if len(names) != 1 || !names["bob"] {
		t.Errorf("connections shown to bob: %v", names)
	}
	// account-scoped requests of the system account.
	for _, z := range []string{"CONNZ", "SUBSZ", "LEAFZ", "INFO", "STATZ"} {
		for _, v := range gather(t, sys, "$SYS.REQ.ACCOUNT.APP."+z, "", 2) {
			if v["error"] != nil {
				t.Errorf("%s: %v", z, v)
			}
		}
	}
	for _, v := range gather(t, sys, "$SYS.REQ.ACCOUNT.APP.CONNS", "", 2) {
		if at(v, "conns") != 1.0 || at(v, "acc") != "APP" || at(v, "type") != "io.nats.server.advisory.v1.account_connections" {
			t.Errorf("CONNS: %v", v)
		}
	}
	// server config reload, request kick.
	two.System.SetReload(func() error { return nil })
	if v = request(t, sys, "$SYS.REQ.SERVER."+id+".RELOAD", ""); v["error"] != nil {
		t.Errorf("RELOAD: %v", v)
	}
	gone := make(chan struct{}, 10)
	bob.SetDisconnectErrHandler(func(*nats.Conn, error) { gone <- struct{}{} })
	cid, err := bob.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	if v = request(t, sys, "$SYS.REQ.SERVER."+id+".KICK", fmt.Sprintf(`{"cid":%d}`, cid)); v["error"] != nil {
		t.Errorf("KICK: %v", v)
	}
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("bob was not kicked")
	}
	// A service that accounts may import counts on all servers.
	listen(t, ann, "orders.new")
	if m, err := ann.Request("$SYS.DEBUG.SUBSCRIBERS", []byte("orders.*"), patience); err != nil || string(m.Data) != "2" {
		t.Errorf("DEBUG.SUBSCRIBERS: %v, %v", m, err)
	}
}

// snappy asks as the CLI does and decompresses the answers.
func snappy(t testing.TB, nc *nats.Conn, subject, body string, n int) (all []map[string]any) {
	t.Helper()
	answers := listen(t, nc, nats.NewInbox())
	m := nats.NewMsg(subject)
	m.Reply, m.Data = answers.Subject, []byte(body)
	m.Header.Set("Accept-Encoding", "snappy")
	if err := nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	for len(all) < n {
		a, err := answers.NextMsg(patience)
		if err != nil {
			t.Fatalf("%s: %v after %d answers", subject, err, len(all))
		}
		if a.Header.Get("Content-Encoding") != "snappy" {
			t.Fatalf("%s: headers %v", subject, a.Header)
		}
		b, err := io.ReadAll(s2.NewReader(bytes.NewReader(a.Data)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, decode(t, b))
	}
	return all
}
