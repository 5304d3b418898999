package monitor

import (
	"net"
	"net/url"
	"runtime"
	"slices"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/version"
)

// Varz is the answer of /varz.
type Varz struct {
	ID        string `json:"server_id"`
	Name      string `json:"server_name"`
	Version   string `json:"version"`
	Banyan    string `json:"x_banyan"`
	Daemon    string `json:"x_daemon"`
	Proto     int    `json:"proto"`
	GitCommit string `json:"git_commit,omitempty"`
	Go        string `json:"go"`
	Host      string `json:"host"`
	Port      int    `json:"port"`

	AuthRequired bool     `json:"auth_required,omitempty"`
	TLSRequired  bool     `json:"tls_required,omitempty"`
	TLSVerify    bool     `json:"tls_verify,omitempty"`
	TLSOCSPPeer  bool     `json:"tls_ocsp_peer_verify,omitempty"`
	IP           string   `json:"ip,omitempty"`
	ConnectURLs  []string `json:"connect_urls,omitempty"`
	WSURLs       []string `json:"ws_connect_urls,omitempty"`

	MaxConnections   int           `json:"max_connections"`
	MaxSubscriptions int           `json:"max_subscriptions,omitempty"`
	PingInterval     time.Duration `json:"ping_interval"`
	PingMax          int           `json:"ping_max"`
	HTTPHost         string        `json:"http_host"`
	HTTPPort         int           `json:"http_port"`
	HTTPBasePath     string        `json:"http_base_path"`
	HTTPSPort        int           `json:"https_port"`
	AuthTimeout      float64       `json:"auth_timeout"`
	MaxControlLine   int           `json:"max_control_line"`
	MaxPayload       int64         `json:"max_payload"`
	MaxPending       int64         `json:"max_pending"`

	Cluster   ClusterVarz   `json:"cluster"`
	Gateway   GatewayVarz   `json:"gateway"`
	Leaf      LeafVarz      `json:"leaf"`
	MQTT      MQTTVarz      `json:"mqtt"`
	WebSocket WebSocketVarz `json:"websocket"`
	JetStream JetStreamVarz `json:"jetstream"`

	TLSTimeout    float64       `json:"tls_timeout"`
	WriteDeadline time.Duration `json:"write_deadline"`
	WriteTimeout  string        `json:"write_timeout,omitempty"`

	Start      time.Time `json:"start"`
	Now        time.Time `json:"now"`
	Uptime     string    `json:"uptime"`
	Mem        int64     `json:"mem"`
	Cores      int       `json:"cores"`
	MaxProcs   int       `json:"gomaxprocs"`
	MemLimit   int64     `json:"gomemlimit,omitempty"`
	CPU        float64   `json:"cpu"`
	Conns      int       `json:"connections"`
	TotalConns uint64    `json:"total_connections"`
	Routes     int       `json:"routes"`
	Remotes    int       `json:"remotes"`
	Leafs      int       `json:"leafnodes"`

	InMsgs         int64 `json:"in_msgs"`
	InBytes        int64 `json:"in_bytes"`
	InClientMsgs   int64 `json:"in_client_msgs"`
	InClientBytes  int64 `json:"in_client_bytes"`
	OutMsgs        int64 `json:"out_msgs"`
	OutBytes       int64 `json:"out_bytes"`
	OutClientMsgs  int64 `json:"out_client_msgs"`
	OutClientBytes int64 `json:"out_client_bytes"`

	SlowConsumers    int64             `json:"slow_consumers"`
	StaleConnections int64             `json:"stale_connections"`
	StalledClients   int64             `json:"stalled_clients"`
	Subscriptions    int               `json:"subscriptions"`
	HTTPReqStats     map[string]uint64 `json:"http_req_stats"`

	ConfigLoadTime time.Time         `json:"config_load_time"`
	ConfigDigest   string            `json:"config_digest"`
	Tags           []string          `json:"tags,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`

	OperatorsJWT   []string       `json:"trusted_operators_jwt,omitempty"`
	OperatorsClaim []any          `json:"trusted_operators_claim,omitempty"`
	SystemAccount  string         `json:"system_account,omitempty"`
	PinnedFails    uint64         `json:"pinned_account_fails,omitempty"`
	OCSPCache      *OCSPCacheVarz `json:"ocsp_peer_cache,omitempty"`

	SlowConsumerStats    KindStats     `json:"slow_consumer_stats"`
	StaleConnectionStats KindStats     `json:"stale_connection_stats"`
	DiskIOWaitStats      DiskWaitStats `json:"disk_io_wait_stats"`
	Proxies              *ProxiesVarz  `json:"proxies,omitempty"`
	TLSCertNotAfter      *time.Time    `json:"tls_cert_not_after,omitempty"`
}

