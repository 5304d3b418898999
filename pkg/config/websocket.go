package config

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config/conf"
	"github.com/banyanmq/banyan/pkg/websocket"
)

// WebSocketListener is the listener for clients in browsers, and for leaf links that come
// that way.
type WebSocketListener struct {
	Listen
	// Advertise is "host[:port]" told to WebSocket clients of the cluster; "" tells the
	// listener's own addresses.
	Advertise string
	// TLS nil only with NoTLS, or at a leafd that serves its own machine alone.
	TLS *TLS
	// InheritTLS: TLS is that of the client listener.
	InheritTLS bool
	NoTLS      bool
	// SameOrigin and AllowedOrigins restrict whose pages may connect; programs that are
	// not browsers always may.
	SameOrigin     bool
	AllowedOrigins []string
	// Compression offers permessage-deflate.
	Compression bool
	// HandshakeTimeout limits all from accept to the end of the upgrade, TLS included.
	HandshakeTimeout time.Duration
	// Auth overrides the one user or token of the client listener.
	Auth WebSocketAuth
	// NoAuthUser is who a client without credentials becomes, instead of that of
	// [Authorization].
	NoAuthUser string
	// The cookies from which what CONNECT leaves empty is taken; "" takes none.
	JWTCookie, UserCookie, PasswordCookie, TokenCookie string
	// Headers are added to the answer of the upgrade.
	Headers map[string]string
	// PingInterval of these clients.
	PingInterval time.Duration
	// ProxyProtocol expects a PROXY v1 or v2 header at the start of a connection, before TLS.
	ProxyProtocol bool
	// TrustedProxies are addresses and networks of proxies: what they write into
	// X-Forwarded-For is where a client is from, and nobody else's PROXY header is taken.
	// Without any, X-Forwarded-For is for logs only, and everybody's PROXY header is taken.
	TrustedProxies []string
}

// WebSocketAuth is the one user, or the token, of WebSocket clients.
type WebSocketAuth struct {
	User     string
	Password Secret
	Token    Secret
	Timeout  time.Duration
}

// LeafProxy is an HTTP proxy that a hub is dialed through.
type LeafProxy struct {
	URL      *url.URL
	User     string
	Password Secret
	// Timeout for all that is said to it; 0 is the dial timeout.
	Timeout time.Duration
}

// DefaultWebSocketHandshake is how long a client has for TLS and the upgrade.
const DefaultWebSocketHandshake = 5 * time.Second

func webSocketRows() []*option {
	const in = noClients
	ws := func(names string) string { return "websocket/ws." + names }
	rows := []*option{
		{yaml: "websocket", conf: "websocket/ws", kind: kBlock, in: in, field: "WebSocket"},
		{yaml: "websocket.listen", conf: ws("listen"), kind: kListen, in: in, text: "address for WebSocket clients, host:port or a port"},
		{yaml: "websocket.host", conf: ws("host/net"), kind: kString, in: in, field: "WebSocket.Host"},
		{yaml: "websocket.port", conf: ws("port"), kind: kCustom, read: readPort, in: in, field: "WebSocket.Port"},
		{yaml: "websocket.advertise", conf: ws("advertise"), kind: kString, in: in, field: "WebSocket.Advertise"},
		{yaml: "websocket.inherit_tls", conf: ws("inherit_tls"), kind: kBool, in: in, field: "WebSocket.InheritTLS"},
		{yaml: "websocket.no_tls", conf: ws("no_tls"), kind: kBool, in: in, field: "WebSocket.NoTLS"},
		{yaml: "websocket.same_origin", conf: ws("same_origin"), kind: kBool, in: in, field: "WebSocket.SameOrigin"},
		{yaml: "websocket.allowed_origins", conf: ws("allowed_origins/allowed_origin/allow_origins/allow_origin/origins/origin"), kind: kStrings, in: in, field: "WebSocket.AllowedOrigins"},
		{yaml: "websocket.compression", conf: ws("compression/compress"), kind: kBool, in: in, field: "WebSocket.Compression"},
		{yaml: "websocket.handshake_timeout", conf: ws("handshake_timeout"), kind: kDuration, in: in, def: DefaultWebSocketHandshake, field: "WebSocket.HandshakeTimeout"},
		{conf: ws("authorization/authentication"), kind: kBlock, in: in},
		{yaml: "websocket.user", conf: ws("authorization/authentication.user/username"), kind: kString, in: in, field: "WebSocket.Auth.User"},
		{yaml: "websocket.password", conf: ws("authorization/authentication.pass/password"), kind: kSecret, in: in, field: "WebSocket.Auth.Password"},
		{yaml: "websocket.token", conf: ws("authorization/authentication.token"), kind: kSecret, in: in, field: "WebSocket.Auth.Token"},
		{yaml: "websocket.auth_timeout", conf: ws("authorization/authentication.timeout"), kind: kSeconds, in: in, field: "WebSocket.Auth.Timeout"},
		{yaml: "websocket.no_auth_user", conf: ws("no_auth_user"), kind: kString, in: in, field: "WebSocket.NoAuthUser"},
		{yaml: "websocket.cookies.jwt", conf: ws("jwt_cookie"), kind: kString, in: in, field: "WebSocket.JWTCookie"},
		{yaml: "websocket.cookies.user", conf: ws("user_cookie"), kind: kString, in: in, field: "WebSocket.UserCookie"},
		{yaml: "websocket.cookies.password", conf: ws("pass_cookie"), kind: kString, in: in, field: "WebSocket.PasswordCookie"},
		{yaml: "websocket.cookies.token", conf: ws("token_cookie"), kind: kString, in: in, field: "WebSocket.TokenCookie"},
		{yaml: "websocket.headers", conf: ws("headers"), kind: kCustom, read: readHeaders, in: in, field: "WebSocket.Headers"},
		{yaml: "websocket.ping.interval", conf: ws("ping_interval"), kind: kDuration, in: in, field: "WebSocket.PingInterval"},
		{yaml: "websocket.proxy_protocol", conf: ws("proxy_protocol"), kind: kBool, in: in, field: "WebSocket.ProxyProtocol"},
		{yaml: "websocket.trusted_proxies", conf: ws("trusted_proxies"), kind: kStrings, in: in, field: "WebSocket.TrustedProxies"},
	}
	rows = append(rows, tlsRows("websocket.tls", "websocket/ws.tls", "WebSocket.TLS", in)...)
	return inheritable(rows, "websocket")
}

