package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Service is the gateway connections of one process.
type Service struct {
	state     atomic.Pointer[state]
	o         Options
	log       *logging.Logger
	name      string // of our cluster
	oldHash   string
	reachable string // our host when we listen on all addresses

	lis     *link.Listener
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	leaving atomic.Bool
	gate    atomic.Bool   // inbound connections are let in
	ready   chan struct{} // closed by Open

	// mu comes before a region's.
	mu      sync.Mutex
	opened  bool
	closing bool
	byName  map[string]*region
	conns   map[*conn]struct{}

	byHash  atomic.Pointer[map[[6]byte]*region]
	filters atomic.Pointer[map[*broker.Account]*Filter]
	remotes atomic.Pointer[[]wire.RemoteCluster]
}

// New makes a Service; nothing is opened before Start.
func New(o Options) (*Service, error) {
	o.fill()
	if o.Server == nil || o.Broker == nil || o.Settings == nil {
		return nil, errors.New("gateway: Server, Broker and Settings are required")
	}
	s := &Service{
		o: o, log: o.Log, name: o.Settings.Name, oldHash: wire.OldGatewayHash(o.Settings.Name),
		byName: make(map[string]*region), conns: make(map[*conn]struct{}),
		ready: make(chan struct{}),
	}
	if !validName(s.name) {
		return nil, fmt.Errorf("gateway name %q: want a name without blanks, of at most %d bytes", s.name, maxName)
	}
	set := newState(o.Settings, o.ConnectErrorReports, o.ReconnectErrorReports, config.Limits{PingInterval: o.PingInterval, PingMax: o.PingMax, MaxPayload: int64(o.MaxPayload)})
	if t := o.Settings.TLS; t != nil {
		cfg, err := t.Server()
		if err != nil {
			return nil, fmt.Errorf("gateway tls: %w", err)
		}
		set.serverTLS = cfg
	}
	s.state.Store(set)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.byHash.Store(&map[[6]byte]*region{})
	s.filters.Store(&map[*broker.Account]*Filter{})
	s.remotes.Store(new([]wire.RemoteCluster))
	for i := range o.Settings.Remotes {
		set := &o.Settings.Remotes[i]
		if set.Name == s.name {
			continue
		}
		r := s.region(set.Name, true)
		if r == nil {
			return nil, fmt.Errorf("gateway remote %q: want a name without blanks, of at most %d bytes, and at most %d remotes",
				set.Name, maxName, maxRegions)
		}
		r.settings = set
	}
	return s, nil
}

// Start takes the port. Nobody is let in and nobody is dialed before Open.
func (s *Service) Start() error {
	set := s.set().Gateway
	lis, err := link.Listen(set.Host, set.Port)
	if err != nil {
		return fmt.Errorf("gateway listener: %w", err)
	}
	s.lis = lis
	global := true
	s.reachable, global = reachableHost()
	host, port := s.address()
	if host == s.reachable && !global {
		s.log.Errorf("No address for other regions to reach this gateway at: set gateway.advertise; using %s", host)
	}
	s.o.URLs.SetOwn([]string{net.JoinHostPort(host, fmt.Sprint(port))})
	s.o.URLs.Watch(s.urlsChanged)
	lis.Serve(s.accept, func(err error) { s.log.Errorf("Gateway accept error: %v", err) })
	return nil
}

// Open lets remotes in and dials the configured ones. To be called when the
// interest of our cluster is known: remotes would else take it for empty.
func (s *Service) Open() {
	s.mu.Lock()
	if s.opened || s.closing {
		s.mu.Unlock()
		return
	}
	s.opened = true
	s.mu.Unlock()
	s.gate.Store(true)
	close(s.ready)
	s.log.Noticef("Gateway name is %s", s.name)
	s.log.Noticef("Listening for gateways connections on %s", s.lis.Addr())
	for _, r := range s.regions() {
		r.dial()
	}
}

// Admit stops letting remotes in, or starts again. Connections that are there
// stay.
func (s *Service) Admit(on bool) { s.gate.Store(on) }

