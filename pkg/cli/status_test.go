package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/procs"
)

func TestStatusOfARealServer(t *testing.T) {
	seed := startServer(t, "server_name: seed\naccounts { SYS { users: [{user: s, password: s}] } }\nsystem_account: SYS\nleafnodes { listen: 127.0.0.1:-1 }\ncluster { name: c1, listen: 127.0.0.1:-1 }\ngateway { name: c1, listen: 127.0.0.1:-1 }\n")
	seed.connect(t, nats.Name("app\x1b[31m one"))
	for _, address := range []string{seed.http, procs.Addr(seed.http), seed.http[strings.LastIndex(seed.http, ":")+1:]} {
		code, out, errOut := run(t, "", "status", "--http", address)
		if code != 0 || errOut != "" {
			t.Errorf("%s: exit %d, %s", address, code, errOut)
		}
		for _, re := range []string{
			`(?m)^Server +seed \(cluster c1\)$`, `(?m)^Version +2\.`, `(?m)^Health +ok$`, `(?m)^Connections +1 \(1 since the start\)$`,
			`(?m)^Clients \(1\)$`, `(?m)^ +\d+ +app\\x1b\[31m one +127\.0\.0\.1:\d+ +(\$G|-) +go \d`,
			`(?m)^Links +0 routes, 0 gateways out, 0 in, 0 leaf nodes$`,
		} {
			if !regexp.MustCompile(re).MatchString(out) {
				t.Errorf("%s: nothing matches %s in\n%s", address, re, out)
			}
		}
	}
	t.Setenv("BANYAN_HTTP", seed.http)
	code, out, _ := run(t, "", "status", "--json")
	var all map[string]map[string]any
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	for _, name := range statusEndpoints {
		if all[name] == nil {
			t.Errorf("no %s in the JSON", name)
		}
	}
	if all["varz"]["server_name"] != "seed" || all["connz"]["num_connections"] != 1.0 {
		t.Errorf("%v", all["varz"])
	}
}

func TestStatusShowsLinks(t *testing.T) {
	answers := map[string]string{
		"/healthz":  `{"status":"ok"}`,
		"/varz":     `{"server_name":"gw-sfo-0","version":"2.14.5","x_banyan":"1.2.3","gateway":{"name":"sfo"},"leafnodes":1,"in_msgs":5,"in_bytes":3072,"mem":20971520,"cpu":1.25}`,
		"/routez":   `{"routes":[{"rid":4,"remote_name":"hub-sfo-0","ip":"10.0.0.1","port":6222,"rtt":"200µs","pending_size":2048,"in_msgs":7}]}`,
		"/gatewayz": `{"outbound_gateways":{"sgp":{"connection":{"ip":"10.9.0.1","port":7222}},"ams":{"connection":{"ip":"10.8.0.1","port":7222,"rtt":"80ms"}}},"inbound_gateways":{"ams":[{"connection":{"ip":"10.8.0.2","port":5}}]}}`,
		"/connz":    `{"total":23,"connections":[{"cid":3,"kind":"Client","name":"app","ip":"::1","port":8,"account":"APP"},{"cid":9,"kind":"Leafnode","name":"edge-1","ip":"::1","port":9}]}`,
		"/leafz":    `{"leafs":[{"name":"edge-1","account":"APP","ip":"::1","port":9}]}`,
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, body)
	}))
	defer srv.Close()
	code, out, errOut := run(t, "", "status", "--http", srv.URL)
	if code != 0 {
		t.Fatalf("exit %d, %s", code, errOut)
	}
	want := `Server          gw-sfo-0 (gateway sfo)
Id              -
Version         2.14.5 (banyan 1.2.3)
Health          ok
Uptime          -
Connections     0 (0 since the start)
Links           1 routes, 2 gateways out, 1 in, 1 leaf nodes
Subscriptions   0
Messages        5 in (3.0 KiB), 0 out (0 B)
Slow consumers  0
Process         20.0 MiB memory, 1.2 % CPU

Clients (22)
  ID  NAME  ADDRESS  ACCOUNT  LIBRARY  RTT  SUBS  PENDING  MSGS FROM  MSGS TO  UPTIME
  3   app   [::1]:8  APP      -        -    0     0 B      0          0        -
  ... and 21 more

Routes (1)
  SERVER     ADDRESS        ACCOUNT  RTT    SUBS  PENDING  MSGS FROM  MSGS TO  UPTIME
  hub-sfo-0  10.0.0.1:6222  -        200µs  0     2.0 KiB  7          0        -

Gateways (3)
  GATEWAY    ADDRESS        ACCOUNT  RTT   SUBS  PENDING  MSGS FROM  MSGS TO  UPTIME
  ams (out)  10.8.0.1:7222  -        80ms  0     0 B      0          0        -
  sgp (out)  10.9.0.1:7222  -        -     0     0 B      0          0        -
  ams (in)   10.8.0.2:5     -        -     0     0 B      0          0        -

Leaf nodes (1)
  NAME    ADDRESS  ACCOUNT  RTT  SUBS  PENDING  MSGS FROM  MSGS TO  UPTIME
  edge-1  [::1]:9  APP      -    0     0 B      0          0        -
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

func TestStatusExitCodes(t *testing.T) {
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/base/healthz" {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"status":"unavailable","error":"shutting down"}`)
			return
		}
		fmt.Fprint(w, `{}`)
	}))
	defer sick.Close()
	code, out, errOut := run(t, "", "status", "--http", sick.URL+"/base/")
	if code != ExitFailure || !strings.Contains(out, "unavailable: shutting down") || errOut != "hubd: hubd is not healthy: unavailable: shutting down\n" {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if code, _, errOut := run(t, "", "status", "--http", other.URL); code != ExitFailure || !strings.Contains(errOut, "serves none") {
		t.Errorf("exit %d, %q", code, errOut)
	}
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	if code, _, errOut := run(t, "", "status", "--http", silent.URL, "--timeout", "50ms"); code != ExitTimeout {
		t.Errorf("exit %d, %q", code, errOut)
	}
	if code, _, errOut := run(t, "", "status", "--http", "127.0.0.1:1"); code != ExitConnection || !strings.Contains(errOut, "is that the HTTP port") {
		t.Errorf("exit %d, %q", code, errOut)
	}
	seed := startServer(t, "")
	if code, _, errOut := run(t, "", "status", "--http", procs.Addr(seed.url)); code != ExitConnection || len(errOut) > 400 || strings.Count(errOut, "\n") != 1 {
		t.Errorf("a client port: exit %d, %q", code, errOut)
	}
	for _, bad := range []string{"ftp://x", "http://", "a b"} {
		if code, _, _ := run(t, "", "status", "--http", bad); code != ExitUsage {
			t.Errorf("%q: exit %d", bad, code)
		}
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 5 << 40: "5.0 TiB", 3 << 60: "3072.0 PiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
