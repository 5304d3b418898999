package route

import (
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// pki writes an authority and a certificate for localhost, and returns the block
// that uses them.
func pki(t testing.TB) *config.TLS {
	t.Helper()
	dir := t.TempDir()
	ca, err := certs.NewAuthority("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(certs.Request{CommonName: "member", DNS: []string{"localhost"},
		IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Emails: []string{"route@cluster"}, Usage: certs.Both})
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := pair.WriteFiles(file("cert.pem"), file("key.pem")); err != nil {
		t.Fatal(err)
	}
	if err := ca.WriteFiles(file("ca.pem"), file("ca-key.pem")); err != nil {
		t.Fatal(err)
	}
	return &config.TLS{Certificates: []config.Certificate{{CertFile: file("cert.pem"), KeyFile: file("key.pem")}},
		CAFile: file("ca.pem"), Mutual: true, Timeout: 2 * time.Second}
}

func TestTLS(t *testing.T) {
	block := pki(t)
	secure := func(n *node) { n.set.TLS = block }
	a := startNode(t, secure)
	b := startNode(t, func(n *node) {
		secure(n)
		dialing(a)(n)
		n.set.Compression.Mode = config.CompressionS2Better
	})
	c := startNode(t, func(n *node) { secure(n); dialing(a)(n) })
	b.synced()
	c.synced()
	for _, n := range []*node{a, b, c} {
		n.routes(8) // by gossip too
	}
	checkAccounts(t, a, b)
	// In the clear, and with a certificate of somebody else.
	for _, other := range []*config.TLS{nil, pki(t)} {
		d := startNode(t, func(n *node) { n.set.TLS = other; dialing(a)(n) })
		eventually(t, func() bool { return len(d.s.Missing()) == 1 }, func() string { return "a missing route" })
		d.s.mu.Lock()
		conns := len(d.s.peers)
		d.s.mu.Unlock()
		if conns != 0 {
			t.Error("joined without the right certificate")
		}
	}
}

func TestVerifyAndMap(t *testing.T) {
	block := pki(t)
	block.VerifyAndMap = true
	for user, joins := range map[string]bool{"route@cluster": true, "somebody": false} {
		ended := make(chan wire.CloseReason, 100)
		a := startNode(t, func(n *node) {
			n.set.TLS = block
			n.set.Auth.User = user
			n.o.onEnd = func(r wire.CloseReason, _ error) { ended <- r }
		})
		b := startNode(t, func(n *node) { n.set.TLS = block; dialing(a)(n) })
		if joins {
			b.synced()
			continue
		}
		if r := <-ended; r != wire.ReasonAuthFailure {
			t.Errorf("ended: %v", r)
		}
	}
}

func TestKnownURLs(t *testing.T) {
	block := pki(t)
	block.CheckKnownURLs = true
	for host, joins := range map[string]bool{"localhost": true, "elsewhere": false} {
		ended := make(chan wire.CloseReason, 100)
		a := startNode(t, func(n *node) {
			n.set.TLS = block
			// A route that is never up, but whose host is known.
			n.set.Routes = []*url.URL{{Scheme: "nats-route", Host: net.JoinHostPort(host, "1")}}
			n.o.onEnd = func(r wire.CloseReason, _ error) { ended <- r }
		})
		b := startNode(t, func(n *node) { n.set.TLS = block; dialing(a)(n) })
		if joins {
			// b checks a's certificate against its own list.
			b.synced()
			continue
		}
		if r := <-ended; r != wire.ReasonAuthFailure {
			t.Errorf("ended: %v", r)
		}
	}
}
