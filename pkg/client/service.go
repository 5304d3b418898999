package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
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

// Options of a Service. All but Log and Auth must be set.
type Options struct {
	Server   *link.Server
	Broker   *broker.Broker
	Registry *link.Registry
	// URLs are what clients are told of in connect_urls. Start adds this
	// listener's own.
	URLs *link.URLs
	// WebSocketURLs are the same for WebSocket clients; nil: there are no others.
	WebSocketURLs *link.URLs
	// Leafs takes over the WebSocket connections of leaf nodes, which come with a path
	// that ends in /leafnode, and returns at once; nil sends them away. MQTT is the
	// same for /mqtt.
	Leafs, MQTT func(*link.Upgraded)
	// Auth nil admits everybody.
	Auth auth.Authenticator
	// Penalties delay the answers to failed logins; nil: no delays.
	Penalties *auth.Penalties
	// Judge says what becomes of clients when those who may log in change; nil: nothing.
	Judge auth.Judge
	// Settings are those that it starts with; see Prepare.
	Settings *config.Config
	// Log nil logs nothing.
	Log *logging.Logger
	// FirstPing is when a client that has connected is pinged first, to learn its
	// round trip; up to a fifth of it is added at random. 0 is two seconds. The
	// ping interval is the most.
	FirstPing time.Duration
}

// Service is the client listener with its connections.
type Service struct {
	o    Options
	log  *logging.Logger
	set  atomic.Pointer[terms] // a connection keeps those that it was told of last
	rate rateLimit

	ln  *link.Listener
	web *webDoor // nil: no WebSocket listener

	open     atomic.Int64
	lame     atomic.Bool
	changed  chan struct{} // the addresses that clients are told of
	done     chan struct{}
	finished sync.WaitGroup

	mu      sync.Mutex
	closing bool

	counters counters
}

// counters are written at rare events only.
type counters struct {
	slowPending, slowWrite, slowEvents atomic.Int64
	stale, authFailed                  atomic.Int64
	denied, noResponders               atomic.Int64
}

// Stats are counts since the start.
type Stats struct {
	// SlowConsumers were closed for it, or flagged with write_timeout: retry.
	SlowConsumers int64
	SlowPending   int64
	SlowWrite     int64
	Stale         int64
	AuthFailures  int64
	// Denied are messages that their publisher may not publish, NoResponders requests that
	// were answered at once because nobody serves them.
	Denied       int64
	NoResponders int64
}

// Defaults for limits that the settings leave at zero.
const (
	defaultMaxPayload   = 1 << 20
	defaultMaxPending   = 64 << 20
	defaultPingInterval = 2 * time.Minute
	defaultPingMax      = 2
	defaultAuthTimeout  = 2 * time.Second
	defaultFirstPing    = 2 * time.Second
	defaultTLSTimeout   = 2 * time.Second
)

