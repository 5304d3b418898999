package clientview

import (
	"net"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// WebSocket is monitor.Hooks.WebSocket for a listener with the settings that are in force
// when it is asked.
func WebSocket(settings func() *config.WebSocketListener, addr func() *net.TCPAddr) func() *monitor.WebSocketVarz {
	return func() *monitor.WebSocketVarz {
		w := settings()
		if w == nil {
			return nil
		}
		v := &monitor.WebSocketVarz{
			Host: w.Host, Port: w.Port, Advertise: w.Advertise, NoAuthUser: w.NoAuthUser, JWTCookie: w.JWTCookie,
			HandshakeTimeout: w.HandshakeTimeout, AuthTimeout: w.Auth.Timeout.Seconds(), NoTLS: w.TLS == nil,
			SameOrigin: w.SameOrigin, AllowedOrigins: w.AllowedOrigins, Compression: w.Compression,
		}
		if a := addr(); a != nil {
			v.Port = a.Port
		}
		if t := w.TLS; t != nil {
			v.TLSMap, v.TLSPinnedCerts, v.TLSOCSPPeer = t.VerifyAndMap, t.PinnedCerts, t.OCSPPeer != nil
			if at, ok := t.Material().NotAfter(); ok {
				v.TLSCertNotAfter = &at
			}
		}
		return v
	}
}
