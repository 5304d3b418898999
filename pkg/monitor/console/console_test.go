package console_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/console"
	"github.com/banyanmq/banyan/pkg/wire"
)

// hostile is what somebody might call a client, to be shown and no more.
const hostile = `<script>document.title='taken'</script><img src=x onerror="document.title='taken'">"'&`

type fake struct{ i link.Info }

func (f *fake) ID() uint64             { return f.i.ID }
func (f *fake) Info(bool) link.Info    { return f.i }
func (f *fake) Close(wire.CloseReason) {}

// serve starts a server that has some of everything.
func serve(t *testing.T, change ...func(*config.Config)) *monitor.Service {
	t.Helper()
	c := &config.Config{
		Daemon: config.Hubd, SystemAccount: "$SYS",
		Client:   config.Client{Listen: config.Listen{Host: "127.0.0.1", Port: 4222}},
		HTTP:     config.HTTP{Listen: config.Listen{Host: "127.0.0.1", Port: -1}, Console: config.ConsoleAuto},
		Limits:   config.Limits{MaxConnections: 100, MaxPayload: 1 << 20, MaxPending: 1 << 26, PingInterval: 2 * time.Minute, PingMax: 2},
		Accounts: []config.Account{{Name: "APP", Users: []config.User{{Name: "ann", Password: "s3cret-user"}}}},
	}
	for _, f := range change {
		f(c)
	}
	b := broker.New("N", "", "$SYS")
	if err := b.Share([]account.Definition{{Name: "APP", Limits: account.Limits{MaxConnections: 2}}}); err != nil {
		t.Fatal(err)
	}
	b.Account("APP").Clients.Add(2)
	b.Account(hostile)
	s := monitor.New(monitor.Options{
		Server: &link.Server{ID: "N" + strings.Repeat("A", 55), Name: "hub-0", Version: "1.2.3", Product: "hubd", Started: time.Now().Add(-time.Hour)}, Config: c, Broker: b,
		Clients: link.NewRegistry(10), Routes: link.NewRegistry(10), Gateways: link.NewRegistry(10), Leafs: link.NewRegistry(10),
		Extra: console.Pages(c, nil),
		Hooks: monitor.Hooks{
			Client: func(link.Info) monitor.ClientDetails {
				return monitor.ClientDetails{Type: "nats", Lang: hostile, Version: "1"}
			},
			Route: func(i link.Info) monitor.RouteDetails {
				return monitor.RouteDetails{RemoteID: i.Name, RemoteName: i.Name, Border: i.ID == 21}
			},
			Gateway: func(i link.Info) monitor.GatewayDetails {
				return monitor.GatewayDetails{Remote: i.Name, Outbound: true}
			},
			LeafRemotes: func() []monitor.LeafRemote {
				return []monitor.LeafRemote{{Name: "hub above", State: "waiting", Attempts: 3, LastError: hostile}}
			},
		},
	})
	fill(s)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func fill(s *monitor.Service) {
	o := s.Reports().Options()
	add := func(r *link.Registry, id uint64, kind link.Kind, name, acc string) *fake {
		f := &fake{link.Info{
			ID: id, Kind: kind, Name: name, Account: acc, User: "ann", Started: time.Now(), InMsgs: 10, InBytes: 100, RTT: time.Millisecond, More: "x",
			Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: int(id)},
		}}
		r.Add(f)
		return f
	}
	add(o.Clients, 1, link.KindClient, hostile, "APP")
	for i := range uint64(5) {
		add(o.Clients, 2+i, link.KindClient, fmt.Sprintf("worker-%d", i), "APP")
	}
	slow := add(o.Clients, 10, link.KindClient, hostile, "APP")
	slow.i.Reason, slow.i.Stopped = wire.ReasonSlowPending, time.Now()
	o.Clients.Remove(slow, slow.i)
	add(o.Routes, 20, link.KindRoute, "hub-1", "")
	add(o.Routes, 21, link.KindRoute, "gw-0", "")
	for i := range uint64(40) {
		name := fmt.Sprintf("edge-node-with-a-long-name-%d", i)
		if i == 0 {
			name = hostile
		}
		add(o.Leafs, 30+i, link.KindLeaf, name, "APP")
	}
	add(o.Gateways, 100, link.KindGateway, "ams", "")
}

