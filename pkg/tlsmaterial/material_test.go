package tlsmaterial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/certs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// authority is a certificate authority with its file.
type authority struct {
	*certs.Authority
	file string
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{must2(t)(certs.NewAuthority(name, 0)), filepath.Join(t.TempDir(), "ca.crt")}
	if err := os.WriteFile(a.file, a.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func must2(t testing.TB) func(*certs.Authority, error) *certs.Authority {
	return func(a *certs.Authority, err error) *certs.Authority { return must(t, a, err) }
}

func (a *authority) issue(t testing.TB, name string, more ...func(*certs.Request)) *certs.Pair {
	t.Helper()
	r := certs.Request{CommonName: name, Usage: certs.Both}
	r.AddHost("localhost", "127.0.0.1")
	for _, f := range more {
		f(&r)
	}
	p, err := a.Issue(r)
	return must(t, p, err)
}

// files are where one side's pair lies.
func files(t testing.TB) Pair {
	dir := t.TempDir()
	return Pair{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
}

func write(t testing.TB, p *certs.Pair, f Pair) {
	t.Helper()
	if err := p.WriteFiles(f.CertFile, f.KeyFile); err != nil {
		t.Fatal(err)
	}
}

// lines is a Log that a test can wait on.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(level, format string, args []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, level+" "+fmt.Sprintf(format, args...))
}
func (l *lines) Noticef(f string, a ...any) { l.add("INF", f, a) }
func (l *lines) Warnf(f string, a ...any)   { l.add("WRN", f, a) }
func (l *lines) Errorf(f string, a ...any)  { l.add("ERR", f, a) }

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

func (l *lines) count(text string) int { return strings.Count(l.String(), text) }

func (l *lines) await(t testing.TB, text string) {
	t.Helper()
	eventually(t, func() bool { return l.count(text) > 0 }, func() string {
		return fmt.Sprintf("no line with %q in:\n%s", text, l)
	})
}

func eventually(t testing.TB, ok func() bool, why func() string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(why())
		}
	}
}

