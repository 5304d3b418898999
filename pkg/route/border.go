package route

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// border is the other regions as a hub sees them: one port for the interest that
// all gwds announce, and for each account the gwd that its messages go to
// (gateways 18.6).
//
// Each message goes to one gwd. As long as an account's assignment does not
// change, all its messages from this hub take one connection, which keeps
// their order. A planned change is made with a fence: messages wait until the old
// gwd has passed on what it has. After a break the next message takes the next gwd.
type border struct {
	s    *Service
	port *broker.Port
	gwds atomic.Pointer[[]*peer] // with at least one active connection
	by   sync.Map                // *broker.Account -> *assignment

	// mu guards what follows. Accounts are locked while it is held.
	mu      sync.Mutex
	keys    map[string]*borderKey
	replies map[*broker.Account][]*broker.Sub // interest in mapped replies
	ticker  *time.Timer
	stopped bool

	fences  sync.Map // id -> *assignment
	fenceID atomic.Uint64
}

// borderKey is one key of the region's remote interest.
type borderKey struct {
	id  string
	sub *broker.Sub
	n   int // connections of gwds that announced it
}

const (
	// idleTick: an account without border messages for two ticks is assigned anew by
	// its next one.
	idleTick = 2500 * time.Millisecond
	// movesPerTick bounds how many busy accounts move to a better gwd at a time.
	movesPerTick = 4
	// pauseTicks is how long an account stays after a move came to nothing.
	pauseTicks = 12
)

var mappedReplies = []string{"_GR_.>", "$GR.*.>"}

func newBorder(s *Service) *border {
	b := &border{s: s, keys: make(map[string]*borderKey), replies: make(map[*broker.Account][]*broker.Sub)}
	b.port = &broker.Port{
		ID: s.o.Broker.NextID(), Class: broker.Border,
		Origin: broker.Origin{Class: broker.Border}, Aggregate: true, Sink: b,
	}
	b.gwds.Store(&[]*peer{})
	return b
}

func (b *border) stop() {
	b.mu.Lock()
	b.stopped = true
	if b.ticker != nil {
		b.ticker.Stop()
	}
	b.mu.Unlock()
	b.fences.Range(func(_, v any) bool {
		v.(*assignment).finish(b, "")
		return true
	})
}

// add counts one more announcement of a key.
func (b *border) add(_ *conn, a *broker.Account, subj, queue []byte) *borderKey {
	id := make([]byte, 0, len(a.Name)+len(subj)+len(queue)+2)
	id = append(append(append(id, a.Name...), 0), subj...)
	id = append(append(id, 0), queue...)
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := b.keys[string(id)]; k != nil {
		k.n++
		return k
	}
	from := len(a.Name) + 1
	k := &borderKey{id: string(id), n: 1, sub: b.newSub(id[from : from+len(subj)])}
	if queue != nil {
		k.sub.Queue = id[from+len(subj)+1:]
	}
	b.keys[k.id] = k
	a.Subscribe(k.sub, 1)
	return k
}

func (b *border) newSub(subj []byte) *broker.Sub {
	return &broker.Sub{Port: b.port, Subject: subj, Origin: b.port.Origin, Tier: broker.TierBorder}
}

// remove counts one announcement less.
func (b *border) remove(_ *conn, k *borderKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k.n--; k.n == 0 {
		delete(b.keys, k.id)
		k.sub.Account.Unsubscribe(k.sub)
	}
}

// newAccount lets mapped replies of a new account find the way out.
func (b *border) newAccount(a *broker.Account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(*b.gwds.Load()) > 0 {
		b.openLocked(a)
	}
}

func (b *border) openLocked(a *broker.Account) {
	if b.replies[a] != nil || b.stopped {
		return
	}
	for _, subj := range mappedReplies {
		s := b.newSub([]byte(subj))
		b.replies[a] = append(b.replies[a], s)
		a.Subscribe(s, 1)
	}
}

// join notes that a gwd has a connection.
func (b *border) join(c *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := *b.gwds.Load()
	if !slices.Contains(list, c.peer) {
		list = append(slices.Clip(slices.Clone(list)), c.peer)
		b.gwds.Store(&list)
	}
	if b.stopped {
		return
	}
	if len(list) == 1 {
		for _, a := range b.s.o.Broker.Accounts() {
			b.openLocked(a)
		}
	}
	if b.ticker == nil {
		b.ticker = time.AfterFunc(idleTick, b.tick)
	}
}

