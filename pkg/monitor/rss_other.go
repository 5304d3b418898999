//go:build !linux

package monitor

import "runtime"

// ResidentMemory is what the runtime has from the system, in bytes: other systems
// tell the resident set by calls of their own.
func ResidentMemory() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}
