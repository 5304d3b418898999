package monitor_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// TestRequests: status, content type and body by method and path.
func TestRequests(t *testing.T) {
	h := startHub(t)
	const text, jsonType = "text/plain; charset=utf-8", "application/json"
	rows := []struct {
		method, path string
		code         int
		kind         string
		body         string // begins with
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "<!DOCTYPE html>"},
		{"GET", "/varz", 200, jsonType, "{\n  \"server_id\": \"NTEST\",\n"},
		{"POST", "/varz", 200, jsonType, "{\n  \"server_id\""},
		{"DELETE", "/connz", 200, jsonType, "{\n  \"server_id\""},
		{"HEAD", "/varz", 200, jsonType, ""},
		{"GET", "/healthz", 200, jsonType, `{"status":"ok"}`},
		{"HEAD", "/healthz", 200, jsonType, ""},
		{"GET", "/nothing", 404, text, "404 page not found\n"},
		{"GET", "/varz/", 404, text, "404 page not found\n"},
		{"GET", "//varz", 404, text, "404 page not found\n"},
		{"GET", "/VARZ", 404, text, "404 page not found\n"},
		{"GET", "/debug/pprof/", 404, text, "404 page not found\n"},
		{"GET", "/connz?acc=NOPE", 200, jsonType, "{\n  \"server_id\": \"\",\n"},
		{"GET", "/connz?subs=maybe", 400, text, "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"maybe\": invalid syntax"},
		{"GET", "/connz?auth=2", 400, text, "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"2\": invalid syntax"},
		{"GET", "/connz?limit=x", 400, text, "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax"},
		{"GET", "/connz?offset=1e3", 400, text, "Error decoding int for 'offset': strconv.Atoi: parsing \"1e3\": invalid syntax"},
		{"GET", "/connz?cid=x", 400, text, "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"x\": invalid syntax"},
		{"GET", "/connz?state=zzz", 400, text, "Error decoding state for zzz"},
		{"GET", "/connz?sort=bogus", 400, text, "invalid sorting option: bogus"},
		{"GET", "/connz?sort=stop", 400, text, "sort by stop only valid on closed connections"},
		{"GET", "/connz?sort=reason&state=any", 400, text, "sort by reason only valid on closed connections"},
		{"GET", "/connz?sort=reason&state=closed", 200, jsonType, "{"},
		{"GET", "/routez?subs=x", 400, text, "Error decoding boolean for 'subs'"},
		{"GET", "/routez?subs=detail", 200, jsonType, "{"},
		{"GET", "/gatewayz?accs=x", 400, text, "Error decoding boolean for 'accs'"},
		{"GET", "/leafz?subs=detail", 400, text, "Error decoding boolean for 'subs'"},
		{"GET", "/subsz?test=foo.*", 400, text, "invalid test subject, must be valid publish subject: foo.*"},
		{"GET", "/subsz?test=foo..bar", 400, text, "invalid test subject"},
		{"GET", "/subsz?offset=x", 400, text, "Error decoding int for 'offset'"},
		{"GET", "/accountz?acc=NOPE", 400, text, "Account NOPE does not exist"},
		{"GET", "/accstatz?unused=x", 400, text, "Error decoding boolean for 'unused'"},
		{"GET", "/accstatz?unused=1", 200, jsonType, "{"},
		{"GET", "/healthz?details=x", 400, text, "Error decoding boolean for 'details'"},
		{"GET", "/healthz?stream=S", 400, jsonType, `{"status":"error","error":"\"account\" must not be empty when checking stream health"}`},
		{"GET", "/healthz?account=A&consumer=C&details=1", 400, jsonType,
			`{"status":"error","errors":[{"type":"BAD_REQUEST","error":"\"stream\" must not be empty when checking consumer health"}]}`},
	}
	for _, row := range rows {
		code, hdr, body := get(t, row.method, h.base+row.path)
		if code != row.code || hdr.Get("Content-Type") != row.kind || !strings.HasPrefix(string(body), row.body) {
			t.Errorf("%s %s: %d %s %.120q, want %d %s %q", row.method, row.path, code, hdr.Get("Content-Type"), body, row.code, row.kind, row.body)
		}
		origin := hdr.Get("Access-Control-Allow-Origin")
		if ok := row.kind != text; ok != (origin == "*") {
			t.Errorf("%s %s: Access-Control-Allow-Origin %q", row.method, row.path, origin)
		}
	}
	stats := ask[monitor.Varz](t, h.base+"/varz").HTTPReqStats
	for path, want := range map[string]uint64{"/": 1, "/varz": 4, "/healthz": 5, "/accountz": 1, "/subsz": 3} {
		if stats[path] != want {
			t.Errorf("%d hits of %s, want %d", stats[path], path, want)
		}
	}
}