// DiskWaitStats is there for tools that read it: nothing is written to disk yet.
type DiskWaitStats struct {
	Waiters  int64         `json:"waiters"`
	Waits    int64         `json:"waits"`
	WaitTime time.Duration `json:"wait_time"`
	MaxWait  time.Duration `json:"max_wait_time"`
}

// TLSVarz is what is shown of the TLS of a listener.
type TLSVarz struct {
	TLSTimeout  float64 `json:"tls_timeout,omitempty"`
	TLSRequired bool    `json:"tls_required,omitempty"`
	TLSVerify   bool    `json:"tls_verify,omitempty"`
}

// LinkVarz is what is shown of the writes and the certificate of a listener for servers.
type LinkVarz struct {
	WriteDeadline   time.Duration `json:"write_deadline,omitempty"`
	WriteTimeout    string        `json:"write_timeout,omitempty"`
	TLSCertNotAfter *time.Time    `json:"tls_cert_not_after,omitempty"`
}

// ClusterVarz is the section of routes.
type ClusterVarz struct {
	Name        string   `json:"name,omitempty"`
	Host        string   `json:"addr,omitempty"`
	Port        int      `json:"cluster_port,omitempty"`
	AuthTimeout float64  `json:"auth_timeout,omitempty"`
	URLs        []string `json:"urls,omitempty"`
	TLSVarz
	PoolSize int `json:"pool_size,omitempty"`
	LinkVarz
}

// GatewayVarz is the section of gateways.
type GatewayVarz struct {
	Name        string  `json:"name,omitempty"`
	Host        string  `json:"host,omitempty"`
	Port        int     `json:"port,omitempty"`
	AuthTimeout float64 `json:"auth_timeout,omitempty"`
	TLSVarz
	Advertise      string              `json:"advertise,omitempty"`
	ConnectRetries int                 `json:"connect_retries,omitempty"`
	Gateways       []RemoteGatewayVarz `json:"gateways,omitempty"`
	RejectUnknown  bool                `json:"reject_unknown,omitempty"`
	LinkVarz
}

// RemoteGatewayVarz is one region that is dialed.
type RemoteGatewayVarz struct {
	Name       string   `json:"name,omitempty"`
	TLSTimeout float64  `json:"tls_timeout,omitempty"`
	URLs       []string `json:"urls,omitempty"`
}

// LeafVarz is the section of leaf links.
type LeafVarz struct {
	Host        string  `json:"host,omitempty"`
	Port        int     `json:"port,omitempty"`
	AuthTimeout float64 `json:"auth_timeout,omitempty"`
	TLSVarz
	Remotes     []LeafRemoteVarz `json:"remotes,omitempty"`
	TLSOCSPPeer bool             `json:"tls_ocsp_peer_verify,omitempty"`
	LinkVarz
}

// LeafRemoteVarz is one hub that is dialed.
type LeafRemoteVarz struct {
	Account    string    `json:"local_account,omitempty"`
	TLSTimeout float64   `json:"tls_timeout,omitempty"`
	URLs       []string  `json:"urls,omitempty"`
	Deny       *DenyVarz `json:"deny,omitempty"`

	TLSOCSPPeer bool `json:"tls_ocsp_peer_verify,omitempty"`
}

