package leaf

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/websocket"
	"github.com/banyanmq/banyan/pkg/wire"
)

// web is what a link has that runs over WebSocket. Its methods do for other links, which
// have none, what is right for these.
type web struct {
	codec          *websocket.Codec
	mapCertificate bool
}

// compresses tells whether frames are compressed; S2 is not used then.
func (w *web) compresses() bool { return w != nil && w.codec.Compresses() }

func (w *web) kind() config.ConnectionType {
	if w != nil {
		return config.LeafWS
	}
	return config.LeafNode
}

// known: the peer is somebody, and may send messages of up to n bytes.
func (w *web) known(n int) {
	if w != nil {
		w.codec.SetMaxPayload(n)
	}
}

func (l *conn) mapsCertificates() bool {
	if l.web != nil {
		return l.web.mapCertificate
	}
	t := l.svc.set().TLS
	return t != nil && t.VerifyAndMap
}

func (l *conn) logPrefix(nc net.Conn, u *link.Upgraded) string {
	from, label := "", "lid"
	if u != nil {
		from = u.Forwarded
	}
	if u != nil || l.isWebSocket() {
		label = "lid_ws"
	}
	return fmt.Sprintf("%s%s - %s:%d", from, nc.RemoteAddr(), label, l.id)
}

// AcceptWebSocket takes over a connection of the WebSocket listener whose path says that a
// leaf node dials, and returns at once.
func (s *Service) AcceptWebSocket(u *link.Upgraded) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.wg.Add(1)
	}
	s.mu.Unlock()
	if closed {
		u.Close()
		return
	}
	go func() {
		defer s.wg.Done()
		s.receive(u.Socket, u)
	}()
}

// fitInfo makes an INFO right for a link over WebSocket: TLS was before, and what is
// compressed already is not compressed again.
func (l *conn) fitInfo(info *wire.LeafInfo) {
	if l.web == nil {
		return
	}
	info.TLSRequired, info.TLSVerify = false, false
	if l.web.compresses() {
		info.Compression = ""
	}
}

// isWebSocket tells whether the remote is dialed over WebSocket.
func (l *conn) isWebSocket() bool { return l.remote != nil && l.remote.cfg().IsWebSocket() }

// upgradeDialed is TLS, if the URL or the settings want it, and the upgrade.
func (l *conn) upgradeDialed(u *url.URL, by, end time.Time) *ending {
	r := l.remote
	if u.Scheme == "wss" || r.cfg().TLS != nil {
		if e := l.clientTLS(u, end); e != nil {
			return e
		}
	}
	o := websocket.Offer{
		Host: u.Host, Path: leafPath(u), Compress: r.cfg().WebSocketCompression, Unmasked: r.cfg().WebSocketNoMasking,
	}
	l.c.WriteFlush(websocket.AppendRequest(nil, &o))
	head, e := l.httpHead(by, "no answer to the WebSocket upgrade")
	if e != nil {
		return e
	}
	a, err := websocket.CheckResponse(head, &o)
	if err != nil {
		e := silent(wire.ReasonProtocolViolation, "%v", err)
		e.cause = causeRefused
		return e
	}
	l.c.Discard(len(head))
	codec := websocket.NewCodec(websocket.Options{Client: true, Compress: a.Compress, Unmasked: a.Unmasked, Code: link.CloseCode})
	codec.SetMaxPayload(int(l.svc.maxPayload()))
	l.web = &web{codec: codec}
	l.c.StartLayer(codec)
	return nil
}

// leafPath is where the hub looks for leaf nodes.
func leafPath(u *url.URL) string {
	return "/" + strings.Trim(u.EscapedPath()+"/leafnode", "/")
}

// httpHead waits for the head of an answer; late is what it means when none comes.
func (l *conn) httpHead(by time.Time, late string) ([]byte, *ending) {
	for want := 1; ; {
		b, err := l.c.Peek(want, by)
		switch {
		case err != nil && transport.IsTimeout(err) && l.c.Cause() == nil:
			return nil, silent(wire.ReasonReadError, "%s", late)
		case err != nil && certificateTrouble(err):
			return nil, tlsEnding(err, true)
		case err != nil:
			return nil, endOf(err)
		}
		if n := websocket.HeadLen(b); n > 0 {
			return b[:n:n], nil
		}
		if len(b) > websocket.MaxHead {
			return nil, silent(wire.ReasonProtocolViolation, "%v: no end of the answer's head", websocket.ErrNotUpgraded)
		}
		want = len(b) + 1
	}
}

// dialed is the address that is connected to for u: the hub's, or the proxy's.
func (r *remote) dialed(u *url.URL) string {
	if p := r.cfg().Proxy; p != nil {
		return p.URL.Host
	}
	return u.Host
}

var errProxyTLS = errors.New("TLS to a hub through an https proxy is not supported: use an http proxy")

// throughProxy has the proxy, if there is one, connect us to the hub. What the hub says
// right behind the proxy's answer is kept.
func (l *conn) throughProxy(u *url.URL, end time.Time) *ending {
	r := l.remote
	p := r.cfg().Proxy
	if p == nil {
		return nil
	}
	by := earlier(time.Now().Add(orElse(p.Timeout, orElse(r.cfg().DialTimeout, r.svc.set().DialTimeout))), end)
	if p.URL.Scheme == "https" {
		if u.Scheme != "ws" || r.cfg().TLS != nil {
			return &ending{reason: wire.ReasonTLSHandshake, detail: errProxyTLS.Error(), cause: causeRefused}
		}
		cfg, err := (&config.TLS{}).Client(p.URL.Hostname())
		if err == nil {
			err = l.c.StartTLS(cfg, false, time.Until(by))
		}
		if err != nil {
			return silent(wire.ReasonTLSHandshake, "proxy: %v", err)
		}
	}
	l.c.WriteFlush(websocket.AppendConnect(nil, u.Host, p.User, string(p.Password)))
	head, e := l.httpHead(by, "no answer of the proxy")
	if e != nil {
		return e
	}
	if err := websocket.CheckConnected(head); err != nil {
		return silent(wire.ReasonProtocolViolation, "proxy CONNECT failed: %v", err)
	}
	l.c.Discard(len(head))
	return nil
}
