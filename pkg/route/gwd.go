package route

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

var _ Border = (*Service)(nil)

// foreign handles interest lines that are not for the tables of this process. It
// reports whether the line was one.
func (c *conn) foreign(a *broker.Account, add bool) bool {
	op := &c.op
	if len(op.Origin) == 0 {
		return false
	}
	if c.s.o.Role == Hub {
		// The border's origin is for gwds alone.
		return string(op.Origin) == borderOrigin && c.peer.role != wire.RoleGateway
	}
	if c.peer.role == wire.RoleGateway {
		if f := c.s.o.Border.PeerInterest; f != nil {
			f(c.peer.id, c.origin(op.Origin), a, op.Subject, op.Queue, op.Weight, add)
		}
		return true
	}
	return string(op.Origin) == borderOrigin
}

// fresh notes new interest of a hub.
func (c *conn) fresh(a *broker.Account, subj []byte) {
	if c.s.o.Role == BorderRole && c.peer.role != wire.RoleGateway && c.synced.Load() {
		c.s.recent.add(c.peer, a, subj, c.now)
	}
}

// fence answers a hub's fence, or ends one of ours.
func (c *conn) fence() {
	if c.s.border != nil {
		c.s.border.fenced(string(c.op.Arg))
		return
	}
	if c.s.fenceAnswered(string(c.op.Arg)) {
		return
	}
	id := slices.Clone(c.op.Arg)
	answer := func() {
		c.tc.Write(wire.AppendFence(nil, id))
		c.flusher.Soon()
	}
	c.inlet.Flush()
	if f := c.s.o.Border.Fence; f != nil {
		f(answer)
		return
	}
	answer()
}

// targetedMsg passes on a message for one region.
func (c *conn) targetedMsg() error {
	if c.s.o.Role == Hub || c.peer.role != wire.RoleGateway {
		return wire.ErrUnknownOp
	}
	op := &c.op
	if op.Dirty {
		return nil
	}
	c.touch()
	c.s.targeted.Add(1)
	m := &c.msg
	m.Account, m.Subject, m.Reply = c.accountOf(op.Account), op.Subject, op.Reply
	m.HdrLen, m.Payload = op.HdrLen, op.Payload
	m.Groups, m.Listed, m.Cluster, m.From = op.Queues, true, "", c.port
	if f := c.s.o.Border.Targeted; f != nil && m.Account != nil {
		f(c.origin(op.Origin), m)
	}
	return nil
}

func (s *Service) tellRemotes(in *info) {
	if f := s.o.Border.PeerState; f != nil {
		st := BorderState{}
		if in.State != nil {
			st = *in.State
		}
		f(in.ServerID, st)
	}
	if f := s.o.Border.PeerRemotes; f != nil {
		f(in.ServerID, in.Remotes)
	}
}

// SendTargeted sends m to another gwd for one region only.
func (s *Service) SendTargeted(peerID, remote string, m *broker.Msg, groups [][]byte) bool {
	p := (*s.byID.Load())[peerID]
	if p == nil || !p.has(wire.CapTargetedMsg) {
		return false
	}
	c := p.table.Load().carrier(m.Account.Name, s.poolWith(p.role))
	if c == nil || c.send(m, "", remote, groups, nil) != sent {
		return false
	}
	s.sentTargeted.Add(1)
	c.dirtyTgt.Store(true)
	return true
}

// FlushTargeted writes what SendTargeted queued.
func (s *Service) FlushTargeted() {
	for _, p := range *s.byID.Load() {
		for _, c := range p.table.Load().all {
			if c.dirtyTgt.Load() && c.dirtyTgt.Swap(false) {
				c.tc.Flush()
			}
		}
	}
}

// Targeted counts messages for one region that were sent to and received from
// other gwds.
func (s *Service) Targeted() (sent, received uint64) {
	return s.sentTargeted.Load(), s.targeted.Load()
}

// FencePeer calls done when another gwd has passed on all messages that SendTargeted
// gave it up to now, when it is gone, or after peerFence: a stream of
// messages that went by way of a peer can then take another way without
// overtaking. done is called by any goroutine, once.
func (s *Service) FencePeer(peerID string, done func()) {
	p := (*s.byID.Load())[peerID]
	var c *conn
	if p != nil && p.has(wire.CapFence) {
		c = p.speaker()
	}
	if c == nil {
		done()
		return
	}
	var once sync.Once
	id := s.o.Server.ID + "." + strconv.FormatUint(s.o.Broker.NextID(), 10)
	f := func() {
		s.peerFences.Delete(id)
		once.Do(done)
	}
	timer := time.AfterFunc(peerFence, f)
	s.peerFences.Store(id, func() {
		timer.Stop()
		f()
	})
	c.tc.WriteFlush(wire.AppendFence(nil, []byte(id)))
}

