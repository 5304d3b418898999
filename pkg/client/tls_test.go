package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// pki is an authority with a server's certificate in files and some clients'.
type pki struct {
	pool *x509.CertPool
	conf config.TLS
	ca   *certs.Authority
	t    testing.TB
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	ca, err := certs.NewAuthority("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key, root := filepath.Join(dir, "s.crt"), filepath.Join(dir, "s.key"), filepath.Join(dir, "ca.crt")
	pair, err := ca.Issue(certs.Request{CommonName: "hub", DNS: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.WriteFiles(cert, key); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root, ca.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return &pki{t: t, ca: ca, pool: ca.Pool(), conf: config.TLS{
		Certificates: []config.Certificate{{CertFile: cert, KeyFile: key}}, CAFile: root, Timeout: 300 * time.Millisecond,
	}}
}

// hub starts a hub with TLS.
func (p *pki) hub(change func(*config.Client)) *hub {
	p.t.Helper()
	return startHub(p.t, func(c *config.Config) {
		t := p.conf
		c.Client.TLS = &t
		if change != nil {
			change(&c.Client)
		}
	})
}

func (p *pki) client(r certs.Request) tls.Certificate {
	p.t.Helper()
	r.Usage = certs.Client
	pair, err := p.ca.Issue(r)
	if err != nil {
		p.t.Fatal(err)
	}
	return pair.TLS()
}

// upgrade runs the handshake on what is left of a raw client.
func (p *pki) upgrade(c *raw, own ...tls.Certificate) *raw {
	p.t.Helper()
	t := tls.Client(c.Conn, &tls.Config{RootCAs: p.pool, ServerName: "localhost", Certificates: own})
	t.SetDeadline(time.Now().Add(patience))
	if err := t.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	t.SetDeadline(time.Time{})
	return newRaw(p.t, t)
}

const hello = "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1}\r\nPING\r\n"

// works goes through the hello and a message.
func (c *raw) works() wire.ClientInfo {
	c.t.Helper()
	c.send(hello)
	c.expect("PONG\r\n")
	i := c.info()
	c.ask("SUB foo 1\r\nPUB foo 2\r\nhi\r\n", "MSG foo 1 2\r\nhi\r\n")
	return i
}

func TestTLSRequired(t *testing.T) {
	p := newPKI(t)
	h := p.hub(nil)

	c := h.raw(t)
	i := c.info()
	if !i.TLSRequired || i.TLSAvailable || i.TLSVerify {
		t.Errorf("INFO %+v", i)
	}
	c = p.upgrade(c)
	later := c.works() // and no second INFO before the PONG
	if !later.TLSRequired {
		t.Errorf("later INFO %+v", later)
	}
	eventually(t, "TLS in monitoring", func() bool {
		x := h.registry.Get(i.ClientID).Info(false)
		return x.TLSVersion == "1.3" && strings.HasPrefix(x.TLSCipher, "TLS_")
	})

	for name, say := range map[string]string{"plain text": hello, "silence": ""} {
		c := h.raw(t)
		i := c.info()
		c.send(say)
		if got := c.ended(); strings.Contains(got, "PONG") || strings.Contains(got, "-ERR") {
			t.Errorf("%s: got %q", name, got)
		}
		if r := h.reasonOf(t, i.ClientID); r != wire.ReasonTLSHandshake {
			t.Errorf("%s: closed for %q", name, r)
		}
	}

	nc := h.nats(t, nats.Secure(&tls.Config{RootCAs: p.pool}))
	if err := nc.Flush(); err != nil || !nc.TLSRequired() {
		t.Fatal(err)
	}
}

func TestTLSVerify(t *testing.T) {
	p := newPKI(t)
	h := p.hub(func(c *config.Client) { c.TLS.Verify = true })
	c := h.raw(t)
	if i := c.info(); !i.TLSRequired || !i.TLSVerify {
		t.Errorf("INFO %+v", i)
	}
	own := p.client(certs.Request{CommonName: "x"})
	up := p.upgrade(c, own)
	id := up.works().ClientID
	d := h.registry.Get(id).Info(false).More.(Details)
	if len(d.PeerCerts) != 1 || d.PeerCerts[0].SPKISHA256 != config.Fingerprint(own.Leaf) {
		t.Errorf("peer certificates %+v", d.PeerCerts)
	}

	c = h.dial(t)
	bad := tls.Client(c.Conn, &tls.Config{RootCAs: p.pool, ServerName: "localhost"})
	bad.SetDeadline(time.Now().Add(patience))
	_, err := io.ReadAll(bad)
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestTLSPinned(t *testing.T) {
	p := newPKI(t)
	good, other := p.client(certs.Request{CommonName: "good"}), p.client(certs.Request{CommonName: "other"})
	h := p.hub(func(c *config.Client) {
		c.TLS.Verify = true
		c.TLS.PinnedCerts = []string{config.Fingerprint(good.Leaf)}
	})
	p.upgrade(h.dial(t), good).works()
	c := h.raw(t)
	i := c.info()
	bad := tls.Client(c.Conn, &tls.Config{RootCAs: p.pool, ServerName: "localhost", Certificates: []tls.Certificate{other}})
	bad.SetDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(bad); len(b) > 0 || err == nil {
		t.Errorf("not pinned: %q, %v", b, err)
	}
	if r := h.reasonOf(t, i.ClientID); r != wire.ReasonTLSHandshake {
		t.Errorf("closed for %q", r)
	}
}

func TestTLSMapsCertificates(t *testing.T) {
	p := newPKI(t)
	h := startHub(t, func(c *config.Config) {
		tc := p.conf
		tc.Verify, tc.VerifyAndMap = true, true
		c.Client.TLS = &tc
		c.Accounts = []config.Account{{Name: "A", Users: []config.User{{Name: "me@example.net"}, {Name: "CN=joe"}}}}
	})
	c := h.raw(t)
	if i := c.info(); !i.TLSRequired || !i.TLSVerify || !i.AuthRequired {
		t.Errorf("INFO %+v", i)
	}
	if i := p.upgrade(c, p.client(certs.Request{CommonName: "nobody", Emails: []string{"me@example.net"}})).works(); i.RemoteAccount != "A" {
		t.Errorf("account %q", i.RemoteAccount)
	}
	p.upgrade(h.dial(t), p.client(certs.Request{CommonName: "joe"})).works()
	c = p.upgrade(h.dial(t), p.client(certs.Request{CommonName: "nobody"}))
	c.send(hello)
	c.expect("-ERR 'Authorization Violation'\r\n")
	c.ended()
}

func TestTLSOptional(t *testing.T) {
	p := newPKI(t)
	h := p.hub(func(c *config.Client) { c.AllowNonTLS = true })
	c := h.raw(t)
	if i := c.info(); i.TLSRequired || !i.TLSAvailable {
		t.Errorf("INFO %+v", i)
	}
	p.upgrade(c).works()
	h.dial(t).works()
	// Five bytes are enough to tell that it is not TLS.
	c = h.dial(t)
	start := time.Now()
	c.send("PING\n")
	c.expect("PONG\r\n")
	if d := time.Since(start); d > 250*time.Millisecond {
		t.Errorf("answered after %s", d)
	}
	// A client that says nothing at first goes without TLS.
	c = h.dial(t)
	c.silent(400 * time.Millisecond)
	c.works()
}

func TestTLSHandshakeFirst(t *testing.T) {
	p := newPKI(t)
	h := p.hub(func(c *config.Client) { c.TLS.HandshakeFirst.Mode = config.HandshakeOn })
	c := p.upgrade(h.raw(t))
	if i := c.info(); !i.TLSRequired || i.TLSAvailable {
		t.Errorf("INFO %+v", i)
	}
	c.works()
	old := h.raw(t)
	old.eof() // no INFO, closed at the timeout

	nc := h.nats(t, nats.Secure(&tls.Config{RootCAs: p.pool}), nats.TLSHandshakeFirst())
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestTLSHandshakeFirstAuto(t *testing.T) {
	p := newPKI(t)
	for _, optional := range []bool{false, true} {
		t.Run(fmt.Sprintf("allow_non_tls=%v", optional), func(t *testing.T) {
			h := p.hub(func(c *config.Client) {
				c.AllowNonTLS = optional
				c.TLS.HandshakeFirst = config.HandshakeFirst{Mode: config.HandshakeAuto, Fallback: 60 * time.Millisecond}
			})
			c := p.upgrade(h.raw(t))
			if i := c.info(); !i.TLSRequired || i.TLSAvailable != optional {
				t.Errorf("TLS first: INFO %+v", i)
			}
			c.works()
			// Falls back.
			start := time.Now()
			c = h.raw(t)
			if i := c.info(); i.TLSRequired == optional || i.TLSAvailable != optional {
				t.Errorf("fallback: INFO %+v", i)
			}
			if d := time.Since(start); d < 50*time.Millisecond {
				t.Errorf("INFO after %s already", d)
			}
			p.upgrade(c).works()
			if optional {
				h.dial(t).works()
			}
		})
	}
}

func TestTLSRateLimit(t *testing.T) {
	p := newPKI(t)
	h := p.hub(func(c *config.Client) { c.TLS.ConnectionRateLimit = 3 })
	throttled := 0
	for range 12 {
		c := h.raw(t)
		i := c.info()
		tc := tls.Client(buffered{c.Conn, c.r}, &tls.Config{RootCAs: p.pool, ServerName: "localhost"})
		tc.SetDeadline(time.Now().Add(patience))
		err := tc.Handshake()
		var header tls.RecordHeaderError
		if err == nil {
			continue
		}
		if !asRecordHeader(err, &header) || string(header.RecordHeader[:]) != "-ERR " {
			t.Fatalf("handshake: %v", err)
		}
		throttled++
		if r := h.reasonOf(t, i.ClientID); r != wire.ReasonMaxConnections {
			t.Errorf("closed for %q", r)
		}
	}
	if throttled == 0 {
		t.Error("twelve handshakes at once and none was refused")
	}
}

// buffered reads what a raw client has read ahead first.
type buffered struct {
	net.Conn
	r io.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

func asRecordHeader(err error, h *tls.RecordHeaderError) bool {
	x, ok := err.(tls.RecordHeaderError)
	*h = x
	return ok
}
