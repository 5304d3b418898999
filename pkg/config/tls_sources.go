package config

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/config/conf"
	"github.com/banyanmq/banyan/pkg/tlsmaterial"
	"github.com/banyanmq/banyan/pkg/tlsmaterial/workload"
)

// OCSP is whether our own certificates are shown with a staple (accounts-auth 13):
// on all listeners and links but those of leaf nodes.
type OCSP struct {
	// Mode "" is auto.
	Mode tlsmaterial.StapleMode
	// URLs of responders, instead of those that certificates name.
	URLs []string
	// Dir keeps responses over a restart; "" does not.
	Dir string
}

// OCSPCache is where answers about peers are kept.
type OCSPCache struct {
	// Type "" is memory.
	Type            OCSPCacheType
	Dir             string
	PreserveRevoked bool
	SaveInterval    time.Duration
}

// OCSPCacheType is where answers about peers are kept.
type OCSPCacheType string

// The types. Local is a file in a directory.
const (
	OCSPCacheMemory OCSPCacheType = "memory"
	OCSPCacheLocal  OCSPCacheType = "local"
	OCSPCacheNone   OCSPCacheType = "none"
)

// Defaults of [OCSPCache].
const (
	DefaultOCSPCacheDir  = "_rc_"
	DefaultOCSPCacheSave = 5 * time.Minute
)

// Material is the cache as pkg/tlsmaterial takes it.
func (c OCSPCache) Material() tlsmaterial.OCSPCache {
	m := tlsmaterial.OCSPCache{Off: c.Type == OCSPCacheNone, SaveInterval: c.SaveInterval, PreserveRevoked: c.PreserveRevoked}
	if c.Type == OCSPCacheLocal {
		m.Dir = c.Dir
	}
	return m
}

func ocspRows() []*option {
	return []*option{
		{yaml: "ocsp.mode ocsp", conf: "ocsp.mode ocsp", kind: kCustom, read: readStapleMode, field: "OCSP.Mode"},
		{yaml: "ocsp.urls", conf: "ocsp.urls/url", kind: kStrings, field: "OCSP.URLs"},
		{yaml: "ocsp.dir", conf: "ocsp.dir", kind: kPath, field: "OCSP.Dir"},
		{yaml: "ocsp_cache.type ocsp_cache", conf: "ocsp_cache.type ocsp_cache", kind: kCustom, read: readCacheType, field: "OCSPCache.Type"},
		{yaml: "ocsp_cache.dir", conf: "ocsp_cache.local_store", kind: kPath, field: "OCSPCache.Dir"},
		{yaml: "ocsp_cache.preserve_revoked", conf: "ocsp_cache.preserve_revoked", kind: kBool, field: "OCSPCache.PreserveRevoked"},
		{yaml: "ocsp_cache.save_interval", conf: "ocsp_cache.save_interval", kind: kSeconds, field: "OCSPCache.SaveInterval"},
	}
}

func readStapleMode(d *decoder, path string, v *conf.Value) (any, bool) {
	switch {
	case v.Kind == conf.Bool && v.Bool, v.Kind == conf.String && v.Str == "true":
		return tlsmaterial.StapleAuto, true
	case v.Kind == conf.Bool, v.Kind == conf.String && v.Str == "false":
		return tlsmaterial.StapleNever, true
	case v.Kind == conf.String:
		m := tlsmaterial.StapleMode(strings.ToLower(v.Str))
		if slices.Contains([]tlsmaterial.StapleMode{tlsmaterial.StapleAuto, tlsmaterial.StapleAlways, tlsmaterial.StapleMust, tlsmaterial.StapleNever}, m) {
			return m, true
		}
	}
	d.errorf(v.Pos, path, "want auto, always, must or never, got %s", v.Describe())
	return nil, false
}

func readCacheType(d *decoder, path string, v *conf.Value) (any, bool) {
	switch {
	case v.Kind == conf.Bool && v.Bool, v.Kind == conf.String && (v.Str == "local" || v.Str == "true"):
		return OCSPCacheLocal, true
	case v.Kind == conf.Bool, v.Kind == conf.String && (v.Str == "none" || v.Str == "false"):
		return OCSPCacheNone, true
	case v.Kind == conf.String && v.Str == "memory":
		return OCSPCacheMemory, true
	}
	d.errorf(v.Pos, path, "want local, memory or none, got %s", v.Describe())
	return nil, false
}

