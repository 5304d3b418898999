package daemon

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/config"
)

// The setting opens a listener that is in the ports file and gone after Stop.
func TestProfiles(t *testing.T) {
	defer goleak.VerifyNone(t)
	defer http.DefaultClient.CloseIdleConnections()
	cfg := &config.Config{Daemon: config.Hubd, Client: config.Client{Listen: config.Listen{Host: "0.0.0.0"}}, ProfPort: -1, PortsFileDir: t.TempDir()}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.Add(profilerPart(p))
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			p.Stop()
		}
	}()
	files, err := filepath.Glob(filepath.Join(cfg.PortsFileDir, "*.ports"))
	if err != nil || len(files) != 1 {
		t.Fatalf("ports files %q, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var ports struct{ Profile []string }
	if err := json.Unmarshal(b, &ports); err != nil || len(ports.Profile) != 1 || !strings.HasPrefix(ports.Profile[0], "http://127.0.0.1:") {
		t.Fatalf("ports file %s: %v; want one profile listener on loopback", b, err)
	}
	url := ports.Profile[0] + "/debug/pprof/goroutine?debug=1"
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.HasPrefix(string(text), "goroutine profile: total ") {
		t.Errorf("got %.60q", text)
	}
	for path, want := range map[string]string{"/debug/vars": `{"cmdline":["`, "/debug/pprof/cmdline": os.Args[0]} {
		resp, err := http.Get(ports.Profile[0] + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.HasPrefix(string(text), want) {
			t.Errorf("%s: got %.60q", path, text)
		}
	}
	for path, want := range map[string]struct {
		code   int
		begins string
	}{
		"/debug/pprof/": {200, "allocs\t"}, "/debug/pprof/heap": {200, "\x1f\x8b"}, "/debug/pprof/heap?gc=1&debug=1": {200, "heap profile: "},
		"/debug/pprof/profile?seconds=0.05": {200, "\x1f\x8b"}, "/debug/pprof/trace?seconds=0.05": {200, "go 1."},
		"/debug/pprof/nothing": {404, "404 page not found"}, "/debug/pprof/heap?seconds=1": {400, "differences"},
		"/debug/pprof/../../etc": {404, "404"}, "/debug/pprof/goroutine?debug=2": {200, "goroutine "},
	} {
		resp, err := http.Get(ports.Profile[0] + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want.code || !strings.HasPrefix(string(text), want.begins) {
			t.Errorf("%s: %d %.60q", path, resp.StatusCode, text)
		}
	}
	stopped = true
	p.Stop()
	http.DefaultClient.CloseIdleConnections()
	if resp, err := http.Get(url); err == nil {
		resp.Body.Close()
		t.Error("the listener outlived Stop")
	}
}
