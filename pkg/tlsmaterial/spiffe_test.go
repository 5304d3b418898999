package tlsmaterial

import (
	"crypto/x509"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/tlsmaterial/workload/agenttest"
)

func svid(t testing.TB, ca *authority, id string, more ...func(*certs.Request)) agenttest.Identity {
	t.Helper()
	u, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	r := certs.Request{CommonName: "x", Usage: certs.Both, URIs: []*url.URL{u}, Validity: time.Hour}
	for _, f := range more {
		f(&r)
	}
	p, err := ca.Issue(r)
	return agenttest.Identity{ID: id, Pair: must(t, p, err), Bundle: []*x509.Certificate{ca.Cert}}
}

func TestSPIFFEIdentitiesRotate(t *testing.T) {
	a := agenttest.New(t)
	ca := newAuthority(t, "first")
	const hub, leaf = "spiffe://example.org/hub", "spiffe://example.org/leaf/7"
	a.Set(svid(t, ca, hub), svid(t, ca, leaf))
	k, log := startKeeper(t)
	server := k.Material("leafs.tls", Settings{Verify: true, SPIFFE: &SPIFFE{Endpoint: a.Endpoint}})
	addr := echo(t, must3(server.Server()))
	client := k.Material("upstreams[0].tls", Settings{SPIFFE: &SPIFFE{Endpoint: a.Endpoint, ID: leaf}})
	old, err := dial(t, addr, must3(client.Client("whatever.example.net")))
	if err != nil {
		t.Fatal(err)
	}
	if got := old.ConnectionState().PeerCertificates[0].URIs[0].String(); got != hub {
		t.Errorf("the server is %s", got)
	}
	if n := a.Streams(); n != 1 {
		t.Errorf("two blocks with one agent opened %d streams", n)
	}
	// All is new: identities and authorities.
	second := newAuthority(t, "second")
	a.Set(svid(t, second, hub), svid(t, second, leaf))
	log.await(t, `leafs.tls: new certificate "`+hub+`"`)
	log.await(t, `upstreams[0].tls: new certificate "`+leaf+`"`)
	c, err := dial(t, addr, must3(client.Client("whatever.example.net")))
	if err != nil {
		t.Fatalf("after the rotation: %v", err)
	}
	if c.ConnectionState().PeerCertificates[0].CheckSignatureFrom(second.Cert) != nil {
		t.Error("the server still shows the former certificate")
	}
	if err := ping(old); err != nil {
		t.Errorf("an open connection was lost: %v", err)
	}
	if err := server.Check(old.ConnectionState(), false); err == nil {
		t.Error("Check admits a peer of an authority that is gone")
	}
	// An answer that lacks what a block needs leaves all as it is.
	a.Set(svid(t, second, hub))
	log.await(t, "upstreams[0].tls: what the SPIFFE agent says is not used, the former identity stays: the SPIFFE agent at "+a.Endpoint+" has no identity "+leaf)
	if _, err := dial(t, addr, must3(client.Client(""))); err != nil {
		t.Error(err)
	}
}

