package client

import (
	"errors"
	"net"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/wire"
)

const (
	tlsRecord  = 0x16 // first byte of a TLS handshake
	proxyLimit = 5 * time.Second
)

// openUp is everything between accept and the first operation: INFO, the PROXY
// header and TLS, in the order that the settings and the client ask for
// (client-protocol 14 and 15).
func (c *conn) openUp() error {
	set := c.set
	if set.policy.Nonce {
		c.nonce = wire.NewNonce()
	}
	if c.web != nil {
		return c.greet() // TLS was there before HTTP
	}
	if set.tls != nil {
		first, err := c.wantsTLSFirst()
		if err != nil {
			return err
		}
		if first {
			c.mu.Lock()
			c.tlsFirst = true
			c.mu.Unlock()
			if err := c.startTLS(); err != nil {
				return err
			}
		}
	}
	if err := c.greet(); err != nil {
		return err
	}
	if set.config.Client.ProxyProtocol && !c.proxied {
		if err := c.readProxy(); err != nil {
			return err
		}
	}
	if set.tls == nil || c.secured || !c.wantsTLS() {
		return nil
	}
	return c.startTLS()
}

// greet sends INFO, to one too many for the last time.
func (c *conn) greet() error {
	c.t.WriteFlush(c.firstInfo())
	if c.over {
		return c.fatal(wire.ReasonMaxConnections, wire.TextMaxConnections)
	}
	return nil
}

// wantsTLSFirst tells whether the TLS handshake comes before INFO. In mode auto a
// client is given a moment to begin it.
func (c *conn) wantsTLSFirst() (bool, error) {
	cl := &c.set.config.Client
	h := cl.TLS.HandshakeFirst
	switch h.Mode {
	case config.HandshakeOff:
		return false, nil
	case config.HandshakeOn:
		if cl.ProxyProtocol {
			return true, c.readProxy()
		}
		return true, nil
	}
	b, err := c.t.Peek(1, time.Now().Add(h.Fallback))
	if err != nil {
		if transport.IsTimeout(err) {
			return false, nil
		}
		return false, err
	}
	if cl.ProxyProtocol && b[0] != tlsRecord {
		if err := c.readProxy(); err != nil {
			return false, err
		}
		if b, err = c.t.Peek(1, time.Now().Add(h.Fallback)); err != nil {
			if transport.IsTimeout(err) {
				return false, nil
			}
			return false, err
		}
	}
	return b[0] == tlsRecord, nil
}

// wantsTLS asks, when TLS is not required, what the client begins with. One that
// says nothing in time goes without.
func (c *conn) wantsTLS() bool {
	if !c.set.config.Client.AllowNonTLS {
		return true
	}
	b, err := c.t.Peek(1, time.Now().Add(c.set.tlsTimeout()))
	return err == nil && b[0] == tlsRecord
}

func (c *conn) startTLS() error {
	if !c.s.rate.allow() {
		return c.fatal(wire.ReasonMaxConnections, wire.TextThrottled)
	}
	if err := c.t.StartTLS(c.set.tls, true, c.set.tlsTimeout()); err != nil {
		c.log().Errorf("TLS handshake error: %v", err)
		return &ending{reason: wire.ReasonTLSHandshake}
	}
	c.noteTLS()
	return nil
}

func (c *conn) noteTLS() {
	c.secured = true
	st := c.t.TLSState()
	c.mu.Lock()
	c.tls = &tlsFacts{st.Version, st.CipherSuite, st.PeerCertificates}
	c.mu.Unlock()
}

// readProxy takes a PROXY header off the start of the connection, if there is one.
func (c *conn) readProxy() error {
	c.proxied = true
	source, err := takeProxy(c.t, time.Now().Add(proxyLimit))
	var bad *proxyError
	switch {
	case errors.As(err, &bad):
		c.log().Errorf("%v", bad)
		return &ending{reason: wire.ReasonProtocolViolation, detail: bad.err.Error()}
	case transport.IsTimeout(err):
		return &ending{reason: wire.ReasonProtocolViolation, detail: "no PROXY header in time"}
	case err != nil:
		return err
	}
	if source != nil {
		c.mu.Lock()
		c.remote = source
		c.mu.Unlock()
	}
	return nil
}

// proxyHeader is what was found at the start of a connection.
type proxyHeader struct {
	more   bool         // it could be one: more bytes are needed
	size   int          // 0: there is none
	source *net.TCPAddr // nil: the real address is kept
}
