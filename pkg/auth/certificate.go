package auth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"

	"github.com/banyanmq/banyan/pkg/config"
)

// fromCertificate finds the user that the peer's certificate names. The first
// candidate that is a user allowed for this kind of connection wins: e-mail, DNS
// and URI names, then the subject (accounts-auth 12.2). structural compares the
// subject as a distinguished name too, and not only as text.
func fromCertificate(users map[string]*user, order []*user, c *Credentials, structural bool) (*user, error) {
	if c.TLS == nil || len(c.TLS.PeerCertificates) == 0 {
		return nil, refused("no certificate to take the user from")
	}
	cert := c.TLS.PeerCertificates[0]
	for _, name := range config.AlternativeNames(cert) {
		if u := users[name]; u != nil && u.allows(c.Kind) {
			return u, nil
		}
	}
	if structural {
		if u := bySubject(order, c, cert); u != nil {
			return u, nil
		}
	}
	for _, name := range config.SubjectTexts(cert) {
		if u := users[name]; u != nil && u.allows(c.Kind) {
			return u, nil
		}
	}
	return nil, refused("no user for certificate %q", cert.Subject.String())
}

var domainComponent = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}

// attributeNames are those that a subject is compared with; one with any other
// is not compared at all.
var attributeNames = []struct {
	oid  asn1.ObjectIdentifier
	name string
}{
	{asn1.ObjectIdentifier{2, 5, 4, 3}, "cn"},
	{asn1.ObjectIdentifier{2, 5, 4, 5}, "serialnumber"},
	{asn1.ObjectIdentifier{2, 5, 4, 6}, "c"},
	{asn1.ObjectIdentifier{2, 5, 4, 7}, "l"},
	{asn1.ObjectIdentifier{2, 5, 4, 8}, "st"},
	{asn1.ObjectIdentifier{2, 5, 4, 9}, "street"},
	{asn1.ObjectIdentifier{2, 5, 4, 10}, "o"},
	{asn1.ObjectIdentifier{2, 5, 4, 11}, "ou"},
	{asn1.ObjectIdentifier{2, 5, 4, 17}, "postalcode"},
	{domainComponent, "dc"},
}

func attributeName(oid asn1.ObjectIdentifier) string {
	for _, a := range attributeNames {
		if a.oid.Equal(oid) {
			return a.name
		}
	}
	return ""
}

// bySubject finds the user whose name is the subject as a distinguished name:
// in order, or, if there is none, in any order. Of several that match in any
// order none is taken.
func bySubject(order []*user, c *Credentials, cert *x509.Certificate) *user {
	subject := subjectDN(cert)
	if len(subject) == 0 {
		return nil
	}
	var loose *user
	ambiguous := false
	for _, u := range order {
		if !u.allows(c.Kind) {
			continue
		}
		name, ok := parseDN(u.name)
		if !ok || len(name) != len(subject) {
			continue
		}
		if slices.Equal(name, subject) {
			return u
		}
		if sameRDNs(name, subject) {
			ambiguous = loose != nil
			loose = u
		}
	}
	if ambiguous {
		return nil
	}
	return loose
}

// dn is a distinguished name, most specific part first; each part is the
// canonical text of a relative name.
type dn []string

// subjectDN is the subject in reverse of the certificate's order, nil if an
// attribute is of a type that is not compared.
func subjectDN(cert *x509.Certificate) dn {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &seq); err != nil || len(rest) > 0 {
		return nil
	}
	var out dn
	for i := len(seq) - 1; i >= 0; i-- {
		var parts []string
		for _, a := range seq[i] {
			name := attributeName(a.Type)
			value, ok := a.Value.(string)
			if name == "" || !ok {
				return nil
			}
			parts = append(parts, name+"="+value)
		}
		out = append(out, joinRDN(parts))
	}
	return out
}

// joinRDN is the canonical form of a relative name: the order of its attributes
// means nothing. NUL cannot be part of a value that a user name has.
func joinRDN(parts []string) string {
	slices.Sort(parts)
	return strings.Join(parts, "\x00")
}

func sameRDNs(a, b dn) bool {
	x, y := slices.Clone(a), slices.Clone(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// parseDN reads the text form of RFC 4514. Spaces around commas, plus and equal
// signs mean nothing.
func parseDN(s string) (dn, bool) {
	var out dn
	var parts []string
	for {
		name, rest, found := strings.Cut(s, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if !found || !knownAttribute(name) {
			return nil, false
		}
		value, end, rest, ok := dnValue(rest)
		if !ok {
			return nil, false
		}
		parts = append(parts, name+"="+value)
		if end != '+' {
			out = append(out, joinRDN(parts))
			parts = nil
		}
		if end == 0 {
			return out, true
		}
		s = rest
	}
}

func knownAttribute(name string) bool {
	for _, a := range attributeNames {
		if a.name == name {
			return true
		}
	}
	return false
}

// dnValue takes a value off s, up to the separator that ends it (0: the end).
func dnValue(s string) (value string, end byte, rest string, ok bool) {
	s = strings.TrimLeft(s, " ")
	var b strings.Builder
	keep := 0 // length up to the last byte that is not an unescaped space
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ',' || c == '+' || c == ';':
			return b.String()[:keep], c, s[i+1:], true
		case c == '\\':
			if i++; i == len(s) {
				return "", 0, "", false
			}
			if h, ok := hexByte(s[i:]); ok {
				b.WriteByte(h)
				i++
			} else {
				b.WriteByte(s[i])
			}
			keep = b.Len()
		default:
			b.WriteByte(c)
			if c != ' ' {
				keep = b.Len()
			}
		}
	}
	return b.String()[:keep], 0, "", true
}

func hexByte(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	hi, ok1 := hexDigit(s[0])
	lo, ok2 := hexDigit(s[1])
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
