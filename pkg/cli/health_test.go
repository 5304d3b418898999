package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RequestURI() {
		case "/healthz", "/livez?js-enabled-only=true":
			fmt.Fprint(w, `{"status":"ok"}`)
		case "/sick":
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"status":"unavailable","error":"draining\u001b[0m"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	for _, c := range []struct {
		args   string
		code   int
		out    string
		errOut string
	}{
		{"--url " + srv.URL, 0, "ok\n", ""},
		{"--http " + host, 0, "ok\n", ""},
		{"--url " + srv.URL + "/", 0, "ok\n", ""},
		{"--url " + srv.URL + "/livez?js-enabled-only=true", 0, "ok\n", ""},
		{"--url " + srv.URL + "/sick", 1, "", `unavailable: draining\x1b[0m`},
		{"--url " + srv.URL + "/none", 1, "", "Not Found"},
		{"--url http://127.0.0.1:1", 1, "", "is that the HTTP port"},
		{"--url ftp://127.0.0.1", 2, "", "neither host:port nor an http URL"},
		{"now", 2, "", "usage:"},
	} {
		code, out, errOut := run(t, "", append([]string{"health"}, strings.Fields(c.args)...)...)
		if code != c.code || out != c.out || !strings.Contains(errOut, c.errOut) || (c.errOut == "") != (errOut == "") {
			t.Errorf("%s: exit %d, %q, %q; want %d, %q, %q", c.args, code, out, errOut, c.code, c.out, c.errOut)
		}
	}
	t.Setenv("BANYAN_HTTP", srv.URL)
	if code, out, _ := run(t, "", "health"); code != 0 || out != "ok\n" {
		t.Errorf("BANYAN_HTTP: exit %d, %q", code, out)
	}
}

// An engine's probe has to end when the daemon hangs.
func TestHealthOfADaemonThatHangs(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	if code, _, errOut := run(t, "", "health", "--url", srv.URL, "--timeout", "50ms"); code != ExitFailure || errOut == "" {
		t.Errorf("exit %d, %q", code, errOut)
	}
}
