package monitor

import (
	"time"

	"golang.org/x/sys/windows"
)

// ProcessorTime is how long the process has used processors, 0 if that is not known.
func ProcessorTime() time.Duration {
	var created, ended, kernel, user windows.Filetime
	if windows.GetProcessTimes(windows.CurrentProcess(), &created, &ended, &kernel, &user) != nil {
		return 0
	}
	// Lengths of time here, in units of 100 ns, in the type of a point in time.
	ticks := func(f windows.Filetime) int64 { return int64(f.HighDateTime)<<32 | int64(f.LowDateTime) }
	return time.Duration(100 * (ticks(kernel) + ticks(user)))
}
