package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Message is one message, to be published or as delivered. A delivered one's slices are good until the handler returns.
type Message struct {
	Subject []byte
	SID     int    // number of the subscription; 1 where the broker does not say
	Reply   []byte // nil if none; NATS alone
	Header  []byte // the whole block, nil if none; NATS alone
	Payload []byte
}

// Handler is told what a broker sent.
type Handler interface {
	Message(m *Message) error
	Ping() // the broker wants a PONG (NATS alone)
	Pong() // everything sent before the matching Ping was handled
}

// Reader takes what a broker sends.
type Reader interface {
	// Feed takes bytes as they arrive, cut anywhere.
	Feed(b []byte) error
}

// Login gives what NATS clients add to CONNECT to say who they are, for the nonce of the server's INFO ("" if it has none):
// members of a JSON object, each with a comma behind it.
type Login func(nonce string) (string, error)

// Dialect is the language of one broker. Its methods are safe for concurrent use.
type Dialect interface {
	// Greet begins a connection, up to the broker's word that it may be used. It reads no byte more than that.
	Greet(rw io.ReadWriter, as Login) error
	// Publish appends a message. Two messages whose parts are of the same lengths are of the same length, and their payload
	// ends Trailer bytes before their end.
	Publish(b []byte, m *Message) []byte
	Trailer() int
	// Subscribe appends a subscription; group is "" or the name of a queue group (NATS alone).
	Subscribe(b []byte, subject, group string, sid int) []byte
	// Ping appends what the broker answers when it has handled everything before it.
	Ping(b []byte) []byte
	// Reader makes the reader of one connection.
	Reader(to Handler) Reader
}

// maxLine bounds a line that a broker may send.
const maxLine = 64 << 10

// cutter hands whole operations to one. A partial operation is kept until the rest comes; whole ones are not copied.
type cutter struct {
	// one handles the operation at the start of b and returns its length, or 0 when b does not hold all of it; then it may
	// set need.
	one  func(b []byte) (int, error)
	rest []byte // begin of an operation that is not complete
	need int    // how many bytes of it are worth another look; 0: up to the next LF
}

// Feed implements Reader.
func (c *cutter) Feed(b []byte) error {
	for len(c.rest) > 0 && len(b) > 0 {
		take := len(b)
		if c.need > len(c.rest) {
			take = min(take, c.need-len(c.rest))
		} else if nl := bytes.IndexByte(b, '\n'); nl >= 0 {
			take = nl + 1
		}
		c.rest = append(c.rest, b[:take]...)
		b = b[take:]
		n, err := c.look(c.rest)
		if err != nil {
			return err
		}
		if n > 0 {
			c.rest = append(c.rest[:0], c.rest[n:]...)
		}
	}
	for len(b) > 0 {
		n, err := c.look(b)
		if err != nil {
			return err
		}
		if n == 0 {
			c.rest = append(c.rest[:0], b...)
			return nil
		}
		b = b[n:]
	}
	return nil
}

func (c *cutter) look(b []byte) (int, error) {
	c.need = 0
	return c.one(b)
}

// readLine reads up to LF byte by byte: what follows belongs to somebody else.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\n")); {
		if _, err := io.ReadFull(r, b); err != nil {
			return string(line), err
		}
		if line = append(line, b[0]); len(line) > maxLine {
			return "", errors.New("a line without end")
		}
	}
	return string(line), nil
}

// number reads 1 to 9 decimal digits.
func number(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// translated writes a copy of b with one byte for another into scratch.
func translated(scratch, b []byte, from, to byte) []byte {
	scratch = append(scratch[:0], b...)
	for i, c := range scratch {
		if c == from {
			scratch[i] = to
		}
	}
	return scratch
}

// must is for appends that can't fail, of values that this package made itself.
func must(ok bool, format string, args ...any) {
	if !ok {
		panic("dialect: " + fmt.Sprintf(format, args...))
	}
}
