package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	firstRead = 64 << 10  // size of a read buffer
	largeRead = 256 << 10 // the same under load: fewer, larger reads
	// trust is how much room is made at once for a message that has been announced.
	// A longer one gets more as it arrives: announcing one costs the peer nothing.
	trust = 2 << 20
)

// Serve reads until the handler or the socket ends it, and returns why: the
// handler's error, the cause given to Abort, io.EOF, or a read error. It does
// not close the socket.
func (c *Conn) Serve(h Handler) error {
	c.settle()
	need := 0
	for {
		if len(c.rbuf) > 0 && len(c.rbuf) >= need {
			n, want, err := h.HandleBlock(c.rbuf)
			if err != nil {
				return c.why(err)
			}
			need = want
			c.consume(n, want)
		}
		if err := c.fill(need); err != nil {
			return c.why(err)
		}
	}
}

// why prefers the cause that this side gave over the error that it led to.
func (c *Conn) why(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	return err
}

// consume drops n bytes from the front of the buffer and makes room for need
// bytes in all, within reason. An empty buffer goes back to the pool.
func (c *Conn) consume(n, need int) {
	rest := c.rbuf[n:]
	if len(rest) == 0 {
		putBuf(c.rbuf)
		c.rbuf = nil
		return
	}
	if room := min(need, max(trust, 2*len(rest))); room > cap(c.rbuf) {
		grown := append(getBuf(room), rest...)
		putBuf(c.rbuf)
		c.rbuf = grown
		return
	}
	if n > 0 {
		copy(c.rbuf, rest)
		c.rbuf = c.rbuf[:len(rest)]
	}
}

// fill blocks until at least one more byte is in the buffer.
func (c *Conn) fill(need int) error {
	if len(c.rbuf) > 0 && len(c.rbuf) == cap(c.rbuf) {
		room := 2 * cap(c.rbuf)
		if need > cap(c.rbuf) {
			room = min(room, need)
		}
		grown := append(getBuf(room), c.rbuf...)
		putBuf(c.rbuf)
		c.rbuf = grown
	}
	switch {
	case c.s2r != nil:
		return c.fillFrom(c.s2r)
	case c.tls != nil:
		return c.fillTLS()
	}
	return c.fillRaw()
}

// fillRaw reads straight from the socket. The buffer is taken only when there
// is something to read.
func (c *Conn) fillRaw() error {
	c.rn, c.rerr = 0, nil
	if err := c.raw.Read(c.rread); err != nil {
		return err
	}
	if c.rn > 0 {
		c.inBytes.Add(int64(c.rn))
		c.adapt(c.rn)
		return nil
	}
	if c.rerr != nil {
		return os.NewSyscallError("read", c.rerr)
	}
	return io.EOF
}

// adapt sizes the next buffer: full reads ask for a large one.
func (c *Conn) adapt(n int) {
	if n >= firstRead {
		c.rwant = largeRead
	} else if n < firstRead/4 {
		c.rwant = firstRead
	}
}

// readable is called by the poller, first at once and then whenever the
// socket may have bytes; false means wait.
func (c *Conn) readable(fd uintptr) bool {
	owned := c.rbuf != nil
	if !owned {
		c.rbuf = getBuf(c.rwant)
	}
	for {
		n, err := syscall.Read(int(fd), c.rbuf[len(c.rbuf):cap(c.rbuf)])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			if !owned {
				putBuf(c.rbuf)
				c.rbuf = nil
			}
			return false
		case err != nil:
			c.rerr = err
		default:
			c.rn = n
			c.rbuf = c.rbuf[:len(c.rbuf)+n]
		}
		if c.rn == 0 && !owned {
			putBuf(c.rbuf)
			c.rbuf = nil
		}
		return true
	}
}

// fillFrom reads through a blocking layer.
func (c *Conn) fillFrom(r io.Reader) error {
	if c.rbuf == nil {
		c.rbuf = getBuf(firstRead)
	}
	n, err := r.Read(c.rbuf[len(c.rbuf):cap(c.rbuf)])
	c.rbuf = c.rbuf[:len(c.rbuf)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		return nil
	}
	return err
}

// fillTLS decrypts what the TLS layer holds, and waits for the socket only
// when it holds no whole record.
func (c *Conn) fillTLS() error {
	for {
		if c.rbuf == nil {
			c.rbuf = getBuf(firstRead)
		}
		n, err := c.tls.Read(c.rbuf[len(c.rbuf):cap(c.rbuf)])
		c.rbuf = c.rbuf[:len(c.rbuf)+n]
		if n > 0 {
			// Take all records that are there: one block, one flush.
			for err == nil && len(c.rbuf) < cap(c.rbuf) && c.layer.buffered() {
				n, err = c.tls.Read(c.rbuf[len(c.rbuf):cap(c.rbuf)])
				c.rbuf = c.rbuf[:len(c.rbuf)+n]
			}
			return nil
		}
		if err != nil && !errors.Is(err, errWouldBlock) {
			return err
		}
		if len(c.rbuf) == 0 {
			putBuf(c.rbuf)
			c.rbuf = nil
		}
		if err := c.layer.wait(); err != nil {
			return err
		}
	}
}

// ErrLineTooLong is returned by ReadLine.
var ErrLineTooLong = errors.New("line too long")

// ReadLine reads one line, without its line end, for the opening of a link,
// where both sides take turns. It must not be used once Serve runs. Bytes
// behind the line stay for the next ReadLine or for Serve. The result is valid
// until then. A zero deadline means none.
func (c *Conn) ReadLine(maxLen int, deadline time.Time) ([]byte, error) {
	if err := c.SetReadDeadline(deadline); err != nil {
		return nil, c.why(err)
	}
	c.settle()
	for from := 0; ; {
		if i := bytes.IndexByte(c.rbuf[from:], '\n'); i >= 0 {
			end := from + i
			c.lineEnd = end + 1
			if end > 0 && c.rbuf[end-1] == '\r' {
				end--
			}
			if end > maxLen {
				return nil, ErrLineTooLong
			}
			return c.rbuf[:end], c.SetReadDeadline(time.Time{})
		}
		if len(c.rbuf) > maxLen {
			return nil, ErrLineTooLong
		}
		from = len(c.rbuf)
		if err := c.fill(0); err != nil {
			return nil, c.why(err)
		}
	}
}

// Peek waits until at least n bytes have arrived and returns all that have,
// without consuming them. When the deadline passes first it returns what there
// is and an error for which IsTimeout holds. Not to be used once Serve runs.
func (c *Conn) Peek(n int, deadline time.Time) ([]byte, error) {
	c.settle()
	if err := c.SetReadDeadline(deadline); err != nil {
		return nil, c.why(err)
	}
	for len(c.rbuf) < n {
		if err := c.fill(n); err != nil {
			if IsTimeout(err) {
				c.SetReadDeadline(time.Time{})
			}
			return c.rbuf, c.why(err)
		}
	}
	return c.rbuf, c.SetReadDeadline(time.Time{})
}

// Discard drops the first n bytes of what Peek returned.
func (c *Conn) Discard(n int) { c.consume(n, 0) }

// settle drops a line that ReadLine has returned.
func (c *Conn) settle() {
	if c.lineEnd > 0 {
		c.consume(c.lineEnd, 0)
		c.lineEnd = 0
	}
}

// SetReadDeadline bounds reads; zero means no bound. It fails once the
// connection has ended.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	return c.nc.SetReadDeadline(t)
}

// IsTimeout tells whether err is a deadline that passed.
func IsTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