// inheritable lets "tls: inherit" of a block say what its switch inherit_tls does.
func inheritable(rows []*option, block string) []*option {
	at := func(key string) *option {
		return rows[slices.IndexFunc(rows, func(o *option) bool { return o.key() == key })]
	}
	at(block + ".tls").inherit = at(block + ".inherit_tls")
	return rows
}

// readHeaders reads lines for the answer of the upgrade.
func readHeaders(d *decoder, path string, v *conf.Value) (any, bool) {
	read, ok := readMetadata(d, path, v)
	if !ok {
		return nil, false
	}
	m := read.(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if err := websocket.AllowedHeader(name, m[name]); err != nil {
			d.errorf(v.Pos, "", "websocket: %v", err)
			ok = false
		}
	}
	return m, ok
}

func (c *Config) completeWebSocket() {
	w := c.WebSocket
	if w == nil {
		return
	}
	if w.Host == "" {
		w.Host = c.defaultHost()
	}
	if w.TLS == nil && w.InheritTLS {
		w.TLS = c.Client.TLS
	}
	w.TLS.complete()
	if w.PingInterval == 0 {
		w.PingInterval = c.Limits.PingInterval
	}
	if w.Auth.Timeout <= 0 {
		w.Auth.Timeout = c.Auth.Timeout
	}
}

func (l *loader) validateWebSocket() {
	c, w := l.cfg, l.cfg.WebSocket
	if w == nil {
		return
	}
	if w.InheritTLS && w.TLS == nil {
		l.fail(l.either("websocket.inherit_tls", "websocket.tls"), "websocket inherits the tls block of the clients, and there is none")
	} else if w.TLS == nil && !w.NoTLS && !(c.Daemon == Leafd && isLoopback(w.Host)) {
		l.errorf(l.firstOrigin("websocket"), "", "websocket requires TLS configuration")
	}
	for _, o := range w.AllowedOrigins {
		if _, err := websocket.ParseOrigin(o); err != nil {
			l.fail("websocket.allowed_origins", "unable to parse allowed origin: %v", err)
		}
	}
	if _, err := websocket.ParseProxies(w.TrustedProxies); err != nil {
		l.fail("websocket.trusted_proxies", "websocket: trusted_proxies: %v", err)
	}
	if w.JWTCookie != "" && !c.InOperatorMode() {
		l.fail("websocket.cookies.jwt", "trusted operators or trusted keys configuration is required for JWT authentication via cookie %q", w.JWTCookie)
	}
	if w.HandshakeTimeout <= 0 || w.PingInterval <= 0 {
		l.fail(l.either("websocket.handshake_timeout", "websocket.ping.interval"), "websocket: handshake_timeout and ping_interval must be above 0")
	}
	l.validateWebSocketAuth()
	if c.Daemon == Leafd && w.Enabled() && !isLoopback(w.Host) {
		switch {
		case !c.Client.AllowLAN:
			l.fail("websocket.host", "leafd serves local programs only, and %s is not a loopback address: set listen.allow_lan: true and configure users to open it to the network", w.Host)
		case !c.AuthRequired() && w.Auth.User == "" && w.Auth.Token == "":
			l.fail("websocket.host", "listen.allow_lan opens %s to the network and wants authentication: configure a user, a token or users", w.Host)
		case w.NoAuthUser != "":
			l.fail("websocket.no_auth_user", "no_auth_user would let everybody on the network in: remove it or listen on 127.0.0.1")
		}
	}
}

