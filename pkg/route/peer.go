package route

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// settleTime is how long the connections of a new peer may take to come up before
// accounts whose connection is missing use another one.
const settleTime = 2 * time.Second

// peer is another server of the cluster, as long as it has a connection.
type peer struct {
	s    *Service
	id   string
	hash [6]byte
	link uint64 // tells its ports from those of other peers

	// Fixed by the first connection.
	name       string
	role       string
	ours       bool
	single     bool // one connection for all accounts
	remotePool int
	size       int // connections of the pool
	caps       []string
	accounts   map[string]bool // with connections of their own; only these are dialed

	// Guarded by Service.mu.
	info      info // for gossip
	pool      []*conn
	dedicated map[string]*conn
	one       *conn
	refused   map[string]bool // accounts that the peer serves no connection for
	lenient   bool
	settle    *time.Timer
	urls      []string // what was added to Options.URLs
	webURLs   []string
	leafURLs  []string
	gwURLs    []string
	leaving   bool // said so by ldm
	toldUp    bool

	table    atomic.Pointer[table]
	draining atomic.Bool // a gwd that is about to leave

	// watchMu orders moves of accounts between connections. It is held while an
	// account is locked, never the other way round.
	watchMu sync.Mutex
	gone    bool
	exports *wire.SubjectPermission // what the peer accepts
	watch   map[*broker.Account]*announcer
	moving  map[*broker.Account]bool
}

// table is a snapshot of a peer's active connections.
type table struct {
	single    *conn
	pool      []*conn
	dedicated map[string]*conn
	pinned    map[string]bool // accounts that should have a connection of their own
	ours      bool
	lenient   bool
	any       *conn   // of the pool
	all       []*conn // all
}

// carrier is the connection for an account, nil if there is none. size is the
// pool size of the side whose choice it is.
func (t *table) carrier(account string, size int) *conn {
	if t.single != nil {
		return t.single
	}
	if c := t.dedicated[account]; c != nil {
		return c
	}
	if t.pinned[account] {
		if t.ours && t.lenient {
			return t.any
		}
		return nil
	}
	if i := wire.PoolIndex(account, size); i < len(t.pool) && t.pool[i] != nil {
		return t.pool[i]
	}
	if t.lenient {
		return t.any
	}
	return nil
}

// newPeerLocked makes the entry for the server that c leads to.
func (s *Service) newPeerLocked(c *conn) *peer {
	in := &c.remote
	p := &peer{
		s: s, id: in.ServerID, name: in.ServerName, role: in.Role, ours: in.Role != "",
		info: *in, exports: in.Export, caps: in.Caps, remotePool: in.PoolSize,
		dedicated: make(map[string]*conn), refused: make(map[string]bool),
		accounts: make(map[string]bool),
		watch:    make(map[*broker.Account]*announcer), moving: make(map[*broker.Account]bool),
	}
	copy(p.hash[:], wire.GatewayHash(p.id))
	p.link = s.o.Broker.NextID()
	own := s.poolWith(p.role)
	if own == 0 || in.PoolSize == 0 {
		p.single = true
		p.remotePool = 0
	} else {
		p.size = max(own, in.PoolSize)
		p.pool = make([]*conn, p.size)
		for a := range s.set().pinned {
			p.accounts[a] = true
		}
		if p.ours {
			p.agree(in.Accounts)
		}
	}
	p.table.Store(&table{})
	s.peers[p.id] = p
	s.indexLocked()
	if !c.dialed() {
		s.recognizeLocked(p, c.tc.RemoteAddr())
	}
	return p
}

// recognizeLocked finds the configured route to a server that dialed us, so that
// nobody waits for our own dial.
func (s *Service) recognizeLocked(p *peer, from net.Addr) {
	port := strconv.Itoa(p.info.Port)
	announced := net.JoinHostPort(p.info.Host, port)
	seen := announced
	if tcp, ok := from.(*net.TCPAddr); ok {
		seen = net.JoinHostPort(tcp.IP.String(), port)
	}
	for _, t := range s.targets {
		if s.peers[t.id] == nil && (t.url.Host == announced || t.url.Host == seen) {
			t.id = p.id
		}
	}
}

// agree keeps the accounts that both sides have connections for. A gwd follows
// the hubs.
func (p *peer) agree(theirs []string) {
	named := make(map[string]bool, len(theirs))
	for _, a := range theirs {
		named[a] = true
	}
	switch {
	case p.s.o.Role == BorderRole:
		p.accounts = named
	case p.role == wire.RoleGateway:
		// The gwd follows us.
	default:
		for a := range p.accounts {
			if !named[a] {
				delete(p.accounts, a)
			}
		}
	}
}

