package websocket

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// head is a good request with lines replaced, added (new name) or removed ("").
func head(first string, change map[string]string) []byte {
	lines := [][2]string{
		{"Host", "example.com:8080"}, {"Upgrade", "websocket"}, {"Connection", "Upgrade"},
		{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, {"Sec-WebSocket-Version", "13"},
	}
	var b bytes.Buffer
	b.WriteString(first + "\r\n")
	seen := map[string]bool{}
	for _, l := range lines {
		v, ok := change[l[0]]
		seen[l[0]] = true
		if !ok {
			v = l[1]
		}
		if v != "" {
			b.WriteString(l[0] + ": " + v + "\r\n")
		}
	}
	for n, v := range change {
		if !seen[n] && v != "" {
			b.WriteString(n + ": " + v + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// judge is what a listener does with a head.
func judge(r *Rules, b []byte) (*Request, *Agreement, int) {
	var no *Refusal
	q, err := ParseRequest(b)
	if err == nil {
		var a *Agreement
		if a, err = r.Check(q); err == nil {
			return q, a, 0
		}
	}
	if !errors.As(err, &no) {
		return q, nil, -1
	}
	return q, nil, no.Status
}

const get = "GET / HTTP/1.1"

// TestUpgradeTable is the table of websocket 3.
func TestUpgradeTable(t *testing.T) {
	tests := []struct {
		first  string
		change map[string]string
		status int
	}{
		{get, nil, 0},
		{"GET /any/path?x=1 HTTP/1.1", nil, 0},
		{"POST / HTTP/1.1", nil, 405},
		{"get / HTTP/1.1", nil, 405},
		{get, map[string]string{"Host": ""}, 400},
		{get, map[string]string{"Upgrade": ""}, 400},
		{get, map[string]string{"Upgrade": "h2c"}, 400},
		{get, map[string]string{"Upgrade": "h2c, WebSocket"}, 0},
		{get, map[string]string{"Connection": ""}, 400},
		{get, map[string]string{"Connection": "close"}, 400},
		{get, map[string]string{"Connection": "keep-alive, upgrade"}, 0},
		{get, map[string]string{"Sec-WebSocket-Key": ""}, 400},
		{get, map[string]string{"Sec-WebSocket-Key": "dGhl"}, 400},
		{get, map[string]string{"Sec-WebSocket-Key": "no base64 at all, no no!"}, 400},
		{get, map[string]string{"Sec-WebSocket-Version": ""}, 400},
		{get, map[string]string{"Sec-WebSocket-Version": "8"}, 400},
		{get, map[string]string{"Sec-WebSocket-Version": "8, 13"}, 0},
		{get, map[string]string{"Origin": "http://evil.example"}, 0},
		{"GET / HTTP/1.0", nil, 400},
		{"GET /", nil, 400},
		{"GET  / HTTP/1.1", nil, 400},
		{get + "\r\nno colon", nil, 400},
		{get + "\r\nna me: x", nil, 400},
		{get + "\r\nname : x", nil, 400},
		{get + "\r\nname: \x01", nil, 400},
		{get + "\r\nHost: twice", nil, 400},
	}
	for _, test := range tests {
		b := head(test.first, test.change)
		if n := HeadLen(b); n != len(b) {
			t.Errorf("%q %v: head of %d bytes", test.first, test.change, n)
		}
		if _, _, status := judge(&Rules{}, b); status != test.status {
			t.Errorf("%q %v: status %d, want %d", test.first, test.change, status, test.status)
		}
	}
}

func TestOrigins(t *testing.T) {
	list := func(all ...string) (o []Origin) {
		for _, s := range all {
			x, err := ParseOrigin(s)
			if err != nil {
				t.Fatal(err)
			}
			o = append(o, x)
		}
		return o
	}
	allowed := list("http://a.example", "https://b.example:8443")
	same, sameTLS := Rules{SameOrigin: true}, Rules{SameOrigin: true, Secure: true}
	only := Rules{Origins: allowed}
	both := Rules{SameOrigin: true, Origins: allowed}
	here := Rules{Local: true}
	tests := []struct {
		rules        Rules
		host, origin string
		ok           bool
	}{
		{only, "x", "", true},
		{only, "x", "http://a.example", true},
		{only, "x", "HTTP://A.EXAMPLE:80", true},
		{only, "x", "http://a.example:81", false},
		{only, "x", "https://a.example", false},
		{only, "x", "https://b.example:8443", true},
		{only, "x", "https://b.example", false},
		{only, "x", "http://c.example", false},
		{only, "x", "null", false},
		{only, "x", "a.example", false},
		{same, "a.example", "http://a.example", true},
		{same, "a.example:8080", "http://a.example:8080", true},
		{same, "A.example:80", "http://a.Example", true},
		{same, "127.0.0.1:28493", "http://127.0.0.1", false},
		{same, "127.0.0.1", "http://localhost", false},
		{same, "a.example", "https://a.example", false},
		{same, "a.example", "ws://a.example", false},
		{same, "a.example", "null", false},
		{same, "[::1]:80", "http://[::1]", true},
		{same, "[::1]", "http://[::1]:80", true},
		{sameTLS, "a.example", "https://a.example", true},
		{sameTLS, "a.example", "http://a.example", false},
		{both, "a.example", "http://a.example", true},
		{both, "c.example", "http://c.example", false},
		{both, "c.example", "http://a.example", false},
		{here, "127.0.0.1:8080", "", true},
		{here, "127.0.0.1:8080", "http://127.0.0.1:3000", true},
		{here, "localhost:8080", "https://localhost", true},
		{here, "127.0.0.1:8080", "https://evil.example", false},
		{here, "evil.example:8080", "http://evil.example:8080", false},
		{here, "evil.example:8080", "http://localhost", false},
		{here, "127.0.0.1:8080", "null", false},
	}
	for _, test := range tests {
		for _, name := range []string{"Origin", "Sec-WebSocket-Origin"} {
			_, _, status := judge(&test.rules, head(get, map[string]string{"Host": test.host, name: test.origin}))
			if want := map[bool]int{true: 0, false: 403}[test.ok]; status != want {
				t.Errorf("%+v, host %s, %s %s: %d, want %d", test.rules, test.host, name, test.origin, status, want)
			}
		}
	}
	for _, bad := range []string{"a.example", "ws://a.example", "/a", "http://", "http://a b"} {
		if _, err := ParseOrigin(bad); err == nil {
			t.Errorf("%q was taken for an origin", bad)
		}
	}
}

func TestAccept(t *testing.T) {
	const (
		deflate = "Sec-Websocket-Extensions"
		granted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	)
	tests := []struct {
		compress bool
		change   map[string]string
		deflate  bool
		unmasked bool
	}{
		{true, nil, false, false},
		{true, map[string]string{deflate: granted}, true, false},
		{true, map[string]string{deflate: "permessage-deflate"}, true, false},
		{true, map[string]string{deflate: "x-other, permessage-deflate; client_max_window_bits"}, true, false},
		{true, map[string]string{deflate: "x-permessage-deflate"}, false, false},
		{false, map[string]string{deflate: granted}, false, false},
		{false, map[string]string{"nats-NO-masking": "true"}, false, true},
		{false, map[string]string{"Nats-No-Masking": "yes"}, false, false},
	}
	for _, test := range tests {
		_, a, status := judge(&Rules{Compress: test.compress}, head(get, test.change))
		if status != 0 || a.Compress != test.deflate || a.Unmasked != test.unmasked {
			t.Errorf("%v: %d, %+v", test.change, status, a)
			continue
		}
		b := AppendAccept(nil, a, "X-Extra: 1\r\n")
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil {
			t.Fatal(err)
		}
		h := r.Header
		if r.StatusCode != 101 || h.Get("Upgrade") != "websocket" || h.Get("Connection") != "Upgrade" || h.Get("X-Extra") != "1" ||
			h.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Errorf("%v: answered %q", test.change, b)
		}
		if got := h.Get(deflate); (got == granted) != test.deflate || (got == "") == test.deflate {
			t.Errorf("%v: extensions %q", test.change, got)
		}
		if got := h.Get("Nats-No-Masking"); (got == "true") != test.unmasked {
			t.Errorf("%v: no masking %q", test.change, got)
		}
	}
}

func TestRefusalOnTheWire(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for status, text := range statusTexts {
		for _, shut := range []bool{false, true} {
			r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(AppendRefusal(nil, status, shut, at))), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			if r.StatusCode != status || string(body) != text+"\n" || r.Header.Get("Sec-Websocket-Version") != "13" || r.Close != shut ||
				r.Header.Get("Date") != "Fri, 02 Jan 2026 03:04:05 GMT" || http.StatusText(status) != text {
				t.Errorf("%d: %v %q", status, r.Header, body)
			}
		}
	}
}

func TestRequestDetails(t *testing.T) {
	b := head("GET http://h/x/leafnode?y HTTP/1.1", map[string]string{
		"Cookie": `a=1; tok="quoted"; a=2; =x; b`, "X-Forwarded-For": "10.1.2.3", "Content-Length": "0",
	})
	q, err := ParseRequest(b)
	if err != nil {
		t.Fatal(err)
	}
	if q.Path != "/x/leafnode" || q.Cookie("a") != "2" || q.Cookie("tok") != "quoted" || q.Cookie("b") != "" || q.Cookie("") != "" || q.Close {
		t.Errorf("%+v, cookies %q %q", q, q.Cookie("a"), q.Cookie("tok"))
	}
	for in, want := range map[string]string{"10.1.2.3": "10.1.2.3", "::1": "::1", "10.1.2.3, 1.1.1.1": "", "x": "", "fe80::1%eth0": ""} {
		if q, _ := ParseRequest(head(get, map[string]string{"X-Forwarded-For": in})); q.ForwardedFor() != want {
			t.Errorf("forwarded for %q: %q", in, q.ForwardedFor())
		}
	}
	for _, change := range []map[string]string{{"Content-Length": "3"}, {"Transfer-Encoding": "chunked"}, {"Connection": "close, upgrade"}} {
		if q, _ := ParseRequest(head(get, change)); !q.Close {
			t.Errorf("%v: is to stay open", change)
		}
	}
	for name, bad := range map[string]bool{
		"Host": true, "content-length": true, "Connection": true, "Upgrade": true, "Nats-No-Masking": true,
		"Sec-WebSocket-Protocol": true, "sec-websocket-x": true, "X-Mine": false, "a b": true,
	} {
		if err := AllowedHeader(name, "v"); (err != nil) != bad {
			t.Errorf("header %q: %v", name, err)
		}
	}
	if AllowedHeader("X", "a\r\nb") == nil {
		t.Error("a line end in a header's value")
	}
}

// TestBothSides lets the side that dials and the side that listens agree.
func TestBothSides(t *testing.T) {
	for _, o := range []Offer{{}, {Compress: true}, {Unmasked: true}, {Compress: true, Unmasked: true}} {
		for _, r := range []Rules{{}, {Compress: true}} {
			o.Host, o.Path = "h:1", "/leafnode"
			q, a, status := judge(&r, AppendRequest(nil, &o))
			if status != 0 || q.Path != "/leafnode" || q.Host != "h:1" {
				t.Fatalf("%+v: %d, %+v", o, status, q)
			}
			got, err := CheckResponse(AppendAccept(nil, a, ""), &o)
			if err != nil || got.Compress != (o.Compress && r.Compress) || got.Unmasked != o.Unmasked {
				t.Errorf("%+v and %+v: %+v, %v", o, r, got, err)
			}
		}
	}
}

func TestResponses(t *testing.T) {
	o := Offer{Host: "h", Path: "/leafnode", Compress: true}
	AppendRequest(nil, &o)
	key := acceptKey(o.key)
	plain := Offer{Host: "h", Path: "/", key: o.key}
	base := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " + key + "\r\n"
	const both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	tests := []struct {
		offer *Offer
		in    string
		want  error
	}{
		{&o, base, nil},
		{&o, base + "Sec-WebSocket-Extensions: " + both + "\r\n", nil},
		{&plain, base + "Sec-WebSocket-Extensions: " + both + "\r\n", ErrNegotiation},
		{&o, base + "Sec-WebSocket-Extensions: permessage-deflate\r\n", ErrNegotiation},
		{&o, base + "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n", ErrNegotiation},
		{&o, base + "Sec-WebSocket-Extensions: " + both + "; server_max_window_bits=8\r\n", ErrNegotiation},
		{&o, base + "Sec-WebSocket-Extensions: x-other\r\n", ErrNegotiation},
		{&o, strings.Replace(base, "101", "200", 1), ErrNotUpgraded},
		{&o, strings.Replace(base, "WebSocket\r", "h2c\r", 1), ErrNotUpgraded},
		{&o, strings.Replace(base, "upgrade\r", "close\r", 1), ErrNotUpgraded},
		{&o, strings.Replace(base, key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 1), ErrNotUpgraded},
		{&o, "INFO {}\r\n", ErrNotUpgraded},
	}
	for _, test := range tests {
		if _, err := CheckResponse([]byte(test.in+"\r\n"), test.offer); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%q: %v, want %v", test.in, err, test.want)
		}
	}
}
