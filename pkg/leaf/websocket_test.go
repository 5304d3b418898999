package leaf

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/test/procs"
)

// onTheWeb opens a WebSocket listener beside that for leaf nodes.
func onTheWeb(change ...func(w *config.WebSocketListener)) func(n *node) {
	return func(n *node) {
		n.cfg.WebSocket = &config.WebSocketListener{
			Listen: config.Listen{Host: "127.0.0.1", Port: -1}, HandshakeTimeout: 5 * time.Second,
		}
		for _, f := range change {
			f(n.cfg.WebSocket)
		}
	}
}

// webURL is where leaf nodes dial n over WebSocket.
func (n *node) webURL(scheme, path string) string {
	return scheme + "://" + n.c.WebSocketAddr().String() + path
}

// at makes a remote dial a URL.
func at(u string) func(r *config.LeafRemote) {
	return func(r *config.LeafRemote) {
		parsed, err := url.Parse(u)
		if err != nil {
			panic(err)
		}
		r.URLs = []*url.URL{parsed}
	}
}

func offering(compress, unmasked bool) func(r *config.LeafRemote) {
	return func(r *config.LeafRemote) { r.WebSocketCompression, r.WebSocketNoMasking = compress, unmasked }
}

func (n *node) details(t *testing.T) Details {
	t.Helper()
	for _, c := range n.reg.Open() {
		return c.Info(false).More.(Details)
	}
	t.Fatal("no link")
	return Details{}
}

func TestWebSocketBothWays(t *testing.T) {
	p := newPKI(t)
	for _, scheme := range []string{"ws", "wss"} {
		for _, compress := range []bool{false, true} {
			for _, unmasked := range []bool{false, true} {
				for _, granted := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s compress=%v granted=%v unmasked=%v", scheme, compress, granted, unmasked), func(t *testing.T) {
						h := startNode(t, "HUB", listening, onTheWeb(func(w *config.WebSocketListener) {
							if w.Compression = granted; scheme == "wss" {
								w.TLS = p.tls("hub")
							}
						}))
						change := []func(*config.LeafRemote){at(h.webURL(scheme, "/some/path")), offering(compress, unmasked)}
						if scheme == "wss" {
							change = append(change, with(p.ca()))
						}
						l := startNode(t, "EDGE", dialing("x:1", change...))
						h.links(1)
						l.links(1)
						traffic(t, h, l)
						// What frames compress S2 does not.
						want := "s2_uncompressed"
						if compress && granted {
							want = "not supported"
						}
						if d := l.details(t); d.Compression != want {
							t.Errorf("compression %q, want %q", d.Compression, want)
						}
					})
				}
			}
		}
	}
}

func TestWebSocketLeafIsToldWhy(t *testing.T) {
	h := startNode(t, "HUB", listening, onTheWeb(), func(n *node) {
		n.cfg.Auth.Users = []config.User{
			{Name: "web", Password: "p", AllowedConnectionTypes: []config.ConnectionType{config.LeafWS}},
			{Name: "tcp", Password: "p", AllowedConnectionTypes: []config.ConnectionType{config.LeafNode}},
		}
		n.o.Auth = auth.FromConfig(n.cfg)
	})
	as := func(user string) func(r *config.LeafRemote) {
		return func(r *config.LeafRemote) { r.User, r.Password = user, "p" }
	}
	bad := startNode(t, "BAD", dialing("x:1", at(h.webURL("ws", "")), as("tcp")))
	eventually(t, "a refusal", func() bool { return strings.Contains(bad.s.Links()[0].LastErr, "Authorization Violation") })
	startNode(t, "GOOD", dialing("x:1", at(h.webURL("ws", "")), as("web")))
	h.links(1)
	for _, c := range h.reg.Open() {
		if i := c.Info(false); i.User != "web" || i.More.(Details).Solicited {
			t.Errorf("%+v", i)
		}
	}
}

func TestWebSocketGossip(t *testing.T) {
	h := startNode(t, "HUB", listening, onTheWeb())
	l := startNode(t, "EDGE", dialing("x:1", at(h.webURL("ws", "/p")), func(r *config.LeafRemote) { r.IgnoreDiscovered = config.No }))
	l.links(1)
	_ = l
	a := newAddresses([]*url.URL{{Scheme: "wss", Host: "a:443", Path: "/p"}}, true)
	a.learn([]string{"b:443"})
	if u := a.learned[0]; u.String() != "wss://b:443/p" {
		t.Errorf("learned %s", u)
	}
}

func TestWebSocketAnswers(t *testing.T) {
	for name, test := range map[string]struct{ answer, want string }{
		"not found":   {"HTTP/1.1 404 Not Found\r\n\r\n", "invalid websocket connection"},
		"no HTTP":     {"INFO {}\r\n\r\n", "invalid websocket connection"},
		"endless":     {"HTTP/1.1 101 x\r\nX: " + strings.Repeat("x", 9000), "invalid websocket connection"},
		"closed":      {"", "closed by the peer"},
		"wrong proof": {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n", "wrong accept key"},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				http.ReadRequest(bufio.NewReader(nc))
				io.WriteString(nc, test.answer)
				nc.Close()
			}
		}()
		l := startNode(t, "EDGE", dialing("x:1", at("ws://"+ln.Addr().String())))
		eventually(t, name, func() bool { return strings.Contains(l.s.Links()[0].LastErr, test.want) })
		ln.Close()
	}
}

