package config

import (
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/tlsmaterial"
)

// certificates loads every TLS block in the roles it has, and warns of what would
// not keep a daemon from starting, but its peers from connecting.
func (l *loader) certificates() {
	now := time.Now()
	for _, b := range l.cfg.TLSBlocks() {
		if b.TLS.SPIFFE != nil {
			continue // whose agent is where the daemon runs
		}
		m := b.TLS.Material()
		var err error
		if b.Accepts {
			_, err = m.Server()
		} else {
			_, err = m.Client("")
		}
		if err != nil {
			l.errorf(l.firstOrigin(b.Key), b.Key, "%v", err)
			continue
		}
		own, authorities := m.Certificates()
		for _, c := range own {
			l.judgeValidity(b, "certificate", c, now)
			l.judgeUse(b, c)
		}
		for _, c := range authorities {
			l.judgeValidity(b, "authority", c, now)
		}
		if len(own) > 0 && b.Accepts {
			l.judgeNames(b, own)
		}
	}
}

func (l *loader) warnTLS(b TLSBlock, format string, args ...any) {
	l.warnf(l.firstOrigin(b.Key), b.Key, "%s", fmt.Sprintf(format, args...))
}

func (l *loader) judgeValidity(b TLSBlock, what string, c *x509.Certificate, now time.Time) {
	switch {
	case now.Before(c.NotBefore):
		l.warnTLS(b, "%s %q is not valid before %s", what, tlsmaterial.Subject(c), tlsmaterial.Date(c.NotBefore))
	case now.After(c.NotAfter):
		l.warnTLS(b, "%s %q expired on %s", what, tlsmaterial.Subject(c), tlsmaterial.Date(c.NotAfter))
	case tlsmaterial.Soon(c, now):
		l.warnTLS(b, "%s %q expires on %s", what, tlsmaterial.Subject(c), tlsmaterial.Date(c.NotAfter))
	}
}

// judgeUse looks at extended usages: servers show each other the same certificate
// whoever dials.
func (l *loader) judgeUse(b TLSBlock, c *x509.Certificate) {
	may := func(u x509.ExtKeyUsage) bool {
		return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, u) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
	}
	block, _, _ := strings.Cut(b.Key, ".")
	mutual := block == "cluster" || block == "gateway"
	if (b.Accepts || mutual) && !may(x509.ExtKeyUsageServerAuth) {
		l.warnTLS(b, "certificate %q is not for servers (extended key usage): those who dial will refuse it", tlsmaterial.Subject(c))
	}
	if (!b.Accepts || mutual) && !may(x509.ExtKeyUsageClientAuth) {
		l.warnTLS(b, "certificate %q is not for clients (extended key usage): whom we dial will refuse it; make one for both", tlsmaterial.Subject(c))
	}
}

// judgeNames: who dials what we advertise expects that name in the certificate.
func (l *loader) judgeNames(b TLSBlock, own []*x509.Certificate) {
	c := l.cfg
	var advertised, host string
	switch b.Key {
	case "clients.tls":
		advertised, host = c.Client.Advertise, c.Client.Host
	case "cluster.tls":
		advertised, host = c.Cluster.Advertise, c.Cluster.Host
	case "gateway.tls":
		advertised, host = c.Gateway.Advertise, c.Gateway.Host
	case "leafs.tls":
		advertised, host = c.LeafNodes.Advertise, c.LeafNodes.Host
	case "websocket.tls":
		advertised, host = c.WebSocket.Advertise, c.WebSocket.Host
	}
	what := "is advertised"
	if advertised == "" {
		ip := net.ParseIP(host)
		if host == "" || host == "localhost" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
			return // what will be told is not known here
		}
		advertised, what = host, "is listened on and advertised"
	}
	name := advertised
	if h, _, err := net.SplitHostPort(advertised); err == nil {
		name = h
	}
	if slices.ContainsFunc(own, func(c *x509.Certificate) bool { return c.VerifyHostname(name) == nil }) {
		return
	}
	l.warnTLS(b, "%q %s, and the certificate %q is not for it, but for %s: those who verify it will not connect there",
		name, what, tlsmaterial.Subject(own[0]), names(own[0]))
}

func names(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no host at all"
	}
	return strings.Join(all, ", ")
}
