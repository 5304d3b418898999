package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/certs"
)

func TestCheckWarnsOfCertificates(t *testing.T) {
	ca, err := certs.NewAuthority("CA", 0)
	if err != nil {
		t.Fatal(err)
	}
	short, err := certs.NewAuthority("short", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	year := 365 * 24 * time.Hour
	for _, c := range []struct {
		name  string
		r     certs.Request
		text  string // with %s for the pair
		wants string // "" warns of nothing
	}{
		{name: "good", r: certs.Request{DNS: []string{"hub.example.net"}}, text: "client_advertise: 'hub.example.net:4222'\ntls { %s }"},
		{name: "expired", r: certs.Request{NotBefore: time.Now().Add(-2 * year), Validity: year}, text: "tls { %s }", wants: `tls: certificate "CN=expired" expired on`},
		{name: "soon", r: certs.Request{NotBefore: time.Now().Add(20*24*time.Hour - year), Validity: year}, text: "tls { %s }", wants: `certificate "CN=soon" expires on`},
		{name: "later", r: certs.Request{NotBefore: time.Now().Add(time.Hour)}, text: "tls { %s }", wants: "is not valid before"},
		{name: "advertised", r: certs.Request{DNS: []string{"a.example.net"}}, text: "client_advertise: 'b.example.net:4222'\ntls { %s }",
			wants: `"b.example.net" is advertised, and the certificate "CN=advertised" is not for it, but for a.example.net`},
		{name: "wild", r: certs.Request{DNS: []string{"*.example.net"}}, text: "client_advertise: 'b.example.net'\ntls { %s }"},
		{name: "listened", r: certs.Request{DNS: []string{"a"}}, text: "leafnodes { listen: '192.0.2.7:7422', tls { %s } }", wants: `"192.0.2.7" is listened on and advertised`},
		{name: "everywhere", r: certs.Request{DNS: []string{"a"}}, text: "leafnodes { listen: '0.0.0.0:7422', tls { %s } }"},
		{name: "no client", r: certs.Request{Usage: certs.Server}, text: "cluster { name: c, port: 6222, tls { %s } }", wants: `cluster.tls: certificate "CN=no client" is not for clients`},
		{name: "no server", r: certs.Request{Usage: certs.Client}, text: "tls { %s }", wants: "is not for servers"},
		{name: "both", r: certs.Request{Usage: certs.Both}, text: "cluster { name: c, port: 6222, tls { %s } }"},
		{name: "client", r: certs.Request{Usage: certs.Server}, text: "leafnodes { remotes: [ { url: 'nats://h', tls { %s } } ] }", wants: `is not for clients`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.r.CommonName = c.name
			p, err := ca.Issue(c.r)
			if err != nil {
				t.Fatal(err)
			}
			cert, key := filepath.Join(dir, "c"), filepath.Join(dir, "k")
			if err := p.WriteFiles(cert, key); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "hubd.conf")
			if err := os.WriteFile(file, fmt.Appendf(nil, c.text, fmt.Sprintf("cert_file: %q, key_file: %q", cert, key)), 0o600); err != nil {
				t.Fatal(err)
			}
			r := Check(LoadOptions{Daemon: Hubd, File: file})
			if !r.OK() {
				t.Fatal(r.Errors)
			}
			if c.wants == "" && len(r.Warnings) > 0 || c.wants != "" && (len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].String(), c.wants)) {
				t.Errorf("want %q: %v", c.wants, r.Warnings)
			}
		})
	}
	t.Run("authority", func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "leafd.conf")
		os.WriteFile(filepath.Join(dir, "ca"), short.CertPEM(), 0o600)
		os.WriteFile(file, fmt.Appendf(nil, "leafnodes { remotes: [ { url: 'nats://h', tls { ca_file: %q } } ] }", filepath.Join(dir, "ca")), 0o600)
		if r := Check(LoadOptions{Daemon: Leafd, File: file}); len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].String(), `authority "CN=short`) {
			t.Errorf("%v %v", r.Warnings, r.Errors)
		}
	})
}
