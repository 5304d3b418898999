package gateway

import (
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// region is one remote cluster.
//
// Its port never changes; where its messages go is path, and the interest that
// counts is the table in path. Both change together under mu: the new table
// becomes live before the old one stops, so that interest which both have is
// never missing.
type region struct {
	s    *Service
	name string
	hash [6]byte
	port broker.Port
	path atomic.Pointer[path]

	filtered atomic.Int64 // messages that may not cross
	relayed  atomic.Int64 // messages that went by way of another gwd
	behind   atomic.Bool  // Targeted has queued something
	viaDirty atomic.Bool  // messages by way of another gwd are to be flushed

	mu       sync.Mutex
	settings *config.RemoteGateway // nil: learned
	urls     []string              // learned
	former   []string              // learned once, and not told any more
	tlsName  string                // a host name for addresses that are none
	dialing  bool
	current  *conn            // that is used
	peers    map[string]*peer // other gwds of our region that reach this remote
	nextLink uint64
}

// path is where the messages of a region go. Only its end changes it.
type path struct {
	out   *conn  // or
	peer  string // the id of another gwd
	table *table

	mu     sync.Mutex // while a message is handed to peer
	closed bool       // nothing more may be: a fence stands behind what was
}

// close ends the way by way of another gwd.
func (p *path) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
}

// peer is what another gwd of our region said of a remote.
type peer struct {
	id    string
	table *table
	has   bool // it has an outbound connection
	rtt   time.Duration
}

func (s *Service) newRegion(name string) *region {
	r := &region{s: s, name: name, peers: make(map[string]*peer)}
	copy(r.hash[:], wire.GatewayHash(name))
	r.port = broker.Port{
		ID: s.o.Broker.NextID(), Class: broker.Gateway, Reach: broker.FromGateway, Aggregate: true, Sink: r,
		Origin: broker.Origin{Class: broker.Gateway, Cluster: broker.RegionMark + name},
	}
	r.port.Distance.Store(1)
	return r
}

func (r *region) configured() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings != nil
}

// newTable makes an empty table. Link tells interest that was heard from another
// gwd apart.
func (r *region) newTable(link uint64) *table {
	o := r.port.Origin
	o.Link = link
	return newTable(r.s.o.Broker, &r.port, o, r.s.o.Hooks.Outgoing)
}

// Deliver is not used: the port is Aggregate.
func (r *region) Deliver(*broker.Msg, *broker.Sub) bool { return false }

// DeliverOnce sends m to the remote.
func (r *region) DeliverOnce(m *broker.Msg, plain bool, groups [][]byte) bool {
	if !wire.IsGatewayReply(m.Subject) && !r.s.outgoing(m.Account).Message(m.Subject) {
		r.filtered.Add(1)
		return false
	}
	for {
		p := r.path.Load()
		if p == nil {
			return false
		}
		if x := r.deliver(p, m, groups); x != retired {
			return x == queued
		}
	}
}

func (r *region) deliver(p *path, m *broker.Msg, groups [][]byte) outcome {
	if !wire.IsGatewayReply(m.Subject) {
		if len(groups) == 0 && p.table.loose.Load() > 0 && p.table.refuses(m.Account.Name, m.Subject) {
			return lost
		}
	}
	var buf [wireReplyPrefix]byte
	prefix := r.prefix(p, m, buf[:0])
	if p.out != nil {
		return p.out.send(m, prefix, groups)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return retired
	}
	if !r.relay(p.peer, m, prefix, groups) {
		return lost
	}
	if !r.viaDirty.Load() {
		r.viaDirty.Store(true)
	}
	return queued
}

// wireReplyPrefix is the length of _GR_.cccccc.ssssss.
const wireReplyPrefix = 19

// prefix is what stands before the reply of m so that it finds its way back
// (gateways 10.3).
func (r *region) prefix(p *path, m *broker.Msg, dst []byte) []byte {
	if len(m.Reply) == 0 || r.s.o.Hooks.MapReply == nil || wire.IsGatewayReply(m.Reply) {
		return nil
	}
	server, ok := r.s.o.Hooks.MapReply(m)
	if !ok {
		return nil
	}
	if p.out != nil && !p.out.remote.NewReplyPrefix {
		return wire.AppendOldGatewayReply(dst, r.s.oldHash, nil)
	}
	dst = append(dst, wire.GatewayReplyPrefix...)
	dst = append(dst, r.s.o.Broker.ClusterHash[:]...)
	dst = append(dst, '.')
	dst = append(dst, server[:]...)
	return append(dst, '.')
}

