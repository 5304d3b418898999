package monitor

import (
	"cmp"
	"runtime"
	"slices"
	"sort"
	"time"

	"github.com/banyanmq/banyan/pkg/link"
)

// Overview is what the page for people shows, gathered in one go: what /varz and the
// others say, summed up by peer, with the longest lists cut.
type Overview struct {
	Now    time.Time      `json:"now"`
	Server OverviewServer `json:"server"`
	Totals OverviewTotals `json:"totals"`

	Peers    []OverviewPeer    `json:"peers"`   // servers of this cluster
	Regions  []OverviewRegion  `json:"regions"` // of a border
	Hubs     []LeafRemote      `json:"hubs"`    // that leaf links dial
	Leafs    []OverviewLeaf    `json:"leafs"`
	Accounts []OverviewAccount `json:"accounts"`
	Conns    []ConnInfo        `json:"connections"`
	Slow     []OverviewSlow    `json:"slow"` // the last that were closed as slow
	// How many there are of what was cut.
	AllLeafs    int `json:"all_leafs"`
	AllAccounts int `json:"all_accounts"`
	AllConns    int `json:"all_connections"`
}

// OverviewServer is this server.
type OverviewServer struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Daemon   string    `json:"daemon"`
	Version  string    `json:"version"`
	Go       string    `json:"go"`
	Cluster  string    `json:"cluster"`
	Started  time.Time `json:"started"`
	Uptime   string    `json:"uptime"`
	Cores    int       `json:"cores"`
	CPU      float64   `json:"cpu"`
	Mem      int64     `json:"mem"`
	Ready    bool      `json:"ready"`
	Draining bool      `json:"draining"`
	NotReady []string  `json:"not_ready,omitempty"`
}

// OverviewTotals are counters since the start, and what is open.
type OverviewTotals struct {
	InMsgs        int64  `json:"in_msgs"`
	OutMsgs       int64  `json:"out_msgs"`
	InBytes       int64  `json:"in_bytes"`
	OutBytes      int64  `json:"out_bytes"`
	Clients       int    `json:"clients"`
	AllClients    uint64 `json:"total_clients"`
	MaxClients    int    `json:"max_clients"`
	Routes        int    `json:"routes"`
	Gateways      int    `json:"gateways"`
	Leafs         int    `json:"leafs"`
	Subscriptions int    `json:"subscriptions"`
	Slow          int64  `json:"slow"`
	Stale         int64  `json:"stale"`
	Pending       int64  `json:"pending"`
}

// OverviewLinks are all connections to one peer.
type OverviewLinks struct {
	Name     string     `json:"name"`
	Conns    int        `json:"connections"`
	RTT      float64    `json:"rtt_ms"`
	InMsgs   int64      `json:"in_msgs"`
	OutMsgs  int64      `json:"out_msgs"`
	InBytes  int64      `json:"in_bytes"`
	OutBytes int64      `json:"out_bytes"`
	Pending  int64      `json:"pending"`
	Since    *time.Time `json:"since,omitempty"`
}

func (l *OverviewLinks) add(i *link.Info) {
	l.Conns++
	l.RTT = max(l.RTT, float64(i.RTT.Microseconds())/1000)
	l.InMsgs, l.OutMsgs = l.InMsgs+i.InMsgs, l.OutMsgs+i.OutMsgs
	l.InBytes, l.OutBytes = l.InBytes+i.InBytes, l.OutBytes+i.OutBytes
	l.Pending += i.Pending
	if l.Since == nil || i.Started.Before(*l.Since) {
		at := i.Started.UTC()
		l.Since = &at
	}
}

// OverviewPeer is a server of this cluster.
type OverviewPeer struct {
	OverviewLinks
	ID          string `json:"id"`
	Border      bool   `json:"border"`
	Compression string `json:"compression"`
	Addr        string `json:"addr"`
}

// OverviewRegion is another region.
type OverviewRegion struct {
	OverviewLinks
	Up         bool `json:"up"`
	Configured bool `json:"configured"`
	Inbound    int  `json:"inbound"`
}

// OverviewLeaf is a leaf link, of a leaf node or to a hub.
type OverviewLeaf struct {
	OverviewLinks
	ID      uint64 `json:"id"`
	Account string `json:"account"`
	ToHub   bool   `json:"to_hub"`
	Addr    string `json:"addr"`
}

// OverviewAccount is an account with what is here of it.
type OverviewAccount struct {
	Name     string `json:"name"`
	Clients  int64  `json:"clients"`
	Leafs    int64  `json:"leafs"`
	Subs     int    `json:"subscriptions"`
	InMsgs   int64  `json:"in_msgs"`
	OutMsgs  int64  `json:"out_msgs"`
	InBytes  int64  `json:"in_bytes"`
	OutBytes int64  `json:"out_bytes"`
	Slow     int64  `json:"slow"`
	MaxConns int    `json:"max_connections,omitempty"`
	System   bool   `json:"system,omitempty"`
}

