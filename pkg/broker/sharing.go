package broker

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/subject"
)

// What accounts share with each other is done with subscriptions, so that matching,
// caches, queue groups and the announcing of interest know nothing of it:
//
//   - A stream import has shadows: for each subscription of the importing account
//     that it may serve, one in the exporting account, on the same port. What it
//     gets is shown under the local name, by the server of the subscriber.
//   - A service import is a subscription of class Service in the importing
//     account. What it gets is published in the exporting account (see request.go).
//   - The answers to requests come to a subscription to _R_.xxxxxx.> in the
//     exporting account, and are published in the importing one.

// extra is what makes a subscription special. One of the fields is set, or, for the
// source of a mapping, none.
type extra struct {
	// Of a shadow: the subscription that it is for, in the importing account (it
	// may be a shadow itself), and the import.
	local *Sub
	via   *streamImport

	service *serviceImport
	answers *answers
}

// streamImport is one stream import of an account.
type streamImport struct {
	def     account.Import
	from    *Account
	local   *subject.Transform // exporter's subject to local one
	back    *subject.Transform
	pattern string // of local subjects
}

// sharing is what a broker knows of imports. Its lock comes before those of accounts.
// Only accounts that import streams take it when subscriptions come and go.
type sharing struct {
	service, mapping, answers *Port

	mu      sync.Mutex
	cluster string
	shared  map[*Account]*shared
	shadows map[*Sub][]*Sub
}

// shared is what one account was given by Share.
type shared struct {
	def      account.Definition
	services []*Sub
	sources  []*Sub
}

func (s *sharing) init() {
	marker := func(c Class) *Port { return &Port{Class: c, Origin: Origin{Class: c}, Sink: nobody{}} }
	s.service, s.mapping, s.answers = marker(Service), marker(Mapping), marker(Client)
	s.shared = make(map[*Account]*shared)
	s.shadows = make(map[*Sub][]*Sub)
}

// nobody takes no messages.
type nobody struct{}

func (nobody) Deliver(*Msg, *Sub) bool               { return false }
func (nobody) DeliverOnce(*Msg, bool, [][]byte) bool { return false }
func (nobody) Flush()                                {}

// Share makes accounts import, export and map as defined; accounts that are not
// mentioned do none of it any more. Nothing is changed if there is an error. It may
// be called again at any time: an import that stays loses no message.
func (b *Broker) Share(defs []account.Definition) error {
	all := slices.Clone(defs)
	set := account.NewSet(defs)
	for _, a := range b.Accounts() {
		if set.Definition(a.Name) == nil {
			all = append(all, account.Definition{Name: a.Name})
		}
	}
	if p := account.Check(all); len(p) > 0 {
		return fmt.Errorf("account %s: %w", all[p[0].Account].Name, p[0].Err)
	}
	set = account.NewSet(all)
	for i := range all {
		b.Account(all[i].Name)
	}
	s := &b.sharing
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range all {
		d := &all[i]
		a := b.Account(d.Name)
		if s.shared[a] == nil && len(d.Imports) == 0 && len(d.Mappings) == 0 && d.Limits == (account.Limits{}) && d.Trace == nil {
			continue
		}
		b.shareLocked(a, *d, set)
	}
	return nil
}

// shareLocked gives one account its definition. Each step adds what is new before it
// takes away what is not any more.
func (b *Broker) shareLocked(a *Account, d account.Definition, set *account.Set) {
	s := b.sharing.shared[a]
	if s == nil {
		s = new(shared)
		b.sharing.shared[a] = s
	}
	s.def = d
	limits := d.Limits
	a.limits.Store(&limits)
	a.trace.Store(d.Trace)
	mapper, err := account.NewMapper(d.Mappings, b.sharing.cluster)
	if err == nil { // checked before
		a.mapper.Store(mapper)
	}
	b.shareStreamsLocked(a, d)
	b.shareServicesLocked(a, s, d, set)
	b.announceSourcesLocked(a, s, mapper)
}

func (b *Broker) shareStreamsLocked(a *Account, d account.Definition) {
	var imports []*streamImport
	a.mu.Lock()
	old := a.imports
	a.mu.Unlock()
	for _, i := range d.Imports {
		if i.Kind != account.Stream {
			continue
		}
		if at := slices.IndexFunc(old, func(o *streamImport) bool { return o.def == i }); at >= 0 {
			imports = append(imports, old[at])
			continue
		}
		local, err := i.Local()
		if err != nil {
			continue // checked before
		}
		imports = append(imports, &streamImport{def: i, from: b.Account(i.From), local: local, back: local.Inverse(), pattern: local.Pattern()})
	}
	if len(old) == 0 && len(imports) == 0 {
		return
	}
	var subs []*Sub
	a.mu.Lock()
	a.imports = imports
	a.index.Walk(func(_ []byte, s *Sub) bool {
		subs = append(subs, s)
		return true
	})
	a.mu.Unlock()
	for _, s := range subs {
		b.shadowLocked(s)
	}
	for s, shadows := range b.sharing.shadows {
		if s.Account != a {
			continue
		}
		kept := slices.DeleteFunc(shadows, func(sh *Sub) bool {
			if slices.Contains(imports, sh.extra.via) {
				return false
			}
			b.dropShadowLocked(sh)
			return true
		})
		if b.sharing.shadows[s] = kept; len(kept) == 0 {
			delete(b.sharing.shadows, s)
		}
	}
}

