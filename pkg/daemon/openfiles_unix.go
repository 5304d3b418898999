//go:build unix

package daemon

import "syscall"

// openFileLimit is what the process may have open. The runtime has raised it as far as it could.
func openFileLimit() (limit uint64, known bool) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return uint64(l.Cur), err == nil
}