func fetch(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// TestFiles: status, type and the header that keeps the page to itself.
func TestFiles(t *testing.T) {
	s := serve(t, func(c *config.Config) { c.HTTP.BasePath = "/mon" })
	base := "http://" + s.Addr().String() + "/mon"
	for path, want := range map[string]struct {
		code int
		kind string
	}{
		"/ui/": {200, "text/html; charset=utf-8"}, "/ui/app.js": {200, "text/javascript; charset=utf-8"}, "/ui/style.css": {200, "text/css; charset=utf-8"},
		"/ui/picture.js": {200, "text/javascript; charset=utf-8"}, "/ui/icon.svg": {200, "image/svg+xml"}, "/ui/state.json": {200, "application/json"},
		"/ui/settings.json": {200, "application/json"}, "/ui/state.json?sort=bogus": {400, "text/plain; charset=utf-8"},
		"/ui/nothing.js": {404, "text/plain; charset=utf-8"}, "/ui/page/index.html": {404, "text/plain; charset=utf-8"}, "/ui/../varz": {404, ""}, "/uix": {404, ""},
	} {
		resp, body := fetch(t, "GET", base+path)
		if resp.StatusCode != want.code || want.kind != "" && resp.Header.Get("Content-Type") != want.kind {
			t.Errorf("%s: %d %s, want %d %s (%.80s)", path, resp.StatusCode, resp.Header.Get("Content-Type"), want.code, want.kind, body)
		}
		if want.code == 200 {
			csp := resp.Header.Get("Content-Security-Policy")
			if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
				t.Errorf("%s: policy %q", path, csp)
			}
		}
	}
	if resp, _ := fetch(t, "GET", base+"/ui"); resp.StatusCode != 302 || resp.Header.Get("Location") != "/mon/ui/" {
		t.Errorf("/ui: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if resp, _ := fetch(t, method, base+"/ui/state.json"); resp.StatusCode != 405 {
			t.Errorf("%s: %d, want 405", method, resp.StatusCode)
		}
	}
	if _, index := fetch(t, "GET", base); !strings.Contains(index, `<a href="/mon/ui">ui</a>`) || strings.Contains(index, `"/mon/ui/"`) {
		t.Errorf("the index does not name the page once: %s", index)
	}
}

// TestServed: only where nobody else can see it, unless asked for.
func TestServed(t *testing.T) {
	for _, row := range []struct {
		host string
		mode config.ConsoleMode
		want bool
	}{
		{"127.0.0.1", config.ConsoleAuto, true}, {"::1", config.ConsoleAuto, true}, {"localhost", config.ConsoleAuto, true}, {"127.0.0.9", "", true},
		{"0.0.0.0", config.ConsoleAuto, false}, {"", config.ConsoleAuto, false}, {"10.0.0.1", config.ConsoleAuto, false}, {"hub.example.net", config.ConsoleAuto, false},
		{"0.0.0.0", config.ConsoleOn, true}, {"127.0.0.1", config.ConsoleOff, false},
	} {
		c := &config.Config{HTTP: config.HTTP{Listen: config.Listen{Host: row.host}, Console: row.mode}}
		if got := console.Served(c); got != row.want {
			t.Errorf("%q %q: %v, want %v", row.host, row.mode, got, row.want)
		}
	}
	off := serve(t, func(c *config.Config) { c.HTTP.Console = config.ConsoleOff })
	for _, path := range []string{"/ui", "/ui/", "/ui/state.json"} {
		if resp, _ := fetch(t, "GET", "http://"+off.Addr().String()+path); resp.StatusCode != 404 {
			t.Errorf("%s: %d though it is off", path, resp.StatusCode)
		}
	}
}

