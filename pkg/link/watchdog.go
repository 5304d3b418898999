package link

import (
	"sync"
	"sync/atomic"
	"time"
)

// Watchdog notices that this process was suspended (a stopped process, a paused
// virtual machine). Peers have given up its connections by then and sent on by
// other ways, and what still waits in its sockets is out of date: whoever passes
// messages on must not do so with these, or they arrive after newer ones.
type Watchdog struct {
	limit   time.Duration
	stalled func()
	beat    atomic.Int64 // since start, of the last tick

	start time.Time
	mu    sync.Mutex
	timer *time.Timer
	done  bool
}

// NewWatchdog calls stalled after each suspension of more than limit, and before
// Stalled becomes false again.
func NewWatchdog(limit time.Duration, stalled func()) *Watchdog {
	w := &Watchdog{limit: limit, stalled: stalled, start: time.Now()}
	w.mu.Lock()
	w.timer = time.AfterFunc(limit/4, w.tick)
	w.mu.Unlock()
	return w
}

func (w *Watchdog) tick() {
	if w.Stalled() {
		w.stalled()
	}
	w.beat.Store(int64(time.Since(w.start)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.timer.Reset(w.limit / 4)
	}
}

// Stalled tells whether the process was suspended and this was not dealt with
// yet. It reads the clock.
func (w *Watchdog) Stalled() bool {
	return time.Since(w.start)-time.Duration(w.beat.Load()) > w.limit
}

// Stop ends it. stalled may still be running when it returns.
func (w *Watchdog) Stop() {
	w.mu.Lock()
	w.done = true
	w.timer.Stop()
	w.mu.Unlock()
}