// TestBasePath: nothing is served beside it.
func TestBasePath(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.HTTP.BasePath = "/mon" })
	root := strings.TrimSuffix(h.base, "/mon")
	for path, want := range map[string]int{"/mon": 200, "/mon/varz": 200, "/mon/": 404, "/varz": 404, "/": 404, "/monvarz": 404} {
		if code, _, _ := get(t, "GET", root+path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	if _, _, body := get(t, "GET", root+"/mon"); !bytes.Contains(body, []byte(`href="/mon/connz"`)) {
		t.Errorf("the links of the index leave the base path: %s", body)
	}
	if n := ask[monitor.Varz](t, h.base+"/varz").HTTPReqStats["/varz"]; n != 2 {
		t.Errorf("%d hits of /varz, want 2", n)
	}
}

// TestCallbackAndCompression: wrappings of the same answer.
func TestCallbackAndCompression(t *testing.T) {
	h := startHub(t)
	code, hdr, body := get(t, "GET", h.base+"/healthz?callback=jQuery_1.on$ok")
	if code != 200 || hdr.Get("Content-Type") != "application/javascript" || string(body) != `/**/jQuery_1.on$ok({"status":"ok"})` {
		t.Errorf("callback: %d %s %s", code, hdr.Get("Content-Type"), body)
	}
	for _, bad := range []string{"alert(1)//", "a b", "1a", "a..b", ".", "a;b", "<script>", strings.Repeat("a", 200)} {
		if _, _, body := get(t, "GET", h.base+"/healthz?callback="+url.QueryEscape(bad)); string(body) != `{"status":"ok"}` {
			t.Errorf("callback %q: %s", bad, body)
		}
	}
	for accept, want := range map[string]string{
		"gzip": "gzip", "deflate, gzip;q=0.5": "gzip", "": "", "identity": "", "gzip;q=0": "", "x-gzip2": "",
	} {
		_, hdr, body := get(t, "GET", h.base+"/varz", "Accept-Encoding", accept)
		if got := hdr.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: Content-Encoding %q, want %q", accept, got, want)
			continue
		}
		if want == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if !json.Valid(body) {
			t.Errorf("Accept-Encoding %q: %.80q", accept, body)
		}
	}
}

// TestLifeOfTheListener: off without a port, an error for a taken one, and Close
// at any time.
func TestLifeOfTheListener(t *testing.T) {
	off := monitor.New(newOptions(func(c *config.Config) { c.HTTP.Port = 0 }))
	if err := off.Start(); err != nil || off.Addr() != nil {
		t.Errorf("without a port: %v, %v", err, off.Addr())
	}
	off.Close()
	off.Close()
	h := startHub(t)
	second := monitor.New(newOptions(func(c *config.Config) { c.HTTP.Port = h.Addr().Port }))
	if err := second.Start(); err == nil || !strings.Contains(err.Error(), "monitoring listener") {
		t.Errorf("the second listener on a port: %v", err)
	}
	second.Close()
	h.Close()
	if _, err := http.Get(h.base + "/healthz"); err == nil {
		t.Error("answers after Close")
	}
	monitor.New(newOptions()).Close()
}

