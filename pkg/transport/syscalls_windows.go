package transport

import (
	"errors"
	"io"
	"syscall"
)

// Sockets of Windows can't be asked whether they would take something, nor be read by
// the system call that other files are read with. So the runtime reads and writes: a
// read waits with its buffer, and every write is left to the goroutine that may block.

func (c *Conn) onReadable(f func(fd uintptr) bool) error {
	f(0)
	return nil
}

func (c *Conn) onWritable(f func(fd uintptr) bool) error {
	f(0)
	return nil
}

// sysRead waits. As of the system call, the end of the stream is no error.
func (c *Conn) sysRead(_ uintptr, p []byte) (int, error) {
	n, err := c.nc.Read(p)
	if n > 0 || errors.Is(err, io.EOF) {
		return n, nil
	}
	return 0, err
}

// sysWrite waits until the write deadline.
func (c *Conn) sysWrite(_ uintptr, p []byte) (int, error) { return c.nc.Write(p) }

// tryWrite leaves it to blockWrite.
func (c *Conn) tryWrite(uintptr) bool {
	c.werr = syscall.EAGAIN
	return true
}
