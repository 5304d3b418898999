package leaf

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Service is the leaf links of one process. Make it with New.
type Service struct {
	opts     Options
	state    atomic.Pointer[state]
	gate     gate
	random   func(time.Duration) time.Duration // uniform in [0, n]
	failBack time.Duration                     // until a remote looks for its preferred hub again

	ln   *link.Listener
	host string // as told in INFO
	port int

	toldURLs atomic.Int64 // counts changes of the addresses that leaf nodes are told

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	conns    map[*conn]struct{}
	accounts map[string]*account
	remotes  []*remote
	started  bool
	closed   bool
	draining bool
}

// New returns a Service that does nothing yet.
func New(o Options) *Service {
	if o.Auth == nil {
		o.Auth = auth.Open{}
	}
	if o.Log == nil {
		o.Log = logging.Discard()
	}
	s := &Service{opts: o, conns: make(map[*conn]struct{}), accounts: make(map[string]*account)}
	s.state.Store(o.state(o.Settings, o.Limits, o.ConnectReports, o.ReconnectReports))
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.random, s.failBack = random, defaultFailBack
	s.gate.limit = o.MaxHandshakes
	if t := s.set().TLS; t != nil {
		s.gate.rate = t.ConnectionRateLimit
	}
	if s.gate.limit <= 0 {
		s.gate.limit = handshakesPerCPU * runtime.GOMAXPROCS(0)
	}
	for i := range s.set().Remotes {
		s.remotes = append(s.remotes, newRemote(s, &s.set().Remotes[i]))
	}
	return s
}

// Start opens the listener, if there is to be one, and begins to dial.
func (s *Service) Start() error {
	if s.set().Enabled() {
		if err := s.listen(); err != nil {
			return err
		}
	}
	if err := checkRemotes(s.set().Remotes); err != nil {
		return err
	}
	s.mu.Lock()
	s.started = true
	for _, r := range s.remotes {
		s.dialLocked(r)
	}
	s.mu.Unlock()
	if s.opts.LeafURLs != nil {
		s.opts.LeafURLs.Watch(s.tellURLs)
	}
	s.opts.Server.OnCluster(func(string) { s.renamed() })
	return nil
}

func (s *Service) listen() error {
	next := new(state)
	*next = *s.set()
	if t := s.set().TLS; t != nil {
		cfg, err := t.Server()
		if err != nil {
			return fmt.Errorf("leafnodes: %w", err)
		}
		cfg.DynamicRecordSizingDisabled = true
		next.tls = cfg
	}
	ln, err := link.Listen(s.set().Host, s.set().Port)
	if err != nil {
		return err
	}
	s.ln = ln
	s.host, s.port = ln.Addr().IP.String(), ln.Addr().Port
	if ln.Addr().IP.IsUnspecified() {
		s.host = reachable()
	}
	next.address = s.addressOf(next)
	if next.Advertise != "" {
		s.opts.Log.Noticef("Advertise address for leafnode is set to %s", next.address)
	}
	s.state.Store(next)
	if u := s.opts.LeafURLs; u != nil && !s.set().NoAdvertise {
		u.SetOwn([]string{s.set().address})
	}
	s.opts.Log.Noticef("Listening for leafnode connections on %s", net.JoinHostPort(s.set().Host, strconv.Itoa(s.port)))
	ln.Serve(s.accept, func(err error) { s.opts.Log.Errorf("Error accepting leaf nodes: %v", err) })
	return nil
}

// reachable is the first address of an interface that is not loopback.
func reachable() string {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

// Addr is where leaf nodes are listened for, nil without a listener.
func (s *Service) Addr() *net.TCPAddr {
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr()
}

// Close ends everything and waits for it.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	all := s.openLocked()
	s.mu.Unlock()
	s.cancel()
	if s.ln != nil {
		s.ln.Close()
	}
	for _, l := range all {
		l.Close(wire.ReasonServerShutdown)
	}
	s.wg.Wait()
	if s.ln != nil {
		s.ln.Wait()
	}
}

func (s *Service) openLocked() []*conn {
	all := make([]*conn, 0, len(s.conns))
	for l := range s.conns {
		all = append(all, l)
	}
	return all
}

func (s *Service) open() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openLocked()
}

// Retry makes remotes that wait dial at once: the network has changed, or what they
// prove themselves with.
func (s *Service) Retry() {
	for _, r := range s.remoteList() {
		r.retry()
	}
}

