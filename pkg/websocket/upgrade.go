package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Status codes of the answers.
const (
	StatusBadRequest = 400
	StatusForbidden  = 403
	StatusNotFound   = 404
	StatusNotAllowed = 405
	StatusTooLarge   = 431
	StatusBusy       = 503
)

var statusTexts = map[int]string{
	StatusBadRequest: "Bad Request", StatusForbidden: "Forbidden", StatusNotFound: "Not Found",
	StatusNotAllowed: "Method Not Allowed", StatusTooLarge: "Request Header Fields Too Large",
	StatusBusy: "Service Unavailable",
}

// Refusal is why a request is not upgraded. The peer is told the status alone.
type Refusal struct {
	Status int
	Detail string // for the log
}

func (e *Refusal) Error() string { return fmt.Sprintf("%s (HTTP %d)", e.Detail, e.Status) }

func refuse(status int, format string, args ...any) *Refusal {
	return &Refusal{status, fmt.Sprintf(format, args...)}
}

// Request is the head of an HTTP request.
type Request struct {
	Method string
	// Path is as it was sent, without the query.
	Path string
	Host string
	// Close: the connection can't carry another request, because this one has a body or
	// the peer says so.
	Close  bool
	hosts  int
	fields fields
}

// ParseRequest reads a head that [HeadLen] has found the end of. A head that can't be read
// is a [*Refusal].
func ParseRequest(head []byte) (*Request, error) {
	line, f, err := parseHead(head)
	if err != nil {
		return nil, refuse(StatusBadRequest, "%v", err)
	}
	method, rest, ok := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || !isToken(method) || version != "HTTP/1.1" {
		return nil, refuse(StatusBadRequest, "request line %q", cut(line))
	}
	q := &Request{Method: method, fields: f}
	q.Path, _, _ = strings.Cut(target, "?")
	if !strings.HasPrefix(q.Path, "/") { // absolute form, or *
		u, err := url.Parse(target)
		if err != nil {
			return nil, refuse(StatusBadRequest, "request target %q", cut(target))
		}
		q.Path = u.EscapedPath()
	}
	hosts := f.all("host")
	if q.hosts = len(hosts); q.hosts > 0 {
		q.Host = hosts[0]
	}
	length, _ := f.first("content-length")
	_, chunked := f.first("transfer-encoding")
	q.Close = length != "" && length != "0" || chunked || f.hasToken("connection", "close") || method == "HEAD"
	return q, nil
}

// Cookie is the value of the last cookie of that name, "" if there is none.
func (q *Request) Cookie(name string) (value string) {
	if name == "" {
		return ""
	}
	for _, line := range q.fields.all("cookie") {
		for part := range strings.SplitSeq(line, ";") {
			n, v, ok := strings.Cut(strings.Trim(part, " \t"), "=")
			if ok && n == name {
				if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
					v = v[1 : len(v)-1]
				}
				value = v
			}
		}
	}
	return value
}

// Offers tells whether the client can speak a subprotocol.
func (q *Request) Offers(protocol string) bool {
	return q.fields.hasToken("sec-websocket-protocol", protocol)
}

// ForwardedFor is the address in the first X-Forwarded-For, if it is one and no list.
// Anybody may write it: it is good for a log and for nothing else. See [Request.Source]
// for what proxies say that are trusted.
func (q *Request) ForwardedFor() string {
	v, _ := q.fields.first("x-forwarded-for")
	if a, err := netip.ParseAddr(v); err == nil && a.Zone() == "" {
		return a.String()
	}
	return ""
}

// Rules are what a listener demands and offers.
type Rules struct {
	// Secure: requests come over TLS.
	Secure bool
	// SameOrigin refuses pages of other origins than the request's host.
	SameOrigin bool
	// Origins, if there are any, are the only ones whose pages are let in.
	Origins []Origin
	// Local is for a listener on a loopback address without other rules: pages must be of
	// this machine too, and must have asked for it by a name that can't be another's. Else any
	// page that somebody looks at could speak to it.
	Local bool
	// Compress offers permessage-deflate.
	Compress bool
}