// New makes a Service; nothing is opened before Start.
func New(o Options) *Service {
	if o.Auth == nil {
		o.Auth = auth.Open{}
	}
	if o.Log == nil {
		o.Log = logging.Discard()
	}
	s := &Service{o: o, log: o.Log, changed: make(chan struct{}, 1), done: make(chan struct{})}
	orDefault(&s.o.FirstPing, defaultFirstPing)
	s.set.Store(s.newTerms(o.Settings))
	s.web = s.newWebDoor(o.Settings.WebSocket)
	return s
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Start listens and serves.
func (s *Service) Start() error {
	cl := &s.o.Settings.Client
	set := s.newTerms(s.o.Settings)
	if cl.TLS != nil {
		cfg, err := cl.TLS.Server()
		if err != nil {
			return fmt.Errorf("client listener: %w", err)
		}
		set.tls = cfg
		s.rate.set(cl.TLS.ConnectionRateLimit)
	}
	ln, err := link.Listen(cl.Host, cl.Port)
	if err != nil {
		return fmt.Errorf("client listener: %w; is another server running on that port?", err)
	}
	s.ln = ln
	own, err := s.advertise(set)
	if err != nil {
		ln.Close()
		return err
	}
	s.set.Store(set)
	s.o.URLs.SetOwn(own)
	s.o.URLs.Watch(func() {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	})
	if err := s.web.start(s); err != nil {
		s.Close()
		return err
	}
	s.finished.Add(1)
	go s.announce(s.changed, func(c *conn) bool { return c.web == nil })
	ln.Serve(s.serve, func(err error) { s.log.Errorf("Error accepting a client connection: %v", err) })
	s.log.Noticef("Listening for client connections on %s", ln.Addr())
	return nil
}

// Addr is the address that is listened on, nil before Start.
func (s *Service) Addr() *net.TCPAddr {
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr()
}

// TLSRequired and the like are what monitoring shows of the listener.
func (s *Service) TLSRequired() bool {
	set := s.set.Load()
	return set.tls != nil && !set.config.Client.AllowNonTLS
}

// AuthRequired tells whether clients must authenticate.
func (s *Service) AuthRequired() bool { return s.set.Load().policy.Required }

// Stats returns the counts since the start.
func (s *Service) Stats() Stats {
	p, w := s.counters.slowPending.Load(), s.counters.slowWrite.Load()
	return Stats{
		SlowConsumers: p + w + s.counters.slowEvents.Load(), SlowPending: p, SlowWrite: w,
		Stale: s.counters.stale.Load(), AuthFailures: s.counters.authFailed.Load(),
		Denied: s.counters.denied.Load(), NoResponders: s.counters.noResponders.Load(),
	}
}

// Kick closes the connection with this id. It reports whether there is one.
func (s *Service) Kick(id uint64) bool {
	c := s.o.Registry.Get(id)
	if c == nil {
		return false
	}
	c.Close(wire.ReasonKicked)
	return true
}

// ErrNotReady: the client can't be sent an INFO, because there is none of that
// id, it has not sent its first PING, or its protocol is 0.
var ErrNotReady = errors.New("no such client, or it can't take an INFO")

// LameDuck tells one client that it had better go elsewhere.
func (s *Service) LameDuck(id uint64) error {
	c, ok := s.o.Registry.Get(id).(*conn)
	if !ok || !c.sendInfo(true) {
		return ErrNotReady
	}
	return nil
}

// announce sends INFO to all clients of a listener each time their addresses have
// changed.
func (s *Service) announce(changed chan struct{}, of func(*conn) bool) {
	defer s.finished.Done()
	for {
		select {
		case <-s.done:
			return
		case <-changed:
		}
		if !s.lame.Load() {
			s.eachClient(func(c *conn) {
				if of(c) {
					c.sendInfo(false)
				}
			})
		}
	}
}

func (s *Service) eachClient(f func(*conn)) {
	for _, x := range s.o.Registry.Open() {
		if c, ok := x.(*conn); ok {
			f(c)
		}
	}
}

// register takes a new connection on, unless the Service is closing.
func (s *Service) register(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.lame.Load() {
		return false
	}
	limit := s.set.Load().limits.MaxConnections
	n := s.open.Add(1)
	c.over = limit < 0 || limit > 0 && n > int64(limit)
	s.o.Registry.Add(c)
	s.finished.Add(1) // end is done
	return true
}

// Drain is the lame duck mode (client-protocol 20): no new connections, clients
// are told, and after grace they are closed one by one over the rest of
// duration. It returns when none is left or ctx ends; Close is still to be called.
func (s *Service) Drain(ctx context.Context, duration, grace time.Duration) {
	s.mu.Lock()
	s.lame.Store(true)
	s.mu.Unlock()
	if s.ln != nil {
		s.ln.Close()
	}
	s.o.URLs.Withhold()
	s.web.shut()
	if s.open.Load() == 0 {
		return
	}
	s.eachClient(func(c *conn) { c.sendInfo(true) })
	if !link.Sleep(ctx, grace) {
		return
	}
	s.log.Noticef("Closing existing clients")
	var all []*conn
	s.eachClient(func(c *conn) { all = append(all, c) })
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	s.closeSpread(ctx, all, duration-grace)
}

// closeSpread closes connections one by one over a time, at most a second apart,
// several at once where that would be less than a millisecond. The clock says how
// many are due, so that the last is closed in time however long each takes. Nobody
// waits for clients that have gone by themselves.
func (s *Service) closeSpread(ctx context.Context, all []*conn, over time.Duration) {
	gap := min(over/time.Duration(max(len(all), 1)), time.Second)
	pace := max(gap, time.Millisecond)
	began := time.Now()
	for closed := 0; closed < len(all); {
		due := len(all)
		if gap > 0 {
			due = min(due, max(closed+1, 1+int(time.Since(began)/gap)))
		}
		for ; closed < due; closed++ {
			all[closed].Close(wire.ReasonServerShutdown)
		}
		for closed < len(all) && all[closed].isEnding() {
			closed++
		}
		if closed < len(all) && !link.Sleep(ctx, pace/2+rand.N(pace/2+1)) {
			return
		}
	}
}

// Close closes the listener and all connections, without a word to them but what
// waits for them, and waits for their goroutines: about two seconds at most. It may be called more than once, and without Start.
func (s *Service) Close() {
	s.mu.Lock()
	again := s.closing
	s.closing = true
	s.mu.Unlock()
	if !again {
		close(s.done)
	}
	if s.ln != nil {
		s.ln.Close()
	}
	s.web.abort()
	// What lies in their queues was accepted: it is still written, for a short time.
	s.eachClient(func(c *conn) { c.shut(wire.ReasonServerShutdown, "") })
	if s.ln != nil {
		s.ln.Wait()
	}
	s.web.wait()
	s.finished.Wait()
}

// serve runs one connection to its end, on its goroutine.
func (s *Service) serve(nc net.Conn) {
	c, err := s.newConn(nc)
	if err != nil {
		nc.Close()
		s.log.Errorf("Error setting up a client connection: %v", err)
		return
	}
	if !s.register(c) {
		c.unbind()
		c.t.Close()
		return
	}
	c.run()
}

func (s *Service) newConn(nc net.Conn) (*conn, error) {
	c := &conn{s: s, id: s.o.Broker.NextID()}
	t, err := c.transport(nc)
	if err != nil {
		return nil, err
	}
	c.init(t)
	return c, nil
}

func (c *conn) transport(nc net.Conn) (*transport.Conn, error) {
	l := &c.s.set.Load().limits
	return transport.New(nc, transport.Options{
		MaxPending: l.MaxPending, WriteDeadline: l.WriteDeadline,
		WriteRetry: l.WriteTimeout == config.WriteTimeoutRetry, OnSlow: c.slow, Poller: c.s.o.Server.Poller,
	})
}

// rateLimit counts events in each second.
type rateLimit struct {
	mu    sync.Mutex
	limit int // 0: none
	since time.Time
	n     int
}

func (r *rateLimit) set(limit int) {
	r.mu.Lock()
	r.limit = limit
	r.mu.Unlock()
}

func (r *rateLimit) allow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limit <= 0 {
		return true
	}
	if now := time.Now(); now.Sub(r.since) >= time.Second {
		r.since, r.n = now, 0
	}
	r.n++
	return r.n <= r.limit
}

