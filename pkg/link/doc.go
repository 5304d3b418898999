// Package link holds what all kinds of connections share: who this server is,
// the list of open and recently closed connections that monitoring shows, the
// set of client addresses that clients are told of, listening, waiting, and keeping a
// connection alive.
//
// It knows no protocol. Packages client, route, gateway and leaf build on it;
// they do not know each other. It may import broker and what is below.
package link
