package route

import (
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/interest"
)

// recentLife is how long new interest is remembered at least; at most it is three
// times as long.
const recentLife = 10 * time.Second

// recency remembers which interest each hub announced lately: a reply to such an
// inbox must not depend on that interest having reached the responder's region
// (gateways 10.3). Two generations, so that forgetting costs nothing. The zero
// value is ready.
type recency struct {
	mu      sync.Mutex
	now     generation
	before  generation
	timer   *time.Timer
	stopped bool
	began   time.Time
}

type generation map[recentKey]*interest.Index[uint32]

type recentKey struct {
	p *peer
	a *broker.Account
}

// add notes interest that was announced at a time.
func (r *recency) add(p *peer, a *broker.Account, subj []byte, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	if r.now == nil {
		r.now = make(generation)
	}
	if r.began.IsZero() {
		r.began = at
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(recentLife, r.sweep)
	}
	x := r.now[recentKey{p, a}]
	if x == nil {
		x = interest.New[uint32]()
		r.now[recentKey{p, a}] = x
	}
	x.Insert(subj, r.stamp(at))
}

// stamp counts milliseconds, so that many lines of one subject are one entry.
func (r *recency) stamp(t time.Time) uint32 { return uint32(t.Sub(r.began) / time.Millisecond) }

func (r *recency) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before, r.now = r.now, nil
	r.timer = nil
	if len(r.before) > 0 && !r.stopped {
		r.timer = time.AfterFunc(recentLife, r.sweep)
	}
}

// matches tells whether interest in subj was added within the last window.
func (r *recency) matches(p *peer, a *broker.Account, subj []byte, window time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.now) == 0 && len(r.before) == 0 {
		return false
	}
	since := time.Since(r.began) - min(window, recentLife)
	var buf [8]uint32
	for _, g := range []generation{r.now, r.before} {
		x := g[recentKey{p, a}]
		if x == nil {
			continue
		}
		for _, at := range x.Match(subj, buf[:0]) {
			if time.Duration(at)*time.Millisecond >= since {
				return true
			}
		}
	}
	return false
}

// forget drops what is known of a hub that is gone.
func (r *recency) forget(p *peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range []generation{r.now, r.before} {
		for k := range g {
			if k.p == p {
				delete(g, k)
			}
		}
	}
}

func (r *recency) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	if r.timer != nil {
		r.timer.Stop()
	}
}
