package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/subject"
)

// mode is what is known of a remote's interest in an account (gateways 6.1).
type mode uint8

const (
	absent        mode = iota // nothing was said
	noInterest                // A-
	optimistic                // some subjects were refused, some queue groups are known
	transitioning             // plain interest is being listed
	interestOnly              // and was listed
)

var modeNames = [...]string{"Optimistic", "Optimistic", "Optimistic", "Transitioning", "Interest-Only"}

// maxRefused bounds the refused subjects that are remembered for an account.
const maxRefused = 10000

// table is the interest of one region as one party told it: the far end of an
// outbound connection, or another gwd that has one. It follows gateways 6.2.
//
// Its subscriptions are in the broker while it is live. At most one table of a
// region is live, but for the moment in which one takes over from another.
type table struct {
	b      *broker.Broker
	port   *broker.Port
	origin broker.Origin
	// asks: the far end switches each account to interest-only mode by itself, so
	// what it did not ask for is not sent.
	asks   bool
	filter func(account string) *Filter

	mu       sync.RWMutex
	live     bool
	accounts map[string]*accountTable
	// loose counts accounts in which messages are sent without interest.
	loose atomic.Int32
}

type accountTable struct {
	acct    *broker.Account
	filter  *Filter
	mode    mode
	refused map[string]struct{}
	subs    map[string]*broker.Sub
	queues  int
	// reopened: A+ came after A- from a peer that asks. It may have forgotten that it
	// had listed its interest, so until it does again everything is sent.
	reopened bool
	// closed: A- came while queue groups were known.
	closed bool
	all    *broker.Sub // in everything, while messages are sent without interest
}

func newTable(b *broker.Broker, port *broker.Port, origin broker.Origin, filter func(string) *Filter) *table {
	return &table{b: b, port: port, origin: origin, asks: true, filter: filter, accounts: make(map[string]*accountTable)}
}

func (t *table) account(name []byte) *accountTable {
	a := t.accounts[string(name)]
	if a == nil {
		n := string(name)
		a = &accountTable{acct: t.b.Account(n), filter: t.filter(n), subs: make(map[string]*broker.Sub)}
		t.accounts[n] = a
	}
	return a
}

// add handles RS+. It reports whether the key is new, for the sake of who passes
// it on.
func (t *table) add(account, subj, queue []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account(account)
	if len(queue) > 0 {
		if a.mode == absent || a.mode == noInterest {
			a.mode = optimistic
		}
		t.store(a, subj, queue)
	} else {
		switch a.mode {
		case optimistic:
			a.forget(subj)
		case transitioning, interestOnly:
			t.store(a, subj, nil)
		}
	}
	t.refresh(a)
}

// del handles RS-.
func (t *table) del(account, subj, queue []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account(account)
	switch {
	case len(queue) > 0:
		t.remove(a, subj, queue)
	case a.mode == interestOnly || a.mode == transitioning:
		t.remove(a, subj, nil)
	default:
		a.mode = optimistic
		if a.refused == nil {
			a.refused = make(map[string]struct{})
		}
		if len(a.refused) < maxRefused {
			a.refused[string(subj)] = struct{}{}
		}
	}
	t.refresh(a)
}

// accountOff handles A-.
func (t *table) accountOff(account []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account(account)
	t.removePlain(a)
	a.refused, a.reopened = nil, false
	if a.queues > 0 {
		if a.mode == interestOnly || a.mode == transitioning {
			a.mode = optimistic
		}
		a.closed = true
	} else {
		a.mode = noInterest
	}
	t.refresh(a)
}

// accountOn handles A+. In an account whose interest was listed it changes nothing.
func (t *table) accountOn(account []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account(account)
	switch a.mode {
	case noInterest:
		a.mode = absent
		a.reopened = true
	case optimistic:
		a.reopened = a.reopened || a.closed
		a.closed = false
		if a.queues == 0 {
			a.mode = absent
			a.refused = nil
		}
	}
	t.refresh(a)
}

// listing handles command 2, listed command 3.
func (t *table) listing(account []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account(account)
	a.mode = transitioning
	t.refresh(a)
}

func (t *table) listed(account []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account(account)
	if a.mode == absent || a.mode == noInterest {
		return
	}
	a.mode = interestOnly
	a.refused, a.reopened, a.closed = nil, false, false
	t.refresh(a)
}

// put and drop keep interest that another gwd passed on: what it was in the
// first place, that one has found out.
func (t *table) put(acct *broker.Account, subj, queue []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.account([]byte(acct.Name))
	a.mode = interestOnly
	t.store(a, subj, queue)
}

func (t *table) drop(acct *broker.Account, subj, queue []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.accounts[acct.Name]; a != nil {
		t.remove(a, subj, queue)
	}
}