func TestSPIFFEPeersAreJudgedByTheirID(t *testing.T) {
	a := agenttest.New(t)
	own, other, stranger := newAuthority(t, "own"), newAuthority(t, "other"), newAuthority(t, "stranger")
	a.Federate("other.org", other.Cert)
	a.Set(svid(t, own, "spiffe://example.org/hub"))
	signer := svid(t, own, "spiffe://example.org/leaf/1")
	for _, c := range []struct {
		name string
		spec SPIFFE
		peer *certs.Pair
		want string // "" is let in
	}{
		{"own domain", SPIFFE{}, svid(t, own, "spiffe://example.org/any").Pair, ""},
		{"federated, not listed", SPIFFE{}, svid(t, other, "spiffe://other.org/any").Pair, "trust domain that is not let in"},
		{"federated, listed", SPIFFE{TrustDomains: []string{"other.org"}}, svid(t, other, "spiffe://other.org/any").Pair, ""},
		{"own, not listed", SPIFFE{TrustDomains: []string{"other.org"}}, svid(t, own, "spiffe://example.org/any").Pair, "not let in"},
		{"one domain's authority names another's", SPIFFE{TrustDomains: []string{"other.org", "example.org"}}, svid(t, other, "spiffe://example.org/any").Pair, "certificate signed by unknown authority"},
		{"unknown authority", SPIFFE{}, svid(t, stranger, "spiffe://example.org/any").Pair, "certificate signed by unknown authority"},
		{"listed ID", SPIFFE{Peers: []string{"spiffe://example.org/leaf/1"}}, signer.Pair, ""},
		{"ID below", SPIFFE{Peers: []string{"spiffe://example.org/leaf/*"}}, signer.Pair, ""},
		{"not below", SPIFFE{Peers: []string{"spiffe://example.org/lea/*", "spiffe://example.org/leaf"}}, signer.Pair, "not among the peers"},
		{"no SPIFFE ID", SPIFFE{}, own.issue(t, "plain"), "has one URI, this one has 0"},
		{"two IDs", SPIFFE{}, svid(t, own, "spiffe://example.org/a", func(r *certs.Request) { r.URIs = append(r.URIs, r.URIs[0]) }).Pair, "this one has 2"},
		{"an authority", SPIFFE{}, &own.Pair, "URI"},
		{"expired", SPIFFE{}, svid(t, own, "spiffe://example.org/a", func(r *certs.Request) { r.NotBefore = time.Now().Add(-3 * time.Hour) }).Pair, "expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.Endpoint = a.Endpoint
			for _, accepted := range []bool{true, false} {
				m := New("x", Settings{Verify: true, SPIFFE: &c.spec})
				their := files(t)
				write(t, c.peer, their)
				peer := New("peer", Settings{Pairs: []Pair{their}, Insecure: true})
				var err error
				if accepted {
					_, err = dial(t, echo(t, must3(m.Server())), must3(peer.Client("x")))
				} else {
					_, err = dial(t, echo(t, must3(peer.Server())), must3(m.Client("x")))
				}
				if (err == nil) != (c.want == "") {
					t.Errorf("accepted %v: %v", accepted, err)
				}
				if !accepted && err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("want %q: %v", c.want, err)
				}
			}
		})
	}
}

func TestSPIFFEStartWaitsAndSaysWhatIsWrong(t *testing.T) {
	a := agenttest.New(t)
	ca := newAuthority(t, "CA")
	start := func(s SPIFFE) error {
		k := NewKeeper(Options{Log: &lines{}})
		defer k.Close()
		k.Material("clients.tls", Settings{SPIFFE: &s})
		return k.Start()
	}
	for want, s := range map[string]SPIFFE{
		"clients.tls: no SPIFFE identity within 50ms: SPIFFE Workload API at unix:///nowhere/s: dial": {Endpoint: "unix:///nowhere/s", Wait: 50 * time.Millisecond},
		"no identity issued: no identity for you; register this process":                              {Endpoint: a.Endpoint, Wait: 300 * time.Millisecond},
		"want unix:///path": {Endpoint: "/path"},
	} {
		if err := start(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	// It comes while the start waits.
	done := make(chan error, 1)
	go func() { done <- start(SPIFFE{Endpoint: a.Endpoint}) }()
	eventually(t, func() bool { return a.Streams() > 0 }, func() string { return "the agent is not asked" })
	a.Set(svid(t, ca, "spiffe://example.org/hub"))
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := start(SPIFFE{Endpoint: a.Endpoint, TrustDomains: []string{"other.org"}}); err == nil || !strings.Contains(err.Error(), "no authorities of trust domain other.org: it knows example.org") {
		t.Error(err)
	}
}

func TestSPIFFEIdentityTowardsOrdinaryPeers(t *testing.T) {
	// With ca, host names count and SPIFFE is only where the own certificate is from.
	a := agenttest.New(t)
	ca, plain := newAuthority(t, "agent's"), newAuthority(t, "plain")
	a.Set(svid(t, ca, "spiffe://example.org/leaf"))
	m := New("x", Settings{CAFile: plain.file, SPIFFE: &SPIFFE{Endpoint: a.Endpoint}})
	f := files(t)
	write(t, plain.issue(t, "hub"), f)
	hub := New("hub", Settings{Pairs: []Pair{f}, CAFile: ca.file, Verify: true})
	addr := echo(t, must3(hub.Server()))
	if _, err := dial(t, addr, must3(m.Client("localhost"))); err != nil {
		t.Error(err)
	}
	if _, err := dial(t, addr, must3(m.Client("elsewhere"))); err == nil {
		t.Error("the host name is not looked at")
	}
}