// leave notes that a connection of a gwd is gone.
func (b *border) leave(c *conn) {
	b.mu.Lock()
	if len(c.peer.table.Load().all) == 0 {
		list := slices.DeleteFunc(slices.Clone(*b.gwds.Load()), func(p *peer) bool { return p == c.peer })
		b.gwds.Store(&list)
		if len(list) == 0 {
			for a, subs := range b.replies {
				a.UnsubscribeAll(subs)
			}
			clear(b.replies)
		}
	}
	b.mu.Unlock()
	b.by.Range(func(_, v any) bool {
		v.(*assignment).conn.CompareAndSwap(c, nil)
		return true
	})
	b.fences.Range(func(_, v any) bool {
		if as := v.(*assignment); as.fencing(c) {
			as.finish(b, "")
		}
		return true
	})
}

// assignment is which connection takes an account's messages to the border.
type assignment struct {
	a    *broker.Account
	conn atomic.Pointer[conn] // nil: ask under mu
	used atomic.Bool          // since the last tick

	mu    sync.Mutex
	idle  int // ticks without messages
	pause int // ticks until a move is tried again that the old gwd did not confirm
	fence *fence
}

// fence is a planned move under way. Messages wait here.
type fence struct {
	id    string
	old   *conn
	timer *time.Timer
	held  []*heldMsg
	size  int
}

type heldMsg struct {
	m      broker.Msg
	groups [][]byte
}

func (b *border) assigned(a *broker.Account) *assignment {
	if v, ok := b.by.Load(a); ok {
		return v.(*assignment)
	}
	v, _ := b.by.LoadOrStore(a, &assignment{a: a})
	return v.(*assignment)
}

// Deliver is not used: the port is aggregate.
func (b *border) Deliver(m *broker.Msg, s *broker.Sub) bool { return b.DeliverOnce(m, true, nil) }

// DeliverOnce sends m to the account's gwd.
func (b *border) DeliverOnce(m *broker.Msg, _ bool, groups [][]byte) bool {
	as := b.assigned(m.Account)
	if !as.used.Load() {
		as.used.Store(true)
	}
	if c := as.conn.Load(); c != nil {
		if what := c.sendBorder(m, groups, as); what != gone {
			return what == sent
		}
	}
	return b.deliverSlow(as, m, groups)
}

// sendBorder queues a border message, while the account is assigned to c if as is given.
func (c *conn) sendBorder(m *broker.Msg, groups [][]byte, as *assignment) outcome {
	what := c.send(m, "", "", groups, as)
	if what == sent && !c.dirtyTgt.Load() {
		c.dirtyTgt.Store(true)
	}
	return what
}

// Flush writes what was queued for any gwd.
func (b *border) Flush() { flushDirty(*b.gwds.Load()) }

func flushDirty(peers []*peer) {
	for _, p := range peers {
		for _, c := range p.table.Load().all {
			if c.dirtyTgt.Load() && c.dirtyTgt.Swap(false) {
				c.tc.Flush()
			}
		}
	}
}

// deliverSlow chooses, or holds the message while a fence is up.
func (b *border) deliverSlow(as *assignment, m *broker.Msg, groups [][]byte) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	if f := as.fence; f != nil {
		f.hold(m, groups)
		if f.size > fenceBytes {
			as.finishLocked(b, true)
		}
		return true
	}
	var last *conn
	for range len(*b.gwds.Load()) + 1 {
		c := as.conn.Load()
		if c == nil || c == last {
			c = b.choose(as.a, last)
		}
		if c == nil {
			break
		}
		as.conn.Store(c)
		if what := c.sendBorder(m, groups, nil); what != gone {
			return what == sent
		}
		last = c
	}
	as.conn.Store(nil)
	return false
}

// choose finds the best connection for an account: of a gwd that is in sync and
// stays, else one that is about to leave, else one whose interest is not complete
// yet; among equals by rendezvous, so that accounts and hubs spread over the gwds
// and all that is known is enough to agree. not is a connection that just failed.
func (b *border) choose(a *broker.Account, not *conn) *conn {
	var best *conn
	var bestRank int
	var bestScore uint64
	for _, p := range *b.gwds.Load() {
		c := p.table.Load().carrier(a.Name, b.s.set().pool)
		if c == nil || c == not || c.dead.Load() || c.tc.Cause() != nil {
			continue
		}
		rank := 0
		if c.synced.Load() {
			rank = 1
			if !p.draining.Load() {
				rank = 2
			}
		}
		score := b.score(p.id, a.Name)
		if best == nil || rank > bestRank || rank == bestRank && score > bestScore {
			best, bestRank, bestScore = c, rank, score
		}
	}
	return best
}

