//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal tells a terminal from a pipe, a file and /dev/null. Whatever is
// not an *os.File is none.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), ioctlGetTermios)
	return err == nil
}

// terminalRows is how many lines a terminal shows.
func terminalRows(out any) int {
	if f, ok := out.(*os.File); ok {
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && ws.Row > 0 {
			return int(ws.Row)
		}
	}
	return defaultRows
}
