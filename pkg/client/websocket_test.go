package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/websocket"
	"github.com/banyanmq/banyan/pkg/wire"
)

// webHub is a hub with a WebSocket listener.
func webHub(t testing.TB, change ...func(*config.Config)) *hub {
	t.Helper()
	return startHub(t, append([]func(*config.Config){func(c *config.Config) {
		c.WebSocket = &config.WebSocketListener{
			Listen: config.Listen{Host: "127.0.0.1", Port: -1}, NoTLS: true, HandshakeTimeout: 5 * time.Second,
		}
	}}, change...)...)
}

func (h *hub) webAddr() string { return h.WebSocketAddr().String() }

// frames is the browser's side of a connection: a net.Conn over frames.
type frames struct {
	net.Conn
	codec   *websocket.Codec
	in, out []byte
	got     []byte // all that came in, frames and all
	err     error
}

func (f *frames) Write(p []byte) (int, error) {
	b, err := f.codec.Encode(nil, p)
	if err == nil {
		_, err = f.Conn.Write(b)
	}
	return len(p), err
}

func (f *frames) Read(p []byte) (int, error) {
	for {
		if len(f.out) > 0 {
			n := copy(p, f.out)
			f.out = f.out[n:]
			return n, nil
		}
		if f.err != nil {
			return 0, f.err
		}
		if len(f.in) > 0 {
			out, n, _, err := f.codec.Decode(nil, f.in)
			f.in, f.out, f.err = f.in[n:], out, err
			if n > 0 || len(out) > 0 {
				continue
			}
		}
		b := make([]byte, 64<<10)
		n, err := f.Conn.Read(b)
		f.in = append(f.in, b[:n]...)
		f.got = append(f.got, b[:n]...)
		if err != nil {
			return 0, err
		}
	}
}

// ask sends a request for the upgrade and returns the answer.
func ask(t testing.TB, nc net.Conn, path string, header map[string]string) (*http.Response, *bufio.Reader) {
	t.Helper()
	b := "GET " + path + " HTTP/1.1\r\n"
	for _, l := range [][2]string{
		{"Host", "localhost"}, {"Upgrade", "websocket"}, {"Connection", "Upgrade"},
		{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, {"Sec-WebSocket-Version", "13"},
	} {
		if v, ok := header[l[0]]; !ok {
			b += l[0] + ": " + l[1] + "\r\n"
		} else if v != "" {
			b += l[0] + ": " + v + "\r\n"
		}
	}
	for n, v := range header {
		if !strings.Contains(b, "\r\n"+n+": ") && v != "" {
			b += n + ": " + v + "\r\n"
		}
	}
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, b+"\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res, r
}

// web dials, upgrades and does not read INFO.
func (h *hub) webRaw(t testing.TB, header map[string]string) (*raw, *frames) {
	t.Helper()
	nc, err := net.Dial("tcp", h.webAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return upgraded(t, nc, "/", header)
}

func upgraded(t testing.TB, nc net.Conn, path string, header map[string]string) (*raw, *frames) {
	t.Helper()
	res, r := ask(t, nc, path, header)
	if res.StatusCode != 101 || res.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("answered %v", res)
	}
	f := &frames{Conn: nc, codec: websocket.NewCodec(websocket.Options{
		Client: true, Compress: res.Header.Get("Sec-Websocket-Extensions") != "", Unmasked: res.Header.Get("Nats-No-Masking") == "true",
	})}
	f.codec.SetMaxPayload(1 << 20)
	f.in, _ = r.Peek(r.Buffered())
	f.got = bytes.Clone(f.in)
	return newRaw(t, f), f
}

// webReady is a client past its first PONG.
func (h *hub) webReady(t testing.TB, header map[string]string, extra ...string) (*raw, *frames) {
	t.Helper()
	c, f := h.webRaw(t, header)
	c.info()
	c.send("CONNECT " + quiet + strings.Join(append([]string{""}, extra...), ",") + "}\r\nPING\r\n")
	c.expect("PONG\r\n")
	c.info()
	return c, f
}

// closedWith reads to the close frame and says what is in it; 0: there was none.
func closedWith(t testing.TB, c *raw) (text string, code uint16, reason string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c.r)
	var gone *websocket.Closed
	if errors.As(err, &gone) {
		return string(b), gone.Code, gone.Text
	}
	return string(b), 0, ""
}

