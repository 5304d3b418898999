package client

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
)

// behind lets the settings name proxies.
func behind(header bool, proxies ...string) func(*config.Config) {
	return func(c *config.Config) {
		c.WebSocket.ProxyProtocol, c.WebSocket.TrustedProxies = header, proxies
	}
}

// TestWebSocketForwardedFor: who may say where clients are from.
func TestWebSocketForwardedFor(t *testing.T) {
	trusting, other, none := webHub(t, behind(false, "127.0.0.0/8", "10.0.0.0/8")), webHub(t, behind(false, "192.0.2.0/24")), webHub(t)
	for _, row := range []struct {
		name      string
		h         *hub
		forwarded string
		ip        string
		port      int // 0: of the socket
	}{
		{"from a proxy", trusting, "1.2.3.4", "1.2.3.4", -1},
		{"with the port", trusting, "1.2.3.4:777", "1.2.3.4", 777},
		{"what the client invented", trusting, "6.6.6.6, 1.2.3.4", "1.2.3.4", -1},
		{"through two", trusting, "6.6.6.6, 2001:db8::1, 10.9.9.9", "2001:db8::1", -1},
		{"from the proxy itself", trusting, "", "127.0.0.1", 0},
		{"no address", trusting, "unknown", "127.0.0.1", 0},
		{"from somebody else", other, "1.2.3.4", "127.0.0.1", 0},
		{"nobody is trusted", none, "1.2.3.4", "127.0.0.1", 0},
	} {
		c, f := row.h.webRaw(t, map[string]string{"X-Forwarded-For": row.forwarded})
		if i := c.info(); i.ClientIP != row.ip {
			t.Errorf("%s: INFO says %q", row.name, i.ClientIP)
		}
		c.send("CONNECT " + quiet + "}\r\nPING\r\n")
		c.expect("PONG\r\n")
		a := row.h.registry.Open()[0].Info(false).Addr.(*net.TCPAddr)
		port := max(row.port, 0)
		if row.port == 0 {
			port = f.Conn.LocalAddr().(*net.TCPAddr).Port
		}
		if a.IP.String() != row.ip || a.Port != port {
			t.Errorf("%s: monitoring shows %s", row.name, a)
		}
		f.Conn.Close()
		eventually(t, "gone", func() bool { return row.h.registry.Len() == 0 })
	}
}

// TestWebSocketForwardedEachRequest: a connection that several clients of a proxy share
// is from where the request that is upgraded is from.
func TestWebSocketForwardedEachRequest(t *testing.T) {
	h := webHub(t, behind(false, "127.0.0.1"))
	nc, err := net.Dial("tcp", h.webAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	res, _ := ask(t, nc, "/", map[string]string{"X-Forwarded-For": "6.6.6.6", "Upgrade": "h2c"})
	if io.Copy(io.Discard, res.Body); res.StatusCode != 400 {
		t.Fatal(res.Status)
	}
	res, _ = ask(t, nc, "/", map[string]string{"Upgrade": "h2c"})
	if io.Copy(io.Discard, res.Body); res.StatusCode != 400 {
		t.Fatal(res.Status)
	}
	c, _ := upgraded(t, nc, "/", map[string]string{"X-Forwarded-For": "1.2.3.4"})
	if i := c.info(); i.ClientIP != "1.2.3.4" {
		t.Errorf("INFO says %q", i.ClientIP)
	}
}

// TestWebSocketProxyProtocol is the table of client-protocol 15 on this listener, where
// the header comes before TLS.
func TestWebSocketProxyProtocol(t *testing.T) {
	p := newPKI(t)
	secure := func(c *config.Config) {
		tc := p.conf
		tc.Timeout = patience
		c.WebSocket.TLS, c.WebSocket.NoTLS = &tc, false
	}
	plain, hidden := webHub(t, behind(true)), webHub(t, behind(true, "127.0.0.1"), secure)
	for name, h := range map[string]*hub{"plain": plain, "TLS": hidden} {
		for _, row := range proxyRows {
			nc, err := net.Dial("tcp", h.webAddr())
			if err != nil {
				t.Fatal(err)
			}
			nc.SetDeadline(time.Now().Add(patience))
			half := len(row.header) / 2
			io.WriteString(nc, row.header[:half])
			if row.ip == "" {
				io.WriteString(nc, row.header[half:])
				if b, err := io.ReadAll(nc); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s, %s: answered %q, %v", name, row.name, b, err)
				}
				nc.Close()
				continue
			}
			io.WriteString(nc, row.header[half:])
			rw := nc
			if name == "TLS" {
				rw = tls.Client(nc, &tls.Config{RootCAs: p.pool, ServerName: "localhost"})
			}
			c, _ := upgraded(t, rw, "/", nil)
			want := row.ip
			if want == "real" {
				want = "127.0.0.1"
			}
			if i := c.info(); i.ClientIP != want {
				t.Errorf("%s, %s: INFO says %q", name, row.name, i.ClientIP)
			}
			nc.Close()
		}
	}
	// Together: a balancer that is trusted, before a proxy that is.
	h := webHub(t, behind(true, "127.0.0.1", "10.0.0.0/8"))
	for forwarded, want := range map[string]string{"1.2.3.4": "1.2.3.4", "": "10.0.0.1"} {
		nc, err := net.Dial("tcp", h.webAddr())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, "PROXY TCP4 10.0.0.1 127.0.0.1 4096 8192\r\n")
		c, _ := upgraded(t, nc, "/", map[string]string{"X-Forwarded-For": forwarded})
		if i := c.info(); i.ClientIP != want {
			t.Errorf("forwarded for %q: INFO says %q", forwarded, i.ClientIP)
		}
		nc.Close()
	}
	// From who is no proxy a header is no HTTP, and none is looked for where none is expected.
	for _, h := range []*hub{webHub(t, behind(true, "192.0.2.1")), webHub(t)} {
		nc, err := net.Dial("tcp", h.webAddr())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		io.WriteString(nc, "PROXY TCP4 1.2.3.4 127.0.0.1 4096 8192\r\n\r\n")
		if b, _ := io.ReadAll(nc); !bytes.HasPrefix(b, []byte("HTTP/1.1 400 Bad Request\r\n")) {
			t.Errorf("a header that is not expected: %q", b)
		}
		nc.Close()
	}
}

