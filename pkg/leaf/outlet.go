package leaf

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/banyanmq/banyan/pkg/broker"
)

// outlet is where messages for the hub of a remote go: to the link that there is, or,
// while that is exchanged for one to another hub (see move), they wait. It is the
// Sink of a port that the links have in common, so that the broker never sees two ways,
// or none.
type outlet struct {
	link    atomic.Pointer[conn]
	holding atomic.Bool // changed under mu

	mu   sync.Mutex
	held []heldMsg
	size int
	full chan struct{} // closed when as much waits as may
}

type heldMsg struct {
	m      broker.Msg
	plain  bool
	groups [][]byte
}

// holdMost bounds the bytes that wait.
const holdMost = 16 << 20

func newOutlet(l *conn) *outlet {
	o := new(outlet)
	o.link.Store(l)
	return o
}

// Deliver is not used: the port is an aggregate.
func (o *outlet) Deliver(*broker.Msg, *broker.Sub) bool { return false }

// DeliverOnce queues a message for all that it is for at the hub.
func (o *outlet) DeliverOnce(m *broker.Msg, plain bool, groups [][]byte) bool {
	if !o.holding.Load() {
		return o.link.Load().DeliverOnce(m, plain, groups)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !o.holding.Load():
		return o.link.Load().DeliverOnce(m, plain, groups)
	case o.size > holdMost:
		return false
	}
	h := heldMsg{m: broker.Msg{Account: m.Account, HdrLen: m.HdrLen, Cluster: m.Cluster}, plain: plain}
	h.m.Subject, h.m.Reply, h.m.Payload = slices.Clone(m.Subject), slices.Clone(m.Reply), slices.Clone(m.Payload)
	for _, g := range groups {
		h.groups = append(h.groups, slices.Clone(g))
	}
	o.held = append(o.held, h)
	if o.size += len(m.Subject) + len(m.Reply) + len(m.Payload) + lineOverhead; o.size > holdMost {
		close(o.full)
	}
	return true
}

// Flush writes what is queued.
func (o *outlet) Flush() { o.link.Load().Flush() }

// TraceEnd implements broker.TraceSink.
func (o *outlet) TraceEnd(m *broker.Msg) broker.TraceEnd { return o.link.Load().TraceEnd(m) }

// Denies implements broker.Denier.
func (o *outlet) Denies(m *broker.Msg, plain bool, groups [][]byte) bool {
	return o.link.Load().Denies(m, plain, groups)
}

// hold makes messages wait. full is closed when no more can.
func (o *outlet) hold() (full <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.full = make(chan struct{})
	o.holding.Store(true)
	return o.full
}

// release sends what waits on the link that there is now.
func (o *outlet) release() {
	o.mu.Lock()
	l := o.link.Load()
	for i := range o.held {
		h := &o.held[i]
		l.DeliverOnce(&h.m, h.plain, h.groups)
	}
	o.held, o.size = nil, 0
	o.holding.Store(false)
	o.mu.Unlock()
	l.Flush()
}
