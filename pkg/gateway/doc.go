// Package gateway connects a region to other regions: clusters of our own, or of
// reference servers with a gateway on each of them.
//
// # A connection, step by step
//
//	acceptor> INFO {...}               with its gateway name and the addresses of its cluster
//	dialer  > CONNECT {...}            always the dialer's first line
//	dialer  > INFO {...}               the dialer's name and addresses
//	acceptor> RS+ acct subject queue 1 interest in queue groups
//	acceptor> INFO {"gateway_cmd":2}   for each account with plain interest
//	acceptor> RS+ acct subject
//	acceptor> INFO {"gateway_cmd":3}
//	dialer  > PING                     answered by PONG: how far it is, and all interest is here
//	dialer  > RMSG, HMSG ...           messages flow from the dialer to the acceptor only
//	acceptor> RS+, RS-, INFO ...       interest flows from the acceptor to the dialer only
//
// # What it keeps
//
// A [Service] has one region for each remote cluster. A region is one port of the
// broker: its subscriptions are the interest that the remote announced, its
// sink is the outbound connection, the one that we dialed. Where this process has
// none and another gwd of our region has, the region's messages go by way of that
// one (see [Relay]), and the interest is what that one heard. One source of
// interest counts at any time, so a message crosses once.
//
// An inbound connection, one that the remote dialed, is a source of messages, and
// is told the interest of our own cluster.
//
// # What it promises
//
// TLS is done before any byte. A remote is dialed again at once after a loss, and
// then never more often than once a second. A connection is used only when its
// round trip is known. A peer that sends what belongs in the other direction is
// cut off. What a remote does not take waits in a bounded queue; beyond it
// messages are dropped and counted, the connection lives.
//
// The package imports broker, link and what is below. It does not know routes:
// package border ties the two together.
package gateway
