//go:build linux

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/procs"
)

// TestMonitoringByCertificate: of each daemon, who has a certificate may see everything over
// HTTPS, below a path of the operator's choice; who has none, what probes ask. Whose
// certificate counts can be changed while the daemon runs.
func TestMonitoringByCertificate(t *testing.T) {
	e := estate.New(t, bins)
	dir := e.Dir("monitoring")
	file := func(name string) string { return filepath.Join(dir, name) }
	authority := func(name string) *certs.Authority {
		t.Helper()
		a, err := certs.NewAuthority(name, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	servers, scrapers := authority("servers"), authority("scrapers")
	r := certs.Request{CommonName: "server", Usage: certs.Both}
	r.AddHost("localhost", "127.0.0.1")
	pair, err := servers.Issue(r)
	if err == nil {
		err = pair.WriteFiles(file("s.crt"), file("s.key"))
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, file("servers.crt"), string(servers.CertPEM()))
	write(t, file("scrapers.crt"), string(scrapers.CertPEM()))
	as := func(by *certs.Authority) *http.Client {
		t.Helper()
		cfg := &tls.Config{RootCAs: servers.Pool(), ServerName: "localhost"}
		if by != nil {
			pair, err := by.Issue(certs.Request{CommonName: "prometheus", Usage: certs.Client})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Certificates = []tls.Certificate{pair.TLS()}
		}
		tr := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
		return &http.Client{Transport: tr, Timeout: estate.Patience}
	}
	status := func(c *http.Client, url string) (int, string, error) {
		res, err := c.Get(url)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	tlsBlock := fmt.Sprintf("{cert: %s, key: %s, ca: %s}", file("s.crt"), file("s.key"), file("servers.crt"))
	monitor := fmt.Sprintf("lifecycle: {ports_dir: \"{{dir}}\"}\nmonitor: {listen: \"127.0.0.1:-1\", tls: true, base_path: /mon, auth: {ca_file: %s}}\n", file("scrapers.crt"))
	for daemon, settings := range map[string]string{
		"hubd":  "clients: {listen: \"127.0.0.1:-1\", tls: " + tlsBlock + "}\n",
		"leafd": "clients: {listen: \"127.0.0.1:-1\", tls: " + tlsBlock + "}\n",
		"gwd":   "gateway: {name: sfo, listen: \"127.0.0.1:-1\", tls: " + tlsBlock + "}\ncluster: {name: sfo, listen: \"127.0.0.1:-1\"}\n",
	} {
		t.Run(daemon, func(t *testing.T) {
			write(t, file("scrapers.crt"), string(scrapers.CertPEM()))
			p, err := procs.Start(procs.Spec{Exe: e.Build(daemon), Dir: e.Dir(daemon), Config: settings + monitor, ConfigName: daemon + ".yaml"})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Kill()
			ports, err := p.Ports(e.Context())
			if err != nil {
				t.Fatalf("%v\n%s", err, p.Log.Tail(2000))
			}
			if !strings.HasPrefix(ports.HTTP(), "https://") {
				t.Fatalf("the ports file has %q", ports.HTTP())
			}
			base := "https://" + procs.Addr(ports.HTTP()) + "/mon"
			for _, path := range []string{"/varz", "/metrics", "/ui/", ""} {
				if code, body, err := status(as(scrapers), base+path); code != 200 || body == "" {
					t.Errorf("%s with a certificate: %d, %v", path, code, err)
				}
				if code, _, err := status(as(nil), base+path); code != 403 {
					t.Errorf("%s without one: %d, %v", path, code, err)
				}
				// Go's client shows no certificate that was not asked for.
				if code, _, err := status(as(servers), base+path); err == nil && code != 403 {
					t.Errorf("%s with one of a server's authority: %d", path, code)
				}
			}
			// A gwd that finds no hub is not well; that it says so is what counts here.
			if code, body, err := status(as(nil), base+"/healthz"); code != 200 && daemon != "gwd" || !strings.HasPrefix(body, `{"status":`) {
				t.Errorf("/healthz: %d %s, %v", code, body, err)
			}
			if code, _, err := status(as(scrapers), strings.TrimSuffix(base, "/mon")+"/varz"); code != 404 {
				t.Errorf("beside the base path: %d, %v", code, err)
			}
			next := authority("next")
			if err := os.WriteFile(file("scrapers.crt"), next.CertPEM(), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := p.Signal(syscall.SIGHUP); err != nil { // or it is noticed a little later
				t.Fatal(err)
			}
			e.Eventually("the new authority counts", func() error {
				if code, _, err := status(as(next), base+"/varz"); code != 200 {
					return fmt.Errorf("%d, %v", code, err)
				}
				return nil
			})
			if code, _, err := status(as(scrapers), base+"/varz"); err == nil && code != 403 {
				t.Errorf("with a certificate of the old one: %d", code)
			}
		})
	}
}
