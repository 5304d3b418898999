package clientview

import (
	"net"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// WebSocket is monitor.Hooks.WebSocket for a listener with these settings.
func WebSocket(w *config.WebSocketListener, addr func() *net.TCPAddr) func() *monitor.WebSocketVarz {
	return func() *monitor.WebSocketVarz {
		v := &monitor.WebSocketVarz{
			Host: w.Host, Port: w.Port, Advertise: w.Advertise, NoAuthUser: w.NoAuthUser, JWTCookie: w.JWTCookie,
			HandshakeTimeout: w.HandshakeTimeout, AuthTimeout: w.Auth.Timeout.Seconds(), NoTLS: w.TLS == nil,
			SameOrigin: w.SameOrigin, AllowedOrigins: w.AllowedOrigins, Compression: w.Compression,
		}
		if a := addr(); a != nil {
			v.Port = a.Port
		}
		if t := w.TLS; t != nil {
			v.TLSMap, v.TLSPinnedCerts = t.VerifyAndMap, t.PinnedCerts
			if at, ok := t.Material().NotAfter(); ok {
				v.TLSCertNotAfter = &at
			}
		}
		return v
	}
}