var withDeflate = map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover; client_no_context_takeover"}

func TestWebSocketOfficialClient(t *testing.T) {
	p := newPKI(t)
	for _, secure := range []bool{false, true} {
		for _, compress := range []bool{false, true} {
			h := webHub(t, func(c *config.Config) {
				c.WebSocket.Compression = true
				if secure {
					tc := p.conf
					c.WebSocket.TLS, c.WebSocket.NoTLS = &tc, false
				}
			})
			url := "ws://" + h.webAddr()
			opts := []nats.Option{nats.Compression(compress)}
			if secure {
				url = "wss://" + h.webAddr()
				opts = append(opts, nats.Secure(&tls.Config{RootCAs: p.pool, ServerName: "localhost"}))
			}
			web, err := nats.Connect(url, opts...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(web.Close)
			tcp := h.nats(t)
			if _, err := tcp.Subscribe("echo", func(m *nats.Msg) { m.Respond(m.Data) }); err != nil {
				t.Fatal(err)
			}
			tcp.Flush()
			for _, n := range []int{0, 1, 64, 1000, 70_000, 1 << 20} {
				body := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
				m, err := web.Request("echo", body, patience)
				if err != nil || !bytes.Equal(m.Data, body) {
					t.Fatalf("TLS %v, compressed %v, %d bytes: %v", secure, compress, n, err)
				}
			}
			got := make(chan *nats.Msg, 1000)
			web.ChanSubscribe("many", got)
			web.Flush()
			for i := range 1000 {
				tcp.Publish("many", fmt.Append(nil, i))
			}
			for i := range 1000 {
				select {
				case m := <-got:
					if string(m.Data) != fmt.Sprint(i) {
						t.Fatalf("message %d is %q", i, m.Data)
					}
				case <-time.After(patience):
					t.Fatalf("message %d is missing", i)
				}
			}
		}
	}
}

func TestWebSocketUpgrade(t *testing.T) {
	h := webHub(t, func(c *config.Config) {
		c.WebSocket.AllowedOrigins = []string{"http://a.example"}
		c.WebSocket.Headers = map[string]string{"X-Mine": "1"}
	})
	nc, err := net.Dial("tcp", h.webAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	// After a refusal the connection goes on.
	for _, test := range []struct {
		path   string
		header map[string]string
		status int
	}{
		{"/mqtt", nil, 404}, {"/", map[string]string{"Upgrade": "h2c"}, 400}, {"/", map[string]string{"Sec-WebSocket-Version": "12"}, 400},
		{"/", map[string]string{"Origin": "http://b.example"}, 403}, {"/x?y=1", map[string]string{"Origin": "http://a.example"}, 101},
	} {
		res, _ := ask(t, nc, test.path, test.header)
		if res.StatusCode != test.status {
			t.Fatalf("%+v: %v", test, res.Status)
		}
		if body, _ := io.ReadAll(res.Body); test.status == 101 {
			if res.Header.Get("X-Mine") != "1" {
				t.Errorf("headers %v", res.Header)
			}
		} else if string(body) != http.StatusText(test.status)+"\n" || res.Header.Get("Sec-Websocket-Version") != "13" {
			t.Errorf("%d: %v %q", test.status, res.Header, body)
		}
	}
	for name, what := range map[string]string{
		"a head without end":       "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", websocket.MaxHead) + "\r\n",
		"a body":                   "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
		"what is no HTTP":          "INFO {}\r\n\r\n",
		"frames before the answer": "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x82\x80",
	} {
		nc, err := net.Dial("tcp", h.webAddr())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, what)
		nc.SetDeadline(time.Now().Add(patience))
		b, err := io.ReadAll(nc)
		if err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", name, err)
		}
		if silent := name == "frames before the answer"; silent != (len(b) == 0) || !silent && !bytes.Contains(b, []byte("Connection: close")) {
			t.Errorf("%s: answered %q", name, b)
		}
		nc.Close()
	}
}

