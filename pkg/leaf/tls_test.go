package leaf

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/config"
)

// pki is an authority with a certificate for a hub on loopback and one for an edge.
type pki struct{ dir string }

func newPKI(t testing.TB) *pki {
	t.Helper()
	p := &pki{t.TempDir()}
	p.issue(t, certs.Spec{Name: "hub", Usage: certs.Server, Hosts: []string{"localhost", "127.0.0.1"}})
	p.issue(t, certs.Spec{Name: "edge", Usage: certs.Client, Emails: []string{"edge@example.net"}})
	return p
}

func (p *pki) issue(t testing.TB, s certs.Spec) {
	t.Helper()
	s.Dir = p.dir
	if _, err := certs.Ensure(s); err != nil {
		t.Fatal(err)
	}
}

func (p *pki) tls(name string) *config.TLS {
	return &config.TLS{
		Certificates: []config.Certificate{{
			CertFile: filepath.Join(p.dir, name+".crt"), KeyFile: filepath.Join(p.dir, name+".key"),
		}},
		CAFile:  filepath.Join(p.dir, "ca.crt"),
		Timeout: 5 * time.Second,
	}
}

func (p *pki) ca() *config.TLS { return &config.TLS{CAFile: filepath.Join(p.dir, "ca.crt")} }

func secured(t *config.TLS) func(n *node) {
	return func(n *node) { n.cfg.LeafNodes.TLS = t }
}

func with(t *config.TLS) func(r *config.LeafRemote) {
	return func(r *config.LeafRemote) { r.TLS = t }
}

func first(t *config.TLS, mode config.HandshakeMode) *config.TLS {
	u := *t
	u.HandshakeFirst = config.HandshakeFirst{Mode: mode, Fallback: 50 * time.Millisecond}
	return &u
}

// The matrix of leafnodes 5, and compression on top of TLS.
func TestTLSOrders(t *testing.T) {
	p := newPKI(t)
	for _, c := range []struct {
		hub, leaf config.HandshakeMode
		works     bool
	}{
		{config.HandshakeOff, config.HandshakeOff, true},
		{config.HandshakeOn, config.HandshakeOn, true},
		{config.HandshakeAuto, config.HandshakeOff, true},
		{config.HandshakeAuto, config.HandshakeOn, true},
		// The leaf finds out by itself that the hub wants TLS first.
		{config.HandshakeOn, config.HandshakeOff, true},
		{config.HandshakeOff, config.HandshakeOn, false},
	} {
		t.Run(fmt.Sprintf("hub %d leaf %d", c.hub, c.leaf), func(t *testing.T) {
			h := startNode(t, "HUB", listening, secured(first(p.tls("hub"), c.hub)), compressing(config.CompressionS2Auto))
			l := startNode(t, "EDGE", dialing(h.addr(), with(first(p.ca(), c.leaf)), func(r *config.LeafRemote) {
				r.FirstInfoTimeout = 200 * time.Millisecond
			}), hurried)
			if !c.works {
				eventually(t, "a failed handshake", func() bool {
					return strings.Contains(l.s.Links()[0].LastErr, "TLS")
				})
				return
			}
			h.links(1)
			l.links(1)
			traffic(t, h, l)
			if i := h.reg.Open()[0].Info(false); i.TLSVersion != "TLS 1.3" {
				t.Errorf("the hub shows TLS %q", i.TLSVersion)
			}
		})
	}
}

func TestTLSClientCertificate(t *testing.T) {
	p := newPKI(t)
	server := p.tls("hub")
	server.VerifyAndMap = true
	users := func(n *node) {
		n.cfg.LeafNodes.Auth.Users = []config.LeafUser{{Name: "someone", Account: "B"}, {Name: "edge@example.net", Account: "A"}}
	}
	h := startNode(t, "HUB", listening, secured(server), users)
	startNode(t, "EDGE", dialing(h.addr(), with(p.tls("edge"))))
	h.links(1)
	i := h.reg.Open()[0].Info(false)
	if i.Account != "A" || i.User != "edge@example.net" {
		t.Errorf("bound to account %q as %q", i.Account, i.User)
	}
	// Without a certificate: refused, and not tried again soon.
	bare := startNode(t, "BARE", dialing(h.addr(), with(p.ca())), hurried)
	r := failed(t, bare)
	if r.NextDial.Sub(r.FailedAt) < refusedMin {
		t.Errorf("refused without a certificate (%s), dials again at once", r.LastErr)
	}
}

