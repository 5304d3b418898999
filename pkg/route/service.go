package route

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Service is the routes of one process.
type Service struct {
	o     Options
	state atomic.Pointer[state]

	lis      *link.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	stopHook func()

	border       *border // at a hub
	recent       recency // at a gwd
	watchdog     *link.Watchdog
	advertise    atomic.Bool
	targeted     atomic.Uint64 // GMSG received
	sentTargeted atomic.Uint64
	peerFences   sync.Map // id -> func(), see FencePeer

	// mu guards the tables below and those of the peers. Nothing is written to a
	// connection, and no account is locked, while it is held.
	mu       sync.Mutex
	peers    map[string]*peer
	conns    map[*conn]struct{}
	targets  []*target // explicit ones
	started  bool
	changing bool               // routes are made anew: none opens
	implicit map[string]*target // by host and port
	closing  bool
	lameDuck bool
	changed  chan struct{} // closed and replaced at each change

	// Copies of peers for the message path.
	byHash atomic.Pointer[map[[6]byte]*peer]
	byID   atomic.Pointer[map[string]*peer]
}

// New prepares the routes of a process; Start opens them.
func New(o Options) (*Service, error) {
	o.fill()
	if o.Server == nil || o.Broker == nil || o.Settings == nil {
		return nil, errors.New("route: Server, Broker and Settings are required")
	}
	s := &Service{
		o: o, peers: make(map[string]*peer), conns: make(map[*conn]struct{}),
		implicit: make(map[string]*target), changed: make(chan struct{}),
	}
	set, err := s.newState(o.Settings, o.ConnectErrorReports, o.ReconnectErrorReports, o.MaxPayload)
	if err != nil {
		return nil, err
	}
	if set.TLS != nil {
		if set.serverTLS, err = set.TLS.Server(); err != nil {
			return nil, fmt.Errorf("cluster tls: %w", err)
		}
	}
	s.state.Store(set)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.indexLocked()
	s.advertise.Store(true)
	if o.Role == Hub {
		s.border = newBorder(s)
	}
	return s, nil
}

// Start listens, if a port is set, and begins to dial the configured routes.
func (s *Service) Start() error {
	set := s.set().Cluster
	if set.Enabled() {
		lis, err := link.Listen(set.Host, set.Port)
		if err != nil {
			return fmt.Errorf("routes: %w", err)
		}
		s.lis = lis
	}
	limit := ownPing * time.Duration(s.set().pingMax)
	if s.o.Role == BorderRole {
		limit = s.o.BorderPing * time.Duration(s.o.BorderPingMax)
	}
	s.watchdog = link.NewWatchdog(max(limit, leastSuspension), s.suspended)
	s.stopHook = s.o.Broker.EachAccount(s.newAccount)
	if s.lis != nil {
		s.lis.Serve(s.accept, func(err error) { s.o.Log.Errorf("Route accept error: %v", err) })
		s.o.Log.Noticef("Listening for route connections on %s", s.lis.Addr())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	s.retargetLocked(set.Routes)
	return nil
}

// Addr is the address that is listened on, nil without a listener.
func (s *Service) Addr() *net.TCPAddr {
	if s.lis == nil {
		return nil
	}
	return s.lis.Addr()
}

// Close ends all routes and waits for their goroutines.
func (s *Service) Close() {
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
	s.bumpLocked()
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
	if s.stopHook != nil {
		s.stopHook()
	}
	if s.border != nil {
		s.border.stop()
	}
	s.recent.stop()
	if s.watchdog != nil {
		s.watchdog.Stop()
	}
}

// suspended ends all routes of a process that was stopped for so long that its peers
// have given it up: a gwd's hubs have chosen another.
func (s *Service) suspended() {
	s.o.Log.Warnf("This process was suspended: its routes are made anew")
	s.mu.Lock()
	open := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		c.Close(wire.ReasonStale)
	}
}

// LameDuck tells each peer that this process takes no new clients any more and
// will be gone before long.
func (s *Service) LameDuck() {
	s.mu.Lock()
	s.lameDuck = true
	s.mu.Unlock()
	s.tellAll(func(p *peer) *info {
		in := s.info()
		in.PoolSize = s.poolWith(p.role)
		return in
	})
}

// tellAll sends an INFO on one connection of each peer. f returns nil to leave
// one out.
func (s *Service) tellAll(f func(p *peer) *info) {
	for _, p := range s.peerList() {
		if c := p.speaker(); c != nil {
			if in := f(p); in != nil {
				c.tc.WriteFlush(wire.AppendInfo(nil, in))
			}
		}
	}
}

func (s *Service) peerList() []*peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*peer, 0, len(s.peers))
	for _, p := range s.peers {
		list = append(list, p)
	}
	return list
}

// bumpLocked wakes whoever waits for a change of the tables.
func (s *Service) bumpLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// newAccount is called for each account there is and will be.
func (s *Service) newAccount(a *broker.Account) {
	for _, p := range s.peerList() {
		p.carry(a)
	}
	if s.border != nil {
		s.border.newAccount(a)
	}
}

// WaitSynced waits until the interest of every configured peer is known: each of
// its connections is up and has answered the PING behind our INFO. Peers that
// turn out to be this process itself do not count. It returns ctx's error if
// that ends first, with the addresses that are missing.
func (s *Service) WaitSynced(ctx context.Context) error {
	for {
		s.mu.Lock()
		missing := s.unsyncedLocked()
		changed := s.changed
		closing := s.closing
		s.mu.Unlock()
		if len(missing) == 0 {
			return nil
		}
		if closing {
			return errShutdown
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for routes to %s: %w", strings.Join(missing, ", "), ctx.Err())
		}
	}
}

// Missing lists the configured routes that are not complete; for readiness.
func (s *Service) Missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unsyncedLocked()
}

func (s *Service) unsyncedLocked() (missing []string) {
	for _, t := range s.targets {
		if t.self {
			continue
		}
		if p := s.peers[t.id]; p == nil || !p.completeLocked(true) {
			missing = append(missing, t.url.Host)
		}
	}
	return missing
}

// PortForServer finds the connection that carries a to the server whose id has
// the hash; nil if there is none.
func (s *Service) PortForServer(a *broker.Account, serverHash []byte) *broker.Port {
	if len(serverHash) != 6 {
		return nil
	}
	p := (*s.byHash.Load())[[6]byte(serverHash)]
	if p == nil {
		return nil
	}
	if c := p.table.Load().carrier(a.Name, p.remotePool); c != nil {
		return c.port
	}
	return nil
}

// indexLocked rebuilds the copies of peers.
func (s *Service) indexLocked() {
	ids := maps.Clone(s.peers)
	s.byID.Store(&ids)
	m := make(map[[6]byte]*peer, len(s.peers))
	for _, p := range s.peers {
		m[p.hash] = p
	}
	s.byHash.Store(&m)
}
