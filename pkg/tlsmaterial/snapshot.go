package tlsmaterial

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// snapshot is everything that handshakes need, read at one time. It is never
// changed once it is current.
type snapshot struct {
	settings Settings
	certs    []tls.Certificate // with Leaf
	roots    *x509.CertPool    // nil: the system's
	cas      []*x509.Certificate
	domains  map[string]*x509.CertPool             // of SPIFFE, by trust domain
	staples  map[string]*stapled                   // by the certificate's DER
	revoked  func(tls.ConnectionState, bool) error // asks OCSP about a peer, nil does not
	// digest is over the content of certificates and authorities: equal for files
	// that were only touched.
	digest [sha256.Size]byte

	server *tls.Config
	public *tls.Config // of a listener that asks for no certificates
	asking *tls.Config // of a listener that does without certificates, and looks at those that are shown
	client *tls.Config // without ServerName
}

// read makes a snapshot of what the settings name.
func (m *Material) read(s Settings) (*snapshot, error) {
	n := &snapshot{settings: s}
	for _, p := range s.Pairs {
		pair, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("error parsing X509 certificate/key pair: %w", err)
		}
		n.certs = append(n.certs, pair)
	}
	if s.SPIFFE != nil {
		u, err := m.identity(s.SPIFFE)
		if err == nil {
			err = n.take(u)
		}
		if err != nil {
			return nil, err
		}
	}
	if s.CAFile != "" {
		var err error
		if n.cas, err = readAuthorities(s.CAFile); err != nil {
			return nil, err
		}
		n.roots, n.domains = x509.NewCertPool(), nil
		for _, ca := range n.cas {
			n.roots.AddCert(ca)
		}
	}
	n.digest = n.sum()
	if k := m.keeper; s.Peer != nil {
		if k == nil {
			k = NewKeeper(Options{})
		}
		n.revoked = func(c tls.ConnectionState, accepted bool) error { return k.checkPeer(m.name, n, c, accepted) }
	}
	n.configure()
	return n, nil
}

func (n *snapshot) sum() (d [sha256.Size]byte) {
	h := sha256.New()
	for i := range n.certs {
		for _, der := range n.certs[i].Certificate {
			h.Write(der)
		}
	}
	for _, ca := range n.cas {
		h.Write(ca.Raw)
	}
	h.Sum(d[:0])
	return d
}

// readAuthorities reads the certificates of a PEM file. Those that can't be parsed
// are passed over, as long as one can.
func readAuthorities(file string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tls: read ca_file: %w", err)
	}
	var list []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("failed to parse root ca certificate: no PEM certificate in %q", file)
	}
	return list, nil
}

// configure makes the configurations of both sides.
func (n *snapshot) configure() {
	base := tls.Config{
		Certificates:     n.certs,
		MinVersion:       max(n.settings.MinVersion, tls.VersionTLS12),
		CipherSuites:     slices.Clone(n.settings.CipherSuites),
		CurvePreferences: slices.Clone(n.settings.Curves),
		// Full records: small ones cost many times as much a byte.
		DynamicRecordSizingDisabled: true,
	}
	n.public = base.Clone()
	n.server = base.Clone()
	n.server.ClientCAs = n.roots
	if n.settings.Verify {
		n.server.ClientAuth = tls.RequireAndVerifyClientCert
	}
	n.server.VerifyConnection = func(c tls.ConnectionState) error { return n.verify(c, true) }

	n.asking = base.Clone()
	n.asking.ClientCAs, n.asking.ClientAuth = n.roots, tls.VerifyClientCertIfGiven
	n.asking.VerifyConnection = n.verifyShown

	n.client = base.Clone()
	n.client.RootCAs = n.roots
	n.client.InsecureSkipVerify = n.settings.Insecure
	n.client.VerifyConnection = func(c tls.ConnectionState) error { return n.verify(c, false) }

	if n.domains != nil { // which verify takes care of
		n.client.InsecureSkipVerify = true
		if n.settings.Verify {
			n.server.ClientAuth = tls.RequireAnyClientCert
		}
	}
}

// verify is what a handshake asks beyond what crypto/tls has looked at.
func (n *snapshot) verify(c tls.ConnectionState, accepted bool) error {
	// A resumed session stands on a verification of long ago, maybe by authorities
	// that are no longer trusted.
	if c.DidResume || n.domains != nil {
		if err := n.verifyChain(c, accepted); err != nil {
			return err
		}
	}
	if err := n.verifyPinned(c); err != nil {
		return err
	}
	if err := n.verifyStaple(c, time.Now()); err != nil {
		return err
	}
	if n.revoked != nil {
		return n.revoked(c, accepted)
	}
	return nil
}

// verifyShown is verify for a listener where a peer may show a certificate. What has not
// passed does not get through, so that whoever has shown one may be trusted by it.
func (n *snapshot) verifyShown(c tls.ConnectionState) error {
	if len(c.PeerCertificates) == 0 {
		return nil
	}
	if c.DidResume { // see verify
		if err := chains(c, x509.VerifyOptions{Roots: n.roots}, true); err != nil {
			return err
		}
	}
	if n.revoked != nil {
		return n.revoked(c, true)
	}
	return nil
}

// verifyChain verifies the peer's certificate as the handshake of a new session does.
func (n *snapshot) verifyChain(c tls.ConnectionState, accepted bool) error {
	switch {
	case accepted && !n.settings.Verify || !accepted && n.settings.Insecure:
		return nil
	case n.domains != nil:
		return n.verifySVID(c, accepted)
	}
	o := x509.VerifyOptions{Roots: n.roots}
	if !accepted {
		o.DNSName = c.ServerName
	}
	return chains(c, o, accepted)
}

func leafOf(c tls.ConnectionState) (*x509.Certificate, error) {
	if len(c.PeerCertificates) == 0 {
		return nil, errors.New("the peer has shown no certificate")
	}
	return c.PeerCertificates[0], nil
}

// chains verifies the peer's certificate by what it has shown along with it.
func chains(c tls.ConnectionState, o x509.VerifyOptions, accepted bool) error {
	leaf, err := leafOf(c)
	if err != nil {
		return err
	}
	o.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if accepted {
		o.KeyUsages[0] = x509.ExtKeyUsageClientAuth
	}
	o.Intermediates = x509.NewCertPool()
	for _, cert := range c.PeerCertificates[1:] {
		o.Intermediates.AddCert(cert)
	}
	if _, err := leaf.Verify(o); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: c.PeerCertificates, Err: err}
	}
	return nil
}

func (n *snapshot) verifyPinned(c tls.ConnectionState) error {
	if len(n.settings.Pinned) == 0 {
		return nil
	}
	if len(c.PeerCertificates) > 0 && slices.Contains(n.settings.Pinned, Fingerprint(c.PeerCertificates[0])) {
		return nil
	}
	return ErrNotPinned
}

// notAfter is when the first of the certificates that are shown ends; ok is false
// without any.
func (n *snapshot) notAfter() (at time.Time, ok bool) {
	for i := range n.certs {
		if c := n.certs[i].Leaf; c != nil && (!ok || c.NotAfter.Before(at)) {
			at, ok = c.NotAfter, true
		}
	}
	return at, ok
}
