package dialect

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// WebSocket puts the bytes of a dialect into frames (RFC 6455). One value serves one connection: Upgrade it, Greet over it,
// and then let Wrap frame what is written and Reader unframe what comes.
type WebSocket struct {
	rw   io.ReadWriter
	skip int    // bytes of the present frame's payload that are to come
	head []byte // what came of the next frame's header
}

const (
	wsFinal  = 0x80
	wsMasked = 0x80
	wsBinary = 2
	wsClose  = 8
	wsGUID   = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// Upgrade does the HTTP handshake over rw, which Read and Write then use.
func (w *WebSocket) Upgrade(rw io.ReadWriter, host string) error {
	w.rw = rw
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	key := base64.StdEncoding.EncodeToString(nonce[:])
	if _, err := fmt.Fprintf(rw, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", host, key); err != nil {
		return err
	}
	sum := sha1.Sum([]byte(key + wsGUID))
	want := base64.StdEncoding.EncodeToString(sum[:])
	accepted := false
	for first := true; ; first = false {
		line, err := readLine(rw)
		if err != nil {
			return fmt.Errorf("waiting for the upgrade: %w", err)
		}
		line = strings.TrimSpace(line)
		if first && !strings.HasPrefix(line, "HTTP/1.1 101") {
			return fmt.Errorf("the server answered the upgrade with %.60q", line)
		}
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Sec-WebSocket-Accept") {
			accepted = strings.TrimSpace(value) == want
		}
		if line == "" {
			break
		}
	}
	if !accepted {
		return errors.New("the server's Sec-WebSocket-Accept does not match")
	}
	return nil
}

// Write frames b and writes it.
func (w *WebSocket) Write(b []byte) (int, error) {
	if _, err := w.rw.Write(w.Wrap(nil, b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Read reads one byte of payload.
func (w *WebSocket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for one := p[:1]; ; {
		if _, err := io.ReadFull(w.rw, one); err != nil {
			return 0, err
		}
		payload, _, err := w.next(one)
		if err != nil {
			return 0, err
		}
		if len(payload) == 1 {
			return 1, nil
		}
	}
}

// Wrap appends p to b as one masked binary frame.
func (*WebSocket) Wrap(b, p []byte) []byte {
	b = append(b, wsFinal|wsBinary)
	switch n := len(p); {
	case n < 126:
		b = append(b, wsMasked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, wsMasked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, wsMasked|127), uint64(n))
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:])
	b = append(b, mask[:]...)
	for i, c := range p {
		b = append(b, c^mask[i%4])
	}
	return b
}

// next takes bytes off b: either a stretch of payload, or a part of a frame's header and then none.
func (w *WebSocket) next(b []byte) (payload, rest []byte, err error) {
	if w.skip > 0 {
		n := min(w.skip, len(b))
		w.skip -= n
		return b[:n], b[n:], nil
	}
	for i, c := range b {
		w.head = append(w.head, c)
		size, whole, err := frameHeader(w.head)
		if err != nil {
			return nil, nil, err
		}
		if whole {
			w.skip, w.head = size, w.head[:0]
			return nil, b[i+1:], nil
		}
	}
	return nil, nil, nil
}

// frameHeader reads the header of a server's frame.
func frameHeader(h []byte) (size int, whole bool, err error) {
	if len(h) < 2 {
		return 0, false, nil
	}
	switch op := h[0] & 0x0F; {
	case op == wsClose:
		return 0, false, errors.New("the server closed the WebSocket")
	case op > wsBinary:
		return 0, false, fmt.Errorf("the server sent a frame of kind %d", op)
	case h[0]&0x70 != 0 || h[1]&wsMasked != 0:
		return 0, false, fmt.Errorf("the server sent a frame that begins with % x", h)
	}
	switch n := h[1]; {
	case n < 126:
		return int(n), true, nil
	case n == 126 && len(h) == 4:
		return int(binary.BigEndian.Uint16(h[2:])), true, nil
	case n == 127 && len(h) == 10:
		n := binary.BigEndian.Uint64(h[2:])
		if n > 1<<31 {
			return 0, false, fmt.Errorf("the server sent a frame of %d bytes", n)
		}
		return int(n), true, nil
	}
	return 0, false, nil
}

// Reader unframes what comes for a reader of the dialect inside.
func (w *WebSocket) Reader(to Reader) Reader { return wsReader{w, to} }

type wsReader struct {
	w  *WebSocket
	to Reader
}

// Feed implements Reader.
func (r wsReader) Feed(b []byte) error {
	for len(b) > 0 {
		payload, rest, err := r.w.next(b)
		if err != nil {
			return err
		}
		if len(payload) > 0 {
			if err := r.to.Feed(payload); err != nil {
				return err
			}
		}
		b = rest
	}
	return nil
}
