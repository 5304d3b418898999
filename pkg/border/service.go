package border

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
	"github.com/banyanmq/banyan/pkg/gateway"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/route"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Options of a Service. Server, Broker and Config are required; Config must have a
// cluster and a gateway block.
type Options struct {
	Server *link.Server
	Broker *broker.Broker
	Config *config.Config
	Log    *logging.Logger

	Routes      *link.Registry
	Gateways    *link.Registry
	GatewayURLs *link.URLs

	// Tune may change what the two sides are made of; for tests.
	Tune func(*route.Options, *gateway.Options)
}

// Routes is what a border needs of its routes. *route.Service implements it.
type Routes interface {
	route.Border
	Start() error
	Addr() *net.TCPAddr
	FenceHubs(done func())
	FencePeer(peerID string, done func())
	WaitSynced(ctx context.Context) error
	Missing() []string
	Prepare(ch *config.Change) (apply func(), err error)
	Close()
}

// Service is the border of one process.
type Service struct {
	o        Options
	log      *logging.Logger
	set      config.Border
	routes   Routes
	gateways *gateway.Service
	policies map[string]*policy
	replies  *replies
	owner    *owner // nil: every gwd announces

	window atomic.Int64 // how long a hub's interest is fresh
	hashes atomic.Pointer[map[string][6]byte]

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	peers  map[string]route.BorderState // other gwds
	missed time.Time                    // since when a hub is missing; zero: none
	wake   chan struct{}
	state  atomic.Pointer[route.BorderState]
	closed bool
}

const (
	leastWindow = 2 * time.Second
	// lookAround is how often a gwd looks which hubs are missing.
	lookAround = 500 * time.Millisecond
	fenceLimit = 2 * time.Second
)

type policy struct{ out, in *gateway.Filter }

// New makes the border of a process; Start opens it.
func New(o Options) (*Service, error) {
	if o.Server == nil || o.Broker == nil || o.Config == nil {
		return nil, errors.New("border: Server, Broker and Config are required")
	}
	if o.Config.Cluster == nil || o.Config.Gateway == nil {
		return nil, errors.New("border: the settings have no cluster or no gateway block")
	}
	if o.Log == nil {
		o.Log = logging.Discard()
	}
	if o.Routes == nil {
		o.Routes = link.NewRegistry(0)
	}
	if o.GatewayURLs == nil {
		o.GatewayURLs = new(link.URLs)
	}
	s := &Service{
		o: o, log: o.Log, set: o.Config.Border, policies: make(map[string]*policy),
		peers: make(map[string]route.BorderState), wake: make(chan struct{}, 1),
	}
	orDefault(&s.set.ReadyTimeout, config.DefaultBorderReadyTimeout)
	orDefault(&s.set.MissingHub, config.DefaultBorderMissingHub)
	orDefault(&s.set.CloseSpacing, config.DefaultBorderCloseSpacing)
	orDefault(&s.set.FenceTimeout, config.DefaultBorderFence)
	for _, p := range s.set.Policies {
		s.policies[p.Account] = &policy{out: gateway.NewFilter(p.Outgoing), in: gateway.NewFilter(p.Incoming)}
	}
	s.window.Store(int64(leastWindow))
	s.hashes.Store(&map[string][6]byte{})
	s.state.Store(&route.BorderState{Priority: s.set.Priority})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.build(); err != nil {
		return nil, err
	}
	return s, nil
}

func orDefault(v *time.Duration, d time.Duration) {
	if *v <= 0 {
		*v = d
	}
}

// build makes the two sides and ties them together.
func (s *Service) build() error {
	o, cfg := &s.o, s.o.Config
	ro := route.Options{
		Server: o.Server, Broker: o.Broker, Registry: o.Routes, Settings: cfg.Cluster, Role: route.BorderRole,
		Log: o.Log, GatewayURLs: o.GatewayURLs, MaxPayload: int32(cfg.Limits.MaxPayload),
		ConnectErrorReports: cfg.ConnectErrorReports, ReconnectErrorReports: cfg.ReconnectErrorReports,
		BorderPing: s.set.PingInterval, BorderPingMax: s.set.PingMax, FenceTimeout: s.set.FenceTimeout,
		Border: s.routeHooks(),
	}
	gw := gateway.Options{
		Server: o.Server, Broker: o.Broker, Registry: o.Gateways, Settings: cfg.Gateway, URLs: o.GatewayURLs,
		Log: o.Log, MaxPayload: int32(cfg.Limits.MaxPayload),
		PingInterval: cfg.Limits.PingInterval, PingMax: cfg.Limits.PingMax,
		ConnectErrorReports: cfg.ConnectErrorReports, ReconnectErrorReports: cfg.ReconnectErrorReports,
		Hooks: s.gatewayHooks(),
	}
	if o.Tune != nil {
		o.Tune(&ro, &gw)
	}
	routes, err := route.New(ro)
	if err != nil {
		return err
	}
	s.routes = routes
	if s.gateways, err = gateway.New(gw); err != nil {
		return err
	}
	s.replies = newReplies(s)
	if s.set.Mode == config.BorderSingleOwner {
		s.owner = newOwner(s)
		routes.Advertise(false)
	}
	o.Broker.Answers = broker.FromGateway
	o.Broker.SetWay(s.way)
	return nil
}

