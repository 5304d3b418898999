package leaf

import (
	"slices"
	"time"

	"github.com/banyanmq/banyan/pkg/wire"
)

// settleLoop is how long our loop subject may still come in on the link that stays, when
// a loop was cut: its announcement was on its way.
const settleLoop = 5 * time.Second

// looped handles our own loop subject coming back on a link, which ends: messages would
// turn in a circle. nil: it stays.
//
// Two links that we dialed, and nothing else, make a triangle with hubs that know each
// other. Both links tell of it, but one less is enough: the remote that stands first in
// the settings keeps its link (leafnodes 14.1).
func (l *conn) looped() *ending {
	e := ended(wire.ReasonProtocolViolation, wire.TextLoopDetected(l.acct.Name))
	e.cause = causeRefused
	other, stays := l.acct.cutLoop(l)
	if other != nil {
		other.log.Errorf("%s", e.text)
		other.stop(e)
	}
	if stays {
		return nil
	}
	l.log.Errorf("%s", e.text)
	return e
}

// cutLoop decides which link of a loop ends: l, unless it stays; and then other, if
// that has not ended already.
func (a *account) cutLoop(l *conn) (other *conn, stays bool) {
	if l.remote == nil {
		return nil, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch len(a.links) {
	case 1:
		// Nothing that comes in on the only link goes out again on it.
		return nil, time.Since(a.cut) < settleLoop
	case 2:
	default:
		return nil, false
	}
	for o := range a.links {
		if o != l {
			other = o
		}
	}
	if other.remote == nil {
		return nil, false
	}
	a.cut = time.Now()
	if other.remote.rank() < l.remote.rank() {
		return nil, false
	}
	return other, true
}

// rank is the place of the remote in the settings.
func (r *remote) rank() int { return slices.Index(r.svc.remoteList(), r) }
