//go:build linux

package main

import "time"

// tuning is what the garbage collector is told by the environment.
type tuning struct {
	name string
	env  []string
}

// tunings to compare; the first leaves the daemons' own choice.
func tunings() []tuning {
	return []tuning{
		{name: "built in"},
		{name: "GOGC=50", env: []string{"GOGC=50"}},
		{name: "GOGC=100", env: []string{"GOGC=100"}},
		{name: "GOGC=200", env: []string{"GOGC=200"}},
		{name: "GOGC=400", env: []string{"GOGC=400"}},
		{name: "floor 64 MiB", env: []string{"GOGC=off", "GOMEMLIMIT=64MiB"}},
	}
}

// collectorScenarios are loads of which the collector has a share: what connects, subscribes, and holds much.
func collectorScenarios() []scenario {
	pair := delivery{pubs: 1, subscribers: 1, size: 128}
	return []scenario{
		{name: "gc-1to1", title: "hubd: 1:1, 128 B", per: perMessage, alone: true, open: pair.open},
		{name: "gc-subjects", title: "hubd: 1:1 over 5,000 subjects", per: perMessage, alone: true,
			open: delivery{pubs: 1, subscribers: 1, size: 128, subjects: 5000}.open},
		{name: "gc-reqrep", title: "hubd: request/reply, 64 in flight", per: perRequest, alone: true,
			open: requests{size: 128, requesters: 1, inflight: 64}.open},
		{name: "gc-churn", title: "hubd: SUB and UNSUB, wildcard subjects", per: "pair", alone: true, open: churn{wildcard: true}.open},
		{name: "gc-subs", title: "hubd: 100,000 subscriptions, 50,000 subjects in use", per: perMessage, alone: true,
			open: delivery{pubs: 1, subscribers: 1, size: 128, subjects: 50_000, installed: 100_000, match: true}.open},
		{name: "gc-large", title: "hubd: 1:1, 1 MiB", per: perMessage, alone: true, open: delivery{pubs: 1, subscribers: 1, size: 1 << 20}.open},
		{name: "gc-connect", title: "hubd: 1,000 connections", per: "connect", most: 3, once: idle{conns: 1000, quiet: 3 * time.Second}.once},
		{name: "gc-leafd-1to1", title: "leafd: 1:1, 128 B", per: perMessage, alone: true, daemon: "leafd", open: pair.open},
		{name: "gc-leafd-churn", title: "leafd: SUB and UNSUB, wildcard subjects", per: "pair", alone: true, daemon: "leafd", open: churn{wildcard: true}.open},
		{name: "gc-leafd-connect", title: "leafd: 200 connections", per: "connect", most: 3, daemon: "leafd",
			once: idle{conns: 200, quiet: 3 * time.Second}.once},
	}
}
