// Package wire turns bytes into protocol operations and back, for every dialect of
// the protocol: clients, routes, gateways and leaf links.
package wire
