package monitor

import (
	"slices"
	"sort"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
)

// RoutezOptions say what /routez lists.
type RoutezOptions struct {
	Subs       bool `json:"subscriptions"`
	SubsDetail bool `json:"subscriptions_detail"`
}

// Routez is the answer of /routez: one entry a connection, not a server.
type Routez struct {
	ID        string             `json:"server_id"`
	Name      string             `json:"server_name"`
	Now       time.Time          `json:"now"`
	Import    *SubjectPermission `json:"import,omitempty"`
	Export    *SubjectPermission `json:"export,omitempty"`
	NumRoutes int                `json:"num_routes"`
	Routes    []RouteInfo        `json:"routes"`
}

// RouteInfo is one route.
type RouteInfo struct {
	RID          uint64             `json:"rid"`
	RemoteID     string             `json:"remote_id"`
	RemoteName   string             `json:"remote_name"`
	DidSolicit   bool               `json:"did_solicit"`
	IsConfigured bool               `json:"is_configured"`
	IP           string             `json:"ip"`
	Port         int                `json:"port"`
	Start        time.Time          `json:"start"`
	Activity     time.Time          `json:"last_activity"`
	RTT          string             `json:"rtt,omitempty"`
	Uptime       string             `json:"uptime"`
	Idle         string             `json:"idle"`
	Import       *SubjectPermission `json:"import,omitempty"`
	Export       *SubjectPermission `json:"export,omitempty"`
	Pending      int64              `json:"pending_size"`
	InMsgs       int64              `json:"in_msgs"`
	OutMsgs      int64              `json:"out_msgs"`
	InBytes      int64              `json:"in_bytes"`
	OutBytes     int64              `json:"out_bytes"`
	NumSubs      int                `json:"subscriptions"`
	Subs         []string           `json:"subscriptions_list,omitempty"`
	SubsDetail   []SubDetail        `json:"subscriptions_list_detail,omitempty"`
	Account      string             `json:"account,omitempty"`
	Compression  string             `json:"compression,omitempty"`
}

func byID(all []link.Info) []link.Info {
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	return all
}

// Routez answers /routez.
func (r *Reports) Routez(o RoutezOptions) *Routez {
	z := &Routez{ID: r.o.Server.ID, Name: r.o.Server.Name, Now: time.Now().UTC(), Routes: []RouteInfo{}}
	if c := r.Settings().Cluster; c != nil && c.Permissions != nil {
		z.Import, z.Export = lists(&c.Permissions.Publish), lists(&c.Permissions.Subscribe)
	}
	var subs map[uint64][]SubDetail
	if o.Subs || o.SubsDetail {
		subs = subsOfServers(r, broker.Route, portOf)
	}
	all := byID(r.open(routes, o.Subs || o.SubsDetail))
	var counts map[uint64]int
	if len(all) > 0 {
		counts = countOfServers(r, broker.Route, portOf)
	}
	for _, i := range all {
		d, c := r.route(i), baseConnInfo(&i, z.Now)
		e := RouteInfo{
			RID: i.ID, RemoteID: d.RemoteID, RemoteName: d.RemoteName, DidSolicit: d.DidSolicit, IsConfigured: d.IsConfigured,
			IP: c.IP, Port: c.Port, Start: c.Start, Activity: c.Activity, RTT: c.RTT, Uptime: c.Uptime, Idle: c.Idle,
			Import: d.Import, Export: d.Export, Pending: i.Pending,
			InMsgs: i.InMsgs, OutMsgs: i.OutMsgs, InBytes: i.InBytes, OutBytes: i.OutBytes,
			NumSubs: max(i.Subs, counts[i.ID]), Account: d.Account, Compression: d.Compression,
		}
		if d.Subs == nil {
			d.Subs = subs[i.ID]
		}
		switch {
		case o.SubsDetail:
			e.SubsDetail = d.Subs
		case o.Subs:
			e.Subs = subjects(d.Subs)
		}
		z.Routes = append(z.Routes, e)
	}
	z.NumRoutes = len(z.Routes)
	return z
}

