package link

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/wire"
)

var bg = context.Background()

// Kind names a kind of connection as monitoring shows it.
type Kind string

// The kinds.
const (
	KindClient  Kind = "Client"
	KindRoute   Kind = "Router"
	KindGateway Kind = "Gateway"
	KindLeaf    Kind = "Leafnode"
)

// Info is what is shown of a connection of any kind; each package adds its own
// details in More.
type Info struct {
	ID      uint64
	Kind    Kind
	Addr    net.Addr
	Name    string
	Account string
	User    string
	Started time.Time
	Active  time.Time // last message or interest
	Stopped time.Time // zero while open
	Reason  wire.CloseReason
	RTT     time.Duration
	Pending int64

	InMsgs, OutMsgs   int64
	InBytes, OutBytes int64
	Subs              int
	TLSVersion        string
	TLSCipher         string

	// Refusal is what events say of a login that failed, "" for what Reason says;
	// RefusedBy is the account whose service refused it, if one did.
	Refusal, RefusedBy string

	// More is a struct of the connection's package (client.Details, route.Details...).
	More any
}

// Conn is a registered connection.
type Conn interface {
	ID() uint64
	// Info is a snapshot. subs asks for the list of subscriptions too.
	Info(subs bool) Info
	// Close ends the connection with a reason; it does not block.
	Close(reason wire.CloseReason)
}

// Registry is the open connections of one kind and the last closed ones.
type Registry struct {
	mu     sync.RWMutex
	open   map[uint64]Conn
	closed []Info // ring
	next   int
	limit  int
	total  uint64
	onOpen []func(Info)
	onEnd  []func(Info)
}

// NewRegistry keeps up to limit closed connections.
func NewRegistry(limit int) *Registry {
	return &Registry{open: make(map[uint64]Conn), limit: limit}
}

// Add registers an open connection.
func (r *Registry) Add(c Conn) {
	r.mu.Lock()
	r.open[c.ID()] = c
	r.total++
	r.mu.Unlock()
}

// Remove takes a connection out and keeps its last state. It reports whether it
// was registered.
func (r *Registry) Remove(c Conn, last Info) bool {
	r.mu.Lock()
	if r.open[c.ID()] != c {
		r.mu.Unlock()
		return false
	}
	delete(r.open, c.ID())
	switch {
	case r.limit <= 0:
	case len(r.closed) < r.limit:
		r.closed = append(r.closed, last)
	default:
		r.closed[r.next] = last
		r.next = (r.next + 1) % r.limit
	}
	told := r.onEnd
	r.mu.Unlock()
	for _, f := range told {
		f(last)
	}
	return true
}

// Opened is to be called when a connection is fully up (bound to its account);
// it tells those that registered with OnOpen.
func (r *Registry) Opened(i Info) {
	r.mu.RLock()
	told := r.onOpen
	r.mu.RUnlock()
	for _, f := range told {
		f(i)
	}
}

// OnOpen and OnEnd register functions to be told of connections. Before the
// first connection only.
func (r *Registry) OnOpen(f func(Info)) { r.onOpen = append(r.onOpen, f) }

// OnEnd registers a function to be told of closed connections.
func (r *Registry) OnEnd(f func(Info)) { r.onEnd = append(r.onEnd, f) }

// Len is the number of open connections; Total counts all there ever were.
func (r *Registry) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.open)
}

// Total counts all connections there ever were.
func (r *Registry) Total() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.total
}

// Get finds an open connection.
func (r *Registry) Get(id uint64) Conn {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.open[id]
}

// Open lists the open connections.
func (r *Registry) Open() []Conn {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]Conn, 0, len(r.open))
	for _, c := range r.open {
		all = append(all, c)
	}
	return all
}

// Closed lists the closed connections, oldest first.
func (r *Registry) Closed() []Info {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return append(append([]Info(nil), r.closed[r.next:]...), r.closed[:r.next]...)
}
