package broker

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/wire"
)

// A request enters at a service import, on the server of the requester: there it
// becomes a message of the exporting account, with a reply subject of ours, and goes
// where such messages go. Servers that it is passed on to do not know that it came
// from another account, and never look at service imports.

// serviceImport is one service import of an account.
type serviceImport struct {
	def     account.Import
	account *Account // that imports
	from    *Account
	there   *subject.Transform // local subject to exporter's
	same    bool               // both are the same
	terms   terms
}

// terms are how answers of a service are waited for.
type terms struct {
	response  account.ResponseType
	threshold time.Duration
	measured  bool
	latency   account.Latency
	trace     bool // traces may go on in the service's account
}

// hop is a service import on the way of a message.
type hop struct {
	by   *serviceImport
	prev *hop
}

// crossing holds the message that another account gets while it is routed there.
type crossing struct {
	msg     Msg
	hop     hop
	subject []byte
	mapped  []byte
	reply   []byte
	payload []byte
	result  result
}

const (
	// maxHops is how many accounts a message may cross.
	maxHops = 64
	// InfoHeader tells a service who asks.
	InfoHeader = "Nats-Request-Info"
)

// Requester is what a service may learn of who sent a request (accounts-auth 8.3).
type Requester struct {
	Start      string        `json:"start,omitempty"`
	Host       string        `json:"host,omitempty"`
	ID         uint64        `json:"id,omitempty"`
	Account    string        `json:"acc"`
	Service    string        `json:"svc,omitempty"`
	User       string        `json:"user,omitempty"`
	Name       string        `json:"name,omitempty"`
	Lang       string        `json:"lang,omitempty"`
	Version    string        `json:"ver,omitempty"`
	RTT        time.Duration `json:"rtt,omitempty"`
	Server     string        `json:"server,omitempty"`
	Cluster    string        `json:"cluster,omitempty"`
	Kind       string        `json:"kind,omitempty"`
	ClientType string        `json:"client_type,omitempty"`
}

// Introducer is a Sink that can tell who is behind its port.
type Introducer interface {
	Introduce() Requester
	// RTT changes when Introduce is worth asking again.
	RTT() time.Duration
}

// face is the header that was made for requests of this inlet.
type face struct {
	share    bool
	place    bool // with the server
	acc, svc *Account
	rtt      time.Duration
	line     []byte // with its end
}

// shareServicesLocked keeps a subscription for each service import of an account.
func (b *Broker) shareServicesLocked(a *Account, s *shared, d account.Definition, set *account.Set) {
	var kept []*Sub
	for _, i := range d.Imports {
		if i.Kind != account.Service {
			continue
		}
		t := terms{response: account.Singleton, threshold: account.DefaultThreshold}
		if from := set.Definition(i.From); from != nil {
			if e := from.Export(a.Name, &i); e != nil {
				t.response = e.Response
				t.latency, t.measured = latencyOf(e)
				t.trace = e.AllowTrace
				if e.Threshold > 0 {
					t.threshold = e.Threshold
				}
			}
		}
		at := slices.IndexFunc(s.services, func(o *Sub) bool { return o.extra.service.def == i && o.extra.service.terms == t })
		if at >= 0 {
			kept = append(kept, s.services[at])
			continue
		}
		local, err := i.Local()
		if err != nil {
			continue // checked before
		}
		sub := &Sub{Port: b.sharing.service, Subject: []byte(local.Pattern()), Origin: b.sharing.service.Origin, extra: &extra{
			service: &serviceImport{def: i, account: a, from: b.Account(i.From), there: local.Inverse(), same: local.Identity(), terms: t},
		}}
		a.insert(sub, 1)
		kept = append(kept, sub)
	}
	a.dropMarkers(s.services, kept)
	s.services = kept
}

// cross hands m to a subscription that takes it into another account.
func (in *Inlet) cross(s *Sub, m *Msg) int {
	if in.depth >= maxHops {
		return 0
	}
	if in.depth == len(in.crossings) {
		in.crossings = append(in.crossings, new(crossing))
	}
	c := in.crossings[in.depth]
	in.depth++
	defer func() {
		in.depth--
		c.msg, c.hop = Msg{}, hop{}
	}()
	switch {
	case s.extra.service != nil:
		return in.request(c, s.extra.service, m)
	case s.extra.answers != nil:
		return in.answer(c, s.extra.answers, m)
	}
	return 0
}

// request publishes m in the account of a service.
func (in *Inlet) request(c *crossing, i *serviceImport, m *Msg) (n int) {
	for h := m.via; h != nil; h = h.prev {
		if h.by == i || h.by.from == i.from && h.by.def.Subject == i.def.Subject {
			return 0 // in a circle
		}
	}
	to := m.Subject
	if !i.same {
		c.subject = i.there.Append(c.subject[:0], to)
		to = c.subject
	}
	t, drop := in.mapping(i.from, to)
	if drop {
		return 1 // lost on purpose
	}
	if t != nil {
		c.mapped = t.Append(c.mapped[:0], to)
		to = c.mapped
	}
	if t := in.trace; t != nil {
		defer func() { in.trace = t }()
		if m = in.requestTraced(i, m, to); m == nil {
			return 1 // not delivered on purpose
		}
	}
	var x *measure
	if i.terms.measured {
		if x = in.sample(i, m); x != nil && len(m.Reply) == 0 {
			in.b.latency.failed(x, StatusBadRequest)
			x = nil
		}
	}
	var wait *answer
	reply := m.Reply
	if len(reply) > 0 && !bytes.HasPrefix(reply, ackPrefix) {
		wait, c.reply = in.b.expect(i.from, i.account, reply, i.terms, x, c.reply[:0])
		reply = c.reply
	}
	hdr := in.introduce(c, i, m)
	c.hop = hop{i, m.via}
	c.msg = Msg{
		Account: i.from, Subject: to, Reply: reply, HdrLen: hdr, Payload: c.payload,
		From: m.From, Cluster: m.Cluster, via: &c.hop,
	}
	n = in.route(in.find(i.from, to), &c.msg)
	switch {
	case wait == nil:
	case n == 0:
		wait.fail(StatusUnavailable)
	case x != nil:
		in.b.latency.passedOn(x)
	}
	return n
}

