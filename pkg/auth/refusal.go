package auth

import (
	"errors"
	"fmt"

	"github.com/banyanmq/banyan/pkg/wire"
)

// Refusal is an [ErrRefused], or an [ErrUnavailable], of which operators are told
// more than that. The peer is told the same as always.
type Refusal struct {
	// Reason for the end of the connection.
	Reason wire.CloseReason
	// Account whose service refused, "" if none did. Who listens there is told Text.
	Account string
	Text    string
	// Unavailable: that service could not be asked, and nobody has refused anything.
	Unavailable bool
}

// Error is for the log.
func (r *Refusal) Error() string { return r.Unwrap().Error() + ": " + r.Text }

// Unwrap makes it an ErrRefused, or an ErrUnavailable.
func (r *Refusal) Unwrap() error {
	if r.Unavailable {
		return ErrUnavailable
	}
	return ErrRefused
}

// Refused makes an error that wraps [ErrRefused].
func Refused(format string, args ...any) error { return refused(format, args...) }

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
}

// ReasonOf is why a connection is closed that err refused.
func ReasonOf(err error) wire.CloseReason {
	var r *Refusal
	if errors.As(err, &r) && r.Reason != wire.ReasonNone {
		return r.Reason
	}
	return wire.ReasonAuthFailure
}

// ProxyRequired is the refusal of a user who must come through a trusted proxy, nil
// if it did, or need not.
func ProxyRequired(required bool, c *Credentials, who string) error {
	if !required || c.Proxy != "" {
		return nil
	}
	return &Refusal{Reason: wire.ReasonProxyRequired, Text: fmt.Sprintf("%s must come through a trusted proxy", who)}
}
