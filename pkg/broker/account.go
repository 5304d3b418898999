package broker

import (
	"iter"
	"sync"
	"sync/atomic"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/interest"
)

// Account is one isolated space of subjects.
type Account struct {
	Name string

	index  *interest.Index[*Sub]
	mapper atomic.Pointer[account.Mapper] // asked for each message, hence beside index

	// mu orders changes of interest: the index, the tally and what watchers queue
	// change together.
	mu       sync.Mutex
	subs     int
	tally    map[string]*Interest // nil while nobody watches
	watchers []Watcher

	// Clients counts connections bound to the account.
	Clients atomic.Int64
	Leafs   atomic.Int64
	// Elsewhere counts connections, of which LeafsElsewhere are leaf nodes, that other
	// servers said they have in the account.
	Elsewhere      atomic.Int64
	LeafsElsewhere atomic.Int64

	b *Broker
	// What it shares with other accounts; see Broker.Share.
	imports []*streamImport // guarded by mu
	limits  atomic.Pointer[account.Limits]
	trace   atomic.Pointer[account.Trace]
	answers atomic.Pointer[answers] // to requests from other accounts
	pending atomic.Pointer[pending] // answers that clients of this account wait for
}

type weight struct{ atomic.Int32 }

// Weight is the number of members that a queue subscription stands for; 1 for
// a plain one.
func (s *Sub) Weight() int32 { return s.weight.Load() }

// Watcher is told of an account's interest. Both methods are called with the
// account locked: they only queue, and do not call back.
type Watcher interface {
	// Snapshot is called once for each key with interest when watching starts.
	Snapshot(a *Account, in *Interest)
	// Changed is called after the share of one origin in a key went from old to now.
	Changed(a *Account, in *Interest, from Origin, old, now int32)
}

// Interest is what an account holds under one key, a subject with or without a
// queue group.
type Interest struct {
	Subject []byte
	Queue   []byte // nil: plain
	shares  []share
}

type share struct {
	origin Origin
	n      int32 // subscriptions, or members of the group
}

// Sum adds up the shares of the classes in set, without those that must not be
// told to except.
func (in *Interest) Sum(set Set, except Origin) (n int32) {
	for i := range in.shares {
		if s := &in.shares[i]; s.origin.Class&set != 0 && !s.origin.same(except) {
			n += s.n
		}
	}
	return n
}

// Each calls f for each share.
func (in *Interest) Each(f func(o Origin, n int32)) {
	for _, s := range in.shares {
		f(s.origin, s.n)
	}
}

// All iterates over the shares. The account must be locked.
func (in *Interest) All() iter.Seq2[Origin, int32] {
	return func(yield func(Origin, int32) bool) {
		for i := range in.shares {
			if !yield(in.shares[i].origin, in.shares[i].n) {
				return
			}
		}
	}
}

func (in *Interest) add(o Origin, delta int32) (old, now int32) {
	for i := range in.shares {
		s := &in.shares[i]
		if s.origin == o {
			old, now = s.n, s.n+delta
			s.n = now
			if now == 0 {
				in.shares = append(in.shares[:i], in.shares[i+1:]...)
			}
			return old, now
		}
	}
	in.shares = append(in.shares, share{o, delta})
	return 0, delta
}

// Subscribe adds s, whose fields the caller has set and does not change any
// more. w is the weight of a queue subscription of another server; clients give 1.
func (a *Account) Subscribe(s *Sub, w int32) {
	if a.insert(s, w) {
		a.b.shadow(s)
	}
}

// insert reports whether the account has imports that s may want.
func (a *Account) insert(s *Sub, w int32) (imports bool) {
	s.Account = a
	a.mu.Lock()
	defer a.mu.Unlock()
	s.weight.Store(w)
	a.subs++
	a.index.Insert(s.Subject, s)
	a.countLocked(s, w)
	return a.imports != nil
}

// Unsubscribe takes s away. It reports whether it was there.
func (a *Account) Unsubscribe(s *Sub) bool {
	a.mu.Lock()
	ok := a.unsubscribeLocked(s)
	imports := a.imports != nil
	a.mu.Unlock()
	if ok && imports {
		a.b.unshadow(s)
	}
	if p := a.pending.Load(); ok && p != nil {
		p.left(a, s)
	}
	return ok
}

