package monitor_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// Shapes: names with their JSON types. ? behind a name: may be missing. Names that
// begin with x_ are ours and not listed.
const (
	volume    = "msgs:n bytes:n"
	kindStats = "clients:n routes:n gateways:n leafs:n"

	varzShape = `server_id:s server_name:s version:s proto:n git_commit?:s go:s host:s port:n
		auth_required?:b tls_required?:b tls_verify?:b connect_urls?:a
		max_connections:n max_subscriptions?:n ping_interval:n ping_max:n http_host:s http_port:n http_base_path:s https_port:n
		auth_timeout:n max_control_line:n max_payload:n max_pending:n
		cluster:o gateway:o leaf:o mqtt:o websocket:o jetstream:o tls_timeout:n write_deadline:n write_timeout?:s
		start:t now:t uptime:s mem:n cores:n gomaxprocs:n gomemlimit?:n cpu:n
		connections:n total_connections:n routes:n remotes:n leafnodes:n
		in_msgs:n in_bytes:n in_client_msgs:n in_client_bytes:n out_msgs:n out_bytes:n out_client_msgs:n out_client_bytes:n
		slow_consumers:n stale_connections:n stalled_clients:n subscriptions:n http_req_stats:o
		config_load_time:t config_digest:s tags?:a metadata?:o system_account?:s
		slow_consumer_stats:o stale_connection_stats:o disk_io_wait_stats:o tls_cert_not_after?:t`
	clusterShape = `name?:s addr?:s cluster_port?:n auth_timeout?:n urls?:a tls_timeout?:n tls_required?:b tls_verify?:b
		pool_size?:n write_deadline?:n write_timeout?:s tls_cert_not_after?:t`
	gatewayShape = `name?:s host?:s port?:n auth_timeout?:n tls_timeout?:n tls_required?:b tls_verify?:b advertise?:s
		connect_retries?:n gateways?:a reject_unknown?:b write_deadline?:n write_timeout?:s tls_cert_not_after?:t`
	leafShape = `host?:s port?:n auth_timeout?:n tls_timeout?:n tls_required?:b tls_verify?:b remotes?:a
		write_deadline?:n write_timeout?:s tls_cert_not_after?:t`
	connzShape = "server_id:s now:t num_connections:n total:n offset:n limit:n connections:a"
	connShape  = `cid:n kind?:s type?:s ip:s port:n start:t last_activity:t stop?:t reason?:s rtt?:s uptime:s idle:s
		pending_bytes:n in_msgs:n out_msgs:n in_bytes:n out_bytes:n stalls?:n subscriptions:n name?:s lang?:s version?:s
		tls_version?:s tls_cipher_suite?:s tls_first?:b tls_peer_certs?:a authorized_user?:s account?:s
		subscriptions_list?:a subscriptions_list_detail?:a`
	subShape    = "account?:s subject:s qgroup?:s sid:s msgs:n max?:n cid:n"
	routezShape = "server_id:s server_name:s now:t import?:o export?:o num_routes:n routes:a"
	routeShape  = `rid:n remote_id:s remote_name:s did_solicit:b is_configured:b ip:s port:n start:t last_activity:t rtt?:s uptime:s
		idle:s import?:o export?:o pending_size:n in_msgs:n out_msgs:n in_bytes:n out_bytes:n subscriptions:n
		subscriptions_list?:a subscriptions_list_detail?:a account?:s compression?:s`
	gatewayzShape  = "server_id:s now:t name?:s host?:s port?:n outbound_gateways:o inbound_gateways:o"
	remoteShape    = "configured:b connection:o accounts?:a"
	gwAccountShape = "name:s interest_mode:s no_interest_count?:n interest_only_threshold:n num_subs?:n num_queue_subs?:n"
	leafzShape     = "server_id:s now:t leafnodes:n leafs:a"
	leafLinkShape  = `id:n name:s is_spoke:b is_isolated?:b account:s ip:s port:n rtt?:s in_msgs:n out_msgs:n in_bytes:n out_bytes:n
		subscriptions:n subscriptions_list?:a compression?:s`
	subszShape = `server_id:s now:t num_subscriptions:n num_cache:n num_inserts:n num_removes:n num_matches:n cache_hit_rate:n
		max_fanout:n avg_fanout:n total:n offset:n limit:n subscriptions_list?:a`
	accountzShape = "server_id:s now:t system_account?:s accounts?:a account_detail?:o"
	accountShape  = `account_name:s update_time?:t is_system?:b expired:b complete:b jetstream_enabled:b leafnode_connections:n
		client_connections:n subscriptions:n sublist_stats?:o`
	accstatzShape = "server_id:s now:t account_statz:a"
	accstatShape  = "acc:s name:s conns:n leafnodes:n total_conns:n num_subscriptions:n sent:o received:o slow_consumers:n"
	statszShape   = `start:t mem:n cores:n cpu:n connections:n total_connections:n active_accounts:n subscriptions:n sent:o
		sent_to_clients:o received:o received_from_clients:o slow_consumers:n slow_consumer_stats?:o stale_connections?:n
		stale_connection_stats?:o stalled_clients?:n routes?:a gateways?:a active_servers:n gomemlimit?:n gomaxprocs:n`
)

