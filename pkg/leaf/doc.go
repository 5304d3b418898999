// Package leaf carries leaf links: connections between servers that are bound to
// one account on each side and trust each other as little as a client and a
// server do.
//
// A [Service] has both sides of them: it accepts links from leaf nodes on a
// listener, and dials the hubs that the settings name, for ever, one goroutine
// per remote. What a link may do follows from its role, not from who dialed:
//
//   - the hub announces everything that the account wants, and what comes up
//     from the leaf goes wherever a client's message would go;
//   - the spoke announces what its clients and the leaf nodes below it want,
//     and what comes down from the hub stays below.
//
// The opening of a link is straight-line code, because both sides take turns
// (accept.go, dial.go). Every wait in it is bounded by one overall deadline.
// After it a link (conn.go) is a broker.Port with its interest, a
// broker.Watcher that announces ours (announce.go), and a filter for what the
// permissions of either side allow (rules.go).
//
// How long a remote waits before it dials again is a pure function of what
// happened (backoff.go), so is the choice among addresses (urls.go): a fleet
// that loses its hub must come back spread out.
//
// The package may import wire, subject, config, transport, logging, broker
// and link.
package leaf
