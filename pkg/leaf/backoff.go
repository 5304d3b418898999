package leaf

import "time"

// cause is what a remote's attempt ended with, as far as the next one cares.
type cause uint8

const (
	causeLost    cause = iota // the link was up, or broke while it opened
	causeDial                 // nobody there
	causeRefused              // the hub does not want us: trying again soon is pointless
	causeBusy                 // the hub asks for patience
	causeMoved                // we closed it ourselves to connect anew
)

// Bounds of leafnodes 21.4.
const (
	healthyAfter = time.Minute // a link that was up so long starts the back-off anew
	refusedMin   = 30 * time.Second
	refusedMax   = 15 * time.Minute
	maxHint      = 15 * time.Minute // more than that no hub may ask for
)

// policy is the timing of one remote.
type policy struct {
	base   time.Duration // first pause of the back-off
	max    time.Duration // longest
	spread time.Duration // over which a fleet comes back after losing a healthy link
}

// attempt is one attempt that ended.
type attempt struct {
	cause  cause
	up     time.Duration // how long the link was up; 0: never
	retry  time.Duration // hub's hint: come back no sooner
	spread time.Duration // hub's hint: spread over this time; 0: none
}

// backoff counts failures. The zero value is the start.
type backoff struct {
	failures int // in a row
	refusals int // in a row
}

// next returns how long to wait before the next attempt. random(n) is a uniform
// number in [0, n]; it is the only thing that sets two edges apart, and it covers the
// whole span each time, so that those which were in step once do not stay so.
func (b *backoff) next(p policy, a attempt, random func(time.Duration) time.Duration) time.Duration {
	if a.up >= healthyAfter {
		b.failures, b.refusals = 0, 0
	}
	if a.cause != causeRefused {
		b.refusals = 0
	}
	if a.retry > 0 || a.spread > 0 || a.cause == causeBusy {
		spread := a.spread
		if spread <= 0 {
			spread = p.spread
		}
		return min(a.retry, maxHint) + random(min(spread, maxHint))
	}
	switch {
	case a.cause == causeMoved:
		return random(p.base)
	case a.cause == causeRefused:
		b.refusals++
		return refusedMin + random(doubled(refusedMin, b.refusals, refusedMax)-refusedMin)
	case a.up >= healthyAfter:
		return random(p.spread)
	}
	b.failures++
	return random(doubled(p.base, b.failures-1, p.max))
}

// doubled is d doubled n times, at most limit.
func doubled(d time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}
