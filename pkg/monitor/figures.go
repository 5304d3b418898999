package monitor

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Figures are what metrics are made of: counters that are kept anyhow, and a look at
// each open connection. No subscription is looked at.
type Figures struct {
	Now, Started     time.Time
	Version, Name    string
	Cluster, Daemon  string
	Digest           string
	ConfigLoaded     time.Time
	ReloadFailed     bool
	Draining, Ready  bool
	Subscriptions    int
	Kinds            []KindFigures
	Accounts         []AccountFigures
	Links            []LinkFigures
	Requests         map[string]uint64 // by path
	Certificates     map[string]time.Time
	Limits           config.Limits
	Mem, MemoryLimit int64
	Processor        time.Duration // used since the start
}

// KindFigures are those of all connections of one kind.
type KindFigures struct {
	Kind           string
	In, Out        Volume
	OpenIn         Volume // of connections that are open
	OpenOut        Volume
	Open           map[string]int // by transport
	Opened         uint64
	Closed         map[string]int64 // by reason
	Slow           map[string]int64 // by cause: pending, write, flagged
	AuthFailures   map[string]int64 // by cause
	Stale          int64
	Lost           Losses
	NoResponders   int64 // of clients
	Subs           int   // of open connections
	Pending        int64
	PendingMax     int64
	hasConnections bool
}

// AccountFigures are those of one account on this server.
type AccountFigures struct {
	Name          string
	Clients       int64
	Leafs         int64
	Subscriptions int
	In, Out       Volume
	Slow          int64
	Limits        account.Limits
}

// LinkFigures are those of all connections to one peer.
type LinkFigures struct {
	Kind    string
	Peer    string
	Open    int
	In, Out Volume
	Pending int64
	RTT     time.Duration // the longest
	// Interest is how much the peer has told of; -1: it is not counted for links of the kind.
	Interest int
}

// kindWords are the kinds of connections as labels.
var kindWords = [kinds]string{clients: "client", routes: "route", gateways: "gateway", leafs: "leaf"}

// linkKey is a peer of a kind of links.
type linkKey struct {
	kind int
	peer string
}

// linkTally is what was with one peer.
type linkTally struct {
	closed flow
	gone   time.Time // since when there is no connection
}

// Peers that are gone are remembered so long, and so many.
const (
	peerMemory = time.Hour
	maxPeers   = 10_000
)

// otherPeers has what is of peers beyond maxPeers.
const otherPeers = "other"

func (t *tally) linkLocked(k linkKey) *linkTally {
	l := t.links[k]
	if l == nil && len(t.links) >= maxPeers {
		k.peer = otherPeers
		l = t.links[k]
	}
	if l == nil {
		l = new(linkTally)
		t.links[k] = l
	}
	return l
}

// peer is who is at the other end of a link; "" for a client and for a link that was
// never up.
func (r *Reports) peer(kind int, i *link.Info) string {
	switch kind {
	case routes:
		return r.route(*i).RemoteName
	case gateways:
		return r.gateway(*i).Remote
	case leafs:
		return i.Name
	}
	return ""
}

// authCauses are close reasons that mean a login was refused.
var authCauses = map[wire.CloseReason]string{
	wire.ReasonAuthTimeout: "timeout", wire.ReasonAuthFailure: "refused", wire.ReasonAuthExpired: "expired",
	wire.ReasonCredentialsRevoked: "revoked", wire.ReasonTLSHandshake: "tls", wire.ReasonMissingAccount: "account",
}

// Figures takes them.
func (r *Reports) Figures() *Figures {
	c, s := r.Settings(), r.o.Server
	f := &Figures{
		Now: time.Now().UTC(), Started: s.Started.UTC(), Version: s.Version, Name: s.Name, Daemon: s.Product,
		Digest: c.Digest, ConfigLoaded: r.set.Load().loaded.UTC(), Draining: r.Draining(), Ready: len(r.notReady(false)) == 0,
		Subscriptions: r.subscriptions(), Requests: r.hits(), Limits: c.Limits, Certificates: r.set.Load().expiry.all(),
		Mem: ResidentMemory(), MemoryLimit: memoryLimit(), Processor: ProcessorTime(),
	}
	f.Cluster, _ = s.Cluster()
	if h := r.o.Hooks.ReloadFailed; h != nil {
		f.ReloadFailed = h()
	}
	f.Kinds = make([]KindFigures, kinds)
	links := make(map[linkKey]*LinkFigures)
	for k := range f.Kinds {
		f.Kinds[k] = KindFigures{Kind: kindWords[k], Open: map[string]int{}, Closed: map[string]int64{}, Slow: map[string]int64{}, AuthFailures: map[string]int64{}}
		if reg := r.registries()[k]; reg != nil {
			f.Kinds[k].Opened, f.Kinds[k].hasConnections = reg.Total(), true
		}
	}
	all, accounts := r.gather(func(k int, i *link.Info) { r.look(&f.Kinds[k], links, k, i) })
	r.closedFigures(f, links)
	for k := range f.Kinds {
		one := &f.Kinds[k]
		one.In, one.Out, one.Lost = all.flow[k].in, all.flow[k].out, all.lost[k]
		if n := all.slow[k] - one.Slow["pending"] - one.Slow["write"]; n > 0 {
			one.Slow["flagged"] = n
		}
	}
	if h := r.o.Hooks.ClientCounts; h != nil {
		n := h()
		f.Kinds[clients].Lost.Denied, f.Kinds[clients].NoResponders = n.Denied, n.NoResponders
	}
	f.Kinds = slices.DeleteFunc(f.Kinds, func(k KindFigures) bool { return !k.hasConnections })
	r.accountFigures(f, accounts)
	keys := slices.Collect(maps.Keys(links))
	sort.Slice(keys, func(i, j int) bool {
		return cmp.Or(cmp.Compare(keys[i].kind, keys[j].kind), cmp.Compare(keys[i].peer, keys[j].peer)) < 0
	})
	for _, k := range keys {
		f.Links = append(f.Links, *links[k])
	}
	return f
}