var relayed = sync.Pool{New: func() any { return new(relayMsg) }}

type relayMsg struct {
	m     broker.Msg
	reply []byte
}

// relay sends m by way of another gwd.
func (r *region) relay(peerID string, m *broker.Msg, prefix []byte, groups [][]byte) bool {
	via := r.s.o.Hooks.Relay
	if via == nil {
		return false
	}
	x := relayed.Get().(*relayMsg)
	x.m = *m
	if len(prefix) > 0 {
		x.reply = append(append(x.reply[:0], prefix...), m.Reply...)
		x.m.Reply = x.reply
	}
	ok := via.SendTargeted(peerID, r.name, &x.m, groups)
	x.m = broker.Msg{}
	relayed.Put(x)
	if ok {
		r.relayed.Add(1)
	}
	return ok
}

// Flush writes what was queued.
func (r *region) Flush() {
	if r.viaDirty.Load() && r.viaDirty.Swap(false) {
		r.s.o.Hooks.Relay.FlushTargeted()
	}
	if p := r.path.Load(); p != nil && p.out != nil {
		p.out.flush()
	}
}

// targeted sends what another gwd has passed on. It is not passed on again.
func (r *region) targeted(m *broker.Msg) {
	for {
		p := r.path.Load()
		if p == nil || p.out == nil {
			return
		}
		switch p.out.send(m, nil, m.Groups) {
		case retired:
			continue
		case queued:
			r.behind.Store(true)
		}
		return
	}
}

func (r *region) flushTargeted() {
	if !r.behind.Swap(false) {
		return
	}
	if p := r.path.Load(); p != nil && p.out != nil {
		p.out.flush()
	}
}

// chooseLocked makes path fit what connections there are.
func (r *region) chooseLocked() {
	old := r.path.Load()
	var next *path
	switch {
	case r.current != nil:
		if old != nil && old.out == r.current {
			return
		}
		next = &path{out: r.current, table: r.current.table}
	default:
		var best *peer
		for _, p := range r.peers {
			if p.has && (best == nil || p.rtt < best.rtt || p.rtt == best.rtt && p.id < best.id) {
				best = p
			}
		}
		// As long as it goes on, the way that is used is kept: on another one messages
		// could overtake.
		if old != nil && old.peer != "" {
			if p := r.peers[old.peer]; p != nil && p.has {
				best = p
			}
		}
		if best != nil {
			r.port.Distance.Store(max(best.rtt.Microseconds(), 1))
			if old != nil && old.peer == best.id {
				return
			}
			next = &path{peer: best.id, table: best.table}
		}
	}
	if next != nil {
		// What matches the new interest must find the new way.
		r.path.Store(next)
		next.table.setLive(true)
	}
	if old != nil {
		old.table.setLive(false)
	}
	if next == nil {
		r.path.Store(nil)
	}
	if old != nil {
		old.close()
	}
}

// usable takes an outbound connection into use; its round trip was measured.
func (r *region) usable(c *conn) {
	r.mu.Lock()
	before, via := r.current, ""
	if p := r.path.Load(); before == nil && p != nil && r.s.o.Hooks.Relay != nil {
		via = p.peer
	}
	if before != nil || via != "" {
		// What goes the new way must not be there before what went the old one.
		c.held.Store(true)
	}
	r.current = c
	r.port.Distance.Store(c.distance.known)
	r.chooseLocked()
	r.mu.Unlock()
	r.s.changed()
	switch {
	case before != nil:
		before.leave(c)
	case via != "":
		r.s.o.Hooks.Relay.Fence(via, c.release)
	}
}

// release writes what waited for the end of the way before.
func (c *conn) release() {
	c.held.Store(false)
	c.tc.Flush()
}

// leave closes a connection that was replaced by next, when all that was sent on it
// has arrived, or after a while. From then on next is written to.
func (c *conn) leave(next *conn) {
	var once sync.Once
	c.tc.Locked(func() { c.retired = true })
	t := time.AfterFunc(handover, func() {
		once.Do(func() {
			// What is still on its way must not arrive behind what comes next.
			c.tc.Kill(&closing{reason: wire.ReasonClientClosed})
			next.release()
		})
	})
	c.fence(func() {
		t.Stop()
		once.Do(func() {
			next.release()
			c.Close(wire.ReasonClientClosed)
		})
	})
}

