package config

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// validate checks what concerns several options (config-cli 7).
func (l *loader) validate() {
	l.validateTimes()
	l.validateLimits()
	l.validateTLSBlocks()
	l.validateAuth()
	l.validateOperator()
	l.validateAccounts()
	l.validateLeafNodes()
	l.validateWebSocket()
	l.validateGateway()
	l.validateCluster()
	l.validateDaemon()
	l.validateSharing()
	l.validateCallout()
	l.validateFailedLogin()
}

// fail reports an error at the place where a key was set.
func (l *loader) fail(key, format string, args ...any) {
	l.errorf(l.origin[key], "", format, args...)
}

// either is the first of two keys that was set.
func (l *loader) either(a, b string) string {
	if l.set(a) {
		return a
	}
	return b
}

func (l *loader) validateTimes() {
	d := l.cfg.LameDuck
	if d.Duration < minLameDuckDuration {
		l.fail("lifecycle.drain", "invalid lame_duck_duration of %v, minimum is 30 seconds", d.Duration)
	} else if d.Grace < 0 {
		l.fail("lifecycle.drain_grace", "invalid lame_duck_grace_period of %v, needs to be positive", d.Grace)
	} else if d.Grace >= d.Duration {
		l.fail(l.either("lifecycle.drain_grace", "lifecycle.drain"), "lame duck grace period (%v) should be strictly lower than lame duck duration (%v)", d.Grace, d.Duration)
	}
	for _, key := range []string{"clients.ping.interval", "clients.write.deadline", "cluster.ping.interval", "cluster.write.deadline", "gateway.write.deadline",
		"leafs.write.deadline", "leafs.ping.interval", "leafs.timeouts.reconnect", "leafs.timeouts.reconnect_max", "leafs.timeouts.dial", "leafs.timeouts.handshake",
		"border.ping.interval", "border.ready_timeout", "auth.timeout", "cluster.auth_timeout", "gateway.auth_timeout", "leafs.auth_timeout"} {
		t, ok := l.v.Get(key).(time.Duration)
		if _, set := l.origin[key]; ok && set && t <= 0 {
			l.fail(key, "%s must be above 0, got %v", key, t)
		}
		if ok && t > time.Minute && (strings.HasSuffix(key, "auth_timeout") || key == "auth.timeout") {
			l.warnf(l.origin[key], "", "timeout of %v (%v seconds) is high, consider keeping it under 60 seconds; quote durations: \"1m\"", t, t.Seconds())
		}
	}
}

func (l *loader) validateLimits() {
	m := l.cfg.Limits
	if m.MaxPayload > m.MaxPending {
		l.fail(l.either("clients.limits.max_payload", "clients.limits.max_pending"), "max_payload (%d) cannot be higher than max_pending (%d)", m.MaxPayload, m.MaxPending)
	}
	if m.MaxPayload > 8<<20 {
		l.warnf(l.origin["clients.limits.max_payload"], "", "maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance")
	}
	if m.MaxPending < 1 {
		l.fail("clients.limits.max_pending", "max_pending must be above 0, got %d", m.MaxPending)
	}
	if m.PingMax < 1 {
		l.fail("clients.ping.max", "ping_max must be above 0, got %d", m.PingMax)
	}
}