// TestHealthWhileDraining: not ready, but alive for charts' liveness probe.
func TestHealthWhileDraining(t *testing.T) {
	h := startHub(t)
	const failed = `failed to be ready for connections after 1ms: server`
	close(h.draining)
	for path, want := range map[string]string{
		"/healthz":                        `{"status":"error","error":"` + failed + `"}`,
		"/healthz?js-server-only=1":       `{"status":"error","error":"` + failed + `"}`,
		"/healthz?js-enabled=1":           `{"status":"error","error":"` + failed + `"}`,
		"/healthz?details=1":              `{"status":"error","errors":[{"type":"CONNECTION","error":"` + failed + `"}]}`,
		"/healthz?js-enabled-only=true":   `{"status":"ok"}`,
		"/healthz?js-meta-only=1&stream=": `{"status":"error","error":"` + failed + `"}`,
	} {
		wantCode := 500
		if strings.Contains(want, `"ok"`) {
			wantCode = 200
		}
		if code, _, body := get(t, "GET", h.base+path); code != wantCode || string(body) != want {
			t.Errorf("%s: %d %s, want %d %s", path, code, body, wantCode, want)
		}
	}
}

// TestHealthOfListeners: those that the settings ask for and that are not open are named.
func TestHealthOfListeners(t *testing.T) {
	o := newOptions(func(c *config.Config) {
		c.Cluster = &config.Cluster{Listen: config.Listen{Port: -1}}
		c.LeafNodes = &config.LeafNodes{}
	})
	closed := nilAddr
	o.Hooks.ClientAddr, o.Hooks.RouteAddr, o.Hooks.LeafAddr = closed, closed, closed
	o.Hooks.NotReady = func() []string { return []string{"border"} }
	h := monitor.NewReports(o).Healthz(monitor.HealthzOptions{})
	if h.StatusCode != 500 || h.Error != "failed to be ready for connections after 1ms: server, route, border" {
		t.Errorf("%+v", h)
	}
}

// TestUptime: leading units that are zero are left out.
func TestUptime(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 999 * time.Millisecond: "0s", 31 * time.Second: "31s", 5 * time.Minute: "5m0s",
		2*time.Hour + 5*time.Minute: "2h5m0s", 3*day + 2*time.Hour + 5*time.Minute: "3d2h5m0s", 368*day + 2*time.Hour + 5*time.Minute: "1y3d2h5m0s",
		time.Hour: "1h0m0s",
	} {
		if got := monitor.Uptime(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

// FuzzQuery: whatever the path and the query, the answer is JSON, a page, or an error
// in one line.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		"/connz?sort=subs&limit=1&offset=2&cid=3&state=any&subs=detail&auth=1", "/connz?acc=$G&user=x&mqtt_client=y",
		"/subsz?subs=1&test=a.b&offset=-1&limit=-9223372036854775808", "/gatewayz?accs=1&gw_name=x&acc_name=y", "/leafz?subs=t&acc=$G",
		"/healthz?details=1&account=a&stream=s&consumer=c", "/accountz?acc=%00", "/accstatz?unused=1", "/varz?callback=a.b", "/routez?subs=%zz",
		"/connz?cid=18446744073709551615&limit=9223372036854775807&offset=9223372036854775807", "//", "/?callback=x",
	} {
		f.Add(s)
	}
	r := monitor.NewReports(newOptions())
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.Parse(target)
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, &http.Request{Method: "GET", URL: u, Header: http.Header{}})
		switch w.Code {
		case 200, 500:
			kind := w.Header().Get("Content-Type")
			if kind == "application/json" && !json.Valid(w.Body.Bytes()) {
				t.Errorf("%q: not JSON: %s", target, w.Body)
			}
			if w.Code == 500 && u.Path != "/healthz" {
				t.Errorf("%q: %s", target, w.Body)
			}
		case 400, 404:
			if w.Body.Len() == 0 {
				t.Errorf("%q: %d without a word", target, w.Code)
			}
		default:
			t.Errorf("%q: status %d", target, w.Code)
		}
	})
}