func lists(p *config.SubjectPermission) *SubjectPermission {
	if len(p.Allow)+len(p.Deny) == 0 {
		return nil
	}
	return &SubjectPermission{Allow: p.Allow, Deny: p.Deny}
}

// subsOfServers is the interest that other servers announced, by what key says of
// a subscription.
func subsOfServers[K comparable](r *Reports, class broker.Class, key func(*broker.Sub) K) map[K][]SubDetail {
	out := make(map[K][]SubDetail)
	for _, a := range r.accounts("") {
		a.EachSub(func(s *broker.Sub) bool {
			if s.Port.Class == class {
				k := key(s)
				out[k] = append(out[k], SubDetail{
					Account: a.Name, Subject: string(s.Subject), Queue: string(s.Queue), SID: s.SID, CID: s.Port.ID,
				})
			}
			return true
		})
	}
	return out
}

// countOfServers is how many they are.
func countOfServers[K comparable](r *Reports, class broker.Class, key func(*broker.Sub) K) map[K]int {
	out := make(map[K]int)
	for _, a := range r.o.Broker.Accounts() {
		a.EachSub(func(s *broker.Sub) bool {
			if s.Port.Class == class {
				out[key(s)]++
			}
			return true
		})
	}
	return out
}

func portOf(s *broker.Sub) uint64   { return s.Port.ID }
func regionOf(s *broker.Sub) string { return s.Origin.Cluster }

// GatewayzOptions say what /gatewayz lists. Lists of subjects imply the accounts.
type GatewayzOptions struct {
	Name       string `json:"name"`
	Accounts   bool   `json:"accounts"`
	Account    string `json:"account_name"` // implies Accounts
	Subs       bool   `json:"subscriptions"`
	SubsDetail bool   `json:"subscriptions_detail"`
}

// Gatewayz is the answer of /gatewayz.
type Gatewayz struct {
	ID       string                     `json:"server_id"`
	Now      time.Time                  `json:"now"`
	Name     string                     `json:"name,omitempty"`
	Host     string                     `json:"host,omitempty"`
	Port     int                        `json:"port,omitempty"`
	Outbound map[string]*RemoteGateway  `json:"outbound_gateways"`
	Inbound  map[string][]RemoteGateway `json:"inbound_gateways"`
}

// RemoteGateway is one connection to or from another region.
type RemoteGateway struct {
	Configured bool             `json:"configured"`
	Connection ConnInfo         `json:"connection"`
	Accounts   []GatewayAccount `json:"accounts,omitempty"`
}

// Gatewayz answers /gatewayz.
func (r *Reports) Gatewayz(o GatewayzOptions) *Gatewayz {
	z := &Gatewayz{
		ID: r.o.Server.ID, Now: time.Now().UTC(),
		Outbound: map[string]*RemoteGateway{}, Inbound: map[string][]RemoteGateway{},
	}
	if g := r.Settings().Gateway; g != nil && r.o.Gateways != nil {
		z.Name, z.Host, z.Port = g.Name, g.Host, port(g.Port, r.o.Hooks.GatewayAddr)
	}
	o.Accounts = o.Accounts || o.Account != "" || o.Subs || o.SubsDetail
	var subs map[string][]SubDetail
	if o.Subs || o.SubsDetail {
		subs = subsOfServers(r, broker.Gateway, regionOf)
	}
	all := byID(r.open(gateways, false))
	var counts map[string]int
	if len(all) > 0 {
		counts = countOfServers(r, broker.Gateway, regionOf)
	}
	for _, i := range all {
		d := r.gateway(i)
		if o.Name != "" && d.Remote != o.Name {
			continue
		}
		e := RemoteGateway{Configured: d.Configured && d.Outbound, Connection: baseConnInfo(&i, z.Now)}
		if d.RemoteID != "" {
			e.Connection.Name = d.RemoteID
		}
		if d.Outbound {
			e.Connection.NumSubs = max(i.Subs, counts[broker.RegionMark+d.Remote])
			e.Accounts = r.gatewayAccounts(&o, d.Remote, subs[broker.RegionMark+d.Remote])
			z.Outbound[d.Remote] = &e
		} else {
			z.Inbound[d.Remote] = append(z.Inbound[d.Remote], e)
		}
	}
	return z
}

