package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"time"
)

const (
	// DefaultValidity is how long a server or client certificate is valid.
	DefaultValidity = 365 * 24 * time.Hour
	// AuthorityValidity is how long a new authority is valid.
	AuthorityValidity = 10 * 365 * 24 * time.Hour

	// backdate allows for a peer whose clock is a little behind.
	backdate = time.Hour

	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// Usage says which end of a connection a certificate is for.
type Usage int

const (
	Server Usage = 1 << iota // accepts connections
	Client                   // dials; the default of a Request is Server
	// Both suits routes, gateways and leaf links, where a node does either.
	Both = Server | Client
)

func (u Usage) String() string {
	switch u {
	case Client:
		return "client"
	case Both:
		return "server and client"
	default:
		return "server"
	}
}

// Request describes the certificate that an Authority is asked to sign.
// The zero value of every field but CommonName has a usable default.
type Request struct {
	CommonName   string
	Organization string
	DNS          []string
	IPs          []net.IP
	URIs         []*url.URL
	Emails       []string
	OCSP         []string      // URLs of responders
	MustStaple   bool          // demand a staple of whoever shows the certificate
	Usage        Usage         // default Server
	NotBefore    time.Time     // default: one hour ago
	Validity     time.Duration // default DefaultValidity; counted from now, or from NotBefore when that is given
}

// AddHost adds each host to the request's IPs when it is an address and to
// its DNS names otherwise.
func (r *Request) AddHost(hosts ...string) {
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			r.IPs = append(r.IPs, ip)
		} else {
			r.DNS = append(r.DNS, h)
		}
	}
}

// Pair is a certificate with its private key.
type Pair struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// CertPEM returns the certificate in PEM form.
func (p *Pair) CertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: p.Cert.Raw})
}

// KeyPEM returns the private key in PEM form (PKCS #8). It is a secret.
func (p *Pair) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return nil, fmt.Errorf("encoding the private key of %q: %w", p.Cert.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

// TLS returns the pair in the form that crypto/tls takes.
func (p *Pair) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.Cert.Raw}, PrivateKey: p.Key, Leaf: p.Cert}
}

// WriteFiles writes the certificate (mode 0644) and the key (mode 0600),
// replacing what is there.
func (p *Pair) WriteFiles(certFile, keyFile string) error {
	key, err := p.KeyPEM()
	if err != nil {
		return err
	}
	if err := writeFile(keyFile, key, 0o600); err != nil {
		return err
	}
	return writeFile(certFile, p.CertPEM(), 0o644)
}

// LoadPair reads a certificate and its ECDSA key from PEM files and checks
// that they belong together.
func LoadPair(certFile, keyFile string) (*Pair, error) {
	cb, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	kb, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	cert, err := parseCert(cb)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	key, err := parseKey(kb)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s: remove one of them or give another directory", keyFile, certFile)
	}
	return &Pair{Cert: cert, Key: key}, nil
}

func parseCert(b []byte) (*x509.Certificate, error) {
	blk, _ := pem.Decode(b)
	if blk == nil || blk.Type != pemCertificate {
		return nil, errors.New("no PEM block CERTIFICATE in it")
	}
	return x509.ParseCertificate(blk.Bytes)
}

func parseKey(b []byte) (*ecdsa.PrivateKey, error) {
	blk, _ := pem.Decode(b)
	if blk == nil {
		return nil, errors.New("no PEM block in it")
	}
	switch blk.Type {
	case pemKey:
		k, err := x509.ParsePKCS8PrivateKey(blk.Bytes)
		if err != nil {
			return nil, err
		}
		ec, ok := k.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("the key is a %T: only ECDSA keys are made and read here", k)
		}
		return ec, nil
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(blk.Bytes)
	}
	return nil, fmt.Errorf("PEM block %q is not a private key", blk.Type)
}

// Authority signs certificates.
type Authority struct{ Pair }

