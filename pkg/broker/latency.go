package broker

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Requests to services whose export says so are measured: all of them, a sample, or
// those whose headers ask for it (accounts-auth 8.5). Where requester and responder are
// on different servers, each measures its half, and the requester's server puts
// them together. A request that is not measured costs a comparison.

// Measurement is what became of one measured request.
type Measurement struct {
	Account *Account // of the service
	Subject string   // where to publish it
	Status  int

	Requestor *Requester
	Responder *Requester // nil: there was none, or it is not known
	Header    map[string][]string
	Start     time.Time // seen by the requester
	Service   time.Duration
	System    time.Duration
	Total     time.Duration
}

// Half is what the responder's server measured.
type Half struct {
	Account   string // of the service
	Reply     string // of the request: its id
	Server    string // hash of the requester's server
	Responder *Requester
	Start     time.Time
	Service   time.Duration
	Total     time.Duration
}

// Statuses of measurements.
const (
	StatusOK             = 200
	StatusBadRequest     = 400 // nothing to answer to
	StatusRequestTimeout = 408 // the requester went away
	StatusUnavailable    = 503 // nobody serves
	StatusServiceTimeout = 504
)

// Meter publishes measurements. Its methods are called on the message path: they queue,
// and do not block.
type Meter interface {
	Measured(*Measurement)
	Half(*Half)
}

// SetMeter makes the broker measure. hash is that of this server's name; see
// wire.NameHash. Before connections are served.
func (b *Broker) SetMeter(m Meter, hash string) {
	b.latency.meter, b.latency.suffix = m, "."+hash+trackedEnd
}

// Meter is what SetMeter set, nil if nothing is measured.
func (b *Broker) Meter() Meter { return b.latency.meter }

// latency is what a broker keeps of measured requests.
type latency struct {
	meter  Meter
	suffix string // of reply subjects

	mu   sync.Mutex
	open map[string]*measure // by reply subject
}

// trackedEnd ends the reply subject of a measured request, behind the hash of the
// requester's server.
const trackedEnd = ".T"

const (
	hashLen = 8
	// halfTime is how long the responder's half may come behind the answer.
	halfTime = 2 * time.Second
)

// Tracked tells whether a reply subject is that of a measured request, and of which
// server.
func Tracked(reply []byte) (server string, ok bool) {
	const prefix = wire.ServiceReplyPrefix
	n := len(reply) - len(trackedEnd)
	if n < len(prefix)+2*idLen+1+1+hashLen || string(reply[n:]) != trackedEnd || string(reply[:len(prefix)]) != prefix || reply[n-hashLen-1] != '.' {
		return "", false
	}
	return string(reply[n-hashLen : n]), true
}

// measure is one request under way.
type measure struct {
	m        Measurement
	reply    string
	seen     time.Time
	sent     time.Time
	answered time.Time // zero: not yet
	half     *Half
	timer    *time.Timer
}

// sample decides whether a request is measured.
func (in *Inlet) sample(i *serviceImport, m *Msg) *measure {
	if in.b.latency.meter == nil {
		return nil
	}
	l := i.terms.latency
	var header map[string][]string
	if l.Sampling < 100 && (l.Sampling <= 0 || rand.IntN(100) >= l.Sampling) {
		ok := false
		if m.HdrLen > 0 {
			header, ok = sampledBy(string(m.Payload[:m.HdrLen]))
		}
		if !ok {
			return nil
		}
	}
	who := in.requester(i, m)
	now := time.Now()
	return &measure{seen: now, m: Measurement{
		Account: i.from, Subject: l.Subject, Status: StatusOK, Requestor: &who, Header: header, Start: now.Add(-who.RTT).UTC(),
	}}
}

// tracks puts a measure on the list.
func (l *latency) tracks(x *measure, reply []byte) {
	x.reply = string(reply)
	l.mu.Lock()
	if l.open == nil {
		l.open = make(map[string]*measure)
	}
	l.open[x.reply] = x
	l.mu.Unlock()
}

// passedOn notes that the request was handed over.
func (l *latency) passedOn(x *measure) {
	l.mu.Lock()
	x.sent = time.Now()
	l.mu.Unlock()
}

// failed ends a measure for want of an answer.
func (l *latency) failed(x *measure, status int) {
	l.mu.Lock()
	open := x.reply == "" || l.open[x.reply] == x
	delete(l.open, x.reply)
	l.mu.Unlock()
	if !open {
		return
	}
	x.m.Status = status
	if status != StatusBadRequest {
		x.m.Total = time.Since(x.seen) + x.m.Requestor.RTT
	}
	l.meter.Measured(&x.m)
}