// TestSettingsHaveNoSecrets: not one of those that settings can have.
func TestSettingsHaveNoSecrets(t *testing.T) {
	u := func(s string) []*url.URL {
		one, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{one}
	}
	link := config.LinkAuth{User: "s3cret-link-user", Password: "s3cret-1"}
	c := &config.Config{
		ServerName: "hub", Auth: config.Authorization{User: "s3cret-user", Password: "s3cret-2", Token: "s3cret-3"},
		Accounts:  []config.Account{{Name: "A", Users: []config.User{{Name: "s3cret-name", Password: "s3cret-4", NKey: "s3cret-5"}}}},
		Operator:  &config.OperatorMode{JWTs: []string{"s3cret-6"}, DefaultSentinel: "s3cret-7", Preload: []config.AccountJWT{{Account: "A", JWT: "s3cret-8"}}, Resolver: config.Resolver{URL: "http://u:s3cret-9@x"}},
		Cluster:   &config.Cluster{Auth: link, Routes: u("nats://u:s3cret-10@h:1")},
		Gateway:   &config.Gateway{Name: "g", Auth: link, Remotes: []config.RemoteGateway{{Name: "r", URLs: u("nats://u:s3cret-11@h:1")}}},
		LeafNodes: &config.LeafNodes{Remotes: []config.LeafRemote{{URLs: u("nats://s3cret-12@h:1")}}},
		HTTP:      config.HTTP{Token: "s3cret-13"},
	}
	b, err := json.Marshal(console.Settings(c))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "s3cret") {
		t.Errorf("a secret: %s", b)
	}
	for _, want := range []string{`{"name":"regions","value":"r (h:1)"}`, `{"name":"token","value":"yes"}`, `{"name":"by","value":"tokens of an operator"}`, `{"name":"hubs","value":"h:1"}`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}

// contrasts lists texts that are hard to read: below 4.5 to 1 (WCAG AA).
const contrasts = `(() => {
	const rgb = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
	const lum = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
	const back = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] > .99) return c; } return [255, 255, 255, 1]; };
	const bad = [];
	for (const e of document.querySelectorAll('body *')) {
		const text = [...e.childNodes].filter((n) => n.nodeType === 3 && n.data.trim()).map((n) => n.data.trim()).join(' ');
		if (!text || e.closest('svg, .unseen, .skip, option, noscript') || !e.checkVisibility()) continue;
		const a = lum(rgb(getComputedStyle(e).color)), b = lum(back(e)), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 4.5) bad.push(text.slice(0, 40) + ' ' + ratio.toFixed(2));
	}
	return bad;
})()`

