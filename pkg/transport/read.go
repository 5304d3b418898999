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
func (c *Conn) fill() error {
	for {
		if more, err := c.advance(); more || err != nil {
			return err
		}
		c.slim()
		c.makeRoom()
		got, err := c.receive()
		if err != nil {
			return err
		}
		if got && len(c.stages) == 0 {
			return nil
		}
	}
}

// makeRoom grows a full buffer, to what the handler needs or to twice its size.
func (c *Conn) makeRoom() {
	if len(c.rbuf) == 0 || len(c.rbuf) < cap(c.rbuf) {
		return
	}
	room := 2 * cap(c.rbuf)
	if c.need > cap(c.rbuf) {
		room = min(room, c.need)
	}
	c.rbuf = moveBuf(c.rbuf, room)
}

// receive reads once from the socket, into the lowest stage or, if there is
// none, into the buffer, and reports whether something came. Ashore it waits for that.
// A buffer is taken only when there is something to read.
func (c *Conn) receive() (bool, error) {
	c.rdst = &c.rbuf
	if len(c.stages) > 0 {
		c.rdst = &c.stages[0].in
	}
	c.rn, c.rerr = 0, nil
	if c.onLoop {
		if !c.readable(uintptr(c.fd)) {
			return false, nil
		}
	} else if err := c.onReadable(c.rread); err != nil {
		return false, err
	}
	if c.rn > 0 {
		c.inBytes.Add(int64(c.rn))
		c.adapt(c.rn)
		return true, nil
	}
	if c.rerr != nil {
		return false, os.NewSyscallError("read", c.rerr)
	}
	return false, io.EOF
}

// adapt sizes the next buffer: full reads ask for a large one.
func (c *Conn) adapt(n int) {
	if n >= firstRead {
		c.rwant = largeRead
	} else if n < firstRead/4 {
		c.rwant = firstRead
	}
}

// readable makes one attempt to read; false means that nothing is there.
func (c *Conn) readable(fd uintptr) bool {
	old := *c.rdst
	buf := old
	fresh := true
	switch {
	case old == nil:
		buf = getBuf(c.rwant)
	case len(buf) == cap(buf) || cap(buf) <= maxSlim:
		buf = append(getBuf(max(2*cap(buf), c.rwant)), buf...)
	default:
		fresh = false
	}
	there := true
	for {
		n, err := c.sysRead(fd, buf[len(buf):cap(buf)])
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.EAGAIN {
			there = false
		} else if err != nil {
			c.rerr = err
		} else {
			c.rn = n
			buf = buf[:len(buf)+n]
		}
		break
	}
	switch {
	case c.rn == 0 && fresh:
		putBuf(buf) // whoever waits with little holds little
	case c.rn > 0:
		if fresh {
			putBuf(old)
		}
		*c.rdst = buf
	}
	return there
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
		if err := c.fill(); err != nil {
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
	c.need = n
	defer func() { c.need = 0 }()
	for len(c.rbuf) < n {
		if err := c.fill(); err != nil {
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
	switch {
	case c.cause != nil:
		return c.cause
	case c.interrupted:
		return os.ErrDeadlineExceeded
	case c.nc == nil:
		return nil // nobody waits
	}
	return c.nc.SetReadDeadline(t)
}

// IsTimeout tells whether err is a deadline that passed.
func IsTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
