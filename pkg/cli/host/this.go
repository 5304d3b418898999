package host

import (
	"os"
	"runtime"
)

// This is the machine that the program runs on.
func This(unit string) Machine {
	m := Machine{
		OS: runtime.GOOS, CPUs: runtime.NumCPU(), Files: os.DirFS("/"), Process: "self", Unit: unit,
		Env: os.Getenv, OpenFiles: openFiles, Clock: clock, Disk: disk, Writable: writable,
	}
	if m.OS != "linux" {
		m.Files = nil
	}
	return m
}
