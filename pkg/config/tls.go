package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/tlsmaterial"
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
	// AllowInsecureCiphers lets CipherSuites name those that Go calls insecure.
	AllowInsecureCiphers bool

	// SPIFFE takes certificate, key and authorities from the Workload API; nil takes
	// them from the files above.
	SPIFFE *tlsmaterial.SPIFFE
	// OCSPPeer asks whether certificates of peers are revoked; nil does not.
	OCSPPeer *tlsmaterial.OCSPPeer

	// staple is set by Load from [Config.OCSP].
	staple *tlsmaterial.Staple
	// live is the material that is kept fresh; nil: nobody does.
	live *tlsmaterial.Material
}

// ErrNotPinned is the handshake error when pinned_certs does not list the peer.
var ErrNotPinned = tlsmaterial.ErrNotPinned

// Fingerprint is the form of a certificate that pinned_certs lists.
func Fingerprint(cert *x509.Certificate) string { return tlsmaterial.Fingerprint(cert) }

// Unpinned tells whether a peer that showed these certificates is none of those that
// pinned_certs lists, if it lists any.
func (t *TLS) Unpinned(shown []*x509.Certificate) bool {
	if t == nil || len(t.PinnedCerts) == 0 {
		return false
	}
	return len(shown) == 0 || !slices.Contains(t.PinnedCerts, Fingerprint(shown[0]))
}

// Server is the accepting side's configuration. Of a block that is kept fresh (see
// [TLS.Keep]) each handshake takes what is current when it begins; else the files
// are read now, once.
func (t *TLS) Server() (*tls.Config, error) { return t.Material().Server() }

// Public is Server for listeners that ask nobody for a certificate, as monitoring
// does, whatever the block says of clients.
func (t *TLS) Public() (*tls.Config, error) { return t.Material().Public() }

// Asking is Server for a listener that does without certificates of clients and looks at
// those that are shown. CAFile must not be empty.
func (t *TLS) Asking() (*tls.Config, error) { return t.Material().Asking() }

// Client is the configuration for one dial of a server that is expected to prove
// serverName. Of a block that is not kept fresh the files are read now.
func (t *TLS) Client(serverName string) (*tls.Config, error) { return t.Material().Client(serverName) }

// Material is what the block gives to handshakes: the one that is kept fresh, or
// else one that was not read yet.
func (t *TLS) Material() *tlsmaterial.Material {
	if t.live != nil {
		return t.live
	}
	return tlsmaterial.New("tls", t.material())
}

// Keep makes k keep the block's material fresh. name stands in log lines. Before
// the block is used only; copies of the block made later share its material.
func (t *TLS) Keep(k *tlsmaterial.Keeper, name string) { t.live = k.Material(name, t.material()) }

// Prepare reads what next names, as a replacement of what this block gives to
// handshakes. commit makes it so, for handshakes that begin then, and can't fail;
// next then shares this block's material. Before commit nothing changes, so that
// all blocks can be prepared first and none be replaced if one can't be read. The
// block must be kept fresh.
func (t *TLS) Prepare(next *TLS) (commit func(), err error) {
	if t.live == nil {
		return nil, errors.New("tls: the block's material is not kept, it can't be replaced")
	}
	n, err := t.live.Prepare(next.material())
	if err != nil {
		return nil, err
	}
	return func() {
		n.Commit()
		next.live = t.live
	}, nil
}

// Same tells whether two blocks say the same, whether kept fresh or not.
func (t *TLS) Same(o *TLS) bool {
	if t == nil || o == nil {
		return t == o
	}
	a, b := *t, *o
	a.live, b.live = nil, nil
	return reflect.DeepEqual(a, b)
}

func (t *TLS) material() tlsmaterial.Settings {
	s := tlsmaterial.Settings{
		CAFile:       t.CAFile,
		Verify:       t.verifies(),
		Insecure:     t.Insecure,
		Pinned:       t.PinnedCerts,
		MinVersion:   t.MinVersion,
		CipherSuites: t.CipherSuites,
		Curves:       t.Curves,
		SPIFFE:       t.SPIFFE,
		Staple:       t.staple,
		Peer:         t.OCSPPeer,
	}
	for _, p := range t.Certificates {
		s.Pairs = append(s.Pairs, tlsmaterial.Pair(p))
	}
	return s
}

// TLSBlock is a tls block and where it stands.
type TLSBlock struct {
	// Key is the path in YAML.
	Key string
	TLS *TLS
	// Accepts says that a listener shows its certificate.
	Accepts bool
}

// InList tells whether the block belongs to an item of a list, which may have another
// place, or none, in other settings.
func (b *TLSBlock) InList() bool { return strings.Contains(b.Key, "[") }

// TLSBlocks are the tls blocks that the daemon uses.
func (c *Config) TLSBlocks() []TLSBlock {
	var all []TLSBlock
	add := func(key string, t *TLS, accepts bool) {
		if t != nil {
			all = append(all, TLSBlock{key, t, accepts})
		}
	}
	add("clients.tls", c.Client.TLS, true)
	if c.Cluster != nil {
		add("cluster.tls", c.Cluster.TLS, true)
	}
	if c.Gateway != nil && c.Daemon == Gwd {
		add("gateway.tls", c.Gateway.TLS, true)
		for i, r := range c.Gateway.Remotes {
			add(fmt.Sprintf("gateway.remotes[%d].tls", i), r.TLS, false)
		}
	}
	if c.LeafNodes != nil {
		add("leafs.tls", c.LeafNodes.TLS, c.LeafNodes.Enabled())
		for i, r := range c.LeafNodes.Remotes {
			add(fmt.Sprintf("upstreams[%d].tls", i), r.TLS, false)
		}
	}
	if c.WebSocket != nil && c.WebSocket.TLS != c.Client.TLS {
		add("websocket.tls", c.WebSocket.TLS, true)
	}
	if c.HTTP.AuthTLS != nil {
		add("monitor.auth", c.HTTP.AuthTLS, true)
	}
	if c.Operator != nil {
		add("auth.resolver_tls", c.Operator.ResolverTLS, false)
	}
	return all
}
