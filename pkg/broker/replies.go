package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/wire"
)

// replyLife is how long a mapped reply subject is remembered at least (gateways
// 10.5); a sweep each replyLife forgets the older ones.
const replyLife = 2 * time.Second

// mappedLen is the length of the prefix of a mapped reply, _GR_.cccccc.ssssss.
const mappedLen = 19

// isMapped tells whether a subject has the prefix of a mapped reply.
func isMapped(s []byte) bool {
	return len(s) > mappedLen && s[0] == '_' && s[1] == 'G' && wire.IsGatewayReply(s)
}

// ReplyMap remembers, for one connection, the mapped form of reply subjects
// that it was shown without their prefix. The zero value is ready.
type ReplyMap struct {
	active atomic.Bool
	mu     sync.Mutex
	recent map[string][]byte // since the last sweep
	older  map[string][]byte // between the last two
	timer  *time.Timer
}

// Strip returns the reply subject to be shown for a mapped one, and remembers
// the mapping; other subjects are returned as they are.
func (r *ReplyMap) Strip(reply []byte) []byte {
	if !isMapped(reply) {
		return reply
	}
	shown := reply[mappedLen:]
	// The key of a stream delivery is without the suffix behind its @.
	key, _, _ := wire.SplitDeliverReply(shown)
	r.mu.Lock()
	if r.recent == nil {
		r.recent = make(map[string][]byte)
	}
	r.recent[string(key)] = append([]byte(nil), reply[:mappedLen]...)
	if r.timer == nil {
		r.timer = time.AfterFunc(replyLife, r.sweep)
	}
	r.active.Store(true)
	r.mu.Unlock()
	return shown
}

func (r *ReplyMap) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.older, r.recent = r.recent, nil
	if len(r.older) == 0 {
		r.timer = nil
		r.active.Store(false)
		return
	}
	r.timer.Reset(replyLife)
}

// Find returns the prefix that belongs in front of a subject.
func (r *ReplyMap) Find(subj []byte) (prefix []byte, ok bool) {
	if !r.active.Load() {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if prefix, ok = r.recent[string(subj)]; !ok {
		prefix, ok = r.older[string(subj)]
	}
	return prefix, ok
}

// Stop forgets everything.
func (r *ReplyMap) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.recent, r.older = nil, nil
	r.active.Store(false)
}

// publishAnswer sends the answer to a request from another region there: local
// interest in the subject is not asked. If there is no way to that region any
// more, the plain subject and normal interest apply.
func (in *Inlet) publishAnswer(m *Msg, prefix []byte) int {
	plain := m.Subject
	in.full = append(append(in.full[:0], prefix...), plain...)
	m.Subject = in.full
	n := in.publishMapped(m)
	if n == 0 {
		m.Subject = plain
		n = in.deliverOnce(m, in.port.Reach, false)
	}
	return n
}

// publishMapped routes a message whose subject is a mapped reply (gateways 10.4).
func (in *Inlet) publishMapped(m *Msg) int {
	cluster, server, plain, _ := wire.SplitGatewayReply(m.Subject)
	ours := string(cluster) == string(in.b.ClusterHash[:])
	if !ours || string(server) != string(in.b.ServerHash[:]) {
		if f := in.b.way.Load(); f != nil {
			p := (*f)(m.Account, cluster, server)
			shown := m
			if in.trace != nil {
				shown = in.untraced(m) // past what would pass the trace on
			}
			if p != nil && p != in.port && p.Class&in.port.Reach != 0 && p.Sink.DeliverOnce(shown, true, nil) {
				in.mark(p, len(m.Payload))
				return 1
			}
		}
	}
	if ours {
		// A message as if published here, for all of the account's interest.
		m.Subject, m.Listed, m.Groups = plain, false, nil
		return in.deliverOnce(m, in.b.Answers, false)
	}
	// Towards the border, or up to a hub that knows the way: they have announced
	// interest in the prefix.
	return in.deliverOnce(m, (Border|LeafUp|LeafDown)&^in.port.Class, true)
}

// deliverOnce routes m past the cache.
func (in *Inlet) deliverOnce(m *Msg, reach Set, only bool) int {
	in.build(&in.spare, m.Account, m.Subject, reach, only)
	if in.spare.empty {
		return 0
	}
	return in.deliver(&in.spare, m)
}
