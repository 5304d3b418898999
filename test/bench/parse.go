//go:build linux

package main

import (
	"bytes"
	"fmt"
)

// message is one MSG or HMSG; its slices are good until the handler returns.
type message struct {
	subject []byte
	sid     int
	reply   []byte // nil if none
	header  []byte // nil for MSG
	payload []byte
}

// handler is told what a server sent.
type handler interface {
	message(m *message) error
	ping() // the server wants a PONG
	pong()
}

// parser cuts a server's bytes into operations. A partial one is kept until the rest comes; whole ones are not copied.
type parser struct {
	to   handler
	rest []byte // begin of an operation that is not complete
	need int    // length of that operation if already known, else 0
	msg  message
}

// feed takes bytes as they arrive, cut anywhere.
func (p *parser) feed(b []byte) error {
	for len(p.rest) > 0 && len(b) > 0 {
		take := len(b)
		if p.need > 0 {
			take = min(take, p.need-len(p.rest))
		} else if nl := bytes.IndexByte(b, '\n'); nl >= 0 {
			take = nl + 1
		}
		p.rest = append(p.rest, b[:take]...)
		b = b[take:]
		n, err := p.one(p.rest)
		if err != nil {
			return err
		}
		if n > 0 {
			p.rest = p.rest[:0]
		}
	}
	for len(b) > 0 {
		n, err := p.one(b)
		if err != nil {
			return err
		}
		if n == 0 {
			p.rest = append(p.rest[:0], b...)
			return nil
		}
		b = b[n:]
	}
	return nil
}

// maxLine bounds a line that a server may send.
const maxLine = 64 << 10

// one handles the operation at the start of b and returns its length, or 0 when b does not hold all of it.
func (p *parser) one(b []byte) (int, error) {
	p.need = 0
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
		return p.deliver(b, nl+1, line[4:], false)
	case len(line) > 5 && string(line[:5]) == "HMSG ":
		return p.deliver(b, nl+1, line[5:], true)
	case string(line) == "PING":
		p.to.ping()
	case string(line) == "PONG":
		p.to.pong()
	case string(line) == "+OK", bytes.HasPrefix(line, []byte("INFO ")):
	case bytes.HasPrefix(line, []byte("-ERR")):
		return 0, fmt.Errorf("the server says %s", line)
	default:
		return 0, fmt.Errorf("the server sent %.60q, which is no operation", line)
	}
	return nl + 1, nil
}

// deliver handles MSG and HMSG whose arguments are args and whose payload begins at b[at].
func (p *parser) deliver(b []byte, at int, args []byte, headers bool) (int, error) {
	m := &p.msg
	*m = message{}
	var rest []byte
	var ok bool
	if m.subject, rest, ok = bytes.Cut(args, space); !ok {
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
		m.reply, rest, _ = bytes.Cut(rest, space)
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
	if m.sid, ok = number(sid); !ok {
		return 0, badLine(args)
	}
	end := at + total + 2
	if len(b) < end {
		p.need = end
		return 0, nil
	}
	if b[end-2] != '\r' || b[end-1] != '\n' {
		return 0, fmt.Errorf("the payload of %q does not end where its size says", args)
	}
	if headers {
		m.header = b[at : at+header]
	}
	m.payload = b[at+header : end-2]
	return end, p.to.message(m)
}

var space = []byte(" ")

func badLine(args []byte) error { return fmt.Errorf("the server sent a malformed MSG %q", args) }

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
