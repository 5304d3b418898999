package monitor

import (
	"sync"

	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/wire"
)

// The kinds of connections, as indexes.
const (
	clients = iota
	routes
	gateways
	leafs
	kinds
)

var kindNames = [kinds]link.Kind{link.KindClient, link.KindRoute, link.KindGateway, link.KindLeaf}

// Volume is messages and bytes.
type Volume struct {
	Msgs  int64 `json:"msgs"`
	Bytes int64 `json:"bytes"`
}

func (v *Volume) add(o Volume) { v.Msgs += o.Msgs; v.Bytes += o.Bytes }

func (v *Volume) atLeast(o Volume) { v.Msgs, v.Bytes = max(v.Msgs, o.Msgs), max(v.Bytes, o.Bytes) }

// flow is what came in and went out.
type flow struct{ in, out Volume }

func (f *flow) add(o flow)     { f.in.add(o.in); f.out.add(o.out) }
func (f *flow) atLeast(o flow) { f.in.atLeast(o.in); f.out.atLeast(o.out) }

func flowOf(i *link.Info) flow {
	return flow{in: Volume{i.InMsgs, i.InBytes}, out: Volume{i.OutMsgs, i.OutBytes}}
}

// figures are flows since the start by kind of connection, of the whole server or
// of one account.
type figures struct {
	flow [kinds]flow
	slow [kinds]int64
	lost [kinds]Losses // of the whole server only
}

func (f *figures) sum() (all flow) {
	for i := range f.flow {
		all.add(f.flow[i])
	}
	return all
}

// tally keeps what connections did that have closed.
type tally struct {
	mu       sync.Mutex
	all      figures
	stale    [kinds]int64
	reasons  [kinds]map[wire.CloseReason]int64
	accounts map[string]*figures
	links    map[linkKey]*linkTally
	lastSlow []OverviewSlow // the newest last
	// shown is the most that was ever reported. A connection that is between the
	// open ones and the closed ones is in neither for a moment: counters must
	// not go back for it.
	shown         figures
	shownAccounts map[string]*figures
}

func (t *tally) watch(r *Reports) {
	t.accounts = make(map[string]*figures)
	t.shownAccounts = make(map[string]*figures)
	t.links = make(map[linkKey]*linkTally)
	for k := range t.reasons {
		t.reasons[k] = make(map[wire.CloseReason]int64)
	}
	for k, reg := range r.registries() {
		if reg != nil {
			reg.OnEnd(func(i link.Info) { t.closed(k, &i, r.peer(k, &i), r.losses(k, &i)) })
		}
	}
}

func (t *tally) closed(kind int, i *link.Info, peer string, lost Losses) {
	f := flowOf(i)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reasons[kind][i.Reason]++
	if peer != "" {
		l := t.linkLocked(linkKey{kind, peer})
		l.closed.add(f)
		l.gone = i.Stopped
	}
	t.all.flow[kind].add(f)
	t.all.lost[kind].add(lost)
	of := t.accounts[i.Account]
	if of == nil && i.Account != "" {
		of = new(figures)
		t.accounts[i.Account] = of
	}
	if of != nil {
		of.flow[kind].add(f)
	}
	switch i.Reason {
	case wire.ReasonSlowPending, wire.ReasonSlowWrite:
		t.all.slow[kind]++
		t.slowLocked(i)
		if of != nil {
			of.slow[kind]++
		}
	case wire.ReasonStale:
		t.stale[kind]++
	}
}

func (r *Reports) registries() [kinds]*link.Registry {
	return [kinds]*link.Registry{r.o.Clients, r.o.Routes, r.o.Gateways, r.o.Leafs}
}

// count is the number of open connections of a kind.
func (r *Reports) count(kind int) int {
	if reg := r.registries()[kind]; reg != nil {
		return reg.Len()
	}
	return 0
}

// open returns a snapshot of the open connections of a kind, in no order.
func (r *Reports) open(kind int, lists bool) []link.Info {
	reg := r.registries()[kind]
	if reg == nil {
		return nil
	}
	conns := reg.Open()
	all := make([]link.Info, len(conns))
	for i, c := range conns {
		all[i] = c.Info(lists)
	}
	return all
}

// totals adds up closed and open connections, for the server and for each
// account that ever had one.
func (r *Reports) totals() (all figures, accounts map[string]*figures) { return r.gather(nil) }

// gather is totals that shows each open connection to each, if that is not nil.
func (r *Reports) gather(each func(kind int, i *link.Info)) (all figures, accounts map[string]*figures) {
	t := &r.tally
	accounts = make(map[string]*figures)
	t.mu.Lock()
	all = t.all
	for name, f := range t.accounts {
		c := *f
		accounts[name] = &c
	}
	t.mu.Unlock()
	for k := range kinds {
		var conns []link.Conn
		if reg := r.registries()[k]; reg != nil {
			conns = reg.Open()
		}
		for _, c := range conns {
			i := c.Info(false)
			f := flowOf(&i)
			all.flow[k].add(f)
			all.lost[k].add(r.losses(k, &i))
			if each != nil {
				each(k, &i)
			}
			if i.Account == "" {
				continue
			}
			of := accounts[i.Account]
			if of == nil {
				of = new(figures)
				accounts[i.Account] = of
			}
			of.flow[k].add(f)
		}
		if r.o.Hooks.SlowEvents != nil {
			all.slow[k] += r.o.Hooks.SlowEvents(kindNames[k])
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range all.flow {
		all.flow[k].atLeast(t.shown.flow[k])
		all.lost[k].atLeast(t.shown.lost[k])
	}
	t.shown = all
	for name, f := range accounts {
		if was := t.shownAccounts[name]; was != nil {
			for k := range f.flow {
				f.flow[k].atLeast(was.flow[k])
			}
		}
		c := *f
		t.shownAccounts[name] = &c
	}
	return all, accounts
}

// losses are what a connection could not pass on. Clients are counted together.
func (r *Reports) losses(kind int, i *link.Info) Losses {
	switch kind {
	case routes:
		return r.route(*i).Lost
	case gateways:
		return r.gateway(*i).Lost
	case leafs:
		return r.leaf(*i).Lost
	}
	return Losses{}
}

// KindStats is a count for each kind of connection.
type KindStats struct {
	Clients  int64 `json:"clients"`
	Routes   int64 `json:"routes"`
	Gateways int64 `json:"gateways"`
	Leafs    int64 `json:"leafs"`
}

func kindStats(n [kinds]int64) KindStats {
	return KindStats{n[clients], n[routes], n[gateways], n[leafs]}
}

func (k KindStats) sum() int64 { return k.Clients + k.Routes + k.Gateways + k.Leafs }

func (r *Reports) stale() KindStats {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	return kindStats(r.tally.stale)
}

func (r *Reports) subscriptions() (n int) {
	for _, a := range r.o.Broker.Accounts() {
		n += a.Subscriptions()
	}
	return n
}
