package client

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/websocket"
	"github.com/banyanmq/banyan/pkg/wire"
)

// webDoor is the WebSocket listener: TLS and the HTTP upgrade come before anything of
// the client protocol, and the path of the request says who is served. Its methods do
// nothing where there is none.
type webDoor struct {
	settings *config.WebSocketListener // those of the start: where to listen
	set      atomic.Pointer[terms]
	rules    atomic.Pointer[webRules]
	rate     rateLimit
	urls     *link.URLs
	changed  chan struct{}
	ln       *link.Listener

	mu      sync.Mutex
	opening map[*transport.Conn]struct{} // upgrades under way; nil: closed
}

// web is what a client has that came in by the WebSocket listener. All its methods do
// nothing for one that did not.
type web struct {
	codec   *websocket.Codec
	cookies *cookies // nil: none that count
	from    string   // address that it says it was forwarded for
}

// cookies are what CONNECT may leave out.
type cookies struct{ jwt, user, password, token string }

const (
	// maxOpening bounds upgrades under way: beyond it newcomers are closed at once,
	// before anything costly.
	maxOpening = 4096

	leafSuffix, mqttSuffix = "/leafnode", "/mqtt"
)

func (s *Service) newWebDoor(w *config.WebSocketListener) *webDoor {
	if w == nil || !w.Enabled() {
		return nil
	}
	d := &webDoor{settings: w, urls: s.o.WebSocketURLs, changed: make(chan struct{}, 1)}
	orDefault(&d.urls, new(link.URLs))
	d.set.Store(s.newWebTerms(s.o.Settings))
	return d
}

// newWebTerms is newTerms for WebSocket clients.
func (s *Service) newWebTerms(cfg *config.Config) *terms {
	w := cfg.WebSocket
	set := s.newTerms(cfg)
	set.kind, set.block, set.policy = config.WebSocket, w.TLS, s.o.Auth.Policy(config.WebSocket)
	if w.PingInterval > 0 {
		set.limits.PingInterval = w.PingInterval
	}
	if w.Auth.Timeout > 0 {
		set.login = w.Auth.Timeout
	}
	return set
}

// start opens the listener.
func (d *webDoor) start(s *Service) error {
	if d == nil {
		return nil
	}
	set := s.newWebTerms(s.o.Settings)
	if t := set.block; t != nil {
		cfg, err := t.Server()
		if err != nil {
			return fmt.Errorf("websocket listener: %w", err)
		}
		set.tls = cfg
		d.rate.set(t.ConnectionRateLimit)
	}
	w := d.settings
	rules, err := newWebRules(w, set.tls != nil, false)
	if err != nil {
		return err
	}
	ln, err := link.Listen(w.Host, w.Port)
	if err != nil {
		return fmt.Errorf("unable to listen for websocket connections: %w", err)
	}
	rules.upgrade.Local = s.o.Settings.Daemon == config.Leafd && ln.Addr().IP.IsLoopback()
	d.ln, d.opening = ln, make(map[*transport.Conn]struct{})
	own, err := d.advertise(s, w, set)
	if err != nil {
		return err
	}
	d.rules.Store(rules)
	d.set.Store(set)
	d.urls.SetOwn(own)
	d.urls.Watch(func() {
		select {
		case d.changed <- struct{}{}:
		default:
		}
	})
	s.finished.Add(1)
	go s.announce(d.changed, func(c *conn) bool { return c.web != nil })
	ln.Serve(s.serveWeb, func(err error) { s.log.Errorf("Error accepting a WebSocket connection: %v", err) })
	scheme := "wss"
	if set.tls == nil {
		scheme = "ws"
		if !rules.upgrade.Local {
			s.log.Warnf("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!")
		}
	}
	s.log.Noticef("Listening for websocket clients on %s://%s", scheme, ln.Addr())
	return nil
}

