package broker

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/wire"
)

// A message may ask by its headers that each server on its way tells what it did with it
// (monitoring-events 15). What is traced is noted by the inlet where the message came
// in, while it routes it; all else of the message path asks one pointer of the inlet
// whether that is so. Messages without headers are not looked at, and those with headers
// are searched for a name.

// Headers of traced messages.
const (
	TraceDest = "Nats-Trace-Dest"
	TraceOnly = "Nats-Trace-Only"
	TraceHop  = "Nats-Trace-Hop"
	// traceOrigin is of an early implementation: it switches tracing off.
	traceOrigin = "Nats-Trace-Origin-Account"
	// traceAccount is our own, from server to server: where the events go, if that is
	// not the account that the message is in. It counts only between servers of ours, each
	// of which sets it or takes it away, so that nobody else decides that.
	traceAccount = "X-Banyan-Trace-Account"
	// TraceDisabled in the place of a destination stops a trace.
	TraceDisabled = "trace disabled"
)

// Kinds of connections in traces.
const (
	TraceClient  = 0
	TraceRoute   = 1
	TraceGateway = 2
	TraceSystem  = 3
	TraceLeaf    = 4
	TraceAccount = 6
)

// Why a message was not delivered, or not as asked for.
const (
	NotTraced       = "Not delivered because remote does not support message tracing"
	NotReported     = "Message delivered but remote does not support message tracing so no trace event generated from there"
	NoEcho          = "Not delivered because of no echo"
	PublishDenied   = "Not delivered because publish denied for this subject"
	SubscribeDenied = "Not delivered because subscription denies this subject"
	SubClosed       = "Not delivered because subscription is closed"
	ClientClosed    = "Not delivered because client is closed"
	AutoUnsubscribe = "Not delivered because auto-unsubscribe exceeded"
	SlowConsumer    = "Not delivered because fast producer not stalled and consumer is slow"
)

// TraceEnd is a connection as traces show it.
type TraceEnd struct {
	Kind int
	ID   uint64
	Name string
	// Reports: it leads to a server that traces, Ours: to one of ours in the same cluster.
	// For links between servers.
	Reports, Ours bool
}

// TraceSink is a Sink that traces can name.
type TraceSink interface {
	// TraceEnd is the connection that m goes to; m is nil where it came from.
	TraceEnd(m *Msg) TraceEnd
}

// Explainer is a Sink that can say why it would not take a message for a subscription; ""
// if it would. It is called as Deliver is.
type Explainer interface {
	Refuses(m *Msg, s *Sub) string
}

// Denier is an aggregate Sink that may not pass everything on.
type Denier interface {
	// Denies tells whether a message may not go there, neither plainly nor for any of
	// the groups. It is called as DeliverOnce is.
	Denies(m *Msg, plain bool, groups [][]byte) bool
}

// TraceEvent is one thing that was done with a traced message.
type TraceEvent struct {
	Type    string // sm, se, si, eg
	At      time.Time
	End     TraceEnd // eg
	Hop     string   // eg
	Account string   // se, si; eg if it is not that of the message
	From    string   // si
	To      string   // sm, se, si
	Sub     string   // eg
	Queue   string   // eg
	Error   string
}

// Trace is what this server reports of one message.
type Trace struct {
	// Account is where the report is published, on the subject Dest.
	Account *Account
	Dest    string
	Only    bool // the message is not delivered
	Header  []byte
	Size    int
	Hops    int // further servers that report

	// Of the ingress.
	At      time.Time
	From    TraceEnd
	In      *Account
	Subject string
	Error   string

	Events []TraceEvent

	hop  string
	next int
	off  bool // nothing is reported, and other servers are told so
}

// Tracer publishes reports. Traced is called on the message path: it queues, and does
// not block.
type Tracer interface{ Traced(*Trace) }

// SetTracer makes the broker trace. Before connections are served.
func (b *Broker) SetTracer(t Tracer) { b.tracer = t }

var (
	tracePrefix = []byte("Nats-Trace-")
	traceparent = []byte("raceparent") // its first letter may be of either case
)

