package gateway

import (
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/test/delayproxy"
)

// pki makes an authority and one certificate for both directions.
func pki(t *testing.T) *config.TLS {
	t.Helper()
	ca, err := certs.NewAuthority("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(certs.Request{CommonName: "gateway", DNS: []string{"localhost"},
		IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Usage: certs.Both})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := pair.WriteFiles(file("cert.pem"), file("key.pem")); err != nil {
		t.Fatal(err)
	}
	if err := ca.WriteFiles(file("ca.pem"), file("ca-key.pem")); err != nil {
		t.Fatal(err)
	}
	return &config.TLS{
		Certificates: []config.Certificate{{CertFile: file("cert.pem"), KeyFile: file("key.pem")}},
		CAFile:       file("ca.pem"), Mutual: true, Timeout: 500 * time.Millisecond,
	}
}

// TestTLS: between two gateways with certificates of one authority all is as without;
// others do not get past the handshake.
func TestTLS(t *testing.T) {
	set := pki(t)
	with := func(x *config.TLS) func(*Options) {
		return func(o *Options) { o.Settings.TLS = x }
	}
	a := newSite(t, "A", with(set))
	a.Open()
	b := newSite(t, "B", with(set), remote("A", a.Addr().String()))
	b.Open()
	a.has(t, "B")
	b.has(t, "A")
	g := b.b.Account("A")
	b.hub.sub(g, "foo", "")
	a.interest(t, "A", "foo", true)
	a.hub.pub(a.b.Account("A"), "foo", "", "x")
	await(t, "a message", func() bool { return b.hub.count() == 1 })
	if c := a.Status(false).Outbound[0].Connection; c.TLSVersion == "" {
		t.Errorf("no TLS shown: %+v", c)
	}
	for i, x := range []*config.TLS{nil, pki(t)} {
		c := newSite(t, string(rune('C'+i)), with(x), remote("A", a.Addr().String()))
		c.Open()
		await(t, "refused", func() bool { return c.log.has("Error connecting to explicit gateway") })
		if c.region("A", false).live() != nil {
			t.Errorf("%d: connected", i)
		}
	}
}

// TestFrozen: a gwd of another region that hangs is left for another one.
func TestFrozen(t *testing.T) {
	b1, b2 := newSite(t, "B", nil), newSite(t, "B", nil)
	b1.Open()
	b2.Open()
	px, err := delayproxy.Start(delayproxy.Config{Target: b1.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer px.Close()
	a := newSite(t, "A", func(o *Options) { o.OwnPing = 50 * time.Millisecond },
		config.RemoteGateway{Name: "B", URLs: []*url.URL{{Scheme: "nats", Host: px.Addr()}}})
	a.Open()
	r := a.has(t, "B")
	first := r.live()
	r.learned([]string{b2.Addr().String()}, false)
	px.Freeze()
	began := time.Now()
	await(t, "another connection", func() bool { c := r.live(); return c != nil && c != first })
	t.Logf("left after %v", time.Since(began))
	if url := r.live().url; url == px.Addr() {
		t.Errorf("still at %s", url)
	}
}
