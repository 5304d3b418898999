//go:build unix

package process

import "syscall"

// The signals that only Unix has.
const (
	Reopen = syscall.SIGUSR1
	Drain  = syscall.SIGUSR2
)

// Signals that a daemon handles.
func Signals() []syscall.Signal {
	return []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, Reopen, Drain, syscall.SIGHUP}
}

// Send sends a signal.
func Send(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }

// Exists says whether there is a process, of this user or another.
func Exists(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || err == syscall.EPERM
}