// advertise is Service.advertise for this listener.
func (d *webDoor) advertise(s *Service, w *config.WebSocketListener, set *terms) (own []string, err error) {
	host, port := d.settings.Host, d.ln.Addr().Port
	own = ownAddresses(host, port)
	if a := w.Advertise; a != "" {
		if host, port, err = splitAdvertise(a, port); err != nil {
			return nil, fmt.Errorf("websocket advertise %q: %w", a, err)
		}
		own = []string{net.JoinHostPort(host, strconv.Itoa(port))}
	}
	set.base = s.baseInfo(set, host, port)
	return own, nil
}

// apply makes the terms of a change.
func (d *webDoor) apply(s *Service, ch *config.Change) *terms {
	if d == nil || ch.New.WebSocket == nil {
		return nil
	}
	w := ch.New.WebSocket
	old, next := d.set.Load(), s.newWebTerms(ch.New)
	next.base = old.base
	if next.block != nil {
		if next.tls = old.tls; next.tls == nil {
			next.tls, _ = next.block.Server() // it was read while the change was prepared
		}
		d.rate.set(next.block.ConnectionRateLimit)
	}
	if d.ln == nil {
		d.set.Store(next)
		return next
	}
	own, err := d.advertise(s, w, next)
	if rules, bad := newWebRules(w, next.tls != nil, d.rules.Load().upgrade.Local); bad == nil { // looked at by Prepare
		d.rules.Store(rules)
	}
	d.set.Store(next)
	if err == nil && ch.Any("WebSocket.Advertise") {
		d.urls.SetOwn(own) // which tells all clients
	}
	return next
}

// check tells what is wrong with the settings of a change, as far as only the listener
// knows.
func (d *webDoor) check(w *config.WebSocketListener) error {
	if d == nil || w == nil {
		return nil
	}
	if w.Advertise != "" {
		if _, _, err := splitAdvertise(w.Advertise, 0); err != nil {
			return fmt.Errorf("websocket advertise %q: %w", w.Advertise, err)
		}
	}
	_, err := newWebRules(w, false, false)
	return err
}

// shut stops listening, before a planned stop.
func (d *webDoor) shut() {
	if d == nil || d.ln == nil {
		return
	}
	d.ln.Close()
	d.urls.Withhold()
}

// abort stops listening and ends the upgrades under way; none begins any more.
func (d *webDoor) abort() {
	if d == nil || d.ln == nil {
		return
	}
	d.ln.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for t := range d.opening {
		t.Abort(&ending{reason: wire.ReasonServerShutdown})
	}
	d.opening = nil
}

func (d *webDoor) wait() {
	if d != nil && d.ln != nil {
		d.ln.Wait()
	}
}

// WebSocketAddr is the address that WebSocket clients are listened for on, nil without.
func (s *Service) WebSocketAddr() *net.TCPAddr {
	if s.web == nil || s.web.ln == nil {
		return nil
	}
	return s.web.ln.Addr()
}

// terms are those in force for the connection's kind.
func (c *conn) terms() *terms {
	if c.web != nil {
		return c.s.web.set.Load()
	}
	return c.s.set.Load()
}

// kind, urls, clientType and label are what else differs.
func (c *conn) kind() config.ConnectionType {
	if c.web != nil {
		return config.WebSocket
	}
	return config.Standard
}

func (c *conn) urls() *link.URLs {
	if c.web != nil {
		return c.s.web.urls
	}
	return c.s.o.URLs
}

func (c *conn) clientType() string {
	if c.web != nil {
		return "websocket"
	}
	return "nats"
}

func (c *conn) label() (from, id string) {
	if c.web != nil {
		return c.web.from, "wid"
	}
	return "", "cid"
}

// CloseReason is for the close frame.
func (e *ending) CloseReason() wire.CloseReason { return e.reason }