// object checks v against a shape and returns it.
func object(t *testing.T, name, shape string, v any) map[string]any {
	t.Helper()
	o, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%s: %T, want an object", name, v)
	}
	left := maps.Clone(o)
	for field := range strings.FieldsSeq(shape) {
		key, kind, _ := strings.Cut(field, ":")
		key, optional := strings.CutSuffix(key, "?")
		x, there := o[key]
		delete(left, key)
		if !there {
			if !optional {
				t.Errorf("%s: %s is missing", name, key)
			}
			continue
		}
		if got := jsonType(x, kind); got != kind {
			t.Errorf("%s: %s is %s, want %s: %v", name, key, got, kind, x)
		}
	}
	for key := range left {
		if !strings.HasPrefix(key, "x_") {
			t.Errorf("%s: %s is not in the shape", name, key)
		}
	}
	return o
}

func jsonType(x any, want string) string {
	switch x := x.(type) {
	case string:
		if want == "t" {
			at, err := time.Parse(time.RFC3339Nano, x)
			if _, zone := at.Zone(); err == nil && zone == 0 && strings.HasSuffix(x, "Z") {
				return "t"
			}
		}
		return "s"
	case float64:
		return "n"
	case bool:
		return "b"
	case []any:
		return "a"
	case map[string]any:
		return "o"
	}
	return fmt.Sprintf("%T", x)
}