func TestWebSocketInfo(t *testing.T) {
	h := webHub(t, func(c *config.Config) {
		c.WebSocket.Advertise = "web.example:443"
		c.WebSocket.Compression = true
	})
	h.Service.web.urls.Add([]string{"other.example:443"})
	for _, header := range []map[string]string{nil, withDeflate} {
		c, f := h.webRaw(t, header)
		i := c.info()
		if i.Host != "web.example" || i.Port != 443 || i.TLSRequired || i.AuthRequired || i.ClientIP != "127.0.0.1" ||
			fmt.Sprint(i.ConnectURLs) != "[web.example:443 other.example:443]" {
			t.Errorf("%+v", i)
		}
		if want := map[bool]byte{false: 0x82, true: 0xc2}[header != nil]; f.got[0] != want {
			t.Errorf("first frame begins with %#x", f.got[0])
		}
	}
	if i := h.raw(t).info(); i.Host == "web.example" || i.ConnectURLs != nil {
		t.Errorf("TCP: %+v", i)
	}
	// Only a change of WebSocket addresses is told.
	c, _ := h.webReady(t, nil)
	h.urls.Add([]string{"tcp.example:4222"})
	h.Service.web.urls.Add([]string{"third.example:443"})
	if i := c.info(); fmt.Sprint(i.ConnectURLs) != "[web.example:443 other.example:443 third.example:443]" {
		t.Errorf("later: %v", i.ConnectURLs)
	}
	var info link.Info
	for _, x := range h.registry.Open() {
		if d := x.Info(false); d.More.(Details).Type == config.WebSocket {
			info = d
		}
	}
	if info.ID == 0 {
		t.Error("monitoring shows no WebSocket client")
	}
}

// TestWebSocketEndings: the client gets the -ERR, then the close frame that fits.
func TestWebSocketEndings(t *testing.T) {
	h := webHub(t, func(c *config.Config) {
		c.Limits.MaxPayload, c.Limits.MaxControlLine = 4096, 256
		c.WebSocket.Compression = true
	})
	tests := []struct {
		name, send string
		bytes      []byte // frames as they are
		err        string
		code       uint16
		text       string
		reason     wire.CloseReason
	}{
		{name: "unknown operation", send: "HELLO\r\n", err: "Unknown Protocol Operation", code: 1002, text: "Protocol Violation", reason: wire.ReasonProtocolViolation},
		{name: "payload", send: "PUB a 5000\r\n", err: "Maximum Payload Violation", code: 1009, text: "Maximum Message Payload Exceeded", reason: wire.ReasonMaxPayload},
		{name: "line", send: "PUB " + strings.Repeat("a", 300), err: "maximum control line exceeded", code: 1008, text: "Maximum Control Line Exceeded", reason: wire.ReasonMaxControlLine},
		{name: "mask", bytes: []byte{0x82, 1, 'x'}, code: 1002, text: "mask bit missing", reason: wire.ReasonProtocolViolation},
		{name: "opcode", bytes: []byte{0x83, 0x80, 0, 0, 0, 0}, code: 1002, text: "unknown opcode 3", reason: wire.ReasonProtocolViolation},
		{name: "close", bytes: []byte{0x88, 0x82, 0, 0, 0, 0, 0x0b, 0xb8}, code: 3000, reason: wire.ReasonClientClosed},
	}
	for _, test := range tests {
		c, f := h.webReady(t, withDeflate)
		if test.bytes != nil {
			f.Conn.Write(test.bytes)
		} else {
			c.send(test.send)
		}
		text, code, reason := closedWith(t, c)
		want := ""
		if test.err != "" {
			want = "-ERR '" + test.err + "'\r\n"
		}
		if text != want || code != test.code || reason != test.text {
			t.Errorf("%s: %q, then %d %q", test.name, text, code, reason)
		}
		last := h.closedLast(t)
		if last.Reason != test.reason {
			t.Errorf("%s: monitoring says %v", test.name, last.Reason)
		}
	}
	c, _ := h.webReady(t, nil)
	h.eachClient(func(c *conn) { c.stale() })
	if text, code, reason := closedWith(t, c); text != "-ERR 'Stale Connection'\r\n" || code != 1001 || reason != "Stale Connection" {
		t.Errorf("stale: %q, then %d %q", text, code, reason)
	}
	c, f := h.webReady(t, nil)
	f.Conn.Write([]byte{0x89, 0x83, 0, 0, 0, 0, 'a', 'b', 'c'})
	c.send("PING\r\n")
	c.expect("PONG\r\n")
	if !bytes.Contains(f.got, []byte("\x8a\x03abc")) {
		t.Errorf("a ping was not answered: %q", f.got)
	}
	c, _ = h.webReady(t, nil)
	h.eachClient(func(c *conn) { c.Close(wire.ReasonKicked) })
	if _, code, reason := closedWith(t, c); code != 1011 || reason != "Kicked" {
		t.Errorf("kicked: %d %q", code, reason)
	}
}

