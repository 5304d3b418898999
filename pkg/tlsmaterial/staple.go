package tlsmaterial

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// StapleMode says when responses of OCSP are stapled to the own certificate.
type StapleMode string

// The modes. Auto and must staple for certificates that demand it; without a good
// response auto goes on, must ends the process. Always staples and ends it.
const (
	StapleNever  StapleMode = "never"
	StapleAuto   StapleMode = "auto"
	StapleMust   StapleMode = "must"
	StapleAlways StapleMode = "always"
)

// Staple is OCSP for the own certificates (accounts-auth 13).
type Staple struct {
	Mode StapleMode
	// URLs of responders, instead of those that certificates name.
	URLs []string
	// Dir keeps responses over a restart; "" does not.
	Dir string
	// FromPeers demands a good staple of the peer too, while we staple, as servers do
	// among each other. It is what such a peer is called in errors; "" demands none.
	FromPeers string
}

const (
	autoWait       = 5 * time.Second // how long a start waits in mode auto
	unsetValidity  = 24 * time.Hour  // of a response that does not say
	pastValidity   = 2 * time.Minute // pause before the next question when a response is past
	failedQuestion = time.Minute
)

// stapled is what is stapled to one certificate.
type stapled struct {
	raw     []byte
	expires time.Time
	again   time.Time // when to ask for the next
}

// staples tells whether the certificate is to have one.
func (s *Staple) staples(c *x509.Certificate) bool {
	if s == nil || s.Mode == "" || s.Mode == StapleNever {
		return false
	}
	return s.Mode == StapleAlways || mustStaple(c)
}

func (s *Staple) strict() bool { return s != nil && (s.Mode == StapleMust || s.Mode == StapleAlways) }

// missing are the indexes of certificates that want a new staple at a time.
func (n *snapshot) missing(now time.Time) (list []int) {
	for i := range n.certs {
		c := n.certs[i].Leaf
		if s := n.staples[string(c.Raw)]; n.settings.Staple.staples(c) && (s == nil || !now.Before(s.again)) {
			list = append(list, i)
		}
	}
	return list
}

// inherit takes over the staples of certificates that stay.
func (n *snapshot) inherit(old *snapshot) {
	if old == nil {
		return
	}
	for i := range n.certs {
		if s := old.staples[string(n.certs[i].Leaf.Raw)]; s != nil && n.settings.Staple.staples(n.certs[i].Leaf) {
			n.staple(i, s)
		}
	}
}

// staple sets the staple of a certificate of a snapshot that is not current yet.
func (n *snapshot) staple(i int, s *stapled) {
	if n.staples == nil {
		n.staples = map[string]*stapled{}
	}
	n.staples[string(n.certs[i].Leaf.Raw)] = s
	n.certs[i].OCSPStaple = s.raw
}

// askFor gets the staple of certificate i: from the directory, else from responders.
func (k *Keeper) askFor(ctx context.Context, n *snapshot, i int, old *stapled) (*stapled, error) {
	set, cert := n.settings.Staple, n.certs[i].Leaf
	issuer, err := n.issuerOf(i)
	if err != nil {
		return nil, err
	}
	now := k.o.Now()
	if raw, err := os.ReadFile(set.file(cert)); err == nil && old == nil {
		if r, err := parseOCSP(raw, cert, issuer); err == nil && r.Status == ocsp.Good && fresh(r, now, defaultSkew, unsetValidity) == nil {
			return k.stapleOf(raw, r), nil
		}
	}
	urls := set.URLs
	if len(urls) == 0 {
		urls = responders(cert)
	}
	ctx, cancel := context.WithTimeout(ctx, stapleTimeout)
	defer cancel()
	raw, r, err := k.ocsp.ask(ctx, urls, cert, issuer, true)
	if err != nil {
		return nil, err
	}
	if r.Status != ocsp.Good {
		return nil, &statusError{r.Status}
	}
	if err := fresh(r, now, defaultSkew, unsetValidity); err != nil {
		return nil, err
	}
	if set.Dir != "" {
		if err := writeFile(set.file(cert), raw); err != nil {
			k.o.Log.Warnf("An OCSP response can't be kept: %v", err)
		}
	}
	return k.stapleOf(raw, r), nil
}

// statusError is an answer other than good.
type statusError struct{ status int }

func (e *statusError) Error() string { return "its OCSP status is " + statusName(e.status) }

// stapleOf says when to ask for the next: at half of the time that is left.
func (k *Keeper) stapleOf(raw []byte, r *ocsp.Response) *stapled {
	now := k.o.Now()
	s := &stapled{raw: raw, expires: expires(r, unsetValidity)}
	pause := s.expires.Sub(now) / 2
	switch {
	case r.NextUpdate.IsZero():
		pause = unsetValidity
	case pause <= 0:
		pause = pastValidity
	}
	s.again = now.Add(pause)
	return s
}

// file is where the response about a certificate is kept; "" nowhere.
func (s *Staple) file(c *x509.Certificate) string {
	if s.Dir == "" {
		return ""
	}
	sum := sha256.Sum256(c.Raw)
	return filepath.Join(s.Dir, hex.EncodeToString(sum[:]))
}