// lost is told of the end of an outbound connection.
func (r *region) lost(c *conn) {
	r.mu.Lock()
	used := r.current == c
	if used {
		r.current = nil
		r.chooseLocked()
	}
	r.mu.Unlock()
	if used {
		r.s.changed()
	}
}

// measured takes a new round trip over.
func (r *region) measured(c *conn, rtt time.Duration) {
	r.mu.Lock()
	news := c.distance.add(rtt) && r.current == c
	if news {
		r.port.Distance.Store(c.distance.known)
	}
	r.mu.Unlock()
	if news {
		r.s.changed()
	}
}

// peerLocked finds or makes what another gwd says.
func (r *region) peerLocked(id string) *peer {
	p := r.peers[id]
	if p == nil {
		r.nextLink++
		p = &peer{id: id, table: r.newTable(r.nextLink)}
		r.peers[id] = p
	}
	return p
}

// peerHas is told whether another gwd reaches the remote.
func (r *region) peerHas(id string, has bool, rtt time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !has && r.peers[id] == nil {
		return
	}
	p := r.peerLocked(id)
	p.has, p.rtt = has, rtt
	r.chooseLocked()
}

// peerGone forgets another gwd.
func (r *region) peerGone(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[id]
	if p == nil {
		return
	}
	delete(r.peers, id)
	p.has = false
	r.chooseLocked()
	p.table.setLive(false)
}

// learned notes addresses of the remote: instead of those learned before, or
// besides. It reports whether any is new.
func (r *region) learned(list []string, instead bool) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list = usableURLs(list)
	for _, u := range list {
		if !slices.Contains(r.urls, u) {
			news = true
		}
	}
	if instead {
		for _, u := range r.urls {
			if !slices.Contains(list, u) && !slices.Contains(r.former, u) {
				r.former = append(r.former, u)
			}
		}
		r.former = r.former[max(0, len(r.former)-maxFormer):]
		r.urls = slices.Clone(list)
	} else if news {
		for _, u := range list {
			if !slices.Contains(r.urls, u) && len(r.urls) < maxURLs {
				r.urls = append(r.urls, u)
			}
		}
	}
	for _, u := range r.urls {
		if h, _, err := net.SplitHostPort(u); err == nil && r.tlsName == "" && net.ParseIP(h) == nil {
			r.tlsName = h
		}
	}
	return news
}

// usableURLs are those of a list that can be dialed, as many as are worth it.
func usableURLs(list []string) (urls []string) {
	for _, u := range list {
		if len(urls) == maxURLs {
			break
		}
		if _, _, err := net.SplitHostPort(u); err == nil && len(u) <= maxName && !slices.Contains(urls, u) {
			urls = append(urls, u)
		}
	}
	return urls
}

// addresses are all known ones, as gossip carries them.
func (r *region) addresses() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.urls)
	if r.settings != nil {
		for _, u := range r.settings.URLs {
			if !slices.Contains(list, u.Host) {
				list = append(list, u.Host)
			}
		}
	}
	return list
}

// target is one address to dial.
type target struct {
	addr string
	user *url.Userinfo
	// serverName that the certificate must have.
	serverName string
	tls        *config.TLS
}

const maxFormer = 16

// targets lists what can be dialed, in random order, with avoid last.
func (r *region) targets(avoid string) []target {
	r.mu.Lock()
	defer r.mu.Unlock()
	tlsSet := r.s.set().Gateway.TLS
	var list []target
	if r.settings != nil {
		if r.settings.TLS != nil {
			tlsSet = r.settings.TLS
		}
		for _, u := range r.settings.URLs {
			list = append(list, target{addr: u.Host, user: u.User, serverName: u.Hostname(), tls: tlsSet})
			if r.tlsName == "" && net.ParseIP(u.Hostname()) == nil {
				r.tlsName = u.Hostname()
			}
		}
	}
	learned := func(u string) {
		if slices.ContainsFunc(list, func(t target) bool { return t.addr == u }) {
			return
		}
		host, _, err := net.SplitHostPort(u)
		if err != nil {
			return
		}
		if net.ParseIP(host) != nil && r.tlsName != "" {
			host = r.tlsName
		}
		list = append(list, target{addr: u, serverName: host, tls: tlsSet})
	}
	for _, u := range r.urls {
		learned(u)
	}
	shuffle(list)
	// What is not told any more is better than nothing, and comes last.
	for _, u := range r.former {
		learned(u)
	}
	if i := slices.IndexFunc(list, func(t target) bool { return t.addr == avoid }); i >= 0 {
		t := list[i]
		list = append(slices.Delete(list, i, i+1), t)
	}
	return list
}
