package websocket

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Close codes that are sent (RFC 6455, 7.4.1; websocket 12).
const (
	CodeNormal      = 1000
	CodeGoingAway   = 1001
	CodeProtocol    = 1002
	CodeInvalidData = 1007
	CodePolicy      = 1008
	CodeTooBig      = 1009
	CodeInternal    = 1011

	codeNone = 0 // a close frame without a body
)

// maxCloseText is the most that a close frame has room for beside the code.
const maxCloseText = maxControl - 2

// Error is a violation of WebSocket by the peer. The close frame carries both.
type Error struct {
	Code uint16
	Text string
}

func (e *Error) Error() string { return "websocket: " + e.Text }

// Closed is the error with which a connection ends whose peer sent a close frame.
type Closed struct {
	Code uint16 // 0: the frame had none
	Text string
}

func (e *Closed) Error() string {
	if e.Code == codeNone {
		return "websocket: closed by the peer"
	}
	return fmt.Sprintf("websocket: closed by the peer: %d %q", e.Code, e.Text)
}

// ErrCloseText: the peer has closed the connection, in words that are no UTF-8.
var ErrCloseText = &Error{CodeInvalidData, "invalid utf8 body in close frame"}

// The violations that need no value (websocket 8).
var (
	errMaskMissing    = &Error{CodeProtocol, "mask bit missing"}
	errReserved       = &Error{CodeProtocol, "RSV2 and RSV3 must be clear"}
	errNotNegotiated  = &Error{CodeProtocol, "compressed frame received without negotiated permessage-deflate"}
	errContinuation   = &Error{CodeProtocol, "invalid continuation frame"}
	errUnfinished     = &Error{CodeProtocol, "new message started before final frame for previous message was received"}
	errLength         = &Error{CodeProtocol, "invalid 64-bit payload length"}
	errControlLength  = &Error{CodeProtocol, "control frame length bigger than maximum allowed of 125 bytes"}
	errControlFin     = &Error{CodeProtocol, "control frame does not have final bit set"}
	errControlDeflate = &Error{CodeProtocol, "control frame must not be compressed"}
	errCloseLength    = &Error{CodeProtocol, "close frame payload cannot be 1 byte"}
	errCorrupt        = &Error{CodeInvalidData, "invalid compressed data"}
	errExpansion      = &Error{CodeTooBig, "compressed message expands too much"}
)

func errOpcode(op byte) *Error { return &Error{CodeProtocol, fmt.Sprintf("unknown opcode %d", op)} }

func errCloseCode(code uint16) *Error {
	return &Error{CodeProtocol, fmt.Sprintf("invalid close status code %d", code)}
}

func errCompressedSize(limit int) *Error {
	return &Error{CodeTooBig, fmt.Sprintf("compressed message of more than %d bytes", limit)}
}

// validCode tells whether a peer may send a code.
func validCode(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return true
	}
	return false
}

// readClose judges the body of a close frame.
func readClose(body []byte) (*Closed, *Error) {
	switch {
	case len(body) == 0:
		return &Closed{}, nil
	case len(body) == 1:
		return nil, errCloseLength
	}
	code := binary.BigEndian.Uint16(body)
	if !validCode(code) {
		return nil, errCloseCode(code)
	}
	if !utf8.Valid(body[2:]) {
		return nil, ErrCloseText
	}
	return &Closed{code, string(body[2:])}, nil
}

// closeBody is what a close frame carries. A text that is too long is cut.
func closeBody(b []byte, code uint16, text string) []byte {
	if code == codeNone {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, code)
	if len(text) <= maxCloseText {
		return append(b, text...)
	}
	cut := maxCloseText - len("...")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	b = append(b, text[:cut]...)
	return append(b, "..."...)
}
