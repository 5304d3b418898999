// Package route links the members of a cluster: hubs (hubd) with each other, and
// with the processes at the region's border (gwd).
//
// # A route, step by step
//
//	acceptor> INFO {...}                     in the clear, with the compression mode that is wanted
//	dialer  > CONNECT {...}                  always the dialer's first line
//	dialer  > INFO {...}                     with its slot in the pool, or the account it is dedicated to
//	           with compression: a placeholder first; both switch; a second INFO each way, compressed
//	both    > RS+, LS+ ...                   the interest of the accounts that the connection carries
//	both    > PING                           answered by PONG behind the peer's own interest: "that was all"
//	both    > RMSG, HMSG, LMSG, RS-, LS-, INFO ...
//
// # What it keeps
//
// A [Service] holds one peer for each other server, found by server id. A peer has
// a table of connections: a pool, connections dedicated to an account, or one
// connection for all where either side does not pool. The table says which
// connection carries an account; interest follows when the table changes. A
// connection is one port of the broker, and each key of interest that a peer
// announced is one broker.Sub on the port of the connection it arrived on.
//
// # The border
//
// At a hub, interest that gwds announce for other regions (LS+ with the origin
// $GW) is not theirs but the region's: it is one port of class Border, whose sink
// chooses one gwd for each account. At a gwd, [BorderHooks] join this package to
// the gateway side.
//
// The package imports broker, link and what is below. It does not know clients,
// leaf links or gateways.
package route
