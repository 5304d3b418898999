// Package system is the system account of a daemon: what it tells of itself by
// messages ($SYS events), and what can be asked and ordered by requests
// (monitoring-events 11 to 14).
//
// [Client] is an application without a socket: it subscribes and publishes in
// any account. What it is given is queued; its handlers run on a goroutine of
// its own, never on that of the publisher.
//
// [Service] publishes STATSZ, SHUTDOWN, LAMEDUCK and the events of connections,
// and answers $SYS.REQ. An event that nobody listens for is not built.
//
// It may import monitor, link, broker and what is below them.
package system
