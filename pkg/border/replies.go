package border

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// replyLife is how long hubs are asked for the answer to a request from another
// region.
const replyLife = 5 * time.Second

// repliesOrigin tells interest in answers from other interest: it is announced to
// hubs, but not to other regions.
var repliesOrigin = broker.Origin{Class: broker.Client, Link: 1}

// replies keeps the prefix of mapped replies for hubs that do not know it, as
// reference servers without gateways (gateways 18.7). Such a hub is shown the
// plain reply and asked for messages on it; what comes on it from that hub gets its
// prefix back. Two interest lines a request, and the prefix is lost with this
// process: good enough for a cluster on its way to our own hubs.
type replies struct {
	s       *Service
	unaware atomic.Int32
	port    *broker.Port

	mu      sync.Mutex
	hubs    map[string]bool // unaware ones
	recent  map[replyKey]*broker.Sub
	older   map[replyKey]*broker.Sub
	timer   *time.Timer
	stopped bool
}

type replyKey struct {
	a     *broker.Account
	reply string
}

func newReplies(s *Service) *replies {
	r := &replies{s: s, hubs: make(map[string]bool)}
	r.port = &broker.Port{ID: s.o.Broker.NextID(), Class: broker.Client, Origin: repliesOrigin, Sink: r}
	return r
}

func (r *replies) hubUp(id string, aware bool) {
	if aware {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.hubs[id] {
		r.hubs[id] = true
		r.unaware.Add(1)
	}
}

func (r *replies) hubGone(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hubs[id] {
		delete(r.hubs, id)
		r.unaware.Add(-1)
	}
}

// arrived takes the prefix off the reply of a message from another region, if there
// are hubs that would not know what to do with it.
func (r *replies) arrived(m *broker.Msg) {
	if r.unaware.Load() == 0 || !wire.IsGatewayReply(m.Reply) {
		return
	}
	full := m.Reply
	for _, p := range r.s.routes.HubPorts(m.Account) {
		if !r.s.routes.AwareHub(p) {
			m.Reply = p.Replies.Strip(full)
		}
	}
	m.Reply = wire.StripGatewayReply(full)
	key := replyKey{m.Account, string(m.Reply)}
	prefix := full[:len(full)-len(m.Reply)]
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return
	}
	if s := r.recent[key]; s != nil && s.SID == string(prefix) {
		r.mu.Unlock()
		return
	}
	if r.recent == nil {
		r.recent = make(map[replyKey]*broker.Sub)
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(replyLife, r.sweep)
	}
	old := r.recent[key]
	s := &broker.Sub{
		Port: r.port, Origin: repliesOrigin, Subject: []byte(key.reply), SID: string(prefix),
	}
	r.recent[key] = s
	r.mu.Unlock()
	m.Account.Subscribe(s, 1)
	if old != nil {
		m.Account.Unsubscribe(old)
	}
}

// sweep forgets what is older than replyLife.
func (r *replies) sweep() {
	r.mu.Lock()
	gone := r.older
	r.older, r.recent = r.recent, nil
	r.timer = nil
	if len(r.older) > 0 && !r.stopped {
		r.timer = time.AfterFunc(replyLife, r.sweep)
	}
	r.mu.Unlock()
	for _, s := range gone {
		s.Account.Unsubscribe(s)
	}
}

func (r *replies) stop() {
	r.mu.Lock()
	r.stopped = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
}

// Deliver takes the answer of a hub that knows prefixes, but was shown the plain
// reply because another hub does not. The answers of that one have got their
// prefix back before they came here.
func (r *replies) Deliver(m *broker.Msg, s *broker.Sub) bool {
	if m.From == nil || !r.s.routes.AwareHub(m.From) {
		return false
	}
	for _, x := range m.Account.Matching(m.Subject, nil) {
		if x.Port.Class == broker.Gateway && x.Queue == nil {
			return false // it comes as a border message too
		}
	}
	cluster, _, _, ok := wire.SplitGatewayReply(append(append([]byte(nil), s.SID...), m.Subject...))
	if !ok {
		return false
	}
	p := r.s.gateways.Way(cluster)
	if p == nil {
		return false
	}
	full := *m
	full.Subject = append(append([]byte(nil), s.SID...), m.Subject...)
	if !p.Sink.DeliverOnce(&full, true, nil) {
		return false
	}
	p.Sink.Flush()
	return true
}

// DeliverOnce is not used.
func (r *replies) DeliverOnce(*broker.Msg, bool, [][]byte) bool { return false }

// Flush has nothing to do: Deliver is rare.
func (r *replies) Flush() {}
