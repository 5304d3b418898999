//go:build unix

package monitor

import (
	"syscall"
	"time"
)

// ProcessorTime is how long the process has used processors, 0 if that is not known.
func ProcessorTime() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
