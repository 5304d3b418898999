package broker

import "sync/atomic"

// Class is what kind of party a connection leads to. Classes are bits, for
// sets of them.
type Class uint8

// The classes.
const (
	Client   Class = 1 << iota // an application, or one of our own services
	LeafDown                   // a leaf link on which we are the hub
	LeafUp                     // a leaf link on which we are the spoke
	Route                      // another member of the cluster
	Border                     // other regions, by way of the region's gwds (seen from a hub)
	Gateway                    // another region (seen from a gwd)
	Service                    // a service of another account, where requests to it enter
	Mapping                    // the source of a subject mapping: for announcing it alone
)

// Set of classes.
type Set = Class

// What messages from each class may reach. These rows are the rules of
// cluster-routes 14.4, leafnodes 12 and gateways 18.2.
const (
	// FromClient: everybody.
	FromClient Set = Client | LeafDown | LeafUp | Route | Border | Service
	// FromLeafDown: as for a client.
	FromLeafDown Set = FromClient
	// FromLeafUp: what comes down from a hub stays below.
	FromLeafUp Set = Client | LeafDown | Service
	// FromRoute: one hop in the cluster.
	FromRoute Set = Client | LeafDown
	// FromRouteAtBorder: a gwd passes what hubs send to other regions, never to
	// another hub. Client stands for the gwd's own services.
	FromRouteAtBorder Set = Gateway | Client
	// FromGateway: what other regions send goes to hubs, never to another region.
	FromGateway Set = Route | Client
	// FromClientAtBorder: a gwd's own services speak to both sides.
	FromClientAtBorder Set = Client | Route | Gateway
)

// Tiers of queue group members: all members of the lowest tier that can take a
// message are equal candidates (by weight).
const (
	// TierDirect: a client here or on another member of the cluster.
	TierDirect uint8 = iota
	// TierLeaf: behind a leaf link, here or at another member.
	TierLeaf
	// TierBorder: in another region.
	TierBorder
	tiers
)

// Origin says where interest comes from, for those who announce it.
type Origin struct {
	Class Class
	// Cluster is the leaf cluster that the interest belongs to, or RegionMark and
	// the region; empty if it belongs to none. Nothing is sent back there.
	Cluster string
	// Link is the id of the link when the interest must be told apart from other
	// interest of its class (a leaf link without a cluster name), else 0.
	Link uint64
}

// RegionMark stands before the name of another region in Origin.Cluster, which tells it
// from a leaf cluster of the same name: names of peers hold no blanks.
const RegionMark = " "

// same tells whether what comes from one origin must not be sent to the other.
func (o Origin) same(p Origin) bool {
	return o == p || o.Cluster != "" && o.Cluster == p.Cluster
}

// Same tells whether what comes from one origin must not be told to the other.
func (o Origin) Same(p Origin) bool { return o.same(p) }

// Sink takes messages for a Port. Both methods are called by any goroutine,
// copy what they keep, must not block, and report whether the message was
// taken. They may not call back into the broker.
type Sink interface {
	// Deliver queues m for one subscription. Used for ports that are not Aggregate.
	Deliver(m *Msg, s *Sub) bool
	// DeliverOnce queues m once for all of the port's interest: plain if plain
	// is set, and for the groups chosen. Used for Aggregate ports.
	DeliverOnce(m *Msg, plain bool, groups [][]byte) bool
	// Flush writes what was queued. Called once a block.
	Flush()
}

// Port is a connection as the broker sees it.
type Port struct {
	ID    uint64
	Class Class
	Reach Set
	// Origin of the interest of this port. Its Cluster also marks the messages
	// that come from it.
	Origin Origin
	// Aggregate ports get each message once, however much of their interest matches.
	Aggregate bool
	Sink      Sink

	// Distance orders ports within TierBorder at a gwd: the lowest is nearest.
	// 0 means equal to others.
	Distance atomic.Int64

	// Replies holds mapped reply subjects that were shown to this port without
	// their prefix (gateways 10.5).
	Replies ReplyMap

	batch BatchSink // nil: one message at a time

	// token of the last block that marked this port to be flushed.
	token atomic.Uint64

	In Counters
}

// Counters of one direction. Written by the owner, published once a block.
type Counters struct {
	Msgs  atomic.Int64
	Bytes atomic.Int64
}
