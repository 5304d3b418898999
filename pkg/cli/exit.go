package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Exit codes. Scripts rely on them; they never change their meaning.
const (
	ExitOK           = 0
	ExitFailure      = 1   // anything that has no code of its own
	ExitUsage        = 2   // wrong flags or arguments; nothing was done
	ExitTimeout      = 3   // no message or no reply in time
	ExitNoResponders = 4   // nobody serves the subject of a request
	ExitConnection   = 5   // no connection to the server, or it was lost for good
	ExitRefused      = 6   // the server refused the credentials or the subject
	ExitInterrupted  = 130 // SIGINT or SIGTERM came before the work was done
)

const exitCodesHelp = `Exit codes:
  0  done
  1  failure
  2  wrong flags or arguments
  3  no message, or no reply, in time
  4  nobody answers requests on this subject
  5  no connection to the server
  6  the server refuses the credentials or the subject
  130  interrupted before the work was done`

// exitError carries an exit code with an error. A nil err exits silently.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func exit(code int, err error) error { return &exitError{code, err} }

func exitf(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

func usagef(format string, args ...any) error { return exitf(ExitUsage, format, args...) }

// ExitCode returns the exit code that an error of a command stands for.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return ExitFailure
}

// clientError gives an error of the client library its exit code.
func clientError(err error, doing string) error {
	if err == nil {
		return nil
	}
	var e *exitError
	if errors.As(err, &e) {
		return err
	}
	code := ExitFailure
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		code = ExitNoResponders
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		code = ExitTimeout
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrPermissionViolation):
		code = ExitRefused
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, nats.ErrStaleConnection):
		code = ExitConnection
	case errors.Is(err, context.Canceled):
		return exit(ExitInterrupted, nil)
	}
	return exitf(code, "%s: %w", doing, err)
}