// first is the one element of a list.
func first(t *testing.T, name string, v any) any {
	t.Helper()
	l, ok := v.([]any)
	if !ok || len(l) == 0 {
		t.Fatalf("%s: %v, want a list with something in it", name, v)
	}
	return l[0]
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// full is a daemon that has one of everything.
func full(t *testing.T) *monitor.Reports {
	o := newOptions(func(c *config.Config) {
		listen := config.Listen{Host: "127.0.0.1", Port: 6222}
		perms := &config.Permissions{Publish: config.SubjectPermission{Allow: []string{"a"}}, Subscribe: config.SubjectPermission{Deny: []string{"b"}}}
		c.Cluster = &config.Cluster{
			Name: "sfo", Listen: listen, Routes: []*url.URL{mustURL(t, "nats-route://u:secret@h:6222")}, PoolSize: 3, Permissions: perms,
			WriteDeadline: time.Second, WriteTimeout: config.WriteTimeoutRetry, Auth: config.LinkAuth{Timeout: 2 * time.Second},
		}
		c.Gateway = &config.Gateway{
			Name: "sfo", Listen: listen, RejectUnknown: true, Advertise: "x:1", ConnectRetries: 2,
			Remotes: []config.RemoteGateway{{Name: "ams", URLs: []*url.URL{mustURL(t, "nats://u:secret@g:7222")}}},
		}
		c.LeafNodes = &config.LeafNodes{Listen: listen, Remotes: []config.LeafRemote{{
			URLs: []*url.URL{mustURL(t, "tls://u:secret@l:7422")}, Account: "APP", DenyExports: []string{"no.>"},
		}}}
		c.Tags, c.Metadata = []string{"tag"}, map[string]string{"k": "v"}
	})
	o.Server.SetCluster("sfo", false)
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4321}
	one := func(id uint64, kind link.Kind, account string) link.Info {
		return link.Info{
			ID: id, Kind: kind, Addr: addr, Name: "peer", Account: account, Started: time.Now().Add(-time.Hour), RTT: time.Millisecond,
			InMsgs: 1, InBytes: 10, OutMsgs: 2, OutBytes: 20, Subs: 1, Pending: 3, More: "details",
		}
	}
	o.Broker.Account("APP").Leafs.Add(1)
	add(o.Routes, one(1, link.KindRoute, ""))
	add(o.Gateways, one(2, link.KindGateway, ""))
	add(o.Gateways, one(3, link.KindGateway, ""))
	add(o.Leafs, one(4, link.KindLeaf, "APP"))
	o.Hooks.Route = func(link.Info) monitor.RouteDetails {
		return monitor.RouteDetails{
			RemoteID: "NPEER", RemoteName: "peer", DidSolicit: true, IsConfigured: true, Compression: "off",
			Import: &monitor.SubjectPermission{Allow: []string{"a"}}, Subs: []monitor.SubDetail{{Subject: "s", SID: "1"}},
		}
	}
	o.Hooks.Gateway = func(i link.Info) monitor.GatewayDetails {
		return monitor.GatewayDetails{Remote: "ams", RemoteID: "NAMS", Outbound: i.ID == 2, Configured: true}
	}
	o.Hooks.GatewayAccounts = func(string) []monitor.GatewayAccount {
		return []monitor.GatewayAccount{
			{Name: "$G", InterestMode: "Optimistic", InterestOnlyThreshold: 1000},
			{Name: "APP", InterestMode: "Interest-Only", InterestOnlyThreshold: 1000, NumSubs: 1},
		}
	}
	o.Hooks.Leaf = func(link.Info) monitor.LeafDetails {
		return monitor.LeafDetails{IsSpoke: true, Compression: "s2_fast", Subs: []string{"a", "b"}}
	}
	o.Hooks.LeafRemotes = func() []monitor.LeafRemote {
		return []monitor.LeafRemote{{Name: "hub", Account: "APP", State: "waiting", Attempts: 3, LastError: "refused"}}
	}
	return monitor.NewReports(o)
}

func decode(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var x any
	if err := json.Unmarshal(b, &x); err != nil {
		t.Fatal(err)
	}
	if s := string(b); strings.Contains(s, "secret") {
		t.Errorf("a secret is shown: %s", s)
	}
	return x
}

