package leaf

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// account is what leaf links of one account share. It is kept for the life of the
// process once a link was bound to it.
type account struct {
	*broker.Account
	// loop is a subject that only we subscribe to: who announces it to us leads
	// back here (leafnodes 14.1).
	loop string

	mu    sync.Mutex
	links map[*conn]struct{}
	cut   time.Time // when a loop was last cut by ending another link than the one that told of it
}

func newAccount(a *broker.Account) *account {
	acct := &account{Account: a, loop: loopPrefix + loopID(), links: make(map[*conn]struct{})}
	port := &broker.Port{
		Class: broker.Client, Reach: broker.FromClient, Origin: broker.Origin{Class: broker.Client}, Sink: nobody{},
	}
	a.Subscribe(&broker.Sub{Port: port, Subject: []byte(acct.loop), Origin: port.Origin}, 1)
	return acct
}

const loopIDLen = 22

// loopID is as long and of the same letters as peers expect.
func loopID() string {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var b [loopIDLen]byte
	rand.Read(b[:]) // never fails
	for i, c := range b {
		b[i] = letters[int(c)%len(letters)]
	}
	return string(b[:])
}

// nobody takes no messages.
type nobody struct{}

func (nobody) Deliver(*broker.Msg, *broker.Sub) bool        { return false }
func (nobody) DeliverOnce(*broker.Msg, bool, [][]byte) bool { return false }
func (nobody) Flush()                                       {}

// add takes a link in, or says why not. An older link of the same leaf node is
// stale: the new one replaces it (leafnodes 14.3).
func (a *account) add(l *conn) *ending {
	var stale []*conn
	a.mu.Lock()
	accepted := 0
	for o := range a.links {
		if o.remote != nil {
			continue
		}
		if l.remote == nil && o.sameLeaf(l) {
			stale = append(stale, o)
			continue
		}
		accepted++
		if l.remote != nil && o.peer.cluster != "" && o.peer.cluster == l.peer.cluster {
			a.mu.Unlock()
			// We dialed a hub that has dialed us.
			return &ending{
				reason: wire.ReasonProtocolViolation, text: wire.TextLoopDetected(a.Name),
				detail: "leafnode loop detected", cause: causeRefused,
			}
		}
	}
	if l.remote == nil && a.full(accepted, identLimit(l.ident)) {
		a.mu.Unlock()
		return ended(wire.ReasonMaxAccountConnections, wire.TextMaxAccountConnections)
	}
	a.links[l] = struct{}{}
	a.mu.Unlock()
	a.Leafs.Add(1)
	for _, o := range stale {
		l.log.Warnf("Replacing connection from same server")
		o.stop(ended(wire.ReasonDuplicateLeaf, wire.TextDuplicateLeaf))
	}
	return nil
}

// full tells whether no further leaf node may be accepted. Clients count too where the limit
// is for all connections, and those on other servers always.
func (a *account) full(accepted, limit int) bool {
	l := a.Limits()
	return limit > 0 && accepted >= limit ||
		l.MaxLeafNodes > 0 && int64(accepted)+a.LeafsElsewhere.Load() >= int64(l.MaxLeafNodes) ||
		l.MaxConnections > 0 && int64(accepted)+a.Clients.Load()+a.Elsewhere.Load() >= int64(l.MaxConnections)
}

func identLimit(i *auth.Identity) int {
	if i == nil {
		return 0
	}
	return i.MaxConnections
}

// sameLeaf tells whether l is a new link of the leaf node that o belongs to. Old peers that
// do not name their account can't be told apart.
func (o *conn) sameLeaf(l *conn) bool {
	p, q := &o.peer, &l.peer
	return p.name == q.name && p.cluster == q.cluster && q.account != "" && p.account == q.account
}

func (a *account) remove(l *conn) {
	a.mu.Lock()
	delete(a.links, l)
	a.mu.Unlock()
	a.Leafs.Add(-1)
}