// assume starts sending without interest in an account of which nothing was said,
// to a peer that does not ask.
func (t *table) assume(account string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refresh(t.account([]byte(account)))
}

// forget takes a subject, or all that a wildcard covers, out of the refused ones.
func (a *accountTable) forget(subj []byte) {
	delete(a.refused, string(subj))
	if subject.HasWildcard(subj) {
		for r := range a.refused {
			if subject.Match(subj, r) {
				delete(a.refused, r)
			}
		}
	}
}

// sends tells whether plain messages are sent without interest.
func (a *accountTable) sends(asks bool) bool {
	switch a.mode {
	case absent, optimistic, transitioning:
		return (!asks || a.reopened) && !a.closed
	}
	return false
}

// refresh makes the subscription in everything fit the mode.
func (t *table) refresh(a *accountTable) {
	want := a.sends(t.asks)
	switch {
	case want && a.all == nil:
		a.all = &broker.Sub{Port: t.port, Subject: []byte(">"), Origin: t.origin, Tier: broker.TierBorder}
		t.loose.Add(1)
		if t.live {
			a.acct.Subscribe(a.all, 1)
		}
	case !want && a.all != nil:
		if t.live {
			a.acct.Unsubscribe(a.all)
		}
		a.all = nil
		t.loose.Add(-1)
	}
}

// refuses tells whether the peer has refused a subject in an account in which
// messages are sent without interest.
func (t *table) refuses(account string, subj []byte) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	a := t.accounts[account]
	if a == nil || a.all == nil {
		return false
	}
	_, no := a.refused[string(subj)]
	return no
}

// store keeps one key. A key that is there already stays as it is: its weight says
// nothing here (gateways 6.2).
func (t *table) store(a *accountTable, subj, queue []byte) {
	if !a.filter.interest(subj) || !subject.ValidSubscribe(subj) {
		return
	}
	var buf [256]byte
	key := appendKey(buf[:0], subj, queue)
	if a.subs[string(key)] != nil {
		return
	}
	kept := string(key)
	b := []byte(kept)
	s := &broker.Sub{Port: t.port, Subject: b[:len(subj):len(subj)], Origin: t.origin, Tier: broker.TierBorder}
	if len(queue) > 0 {
		s.Queue = b[len(subj)+1:]
		a.queues++
	}
	a.subs[kept] = s
	if t.live {
		a.acct.Subscribe(s, 1)
	}
}

func (t *table) remove(a *accountTable, subj, queue []byte) {
	var buf [256]byte
	key := appendKey(buf[:0], subj, queue)
	s := a.subs[string(key)]
	if s == nil {
		return
	}
	delete(a.subs, string(key))
	if s.Queue != nil {
		a.queues--
	}
	if t.live {
		a.acct.Unsubscribe(s)
	}
}

func (t *table) removePlain(a *accountTable) {
	var gone []*broker.Sub
	for k, s := range a.subs {
		if s.Queue == nil {
			gone = append(gone, s)
			delete(a.subs, k)
		}
	}
	if t.live && len(gone) > 0 {
		a.acct.UnsubscribeAll(gone)
	}
}

// appendKey appends what tells interest apart.
func appendKey(dst, subj, queue []byte) []byte {
	dst = append(dst, subj...)
	if len(queue) > 0 {
		dst = append(dst, ' ')
		dst = append(dst, queue...)
	}
	return dst
}

// setLive puts all interest into the broker, or takes it out.
func (t *table) setLive(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live == on {
		return
	}
	t.live = on
	for _, a := range t.accounts {
		if on {
			for _, s := range a.subs {
				a.acct.Subscribe(s, 1)
			}
			if a.all != nil {
				a.acct.Subscribe(a.all, 1)
			}
			continue
		}
		gone := make([]*broker.Sub, 0, len(a.subs)+1)
		for _, s := range a.subs {
			gone = append(gone, s)
		}
		if a.all != nil {
			gone = append(gone, a.all)
		}
		a.acct.UnsubscribeAll(gone)
	}
}

// AccountInterest is what is known of a remote's interest in one account.
type AccountInterest struct {
	Account string
	Mode    string // Optimistic, Transitioning or Interest-Only
	Refused int
	Subs    int // plain and queue interest
	Queues  int
}

// snapshot lists the accounts of which anything is known.
func (t *table) snapshot() []AccountInterest {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]AccountInterest, 0, len(t.accounts))
	for name, a := range t.accounts {
		list = append(list, AccountInterest{
			Account: name, Mode: modeNames[a.mode], Refused: len(a.refused), Subs: len(a.subs), Queues: a.queues,
		})
	}
	return list
}

// interests counts keys.
func (t *table) interests() (n int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, a := range t.accounts {
		n += len(a.subs)
	}
	return n
}