// TestShapesOfLinks: the reports of a daemon that has links of all kinds.
func TestShapesOfLinks(t *testing.T) {
	r := full(t)
	v := object(t, "varz", varzShape, decode(t, r.Varz()))
	c := object(t, "varz.cluster", clusterShape, v["cluster"])
	g := object(t, "varz.gateway", gatewayShape, v["gateway"])
	l := object(t, "varz.leaf", leafShape, v["leaf"])
	if c["name"] != "sfo" || c["pool_size"] != 3.0 || c["write_deadline"] != 1e9 || c["auth_timeout"] != 2.0 || first(t, "urls", c["urls"]) != "h:6222" {
		t.Errorf("cluster: %v", c)
	}
	if remote := object(t, "gateways", "name:s urls:a tls_timeout?:n", first(t, "gateways", g["gateways"])); first(t, "urls", remote["urls"]) != "g:7222" {
		t.Errorf("gateway: %v", g)
	}
	remote := object(t, "remotes", "local_account:s urls:a tls_timeout?:n deny:o", first(t, "remotes", l["remotes"]))
	object(t, "deny", "exports:a imports?:a", remote["deny"])
	for key, want := range map[string]float64{
		"routes": 1, "remotes": 1, "leafnodes": 1, "in_msgs": 4, "out_bytes": 80, "in_client_msgs": 0, "port": -1,
	} {
		if v[key] != want {
			t.Errorf("varz: %s is %v, want %v", key, v[key], want)
		}
	}

	z := object(t, "routez", routezShape, decode(t, r.Routez(monitor.RoutezOptions{Subs: true})))
	object(t, "import", "allow:a", z["import"])
	object(t, "export", "deny:a", z["export"])
	one := object(t, "route", routeShape, first(t, "routes", z["routes"]))
	if one["remote_id"] != "NPEER" || one["rtt"] != "1ms" || one["uptime"] != "1h0m0s" || one["pending_size"] != 3.0 || first(t, "subs", one["subscriptions_list"]) != "s" {
		t.Errorf("route: %v", one)
	}

	gz := object(t, "gatewayz", gatewayzShape, decode(t, r.Gatewayz(monitor.GatewayzOptions{Account: "APP"})))
	out := object(t, "outbound", remoteShape, gz["outbound_gateways"].(map[string]any)["ams"])
	conn := object(t, "connection", connShape, out["connection"])
	if out["configured"] != true || conn["name"] != "NAMS" || conn["kind"] != "Gateway" {
		t.Errorf("outbound gateway: %v", out)
	}
	if a := object(t, "account", gwAccountShape, first(t, "accounts", out["accounts"])); a["name"] != "APP" || len(out["accounts"].([]any)) != 1 {
		t.Errorf("accounts: %v", out["accounts"])
	}
	in := object(t, "inbound", remoteShape, first(t, "inbound", gz["inbound_gateways"].(map[string]any)["ams"]))
	if in["configured"] != false || in["accounts"] != nil {
		t.Errorf("inbound gateway: %v", in)
	}
	if none := r.Gatewayz(monitor.GatewayzOptions{Name: "sgp"}); len(none.Outbound)+len(none.Inbound) != 0 {
		t.Errorf("gw_name is not heeded: %+v", none)
	}

	lz := object(t, "leafz", leafzShape, decode(t, r.Leafz(monitor.LeafzOptions{Subs: true})))
	leaf := object(t, "leaf", leafLinkShape, first(t, "leafs", lz["leafs"]))
	if leaf["is_spoke"] != true || leaf["account"] != "APP" || len(leaf["subscriptions_list"].([]any)) != 2 {
		t.Errorf("leaf: %v", leaf)
	}
	if m := first(t, "x_remotes", lz["x_remotes"]).(map[string]any); m["state"] != "waiting" || m["last_error"] != "refused" {
		t.Errorf("a hub that is down: %v", m)
	}
	if other := r.Leafz(monitor.LeafzOptions{Account: "$G"}); other.NumLeafs != 0 || other.Remotes != nil {
		t.Errorf("acc is not heeded: %+v", other)
	}

	cz, err := r.Connz(monitor.ConnzOptions{})
	if err != nil || cz.NumConns != 1 || cz.Conns[0].Kind != "Leafnode" {
		t.Errorf("connz lists clients and leaf links: %+v, %v", cz, err)
	}

	s := object(t, "statsz", statszShape, decode(t, r.Statsz()))
	rs := object(t, "statsz.routes", "rid:n name:s sent:o received:o pending:n", first(t, "routes", s["routes"]))
	object(t, "sent", volume, rs["sent"])
	gs := object(t, "statsz.gateways", "gwid:n name:s sent:o received:o inbound_connections:n", first(t, "gateways", s["gateways"]))
	if gs["name"] != "ams" || gs["inbound_connections"] != 1.0 || gs["sent"].(map[string]any)["msgs"] != 2.0 || gs["received"].(map[string]any)["msgs"] != 1.0 {
		t.Errorf("gateway: %v", gs)
	}
	if s["active_accounts"] != 1.0 {
		t.Errorf("active accounts: %v", s["active_accounts"])
	}
}

