package broker

import (
	"bytes"
	"slices"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/subject"
)

// Maps tells whether the account maps subjects, so that Inlet.Map is to be asked.
func (a *Account) Maps() bool { return a.mapper.Load() != nil }

// Map returns the subject under which a message of a client or leaf node is published
// in the account; ok is false if it is to be lost. The subject is good until the next
// call with another one, also for Enqueue. Not for messages that servers pass on:
// those are mapped already.
func (in *Inlet) Map(a *Account, subj []byte) (to []byte, ok bool) {
	t, drop := in.mapping(a, subj)
	if t == nil {
		return subj, !drop
	}
	next := t.Append(in.mapped[1][:0], subj)
	in.mapped[1] = next
	if bytes.Equal(next, in.mapped[0]) {
		return in.mapped[0], true
	}
	if in.put.held != nil {
		in.Settle() // may hold the subject before
	}
	in.mapped[0], in.mapped[1] = in.mapped[1], in.mapped[0]
	return in.mapped[0], true
}

// mapping chooses what becomes of a subject; nil: it stays, or the message is dropped.
func (in *Inlet) mapping(a *Account, subj []byte) (t *subject.Transform, drop bool) {
	m := a.mapper.Load()
	if m == nil {
		return nil, false
	}
	r := m.Find(subj)
	if r == nil {
		return nil, false
	}
	if t = r.Fixed(); t != nil {
		return t, false
	}
	return r.Pick(in.random(100))
}

// remap makes the mappings anew for a cluster.
func (b *Broker) remap(cluster string) {
	s := &b.sharing
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster = cluster
	for a, sh := range s.shared {
		if m, err := account.NewMapper(sh.def.Mappings, cluster); err == nil {
			a.mapper.Store(m)
		}
	}
}

// announceSourcesLocked keeps a subscription for each source of a mapping: those who
// enter messages elsewhere, on leaf nodes, are to send them here (accounts-auth 10.1).
func (b *Broker) announceSourcesLocked(a *Account, s *shared, m *account.Mapper) {
	var sources []string
	if m != nil {
		sources = m.Sources()
	}
	var kept []*Sub
	for _, src := range sources {
		if at := slices.IndexFunc(s.sources, func(o *Sub) bool { return string(o.Subject) == src }); at >= 0 {
			kept = append(kept, s.sources[at])
			continue
		}
		sub := &Sub{Port: b.sharing.mapping, Subject: []byte(src), Origin: b.sharing.mapping.Origin, extra: &extra{}}
		a.insert(sub, 1)
		kept = append(kept, sub)
	}
	a.dropMarkers(s.sources, kept)
	s.sources = kept
}

// dropMarkers takes away those of old that are not kept.
func (a *Account) dropMarkers(old, kept []*Sub) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range old {
		if !slices.Contains(kept, o) {
			a.unsubscribeLocked(o)
		}
	}
}
