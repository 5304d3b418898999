package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/wire"
)

// conn is one client. See the package comment for what guards what.
type conn struct {
	s      *Service
	web    *web // nil without WebSocket
	t      *transport.Conn
	id     uint64
	port   broker.Port
	remote net.Addr // as the PROXY header says, if there is one
	nonce  string

	// The reader's.
	set       *terms // that the connection goes by; also read under mu
	trace     bool
	parser    wire.ClientParser
	pub       *publisher // nil while the client does not publish
	account   *broker.Account
	identity  *auth.Identity
	gate      bool // only CONNECT may come
	connected bool // CONNECT was accepted
	told      bool // the connect-info INFO was sent
	secured   bool
	proxied   bool
	verbose   bool
	pedantic  bool
	noEcho    bool // also read by Deliver, on the reader's goroutine
	noResp    bool
	careful   bool // publishes need more than the reserved names looked at
	resting   bool // a PONG came and nothing else
	maxSubs   int
	over      bool                     // one more than may be connected
	requests  atomic.Pointer[requests] // measured ones that wait for an answer; nil: none ever

	detach func() // from who admitted the client; nil: nobody wants to know

	news   atomic.Pointer[news] // permissions and settings that are to be assumed
	out    delivery             // the queue's lock
	worn   atomic.Bool          // out.worn is not empty
	active atomic.Bool          // heard of since the last tick of the pinger
	last   atomic.Int64

	mu        sync.Mutex
	tls       *tlsFacts // nil without TLS
	tlsFirst  bool
	options   *wire.ClientConnect // nil before CONNECT; changed by the reader only
	subs      subset
	reason    wire.CloseReason
	refusal   *auth.Refusal // why it may not come in, if there is more to say of it
	serving   bool
	ready     bool // may be sent INFO
	pinger    *link.Pinger
	authTimer *time.Timer
	estimate  time.Duration // of the round trip: accept to CONNECT
	bound     bool          // counted in its account
	logins    uint64        // how often it has become somebody, or nobody, else
}

// delivery is what Deliver looks at.
type delivery struct {
	closed      bool
	headers     bool
	trace       bool
	permissions *auth.Permissions
	responses   *auth.Responses
	worn        []*broker.Sub // got their last message
	msgs, bytes int64
}

// ending is the error that ends a connection for a reason.
type ending struct {
	reason wire.CloseReason
	detail string
}

func (e *ending) Error() string {
	if e.detail == "" {
		return e.reason.String()
	}
	return e.detail
}

func (c *conn) init(t *transport.Conn) {
	c.t = t
	c.remote = t.RemoteAddr()
	c.port.ID = c.id
	c.port.Class = broker.Client
	c.port.Reach = broker.FromClient
	c.port.Origin = broker.Origin{Class: broker.Client}
	c.port.Batched(c)
	c.set = c.terms()
	c.trace, c.out.trace = c.set.trace, c.set.trace
	c.parser.MaxControlLine = c.set.limits.MaxControlLine
	c.parser.MaxPayload = int(c.set.limits.MaxPayload)
	d := wire.DefaultClientConnect()
	c.verbose, c.pedantic, c.careful = d.Verbose, d.Pedantic, true
	c.maxSubs = c.set.limits.MaxSubscriptions
	c.gate = c.set.policy.Required
	c.identity = nobody
	c.account = c.s.o.Broker.Account(broker.GlobalAccount) // until CONNECT
	c.account.Clients.Add(1)
	c.bound = true
	c.last.Store(t.Started().UnixNano())
}

var nobody = &auth.Identity{}

// run opens the connection and serves it until it ends, which may be long after
// run has returned: once logged in, a client has no goroutine.
func (c *conn) run() {
	if err := c.openUp(); err != nil {
		c.end(err)
		return
	}
	c.mu.Lock()
	if c.reason != wire.ReasonNone {
		c.mu.Unlock()
		c.end(&ending{reason: c.reason})
		return
	}
	c.serving = true
	c.startTimers()
	c.mu.Unlock()
	if c.s.log.DebugEnabled() {
		c.log().Debugf("Client connection created")
	}
	c.t.Run(c, c.end)
}

