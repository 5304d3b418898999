package monitor_test

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// TestInsides: what a server without streams says of them, and of itself.
func TestInsides(t *testing.T) {
	h := startHub(t)
	const text, jsonType = "text/plain; charset=utf-8", "application/json"
	for _, row := range []struct {
		path string
		code int
		kind string
		body string
	}{
		{"/jsz", 200, jsonType, "{\n  \"memory\": 0,"},
		{"/jsz?acc=X&streams=1&consumers=true&limit=1", 200, jsonType, "{"},
		{"/jsz?leader-only=1", 400, text, "filtered response: not leader"},
		{"/jsz?raft=2", 400, text, "Error decoding boolean for 'raft'"},
		{"/jsz?offset=x", 400, text, "Error decoding int for 'offset'"},
		{"/ipqueuesz", 200, jsonType, "{}"},
		{"/ipqueuesz?all=maybe", 400, text, "Error decoding boolean for 'all'"},
		{"/raftz", 404, text, "No Raft nodes registered"},
		{"/stacksz", 200, text, "goroutine "},
		{"/debug/vars", 200, "application/json; charset=utf-8", `{"cmdline":[`},
		{"/livez", 200, jsonType, `{"status":"ok"}`},
		{"/readyz", 200, jsonType, `{"status":"ok"}`},
	} {
		code, hdr, body := get(t, "GET", h.base+row.path)
		if code != row.code || hdr.Get("Content-Type") != row.kind || !strings.HasPrefix(string(body), row.body) {
			t.Errorf("%s: %d %s %.80q, want %d %s %q", row.path, code, hdr.Get("Content-Type"), body, row.code, row.kind, row.body)
		}
	}
	z := object(t, "jsz", `memory:n storage:n reserved_memory:n reserved_storage:n accounts:n ha_assets:n api:o server_id:s now:t disabled:b config:o
		streams:n consumers:n messages:n bytes:n total:n`, ask[any](t, h.base+"/jsz"))
	object(t, "api", "level:n total:n errors:n", z["api"])
	object(t, "config", "max_memory:n max_storage:n", z["config"])
	if z["disabled"] != true {
		t.Errorf("streams are not off: %v", z)
	}
	stats := ask[monitor.Varz](t, h.base+"/varz").HTTPReqStats
	if stats["/jsz"] != 6 || len(stats) != 11 {
		t.Errorf("hits: %v", stats)
	}
	vars := ask[map[string]any](t, h.base+"/debug/vars")
	if m, ok := vars["memstats"].(map[string]any); !ok || m["Alloc"].(float64) <= 0 || len(vars) != 2 {
		t.Errorf("vars: %v", vars)
	}
	close(h.draining)
	for path, want := range map[string]int{"/livez": 200, "/readyz": 500} {
		if code, _, _ := get(t, "GET", h.base+path); code != want {
			t.Errorf("%s while draining: %d, want %d", path, code, want)
		}
	}
}

// TestQueues: those that are empty only when all are asked for.
func TestQueues(t *testing.T) {
	o := newOptions()
	o.Hooks.Queues = func() map[string]monitor.IPQueue {
		return map[string]monitor.IPQueue{"busy": {Pending: 2}, "idle": {}}
	}
	r := monitor.NewReports(o)
	for o, want := range map[monitor.IPQueueszOptions]int{{}: 1, {All: true}: 2, {All: true, Filter: "id"}: 1, {Filter: "id"}: 0} {
		if got := len(r.IPQueuesz(o)); got != want {
			t.Errorf("%+v: %d queues, want %d", o, got, want)
		}
	}
}

