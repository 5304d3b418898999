package dialect

import (
	"bytes"
	"fmt"
	"io"
)

// RESP is Redis's protocol, version 2, with its publish and subscribe.
type RESP struct{}

// Greet asks for a first PONG: there is nothing else to say.
func (RESP) Greet(rw io.ReadWriter, _ Login) error {
	if _, err := rw.Write(RESP{}.Ping(nil)); err != nil {
		return err
	}
	line, err := readLine(rw)
	if err != nil {
		return fmt.Errorf("waiting for the first PONG: %w", err)
	}
	if line != "+PONG\r\n" {
		return fmt.Errorf("the broker refused the connection: %.60q", line)
	}
	return nil
}

// Publish implements Dialect.
func (RESP) Publish(b []byte, m *Message) []byte {
	return respCommand(b, []byte("PUBLISH"), m.Subject, m.Payload)
}

// Trailer implements Dialect.
func (RESP) Trailer() int { return len("\r\n") }

// Subscribe implements Dialect. Subjects with wildcards are not known.
func (RESP) Subscribe(b []byte, subject, _ string, _ int) []byte {
	return respCommand(b, []byte("SUBSCRIBE"), []byte(subject))
}

// Ping implements Dialect.
func (RESP) Ping(b []byte) []byte { return respCommand(b, []byte("PING")) }

func respCommand(b []byte, parts ...[]byte) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(parts))
	for _, p := range parts {
		b = fmt.Appendf(b, "$%d\r\n", len(p))
		b = append(append(b, p...), "\r\n"...)
	}
	return b
}

// Reader implements Dialect.
func (RESP) Reader(to Handler) Reader {
	r := &respReader{to: to}
	r.cutter.one = r.reply
	return r
}

type respReader struct {
	cutter
	to  Handler
	msg Message
}

// respParts is how many parts the replies have that a subscriber or a publisher gets.
const respParts = 3

// reply handles one reply: a line, or an array of strings and numbers.
func (r *respReader) reply(b []byte) (int, error) {
	line, at, err := r.line(b, 0)
	if line == nil || err != nil {
		return 0, err
	}
	switch line[0] {
	case ':': // how many got what was published
		return at, nil
	case '+':
		if string(line) == "+PONG" {
			r.to.Pong()
		}
		return at, nil
	case '-':
		return 0, fmt.Errorf("the broker says %s", line)
	case '*':
	default:
		return 0, fmt.Errorf("the broker sent %.60q, which is no reply", line)
	}
	n, ok := number(line[1:])
	if !ok || n < 2 || n > respParts {
		return 0, fmt.Errorf("the broker sent an array of %.20q parts", line[1:])
	}
	var parts [respParts][]byte
	for i := range n {
		if parts[i], at, err = r.part(b, at); at == 0 || err != nil {
			return 0, err
		}
	}
	switch string(parts[0]) {
	case "message":
		r.msg = Message{Subject: parts[1], SID: 1, Payload: parts[2]}
		if n != respParts {
			return 0, fmt.Errorf("the broker sent a message of %d parts", n)
		}
		return at, r.to.Message(&r.msg)
	case "pong":
		r.to.Pong()
	case "subscribe":
	default:
		return 0, fmt.Errorf("the broker sent a %.60q, which a subscriber does not expect", parts[0])
	}
	return at, nil
}

// line returns the line that begins at b[at] and where the next one begins; nil when it is not all there.
func (r *respReader) line(b []byte, at int) ([]byte, int, error) {
	nl := bytes.IndexByte(b[at:], '\n')
	if nl < 0 {
		if len(b)-at > maxLine {
			return nil, 0, fmt.Errorf("the broker sent a line of more than %d bytes: %.60q", maxLine, b[at:])
		}
		return nil, 0, nil
	}
	if nl < 2 || b[at+nl-1] != '\r' {
		return nil, 0, fmt.Errorf("the broker sent the line %.60q", b[at:at+nl])
	}
	return b[at : at+nl-1], at + nl + 1, nil
}

// part returns the string or number that begins at b[at] and where the next begins, 0 when it is not all there.
func (r *respReader) part(b []byte, at int) ([]byte, int, error) {
	line, next, err := r.line(b, at)
	if line == nil || err != nil {
		return nil, 0, err
	}
	if line[0] == ':' {
		return line[1:], next, nil
	}
	n, ok := number(line[1:])
	if line[0] != '$' || !ok {
		return nil, 0, fmt.Errorf("the broker sent %.60q within an array", line)
	}
	end := next + n + 2
	if len(b) < end {
		r.need = end
		return nil, 0, nil
	}
	if b[end-2] != '\r' || b[end-1] != '\n' {
		return nil, 0, fmt.Errorf("a string of %d bytes does not end where its size says", n)
	}
	return b[next : end-2], end, nil
}