var ocspPeerScope = sync.OnceValue(func() *scope {
	return newScope("ocsp_peer", "error parsing tls config, unknown field %q", []*option{
		{yaml: "verify", conf: "verify", kind: kBool, field: "Verify"},
		{yaml: "ca_timeout", conf: "ca_timeout", kind: kSeconds, field: "CATimeout"},
		{yaml: "allowed_clockskew", conf: "allowed_clockskew", kind: kSeconds, field: "ClockSkew"},
		{yaml: "warn_only", conf: "warn_only", kind: kBool, field: "WarnOnly"},
		{yaml: "unknown_is_good", conf: "unknown_is_good", kind: kBool, field: "UnknownIsGood"},
		{yaml: "allow_when_ca_unreachable", conf: "allow_when_ca_unreachable", kind: kBool, field: "AllowUnreachable"},
		{yaml: "cache_ttl_when_next_update_unset", conf: "cache_ttl_when_next_update_unset", kind: kSeconds, field: "UnsetTTL"},
	})
})

// readOCSPPeer reads a switch or a map. A map asks for nothing unless it says verify.
func readOCSPPeer(d *decoder, path string, v *conf.Value) (any, bool) {
	var none *tlsmaterial.OCSPPeer
	switch {
	case v.Kind == conf.Bool && v.Bool, v.Kind == conf.String && v.Str == "true":
		return &tlsmaterial.OCSPPeer{}, true
	case v.Kind == conf.Bool, v.Kind == conf.String && v.Str == "false":
		return none, true
	case v.Kind != conf.Map:
		d.errorf(v.Pos, path, "want true, false or a map, got %s", v.Describe())
		return nil, false
	}
	before := len(d.errors)
	var read struct {
		tlsmaterial.OCSPPeer
		Verify bool
	}
	d.object(ocspPeerScope(), v, path, &read)
	if !read.Verify {
		return none, len(d.errors) == before
	}
	return &read.OCSPPeer, len(d.errors) == before
}

var spiffeScope = sync.OnceValue(func() *scope {
	return newScope("spiffe", "error parsing tls config, unknown field %q", []*option{
		{yaml: "socket", conf: "socket", kind: kString, field: "Endpoint"},
		{yaml: "id", conf: "id", kind: kCustom, read: readSPIFFEID, field: "ID"},
		{yaml: "trust_domains", conf: "trust_domains", kind: kStrings, field: "TrustDomains"},
		{yaml: "peers", conf: "peers", kind: kCustom, read: readSPIFFEPeers, field: "Peers"},
		{yaml: "timeout", conf: "timeout", kind: kSeconds, field: "Wait"},
	})
})

// spiffeSocket is where the agent is when the settings do not say.
const spiffeSocket = "SPIFFE_ENDPOINT_SOCKET"

// readSPIFFE reads a switch, the address of the agent, or a map.
func readSPIFFE(d *decoder, path string, v *conf.Value) (any, bool) {
	before := len(d.errors)
	s := &tlsmaterial.SPIFFE{}
	switch {
	case v.Kind == conf.Bool && !v.Bool, v.Kind == conf.String && v.Str == "false":
		return (*tlsmaterial.SPIFFE)(nil), true
	case v.Kind == conf.Bool, v.Kind == conf.String && v.Str == "true":
	case v.Kind == conf.String:
		s.Endpoint = v.Str
	case v.Kind == conf.Map:
		d.object(spiffeScope(), v, path, s)
	default:
		d.errorf(v.Pos, path, "want true, the address of the agent's socket, or a map; got %s", v.Describe())
		return nil, false
	}
	if s.Endpoint == "" {
		if s.Endpoint, _ = d.lookup(spiffeSocket); s.Endpoint == "" {
			d.errorf(v.Pos, path, "where the agent of the SPIFFE Workload API listens is not known: set socket, or %s in the environment", spiffeSocket)
			return nil, false
		}
	}
	if strings.HasPrefix(s.Endpoint, "/") {
		s.Endpoint = "unix://" + s.Endpoint
	}
	if _, err := workload.New(s.Endpoint); err != nil {
		d.errorf(v.Pos, path, "%v", err)
	}
	for _, t := range s.TrustDomains {
		if _, err := workload.TrustDomain("spiffe://" + t); err != nil || strings.Contains(t, "/") {
			d.errorf(v.Pos, path, "%q is no trust domain: want a name such as example.org", t)
		}
	}
	return s, len(d.errors) == before
}

