package auth

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
)

// rdn is one relative name of a subject, in the certificate's order.
type rdn = pkix.RelativeDistinguishedNameSET

func attr(oid asn1.ObjectIdentifier, v string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: oid, Value: v}
}

func oid(name string) asn1.ObjectIdentifier {
	for _, a := range attributeNames {
		if a.name == name {
			return a.oid
		}
	}
	return asn1.ObjectIdentifier{2, 5, 4, 12} // title
}

// subject makes a certificate as a peer would show it; parts are in the order
// that the certificate has them.
func certificate(t *testing.T, parts ...rdn) *x509.Certificate {
	t.Helper()
	seq := pkix.RDNSequence(parts)
	raw, err := asn1.Marshal(seq)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{RawSubject: raw}
	c.Subject.FillFromRDNSequence(&seq)
	return c
}

func one(name, v string) rdn { return rdn{attr(oid(name), v)} }

func mapped(users ...string) *Settings {
	c := &config.Config{Client: config.Client{TLS: &config.TLS{VerifyAndMap: true}}}
	for _, u := range users {
		c.Auth.Users = append(c.Auth.Users, config.User{Name: u})
	}
	return FromConfig(c)
}

func show(cert *x509.Certificate) Credentials {
	return Credentials{MapCertificate: true, TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}}
}

func TestCertificateSubjects(t *testing.T) {
	alice := certificate(t, one("c", "US"), one("st", "CA"), one("l", "LA"), one("o", "NATS"), one("ou", "eng"), one("cn", "alice"))
	john := certificate(t, one("dc", "com"), one("dc", "example"), one("ou", "Users"), one("cn", "John"))
	multi := certificate(t, one("dc", "com"), rdn{attr(oid("ou"), "U1"), attr(oid("cn"), "M")})
	title := certificate(t, one("cn", "unk"), one("title", "boss"))
	for _, row := range []struct {
		cert *x509.Certificate
		user string
		want bool
	}{
		{alice, "CN=alice,OU=eng,O=NATS,L=LA,ST=CA,C=US", true},
		{alice, "C=US,ST=CA,L=LA,O=NATS,OU=eng,CN=alice", true},
		{alice, "O=NATS,C=US,CN=alice,ST=CA,OU=eng,L=LA", true},
		{alice, "cn=alice, ou=eng, o=NATS, l=LA, st=CA, c=US", true},
		{alice, "CN=Alice,OU=eng,O=NATS,L=LA,ST=CA,C=US", false},
		{alice, "CN=alice", false},
		{alice, "alice", false},
		{john, "CN=John,OU=Users,DC=example,DC=com", true},
		{john, "CN=John,OU=Users,DC=com,DC=example", true},
		{john, "DC=com,DC=example,OU=Users,CN=John", true},
		{john, "CN=John,OU=Users", true},
		{john, "CN=John", false},
		{multi, "CN=M+OU=U1,DC=com", true},
		{multi, "OU=U1+CN=M,DC=com", true},
		{multi, "CN=M,OU=U1,DC=com", true},
		{multi, "CN=M,DC=com", false},
		{title, "CN=unk", true},
		{title, "TITLE=boss,CN=unk", false},
		{certificate(t), "x", false},
		{certificate(t, one("cn", "a,b+c=d ")), `CN=a\,b\+c\=d\ `, true},
		{certificate(t, one("cn", "a,b")), `CN=a\2cb`, true},
	} {
		want := "no"
		if row.want {
			want = "$G/" + row.user
		}
		if got := try(t, mapped(row.user), show(row.cert)); got != want {
			t.Errorf("%s as %q: %s", row.cert.Subject, row.user, got)
		}
	}
	// In order goes before any order, and of several in any order none is taken.
	if got := try(t, mapped("CN=John,OU=Users,DC=com,DC=example", "CN=John,OU=Users,DC=example,DC=com"), show(john)); got != "$G/CN=John,OU=Users,DC=example,DC=com" {
		t.Errorf("in order: %s", got)
	}
	if got := try(t, mapped("DC=com,CN=John,OU=Users,DC=example", "OU=Users,CN=John,DC=com,DC=example"), show(john)); got != "no" {
		t.Errorf("ambiguous: %s", got)
	}
}

func TestCertificateNames(t *testing.T) {
	c := certificate(t, one("cn", "x"))
	c.EmailAddresses = []string{"a@b.c", "d@e.f"}
	c.DNSNames = []string{"host.example.net"}
	u, _ := url.Parse("spiffe://example.net/path")
	c.URIs = []*url.URL{u}
	for _, name := range []string{"a@b.c", "d@e.f", "host.example.net", "spiffe://example.net/path", "CN=x"} {
		if got := try(t, mapped("other", name), show(c)); got != "$G/"+name {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, name := range []string{"Host.example.net", "A@b.c", "example.net"} {
		if got := try(t, mapped(name), show(c)); got != "no" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := try(t, mapped("CN=x", "host.example.net", "d@e.f"), show(c)); got != "$G/d@e.f" {
		t.Errorf("the first candidate is not taken: %s", got)
	}

	// The password counts too, if there is one, and the name in CONNECT does not.
	s := mapped("other")
	s.add(&config.User{Name: "d@e.f", Password: "pw"}, "$G")
	x := show(c)
	x.User = "somebody"
	if got := try(t, s, x); got != "no" {
		t.Errorf("without password: %s", got)
	}
	x.Pass = "pw"
	if got := try(t, s, x); got != "$G/d@e.f" {
		t.Errorf("with password: %s", got)
	}
	x = show(c)
	x.Pass = "pw"
	if got := try(t, mapped("CN=x"), x); got != "no" {
		t.Errorf("a password where none is configured: %s", got)
	}
	// Elsewhere a user without a password is not open to everybody.
	if got := try(t, mapped("CN=x"), Credentials{User: "CN=x"}); got != "no" {
		t.Errorf("without certificate: %s", got)
	}
	// A user that may not use this kind of connection is passed over.
	s = mapped("CN=x")
	s.users["d@e.f"] = &user{name: "d@e.f", kinds: []config.ConnectionType{config.MQTT}}
	if got := try(t, s, show(c)); got != "$G/CN=x" {
		t.Errorf("connection type: %s", got)
	}
	if got := try(t, s, Credentials{MapCertificate: true}); got != "no" {
		t.Errorf("no TLS: %s", got)
	}
}

func FuzzParseDN(f *testing.F) {
	for _, s := range []string{"CN=a", "cn = a + ou=b , dc=c", `CN=a\2cb\,\\`, "CN=", "=", "CN=a,", "CN=a\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := parseDN(s)
		if ok && len(d) == 0 {
			t.Fatal("a name of nothing")
		}
	})
}
