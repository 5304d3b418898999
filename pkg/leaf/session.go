package leaf

import (
	"errors"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/wire"
)

// attach tells who admitted the peer that the link is up.
func (l *conn) attach() *ending {
	if e := l.rejudge(); e != nil {
		return e
	}
	if l.ident == nil || l.ident.Attach == nil {
		return nil
	}
	detach, err := l.ident.Attach(l)
	switch {
	case errors.Is(err, auth.ErrTooMany):
		return ended(wire.ReasonMaxAccountConnections, wire.TextMaxAccountConnections)
	case err != nil:
		return refused(err)
	}
	l.detach = detach
	return nil
}

// End implements auth.Session.
func (l *conn) End(reason wire.CloseReason, text string) { l.stop(ended(reason, text)) }

// Permit implements auth.Session. What the peer itself denies stays denied.
func (l *conn) Permit(id *auth.Identity) {
	l.maxSubs.Store(subsLimit(l.acct.Account, id))
	next := hubRules(id.Permissions, l.denyPub)
	up := false
	l.acct.Do(func() {
		if up = l.watching; !up {
			l.rules.Store(next) // before anything was told of our interest
		}
	})
	if up {
		l.setRules(next)
	}
}