// MayTrace tells whether a block of headers of a client's message may ask for a trace:
// whether NewTrace is to be asked.
func (a *Account) MayTrace(hdr []byte) bool {
	return bytes.Contains(hdr, tracePrefix) || a.trace.Load() != nil && mayHaveParent(hdr)
}

// mayHaveParent looks for the header traceparent in any letter case.
func mayHaveParent(hdr []byte) bool {
	return bytes.Contains(hdr, traceparent) || len(parentOf(hdr)) > 0
}

// parentOf is the value of the header traceparent.
func parentOf(hdr []byte) string {
	const name = "traceparent"
	for at := 0; ; {
		n := bytes.IndexByte(hdr[at:], '\n')
		if n < 0 {
			return ""
		}
		at += n + 1
		line := hdr[at:]
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			end := bytes.IndexByte(line, '\r')
			if end < 0 {
				return ""
			}
			return strings.TrimSpace(string(line[len(name)+1 : end]))
		}
	}
}

// NewTrace begins the trace that a message of a client asks for; nil if it asks for none.
// drop: the message is not to be delivered either. bad is a destination that is none.
func (a *Account) NewTrace(m *Msg, from TraceEnd) (t *Trace, drop bool, bad string) {
	t, drop, bad = a.readTrace(m.Payload[:m.HdrLen], true)
	if t == nil {
		return nil, drop, bad
	}
	t.begin(m, from)
	return t, false, ""
}

func (t *Trace) begin(m *Msg, from TraceEnd) {
	t.From, t.In, t.Subject, t.Size, t.At = from, m.Account, string(m.Subject), len(m.Payload), time.Now()
	t.Header = slices.Clone(m.Payload[:m.HdrLen])
}

// readTrace reads the headers. first: this is where the message enters.
func (a *Account) readTrace(hdr []byte, first bool) (t *Trace, drop bool, bad string) {
	dest, asked := wire.HeaderValue(hdr, TraceDest)
	if string(dest) == TraceDisabled || !bytes.HasPrefix(hdr, headerStart) {
		return nil, false, ""
	}
	if asked {
		only := traceOnly(hdr)
		if _, early := wire.HeaderValue(hdr, traceOrigin); early {
			return nil, only, traceOrigin
		}
		if !subject.ValidPublish(string(dest)) {
			return nil, only, string(dest)
		}
		t = &Trace{Account: a, Dest: string(dest), Only: only}
	} else if t = a.sampledTrace(hdr, first); t == nil {
		return nil, false, ""
	}
	if !first {
		hop, _ := wire.HeaderValue(hdr, TraceHop)
		t.hop = string(hop)
	}
	return t, false, ""
}

// sampledTrace is for a message whose header traceparent is sampled, in an account that
// wants such traces. The dice are thrown where it enters.
func (a *Account) sampledTrace(hdr []byte, first bool) *Trace {
	set := a.trace.Load()
	if set == nil || !flagged(strings.Split(parentOf(hdr), "-")) {
		return nil
	}
	if !first {
		if _, ok := wire.HeaderValue(hdr, TraceHop); !ok {
			return nil
		}
		return &Trace{Account: a, Dest: set.Dest}
	}
	return &Trace{Account: a, Dest: set.Dest, off: set.Sampling < 100 && rand.IntN(100) >= set.Sampling}
}

func traceOnly(hdr []byte) bool {
	v, _ := wire.HeaderValue(hdr, TraceOnly)
	switch strings.ToLower(strings.TrimSpace(string(v))) {
	case "1", "true", "on":
		return true
	}
	return false
}

// Mapped notes that the account's mappings gave the message another subject.
func (t *Trace) Mapped(to []byte) { t.note(TraceEvent{Type: "sm", To: string(to)}) }

// Silent tells whether nothing is reported of the message itself.
func (t *Trace) Silent() bool { return t.off }

func (t *Trace) note(e TraceEvent) {
	e.At = time.Now()
	t.Events = append(t.Events, e)
}

