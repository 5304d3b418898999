package metrics

import (
	"cmp"
	"maps"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/monitor"
)

// Sample is one value of a family. Labels are in the order of the family's.
type Sample struct {
	Family *Family
	Labels []string
	Value  float64
}

// Collector makes samples. Safe for concurrent use.
type Collector struct {
	r *monitor.Reports

	mu sync.Mutex
	// Who has values of its own. Whoever has keeps them, so that what is summed up
	// of the others does not go back.
	accounts map[string]bool
	links    map[link]bool
}

type link struct{ kind, peer string }

// NewCollector makes a Collector of what r knows.
func NewCollector(r *monitor.Reports) *Collector {
	return &Collector{r: r, accounts: make(map[string]bool), links: make(map[link]bool)}
}

// Daemon is the label that all families have.
func (c *Collector) Daemon() string { return string(c.r.Settings().Daemon) }

// Collect makes all samples, those of a family one after the other.
func (c *Collector) Collect() []Sample {
	f := c.r.Figures()
	s := &samples{of: make(map[*Family][]Sample)}
	server(s, f)
	traffic(s, f)
	c.mu.Lock()
	dropped := c.linkSamples(s, f)
	accDropped := c.accountSamples(s, f)
	c.mu.Unlock()
	s.add(&seriesDropped, float64(dropped), "links")
	s.add(&seriesDropped, float64(accDropped), "accounts")
	c.remotes(s)
	var all []Sample
	for _, fam := range Families() {
		all = append(all, s.of[fam]...)
	}
	return all
}

type samples struct{ of map[*Family][]Sample }

// add adds a value. Names are others' and may hold anything.
func (s *samples) add(f *Family, v float64, labels ...string) {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
	}
	s.of[f] = append(s.of[f], Sample{f, labels, v})
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// server is what is said of the process as a whole.
func server(s *samples, f *monitor.Figures) {
	s.add(&buildInfo, 1, f.Version, f.Name, f.Cluster, runtime.Version())
	s.add(&startTime, unix(f.Started))
	s.add(&ready, truth(f.Ready))
	s.add(&draining, truth(f.Draining))
	s.add(&reloadSuccess, truth(!f.ReloadFailed))
	s.add(&reloadTime, unix(f.ConfigLoaded))
	s.add(&configInfo, 1, f.Digest)
	for _, l := range []struct {
		name string
		n    int64
	}{
		{"connections", int64(f.Limits.MaxConnections)}, {"subscriptions", int64(f.Limits.MaxSubscriptions)}, {"payload_bytes", f.Limits.MaxPayload},
		{"pending_bytes", f.Limits.MaxPending}, {"control_line_bytes", int64(f.Limits.MaxControlLine)},
	} {
		if l.n > 0 {
			s.add(&limit, float64(l.n), l.name)
		}
	}
	if f.MemoryLimit > 0 {
		s.add(&memoryLimit, float64(f.MemoryLimit))
	}
	s.add(&subscriptions, float64(f.Subscriptions))
	for _, name := range slices.Sorted(maps.Keys(f.Certificates)) {
		s.add(&certExpiry, unix(f.Certificates[name]), name)
	}
	each(f.Requests, func(path string, n uint64) { s.add(&httpRequests, float64(n), path) })
}

// each calls f in the order of keys.
func each[K cmp.Ordered, V any](m map[K]V, f func(K, V)) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		f(k, m[k])
	}
}