// TestToken: everything but what probes ask needs it.
func TestToken(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.HTTP.Token = "s3cret" })
	basic := func(password string) string {
		r, _ := http.NewRequest("GET", "http://x", nil)
		r.SetBasicAuth("anybody", password)
		return r.Header.Get("Authorization")
	}
	for auth, want := range map[string]int{
		"": 401, "Bearer s3cret": 200, "Bearer wrong": 401, "Bearer ": 401, "s3cret": 401, basic("s3cret"): 200, basic("s3cre"): 401, "Basic !": 401,
	} {
		for _, path := range []string{"/varz", "/", "/stacksz", "/debug/vars"} {
			code, hdr, body := get(t, "GET", h.base+path, "Authorization", auth)
			if code != want || (code == 401) != strings.HasPrefix(hdr.Get("WWW-Authenticate"), "Basic ") || strings.Contains(string(body), "s3cret") {
				t.Errorf("%s with %q: %d, want %d", path, auth, code, want)
			}
		}
	}
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		if code, _, _ := get(t, "GET", h.base+path); code != 200 {
			t.Errorf("%s: %d without a token", path, code)
		}
	}
	if v := ask[monitor.Healthz](t, h.base+"/healthz"); v.Status != "ok" {
		t.Errorf("%+v", v)
	}
}

// TestHTTPS: with the certificate of clients, and without one of who asks, though
// clients need one.
func TestHTTPS(t *testing.T) {
	ca, err := certs.NewAuthority("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(certs.Request{CommonName: "hub", Usage: certs.Server, DNS: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	if err := pair.WriteFiles(cert, key); err != nil {
		t.Fatal(err)
	}
	h := startHub(t, func(c *config.Config) {
		c.HTTP.TLS = true
		c.Client.TLS = &config.TLS{Certificates: []config.Certificate{{CertFile: cert, KeyFile: key}}, Verify: true, CAFile: cert, Timeout: time.Second}
	})
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("https://" + h.Addr().String() + "/varz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 1 || h.Scheme() != "https" {
		t.Errorf("%s %s", resp.Status, resp.Proto)
	}
	v := h.Reports().Varz()
	if v.HTTPSPort != h.Addr().Port || v.HTTPPort != 0 || v.TLSCertNotAfter == nil {
		t.Errorf("http_port %d, https_port %d, not after %v", v.HTTPPort, v.HTTPSPort, v.TLSCertNotAfter)
	}
	none := monitor.New(newOptions(func(c *config.Config) { c.HTTP.TLS, c.Client.TLS = true, &config.TLS{} }))
	if err := none.Start(); err == nil {
		t.Error("HTTPS without a certificate")
	}
	none.Close()
}