// PublishTraced is Publish for a traced message. It does not report it.
func (in *Inlet) PublishTraced(m *Msg, t *Trace) int {
	in.trace = t
	n := in.publish(m)
	in.trace = nil
	return n
}

// publish is Publish without a look at the headers.
func (in *Inlet) publish(m *Msg) int {
	traces := in.traces
	in.traces = false
	n := in.Publish(m)
	in.traces = traces
	return n
}

// Report publishes what was traced.
func (b *Broker) Report(t *Trace) {
	if !t.off && b.tracer != nil {
		b.tracer.Traced(t)
	}
}

// mayBeTraced tells whether arrived is to look at a message of another server.
func mayBeTraced(m *Msg) bool { return bytes.Contains(m.Payload[:m.HdrLen], tracePrefix) }

// arrived is Publish for a message that another server passed on and that may be traced.
func (in *Inlet) arrived(m *Msg) int {
	hdr := m.Payload[:m.HdrLen]
	t, drop, _ := m.Account.readTrace(hdr, false)
	switch {
	case drop:
		return 0
	case t == nil:
		return in.publish(m)
	case in.MayTrace != nil && !in.MayTrace([]byte(t.Dest)):
		if t.Only {
			return 0
		}
		return in.publish(in.untraced(m))
	}
	end := TraceEnd{Kind: TraceRoute, ID: in.port.ID}
	if s, ok := in.port.Sink.(TraceSink); ok {
		end = s.TraceEnd(nil)
	}
	if name, ok := wire.HeaderValue(hdr, traceAccount); ok && end.Ours {
		if a := in.b.Lookup(name); a != nil {
			t.Account = a
		}
	}
	t.begin(m, end)
	n := in.PublishTraced(m, t)
	in.b.Report(t)
	return n
}

// deliverTraced is deliverHere for a traced message.
func (in *Inlet) deliverTraced(r *result, m *Msg) (n int) {
	for _, s := range r.direct {
		if in.traceTo(m, s) {
			n++
		}
	}
	served := uint64(0)
	for i := range r.groups {
		g := &r.groups[i]
		if at, ok := m.listed(g.name); ok && in.pick(r, g, m) {
			served |= 1 << at
			n++
		}
	}
	for i := range r.peers {
		p := &r.peers[i]
		plain := p.wants(m)
		if plain || len(p.names) > 0 {
			if in.traceOn(p, m, plain) && plain {
				n++
			}
		}
		clear(p.names)
		p.names = p.names[:0]
	}
	if in.rescues && len(m.Groups) > bits.OnesCount64(served) {
		n += in.rescue(m, served)
	}
	return n
}

// traceTo hands a traced message to a direct subscription, or tells why not.
func (in *Inlet) traceTo(m *Msg, s *Sub) bool {
	t := in.trace
	e := TraceEvent{Type: "eg", End: TraceEnd{Kind: TraceSystem, ID: s.Port.ID}, Sub: string(s.Subject), Queue: string(s.Queue)}
	shown := m
	if s.extra != nil {
		if m.via != nil {
			return false
		}
		allowed := s.traceable()
		shown, s = in.local(m, s)
		if !allowed {
			if t.Only {
				return false
			}
			shown = in.untraced(shown)
			if !s.Port.Sink.Deliver(shown, s) {
				return false
			}
			in.mark(s.Port, len(m.Payload))
			return true
		}
		t.note(TraceEvent{Type: "se", Account: s.Account.Name, To: string(shown.Subject)})
		e.Sub = string(s.Subject)
	}
	if s.Account != t.In {
		e.Account = s.Account.Name
	}
	if x, ok := s.Port.Sink.(TraceSink); ok {
		e.End = x.TraceEnd(shown)
	}
	if x, ok := s.Port.Sink.(Explainer); ok {
		e.Error = x.Refuses(shown, s)
	}
	if e.Error == "" && !t.Only {
		if s.Port.Sink.Deliver(shown, s) {
			in.mark(s.Port, len(m.Payload))
		} else {
			e.Error = ClientClosed
		}
	}
	t.note(e)
	return e.Error == ""
}

