package client

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/websocket"
	"github.com/banyanmq/banyan/pkg/wire"
)

// What websocket 18 asks for, with frames made by hand.

// byHand is a frame of a client: its first byte, and the payload masked.
func byHand(first byte, payload string) string {
	key := [4]byte{0x5a, 0x01, 0xfe, 0x80}
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return string(b)
}

// squeezed is a compressed message, as the standard library makes it.
func squeezed(t testing.TB, p string) string {
	t.Helper()
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(z, p)
	z.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// served is a frame of the server's.
type served struct {
	first byte
	body  string
}

// framesOf takes apart what the server sent. What is behind the last whole frame is an
// error, and so is a frame that is masked.
func framesOf(t testing.TB, b []byte) (all []served) {
	t.Helper()
	for len(b) > 0 {
		n, at := 0, 2
		if len(b) >= 2 {
			n = int(b[1])
		}
		switch {
		case n == 126 && len(b) >= 4:
			n, at = int(binary.BigEndian.Uint16(b[2:])), 4
			if n < 126 {
				t.Fatalf("a length of %d in 16 bits", n)
			}
		case n == 127 && len(b) >= 10:
			n, at = int(binary.BigEndian.Uint64(b[2:])), 10
			if n <= 0xffff {
				t.Fatalf("a length of %d in 64 bits", n)
			}
		}
		if n > 127 && at == 2 || len(b) < at+n {
			t.Fatalf("half a frame, or a masked one: %.40q", b)
		}
		all = append(all, served{b[0], string(b[at : at+n])})
		b = b[at+n:]
	}
	return all
}

// TestWebSocketRows is the table of websocket 3, row by row on one connection: after a
// refusal it goes on.
func TestWebSocketRows(t *testing.T) {
	h := webHub(t)
	nc, err := net.Dial("tcp", h.webAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	good := []string{"Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}
	with := func(at int, line string) []string {
		l := append([]string{}, good...)
		if l[at] = line; line == "" {
			l = append(l[:at], l[at+1:]...)
		}
		return l
	}
	for _, row := range []struct {
		first  string
		lines  []string
		status int
	}{
		{"GET /mqtt HTTP/1.1", good, 404},
		{"GET /x/mqtt?y HTTP/1.1", good, 404},
		{"POST / HTTP/1.1", good, 405},
		{"PUT /mqtt HTTP/1.1", good, 404}, // the path is looked at first
		{"GET / HTTP/1.1", with(0, ""), 400},
		{"GET / HTTP/1.1", with(1, ""), 400},
		{"GET / HTTP/1.1", with(1, "Upgrade: websockets"), 400},
		{"GET / HTTP/1.1", with(2, ""), 400},
		{"GET / HTTP/1.1", with(2, "Connection: keep-alive"), 400},
		{"GET / HTTP/1.1", with(3, ""), 400},
		{"GET / HTTP/1.1", with(3, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"), 400}, // 15 bytes
		{"GET / HTTP/1.1", with(3, "Sec-WebSocket-Key: not base64 at all!!!!!!!"), 400},
		{"GET / HTTP/1.1", with(4, ""), 400},
		{"GET / HTTP/1.1", with(4, "Sec-WebSocket-Version: 8"), 400},
		{"GET / HTTP/1.1", with(4, "Sec-WebSocket-Version: 8, 13"), 101},
	} {
		nc.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(nc, row.first+"\r\n"+strings.Join(row.lines, "\r\n")+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%s %q: %v", row.first, row.lines, err)
		}
		if res.StatusCode != row.status {
			t.Fatalf("%s %q: %s, want %d", row.first, row.lines, res.Status, row.status)
		}
		if row.status == 101 {
			continue
		}
		body, _ := io.ReadAll(res.Body)
		if string(body) != http.StatusText(row.status)+"\n" || res.Header.Get("Sec-Websocket-Version") != "13" {
			t.Errorf("%s %q: %v %q", row.first, row.lines, res.Header, body)
		}
	}
	for name, lines := range map[string][]string{
		"a list, other case": {"hOST: x", "upgrade: h2c, WebSocket", "connection: keep-alive, upgrade", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version: 13"},
		"two lines":          append(with(1, "Upgrade: h2c"), "Upgrade: websocket"),
	} {
		nc, err := net.Dial("tcp", h.webAddr())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		io.WriteString(nc, "GET / HTTP/1.1\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil || res.StatusCode != 101 || res.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Errorf("%s: %v, %v", name, res, err)
		}
		nc.Close()
	}
}

func TestWebSocketSameOrigin(t *testing.T) {
	p := newPKI(t)
	for _, secure := range []bool{false, true} {
		h := webHub(t, func(c *config.Config) {
			c.WebSocket.SameOrigin = true
			if secure {
				tc := p.conf
				c.WebSocket.TLS, c.WebSocket.NoTLS = &tc, false
			}
		})
		own, other := "http", "https"
		if secure {
			own, other = other, own
		}
		for origin, want := range map[string]int{
			"": 101, own + "://localhost:" + fmt.Sprint(h.WebSocketAddr().Port): 101, other + "://localhost:" + fmt.Sprint(h.WebSocketAddr().Port): 403,
			own + "://localhost": 403, own + "://127.0.0.1:" + fmt.Sprint(h.WebSocketAddr().Port): 403, "null": 403,
		} {
			var nc net.Conn
			var err error
			if secure {
				nc, err = tls.Dial("tcp", h.webAddr(), &tls.Config{RootCAs: p.pool, ServerName: "localhost"})
			} else {
				nc, err = net.Dial("tcp", h.webAddr())
			}
			if err != nil {
				t.Fatal(err)
			}
			res, _ := ask(t, nc, "/", map[string]string{"Host": "localhost:" + fmt.Sprint(h.WebSocketAddr().Port), "Origin": origin})
			if res.StatusCode != want {
				t.Errorf("TLS %v, origin %q: %s", secure, origin, res.Status)
			}
			nc.Close()
		}
	}
}

// TestWebSocketOffers: the line of the answer, whatever was offered with the extension.
func TestWebSocketOffers(t *testing.T) {
	on, off := webHub(t, func(c *config.Config) { c.WebSocket.Compression = true }), webHub(t)
	const line = "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	for _, offer := range []struct {
		lines  string
		agreed bool
	}{
		{"", false},
		{"Sec-WebSocket-Extensions: permessage-deflate\r\n", true},
		{"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10; server_max_window_bits\r\n", true},
		{"Sec-WebSocket-Extensions: x-webkit-deflate-frame, permessage-deflate\r\n", true},
		{"Sec-WebSocket-Extensions: x-other\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", true},
		{"Sec-WebSocket-Extensions: permessage-deflated\r\n", false},
		{"Sec-WebSocket-Extensions: x; permessage-deflate\r\n", false},
	} {
		for _, h := range []*hub{on, off} {
			nc, err := net.Dial("tcp", h.webAddr())
			if err != nil {
				t.Fatal(err)
			}
			nc.SetDeadline(time.Now().Add(patience))
			io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"+offer.lines+"\r\n")
			r := bufio.NewReader(nc)
			head := ""
			for !strings.HasSuffix(head, "\r\n\r\n") {
				l, err := r.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				head += l
			}
			if got := strings.Contains(head, line); got != (offer.agreed && h == on) || !got && strings.Contains(head, "Extensions") {
				t.Errorf("%q, compression %v: %q", offer.lines, h == on, head)
			}
			nc.Close()
		}
	}
}

// TestWebSocketViolations is the table of websocket 8: the close frame says what was wrong,
// nothing comes behind it, and monitoring knows why.
func TestWebSocketViolations(t *testing.T) {
	h := webHub(t, func(c *config.Config) { c.WebSocket.Compression = true })
	type row struct {
		name, send string
		code       uint16
		text       string
	}
	rows := []row{
		{"not masked", "\x82\x01x", 1002, "mask bit missing"},
		{"a ping that is not masked", "\x89\x00", 1002, "mask bit missing"},
		{"RSV2", byHand(0xa2, "x"), 1002, "RSV2 and RSV3 must be clear"},
		{"RSV3", byHand(0x92, "x"), 1002, "RSV2 and RSV3 must be clear"},
		{"RSV3 of a ping", byHand(0x99, "x"), 1002, "RSV2 and RSV3 must be clear"},
		{"RSV1 on a continuation", byHand(0x42, "x") + byHand(0xc0, "y"), 1002, "invalid continuation frame"},
		{"a continuation of nothing", byHand(0x80, "x"), 1002, "invalid continuation frame"},
		{"a continuation behind the end", byHand(0x02, "PI") + byHand(0x80, "NG\r\n") + byHand(0x80, "x"), 1002, "invalid continuation frame"},
		{"a message within a message", byHand(0x02, "P") + byHand(0x82, "x"), 1002, "new message started before final frame for previous message was received"},
		{"a text within a message", byHand(0x02, "P") + byHand(0x01, "x"), 1002, "new message started before final frame for previous message was received"},
		{"a length of 2^63", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04", 1002, "invalid 64-bit payload length"},
		{"a ping of 126 bytes", byHand(0x89, strings.Repeat("x", 126)), 1002, "control frame length bigger than maximum allowed of 125 bytes"},
		{"a ping of 70000 bytes", byHand(0x89, strings.Repeat("x", 70000))[:14], 1002, "control frame length bigger than maximum allowed of 125 bytes"},
		{"half a ping", byHand(0x09, "x"), 1002, "control frame does not have final bit set"},
		{"half a close frame", byHand(0x08, "\x03\xe8"), 1002, "control frame does not have final bit set"},
		{"a compressed ping", byHand(0xc9, "x"), 1002, "control frame must not be compressed"},
		{"a close frame of one byte", byHand(0x88, "x"), 1002, "close frame payload cannot be 1 byte"},
		{"a bad compressed message", byHand(0xc2, "\xff\xff\xff\xff"), 1007, "invalid compressed data"},
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		rows = append(rows, row{fmt.Sprintf("opcode %d", op), byHand(0x80|op, ""), 1002, fmt.Sprintf("unknown opcode %d", op)})
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535} {
		rows = append(rows, row{fmt.Sprintf("close code %d", code), byHand(0x88, string([]byte{byte(code >> 8), byte(code)})), 1002, fmt.Sprintf("invalid close status code %d", code)})
	}
	check := func(row row, header map[string]string) {
		t.Helper()
		c, f := h.webReady(t, header)
		if _, err := io.WriteString(f.Conn, row.send); err != nil {
			t.Fatal(err)
		}
		begin := len(f.got)
		text, code, reason := closedWith(t, c)
		text = strings.TrimPrefix(text, "PONG\r\n")
		if text != "" || code != row.code || reason != row.text {
			t.Errorf("%s: %q, then %d %q", row.name, text, code, reason)
		}
		if got := h.closedLast(t); got.Reason != wire.ReasonProtocolViolation {
			t.Errorf("%s: monitoring says %v", row.name, got.Reason)
		}
		all := framesOf(t, f.got[begin:])
		for i, x := range all {
			if x.first == 0x88 && i != len(all)-1 {
				t.Errorf("%s: frames behind the close frame: %q", row.name, all[i:])
			}
		}
	}
	for _, row := range rows {
		check(row, withDeflate)
	}
	check(row{"compressed and not agreed", byHand(0xc2, squeezed(t, "PING\r\n")), 1002, "compressed frame received without negotiated permessage-deflate"}, nil)
}

// TestWebSocketCloseHandshake: a close frame is answered by the same one, once, and the
// connection is then closed.
func TestWebSocketCloseHandshake(t *testing.T) {
	h := webHub(t)
	for _, row := range []struct{ body, answer string }{
		{"", ""},
		{"\x03\xe8", "\x03\xe8"},
		{"\x03\xe8bye", "\x03\xe8bye"},
		{"\x03\xe9gr\xc3\xbc\xc3\x9fe", "\x03\xe9gr\xc3\xbc\xc3\x9fe"},
		{"\x03\xf6", "\x03\xf6"},
		{"\x0b\xb8", "\x0b\xb8"},
		{"\x13\x87" + strings.Repeat("x", 123), "\x13\x87" + strings.Repeat("x", 123)},
		{"\x03\xe8\xff\xfe", "\x03\xefinvalid utf8 body in close frame"},
	} {
		c, f := h.webReady(t, nil)
		// What follows a close frame is not looked at.
		io.WriteString(f.Conn, byHand(0x82, "PING\r\n")+byHand(0x88, row.body)+byHand(0x82, "PING\r\n")+byHand(0x88, ""))
		begin := len(f.got)
		c.SetReadDeadline(time.Now().Add(patience))
		for {
			b := make([]byte, 4096)
			n, err := f.Conn.Read(b)
			if f.got = append(f.got, b[:n]...); err != nil {
				break
			}
		}
		all := framesOf(t, f.got[begin:])
		if len(all) != 2 || all[0] != (served{0x82, "PONG\r\n"}) || all[1] != (served{0x88, row.answer}) {
			t.Errorf("close %q: %q", row.body, all)
		}
		if got := h.closedLast(t); got.Reason != wire.ReasonClientClosed {
			t.Errorf("close %q: monitoring says %v", row.body, got.Reason)
		}
	}
}

// TestWebSocketPings: answered at once with what they hold; pongs are passed over.
func TestWebSocketPings(t *testing.T) {
	h := webHub(t)
	c, f := h.webReady(t, nil)
	for _, body := range []string{"", "hello", strings.Repeat("\xff", 125)} {
		begin := len(f.got)
		// In the middle of an operation and of a message.
		io.WriteString(f.Conn, byHand(0x02, "PI")+byHand(0x8a, body)+byHand(0x89, body)+byHand(0x80, "NG\r\n"))
		c.expect("PONG\r\n")
		all := framesOf(t, f.got[begin:])
		if len(all) != 2 || all[0] != (served{0x8a, body}) || all[1] != (served{0x82, "PONG\r\n"}) {
			t.Errorf("ping %q: %q", body, all)
		}
	}
}

// TestWebSocketAnyFrame: text, empty frames, lengths that are longer than they need be, and
// masks where it was agreed to have none.
func TestWebSocketAnyFrame(t *testing.T) {
	h := webHub(t)
	c, f := h.webReady(t, nil)
	for _, b := range []string{
		byHand(0x81, "PING\r\n"), byHand(0x01, "PI") + byHand(0x80, "NG\r\n"), byHand(0x82, "") + byHand(0x82, "PING\r\n"),
		byHand(0x02, "") + byHand(0x00, "") + byHand(0x80, "PING\r\n"), byHand(0x81, "") + byHand(0x81, "PING\r\n"),
		"\x82\xfe\x00\x06\x00\x00\x00\x00PING\r\n", "\x82\xff\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00PING\r\n",
	} {
		io.WriteString(f.Conn, b)
		c.expect("PONG\r\n")
	}
	// No UTF-8: passed on as it is.
	sub := h.ready(t)
	sub.send("SUB a 1\r\nPING\r\n")
	sub.expect("PONG\r\n")
	io.WriteString(f.Conn, byHand(0x81, "PUB a 3\r\n\xff\x00\xc3\r\n"))
	sub.expect("MSG a 1 3\r\n\xff\x00\xc3\r\n")

	c, f = h.webReady(t, map[string]string{"nats-no-masking": "true"})
	for _, b := range []string{"\x82\x06PING\r\n", byHand(0x82, "PING\r\n"), "\x02\x02PI" + byHand(0x80, "NG\r\n"), "\x89\x00" + "\x82\x06PING\r\n"} {
		io.WriteString(f.Conn, b)
		c.expect("PONG\r\n")
	}
}

// TestWebSocketServedFrames: binary, whole, and never larger than agreed on, whoever asks.
func TestWebSocketServedFrames(t *testing.T) {
	h := webHub(t, func(c *config.Config) { c.WebSocket.Compression, c.Limits.MaxPending = true, 64<<20 })
	const safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15"
	for name, header := range map[string]map[string]string{
		"plain": nil, "deflate": withDeflate, "browser": {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0"},
		"browser, deflate": {"User-Agent": "Mozilla/5.0 Chrome/120.0", "Sec-WebSocket-Extensions": "permessage-deflate"},
		"Safari, deflate":  {"User-Agent": safari, "Sec-WebSocket-Extensions": "permessage-deflate"},
	} {
		c, f := h.webReady(t, header)
		c.send("SUB a 1\r\nPING\r\n")
		c.expect("PONG\r\n")
		begin := len(f.got)
		pub := h.nats(t)
		body := bytes.Repeat([]byte("banyan "), 64<<10/7)
		for range 20 { // while nobody reads
			pub.Publish("a", body)
		}
		pub.Flush()
		for range 20 {
			c.expect(fmt.Sprintf("MSG a 1 %d\r\n%s\r\n", len(body), body))
		}
		c.send("UNSUB 1\r\nPING\r\n")
		c.expect("PONG\r\n")
		compressed := 0
		for _, x := range framesOf(t, f.got[begin:]) {
			switch {
			case x.first == 0xc2:
				compressed++
			case x.first != 0x82:
				t.Errorf("%s: a frame begins with %#x", name, x.first)
			}
			if len(x.body) > websocket.MaxFrame {
				t.Errorf("%s: a frame of %d bytes", name, len(x.body))
			}
		}
		if (compressed > 0) != strings.Contains(name, "deflate") {
			t.Errorf("%s: %d compressed messages", name, compressed)
		}
	}
}

// TestWebSocketSmallBatches: up to 64 bytes nothing is compressed.
func TestWebSocketSmallBatches(t *testing.T) {
	h := webHub(t, func(c *config.Config) { c.WebSocket.Compression = true })
	c, f := h.webReady(t, withDeflate)
	c.send("SUB a 1\r\nPING\r\n")
	c.expect("PONG\r\n")
	pub := h.ready(t)
	for n, first := range map[int]byte{64: 0x82, 65: 0xc2} {
		begin := len(f.got)
		body := strings.Repeat("x", n-len("MSG a 1 50\r\n\r\n"))
		pub.send(fmt.Sprintf("PUB a %d\r\n%s\r\n", len(body), body))
		c.expect(fmt.Sprintf("MSG a 1 %d\r\n%s\r\n", len(body), body))
		if all := framesOf(t, f.got[begin:]); len(all) != 1 || all[0].first != first {
			t.Errorf("%d bytes: %q", n, all)
		}
	}
}

// TestWebSocketCompressedIn: whole, in pieces, with others between, and far too much.
func TestWebSocketCompressedIn(t *testing.T) {
	const payload = 4 << 10
	h := webHub(t, func(c *config.Config) { c.Limits.MaxPayload, c.WebSocket.Compression = payload, true })
	c, f := h.webReady(t, withDeflate)
	z := squeezed(t, "PING\r\n")
	for _, b := range []string{
		byHand(0xc2, z), byHand(0xc1, z), byHand(0x42, z[:3]) + byHand(0x00, "") + byHand(0x89, "x") + byHand(0x80, z[3:]),
		byHand(0x82, "PI") + byHand(0xc2, squeezed(t, "NG\r\n")), byHand(0xc2, squeezed(t, "PI")) + byHand(0x82, "NG\r\n"),
		byHand(0x42, "") + byHand(0x00, z) + byHand(0x80, ""), byHand(0xc2, "\x00") + byHand(0x82, "PING\r\n"),
	} {
		io.WriteString(f.Conn, b)
		c.expect("PONG\r\n")
	}
	// Each byte a frame of one message.
	for i := range len(z) {
		first := byte(0x00)
		if i == 0 {
			first = 0x42
		}
		if i == len(z)-1 {
			first |= 0x80
		}
		io.WriteString(f.Conn, byHand(first, z[i:i+1]))
	}
	c.expect("PONG\r\n")

	sub := h.nats(t)
	var got atomic.Int64
	if _, err := sub.Subscribe("bomb", func(*nats.Msg) { got.Add(1) }); err != nil {
		t.Fatal(err)
	}
	sub.Flush()
	one := fmt.Sprintf("PUB bomb %d\r\n%s\r\n", payload, make([]byte, payload))
	bomb := squeezed(t, strings.Repeat(one, 600))
	io.WriteString(f.Conn, byHand(0xc2, bomb))
	if _, code, reason := closedWith(t, c); code != 1009 || reason != "compressed message expands too much" {
		t.Errorf("%d bytes that unpack to %d: closed with %d %q", len(bomb), 600*len(one), code, reason)
	}
	sub.Flush()
	if n := got.Load(); n > 400 {
		t.Errorf("%d of 600 messages of a bomb came through", n)
	}
	sub.Close()
	eventually(t, "everybody is gone", func() bool { return h.registry.Len() == 0 })
	// A message that is too long before it is unpacked.
	c, f = h.webReady(t, withDeflate)
	junk := make([]byte, 9*payload)
	for i, x := 0, uint32(1); i < len(junk); i++ {
		x = x*1664525 + 1013904223
		junk[i] = byte(x >> 24)
	}
	go io.WriteString(f.Conn, byHand(0xc2, string(junk)))
	if _, code, reason := closedWith(t, c); code != 0 && (code != 1009 || !strings.HasPrefix(reason, "compressed message of more than")) {
		t.Errorf("too long: closed with %d %q", code, reason)
	}
	if got := h.closedLast(t); got.Reason != wire.ReasonProtocolViolation {
		t.Errorf("too long: monitoring says %v", got.Reason)
	}
}

// TestWebSocketWhoMayCome: users who may only come one way, and who one is that says
// nothing.
func TestWebSocketWhoMayCome(t *testing.T) {
	h := webHub(t, func(c *config.Config) {
		c.Accounts = []config.Account{{Name: "A", Users: []config.User{
			{Name: "web", Password: "p", AllowedConnectionTypes: []config.ConnectionType{config.WebSocket}},
			{Name: "tcp", Password: "p", AllowedConnectionTypes: []config.ConnectionType{config.Standard}},
			{Name: "anybody"},
		}}}
		c.WebSocket.NoAuthUser = "anybody"
		c.WebSocket.UserCookie, c.WebSocket.PasswordCookie = "u", "p"
	})
	c, _ := h.webRaw(t, nil)
	if i := c.info(); !i.AuthRequired {
		t.Errorf("%+v", i)
	}
	c.send("PING\r\n")
	c.expect("PONG\r\n")
	c.send("SUB a 1\r\nPING\r\n")
	c.expect("+OK\r\nPONG\r\n")
	if i := h.registry.Open()[0].Info(false); i.User != "anybody" || i.Account != "A" {
		t.Errorf("who says nothing is %q of %q", i.User, i.Account)
	}
	const refused = "-ERR 'Authorization Violation'\r\n"
	h.webReady(t, nil, `"user":"web","pass":"p"`)
	h.ready(t, `"user":"tcp","pass":"p"`)
	c, _ = h.webRaw(t, map[string]string{"Cookie": "u=tcp; p=p"})
	c.info()
	c.send("CONNECT " + quiet + "}\r\nPING\r\n")
	if text, code, reason := closedWith(t, c); text != refused || code != 1008 || reason != "Authentication Failure" {
		t.Errorf("%q, then %d %q", text, code, reason)
	}
	d := h.dial(t)
	d.send("CONNECT " + quiet + `,"user":"web","pass":"p"}` + "\r\nPING\r\n")
	if got := d.ended(); got != refused {
		t.Errorf("over TCP: %q", got)
	}
	// Nobody comes in over TCP who says nothing.
	d = h.dial(t)
	d.send("PING\r\n")
	if got := d.ended(); got != refused {
		t.Errorf("over TCP: %q", got)
	}
}

// TestWebSocketShutdown: clients are told before the connection ends.
func TestWebSocketShutdown(t *testing.T) {
	h := webHub(t)
	c, _ := h.webReady(t, nil)
	done := make(chan struct{})
	go func() { defer close(done); h.Close() }()
	if text, code, reason := closedWith(t, c); text != "" || code != 1001 || reason != "Server Shutdown" {
		t.Errorf("%q, then %d %q", text, code, reason)
	}
	<-done
}

// TestWebSocketSlowLeavesAtOnce: of a reader that is closed for being slow nothing is left.
func TestWebSocketSlowLeavesAtOnce(t *testing.T) {
	h := webHub(t, func(c *config.Config) { c.Limits.MaxPending = 1 << 20 })
	c, _ := h.webReady(t, nil)
	c.send("SUB a 1\r\nPING\r\n")
	c.expect("PONG\r\n")
	pub := h.ready(t)
	body := strings.Repeat("x", 60<<10)
	for range 400 {
		pub.send(fmt.Sprintf("PUB a %d\r\n%s\r\n", len(body), body))
	}
	pub.ask("", "")
	eventually(t, "closed as slow", func() bool { return h.Stats().SlowPending == 1 })
	eventually(t, "nothing left", func() bool { return h.broker.Account("$G").Subscriptions() == 0 })
	if all := h.registry.Closed(); len(all) != 1 || all[0].Reason != wire.ReasonSlowPending {
		t.Errorf("closed: %+v", all)
	}
	if _, code, _ := closedWith(t, c); code != 0 {
		t.Errorf("a close frame: %d", code)
	}
}

func TestWebSocketSilentAfterTLS(t *testing.T) {
	p := newPKI(t)
	h := webHub(t, func(c *config.Config) {
		c.WebSocket.HandshakeTimeout = 200 * time.Millisecond
		tc := p.conf
		tc.Timeout = patience
		c.WebSocket.TLS, c.WebSocket.NoTLS = &tc, false
	})
	begun := time.Now()
	nc, err := tls.Dial("tcp", h.webAddr(), &tls.Config{RootCAs: p.pool, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(begun.Add(patience))
	if b, _ := io.ReadAll(nc); len(b) > 0 || time.Since(begun) > patience/2 {
		t.Errorf("said %q after %v", b, time.Since(begun))
	}
}

// TestWebSocketCertificates: users are who their certificates say if this listener takes
// them from there, whatever the other one does; and only pinned ones come in.
func TestWebSocketCertificates(t *testing.T) {
	p := newPKI(t)
	users := func(c *config.Config) {
		c.Accounts = []config.Account{{Name: "A", Users: []config.User{{Name: "CN=joe"}, {Name: "ann", Password: "pw"}}}}
	}
	joe, nobody := p.client(certs.Request{CommonName: "joe"}), p.client(certs.Request{CommonName: "nobody"})
	hubs := map[string]*hub{}
	for name, change := range map[string]func(web, tcp *config.TLS){
		"maps":     func(web, _ *config.TLS) { web.Verify, web.VerifyAndMap = true, true },
		"verifies": func(web, tcp *config.TLS) { web.Verify, tcp.Verify, tcp.VerifyAndMap = true, true, true },
		"pins": func(web, _ *config.TLS) {
			web.Verify, web.VerifyAndMap, web.PinnedCerts = true, true, []string{config.Fingerprint(nobody.Leaf)}
		},
	} {
		hubs[name] = webHub(t, users, func(c *config.Config) {
			web, tcp := p.conf, p.conf
			web.Timeout, tcp.Timeout = patience, patience
			change(&web, &tcp)
			c.WebSocket.TLS, c.WebSocket.NoTLS, c.Client.TLS = &web, false, &tcp
		})
	}
	const anonymous, ann = "CONNECT " + quiet + "}\r\nPING\r\n", "CONNECT " + quiet + `,"user":"ann","pass":"pw"}` + "\r\nPING\r\n"
	for _, row := range []struct {
		hub     string
		cert    *tls.Certificate
		connect string
		want    string // the user; "": refused; "-": no handshake
	}{
		{"maps", &joe, anonymous, "CN=joe"}, {"maps", &nobody, anonymous, ""}, {"maps", nil, anonymous, "-"},
		{"verifies", &joe, anonymous, ""}, {"verifies", &joe, ann, "ann"}, {"verifies", nil, ann, "-"},
		{"pins", &joe, anonymous, "-"}, {"pins", &nobody, anonymous, ""},
	} {
		h := hubs[row.hub]
		cfg := &tls.Config{RootCAs: p.pool, ServerName: "localhost"}
		if row.cert != nil {
			cfg.Certificates = []tls.Certificate{*row.cert}
		}
		nc, err := net.Dial("tcp", h.webAddr())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		sec := tls.Client(nc, cfg)
		if row.want == "-" {
			// With TLS 1.3 the refusal comes behind the handshake.
			io.WriteString(sec, "GET / HTTP/1.1\r\n")
			if b, err := io.ReadAll(sec); len(b) > 0 || err == nil {
				t.Errorf("%+v: %q, %v", row, b, err)
			}
			nc.Close()
			continue
		}
		c, _ := upgraded(t, sec, "/", nil)
		if i := c.info(); !i.TLSVerify || !i.AuthRequired {
			t.Errorf("%+v: INFO %+v", row, i)
		}
		c.send(row.connect)
		if row.want == "" {
			if text, code, _ := closedWith(t, c); text != "-ERR 'Authorization Violation'\r\n" || code != 1008 {
				t.Errorf("%+v: %q, %d", row, text, code)
			}
			continue
		}
		c.expect("PONG\r\n")
		if i := h.registry.Open()[0].Info(false); i.User != row.want || i.TLSVersion == "" {
			t.Errorf("%+v: %+v", row, i)
		}
		nc.Close()
		eventually(t, "gone", func() bool { return h.registry.Len() == 0 })
	}
}

// TestWebSocketOwnAddress: INFO names this listener, and TCP clients are told of theirs.
func TestWebSocketOwnAddress(t *testing.T) {
	h := webHub(t)
	c, _ := h.webRaw(t, nil)
	i := c.info()
	if i.Host != "127.0.0.1" || i.Port != h.WebSocketAddr().Port || i.TLSAvailable || i.Nonce != "" {
		t.Errorf("%+v", i)
	}
	d := h.raw(t)
	line := d.line()
	if strings.Contains(line, "ws_connect_urls") || strings.Contains(line, fmt.Sprintf(":%d", h.WebSocketAddr().Port)) {
		t.Errorf("TCP: %s", line)
	}
}