func (l *loader) validateTLSBlocks() {
	c := l.cfg
	check := func(key string, t *TLS, listens, links bool) {
		if t == nil {
			return
		}
		pos := l.firstOrigin(key)
		if i, ok := l.origin[key+".certificates"]; ok && (l.set(key+".cert") || l.set(key+".key")) {
			l.errorf(i, "", "error parsing certificates config: 'certs' cannot be combined with 'cert_file' and 'key_file'")
		}
		flags := l.explicit["--tls"] && key == "clients.tls"
		for _, p := range t.Certificates {
			if p.CertFile == "" {
				l.errorf(pos, "", "%s", pick(flags, "TLS Server certificate must be present and valid", "missing 'cert_file' in TLS configuration"))
			} else if p.KeyFile == "" {
				l.errorf(pos, "", "%s", pick(flags, "TLS Server private key must be present and valid", "missing 'key_file' in TLS configuration"))
			}
		}
		l.validateSources(key, t, listens, links)
		if listens && len(t.Certificates) == 0 && t.SPIFFE == nil {
			l.errorf(pos, "", "%s", pick(flags, "TLS Server certificate must be present and valid", key+": a listener with TLS needs a certificate: set cert_file and key_file"))
		}
		if t.CheckKnownURLs && !links {
			l.errorf(l.origin[key+".check_known_urls"], "", "verify_cert_and_check_known_urls not supported in this context")
		}
	}
	check("clients.tls", c.Client.TLS, true, false)
	if c.Cluster != nil {
		check("cluster.tls", c.Cluster.TLS, true, true)
	}
	if c.Gateway != nil {
		check("gateway.tls", c.Gateway.TLS, true, true)
		for i, r := range c.Gateway.Remotes {
			check(fmt.Sprintf("gateway.remotes[%d].tls", i), r.TLS, false, true)
		}
	}
	if c.LeafNodes != nil {
		check("leafs.tls", c.LeafNodes.TLS, c.LeafNodes.Enabled(), false)
		for i, r := range c.LeafNodes.Remotes {
			check(fmt.Sprintf("upstreams[%d].tls", i), r.TLS, false, false)
		}
	}
	if c.WebSocket != nil && !c.WebSocket.InheritTLS {
		check("websocket.tls", c.WebSocket.TLS, true, false)
	}
	if c.Operator != nil {
		check("auth.resolver_tls", c.Operator.ResolverTLS, false, false)
	}
	l.validateOCSP()
	l.looseNames()
	if c.Client.AllowNonTLS && c.Client.TLS == nil {
		l.warnf(l.origin["clients.allow_non_tls"], "", "allow_non_tls has no effect without tls")
	}
}

func pick(cond bool, a, b string) string {
	if cond {
		return a
	}
	return b
}

func (l *loader) set(key string) bool { _, ok := l.origin[key]; return ok }

// firstOrigin is where the first option below a key stands. Of flags, which have
// no place, it is the first by name.
func (l *loader) firstOrigin(key string) conf.Pos {
	first := l.origin[key]
	for _, k := range slices.Sorted(maps.Keys(l.origin)) {
		pos := l.origin[k]
		if strings.HasPrefix(k, key+".") && (first.IsZero() || pos.Line < first.Line || pos.Line == first.Line && pos.Col < first.Col) {
			first = pos
		}
	}
	if list, _, ok := strings.Cut(key, "["); first.IsZero() && ok {
		return l.origin[list]
	}
	return first
}

func (l *loader) validateAuth() {
	c := l.cfg
	a := c.Auth
	inAccounts := slices.ContainsFunc(c.Accounts, func(a Account) bool { return len(a.Users) > 0 })
	switch {
	case a.User != "" && a.Token != "":
		l.fail("auth.token", "Cannot have a user/pass and token")
	case a.User != "" && len(a.Users) > 0:
		l.fail("auth.users", "Can not have a single user/pass and a users array")
	case a.Token != "" && len(a.Users) > 0:
		l.fail("auth.users", "Can not have a token and a users array")
	case a.User != "" && inAccounts:
		l.fail("auth.user", "Can not have a single user/pass and accounts")
	case a.Token != "" && inAccounts:
		l.fail("auth.token", "Can not have a token and accounts")
	}
	if a.NoAuthUser == "" {
		return
	}
	users := a.Users
	for _, acc := range c.Accounts {
		users = append(users[:len(users):len(users)], acc.Users...)
	}
	if len(users) == 0 {
		l.fail("auth.no_auth_user", "no_auth_user: %q present, but users/nkeys are not defined", a.NoAuthUser)
	} else if !slices.ContainsFunc(users, func(u User) bool { return u.Name == a.NoAuthUser || u.NKey == a.NoAuthUser }) {
		l.fail("auth.no_auth_user", "no_auth_user: %q not present as user or nkey in authorization block or account configuration", a.NoAuthUser)
	}
}

func (l *loader) validateAccounts() {
	if strings.ContainsAny(l.cfg.SystemAccount, " \t\r\n") {
		l.fail("auth.system_account", "account name %q cannot contain spaces", l.cfg.SystemAccount)
	}
}

// knownAccount says whether an account exists in the settings or by itself.
func (l *loader) knownAccount(name string) bool {
	return name == "" || name == DefaultAccount || name == l.cfg.SystemAccount ||
		slices.ContainsFunc(l.cfg.Accounts, func(a Account) bool { return a.Name == name })
}