// TestAccountDetails: what the settings say of an account, or its token.
func TestAccountDetails(t *testing.T) {
	o := newOptions(func(c *config.Config) {
		c.Accounts = []config.Account{
			{Name: "EXP", Exports: []config.Export{{Stream: "s.>"}, {Service: "q", Accounts: []string{"IMP"}, Response: account.Streamed}}},
			{Name: "IMP", Mappings: []account.Mapping{{Source: "a", To: []account.Destination{{Subject: "b", Weight: 80}, {Subject: "c", Weight: 20, Cluster: "sfo"}}}}},
		}
		c.Accounts[1].Imports = []config.Import{{Stream: &config.Source{Account: "EXP", Subject: "s.>"}, Prefix: "p"}}
	})
	for _, name := range []string{"EXP", "IMP"} {
		o.Broker.Account(name)
	}
	r := monitor.NewReports(o)
	e, err := r.AccountDetail("EXP")
	if err != nil || len(e.Exports) != 2 || e.Exports[0].Type != "stream" || e.Exports[1].ResponseType != "Stream" || e.Exports[1].Approved[0] != "IMP" || !e.Exports[1].TokenReq {
		t.Errorf("exports: %+v, %v", e, err)
	}
	i, err := r.AccountDetail("IMP")
	if err != nil || len(i.Imports) != 1 || i.Imports[0].Account != "EXP" || i.Imports[0].LocalSubject != "p.s.>" || i.Imports[0].Invalid {
		t.Errorf("imports: %+v, %v", i, err)
	}
	if m := i.Mappings["a"]; len(m) != 2 || m[1] != (monitor.AccountMapping{Subject: "c", Weight: 20, Cluster: "sfo"}) || i.Updated == nil {
		t.Errorf("mappings: %+v", m)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o.Hooks.Account = func(name string) *monitor.AccountMore {
		return &monitor.AccountMore{Definition: account.Definition{Name: name}, Token: "j", Issuer: "O", NameTag: "n", Updated: &at, Expired: true}
	}
	d, err := monitor.NewReports(o).AccountDetail("EXP")
	if err != nil || d.JWT != "j" || d.Issuer != "O" || d.NameTag != "n" || !d.Expired || !d.Updated.Equal(at) || d.Exports != nil {
		t.Errorf("by token: %+v, %v", d, err)
	}
}

// port is that of another server.
func port(_ *testing.T, o monitor.Options, id uint64, region string) *broker.Port {
	class, cluster := broker.Route, ""
	if region != "" {
		class, cluster = broker.Gateway, broker.RegionMark+region
	}
	return &broker.Port{ID: id, Class: class, Origin: broker.Origin{Class: class, Cluster: cluster}, Aggregate: true}
}

func subscribe(a *broker.Account, p *broker.Port, subj, queue string) {
	s := &broker.Sub{Port: p, Account: a, Subject: []byte(subj), Origin: p.Origin}
	if queue != "" {
		s.Queue = []byte(queue)
	}
	a.Subscribe(s, 1)
}

// TestInterestOfServers: routes and regions list what they announced.
func TestInterestOfServers(t *testing.T) {
	o := newOptions()
	acc := o.Broker.Account("APP")
	route, region := port(t, o, 1, ""), port(t, o, 99, "ams")
	subscribe(acc, route, "orders.*", "")
	subscribe(acc, route, "jobs", "q")
	subscribe(acc, region, "far", "")
	add(o.Routes, link.Info{ID: 1, Kind: link.KindRoute})
	add(o.Gateways, link.Info{ID: 2, Kind: link.KindGateway})
	o.Hooks.Gateway = func(link.Info) monitor.GatewayDetails { return monitor.GatewayDetails{Remote: "ams", Outbound: true} }
	o.Hooks.GatewayAccounts = func(string) []monitor.GatewayAccount { return []monitor.GatewayAccount{{Name: "$G"}, {Name: "APP"}} }
	r := monitor.NewReports(o)
	z := r.Routez(monitor.RoutezOptions{SubsDetail: true})
	if s := z.Routes[0].SubsDetail; len(s) != 2 || s[0].Account != "APP" || s[0].CID != 1 || s[0].Queue+s[1].Queue != "q" {
		t.Errorf("route: %+v", s)
	}
	if s := r.Routez(monitor.RoutezOptions{Subs: true}).Routes[0].Subs; len(s) != 2 {
		t.Errorf("route: %v", s)
	}
	if s := r.Routez(monitor.RoutezOptions{}).Routes[0]; s.Subs != nil || s.SubsDetail != nil {
		t.Errorf("not asked for: %+v", s)
	}
	if n := z.Routes[0].NumSubs; n != 2 {
		t.Errorf("route: %d subscriptions, want 2", n)
	}
	if n := r.Gatewayz(monitor.GatewayzOptions{}).Outbound["ams"].Connection.NumSubs; n != 1 {
		t.Errorf("region: %d subscriptions, want 1", n)
	}
	g := r.Gatewayz(monitor.GatewayzOptions{Subs: true}).Outbound["ams"].Accounts
	if len(g) != 2 || g[0].Subs != nil || len(g[1].Subs) != 1 || g[1].Subs[0] != "far" {
		t.Errorf("region: %+v", g)
	}
	if g := r.Gatewayz(monitor.GatewayzOptions{SubsDetail: true}).Outbound["ams"].Accounts; len(g[1].SubsDetail) != 1 {
		t.Errorf("region: %+v", g)
	}
}