// DenyVarz lists subjects that do not cross a leaf link.
type DenyVarz struct {
	Exports []string `json:"exports,omitempty"`
	Imports []string `json:"imports,omitempty"`
}

// Varz answers /varz.
func (r *Reports) Varz() *Varz {
	c, s, now := r.Settings(), r.o.Server, time.Now().UTC()
	v := &Varz{
		ID: s.ID, Name: s.Name, Version: version.Protocol, Banyan: s.Version, Daemon: s.Product, Proto: 1,
		GitCommit: version.Get().Commit, Go: runtime.Version(),
		Host: c.Client.Host, Port: port(c.Client.Port, r.o.Hooks.ClientAddr),
		AuthRequired: c.AuthRequired(), TLSRequired: c.Client.TLS != nil && !c.Client.AllowNonTLS,
		TLSVerify: verifies(c.Client.TLS), TLSOCSPPeer: asksOCSP(c.Client.TLS),
		MaxConnections: c.Limits.MaxConnections, MaxSubscriptions: max(c.Limits.MaxSubscriptions, 0),
		PingInterval: c.Limits.PingInterval, PingMax: c.Limits.PingMax,
		HTTPHost: c.HTTP.Host, HTTPPort: c.HTTP.Port, HTTPBasePath: c.HTTP.BasePath,
		AuthTimeout: c.Auth.Timeout.Seconds(), MaxControlLine: c.Limits.MaxControlLine,
		MaxPayload: c.Limits.MaxPayload, MaxPending: c.Limits.MaxPending,
		TLSTimeout: tlsTimeout(c.Client.TLS), WriteDeadline: c.Limits.WriteDeadline, WriteTimeout: string(c.Limits.WriteTimeout),
		Start: s.Started.UTC(), Now: now, Uptime: Uptime(now.Sub(s.Started)),
		Mem: ResidentMemory(), Cores: runtime.NumCPU(), MaxProcs: runtime.GOMAXPROCS(0), MemLimit: memoryLimit(),
		CPU: r.usage.percent(s.Started), Conns: r.count(clients), TotalConns: r.totalConnections(),
		Routes: r.count(routes), Remotes: r.remotes(), Leafs: r.count(leafs),
		Subscriptions: r.subscriptions(), HTTPReqStats: r.hits(),
		ConfigLoadTime: r.set.Load().loaded.UTC(), ConfigDigest: c.Digest, Tags: c.Tags, Metadata: c.Metadata,
		StaleConnectionStats: r.stale(), TLSCertNotAfter: r.set.Load().expiry.of(c.Client.TLS),
	}
	if p := r.httpPort.Load(); p > 0 {
		v.HTTPPort = int(p)
	}
	if c.HTTP.TLS {
		v.HTTPPort, v.HTTPSPort = 0, v.HTTPPort
	}
	v.WebSocket, v.MQTT = valueOr(r.o.Hooks.WebSocket), valueOr(r.o.Hooks.MQTT)
	v.OCSPCache = r.ocspCache(c)
	if f := r.o.Hooks.PinnedFails; f != nil {
		v.PinnedFails = f()
	}
	if keys := c.Auth.TrustedProxies; len(keys) > 0 {
		v.Proxies = new(ProxiesVarz)
		for _, k := range keys {
			v.Proxies.Trusted = append(v.Proxies.Trusted, ProxyInfo{k})
		}
	}
	if r.o.WebSocketURLs != nil {
		v.WSURLs = r.o.WebSocketURLs.All()
	}
	if c.Operator != nil {
		v.OperatorsJWT = c.Operator.JWTs
		v.OperatorsClaim = claimsOf(c.Operator.JWTs)
	}
	if r.o.ClientURLs != nil {
		v.ConnectURLs = r.o.ClientURLs.All()
	}
	if !c.NoSystemAccount {
		v.SystemAccount = r.o.Broker.SystemAccount().Name
	}
	v.Cluster, v.Gateway, v.Leaf = r.clusterVarz(), r.gatewayVarz(), r.leafVarz()
	all, _ := r.totals()
	sum, cl := all.sum(), all.flow[clients]
	v.InMsgs, v.InBytes, v.OutMsgs, v.OutBytes = sum.in.Msgs, sum.in.Bytes, sum.out.Msgs, sum.out.Bytes
	v.InClientMsgs, v.InClientBytes, v.OutClientMsgs, v.OutClientBytes = cl.in.Msgs, cl.in.Bytes, cl.out.Msgs, cl.out.Bytes
	v.SlowConsumerStats = kindStats(all.slow)
	v.SlowConsumers, v.StaleConnections = v.SlowConsumerStats.sum(), v.StaleConnectionStats.sum()
	return v
}