func (b *border) score(gwd, account string) uint64 {
	var buf [256]byte
	key := append(append(buf[:0], gwd...), 0)
	key = append(append(key, b.s.o.Server.ID...), 0)
	return xxh3.Hash(append(key, account...))
}

// tick frees the assignments of idle accounts, and moves a few busy ones to the gwd
// that should have them.
func (b *border) tick() {
	moves := 0
	b.by.Range(func(_, v any) bool {
		as := v.(*assignment)
		if as.rest() || moves >= movesPerTick {
			return true
		}
		if now := as.conn.Load(); now != nil && !as.paused() {
			if best := b.choose(as.a, nil); best != nil && best != now && best.synced.Load() && b.startFence(as) {
				moves++
			}
		}
		return true
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		b.ticker.Reset(idleTick)
	}
}

// rest frees an assignment without messages for two ticks.
func (as *assignment) rest() bool {
	if as.used.Swap(false) {
		as.idle = 0
		return false
	}
	if as.idle++; as.idle < 2 {
		return true
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.fence == nil && !as.used.Load() {
		as.conn.Store(nil)
	}
	return true
}

func (as *assignment) paused() bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.pause == 0 {
		return false
	}
	as.pause--
	return true
}

// drain moves everything away from a gwd that is about to leave.
func (b *border) drain(p *peer) {
	p.draining.Store(true)
	b.by.Range(func(_, v any) bool {
		if as := v.(*assignment); as.conn.Load() != nil && as.conn.Load().peer == p {
			b.startFence(as)
		}
		return true
	})
}

// startFence begins a planned move. It reports whether there is one to be made.
func (b *border) startFence(as *assignment) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	old := as.conn.Load()
	if old == nil || as.fence != nil {
		return false
	}
	if next := b.choose(as.a, nil); next == nil || next == old {
		return false
	}
	f := &fence{id: strconv.FormatUint(b.fenceID.Add(1), 10), old: old}
	// Under the lock of the queue: nothing is queued there behind the fence.
	old.tc.Locked(func() { as.conn.Store(nil) })
	if !old.peer.has(wire.CapFence) {
		return true
	}
	as.fence = f
	b.fences.Store(f.id, as)
	f.timer = time.AfterFunc(b.s.o.FenceTimeout, func() { as.late(b, f.id) })
	old.tc.Write(wire.AppendFence(nil, []byte(f.id)))
	old.flusher.Soon()
	return true
}

// fenced is told that a gwd has passed on what came before the fence.
func (b *border) fenced(id string) {
	if v, ok := b.fences.Load(id); ok {
		v.(*assignment).finish(b, id)
	}
}

func (as *assignment) fencing(c *conn) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.fence != nil && as.fence.old == c
}

// finish ends the fence with that id, or any.
func (as *assignment) finish(b *border, id string) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.fence != nil && (id == "" || as.fence.id == id) {
		as.finishLocked(b, false)
	}
}

// late ends the fence with that id, which the old gwd has not confirmed in time.
func (as *assignment) late(b *border, id string) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.fence != nil && as.fence.id == id {
		as.finishLocked(b, true)
	}
}

// finishLocked sends what waited and opens the new way. Until then, others wait
// for mu. late: the old gwd has not confirmed that it has passed on what it was
// sent. Then messages on a new way could overtake those, so nothing moves, unless
// the old gwd is about to leave.
func (as *assignment) finishLocked(b *border, late bool) {
	f := as.fence
	as.fence = nil
	f.timer.Stop()
	b.fences.Delete(f.id)
	c := b.choose(as.a, nil)
	if late && !f.old.peer.draining.Load() && !f.old.dead.Load() && f.old.tc.Cause() == nil {
		c, as.pause = f.old, pauseTicks
	}
	if c == nil {
		return
	}
	for _, h := range f.held {
		c.sendBorder(&h.m, h.groups, nil)
	}
	c.tc.Flush()
	as.conn.Store(c)
}

// hold keeps a copy of a message.
func (f *fence) hold(m *broker.Msg, groups [][]byte) {
	h := &heldMsg{m: broker.Msg{Account: m.Account, HdrLen: m.HdrLen}}
	h.m.Subject = slices.Clone(m.Subject)
	h.m.Reply = slices.Clone(m.Reply)
	h.m.Payload = slices.Clone(m.Payload)
	h.m.Original = slices.Clone(m.Original)
	for _, g := range groups {
		h.groups = append(h.groups, slices.Clone(g))
	}
	f.held = append(f.held, h)
	f.size += len(m.Payload) + len(m.Subject) + 64
}
