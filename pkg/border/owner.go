package border

import (
	"sync"
	"time"
)

// takeOver is how long a gwd that should own the border waits for the one that does
// to step back. Two owners would double messages.
const takeOver = 2 * time.Second

// owner decides whether this gwd is the one that announces remote interest to hubs
// (gateways 18.13). It is when no gwd of a higher priority is there, and when it
// sees most of the configured hubs.
type owner struct {
	s *Service

	mu       sync.Mutex
	owns     bool
	resigned bool
	waiting  time.Time // since when another one should step back
}

func newOwner(s *Service) *owner { return &owner{s: s} }

// review judges anew and reports whether this gwd owns the border.
func (w *owner) review(now time.Time, missing []string) bool {
	s := w.s
	configured := len(s.o.Config.Cluster.Routes)
	best, claimed := true, false
	s.mu.Lock()
	for _, st := range s.peers {
		if sees(configured, len(st.Missing)) && st.Priority > s.set.Priority {
			best = false
		}
		claimed = claimed || st.Owner
	}
	s.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	want := best && !w.resigned && sees(configured, len(missing))
	if want && !w.owns && claimed {
		if w.waiting.IsZero() {
			w.waiting = now
		}
		if now.Sub(w.waiting) < takeOver {
			want = false
		}
	} else {
		w.waiting = time.Time{}
	}
	w.setLocked(want)
	return w.owns
}

// sees tells whether most of the configured hubs are there.
func sees(configured, missing int) bool { return configured == 0 || 2*missing < configured }

func (w *owner) setLocked(on bool) {
	if w.owns == on {
		return
	}
	w.owns = on
	if on {
		w.s.log.Noticef("This gwd owns the border now")
	} else {
		w.s.log.Noticef("This gwd does not own the border any more")
	}
	w.s.routes.Advertise(on)
}

// resign gives the border up for good.
func (w *owner) resign() {
	w.mu.Lock()
	w.resigned = true
	w.setLocked(false)
	w.mu.Unlock()
	w.s.look()
}