// closedLast waits until the last connection is among the closed ones.
func (h *hub) closedLast(t testing.TB) link.Info {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if all := h.registry.Closed(); h.registry.Len() == 0 && len(all) > 0 {
			return all[len(all)-1]
		}
	}
	t.Fatal("still open")
	return link.Info{}
}

func TestWebSocketFragmentsAndCuts(t *testing.T) {
	h := webHub(t)
	sub := h.ready(t)
	sub.send("SUB a 1\r\nPING\r\n")
	sub.expect("PONG\r\n")
	c, f := h.webReady(t, nil)
	// One byte a write: an operation over three fragments with a ping in between.
	for _, b := range []byte("\x02\x83\x00\x00\x00\x00PUB" + "\x00\x82\x00\x00\x00\x00 a" + "\x89\x80\x00\x00\x00\x00" + "\x80\x88\x00\x00\x00\x00 2\r\nhi\r\n") {
		f.Conn.Write([]byte{b})
	}
	sub.expect("MSG a 1 2\r\nhi\r\n")
	// One byte a frame.
	for _, b := range "PUB a 2\r\nho\r\nPING\r\n" {
		c.send(string(b))
	}
	sub.expect("MSG a 1 2\r\nho\r\n")
	c.expect("PONG\r\n")
}

func TestWebSocketManyInOneMessage(t *testing.T) {
	h := webHub(t, func(c *config.Config) { c.Limits.MaxPayload, c.WebSocket.Compression = 4096, true })
	sub := h.ready(t)
	sub.send("SUB a 1\r\nPING\r\n")
	sub.expect("PONG\r\n")
	c, _ := h.webReady(t, withDeflate)
	body := strings.Repeat("x", 2048)
	c.send(strings.Repeat("PUB a 2048\r\n"+body+"\r\n", 100))
	for range 100 {
		sub.expect("MSG a 1 2048\r\n" + body + "\r\n")
	}
}

func TestWebSocketNoMasking(t *testing.T) {
	h := webHub(t)
	c, _ := h.webReady(t, map[string]string{"Nats-No-Masking": "true"})
	c.send("PING\r\n")
	c.expect("PONG\r\n")
}

