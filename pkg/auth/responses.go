package auth

import (
	"sync"
	"time"
)

// Responses are the reply subjects of requests that a connection was given and
// may therefore answer (accounts-auth 6.4). Requests are noted by whoever
// delivers them, answers are asked for by the connection's own goroutine.
type Responses struct {
	p *Permissions

	mu    sync.Mutex
	open  map[string]*allowance
	sweep time.Time // not before
}

// allowance is what is left for one reply subject.
type allowance struct {
	left    int       // negative: any number
	expires time.Time // zero: never
}

const (
	sweepEvery = time.Second
	sweepAt    = 4096 // replies, at which a sweep does not wait
)

// NewResponses returns nil if p gives no response permissions; all methods of a
// nil *Responses do nothing.
func NewResponses(p *Permissions) *Responses {
	if p == nil || !p.responses {
		return nil
	}
	return &Responses{p: p}
}

// Delivered notes a request with this reply subject. Each one adds its
// allowance, also for a reply subject that is known already.
func (r *Responses) Delivered(reply []byte) {
	if r == nil || len(reply) == 0 || r.p.CanPublish(reply) {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = make(map[string]*allowance)
	}
	if len(r.open) > 0 && now.After(r.sweep) || len(r.open) >= sweepAt {
		r.sweepLocked(now)
	}
	a := r.open[string(reply)]
	if a == nil || a.gone(now) {
		a = new(allowance)
		r.open[string(reply)] = a
	}
	switch {
	case r.p.maxAnswers < 0:
		a.left = -1
	case a.left >= 0:
		a.left += r.p.maxAnswers
	}
	if r.p.answerLimit > 0 {
		a.expires = now.Add(r.p.answerLimit)
	}
}

// Answer tells whether subj may be published to as an answer, and uses one up.
func (r *Responses) Answer(subj []byte) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.open[string(subj)]
	if a == nil {
		return false
	}
	if a.gone(time.Now()) {
		delete(r.open, string(subj))
		return false
	}
	if a.left > 0 {
		if a.left--; a.left == 0 {
			delete(r.open, string(subj))
		}
	}
	return true
}

func (a *allowance) gone(now time.Time) bool {
	return !a.expires.IsZero() && now.After(a.expires)
}

func (r *Responses) sweepLocked(now time.Time) {
	for k, a := range r.open {
		if a.gone(now) {
			delete(r.open, k)
		}
	}
	r.sweep = now.Add(sweepEvery)
}
