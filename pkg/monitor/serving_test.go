package monitor_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/tlsmaterial"
)

// talk sends raw bytes to the monitoring port and returns all that comes until it is
// closed, or one answer if that is wanted.
func (h *hub) talk(t *testing.T, text string) string {
	t.Helper()
	nc, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * patience))
	go io.WriteString(nc, text) // may be cut off
	b, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%.60q: still open after %q", text, b)
	}
	return string(b)
}

// TestOddRequests: old, large, many at a time, and what is no HTTP.
func TestOddRequests(t *testing.T) {
	h := startHub(t)
	for name, row := range map[string]struct{ send, begins string }{
		"HTTP/1.0":                 {"GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n"},
		"HTTP/1.0, HEAD":           {"HEAD /varz HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n"},
		"HTTP/1.0, without a path": {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n"},
		"no Host":                  {"GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		"a header of 1 MiB":        {"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
		"a path of 1 MiB":          {"GET /" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
		"10,000 headers":           {"GET /healthz HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 20000) + "\r\n", "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
		"the client protocol":      {"CONNECT {}\r\nPING\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		"TLS":                      {"\x16\x03\x01\x00\x05hello\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		"two lengths":              {"POST /varz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "HTTP/1.1 400 Bad Request"},
		"a folded header":          {"GET /healthz HTTP/1.1\r\nHost: x\r\n Y: z\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		"an absolute path":         {"GET http://other.example/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		"a proxy's request":        {"CONNECT other.example:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"},
		"dots":                     {"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"},
		"escaped":                  {"GET /%76arz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		"a body":                   {"POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n"},
	} {
		if got := h.talk(t, row.send); !strings.HasPrefix(got, row.begins) {
			t.Errorf("%s: %.200q, want %q", name, got, row.begins)
		}
	}
	// HEAD says what GET would, and nothing more.
	got := h.talk(t, "HEAD /connz HTTP/1.1\r\nHost: x\r\n\r\nHEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if n := strings.Count(got, "HTTP/1.1 200 OK\r\n"); n != 2 || strings.Contains(got, "{") {
		t.Errorf("two HEAD in one go: %q", got)
	}
	// Many requests before the first answer.
	got = h.talk(t, strings.Repeat("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 99)+"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if n := strings.Count(got, `{"status":"ok"}`); n != 100 {
		t.Errorf("%d answers to 100 requests", n)
	}
}

// TestSlowRequest: who does not come to the end of his request is cut off, and does not
// keep others waiting.
func TestSlowRequest(t *testing.T) {
	t.Parallel() // it takes as long as the listener's patience
	h := startHub(t)
	nc, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	begun := time.Now()
	io.WriteString(nc, "GET /varz HTTP/1.1\r\nHost: x\r\nX: ")
	if code, _, _ := get(t, "GET", h.base+"/healthz"); code != 200 {
		t.Errorf("another one: %d", code)
	}
	nc.SetDeadline(begun.Add(20 * time.Second))
	b, err := io.ReadAll(nc)
	if took := time.Since(begun); errors.Is(err, os.ErrDeadlineExceeded) || took < 3*time.Second || took > 15*time.Second || bytes.Contains(b, []byte("200 OK")) {
		t.Errorf("%q, %v after %s", b, err, took)
	}
}

// TestUnreadAnswers: whoever asks for much and reads nothing holds nothing up.
func TestUnreadAnswers(t *testing.T) {
	h := startHub(t)
	for range 50 {
		h.nats(t)
	}
	for range 20 {
		nc, err := net.Dial("tcp", h.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		go io.WriteString(nc, strings.Repeat("GET /connz?subs=detail&auth=1 HTTP/1.1\r\nHost: x\r\n\r\n", 1000))
	}
	for range 20 {
		if code, _, _ := get(t, "GET", h.base+"/healthz"); code != 200 {
			t.Fatalf("%d", code)
		}
	}
	nc := h.nats(t)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// secured is a hub with HTTPS, whose callers may show certificates of an authority.
type secured struct {
	*hub
	ca      *certs.Authority // of servers
	callers *certs.Authority
	dir     string
	conf    *config.TLS
}

func startSecured(t *testing.T, token string) *secured {
	t.Helper()
	s := &secured{dir: t.TempDir()}
	var err error
	if s.ca, err = certs.NewAuthority("servers", time.Hour); err != nil {
		t.Fatal(err)
	}
	if s.callers, err = certs.NewAuthority("callers", time.Hour); err != nil {
		t.Fatal(err)
	}
	pair, err := s.ca.Issue(certs.Request{CommonName: "hub", Usage: certs.Server, DNS: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(s.dir, name) }
	if err := pair.WriteFiles(file("c.pem"), file("k.pem")); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]*certs.Authority{"ca.pem": s.ca, "callers.pem": s.callers} {
		if err := os.WriteFile(file(name), a.CertPEM(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := tlsmaterial.NewKeeper(tlsmaterial.Options{})
	block := config.TLS{Certificates: []config.Certificate{{CertFile: file("c.pem"), KeyFile: file("k.pem")}}, CAFile: file("ca.pem"), Verify: true, Timeout: time.Second}
	asking := block
	asking.CAFile = file("callers.pem")
	asking.Keep(k, "monitor.auth")
	s.conf = &asking
	s.hub = startHub(t, func(c *config.Config) {
		c.HTTP.TLS, c.HTTP.Token = true, config.Secret(token)
		c.HTTP.ClientCA, c.HTTP.AuthTLS = file("callers.pem"), &asking
		c.Client.TLS = &block
	})
	return s
}

// as is a caller, with a certificate of by, or without one.
func (s *secured) as(t *testing.T, by *certs.Authority, usage certs.Usage) *http.Client {
	t.Helper()
	cfg := &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost"}
	if by != nil {
		pair, err := by.Issue(certs.Request{CommonName: "prometheus", Usage: usage})
		if err != nil {
			t.Fatal(err)
		}
		own := pair.TLS()
		// Also one that the server did not ask for.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	}
	tr := &http.Transport{TLSClientConfig: cfg}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func (s *secured) status(c *http.Client, path, token string) (int, error) {
	req, err := http.NewRequest("GET", "https://"+s.Addr().String()+path, nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// TestClientCertificates: who shows a good one sees everything, who shows none what probes
// see, and who shows a bad one nothing.
func TestClientCertificates(t *testing.T) {
	for _, token := range []string{"", "s3cret"} {
		s := startSecured(t, token)
		stranger, err := certs.NewAuthority("stranger", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		good, nobody := s.as(t, s.callers, certs.Client), s.as(t, nil, 0)
		for range 3 { // later by a session that is resumed
			for _, path := range []string{"/varz", "/", "/connz", "/healthz", "/debug/vars"} {
				if code, err := s.status(good, path, ""); code != 200 {
					t.Errorf("%s with a certificate: %d, %v", path, code, err)
				}
			}
			good.CloseIdleConnections()
		}
		refused := 403
		if token != "" {
			refused = 401
		}
		for path, want := range map[string]int{"/varz": refused, "/": refused, "/metrics": refused, "/ui/": refused, "/nothing": refused, "/healthz": 200, "/livez": 200, "/readyz": 200} {
			if code, err := s.status(nobody, path, ""); code != want {
				t.Errorf("%s without a certificate: %d, %v, want %d", path, code, err, want)
			}
		}
		if token != "" {
			if code, err := s.status(nobody, "/varz", token); code != 200 {
				t.Errorf("with the token alone: %d, %v", code, err)
			}
			if code, err := s.status(good, "/varz", "wrong"); code != 200 {
				t.Errorf("with a certificate and a wrong token: %d, %v", code, err)
			}
		}
		for name, c := range map[string]*http.Client{
			"of a stranger": s.as(t, stranger, certs.Client), "of the clients' authority": s.as(t, s.ca, certs.Client), "of a server": s.as(t, s.callers, certs.Server),
		} {
			if code, err := s.status(c, "/healthz", token); err == nil {
				t.Errorf("a certificate %s: %d", name, code)
			}
		}
	}
}

// TestClientCertificateTakenBack: an authority that is replaced lets nobody in any more,
// not by a session of before either.
func TestClientCertificateTakenBack(t *testing.T) {
	s := startSecured(t, "")
	good := s.as(t, s.callers, certs.Client)
	if code, err := s.status(good, "/varz", ""); code != 200 {
		t.Fatalf("%d, %v", code, err)
	}
	good.CloseIdleConnections()
	next, err := certs.NewAuthority("next", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "callers.pem"), next.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.conf.Material().Reload(); err != nil {
		t.Fatal(err)
	}
	if code, err := s.status(good, "/varz", ""); err == nil {
		t.Errorf("with a certificate of the authority of before: %d", code)
	}
	if code, err := s.status(s.as(t, next, certs.Client), "/varz", ""); code != 200 {
		t.Errorf("with one of the new authority: %d, %v", code, err)
	}
}

// TestNoCallsWhereGuarded: a page of another site can't have a script made of what a
// browser may see by its password.
func TestNoCallsWhereGuarded(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.HTTP.Token = "s3cret" })
	code, hdr, body := get(t, "GET", h.base+"/varz?callback=f", "Authorization", "Bearer s3cret")
	if code != 200 || hdr.Get("Content-Type") != "application/json" || !bytes.HasPrefix(body, []byte("{")) {
		t.Errorf("%d %s %.40q", code, hdr.Get("Content-Type"), body)
	}
}

// TestCompressedOverHTTPS: wrappings and HTTPS together.
func TestCompressedOverHTTPS(t *testing.T) {
	s := startSecured(t, "s3cret")
	req, _ := http.NewRequest("GET", "https://"+s.Addr().String()+"/varz", nil)
	req.Header.Set("Authorization", "Bearer s3cret")
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := s.as(t, nil, 0).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	z, err := gzip.NewReader(bufio.NewReader(res.Body))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || !bytes.HasPrefix(b, []byte("{\n")) {
		t.Errorf("%.40q, %v", b, err)
	}
}