// Links is the state of each remote, up or down.
func (s *Service) Links() []RemoteStatus {
	var all []RemoteStatus
	for _, r := range s.remoteList() {
		all = append(all, r.status())
	}
	return all
}

var errClosing = errors.New("server is shutting down")

// newConn makes the link of a socket, with r nil if the peer dialed.
func (s *Service) newConn(nc net.Conn, r *remote) (*conn, error) { return s.newLink(nc, nil, r) }

// newLink is newConn with u, the upgrade, if the peer dialed by WebSocket.
func (s *Service) newLink(nc net.Conn, u *link.Upgraded, r *remote) (*conn, error) {
	keepAlive(nc)
	l := &conn{svc: s, id: s.opts.Broker.NextID(), remote: r, rtt: kernelRTT(nc), asked: make(chan struct{}, 1)}
	if r == nil {
		l.nonce = wire.NewNonce()
	}
	l.log = s.opts.Log.WithPrefix(l.logPrefix(nc, u))
	l.rules.Store(&rules{})
	c, err := u.Transport(nc, transport.Options{
		Poller:        s.opts.Server.Poller,
		WriteDeadline: s.set().WriteDeadline,
		WriteRetry:    s.set().WriteTimeout != config.WriteTimeoutClose,
		OnSlow:        func() { l.log.RateLimitedWarnf("Slow Consumer Detected: the other side takes data slowly") },
	})
	if err != nil {
		return nil, err
	}
	l.c, l.from = c, c.RemoteAddr()
	if u != nil {
		if u.Remote != nil {
			l.from = u.Remote
		}
		l.web = &web{codec: u.Codec, mapCertificate: u.MapCertificate}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.draining && r == nil {
		return nil, errClosing
	}
	s.conns[l] = struct{}{}
	return l, nil
}

func (s *Service) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

func (s *Service) forget(l *conn) {
	s.mu.Lock()
	delete(s.conns, l)
	s.mu.Unlock()
}

func (l *conn) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

// account finds or makes what links of an account share.
func (s *Service) account(name string) *account {
	a := s.opts.Broker.Account(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	acct := s.accounts[name]
	if acct == nil {
		acct = newAccount(a)
		s.accounts[name] = acct
	}
	return acct
}

// ownCluster is the cluster's name towards peers: a server alone that dials hubs is a cluster
// of one by its own name (leafnodes 2.3).
func (s *Service) ownCluster() string {
	if name, _ := s.opts.Server.Cluster(); name != "" || len(s.set().Remotes) == 0 {
		return name
	}
	return s.opts.Server.Name
}

func (s *Service) maxPayload() int64 {
	switch p := s.set().limits.MaxPayload; {
	case p < 0:
		return math.MaxInt32
	case p == 0:
		return defaultMaxPayload
	default:
		return min(p, math.MaxInt32)
	}
}

const defaultMaxPayload = 1 << 20

// leafURLs is never empty while there is a listener: old leaf nodes take INFO without it
// for that of another port.
func (s *Service) leafURLs() []string {
	if u := s.opts.LeafURLs; u != nil && !s.set().NoAdvertise {
		if all := u.All(); len(all) > 0 {
			return all
		}
	}
	if s.set().address == "" {
		return nil
	}
	return []string{s.set().address}
}

// tellURLs tells leaf nodes that the members of the cluster have changed.
func (s *Service) tellURLs() {
	if s.ln == nil || s.set().NoAdvertise {
		return
	}
	s.toldURLs.Add(1)
	info := s.listenInfo()
	line := wire.AppendInfo(nil, &info)
	for _, l := range s.open() {
		if l.remote == nil && l.isUp() {
			l.c.WriteFlush(line)
		}
	}
}

// catchUp tells a leaf node what tellURLs told the others while its link opened.
func (l *conn) catchUp() {
	if l.remote == nil && l.svc.toldURLs.Load() != l.toldURLs {
		info := l.svc.listenInfo()
		l.c.WriteFlush(wire.AppendInfo(nil, &info))
	}
}

// renamed ends links that were opened under another cluster name.
func (s *Service) renamed() {
	for _, l := range s.open() {
		if l.remote != nil {
			l.stop(&ending{reason: wire.ReasonClusterNameConflict, cause: causeMoved})
		}
	}
}

var _ broker.Watcher = (*conn)(nil)