// writeFile puts a file in place whole.
func writeFile(file string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// issuerOf finds who issued a certificate: in its file, among the authorities, or by
// those of the system.
func (n *snapshot) issuerOf(i int) (*x509.Certificate, error) {
	leaf := n.certs[i].Leaf
	for _, der := range n.certs[i].Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil && leaf.CheckSignatureFrom(c) == nil {
			return c, nil
		}
	}
	for _, c := range n.cas {
		if leaf.CheckSignatureFrom(c) == nil {
			return c, nil
		}
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: n.roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil || len(chains[0]) < 2 {
		return nil, errors.New("its issuer is not known, which OCSP needs: put its certificate behind the own one in cert_file, or in ca_file")
	}
	return chains[0][1], nil
}

// addStaples asks for what a snapshot that is not current yet lacks. In a strict
// mode one that can't be had is an error.
func (k *Keeper) addStaples(ctx context.Context, name string, n *snapshot) error {
	for _, i := range n.missing(k.o.Now()) {
		cert := n.certs[i].Leaf
		s, err := k.askFor(ctx, n, i, nil)
		if err == nil {
			n.staple(i, s)
			continue
		}
		err = fmt.Errorf("no good OCSP response for certificate %q: %w", Subject(cert), err)
		if n.settings.Staple.strict() {
			return err
		}
		k.o.Log.Errorf("%s: %v; nothing is stapled", name, err)
		n.staple(i, &stapled{again: k.o.Now().Add(failedQuestion)})
	}
	return nil
}

// refresh asks anew for staples that are past half of their time. One question is
// under way for a material at a time.
func (k *Keeper) refresh(m *Material) {
	n := m.current.Load()
	if n == nil || len(n.missing(k.o.Now())) == 0 || !m.asking.CompareAndSwap(false, true) {
		return
	}
	k.done.Go(func() {
		defer m.asking.Store(false)
		k.renew(m, n)
	})
}

func (k *Keeper) renew(m *Material, n *snapshot) {
	next := n.clone()
	now := k.o.Now()
	for _, i := range n.missing(now) {
		cert := n.certs[i].Leaf
		old := n.staples[string(cert.Raw)]
		s, err := k.askFor(k.ctx, n, i, old)
		var bad *statusError
		switch {
		case k.ctx.Err() != nil:
			return
		case err == nil:
			if old == nil || old.raw == nil {
				k.o.Log.Noticef("%s: OCSP says that certificate %q is good, until %s", m.name, Subject(cert), Date(s.expires))
			}
		case old != nil && now.Before(old.expires) && !errors.As(err, &bad):
			// What is stapled still holds.
			k.o.Log.Warnf("%s: no new OCSP response for certificate %q: %v; the former one holds until %s", m.name, Subject(cert), err, Date(old.expires))
			s = &stapled{raw: old.raw, expires: old.expires, again: now.Add(min(failedQuestion, old.expires.Sub(now)))}
		default:
			k.o.Log.Errorf("%s: no good OCSP response for certificate %q: %v; nothing is stapled", m.name, Subject(cert), err)
			if n.settings.Staple.strict() {
				k.o.Fatal(fmt.Errorf("%s: ocsp mode %s: certificate %q: %w", m.name, n.settings.Staple.Mode, Subject(cert), err))
			}
			s = &stapled{again: now.Add(failedQuestion)}
		}
		next.staple(i, s)
	}
	next.configure()
	m.current.CompareAndSwap(n, next)
}

// clone is a copy whose staples can be set.
func (n *snapshot) clone() *snapshot {
	c := *n
	c.certs = slices.Clone(n.certs)
	c.staples = map[string]*stapled{}
	for k, v := range n.staples {
		c.staples[k] = v
	}
	return &c
}

// neverStapled warns of certificates that demand what the settings forbid.
func (k *Keeper) neverStapled(name string, n *snapshot) {
	if s := n.settings.Staple; s != nil && s.Mode == StapleNever {
		for i := range n.certs {
			if mustStaple(n.certs[i].Leaf) {
				k.o.Log.Warnf("%s: certificate %q demands a staple of OCSP, which the settings forbid (ocsp: never): clients that look will not connect",
					name, Subject(n.certs[i].Leaf))
			}
		}
	}
}

// verifyStaple demands a good staple of a server's peer while we staple.
func (n *snapshot) verifyStaple(c tls.ConnectionState, now time.Time) error {
	s := n.settings.Staple
	if s == nil || s.FromPeers == "" || !slices.ContainsFunc(n.certs, func(own tls.Certificate) bool { return s.staples(own.Leaf) }) {
		return nil
	}
	leaf, err := leafOf(c)
	if err != nil {
		return err
	}
	if len(c.OCSPResponse) == 0 {
		return fmt.Errorf("%s peer missing OCSP Staple", s.FromPeers)
	}
	issuer := n.issuerIn(c)
	if issuer == nil {
		return fmt.Errorf("the issuer of the %s peer is not known, which its OCSP Staple needs", s.FromPeers)
	}
	r, err := parseOCSP(c.OCSPResponse, leaf, issuer)
	if err != nil {
		return fmt.Errorf("failed to parse OCSP Staple from %s peer: %w", s.FromPeers, err)
	}
	if err := fresh(r, now, defaultSkew, unsetValidity); err != nil {
		return fmt.Errorf("OCSP Staple from %s peer: %w", s.FromPeers, err)
	}
	if r.Status != ocsp.Good {
		return fmt.Errorf("bad status for OCSP Staple from %s peer: %s", s.FromPeers, statusName(r.Status))
	}
	return nil
}

// issuerIn is who issued the peer's certificate, as far as it was verified.
func (n *snapshot) issuerIn(c tls.ConnectionState) *x509.Certificate {
	for _, chain := range c.VerifiedChains {
		if len(chain) > 1 {
			return chain[1]
		}
	}
	leaf := c.PeerCertificates[0]
	for _, ca := range slices.Concat(c.PeerCertificates[1:], n.cas) {
		if leaf.CheckSignatureFrom(ca) == nil {
			return ca
		}
	}
	return nil
}
