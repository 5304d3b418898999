package route

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/wire"
)

// closing is the end of a route: why, and what the peer is told.
type closing struct {
	reason wire.CloseReason
	text   string // for -ERR; "" closes without a word
	note   string // for the log
}

func (e *closing) Error() string {
	switch {
	case e.text != "":
		return e.text
	case e.note != "":
		return e.note
	}
	return e.reason.String()
}

var (
	errAuth      = &closing{reason: wire.ReasonAuthFailure, text: wire.TextAuthViolation}
	errDuplicate = &closing{reason: wire.ReasonDuplicateRoute}
	errSelf      = &closing{reason: wire.ReasonDuplicateRoute, note: "connected to self"}
	errShutdown  = &closing{reason: wire.ReasonServerShutdown}
	errSuspended = &closing{reason: wire.ReasonStale, note: "this process was suspended"}
	errStale     = &closing{reason: wire.ReasonStale, text: wire.TextStale}
)

// conn is one connection to another server. The goroutine that reads it owns all
// fields that are not said to be another's.
type conn struct {
	s   *Service
	id  uint64
	tc  *transport.Conn
	log *logging.Logger

	// Fixed before the connection is registered.
	target  *target // of a dialed connection, else nil
	began   *state  // settings that it was opened by
	account string  // dedicated to
	acct    *broker.Account
	remote  info
	comp    wire.CompressionMode
	peer    *peer
	slot    int

	active bool        // Service.mu: in use
	synced atomic.Bool // the peer's initial interest is complete
	dead   atomic.Bool

	parser wire.PeerParser
	op     wire.Op
	line   []byte
	msg    broker.Msg

	port    *broker.Port
	inlet   *broker.Inlet
	inside  *broker.Inlet // at a gwd: what must stay here
	unaware bool          // at a gwd: a hub that does not know about roles
	keys    map[string]*held
	lastAcc *broker.Account
	origins map[string]string
	scratch []byte
	verb    byte      // first letter of the operation, in lower case
	now     time.Time // of the block, when asked for

	renewed atomic.Pointer[state]                // settings that the reader has yet to look at
	remode  atomic.Pointer[wire.CompressionMode] // takes comp's place

	flusher  *link.Flusher
	pinger   *link.Pinger
	dirtyTgt atomic.Bool // GMSG lines or border messages wait to be flushed

	pingMu sync.Mutex
	sent   uint64 // PINGs
	got    uint64 // PONGs
	waits  []wait

	settling atomic.Int64 // unix nanoseconds of when it was synced; 0: long ago

	up      chan struct{} // closed when synced
	done    chan struct{} // closed at the end
	cause   error         // before done
	reason  atomic.Uint32 // given to Close
	active1 atomic.Int64  // unix nanoseconds of the last block with messages or interest

	lost atomic.Int64    // messages that found no room
	out  broker.Counters // guarded by the transport's lock, read by anybody
}

// wait is something to be done when the nth PING has been answered.
type wait struct {
	n uint64
	f func()
}

func (s *Service) newConn(nc net.Conn, t *target, account string) (*conn, error) {
	set := s.set()
	c := &conn{
		s: s, id: s.o.Broker.NextID(), target: t, account: account, slot: -1, began: set,
		keys: make(map[string]*held), up: make(chan struct{}), done: make(chan struct{}),
	}
	c.log = s.o.Log.WithPrefix(fmt.Sprintf("%s - rid:%d", nc.RemoteAddr(), c.id))
	tc, err := transport.New(nc, transport.Options{
		MaxPending: s.o.maxPending + controlRoom, WriteDeadline: set.WriteDeadline,
		WriteRetry: set.WriteTimeout != "close",
		Poller:     s.o.Server.Poller,
		OnSlow:     func() { c.log.RateLimitedWarnf("Slow Consumer Detected: a write made headway only in part") },
	})
	if err != nil {
		return nil, err
	}
	c.tc = tc
	c.parser.Dialect = wire.DialectRoute
	c.flusher = link.NewFlusher(tc.Flush)
	return c, nil
}

