package link

import (
	"sync/atomic"
	"time"
)

// flushDelay is how long interest lines may gather before they are written.
// Long enough for a burst of subscriptions to share one write, short against
// any round trip.
const flushDelay = 200 * time.Microsecond

// Flusher flushes a connection soon, on a goroutine of its own, for those who
// queue bytes where they must not write: a broker.Watcher is called with an
// account locked. Many calls within a short time make one flush.
type Flusher struct {
	flush   func()
	waiting atomic.Bool
}

// NewFlusher returns a Flusher that calls flush.
func NewFlusher(flush func()) *Flusher { return &Flusher{flush: flush} }

// Soon makes sure that flush is called within a moment from now.
func (f *Flusher) Soon() {
	if f.waiting.CompareAndSwap(false, true) {
		time.AfterFunc(flushDelay, f.run)
	}
}

func (f *Flusher) run() {
	// Cleared first: what is queued from here on asks for another flush.
	f.waiting.Store(false)
	f.flush()
}
