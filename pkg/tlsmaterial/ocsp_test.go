package tlsmaterial

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/tlsmaterial/ocsptest"
)

func withOCSP(url string, must bool) func(*certs.Request) {
	return func(r *certs.Request) {
		r.MustStaple = must
		if url != "" {
			r.OCSP = []string{url}
		}
	}
}

// stapledTo is the status that a server staples; -1 is none.
func stapledTo(t testing.TB, addr string, ca *authority) int {
	t.Helper()
	c, err := dial(t, addr, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := c.ConnectionState()
	if len(s.OCSPResponse) == 0 {
		return -1
	}
	r, err := ocsp.ParseResponseForCert(s.OCSPResponse, s.PeerCertificates[0], ca.Cert)
	if err != nil {
		t.Fatal(err)
	}
	return r.Status
}

func TestStapleModes(t *testing.T) {
	for _, c := range []struct {
		mode       StapleMode
		must       bool
		status     int
		down       bool
		want       int
		start, log string
	}{
		{mode: StapleAuto, must: true, want: ocsp.Good},
		{mode: StapleAuto, must: false, want: -1},
		{mode: StapleAuto, must: true, status: ocsp.Revoked, want: -1, log: "its OCSP status is revoked; nothing is stapled"},
		{mode: StapleAuto, must: true, down: true, want: -1, log: "503 Service Unavailable"},
		{mode: StapleMust, must: true, want: ocsp.Good},
		{mode: StapleMust, must: false, down: true, want: -1},
		{mode: StapleMust, must: true, status: ocsp.Unknown, start: "status is unknown"},
		{mode: StapleAlways, must: false, want: ocsp.Good},
		{mode: StapleAlways, must: false, status: ocsp.Revoked, start: `x: no good OCSP response for certificate "CN=server": its OCSP status is revoked`},
		{mode: StapleAlways, must: false, down: true, start: "503"},
		{mode: StapleNever, must: true, want: -1, log: "demands a staple of OCSP, which the settings forbid"},
		{mode: StapleNever, must: false, want: -1},
	} {
		ca := newAuthority(t, "CA")
		responder := ocsptest.New(t, ca.Authority)
		pair := ca.issue(t, "server", withOCSP(responder.URL, c.must))
		responder.Set(pair.Cert, c.status)
		responder.Down(c.down)
		f := files(t)
		write(t, pair, f)
		log := &lines{}
		k := NewKeeper(Options{Log: log})
		m := k.Material("x", Settings{Pairs: []Pair{f}, CAFile: ca.file, Staple: &Staple{Mode: c.mode}})
		err := k.Start()
		if (err == nil) != (c.start == "") || err != nil && !strings.Contains(err.Error(), c.start) {
			t.Errorf("%+v: start: %v", c, err)
		}
		if err == nil {
			if got := stapledTo(t, echo(t, must3(m.Server())), ca); got != c.want {
				t.Errorf("%+v: stapled %d", c, got)
			}
			if got := log.String(); c.log == "" && got != "" || !strings.Contains(got, c.log) {
				t.Errorf("%+v: log %s", c, got)
			}
		}
		k.Close()
	}
}

func TestStaplesComeFromTheDirectoryAndFromOtherURLs(t *testing.T) {
	ca := newAuthority(t, "CA")
	responder := ocsptest.New(t, ca.Authority)
	responder.OnlyGET()
	f, dir := files(t), filepath.Join(t.TempDir(), "ocsp")
	write(t, ca.issue(t, "server", withOCSP("http://127.0.0.1:1/", true)), f)
	start := func() {
		k := NewKeeper(Options{Log: &lines{}})
		defer k.Close()
		m := k.Material("x", Settings{Pairs: []Pair{f}, CAFile: ca.file, Staple: &Staple{Mode: StapleMust, URLs: []string{responder.URL + "/"}, Dir: dir}})
		if err := k.Start(); err != nil {
			t.Fatal(err)
		}
		if got := stapledTo(t, echo(t, must3(m.Server())), ca); got != ocsp.Good {
			t.Errorf("stapled %d", got)
		}
	}
	start()
	if got := responder.Methods(); !slices.Equal(got, []string{"POST", "GET"}) {
		t.Errorf("the responder was asked by %v", got)
	}
	responder.Down(true)
	start()
	// What is in the directory is not believed without a signature.
	entries := must(t, must6(os.ReadDir(dir)), nil)
	if len(entries) != 1 || len(entries[0].Name()) != 64 {
		t.Fatalf("directory: %v", entries)
	}
	if err := os.WriteFile(filepath.Join(dir, entries[0].Name()), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	responder.Down(false)
	start()
}

func must6[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestStaplesAreRenewedAndRevocationEndsAStrictProcess(t *testing.T) {
	ca := newAuthority(t, "CA")
	responder := ocsptest.New(t, ca.Authority)
	f := files(t)
	pair := ca.issue(t, "server", withOCSP(responder.URL, false))
	write(t, pair, f)
	log := &lines{}
	var ahead atomic.Int64
	fatal := make(chan error, 16)
	k := NewKeeper(Options{Log: log, Interval: 5 * time.Millisecond, Fatal: func(err error) { fatal <- err },
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	defer k.Close()
	m := k.Material("clients.tls", Settings{Pairs: []Pair{f}, CAFile: ca.file, Staple: &Staple{Mode: StapleAlways}})
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	addr := echo(t, must3(m.Server()))
	asked := func() int { return len(responder.Methods()) }
	if stapledTo(t, addr, ca) != ocsp.Good || asked() != 1 {
		t.Fatalf("asked %d times", asked())
	}
	// Past half of the hour the responder is down: what there is holds on.
	responder.Down(true)
	ahead.Store(int64(31 * time.Minute))
	log.await(t, "the former one holds until")
	if stapledTo(t, addr, ca) != ocsp.Good {
		t.Error("a staple that holds was dropped")
	}
	// It comes back with an answer that holds for longer.
	responder.Valid(3 * time.Hour)
	responder.Down(false)
	ahead.Store(int64(40 * time.Minute))
	eventually(t, func() bool { return len(m.current.Load().missing(k.o.Now())) == 0 }, func() string { return "it is not asked again" })
	select {
	case err := <-fatal:
		t.Fatalf("the process was ended: %v", err)
	default:
	}
	responder.Set(pair.Cert, ocsp.Revoked)
	ahead.Store(int64(160 * time.Minute))
	select {
	case err := <-fatal:
		if err.Error() != `clients.tls: ocsp mode always: certificate "CN=server": its OCSP status is revoked` {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a revoked certificate did not end the process")
	}
	eventually(t, func() bool { return stapledTo(t, addr, ca) == -1 }, func() string { return "a staple about a revoked certificate stays" })
}

func TestANewCertificateThatIsRevokedIsNotTaken(t *testing.T) {
	ca := newAuthority(t, "CA")
	responder := ocsptest.New(t, ca.Authority)
	f := files(t)
	write(t, ca.issue(t, "one", withOCSP(responder.URL, true)), f)
	k, log := startKeeper(t)
	m := k.Material("x", Settings{Pairs: []Pair{f}, CAFile: ca.file, Staple: &Staple{Mode: StapleMust}})
	if err := k.first(m); err != nil {
		t.Fatal(err)
	}
	addr := echo(t, must3(m.Server()))
	two := ca.issue(t, "two", withOCSP(responder.URL, true))
	responder.Set(two.Cert, ocsp.Revoked)
	write(t, two, f)
	log.await(t, `new files are not used, the former certificates stay: no good OCSP response for certificate "CN=two": its OCSP status is revoked`)
	three := ca.issue(t, "three", withOCSP(responder.URL, true))
	write(t, three, f)
	log.await(t, `new certificate "CN=three"`)
	if got := stapledTo(t, addr, ca); got != ocsp.Good {
		t.Errorf("stapled %d", got)
	}
}

// servers are two that demand staples of each other.
func TestServersDemandStaplesOfEachOther(t *testing.T) {
	ca := newAuthority(t, "CA")
	responder := ocsptest.New(t, ca.Authority)
	k := NewKeeper(Options{Log: &lines{}, Interval: time.Hour})
	defer k.Close()
	side := func(name string, staple *Staple) *Material {
		f := files(t)
		write(t, ca.issue(t, name, withOCSP(responder.URL, false)), f)
		return k.Material(name, Settings{Pairs: []Pair{f}, CAFile: ca.file, Verify: true, Staple: staple})
	}
	demanding := side("a", &Staple{Mode: StapleAlways, FromPeers: "route"})
	other := side("b", &Staple{Mode: StapleAlways, FromPeers: "route"})
	plain := side("c", nil)
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, echo(t, must3(demanding.Server())), must3(other.Client("localhost"))); err != nil {
		t.Errorf("both staple: %v", err)
	}
	if _, err := dial(t, echo(t, must3(plain.Server())), must3(demanding.Client("localhost"))); err == nil || !strings.Contains(err.Error(), "route peer missing OCSP Staple") {
		t.Errorf("dialing one that does not: %v", err)
	}
	if _, err := dial(t, echo(t, must3(demanding.Server())), must3(plain.Client("localhost"))); err == nil {
		t.Error("one that does not staple was let in")
	}
}

func TestPeersAreAskedAbout(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    OCSPPeer
		status int
		change func(r *ocsptest.Responder)
		plain  bool // its certificate names no responder
		want   string
		log    string
	}{
		{name: "good"},
		{name: "revoked", status: ocsp.Revoked, want: `certificate "CN=peer": its OCSP status is revoked`},
		{name: "unknown", status: ocsp.Unknown, want: "unknown"},
		{name: "unknown is good", status: ocsp.Unknown, set: OCSPPeer{UnknownIsGood: true}},
		{name: "down", change: func(r *ocsptest.Responder) { r.Down(true) }, want: "503"},
		{name: "down, allowed", change: func(r *ocsptest.Responder) { r.Down(true) }, set: OCSPPeer{AllowUnreachable: true}, log: "OCSP has no answer"},
		{name: "warn only", status: ocsp.Revoked, set: OCSPPeer{WarnOnly: true}, log: `OCSP would refuse peer "CN=peer"`},
		{name: "no responder", plain: true, status: ocsp.Revoked},
		{name: "out of date", change: func(r *ocsptest.Responder) { r.Made(2 * time.Hour) }, want: "out of date"},
		{name: "out of date within skew", change: func(r *ocsptest.Responder) { r.Made(2 * time.Hour) }, set: OCSPPeer{ClockSkew: 2 * time.Hour}},
		{name: "of the future", change: func(r *ocsptest.Responder) { r.Made(-time.Hour) }, want: "of the future"},
		{name: "no end said, old", change: func(r *ocsptest.Responder) { r.Valid(0); r.Made(2 * time.Hour) }, want: "out of date"},
		{name: "no end said, long enough", change: func(r *ocsptest.Responder) { r.Valid(0); r.Made(2 * time.Hour) }, set: OCSPPeer{UnsetTTL: 3 * time.Hour}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca := newAuthority(t, "CA")
			responder := ocsptest.New(t, ca.Authority)
			url := responder.URL
			if c.plain {
				url = ""
			}
			peer := ca.issue(t, "peer", withOCSP(url, false))
			responder.Set(peer.Cert, c.status)
			if c.change != nil {
				c.change(responder)
			}
			f := files(t)
			write(t, ca.issue(t, "server"), f)
			log := &lines{}
			var mu sync.Mutex
			var refused []Refusal
			k := NewKeeper(Options{Log: log})
			k.OnRefused(func(r Refusal) {
				mu.Lock()
				defer mu.Unlock()
				refused = append(refused, r)
			})
			defer k.Close()
			for _, accepted := range []bool{true, false} {
				m := k.Material("leafs.tls", Settings{Pairs: []Pair{f}, CAFile: ca.file, Verify: true, Peer: &c.set})
				var err error
				if accepted {
					_, err = dial(t, echo(t, must3(m.Server())), &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{peer.TLS()}})
				} else {
					_, err = dial(t, echo(t, &tls.Config{Certificates: []tls.Certificate{peer.TLS()}}), must3(m.Client("localhost")))
				}
				if (err == nil) != (c.want == "") || err != nil && !accepted && !strings.Contains(err.Error(), c.want) {
					t.Errorf("accepted %v: want %q: %v", accepted, c.want, err)
				}
			}
			if c.want != "" {
				if len(refused) != 2 || !refused[0].Accepted || refused[1].Accepted || !refused[0].Link.Equal(peer.Cert) || !strings.Contains(refused[0].Reason, c.want) || refused[0].Name != "leafs.tls" {
					t.Errorf("refusals %+v", refused)
				}
			} else if len(refused) != 0 {
				t.Errorf("refusals %+v", refused)
			}
			if !strings.Contains(log.String(), c.log) {
				t.Errorf("log %s", log)
			}
		})
	}
}

func TestAnswersAreCached(t *testing.T) {
	ca := newAuthority(t, "CA")
	responder := ocsptest.New(t, ca.Authority)
	peer, bad := ca.issue(t, "peer", withOCSP(responder.URL, false)), ca.issue(t, "bad", withOCSP(responder.URL, false))
	responder.Set(bad.Cert, ocsp.Revoked)
	f, dir := files(t), filepath.Join(t.TempDir(), "_rc_")
	write(t, ca.issue(t, "server"), f)
	var ahead time.Duration
	run := func(cache OCSPCache, n int, p *certs.Pair) (k *Keeper, err error) {
		k = NewKeeper(Options{Cache: cache, Interval: time.Hour, Now: func() time.Time { return time.Now().Add(ahead) }})
		defer k.Close()
		m := k.Material("x", Settings{Pairs: []Pair{f}, CAFile: ca.file, Verify: true, Peer: &OCSPPeer{}})
		if err := k.Start(); err != nil {
			t.Fatal(err)
		}
		addr := echo(t, must3(m.Server()))
		for range n {
			_, err = dial(t, addr, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{p.TLS()}})
		}
		return k, err
	}
	k, err := run(OCSPCache{Dir: dir, PreserveRevoked: true}, 3, peer)
	if err != nil || len(responder.Methods()) != 1 || k.CacheStats() != (CacheStats{Hits: 2, Misses: 1, Responses: 1, Good: 1}) {
		t.Errorf("%v, asked %v, %+v", err, responder.Methods(), k.CacheStats())
	}
	if _, err = run(OCSPCache{Off: true}, 2, peer); err != nil || len(responder.Methods()) != 3 {
		t.Errorf("without a cache: %v, asked %v", err, responder.Methods())
	}
	if _, err = run(OCSPCache{Dir: dir, PreserveRevoked: true}, 1, bad); err == nil {
		t.Error("who is revoked was let in")
	}
	// The next run has both, with nobody to ask.
	responder.Down(true)
	if k, err = run(OCSPCache{Dir: dir, PreserveRevoked: true}, 1, peer); err != nil || k.CacheStats().Responses != 2 || k.CacheStats().Revoked != 1 {
		t.Errorf("after a restart: %v, %+v", err, k.CacheStats())
	}
	// When it is old, what is good is asked for again; what is revoked stays so.
	ahead = 3 * time.Hour
	if _, err = run(OCSPCache{Dir: dir, PreserveRevoked: true}, 1, peer); err == nil {
		t.Error("an old answer was taken")
	}
	if k, err = run(OCSPCache{Dir: dir, PreserveRevoked: true}, 1, bad); err == nil || k.CacheStats().Hits != 1 {
		t.Errorf("revoked, old: %v, %+v", err, k.CacheStats())
	}
	if err := os.WriteFile(filepath.Join(dir, "cache.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	c := newOCSPCache(OCSPCache{Dir: dir})
	if c.load(log); log.count("is begun anew") != 1 {
		t.Errorf("log %s", log)
	}
}

func TestWhoMaySignAnswers(t *testing.T) {
	ca, stranger := newAuthority(t, "CA"), newAuthority(t, "stranger")
	responder := ocsptest.New(t, ca.Authority)
	peer := ca.issue(t, "peer", withOCSP(responder.URL, false))
	ask := func() error {
		_, _, err := newAsker().ask(t.Context(), responders(peer.Cert), peer.Cert, ca.Cert, false)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		by   *certs.Pair
		want string
	}{
		{delegate(t, ca, x509.ExtKeyUsageOCSPSigning), ""},
		{delegate(t, ca, x509.ExtKeyUsageClientAuth), "who may not sign such"},
		{delegate(t, stranger, x509.ExtKeyUsageOCSPSigning), "bad OCSP signature"},
		{&stranger.Pair, "bad OCSP signature"},
	} {
		responder.SignedBy(c.by)
		if err := ask(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("signed by %s, want %q: %v", c.by.Cert.Subject, c.want, err)
		}
	}
}

// delegate is a certificate with one extended usage.
func delegate(t testing.TB, ca *authority, usage x509.ExtKeyUsage) *certs.Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "delegate"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{usage}}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, &key.PublicKey, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	return &certs.Pair{Cert: must(t, cert, err), Key: key}
}

func TestResponderThatHangs(t *testing.T) {
	ca := newAuthority(t, "CA")
	ln := must2l(t, "127.0.0.1:0") // takes connections and says nothing
	defer ln.Close()
	k := NewKeeper(Options{})
	defer k.Close()
	peer := ca.issue(t, "peer", withOCSP("http://"+ln.Addr().String(), false))
	began := time.Now()
	err := k.checkLink(&OCSPPeer{CATimeout: 50 * time.Millisecond}, peer.Cert, ca.Cert)
	if err == nil || errors.Is(err, errClosed) || time.Since(began) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}
