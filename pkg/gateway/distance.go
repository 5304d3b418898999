package gateway

import "time"

const (
	// earlyProbes are sent, earlyPause apart, when a connection has opened: its first
	// PONG stands behind the whole list of interest.
	earlyProbes = 3
	earlyPause  = 250 * time.Millisecond
	// distanceSamples is over how many round trips the smallest is looked for. What
	// makes a round trip longer than the way is, load, passes; the way stays.
	distanceSamples = 8
	// steady is how far the smallest must move to count, or a tenth if that is more:
	// two regions at about the same distance shall not take turns.
	steady = 2 * time.Millisecond
)

// distance is how far a remote is, of several round trips. The zero value knows none.
type distance struct {
	last  [distanceSamples]int64
	n     int
	known int64 // microseconds, at least 1; 0: not measured
}

// add takes a round trip over. It reports whether known is another than before.
func (d *distance) add(rtt time.Duration) bool {
	d.last[d.n%len(d.last)] = max(rtt.Microseconds(), 1)
	d.n++
	least := d.last[0]
	for _, x := range d.last[:min(d.n, len(d.last))] {
		least = min(least, x)
	}
	moved := max(least-d.known, d.known-least) > max(d.known/10, steady.Microseconds())
	// The first ones find out what there is: each better one counts.
	better := d.n <= 1+earlyProbes && least < d.known
	if d.known != 0 && !moved && !better {
		return false
	}
	d.known = least
	return true
}
