package tlsmaterial

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
)

// Pair is a certificate and its key, as PEM files.
type Pair struct {
	CertFile string
	KeyFile  string
}

// Settings say where material is and what is asked of peers. They are not changed
// once they are given to a Material.
type Settings struct {
	Pairs []Pair
	// CAFile has the authorities of peers; "" means the system's.
	CAFile string
	// Verify makes the accepting side demand a certificate and verify it.
	Verify bool
	// Insecure skips the verification of the server when dialing.
	Insecure bool
	// Pinned are lower-case hex SHA-256 sums of the SubjectPublicKeyInfo of peers;
	// empty admits all.
	Pinned []string
	// MinVersion below TLS 1.2 is 1.2.
	MinVersion uint16
	// CipherSuites and Curves empty are Go's choice.
	CipherSuites []uint16
	Curves       []tls.CurveID
	// SPIFFE nil takes everything from the files above.
	SPIFFE *SPIFFE
	// Staple nil staples nothing.
	Staple *Staple
	// Peer nil does not ask OCSP about peers.
	Peer *OCSPPeer
}

// ErrNotPinned is the handshake error when Pinned does not list the peer.
var ErrNotPinned = errors.New("certificate not pinned")

// ErrNoCertificate is returned by [Material.Server] when there is none to show.
var ErrNoCertificate = errors.New("tls: no certificate configured: set cert_file and key_file")

// Fingerprint is the form of a certificate that Settings.Pinned lists.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}