func readSPIFFEID(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind == conf.String {
		_, err := workload.TrustDomain(v.Str)
		if err == nil {
			return v.Str, true
		}
		d.errorf(v.Pos, path, "%v", err)
		return nil, false
	}
	d.errorf(v.Pos, path, "want a SPIFFE ID, got %s", v.Describe())
	return nil, false
}

// readSPIFFEPeers reads IDs that may end in /*.
func readSPIFFEPeers(d *decoder, path string, v *conf.Value) (any, bool) {
	read, ok := d.strings(path, v)
	if !ok {
		return nil, false
	}
	for _, id := range read.([]string) {
		plain := strings.TrimSuffix(id, "*")
		if _, err := workload.TrustDomain(plain); err != nil || strings.Contains(plain, "*") || plain != id && !strings.HasSuffix(plain, "/") {
			d.errorf(v.Pos, path, "%q is no SPIFFE ID: want spiffe://trust.domain/path, or with /* at the end for all below", id)
			return nil, false
		}
	}
	return read, true
}

// insecureCipher says whether a cipher suite needs allow_insecure_cipher_suites.
func insecureCipher(id uint16) bool {
	return slices.ContainsFunc(tls.InsecureCipherSuites(), func(c *tls.CipherSuite) bool { return c.ID == id })
}

// validateSources checks what else than files a tls block takes its material from.
func (l *loader) validateSources(key string, t *TLS, listens, links bool) {
	pos := l.firstOrigin(key)
	for _, id := range t.CipherSuites {
		if insecureCipher(id) && !t.AllowInsecureCiphers {
			l.errorf(l.firstOrigin(key+".cipher_suites"), "", "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: %s", tls.CipherSuiteName(id))
			break
		}
	}
	if t.SPIFFE != nil {
		at := l.firstOrigin(key + ".spiffe")
		switch {
		case len(t.Certificates) > 0:
			l.errorf(at, "", "%s: the certificate comes from spiffe or from files, not from both: remove spiffe, or cert and key", key)
		case t.CAFile != "" && (len(t.SPIFFE.Peers) > 0 || len(t.SPIFFE.TrustDomains) > 0):
			l.errorf(at, "", "%s: with ca, peers are judged by its authorities and by host names: remove it, or peers and trust_domains of spiffe", key)
		case t.OCSPPeer != nil && t.CAFile == "":
			l.errorf(at, "", "%s: certificates of SPIFFE are short-lived and name no responder: remove ocsp_peer", key)
		}
	}
	if t.OCSPPeer != nil && listens && !links && !t.verifies() {
		l.errorf(pos, "", "OCSP peer verification for %s connections requires TLS verify (mTLS) to be enabled", peerKind(key))
	}
}

func (t *TLS) verifies() bool { return t.Verify || t.VerifyAndMap || t.CheckKnownURLs || t.Mutual }

func peerKind(key string) string {
	block, _, _ := strings.Cut(key, ".")
	switch block {
	case "clients":
		return "client"
	case "leafs":
		return "leafnode"
	}
	return block
}

// completeOCSP gives the own certificates of listeners and of links between servers
// their staples. Leaf links have none.
func (c *Config) completeOCSP() {
	o := c.OCSP
	if o.Mode == "" {
		o.Mode = tlsmaterial.StapleAuto
	}
	if k := &c.OCSPCache; k.Type == OCSPCacheLocal {
		if k.Dir == "" {
			k.Dir = DefaultOCSPCacheDir
		}
		if k.SaveInterval <= 0 {
			k.SaveInterval = DefaultOCSPCacheSave
		}
	}
	for _, b := range c.TLSBlocks() {
		block, _, _ := strings.Cut(b.Key, ".")
		s := &tlsmaterial.Staple{Mode: o.Mode, URLs: o.URLs, Dir: o.Dir}
		switch block {
		case "leafs", "auth":
			continue
		case "cluster":
			s.FromPeers = "route"
		case "gateway":
			s.FromPeers = "gateway"
		}
		if strings.HasPrefix(block, "upstreams") {
			continue
		}
		b.TLS.staple = s
	}
}

func (l *loader) validateOCSP() {
	if s := l.cfg.OCSPCache.SaveInterval; s != 0 && s < time.Second {
		l.errorf(l.origin["ocsp_cache.save_interval"], "", "ocsp_cache: save_interval %s is too short: want a second or more", s)
	}
	for _, u := range l.cfg.OCSP.URLs {
		if !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
			l.errorf(l.origin["ocsp.urls"], "", "%s", fmt.Sprintf("ocsp: responder %q: want an address that begins with http:// or https://", u))
		}
	}
}
