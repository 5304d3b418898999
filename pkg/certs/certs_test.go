package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func ensure(t *testing.T, s Spec) *Result {
	t.Helper()
	r, err := Ensure(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func verify(r *Result, host string, usage x509.ExtKeyUsage, at time.Time) error {
	ca, err := os.ReadFile(r.CA)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	p, err := LoadPair(r.Cert, r.Key)
	if err != nil {
		return err
	}
	_, err = p.Cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: at})
	return err
}

func TestServerCertificateVerifies(t *testing.T) {
	dir := t.TempDir()
	r := ensure(t, Spec{Dir: dir, Name: "hub-sfo-0", Hosts: []string{"hub.example.net", "*.leaf.example.net", "127.0.0.1", "::1"}})
	for _, host := range []string{"hub-sfo-0", "hub.example.net", "x.leaf.example.net", "127.0.0.1", "::1"} {
		if err := verify(r, host, x509.ExtKeyUsageServerAuth, time.Time{}); err != nil {
			t.Errorf("for %s: %v", host, err)
		}
	}
	for _, host := range []string{"example.net", "localhost", "127.0.0.2"} {
		if verify(r, host, x509.ExtKeyUsageServerAuth, time.Time{}) == nil {
			t.Errorf("answers for %s, which nobody asked for", host)
		}
	}
	if verify(r, "hub-sfo-0", x509.ExtKeyUsageClientAuth, time.Time{}) == nil {
		t.Error("a server certificate is accepted from a client")
	}
	if verify(r, "hub-sfo-0", x509.ExtKeyUsageServerAuth, time.Now().Add(DefaultValidity+time.Minute)) == nil {
		t.Error("valid after its end")
	}
	if verify(r, "hub-sfo-0", x509.ExtKeyUsageServerAuth, time.Now().Add(-2*backdate)) == nil {
		t.Error("valid before its beginning")
	}
	p, err := LoadPair(r.Cert, r.Key)
	if err != nil {
		t.Fatal(err)
	}
	if pub, ok := p.Cert.PublicKey.(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		t.Errorf("the key is %T, want ECDSA P-256", p.Cert.PublicKey)
	}
	if p.Cert.IsCA {
		t.Error("the certificate may sign others")
	}
}

func TestDefaultServerAnswersForLoopback(t *testing.T) {
	r := ensure(t, Spec{Dir: t.TempDir(), Name: "leaf"})
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := verify(r, host, x509.ExtKeyUsageServerAuth, time.Time{}); err != nil {
			t.Errorf("for %s: %v", host, err)
		}
	}
}

func TestClientCertificateCarriesURIAndSubject(t *testing.T) {
	r := ensure(t, Spec{Dir: t.TempDir(), Name: "edge 42", Usage: Client, Org: "Edges", URIs: []string{"spiffe://example.net/edge/42"}})
	if err := verify(r, "", x509.ExtKeyUsageClientAuth, time.Time{}); err != nil {
		t.Error(err)
	}
	if verify(r, "", x509.ExtKeyUsageServerAuth, time.Time{}) == nil {
		t.Error("a client certificate is accepted from a server")
	}
	p, err := LoadPair(r.Cert, r.Key)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Cert.URIs) != 1 || p.Cert.URIs[0].String() != "spiffe://example.net/edge/42" {
		t.Errorf("URIs %v", p.Cert.URIs)
	}
	if r.Subject != "CN=edge 42,O=Edges" {
		t.Errorf("subject %q", r.Subject)
	}
	if len(p.Cert.DNSNames) != 0 || len(p.Cert.IPAddresses) != 0 {
		t.Errorf("a client answers for hosts: %v %v", p.Cert.DNSNames, p.Cert.IPAddresses)
	}
}

func TestKeysAreReadByTheirOwnerOnly(t *testing.T) {
	r := ensure(t, Spec{Dir: t.TempDir(), Name: "a"})
	for _, f := range []string{r.CAKey, r.Key} {
		if fi, err := os.Stat(f); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", f, fi.Mode(), err)
		}
	}
	// Copying about may have opened it; the next run closes it again.
	if err := os.Chmod(r.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	ensure(t, Spec{Dir: filepath.Dir(r.Key), Name: "a"})
	if fi, _ := os.Stat(r.Key); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v after the second run", fi.Mode())
	}
}

func TestEnsureTwiceChangesNothing(t *testing.T) {
	s := Spec{Dir: filepath.Join(t.TempDir(), "new", "dir"), Name: "a", Hosts: []string{"b.example.net"}}
	first := ensure(t, s)
	if !first.Changed() || len(first.Files) != 4 {
		t.Fatalf("first run: %+v", first.Files)
	}
	before := readAll(t, s.Dir)
	second := ensure(t, s)
	if second.Changed() {
		t.Errorf("second run: %+v", second.Files)
	}
	after := readAll(t, s.Dir)
	if len(before) != 4 || len(after) != len(before) {
		t.Fatalf("files before %d, after %d, want 4", len(before), len(after))
	}
	for f, b := range before {
		if after[f] != b {
			t.Errorf("%s changed", f)
		}
	}
}