// serveWeb runs one connection of the WebSocket listener, on its goroutine.
func (s *Service) serveWeb(nc net.Conn) {
	d := s.web
	c := &conn{s: s}
	t, err := c.transport(nc)
	if err != nil {
		nc.Close()
		s.log.Errorf("Error setting up a WebSocket connection: %v", err)
		return
	}
	if !d.enter(t) {
		t.Close()
		return
	}
	u := upgrade{d: d, set: d.set.Load(), rules: d.rules.Load(), t: t, base: t.RemoteAddr(), remote: t.RemoteAddr()}
	u.deadline = time.Now().Add(u.rules.settings.HandshakeTimeout)
	serve, err := u.run(s)
	d.leave(t)
	if err != nil {
		s.log.Debugf("%s%s - WebSocket handshake error: %v", u.from, t.RemoteAddr(), err)
		t.Close()
		return
	}
	if serve != nil {
		serve(&link.Upgraded{Socket: nc, Conn: t, Codec: u.codec, MapCertificate: u.set.block != nil && u.set.block.VerifyAndMap, Forwarded: u.from, Remote: u.remote})
		return
	}
	if u.unserved {
		s.log.Errorf("%s%s - Not configured to accept leaf node connections", u.from, t.RemoteAddr())
		t.Close()
		return
	}
	c.id, c.web = s.o.Broker.NextID(), &web{codec: u.codec, cookies: u.cookies, from: u.from}
	c.init(t)
	c.remote = u.remote
	if u.set.tls != nil {
		c.noteTLS()
	}
	if !s.register(c) {
		c.unbind()
		t.Close()
		return
	}
	c.run()
}

// enter counts an upgrade that begins; false: it must not.
func (d *webDoor) enter(t *transport.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opening == nil || len(d.opening) >= maxOpening {
		return false
	}
	d.opening[t] = struct{}{}
	return true
}

func (d *webDoor) leave(t *transport.Conn) {
	d.mu.Lock()
	delete(d.opening, t)
	d.mu.Unlock()
}

// upgrade is what comes before the first byte of a protocol.
type upgrade struct {
	d        *webDoor
	set      *terms
	rules    *webRules
	t        *transport.Conn
	deadline time.Time
	base     net.Addr // the other end, or where its PROXY header says that it is

	codec    *websocket.Codec
	cookies  *cookies
	remote   net.Addr // where the client is
	from     string   // what logs say before the other end's address
	unserved bool     // a leaf node, and nobody serves those
}

var errNotHTTPS = errors.New("plain HTTP where TLS was expected")

// run does TLS and the upgrade. serve is who takes the connection on, nil for a client.
func (u *upgrade) run(s *Service) (serve func(*link.Upgraded), err error) {
	if err := u.takeProxy(); err != nil {
		if bad := new(proxyError); errors.As(err, &bad) {
			s.log.Errorf("%s - %v", u.t.RemoteAddr(), bad)
		}
		return nil, err
	}
	if err := u.startTLS(); err != nil {
		return nil, err
	}
	for {
		head, err := u.head()
		if err != nil {
			return nil, err
		}
		serve, err := u.answer(s, head)
		var no *websocket.Refusal
		if !errors.As(err, &no) {
			return serve, err
		}
		// After a refusal the connection may carry another request.
		q, _ := websocket.ParseRequest(head)
		shut := q == nil || q.Close
		u.t.Discard(len(head))
		u.t.WriteFlush(websocket.AppendRefusal(nil, no.Status, shut, time.Now()))
		if shut {
			u.t.Finish(nil, time.Second)
			return nil, no
		}
		s.log.Debugf("%s%s - WebSocket handshake error: %v", u.from, u.t.RemoteAddr(), no)
	}
}

