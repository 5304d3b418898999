package broker

import (
	"sync"
	"sync/atomic"

	"github.com/banyanmq/banyan/pkg/interest"
	"github.com/banyanmq/banyan/pkg/wire"
)

// GlobalAccount is where connections without an account of their own are.
const GlobalAccount = "$G"

// DefaultSystemAccount is the name of the system account unless settings name
// another.
const DefaultSystemAccount = "$SYS"

// Broker is the routing core of one process.
type Broker struct {
	// ServerHash and ClusterHash are the parts of mapped reply subjects that are
	// ours (gateways 10.2).
	ServerHash  [6]byte
	ClusterHash [6]byte

	ids    atomic.Uint64
	blocks atomic.Uint64

	mu       sync.RWMutex
	accounts map[string]*Account
	system   string
	onNew    []*accountHook

	// Answers is what a reply that came back to us from another region may reach.
	// Set before connections are served; FromClient at a hub.
	Answers Set

	way atomic.Pointer[Way]

	sharing sharing
	latency latency
	tracer  Tracer
}

// Way finds the port that leads to a server of a cluster, both given by their
// hashes, for mapped replies; nil if there is none. It is called on the message
// path.
type Way func(a *Account, cluster, server []byte) *Port

type accountHook struct{ f func(*Account) }

// New returns a broker for the server with this id, in the cluster of this
// name, with the system account and the global account.
func New(serverID, cluster, systemAccount string) *Broker {
	if systemAccount == "" {
		systemAccount = DefaultSystemAccount
	}
	b := &Broker{accounts: make(map[string]*Account), system: systemAccount, Answers: FromClient}
	copy(b.ServerHash[:], wire.GatewayHash(serverID))
	b.sharing.init()
	b.SetCluster(cluster)
	b.Account(GlobalAccount)
	b.Account(systemAccount)
	return b
}

// SetCluster changes the cluster's name. To be called before connections are
// served, or when a dynamic name is adopted.
func (b *Broker) SetCluster(name string) {
	copy(b.ClusterHash[:], wire.GatewayHash(name))
	b.remap(name)
}

// NextID returns the next connection id: unique in the process, counted over
// all kinds of connections, never 0.
func (b *Broker) NextID() uint64 { return b.ids.Add(1) }

// SystemAccount is the account of the $SYS services.
func (b *Broker) SystemAccount() *Account { return b.Account(b.system) }

// Lookup finds an account, nil if there is none of that name.
func (b *Broker) Lookup(name []byte) *Account {
	b.mu.RLock()
	a := b.accounts[string(name)]
	b.mu.RUnlock()
	return a
}

// Account finds or makes an account.
func (b *Broker) Account(name string) *Account {
	b.mu.RLock()
	a := b.accounts[name]
	b.mu.RUnlock()
	if a != nil {
		return a
	}
	b.mu.Lock()
	if a = b.accounts[name]; a != nil {
		b.mu.Unlock()
		return a
	}
	a = &Account{Name: name, b: b, index: interest.New[*Sub]()}
	b.accounts[name] = a
	hooks := b.onNew
	b.mu.Unlock()
	for _, h := range hooks {
		h.f(a)
	}
	return a
}

// EachAccount calls f for each account there is, and for each that is made
// later, until the function that it returns is called. f may be called by any
// goroutine, and twice for one account that is made during the call.
func (b *Broker) EachAccount(f func(*Account)) (stop func()) {
	h := &accountHook{f}
	b.mu.Lock()
	b.onNew = append(b.onNew[:len(b.onNew):len(b.onNew)], h)
	all := make([]*Account, 0, len(b.accounts))
	for _, a := range b.accounts {
		all = append(all, a)
	}
	b.mu.Unlock()
	for _, a := range all {
		f(a)
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		kept := make([]*accountHook, 0, len(b.onNew))
		for _, x := range b.onNew {
			if x != h {
				kept = append(kept, x)
			}
		}
		b.onNew = kept
	}
}

// Accounts returns all accounts there are.
func (b *Broker) Accounts() []*Account {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]*Account, 0, len(b.accounts))
	for _, a := range b.accounts {
		all = append(all, a)
	}
	return all
}

// SetWay gives the way to other servers for mapped replies.
func (b *Broker) SetWay(w Way) { b.way.Store(&w) }
