// Package monitor tells what a daemon knows of itself: the HTTP endpoints
// /varz, /connz, /routez, /gatewayz, /leafz, /subsz, /accountz, /accstatz and
// /healthz, in the shapes that existing tools read (monitoring-events 2 to 9).
//
// [Reports] makes the answers, one method an endpoint; the HTTP [Service] and
// package system are two ways to ask for them. Nothing is gathered before
// somebody asks, but for counts of connections that have closed.
//
// A daemon gives what it has: registries that are nil show as empty, and what
// only the packages of links know comes in by [Hooks], so that this package, and
// a daemon without routes, links none of them. Its subpackages clientview,
// leafview, routeview and gatewayview are those hooks, ready made.
//
// Lists of structures are sorted by package sort: what package slices makes for each type is
// ten to twenty KB of a leafd, for what is done when somebody looks.
//
// It may import link, broker, config, auth and what is below them.
package monitor
