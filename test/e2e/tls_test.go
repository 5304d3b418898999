//go:build linux

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/tlsmaterial/ocsptest"
	"github.com/banyanmq/banyan/pkg/tlsmaterial/workload/agenttest"
	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/procs"
)

// reaches waits until a message gets from one connection to another.
func reaches(t *testing.T, e *estate.Estate, from, to *nats.Conn, subject string) {
	t.Helper()
	sub, err := to.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	e.Eventually("a message on "+subject, func() error {
		if err := from.Publish(subject, []byte("x")); err != nil {
			return err
		}
		_, err := sub.NextMsg(200 * time.Millisecond)
		return err
	})
}

// TestCertificatesRotateUnderLinks replaces authority and certificates of two hubs and
// a leaf node, as an operator would: open links stay, new ones use what is new.
func TestCertificatesRotateUnderLinks(t *testing.T) {
	e := estate.New(t, bins)
	dir := e.Dir("tls")
	old, err := certs.NewAuthority("old", 0)
	if err != nil {
		t.Fatal(err)
	}
	next, err := certs.NewAuthority("new", 0)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	put := func(name string, by *certs.Authority) {
		r := certs.Request{CommonName: name + " by " + by.Cert.Subject.CommonName, Usage: certs.Both}
		r.AddHost("localhost", "127.0.0.1")
		p, err := by.Issue(r)
		if err == nil {
			err = p.WriteFiles(file(name+".crt"), file(name+".key"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	bundle := func(list ...*certs.Authority) {
		var b []byte
		for _, a := range list {
			b = append(b, a.CertPEM()...)
		}
		write(t, file("ca.crt"), string(b))
	}
	bundle(old)
	for _, name := range []string{"a", "b", "leaf"} {
		put(name, old)
	}
	block := func(name string) string {
		return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, timeout: 5, verify: true }", file(name+".crt"), file(name+".key"), file("ca.crt"))
	}
	hub := func(name, routes string) (*procs.Process, procs.Ports) {
		p := start(t, e, "hubd", name, fmt.Sprintf("ports_file_dir: \"{{dir}}\"\nserver_name: %s\nlisten: 127.0.0.1:-1\n%s\nhttp: 127.0.0.1:-1\ncluster { name: c, listen: 127.0.0.1:-1, routes: [%s], %s }\nleafnodes { listen: 127.0.0.1:-1, %s }\n",
			name, block(name), routes, block(name), block(name)))
		ports, err := p.Ports(e.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p, ports
	}
	a, aPorts := hub("a", "")
	b, bPorts := hub("b", fmt.Sprintf("\"nats://%s\"", procs.Addr(aPorts.Cluster[0])))
	leaf := start(t, e, "leafd", "leaf", fmt.Sprintf("ports_file_dir: \"{{dir}}\"\nlisten: 127.0.0.1:-1\nleafnodes { remotes: [ { url: \"tls://%s\", %s } ] }\n", procs.Addr(aPorts.LeafNodes[0]), block("leaf")))
	leafPorts, err := leaf.Ports(e.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := func(ports procs.Ports, shows string) *nats.Conn {
		t.Helper()
		var seen string
		pool := x509.NewCertPool()
		pool.AddCert(old.Cert)
		pool.AddCert(next.Cert)
		nc, err := nats.Connect(ports.Client(), nats.Timeout(estate.Patience/2), nats.NoReconnect(), nats.Secure(&tls.Config{RootCAs: pool, ServerName: "localhost",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				c, err := tls.LoadX509KeyPair(file("leaf.crt"), file("leaf.key"))
				return &c, err
			},
			VerifyConnection: func(c tls.ConnectionState) error {
				seen = c.PeerCertificates[0].Subject.CommonName
				return nil
			}}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		if seen != shows {
			t.Errorf("the server shows %q, want %q", seen, shows)
		}
		return nc
	}
	ca, cb := client(aPorts, "a by old"), client(bPorts, "b by old")
	cl, err := nats.Connect(leafPorts.Client())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	reaches(t, e, cl, cb, "first")

	await := func(p *procs.Process, text string) {
		t.Helper()
		if _, err := p.Log.Wait(e.Context(), regexp.MustCompile(text)); err != nil {
			t.Fatalf("no %q: %v\n%s", text, err, p.Log.Tail(20))
		}
	}
	bundle(old, next)
	for _, p := range []*procs.Process{a, b, leaf} {
		await(p, `tls: new authorities: "CN=old.*"CN=new`)
	}
	for _, name := range []string{"a", "b", "leaf"} {
		put(name, next)
	}
	for name, p := range map[string]*procs.Process{"a": a, "b": b} {
		for _, key := range []string{"clients", "cluster", "leafs"} {
			await(p, key+`.tls: new certificate "CN=`+name+` by new`)
		}
	}
	await(leaf, `upstreams\[0\].tls: new certificate "CN=leaf by new`)
	reaches(t, e, ca, cb, "over.the.old.route")
	reaches(t, e, cl, cb, "over.the.old.leaf.link")
	if n := b.Log.Count(regexp.MustCompile(`Route connection closed|Router connection closed`)); n != 0 {
		t.Errorf("%d routes were closed by a rotation", n)
	}
	bundle(next)
	for _, p := range []*procs.Process{a, b, leaf} {
		await(p, `tls: new authorities: "CN=new`)
	}
	if ca.IsClosed() || cb.IsClosed() {
		t.Error("a client was cut off by a rotation")
	}
	nc := client(aPorts, "a by new")
	// New links stand on the new authority alone.
	b.Kill()
	b2, b2Ports := hub("b", fmt.Sprintf("\"nats://%s\"", procs.Addr(aPorts.Cluster[0])))
	defer b2.Kill()
	reaches(t, e, nc, client(b2Ports, "b by new"), "over.the.new.route")
}

// TestSPIFFEBetweenDaemons: hub and leaf node with identities of an agent only.
func TestSPIFFEBetweenDaemons(t *testing.T) {
	e := estate.New(t, bins)
	agent := agenttest.New(t)
	give := func(ca *certs.Authority) {
		var list []agenttest.Identity
		for _, id := range []string{"spiffe://example.org/hub", "spiffe://example.org/leaf", "spiffe://example.org/stranger"} {
			u, err := url.Parse(id)
			if err != nil {
				t.Fatal(err)
			}
			p, err := ca.Issue(certs.Request{CommonName: "x", Usage: certs.Both, URIs: []*url.URL{u}, Validity: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, agenttest.Identity{ID: id, Pair: p, Bundle: []*x509.Certificate{ca.Cert}})
		}
		agent.Set(list...)
	}
	first, err := certs.NewAuthority("first", 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := certs.NewAuthority("second", 0)
	if err != nil {
		t.Fatal(err)
	}
	give(first)
	hub := start(t, e, "hubd", "hub", fmt.Sprintf("ports_file_dir: \"{{dir}}\"\nlisten: 127.0.0.1:-1\nleafnodes { listen: 127.0.0.1:-1, authorization { users: [ { user: \"spiffe://example.org/leaf\" } ] }, tls { verify_and_map: true, spiffe: { socket: %q, id: \"spiffe://example.org/hub\", peers: [\"spiffe://example.org/leaf\"] } } }\n", agent.Endpoint))
	ports, err := hub.Ports(e.Context())
	if err != nil {
		t.Fatal(err)
	}
	edge := func(dir, id string) *procs.Process {
		p, err := procs.Start(procs.Spec{Exe: e.Build("leafd"), Dir: e.Dir(dir), Env: []string{"SPIFFE_ENDPOINT_SOCKET=" + agent.Endpoint},
			Config: fmt.Sprintf("ports_file_dir: \"{{dir}}\"\nlisten: 127.0.0.1:-1\nleafnodes { remotes: [ { url: \"tls://%s\", tls { spiffe: { id: %q, peers: \"spiffe://example.org/hub\" } } } ] }\n", procs.Addr(ports.LeafNodes[0]), id)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		return p
	}
	linked := func(p *procs.Process, subject string) {
		t.Helper()
		own, err := p.Ports(e.Context())
		if err != nil {
			t.Fatal(err)
		}
		a, err := nats.Connect(own.Client())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		b, err := nats.Connect(ports.Client())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		reaches(t, e, a, b, subject)
	}
	leaf := edge("leaf", "spiffe://example.org/leaf")
	linked(leaf, "first")
	stranger := edge("stranger", "spiffe://example.org/stranger")
	if _, err := hub.Log.Wait(e.Context(), regexp.MustCompile(`spiffe://example.org/stranger is not among the peers that are let in`)); err != nil {
		t.Errorf("%v\n%s", err, hub.Log.Tail(20))
	}
	stranger.Kill()
	give(second)
	for _, p := range []*procs.Process{hub, leaf} {
		if _, err := p.Log.Wait(e.Context(), regexp.MustCompile(`tls: new certificate "spiffe://example.org/(hub|leaf)"`)); err != nil {
			t.Errorf("%v\n%s", err, p.Log.Tail(20))
		}
	}
	linked(leaf, "after.the.rotation")
	leaf.Kill()
	linked(edge("again", "spiffe://example.org/leaf"), "by.new.identities")
	// Without an agent a start fails and says so.
	r := command(t, "", e.Build("leafd"), "-c", write(t, filepath.Join(e.Dir("none"), "leafd.conf"), "listen: 127.0.0.1:-1\ntls { spiffe: { socket: \"unix:///nowhere/s\", timeout: 0.2 } }\n"))
	if r.code != 1 || !strings.Contains(r.err, "clients.tls: no SPIFFE identity within 200ms") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
}

// TestOCSPOfDaemons: a staple for clients, a revoked client, a start that must not be.
func TestOCSPOfDaemons(t *testing.T) {
	e := estate.New(t, bins)
	ca, err := certs.NewAuthority("CA", 0)
	if err != nil {
		t.Fatal(err)
	}
	responder := ocsptest.New(t, ca)
	dir := e.Dir("tls")
	issue := func(name string) *certs.Pair {
		r := certs.Request{CommonName: name, Usage: certs.Both, OCSP: []string{responder.URL}, MustStaple: name == "server"}
		r.AddHost("localhost", "127.0.0.1")
		p, err := ca.Issue(r)
		if err == nil {
			err = p.WriteFiles(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	server, good, bad := issue("server"), issue("good"), issue("bad")
	responder.Set(bad.Cert, 1) // revoked
	caFile := write(t, filepath.Join(dir, "ca.crt"), string(ca.CertPEM()))
	settings := fmt.Sprintf("ports_file_dir: \"{{dir}}\"\nlisten: 127.0.0.1:-1\nocsp: must\ntls { cert_file: %q, key_file: %q, ca_file: %q, verify: true, ocsp_peer: true, timeout: 5 }\n",
		filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"), caFile)
	hub := start(t, e, "hubd", "hub", settings)
	ports, err := hub.Ports(e.Context())
	if err != nil {
		t.Fatal(err)
	}
	connect := func(p *certs.Pair) error {
		nc, err := nats.Connect(ports.Client(), nats.Timeout(estate.Patience/2), nats.Secure(&tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{p.TLS()},
			VerifyConnection: func(c tls.ConnectionState) error {
				if len(c.OCSPResponse) == 0 {
					return fmt.Errorf("no staple")
				}
				return nil
			}}))
		if err == nil {
			nc.Close()
		}
		return err
	}
	if err := connect(good); err != nil {
		t.Error(err)
	}
	if err := connect(bad); err == nil {
		t.Error("a revoked client was let in")
	}
	if _, err := hub.Log.Wait(e.Context(), regexp.MustCompile(`TLS handshake error.*OCSP refuses peer "CN=bad".*revoked`)); err != nil {
		t.Errorf("%v\n%s", err, hub.Log.Tail(10))
	}
	responder.Set(server.Cert, 1)
	r := command(t, "", e.Build("hubd"), "-c", write(t, filepath.Join(dir, "hubd.conf"), strings.ReplaceAll(settings, "{{dir}}", dir)))
	if r.code != 1 || !strings.Contains(r.err, `clients.tls: no good OCSP response for certificate "CN=server": its OCSP status is revoked`) {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
}
