package websocket

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Offer is what the side that dials asks for.
type Offer struct {
	Host string // of the Host line
	Path string // absolute, escaped
	// Compress and Unmasked: permessage-deflate, and frames that are not masked.
	Compress, Unmasked bool
	key                string
}

// AppendRequest appends the request.
func AppendRequest(b []byte, o *Offer) []byte {
	var nonce [16]byte
	rand.Read(nonce[:])
	o.key = base64.StdEncoding.EncodeToString(nonce[:])
	b = append(b, "GET "...)
	b = append(b, o.Path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, o.Host...)
	b = append(b, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "...)
	b = append(b, o.key...)
	b = append(b, "\r\nSec-WebSocket-Version: 13\r\n"...)
	if o.Compress {
		b = append(b, extensionLine...)
	}
	if o.Unmasked {
		b = append(b, unmaskedLine...)
	}
	return append(b, "\r\n"...)
}

// Errors of CheckResponse.
var (
	// ErrNotUpgraded: the other side does not speak WebSocket, or refused.
	ErrNotUpgraded = errors.New("invalid websocket connection")
	// ErrNegotiation: it wants to compress in a way that was not offered.
	ErrNegotiation = errors.New("compression negotiation error")
)

// CheckResponse judges the head of the answer to an offer.
func CheckResponse(head []byte, o *Offer) (*Agreement, error) {
	line, f, err := parseHead(head)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotUpgraded, err)
	}
	accept, _ := f.first("sec-websocket-accept")
	version, status, _ := strings.Cut(line, " ")
	switch {
	case version != "HTTP/1.1" || status != "101" && !strings.HasPrefix(status, "101 "):
		return nil, fmt.Errorf("%w: the answer is %q", ErrNotUpgraded, cut(line))
	case !f.hasToken("upgrade", "websocket") || !f.hasToken("connection", "upgrade"):
		return nil, fmt.Errorf("%w: the answer does not name the upgrade", ErrNotUpgraded)
	case accept != acceptKey(o.key):
		return nil, fmt.Errorf("%w: wrong accept key", ErrNotUpgraded)
	}
	a := new(Agreement)
	if granted := f.all("sec-websocket-extensions"); len(granted) > 0 {
		if a.Compress = o.Compress && withoutTakeover(granted); !a.Compress {
			return nil, fmt.Errorf("%w: offered %v, the answer is %q", ErrNegotiation, o.Compress, cut(strings.Join(granted, ", ")))
		}
	}
	if v, _ := f.first("nats-no-masking"); v == "true" {
		a.Unmasked = o.Unmasked
	}
	return a, nil
}

// withoutTakeover tells whether what was granted is permessage-deflate with both
// no-context-takeover parameters and nothing that was not offered.
func withoutTakeover(granted []string) bool {
	if len(granted) != 1 {
		return false
	}
	var server, client bool
	for i, p := range strings.Split(granted[0], ";") {
		p = strings.ToLower(strings.Trim(p, " \t"))
		switch {
		case i == 0:
			if p != extension {
				return false
			}
		case p == "server_no_context_takeover":
			server = true
		case p == "client_no_context_takeover":
			client = true
		default:
			return false
		}
	}
	return server && client
}

// AppendConnect appends the request that makes an HTTP proxy connect to host, which has a
// port.
func AppendConnect(b []byte, host, user, password string) []byte {
	b = append(b, "CONNECT "...)
	b = append(b, host...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	if user != "" {
		b = append(b, "\r\nProxy-Authorization: Basic "...)
		b = base64.StdEncoding.AppendEncode(b, []byte(user+":"+password))
	}
	return append(b, "\r\n\r\n"...)
}

// CheckConnected judges the head of a proxy's answer to CONNECT: nothing but 200 is good.
func CheckConnected(head []byte) error {
	line, _, err := parseHead(head)
	if err != nil {
		return err
	}
	version, status, _ := strings.Cut(line, " ")
	switch {
	case !strings.HasPrefix(version, "HTTP/1."):
		return fmt.Errorf("%w: %q", errHead, cut(line))
	case status != "200" && !strings.HasPrefix(status, "200 "):
		return errors.New(cut(status))
	}
	return nil
}
