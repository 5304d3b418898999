// Package broker decides who gets a message.
//
// It knows accounts with their interest, and connections only as a [Port]: a
// handful of data that say what kind of source and destination the connection
// is, and a [Sink] that takes messages. What distinguishes a client from a
// route, a leaf link or a gateway is expressed in that data (class, reach,
// tier), never by asking for the kind of a connection:
//
//   - a Port's Class says what it is; its Reach is the set of classes to which
//     messages from it may go. The one-hop rule of routes, the hub and spoke
//     rules of leaf links, and the split between routes and gateways at the
//     border are rows of that matrix.
//   - a subscription's Tier says when a member of a queue group is a candidate:
//     only if no member of a lower tier takes the message.
//   - an Origin's Cluster keeps messages of a leaf cluster from going back there.
//
// Each connection that messages come from has an [Inlet], used by the goroutine
// that reads it. The Inlet holds the cache of match results, so that the usual
// message takes no lock but those of its destinations' queues, and the list of
// destinations to be flushed at the end of the block.
//
// Who wants to know about interest (to announce it on a link) registers a
// [Watcher] with the account. Watchers are called with the account locked, in
// the order of the changes, so the last line that they queue is right.
//
// Accounts share streams and services by special subscriptions, see sharing.go and
// request.go.
//
// The package may import wire, subject, interest, account. It does no I/O.
package broker