var ackPrefix = []byte(wire.AckReplyPrefix)

// answer publishes an answer to a request where it came from.
func (in *Inlet) answer(c *crossing, t *answers, m *Msg) (n int) {
	a := t.take(m.Subject, len(m.Payload) == m.HdrLen)
	if a == nil {
		return 0
	}
	if t := in.trace; t != nil {
		// Answers are not traced where they came from another account.
		if t.Only {
			return 1
		}
		defer func() { in.trace = t }()
		in.trace = nil
		m = in.untraced(m)
	}
	if a.measure != nil {
		in.b.latency.answered(a.measure, in, m.From)
	}
	c.subject = append(c.subject[:0], a.reply...)
	reply := m.Reply
	if len(reply) > 0 && !bytes.HasPrefix(reply, ackPrefix) {
		// The requester may answer in turn.
		_, c.reply = in.b.expect(a.to, m.Account, reply, a.terms, nil, c.reply[:0])
		reply = c.reply
	}
	c.msg = Msg{
		Account: a.to, Subject: c.subject, Reply: reply, HdrLen: m.HdrLen, Payload: m.Payload,
		From: m.From, Cluster: m.Cluster,
	}
	if isMapped(c.subject) {
		n = in.publishMapped(&c.msg)
	} else {
		in.build(&c.result, a.to, c.subject, FromClient, false)
		n = in.deliver(&c.result, &c.msg)
	}
	if n == 0 && a.terms.response != account.Singleton {
		a.forget()
	}
	return n
}

// introduce makes the payload of a request, with a header that says who asks, and
// returns the length of the headers. What the requester says of itself there is
// replaced: services trust it.
func (in *Inlet) introduce(c *crossing, i *serviceImport, m *Msg) (hdr int) {
	line := in.face(i, m)
	b := c.payload[:0]
	if m.HdrLen == 0 {
		b = append(b, headerStart...)
	} else {
		b = appendWithout(b, m.Payload[:m.HdrLen], InfoHeader)
	}
	b = append(append(b, line...), wire.CRLF...)
	hdr = len(b)
	c.payload = append(b, m.Payload[m.HdrLen:]...)
	return hdr
}

var headerStart = []byte("NATS/1.0\r\n")

// appendWithout appends a block of headers without its end and without the lines of one name.
func appendWithout(dst, block []byte, name string) []byte {
	for len(block) > 0 {
		end := bytes.IndexByte(block, '\n') + 1
		if end == 0 {
			end = len(block)
		}
		line := block[:end]
		block = block[end:]
		text := bytes.TrimRight(line, "\r\n")
		key, _, isHeader := bytes.Cut(text, []byte{':'})
		switch {
		case len(text) == 0:
			return dst
		case isHeader && strings.EqualFold(string(bytes.TrimSpace(key)), name):
			// Blanks around it too: some readers overlook them.
		default:
			dst = append(append(dst, text...), wire.CRLF...)
		}
	}
	return dst
}

// maxFaces bounds the headers that an inlet keeps.
const maxFaces = 16

// face returns the header line for requests through an import.
func (in *Inlet) face(i *serviceImport, m *Msg) []byte {
	acc, svc := i.account, (*Account)(nil)
	if m.via != nil {
		svc = acc
		for h := m.via; h != nil; h = h.prev {
			acc = h.by.account
		}
	}
	who, _ := in.port.Sink.(Introducer)
	var rtt time.Duration
	if who != nil {
		rtt = who.RTT()
	}
	place := i.from.Name == in.b.system // which asks for nothing that it does not know already
	for k := range in.faces {
		if f := &in.faces[k]; f.acc == acc && f.svc == svc && f.share == i.def.Share && f.place == place {
			if f.rtt == rtt {
				return f.line
			}
			in.faces = slices.Delete(in.faces, k, k+1)
			break
		}
	}
	r := in.requester(i, m)
	if place && who != nil {
		full := who.Introduce()
		r.Server, r.Cluster = full.Server, full.Cluster
	}
	js, err := json.Marshal(r)
	if err != nil {
		js = []byte("{}") // can't be: it is all text and numbers
	}
	f := face{share: i.def.Share, place: place, acc: acc, svc: svc, rtt: rtt, line: slices.Concat([]byte(InfoHeader+": "), js, []byte(wire.CRLF))}
	if len(in.faces) >= maxFaces {
		in.faces = in.faces[:0]
	}
	in.faces = append(in.faces, f)
	return f.line
}