// OverviewSlow is a connection that was closed as slow.
type OverviewSlow struct {
	CID    uint64    `json:"cid"`
	Kind   string    `json:"kind"`
	Name   string    `json:"name"`
	Addr   string    `json:"addr"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// OverviewOptions choose connections: how they are sorted, and how many.
type OverviewOptions struct {
	Sort  string
	Limit int
}

// Limits of lists.
const (
	overviewConns    = 100
	overviewLeafs    = 200
	overviewAccounts = 200
	overviewSlow     = 20
)

// Overview gathers it.
func (r *Reports) Overview(o OverviewOptions) (*Overview, error) {
	if o.Limit <= 0 || o.Limit > defaultLimit {
		o.Limit = overviewConns
	}
	cz, err := r.Connz(ConnzOptions{Sort: o.Sort, Limit: o.Limit, Auth: true})
	if err != nil {
		return nil, err
	}
	f := r.Figures()
	z := &Overview{Now: f.Now, Conns: cz.Conns, AllConns: cz.Total, AllAccounts: len(f.Accounts), AllLeafs: r.count(leafs)}
	for i := range z.Conns {
		// Tokens and certificates are for /connz.
		c := &z.Conns[i]
		c.JWT, c.Issuer, c.PeerCerts, c.Tags = "", "", nil, nil
	}
	z.Server = OverviewServer{
		ID: r.o.Server.ID, Name: f.Name, Daemon: f.Daemon, Version: f.Version, Go: runtime.Version(), Cluster: f.Cluster, Started: f.Started,
		Uptime: Uptime(f.Now.Sub(f.Started)), Cores: runtime.NumCPU(), CPU: r.usage.percent(r.o.Server.Started), Mem: f.Mem, Ready: f.Ready, Draining: f.Draining,
		NotReady: r.notReady(false),
	}
	t := &z.Totals
	t.Clients, t.AllClients, t.MaxClients = r.count(clients), r.totalConnections(), r.Settings().Limits.MaxConnections
	t.Routes, t.Gateways, t.Leafs, t.Subscriptions = r.count(routes), r.count(gateways), r.count(leafs), f.Subscriptions
	for i := range f.Kinds {
		k := &f.Kinds[i]
		t.InMsgs, t.OutMsgs, t.InBytes, t.OutBytes = t.InMsgs+k.In.Msgs, t.OutMsgs+k.Out.Msgs, t.InBytes+k.In.Bytes, t.OutBytes+k.Out.Bytes
		t.Stale += k.Stale
		t.Pending += k.Pending
		for _, n := range k.Slow {
			t.Slow += n
		}
	}
	z.Peers, z.Regions, z.Leafs = r.overviewPeers(), r.overviewRegions(), r.overviewLeafs()
	z.Hubs = append([]LeafRemote{}, r.LeafRemotes()...)
	z.Accounts, z.Slow = r.overviewAccounts(f), r.overviewSlow()
	return z, nil
}

func (r *Reports) overviewPeers() []OverviewPeer {
	at := map[string]int{}
	all := []OverviewPeer{}
	for _, i := range byID(r.open(routes, false)) {
		d := r.route(i)
		n, ok := at[d.RemoteID]
		if !ok {
			n = len(all)
			at[d.RemoteID] = n
			all = append(all, OverviewPeer{ID: d.RemoteID, Border: d.Border, Compression: d.Compression, Addr: addressText(&i)})
			all[n].Name = cmp.Or(d.RemoteName, d.RemoteID)
		}
		all[n].add(&i)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

func addressText(i *link.Info) string {
	if i.Addr == nil {
		return ""
	}
	return i.Addr.String()
}

func (r *Reports) overviewRegions() []OverviewRegion {
	at := map[string]int{}
	all := []OverviewRegion{}
	of := func(name string) *OverviewRegion {
		n, ok := at[name]
		if !ok {
			n = len(all)
			at[name] = n
			all = append(all, OverviewRegion{OverviewLinks: OverviewLinks{Name: name}})
		}
		return &all[n]
	}
	for name := range r.GatewayRemotes() {
		of(name).Configured = true
	}
	for _, i := range r.open(gateways, false) {
		d := r.gateway(i)
		one := of(d.Remote)
		one.add(&i)
		if d.Outbound {
			one.Up = true
		} else {
			one.Inbound++
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

func (r *Reports) overviewLeafs() []OverviewLeaf {
	all := []OverviewLeaf{}
	infos := byID(r.open(leafs, false))
	for _, i := range infos[:min(len(infos), overviewLeafs)] {
		d := r.leaf(i)
		one := OverviewLeaf{ID: i.ID, Account: i.Account, ToHub: d.IsSpoke, Addr: addressText(&i)}
		one.Name = i.Name
		one.add(&i)
		all = append(all, one)
	}
	return all
}

// overviewAccounts are those with the most messages.
func (r *Reports) overviewAccounts(f *Figures) []OverviewAccount {
	all := make([]OverviewAccount, 0, len(f.Accounts))
	for i := range f.Accounts {
		a := &f.Accounts[i]
		all = append(all, OverviewAccount{
			Name: a.Name, Clients: a.Clients, Leafs: a.Leafs, Subs: a.Subscriptions, InMsgs: a.In.Msgs, OutMsgs: a.Out.Msgs,
			InBytes: a.In.Bytes, OutBytes: a.Out.Bytes, Slow: a.Slow, MaxConns: max(a.Limits.MaxConnections, 0),
			System: !r.Settings().NoSystemAccount && a.Name == r.o.Broker.SystemAccount().Name,
		})
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].InMsgs+all[i].OutMsgs > all[j].InMsgs+all[j].OutMsgs })
	return all[:min(len(all), overviewAccounts)]
}

func (r *Reports) overviewSlow() []OverviewSlow {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	all := slices.Clone(r.tally.lastSlow)
	slices.Reverse(all)
	return append([]OverviewSlow{}, all...)
}

// slowLocked remembers a connection that was closed as slow.
func (t *tally) slowLocked(i *link.Info) {
	t.lastSlow = append(t.lastSlow, OverviewSlow{
		CID: i.ID, Kind: string(i.Kind), Name: i.Name, Addr: addressText(i), Reason: i.Reason.String(), At: i.Stopped.UTC(),
	})
	if len(t.lastSlow) > overviewSlow {
		t.lastSlow = slices.Delete(t.lastSlow, 0, 1)
	}
}
