package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// NATS is the client protocol.
type NATS struct{}

// Greet does INFO, CONNECT, PING, PONG.
func (n NATS) Greet(rw io.ReadWriter, as Login) error {
	info, err := readLine(rw)
	if err != nil {
		return fmt.Errorf("waiting for INFO: %w", err)
	}
	if !strings.HasPrefix(info, "INFO {") {
		return fmt.Errorf("the server began with %.60q, not INFO", info)
	}
	return n.Connect(rw, info, as)
}

// ReadInfo reads the server's first line alone, for those who go on with TLS.
func (NATS) ReadInfo(r io.Reader) (string, error) { return readLine(r) }

// Connect is Greet behind the server's INFO.
func (NATS) Connect(rw io.ReadWriter, info string, as Login) error {
	who := ""
	if as != nil {
		var hello struct {
			Nonce string `json:"nonce"`
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(info, "INFO ")), &hello); err != nil {
			return fmt.Errorf("INFO %.60q: %w", info, err)
		}
		var err error
		if who, err = as(hello.Nonce); err != nil {
			return err
		}
	}
	line := `CONNECT {` + who + `"verbose":false,"pedantic":false,"echo":true,"headers":true,"no_responders":true,"protocol":1,` +
		`"name":"bench","lang":"bench","version":"1.0.0"}` + "\r\nPING\r\n"
	if _, err := io.WriteString(rw, line); err != nil {
		return err
	}
	for {
		line, err := readLine(rw)
		switch {
		case err != nil:
			return fmt.Errorf("waiting for the first PONG: %w", err)
		case line == "PONG\r\n":
			return nil
		case strings.HasPrefix(line, "-ERR"):
			return fmt.Errorf("the server refused the connection: %s", strings.TrimSpace(line))
		}
	}
}

// Publish implements Dialect.
func (NATS) Publish(b []byte, m *Message) []byte {
	if m.Header != nil {
		b = append(b, 'H')
	}
	b = append(b, "PUB "...)
	b = append(b, m.Subject...)
	if m.Reply != nil {
		b = append(b, ' ')
		b = append(b, m.Reply...)
	}
	if m.Header != nil {
		b = fmt.Appendf(b, " %d", len(m.Header))
	}
	b = fmt.Appendf(b, " %d\r\n", len(m.Header)+len(m.Payload))
	b = append(b, m.Header...)
	b = append(b, m.Payload...)
	return append(b, "\r\n"...)
}

// Trailer implements Dialect.
func (NATS) Trailer() int { return len("\r\n") }

// Subscribe implements Dialect.
func (NATS) Subscribe(b []byte, subject, group string, sid int) []byte {
	b = append(b, "SUB "...)
	b = append(b, subject...)
	if group != "" {
		b = append(b, ' ')
		b = append(b, group...)
	}
	return fmt.Appendf(b, " %d\r\n", sid)
}

// Ping implements Dialect.
func (NATS) Ping(b []byte) []byte { return append(b, "PING\r\n"...) }

// Reader implements Dialect.
func (NATS) Reader(to Handler) Reader {
	r := &natsReader{to: to}
	r.cutter.one = r.operation
	return r
}

type natsReader struct {
	cutter
	to  Handler
	msg Message
}

func (r *natsReader) operation(b []byte) (int, error) {
	nl := bytes.IndexByte(b, '\n')
	if nl < 0 {
		if len(b) > maxLine {
			return 0, fmt.Errorf("the server sent a line of more than %d bytes: %.60q", maxLine, b)
		}
		return 0, nil
	}
	line := b[:nl]
	if nl > 0 && line[nl-1] == '\r' {
		line = line[:nl-1]
	}
	switch {
	case len(line) > 4 && string(line[:4]) == "MSG ":
		return r.deliver(b, nl+1, line[4:], false)
	case len(line) > 5 && string(line[:5]) == "HMSG ":
		return r.deliver(b, nl+1, line[5:], true)
	case string(line) == "PING":
		r.to.Ping()
	case string(line) == "PONG":
		r.to.Pong()
	case string(line) == "+OK", bytes.HasPrefix(line, []byte("INFO ")):
	case bytes.HasPrefix(line, []byte("-ERR")):
		return 0, fmt.Errorf("the server says %s", line)
	default:
		return 0, fmt.Errorf("the server sent %.60q, which is no operation", line)
	}
	return nl + 1, nil
}

// deliver handles MSG and HMSG whose arguments are args and whose payload begins at b[at].
func (r *natsReader) deliver(b []byte, at int, args []byte, headers bool) (int, error) {
	m := &r.msg
	*m = Message{}
	var rest []byte
	var ok bool
	if m.Subject, rest, ok = bytes.Cut(args, space); !ok {
		return 0, badLine(args)
	}
	var sid []byte
	if sid, rest, ok = bytes.Cut(rest, space); !ok {
		return 0, badLine(args)
	}
	numbers := 0
	if headers {
		numbers = 1
	}
	if bytes.Count(rest, space) == numbers+1 {
		m.Reply, rest, _ = bytes.Cut(rest, space)
	}
	header := 0
	if headers {
		var h []byte
		h, rest, _ = bytes.Cut(rest, space)
		if header, ok = number(h); !ok {
			return 0, badLine(args)
		}
	}
	total, ok := number(rest)
	if !ok || header > total {
		return 0, badLine(args)
	}
	if m.SID, ok = number(sid); !ok {
		return 0, badLine(args)
	}
	end := at + total + 2
	if len(b) < end {
		r.need = end
		return 0, nil
	}
	if b[end-2] != '\r' || b[end-1] != '\n' {
		return 0, fmt.Errorf("the payload of %q does not end where its size says", args)
	}
	if headers {
		m.Header = b[at : at+header]
	}
	m.Payload = b[at+header : end-2]
	return end, r.to.Message(m)
}

var space = []byte(" ")

func badLine(args []byte) error { return fmt.Errorf("the server sent a malformed MSG %q", args) }
