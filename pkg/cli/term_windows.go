package cli

import (
	"os"

	"golang.org/x/sys/windows"
)

// isTerminal tells a console from a pipe and a file.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	var mode uint32
	return windows.GetConsoleMode(windows.Handle(f.Fd()), &mode) == nil
}

// terminalRows is how many lines a console shows.
func terminalRows(out any) int {
	if f, ok := out.(*os.File); ok {
		var info windows.ConsoleScreenBufferInfo
		if windows.GetConsoleScreenBufferInfo(windows.Handle(f.Fd()), &info) == nil {
			if rows := int(info.Window.Bottom-info.Window.Top) + 1; rows > 0 {
				return rows
			}
		}
	}
	return defaultRows
}