// proxy is an HTTP proxy that knows CONNECT.
func proxy(t *testing.T, status, user string) (addr string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				r := bufio.NewReader(nc)
				q, err := http.ReadRequest(r)
				if err != nil || q.Method != "CONNECT" {
					return
				}
				asked.Add(1)
				if got := q.Header.Get("Proxy-Authorization"); got != user || status != "200 OK" {
					fmt.Fprintf(nc, "HTTP/1.1 %s\r\n\r\n", status)
					return
				}
				hub, err := net.Dial("tcp", q.Host)
				if err != nil {
					return
				}
				defer hub.Close()
				// The hub's first words stick to the answer.
				b := make([]byte, 64<<10)
				n := 0
				if strings.HasSuffix(status, "OK") && q.Header.Get("X") == "" {
					hub.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
					n, _ = hub.Read(b)
					hub.SetReadDeadline(time.Time{})
				}
				nc.Write(append([]byte("HTTP/1.1 200 OK\r\n\r\n"), b[:n]...))
				go func() {
					io.Copy(hub, r)
					hub.Close()
				}()
				io.Copy(nc, hub)
			}()
		}
	}()
	return ln.Addr().String(), asked
}

func TestHTTPProxy(t *testing.T) {
	p := newPKI(t)
	h := startNode(t, "HUB", listening, onTheWeb(func(w *config.WebSocketListener) { w.TLS = p.tls("hub") }))
	through := func(addr, user, pass string) func(r *config.LeafRemote) {
		return func(r *config.LeafRemote) {
			r.Proxy = &config.LeafProxy{URL: &url.URL{Scheme: "http", Host: addr}, User: user, Password: config.Secret(pass)}
		}
	}
	for name, where := range map[string][]func(*config.LeafRemote){
		"wss": {at(h.webURL("wss", "")), with(p.ca())},
		"tcp": {at("nats-leaf://" + h.addr())},
	} {
		addr, asked := proxy(t, "200 OK", "Basic YTpi")
		l := startNode(t, "EDGE-"+name, dialing("x:1", append(where, through(addr, "a", "b"))...))
		l.links(1)
		in := subscribe(t, l.nats(), "n", "")
		h.wants("$G", "n")
		publish(t, h.nats(), "n", "hi")
		in.expect("hi")
		if asked.Load() != 1 {
			t.Errorf("%s: the proxy was asked %d times", name, asked.Load())
		}
		l.s.Close()
		h.links(0)
	}
	addr, _ := proxy(t, "407 Proxy Authentication Required", "x")
	l := startNode(t, "EDGE", dialing("x:1", at(h.webURL("wss", "")), with(p.ca()), through(addr, "", "")))
	eventually(t, "the proxy's refusal", func() bool {
		return strings.Contains(l.s.Links()[0].LastErr, "proxy CONNECT failed: 407 Proxy Authentication Required")
	})
}

func TestInteropWebSocketReferenceIsHub(t *testing.T) {
	p := newPKI(t)
	for _, compress := range []bool{false, true} {
		for _, scheme := range []string{"ws", "wss"} {
			port, err := procs.FreePorts(2)
			if err != nil {
				t.Fatal(err)
			}
			how := "no_tls: true"
			change := []func(*config.LeafRemote){at(fmt.Sprintf("%s://127.0.0.1:%d", scheme, port[1])), offering(compress, compress)}
			if scheme == "wss" {
				how = p.conf("hub", "")
				change = append(change, with(p.ca()))
			}
			_, ports := reference(t, fmt.Sprintf("leafnodes { listen: \"127.0.0.1:%d\" }\nwebsocket { listen: \"127.0.0.1:%d\", compression: true, %s }\n", port[0], port[1], how))
			l := startNode(t, "EDGE", dialing("x:1", change...))
			l.links(1)
			interopTraffic(t, l, ports.Client())
			l.s.Close()
		}
	}
}

func TestInteropWebSocketReferenceIsLeaf(t *testing.T) {
	p := newPKI(t)
	for _, compress := range []bool{false, true} {
		for _, scheme := range []string{"ws", "wss"} {
			h := startNode(t, "HUB", listening, onTheWeb(func(w *config.WebSocketListener) {
				if w.Compression = true; scheme == "wss" {
					w.TLS = p.tls("hub")
				}
			}))
			extra := fmt.Sprintf("ws_compression: %v, ws_no_masking: %v", compress, compress)
			if scheme == "wss" {
				extra += fmt.Sprintf(", tls { ca_file: %q }", p.ca().CAFile)
			}
			_, ports := reference(t, fmt.Sprintf("leafnodes { remotes: [ { url: %q, %s } ] }\n", h.webURL(scheme, ""), extra))
			h.links(1)
			interopTraffic(t, h, ports.Client())
		}
	}
}