// TestShapesOfABareDaemon: without links, sections and lists are there and empty.
func TestShapesOfABareDaemon(t *testing.T) {
	h := startHub(t)
	nc := h.nats(t)
	if _, err := nc.QueueSubscribeSync("foo.*", "q"); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	v := object(t, "varz", varzShape, ask[any](t, h.base+"/varz"))
	for _, section := range []string{"cluster", "gateway", "leaf", "mqtt", "websocket", "jetstream"} {
		if m, ok := v[section].(map[string]any); !ok || len(m) != 0 {
			t.Errorf("%s is %v, want {}", section, v[section])
		}
	}
	object(t, "slow_consumer_stats", kindStats, v["slow_consumer_stats"])
	object(t, "stale_connection_stats", kindStats, v["stale_connection_stats"])
	object(t, "disk_io_wait_stats", "waiters:n waits:n wait_time:n max_wait_time:n", v["disk_io_wait_stats"])
	if v["version"] != "2.14.5" || v["x_banyan"] != "0.0.1" || v["x_daemon"] != "hubd" || v["port"] != float64(h.clients.Addr().Port) ||
		v["http_port"] != float64(h.Addr().Port) || v["connections"] != 1.0 || v["system_account"] != "$SYS" || v["mem"].(float64) <= 0 {
		t.Errorf("varz: %v", v)
	}

	c := object(t, "connz", connzShape, ask[any](t, h.base+"/connz?subs=detail&auth=1"))
	conn := object(t, "connection", connShape, first(t, "connections", c["connections"]))
	if conn["kind"] != "Client" || conn["type"] != "nats" || conn["lang"] != "go" || conn["ip"] != "127.0.0.1" || conn["account"] != nil {
		t.Errorf("connection: %v", conn)
	}
	sub := object(t, "subscription", subShape, first(t, "subscriptions", conn["subscriptions_list_detail"]))
	if sub["subject"] != "foo.*" || sub["qgroup"] != "q" || sub["cid"] != conn["cid"] {
		t.Errorf("subscription: %v", sub)
	}

	for path, shape := range map[string]string{
		"/routez": routezShape, "/gatewayz": gatewayzShape, "/leafz": leafzShape, "/subsz": subszShape, "/accountz": accountzShape, "/accstatz": accstatzShape,
	} {
		z := object(t, path, shape, ask[any](t, h.base+path))
		for _, list := range []string{"routes", "leafs"} {
			if l, ok := z[list]; ok && len(l.([]any)) != 0 {
				t.Errorf("%s: %s is not empty: %v", path, list, l)
			}
		}
	}
	s := object(t, "subsz", subszShape, ask[any](t, h.base+"/subscriptionsz?subs=1&test=foo.bar"))
	if one := object(t, "subscription", subShape, first(t, "subscriptions", s["subscriptions_list"])); one["account"] != "$G" || s["total"] != 1.0 {
		t.Errorf("subsz: %v", s)
	}
	a := object(t, "accountz", accountzShape, ask[any](t, h.base+"/accountz?acc=$G"))
	if d := object(t, "detail", accountShape, a["account_detail"]); d["client_connections"] != 1.0 || d["subscriptions"] != 1.0 {
		t.Errorf("account: %v", d)
	}
	st := object(t, "accstatz", accstatzShape, ask[any](t, h.base+"/accstatz"))
	one := object(t, "accstat", accstatShape, first(t, "account_statz", st["account_statz"]))
	object(t, "sent", volume+" gateways:o routes:o leafs:o", one["sent"])
	names := ask[monitor.Accountz](t, h.base+"/accountz").Accounts
	if !slices.Equal(names, []string{"$G", "$SYS"}) {
		t.Errorf("accounts: %v", names)
	}
}
