//go:build !linux

package monitor

import "runtime"

// residentMemory is what the runtime has from the system, in bytes: other systems
// tell the resident set by calls of their own.
func residentMemory() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}