// traffic is what is said of each kind of connections.
func traffic(s *samples, f *monitor.Figures) {
	for i := range f.Kinds {
		k := &f.Kinds[i]
		flow(s, &messages, &volume, k.In, k.Out, k.Kind)
		if len(k.Open) == 0 {
			s.add(&connections, 0, k.Kind, "nats")
		}
		each(k.Open, func(transport string, n int) { s.add(&connections, float64(n), k.Kind, transport) })
		s.add(&opened, float64(k.Opened), k.Kind)
		each(k.Closed, func(reason string, n int64) { s.add(&closed, float64(n), k.Kind, reason) })
		for _, cause := range []string{"pending", "write", "flagged"} {
			s.add(&slow, float64(k.Slow[cause]), k.Kind, cause)
		}
		s.add(&lost, float64(k.Lost.Full), k.Kind, "full")
		s.add(&lost, float64(k.Lost.Denied), k.Kind, "denied")
		s.add(&lost, float64(k.Lost.Oversized), k.Kind, "size")
		if k.Kind == "client" {
			s.add(&noResponders, float64(k.NoResponders))
		}
		s.add(&stale, float64(k.Stale), k.Kind)
		for _, cause := range []string{"account", "expired", "refused", "revoked", "timeout", "tls"} {
			s.add(&authFailures, float64(k.AuthFailures[cause]), k.Kind, cause)
		}
		s.add(&pendingBytes, float64(k.Pending), k.Kind)
		s.add(&pendingMax, float64(k.PendingMax), k.Kind)
	}
}

func flow(s *samples, msgs, bytes *Family, in, out monitor.Volume, labels ...string) {
	with := func(dir string) []string { return append(slices.Clone(labels), dir) }
	s.add(msgs, float64(in.Msgs), with("in")...)
	s.add(msgs, float64(out.Msgs), with("out")...)
	s.add(bytes, float64(in.Bytes), with("in")...)
	s.add(bytes, float64(out.Bytes), with("out")...)
}

// admit chooses who has values of its own: whoever has already, then whoever comes
// first. Who is not there any more makes room.
func admit[K comparable](have map[K]bool, all []K, limit int) {
	there := make(map[K]bool, len(all))
	for _, k := range all {
		there[k] = true
	}
	for k := range have {
		if !there[k] {
			delete(have, k)
		}
	}
	for _, k := range all {
		if len(have) >= limit {
			return
		}
		have[k] = true
	}
}

func (c *Collector) linkSamples(s *samples, f *monitor.Figures) (dropped int) {
	byKind := map[string][]monitor.LinkFigures{}
	for _, l := range f.Links {
		byKind[l.Kind] = append(byKind[l.Kind], l)
	}
	limit := c.r.Settings().HTTP.Metrics.MaxSeries
	each(byKind, func(kind string, list []monitor.LinkFigures) {
		have := make(map[link]bool)
		keys := make([]link, len(list))
		for i := range list {
			keys[i] = link{kind, list[i].Peer}
			if c.links[keys[i]] {
				have[keys[i]] = true
			}
		}
		admit(have, keys, limit)
		for k := range c.links {
			if k.kind == kind {
				delete(c.links, k)
			}
		}
		maps.Copy(c.links, have)
		other := monitor.LinkFigures{Kind: kind, Peer: Other}
		if len(list) > 0 && list[0].Interest < 0 {
			other.Interest = -1
		}
		rest := 0
		for i, k := range keys {
			if have[k] && k.peer != Other {
				linkSample(s, &list[i])
				continue
			}
			rest++
			add(&other, &list[i])
		}
		if rest > 0 {
			linkSample(s, &other)
		}
		dropped += rest
	})
	return dropped
}

func add(sum, l *monitor.LinkFigures) {
	sum.Open += l.Open
	sum.Pending += l.Pending
	sum.Interest += l.Interest
	sum.RTT = max(sum.RTT, l.RTT)
	sum.In.Msgs, sum.In.Bytes = sum.In.Msgs+l.In.Msgs, sum.In.Bytes+l.In.Bytes
	sum.Out.Msgs, sum.Out.Bytes = sum.Out.Msgs+l.Out.Msgs, sum.Out.Bytes+l.Out.Bytes
}

func linkSample(s *samples, l *monitor.LinkFigures) {
	s.add(&linkConns, float64(l.Open), l.Kind, l.Peer)
	flow(s, &linkMessages, &linkBytes, l.In, l.Out, l.Kind, l.Peer)
	s.add(&linkPending, float64(l.Pending), l.Kind, l.Peer)
	if l.Interest >= 0 {
		s.add(&linkInterest, float64(l.Interest), l.Kind, l.Peer)
	}
	if l.Kind == "route" && l.Peer != Other {
		s.add(&routeUp, truth(l.Open > 0), l.Peer)
	}
	if rtt := map[string]*Family{"route": &routeRTT, "gateway": &gatewayRTT, "leaf": &leafRTT}[l.Kind]; rtt != nil && l.RTT > 0 {
		s.add(rtt, l.RTT.Seconds(), l.Peer)
	}
}