func (l *loader) validateWebSocketAuth() {
	w := l.cfg.WebSocket
	users := slices.Clone(l.cfg.Auth.Users)
	for _, a := range l.cfg.Accounts {
		users = append(users, a.Users...)
	}
	switch {
	case w.Auth.User != "" && w.Auth.Token != "":
		l.fail("websocket.token", "Cannot have a user/pass and token")
	case len(users) > 0 && w.Auth.User != "":
		l.fail("websocket.user", "websocket authentication username not compatible with presence of users/nkeys")
	case len(users) > 0 && w.Auth.Token != "":
		l.fail("websocket.token", "websocket authentication token not compatible with presence of users/nkeys")
	}
	switch name := w.NoAuthUser; {
	case name == "":
	case len(users) == 0:
		l.fail("websocket.no_auth_user", "no_auth_user: %q present, but users/nkeys are not defined", name)
	case !slices.ContainsFunc(users, func(u User) bool { return u.Name == name || u.NKey == name }):
		l.fail("websocket.no_auth_user", "no_auth_user: %q not present as user or nkey in authorization block or account configuration", name)
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// webSocketRemoteRows are those of a remote leaf node that is dialed over WebSocket
// or through a proxy.
func webSocketRemoteRows() []*option {
	return []*option{
		{yaml: "websocket.compression", conf: "ws_compression/ws_compress/websocket_compression/websocket_compress", kind: kBool, field: "WebSocketCompression"},
		{yaml: "websocket.no_masking", conf: "ws_no_masking/websocket_no_masking", kind: kBool, field: "WebSocketNoMasking"},
		{yaml: "proxy", conf: "proxy", kind: kBlock, field: "Proxy"},
		{yaml: "proxy.url", conf: "proxy.url", kind: kCustom, read: readProxyURL, field: "Proxy.URL"},
		{yaml: "proxy.user", conf: "proxy.username/user", kind: kString, field: "Proxy.User"},
		{yaml: "proxy.password", conf: "proxy.password/pass", kind: kSecret, field: "Proxy.Password"},
		{yaml: "proxy.timeout", conf: "proxy.timeout", kind: kDuration, field: "Proxy.Timeout"},
	}
}

func readProxyURL(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.String {
		d.errorf(v.Pos, path, "want string, got %s", v.Describe())
		return nil, false
	}
	u, err := url.Parse(v.Str)
	switch {
	case err != nil:
		d.errorf(v.Pos, path, "proxy URL can't be read: want http://host:port")
		return nil, false
	case u.Scheme != "http" && u.Scheme != "https":
		d.errorf(v.Pos, path, "proxy URL scheme must be http or https, got: %s", u.Scheme)
		return nil, false
	case u.Hostname() == "":
		d.errorf(v.Pos, path, "proxy URL must specify a host")
		return nil, false
	}
	if u.User != nil {
		d.errorf(v.Pos, path, "proxy URL holds a user: give username and password beside it")
		return nil, false
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return u, true
}

// checkProxy judges a remote's proxy and its WebSocket URLs.
func checkProxy(d *decoder, pos conf.Pos, path string, r *LeafRemote) {
	p := r.Proxy
	switch {
	case p == nil:
	case p.URL == nil:
		d.errorf(pos, path, "proxy URL must specify a host")
	case p.Timeout < 0:
		d.errorf(pos, path, "proxy timeout must be >= 0")
	case (p.User == "") != (p.Password == ""):
		d.errorf(pos, path, "proxy username and password must both be specified or both be empty")
	}
}

// IsWebSocket tells whether the remote is dialed over WebSocket.
func (r *LeafRemote) IsWebSocket() bool {
	return len(r.URLs) > 0 && strings.HasPrefix(r.URLs[0].Scheme, "ws")
}
