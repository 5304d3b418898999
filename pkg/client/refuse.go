package client

import (
	"errors"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/wire"
)

// refuse ends a connection that failed to authenticate. The client is told one
// thing whatever the cause, after a while that grows with the failures of its
// address.
func (c *conn) refuse(err error) error {
	c.s.counters.authFailed.Add(1)
	c.log().Errorf("authentication error: %v", err)
	c.mu.Lock()
	errors.As(err, &c.refusal)
	c.mu.Unlock()
	if errors.Is(err, auth.ErrUnavailable) {
		return &ending{reason: wire.ReasonAuthFailure}
	}
	// CONNECT, the first one and any other, is handled on a goroutine of the connection's own.
	c.s.o.Penalties.Atone(c.remote, c.s.done)
	return c.fatal(auth.ReasonOf(err), wire.TextAuthViolation)
}
