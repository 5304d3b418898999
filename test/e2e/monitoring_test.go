//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/banyanmq/banyan/test/procs"
)

// known are keys that the reference server has and ours need not have.
var known = map[string]string{
	"GET /accountz?acc=$G account_detail.imports":                     "the system account's services are reached without imports",
	"GET /accountz?acc=$SYS account_detail.exports":                   "the same",
	"GET /accountz?acc=$SYS account_detail.imports":                   "the same",
	"GET /accountz?acc=$SYS account_detail.responses":                 "the same",
	"GET /gatewayz inbound_gateways.region.connection.rtt":            "the same",
	"GET /gatewayz?accs=1 inbound_gateways.region.connection.rtt":     "the same",
	"GET /gatewayz?accs=1 inbound_gateways.region.accounts":           "what comes in is not tallied by account",
	"GET /routez?subs=detail routes.subscriptions_list_detail.qgroup": "there when the group was announced already",
	"GET /connz?state=closed connections.rtt":                         "there once it was measured",
	"GET /connz?subs=1&auth=1 connections.rtt":                        "the same",
	"GET /connz?subs=detail connections.rtt":                          "the same",
	"GET /connz?sort=bytes_to&limit=1 connections.rtt":                "the same",
	"GET /connz connections.rtt":                                      "the same",
}