func TestEnsureRenewsWhatIsNoLongerGood(t *testing.T) {
	base := Spec{Name: "a", Hosts: []string{"b.example.net"}, Validity: 100 * time.Hour}
	for name, change := range map[string]func(*Spec){
		"other host": func(s *Spec) { s.Hosts = []string{"c.example.net"} },
		"more hosts": func(s *Spec) { s.Hosts = append(s.Hosts, "10.0.0.1") },
		"usage":      func(s *Spec) { s.Usage = Both },
		"uri":        func(s *Spec) { s.URIs = []string{"spiffe://x/y"} },
		"org":        func(s *Spec) { s.Org = "X" },
		"force":      func(s *Spec) { s.Force = true },
		"other CA": func(s *Spec) {
			os.Remove(filepath.Join(s.Dir, "ca.crt"))
			os.Remove(filepath.Join(s.Dir, "ca.key"))
		},
		"broken key":  func(s *Spec) { os.WriteFile(filepath.Join(s.Dir, "a.key"), []byte("x"), 0o600) },
		"missing key": func(s *Spec) { os.Remove(filepath.Join(s.Dir, "a.key")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := base
			s.Dir = t.TempDir()
			old := ensure(t, s)
			oldPEM, _ := os.ReadFile(old.Cert)
			change(&s)
			r := ensure(t, s)
			newPEM, _ := os.ReadFile(r.Cert)
			if r.Files[2].Action != Renewed || string(oldPEM) == string(newPEM) {
				t.Errorf("not renewed: %+v", r.Files)
			}
			usage := x509.ExtKeyUsageServerAuth
			if err := verify(r, "a", usage, time.Time{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEnsureRenewsNearTheEnd(t *testing.T) {
	dir := t.TempDir()
	ca, err := NewAuthority("x", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.WriteFiles(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	req, err := Spec{Dir: dir, Name: "a"}.request()
	if err != nil {
		t.Fatal(err)
	}
	req.NotBefore, req.Validity = time.Now().Add(-95*time.Hour), 100*time.Hour
	old, err := ca.Issue(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.WriteFiles(filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")); err != nil {
		t.Fatal(err)
	}
	r := ensure(t, Spec{Dir: dir, Name: "a"})
	if r.Files[0].Action != Kept || r.Files[2].Action != Renewed {
		t.Errorf("%+v: want the authority kept, the certificate renewed", r.Files)
	}
}

func TestEnsureNeverReplacesAnAuthority(t *testing.T) {
	dir := t.TempDir()
	ensure(t, Spec{Dir: dir, Name: "a"})
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if _, err := Ensure(Spec{Dir: dir, Name: "b"}); err == nil {
		t.Error("a lone ca.crt was taken for nothing")
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "ca.crt")); string(after) != string(before) {
		t.Error("ca.crt changed")
	}
	old, err := NewAuthority("x", time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.WriteFiles(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(Spec{Dir: dir, Name: "b"}); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired authority: %v", err)
	}
}

func TestBadSpecs(t *testing.T) {
	for _, s := range []Spec{
		{Name: "a"},
		{Dir: "x"},
		{Dir: "x", Name: "ca"},
		{Dir: "x", Name: "../a"},
		{Dir: "x", Name: ".hidden"},
		{Dir: "x", Name: "a", Hosts: []string{"nats://h"}},
		{Dir: "x", Name: "a", Hosts: []string{"h:4222"}},
		{Dir: "x", Name: "a", Hosts: []string{"[::1]"}},
		{Dir: "x", Name: "a", Hosts: []string{""}},
		{Dir: "x", Name: "a", URIs: []string{"nothing"}},
		{Dir: "x", Name: "a", Validity: -time.Hour},
	} {
		if _, err := Ensure(s); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
	if exists("x") {
		t.Error("a bad spec made a directory")
	}
}

func TestNoCertificateOutlivesItsAuthority(t *testing.T) {
	ca, err := NewAuthority("short", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ca.Issue(Request{CommonName: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if p.Cert.NotAfter.After(ca.Cert.NotAfter) {
		t.Errorf("ends %s, the authority %s", p.Cert.NotAfter, ca.Cert.NotAfter)
	}
}

// Mutual TLS over a real connection: the right client gets in, one of another authority does not.
func TestMutualTLS(t *testing.T) {
	ca, err := NewAuthority("ca", 0)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewAuthority("other", 0)
	if err != nil {
		t.Fatal(err)
	}
	server := issue(t, ca, Request{CommonName: "s", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{server.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello")
			c.Close()
		}
	}()
	dial := func(p *Pair) (string, error) {
		c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{p.TLS()}})
		if err != nil {
			return "", err
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		return string(b), err
	}
	if s, err := dial(issue(t, ca, Request{CommonName: "c", Usage: Client})); err != nil || s != "hello" {
		t.Errorf("right client: %q, %v", s, err)
	}
	if s, err := dial(issue(t, other, Request{CommonName: "c", Usage: Client})); err == nil {
		t.Errorf("the client of another authority read %q", s)
	}
}

func issue(t *testing.T, a *Authority, r Request) *Pair {
	t.Helper()
	p, err := a.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func readAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, e := range es {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m[e.Name()] = string(b)
	}
	return m
}