// Agreement is what both sides have agreed on.
type Agreement struct {
	Compress bool
	Unmasked bool
	accept   string
}

// Check says what is agreed, or why not ([*Refusal]). It judges neither path nor what
// came behind the head.
func (r *Rules) Check(q *Request) (*Agreement, error) {
	f := q.fields
	key, hasKey := f.first("sec-websocket-key")
	switch {
	case q.Method != "GET":
		return nil, refuse(StatusNotAllowed, "request method must be GET, not %s", cut(q.Method))
	case q.hosts != 1 || q.Host == "":
		return nil, refuse(StatusBadRequest, "'Host' missing in request")
	case !f.hasToken("upgrade", "websocket"):
		return nil, refuse(StatusBadRequest, "invalid value for header 'Upgrade'")
	case !f.hasToken("connection", "upgrade"):
		return nil, refuse(StatusBadRequest, "invalid value for header 'Connection'")
	case !hasKey || !validKey(key):
		return nil, refuse(StatusBadRequest, "key missing or invalid")
	case !f.hasToken("sec-websocket-version", "13"):
		return nil, refuse(StatusBadRequest, "invalid version")
	}
	if err := r.checkOrigin(q); err != nil {
		return nil, err
	}
	a := &Agreement{accept: acceptKey(key)}
	a.Compress = r.Compress && f.hasToken("sec-websocket-extensions", extension)
	if v, ok := f.first("nats-no-masking"); ok {
		a.Unmasked = v == "true"
	}
	return a, nil
}

func validKey(key string) bool {
	b, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(b) == 16
}

// acceptKey is the proof that a key was read by somebody who speaks WebSocket. SHA-1 is
// what RFC 6455 says; nothing depends on its strength.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

const (
	extension     = "permessage-deflate"
	extensionLine = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	unmaskedLine  = "Nats-No-Masking: true\r\n"
)

// AppendAccept appends the answer that ends the upgrade. extra are further lines, each with
// its line end.
func AppendAccept(b []byte, a *Agreement, extra string) []byte {
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = append(b, a.accept...)
	b = append(b, "\r\n"...)
	if a.Compress {
		b = append(b, extensionLine...)
	}
	if a.Unmasked {
		b = append(b, unmaskedLine...)
	}
	b = append(b, extra...)
	return append(b, "\r\n"...)
}

// AppendRefusal appends the answer to a request that is refused at a time. shut: the
// connection is closed behind it.
func AppendRefusal(b []byte, status int, shut bool, now time.Time) []byte {
	text := statusTexts[status]
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, text...)
	b = append(b, "\r\nContent-Type: text/plain; charset=utf-8\r\nSec-Websocket-Version: 13\r\nX-Content-Type-Options: nosniff\r\nDate: "...)
	b = now.UTC().AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 GMT")
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(text)+1), 10)
	if shut {
		b = append(b, "\r\nConnection: close"...)
	}
	b = append(b, "\r\n\r\n"...)
	b = append(b, text...)
	return append(b, '\n')
}

// NotSecure is the answer to plain HTTP where TLS was expected.
const NotSecure = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"

// AllowedHeader tells whether the settings may add a header to the answer, and if not,
// why (websocket 2).
func AllowedHeader(name, value string) error {
	const prefix = "Sec-WebSocket-"
	switch strings.ToLower(name) {
	case "host", "content-length", "connection", "upgrade", "nats-no-masking":
		return fmt.Errorf("invalid header %q not allowed", name)
	}
	if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
		return fmt.Errorf("invalid header %q, %q prefix not allowed", name, prefix)
	}
	if !isToken(name) || !printable(value) {
		return fmt.Errorf("invalid header %q: %q", name, value)
	}
	return nil
}
