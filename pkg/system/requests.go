package system

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/wire"
)

// filter says which servers a request is for. It stands in the body, beside the
// options of what is asked.
type filter struct {
	Name    string   `json:"server_name"`
	Cluster string   `json:"cluster"`
	Host    string   `json:"host"`
	Exact   bool     `json:"exact_match"`
	Tags    []string `json:"tags"`
	Domain  string   `json:"domain"`
}

// excludes tells whether a request with this filter is not for the server.
func (f *filter) excludes(i *ServerInfo) bool {
	no := func(want, have string) bool {
		return want != "" && (f.Exact && want != have || !strings.Contains(have, want))
	}
	return no(f.Name, i.Name) || no(f.Cluster, i.Cluster) || no(f.Host, i.Host) ||
		f.Domain != "" && f.Domain != i.Domain ||
		slices.ContainsFunc(f.Tags, func(t string) bool { return !slices.Contains(i.Tags, t) })
}

// answer makes the data of an answer from a body, which is valid JSON or empty.
type answer func(body []byte) (any, error)

// noData is an answer that is a success without more.
type noData struct{}

// asked decodes the options of a request for f.
func asked[O any](f func(O) (any, error)) answer {
	return func(body []byte) (any, error) {
		var o O
		if len(body) > 0 {
			if err := json.Unmarshal(body, &o); err != nil {
				return nil, badRequest{err}
			}
		}
		return f(o)
	}
}

// badRequest is the fault of who asks.
type badRequest struct{ error }

func plain[O, R any](f func(O) R) answer {
	return asked(func(o O) (any, error) { return f(o), nil })
}

func fallible[O, R any](f func(O) (R, error)) answer {
	return asked(func(o O) (any, error) { return f(o) })
}

type cidOption struct {
	CID uint64 `json:"cid"`
}

var (
	errNoClient = errors.New("no such client or leafnode id")
	errSilent   = errors.New("not to be answered")
	errNoCID    = errors.New(`a body with "cid" is needed`)
	errReload   = errors.New("reloading is not supported by this daemon, restart it instead")
	errLDM      = errors.New("client does not support Lame Duck Mode or is not ready to receive the notification")
)

// table lists what can be asked of a server. Requests that change something are
// for one server only, see accepts.
func (s *Service) table() map[string]answer {
	r := s.o.Reports
	return map[string]answer{
		"VARZ":      plain(func(struct{}) *monitor.Varz { return r.Varz() }),
		"CONNZ":     fallible(r.Connz),
		"SUBSZ":     fallible(r.Subsz),
		"ROUTEZ":    plain(r.Routez),
		"GATEWAYZ":  plain(r.Gatewayz),
		"LEAFZ":     plain(r.Leafz),
		"ACCOUNTZ":  fallible(r.Accountz),
		"HEALTHZ":   plain(r.Healthz),
		"IDZ":       nil,
		"STATSZ":    nil,
		"KICK":      asked(s.kick),
		"LDM":       asked(s.lameDuck),
		"RELOAD":    func([]byte) (any, error) { return s.reload() },
		"PROFILEZ":  asked(s.profile),
		"EXPVARZ":   plain(func(struct{}) *monitor.Expvarz { return r.Expvarz() }),
		"IPQUEUESZ": plain(r.IPQueuesz),
		"RAFTZ":     asked(s.raftz),
		"JSZ":       asked(s.jsz),
	}
}

// orders are for one server only.
var orders = []string{"KICK", "LDM", "RELOAD"}

func (s *Service) kick(o cidOption) (any, error) {
	if o.CID == 0 {
		return nil, badRequest{errNoCID}
	}
	if s.o.Clients != nil {
		if c := s.o.Clients.Get(o.CID); c != nil {
			c.Close(wire.ReasonKicked)
			return noData{}, nil
		}
	}
	if s.o.Leafs != nil {
		if c := s.o.Leafs.Get(o.CID); c != nil {
			c.Close(wire.ReasonKicked)
			return noData{}, nil
		}
	}
	return nil, errNoClient
}

func (s *Service) lameDuck(o cidOption) (any, error) {
	switch {
	case o.CID == 0:
		return nil, badRequest{errNoCID}
	case s.o.Clients == nil || s.o.Clients.Get(o.CID) == nil:
		return nil, errors.New("no such client id")
	case s.o.LameDuck == nil || s.o.LameDuck(o.CID) != nil:
		return nil, errLDM
	}
	return noData{}, nil
}

func (s *Service) reload() (any, error) {
	f := s.reloader.Load()
	if f == nil || *f == nil {
		return nil, errReload
	}
	return noData{}, (*f)()
}

// slow are answers that take a while and are made on goroutines of their own.
var slow = []string{"PROFILEZ", "RELOAD"}

