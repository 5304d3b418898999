package daemon

import (
	"os"
	"runtime/debug"
)

// tuneCollector lets the heap of a small process grow a little before it is
// collected: the message path makes no garbage, connecting and subscribing do.
// GOGC and GOMEMLIMIT, when set, win.
func tuneCollector() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(200)
	}
}