// TestPage: in a real browser, on a phone and on a wide screen, light and dark.
// Whatever somebody calls a client is shown and does nothing.
func TestPage(t *testing.T) {
	b := startBrowser(t)
	s := serve(t)
	base := "http://" + s.Addr().String() + "/ui/"
	views := []string{"overview", "links", "connections", "accounts", "settings"}
	for _, w := range []struct {
		width, height int
		scheme        string
	}{{390, 844, "dark"}, {1600, 1000, "light"}} {
		b.window(w.width, w.height, w.scheme)
		b.open(base)
		b.until("document.querySelectorAll('#tiles .tile').length === 8")
		for _, view := range views {
			b.eval(fmt.Sprintf("location.hash = %q", view), nil)
			b.until(fmt.Sprintf("!document.getElementById('view-%s').hidden && document.querySelector('nav a[aria-current]').hash === '#%s'", view, view))
			b.until("document.querySelector('section:not([hidden]) .card') && document.querySelector('#settings .card, section:not([hidden]):not(#view-settings)')")
			var over bool
			if b.eval("document.documentElement.scrollWidth > innerWidth", &over); over {
				t.Errorf("%s on %d pixels is wider than the screen", view, w.width)
			}
			var bad []string
			if b.eval(contrasts, &bad); len(bad) > 0 {
				t.Errorf("%s, %s: hard to read: %v", view, w.scheme, bad)
			}
			var strange int
			b.eval("document.querySelectorAll('main script, main img, [onerror], [style*=url]').length", &strange)
			if strange > 0 {
				t.Errorf("%s: %d elements out of names", view, strange)
			}
		}
	}
	b.eval("location.hash = 'connections'", nil)
	for id, what := range map[string]string{"connections": "name of a client", "slow": "name of a slow consumer", "accounts": "name of an account", "hubs": "last error", "attention": "attention", "leafs": "name of a leaf node"} {
		view := map[string]string{"slow": "connections", "accounts": "accounts", "hubs": "links", "leafs": "links", "attention": "overview"}[id]
		if view != "" {
			b.eval(fmt.Sprintf("location.hash = %q", view), nil)
			b.until(fmt.Sprintf("!document.getElementById('view-%s').hidden", view))
		}
		b.until(fmt.Sprintf("document.getElementById(%q).textContent.includes(%q) /* %s */", id, hostile, what))
	}
	var title string
	if b.eval("document.title", &title); title != "hub-0 – Banyan" {
		t.Errorf("the title is %q", title)
	}
	keyboard(b, base)
	search(b)
	s.Close()
	b.until("document.getElementById('health').textContent === 'Unreachable' && !document.getElementById('banner').hidden")
	for _, c := range b.complaints {
		if !strings.Contains(c, "ERR_CONNECTION") { // the server that was closed
			t.Error(c)
		}
	}
}

// keyboard: all views are reached with Tab and Enter, and what has the focus shows it.
func keyboard(b *browser, base string) {
	b.t.Helper()
	b.open(base)
	b.until("document.querySelectorAll('#picture a').length > 10")
	seen := map[string]bool{}
	for range 40 {
		b.key("Tab", 9)
		var at struct {
			Text, Outline string
		}
		b.eval("(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.querySelector('rect'); return { text: (e.getAttribute('aria-label') || e.textContent || '').trim(), outline: s.outlineStyle !== 'none' || (r && getComputedStyle(r).strokeWidth === '3px') ? 'yes' : 'no' }; })()", &at)
		if at.Outline != "yes" && at.Text != "" && !strings.HasPrefix(at.Text, "Skip") {
			b.t.Errorf("%q has the focus and does not show it", at.Text)
		}
		seen[at.Text] = true
	}
	for _, want := range []string{"Skip to content", "Pause", "Overview", "Links", "Connections", "Accounts", "Settings"} {
		if !seen[want] {
			b.t.Errorf("%s is not reached with Tab", want)
		}
	}
	b.eval("document.querySelector('nav a[href=\"#accounts\"]').focus()", nil)
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}, nil)
	b.until("!document.getElementById('view-accounts').hidden")
	b.eval("document.getElementById('pause').click()", nil)
	b.until("document.getElementById('pause').getAttribute('aria-pressed') === 'true'")
	b.eval("document.getElementById('pause').click()", nil)
}

// search: the list of connections follows what is typed and how it is sorted.
func search(b *browser) {
	b.t.Helper()
	b.eval("location.hash = 'connections'", nil)
	b.until("document.querySelectorAll('#connections tbody tr').length === 46")
	b.eval("(() => { const f = document.getElementById('filter'); f.value = 'worker-3'; f.dispatchEvent(new Event('input')); })()", nil)
	b.until("document.querySelectorAll('#connections tbody tr').length === 1 && document.getElementById('shown').textContent === '1 of 46 shown'")
	b.eval("(() => { document.getElementById('filter').value = ''; const s = document.getElementById('sort'); s.value = 'pending'; s.dispatchEvent(new Event('change')); })()", nil)
	b.until("document.querySelectorAll('#connections tbody tr').length === 46")
}