// startTLS does the handshake, or says so to somebody who speaks plain HTTP.
func (u *upgrade) startTLS() error {
	d := u.d
	if u.set.tls == nil {
		return nil
	}
	b, err := u.t.Peek(1, u.deadline)
	if err != nil {
		return err
	}
	if b[0] != tlsRecord {
		if b[0] >= 'A' && b[0] <= 'Z' {
			u.t.WriteFlush([]byte(websocket.NotSecure))
			u.t.Finish(nil, time.Second)
		}
		return errNotHTTPS
	}
	if !d.rate.allow() {
		return errors.New(wire.TextThrottled)
	}
	return u.t.StartTLS(u.set.tls, true, min(u.set.tlsTimeout(), time.Until(u.deadline)))
}

// head waits for the head of a request. It is what Peek returned, and valid until it
// is discarded.
func (u *upgrade) head() ([]byte, error) {
	for want := 1; ; {
		b, err := u.t.Peek(want, u.deadline)
		if err != nil {
			return nil, err
		}
		n := websocket.HeadLen(b)
		switch {
		case n > 0 && n <= websocket.MaxHead:
			return b[:n:n], nil
		case len(b) > websocket.MaxHead:
			u.t.WriteFlush(websocket.AppendRefusal(nil, websocket.StatusTooLarge, true, time.Now()))
			u.t.Finish(nil, time.Second)
			return nil, fmt.Errorf("the head of the request is longer than %d bytes", websocket.MaxHead)
		}
		want = len(b) + 1
	}
}

// answer judges a request and, if it is good, makes a WebSocket of the connection.
func (u *upgrade) answer(s *Service, head []byte) (serve func(*link.Upgraded), err error) {
	q, err := websocket.ParseRequest(head)
	if err != nil {
		return nil, err
	}
	u.locate(q)
	extra := u.rules.extra
	switch {
	case strings.HasSuffix(q.Path, leafSuffix):
		serve, u.unserved = s.o.Leafs, s.o.Leafs == nil
	case strings.HasSuffix(q.Path, mqttSuffix):
		if serve = s.o.MQTT; serve == nil {
			return nil, &websocket.Refusal{Status: websocket.StatusNotFound, Detail: "MQTT is not configured"}
		}
		if q.Offers("mqtt") {
			extra += "Sec-WebSocket-Protocol: mqtt\r\n"
		}
	default:
		u.takeCookies(q)
	}
	a, err := u.rules.upgrade.Check(q)
	if err != nil {
		return nil, err
	}
	size := len(head)
	answer := websocket.AppendAccept(nil, a, extra)
	u.t.Discard(size)
	if b, _ := u.t.Peek(0, time.Time{}); len(b) > 0 {
		return nil, errors.New("bytes behind the request, before it was answered")
	}
	if !u.t.WriteFlush(answer) || u.t.Pending() > 0 {
		return nil, errors.New("the answer could not be written")
	}
	u.codec = websocket.NewCodec(websocket.Options{
		Compress: a.Compress, Unmasked: a.Unmasked, MaxPayload: int(u.set.limits.MaxPayload), Code: link.CloseCode,
	})
	u.t.StartLayer(u.codec)
	return serve, nil
}

func (u *upgrade) takeCookies(q *websocket.Request) {
	w := u.rules.settings
	c := cookies{q.Cookie(w.JWTCookie), q.Cookie(w.UserCookie), q.Cookie(w.PasswordCookie), q.Cookie(w.TokenCookie)}
	if u.cookies = nil; c != (cookies{}) {
		u.cookies = &c
	}
}

// fill puts cookies in the place of what CONNECT leaves out.
func (w *web) fill(o *wire.ClientConnect) {
	if w == nil || w.cookies == nil {
		return
	}
	c := w.cookies
	for _, x := range []struct {
		to   *string
		from string
	}{{&o.JWT, c.jwt}, {&o.User, c.user}, {&o.Pass, c.password}, {&o.Token, c.token}} {
		if *x.to == "" {
			*x.to = x.from
		}
	}
}

// known: the client is somebody, and may send messages of up to n bytes.
func (w *web) known(n int) {
	if w != nil {
		w.codec.SetMaxPayload(n)
	}
}
