package system

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Servers tell each other how many connections they have in each account, so that its
// limits hold for all of them together. What is counted is always a little late:
// clients that came in meanwhile on several servers are too many, and the youngest of
// each server go (monitoring-events 14.4).

// connections of an account on another server.
type connections struct{ all, leafs int64 }

// trackRequest asks other servers for what they have in an account.
type trackRequest struct {
	Server  ServerInfo `json:"server"`
	Account string     `json:"acc"`
}

func (s *Service) trackInbox() string { return "$SYS._INBOX_." + s.o.Server.ID }

// track asks the other servers, once an account, when the first connection comes in.
func (s *Service) track(account string) {
	if s.tracked[account] {
		return
	}
	s.tracked[account] = true
	to := "$SYS.REQ.ACCOUNT." + account + ".CONNS"
	c := s.out()
	if c == nil || !c.Wanted(s.acc, to) {
		return
	}
	if b, err := json.Marshal(&trackRequest{s.info(), account}); err == nil {
		c.Publish(s.acc, to, s.trackInbox(), nil, b)
	}
}

// heardCounts takes what another server has in an account.
func (s *Service) heardCounts(r *Request) {
	var m struct {
		Server  ServerInfo `json:"server"`
		Account string     `json:"acc"`
		Conns   int64      `json:"conns"`
		Leafs   int64      `json:"leafnodes"`
		Total   int64      `json:"total_conns"`
	}
	if err := json.Unmarshal(r.Payload, &m); err != nil || m.Server.ID == "" || m.Account == "" {
		s.o.Log.RateLimitedWarnf("Received counts on %q that can't be read: %v", r.Subject, err)
		return
	}
	if m.Server.ID == s.o.Server.ID || m.Conns < 0 || m.Leafs < 0 {
		return
	}
	of := s.elsewhere[m.Server.ID]
	if of == nil {
		of = make(map[string]connections)
		s.elsewhere[m.Server.ID] = of
	}
	if m.Conns+m.Leafs == 0 {
		delete(of, m.Account)
	} else {
		of[m.Account] = connections{m.Conns + m.Leafs, m.Leafs}
	}
	s.sumUp(m.Account)
}

// sumUp makes the account's limits count what other servers have.
func (s *Service) sumUp(account string) {
	a := s.o.Broker.Lookup([]byte(account))
	if a == nil {
		return // done when it is made
	}
	var sum connections
	for _, of := range s.elsewhere {
		sum.all += of[account].all
		sum.leafs += of[account].leafs
	}
	a.Elsewhere.Store(sum.all)
	a.LeafsElsewhere.Store(sum.leafs)
	s.shed(a)
}

// shed ends the youngest connections of an account that are too many.
func (s *Service) shed(a *broker.Account) {
	l := a.Limits()
	if n := a.Leafs.Load() + a.LeafsElsewhere.Load() - int64(l.MaxLeafNodes); l.MaxLeafNodes > 0 && n > 0 {
		s.end(a, s.o.Leafs, n)
	}
	n := a.Clients.Load() + a.Leafs.Load() + a.Elsewhere.Load() - int64(l.MaxConnections)
	if l.MaxConnections > 0 && n > 0 {
		n -= s.end(a, s.o.Clients, n)
		s.end(a, s.o.Leafs, n)
	}
}

// end ends up to n connections of an account, and returns how many of them it ended, now
// or shortly before.
func (s *Service) end(a *broker.Account, reg *link.Registry, n int64) (ended int64) {
	if reg == nil || n <= 0 {
		return 0
	}
	var all []link.Conn
	for _, c := range reg.Open() {
		if c.Info(false).Account == a.Name {
			all = append(all, c)
		}
	}
	for id := range s.shedding {
		if reg.Get(id) == nil && s.shedding[id] == reg {
			delete(s.shedding, id)
		}
	}
	slices.SortFunc(all, func(x, y link.Conn) int { return cmp.Compare(y.ID(), x.ID()) })
	for _, c := range all {
		if ended == n {
			break
		}
		ended++
		if s.shedding[c.ID()] != nil {
			continue // is about to go
		}
		s.shedding[c.ID()] = reg
		if x, ok := c.(interface {
			End(reason wire.CloseReason, text string)
		}); ok {
			x.End(wire.ReasonMaxAccountConnections, wire.TextMaxAccountConnections)
		} else {
			c.Close(wire.ReasonMaxAccountConnections)
		}
	}
	return ended
}