// answered is told of the answer, which came in on a port.
func (l *latency) answered(x *measure, in *Inlet, from *Port) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[x.reply] != x {
		return
	}
	x.answered = now
	switch {
	case from.Class&(Route|Border|Gateway) == 0:
		delete(l.open, x.reply)
		r := Requester{Account: x.m.Account.Name}
		if who, ok := in.port.Sink.(Introducer); ok {
			r = who.Introduce()
			r.Account, r.RTT = x.m.Account.Name, who.RTT()
		}
		sent := x.sent
		if sent.IsZero() {
			sent = now // the answer was faster than we were at noting it
		}
		x.m.Responder = &r
		x.m.Service = max(now.Sub(sent)-r.RTT, 0)
		x.m.System = sent.Sub(x.seen)
		x.m.Total = now.Sub(x.seen) + x.m.Requestor.RTT
		l.meter.Measured(&x.m)
	case x.half != nil:
		l.joinLocked(x)
	default:
		x.timer = time.AfterFunc(halfTime, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.open[x.reply] == x {
				l.joinLocked(x)
			}
		})
	}
}

// joinLocked publishes what both servers have measured, or we alone.
func (l *latency) joinLocked(x *measure) {
	delete(l.open, x.reply)
	if x.timer != nil {
		x.timer.Stop()
	}
	span := x.answered.Sub(x.seen)
	x.m.Total = span + x.m.Requestor.RTT
	if h := x.half; h != nil {
		x.m.Responder, x.m.Service = h.Responder, max(h.Service, 0)
		x.m.System = max(span-x.m.Service-h.Responder.RTT, 0)
	} else {
		x.m.Service = span
	}
	l.meter.Measured(&x.m)
}

// Join takes the half of a measurement that another server has made.
func (b *Broker) Join(h *Half) {
	if h.Responder == nil {
		return
	}
	l := &b.latency
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.open[h.Reply]
	if x == nil || x.m.Account.Name != h.Account {
		return
	}
	x.half = h
	if !x.answered.IsZero() {
		l.joinLocked(x)
	}
}

// requester is who sent a request, as much as the import shows of it.
func (in *Inlet) requester(i *serviceImport, m *Msg) (r Requester) {
	who, _ := in.port.Sink.(Introducer)
	var rtt time.Duration
	if who != nil {
		rtt = who.RTT()
		if i.def.Share {
			r = who.Introduce()
		}
	}
	acc := i.account
	if m.via != nil {
		r.Service = acc.Name
		for h := m.via; h != nil; h = h.prev {
			acc = h.by.account
		}
	}
	r.Account, r.RTT = acc.Name, rtt
	return r
}

// The headers by which traces say whether they are sampled, in the order in which they
// are looked at.
const (
	headerUber      = "Uber-Trace-Id"
	headerB3Sampled = "X-B3-Sampled"
	headerB3TraceID = "X-B3-TraceId"
	headerB3        = "B3"
	headerParent    = "Traceparent"
)

// sampledBy tells whether a block of headers says that its trace is sampled, and
// returns those that belong to it.
func sampledBy(block string) (header map[string][]string, ok bool) {
	find := func(name string) (string, bool) {
		for k, v := range headerLines(block) {
			if strings.EqualFold(k, name) {
				return v, true
			}
		}
		return "", false
	}
	take := func(match func(name string) bool) map[string][]string {
		h := make(map[string][]string)
		for k, v := range headerLines(block) {
			if match(k) {
				h[k] = append(h[k], v)
			}
		}
		return h
	}
	named := func(names ...string) map[string][]string {
		h := make(map[string][]string)
		for _, n := range names {
			if v, ok := find(n); ok {
				h[n] = []string{v}
			}
		}
		return h
	}
	b3 := func() map[string][]string {
		return named(headerB3TraceID, "X-B3-ParentSpanId", "X-B3-SpanId", headerB3Sampled)
	}
	if v, there := find(headerUber); there {
		if !flagged(strings.Split(v, ":")) {
			return nil, false
		}
		h := take(func(k string) bool { return len(k) > 8 && strings.EqualFold(k[:8], "Uberctx-") })
		h[headerUber] = []string{v}
		return h, true
	}
	if v, there := find(headerB3Sampled); there {
		return b3(), v == "1"
	}
	if _, there := find(headerB3TraceID); there {
		return b3(), true
	}
	if v, there := find(headerB3); there {
		parts := strings.Split(v, "-")
		return named(headerB3), v != "0" && (len(parts) < 3 || parts[2] != "0")
	}
	if v, there := find(headerParent); there {
		return named(headerParent, "Tracestate"), flagged(strings.Split(v, "-"))
	}
	return nil, false
}

// flagged tells whether the last of four parts is a hexadecimal number with its lowest
// bit set.
func flagged(parts []string) bool {
	if len(parts) != 4 {
		return false
	}
	n, err := strconv.ParseUint(parts[3], 16, 8)
	return err == nil && n&1 == 1
}

// headerLines iterates over the fields of a block of headers.
func headerLines(block string) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		_, rest, _ := strings.Cut(block, wire.CRLF)
		for line := range strings.SplitSeq(rest, wire.CRLF) {
			if k, v, ok := strings.Cut(line, ":"); ok && !yield(strings.TrimSpace(k), strings.TrimSpace(v)) {
				return
			}
		}
	}
}

// latencyOf is what is to be measured of a service; ok is false if nothing is.
func latencyOf(e *account.Export) (l account.Latency, ok bool) {
	if e.Latency == nil || e.Response != account.Singleton {
		return l, false
	}
	return *e.Latency, true
}
