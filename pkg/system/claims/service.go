package claims

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/auth/operator"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/system"
	"github.com/banyanmq/banyan/pkg/version"
)

// Options of a Service. All but Log must be set.
type Options struct {
	Server   *link.Server
	Config   *config.Config
	Broker   *broker.Broker
	Operator *operator.Operator
	Log      *logging.Logger
}

// Service speaks for the server's resolver.
type Service struct {
	o Options
	// settings in force after a reload; nil: those of the start
	settings atomic.Pointer[config.Config]

	dir   *operator.Directory // nil: the resolver has none
	acc   *broker.Account
	inbox string // up to its last dot

	client *system.Client // nil before Start
	seq    atomic.Uint64

	mu      sync.Mutex
	waiting map[string]*question
	timers  []*time.Timer
	closed  bool
}

const sweepEvery = time.Minute

// New makes a Service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = logging.Discard()
	}
	s := &Service{o: o, acc: o.Broker.SystemAccount(), waiting: make(map[string]*question)}
	s.dir, _ = o.Operator.Resolver().(*operator.Directory)
	sum := sha256.Sum256([]byte(o.Server.ID))
	s.inbox = "$SYS._INBOX." + base32.StdEncoding.EncodeToString(sum[:5]) + "."
	return s
}

// Start subscribes; servers with a full directory begin to exchange.
func (s *Service) Start() error {
	c := system.NewClient(s.o.Broker, 0)
	s.client = c
	others := func(m *broker.Msg) bool { return m.From == nil || m.From.ID != c.ID() }
	on := func(subject, queue string, handle func(*system.Request)) {
		c.Subscribe(s.acc, subject, system.SubOptions{Queue: queue, Accept: others}, handle)
	}
	on("$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", "", func(r *system.Request) { s.update(r, strings.Split(r.Subject, ".")[3]) })
	on("$SYS.ACCOUNT.*.CLAIMS.UPDATE", "", func(r *system.Request) { s.update(r, strings.Split(r.Subject, ".")[2]) })
	if s.dir == nil {
		return nil
	}
	on("$SYS.REQ.CLAIMS.UPDATE", "", func(r *system.Request) { s.update(r, "") })
	on("$SYS.REQ.CLAIMS.LIST", "", s.list)
	on("$SYS.REQ.CLAIMS.DELETE", "", s.remove)
	on(s.inbox+"*", "", s.answered)
	s.o.Operator.SetAsk(s.ask)
	s.repeat(sweepEvery, s.dir.Sweep)
	if !s.dir.Full() {
		return nil
	}
	on("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", "", s.lookup)
	on("$SYS.REQ.CLAIMS.PACK", "responder", s.pack)
	s.repeat(s.o.Config.Operator.Resolver.Interval, s.exchange)
	c.Do(s.exchange)
	return nil
}

// repeat runs f every so often on the client's goroutine.
func (s *Service) repeat(every time.Duration, f func()) {
	var t *time.Timer
	s.mu.Lock()
	defer s.mu.Unlock()
	t = time.AfterFunc(every, func() {
		s.client.Do(f)
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			t.Reset(every)
		}
	})
	s.timers = append(s.timers, t)
}

// Addr is nil: nothing is listened on.
func (s *Service) Addr() *net.TCPAddr { return nil }

// Close ends look-ups that go on and the subscriptions. It may be called without
// Start.
func (s *Service) Close() {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	for _, t := range s.timers {
		t.Stop()
	}
	s.mu.Unlock()
	if s.client == nil || again {
		return
	}
	s.o.Operator.SetAsk(nil)
	s.client.Close()
}

func (s *Service) info() system.ServerInfo {
	i := system.ServerInfo{
		Name: s.o.Server.Name, Host: s.config().Client.Host, ID: s.o.Server.ID, Version: version.Protocol,
		Tags: s.config().Tags, Metadata: s.config().Metadata, Seq: s.seq.Add(1), Time: time.Now().UTC(),
	}
	i.Cluster, _ = s.o.Server.Cluster()
	return i
}

// status is the answer to who wants something changed.
type status struct {
	Server system.ServerInfo `json:"server"`
	Data   *done             `json:"data,omitempty"`
	Error  *failed           `json:"error,omitempty"`
}

type done struct {
	Account string `json:"account,omitempty"`
	Code    int    `json:"code"`
	Message string `json:"message,omitempty"`
}

type failed struct {
	Account     string `json:"account,omitempty"`
	Code        int    `json:"code"`
	Description string `json:"description,omitempty"`
}

func (s *Service) reply(r *system.Request, v any) {
	if r.Reply == "" {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		s.o.Log.Errorf("Encoding the answer to %s: %v", r.Subject, err)
		return
	}
	s.client.Publish(r.Account, r.Reply, "", nil, b)
}

func (s *Service) say(r *system.Request, account, message string) {
	s.o.Log.Debugf("Account %s: %s", account, message)
	s.reply(r, status{Server: s.info(), Data: &done{account, 200, message}})
}

func (s *Service) deny(r *system.Request, account, description string) {
	s.o.Log.Warnf("Account %s: %s", account, description)
	s.reply(r, status{Server: s.info(), Error: &failed{account, 500, description}})
}

// random is a name for a question that nobody guesses.
func random() string { return rand.Text()[:16] }
