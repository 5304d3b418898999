//go:build unix

package transport

import "syscall"

// onReadable runs f until it is true, each time when the socket may have something.
func (c *Conn) onReadable(f func(fd uintptr) bool) error { return c.raw.Read(f) }

// onWritable runs f until it is true, each time when the socket may take something.
func (c *Conn) onWritable(f func(fd uintptr) bool) error { return c.raw.Write(f) }

func (c *Conn) sysRead(fd uintptr, p []byte) (int, error)  { return syscall.Read(int(fd), p) }
func (c *Conn) sysWrite(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }

// tryWrite makes one attempt.
func (c *Conn) tryWrite(fd uintptr) bool {
	c.writeSome(fd)
	return true
}
