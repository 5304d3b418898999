//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/e2e/estate"
)

// tool asks as the official CLI does: how many servers there are is asked first, answers
// are compressed, and the last one has come 300 ms after the one before.
type tool struct {
	t  *testing.T
	nc *nats.Conn
}

func (c *tool) gather(subject, body string, snappy bool, want int) (all []map[string]any) {
	c.t.Helper()
	inbox := c.nc.NewInbox()
	sub, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	m := nats.NewMsg(subject)
	m.Reply, m.Data = inbox, []byte(body)
	if snappy {
		m.Header.Set("Accept-Encoding", "snappy")
	}
	if err := c.nc.PublishMsg(m); err != nil {
		c.t.Fatal(err)
	}
	limit := estate.Patience / 2
	for want == 0 || len(all) < want {
		a, err := sub.NextMsg(limit)
		if err != nil {
			break
		}
		if a.Header.Get("Status") == "503" {
			c.t.Fatalf("%s: no responders", subject)
		}
		b := a.Data
		if snappy {
			if a.Header.Get("Content-Encoding") != "snappy" {
				c.t.Fatalf("%s: headers %v", subject, a.Header)
			}
			if b, err = io.ReadAll(s2.NewReader(bytes.NewReader(b))); err != nil {
				c.t.Fatal(err)
			}
		}
		var v map[string]any
		if err := json.Unmarshal(b, &v); err != nil {
			c.t.Fatalf("%s: %v in %s", subject, err, b)
		}
		if v["error"] != nil {
			c.t.Fatalf("%s %s: %v", subject, body, v["error"])
		}
		all = append(all, v)
		if want == 0 {
			limit = 300 * time.Millisecond
		}
	}
	return all
}

// expect is how many servers there are, as the first to answer says.
func (c *tool) expect() int {
	c.t.Helper()
	n, _ := dig(c.gather("$SYS.REQ.SERVER.PING", "", false, 1)[0], "statsz", "active_servers").(float64)
	return int(n)
}

// ask asks all servers, and wants an answer of each.
func (c *tool) ask(z, body string) map[string]map[string]any {
	c.t.Helper()
	want := c.expect()
	by := make(map[string]map[string]any)
	for _, v := range c.gather("$SYS.REQ.SERVER.PING."+z, body, true, want) {
		by[fmt.Sprint(dig(v, "server", "name"))] = v
	}
	if len(by) != want {
		c.t.Fatalf("%s: answers of %d servers, want %d", z, len(by), want)
	}
	return by
}

