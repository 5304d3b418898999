package process

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// Windows has no such signals; the numbers are those of Linux.
const (
	Reopen = syscall.Signal(10)
	Drain  = syscall.Signal(12)
)

// Signals that a daemon handles: Ctrl-C, and the end of the console or the session.
func Signals() []syscall.Signal { return []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} }

// Send ends a process if sig is SIGKILL; no other can be sent.
func Send(pid int, sig syscall.Signal) error {
	if sig != syscall.SIGKILL {
		return fmt.Errorf("signal %d can't be sent on Windows, where a process can only be killed (\"signal stop\"); \"reload --server\" reloads settings", int(sig))
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// Exists says whether there is a process, of this user or another.
func Exists(pid int) bool {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return err == windows.ERROR_ACCESS_DENIED
	}
	defer windows.CloseHandle(h)
	const stillActive = 259
	var code uint32
	return windows.GetExitCodeProcess(h, &code) == nil && code == stillActive
}