// run is the life of a connection.
func (s *Service) run(c *conn, handshake func() error) {
	s.mu.Lock()
	if s.closing || s.changing {
		s.mu.Unlock()
		c.cause = errShutdown
		c.tc.Close()
		close(c.done)
		return
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	err := handshake()
	if err == nil {
		err = c.tc.Serve(c)
	}
	c.teardown(err)
}

func (c *conn) dialed() bool { return c.target != nil }

// ID is unique in the process.
func (c *conn) ID() uint64 { return c.id }

// Close ends the connection from outside.
func (c *conn) Close(reason wire.CloseReason) { c.end(&closing{reason: reason}) }

// end closes for a reason, from any goroutine.
func (c *conn) end(why *closing) {
	if !c.reason.CompareAndSwap(0, uint32(why.reason)) {
		return
	}
	if why.text != "" {
		c.tc.Write(wire.AppendErr(nil, why.text))
	}
	c.tc.Flush()
	if why.reason == wire.ReasonStale {
		c.tc.Kill(why)
		return
	}
	c.tc.Abort(why)
}

// teardown undoes everything, whatever stage the connection had reached.
func (c *conn) teardown(err error) {
	c.dead.Store(true)
	reason := c.reasonOf(err)
	c.cause = err
	if c.pinger != nil {
		c.pinger.Stop()
	}
	c.logEnd(err, reason)
	last := c.info()
	last.Stopped, last.Reason = time.Now(), reason
	c.s.unregister(c)
	c.dropInterest()
	c.answerWaits(^uint64(0))
	if end, ok := textOf(err); ok && c.tc.Cause() == nil {
		c.tc.Write(wire.AppendErr(nil, end))
		c.tc.Finish(err, finishLimit)
	} else {
		c.tc.Close()
	}
	c.s.o.Registry.Remove(c, last)
	if f := c.s.o.onEnd; f != nil {
		f(reason, err)
	}
	close(c.done)
}

// textOf is what the peer is told about an error.
func textOf(err error) (string, bool) {
	var proto *wire.ProtoError
	var end *closing
	switch {
	case errors.As(err, &proto):
		return proto.Text, proto.Text != ""
	case errors.As(err, &end):
		return end.text, end.text != ""
	}
	return "", false
}

func (c *conn) reasonOf(err error) wire.CloseReason {
	if r := c.reason.Load(); r != 0 {
		return wire.CloseReason(r)
	}
	var proto *wire.ProtoError
	var end *closing
	switch {
	case errors.As(err, &end):
		return end.reason
	case errors.As(err, &proto):
		return proto.Reason
	case errors.Is(err, transport.ErrSlowPending):
		return wire.ReasonSlowPending
	case errors.Is(err, transport.ErrSlowWrite):
		return wire.ReasonSlowWrite
	case errors.Is(err, io.EOF):
		return wire.ReasonClientClosed
	}
	return wire.ReasonReadError
}

func (c *conn) logEnd(err error, reason wire.CloseReason) {
	if c.peer == nil && c.dialed() && reason == wire.ReasonClientClosed {
		c.log.Debugf("Router connection closed before it was set up")
		return
	}
	if text, ok := textOf(err); ok {
		c.log.Errorf("%s", text)
	} else if reason == wire.ReasonProtocolViolation || reason == wire.ReasonDuplicateServerName {
		c.log.Errorf("%v", err)
	}
	c.log.Noticef("Router connection closed: %s", reason)
}

// HandleBlock handles what the peer sent once the connection is registered.
func (c *conn) HandleBlock(block []byte) (consumed, need int, err error) {
	c.now = time.Time{}
	if c.renewed.Load() != nil {
		c.renew()
	}
	if w := c.s.watchdog; w != nil && (w.Stalled() || c.reason.Load() != 0) {
		return 0, 0, errSuspended
	}
	for consumed < len(block) {
		var n int
		c.verb = block[consumed] | 0x20
		n, need, err = c.parser.Next(block[consumed:], &c.op)
		if n == 0 {
			break
		}
		consumed += n
		if err = c.handle(); err != nil {
			break
		}
	}
	c.inlet.Flush()
	if c.inside != nil {
		c.inside.Flush()
		if f := c.s.o.Border.TargetedFlush; f != nil && c.peer.role == wire.RoleGateway {
			f()
		}
	}
	c.tc.Flush()
	if err != nil {
		return 0, 0, err
	}
	if consumed == len(block) {
		need = 0
	}
	return consumed, need, nil
}

func (c *conn) handle() error {
	if c.op.Kind == wire.KindMsg {
		c.message()
		return nil
	}
	c.inlet.Settle()
	switch c.op.Kind {
	case wire.KindInterestAdd:
		c.interestAdd()
	case wire.KindInterestDel:
		c.interestDel()
	case wire.KindPing:
		c.tc.Write([]byte(wire.LinePong))
	case wire.KindPong:
		c.pong()
	case wire.KindInfo:
		return c.laterInfo()
	case wire.KindErr:
		return c.peerError()
	case wire.KindTargetedMsg:
		return c.targetedMsg()
	case wire.KindFence:
		c.fence()
	case wire.KindConnect:
		return wire.ErrUnknownOp
	}
	return nil // +OK, A+, A- mean nothing here
}

func (c *conn) peerError() error {
	text := strings.Trim(string(c.op.Arg), "' ")
	c.log.Errorf("Route Error %s", text)
	return &closing{reason: wire.ReasonParseError, note: text}
}

// startPinging begins with a PING at once: its PONG tells that the peer's initial
// interest is complete.
func (c *conn) startPinging() {
	first, every, most := c.pings()
	c.pinger = link.StartPinger(link.PingerOptions{
		First: first, Every: every, Max: most,
		Send:  c.sendPing,
		Stale: func() { c.end(errStale) },
	})
	c.pinger.Ping()
}

// pings says when PINGs are sent. Between hubs and gwds a silent peer is noticed
// within one interval of the settings more than it may leave PINGs unanswered.
func (c *conn) pings() (first, every time.Duration, most int) {
	every, most = c.s.set().ping, c.s.set().pingMax
	switch {
	case c.atBorder():
		every, most = min(every, c.s.o.BorderPing), c.s.o.BorderPingMax
		every -= every / 16 // timers are late on a busy machine
	case c.peer.ours:
		every = min(every, ownPing)
	}
	return every * 5 / 6, every, most // up to a fifth is added to the first
}

// atBorder tells whether one end is a hub and the other a gwd.
func (c *conn) atBorder() bool {
	gwd := c.peer.role == wire.RoleGateway
	return gwd != (c.s.o.Role == BorderRole)
}

func (c *conn) sendPing() {
	c.pingMu.Lock()
	c.sent++
	c.tc.Write([]byte(wire.LinePing))
	c.pingMu.Unlock()
	c.tc.Flush()
}

// afterPong calls f when the peer has handled everything that is queued now, or
// is gone.
func (c *conn) afterPong(f func()) {
	c.pingMu.Lock()
	if c.dead.Load() {
		c.pingMu.Unlock()
		go f()
		return
	}
	c.sent++
	c.waits = append(c.waits, wait{c.sent, f})
	c.tc.Write([]byte(wire.LinePing))
	c.pingMu.Unlock()
	c.flusher.Soon()
}

func (c *conn) pong() {
	rtt, asked := c.pinger.Pong()
	c.pingMu.Lock()
	c.got = min(c.got+1, c.sent)
	got := c.got
	c.pingMu.Unlock()
	if asked && (c.mode() == wire.CompressionS2Auto || c.remode.Load() != nil) {
		c.adjustLevel(rtt)
	}
	if got == 1 && !c.synced.Load() {
		c.s.confirm(c)
	}
	c.answerWaits(got)
}

func (c *conn) answerWaits(got uint64) {
	c.pingMu.Lock()
	var due []wait
	for len(c.waits) > 0 && c.waits[0].n <= got {
		due = append(due, c.waits[0])
		c.waits = c.waits[1:]
	}
	c.pingMu.Unlock()
	for _, w := range due {
		w.f()
	}
}