// dig walks into objects by a path of names.
func dig(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

func num(v any, path ...string) float64 {
	n, _ := dig(v, path...).(float64)
	return n
}

func items(v any, path ...string) []any {
	list, _ := dig(v, path...).([]any)
	return list
}

// TestCLIAgainstACluster plays what the official CLI sends against three hubs with some
// traffic, and looks at the figures that it would print.
func TestCLIAgainstACluster(t *testing.T) {
	const msgs = 200
	e := estate.New(t, bins)
	var hubs []*estate.Node
	for _, name := range []string{"n1", "n2", "n3"} {
		h := e.Hub(estate.HubSpec{Name: name, Cluster: "cli", Routes: slices.Clone(hubs)})
		e.Start(h)
		hubs = append(hubs, h)
	}
	e.AwaitMesh(&estate.Region{Hubs: hubs})
	sys := e.Connect(hubs[0], nats.UserInfo("sys", estate.Password), nats.Name("NATS CLI Version test"))
	cli := &tool{t, sys}
	e.Eventually("each server knows of all", func() error {
		for _, v := range cli.gather("$SYS.REQ.SERVER.PING", "", false, 0) {
			if n := num(v, "statsz", "active_servers"); n != 3 {
				return fmt.Errorf("%v counts %v", dig(v, "server", "name"), n)
			}
		}
		return nil
	})
	pub := e.Connect(hubs[0], nats.Name("pub"))
	other := e.Connect(hubs[2], nats.UserInfo("other", estate.Password), nats.Name("other"))
	var subs []*nats.Subscription
	for i, h := range hubs[1:] {
		nc := e.Connect(h, nats.Name(fmt.Sprintf("sub%d", i)))
		sub, err := nc.SubscribeSync("orders.>")
		if err == nil {
			err = nc.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	e.Eventually("interest is known", func() error {
		if err := pub.Publish("orders.warm", nil); err != nil {
			return err
		}
		for _, s := range subs {
			if _, err := s.NextMsg(time.Second); err != nil {
				return err
			}
		}
		return nil
	})
	type flow struct{ in, out float64 }
	before := map[string]flow{}
	for _, v := range cli.ask("CONNZ", `{"auth":true}`) {
		for _, c := range items(v, "data", "connections") {
			before[fmt.Sprint(dig(c, "name"))] = flow{num(c, "in_msgs"), num(c, "out_msgs")}
		}
	}
	for range msgs {
		if err := pub.Publish("orders.new", []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range subs {
		for got := 0; got < msgs; {
			m, err := s.NextMsg(estate.Patience)
			if err != nil {
				t.Fatal(err)
			}
			if m.Subject == "orders.new" {
				got++
			}
		}
	}

	t.Run("server list and ping", func(t *testing.T) {
		cli := &tool{t, sys}
		seen := map[string]bool{}
		conns := 0.0
		for _, v := range cli.gather("$SYS.REQ.SERVER.PING", "", false, 0) {
			seen[fmt.Sprint(dig(v, "server", "name"))] = true
			conns += num(v, "statsz", "connections")
			if dig(v, "server", "cluster") != "cli" || !regexp.MustCompile(`^2\.\d+\.\d+$`).MatchString(fmt.Sprint(dig(v, "server", "ver"))) ||
				len(items(v, "statsz", "routes")) < 2 || num(v, "statsz", "cores") < 1 || num(v, "statsz", "mem") <= 0 || num(v, "statsz", "subscriptions") <= 0 {
				t.Errorf("%v", v)
			}
			if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(dig(v, "statsz", "start"))); err != nil || time.Since(at) > time.Hour {
				t.Errorf("start %v, %v", dig(v, "statsz", "start"), err)
			}
		}
		if !maps.Equal(seen, map[string]bool{"n1": true, "n2": true, "n3": true}) || conns != 5 {
			t.Errorf("servers %v, %v connections", seen, conns)
		}
	})
	t.Run("server info", func(t *testing.T) {
		cli := &tool{t, sys}
		list := cli.gather("$SYS.REQ.SERVER.PING.VARZ", `{"server_name":"n2","exact_match":true}`, true, 0)
		if len(list) != 1 || dig(list[0], "data", "server_name") != "n2" || dig(list[0], "data", "cluster", "name") != "cli" || len(items(list[0], "data", "cluster", "urls")) != 1 {
			t.Fatalf("by name: %v", list)
		}
		id := fmt.Sprint(dig(list[0], "data", "server_id"))
		if v := cli.gather("$SYS.REQ.SERVER."+id+".VARZ", "", true, 1)[0]; dig(v, "data", "server_id") != id || dig(v, "data", "system_account") != "SYS" {
			t.Errorf("by id: %v", v)
		}
	})
	t.Run("server check", func(t *testing.T) {
		cli := &tool{t, sys}
		data, _ := dig(cli.ask("VARZ", `{"server_name":"n"}`)["n1"], "data").(map[string]any)
		for _, key := range []string{"cpu", "mem", "connections", "subscriptions", "start", "now", "uptime"} {
			if _, ok := data[key]; !ok {
				t.Errorf("check server reads %s, which is not there", key)
			}
		}
		if data["auth_required"] != true || data["connections"] != 2.0 {
			t.Errorf("auth_required %v, connections %v", data["auth_required"], data["connections"])
		}
		// check connection: how long it takes to connect, a round trip, and a message through it.
		for _, h := range hubs {
			began := time.Now()
			nc := e.Connect(h)
			took := time.Since(began)
			rtt, err := nc.RTT()
			if err != nil || rtt <= 0 || took <= 0 {
				t.Errorf("%s: round trip %v, %v", h.Name, rtt, err)
			}
			sub, err := nc.SubscribeSync(nc.NewInbox())
			if err == nil {
				err = nc.Publish(sub.Subject, []byte("ping"))
			}
			if err == nil {
				_, err = sub.NextMsg(estate.Patience)
			}
			if err != nil {
				t.Errorf("%s: %v", h.Name, err)
			}
			nc.Close()
		}
	})
	t.Run("server report connections and accounts", func(t *testing.T) {
		cli := &tool{t, sys}
		names := map[string]any{}
		type sum struct{ conns, in, out, subs float64 }
		accounts := map[string]sum{}
		for server, v := range cli.ask("CONNZ", `{"auth":true,"subscriptions":true,"state":0,"limit":1024,"offset":0}`) {
			for _, c := range items(v, "data", "connections") {
				if strings.HasPrefix(fmt.Sprint(dig(c, "name")), t.Name()) || dig(c, "name") == "TestCLIAgainstACluster" {
					continue
				}
				names[fmt.Sprint(dig(c, "name"))] = server
				if dig(c, "ip") != "127.0.0.1" || dig(c, "uptime") == nil || dig(c, "kind") != "Client" || dig(c, "lang") != "go" || dig(c, "authorized_user") == nil {
					t.Errorf("%v", c)
				}
				name := fmt.Sprint(dig(c, "name"))
				got := flow{num(c, "in_msgs") - before[name].in, num(c, "out_msgs") - before[name].out}
				a := accounts[fmt.Sprint(dig(c, "account"))]
				a.conns, a.in, a.out, a.subs = a.conns+1, a.in+got.in, a.out+got.out, a.subs+num(c, "subscriptions")
				accounts[fmt.Sprint(dig(c, "account"))] = a
				switch {
				case name == "pub" && (got != flow{msgs, 0} || num(c, "in_bytes") != 10*msgs):
					t.Errorf("pub: %+v messages, %v bytes", got, dig(c, "in_bytes"))
				case strings.HasPrefix(name, "sub") && got != flow{0, msgs}:
					t.Errorf("%s: %+v messages", name, got)
				}
			}
		}
		if want := map[string]any{"NATS CLI Version test": "n1", "pub": "n1", "sub0": "n2", "sub1": "n3", "other": "n3"}; !maps.Equal(names, want) {
			t.Errorf("connections %v, want %v", names, want)
		}
		if a := accounts["APP"]; a.conns != 3 || a.in != msgs || a.out != 2*msgs || a.subs != 2 || accounts["OTHER"].conns != 1 || accounts["SYS"].conns != 1 {
			t.Errorf("accounts %+v", accounts)
		}
		// One account only; and a page behind the last.
		n := 0.0
		for _, v := range cli.ask("CONNZ", `{"auth":true,"acc":"OTHER"}`) {
			n += num(v, "data", "num_connections")
		}
		if n != 1 {
			t.Errorf("connections of OTHER: %v", n)
		}
		for _, v := range cli.ask("CONNZ", `{"offset":1025,"limit":1024}`) {
			if len(items(v, "data", "connections")) != 0 {
				t.Errorf("a second page: %v", v)
			}
		}
	})
	t.Run("server reports of links, health and streams", func(t *testing.T) {
		cli := &tool{t, sys}
		for server, v := range cli.ask("ROUTEZ", "{}") {
			peers := map[string]bool{}
			for _, r := range items(v, "data", "routes") {
				peers[fmt.Sprint(dig(r, "remote_name"))] = true
			}
			if len(peers) != 2 || peers[server] {
				t.Errorf("routes of %s: %v", server, peers)
			}
		}
		for server, v := range cli.ask("HEALTHZ", `{"details":true}`) {
			if dig(v, "data", "status") != "ok" || num(v, "data", "status_code") != 200 {
				t.Errorf("health of %s: %v", server, v)
			}
		}
		for server, v := range cli.ask("JSZ", `{"raft":true}`) {
			if dig(v, "data", "disabled") != true {
				t.Errorf("streams of %s: %v", server, v)
			}
		}
		for _, z := range []string{"GATEWAYZ", "LEAFZ", "SUBSZ", "ACCOUNTZ"} {
			cli.ask(z, "{}")
		}
	})
	t.Run("request kick and events", func(t *testing.T) {
		cli := &tool{t, sys}
		events, err := sys.SubscribeSync("$SYS.ACCOUNT.*.DISCONNECT")
		if err == nil {
			err = sys.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = events.Unsubscribe() }()
		cid, err := other.GetClientID()
		if err != nil {
			t.Fatal(err)
		}
		cli.gather("$SYS.REQ.SERVER."+other.ConnectedServerId()+".KICK", fmt.Sprintf(`{"cid":%d}`, cid), true, 1)
		for {
			m, err := events.NextMsg(estate.Patience)
			if err != nil {
				t.Fatalf("no event of the kick: %v", err)
			}
			var v map[string]any
			if err := json.Unmarshal(m.Data, &v); err != nil {
				t.Fatal(err)
			}
			if num(v, "client", "id") != float64(cid) {
				continue
			}
			if m.Subject != "$SYS.ACCOUNT.OTHER.DISCONNECT" || dig(v, "reason") != "Kicked" || dig(v, "client", "name") != "other" || dig(v, "server", "name") != "n3" {
				t.Errorf("%s: %s", m.Subject, m.Data)
			}
			break
		}
		e.Eventually("other has come back", func() error {
			if id, err := other.GetClientID(); err != nil || id == cid || !other.IsConnected() {
				return fmt.Errorf("client %d, %v", id, err)
			}
			return nil
		})
	})
	t.Run("server config reload", func(t *testing.T) {
		cli := &tool{t, sys}
		v, err := hubs[2].Varz()
		if err != nil {
			t.Fatal(err)
		}
		rids := func() (list []string) {
			for server, v := range cli.ask("ROUTEZ", "{}") {
				for _, r := range items(v, "data", "routes") {
					list = append(list, fmt.Sprint(server, dig(r, "rid")))
				}
			}
			slices.Sort(list)
			return list
		}
		before := rids()
		if a := cli.gather("$SYS.REQ.SERVER."+v.ID+".RELOAD", "", true, 1)[0]; dig(a, "server", "name") != "n3" {
			t.Errorf("%v", a)
		}
		if after := rids(); !slices.Equal(before, after) {
			t.Errorf("a reload without changes made routes anew: %v, before %v", after, before)
		}
	})
	t.Run("account info and report", func(t *testing.T) {
		app := &tool{t, pub}
		v := app.gather("$SYS.REQ.USER.INFO", "", false, 1)[0]
		if dig(v, "data", "user") != "app" || dig(v, "data", "account") != "APP" || dig(v, "server", "name") != "n1" {
			t.Errorf("%v", v)
		}
		conns, received := 0.0, 0.0
		for _, v := range app.gather("$SYS.REQ.ACCOUNT.PING.STATZ", "", false, 3) {
			for _, a := range items(v, "data", "account_statz") {
				if dig(a, "acc") != "APP" {
					t.Errorf("a figure of another account: %v", a)
				}
				conns += num(a, "conns")
				received += num(a, "received", "msgs") - num(a, "received", "routes", "msgs")
			}
		}
		if conns != 3 || received < msgs {
			t.Errorf("%v connections, %v messages", conns, received)
		}
		listed := 0.0
		for _, v := range app.gather("$SYS.REQ.ACCOUNT.PING.CONNZ", `{"subscriptions":true,"auth":true}`, false, 3) {
			listed += num(v, "data", "num_connections")
		}
		if listed != 3 {
			t.Errorf("%v connections of its own account", listed)
		}
	})
	t.Run("trace", func(t *testing.T) {
		dest, err := pub.SubscribeSync(pub.NewInbox())
		if err != nil {
			t.Fatal(err)
		}
		m := nats.NewMsg("orders.traced")
		m.Header.Set("Nats-Trace-Dest", dest.Subject)
		m.Header.Set("Nats-Trace-Only", "true")
		m.Header.Set("Accept-Encoding", "snappy")
		if err := pub.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		ends := map[string]string{} // of clients that it would reach, by server
		first := false              // reports of others may be faster
		for asked, got := 1, 0; got < asked || !first; got++ {
			m, err := dest.NextMsg(estate.Patience)
			if err != nil {
				t.Fatalf("%d reports of %d: %v", got, asked, err)
			}
			b, err := io.ReadAll(s2.NewReader(bytes.NewReader(m.Data)))
			if err != nil {
				t.Fatal(err)
			}
			var v map[string]any
			if err := json.Unmarshal(b, &v); err != nil {
				t.Fatal(err)
			}
			asked += int(num(v, "hops"))
			first = first || dig(v, "server", "name") == "n1"
			for _, x := range items(v, "events") {
				if dig(x, "type") == "eg" && num(x, "kind") == 0 {
					ends[fmt.Sprint(dig(v, "server", "name"))] = fmt.Sprint(dig(x, "name"))
				}
			}
		}
		if want := map[string]string{"n2": "sub0", "n3": "sub1"}; !maps.Equal(ends, want) {
			t.Errorf("the message would go to %v, want %v", ends, want)
		}
		if m, err := subs[0].NextMsg(50 * time.Millisecond); err == nil && m.Subject == "orders.traced" {
			t.Error("a message that is only traced was delivered")
		}
	})
	t.Run("latency", func(t *testing.T) {
		// Two connections to different servers, each message answered by the next one.
		a, b := e.Connect(hubs[0]), e.Connect(hubs[1])
		if _, err := b.Subscribe("latency", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
			t.Fatal(err)
		}
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		e.Eventually("the other server answers", func() error {
			_, err := a.Request("latency", []byte("x"), time.Second)
			return err
		})
		took := make([]time.Duration, 0, 200)
		for range cap(took) {
			began := time.Now()
			if _, err := a.Request("latency", []byte("x"), estate.Patience/2); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		t.Logf("round trips over two servers: median %s, 99%% below %s", took[len(took)/2], took[len(took)*99/100])
	})
	t.Run("the CLI itself", func(t *testing.T) {
		exe, err := exec.LookPath("nats")
		if err != nil {
			t.Skip("the nats CLI is not installed")
		}
		url := fmt.Sprintf("nats://sys:%s@%s", estate.Password, hubs[0].Addr("nats"))
		for _, args := range []string{
			"server ls", "server ping --count 3", "server info n2", "server report connections", "server report accounts",
			"server report health", "server report routes", "server check connection", "rtt", "account info",
		} {
			r := command(t, "", exe, append([]string{"--server", url}, strings.Fields(args)...)...)
			if r.code != 0 {
				t.Errorf("nats %s: exit %d: %s%s", args, r.code, r.out, r.err)
			}
		}
	})
}