// failed waits until the remote of a node waits after a failure.
func failed(t *testing.T, n *node) (r RemoteStatus) {
	t.Helper()
	eventually(t, "a remote that waits", func() bool {
		r = n.s.Links()[0]
		return r.State == RemoteWaiting && r.LastErr != ""
	})
	return r
}

func TestTLSWhoIsTrusted(t *testing.T) {
	p := newPKI(t)
	h := startNode(t, "HUB", listening, secured(p.tls("hub")))
	_, port, _ := net.SplitHostPort(h.addr())
	key := func() string {
		pair, err := certs.LoadPair(filepath.Join(p.dir, "hub.crt"), filepath.Join(p.dir, "hub.key"))
		if err != nil {
			t.Fatal(err)
		}
		return config.Fingerprint(pair.Cert)
	}()
	pinned := func(pins ...string) *config.TLS {
		u := p.ca()
		u.PinnedCerts = pins
		return u
	}
	for _, c := range []struct {
		name, addr string
		tls        *config.TLS
		err        string // "": works
	}{
		{"by address", "127.0.0.1:" + port, p.ca(), ""},
		{"by name", "localhost:" + port, p.ca(), ""},
		{"pinned", "localhost:" + port, pinned(key), ""},
		{"not pinned", "localhost:" + port, pinned(strings.Repeat("00", 32)), "certificate not pinned"},
		{"unknown authority", "localhost:" + port, &config.TLS{}, "certificate"},
		{"the hub asks for TLS, system roots", "localhost:" + port, nil, "certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := startNode(t, "EDGE", dialing(c.addr, with(c.tls)))
			if c.err == "" {
				l.links(1)
				return
			}
			r := failed(t, l)
			if !strings.Contains(r.LastErr, c.err) || r.NextDial.Sub(r.FailedAt) < refusedMin {
				t.Errorf("ends with %q, again in %s", r.LastErr, r.NextDial.Sub(r.FailedAt))
			}
		})
	}
}

// Who has a tls block does not talk to a hub without TLS, and says why.
func TestTLSNoFallBack(t *testing.T) {
	p := newPKI(t)
	h := startNode(t, "HUB", listening)
	l := startNode(t, "EDGE", dialing(h.addr(), with(p.ca())))
	if r := failed(t, l); !strings.Contains(r.LastErr, "the hub does not offer it") {
		t.Errorf("error %q", r.LastErr)
	}
	if h.reg.Total() != 0 {
		t.Error("a link came up in clear")
	}
}

// A certificate that was replaced is used by the next connection.
func TestTLSRotation(t *testing.T) {
	p, other := newPKI(t), newPKI(t)
	server := p.tls("hub")
	server.Verify = true
	h := startNode(t, "HUB", listening, secured(server))
	mine := other.tls("edge") // of an authority that the hub does not know
	mine.CAFile = p.ca().CAFile
	l := startNode(t, "EDGE", dialing(h.addr(), with(mine)))
	failed(t, l)
	for _, f := range []string{"edge.crt", "edge.key"} {
		b, err := os.ReadFile(filepath.Join(p.dir, f))
		if err == nil {
			err = os.WriteFile(filepath.Join(other.dir, f), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l.s.Retry()
	l.links(1)
}

// A hub that falls silent in any step of the opening does not hold a remote (check 5).
func TestSilenceUnderTLS(t *testing.T) {
	p := newPKI(t)
	cfg, err := p.tls("hub").Server()
	if err != nil {
		t.Fatal(err)
	}
	const info = `INFO {"server_id":"NH","client_id":5,"nonce":"abcdefghijklmno","info_on_connect":true,"tls_required":true,"compression":"s2_auto"} ` + "\r\n"
	for _, step := range []string{"before TLS", "in TLS", "after TLS", "after compression"} {
		t.Run(step, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			l := startNode(t, "EDGE", dialing(ln.Addr().String(), with(p.ca()), func(r *config.LeafRemote) {
				r.TLS.Timeout = 200 * time.Millisecond
			}), hurried, func(n *node) { n.cfg.LeafNodes.HandshakeTimeout = 600 * time.Millisecond })
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			c.Write([]byte(info))
			buf := make([]byte, 4096)
			switch step {
			case "in TLS":
				c.Read(buf[:10])
				c.Write([]byte{0x16, 0x03})
			case "after TLS", "after compression":
				s := tls.Server(c, cfg)
				if err := s.Handshake(); err != nil {
					t.Fatal(err)
				}
				if step == "after compression" {
					s.Read(buf) // its INFO
				}
			}
			failed(t, l)
			// It comes again.
			ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
			again, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			again.Close()
		})
	}
}
