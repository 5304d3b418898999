package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// HandshakeFirst says whether TLS comes before INFO.
type HandshakeFirst struct {
	// Mode is off, on or auto.
	Mode HandshakeMode
	// Fallback in mode auto is how long the server waits for a TLS hello
	// before it sends INFO in clear.
	Fallback time.Duration
}

// HandshakeMode of a listener or remote.
type HandshakeMode int

// The modes.
const (
	HandshakeOff HandshakeMode = iota
	HandshakeOn
	HandshakeAuto
)

// Certificate is a pair of PEM files.
type Certificate struct {
	CertFile string
	KeyFile  string
}

// TLS is one tls block. File names are absolute or relative to the process.
type TLS struct {
	Certificates []Certificate
	// CAFile verifies the peer; "" is the system's roots.
	CAFile string
	// Verify requires a client certificate on the accepting side.
	Verify bool
	// VerifyAndMap takes the identity from the client certificate; implies Verify.
	VerifyAndMap bool
	// CheckKnownURLs lets only peers in whose certificate is a host of the
	// configured URLs (routes and gateways); implies Verify.
	CheckKnownURLs bool
	// Mutual is set by Load in cluster and gateway blocks: the dialing side is
	// verified too, always.
	Mutual bool
	// Timeout of the handshake.
	Timeout        time.Duration
	HandshakeFirst HandshakeFirst
	// PinnedCerts are lower-case hex SHA-256 sums of the SubjectPublicKeyInfo of
	// peers; empty admits all.
	PinnedCerts []string
	// Insecure skips the verification of the server when dialing.
	Insecure bool
	// MinVersion is tls.VersionTLS12 or tls.VersionTLS13; 0 is 1.2.
	MinVersion uint16
	// CipherSuites and Curves empty are Go's choice.
	CipherSuites []uint16
	Curves       []tls.CurveID
	// ConnectionRateLimit is handshakes per second; 0 is unlimited.
	ConnectionRateLimit int
}

// ErrNotPinned is the handshake error when pinned_certs does not list the peer.
var ErrNotPinned = errors.New("certificate not pinned")

// Server builds the accepting side's configuration; it reads the files.
func (t *TLS) Server() (*tls.Config, error) {
	c, err := t.base()
	if err != nil {
		return nil, err
	}
	if len(c.Certificates) == 0 {
		return nil, errors.New("tls: no certificate configured: set cert_file and key_file")
	}
	if t.Verify || t.VerifyAndMap || t.CheckKnownURLs || t.Mutual {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if c.ClientCAs, err = t.pool(); err != nil {
		return nil, err
	}
	return c, nil
}

// Client builds the dialing side's configuration for a server that is expected
// to prove serverName; it reads the files.
func (t *TLS) Client(serverName string) (*tls.Config, error) {
	c, err := t.base()
	if err != nil {
		return nil, err
	}
	c.ServerName = serverName
	c.InsecureSkipVerify = t.Insecure
	if c.RootCAs, err = t.pool(); err != nil {
		return nil, err
	}
	return c, nil
}

func (t *TLS) base() (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:       max(t.MinVersion, tls.VersionTLS12),
		CipherSuites:     slices.Clone(t.CipherSuites),
		CurvePreferences: slices.Clone(t.Curves),
	}
	for _, p := range t.Certificates {
		pair, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("error parsing X509 certificate/key pair: %w", err)
		}
		c.Certificates = append(c.Certificates, pair)
	}
	if len(t.PinnedCerts) > 0 {
		c.VerifyConnection = t.checkPinned
	}
	return c, nil
}

// pool is nil, the system's roots, without a CA file.
func (t *TLS) pool() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("tls: read ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("failed to parse root ca certificate: no PEM certificate in %q", t.CAFile)
	}
	return pool, nil
}

func (t *TLS) checkPinned(s tls.ConnectionState) error {
	if len(s.PeerCertificates) > 0 && slices.Contains(t.PinnedCerts, Fingerprint(s.PeerCertificates[0])) {
		return nil
	}
	return ErrNotPinned
}

// Fingerprint is the form of a certificate that pinned_certs lists.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return strings.ToLower(hex.EncodeToString(sum[:]))
}