// advertise finds what INFO says of this listener, and returns what clients elsewhere
// may be told of it.
func (s *Service) advertise(set *terms) ([]string, error) {
	cl := &set.config.Client
	host, port := cl.Host, s.ln.Addr().Port
	own := ownAddresses(host, port)
	if cl.Advertise != "" {
		var err error
		if host, port, err = splitAdvertise(cl.Advertise, port); err != nil {
			return nil, fmt.Errorf("client advertise %q: %w", cl.Advertise, err)
		}
		own = []string{net.JoinHostPort(host, strconv.Itoa(port))}
	}
	set.base = s.baseInfo(set, host, port)
	return own, nil
}

func splitAdvertise(a string, port int) (string, int, error) {
	host, p, err := net.SplitHostPort(a)
	if err != nil {
		// Without a port.
		a = net.JoinHostPort(strings.Trim(a, "[]"), "0")
		if host, p, err = net.SplitHostPort(a); err != nil {
			return "", 0, err
		}
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		return "", 0, err
	}
	if n > 0 {
		port = n
	}
	return host, port, nil
}

// ownAddresses are those of the interfaces when all are listened on.
func ownAddresses(host string, port int) []string {
	p := strconv.Itoa(port)
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return []string{net.JoinHostPort(host, p)}
	}
	var own []string
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if ok && n.IP.IsGlobalUnicast() {
			own = append(own, net.JoinHostPort(n.IP.String(), p))
		}
	}
	if len(own) == 0 {
		own = []string{net.JoinHostPort(host, p)}
	}
	return own
}
