package leaf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/wire"
)

// ending is why a link ends: what monitoring shows, what the peer is told, and
// what a remote makes of it.
type ending struct {
	reason wire.CloseReason
	text   string // of -ERR to the peer; "" ends without a word
	detail string // for the log; "" if text says it
	cause  cause
	retry  time.Duration // for causeBusy: what the hub asked for
	first  bool          // the preferred address is next
	failed bool          // the peer failed to say who it is
}

// CloseReason is for the close frame.
func (e *ending) CloseReason() wire.CloseReason { return e.reason }

func (e *ending) Error() string {
	switch {
	case e.detail != "":
		return e.detail
	case e.text != "":
		return e.text
	}
	return e.reason.String()
}

// ended makes an ending that the peer is told of.
func ended(reason wire.CloseReason, text string) *ending {
	return &ending{reason: reason, text: text}
}

// silent makes an ending that the peer is not told of.
func silent(reason wire.CloseReason, format string, args ...any) *ending {
	return &ending{reason: reason, detail: fmt.Sprintf(format, args...)}
}

// violation is the ending that a parser's error means.
func violation(err error) *ending {
	var pe *wire.ProtoError
	if errors.As(err, &pe) {
		return &ending{reason: pe.Reason, text: pe.Text, detail: pe.Error()}
	}
	return silent(wire.ReasonParseError, "%v", err)
}

// endOf makes an ending of what a Conn returned.
func endOf(err error) *ending {
	var e *ending
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, io.EOF):
		return silent(wire.ReasonClientClosed, "closed by the peer")
	case errors.Is(err, transport.ErrSlowPending):
		return silent(wire.ReasonSlowPending, "%v", err)
	case errors.Is(err, transport.ErrSlowWrite):
		return silent(wire.ReasonSlowWrite, "%v", err)
	}
	if r, ok := link.FrameReason(err); ok {
		return silent(r, "%v", err)
	}
	return silent(wire.ReasonReadError, "%v", err)
}

// tlsEnding is the ending that a failed handshake means. Certificates that do not
// fit do not get better by trying again at once.
func tlsEnding(err error, solicited bool) *ending {
	var e *ending
	if errors.As(err, &e) {
		return e
	}
	e = silent(wire.ReasonTLSHandshake, "TLS leafnode handshake error: %v", err)
	if solicited && certificateTrouble(err) {
		e.cause = causeRefused
	}
	return e
}

func certificateTrouble(err error) bool {
	var verify *tls.CertificateVerificationError
	var host x509.HostnameError
	var op *net.OpError
	return errors.As(err, &verify) || errors.As(err, &host) || errors.Is(err, config.ErrNotPinned) ||
		errors.As(err, &op) && op.Op == "remote error"
}

// peerSaid is the ending that the text of an -ERR from the hub means to the side that
// dialed; nil if the link may stay (leafnodes 14.5). Before the link is up
// any -ERR ends it, and authorization is then the usual cause.
func peerSaid(text string, up bool) *ending {
	text = strings.Trim(text, "' ")
	e := silent(wire.ReasonProtocolViolation, "the peer said %q", text)
	switch {
	case strings.Contains(text, wire.MarkLoopDetected):
		e.cause = causeRefused
	case strings.Contains(text, wire.TextSameClusterName):
		e.reason, e.cause = wire.ReasonClusterNamesIdentical, causeRefused
	case strings.Contains(text, wire.MarkMinVersion):
		e.reason, e.cause = wire.ReasonMinimumVersion, causeRefused
	case strings.HasPrefix(text, busyText):
		e.reason, e.cause = wire.ReasonServerShutdown, causeBusy
		e.retry = busyDelay(text)
	case strings.Contains(text, wire.TextAuthViolation):
		e.reason, e.cause = wire.ReasonAuthFailure, causeRefused
	case up:
		return nil
	}
	return e
}

const busyText = "Server Busy, retry after "

// busyDelay reads the milliseconds of a busy hub, within reason.
func busyDelay(text string) time.Duration {
	ms := 0
	for _, c := range strings.TrimPrefix(text, busyText) {
		if c < '0' || c > '9' || ms > 1e7 {
			break
		}
		ms = ms*10 + int(c-'0')
	}
	return min(time.Duration(ms)*time.Millisecond, maxHint)
}