// TestWebSocketProxyTooSlow: the header counts into the time of the upgrade.
func TestWebSocketProxyTooSlow(t *testing.T) {
	h := webHub(t, behind(true), func(c *config.Config) { c.WebSocket.HandshakeTimeout = 100 * time.Millisecond })
	nc, err := net.Dial("tcp", h.webAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	begun := time.Now()
	nc.SetDeadline(begun.Add(patience))
	io.WriteString(nc, "PROXY TCP4 1.2.3.4")
	if b, _ := io.ReadAll(nc); len(b) > 0 || time.Since(begun) > patience/2 {
		t.Errorf("%q after %v", b, time.Since(begun))
	}
}

// TestWebSocketLeafFrom: who serves the path is told where the peer is.
func TestWebSocketLeafFrom(t *testing.T) {
	h := webHub(t, behind(false, "127.0.0.1"))
	from := make(chan net.Addr, 1)
	h.o.Leafs = func(u *link.Upgraded) {
		from <- u.Remote
		u.Conn.Finish(nil, time.Second)
	}
	nc, err := net.Dial("tcp", h.webAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	upgraded(t, nc, "/leafnode", map[string]string{"X-Forwarded-For": "1.2.3.4"})
	select {
	case a := <-from:
		if ipOf(a) != netip.MustParseAddr("1.2.3.4") {
			t.Errorf("from %v", a)
		}
	case <-time.After(patience):
		t.Fatal("nobody was asked to serve it")
	}
}

// reload puts changed settings into force as a daemon does.
func (h *hub) reload(t testing.TB, change func(*config.Config)) error {
	t.Helper()
	old := h.o.Settings
	if s := h.set.Load(); s != nil {
		old = s.config
	}
	next := *old
	w := *old.WebSocket
	next.WebSocket = &w
	change(&next)
	ch := config.Compare(old, &next)
	if err := ch.Refused(); err != nil {
		return err
	}
	apply, err := h.Prepare(ch)
	if err == nil && apply != nil {
		apply()
	}
	return err
}

// TestWebSocketReload: what a reload changes holds from the next request on, and clients
// that are there stay.
func TestWebSocketReload(t *testing.T) {
	h := webHub(t, func(c *config.Config) {
		c.Daemon = config.Hubd
		c.WebSocket.AllowedOrigins = []string{"http://a.example"}
		c.WebSocket.Advertise = "one.example:443"
	})
	status := func(header map[string]string) (int, string) {
		nc, err := net.Dial("tcp", h.webAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		res, _ := ask(t, nc, "/", header)
		return res.StatusCode, res.Header.Get("X-Mine") + "|" + res.Header.Get("Sec-Websocket-Extensions")
	}
	a := map[string]string{"Origin": "http://a.example", "Sec-WebSocket-Extensions": "permessage-deflate"}
	if code, lines := status(a); code != 101 || lines != "|" {
		t.Errorf("before: %d %q", code, lines)
	}
	h.Service.web.urls.Add([]string{"peer.example:443"})
	there, _ := h.webReady(t, a)
	if err := h.reload(t, func(c *config.Config) {
		w := c.WebSocket
		w.AllowedOrigins, w.Compression, w.Headers, w.Advertise = []string{"http://b.example"}, true, map[string]string{"X-Mine": "yes"}, "two.example:443"
		w.TrustedProxies = []string{"127.0.0.1"}
	}); err != nil {
		t.Fatal(err)
	}
	if i := there.info(); strings.Join(i.ConnectURLs, " ") != "two.example:443 peer.example:443" {
		t.Errorf("who was there is told of %v", i.ConnectURLs)
	}
	there.send("PING\r\n")
	there.expect("PONG\r\n")
	if code, _ := status(a); code != 403 {
		t.Errorf("the origin of before: %d", code)
	}
	a["Origin"] = "http://b.example"
	if code, lines := status(a); code != 101 || !strings.HasPrefix(lines, "yes|permessage-deflate") {
		t.Errorf("after: %d %q", code, lines)
	}
	c, _ := h.webRaw(t, map[string]string{"X-Forwarded-For": "1.2.3.4"})
	if i := c.info(); i.ClientIP != "1.2.3.4" || i.Host != "two.example" {
		t.Errorf("after: %+v", i)
	}
	for name, change := range map[string]func(*config.Config){
		"another port": func(c *config.Config) { c.WebSocket.Port = 1 },
		"no TLS":       func(c *config.Config) { c.WebSocket.NoTLS = false },
		"none":         func(c *config.Config) { c.WebSocket = nil },
		"bad proxies":  func(c *config.Config) { c.WebSocket.TrustedProxies = []string{"x"} },
		"bad address":  func(c *config.Config) { c.WebSocket.Advertise = "x:port" },
	} {
		if err := h.reload(t, change); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	if code, lines := status(a); code != 101 || !strings.HasPrefix(lines, "yes|") {
		t.Errorf("after what was refused: %d %q", code, lines)
	}
}