// growLocked enlarges the pool after the peer changed its size.
func (p *peer) growLocked(size int) {
	for len(p.pool) < size {
		p.pool = append(p.pool, nil)
	}
	p.size = max(p.size, size)
}

// refreshLocked rebuilds the snapshot of active connections.
func (p *peer) refreshLocked() {
	t := &table{dedicated: make(map[string]*conn, len(p.dedicated)), ours: p.ours, pinned: p.accounts}
	if p.one != nil && p.one.active {
		t.single = p.one
		t.all = append(t.all, p.one)
	}
	t.pool = make([]*conn, len(p.pool))
	for i, c := range p.pool {
		if c != nil && c.active {
			t.pool[i] = c
			t.all = append(t.all, c)
			if t.any == nil {
				t.any = c
			}
		}
	}
	for a, c := range p.dedicated {
		if c.active {
			t.dedicated[a] = c
			t.all = append(t.all, c)
		}
	}
	if p.completeLocked(false) {
		p.lenient = true
	}
	t.lenient = p.lenient
	p.table.Store(t)
}

// completeLocked tells whether all connections are active; synced asks for the
// peer's initial interest too.
func (p *peer) completeLocked(synced bool) bool {
	up := func(c *conn) bool { return c != nil && c.active && (!synced || c.synced.Load()) }
	if p.single {
		return up(p.one)
	}
	for _, c := range p.pool {
		if !up(c) {
			return false
		}
	}
	for a := range p.accounts {
		if !p.refused[a] && !up(p.dedicated[a]) {
			return false
		}
	}
	return true
}

// emptyLocked tells whether the peer has no connection at all.
func (p *peer) emptyLocked() bool {
	if p.one != nil || len(p.dedicated) > 0 {
		return false
	}
	for _, c := range p.pool {
		if c != nil {
			return false
		}
	}
	return true
}

// slotLocked is the place in the table that c is meant for.
func (p *peer) slotLocked(c *conn) *conn {
	switch {
	case c.account != "":
		return p.dedicated[c.account]
	case p.single:
		return p.one
	}
	return p.pool[c.slot]
}

func (p *peer) setSlotLocked(c, now *conn) {
	switch {
	case c.account != "":
		if now == nil {
			delete(p.dedicated, c.account)
		} else {
			p.dedicated[c.account] = now
		}
	case p.single:
		p.one = now
	default:
		p.pool[c.slot] = now
	}
}

// speaker is a connection for INFOs that concern the server as a whole.
func (p *peer) speaker() *conn {
	t := p.table.Load()
	if t.single != nil {
		return t.single
	}
	if t.any != nil {
		return t.any
	}
	if len(t.all) > 0 {
		return t.all[0]
	}
	return nil
}

func (p *peer) has(capability string) bool {
	for _, c := range p.caps {
		if c == capability {
			return true
		}
	}
	return false
}

// settled lets accounts use other connections than their own from now on.
func (p *peer) settled() {
	p.s.mu.Lock()
	p.lenient = true
	p.refreshLocked()
	p.s.mu.Unlock()
	p.carryAll()
}

// carryAll makes sure that the interest of each account is announced on the
// connection that carries it.
func (p *peer) carryAll() {
	for _, a := range p.s.o.Broker.Accounts() {
		p.carry(a)
	}
}

// carry does it for one account. An account that moves while its old connection
// lives is withdrawn there first, and announced on the new one when the peer
// has seen that: a key known on two connections would double messages.
func (p *peer) carry(a *broker.Account) {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	if p.gone || p.moving[a] {
		return
	}
	want := p.table.Load().carrier(a.Name, p.s.poolWith(p.role))
	now := p.watch[a]
	if now != nil {
		if now.c == want {
			return
		}
		delete(p.watch, a)
		if now.c.dead.Load() {
			a.Unwatch(now)
		} else {
			p.moving[a] = true
			now.withdraw()
			now.c.afterPong(func() { p.moved(a) })
			return
		}
	}
	if want != nil && !want.dead.Load() {
		w := newAnnouncer(want, a)
		p.watch[a] = w
		w.start()
	}
}

func (p *peer) moved(a *broker.Account) {
	p.watchMu.Lock()
	delete(p.moving, a)
	p.watchMu.Unlock()
	p.carry(a)
}

// drop ends all announcing, when the last connection is gone.
func (p *peer) drop() {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	p.gone = true
	for a, w := range p.watch {
		a.Unwatch(w)
	}
	clear(p.watch)
}

// announcers are those of the accounts announced to the peer.
func (p *peer) announcers() []*announcer {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	list := make([]*announcer, 0, len(p.watch))
	for _, w := range p.watch {
		list = append(list, w)
	}
	return list
}