// HandleBlock implements transport.Handler.
func (c *conn) HandleBlock(b []byte) (at, need int, err error) {
	var op wire.Op
	busy := false
	c.adopt()
	for at < len(b) {
		if c.gate && !wire.MayBeConnect(b[at]) {
			if err = c.enterUnasked(); err != nil {
				break
			}
		}
		var n int
		if n, need, err = c.parser.Next(b[at:], &op); err != nil {
			if errors.Is(err, wire.ErrMaxPayload) {
				c.oversized(b[at:])
			}
			err = c.violation(err)
			break
		}
		if n == 0 {
			if need > 0 {
				need-- // the byte behind the payload is judged as soon as it is there
			}
			break
		}
		if op.Kind == wire.KindConnect && c.t.Afloat() {
			err = transport.ErrMayBlock // it may take a while to find out who that is
			break
		}
		at += n
		if c.trace {
			c.traceIn(&op)
		}
		if op.Kind == wire.KindPub {
			busy = true
			c.publish(&op)
			continue
		}
		c.settle()
		switch op.Kind {
		case wire.KindSub:
			busy = true
			c.subscribe(&op)
		case wire.KindUnsub:
			busy = true
			c.unsubscribe(&op)
		case wire.KindPing:
			busy = true
			c.pong()
		default:
			err = c.rare(&op)
		}
		if err != nil {
			break
		}
	}
	if busy {
		c.touch()
	}
	if c.pub != nil {
		c.pub.inlet.Flush()
	}
	if c.resting {
		c.resting = false
		if !busy && !c.active.Load() {
			c.pub = nil
		}
	}
	c.adopt() // after what came in between was judged by the old ones
	c.Flush()
	return at, need, err
}

// touch notes that the client was heard of: once a block.
func (c *conn) touch() {
	if !c.active.Load() {
		c.active.Store(true)
	}
	c.last.Store(time.Now().UnixNano())
}

func (c *conn) rare(op *wire.Op) error {
	switch op.Kind {
	case wire.KindConnect:
		return c.connect(op.Arg)
	case wire.KindPong:
		c.ponged()
	case wire.KindErr:
		c.log().Errorf("Client error: %s", op.Arg)
		return &ending{reason: wire.ReasonParseError}
	}
	return nil // +OK, INFO
}

func (c *conn) pong() {
	c.t.Write(linePong)
	if c.connected && !c.told {
		c.told = true
		if c.options.Protocol >= 1 {
			c.sendConnectInfo()
		}
	}
}

var (
	linePing = []byte(wire.LinePing)
	linePong = []byte(wire.LinePong)
	lineOK   = []byte(wire.LineOK)
)

// ponged notes the answer to a PING. If the client did nothing else since that
// was due, what it needs for publishing is given up at the end of the block.
func (c *conn) ponged() {
	c.mu.Lock()
	p := c.pinger
	c.mu.Unlock()
	if p != nil {
		_, c.resting = p.Pong()
	}
}

func (c *conn) ok() {
	if c.verbose {
		c.settle()
		c.t.Write(lineOK)
	}
}

// fail queues an -ERR after which the connection lives on.
func (c *conn) fail(text string) {
	if c.trace {
		c.log().Tracef("->> [-ERR %s]", text)
	}
	c.settle()
	c.t.Write(wire.AppendErr(nil, text))
}

// settle hands over the messages that were put off, before anything of our own is
// queued and before interest changes.
func (c *conn) settle() {
	if c.pub != nil {
		c.pub.inlet.Settle()
	}
}

// fatal queues an -ERR, if there is a text, and returns the error that ends the
// connection.
func (c *conn) fatal(reason wire.CloseReason, text string) error {
	if text != "" {
		c.fail(text)
	}
	return &ending{reason: reason, detail: text}
}

// violation is fatal for an error of the parser.
func (c *conn) violation(err error) error {
	var p *wire.ProtoError
	if !errors.As(err, &p) {
		return err
	}
	c.log().Errorf("%s", p.Error())
	return c.fatal(p.Reason, p.Text)
}

// startTimers starts what runs until CONNECT. c.mu is held.
func (c *conn) startTimers() {
	if c.gate {
		c.authTimer = time.AfterFunc(c.set.authTimeout(), c.authTimedOut)
		return // pinged from CONNECT on
	}
	c.startPinger(c.set.limits.PingInterval)
}

func (c *conn) startPinger(first time.Duration) {
	if c.pinger != nil {
		c.pinger.Stop()
	}
	c.pinger = link.StartPinger(link.PingerOptions{
		First: first, Every: c.set.limits.PingInterval, Max: c.set.limits.PingMax,
		Send:  func() { c.t.WriteFlush(linePing) },
		Stale: c.stale,
		Busy:  func() bool { return c.active.Swap(false) },
	})
}

func (c *conn) stale() {
	c.s.counters.stale.Add(1)
	c.shut(wire.ReasonStale, wire.TextStale)
}

func (c *conn) slow() {
	c.s.counters.slowEvents.Add(1)
	c.log().RateLimitedWarnf("Slow Consumer State: the write deadline of %s passed", c.s.set.Load().limits.WriteDeadline)
}

// Close implements link.Conn.
func (c *conn) Close(reason wire.CloseReason) { c.shut(reason, "") }

