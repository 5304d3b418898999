package broker

import (
	"bytes"

	"github.com/banyanmq/banyan/pkg/interest"
)

// result is who gets the messages of one subject that come in on one inlet. It
// belongs to the inlet; its slices are reused when it is made anew.
type result struct {
	// What a look-up reads comes first, in two lines of the processor's cache: with
	// hundreds of subjects in turn the cost is that of the lines touched.
	account *Account
	subject []byte
	stamp   interest.Stamp
	used    bool
	empty   bool
	batch   bool // only direct destinations, all of which take batches

	direct []*Sub
	one    [1]*Sub  // room for a single one
	short  [88]byte // room for a subject that is not long

	peers  []peer
	groups []group
	// special take the message into another account; see Inlet.cross.
	special []*Sub
}

// peer is an aggregate port with any interest in the subject.
type peer struct {
	port  *Port
	way   *Sub     // any of its shadows, if this is about a stream of another account
	plain []*Sub   // its plain interest
	names [][]byte // groups chosen for the current message
}

// group is a queue group with its members in order of their tier.
type group struct {
	name    []byte
	members []member
	ends    [tiers]int // end of each tier in members
}

type member struct {
	sub  *Sub
	peer int // index in peers, -1 for a direct member
}

var mappedPrefix = []byte("_GR_.")

// build makes r the result for a subject. only restricts it to interest in
// mapped reply subjects.
func (in *Inlet) build(r *result, a *Account, subj []byte, reach Set, only bool) {
	r.account = a
	if len(subj) <= len(r.short) {
		r.subject = append(r.short[:0], subj...)
	} else {
		r.subject = append(r.subject[:0], subj...)
	}
	r.stamp = a.index.Stamp(subj)
	in.match = a.index.Match(subj, in.match[:0])
	if r.direct = r.direct[:0]; cap(r.direct) == 0 {
		r.direct = r.one[:0]
	}
	clear(r.peers)
	r.peers = r.peers[:0]
	r.groups = r.groups[:0]
	r.special = r.special[:0]
	for _, s := range in.match {
		p := s.Port
		if p.Class&reach == 0 || only && !bytes.HasPrefix(s.Subject, mappedPrefix) {
			continue
		}
		if p == in.port && p.Class != Client && !in.returns {
			continue // never back where it came from; clients decide by their echo option
		}
		if o := in.port.Origin; o.Cluster != "" && o.Cluster == s.Origin.Cluster {
			continue
		}
		if s.extra != nil && s.extra.local == nil {
			r.special = append(r.special, s)
			continue
		}
		at := -1
		if p.Aggregate {
			at = r.peerIndex(p, s)
		}
		switch {
		case s.Queue != nil:
			g := r.groupFor(s.Queue)
			g.members = append(g.members, member{s, at})
		case at >= 0:
			r.peers[at].plain = append(r.peers[at].plain, s)
		default:
			r.direct = append(r.direct, s)
		}
	}
	clear(in.match)
	for i := range r.groups {
		r.groups[i].sort()
	}
	r.empty = len(r.direct) == 0 && len(r.peers) == 0 && len(r.groups) == 0 && len(r.special) == 0
	r.batch = len(r.peers) == 0 && len(r.groups) == 0 && len(r.special) == 0 && in.batchable(r.direct)
}

// batchable tells whether all destinations take batches, each at most once: two
// subscriptions of one connection get a publisher's messages in the order of
// publishing too (client-protocol 24), which handing them over one subscription
// after the other would not keep.
func (in *Inlet) batchable(direct []*Sub) bool {
	const few = 16
	for i, s := range direct {
		if s.Port.batch == nil || s.extra != nil {
			return false
		}
		for _, before := range direct[:min(i, few)] {
			if before.Port == s.Port {
				return false
			}
		}
	}
	if len(direct) <= few {
		return true
	}
	ports := make(map[*Port]struct{}, len(direct))
	for _, s := range direct {
		ports[s.Port] = struct{}{}
	}
	return len(ports) == len(direct)
}

func (r *result) peerIndex(p *Port, s *Sub) int {
	if s.extra == nil {
		s = nil
	}
	for i := range r.peers {
		if r.peers[i].port == p && sameWay(r.peers[i].way, s) {
			return i
		}
	}
	r.peers = append(r.peers, peer{port: p, way: s})
	return len(r.peers) - 1
}

func (r *result) groupFor(name []byte) *group {
	for i := range r.groups {
		if bytes.Equal(r.groups[i].name, name) {
			return &r.groups[i]
		}
	}
	if n := len(r.groups); n < cap(r.groups) {
		r.groups = r.groups[:n+1]
		g := &r.groups[n]
		g.name, g.members = name, g.members[:0]
		return g
	}
	r.groups = append(r.groups, group{name: name})
	return &r.groups[len(r.groups)-1]
}

// sort orders members by tier, keeping the order within each.
func (g *group) sort() {
	m := g.members
	for i := 1; i < len(m); i++ {
		for j := i; j > 0 && m[j].sub.Tier < m[j-1].sub.Tier; j-- {
			m[j], m[j-1] = m[j-1], m[j]
		}
	}
	at := 0
	for t := range tiers {
		for at < len(m) && m[at].sub.Tier <= t {
			at++
		}
		g.ends[t] = at
	}
}
