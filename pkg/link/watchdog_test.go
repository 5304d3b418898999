package link

import (
	"testing"
	"time"
)

func TestWatchdog(t *testing.T) {
	told := make(chan bool, 100)
	var w *Watchdog
	w = NewWatchdog(time.Hour, func() { told <- w.Stalled() })
	defer w.Stop()
	if w.Stalled() {
		t.Fatal("stalled at the start")
	}
	w.tick()
	if len(told) != 0 {
		t.Fatal("told of a stall that was none")
	}
	// As if the last tick had been two hours ago.
	w.beat.Store(int64(-2 * time.Hour))
	if !w.Stalled() {
		t.Fatal("not stalled")
	}
	w.tick()
	select {
	case before := <-told:
		if !before {
			t.Error("told after the stall was over")
		}
	default:
		t.Fatal("not told")
	}
	if w.Stalled() {
		t.Error("still stalled")
	}
}
