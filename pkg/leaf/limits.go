package leaf

import (
	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// payloadLimit is the largest message that a peer of an identity and an account may
// send: the least of what server, account and user say (leafnodes 8.4).
func (s *Service) payloadLimit(a *broker.Account, id *auth.Identity) int64 {
	if id.NoPayload {
		return 0
	}
	p := s.maxPayload()
	for _, l := range []int64{id.MaxPayload, a.Limits().MaxPayload} {
		if l > 0 && l < p {
			p = l
		}
	}
	return p
}

// noSubs is a limit of no subscription at all; 0 is none.
const noSubs = -1

// subsLimit is how many keys of interest such a peer may have.
func subsLimit(a *broker.Account, id *auth.Identity) int64 {
	n := int64(id.MaxSubs)
	if id.NoSubs {
		return noSubs
	}
	if l := int64(a.Limits().MaxSubscriptions); l > 0 && (n <= 0 || l < n) {
		n = l
	}
	return max(n, 0)
}

// fullOfSubs tells whether the peer has as much interest as it may.
func (l *conn) fullOfSubs() bool {
	n := l.maxSubs.Load()
	return n == noSubs || n > 0 && int64(len(l.subs)) >= n
}

// refused is the ending of a peer that failed to say who it is.
func refused(err error) *ending {
	return &ending{reason: auth.ReasonOf(err), text: wire.TextAuthViolation, detail: err.Error(), failed: true}
}

// atone waits before a peer is told that its login failed. It holds nothing but the
// goroutine of that one connection.
func (l *conn) atone(e *ending) {
	if e.failed {
		l.svc.opts.Penalties.Atone(l.from, l.svc.ctx.Done())
	}
}