func (l *loader) validateLeafNodes() {
	c, n := l.cfg, l.cfg.LeafNodes
	if n == nil {
		return
	}
	if n.Auth.User != "" && len(n.Auth.Users) > 0 {
		l.fail("leafs.users", "can not have a single user/pass and a users array")
	}
	if n.Auth.NKey != "" && len(n.Auth.Users) > 0 {
		l.fail("leafs.nkey", "can not have a single nkey and a users array")
	}
	for _, r := range l.accounts {
		if !l.knownAccount(r.name) && !c.operatorAccount(r.name) {
			l.errorf(r.pos, r.path, "cannot find local account %q specified in leafnode %s", r.name, r.where)
		}
	}
	if n.Enabled() && l.cfg.Gateway != nil && l.cfg.NoSystemAccount {
		l.fail("leafs.port", "leaf nodes and gateways (both being defined) require a system account to also be configured")
	}
}

func (l *loader) validateGateway() {
	g := l.cfg.Gateway
	if g == nil {
		return
	}
	if g.Name == "" {
		l.errorf(l.firstOrigin("gateway"), "", "gateway has no name")
	} else if !g.Enabled() {
		l.fail("gateway.name", "gateway %q has no port specified (select -1 for random port)", g.Name)
	}
}

func (l *loader) validateCluster() {
	c := l.cfg
	k := c.Cluster
	if k == nil {
		return
	}
	if c.Gateway != nil && c.Gateway.Name != "" && k.Name != c.Gateway.Name {
		l.fail(l.either("cluster.name", "gateway.name"), "cluster name conflicts between cluster and gateway definitions")
	}
	if k.PoolSize < 0 && len(k.Accounts) > 0 {
		l.fail("cluster.pool_size", "pool_size cannot be negative if pinned accounts are specified")
	}
	seen := map[string]bool{}
	for _, a := range k.Accounts {
		if seen[a] {
			l.fail("cluster.pinned_accounts", "found duplicate account name %q in pinned accounts list %q", a, k.Accounts)
		}
		seen[a] = true
	}
	if len(k.Routes) > 0 && !k.Enabled() {
		l.fail("cluster.routes", "solicited routes require cluster capabilities, e.g. --cluster")
	}
	if k.Auth.User != "" && k.Auth.Password == "" {
		l.fail("cluster.user", "expected cluster password to be set")
	}
}

func (l *loader) validateDaemon() {
	switch l.cfg.Daemon {
	case Leafd:
		l.validateLAN()
	case Gwd:
		l.validateBorder()
	}
}

// validateLAN keeps an edge node from standing open to its network by accident.
func (l *loader) validateLAN() {
	c := l.cfg
	host := c.Client.Host
	ip := net.ParseIP(host)
	if host == "localhost" || ip != nil && ip.IsLoopback() {
		return
	}
	if !c.Client.AllowLAN {
		l.fail("clients.host", "leafd serves local programs only, and %s is not a loopback address: set listen.allow_lan: true and configure users to open it to the network", host)
		return
	}
	if !c.AuthRequired() {
		l.fail("clients.host", "listen.allow_lan opens %s to the network and wants authentication: configure a user, a token or users", host)
	} else if c.Auth.NoAuthUser != "" {
		l.fail("auth.no_auth_user", "no_auth_user would let everybody on the network in: remove it or listen on 127.0.0.1")
	}
}

func (l *loader) validateBorder() {
	c := l.cfg
	if c.Gateway == nil {
		l.errorf(conf.Pos{File: c.File}, "", "gwd needs a gateway block: name, listen and remotes")
	}
	if c.Cluster == nil {
		l.errorf(conf.Pos{File: c.File}, "", "gwd needs a cluster block: name, listen and the routes of its region's hubs")
	} else if len(c.Cluster.Routes) == 0 && !c.Cluster.Enabled() {
		l.fail("cluster.name", "gwd needs cluster.routes: the addresses of its region's hubs")
	}
	if c.Border.Mode == BorderSingleOwner && !l.set("border.priority") {
		l.fail("border.mode", "border.mode single_owner needs border.priority, different in each gwd of the region")
	}
}