// routeHooks are called by the routes.
func (s *Service) routeHooks() *route.BorderHooks {
	return &route.BorderHooks{
		Remotes:   func() []wire.RemoteCluster { return s.gateways.Remotes() },
		State:     func() route.BorderState { return *s.state.Load() },
		PeerState: s.peerState,
		PeerRemotes: func(id string, list []wire.RemoteCluster) {
			s.gateways.PeerRemotes(id, list)
		},
		PeerGone: s.peerGone,
		PeerInterest: func(id, remote string, a *broker.Account, subj, queue []byte, w int32, add bool) {
			s.gateways.PeerInterest(id, remote, a, subj, queue, w, add)
		},
		Targeted:      func(remote string, m *broker.Msg) { s.gateways.Targeted(remote, m) },
		TargetedFlush: func() { s.gateways.TargetedFlush() },
		Fence:         func(done func()) { s.gateways.Fence(done) },
		GatewayGossip: func(name string, urls []string) { s.gateways.Learn(name, urls) },
		HubUp: func(id string, aware bool) {
			s.replies.hubUp(id, aware)
			s.look()
		},
		HubGone: func(id string) {
			s.replies.hubGone(id)
			s.look()
		},
	}
}

// gatewayHooks are called by the gateways.
func (s *Service) gatewayHooks() gateway.Hooks {
	return gateway.Hooks{
		Outgoing: func(account string) *gateway.Filter {
			if p := s.policies[account]; p != nil {
				return p.out
			}
			return nil
		},
		Incoming: func(account string) *gateway.Filter {
			if p := s.policies[account]; p != nil {
				return p.in
			}
			return nil
		},
		MapReply:  s.mapReply,
		Arrived:   func(m *broker.Msg, _ string) { s.replies.arrived(m) },
		FenceHubs: func(done func()) { s.routes.FenceHubs(done) },
		Relay:     relay{s},
		Changed:   s.changed,
		Gossip:    func(name string, urls []string) { s.routes.GossipGateway(name, urls) },
		NameTaken: s.nameTaken,
		Uncounted: repliesOrigin,
	}
}

// relay is looked up late: the routes are made before the gateways.
type relay struct{ s *Service }

func (r relay) SendTargeted(peer, remote string, m *broker.Msg, groups [][]byte) bool {
	return r.s.routes.SendTargeted(peer, remote, m, groups)
}
func (r relay) FlushTargeted()                 { r.s.routes.FlushTargeted() }
func (r relay) Fence(peer string, done func()) { r.s.routes.FencePeer(peer, done) }

// way finds who a mapped reply is for: a server of ours, or another region.
func (s *Service) way(a *broker.Account, cluster, server []byte) *broker.Port {
	if string(cluster) != string(s.o.Broker.ClusterHash[:]) {
		return s.gateways.Way(cluster)
	}
	p := s.routes.PortForServer(a, server)
	if p != nil && s.routes.IsHub(p) && !s.routes.AwareHub(p) {
		// It does not know what the prefix means: interest brings the reply there.
		return nil
	}
	return p
}

// mapReply says where the reply to m must come back to, if interest can't be relied
// on to bring it there.
func (s *Service) mapReply(m *broker.Msg) (server [6]byte, ok bool) {
	if m.From.Class != broker.Route {
		return s.o.Broker.ServerHash, true
	}
	id, fresh := s.routes.FreshReply(m.From, m.Account, m.Reply, time.Duration(s.window.Load()))
	if !fresh {
		return server, false
	}
	if h, known := (*s.hashes.Load())[id]; known {
		return h, true
	}
	return s.addHash(id), true
}

func (s *Service) addHash(id string) (h [6]byte) {
	copy(h[:], wire.GatewayHash(id))
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.hashes.Load()
	next := make(map[string][6]byte, len(old)+1)
	if len(old) < 1024 { // servers of the past are forgotten once in a while
		for k, v := range old {
			next[k] = v
		}
	}
	next[id] = h
	s.hashes.Store(&next)
	return h
}

// changed is told that other regions are in reach than before, or farther away.
func (s *Service) changed() {
	s.window.Store(int64(max(leastWindow, 4*s.gateways.Farthest())))
	s.routes.AnnounceRemotes()
}

