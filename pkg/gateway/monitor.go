package gateway

import (
	"cmp"
	"crypto/tls"
	"slices"
	"time"

	"github.com/banyanmq/banyan/pkg/link"
)

// Details is link.Info.More of a gateway connection.
type Details struct {
	Gateway    string // the remote cluster
	Outbound   bool
	Configured bool // outbound: named in the settings
	ServerName string
	Version    string
	Dropped    int64 // messages that found the queue full
	Ignored    int64 // what came in and was not used
}

// Status is the state of all gateways (gateways 17).
type Status struct {
	Name      string
	Host      string
	Port      int
	Outbound  []RegionStatus
	Inbound   []link.Info // More is Details
	Admitting bool
}

// RegionStatus is the state of one remote.
type RegionStatus struct {
	Name       string
	Configured bool
	Connection *link.Info // nil: none
	Via        string     // id of the gwd that its messages go by, if there is no connection
	Distance   time.Duration
	Accounts   []AccountInterest
	Relayed    int64 // messages that went by way of another gwd
	Filtered   int64 // messages that may not cross
}

// Status returns the state of all gateways. accounts asks for the interest of
// the remotes.
func (s *Service) Status(accounts bool) Status {
	st := Status{Name: s.name, Admitting: s.accepting()}
	if s.lis != nil {
		st.Host, st.Port = s.address()
	}
	for _, r := range s.regions() {
		rs := RegionStatus{
			Name: r.name, Configured: r.configured(), Relayed: r.relayed.Load(), Filtered: r.filtered.Load(),
			Distance: time.Duration(r.port.Distance.Load()) * time.Microsecond,
		}
		p := r.path.Load()
		if p != nil {
			if p.out != nil {
				i := p.out.Info(false)
				rs.Connection = &i
			}
			rs.Via = p.peer
			if accounts {
				rs.Accounts = p.table.snapshot()
			}
		}
		if p != nil || rs.Configured {
			st.Outbound = append(st.Outbound, rs)
		}
	}
	slices.SortFunc(st.Outbound, func(a, b RegionStatus) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range s.list(inbound) {
		st.Inbound = append(st.Inbound, c.Info(false))
	}
	slices.SortFunc(st.Inbound, func(a, b link.Info) int { return cmp.Compare(a.ID, b.ID) })
	return st
}

func tlsNames(st *tls.ConnectionState) (version, cipher string) {
	return tls.VersionName(st.Version), tls.CipherSuiteName(st.CipherSuite)
}
