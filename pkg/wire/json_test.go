package wire

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestClientConnectDecode(t *testing.T) {
	def := DefaultClientConnect()
	for _, tc := range []struct {
		in   string
		want func(c *ClientConnect)
	}{
		{`{}`, func(*ClientConnect) {}},
		{`null`, func(*ClientConnect) {}},
		{`{"verbose":null,"name":null}`, func(*ClientConnect) {}},
		{`{"unknown":[1,{"x":2}],"import":3,"remote_account":4}`, func(*ClientConnect) {}},
		{`{"verbose":false}`, func(c *ClientConnect) { c.Verbose = false }},
		{`{"VERBOSE":false,"Auth_Token":"t"}`, func(c *ClientConnect) { c.Verbose, c.Token = false, "t" }},
		{` { "protocol" : 1 , "headers":true,"no_responders":true,"echo":false,"pedantic":false} `, func(c *ClientConnect) {
			c.Protocol, c.Headers, c.NoResponders, c.Echo, c.Pedantic = 1, true, true, false, false
		}},
		{`{"user":"u","pass":"p","nkey":"n","sig":"s","jwt":"j","proxy_sig":"x","account":"A","new_account":true}`, func(c *ClientConnect) {
			c.User, c.Pass, c.NKey, c.Sig, c.JWT, c.ProxySig, c.Account, c.NewAccount = "u", "p", "n", "s", "j", "x", "A", true
		}},
	} {
		got, want := def, def
		tc.want(&want)
		if err := got.Decode([]byte(tc.in)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", tc.in, got, err)
		}
	}
	for _, in := range []string{``, `{bad`, `[]`, `"x"`, `1`, `{"verbose":"no"}`, `{"verbose":1}`, `{"protocol":"1"}`, `{"protocol":1.5}`, `{"user":1}`, `{} x`} {
		got := def
		if err := got.Decode([]byte(in)); !errors.Is(err, ErrBadJSON) || got != def {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	// A second CONNECT keeps what it does not name.
	c := def
	for _, in := range []string{`{"verbose":false,"name":"a","echo":false}`, `{"name":"b"}`} {
		if err := c.Decode([]byte(in)); err != nil {
			t.Fatal(err)
		}
	}
	if c.Verbose || c.Echo || c.Name != "b" || !c.Pedantic {
		t.Errorf("after a second CONNECT: %+v", c)
	}
}

func TestRedactConnect(t *testing.T) {
	in := `{"user":"u","pass":"secret1","Password":"secret2","auth_token":"secret3","sig":"secret4","proxy_sig":"secret5","nkey":"secret6","JWT":"secret7","name":"n"}`
	got := string(RedactConnect([]byte(in)))
	if strings.Contains(got, "secret") || !strings.Contains(got, `"user":"u"`) || !strings.Contains(got, `"name":"n"`) {
		t.Errorf("%s", got)
	}
	if got := string(RedactConnect([]byte(`{"pass":"secret`))); strings.Contains(got, "secret") {
		t.Errorf("unreadable: %s", got)
	}
}

func keysOf(t *testing.T, v any) []string {
	t.Helper()
	js, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(js, &m); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(m))
}

// Keys that are on the wire even when they say nothing.
func TestAlwaysPresentKeys(t *testing.T) {
	identity := []string{"go", "headers", "host", "max_payload", "port", "proto", "server_id", "server_name", "version"}
	for name, v := range map[string]any{"client": ClientInfo{}, "route": RouteInfo{}, "gateway": GatewayInfo{}, "leaf": LeafInfo{}} {
		if got := keysOf(t, v); !slices.Equal(got, identity) {
			t.Errorf("%s INFO: %q", name, got)
		}
	}
	if got := keysOf(t, GatewayConnect{}); !slices.Equal(got, []string{"cluster", "echo", "headers", "name", "pedantic", "tls_required", "verbose"}) {
		t.Errorf("gateway CONNECT: %q", got)
	}
	if got := keysOf(t, RouteConnect{}); !slices.Equal(got, []string{"cluster", "echo", "headers", "name", "pedantic", "tls_required", "verbose"}) {
		t.Errorf("route CONNECT: %q", got)
	}
	if got := keysOf(t, LeafConnect{}); len(got) != 0 {
		t.Errorf("leaf CONNECT: %q", got)
	}
}

// Lines that reference servers sent.
func TestCapturedInfos(t *testing.T) {
	var c ClientInfo
	if err := DecodeJSON([]byte(`{"server_id":"NAY4","server_name":"A","version":"2.14.5","proto":1,"go":"go1.26.8","host":"127.0.0.1","port":24711,"headers":true,"max_payload":1048576,"client_id":5,"client_ip":"127.0.0.1","api_lvl":4,"xkey":"XBFP"} `), &c); err != nil {
		t.Fatal(err)
	}
	line := string(AppendInfo(nil, c))
	if want := `INFO {"server_id":"NAY4","server_name":"A","version":"2.14.5","proto":1,"go":"go1.26.8","host":"127.0.0.1","port":24711,"headers":true,"max_payload":1048576,"client_id":5,"client_ip":"127.0.0.1","api_lvl":4,"xkey":"XBFP"} ` + CRLF; line != want {
		t.Errorf("client:\n got %q\nwant %q", line, want)
	}

	g := GatewayInfo{Gateway: "B", Cmd: GatewayCmdAllInterestStart, CmdPayload: []byte("A")}
	line = string(AppendInfo(nil, &g))
	if want := `INFO {"server_id":"","server_name":"","version":"","proto":0,"go":"","host":"","port":0,"headers":false,"max_payload":0,"gateway":"B","gateway_cmd":2,"gateway_cmd_payload":"QQ=="} ` + CRLF; line != want {
		t.Errorf("gateway:\n got %q\nwant %q", line, want)
	}
	line = string(AppendConnect(nil, GatewayConnect{Name: "NB2U", Gateway: "A"}))
	if want := `CONNECT {"echo":false,"verbose":false,"pedantic":false,"tls_required":false,"headers":false,"name":"NB2U","cluster":"","gateway":"A"}` + CRLF; line != want {
		t.Errorf("gateway connect:\n got %q\nwant %q", line, want)
	}

	var r RouteInfo
	if err := DecodeJSON([]byte(`{"server_id":"N","route_pool_size":3,"route_account":"A","route_acc_add_reqid":"abc","import":{"allow":["a.\u003e"]},"lnocu":true,"new_key":{"a":1}}`), &r); err != nil {
		t.Fatal(err)
	}
	if r.PoolSize != 3 || r.RouteAccount != "A" || r.AccountMoveID != "abc" || r.Import.Allow[0] != "a.>" || !r.LeafOriginDel || r.Export != nil {
		t.Errorf("route: %+v", r)
	}
	if err := DecodeJSON([]byte(`{"port":"x"}`), &r); !errors.Is(err, ErrBadJSON) {
		t.Errorf("wrong type: %v", err)
	}

	var l LeafConnect
	if err := DecodeJSON([]byte(`{"version":"2.14.5","server_id":"N","name":"LEAF","cluster":"LEAF","headers":true,"compress_mode":"off","remote_account":"$G","protocol":3}`), &l); err != nil {
		t.Fatal(err)
	}
	if l.Name != "LEAF" || !l.Headers || l.CompressMode != "off" || l.RemoteAccount != "$G" || l.Proto != 3 {
		t.Errorf("leaf: %+v", l)
	}
}

// Whatever is set survives the way over the wire: no two fields share a key.
func TestInfosRoundTrip(t *testing.T) {
	r := RouteInfo{
		ServerID: "id", Caps: []string{CapFence}, Role: RoleGateway, Remotes: []RemoteCluster{{Name: "B", RTT: 1500}},
		Gateway: "A", GatewayURLs: []string{"h:1"}, GatewayURL: "h:1", GatewayCmd: 1, LeafURLs: []string{"h:2"}, PoolIndex: 2,
	}
	var back RouteInfo
	var op Op
	p := PeerParser{}
	line := AppendInfo(nil, r)
	if n, _, err := p.Next(line, &op); n != len(line) || op.Kind != KindInfo {
		t.Fatalf("%q: %v", line, err)
	}
	if err := DecodeJSON(op.Arg, &back); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(r)
	b, _ := json.Marshal(back)
	if string(a) != string(b) || back.Remotes[0].RTT != 1500 || back.Role != "gwd" {
		t.Errorf("%s\n%s", a, b)
	}
	if !strings.Contains(string(a), `"x_remotes":[{"name":"B","rtt_us":1500}]`) {
		t.Errorf("%s", a)
	}
}

func TestLeafWrongPort(t *testing.T) {
	for _, tc := range []struct {
		in    string
		wrong bool
	}{
		{`{"client_id":5,"leafnode_urls":["h:1"],"info_on_connect":true}`, false},
		{`{"client_id":5,"info_on_connect":true}`, false}, // a hub with no_advertise
		{`{"client_id":5,"leafnode_urls":["h:1"]}`, false},
		{`{"client_id":5,"connect_urls":["h:1"]}`, true}, // client port
		{`{"leafnode_urls":["h:1"]}`, true},              // route port
		{`{"gateway":"B"}`, true},
	} {
		var i LeafInfo
		if err := DecodeJSON([]byte(tc.in), &i); err != nil {
			t.Fatal(err)
		}
		if got := i.WrongPort(); got != tc.wrong {
			t.Errorf("%s: %v", tc.in, got)
		}
	}
}