// Dismiss closes all inbound connections, for remotes to dial another gwd.
func (s *Service) Dismiss() {
	for _, c := range s.list(inbound) {
		c.Close(wire.ReasonServerShutdown)
	}
}

func (s *Service) accepting() bool { return s.gate.Load() && !s.leaving.Load() }

// Addr is the address that is listened on, nil before Start.
func (s *Service) Addr() *net.TCPAddr {
	if s.lis == nil {
		return nil
	}
	return s.lis.Addr()
}

// Quit lets nobody in any more and tells remotes nothing more of our cluster.
func (s *Service) Quit() { s.leaving.Store(true) }

// Close ends all connections and waits for their goroutines.
func (s *Service) Close() {
	s.Quit()
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.closing = true
	open := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	s.cancel()
	if s.lis != nil {
		s.lis.Close()
	}
	for _, c := range open {
		c.Close(wire.ReasonServerShutdown)
	}
	s.wg.Wait()
	if s.lis != nil {
		s.lis.Wait()
	}
	for _, r := range s.regions() {
		r.mu.Lock()
		for id := range r.peers {
			r.peers[id].has = false
		}
		r.chooseLocked()
		r.mu.Unlock()
	}
}

// track notes a connection from before its opening; false when it is too late.
func (s *Service) track(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Service) untrack(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// list returns the registered connections of one direction.
func (s *Service) list(dir direction) []*conn {
	var list []*conn
	for _, x := range s.o.Registry.Open() {
		if c, ok := x.(*conn); ok && c.dir == dir {
			list = append(list, c)
		}
	}
	return list
}

func (s *Service) hasInbound(name string) bool {
	return slices.ContainsFunc(s.list(inbound), func(c *conn) bool { return c.name == name })
}

func (s *Service) infoLimit() time.Duration { return infoTimeout }

// pause sleeps, and reports false when the service closes meanwhile.
func (s *Service) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return s.ctx.Err() == nil
	case <-s.ctx.Done():
		return false
	}
}

// region finds a remote; add makes it if it is not there and there are not too many.
func (s *Service) region(name string, add bool) *region {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byName[name]
	if r == nil && add && len(s.byName) < maxRegions && validName(name) {
		r = s.newRegion(name)
		s.byName[name] = r
		m := make(map[[6]byte]*region, len(s.byName))
		for _, x := range s.byName {
			m[x.hash] = x
		}
		s.byHash.Store(&m)
	}
	return r
}

// validName tells whether a region may have this name: it stands between blanks on lines.
func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

func (s *Service) regions() []*region {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*region, 0, len(s.byName))
	for _, r := range s.byName {
		list = append(list, r)
	}
	return list
}

// known tells whether a remote is configured.
func (s *Service) known(name string) bool {
	r := s.region(name, false)
	return r != nil && r.configured()
}

// outgoing is the filter of an account for messages that leave.
func (s *Service) outgoing(a *broker.Account) *Filter {
	m := *s.filters.Load()
	f, ok := m[a]
	if !ok {
		f = s.addFilter(a)
	}
	return f
}