// subscribe asks for all that concerns a server in the system account. What is
// not known is refused, so that who asks hears it at once.
func (s *Service) subscribe(c *Client) {
	id := s.o.Server.ID
	on := func(subject string, accept func(last string) bool, handle func(*Request)) {
		o := SubOptions{}
		if accept != nil {
			o.Accept = func(m *broker.Msg) bool { return accept(lastToken(m.Subject)) }
		}
		c.Subscribe(s.acc, subject, o, handle)
	}
	on("$SYS.SERVER.*.STATSZ", nil, s.heard)
	on("$SYS.SERVER.*.SHUTDOWN", nil, s.heard)
	on("$SYS.SERVER.*.LAMEDUCK", nil, s.heard)
	on("$SYS.SERVER.ACCOUNT.*.CONNS", nil, s.heardCounts)
	on(s.trackInbox(), nil, s.heardCounts)
	on(halfSubject(wire.NameHash(s.o.Server.Name, hashLen)), nil, s.heardHalf)
	on("$SYS.REQ.SERVER.PING", nil, func(r *Request) { s.serve(r, "STATSZ", true) })
	on("$SYS.REQ.SERVER.PING.*", func(z string) bool {
		_, ok := s.answers[z]
		return ok && !slices.Contains(orders, z)
	}, func(r *Request) { s.serve(r, lastToken(r.Subject), false) })
	on("$SYS.REQ.SERVER."+id+".*", func(z string) bool {
		_, ok := s.answers[z]
		return ok
	}, func(r *Request) { s.serve(r, lastToken(r.Subject), false) })
	on("$SYS.REQ.ACCOUNT.*.*", func(z string) bool { return s.accounts[z] != nil }, s.serveAccount)
	on("$SYS.REQ.ACCOUNT.NSUBS", nil, s.serveCount)
	on(s.countInbox+"*", nil, s.counted)
	c.Subscribe(s.acc, debugSubscribers, SubOptions{Local: true}, s.debugSubscribers)
}

func lastToken[T string | []byte](subject T) string {
	t := string(subject)
	return t[strings.LastIndexByte(t, '.')+1:]
}

// serve answers a request for what a server knows. bare is PING without more,
// whose answer is never compressed.
func (s *Service) serve(r *Request, z string, bare bool) {
	if r.Reply == "" && z != "STATSZ" && !slices.Contains(orders, z) {
		return
	}
	if !s.check(r) {
		return
	}
	if acc, foreign := asker(r); foreign {
		if z == "CONNZ" {
			s.respond(r, func() (any, error) { return s.accounts[z](acc)(r.Payload) })
		}
		return // nothing else is for other accounts
	}
	switch z {
	case "IDZ":
		s.reply(r, identity{s.o.Server.Name, s.config().Client.Host, s.o.Server.ID}, false)
	case "STATSZ":
		if r.Reply == "" {
			s.broadcastSoon()
			return
		}
		s.reply(r, s.statszMsg(), bare)
	default:
		if slices.Contains(slow, z) {
			s.later(r, s.answers[z])
			return
		}
		s.respond(r, func() (any, error) { return s.answers[z](r.Payload) })
	}
}

// later makes an answer on a goroutine of its own.
func (s *Service) later(r *Request, a answer) {
	c := s.out()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || c == nil {
		return
	}
	s.wg.Go(func() {
		data, err := a(r.Payload)
		c.push(func() { s.respond(r, func() (any, error) { return data, err }) }, 0, true)
	})
}

// check tells whether a request can be read and is for this server. One that
// can't be read is answered with the reason.
func (s *Service) check(r *Request) bool {
	if len(r.Payload) == 0 {
		return true
	}
	var f filter
	if err := json.Unmarshal(r.Payload, &f); err != nil {
		s.respond(r, func() (any, error) { return nil, badRequest{err} })
		return false
	}
	i := ServerInfo{Name: s.o.Server.Name, Host: s.config().Client.Host, Tags: s.config().Tags}
	i.Cluster, _ = s.o.Server.Cluster()
	return !f.excludes(&i)
}

// respond sends data or an error in the envelope.
func (s *Service) respond(r *Request, f func() (any, error)) {
	data, err := f()
	if errors.Is(err, errSilent) {
		return
	}
	e := reply{Server: s.info()}
	var bad badRequest
	switch {
	case errors.As(err, &bad):
		e.Error = &replyError{http.StatusBadRequest, err.Error()}
	case err != nil:
		e.Error = &replyError{http.StatusInternalServerError, err.Error()}
	case data != noData{}:
		e.Data = data
	}
	s.reply(r, e, false)
}

// reply sends an answer to where the request asks for it, in the account that it
// came in on.
func (s *Service) reply(r *Request, v any, bare bool) {
	if r.Reply == "" {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		s.o.Log.Errorf("Encoding the answer to %s: %v", r.Subject, err)
		return
	}
	s.send(r, b, bare)
}

func (s *Service) send(r *Request, b []byte, bare bool) {
	c := s.out()
	if c == nil || r.Reply == "" {
		return
	}
	var hdr []byte
	if !bare {
		hdr, b = encode(r.Header, b)
	}
	c.Publish(r.Account, r.Reply, "", hdr, b)
}