// UnsubscribeAll takes all of subs away, as one change.
func (a *Account) UnsubscribeAll(subs []*Sub) {
	a.mu.Lock()
	for _, s := range subs {
		a.unsubscribeLocked(s)
	}
	imports := a.imports != nil
	a.mu.Unlock()
	if imports {
		a.b.unshadow(subs...)
	}
	if p := a.pending.Load(); p != nil {
		p.left(a, subs...)
	}
}

func (a *Account) unsubscribeLocked(s *Sub) bool {
	if !a.index.Remove(s.Subject, s) {
		return false
	}
	s.gone = true
	a.subs--
	a.countLocked(s, -s.Weight())
	return true
}

// SetWeight changes the weight of a queue subscription.
func (a *Account) SetWeight(s *Sub, w int32) {
	if a.setWeight(s, w) {
		a.b.weighShadows(s, w)
	}
}

// setWeight reports whether the account has imports.
func (a *Account) setWeight(s *Sub, w int32) (imports bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if delta := w - s.Weight(); delta != 0 {
		s.weight.Store(w)
		a.countLocked(s, delta)
	}
	return a.imports != nil
}

func (a *Account) countLocked(s *Sub, delta int32) {
	if a.tally == nil || delta == 0 {
		return
	}
	in, old, now := a.tallyLocked(s, delta)
	for _, w := range a.watchers {
		w.Changed(a, in, s.Origin, old, now)
	}
}

// tallyLocked changes the tally and drops a key that is left without interest.
func (a *Account) tallyLocked(s *Sub, delta int32) (in *Interest, old, now int32) {
	var buf [256]byte
	key := append(append(append(buf[:0], s.Subject...), 0), s.Queue...)
	in = a.tally[string(key)]
	if in == nil {
		in = &Interest{Subject: s.Subject, Queue: s.Queue}
		a.tally[string(key)] = in
	}
	old, now = in.add(s.Origin, delta)
	if len(in.shares) == 0 {
		delete(a.tally, string(key))
	}
	return in, old, now
}

// Watch tells w of all interest there is, then of each change, until Unwatch.
// before, if not nil, is called first with the account locked, so that what it
// queues stands before the snapshot; after likewise behind it.
func (a *Account) Watch(w Watcher, before, after func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tally == nil {
		a.tally = make(map[string]*Interest)
		a.index.Walk(func(_ []byte, s *Sub) bool {
			a.tallyLocked(s, s.Weight())
			return true
		})
	}
	if before != nil {
		before()
	}
	for _, in := range a.tally {
		w.Snapshot(a, in)
	}
	if after != nil {
		after()
	}
	a.watchers = append(a.watchers, w)
}

// Unwatch ends Watch. Afterwards w is not called any more.
func (a *Account) Unwatch(w Watcher) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, x := range a.watchers {
		if x == w {
			last := len(a.watchers) - 1
			a.watchers[i] = a.watchers[last]
			a.watchers[last] = nil
			a.watchers = a.watchers[:last]
			break
		}
	}
	if len(a.watchers) == 0 {
		a.tally = nil
	}
}

// Do runs f with the account locked: no interest changes meanwhile.
func (a *Account) Do(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// EachInterest calls f for each key of the tally while somebody watches.
// The account must be locked (Do, or inside a Watcher).
func (a *Account) EachInterest(f func(in *Interest)) {
	for _, in := range a.tally {
		f(in)
	}
}

// Subscriptions is the number of subscriptions, of all classes.
func (a *Account) Subscriptions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.subs
}

// HasInterest tells whether a message on subject would match anything.
func (a *Account) HasInterest(subject []byte) bool { return a.index.MatchesAny(subject) }

// EachSub calls f for each subscription until it returns false. Subscriptions
// may change meanwhile.
func (a *Account) EachSub(f func(s *Sub) bool) {
	a.index.Walk(func(_ []byte, s *Sub) bool { return f(s) })
}

// Matching appends to dst the subscriptions that match a published subject.
func (a *Account) Matching(subject []byte, dst []*Sub) []*Sub { return a.index.Match(subject, dst) }