// remotes are the peers that the settings name, there or not. These are few.
func (c *Collector) remotes(s *samples) {
	each(c.r.GatewayRemotes(), func(name string, up bool) { s.add(&gatewayUp, truth(up), name) })
	type hub struct{ name, account string }
	up := map[hub]bool{}
	var hubs []hub
	for _, r := range c.r.LeafRemotes() {
		h := hub{r.Name, cmp.Or(r.Account, "$G")}
		if h.name == "" && len(r.URLs) > 0 {
			h.name = r.URLs[0]
		}
		if _, ok := up[h]; !ok {
			hubs = append(hubs, h)
		}
		up[h] = up[h] || r.State == "up"
	}
	for _, h := range hubs {
		s.add(&leafUp, truth(up[h]), h.name, h.account)
	}
	ends := map[hub]float64{}
	for _, e := range c.r.CredentialEnds() {
		h := hub{e.Remote, e.Account}
		if was, ok := ends[h]; !ok || unix(e.At) < was {
			ends[h] = unix(e.At)
		}
	}
	named := slices.Collect(maps.Keys(ends))
	sort.Slice(named, func(i, j int) bool {
		return cmp.Or(cmp.Compare(named[i].name, named[j].name), cmp.Compare(named[i].account, named[j].account)) < 0
	})
	for _, h := range named {
		s.add(&credExpiry, ends[h], h.name, h.account)
	}
}

func (c *Collector) accountSamples(s *samples, f *monitor.Figures) (dropped int) {
	s.add(&accounts, float64(len(f.Accounts)))
	m := c.r.Settings().HTTP.Metrics
	if !m.PerAccount {
		return 0
	}
	names := make([]string, len(f.Accounts))
	for i := range f.Accounts {
		names[i] = f.Accounts[i].Name
	}
	admit(c.accounts, names, m.MaxSeries)
	other := monitor.AccountFigures{Name: Other}
	for i := range f.Accounts {
		a := &f.Accounts[i]
		if c.accounts[a.Name] && a.Name != Other {
			accountSample(s, a)
			limits(s, a)
			continue
		}
		dropped++
		other.Clients, other.Leafs, other.Subscriptions, other.Slow = other.Clients+a.Clients, other.Leafs+a.Leafs, other.Subscriptions+a.Subscriptions, other.Slow+a.Slow
		other.In.Msgs, other.In.Bytes = other.In.Msgs+a.In.Msgs, other.In.Bytes+a.In.Bytes
		other.Out.Msgs, other.Out.Bytes = other.Out.Msgs+a.Out.Msgs, other.Out.Bytes+a.Out.Bytes
	}
	if dropped > 0 {
		accountSample(s, &other)
	}
	return dropped
}

func accountSample(s *samples, a *monitor.AccountFigures) {
	s.add(&accConns, float64(a.Clients), a.Name, "client")
	s.add(&accConns, float64(a.Leafs), a.Name, "leaf")
	s.add(&accSubs, float64(a.Subscriptions), a.Name)
	flow(s, &accMessages, &accBytes, a.In, a.Out, a.Name)
	s.add(&accSlow, float64(a.Slow), a.Name)
}

func limits(s *samples, a *monitor.AccountFigures) {
	both := func(name string, limit, used int64) {
		if limit > 0 {
			s.add(&accLimit, float64(limit), a.Name, name)
			s.add(&accUsage, float64(used), a.Name, name)
		}
	}
	both("connections", int64(a.Limits.MaxConnections), a.Clients+a.Leafs)
	both("leafs", int64(a.Limits.MaxLeafNodes), a.Leafs)
}
