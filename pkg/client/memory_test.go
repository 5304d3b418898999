package client

import (
	"runtime"
	"testing"
)

// An idle connection with one subscription stays small: no buffers, one
// goroutine. The goal is 12 KB, all in all (performance 8).
func TestIdleConnectionMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector multiplies what memory takes")
	}
	const n, goal = 400, 12 << 10
	h := startHub(t)
	h.ready(t) // what is made once
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := used()
	goroutines := runtime.NumGoroutine()
	for range n {
		c := h.ready(t)
		c.ask("SUB foo.bar 1\r\n", "")
		c.r = nil // the test's own reader is not counted
	}
	per := int64(used()-before) / n
	t.Logf("%d bytes a connection, its client's socket included", per)
	if per > goal {
		t.Errorf("%d bytes a connection, more than %d", per, goal)
	}
	if g := runtime.NumGoroutine() - goroutines; g > n+5 {
		t.Errorf("%d goroutines for %d connections", g, n)
	}
}
