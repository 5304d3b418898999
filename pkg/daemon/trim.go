package daemon

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// trimSoon is the time between two looks while something is allocated. Each look
	// without is followed by one twice as late, up to trimLate: an idle process is
	// woken a few times a minute.
	trimSoon = 2 * time.Second
	trimLate = 10 * time.Second
	// trimQuiet is the most that may be allocated between two looks for the process
	// to count as quiet.
	trimQuiet = 64 << 10
	// trimFrom is the least that must have been allocated since the last trim. The
	// first one comes after the start, which always leaves something behind.
	trimFrom = 1 << 20
)

// trimmer gives memory back to the system once it is quiet after something that
// took a lot: many connections that came at once, many that went. Messages
// do not allocate, so they are neither counted nor disturbed.
type trimmer struct {
	done chan struct{}
	over chan struct{}

	samples [2]metrics.Sample
	last    uint64 // bytes ever allocated, at the last look
	trimmed uint64 // the same after the last trim
}

func startTrimmer() *trimmer {
	t := &trimmer{done: make(chan struct{}), over: make(chan struct{})}
	t.samples[0].Name = "/gc/heap/allocs:bytes"
	t.samples[1].Name = "/gc/heap/live:bytes"
	go t.run()
	return t
}

// stop ends the trimmer and waits for it.
func (t *trimmer) stop() {
	close(t.done)
	<-t.over
}

func (t *trimmer) run() {
	defer close(t.over)
	wait := trimSoon
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-t.done:
			return
		case <-timer.C:
		}
		before := t.last
		due := t.due()
		wait = nextLook(wait, t.last-before)
		if due {
			trim()
			t.look()
			t.trimmed = t.last
		}
		timer.Reset(wait)
	}
}

// nextLook is how long to wait after a look that came after so long and found so
// many bytes allocated.
func nextLook(waited time.Duration, allocated uint64) time.Duration {
	if allocated >= trimQuiet {
		return trimSoon
	}
	return min(2*waited, trimLate)
}

// trim gives back what nobody uses. What a sync.Pool holds survives one collection:
// what waited for slow consumers is free only after the second in a row.
func trim() {
	runtime.GC()
	debug.FreeOSMemory()
	dropCode()
}

// due takes a look and says whether it is time.
func (t *trimmer) due() bool {
	before := t.last
	live := t.look()
	quiet := t.last-before < trimQuiet
	return quiet && (t.trimmed == 0 || t.last-t.trimmed > max(trimFrom, live/8))
}

func (t *trimmer) look() (live uint64) {
	metrics.Read(t.samples[:])
	t.last = t.samples[0].Value.Uint64()
	return t.samples[1].Value.Uint64()
}
