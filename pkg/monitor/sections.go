package monitor

import "time"

// WebSocketVarz is the section of WebSocket clients.
type WebSocketVarz struct {
	Host             string        `json:"host,omitempty"`
	Port             int           `json:"port,omitempty"`
	Advertise        string        `json:"advertise,omitempty"`
	NoAuthUser       string        `json:"no_auth_user,omitempty"`
	JWTCookie        string        `json:"jwt_cookie,omitempty"`
	HandshakeTimeout time.Duration `json:"handshake_timeout,omitempty"`
	AuthTimeout      float64       `json:"auth_timeout,omitempty"`
	NoTLS            bool          `json:"no_tls,omitempty"`
	TLSMap           bool          `json:"tls_map,omitempty"`
	TLSPinnedCerts   []string      `json:"tls_pinned_certs,omitempty"`
	SameOrigin       bool          `json:"same_origin,omitempty"`
	AllowedOrigins   []string      `json:"allowed_origins,omitempty"`
	Compression      bool          `json:"compression,omitempty"`
	TLSOCSPPeer      bool          `json:"tls_ocsp_peer_verify,omitempty"`
	TLSCertNotAfter  *time.Time    `json:"tls_cert_not_after,omitempty"`
}

// MQTTVarz is the section of MQTT clients.
type MQTTVarz struct {
	Host            string        `json:"host,omitempty"`
	Port            int           `json:"port,omitempty"`
	NoAuthUser      string        `json:"no_auth_user,omitempty"`
	AuthTimeout     float64       `json:"auth_timeout,omitempty"`
	TLSMap          bool          `json:"tls_map,omitempty"`
	TLSTimeout      float64       `json:"tls_timeout,omitempty"`
	TLSPinnedCerts  []string      `json:"tls_pinned_certs,omitempty"`
	Domain          string        `json:"js_domain,omitempty"`
	AckWait         time.Duration `json:"ack_wait,omitempty"`
	MaxAckPending   uint16        `json:"max_ack_pending,omitempty"`
	TLSOCSPPeer     bool          `json:"tls_ocsp_peer_verify,omitempty"`
	TLSCertNotAfter *time.Time    `json:"tls_cert_not_after,omitempty"`
}

// OCSPCacheVarz is the cache of what was learned of peers' certificates.
type OCSPCacheVarz struct {
	Type      string `json:"cache_type,omitempty"`
	Hits      int64  `json:"cache_hits,omitempty"`
	Misses    int64  `json:"cache_misses,omitempty"`
	Responses int64  `json:"cached_responses,omitempty"`
	Revoked   int64  `json:"cached_revoked_responses,omitempty"`
	Good      int64  `json:"cached_good_responses,omitempty"`
	Unknown   int64  `json:"cached_unknown_responses,omitempty"`
}

// ProxiesVarz lists the keys of proxies that are trusted.
type ProxiesVarz struct {
	Trusted []ProxyInfo `json:"trusted,omitempty"`
}

// JetStreamVarz is the section of streams.
type JetStreamVarz struct {
	Config *JszConfig `json:"config,omitempty"`
	Stats  any        `json:"stats,omitempty"`
	Meta   any        `json:"meta,omitempty"`
	Limits any        `json:"limits,omitempty"`
}

// valueOr is what f says, or the zero value.
func valueOr[T any](f func() *T) (v T) {
	if f != nil {
		if p := f(); p != nil {
			v = *p
		}
	}
	return v
}
