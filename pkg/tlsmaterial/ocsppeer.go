package tlsmaterial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"
)

// OCSPPeer asks responders whether certificates of peers are revoked
// (accounts-auth 13).
type OCSPPeer struct {
	// CATimeout limits a question; 0 is DefaultCATimeout.
	CATimeout time.Duration
	// ClockSkew is how far responders' clocks may be off; 0 is 30 s.
	ClockSkew time.Duration
	// WarnOnly logs what would be refused, and lets it in.
	WarnOnly bool
	// UnknownIsGood lets in whom the responder does not know.
	UnknownIsGood bool
	// AllowUnreachable lets in when no responder answers.
	AllowUnreachable bool
	// UnsetTTL is how long an answer holds that does not say; 0 is an hour.
	UnsetTTL time.Duration
}

// Defaults of OCSPPeer.
const (
	DefaultCATimeout = 2 * time.Second
	DefaultUnsetTTL  = time.Hour
)

// Refusal is a peer that OCSP refuses.
type Refusal struct {
	// Name is that of the Material.
	Name string
	// Accepted says that the peer dialed.
	Accepted bool
	Peer     *x509.Certificate
	// Link is the certificate of the peer's chain that is not good; it may be Peer.
	Link   *x509.Certificate
	Reason string
}

// checkPeer lets a peer in if one of its chains is good.
func (k *Keeper) checkPeer(name string, n *snapshot, c tls.ConnectionState, accepted bool) error {
	set := n.settings.Peer
	if !accepted && n.settings.Insecure || accepted && len(c.PeerCertificates) == 0 && !n.settings.Verify {
		return nil // nobody asks who the peer is
	}
	if len(c.PeerCertificates) == 0 {
		return errors.New("the peer has shown no certificate that OCSP could be asked about")
	}
	list := c.VerifiedChains
	if len(list) == 0 {
		return errors.New("the peer's certificate was not verified: OCSP can't be asked about it")
	}
	r := Refusal{Name: name, Accepted: accepted, Peer: c.PeerCertificates[0]}
	for _, chain := range list {
		link, err := k.checkChain(set, chain)
		if err == nil {
			return nil
		}
		r.Link, r.Reason = link, err.Error()
	}
	if set.WarnOnly {
		k.o.Log.Warnf("%s: OCSP would refuse peer %q: %s", name, Subject(r.Peer), r.Reason)
		return nil
	}
	if f := k.refused.Load(); f != nil {
		(*f)(r)
	}
	return fmt.Errorf("OCSP refuses peer %q: %s", Subject(r.Peer), r.Reason)
}

// checkChain asks about each certificate of a chain but the root.
func (k *Keeper) checkChain(set *OCSPPeer, chain []*x509.Certificate) (*x509.Certificate, error) {
	for i := 0; i+1 < len(chain); i++ {
		if err := k.checkLink(set, chain[i], chain[i+1]); err != nil {
			return chain[i], fmt.Errorf("certificate %q: %w", Subject(chain[i]), err)
		}
	}
	return nil, nil
}

func (k *Keeper) checkLink(set *OCSPPeer, cert, issuer *x509.Certificate) error {
	urls := responders(cert)
	if len(urls) == 0 {
		return nil
	}
	skew, unset, limit := orElse(set.ClockSkew, defaultSkew), orElse(set.UnsetTTL, DefaultUnsetTTL), orElse(set.CATimeout, DefaultCATimeout)
	now := k.o.Now()
	r := k.cache.get(cert, issuer, now, skew, unset)
	if r == nil {
		ctx, cancel := context.WithTimeout(k.ctx, limit)
		defer cancel()
		raw, answer, err := k.ocsp.ask(ctx, urls, cert, issuer, false)
		if err == nil {
			err = fresh(answer, now, skew, unset)
		}
		if err != nil {
			if set.AllowUnreachable {
				k.o.Log.Warnf("OCSP has no answer about %q, who is let in: %v", Subject(cert), err)
				return nil
			}
			return err
		}
		r = answer
		k.cache.put(cert, raw, r, now)
	}
	switch {
	case r.Status == ocsp.Good, r.Status == ocsp.Unknown && set.UnknownIsGood:
		return nil
	}
	return &statusError{r.Status}
}

func orElse(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}
