package monitor

import (
	"runtime"
	"time"

	"github.com/banyanmq/banyan/pkg/link"
)

// Statsz is what a server says of itself every few seconds. ActiveServers is for
// package system to fill.
type Statsz struct {
	Start                time.Time     `json:"start"`
	Mem                  int64         `json:"mem"`
	Cores                int           `json:"cores"`
	CPU                  float64       `json:"cpu"`
	Connections          int           `json:"connections"`
	TotalConnections     uint64        `json:"total_connections"`
	ActiveAccounts       int           `json:"active_accounts"`
	NumSubs              int           `json:"subscriptions"`
	Sent                 Volume        `json:"sent"`
	SentToClients        Volume        `json:"sent_to_clients"`
	Received             Volume        `json:"received"`
	ReceivedFromClients  Volume        `json:"received_from_clients"`
	SlowConsumers        int64         `json:"slow_consumers"`
	SlowConsumerStats    *KindStats    `json:"slow_consumer_stats,omitempty"`
	StaleConnections     int64         `json:"stale_connections,omitempty"`
	StaleConnectionStats *KindStats    `json:"stale_connection_stats,omitempty"`
	StalledClients       int64         `json:"stalled_clients,omitempty"`
	Routes               []RouteStat   `json:"routes,omitempty"`
	Gateways             []GatewayStat `json:"gateways,omitempty"`
	ActiveServers        int           `json:"active_servers"`
	MemLimit             int64         `json:"gomemlimit,omitempty"`
	MaxProcs             int           `json:"gomaxprocs"`
}

// RouteStat is one route.
type RouteStat struct {
	RID      uint64 `json:"rid"`
	Name     string `json:"name,omitempty"`
	Sent     Volume `json:"sent"`
	Received Volume `json:"received"`
	Pending  int64  `json:"pending"`
}

// GatewayStat is one outbound gateway. Received is the sum over the inbound
// connections from the same region.
type GatewayStat struct {
	GwID     uint64 `json:"gwid"`
	Name     string `json:"name"`
	Sent     Volume `json:"sent"`
	Received Volume `json:"received"`
	Inbound  int    `json:"inbound_connections"`
}

// Statsz takes the figures of STATSZ.
func (r *Reports) Statsz() *Statsz {
	all, _ := r.totals()
	sum, cl := all.sum(), all.flow[clients]
	s := &Statsz{
		Start: r.o.Server.Started.UTC(), Mem: ResidentMemory(), Cores: runtime.NumCPU(), CPU: r.usage.percent(r.o.Server.Started),
		Connections: r.count(clients), TotalConnections: r.totalConnections(), NumSubs: r.subscriptions(),
		Sent: sum.out, SentToClients: cl.out, Received: sum.in, ReceivedFromClients: cl.in,
		MemLimit: memoryLimit(), MaxProcs: runtime.GOMAXPROCS(0),
	}
	for _, a := range r.o.Broker.Accounts() {
		if a.Clients.Load()+a.Leafs.Load() > 0 {
			s.ActiveAccounts++
		}
	}
	if k := kindStats(all.slow); k.sum() > 0 {
		s.SlowConsumers, s.SlowConsumerStats = k.sum(), &k
	}
	if k := r.stale(); k.sum() > 0 {
		s.StaleConnections, s.StaleConnectionStats = k.sum(), &k
	}
	for _, i := range byID(r.open(routes, false)) {
		f := flowOf(&i)
		s.Routes = append(s.Routes, RouteStat{RID: i.ID, Name: r.route(i).RemoteName, Sent: f.out, Received: f.in, Pending: i.Pending})
	}
	s.Gateways = r.gatewayStats()
	return s
}

func (r *Reports) gatewayStats() (out []GatewayStat) {
	all := byID(r.open(gateways, false))
	inbound := make(map[string][]link.Info)
	for _, i := range all {
		if d := r.gateway(i); !d.Outbound {
			inbound[d.Remote] = append(inbound[d.Remote], i)
		}
	}
	for _, i := range all {
		d := r.gateway(i)
		if !d.Outbound {
			continue
		}
		g := GatewayStat{GwID: i.ID, Name: d.Remote, Sent: flowOf(&i).out, Inbound: len(inbound[d.Remote])}
		for _, in := range inbound[d.Remote] {
			g.Received.add(flowOf(&in).in)
		}
		out = append(out, g)
	}
	return out
}
