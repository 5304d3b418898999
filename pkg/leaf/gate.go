package leaf

import (
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
)

// gate counts links that are opening: each costs a handshake, and more of them at a time than
// can be finished in time means that none is.
type gate struct {
	mu     sync.Mutex
	limit  int // opening at a time
	n      int
	rate   int // let in each second; 0: any number
	second time.Time
	let    int // in this second
}

// busyRetry is how long those wait who come in too great a number: as many as may be
// opening at a time are open by then, with time to spare.
const busyRetry = 2 * time.Second

// limitRate sets how many are let in each second.
func (g *gate) limitRate(t *config.TLS) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rate = 0; t != nil {
		g.rate = t.ConnectionRateLimit
	}
}

// enter lets one more in; release, which may be called twice, lets it out. With busy > 0 it
// is to come back after that time.
func (g *gate) enter(now time.Time) (release func(), busy time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.second) >= time.Second {
		g.second, g.let = now, 0
	}
	if g.n >= g.limit || g.rate > 0 && g.let >= g.rate {
		return func() {}, busyRetry
	}
	g.n++
	g.let++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		g.n--
		g.mu.Unlock()
	}), 0
}
