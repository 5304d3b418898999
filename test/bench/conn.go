//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banyanmq/banyan/test/bench/dialect"
)

// patience is how long the generator waits for a server that does not move.
const patience = 20 * time.Second

// endpoint is one connection to a server: a plain non-blocking socket, perhaps with WebSocket frames, or TLS over the
// runtime's.
type endpoint struct {
	fd      int // -1 with TLS
	tls     *tls.Conn
	records *recordCounter // with TLS: what the server sent
	ws      *dialect.WebSocket
	speak   dialect.Dialect
	reader  dialect.Reader
	flush   func() error // called after each read block was handled; may be nil
	pongs   int64        // guarded by the session's lock

	// owesPong is set by the reader of a connection that a publisher writes to: only the publisher may write there, because
	// a PONG must not land within a block.
	owesPong atomic.Bool
}

// dial connects to host:port and does the handshake, after which the connection may be used; who is the number of the user
// where there are several.
func (at *site) dial(addr string, who int) (*endpoint, error) {
	var as dialect.Login
	if at.login != nil {
		as = at.login(who)
	}
	if at.tls != nil {
		return dialTLS(addr, at.tls, as)
	}
	e, err := dialPlain(addr, 0)
	if err != nil {
		return nil, err
	}
	e.speak = at.dialect()
	var rw io.ReadWriter = blocking(e.fd)
	if at.ws {
		e.ws = &dialect.WebSocket{}
		if err := e.ws.Upgrade(rw, addr); err != nil {
			e.close()
			return nil, fmt.Errorf("WebSocket with %s: %w", addr, err)
		}
		rw = e.ws
	}
	if err := e.speak.Greet(rw, as); err != nil {
		e.close()
		return nil, err
	}
	return e, unix.SetNonblock(e.fd, true)
}

// listen says who is told of what arrives; nothing may be read before.
func (e *endpoint) listen(to dialect.Handler) {
	e.reader = e.speak.Reader(to)
	if e.ws != nil {
		e.reader = e.ws.Reader(e.reader)
	}
}

// dialPlain opens a blocking socket; receiveBuffer, when not 0, is asked of the kernel before connecting.
func dialPlain(addr string, receiveBuffer int) (*endpoint, error) {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	e := &endpoint{fd: fd}
	if receiveBuffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	limit := unix.NsecToTimeval(int64(patience))
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	sa := &unix.SockaddrInet4{Port: a.Port}
	copy(sa.Addr[:], a.IP.To4())
	if err := unix.Connect(fd, sa); err != nil {
		e.close()
		return nil, fmt.Errorf("connecting to %s: %w", addr, err)
	}
	return e, nil
}

func dialTLS(addr string, conf *tls.Config, as dialect.Login) (*endpoint, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	// The server speaks first, in the clear; a byte more than its line would belong to the handshake.
	speak := dialect.NATS{}
	info, err := speak.ReadInfo(c)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("INFO of %s: %w", addr, err)
	}
	records := &recordCounter{Conn: c}
	t := tls.Client(records, conf)
	e := &endpoint{fd: -1, tls: t, records: records, speak: speak}
	if err := t.Handshake(); err != nil {
		c.Close()
		return nil, fmt.Errorf("TLS with %s: %w", addr, err)
	}
	if err := speak.Connect(t, info, as); err != nil {
		e.close()
		return nil, err
	}
	return e, c.SetDeadline(time.Time{})
}

// blocking is a socket that still blocks.
type blocking int

func (fd blocking) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (fd blocking) Write(b []byte) (int, error) { return len(b), writeAll(int(fd), b) }

// write writes all of b, waiting for the socket when it is full, but not longer than patience.
func (e *endpoint) write(b []byte) error {
	if e.tls != nil {
		_, err := e.tls.Write(b)
		return err
	}
	if e.ws != nil {
		b = e.ws.Wrap(nil, b)
	}
	return writeAll(e.fd, b)
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch err {
		case nil:
			b = b[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			if n, err := unix.Poll(fds, int(patience/time.Millisecond)); n == 0 && err == nil {
				return fmt.Errorf("the server has read nothing for %v", patience)
			}
		default:
			return os.NewSyscallError("write", err)
		}
	}
	return nil
}

// send is write for answers given while reading; an error shows at the next read as well.
func (e *endpoint) send(b []byte) { _ = e.write(b) }

func (e *endpoint) close() {
	if e.tls != nil {
		_ = e.tls.NetConn().Close()
		return
	}
	_ = unix.Close(e.fd)
}

// recordCounter counts the TLS records of application data that come in on a connection.
type recordCounter struct {
	net.Conn
	head    []byte // what came of the present record's header
	skip    int    // bytes of the present record that are to come
	records atomic.Int64
}

const (
	recordHead = 5
	recordData = 23 // content type of application data (RFC 8446, 5.1)
)

func (c *recordCounter) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.count(b[:n])
	return n, err
}

func (c *recordCounter) count(b []byte) {
	for len(b) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(b))
			c.skip -= n
			b = b[n:]
			continue
		}
		n := min(recordHead-len(c.head), len(b))
		c.head = append(c.head, b[:n]...)
		if b = b[n:]; len(c.head) < recordHead {
			return
		}
		if c.head[0] == recordData {
			c.records.Add(1)
		}
		c.skip, c.head = int(c.head[3])<<8|int(c.head[4]), c.head[:0]
	}
}
