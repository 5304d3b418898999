package system

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"

	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/tlsmaterial"
)

// Types of events about certificates that OCSP refuses.
const (
	typePeerReject  = "io.nats.server.advisory.v1.ocsp_peer_reject"
	typeLinkInvalid = "io.nats.server.advisory.v1.ocsp_peer_link_invalid"
)

// certInfo is a certificate in an event.
type certInfo struct {
	Subject     string `json:"subject,omitempty"`
	Issuer      string `json:"issuer,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"` // SHA-256 of Raw, in base64
	Raw         []byte `json:"raw,omitempty"`
}

func newCertInfo(c *x509.Certificate) certInfo {
	sum := sha256.Sum256(c.Raw)
	return certInfo{tlsmaterial.Subject(c), c.Issuer.String(), base64.StdEncoding.EncodeToString(sum[:]), c.Raw}
}

type peerRejectEvent struct {
	head
	Kind   string     `json:"kind"`
	Peer   certInfo   `json:"peer"`
	Server ServerInfo `json:"server"`
	Reason string     `json:"reason"`
}

type linkInvalidEvent struct {
	head
	Link   certInfo   `json:"link"`
	Peer   certInfo   `json:"peer"`
	Server ServerInfo `json:"server"`
	Reason string     `json:"reason"`
}

// peerRefused tells of a peer that OCSP refuses, and of the certificate of its chain
// that is not good. It is called by the goroutines of handshakes.
func (s *Service) peerRefused(r tlsmaterial.Refusal) {
	c := s.out()
	if c == nil || r.Peer == nil {
		return
	}
	to := "$SYS.SERVER." + s.o.Server.ID + ".OCSP.PEER."
	reject, invalid := s.acc.HasInterest([]byte(to+"CONN.REJECT")), r.Link != nil && s.acc.HasInterest([]byte(to+"LINK.INVALID"))
	if !reject && !invalid {
		return
	}
	c.Do(func() {
		if invalid {
			s.publish(to+"LINK.INVALID", &linkInvalidEvent{
				newHead(typeLinkInvalid), newCertInfo(r.Link), newCertInfo(r.Peer), s.info(), r.Reason,
			})
		}
		if reject {
			s.publish(to+"CONN.REJECT", &peerRejectEvent{
				newHead(typePeerReject), kindOfBlock(r.Name), newCertInfo(r.Peer), s.info(), r.Reason,
			})
		}
	})
}

// kindOfBlock is what connections are for that use a tls block.
func kindOfBlock(key string) string {
	block, _, _ := strings.Cut(key, ".")
	block, _, _ = strings.Cut(block, "[")
	switch block {
	case "cluster":
		return string(link.KindRoute)
	case "gateway":
		return string(link.KindGateway)
	case "leafs", "upstreams":
		return string(link.KindLeaf)
	}
	return string(link.KindClient)
}