// echo serves TLS until the test ends.
func echo(t testing.TB, cfg *tls.Config) string {
	t.Helper()
	ln := must2l(t, "127.0.0.1:0")
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				s := tls.Server(c, cfg)
				b := make([]byte, 64)
				for {
					n, err := s.Read(b)
					if err != nil {
						return
					}
					if _, err := s.Write(b[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func must2l(t testing.TB, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	return must(t, ln, err)
}

// dial connects and sends a byte to and fro, so that both sides' verdicts are in.
func dial(t testing.TB, addr string, cfg *tls.Config) (*tls.Conn, error) {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Second))
	return c, ping(c)
}

func ping(c *tls.Conn) error {
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// shown is the name of the certificate that a server shows to a new connection.
func shown(t testing.TB, addr string, m *Material) string {
	t.Helper()
	c, err := dial(t, addr, must(t, must3(m.Client("localhost")), nil))
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func must3(c *tls.Config, err error) *tls.Config {
	if err != nil {
		panic(err)
	}
	return c
}

func startKeeper(t testing.TB) (*Keeper, *lines) {
	log := &lines{}
	k := NewKeeper(Options{Log: log, Interval: 5 * time.Millisecond})
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k, log
}

func TestReplacedFilesServeNewConnectionsAndKeepOldOnes(t *testing.T) {
	ca := newAuthority(t, "CA")
	f := files(t)
	write(t, ca.issue(t, "one"), f)
	k, log := startKeeper(t)
	m := k.Material("clients.tls", Settings{Pairs: []Pair{f}})
	addr := echo(t, must3(m.Server()))
	client := New("dial", Settings{CAFile: ca.file})
	old, err := dial(t, addr, must3(client.Client("localhost")))
	if err != nil {
		t.Fatal(err)
	}
	two := ca.issue(t, "two")
	write(t, two, f)
	log.await(t, `clients.tls: new certificate "CN=two", valid until `+two.Cert.NotAfter.UTC().Format("2006-01-02"))
	if got := shown(t, addr, client); got != "two" {
		t.Errorf("after the replacement the server shows %q", got)
	}
	if err := ping(old); err != nil {
		t.Errorf("an open connection was lost: %v", err)
	}
	if at, ok := m.NotAfter(); !ok || !at.Equal(two.Cert.NotAfter) {
		t.Errorf("NotAfter is %v, %v", at, ok)
	}
}

func TestSwappedDirectoryIsPickedUp(t *testing.T) {
	// As Kubernetes updates a volume: names are links into ..data, which is a link
	// to a directory and is replaced by a rename.
	ca := newAuthority(t, "CA")
	dir := t.TempDir()
	put := func(version, name string) {
		d := filepath.Join(dir, version)
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, ca.issue(t, name), Pair{filepath.Join(d, "tls.crt"), filepath.Join(d, "tls.key")})
		if err := os.Symlink(version, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	put("..1", "one")
	f := Pair{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	for _, l := range []string{f.CertFile, f.KeyFile} {
		if err := os.Symlink(filepath.Join("..data", filepath.Base(l)), l); err != nil {
			t.Fatal(err)
		}
	}
	k, log := startKeeper(t)
	m := k.Material("leafs.tls", Settings{Pairs: []Pair{f}})
	addr := echo(t, must3(m.Server()))
	client := New("dial", Settings{CAFile: ca.file})
	if got := shown(t, addr, client); got != "one" {
		t.Fatalf("the server shows %q", got)
	}
	put("..2", "two")
	log.await(t, "CN=two")
	if got := shown(t, addr, client); got != "two" {
		t.Errorf("after the swap the server shows %q", got)
	}
}

func TestBrokenFilesLeaveTheFormerOnes(t *testing.T) {
	ca := newAuthority(t, "CA")
	f := files(t)
	write(t, ca.issue(t, "one"), f)
	k, log := startKeeper(t)
	m := k.Material("cluster.tls", Settings{Pairs: []Pair{f}, CAFile: ca.file})
	addr := echo(t, must3(m.Server()))
	client := New("dial", Settings{CAFile: ca.file})
	// A key that does not belong to the certificate.
	other := files(t)
	write(t, ca.issue(t, "two"), other)
	if err := os.Rename(other.KeyFile, f.KeyFile); err != nil {
		t.Fatal(err)
	}
	log.await(t, "cluster.tls: new files are not used, the former certificates stay")
	if err := m.Reload(); err == nil {
		t.Error("a key that does not fit was taken")
	}
	if err := k.Reload(); err == nil || !strings.HasPrefix(err.Error(), "cluster.tls: ") {
		t.Errorf("reloading all: %v", err)
	}
	if got := shown(t, addr, client); got != "one" {
		t.Errorf("the server shows %q", got)
	}
	// The other half arrives.
	if err := os.Rename(other.CertFile, f.CertFile); err != nil {
		t.Fatal(err)
	}
	log.await(t, "CN=two")
	if got := shown(t, addr, client); got != "two" {
		t.Errorf("the server shows %q", got)
	}
	if n := log.count("not used"); n != 1 {
		t.Errorf("the failure was logged %d times:\n%s", n, log)
	}
}

func TestReloadOfSeveralIsAllOrNothing(t *testing.T) {
	ca := newAuthority(t, "CA")
	a, b := files(t), files(t)
	write(t, ca.issue(t, "a1"), a)
	write(t, ca.issue(t, "b1"), b)
	k := NewKeeper(Options{})
	ma, mb := k.Material("a", Settings{Pairs: []Pair{a}}), k.Material("b", Settings{Pairs: []Pair{b}})
	addr := echo(t, must3(ma.Server()))
	must3(mb.Server())
	client := New("dial", Settings{CAFile: ca.file})
	write(t, ca.issue(t, "a2"), a)
	if err := os.WriteFile(b.CertFile, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(); err == nil {
		t.Fatal("nonsense was taken")
	}
	if got := shown(t, addr, client); got != "a1" {
		t.Errorf("the other block was replaced: it shows %q", got)
	}
	write(t, ca.issue(t, "b2"), b)
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := shown(t, addr, client); got != "a2" {
		t.Errorf("the server shows %q", got)
	}
}

func TestReplacedAuthoritiesAndPins(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	f, bundle := files(t), filepath.Join(t.TempDir(), "bundle.pem")
	write(t, first.issue(t, "server"), f)
	put := func(as ...*authority) {
		var b []byte
		for _, a := range as {
			b = append(b, a.CertPEM()...)
		}
		if err := os.WriteFile(bundle, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(first)
	k, log := startKeeper(t)
	s := Settings{Pairs: []Pair{f}, CAFile: bundle, Verify: true}
	m := k.Material("clients.tls", s)
	addr := echo(t, must3(m.Server()))
	peer := func(a *authority) (*tls.Config, *x509.Certificate) {
		p := a.issue(t, "peer of "+a.Cert.Subject.CommonName)
		return &tls.Config{RootCAs: first.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{p.TLS()}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}, p.Cert
	}
	one, oneCert := peer(first)
	two, _ := peer(second)
	kept, err := dial(t, addr, one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, addr, two); err == nil {
		t.Fatal("a stranger's authority was trusted")
	}
	put(first, second)
	log.await(t, `clients.tls: new authorities: "CN=first`)
	if _, err := dial(t, addr, two); err != nil {
		t.Errorf("the new authority is not trusted: %v", err)
	}
	put(second)
	eventually(t, func() bool { return log.count("new authorities") == 2 }, log.String)
	// one's session can be resumed, and must not be.
	if _, err := dial(t, addr, one); err == nil {
		t.Error("a session of an authority that is gone was resumed")
	}
	if err := ping(kept); err != nil {
		t.Errorf("an open connection was lost: %v", err)
	}
	state := kept.ConnectionState()
	state.PeerCertificates = []*x509.Certificate{oneCert}
	if m.Check(state, true) == nil {
		t.Error("Check admits a peer of an authority that is gone")
	}
	// Pins by new settings, as a reload of the settings does it.
	s.Pinned = []string{strings.Repeat("0", 64)}
	next := must(t, must4(m.Prepare(s)), nil)
	if _, err := dial(t, addr, two); err != nil {
		t.Errorf("prepared settings are in force already: %v", err)
	}
	next.Commit()
	if _, err := dial(t, addr, two); err == nil {
		t.Error("who is not pinned was let in")
	}
	state.PeerCertificates[0] = must5(two)
	if err := m.Check(state, true); !errors.Is(err, ErrNotPinned) {
		t.Errorf("Check: %v", err)
	}
}

func must4(n *Next, err error) *Next {
	if err != nil {
		panic(err)
	}
	return n
}

func must5(c *tls.Config) *x509.Certificate { return c.Certificates[0].Leaf }

func TestExpiryIsWarnedOfOnceADay(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		life, left time.Duration
		want       string
	}{
		{365 * day, 40 * day, ""},
		{365 * day, 29*day + time.Hour, `WRN x: certificate "CN=c" expires in 29 days`},
		{365 * day, 6*day + time.Hour, `ERR x: certificate "CN=c" expires in 6 days`},
		{365 * day, -time.Hour, `ERR x: certificate "CN=c" expired on`},
		{day, 12 * time.Hour, ""}, // renewed often: half of its life is left
		{day, 6 * time.Hour, "WRN"},
	} {
		log := &lines{}
		clock := now
		k := NewKeeper(Options{Log: log, Now: func() time.Time { return clock }})
		m := k.Material("x", Settings{})
		cert := &x509.Certificate{Raw: []byte("c"), NotBefore: now.Add(c.left - c.life), NotAfter: now.Add(c.left)}
		cert.Subject.CommonName = "c"
		m.current.Store(&snapshot{certs: []tls.Certificate{{Leaf: cert}}})
		k.expiry(m)
		k.expiry(m)
		if got := log.String(); c.want == "" && got != "" || strings.Count(got, "\n") > 0 || !strings.Contains(got, c.want) {
			t.Errorf("life %s, left %s: %q", c.life, c.left, got)
		}
		if clock = now.Add(day); c.want != "" {
			if k.expiry(m); len(log.all) != 2 {
				t.Errorf("life %s, left %s: a day later there are %d lines", c.life, c.left, len(log.all))
			}
		}
	}
}

func TestAuthoritiesOfAFileAreWarnedOf(t *testing.T) {
	ca := must2(t)(certs.NewAuthority("short", time.Hour))
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, ca.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	k := NewKeeper(Options{Log: log, Now: func() time.Time { return time.Now().Add(50 * time.Minute) }})
	m := k.Material("x", Settings{CAFile: file})
	must3(m.Client("localhost"))
	k.look(m)
	if log.count(`x: authority "CN=short`) != 1 {
		t.Errorf("log: %s", log)
	}
}

func TestListenersNeedACertificate(t *testing.T) {
	if _, err := New("x", Settings{}).Server(); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("error %v", err)
	}
	if _, err := New("x", Settings{CAFile: "/nowhere"}).Client("a"); err == nil {
		t.Error("a file that is not there was read")
	}
}
