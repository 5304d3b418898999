package config

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPeerFits(t *testing.T) {
	u, _ := url.Parse("spiffe://example.org/hub")
	cert := &x509.Certificate{
		DNSNames: []string{"*.sfo.example.net"}, EmailAddresses: []string{"ops@example.net"}, URIs: []*url.URL{u},
		Subject: pkix.Name{CommonName: "hub", Organization: []string{"O"}, Names: []pkix.AttributeTypeAndValue{{Type: domainComponent, Value: "net"}}},
	}
	known := func(hosts ...string) (all []*url.URL) {
		for _, h := range hosts {
			all = append(all, &url.URL{Host: h})
		}
		return all
	}
	for _, c := range []struct {
		t    TLS
		user string
		urls []*url.URL
		want bool
	}{
		{TLS{VerifyAndMap: true}, "", nil, true},
		{TLS{VerifyAndMap: true}, "ops@example.net", nil, true},
		{TLS{VerifyAndMap: true}, "spiffe://example.org/hub", nil, true},
		{TLS{VerifyAndMap: true}, "*.sfo.example.net", nil, true},
		{TLS{VerifyAndMap: true}, "CN=hub,O=O", nil, true},
		{TLS{VerifyAndMap: true}, "CN=hub,O=O,DC=net", nil, true},
		{TLS{VerifyAndMap: true}, "O=O,CN=hub", nil, false}, // subjects are no structures here
		{TLS{VerifyAndMap: true}, "hub", nil, false},
		{TLS{CheckKnownURLs: true}, "", known("other:6222"), false},
		{TLS{CheckKnownURLs: true}, "", known("other:6222", "A.sfo.EXAMPLE.net:6222"), true},
		{TLS{CheckKnownURLs: true}, "", known("a.b.sfo.example.net:6222"), false}, // a star is one label
		{TLS{CheckKnownURLs: true}, "CN=hub,O=O", known("other:6222"), false},
		{TLS{CheckKnownURLs: true, VerifyAndMap: true}, "CN=hub,O=O", known("other:6222"), true},
		{TLS{CheckKnownURLs: true, VerifyAndMap: true}, "nobody", known("a.sfo.example.net:6222"), true},
		{TLS{CheckKnownURLs: true, VerifyAndMap: true}, "nobody", known("other:6222"), false},
	} {
		if got := c.t.PeerFits(cert, c.user, c.urls); got != c.want {
			t.Errorf("%+v user %q, URLs %v: %v", c.t, c.user, c.urls, got)
		}
	}
}

func TestLooseNamesAreWarnedOf(t *testing.T) {
	for text, want := range map[string]int{
		"tls { cert_file: c, key_file: k, verify_and_map: true }\nauthorization { users: [ { user: 'CN=a,OU=b' }, { user: 'CN=a,DC=x' }, { user: 'a@b' } ] }": 1,
		"tls { cert_file: c, key_file: k, verify: true }\nauthorization { users: [ { user: 'CN=a,OU=b' } ] }":                                                 0,
	} {
		file := filepath.Join(t.TempDir(), "h.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, warnings, err := Load(LoadOptions{Daemon: Hubd, File: file})
		n := 0
		for _, w := range warnings {
			n += strings.Count(w.String(), `user "CN=a,OU=b" is found by certificates with this subject`)
		}
		if err != nil || n != want || len(warnings) != want {
			t.Errorf("%s: %v %v", text, warnings, err)
		}
	}
}
