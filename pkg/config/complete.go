package config

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// complete fills in what follows from other settings.
func (l *loader) complete() {
	c := l.cfg
	if c.SharedWithHub {
		l.shareWithHub()
	}
	c.completeClients(l.explicit["clients.limits.max_connections"] || !l.origin["clients.limits.max_connections"].IsZero())
	l.completeOperator()
	c.completeAuth()
	if c.Cluster != nil {
		c.completeCluster(l)
	}
	if c.Gateway != nil {
		c.completeGateway(l)
	}
	if c.LeafNodes != nil {
		c.completeLeafNodes()
	}
	c.completeWebSocket()
	c.completeOCSP()
	c.completeBorder()
	if c.HTTP.HTTPS.Enabled() {
		if c.HTTP.Enabled() {
			l.fail("monitor.https.port", "can't specify both HTTP (%d) and HTTPs (%d) ports", c.HTTP.Port, c.HTTP.HTTPS.Port)
		}
		c.HTTP.Port, c.HTTP.TLS = c.HTTP.HTTPS.Port, true
		if c.HTTP.HTTPS.Host != "" {
			c.HTTP.Host = c.HTTP.HTTPS.Host
		}
		c.HTTP.HTTPS = Listen{}
	}
	if c.HTTP.TLS && c.HTTP.Enabled() && c.ServerTLS() == nil {
		l.fail(l.either("monitor.https.port", "monitor.tls"), "monitoring over HTTPS needs the certificate of clients.tls, in a gwd of gateway.tls or cluster.tls")
	}
	if c.HTTP.ClientCA != "" {
		c.completeMonitorAuth(l)
	}
	c.HTTP.Metrics.Path = "/" + strings.Trim(c.HTTP.Metrics.Path, "/")
	if c.HTTP.Host == "" {
		c.HTTP.Host = c.defaultHost()
		if c.Client.Host != "" && c.Daemon != Leafd {
			c.HTTP.Host = c.Client.Host
		}
	}
	if c.HTTP.BasePath = "/" + strings.Trim(c.HTTP.BasePath, "/"); c.HTTP.BasePath == "/" {
		c.HTTP.BasePath = ""
	}
	c.Log.Trace = c.Log.Trace || c.Log.TraceVerbose || c.Log.TraceHeaders
}

// completeMonitorAuth makes the block with which monitoring looks at certificates of
// those who ask. Its certificate is the one that clients see.
func (c *Config) completeMonitorAuth(l *loader) {
	t := c.ServerTLS()
	if !c.HTTP.TLS {
		l.fail("monitor.auth.ca_file", "certificates are shown over HTTPS only: set monitor.tls or monitor.https.listen")
		return
	}
	if t == nil || !c.HTTP.Enabled() {
		return
	}
	c.HTTP.AuthTLS = &TLS{
		Certificates: t.Certificates, SPIFFE: t.SPIFFE, CAFile: c.HTTP.ClientCA, Verify: true, MinVersion: t.MinVersion, CipherSuites: t.CipherSuites,
		Curves: t.Curves, OCSPPeer: t.OCSPPeer, Timeout: t.Timeout, AllowInsecureCiphers: t.AllowInsecureCiphers, staple: t.staple,
	}
}

func (c *Config) defaultHost() string {
	if c.Daemon == Leafd {
		return DefaultLeafdHost
	}
	return DefaultHost
}

func (c *Config) completeClients(maxConnectionsWritten bool) {
	if c.Daemon == Gwd {
		c.Client = Client{}
	} else {
		if c.Client.Host == "" {
			c.Client.Host = c.defaultHost()
		}
		if c.Client.Port == 0 {
			c.Client.Port = DefaultPort
		}
	}
	if maxConnectionsWritten && c.Limits.MaxConnections == 0 {
		c.Limits.MaxConnections = -1
	}
	c.Limits.WriteTimeout = resolve(c.Limits.WriteTimeout, WriteTimeoutClose)
	c.Client.TLS.complete()
}

func resolve(t, def WriteTimeout) WriteTimeout {
	if t == "" || t == WriteTimeoutDefault {
		return def
	}
	return t
}

// authTimeout: what is set, else a second more than the TLS handshake may take,
// else two seconds.
func authTimeout(set time.Duration, t *TLS) time.Duration {
	switch {
	case set > 0:
		return set
	case t != nil:
		return t.Timeout + time.Second
	}
	return DefaultAuthTimeout
}

func (c *Config) completeAuth() {
	c.Auth.Timeout = authTimeout(c.Auth.Timeout, c.Client.TLS)
	c.Auth.Callout.complete()
	if c.NoSystemAccount {
		c.SystemAccount = ""
	} else if c.SystemAccount == "" {
		c.SystemAccount = DefaultSystemAccount
	}
	completeUsers(c.Auth.Users, DefaultAccount, c.Auth.DefaultPermissions)
	for i := range c.Accounts {
		completeUsers(c.Accounts[i].Users, c.Accounts[i].Name, c.Accounts[i].DefaultPermissions)
	}
}

func completeUsers(users []User, account string, def *Permissions) {
	for i := range users {
		users[i].Account = account
		if users[i].Permissions == nil {
			users[i].Permissions = def
		}
	}
}