// look adds one open connection.
func (r *Reports) look(f *KindFigures, links map[linkKey]*LinkFigures, kind int, i *link.Info) {
	transport := "nats"
	if kind == clients {
		transport = cmp.Or(r.client(*i).Type, transport)
	}
	f.Open[transport]++
	f.Subs += i.Subs
	f.OpenIn.add(Volume{i.InMsgs, i.InBytes})
	f.OpenOut.add(Volume{i.OutMsgs, i.OutBytes})
	f.Pending += i.Pending
	f.PendingMax = max(f.PendingMax, i.Pending)
	peer := r.peer(kind, i)
	if peer == "" {
		return
	}
	l := linkOf(links, linkKey{kind, peer})
	l.Open++
	l.In.add(Volume{i.InMsgs, i.InBytes})
	l.Out.add(Volume{i.OutMsgs, i.OutBytes})
	l.Pending += i.Pending
	l.RTT = max(l.RTT, i.RTT)
	if l.Interest >= 0 {
		l.Interest += i.Subs
	}
}

func linkOf(links map[linkKey]*LinkFigures, k linkKey) *LinkFigures {
	l := links[k]
	if l == nil {
		l = &LinkFigures{Kind: kindWords[k.kind], Peer: k.peer}
		if k.kind == routes {
			l.Interest = -1
		}
		links[k] = l
	}
	return l
}

// closedFigures adds what is known of closed connections, and forgets peers that
// are long gone.
func (r *Reports) closedFigures(f *Figures, links map[linkKey]*LinkFigures) {
	t := &r.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range f.Kinds {
		one := &f.Kinds[k]
		for reason, n := range t.reasons[k] {
			one.Closed[reason.String()] += n
			if cause := authCauses[reason]; cause != "" {
				one.AuthFailures[cause] += n
			}
			switch reason {
			case wire.ReasonSlowPending:
				one.Slow["pending"] += n
			case wire.ReasonSlowWrite:
				one.Slow["write"] += n
			}
		}
		one.Stale = t.stale[k]
	}
	for k, l := range t.links {
		if links[k] == nil && f.Now.Sub(l.gone) > peerMemory && k.peer != otherPeers {
			delete(t.links, k)
			continue
		}
		one := linkOf(links, k)
		one.In.add(l.closed.in)
		one.Out.add(l.closed.out)
	}
}

func (r *Reports) accountFigures(f *Figures, flows map[string]*figures) {
	for _, a := range r.accounts("") {
		one := AccountFigures{
			Name: a.Name, Clients: a.Clients.Load(), Leafs: a.Leafs.Load(), Subscriptions: a.Subscriptions(), Limits: a.Limits(),
		}
		if x := flows[a.Name]; x != nil {
			sum := x.sum()
			one.In, one.Out = sum.in, sum.out
			for _, n := range x.slow {
				one.Slow += n
			}
		}
		f.Accounts = append(f.Accounts, one)
	}
}

// Settings are those that the process runs with.
func (r *Reports) Settings() *config.Config { return r.set.Load().config }

// GatewayRemotes tells of each region that the settings name whether a connection
// to it is up.
func (r *Reports) GatewayRemotes() map[string]bool {
	up := make(map[string]bool)
	if g := r.Settings().Gateway; g != nil && r.o.Gateways != nil {
		for i := range g.Remotes {
			if name := g.Remotes[i].Name; name != g.Name {
				up[name] = false
			}
		}
		for _, i := range r.open(gateways, false) {
			if d := r.gateway(i); d.Outbound {
				up[d.Remote] = true
			}
		}
	}
	return up
}

// LeafRemotes are the hubs that leaf links dial.
func (r *Reports) LeafRemotes() []LeafRemote {
	if f := r.o.Hooks.LeafRemotes; f != nil {
		return f()
	}
	return nil
}