func (s *Service) nameTaken(name string) bool {
	for _, c := range s.o.Routes.Open() {
		if d, ok := c.Info(false).More.(route.Details); ok && d.RemoteName == name {
			return true
		}
	}
	return false
}

// peerState is told of another gwd's state.
func (s *Service) peerState(id string, st route.BorderState) {
	s.mu.Lock()
	_, known := s.peers[id]
	s.peers[id] = st
	s.mu.Unlock()
	if !known {
		for _, r := range s.gateways.Known() {
			s.routes.GossipGateway(r.Name, r.URLs)
		}
	}
	s.look()
}

func (s *Service) peerGone(id string) {
	s.mu.Lock()
	delete(s.peers, id)
	s.mu.Unlock()
	s.gateways.PeerGone(id)
	s.look()
}

// Start opens the border: it takes its ports and dials hubs at once, and other
// regions when the hubs' interest is known.
func (s *Service) Start() error {
	if err := s.gateways.Start(); err != nil {
		return err
	}
	if err := s.routes.Start(); err != nil {
		s.gateways.Close()
		return err
	}
	s.wg.Add(1)
	go s.watch()
	return nil
}

// watch opens the gateways when it is time, and looks after what depends on which
// hubs and gwds there are.
func (s *Service) watch() {
	defer s.wg.Done()
	ready, cancel := context.WithTimeout(s.ctx, s.set.ReadyTimeout)
	err := s.routes.WaitSynced(ready)
	cancel()
	if s.ctx.Err() != nil {
		return
	}
	if err != nil {
		s.log.Warnf("Opening the border without all hubs: %v", err)
	}
	s.gateways.Open()
	tick := time.NewTicker(lookAround)
	defer tick.Stop()
	for {
		s.review(time.Now())
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// look wakes watch.
func (s *Service) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// review judges whether remotes are let in, and who owns the border.
func (s *Service) review(now time.Time) {
	missing := s.routes.Missing()
	s.mu.Lock()
	switch {
	case len(missing) == 0:
		s.missed = time.Time{}
	case s.missed.IsZero():
		s.missed = now
	}
	long := !s.missed.IsZero() && now.Sub(s.missed) > s.set.MissingHub
	covered := false
	for _, st := range s.peers {
		for _, m := range missing {
			covered = covered || !slices.Contains(st.Missing, m)
		}
	}
	s.mu.Unlock()
	st := route.BorderState{Missing: missing}
	if s.owner == nil {
		s.gateways.Admit(!(long && covered))
	} else {
		// A remote's messages must come in where its interest is announced: the hubs'
		// answers go there.
		st.Priority = s.set.Priority
		st.Owner = s.owner.review(now, missing)
		s.gateways.Admit(st.Owner)
		if !st.Owner {
			s.gateways.Dismiss()
		}
	}
	old := s.state.Swap(&st)
	if old.Priority != st.Priority || old.Owner != st.Owner || !slices.Equal(old.Missing, st.Missing) {
		s.routes.AnnounceRemotes()
	}
}

// Addr is the address of the gateway listener, RouteAddr of that for routes.
func (s *Service) Addr() *net.TCPAddr { return s.gateways.Addr() }

// RouteAddr is the address of the listener for routes.
func (s *Service) RouteAddr() *net.TCPAddr { return s.routes.Addr() }

// Gateways is the gateway side, for monitoring.
func (s *Service) Gateways() *gateway.Service { return s.gateways }

// Drain stops gently (gateways 18.11): hubs move to other gwds, then remotes leave
// one by one, then what hubs sent is waited for. It returns when Close loses
// nothing any more, or when ctx ends.
func (s *Service) Drain(ctx context.Context) {
	s.log.Noticef("Leaving the border to other gwds")
	if s.owner != nil {
		s.owner.resign()
	}
	s.routes.Drain()
	// Hubs move each account by a fence, which may take them this long.
	if !link.Sleep(ctx, 2*s.set.FenceTimeout) {
		return
	}
	s.gateways.Leave(ctx, s.set.CloseSpacing)
	arrived := make(chan struct{})
	s.gateways.Fence(func() { close(arrived) })
	ctx, cancel := context.WithTimeout(ctx, fenceLimit)
	defer cancel()
	select {
	case <-arrived:
	case <-ctx.Done():
	}
}

// Close ends all connections and waits for their goroutines.
func (s *Service) Close() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	s.cancel()
	s.gateways.Quit()
	// Both at once: hubs and remotes alike shall look for another gwd now.
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		s.routes.Close()
	}()
	s.gateways.Close()
	s.wg.Wait()
	s.replies.stop()
}

// String is for the log.
func (s *Service) String() string { return fmt.Sprintf("border of %s", s.o.Config.Gateway.Name) }
