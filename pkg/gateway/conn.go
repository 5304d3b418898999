package gateway

import (
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

// direction says who dialed.
type direction bool

const (
	inbound  direction = false
	outbound direction = true
)

// conn is one gateway connection. What the opening sets does not change later.
type conn struct {
	s   *Service
	tc  *transport.Conn
	id  uint64
	log *logging.Logger
	dir direction

	name   string // of the remote cluster
	remote wire.GatewayInfo
	url    string  // that was dialed
	region *region // outbound only
	table  *table  // outbound only
	in     *source // inbound only

	parser wire.PeerParser
	op     wire.Op
	pinger *link.Pinger
	lastIn int64 // pinger only
	active atomic.Int64
	ready  atomic.Bool // the first round trip is known
	moving atomic.Bool // a successor is being looked for
	done   chan struct{}

	pongMu  sync.Mutex
	waiting []func(ok bool) // one for each PING that is unanswered, oldest first
	fences  map[string]func()
	nextID  uint64
	ended   bool
	probing *time.Timer // the next of the early probes

	distance distance // region.mu

	// held: this connection takes over from another one. What is queued stays until
	// all that was sent on that one has arrived.
	held atomic.Bool

	// Under the lock of the outbound queue.
	outMsgs, outBytes int64
	retired           bool // nothing more may be sent: a fence stands behind what was

	dropped atomic.Int64 // messages that found the queue full
	ignored atomic.Int64 // messages and interest that may not cross or make no sense
}

func (s *Service) newConn(nc net.Conn, dir direction) (*conn, error) {
	set := s.set().Gateway
	tc, err := transport.New(nc, transport.Options{
		MaxPending: s.o.MaxQueued + controlRoom, WriteDeadline: set.WriteDeadline,
		WriteRetry: set.WriteTimeout != "close",
		Poller:     s.o.Server.Poller,
	})
	if err != nil {
		nc.Close()
		return nil, err
	}
	c := &conn{s: s, tc: tc, id: s.o.Broker.NextID(), dir: dir, done: make(chan struct{})}
	c.log = s.log.WithPrefix(nc.RemoteAddr().String() + " - gid:" + string(wire.AppendDecimal(nil, int(c.id))))
	c.parser = wire.PeerParser{Dialect: wire.DialectGateway, MaxPayload: max(leastPayload, int(s.set().maxPayload))}
	if !s.track(c) {
		tc.Close()
		return nil, net.ErrClosed
	}
	return c, nil
}

// ID is the connection's id.
func (c *conn) ID() uint64 { return c.id }

// Close ends the connection with a reason; it does not block.
func (c *conn) Close(reason wire.CloseReason) { c.tc.Abort(&closing{reason: reason}) }

// ours tells whether the peer is a gwd.
func (c *conn) ours() bool { return c.remote.Role == wire.RoleGateway }

// line reads one line of the opening and cuts it into verb and argument.
func (c *conn) line(by time.Time) (verb, arg string, err error) {
	b, err := c.tc.ReadLine(maxLine, by)
	if err != nil {
		return "", "", err
	}
	verb, arg, _ = strings.Cut(strings.TrimSpace(string(b)), " ")
	return strings.ToUpper(verb), strings.TrimSpace(arg), nil
}

// serve reads until the connection ends, and clears up.
func (c *conn) serve() {
	c.end(c.tc.Serve(c))
}

// pingEvery is the interval towards this peer.
func (c *conn) pingEvery(set *state) time.Duration {
	if c.ours() {
		return min(set.ping, c.s.o.OwnPing)
	}
	return set.ping
}

func (c *conn) startPinger() {
	set := c.s.set()
	every := c.pingEvery(set)
	c.pinger = link.StartPinger(link.PingerOptions{
		First: min(firstPing, every), Every: every, Max: set.pingMax,
		Send: func() { c.probe(c.ponged) },
		Stale: func() {
			c.tc.Kill(silent(wire.ReasonStale, "Stale Gateway Connection - Closing"))
		},
		Heard: func() bool {
			n := c.tc.BytesIn()
			heard := n != c.lastIn
			c.lastIn = n
			return heard
		},
	})
}

func (c *conn) ponged(rtt time.Duration) {
	c.pinger.Pong()
	if c.dir == outbound {
		c.region.measured(c, rtt)
	}
}

// probe sends a PING and calls f with the round trip, if it is ever answered.
func (c *conn) probe(f func(rtt time.Duration)) {
	began := time.Now()
	c.ping(func(ok bool) {
		if ok {
			f(time.Since(began))
		}
	})
}

// ping sends a PING and calls f when it is answered, or with false when the
// connection ends first.
func (c *conn) ping(f func(ok bool)) {
	c.pongMu.Lock()
	if c.ended {
		c.pongMu.Unlock()
		f(false)
		return
	}
	c.waiting = append(c.waiting, f)
	c.tc.Write([]byte(wire.LinePing))
	c.pongMu.Unlock()
	c.flush()
}

// flush writes what is queued, unless it is held.
func (c *conn) flush() {
	if !c.held.Load() {
		c.tc.Flush()
	}
}

// fence calls f when all that was sent has been handled at the far end: by the hubs
// behind it if it is a gwd, else by the server there; or when the connection
// has ended.
func (c *conn) fence(f func()) {
	if !c.ours() {
		c.ping(func(bool) { f() })
		return
	}
	c.pongMu.Lock()
	if c.ended {
		c.pongMu.Unlock()
		f()
		return
	}
	if c.fences == nil {
		c.fences = make(map[string]func())
	}
	c.nextID++
	id := string(wire.AppendDecimal(nil, int(c.nextID)))
	c.fences[id] = f
	c.tc.Write(wire.AppendInfo(nil, &fenceInfo{GatewayInfo: wire.GatewayInfo{Gateway: c.s.name}, Fence: id}))
	c.pongMu.Unlock()
	c.flush()
}

// onFence answers when our hubs have all that came before.
func (c *conn) onFence(id string) {
	if c.in == nil {
		return
	}
	c.in.inlet.Flush()
	answer := func() {
		c.tc.WriteFlush(wire.AppendInfo(nil, &fenceInfo{GatewayInfo: wire.GatewayInfo{Gateway: c.s.name}, Fenced: id}))
	}
	if f := c.s.o.Hooks.FenceHubs; f != nil {
		f(answer)
		return
	}
	answer()
}

func (c *conn) onFenced(id string) {
	c.pongMu.Lock()
	f := c.fences[id]
	delete(c.fences, id)
	c.pongMu.Unlock()
	if f != nil {
		f()
	}
}

func (c *conn) onPong() {
	c.pongMu.Lock()
	var f func(bool)
	if len(c.waiting) > 0 {
		f = c.waiting[0]
		c.waiting = c.waiting[1:]
	}
	c.pongMu.Unlock()
	if f != nil {
		f(true)
	}
}

// HandleBlock handles what was read.
func (c *conn) HandleBlock(b []byte) (consumed, need int, err error) {
	for consumed < len(b) {
		n, want, perr := c.parser.Next(b[consumed:], &c.op)
		if err = perr; err != nil {
			break
		}
		if n == 0 {
			need = want
			break
		}
		if err = c.handle(&c.op); err != nil {
			break
		}
		consumed += n
	}
	if c.in != nil {
		c.in.inlet.Flush()
	}
	c.flush()
	c.active.Store(time.Now().UnixNano())
	return consumed, need, err
}

func (c *conn) handle(op *wire.Op) error {
	switch op.Kind {
	case wire.KindMsg:
		if c.dir == outbound {
			return silent(wire.ReasonProtocolViolation, "received a message from gateway %q on an outbound connection", c.name)
		}
		c.onMsg(op)
	case wire.KindInterestAdd, wire.KindInterestDel, wire.KindAccountAdd, wire.KindAccountDel:
		if c.dir == inbound {
			return c.wrongWay(op)
		}
		c.onInterest(op)
	case wire.KindPing:
		c.tc.Write([]byte(wire.LinePong))
	case wire.KindPong:
		c.onPong()
	case wire.KindInfo:
		return c.onInfo(op.Arg)
	case wire.KindErr:
		c.log.Errorf("Gateway Error %s", op.Arg)
	case wire.KindConnect:
		return silent(wire.ReasonProtocolViolation, "a second CONNECT")
	}
	return nil
}

// wrongWay ends an inbound connection whose peer sends interest.
func (c *conn) wrongWay(op *wire.Op) error {
	verb := "RS+"
	switch op.Kind {
	case wire.KindInterestDel:
		verb = "RS-"
	case wire.KindAccountAdd:
		verb = "A+"
	case wire.KindAccountDel:
		verb = "A-"
	}
	return silent(wire.ReasonProtocolViolation, "Received %s from gateway on inbound connection", verb)
}

func (c *conn) onInterest(op *wire.Op) {
	if op.Dirty {
		c.ignored.Add(1)
		return
	}
	switch op.Kind {
	case wire.KindInterestAdd:
		c.table.add(op.Account, op.Subject, op.Queue)
	case wire.KindInterestDel:
		c.table.del(op.Account, op.Subject, op.Queue)
	case wire.KindAccountAdd:
		c.table.accountOn(op.Account)
	case wire.KindAccountDel:
		c.table.accountOff(op.Account)
	}
}

// end clears up after a connection, registered or not, and closes the socket.
func (c *conn) end(err error) {
	e := closingOf(err)
	c.pongMu.Lock()
	c.ended = true
	waiting, fences := c.waiting, c.fences
	c.waiting, c.fences = nil, nil
	if c.probing != nil {
		c.probing.Stop()
	}
	c.pongMu.Unlock()
	if c.pinger != nil {
		c.pinger.Stop()
	}
	if c.in != nil {
		c.in.stop()
	}
	if c.region != nil {
		c.region.lost(c)
	}
	for _, f := range waiting {
		f(false)
	}
	for _, f := range fences {
		f()
	}
	last := c.Info(false)
	last.Stopped, last.Reason = time.Now(), e.reason
	if c.s.o.Registry.Remove(c, last) {
		c.log.Noticef("Gateway connection to %q closed: %s", c.name, e.Error())
	} else if e.note != "" || e.text != "" {
		c.log.Debugf("Gateway connection closed: %s", e.Error())
	}
	if e.text != "" {
		c.log.Errorf("%s", e.text)
		c.tc.Write(wire.AppendErr(nil, e.text))
	}
	if e.reason.Drops() {
		c.tc.Close()
	} else {
		c.tc.Finish(err, finishLimit)
	}
	c.s.untrack(c)
	close(c.done)
}

// Info is a snapshot for monitoring.
func (c *conn) Info(bool) link.Info {
	i := link.Info{
		ID: c.id, Kind: link.KindGateway, Addr: c.tc.RemoteAddr(), Name: c.remote.ServerID, Started: c.tc.Started(),
		Pending: c.tc.Pending(),
	}
	if at := c.active.Load(); at != 0 {
		i.Active = time.Unix(0, at)
	}
	if c.pinger != nil {
		i.RTT = c.pinger.RTT()
	}
	if st := c.tc.TLSState(); st != nil {
		i.TLSVersion, i.TLSCipher = tlsNames(st)
	}
	c.tc.Locked(func() { i.OutMsgs, i.OutBytes = c.outMsgs, c.outBytes })
	if c.in != nil {
		i.InMsgs, i.InBytes = c.in.port.In.Msgs.Load(), c.in.port.In.Bytes.Load()
	}
	d := Details{
		Gateway: c.name, Outbound: c.dir == outbound, ServerName: c.remote.ServerName, Version: c.remote.Version,
		Dropped: c.dropped.Load(), Ignored: c.ignored.Load(),
	}
	if c.table != nil {
		i.Subs = c.table.interests()
		d.Configured = c.region.configured()
	}
	i.More = d
	return i
}

// payloadFor cuts the header off for peers that do not know headers.
func payloadFor(m *broker.Msg, headers bool) (payload []byte, hdr int) {
	if !headers && m.HdrLen > 0 {
		return m.Payload[m.HdrLen:], 0
	}
	return m.Payload, m.HdrLen
}

// outcome of send.
type outcome uint8

const (
	lost    outcome = iota // dropped
	queued                 // taken
	retired                // the connection has a successor: try that one
)

// send queues one line for an outbound connection. prefix, if not empty, stands
// before the reply. A message that would pass the limit of the queue is dropped.
func (c *conn) send(m *broker.Msg, prefix []byte, groups [][]byte) outcome {
	payload, hdr := payloadFor(m, c.remote.Headers)
	var buf [256]byte
	reply := m.Reply
	if len(prefix) > 0 {
		reply = append(append(buf[:0], prefix...), reply...)
	}
	n := len(m.Account.Name) + len(m.Subject) + len(reply) + len(payload) + 40
	for _, g := range groups {
		n += len(g) + 1
	}
	b := c.tc.TryReserve(n, c.s.o.MaxQueued)
	if b == nil {
		if c.tc.Cause() == nil && c.dropped.Add(1) == 1 {
			c.log.Warnf("Gateway %q does not keep up: %d bytes wait, messages are dropped", c.name, c.s.o.MaxQueued)
		}
		return lost
	}
	if c.retired {
		c.tc.Cancel()
		return retired
	}
	var acct [64]byte
	b = wire.AppendGatewayMsg(b, append(acct[:0], m.Account.Name...), m.Subject, reply, groups, hdr, len(payload))
	b = append(b, payload...)
	b = append(b, wire.CRLF...)
	c.outMsgs++
	c.outBytes += int64(len(payload))
	c.tc.Commit(b)
	return queued
}
