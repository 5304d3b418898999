//go:build linux

package procs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Reservation holds TCP ports of 127.0.0.1 for processes that can't be told to take any port and report it: while it is
// open the kernel gives them to nobody who asks for any port, neither to listen nor to connect, yet whoever asks for one of
// them by number may listen on it (all Go programs may).
type Reservation struct {
	Ports []int
	fds   []int
}

// Reserve takes n ports, chosen by the kernel. Close it when the processes are gone.
func Reserve(n int) (*Reservation, error) {
	r := &Reservation{}
	for range n {
		port, fd, err := hold()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("reserving a port: %w", err), r.Close())
		}
		r.Ports = append(r.Ports, port)
		r.fds = append(r.fds, fd)
	}
	return r, nil
}

// hold binds a socket that does not listen. SO_REUSEADDR on both sides lets a listener bind beside it; a search for a free
// port passes over ports that are bound at all.
func hold() (port, fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, os.NewSyscallError("socket", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	if err != nil {
		return 0, 0, errors.Join(err, unix.Close(fd))
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, 0, errors.Join(err, unix.Close(fd))
	}
	return sa.(*unix.SockaddrInet4).Port, fd, nil
}

// Close gives the ports back. Closing twice, or nil, does nothing.
func (r *Reservation) Close() error {
	if r == nil {
		return nil
	}
	var err error
	for _, fd := range r.fds {
		err = errors.Join(err, unix.Close(fd))
	}
	r.fds = nil
	return err
}

// FreePorts returns n ports as Reserve does and keeps them, and n file descriptors, until this process ends: for tests, which
// end soon.
func FreePorts(n int) ([]int, error) {
	r, err := Reserve(n)
	if err != nil {
		return nil, err
	}
	return r.Ports, nil
}
