package route

import (
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// BorderHooks join the routes of a gwd to its gateway side. All functions but
// Remotes may be nil. They are called without locks of this package held, unless
// noted, by any goroutine.
//
// How interest is told apart at a gwd:
//
//   - A subscription of class Gateway with Origin.Link == 0 is what a remote region
//     announced to this process, and Origin.Cluster is broker.RegionMark and its name. It is
//     announced to the hubs as one key for all regions (LS+ $GW), and to
//     other gwds as LS+ with the region's name.
//   - A subscription of class Gateway with Origin.Link != 0 is known through another
//     gwd only. It is announced to nobody.
//   - A subscription of class Client is a service of this process. It is announced
//     as RS+ to all.
//   - Interest of class Route is never announced on routes. SubscribedByHub tells
//     which of it is a hub's.
type BorderHooks struct {
	// Remotes lists the regions to which this process has an outbound connection,
	// for x_remotes. Called with locks held: it must not call back.
	Remotes func() []wire.RemoteCluster

	// PeerRemotes: another gwd of the region has outbound connections to these
	// regions. Called when it joins and when the list changes.
	PeerRemotes func(peerID string, remotes []wire.RemoteCluster)

	// State is what the other gwds are told of this one besides, with the INFOs that
	// carry x_remotes. Called with locks held: it must not call back.
	State func() BorderState

	// PeerState: another gwd has told its state. Called before PeerRemotes.
	PeerState func(peerID string, state BorderState)

	// PeerGone: the other gwd is gone or leaving. What PeerInterest told of it is
	// withdrawn without further calls.
	PeerGone func(peerID string)

	// PeerInterest: the other gwd learned from a remote region that it has (or,
	// add false, has no more) interest. Called in order for each peer, by the
	// goroutine that reads it. The slices are valid during the call.
	PeerInterest func(peerID, remote string, a *broker.Account, subject, queue []byte, weight int32, add bool)

	// Targeted: another gwd asks to send m to one region and nowhere else. Groups of
	// m are those to be served there. m is valid during the call. What it queues is to
	// be flushed by TargetedFlush, which follows once a block.
	Targeted      func(remote string, m *broker.Msg)
	TargetedFlush func()

	// Fence: done is to be called, by any goroutine, when everything that hubs had
	// sent up to now has reached the remote regions (PONG on each outbound).
	// nil answers at once.
	Fence func(done func())

	// GatewayGossip: a cluster mate tells of a region and how to reach it
	// (cluster-routes 9.4).
	GatewayGossip func(gateway string, urls []string)

	// HubUp and HubGone tell of hubs: the first connection is up and its initial
	// interest complete; the last one is gone. aware: the hub knows the roles of
	// gateways 18.3.
	HubUp   func(serverID string, aware bool)
	HubGone func(serverID string)
}

// BorderState is what the gwds of a region tell each other of themselves.
type BorderState struct {
	Priority int      `json:"priority,omitempty"` // in single_owner mode
	Owner    bool     `json:"owner,omitempty"`    // announces remote interest to hubs, in single_owner mode
	Missing  []string `json:"missing,omitempty"`  // configured routes that are not complete
}

// Border is what the gateway side of a gwd asks of its routes. *Service
// implements it; the interface is there to be replaced in tests.
type Border interface {
	// SendTargeted sends m to another gwd, to be passed on to one region only. groups
	// are the queue groups to be served there. It reports whether the message was
	// queued; FlushTargeted writes.
	SendTargeted(peerID, remote string, m *broker.Msg, groups [][]byte) bool
	FlushTargeted()
	// AnnounceRemotes tells the other gwds the list of BorderHooks.Remotes anew.
	AnnounceRemotes()
	// Advertise says whether remote interest is announced to hubs; it is from the
	// start. A gwd that is not the owner (single_owner mode) switches it off.
	Advertise(on bool)
	// GossipGateway tells cluster mates of a region.
	GossipGateway(gateway string, urls []string)
	// FreshReply tells whether the hub behind from announced interest that matches
	// reply within the last window (at most 10 s), and the hub's server id.
	// Every reply is during such a time behind the hub's joining.
	FreshReply(from *broker.Port, a *broker.Account, reply []byte, window time.Duration) (serverID string, fresh bool)
	// IsHub tells whether a port belongs to a route of a hub, and AwareHub
	// whether that hub knows the roles of gateways 18.3 (it strips mapped replies).
	IsHub(p *broker.Port) bool
	AwareHub(p *broker.Port) bool
	// HubPorts lists, for each hub, the port of the connection that carries a.
	HubPorts(a *broker.Account) []*broker.Port
	// PortForServer finds the connection that carries a to the server whose id has
	// the hash; nil if there is none.
	PortForServer(a *broker.Account, serverHash []byte) *broker.Port
	// Drain tells hubs and other gwds that this process is about to leave.
	Drain()
}
