package leaf

import (
	"crypto/tls"
	"net"
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

// conn is one leaf link, from the first byte to the last.
//
// The fields of the opening are written by the goroutine that opens the link and
// do not change once it is up; from then on that goroutine reads the link.
type conn struct {
	svc *Service
	c   *transport.Conn
	id  uint64
	log *logging.Logger

	remote   *remote  // nil if the peer dialed
	web      *web     // nil without WebSocket
	from     net.Addr // where the peer is
	hub      bool     // our role
	nonce    string
	toldURLs int64         // value of the service's when our INFO was made
	rtt      time.Duration // estimate while the link opens; 0: unknown
	peer     peer
	acct     *account
	ident    *auth.Identity
	creds    *auth.Credentials // by which it was found
	judged   uint64            // generation of the users then
	detach   func()            // from who admitted the peer; nil: nobody wants to know
	denyPub  []string          // what the peer wants not to be sent
	watching bool              // it is told of our interest; the account's lock

	port    *broker.Port
	out     *outlet // Sink of port if we dialed, else nil
	inlet   *broker.Inlet
	own     broker.Origin // of the peer's interest: what must not be told back
	told    broker.Set    // classes whose interest the peer is told of
	rules   atomic.Pointer[rules]
	answers *auth.Responses
	maxSubs atomic.Int64 // keys of interest that the peer may have; noSubs: none
	flusher *link.Flusher
	pinger  *link.Pinger
	pings   pings
	opened  time.Time

	asked      chan struct{} // the hub asks us to move
	whenUp     func()        // called once the link is up; nil: nobody waits
	groupsOnly bool          // plain interest is not announced yet; the account's lock
	leaving    bool          // only messages count; the reading goroutine's

	parser wire.PeerParser
	op     wire.Op
	msg    broker.Msg

	subsMu sync.Mutex
	subs   map[string]*broker.Sub // the peer's interest by key

	level       wire.CompressionMode // of our writer; reading goroutine only
	auto        bool                 // the level follows the round trip
	compression atomic.Pointer[wire.CompressionMode]
	lastIn      int64        // bytes in at the last tick; pinger only
	active      atomic.Int64 // Unix nanoseconds of the last block

	// Under the lock of the outbound queue.
	outMsgs, outBytes int64

	oversized atomic.Int64
	dropped   atomic.Int64
	denied    atomic.Int64

	mu    sync.Mutex
	up    bool              // Serve runs: the read deadline wakes it
	shown *auth.Credentials // creds, once others may look at the identity
	now   *auth.Identity    // whose permissions hold: ident, or another since
	end   *ending
}

// peer is what the other side said of itself.
type peer struct {
	id, name, version, cluster string
	account                    string // that it is bound to over there
	headers                    bool
	maxPayload                 int // that it takes; 0: unknown
	isolated                   bool
	ours                       bool // speaks x_leafd, x_hubd
	moves                      bool // goes to another hub when it is asked to
	proto                      int
}

// ID is the link's id.
func (l *conn) ID() uint64 { return l.id }

// Close ends the link from outside.
func (l *conn) Close(reason wire.CloseReason) { l.stop(&ending{reason: reason}) }

// stop ends the link from any goroutine; the first ending counts. The reading
// goroutine does the rest.
func (l *conn) stop(e *ending) {
	l.mu.Lock()
	first := l.end == nil
	if first {
		l.end = e
	}
	up := l.up
	l.mu.Unlock()
	if !first {
		return
	}
	if e.text != "" {
		l.c.WriteFlush(wire.AppendErr(nil, e.text))
	}
	switch {
	case e.reason == wire.ReasonStale:
		l.c.Kill(e)
		return
	case !up || e.reason.Drops():
		l.c.Abort(e)
		return
	}
	l.c.Interrupt()
}

// fail is stop for the reading goroutine, which returns the result.
func (l *conn) fail(e *ending) *ending {
	l.mu.Lock()
	first := l.end == nil
	if first {
		l.end = e
	}
	e = l.end
	l.mu.Unlock()
	if first && e.text != "" {
		l.c.WriteFlush(wire.AppendErr(nil, e.text))
	}
	return e
}

// close ends the socket after fail, on the reading goroutine.
func (l *conn) close(e *ending) {
	switch {
	case e.reason.Drops():
		l.c.Abort(e)
		l.c.Close()
	case l.inlet != nil && (e.cause == causeMoved || e.reason == wire.ReasonServerShutdown):
		// A planned end: what the peer sends before it sees that is not lost.
		l.leaving = true
		linger := stopLinger
		if e.cause == causeMoved || l.svc.isDraining() {
			linger = leaveLinger
		}
		l.c.FinishServing(e, finishLimit, linger)
	default:
		l.c.Finish(e, finishLimit)
	}
}

const (
	// leaveLinger is how long the peer may take to see that the link ends, stopLinger
	// the same when we stop at once.
	leaveLinger = time.Second
	stopLinger  = 250 * time.Millisecond
)

// serve binds the link to its account and reads it until it ends. before is queued in
// front of our interest.
func (l *conn) serve(before func()) *ending {
	if e := l.bind(before); e != nil {
		return l.fail(e)
	}
	l.mu.Lock()
	l.up = l.end == nil
	up, e := l.up, l.end
	l.mu.Unlock()
	if up {
		l.catchUp()
		l.svc.opts.Registry.Opened(l.Info(false))
		if l.whenUp != nil {
			l.whenUp()
		}
		e = l.fail(endOf(l.c.Serve(l)))
	}
	l.unbind(e)
	return e
}

// bind makes the link a part of its account.
func (l *conn) bind(before func()) *ending {
	class, reach := broker.LeafUp, broker.FromLeafUp
	l.told = broker.Client | broker.LeafDown | broker.Service | broker.Mapping
	if l.hub {
		class, reach = broker.LeafDown, broker.FromLeafDown
		l.told |= broker.LeafUp | broker.Route | broker.Border | broker.Gateway
	}
	l.own = broker.Origin{Class: class, Cluster: l.peer.cluster}
	if l.own.Cluster == "" {
		l.own.Link = l.id
	}
	if l.port == nil { // else it is that of the link which this one replaces
		l.port = &broker.Port{ID: l.id, Class: class, Reach: reach, Origin: l.own, Aggregate: true, Sink: l}
		if l.remote != nil {
			l.out = newOutlet(l)
			l.port.Sink = l.out
		}
	}
	l.inlet = l.svc.opts.Broker.NewInlet(l.port)
	l.inlet.MayTrace = l.mayTrace
	l.msg = broker.Msg{Account: l.acct.Account, Listed: true}
	if l.hub {
		l.msg.Cluster = l.peer.cluster
	}
	l.subs = make(map[string]*broker.Sub)
	l.flusher = link.NewFlusher(l.c.Flush)
	l.opened = time.Now()
	if e := l.acct.add(l); e != nil {
		return e
	}
	if e := l.attach(); e != nil {
		l.acct.remove(l)
		return e
	}
	l.acct.Watch(l, func() {
		l.watching = true
		if before != nil {
			before()
		}
	}, nil)
	l.c.Flush()
	l.pinger = link.StartPinger(link.PingerOptions{
		First: firstPing,
		Every: l.svc.set().PingInterval,
		Max:   l.svc.set().PingMax,
		Send:  l.ping,
		Stale: func() { l.stop(ended(wire.ReasonStale, wire.TextStale)) },
		Busy:  l.quiet,
		Heard: l.heard,
	})
	l.svc.opts.Registry.Add(l)
	l.log.Noticef("Leafnode connection created for account: %s %s", l.acct.Name, l.remote.label())
	return nil
}

// heard tells whether anything came in since the last tick. Any byte shows that the
// peer lives: on a slow line its PONG may be behind a long queue.
func (l *conn) heard() bool {
	n := l.c.BytesIn()
	was := l.lastIn
	l.lastIn = n
	return n > was
}

// quiet tells whether a PING may be left out because the peer was heard; a link
// that is up to us to keep open is pinged as its settings say.
func (l *conn) quiet() bool { return l.hub && l.c.BytesIn() > l.lastIn }

// unbind takes the link out of its account.
func (l *conn) unbind(e *ending) {
	l.pinger.Stop()
	if l.detach != nil {
		l.detach()
	}
	l.acct.Unwatch(l)
	l.subsMu.Lock()
	all := make([]*broker.Sub, 0, len(l.subs))
	for _, s := range l.subs {
		all = append(all, s)
	}
	l.subsMu.Unlock()
	l.acct.UnsubscribeAll(all)
	l.acct.remove(l)
	if l.out == nil || l.out.link.Load() == l {
		l.port.Replies.Stop()
	}
	last := l.Info(false)
	last.Stopped, last.Reason = time.Now(), e.reason
	l.svc.opts.Registry.Remove(l, last)
	l.log.Noticef("Leafnode connection closed: %s - %s", e.reason, e)
}

// HandleBlock handles what has arrived.
func (l *conn) HandleBlock(b []byte) (consumed, need int, err error) {
	l.active.Store(time.Now().UnixNano())
	for consumed < len(b) {
		var n int
		n, need, err = l.parser.Next(b[consumed:], &l.op)
		if err != nil {
			err = violation(err)
			break
		}
		if n == 0 {
			break
		}
		consumed += n
		if e := l.handle(&l.op); e != nil {
			err = e
			break
		}
	}
	l.inlet.Flush()
	l.c.Flush()
	return consumed, need, err
}

func (l *conn) handle(op *wire.Op) *ending {
	if l.leaving && op.Kind != wire.KindMsg {
		return nil
	}
	switch op.Kind {
	case wire.KindMsg:
		return l.message(op)
	case wire.KindInterestAdd:
		return l.addInterest(op)
	case wire.KindInterestDel:
		l.delInterest(op)
	case wire.KindPing:
		l.c.Write([]byte("PONG\r\n"))
	case wire.KindPong:
		l.pong()
	case wire.KindErr:
		return l.peerError(string(op.Arg))
	case wire.KindInfo:
		return l.laterInfo(op.Arg)
	case wire.KindConnect:
		return violation(wire.ErrUnknownOp)
	}
	return nil
}

func (l *conn) pong() {
	l.ponged()
	rtt, ok := l.pinger.Pong()
	if ok && l.remote != nil {
		l.remote.noteRTT(rtt)
	}
	l.adaptCompression(rtt, ok)
}

// peerError handles an -ERR. The side that dialed learns from some why the hub is
// about to end the link, and ends it itself.
func (l *conn) peerError(text string) *ending {
	l.log.Errorf("Leafnode Error %s", text)
	e := peerSaid(text, true)
	if l.remote != nil {
		return e
	}
	if e != nil && e.cause == causeRefused {
		return e
	}
	return nil
}

// message routes what the peer published.
func (l *conn) message(op *wire.Op) *ending {
	if op.Dirty {
		return nil
	}
	if l.acct.Maps() {
		to, ok := l.inlet.Map(l.acct.Account, op.Subject)
		if !ok {
			return nil // lost on purpose
		}
		op.Subject = to
	}
	if r := l.rules.Load(); r.recv != nil && !r.recv.incoming(op.Subject) && !l.answers.Answer(op.Subject) {
		if l.hub && l.remote == nil {
			return ended(wire.ReasonProtocolViolation, wire.TextPublishViolation(string(op.Subject)))
		}
		l.denied.Add(1)
		return nil
	}
	m := &l.msg
	m.Subject, m.Reply = op.Subject, op.Reply
	m.HdrLen, m.Payload = op.HdrLen, op.Payload
	m.Groups, m.Listed = op.Queues, true
	l.inlet.Publish(m)
	return nil
}

// Deliver is not used: the port is an aggregate.
func (l *conn) Deliver(*broker.Msg, *broker.Sub) bool { return false }

// DeliverOnce queues a message for all that it is for at the peer.
func (l *conn) DeliverOnce(m *broker.Msg, plain bool, groups [][]byte) bool {
	hdr, payload := m.HdrLen, m.Payload
	if hdr > 0 && !l.peer.headers {
		hdr, payload = 0, payload[hdr:]
	}
	if l.peer.maxPayload > 0 && len(payload) > l.peer.maxPayload {
		if l.oversized.Add(1) == 1 {
			l.log.Warnf("Message of %d bytes not sent, nor will others: the other side takes at most %d", len(payload), l.peer.maxPayload)
		}
		return false
	}
	if f := l.rules.Load().send; f != nil {
		var room [8][]byte
		plain, groups = f.prune(room[:0], m.Subject, plain, groups)
		if !plain && len(groups) == 0 {
			l.denied.Add(1)
			return false
		}
		l.answers.Delivered(m.Reply)
	}
	n := lineOverhead + len(m.Subject) + len(m.Reply) + len(payload)
	for _, g := range groups {
		n += len(g) + 1
	}
	b := l.c.TryReserve(n, maxPending)
	if b == nil {
		l.dropped.Add(1)
		return false
	}
	b = wire.AppendLeafMsg(b, m.Subject, m.Reply, groups, hdr, len(payload))
	b = append(b, payload...)
	b = append(b, '\r', '\n')
	l.outMsgs++
	l.outBytes += int64(len(payload))
	l.c.Commit(b)
	return true
}

// lineOverhead is what a message line has besides names and payload: verb, blanks,
// the group marker, two sizes, two line ends.
const lineOverhead = 5 + 4 + 2 + 2*20 + 4

// prune leaves of a message's destinations those that f allows.
func (f *filter) prune(room [][]byte, subj []byte, plain bool, groups [][]byte) (bool, [][]byte) {
	if !f.scoped {
		if !f.outgoing(subj) {
			return false, nil
		}
		return plain, groups
	}
	plain = plain && f.outgoing(subj)
	return plain, f.appendGroups(room, wire.StripGatewayReply(subj), groups)
}

// Flush writes what is queued.
func (l *conn) Flush() { l.c.Flush() }

// Info is a snapshot for monitoring.
func (l *conn) Info(subs bool) link.Info {
	i := link.Info{
		ID: l.id, Kind: link.KindLeaf, Addr: l.from, Name: l.peer.name,
		Account: l.acct.Name, Started: l.c.Started(), Active: l.c.Started(), Pending: l.c.Pending(),
	}
	if at := l.active.Load(); at > 0 {
		i.Active = time.Unix(0, at)
	}
	if l.ident != nil {
		i.User = l.ident.User
	}
	i.RTT = l.pinger.RTT()
	i.InMsgs, i.InBytes = l.port.In.Msgs.Load(), l.port.In.Bytes.Load()
	l.c.Locked(func() { i.OutMsgs, i.OutBytes = l.outMsgs, l.outBytes })
	d := Details{
		ServerID: l.peer.id, Cluster: l.peer.cluster, Version: l.peer.version,
		IsSpoke: !l.hub, IsIsolated: l.peer.isolated, Solicited: l.remote != nil,
		Identity: l.ident, Oversized: l.oversized.Load(), Denied: l.denied.Load(), Dropped: l.dropped.Load(),
	}
	if m := l.compression.Load(); m != nil {
		d.Compression = string(*m)
	}
	if l.ident != nil {
		d.Proxy = l.ident.Proxy
	}
	if l.remote != nil {
		d.Remote, d.URL = l.remote.name, l.remote.urlInUse()
	}
	l.subsMu.Lock()
	i.Subs = len(l.subs)
	if subs {
		for _, s := range l.subs {
			d.Subscriptions = append(d.Subscriptions, string(s.Subject))
		}
	}
	l.subsMu.Unlock()
	if s := l.c.TLSState(); s != nil {
		i.TLSVersion, i.TLSCipher = tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite)
	}
	i.More = d
	return i
}
