package client

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/websocket"
)

// webRules are what upgrades go by. They are not changed: a reload makes others.
type webRules struct {
	settings *config.WebSocketListener
	upgrade  websocket.Rules
	extra    string // lines of the answer
	proxies  websocket.Proxies
}

// newWebRules reads the settings. secure: requests come over TLS. local: only programs and
// pages of this machine are served.
func newWebRules(w *config.WebSocketListener, secure, local bool) (*webRules, error) {
	r := &webRules{settings: w, upgrade: websocket.Rules{Secure: secure, SameOrigin: w.SameOrigin, Compress: w.Compression, Local: local}}
	for _, o := range w.AllowedOrigins {
		origin, err := websocket.ParseOrigin(o)
		if err != nil {
			return nil, fmt.Errorf("unable to parse allowed origin: %w", err)
		}
		r.upgrade.Origins = append(r.upgrade.Origins, origin)
	}
	for _, name := range slices.Sorted(maps.Keys(w.Headers)) {
		r.extra += name + ": " + w.Headers[name] + "\r\n"
	}
	var err error
	if r.proxies, err = websocket.ParseProxies(w.TrustedProxies); err != nil {
		return nil, fmt.Errorf("websocket: trusted_proxies: %w", err)
	}
	return r, nil
}

// takeProxy takes a PROXY header off the start of the connection, if one is expected and
// the other end may send one. From then on it is where that says.
func (u *upgrade) takeProxy() error {
	r := u.rules
	if !r.settings.ProxyProtocol || len(r.proxies) > 0 && !r.proxies.Trusts(ipOf(u.base)) {
		return nil
	}
	source, err := takeProxy(u.t, u.deadline)
	if err == nil && source != nil {
		u.base = source
		u.place(source)
	}
	return err
}

// place says where the client is.
func (u *upgrade) place(a net.Addr) {
	u.remote, u.from = a, addrIP(a)+"/"
}

// locate says where a request came from: behind proxies that are trusted, where these
// say. Without such proxies everybody may name an address for the logs.
func (u *upgrade) locate(q *websocket.Request) {
	peer := ipOf(u.base)
	if len(u.rules.proxies) > 0 {
		if at := q.Source(peer, u.rules.proxies); at.Addr() != peer {
			u.place(net.TCPAddrFromAddrPort(at))
		}
		return
	}
	if f := q.ForwardedFor(); f != "" {
		u.from = f + "/"
	}
}

// ipOf is the IP address of a, not valid if it has none.
func ipOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		ip, _ := netip.AddrFromSlice(t.IP)
		return ip.Unmap()
	}
	return netip.Addr{}
}

// takeProxy takes a PROXY header off the start of a connection, if there is one, and
// returns the address in it; nil: the other end's own.
func takeProxy(t *transport.Conn, deadline time.Time) (*net.TCPAddr, error) {
	for want := 1; ; {
		b, err := t.Peek(want, deadline)
		if err != nil {
			return nil, err
		}
		h, err := parseProxy(b)
		if err != nil {
			return nil, &proxyError{err}
		}
		if h.more {
			want = len(b) + 1
			continue
		}
		if h.size > 0 {
			t.Discard(h.size)
		}
		return h.source, nil
	}
}

// proxyError is what is wrong with a PROXY header.
type proxyError struct{ err error }

func (e *proxyError) Error() string { return "PROXY header: " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }
