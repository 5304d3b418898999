package route

import (
	"slices"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/wire"
)

// activate puts a reserved connection to use: interest flows, then a PING asks
// for the end of the peer's.
func (s *Service) activate(c *conn) error {
	p := c.peer
	c.attach()
	s.mu.Lock()
	if p.slotLocked(c) != c || s.closing {
		s.mu.Unlock()
		return errDuplicate
	}
	first := p.table.Load().all == nil
	if first {
		p.info = c.remote
		p.settle = time.AfterFunc(settleTime, p.settled)
	}
	c.active = true
	p.refreshLocked()
	urls, webURLs, leafURLs, gwURLs := p.learnLocked(&c.remote)
	s.bumpLocked()
	s.mu.Unlock()

	s.o.URLs.Add(urls)
	s.o.WebSocketURLs.Add(webURLs)
	s.o.LeafURLs.Add(leafURLs)
	s.o.GatewayURLs.Add(gwURLs)
	c.log.Noticef("Route connection to %q (%s) registered", p.name, p.id)
	if s.border != nil && p.role == wire.RoleGateway {
		s.border.join(c)
	}
	p.carryAll()
	c.startPinging()
	s.o.Registry.Add(c)
	s.o.Registry.Opened(c.info())
	c.catchUp()
	s.gossip(c, first)
	if first && s.o.Role == BorderRole && p.role == wire.RoleGateway {
		s.tellRemotes(&c.remote)
	}
	return nil
}

// attach makes the broker's view of the connection.
func (c *conn) attach() {
	s, p := c.s, c.peer
	c.parser.AccountOmitted = c.account != ""
	c.parser.DelWithoutOrigin = !c.remote.LeafOriginDel
	c.port = c.newPort(broker.FromRoute)
	if s.o.Role == BorderRole {
		c.inside = s.o.Broker.NewInlet(c.newPort(broker.Client))
		switch p.role {
		case wire.RoleHub:
			// What is for this process itself comes marked, see DeliverOnce.
			c.port.Reach = broker.Gateway
		case wire.RoleGateway:
			c.port.Reach = broker.Client
		default:
			c.unaware = true
			c.port.Reach = broker.FromRouteAtBorder
		}
	}
	c.inlet = s.o.Broker.NewInlet(c.port)
	if s.o.Role == Hub {
		c.inlet.Rescue()
	}
	c.lastAcc = c.acct
}

func (c *conn) newPort(reach broker.Set) *broker.Port {
	return &broker.Port{ID: c.id, Class: broker.Route, Reach: reach, Aggregate: true, Sink: c,
		Origin: broker.Origin{Class: broker.Route, Link: c.peer.link}}
}

// learnLocked notes addresses that the first INFO of a peer brings.
func (p *peer) learnLocked(in *info) (urls, webURLs, leafURLs, gwURLs []string) {
	if p.urls == nil && len(in.ConnectURLs) > 0 && !p.s.set().Cluster.NoAdvertise && !p.leaving {
		p.urls = slices.Clone(in.ConnectURLs)
		urls = p.urls
	}
	if p.webURLs == nil && len(in.WSConnectURLs) > 0 && !p.s.set().Cluster.NoAdvertise && !p.leaving {
		p.webURLs = slices.Clone(in.WSConnectURLs)
		webURLs = p.webURLs
	}
	if p.leafURLs == nil && len(in.LeafURLs) > 0 && !p.leaving {
		p.leafURLs = slices.Clone(in.LeafURLs)
		leafURLs = p.leafURLs
	}
	// Hubs have no use for the addresses of gateways.
	if p.gwURLs == nil && in.GatewayURL != "" && p.s.o.Role == BorderRole && !p.leaving {
		p.gwURLs = []string{in.GatewayURL}
		gwURLs = p.gwURLs
	}
	return urls, webURLs, leafURLs, gwURLs
}

// forgetURLs takes the addresses of a peer out again, once.
func (s *Service) forgetURLs(p *peer) {
	s.mu.Lock()
	urls, webURLs, leafURLs, gwURLs := p.urls, p.webURLs, p.leafURLs, p.gwURLs
	p.urls, p.webURLs, p.leafURLs, p.gwURLs = nil, nil, nil, nil
	s.mu.Unlock()
	s.o.URLs.Remove(urls)
	s.o.WebSocketURLs.Remove(webURLs)
	s.o.LeafURLs.Remove(leafURLs)
	s.o.GatewayURLs.Remove(gwURLs)
}

// confirm notes that the peer's initial interest is complete.
func (s *Service) confirm(c *conn) {
	c.settling.Store(time.Now().UnixNano())
	s.mu.Lock()
	c.synced.Store(true)
	p := c.peer
	p.refreshLocked()
	tell := !p.toldUp && p.role != wire.RoleGateway && p.completeLocked(true)
	p.toldUp = p.toldUp || tell
	s.bumpLocked()
	s.mu.Unlock()
	close(c.up)
	if tell && s.o.Role == BorderRole && s.o.Border.HubUp != nil {
		s.o.Border.HubUp(p.id, p.role == wire.RoleHub)
	}
}

// unregister takes a connection out of the tables. The accounts that it carried
// move to others of the peer.
func (s *Service) unregister(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	p := c.peer
	if p == nil {
		s.bumpLocked()
		s.mu.Unlock()
		return
	}
	c.active = false
	if p.slotLocked(c) == c {
		p.setSlotLocked(c, nil)
	}
	p.refreshLocked()
	last := p.emptyLocked() && s.peers[p.id] == p
	if last {
		delete(s.peers, p.id)
		s.indexLocked()
		if p.settle != nil {
			p.settle.Stop()
		}
	}
	told := p.toldUp
	s.bumpLocked()
	s.mu.Unlock()
	if s.border != nil && p.role == wire.RoleGateway {
		s.border.leave(c)
	}
	if !last {
		p.carryAll()
		return
	}
	p.drop()
	s.forgetURLs(p)
	if s.o.Role == BorderRole {
		s.recent.forget(p)
		h := s.o.Border
		if p.role == wire.RoleGateway {
			if h.PeerGone != nil {
				h.PeerGone(p.id)
			}
		} else if told && h.HubGone != nil {
			h.HubGone(p.id)
		}
	}
}

// Details is what monitoring shows of a route, in link.Info.More.
type Details struct {
	RemoteID     string
	RemoteName   string
	Role         string // hub, gwd, or empty for a reference server
	DidSolicit   bool
	IsConfigured bool
	Account      string // of a dedicated connection
	PoolIndex    int    // -1: none
	Compression  string
	Synced       bool  // initial interest is complete
	Lost         int64 // messages dropped because the peer reads too slowly
	Import       *wire.SubjectPermission
	Export       *wire.SubjectPermission
}

// Info is a snapshot for monitoring.
func (c *conn) Info(bool) link.Info { return c.info() }

func (c *conn) info() link.Info {
	in := link.Info{
		ID: c.id, Kind: link.KindRoute, Addr: c.tc.RemoteAddr(), Name: c.remote.ServerID,
		Account: c.account, Started: c.tc.Started(), Pending: c.tc.Pending(),
		OutMsgs: c.out.Msgs.Load(), OutBytes: c.out.Bytes.Load(),
	}
	if n := c.active1.Load(); n > 0 {
		in.Active = time.Unix(0, n)
	}
	if c.pinger != nil {
		in.RTT = c.pinger.RTT()
	}
	if c.port != nil {
		in.InMsgs, in.InBytes = c.port.In.Msgs.Load(), c.port.In.Bytes.Load()
	}
	d := Details{
		RemoteID: c.remote.ServerID, RemoteName: c.remote.ServerName, Role: c.remote.Role,
		DidSolicit: c.dialed(), IsConfigured: c.dialed() && c.target.explicit,
		Account: c.account, PoolIndex: -1, Compression: c.compression(), Synced: c.synced.Load(), Lost: c.lost.Load(),
		Import: c.remote.Import, Export: c.remote.Export,
	}
	if c.peer != nil && !c.peer.single && c.account == "" {
		d.PoolIndex = c.slot
	}
	in.More = d
	return in
}

func (c *conn) compression() string {
	mode := c.mode()
	if !mode.Compresses() {
		return string(wire.CompressionOff)
	}
	if mode == wire.CompressionS2Auto && c.pinger != nil {
		return string(c.s.level(mode, c.pinger.RTT()))
	}
	return string(mode)
}

// Peers lists the registered connections, one entry each.
func (s *Service) Peers() []link.Info {
	open := s.o.Registry.Open()
	list := make([]link.Info, 0, len(open))
	for _, c := range open {
		list = append(list, c.Info(false))
	}
	slices.SortFunc(list, func(a, b link.Info) int { return int(int64(a.ID) - int64(b.ID)) })
	return list
}