// NewAuthority makes a self-signed authority that may sign end certificates
// only. A validity of 0 means AuthorityValidity.
func NewAuthority(commonName string, validity time.Duration) (*Authority, error) {
	if validity == 0 {
		validity = AuthorityValidity
	}
	key, serial, err := newKey()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: commonName, Organization: []string{"Banyan"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(validity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	cert, err := sign(t, t, key, key)
	if err != nil {
		return nil, err
	}
	return &Authority{Pair{Cert: cert, Key: key}}, nil
}

// LoadAuthority reads an authority that NewAuthority and WriteFiles left.
func LoadAuthority(certFile, keyFile string) (*Authority, error) {
	p, err := LoadPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	if !p.Cert.IsCA {
		return nil, fmt.Errorf("%s is not a certificate authority: give another directory", certFile)
	}
	return &Authority{*p}, nil
}

// Pool returns a pool that trusts this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}

// Issue makes a key and a certificate for the request.
func (a *Authority) Issue(r Request) (*Pair, error) {
	if r.CommonName == "" {
		return nil, errors.New("a certificate needs a common name")
	}
	if r.Validity < 0 {
		return nil, fmt.Errorf("validity %s is negative", r.Validity)
	}
	key, serial, err := newKey()
	if err != nil {
		return nil, err
	}
	t := template(r, serial)
	// A certificate that outlives its authority only looks valid.
	if t.NotAfter.After(a.Cert.NotAfter) {
		t.NotAfter = a.Cert.NotAfter
	}
	cert, err := sign(t, a.Cert, key, a.Key)
	if err != nil {
		return nil, err
	}
	return &Pair{Cert: cert, Key: key}, nil
}

func template(r Request, serial *big.Int) *x509.Certificate {
	notBefore, start := r.NotBefore, r.NotBefore
	if r.NotBefore.IsZero() {
		start = time.Now()
		notBefore = start.Add(-backdate)
	}
	if r.Validity == 0 {
		r.Validity = DefaultValidity
	}
	subject := pkix.Name{CommonName: r.CommonName}
	if r.Organization != "" {
		subject.Organization = []string{r.Organization}
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               subject,
		NotBefore:             notBefore,
		NotAfter:              start.Add(r.Validity),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           extKeyUsage(r.Usage),
		BasicConstraintsValid: true,
		DNSNames:              r.DNS,
		IPAddresses:           r.IPs,
		URIs:                  r.URIs,
		EmailAddresses:        r.Emails,
		OCSPServer:            r.OCSP,
	}
	if r.MustStaple {
		// A list of TLS features with one entry, status_request (RFC 7633).
		t.ExtraExtensions = []pkix.Extension{{Id: tlsFeature, Value: []byte{0x30, 3, 2, 1, 5}}}
	}
	return t
}

var tlsFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

func extKeyUsage(u Usage) []x509.ExtKeyUsage {
	switch u {
	case Client:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case Both:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	default:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
}

func newKey() (*ecdsa.PrivateKey, *big.Int, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("making a serial number: %w", err)
	}
	return key, serial.Add(serial, big.NewInt(1)), nil
}

func sign(t, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of %q: %w", t.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// sameHosts reports whether a certificate answers for exactly the names of a request.
func sameHosts(c *x509.Certificate, r Request) bool {
	want := template(r, nil)
	if !sameSet(c.DNSNames, want.DNSNames) || !sameSet(c.EmailAddresses, want.EmailAddresses) {
		return false
	}
	return sameSet(ipStrings(c.IPAddresses), ipStrings(want.IPAddresses)) &&
		sameSet(uriStrings(c.URIs), uriStrings(want.URIs))
}

func sameSet(a, b []string) bool {
	m := map[string]bool{}
	for _, s := range a {
		m[s] = true
	}
	n := map[string]bool{}
	for _, s := range b {
		if !m[s] {
			return false
		}
		n[s] = true
	}
	return len(m) == len(n)
}

func ipStrings(ips []net.IP) []string {
	s := make([]string, len(ips))
	for i, ip := range ips {
		s[i] = ip.String()
	}
	return s
}

func uriStrings(us []*url.URL) []string {
	s := make([]string, len(us))
	for i, u := range us {
		s[i] = u.String()
	}
	return s
}
