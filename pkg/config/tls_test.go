package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pki is a CA and one certificate for localhost in files.
func pki(t *testing.T) (ca, cert, key string, leaf *x509.Certificate) {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	caTemplate := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, caTemplate, caTemplate, &caKey.PublicKey, caKey)
	must(err)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, caTemplate, &leafKey.PublicKey, caKey)
	must(err)
	leaf, err = x509.ParseCertificate(der)
	must(err)
	keyDER, err := x509.MarshalECPrivateKey(leafKey)
	must(err)
	write := func(name, kind string, der []byte) string {
		p := filepath.Join(dir, name)
		must(os.WriteFile(p, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return p
	}
	return write("ca.pem", "CERTIFICATE", caDER), write("cert.pem", "CERTIFICATE", der), write("key.pem", "EC PRIVATE KEY", keyDER), leaf
}

// handshake runs both sides over a pipe and returns their errors.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	deadline := time.Now().Add(5 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	done := make(chan error, 1)
	go func() {
		c := tls.Server(a, server)
		err := c.Handshake()
		if err == nil {
			_, err = c.Write([]byte("x"))
		}
		a.Close()
		done <- err
	}()
	c := tls.Client(b, client)
	clientErr = c.Handshake()
	if clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	b.Close()
	return <-done, clientErr
}

func TestTLSHandshakes(t *testing.T) {
	ca, cert, key, leaf := pki(t)
	pair := []Certificate{{cert, key}}
	for name, c := range map[string]struct {
		server, client  TLS
		serverName      string
		accept, connect bool
	}{
		"one-way":        {TLS{Certificates: pair}, TLS{CAFile: ca}, "localhost", true, true},
		"wrong name":     {TLS{Certificates: pair}, TLS{CAFile: ca}, "other", false, false},
		"insecure":       {TLS{Certificates: pair}, TLS{Insecure: true}, "other", true, true},
		"mutual":         {TLS{Certificates: pair, CAFile: ca, Mutual: true}, TLS{Certificates: pair, CAFile: ca}, "localhost", true, true},
		"no client cert": {TLS{Certificates: pair, CAFile: ca, Verify: true}, TLS{CAFile: ca}, "localhost", false, false},
		"pinned":         {TLS{Certificates: pair}, TLS{CAFile: ca, PinnedCerts: []string{Fingerprint(leaf)}}, "localhost", true, true},
		"1.3 only":       {TLS{Certificates: pair, MinVersion: tls.VersionTLS13}, TLS{CAFile: ca}, "localhost", true, true},
	} {
		s, err := c.server.Server()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		k, err := c.client.Client(c.serverName)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		serverErr, clientErr := handshake(t, s, k)
		if (serverErr == nil) != c.accept || (clientErr == nil) != c.connect {
			t.Errorf("%s: server %v, client %v", name, serverErr, clientErr)
		}
	}
}

func TestPinnedRefusal(t *testing.T) {
	ca, cert, key, _ := pki(t)
	server := TLS{Certificates: []Certificate{{cert, key}}, CAFile: ca, Verify: true, PinnedCerts: []string{strings.Repeat("0", 64)}}
	s, err := server.Server()
	if err != nil {
		t.Fatal(err)
	}
	client := TLS{Certificates: []Certificate{{cert, key}}, CAFile: ca}
	c, err := client.Client("localhost")
	if err != nil {
		t.Fatal(err)
	}
	serverErr, _ := handshake(t, s, c)
	if !errors.Is(serverErr, ErrNotPinned) || !strings.Contains(serverErr.Error(), "certificate not pinned") {
		t.Errorf("got %v", serverErr)
	}
}

func TestTLSFiles(t *testing.T) {
	ca, cert, key, _ := pki(t)
	for _, c := range []struct {
		t    TLS
		want string
	}{
		{TLS{}, "no certificate configured"},
		{TLS{Certificates: []Certificate{{cert, "nofile"}}}, "error parsing X509 certificate/key pair: open nofile"},
		{TLS{Certificates: []Certificate{{cert, key}}, CAFile: key}, "failed to parse root ca certificate"},
		{TLS{Certificates: []Certificate{{cert, key}}, CAFile: "nofile"}, "read ca_file: open nofile"},
		{TLS{Certificates: []Certificate{{cert, ca}}}, "error parsing X509 certificate/key pair"},
	} {
		if _, err := c.t.Server(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	file := filepath.Join(t.TempDir(), "ok.conf")
	text := fmt.Sprintf("port: -1\ntls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", cert, key, ca)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := Check(LoadOptions{Daemon: Hubd, File: file}); !r.OK() || r.Config == nil || !strings.HasPrefix(r.Digest, "sha256:") {
		t.Errorf("got %+v", r)
	}
}

func TestSecretsStayHidden(t *testing.T) {
	c := &Config{Auth: Authorization{Password: "geheim", Users: []User{{Name: "a", Password: "geheim"}}}}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{string(text), fmt.Sprintf("%v %+v %#v %s", c, c, c.Auth, c.Auth.Password)} {
		if strings.Contains(s, "geheim") || !strings.Contains(s, redacted) {
			t.Errorf("printed as %s", s)
		}
	}
}
