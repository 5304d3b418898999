package system_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/ocsp"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/tlsmaterial/ocsptest"
	"github.com/banyanmq/banyan/test/daemons"
)

// TestPeersThatOCSPRefuses: who shows a revoked certificate is told of, and counted.
func TestPeersThatOCSPRefuses(t *testing.T) {
	dir := t.TempDir()
	ca, err := certs.NewAuthority("CA", 0)
	if err != nil {
		t.Fatal(err)
	}
	responder := ocsptest.New(t, ca)
	issue := func(name string, responders ...string) *certs.Pair {
		t.Helper()
		r := certs.Request{CommonName: name, Usage: certs.Both, OCSP: responders}
		r.AddHost("localhost", "127.0.0.1")
		p, err := ca.Issue(r)
		if err == nil {
			err = p.WriteFiles(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), (&certs.Pair{Cert: ca.Cert}).CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	issue("server")
	good, bad := issue("good", responder.URL), issue("bad", responder.URL)
	responder.Set(good.Cert, ocsp.Good)
	responder.Set(bad.Cert, ocsp.Revoked)
	h := daemons.Hub(t, "hub", fmt.Sprintf(`
tls { cert_file: "%[1]s/server.pem", key_file: "%[1]s/server-key.pem", ca_file: "%[1]s/ca.pem", verify: true, ocsp_peer: true }
accounts { SYS { users: [{user: sys, password: pw}] } }
system_account: SYS
`, dir))
	secure := func(p *certs.Pair) nats.Option {
		return nats.Secure(&tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{p.TLS()}})
	}
	sys := h.Nats("sys", secure(good))
	events := listen(t, sys, "$SYS.SERVER.*.OCSP.PEER.>")
	if nc, err := nats.Connect("tls://"+h.Addr("nats"), secure(bad), nats.UserInfo("sys", "pw")); err == nil {
		nc.Close()
		t.Fatal("who has a revoked certificate came in")
	}
	sum := sha256.Sum256(bad.Cert.Raw)
	for range 2 {
		m, v := next(t, events)
		head := "$SYS.SERVER." + h.Server.ID + ".OCSP.PEER."
		certificates := []string{"peer"}
		switch m.Subject {
		case head + "CONN.REJECT":
			if v["type"] != "io.nats.server.advisory.v1.ocsp_peer_reject" || v["kind"] != "Client" {
				t.Errorf("%s", m.Data)
			}
		case head + "LINK.INVALID":
			certificates = append(certificates, "link")
			if v["type"] != "io.nats.server.advisory.v1.ocsp_peer_link_invalid" {
				t.Errorf("%s", m.Data)
			}
		default:
			t.Errorf("event on %s", m.Subject)
		}
		for _, c := range certificates {
			if at(v, c, "subject") != "CN=bad" || at(v, c, "issuer") != ca.Cert.Subject.String() || at(v, c, "fingerprint") != base64.StdEncoding.EncodeToString(sum[:]) ||
				at(v, c, "raw") != base64.StdEncoding.EncodeToString(bad.Cert.Raw) {
				t.Errorf("%s of %s", c, m.Data)
			}
		}
		if at(v, "server", "id") != h.Server.ID || v["reason"] == "" || v["reason"] == nil {
			t.Errorf("%s", m.Data)
		}
	}
	v := request(t, sys, "$SYS.REQ.SERVER."+h.Server.ID+".VARZ", "")
	n := func(key string) float64 {
		x, _ := at(v, "data", "ocsp_peer_cache", key).(float64)
		return x
	}
	if at(v, "data", "ocsp_peer_cache", "cache_type") != "memory" || n("cached_responses") != 2 || n("cached_good_responses") != 1 || n("cached_revoked_responses") != 1 ||
		n("cache_misses") < 2 || at(v, "data", "tls_ocsp_peer_verify") != true {
		t.Errorf("%v, %v", at(v, "data", "ocsp_peer_cache"), at(v, "data", "tls_ocsp_peer_verify"))
	}
}