func TestWebSocketCookies(t *testing.T) {
	h := webHub(t, testUsers, func(c *config.Config) {
		c.WebSocket.UserCookie, c.WebSocket.PasswordCookie = "u", "p"
	})
	user, pass := "a", "a"
	for _, u := range h.o.Settings.Auth.Users {
		user, pass = u.Name, string(u.Password)
		break
	}
	for _, a := range h.o.Settings.Accounts {
		if len(a.Users) > 0 {
			user, pass = a.Users[0].Name, string(a.Users[0].Password)
			break
		}
	}
	good := map[string]string{"Cookie": "u=" + user + "; p=" + pass}
	h.webReady(t, good)
	h.webReady(t, map[string]string{"Cookie": "u=nobody; p=x"}, fmt.Sprintf(`"user":%q,"pass":%q`, user, pass))
	for name, test := range map[string]struct {
		header map[string]string
		extra  string
	}{
		"wrong cookie":  {map[string]string{"Cookie": "u=" + user + "; p=wrong"}, ""},
		"CONNECT wins":  {good, `,"pass":"wrong"`},
		"no cookie":     {nil, ""},
		"other cookies": {map[string]string{"Cookie": "x=" + user}, ""},
	} {
		c, _ := h.webRaw(t, test.header)
		c.info()
		c.send("CONNECT " + quiet + test.extra + "}\r\nPING\r\n")
		if text, code, reason := closedWith(t, c); text != "-ERR 'Authorization Violation'\r\n" || code != 1008 || reason != "Authentication Failure" {
			t.Errorf("%s: %q, then %d %q", name, text, code, reason)
		}
	}
	// A cookie alone lets nobody in.
	c, _ := h.webRaw(t, good)
	c.info()
	c.send("PING\r\n")
	if text, _, _ := closedWith(t, c); text != "-ERR 'Authorization Violation'\r\n" {
		t.Errorf("without CONNECT: %q", text)
	}
}

func TestWebSocketLoginOfItsOwn(t *testing.T) {
	h := webHub(t, func(c *config.Config) {
		c.WebSocket.Auth = config.WebSocketAuth{Token: "tok", Timeout: 100 * time.Millisecond}
		c.WebSocket.TokenCookie = "t"
	})
	h.ready(t)
	if i := h.raw(t).info(); i.AuthRequired {
		t.Error("TCP wants a login")
	}
	h.webReady(t, map[string]string{"Cookie": "t=tok"})
	h.webReady(t, nil, `"auth_token":"tok"`)
	c, _ := h.webRaw(t, nil)
	if i := c.info(); !i.AuthRequired {
		t.Error("WebSocket wants no login")
	}
	if text, code, reason := closedWith(t, c); text != "-ERR 'Authentication Timeout'\r\n" || code != 1008 || reason != "Authentication Timeout" {
		t.Errorf("%q, then %d %q", text, code, reason)
	}
}

func TestWebSocketHandshakeTimeout(t *testing.T) {
	p := newPKI(t)
	for _, secure := range []bool{false, true} {
		h := webHub(t, func(c *config.Config) {
			c.WebSocket.HandshakeTimeout = 100 * time.Millisecond
			if secure {
				tc := p.conf
				tc.Timeout = 10 * time.Second
				c.WebSocket.TLS = &tc
			}
		})
		for _, what := range []string{"", "GET / HTTP/1.1\r\nHost:"} {
			nc, err := net.Dial("tcp", h.webAddr())
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			nc.SetDeadline(begun.Add(patience))
			rw := net.Conn(nc)
			if secure && what != "" {
				rw = tls.Client(nc, &tls.Config{RootCAs: p.pool, ServerName: "localhost"})
			}
			io.WriteString(rw, what)
			if b, _ := io.ReadAll(rw); len(b) > 0 || time.Since(begun) > patience/2 {
				t.Errorf("TLS %v: said %q after %v", secure, b, time.Since(begun))
			}
			nc.Close()
		}
	}
}

