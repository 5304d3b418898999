//go:build linux

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/procs"
)

// browserClient is the module of the official JavaScript client, fetched from the npm
// registry into a temporary directory; the test is skipped where that can't be.
func browserClient(t *testing.T) []byte {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skipf("%s: no npm on PATH to fetch the JavaScript client with", t.Name())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, npm, "pack", "--silent", "nats.ws@1.30.3")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("%s: the JavaScript client can't be fetched: %v %s", t.Name(), err, out)
	}
	f, err := os.Open(filepath.Join(dir, "nats.ws-1.30.3.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("no module in the package: %v", err)
		}
		if h.Name == "package/esm/nats.js" {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
}

// page talks to the hub and says how it went: requests to a service outside, messages both
// ways, one of them large. The login is in cookies.
const page = `<!doctype html><script type="module">
const say = (s) => fetch("/result", {method: "POST", body: s});
try {
  const {connect, StringCodec} = await import("/nats.js");
  const sc = StringCodec();
  const nc = await connect({servers: ["ws://%s"], timeout: 10000});
  for (let i = 0; i < 100; i++) {
    const r = await nc.request("svc", sc.encode("hi " + i), {timeout: 5000});
    if (sc.decode(r.data) !== "got hi " + i) throw new Error("request " + i);
  }
  const big = new Uint8Array(300000).fill(120);
  const r = await nc.request("svc", big, {timeout: 5000});
  if (r.data.length !== big.length + 4) throw new Error("large: " + r.data.length);
  const n = 20000;
  let got = 0;
  const sub = nc.subscribe("down", {max: n});
  const all = (async () => { for await (const m of sub) { if (sc.decode(m.data) !== "" + got) throw new Error("order at " + got); got++; } })();
  await nc.flush();
  await nc.request("start", sc.encode("" + n), {timeout: 5000});
  await all;
  for (let i = 0; i < n; i++) nc.publish("up", sc.encode("" + i));
  await nc.flush();
  const status = nc.info.client_ip;
  await nc.close();
  await say("ok " + got + " " + status);
} catch (e) { await say("failed: " + (e.stack || e)); }
</script>`

// TestBrowser runs the official JavaScript client in a browser against a hub.
func TestBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skipf("%s: no chromium on PATH: apt-get install chromium", t.Name())
	}
	module := browserClient(t)
	exe, err := bins.Build(t.Context(), "hubd")
	if err != nil {
		t.Fatal(err)
	}
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprintf("compressed=%v", compress), func(t *testing.T) {
			result := make(chan string, 10)
			var ws string
			mux := http.NewServeMux()
			mux.HandleFunc("GET /nats.js", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = w.Write(module)
			})
			mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
				for n, v := range map[string]string{"u": "web", "p": "secret"} {
					http.SetCookie(w, &http.Cookie{Name: n, Value: v, Path: "/"})
				}
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprintf(w, page, ws)
			})
			mux.HandleFunc("POST /result", func(_ http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				result <- string(b)
			})
			site := httptest.NewServer(mux)
			t.Cleanup(site.Close)
			hub, err := procs.Start(procs.Spec{Exe: exe, Dir: t.TempDir(), Config: fmt.Sprintf(`
listen: 127.0.0.1:-1
ports_file_dir: "{{dir}}"
authorization { users: [{user: web, password: secret, allowed_connection_types: [WEBSOCKET]}, {user: app, password: secret}] }
websocket { listen: "127.0.0.1:-1", no_tls: true, compression: %v, allowed_origins: [%q], user_cookie: u, pass_cookie: p }
`, compress, site.URL)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(hub.Kill)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			ports, err := hub.Ports(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(ports.WebSocket) != 1 || !strings.HasPrefix(ports.WebSocket[0], "ws://") {
				t.Fatalf("the ports file names %q", ports.WebSocket)
			}
			ws = procs.Addr(ports.WebSocket[0])
			nc, err := nats.Connect(ports.Client(), nats.UserInfo("app", "secret"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			up := make(chan *nats.Msg, 20000)
			for subj, f := range map[string]nats.MsgHandler{
				"svc": func(m *nats.Msg) { _ = m.Respond(append([]byte("got "), m.Data...)) },
				"start": func(m *nats.Msg) {
					_ = m.Respond(nil)
					for i := range 20000 {
						_ = nc.Publish("down", fmt.Append(nil, i))
					}
					_ = nc.Flush()
				},
				"up": func(m *nats.Msg) { up <- m },
			} {
				if _, err := nc.Subscribe(subj, f); err != nil {
					t.Fatal(err)
				}
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			cmd := exec.Command(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
				"--user-data-dir="+t.TempDir(), site.URL)
			cmd.Stderr = &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			})
			select {
			case r := <-result:
				if r != "ok 20000 127.0.0.1" {
					t.Fatalf("the page says: %s\nhub:\n%s", r, hub.Log.Tail(3000))
				}
			case <-time.After(2 * time.Minute):
				t.Fatalf("the page says nothing\nhub:\n%s", hub.Log.Tail(3000))
			}
			for i := range 20000 {
				select {
				case m := <-up:
					if string(m.Data) != fmt.Sprint(i) {
						t.Fatalf("message %d of the page is %q", i, m.Data)
					}
				case <-time.After(20 * time.Second):
					t.Fatalf("message %d of the page is missing", i)
				}
			}
		})
	}
}