// fenceAnswered reports whether a fence is the answer to one of FencePeer.
func (s *Service) fenceAnswered(id string) bool {
	if !strings.HasPrefix(id, s.o.Server.ID) {
		return false
	}
	if f, ok := s.peerFences.Load(id); ok {
		f.(func())()
	}
	return true
}

// AnnounceRemotes tells the other gwds which regions are within reach.
func (s *Service) AnnounceRemotes() {
	s.tellAll(func(p *peer) *info {
		if p.role != wire.RoleGateway {
			return nil
		}
		in := s.info()
		in.PoolSize = 0
		return in
	})
}

// Advertise switches the announcing of other regions' interest to hubs.
func (s *Service) Advertise(on bool) {
	s.advertise.Store(on)
	for _, p := range s.peerList() {
		if p.role == wire.RoleGateway {
			continue
		}
		for _, w := range p.announcers() {
			// Whatever was switched meanwhile: the last one to come here agrees with
			// the flag.
			w.advertiseRegions(s.advertise.Load())
		}
	}
}

// GossipGateway tells the other gwds of a region.
func (s *Service) GossipGateway(gateway string, urls []string) {
	in := &info{}
	in.ServerID = "GW" + s.o.Server.ID
	in.ServerName = s.o.Server.Name
	in.Gateway, in.GatewayURLs, in.GatewayCmd = gateway, urls, wire.GatewayCmdGossip
	s.tellAll(func(p *peer) *info {
		if p.role != wire.RoleGateway {
			return nil
		}
		return in
	})
}

// FreshReply tells whether a hub announced interest in reply a moment ago.
func (s *Service) FreshReply(from *broker.Port, a *broker.Account, reply []byte, window time.Duration) (serverID string, fresh bool) {
	c, ok := from.Sink.(*conn)
	if !ok || c.peer.role == wire.RoleGateway {
		return "", false
	}
	return c.peer.id, c.isNew(window) || s.recent.matches(c.peer, a, reply, window)
}

// isNew tells whether the peer's initial interest was completed within the last window,
// or is not yet. What is in it may be as new, and a region that has not heard of a hub
// can't answer it.
func (c *conn) isNew(window time.Duration) bool {
	if !c.synced.Load() {
		return true
	}
	at := c.settling.Load()
	if at == 0 {
		return false
	}
	age := time.Since(time.Unix(0, at))
	if age > recentLife {
		c.settling.Store(0) // no clock is read for this any more
	}
	return age < min(window, recentLife)
}

// IsHub tells whether a port belongs to a hub's route.
func (s *Service) IsHub(p *broker.Port) bool {
	c, ok := p.Sink.(*conn)
	return ok && c.peer.role != wire.RoleGateway
}

// AwareHub tells whether a port belongs to the route of a hub that knows roles.
func (s *Service) AwareHub(p *broker.Port) bool {
	c, ok := p.Sink.(*conn)
	return ok && c.peer.role == wire.RoleHub
}

// HubPorts lists the port of each hub's connection for an account.
func (s *Service) HubPorts(a *broker.Account) []*broker.Port {
	var list []*broker.Port
	for _, p := range *s.byID.Load() {
		if p.role == wire.RoleGateway {
			continue
		}
		if c := p.table.Load().carrier(a.Name, p.remotePool); c != nil {
			list = append(list, c.port)
		}
	}
	return list
}

// FenceHubs calls done, on any goroutine, when each hub has handled everything that
// was queued for it up to now, or is gone.
func (s *Service) FenceHubs(done func()) {
	var left atomic.Int32
	left.Store(1)
	one := func() {
		if left.Add(-1) == 0 {
			done()
		}
	}
	for _, p := range *s.byID.Load() {
		if p.role == wire.RoleGateway {
			continue
		}
		for _, c := range p.table.Load().all {
			left.Add(1)
			c.afterPong(one)
		}
	}
	one()
}

// Drain tells hubs and other gwds that this process is about to leave.
func (s *Service) Drain() { s.LameDuck() }