// shadow gives a new subscription its shadows.
func (b *Broker) shadow(s *Sub) {
	b.sharing.mu.Lock()
	defer b.sharing.mu.Unlock()
	b.shadowLocked(s)
}

// shadowLocked adds the shadows that s does not have yet.
func (b *Broker) shadowLocked(s *Sub) {
	switch {
	case s.Port.Class&(Client|LeafDown|LeafUp) == 0:
		return // other servers have shadows of their own
	case s.extra != nil && s.extra.local == nil, bytes.HasPrefix(s.Subject, loopPrefix):
		return // not for messages of this account
	}
	a := s.Account
	a.mu.Lock()
	imports := a.imports
	if s.gone {
		imports = nil // unsubscribed meanwhile
	}
	a.mu.Unlock()
	for _, i := range imports {
		if s.cameBy(i) || slices.ContainsFunc(b.sharing.shadows[s], func(sh *Sub) bool { return sh.extra.via == i }) {
			continue
		}
		both, ok := subject.Intersect(string(s.Subject), i.pattern)
		if !ok {
			continue
		}
		sh := &Sub{
			Port: s.Port, Subject: i.back.Append(nil, []byte(both)), Queue: s.Queue, SID: s.SID, Origin: s.Origin, Tier: s.Tier,
			extra: &extra{local: s, via: i},
		}
		b.sharing.shadows[s] = append(b.sharing.shadows[s], sh)
		if i.from.insert(sh, s.Weight()) {
			b.shadowLocked(sh) // the exporter has the stream from somebody else
		}
	}
}

// loopPrefix is that of subjects by which leaf links find loops.
var loopPrefix = []byte("$LDS.")

// cameBy tells whether s is a shadow by way of an import: it does not go there again.
func (s *Sub) cameBy(i *streamImport) bool {
	for ; s.extra != nil && s.extra.local != nil; s = s.extra.local {
		if s.extra.via == i {
			return true
		}
	}
	return false
}

// sameWay tells whether messages for two shadows of a port, or for none, are shown the same.
func sameWay(s, t *Sub) bool {
	for s != nil && t != nil {
		if s.extra == nil || t.extra == nil {
			return s.extra == t.extra
		}
		if s.extra.via != t.extra.via {
			return false
		}
		s, t = s.extra.local, t.extra.local
	}
	return s == t
}

// unshadow takes the shadows of subscriptions away.
func (b *Broker) unshadow(subs ...*Sub) {
	b.sharing.mu.Lock()
	defer b.sharing.mu.Unlock()
	for _, s := range subs {
		b.unshadowLocked(s)
	}
}

func (b *Broker) unshadowLocked(s *Sub) {
	shadows := b.sharing.shadows[s]
	delete(b.sharing.shadows, s)
	for _, sh := range shadows {
		b.dropShadowLocked(sh)
	}
}

func (b *Broker) dropShadowLocked(sh *Sub) {
	sh.Account.mu.Lock()
	sh.Account.unsubscribeLocked(sh)
	sh.Account.mu.Unlock()
	b.unshadowLocked(sh)
}

// weighShadows changes the weight of a subscription's shadows.
func (b *Broker) weighShadows(s *Sub, w int32) {
	b.sharing.mu.Lock()
	defer b.sharing.mu.Unlock()
	b.weighShadowsLocked(s, w)
}

func (b *Broker) weighShadowsLocked(s *Sub, w int32) {
	for _, sh := range b.sharing.shadows[s] {
		sh.Account.setWeight(sh, w)
		b.weighShadowsLocked(sh, w)
	}
}

// local returns m as the account of the subscription behind a shadow sees it, and
// that subscription. The message is good until the next call.
func (in *Inlet) local(m *Msg, s *Sub) (*Msg, *Sub) {
	subj := m.Subject
	for k := 0; s.extra != nil; k ^= 1 {
		in.turned[k] = s.extra.via.local.Append(in.turned[k][:0], subj)
		subj, s = in.turned[k], s.extra.local
	}
	in.shown = *m
	in.shown.Subject, in.shown.Account = subj, s.Account
	return &in.shown, s
}

// deliverShadow hands m to the subscription behind a shadow. What a service import
// brought in goes no further (accounts-auth 7).
func (in *Inlet) deliverShadow(m *Msg, sh *Sub) bool {
	if m.via != nil {
		return false
	}
	shown, s := in.local(m, sh)
	if !s.Port.Sink.Deliver(shown, s) {
		return false
	}
	in.mark(s.Port, len(m.Payload))
	return true
}

// Limits of the account.
func (a *Account) Limits() account.Limits {
	if l := a.limits.Load(); l != nil {
		return *l
	}
	return account.Limits{}
}