func (r *Reports) gatewayAccounts(o *GatewayzOptions, remote string, subs []SubDetail) []GatewayAccount {
	f := r.o.Hooks.GatewayAccounts
	if !o.Accounts || f == nil {
		return nil
	}
	all := f(remote)
	if o.Account != "" {
		all = slices.DeleteFunc(all, func(a GatewayAccount) bool { return a.Name != o.Account })
	}
	for i := range all {
		a := &all[i]
		for _, s := range subs {
			switch {
			case s.Account != a.Name:
			case o.SubsDetail:
				a.SubsDetail = append(a.SubsDetail, s)
			default:
				a.Subs = append(a.Subs, s.Subject)
			}
		}
	}
	return all
}

// LeafzOptions say what /leafz lists.
type LeafzOptions struct {
	Subs    bool   `json:"subscriptions"`
	Account string `json:"account"`
}

// Leafz is the answer of /leafz. Remotes are the hubs that this server dials,
// those that are down as well.
type Leafz struct {
	ID       string       `json:"server_id"`
	Now      time.Time    `json:"now"`
	NumLeafs int          `json:"leafnodes"`
	Leafs    []LeafInfo   `json:"leafs"`
	Remotes  []LeafRemote `json:"x_remotes,omitempty"`
}

// LeafInfo is one leaf link.
type LeafInfo struct {
	ID          uint64   `json:"id"`
	Name        string   `json:"name"`
	IsSpoke     bool     `json:"is_spoke"`
	IsIsolated  bool     `json:"is_isolated,omitempty"`
	Account     string   `json:"account"`
	IP          string   `json:"ip"`
	Port        int      `json:"port"`
	RTT         string   `json:"rtt,omitempty"`
	InMsgs      int64    `json:"in_msgs"`
	OutMsgs     int64    `json:"out_msgs"`
	InBytes     int64    `json:"in_bytes"`
	OutBytes    int64    `json:"out_bytes"`
	NumSubs     int      `json:"subscriptions"`
	Subs        []string `json:"subscriptions_list,omitempty"`
	Compression string   `json:"compression,omitempty"`

	Proxy   *ProxyInfo `json:"proxy,omitempty"`
	Pending int64      `json:"x_pending_bytes"`
}

// Leafz answers /leafz.
func (r *Reports) Leafz(o LeafzOptions) *Leafz {
	z := &Leafz{ID: r.o.Server.ID, Now: time.Now().UTC(), Leafs: []LeafInfo{}}
	for _, i := range byID(r.open(leafs, o.Subs)) {
		if o.Account != "" && i.Account != o.Account {
			continue
		}
		d := r.leaf(i)
		e := LeafInfo{
			ID: i.ID, Name: i.Name, IsSpoke: d.IsSpoke, IsIsolated: d.IsIsolated, Account: i.Account,
			RTT: i.RTT.String(), InMsgs: i.InMsgs, OutMsgs: i.OutMsgs, InBytes: i.InBytes, OutBytes: i.OutBytes,
			NumSubs: i.Subs, Compression: d.Compression, Proxy: proxyInfo(d.Proxy), Pending: i.Pending,
		}
		e.IP, e.Port = address(i.Addr)
		if o.Subs {
			e.Subs = d.Subs
		}
		z.Leafs = append(z.Leafs, e)
	}
	z.NumLeafs = len(z.Leafs)
	if f := r.o.Hooks.LeafRemotes; f != nil {
		for _, m := range f() {
			if o.Account == "" || m.Account == o.Account {
				z.Remotes = append(z.Remotes, m)
			}
		}
	}
	return z
}