func (c *Config) completeCluster(l *loader) {
	k := c.Cluster
	if k.Name == "" && c.Gateway != nil {
		k.Name = c.Gateway.Name
	}
	if k.PingInterval == 0 {
		k.PingInterval = min(c.Limits.PingInterval, MaxRoutePingInterval)
	}
	if k.PingInterval > MaxRoutePingInterval {
		l.warnf(l.origin["cluster.ping.interval"], "cluster.ping_interval", "%v is more than routes allow; %v is used", k.PingInterval, MaxRoutePingInterval)
		k.PingInterval = MaxRoutePingInterval
	}
	if k.PingMax == 0 {
		k.PingMax = c.Limits.PingMax
	}
	if k.WriteDeadline == 0 {
		k.WriteDeadline = c.Limits.WriteDeadline
	}
	k.WriteTimeout = resolve(k.WriteTimeout, WriteTimeoutRetry)
	if k.Compression.Mode == CompressionS2Auto && k.Compression.RTTThresholds == nil {
		k.Compression.RTTThresholds = defaultThresholds()
	}
	k.TLS.makeMutual()
	k.Auth.Timeout = authTimeout(k.Auth.Timeout, k.TLS)
	k.Routes = withUser(k.Routes, k.Auth)
}

// makeMutual: servers verify each other in both roles.
func (t *TLS) makeMutual() {
	if t.complete(); t != nil {
		t.Mutual, t.Verify = true, true
	}
}

func (t *TLS) complete() {
	if t == nil {
		return
	}
	if t.Timeout <= 0 {
		t.Timeout = DefaultTLSTimeout
	}
	t.Verify = t.Verify || t.VerifyAndMap || t.CheckKnownURLs
}

// withUser gives URLs without user information that of the block: one region's
// servers share one user.
func withUser(urls []*url.URL, auth LinkAuth) []*url.URL {
	if auth.User == "" {
		return urls
	}
	out := make([]*url.URL, len(urls))
	for i, u := range urls {
		out[i] = u
		if u.User == nil {
			c := *u
			c.User = url.UserPassword(auth.User, string(auth.Password))
			out[i] = &c
		}
	}
	return out
}

func (c *Config) completeGateway(l *loader) {
	g := c.Gateway
	if g.Name == "" && c.Cluster != nil && l.lang == langYAML {
		g.Name = c.Cluster.Name
	}
	if g.WriteDeadline == 0 {
		g.WriteDeadline = c.Limits.WriteDeadline
	}
	g.WriteTimeout = resolve(g.WriteTimeout, WriteTimeoutRetry)
	g.TLS.makeMutual()
	g.Auth.Timeout = authTimeout(g.Auth.Timeout, g.TLS)
	for i := range g.Remotes {
		g.Remotes[i].TLS.makeMutual()
		g.Remotes[i].URLs = withUser(g.Remotes[i].URLs, g.Auth)
	}
}

func (c *Config) completeLeafNodes() {
	n := c.LeafNodes
	if n.PingInterval == 0 {
		n.PingInterval = c.Limits.PingInterval
		if c.Daemon == Leafd {
			n.PingInterval = min(n.PingInterval, DefaultLeafdPing)
		}
	}
	if n.PingMax == 0 {
		n.PingMax = c.Limits.PingMax
	}
	if n.WriteDeadline == 0 {
		n.WriteDeadline = c.Limits.WriteDeadline
	}
	n.WriteTimeout = resolve(n.WriteTimeout, WriteTimeoutRetry)
	if n.Compression.Mode == CompressionS2Auto && n.Compression.RTTThresholds == nil {
		n.Compression.RTTThresholds = defaultThresholds()
	}
	n.TLS.complete()
	n.Auth.Timeout = authTimeout(n.Auth.Timeout, n.TLS)
	for i := range n.Remotes {
		if r := &n.Remotes[i]; r.IgnoreDiscovered == Unsaid {
			r.IgnoreDiscovered = No
			if c.Daemon == Leafd {
				r.IgnoreDiscovered = Yes
			}
		}
		n.Remotes[i].complete(n)
	}
}

func (r *LeafRemote) complete(n *LeafNodes) {
	if r.Account == "" {
		r.Account = DefaultAccount
	}
	if r.Compression.Mode == "" {
		r.Compression.Mode = CompressionS2Auto
	}
	if r.Compression.Mode == CompressionS2Auto && r.Compression.RTTThresholds == nil {
		r.Compression.RTTThresholds = defaultThresholds()
	}
	r.TLS.complete()
	if r.TLS != nil && n.TLS != nil && len(r.TLS.PinnedCerts) == 0 {
		r.TLS.PinnedCerts = n.TLS.PinnedCerts
	}
	if r.FirstInfoTimeout <= 0 {
		r.FirstInfoTimeout = DefaultLeafFirstInfo
	}
	if r.DialTimeout <= 0 {
		r.DialTimeout = n.DialTimeout
	}
	if r.ReconnectSpread <= 0 {
		r.ReconnectSpread = n.ReconnectSpread
	}
	r.URLs = withUser(r.URLs, LinkAuth{User: r.User, Password: r.Password})
}

// completeBorder gives the system account its policy unless the settings do.
func (c *Config) completeBorder() {
	if c.Daemon != Gwd {
		c.Border = Border{}
		return
	}
	has := slices.ContainsFunc(c.Border.Policies, func(p BorderPolicy) bool { return p.Account == c.SystemAccount })
	if !has && c.SystemAccount != "" {
		deny := SubjectPermission{Deny: DefaultSystemDeny()}
		c.Border.Policies = append(c.Border.Policies, BorderPolicy{Account: c.SystemAccount, Outgoing: deny, Incoming: deny})
	}
}
