//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/procs"
)

// webHubs are hubs of a cluster with WebSocket listeners.
type webHubs struct {
	e    *estate.Estate
	hubs map[string]*procs.Process
	at   map[string]procs.Ports
}

func newWebHubs(t *testing.T) *webHubs {
	return &webHubs{e: estate.New(t, bins), hubs: map[string]*procs.Process{}, at: map[string]procs.Ports{}}
}

// start adds a hub, with a route to one that is there; more is added to its settings.
func (w *webHubs) start(t *testing.T, name, to, more string) {
	t.Helper()
	routes := ""
	if to != "" {
		routes = fmt.Sprintf("%q", w.at[to].Cluster[0])
	}
	p := start(t, w.e, "hubd", name, fmt.Sprintf(`
server_name: %s
listen: 127.0.0.1:-1
ports_file_dir: "{{dir}}"
lame_duck_grace_period: 100ms
lame_duck_duration: 30s
cluster { name: c, listen: 127.0.0.1:-1, routes: [%s] }
websocket { listen: "127.0.0.1:-1", no_tls: true, compression: true%s }
`, name, routes, more))
	ports, err := p.Ports(w.e.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.hubs[name], w.at[name] = p, ports
}

func (w *webHubs) ws(name string) string { return procs.Addr(w.at[name].WebSocket[0]) }

// TestWebSocketURLsOfACluster: WebSocket clients are told of the cluster's WebSocket
// listeners and of nothing else, as they come and go, and find another when theirs stops.
func TestWebSocketURLsOfACluster(t *testing.T) {
	w := newWebHubs(t)
	w.start(t, "a", "", "")
	w.start(t, "b", "a", "")
	nc, err := nats.Connect("ws://"+w.ws("a"), nats.ReconnectWait(50*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	knows := func(names ...string) {
		t.Helper()
		var want []string
		for _, n := range names {
			want = append(want, w.ws(n))
		}
		slices.Sort(want)
		w.e.Eventually("the client knows "+strings.Join(names, ", "), func() error {
			var got []string
			for _, s := range nc.Servers() {
				u, err := url.Parse(s)
				if err != nil || u.Scheme != "ws" {
					return fmt.Errorf("server %q", s)
				}
				got = append(got, u.Host)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				return fmt.Errorf("it knows %v, not %v", got, want)
			}
			return nil
		})
	}
	knows("a", "b")
	w.start(t, "c", "b", "")
	knows("a", "b", "c")
	if code, err := w.hubs["c"].Term(w.e.Context()); err != nil || code != 0 {
		t.Fatalf("c ended with %d, %v", code, err)
	}
	knows("a", "b")
	// TCP clients are told of TCP listeners.
	tcp, err := nats.Connect(w.at["b"].Client())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tcp.Close)
	for _, s := range tcp.Servers() {
		if strings.Contains(s, w.ws("a")) || strings.Contains(s, w.ws("b")) {
			t.Errorf("a TCP client is told of %s", s)
		}
	}
	sub, err := nc.SubscribeSync("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.hubs["a"].Term(w.e.Context()); err != nil {
		t.Fatal(err)
	}
	w.e.Eventually("messages for a client that has moved", func() error {
		if u, err := url.Parse(nc.ConnectedUrl()); err != nil || u.Host != w.ws("b") {
			return fmt.Errorf("connected to %q", nc.ConnectedUrl())
		}
		if err := errors.Join(tcp.Publish("x", nil), tcp.Flush()); err != nil {
			return err
		}
		_, err := sub.NextMsg(100 * time.Millisecond)
		return err
	})
}

// reconnectPage sends 100,000 messages both ways, tells that its server may stop, and goes
// on where it finds the next one.
const reconnectPage = `<!doctype html><script type="module">
const say = (s) => fetch("/result", {method: "POST", body: s});
try {
  const {connect, StringCodec} = await import("/nats.js");
  const sc = StringCodec();
  const nc = await connect({servers: ["ws://%s"], timeout: 10000, reconnectTimeWait: 100, maxReconnectAttempts: 200});
  const n = 100000;
  let got = 0;
  const sub = nc.subscribe("down", {max: n});
  const all = (async () => { for await (const m of sub) { if (sc.decode(m.data) !== "" + got) throw new Error("order at " + got); got++; } })();
  await nc.flush();
  await nc.request("start", sc.encode("" + n), {timeout: 5000});
  for (let i = 0; i < n; i++) { nc.publish("up", sc.encode("" + i)); if (i %% 1000 === 999) await nc.flush(); }
  await nc.flush();
  await all;
  const later = nc.subscribe("later");
  await nc.flush();
  const before = nc.getServer();
  const back = (async () => { for await (const s of nc.status()) { if (s.type === "reconnect") return s.data; } })();
  await say("stop");
  await back;
  const echoed = (async () => { for await (const m of later) return sc.decode(m.data); })();
  await nc.flush();
  const r = await nc.request("svc", sc.encode("again"), {timeout: 5000});
  await say("ok " + got + " " + sc.decode(r.data) + " " + (await echoed) + " " + (nc.getServer() !== before));
} catch (e) { await say("failed: " + (e.stack || e)); }
</script>`

// TestBrowserReconnects: a page that talks to one hub of a cluster goes on at another.
func TestBrowserReconnects(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skipf("%s: no chromium on PATH: apt-get install chromium", t.Name())
	}
	module := browserClient(t)
	w := newWebHubs(t)
	result := make(chan string, 10)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /nats.js", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/javascript")
		_, _ = rw.Write(module)
	})
	mux.HandleFunc("GET /", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(rw, reconnectPage, w.ws("a"))
	})
	mux.HandleFunc("POST /result", func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		result <- string(b)
	})
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	origins := fmt.Sprintf(", allowed_origins: [%q]", site.URL)
	w.start(t, "a", "", origins)
	w.start(t, "b", "a", origins)
	nc, err := nats.Connect(w.at["b"].Client())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	const n = 100_000
	up := make(chan *nats.Msg, n)
	for subj, f := range map[string]nats.MsgHandler{
		"svc": func(m *nats.Msg) { _ = errors.Join(nc.Publish("later", []byte("hello")), m.Respond(m.Data)) },
		"start": func(m *nats.Msg) {
			_ = m.Respond(nil)
			for i := range n {
				_ = nc.Publish("down", fmt.Append(nil, i))
			}
			_ = nc.Flush()
		},
	} {
		if _, err := nc.Subscribe(subj, f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nc.ChanSubscribe("up", up); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+t.TempDir(), site.URL)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	says := func(want string) {
		t.Helper()
		select {
		case r := <-result:
			if r != want {
				t.Fatalf("the page says: %s\nhub b:\n%s", r, w.hubs["b"].Log.Tail(3000))
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("the page says nothing\nhub b:\n%s", w.hubs["b"].Log.Tail(3000))
		}
	}
	says("stop")
	for i := range n {
		select {
		case m := <-up:
			if string(m.Data) != fmt.Sprint(i) {
				t.Fatalf("message %d of the page is %q", i, m.Data)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("message %d of the page is missing", i)
		}
	}
	if _, err := w.hubs["a"].Term(w.e.Context()); err != nil {
		t.Fatal(err)
	}
	says("ok 100000 again hello true")
}