func (s *Service) addFilter(a *broker.Account) *Filter {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.filters.Load()
	next := make(map[*broker.Account]*Filter, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	f := s.o.Hooks.Outgoing(a.Name)
	next[a] = f
	s.filters.Store(&next)
	return f
}

// changed notes which remotes can be reached, and tells.
func (s *Service) changed() {
	var list []wire.RemoteCluster
	for _, r := range s.regions() {
		if r.live() != nil {
			list = append(list, wire.RemoteCluster{Name: r.name, RTT: r.port.Distance.Load()})
		}
	}
	slices.SortFunc(list, func(a, b wire.RemoteCluster) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	s.remotes.Store(&list)
	if f := s.o.Hooks.Changed; f != nil {
		f()
	}
}

// Remotes lists the remotes to which this process has a connection, with their
// distance. It takes no lock.
func (s *Service) Remotes() []wire.RemoteCluster { return *s.remotes.Load() }

// Known lists the remotes to which this process has a connection, with all addresses
// that are known of them.
func (s *Service) Known() (list []KnownRemote) {
	for _, r := range s.regions() {
		if r.live() != nil {
			list = append(list, KnownRemote{Name: r.name, URLs: r.addresses()})
		}
	}
	return list
}

// KnownRemote is a remote and its addresses.
type KnownRemote struct {
	Name string
	URLs []string
}

// Way is the port of the remote with this hash, nil if it is not known.
func (s *Service) Way(hash []byte) *broker.Port {
	if len(hash) != 6 {
		return nil
	}
	r := (*s.byHash.Load())[[6]byte(hash)]
	if r == nil {
		return nil
	}
	return &r.port
}

// Farthest is the longest round trip to a remote.
func (s *Service) Farthest() (d time.Duration) {
	for _, r := range s.Remotes() {
		d = max(d, time.Duration(r.RTT)*time.Microsecond)
	}
	return d
}

// PeerRemotes is told which remotes another gwd of our region reaches.
func (s *Service) PeerRemotes(peerID string, remotes []wire.RemoteCluster) {
	for _, rc := range remotes {
		if rc.Name == s.name {
			continue
		}
		if r := s.region(rc.Name, true); r != nil {
			r.peerHas(peerID, true, time.Duration(rc.RTT)*time.Microsecond)
		}
	}
	for _, r := range s.regions() {
		if !slices.ContainsFunc(remotes, func(x wire.RemoteCluster) bool { return x.Name == r.name }) {
			r.peerHas(peerID, false, 0)
		}
	}
}

// PeerGone is told that another gwd of our region is gone.
func (s *Service) PeerGone(peerID string) {
	for _, r := range s.regions() {
		r.peerGone(peerID)
	}
}

// PeerInterest is told of a remote's interest that another gwd has heard of.
func (s *Service) PeerInterest(peerID, remote string, a *broker.Account, subj, queue []byte, _ int32, add bool) {
	r := s.region(remote, remote != s.name)
	if r == nil {
		return
	}
	r.mu.Lock()
	t := r.peerLocked(peerID).table
	r.mu.Unlock()
	if add {
		t.put(a, subj, queue)
	} else {
		t.drop(a, subj, queue)
	}
}

// Targeted sends m, which another gwd passed on, to one remote; TargetedFlush
// writes what was sent.
func (s *Service) Targeted(remote string, m *broker.Msg) {
	if r := s.region(remote, false); r != nil {
		r.targeted(m)
	}
}

// TargetedFlush writes what Targeted queued.
func (s *Service) TargetedFlush() {
	for _, r := range *s.byHash.Load() {
		r.flushTargeted()
	}
}

// Fence calls done when everything that was queued for remotes up to now has
// arrived there, or its connection has ended.
func (s *Service) Fence(done func()) {
	var left atomic.Int32
	left.Store(1)
	one := func() {
		if left.Add(-1) == 0 {
			done()
		}
	}
	for _, c := range s.list(outbound) {
		left.Add(1)
		c.fence(one)
	}
	one()
}

// Leave ends inbound connections gently, before this process stops (gateways
// 18.11): gwds of other regions are asked to move, the others are closed one at a
// time with a pause between two. The outbound connections stay.
func (s *Service) Leave(ctx context.Context, spacing time.Duration) {
	s.leaving.Store(true)
	s.o.URLs.Withhold()
	in := s.info()
	line := wire.AppendInfo(nil, in)
	in.Move = true
	move := wire.AppendInfo(nil, in)
	for _, c := range s.list(inbound) {
		if c.ours() {
			c.tc.WriteFlush(move)
		} else {
			c.tc.WriteFlush(line)
		}
	}
	first := true
	for _, c := range s.list(inbound) {
		if c.ours() {
			continue
		}
		if !first && !link.Sleep(ctx, spacing) {
			return
		}
		first = false
		c.Close(wire.ReasonServerShutdown)
	}
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	for _, c := range s.list(inbound) {
		select {
		case <-c.done:
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		}
	}
}
