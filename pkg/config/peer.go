package config

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// PeerFits tells whether the certificate of a server that dialed us is that of the
// user or, with CheckKnownURLs, is for the host of one of the URLs that are known
// here; where both are asked for either will do (accounts-auth 12.2). user "" is
// everybody.
func (t *TLS) PeerFits(cert *x509.Certificate, user string, known []*url.URL) bool {
	if t.CheckKnownURLs && slices.ContainsFunc(known, func(u *url.URL) bool { return cert.VerifyHostname(u.Hostname()) == nil }) {
		return true
	}
	return t.VerifyAndMap && (user == "" || slices.Contains(CertificateNames(cert), user))
}

// CertificateNames are the names that a certificate gives to whom it is for, in the
// order in which users are looked for: e-mail, DNS and URI names, then the subject as
// text with its domain components, if there are any, and without.
func CertificateNames(cert *x509.Certificate) []string {
	return append(AlternativeNames(cert), SubjectTexts(cert)...)
}

// AlternativeNames are the e-mail, DNS and URI names of a certificate.
func AlternativeNames(cert *x509.Certificate) []string {
	names := slices.Concat(cert.EmailAddresses, cert.DNSNames)
	for _, u := range cert.URIs {
		names = append(names, u.String())
	}
	return names
}

// SubjectTexts are the subject as text with its domain components appended, if
// there are any, and without.
func SubjectTexts(cert *x509.Certificate) (texts []string) {
	plain := cert.Subject.ToRDNSequence().String()
	components := ""
	for _, n := range cert.Subject.Names {
		if v, ok := n.Value.(string); ok && n.Type.Equal(domainComponent) {
			components += ",DC=" + v
		}
	}
	if components != "" {
		texts = append(texts, strings.TrimPrefix(plain+components, ","))
	}
	if plain != "" {
		texts = append(texts, plain)
	}
	return texts
}

var domainComponent = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}

// looseNames warns of users whose names match certificates of more than one subject,
// if some listener knows users by certificates: a subject's text leaves out domain
// components and attributes that are not known.
func (l *loader) looseNames() {
	c := l.cfg
	maps := func(t *TLS) bool { return t != nil && t.VerifyAndMap }
	if !maps(c.Client.TLS) && !(c.LeafNodes != nil && maps(c.LeafNodes.TLS)) && !(c.WebSocket != nil && maps(c.WebSocket.TLS)) {
		return
	}
	judge := func(name string) {
		if up := strings.ToUpper(name); strings.HasPrefix(up, "CN=") && !strings.Contains(up, "DC=") {
			l.warnf(conf.Pos{}, "", "%s", fmt.Sprintf("user %q is found by certificates with this subject whatever domain components (DC) or unknown attributes it has besides: trust no authority that gives such to others, or name users by e-mail, DNS name or URI", name))
		}
	}
	for i := range c.Auth.Users {
		judge(c.Auth.Users[i].Name)
	}
	for i := range c.Accounts {
		for k := range c.Accounts[i].Users {
			judge(c.Accounts[i].Users[k].Name)
		}
	}
	if c.LeafNodes != nil {
		for _, u := range c.LeafNodes.Auth.Users {
			judge(u.Name)
		}
	}
}