func TestWebSocketPlainOnTLSPort(t *testing.T) {
	p := newPKI(t)
	h := webHub(t, func(c *config.Config) { tc := p.conf; c.WebSocket.TLS = &tc })
	nc, err := net.Dial("tcp", h.webAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if b, _ := io.ReadAll(nc); string(b) != websocket.NotSecure {
		t.Errorf("said %q", b)
	}
	tc, err := tls.Dial("tcp", h.webAddr(), &tls.Config{RootCAs: p.pool, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	c, _ := upgraded(t, tc, "/", nil)
	if i := c.info(); !i.TLSRequired || !i.TLSAvailable {
		t.Errorf("%+v", i)
	}
}

func TestWebSocketMaxConnections(t *testing.T) {
	h := webHub(t, func(c *config.Config) { c.Limits.MaxConnections = 1 })
	h.ready(t)
	c, _ := h.webRaw(t, nil)
	c.info()
	if text, code, reason := closedWith(t, c); text != "-ERR 'maximum connections exceeded'\r\n" || code != 1008 || reason != "Maximum Connections Exceeded" {
		t.Errorf("%q, then %d %q", text, code, reason)
	}
}

func TestWebSocketLameDuck(t *testing.T) {
	h := webHub(t)
	h.Service.web.urls.Add([]string{"other.example:443"})
	c, _ := h.webReady(t, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Drain(context.Background(), 100*time.Millisecond, 50*time.Millisecond)
	}()
	if i := c.info(); !i.LameDuck || fmt.Sprint(i.ConnectURLs) != "[other.example:443]" {
		t.Errorf("%+v", i)
	}
	if _, code, reason := closedWith(t, c); code != 1001 || reason != "Server Shutdown" {
		t.Errorf("%d %q", code, reason)
	}
	<-done
	if nc, err := net.Dial("tcp", h.webAddr()); err == nil {
		nc.Close()
		t.Error("still listens")
	}
}

// TestWebSocketSlowReader: it is closed without a word, and no frame is longer than allowed.
func TestWebSocketSlowReader(t *testing.T) {
	h := webHub(t, func(c *config.Config) { c.Limits.MaxPending = 8 << 20 })
	c, f := h.webReady(t, nil)
	c.send("SUB a 1\r\nPING\r\n")
	c.expect("PONG\r\n")
	pub := h.nats(t)
	body := make([]byte, 64<<10)
	for range 20 {
		pub.Publish("a", body)
	}
	pub.Flush()
	for range 20 {
		c.expect("MSG a 1 65536\r\n" + string(body) + "\r\n")
	}
	for b := f.got; len(b) > 0; {
		n, at := int(b[1]), 2
		switch n {
		case 126:
			n, at = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, at = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		if n > websocket.MaxFrame {
			t.Fatalf("frame of %d bytes", n)
		}
		b = b[at+n:]
	}
	for range 1000 {
		pub.Publish("a", body)
	}
	pub.Flush()
	// Closed before it reads again.
	for end := time.Now().Add(patience); h.Stats().SlowPending == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not noticed")
		}
	}
	if text, code, _ := closedWith(t, c); code != 0 || strings.Contains(text[max(0, len(text)-100):], "-ERR") {
		t.Errorf("close frame %d", code)
	}
	if err := pub.Flush(); err != nil {
		t.Error(err)
	}
}

func TestWebSocketPaths(t *testing.T) {
	h := webHub(t)
	for path, want := range map[string]string{"/": "client", "/any?x=1": "client", "/leafnode/": "client", "/leafnode": "closed", "/x/leafnode": "closed"} {
		nc, err := net.Dial("tcp", h.webAddr())
		if err != nil {
			t.Fatal(err)
		}
		c, _ := upgraded(t, nc, path, nil)
		if want == "client" {
			c.info()
		} else if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%s: %q, %v", path, b, err)
		}
		nc.Close()
	}
	var got []string
	h2 := startHub(t, func(c *config.Config) {
		c.WebSocket = &config.WebSocketListener{Listen: config.Listen{Host: "127.0.0.1", Port: -1}, HandshakeTimeout: time.Second}
	})
	served := make(chan string, 2)
	serve := func(name string) func(*link.Upgraded) {
		return func(u *link.Upgraded) {
			u.Conn.WriteFlush([]byte("hello " + name))
			u.Conn.Finish(nil, time.Second)
			served <- name
		}
	}
	h2.o.Leafs, h2.o.MQTT = serve("leaf"), serve("mqtt")
	for _, path := range []string{"/a/leafnode", "/mqtt"} {
		nc, err := net.Dial("tcp", h2.webAddr())
		if err != nil {
			t.Fatal(err)
		}
		c, _ := upgraded(t, nc, path, map[string]string{"Sec-WebSocket-Protocol": "mqtt"})
		text, code, _ := closedWith(t, c)
		got = append(got, text)
		if code != 1000 {
			t.Errorf("%s: closed with %d", path, code)
		}
		<-served
		nc.Close()
	}
	if fmt.Sprint(got) != "[hello leaf hello mqtt]" {
		t.Errorf("%q", got)
	}
}