func (r *Reports) totalConnections() uint64 {
	if r.o.Clients == nil {
		return 0
	}
	return r.o.Clients.Total()
}

// remotes counts the servers at the other end of routes.
func (r *Reports) remotes() int {
	seen := make(map[string]struct{})
	for _, i := range r.open(routes, false) {
		seen[r.route(i).RemoteID] = struct{}{}
	}
	return len(seen)
}

func (r *Reports) clusterVarz() (v ClusterVarz) {
	c := r.Settings().Cluster
	if c != nil || r.Settings().LeafNodes != nil { // leaf nodes have a cluster's name as well
		v.Name, _ = r.o.Server.Cluster()
	}
	if c == nil || r.o.Routes == nil {
		return v
	}
	v.Host, v.Port = c.Host, port(c.Port, r.o.Hooks.RouteAddr)
	v.AuthTimeout, v.PoolSize, v.URLs = c.Auth.Timeout.Seconds(), max(c.PoolSize, 0), hosts(c.Routes)
	v.TLSVarz = tlsVarz(c.TLS)
	v.LinkVarz = LinkVarz{c.WriteDeadline, string(c.WriteTimeout), r.set.Load().expiry.of(c.TLS)}
	return v
}

func (r *Reports) gatewayVarz() (v GatewayVarz) {
	g := r.Settings().Gateway
	if g == nil || r.o.Gateways == nil {
		return v
	}
	v = GatewayVarz{
		Name: g.Name, Host: g.Host, Port: port(g.Port, r.o.Hooks.GatewayAddr), AuthTimeout: g.Auth.Timeout.Seconds(),
		TLSVarz: tlsVarz(g.TLS), Advertise: g.Advertise, ConnectRetries: g.ConnectRetries, RejectUnknown: g.RejectUnknown,
		LinkVarz: LinkVarz{g.WriteDeadline, string(g.WriteTimeout), r.set.Load().expiry.of(g.TLS)},
	}
	for i := range g.Remotes {
		m := &g.Remotes[i]
		v.Gateways = append(v.Gateways, RemoteGatewayVarz{Name: m.Name, TLSTimeout: tlsTimeout(m.TLS), URLs: hosts(m.URLs)})
	}
	return v
}

func (r *Reports) leafVarz() (v LeafVarz) {
	l := r.Settings().LeafNodes
	if l == nil || r.o.Leafs == nil {
		return v
	}
	v = LeafVarz{
		Host: l.Host, Port: port(l.Port, r.o.Hooks.LeafAddr), AuthTimeout: l.Auth.Timeout.Seconds(), TLSVarz: tlsVarz(l.TLS), TLSOCSPPeer: asksOCSP(l.TLS),
		LinkVarz: LinkVarz{l.WriteDeadline, string(l.WriteTimeout), r.set.Load().expiry.of(l.TLS)},
	}
	for i := range l.Remotes {
		m := &l.Remotes[i]
		one := LeafRemoteVarz{Account: m.Account, TLSTimeout: tlsTimeout(m.TLS), URLs: hosts(m.URLs), TLSOCSPPeer: asksOCSP(m.TLS)}
		if len(m.DenyExports)+len(m.DenyImports) > 0 {
			one.Deny = &DenyVarz{Exports: m.DenyExports, Imports: m.DenyImports}
		}
		v.Remotes = append(v.Remotes, one)
	}
	return v
}

