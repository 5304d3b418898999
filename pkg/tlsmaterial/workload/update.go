package workload

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Update is one answer of the agent: all that is true now.
type Update struct {
	// SVIDs are the identities of this process, the default one first; at least one.
	SVIDs []SVID
	// Bundles are the authorities by trust domain: the own ones, and those of
	// domains that are federated with them.
	Bundles map[string][]*x509.Certificate
}

// SVID is an identity with its certificate.
type SVID struct {
	ID string // spiffe://trust.domain/path
	// Chain begins with the certificate of the ID.
	Chain []*x509.Certificate
	Key   crypto.Signer
	// Hint tells several SVIDs apart, as the operator of the agent likes it.
	Hint string
}

// Fields of X509SVIDResponse, X509SVID and of an entry of a map.
const (
	responseSVID, responseFederated              = 1, 3
	svidID, svidChain, svidKey, svidBundle, hint = 1, 2, 3, 4, 5
	entryKey, entryValue                         = 1, 2
)

// decode reads an X509SVIDResponse.
func decode(msg []byte) (*Update, error) {
	u := &Update{Bundles: map[string][]*x509.Certificate{}}
	err := fields(msg, func(n protowire.Number, v []byte) error {
		switch n {
		case responseSVID:
			return u.svid(v)
		case responseFederated:
			return u.federated(v)
		}
		return nil
	})
	if err == nil && len(u.SVIDs) == 0 {
		err = errors.New("the answer holds no identity")
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

// fields calls each with the fields that are strings, bytes or messages, and passes
// over the others.
func fields(b []byte, each func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("malformed answer: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if typ != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return fmt.Errorf("malformed answer: %w", protowire.ParseError(n))
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return fmt.Errorf("malformed answer: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if err := each(num, v); err != nil {
			return err
		}
	}
	return nil
}

func (u *Update) svid(msg []byte) error {
	var (
		s                  SVID
		chain, key, bundle []byte
	)
	err := fields(msg, func(n protowire.Number, v []byte) error {
		switch n {
		case svidID:
			s.ID = string(v)
		case svidChain:
			chain = v
		case svidKey:
			key = v
		case svidBundle:
			bundle = v
		case hint:
			s.Hint = string(v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	domain, err := TrustDomain(s.ID)
	if err != nil {
		return err
	}
	if s.Chain, err = x509.ParseCertificates(chain); err != nil || len(s.Chain) == 0 {
		return fmt.Errorf("certificate of %s: %w", s.ID, missing(err))
	}
	if id, err := ID(s.Chain[0]); err != nil || id != s.ID {
		return fmt.Errorf("the certificate of %s is for another identity", s.ID)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("the key of %s can't be read", s.ID) // what it is must not be told
	}
	var ok bool
	if s.Key, ok = parsed.(crypto.Signer); !ok || !samePublic(s.Key.Public(), s.Chain[0].PublicKey) {
		return fmt.Errorf("the key of %s does not belong to its certificate", s.ID)
	}
	u.SVIDs = append(u.SVIDs, s)
	return u.bundle(domain, bundle)
}

func missing(err error) error {
	if err == nil {
		return errors.New("there is none")
	}
	return err
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func (u *Update) federated(entry []byte) error {
	var domain string
	var bundle []byte
	err := fields(entry, func(n protowire.Number, v []byte) error {
		switch n {
		case entryKey:
			domain = string(v)
		case entryValue:
			bundle = v
		}
		return nil
	})
	if err != nil {
		return err
	}
	if domain, err = TrustDomain(domain); err != nil {
		return err
	}
	return u.bundle(domain, bundle)
}

func (u *Update) bundle(domain string, der []byte) error {
	list, err := x509.ParseCertificates(der)
	if err != nil || len(list) == 0 {
		return fmt.Errorf("authorities of trust domain %s: %w", domain, missing(err))
	}
	for _, c := range list {
		known := false
		for _, k := range u.Bundles[domain] {
			known = known || bytes.Equal(k.Raw, c.Raw)
		}
		if !known {
			u.Bundles[domain] = append(u.Bundles[domain], c)
		}
	}
	return nil
}

// TrustDomain is that of a SPIFFE ID: "example.org" of "spiffe://example.org/a/b".
func TrustDomain(id string) (string, error) {
	rest, ok := strings.CutPrefix(id, "spiffe://")
	domain, path, _ := strings.Cut(rest, "/")
	if !ok || domain == "" || strings.Trim(domain, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" || len(id) > 2048 ||
		strings.ContainsAny(path, "?#%") {
		return "", fmt.Errorf("%q is no SPIFFE ID: want spiffe://trust.domain/path", id)
	}
	return domain, nil
}

// ID is the SPIFFE ID of a certificate: its only URI.
func ID(c *x509.Certificate) (string, error) {
	var uris []*url.URL
	if c != nil {
		uris = c.URIs
	}
	if len(uris) != 1 {
		return "", fmt.Errorf("a SPIFFE certificate has one URI, this one has %d", len(uris))
	}
	id := uris[0].String()
	if _, err := TrustDomain(id); err != nil {
		return "", err
	}
	return id, nil
}