// shut ends the connection from any goroutine: the reader is woken and does the
// rest. The first reason counts.
func (c *conn) shut(reason wire.CloseReason, text string) {
	c.mu.Lock()
	if c.reason != wire.ReasonNone {
		c.mu.Unlock()
		return
	}
	c.reason = reason
	serving := c.serving
	if text != "" {
		c.t.Write(wire.AppendErr(nil, text))
	}
	c.mu.Unlock()
	c.t.Flush()
	if !serving {
		// While it is being opened deadlines come and go; only Abort stays.
		c.t.Abort(&ending{reason: reason})
		return
	}
	c.t.Interrupt()
}

// isEnding tells whether the connection has ended, or is about to.
func (c *conn) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason != wire.ReasonNone
}

const (
	// finishLimit is how long the last bytes may take.
	finishLimit = 2 * time.Second
)

// end takes the connection out of everything, withdraws its interest first, and
// closes the socket.
func (c *conn) end(err error) {
	defer c.s.finished.Done()
	c.mu.Lock()
	if c.reason == wire.ReasonNone {
		c.reason = c.reasonFor(err)
	}
	reason := c.reason
	c.ready = false
	if c.authTimer != nil {
		c.authTimer.Stop()
	}
	if c.pinger != nil {
		c.pinger.Stop()
	}
	last := c.infoLocked(false)
	c.mu.Unlock()

	c.dropSubs(true)
	planned := reason == wire.ReasonServerShutdown && c.connected
	if !planned {
		c.unbind()
		c.port.Replies.Stop()
	}
	c.tally(reason)
	last.Reason, last.Stopped = reason, time.Now()
	c.s.open.Add(-1)
	c.s.o.Registry.Remove(c, last)
	if c.s.log.DebugEnabled() {
		c.log().Debugf("Client connection closed: %s", reason)
	}
	switch {
	case planned:
		c.sayGoodbye()
	case reason.Drops():
		c.t.Close()
	default:
		c.t.Finish(&ending{reason: reason}, finishLimit)
	}
}

// sayGoodbye ends the connection of a client that is sent away so that nothing is
// lost that it has sent before it sees the end of what we send: that is still
// handled. It gets no messages any more; what it subscribes to now it will do again
// elsewhere.
func (c *conn) sayGoodbye() {
	linger := stopLinger
	if c.s.lame.Load() {
		linger = lameLinger
	}
	c.t.FinishServing(&ending{reason: wire.ReasonServerShutdown}, finishLimit, linger)
	c.dropSubs(true)
	c.unbind()
	c.port.Replies.Stop()
}

const (
	// lameLinger is how long a client that was told to go elsewhere may take to see
	// that its connection ends; stopLinger the same in a stop at once.
	lameLinger = 2 * time.Second
	stopLinger = 250 * time.Millisecond
)

// reasonFor says why a connection ended whose reason nobody gave.
func (c *conn) reasonFor(err error) wire.CloseReason {
	var e *ending
	switch {
	case errors.As(err, &e):
		return e.reason
	case errors.Is(err, transport.ErrSlowPending):
		return wire.ReasonSlowPending
	case errors.Is(err, transport.ErrSlowWrite):
		return wire.ReasonSlowWrite
	case errors.Is(err, io.EOF):
		return wire.ReasonClientClosed
	}
	if r, ok := link.FrameReason(err); ok {
		return r
	}
	if call := new(os.SyscallError); errors.As(err, &call) && call.Syscall == "write" {
		return wire.ReasonWriteError
	}
	return wire.ReasonReadError
}

// tally keeps the statistics of reasons and logs those that operators look for.
func (c *conn) tally(reason wire.CloseReason) {
	switch reason {
	case wire.ReasonSlowPending:
		c.s.counters.slowPending.Add(1)
		c.log().Noticef("Slow Consumer Detected: MaxPending of %d Exceeded", c.s.set.Load().limits.MaxPending)
	case wire.ReasonSlowWrite:
		if c.gate {
			return
		}
		c.s.counters.slowWrite.Add(1)
		c.log().Noticef("Slow Consumer Detected: WriteDeadline of %s exceeded", c.s.set.Load().limits.WriteDeadline)
	}
}

// log returns a logger with the connection's prefix. It allocates: not for the
// message path.
func (c *conn) log() *logging.Logger {
	from, label := c.label()
	prefix := fmt.Sprintf("%s%s - %s:%d", from, c.t.RemoteAddr(), label, c.id)
	c.mu.Lock()
	o := c.options
	c.mu.Unlock()
	if o != nil && (o.Version != "" || o.Lang != "" || o.Name != "") {
		prefix += fmt.Sprintf(" - %q", "v"+o.Version+":"+o.Lang+":"+o.Name)
	}
	return c.s.log.WithPrefix(prefix)
}
