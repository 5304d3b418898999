package link

import (
	"errors"
	"net"

	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/websocket"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Upgraded is a connection of the WebSocket listener on which the upgrade is done and
// nothing else was said: its layer is started.
type Upgraded struct {
	Socket net.Conn // what Conn is made of: to ask about it, not to be read or written
	Conn   *transport.Conn
	Codec  *websocket.Codec
	// MapCertificate: the listener takes identities from certificates.
	MapCertificate bool
	// Forwarded is what logs say before the address of the other end: the one that a proxy,
	// or who claims to be one, had the peer from.
	Forwarded string
	// Remote is where the peer is: at the other end, or behind proxies that are trusted.
	Remote net.Addr
}

// CloseCode is the code and text of the close frame of a connection that ends for
// cause (websocket 12). It looks for an error with a method CloseReason.
func CloseCode(cause error) (code uint16, text string) {
	var e interface {
		CloseReason() wire.CloseReason
	}
	if !errors.As(cause, &e) {
		return websocket.CodeNormal, ""
	}
	r := e.CloseReason()
	code = websocket.CodeInternal
	switch r {
	case wire.ReasonNone, wire.ReasonClientClosed:
		code = websocket.CodeNormal
	case wire.ReasonServerShutdown, wire.ReasonStale, wire.ReasonReadError, wire.ReasonWriteError:
		code = websocket.CodeGoingAway
	case wire.ReasonParseError, wire.ReasonProtocolViolation, wire.ReasonBadClientProtocol:
		code = websocket.CodeProtocol
	case wire.ReasonAuthTimeout, wire.ReasonAuthFailure, wire.ReasonAuthExpired, wire.ReasonCredentialsRevoked,
		wire.ReasonMaxConnections, wire.ReasonMaxAccountConnections, wire.ReasonMaxControlLine, wire.ReasonMaxSubscriptions,
		wire.ReasonMissingAccount, wire.ReasonSlowPending, wire.ReasonSlowWrite:
		code = websocket.CodePolicy
	case wire.ReasonMaxPayload:
		code = websocket.CodeTooBig
	}
	return code, r.String()
}

// FrameReason is why a connection ends with which WebSocket is through: because the
// peer said so, or broke its rules.
func FrameReason(err error) (wire.CloseReason, bool) {
	var gone *websocket.Closed
	var bad *websocket.Error
	switch {
	case errors.As(err, &gone), errors.Is(err, websocket.ErrCloseText):
		return wire.ReasonClientClosed, true
	case errors.As(err, &bad):
		return wire.ReasonProtocolViolation, true
	}
	return wire.ReasonNone, false
}

// Transport is the connection, with options that are for its kind; of a socket that
// came another way (u is nil) it is made now.
func (u *Upgraded) Transport(nc net.Conn, o transport.Options) (*transport.Conn, error) {
	if u == nil {
		return transport.New(nc, o)
	}
	u.Conn.SetOptions(o)
	return u.Conn, nil
}

// Close closes the connection without a word; nil has none.
func (u *Upgraded) Close() {
	if u != nil {
		u.Conn.Close()
	}
}
