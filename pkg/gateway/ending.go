package gateway

import (
	"errors"
	"fmt"
	"io"

	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/wire"
)

// closing is why a connection ends.
type closing struct {
	reason wire.CloseReason
	text   string // of -ERR to the peer; "" ends without a word
	note   string // for the log; "" if text says it
}

func (e *closing) Error() string {
	switch {
	case e.note != "":
		return e.note
	case e.text != "":
		return e.text
	}
	return e.reason.String()
}

func refuse(reason wire.CloseReason, text string) *closing {
	return &closing{reason: reason, text: text}
}

func silent(reason wire.CloseReason, format string, args ...any) *closing {
	return &closing{reason: reason, note: fmt.Sprintf(format, args...)}
}

// closingOf makes a closing of what a parser or a transport.Conn returned.
func closingOf(err error) *closing {
	var e *closing
	var pe *wire.ProtoError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &pe):
		return &closing{reason: pe.Reason, text: pe.Text, note: pe.Error()}
	case errors.Is(err, io.EOF):
		return silent(wire.ReasonClientClosed, "closed by the peer")
	case errors.Is(err, transport.ErrSlowPending):
		return silent(wire.ReasonSlowPending, "%v", err)
	case errors.Is(err, transport.ErrSlowWrite):
		return silent(wire.ReasonSlowWrite, "%v", err)
	case errors.Is(err, transport.ErrLineTooLong):
		return refuse(wire.ReasonMaxControlLine, wire.TextMaxControlLine)
	}
	return silent(wire.ReasonReadError, "%v", err)
}
