//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// connectLine is what every connection says first.
const connectLine = `CONNECT {"verbose":false,"pedantic":false,"echo":true,"headers":true,"no_responders":true,"protocol":1,` +
	`"name":"bench","lang":"bench","version":"1.0.0"}` + "\r\nPING\r\n"

// patience is how long the generator waits for a server that does not move.
const patience = 20 * time.Second

// endpoint is one connection to a server: a plain non-blocking socket, or TLS over the runtime's.
type endpoint struct {
	fd     int // -1 with TLS
	tls    *tls.Conn
	parser parser
	flush  func() error // called after each read block was handled; may be nil
	pongs  int64        // guarded by the session's lock

	// owesPong is set by the reader of a connection that a publisher writes to: only the publisher may write there, because
	// a PONG must not land within a block.
	owesPong atomic.Bool
}

// dial connects to host:port and does the handshake up to the first PONG.
func dial(addr string, conf *tls.Config) (*endpoint, error) {
	if conf != nil {
		return dialTLS(addr, conf)
	}
	e, err := dialPlain(addr, 0)
	if err != nil {
		return nil, err
	}
	if err := e.greet(); err != nil {
		e.close()
		return nil, err
	}
	return e, unix.SetNonblock(e.fd, true)
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

func dialTLS(addr string, conf *tls.Config) (*endpoint, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	// The server speaks first, in the clear; a byte more than its line would belong to the handshake.
	if _, err := readLine(c); err != nil {
		c.Close()
		return nil, fmt.Errorf("INFO of %s: %w", addr, err)
	}
	t := tls.Client(c, conf)
	e := &endpoint{fd: -1, tls: t}
	if err := t.Handshake(); err != nil {
		c.Close()
		return nil, fmt.Errorf("TLS with %s: %w", addr, err)
	}
	if err := e.write([]byte(connectLine)); err != nil {
		e.close()
		return nil, err
	}
	if err := e.awaitPong(t); err != nil {
		e.close()
		return nil, err
	}
	return e, c.SetDeadline(time.Time{})
}

// blocking reads from the socket while it still blocks.
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

// greet does INFO, CONNECT, PING, PONG on a blocking socket.
func (e *endpoint) greet() error {
	if line, err := readLine(blocking(e.fd)); err != nil {
		return fmt.Errorf("waiting for INFO: %w", err)
	} else if !strings.HasPrefix(line, "INFO {") {
		return fmt.Errorf("the server began with %.60q, not INFO", line)
	}
	if err := e.write([]byte(connectLine)); err != nil {
		return err
	}
	return e.awaitPong(blocking(e.fd))
}

func (e *endpoint) awaitPong(r io.Reader) error {
	for {
		line, err := readLine(r)
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

// write writes all of b, waiting for the socket when it is full, but not longer than patience.
func (e *endpoint) write(b []byte) error {
	if e.tls != nil {
		_, err := e.tls.Write(b)
		return err
	}
	for len(b) > 0 {
		n, err := unix.Write(e.fd, b)
		switch err {
		case nil:
			b = b[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			fds := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLOUT}}
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
