package system

import (
	"encoding/json"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nuid"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/tlsmaterial"
	"github.com/banyanmq/banyan/pkg/version"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Options of a Service. Server, Config, Broker and Reports are required.
type Options struct {
	Server  *link.Server
	Config  *config.Config
	Broker  *broker.Broker
	Reports *monitor.Reports

	// The connections that this daemon has; nil: none of that kind.
	Clients  *link.Registry
	Routes   *link.Registry
	Gateways *link.Registry
	Leafs    *link.Registry

	// Reach of what the service publishes; 0: broker.FromClient. A gwd gives
	// broker.FromClientAtBorder.
	Reach broker.Set

	// Draining is closed when the process begins to stop gently; nil: never.
	Draining <-chan struct{}

	// LameDuck tells one client that it had better go elsewhere; nil: refused.
	LameDuck func(cid uint64) error

	// TLS tells of peers that OCSP refuses; nil: of none.
	TLS *tlsmaterial.Keeper

	Log *logging.Logger
}

// The pace of what is published without being asked.
const (
	statszFirst = 250 * time.Millisecond // doubled each time up to statszMax
	statszMax   = 10 * time.Second
	statszGap   = time.Second            // between broadcasts
	connsDelay  = 250 * time.Millisecond // between counts
	connsGather = 5 * time.Millisecond
	connsEvery  = 30 * time.Second // while an account has connections
	pruneEvery  = 90 * time.Second
	forgetAfter = 150 * time.Second
)

// Service is the system account's voice. All fields below client belong to the
// client's goroutine, but for those that mu guards.
type Service struct {
	o Options
	// settings in force after a reload; nil: those of the start
	settings atomic.Pointer[config.Config]

	acc *broker.Account // nil: the settings want no system account

	mu      sync.Mutex
	client  *Client // nil before Start
	closing bool
	changed map[string]bool
	known   map[*broker.Account]bool // accounts whose users are served
	armed   bool                     // changed is going to be published
	told    time.Time                // when it was last
	stop    chan struct{}
	wg      sync.WaitGroup

	unwatch  func()
	answers  map[string]answer
	accounts map[string]func(account string) answer
	seq      uint64
	// Connections of accounts: of other servers by their id, accounts that these were
	// asked for, and what was ended here because there were too many.
	elsewhere map[string]map[string]connections
	tracked   map[string]bool
	shedding  map[uint64]*link.Registry
	counts    map[string]*count
	countID   uint64
	reloader  atomic.Pointer[func() error]
	// countInbox is where other servers send what they counted.
	countInbox string
	servers    map[string]*server
	statsz     struct {
		timer *time.Timer
		pace  time.Duration
		last  time.Time
	}
	timers []*time.Timer // of things that repeat
	conns  *time.Timer
}

// New makes a Service. It asks the registries to be told of connections, so it
// is to be called before the first one.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = logging.Discard()
	}
	s := &Service{o: o, servers: make(map[string]*server), changed: make(map[string]bool)}
	if o.Config.NoSystemAccount {
		return s
	}
	s.acc = o.Broker.SystemAccount()
	s.measure()
	o.Broker.SetTracer((*tracer)(s))
	if o.TLS != nil {
		o.TLS.OnRefused(s.peerRefused)
	}
	s.answers, s.accounts = s.table(), s.accountTable()
	s.elsewhere, s.tracked, s.shedding = make(map[string]map[string]connections), make(map[string]bool), make(map[uint64]*link.Registry)
	s.counts, s.countInbox = make(map[string]*count), "$SYS._INBOX."+wire.NameHash(o.Server.Name, 8)+".n"+nuid.Next()+"."
	for _, reg := range []*link.Registry{o.Clients, o.Leafs} {
		if reg != nil {
			reg.OnOpen(s.opened)
			reg.OnEnd(s.ended)
		}
	}
	return s
}

// SetReload gives what reads the settings again when a request asks for it; without it
// such requests are refused. f may take its time.
func (s *Service) SetReload(f func() error) { s.reloader.Store(&f) }

// Start subscribes and begins to publish. It does nothing if the settings want
// no system account.
func (s *Service) Start() error {
	if s.acc == nil {
		return nil
	}
	c := NewClient(s.o.Broker, s.o.Reach)
	s.mu.Lock()
	s.client, s.stop = c, make(chan struct{})
	s.mu.Unlock()
	s.subscribe(c)
	users := s.o.Broker.EachAccount(func(a *broker.Account) {
		s.serveUsers(c, a)
		c.Do(func() { s.sumUp(a.Name) })
	})
	shared := s.share()
	s.unwatch = func() {
		users()
		shared()
	}
	c.Do(func() {
		s.statsz.pace = statszFirst
		s.statsz.timer = time.AfterFunc(statszFirst, func() { c.push(s.tick, 0, true) })
		s.repeat(c, connsEvery, s.heartbeat)
		s.repeat(c, pruneEvery, s.prune)
	})
	if s.o.Draining != nil {
		s.wg.Go(func() {
			select {
			case <-s.o.Draining:
				c.push(func() { s.announce("LAMEDUCK") }, 0, true)
			case <-s.stop:
			}
		})
	}
	return nil
}

// Addr is nil: nothing is listened on.
func (s *Service) Addr() *net.TCPAddr { return nil }

// Close publishes what is due and SHUTDOWN, takes all subscriptions back and
// waits for the goroutines. It may be called more than once, and without Start.
func (s *Service) Close() {
	s.mu.Lock()
	c := s.client
	again := s.closing
	s.closing = true
	s.mu.Unlock()
	if c == nil || again {
		return
	}
	close(s.stop)
	s.wg.Wait()
	s.unwatch()
	c.finish(func() {
		s.publishConns()
		s.announce("SHUTDOWN")
	})
	// Timers are set on the client's goroutine alone, which has ended.
	if t := s.statsz.timer; t != nil {
		t.Stop()
	}
	for _, t := range s.timers {
		t.Stop()
	}
	s.mu.Lock()
	if s.conns != nil {
		s.conns.Stop()
	}
	s.mu.Unlock()
}

// repeat runs f every so often on the client's goroutine.
func (s *Service) repeat(c *Client, every time.Duration, f func()) {
	var t *time.Timer
	t = time.AfterFunc(every, func() {
		c.push(func() {
			f()
			t.Reset(every)
		}, 0, true)
	})
	s.timers = append(s.timers, t)
}

// info is the head of the next message.
func (s *Service) info() ServerInfo {
	s.seq++
	i := ServerInfo{
		Name: s.o.Server.Name, Host: s.config().Client.Host, ID: s.o.Server.ID, Version: version.Protocol,
		Tags: s.config().Tags, Metadata: s.config().Metadata, Seq: s.seq, Time: time.Now().UTC(),
	}
	i.Cluster, _ = s.o.Server.Cluster()
	return i
}

// publish sends v as JSON in the system account.
func (s *Service) publish(subject string, v any) { s.publishIn(s.acc, subject, v) }

func (s *Service) publishIn(a *broker.Account, subject string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.o.Log.Errorf("Encoding a message for %s: %v", subject, err)
		return
	}
	if c := s.out(); c != nil {
		c.Publish(a, subject, "", nil, b)
	}
}

func (s *Service) wanted(subject string) bool {
	c := s.out()
	return c != nil && c.Wanted(s.acc, subject)
}

// announce publishes the bare server info: LAMEDUCK and SHUTDOWN.
func (s *Service) announce(what string) {
	if subject := "$SYS.SERVER." + s.o.Server.ID + "." + what; s.wanted(subject) {
		s.publish(subject, s.info())
	}
}