// port is the one that is listened on, else the one of the settings.
func port(set int, addr func() *net.TCPAddr) int {
	if addr != nil {
		if a := addr(); a != nil {
			return a.Port
		}
	}
	return set
}

// hosts are URLs without user information.
func hosts(urls []*url.URL) (out []string) {
	for _, u := range urls {
		out = append(out, u.Host)
	}
	return out
}

func verifies(t *config.TLS) bool {
	return t != nil && (t.Verify || t.VerifyAndMap || t.CheckKnownURLs || t.Mutual)
}

// asksOCSP tells whether peers' certificates are asked about.
func asksOCSP(t *config.TLS) bool { return t != nil && t.OCSPPeer != nil }

// ocspCache is what is known of peers' certificates, nil where nothing is asked.
func (r *Reports) ocspCache(c *config.Config) *OCSPCacheVarz {
	if r.o.TLS == nil || !slices.ContainsFunc(c.TLSBlocks(), func(b config.TLSBlock) bool { return asksOCSP(b.TLS) }) {
		return nil
	}
	kind := c.OCSPCache.Type
	if kind == "" {
		kind = config.OCSPCacheMemory
	}
	n := r.o.TLS.CacheStats()
	return &OCSPCacheVarz{
		Type: string(kind), Hits: n.Hits, Misses: n.Misses,
		Responses: n.Responses, Revoked: n.Revoked, Good: n.Good, Unknown: n.Other,
	}
}

// defaultTLSTimeout is shown for a listener without TLS, as tools know it.
const defaultTLSTimeout = 2

func tlsTimeout(t *config.TLS) float64 {
	if t == nil || t.Timeout <= 0 {
		return defaultTLSTimeout
	}
	return t.Timeout.Seconds()
}

func tlsVarz(t *config.TLS) TLSVarz {
	return TLSVarz{TLSTimeout: tlsTimeout(t), TLSRequired: t != nil, TLSVerify: verifies(t)}
}

// expiry finds out until when the certificates of listeners hold, as they are now.
type expiry struct {
	block [kinds]*config.TLS
	web   *config.TLS
}

func (e *expiry) watch(c *config.Config) {
	e.block = [kinds]*config.TLS{clients: c.Client.TLS}
	if c.WebSocket != nil {
		e.web = c.WebSocket.TLS
	}
	if c.Cluster != nil {
		e.block[routes] = c.Cluster.TLS
	}
	if c.Gateway != nil {
		e.block[gateways] = c.Gateway.TLS
	}
	if c.LeafNodes != nil {
		e.block[leafs] = c.LeafNodes.TLS
	}
}

func (e *expiry) of(t *config.TLS) *time.Time {
	for k := range e.block {
		if t != nil && e.block[k] == t {
			return notAfter(t)
		}
	}
	return nil
}

// all of them by the kind of listener.
func (e *expiry) all() map[string]time.Time {
	out := make(map[string]time.Time)
	add := func(name string, t *config.TLS) {
		if t != nil {
			if at := notAfter(t); at != nil {
				out[name] = *at
			}
		}
	}
	for k, t := range e.block {
		add(kindWords[k], t)
	}
	add("websocket", e.web)
	return out
}

func notAfter(t *config.TLS) *time.Time {
	at, ok := t.Material().NotAfter()
	if !ok {
		return nil
	}
	at = at.UTC()
	return &at
}