// TestMonitoringAsReference: every key that the reference server's endpoints have,
// ours have with a value of the same type, and both answer mistakes in the same words.
func TestMonitoringAsReference(t *testing.T) {
	ref, err := procs.Reference()
	if errors.Is(err, procs.ErrNoReference) {
		t.Skip("TestMonitoringAsReference: no reference server: install nats-server or set NATS_SERVER")
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	exe := map[string]string{"ref": ref}
	for _, name := range []string{"hubd", "gwd", "leafd"} {
		if exe[name], err = bins.Build(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	free, err := procs.FreePorts(8)
	if err != nil {
		t.Fatal(err)
	}
	const shared = "http: 127.0.0.1:-1\nports_file_dir: \"{{dir}}\"\n"
	const clients = "listen: 127.0.0.1:-1\n"
	start := func(name, conf string) procs.Ports {
		t.Helper()
		spec := procs.Spec{Exe: exe[name], Dir: t.TempDir(), Config: shared + conf}
		if name == "gwd" {
			spec.Config, spec.ConfigName = conf, "gwd.yaml"
		}
		p, err := procs.Start(spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			p.Kill()
			if t.Failed() {
				t.Logf("%s:\n%s", name, p.Log.Tail(1000))
			}
		})
		ports, err := p.Ports(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return ports
	}
	cluster := func(own, other int) string {
		return fmt.Sprintf("cluster { name: c, listen: \"127.0.0.1:%d\", routes: [\"nats://127.0.0.1:%d\"] }\n", free[own], free[other])
	}
	leafs := func(own int) string { return fmt.Sprintf("leafnodes { listen: \"127.0.0.1:%d\" }\n", free[own]) }
	remote := func(hub int) string {
		return fmt.Sprintf("leafnodes { remotes: [ { url: \"nats://127.0.0.1:%d\" } ] }\n", free[hub])
	}
	const named = "server_name: %s\nserver_tags: [\"a\"]\n"
	ours := start("hubd", clients+fmt.Sprintf(named, "ours")+cluster(0, 1)+leafs(2))
	theirs := start("ref", clients+fmt.Sprintf(named, "theirs")+cluster(1, 0)+leafs(3))
	ourLeaf, theirLeaf := start("leafd", clients+remote(2)), start("ref", clients+"server_name: leaf2\n"+remote(3))
	gateway := func(own, other int, name, remote string) string {
		return fmt.Sprintf("gateway { name: %s, listen: \"127.0.0.1:%d\", gateways: [ { name: %s, url: \"nats://127.0.0.1:%d\" } ] }\n", name, free[own], remote, free[other])
	}
	gwd := start("gwd", fmt.Sprintf(`
monitor: {listen: "127.0.0.1:-1"}
lifecycle: {ports_dir: "{{dir}}"}
cluster: {name: c, listen: "127.0.0.1:%d", routes: ["nats://127.0.0.1:%d"]}
gateway: {listen: "127.0.0.1:%d", remotes: [{name: d, urls: ["nats://127.0.0.1:%d"]}]}
`, free[6], free[0], free[4], free[5]))
	region := start("ref", clients+"server_name: far\n"+gateway(5, 4, "d", "c"))

	for _, p := range []procs.Ports{ours, theirs, ourLeaf, theirLeaf, region} {
		gone, err := nats.Connect(p.Client(), nats.Name("gone"))
		if err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect(p.Client(), nats.Name("app"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		for _, c := range []*nats.Conn{gone, nc} {
			_, err1 := c.SubscribeSync("orders.>")
			_, err2 := c.QueueSubscribeSync("jobs", "q")
			err3 := c.Publish("orders.new", []byte("x"))
			if err := errors.Join(err1, err2, err3, c.Flush()); err != nil {
				t.Fatal(err)
			}
		}
		gone.Close()
	}
	full := []string{
		"/varz", "/connz", "/connz?subs=1&auth=1", "/connz?subs=detail", "/connz?state=closed", "/connz?state=any&sort=cid&limit=100", "/connz?sort=bytes_to&limit=1",
		"/connz?acc=NOPE", "/connz?cid=999999", "/routez", "/routez?subs=1", "/routez?subs=detail", "/leafz", "/leafz?subs=1", "/gatewayz", "/gatewayz?accs=1",
		"/subsz", "/subsz?subs=1", "/subsz?subs=1&test=orders.new", "/accountz", "/accountz?acc=$G", "/accountz?acc=$SYS", "/accstatz", "/accstatz?unused=1",
		"/jsz", "/jsz?streams=1", "/healthz", "/healthz?js-enabled-only=1", "/healthz?js-server-only=1", "/ipqueuesz",
	}
	mistakes := []string{
		"/connz?subs=maybe", "/connz?auth=2", "/connz?limit=x", "/connz?offset=x", "/connz?cid=x", "/connz?state=zzz", "/connz?sort=bogus", "/connz?sort=stop",
		"/connz?sort=reason", "/routez?subs=x", "/gatewayz?accs=x", "/leafz?subs=x", "/subsz?test=foo.*", "/subsz?subs=x", "/subsz?limit=x", "/accountz?acc=NOPE",
		"/accstatz?unused=x", "/jsz?leader-only=1", "/jsz?limit=x", "/jsz?streams=x", "/nothing", "/varz/", "/healthz?js-enabled=x", "/debug/pprof/",
	}
	settled := func(p procs.Ports, path, key string, n float64) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			_, _, v := fetch(t, p, "GET", path)
			if m, ok := v.(map[string]any); ok {
				if l, ok := m[key].(map[string]any); ok && float64(len(l)) >= n || m[key] == n {
					return
				}
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %s is not %v: %v", path, key, n, v)
			}
		}
	}
	for _, p := range []procs.Ports{ours, theirs} {
		settled(p, "/leafz", "leafnodes", 1)
	}
	for _, p := range []procs.Ports{gwd, region} {
		settled(p, "/gatewayz", "outbound_gateways", 1)
	}
	for daemon, p := range map[string]procs.Ports{"hubd": ours, "gwd": gwd, "leafd": ourLeaf} {
		checkPages(t, daemon, p)
	}
	for _, pair := range []struct {
		name         string
		ours, theirs procs.Ports
	}{{"hub", ours, theirs}, {"leaf", ourLeaf, theirLeaf}, {"region", gwd, region}} {
		for _, path := range full {
			for _, method := range []string{"GET", "POST"} {
				if method == "POST" && path != "/varz" {
					continue
				}
				wc, wt, want := fetch(t, pair.theirs, method, path)
				gc, gt, got := fetch(t, pair.ours, method, path)
				if gc != wc || gt != wt {
					t.Errorf("%s %s: %d %s, want %d %s", pair.name, path, gc, gt, wc, wt)
				}
				for _, d := range differences("", common(want), common(got)) {
					if _, ok := known["GET "+path+" "+d.path]; !ok && !(pair.name == "region" && ofClients(d.path)) {
						t.Errorf("%s %s: %s %s", pair.name, path, d.path, d.text)
					}
				}
			}
		}
		for _, path := range mistakes {
			wc, wt, want := fetch(t, pair.theirs, "GET", path)
			gc, gt, got := fetch(t, pair.ours, "GET", path)
			if gc != wc || gt != wt || got != want {
				t.Errorf("%s %s: %d %s %q, want %d %s %q", pair.name, path, gc, gt, got, wc, wt, want)
			}
		}
	}
}

// checkPages asks a daemon for its metrics, by whichever writer it has, and for the page.
func checkPages(t *testing.T, daemon string, p procs.Ports) {
	t.Helper()
	code, kind, body := fetch(t, p, "GET", "/metrics")
	text, _ := body.(string)
	if code != 200 || !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		t.Errorf("%s /metrics: %d %s", daemon, code, kind)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Errorf("%s /metrics: %v", daemon, err)
	}
	for _, l := range problems {
		if strings.HasPrefix(l.Metric, "banyan_") {
			t.Errorf("%s /metrics: %s: %s", daemon, l.Metric, l.Text)
		}
	}
	for _, want := range []string{"banyan_build_info{", "banyan_ready{daemon=\"" + daemon + "\"} 1\n", "\nprocess_open_fds ", "\ngo_goroutines "} {
		if !strings.Contains(text, want) {
			t.Errorf("%s /metrics has no %s", daemon, want)
		}
	}
	if code, kind, _ := fetch(t, p, "GET", "/ui/"); code != 200 || kind != "text/html; charset=utf-8" {
		t.Errorf("%s /ui/: %d %s", daemon, code, kind)
	}
	_, _, state := fetch(t, p, "GET", "/ui/state.json")
	if m, ok := state.(map[string]any); !ok || m["server"].(map[string]any)["daemon"] != daemon {
		t.Errorf("%s /ui/state.json: %v", daemon, state)
	}
}

// ofClients tells whether a border, which has no clients, may be without it.
func ofClients(path string) bool {
	return slices.Contains([]string{"connections", "subscriptions_list", "account_statz", "connect_urls", "accounts", "account_detail.update_time"}, path)
}

// common puts what is told of one region in the place of all, whatever its name.
func common(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for _, key := range []string{"outbound_gateways", "inbound_gateways"} {
		if regions, ok := m[key].(map[string]any); ok {
			for _, r := range regions {
				m[key] = map[string]any{"region": r}
			}
		}
	}
	return m
}

// fetch asks and decodes: an answer that is no JSON is a string.
func fetch(t *testing.T, p procs.Ports, method, path string) (int, string, any) {
	t.Helper()
	req, err := http.NewRequest(method, p.HTTP()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if json.Unmarshal(body, &v) != nil {
		v = string(body)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), v
}

// difference is what is at a path in the one answer and not in the other.
type difference struct{ path, text string }

// differences lists what want has and got has not. Of lists the entries are taken
// together: a key counts if one entry has it.
func differences(path string, want, got any) (out []difference) {
	if k, g := kindOf(want), kindOf(got); k != g && !(k == "list" && g == "null" || k == "null" && g == "list") {
		return []difference{{path, fmt.Sprintf("is %s, want %s", g, k)}}
	}
	switch w := want.(type) {
	case map[string]any:
		for key, v := range w {
			p := strings.TrimPrefix(path+"."+key, ".")
			if g, ok := got.(map[string]any)[key]; ok {
				out = append(out, differences(p, v, g)...)
			} else {
				out = append(out, difference{p, "is missing"})
			}
		}
	case []any:
		g, _ := got.([]any)
		switch {
		case len(w) > 0 && len(g) == 0:
			return []difference{{path, "is empty"}}
		case len(w) > 0:
			return differences(path, merged(w), merged(g))
		}
	}
	return out
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "object"
	case []any:
		return "list"
	}
	return fmt.Sprintf("%T", v)
}

// merged is one entry that has what any of them has.
func merged(list []any) any {
	all := map[string]any{}
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}