// traceOn passes a traced message on to another server.
func (in *Inlet) traceOn(p *peer, m *Msg, plain bool) bool {
	t := in.trace
	shown := m
	if p.way != nil {
		allowed := p.way.traceable()
		shown, _ = in.local(m, p.way)
		if !allowed {
			if t.Only {
				return false
			}
			return in.sendOn(p, in.untraced(shown), plain)
		}
		t.note(TraceEvent{Type: "se", Account: shown.Account.Name, To: string(shown.Subject)})
	}
	if t.off {
		return in.sendOn(p, in.untraced(shown), plain)
	}
	e := TraceEvent{Type: "eg", End: TraceEnd{Kind: TraceRoute, ID: p.port.ID}}
	if x, ok := p.port.Sink.(TraceSink); ok {
		e.End = x.TraceEnd(shown)
	}
	if shown.Account != t.In {
		e.Account = shown.Account.Name
	}
	if len(p.names) > 0 && !plain {
		e.Queue = string(bytes.Join(p.names, []byte(",")))
	}
	denier, may := p.port.Sink.(Denier)
	ok := true
	switch {
	case may && denier.Denies(shown, plain, p.names):
		e.Error, ok = PublishDenied, false
	case e.End.Reports:
		t.next++
		e.Hop = strconv.Itoa(t.next)
		if t.hop != "" {
			e.Hop = t.hop + "." + e.Hop
		}
		if ok = in.sendOn(p, t.onward(shown, e.Hop), plain); ok {
			t.Hops++
		} else {
			e.Error, e.Hop = ClientClosed, ""
			t.next--
		}
	case t.Only:
		e.Error, ok = NotTraced, false
	default:
		if ok = in.sendOn(p, shown, plain); ok {
			e.Error = NotReported
		} else {
			e.Error = ClientClosed
		}
	}
	t.note(e)
	return ok
}

func (in *Inlet) sendOn(p *peer, m *Msg, plain bool) bool {
	if !p.port.Sink.DeliverOnce(m, plain, p.names) {
		return false
	}
	in.mark(p.port, len(m.Payload))
	return true
}

// onward is the message with the number of its hop.
func (t *Trace) onward(m *Msg, hop string) *Msg {
	next := withHeader(m, TraceHop, hop)
	switch {
	case t.Account != m.Account:
		return withHeader(next, traceAccount, t.Account.Name)
	case bytes.Contains(next.Payload[:next.HdrLen], []byte(traceAccount)):
		body := next.Payload[next.HdrLen:]
		hdr := wire.AppendDelHeader(nil, next.Payload[:next.HdrLen], traceAccount)
		next.HdrLen, next.Payload = len(hdr), append(hdr, body...)
	}
	return next
}

// untraced is the message as servers get it that are not to trace it.
func (in *Inlet) untraced(m *Msg) *Msg { return withHeader(m, TraceDest, TraceDisabled) }

// withHeader is a copy of a message with a header set.
func withHeader(m *Msg, name, value string) *Msg {
	next := *m
	hdr, _ := wire.AppendSetHeader(make([]byte, 0, len(m.Payload)+len(name)+len(value)+16), m.Payload[:m.HdrLen], name, []byte(value))
	next.HdrLen = len(hdr)
	next.Payload = append(hdr, m.Payload[m.HdrLen:]...)
	return &next
}

// traceable tells whether traces may go on to where a shadow leads.
func (s *Sub) traceable() bool {
	for ; s.extra != nil && s.extra.local != nil; s = s.extra.local {
		if !s.extra.via.def.AllowTrace {
			return false
		}
	}
	return true
}

// requestTraced is what a trace has to do with a request to another account's service:
// it goes on there, or stops. It returns the message to be passed on, nil for none.
func (in *Inlet) requestTraced(i *serviceImport, m *Msg, to []byte) *Msg {
	t := in.trace
	if i.terms.trace {
		t.note(TraceEvent{Type: "si", Account: i.from.Name, From: string(m.Subject), To: string(to)})
		return m
	}
	if t.Only {
		return nil
	}
	in.trace = nil
	return in.untraced(m)
}
