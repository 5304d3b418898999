//go:build linux

package main

import (
	"slices"
	"time"

	"github.com/banyanmq/banyan/test/bench/dialect"
)

// scenario is one row of the results.
type scenario struct {
	name  string
	title string
	per   string // what a message is in this one
	set   string // which document section it belongs to

	topo    topology
	routes  int  // with topology route: servers for subscribers; 0: one
	back    bool // publishers where the subscribers of the topology are, and the other way round
	tls, ws bool
	profile bool                                                               // with a listener for profiles
	daemon  string                                                             // which of ours is started, "" for hubd
	conf    string                                                             // lines of the settings of every server
	tenants func() (conf string, login func(who int) dialect.Login, err error) // more settings, and who connects

	open  func(run uint16, at *site) (load, error)                     // phases on one set of servers, or
	once  func(run uint16, at *site, d time.Duration) (measure, error) // a fresh process for each measure
	alone bool                                                         // one side at a time: both would take too many files or too much memory

	figure string // the one that is compared: "" for CPU, "p50", or a name in measure.Extra
	goal   float64
	p50    float64 // goals for the ratios of latency, 0 for none
	p99    float64
	limits []limit // what A must keep

	curve string  // name of the curve that this is a point of
	x     float64 // where on its axis

	least time.Duration // a phase is not shorter
	most  int           // pairs at most, 0 for no limit
}

// limit is what a figure of A may be at most, by itself or beside B's.
type limit struct {
	figure string
	most   float64
	beside bool // the ratio of A to B is meant
	least  bool // most is the least
}

const (
	perMessage   = "message"
	perPublished = "published message"
	perRequest   = "request with its reply"
)

// Sets of scenarios, each with a section of the document.
const (
	usual    = "usual"
	checks   = "checks"
	curves   = "curves"
	accounts = "accounts"
	rivals   = "brokers"
	gc       = "gc"
)

// sets are the names of all sets.
func sets() []string { return []string{usual, checks, curves, accounts, rivals, gc} }

func inSet(set string, all []scenario) []scenario {
	for i := range all {
		all[i].set = set
	}
	return all
}

// scenarios are all there are.
func scenarios() []scenario {
	return slices.Concat(usualScenarios(), inSet(checks, checkScenarios()), inSet(curves, curveScenarios()),
		inSet(accounts, accountScenarios()), inSet(rivals, brokerScenarios()), inSet(gc, collectorScenarios()))
}

func usualScenarios() []scenario {
	var all []scenario
	add := func(s scenario) { all = append(all, s) }
	flow := func(name, title string, goal float64, d delivery) {
		per := perMessage
		if d.subscribers > 1 && !d.pairs && d.groups == 0 {
			per = perPublished
		}
		add(scenario{name: name, title: title, per: per, goal: goal, open: d.open})
	}
	flow("publish-16", "publish 16 B, no subscriber", 0.45, delivery{pubs: 1, size: 16})
	flow("publish-128", "publish 128 B", 0.50, delivery{pubs: 1, size: 128})
	flow("publish-1k", "publish 1 KiB", 0.75, delivery{pubs: 1, size: 1 << 10})
	flow("publish-16k", "publish 16 KiB", 0.70, delivery{pubs: 1, size: 16 << 10})
	flow("publish-256k", "publish 256 KiB", 0.40, delivery{pubs: 1, size: 256 << 10})
	flow("publish-4x16", "4 publishers, 16 B", 0.45, delivery{pubs: 4, size: 16})
	flow("publish-4x128", "4 publishers, 128 B", 0.45, delivery{pubs: 4, size: 128})

	one := delivery{pubs: 1, subscribers: 1}
	sized := func(d delivery, size int) delivery { d.size = size; return d }
	flow("1to1-16", "1:1, 16 B", 0.30, sized(one, 16))
	flow("1to1-128", "1:1, 128 B", 0.35, sized(one, 128))
	flow("1to1-1k", "1:1, 1 KiB", 0.55, sized(one, 1<<10))
	flow("1to1-16k", "1:1, 16 KiB", 0.70, sized(one, 16<<10))
	flow("1to1-256k", "1:1, 256 KiB", 0.50, sized(one, 256<<10))
	flow("1to1-headers", "1:1, 128 B with headers", 0.40, delivery{pubs: 1, subscribers: 1, size: 128, header: true})
	flow("1to1-500-subjects", "1:1, 128 B over 500 subjects", 0, delivery{pubs: 1, subscribers: 1, size: 128, subjects: 500})
	flow("1to1-5000-subjects", "1:1, 128 B over 5,000 subjects", 0.35, delivery{pubs: 1, subscribers: 1, size: 128, subjects: 5000})
	flow("1to1-100000-subjects", "1:1, 128 B over 100,000 subjects", 0, delivery{pubs: 1, subscribers: 1, size: 128, subjects: 100_000})
	flow("pairs-4", "4 pairs, 128 B", 0.40, delivery{pubs: 4, subscribers: 4, pairs: true, size: 128})
	flow("4to1", "4 publishers to 1 subscriber, 128 B", 0.45, delivery{pubs: 4, subscribers: 1, size: 128})
	flow("queue-8", "queue group of 8, 128 B", 0.45, delivery{pubs: 1, groups: 1, subscribers: 8, size: 128})
	flow("queue-3x8", "3 queue groups of 8, 128 B", 0.45, delivery{pubs: 1, groups: 3, subscribers: 8, size: 128})
	flow("fanout-10", "fan-out 10 x 128 B", 0.40, delivery{pubs: 1, subscribers: 10, size: 128})
	flow("fanout-100", "fan-out 100 x 128 B", 0.45, delivery{pubs: 1, subscribers: 100, size: 128})
	flow("fanout-1000", "fan-out 1,000 x 128 B", 0.35, delivery{pubs: 1, subscribers: 1000, size: 128})
	flow("fanout-10x16k", "fan-out 10 x 16 KiB", 0.90, delivery{pubs: 1, subscribers: 10, size: 16 << 10})
	secure := func(name, title string, goal float64, d delivery) {
		flow(name, title, goal, d)
		all[len(all)-1].tls = true
	}
	secure("tls-1to1-128", "TLS 1:1, 128 B", 0.60, sized(one, 128))
	secure("tls-1to1-16k", "TLS 1:1, 16 KiB", 0.90, sized(one, 16<<10))
	secure("tls-fanout-10", "TLS fan-out 10 x 128 B", 0.60, delivery{pubs: 1, subscribers: 10, size: 128})

	all = append(append(append(append(all, interestScenarios()...), pacedScenarios()...), hopScenarios()...), standingScenarios()...)
	return inSet(usual, all)
}

// interestScenarios are about many subscriptions and their change.
func interestScenarios() []scenario {
	var all []scenario
	for _, k := range []struct {
		label, title string
		subjects     int
		match        bool
		goal         float64
	}{{"hot", "64 subjects in use", 64, true, 0.45}, {"cold", "50,000 subjects in use", 50_000, true, 0.30}, {"none", "no match", 50_000, false, 0.40}} {
		all = append(all, scenario{
			name: "subs-100k-" + k.label, title: "100k subscriptions, wildcards among them, " + k.title, per: perMessage, goal: k.goal,
			open: delivery{pubs: 1, subscribers: 1, size: 128, subjects: k.subjects, installed: 100_000, match: k.match}.open,
		})
	}
	all = append(all,
		scenario{name: "churn-literal", title: "SUB and UNSUB, literal subjects", per: "pair", goal: 0.50, open: churn{}.open},
		scenario{name: "churn-wildcard", title: "SUB and UNSUB, wildcard subjects", per: "pair", goal: 0.50, open: churn{wildcard: true}.open},
		scenario{name: "churn-beside", title: "1:1 at 20,000/s beside 100,000 SUB/UNSUB a second", per: "message, churn included",
			figure: "p50", open: delivery{pubs: 1, subscribers: 1, size: 128, rate: 20_000, churn: 100_000}.open},
	)
	return all
}

// pacedScenarios send at a fixed rate or wait for answers: wake-ups decide.
func pacedScenarios() []scenario {
	var all []scenario
	one := func(rate float64) delivery { return delivery{pubs: 1, subscribers: 1, size: 128, rate: rate} }
	pairs := func(n int, rate float64) delivery {
		return delivery{pubs: n, subscribers: n, pairs: true, size: 128, rate: rate}
	}
	all = append(all,
		scenario{name: "paced-1k", title: "1:1 paced 1,000/s", per: perMessage, goal: 0.80, open: one(1000).open},
		scenario{name: "paced-10k", title: "1:1 paced 10,000/s", per: perMessage, goal: 0.80, open: one(10_000).open},
		scenario{name: "paced-50k", title: "1:1 paced 50,000/s", per: perMessage, goal: 0.80, open: one(50_000).open},
		scenario{name: "paced-100-pairs", title: "100 pairs, 10,000/s over all", per: perMessage, goal: 0.80, open: pairs(100, 10_000).open},
		scenario{name: "paced-fanout-100", title: "fan-out 100 paced 200/s", per: perPublished, goal: 0.75,
			open: delivery{pubs: 1, subscribers: 100, size: 128, rate: 200}.open},
		scenario{name: "reqrep-1", title: "request/reply, 1 in flight", per: perRequest, goal: 0.75, p50: 0.90,
			open: requests{size: 128, requesters: 1, inflight: 1}.open},
		scenario{name: "reqrep-64", title: "request/reply, 64 in flight", per: perRequest, goal: 0.50, p99: 0.60,
			open: requests{size: 128, requesters: 1, inflight: 64}.open},
		scenario{name: "reqrep-64x1", title: "request/reply, 64 requesters of 1", per: perRequest, goal: 0.80,
			open: requests{size: 128, requesters: 64, inflight: 1}.open},
		scenario{name: "reqrep-open-1k", title: "request/reply, open loop 1,000/s", per: perRequest, goal: 0.85, p50: 0.90,
			open: requests{size: 128, requesters: 1, rate: 1000}.open},
		scenario{name: "reqrep-open-5k", title: "request/reply, open loop 5,000/s", per: perRequest, goal: 0.85, p99: 0.80,
			open: requests{size: 128, requesters: 1, rate: 5000}.open},
		scenario{name: "reqrep-open-20k", title: "request/reply, open loop 20,000/s", per: perRequest, goal: 0.85, p99: 0.80,
			open: requests{size: 128, requesters: 1, rate: 20_000}.open},
		scenario{name: "reqrep-open-half", title: "request/reply, open loop at half of the slower server's saturation", per: perRequest, p99: 0.80,
			limits: []limit{{figure: "p99.9", most: 0.80, beside: true}},
			open:   requests{size: 128, requesters: 1, inflight: 64, half: true}.open},
	)
	for i := range all {
		all[i].least = time.Second
	}
	return all
}

// hopScenarios cross a link between servers; the CPU of all servers counts.
func hopScenarios() []scenario {
	var all []scenario
	for _, t := range []struct {
		topo topology
		goal float64
	}{{route, 0.70}, {gateway, 1.0}, {leaf, 0.70}} {
		name := string(t.topo)
		all = append(all,
			scenario{name: name + "-1to1-128", title: "1:1, 128 B over a " + name + " link", per: perMessage, topo: t.topo, goal: t.goal,
				open: delivery{pubs: 1, subscribers: 1, size: 128}.open},
			scenario{name: name + "-1to1-16k", title: "1:1, 16 KiB over a " + name + " link", per: perMessage, topo: t.topo, goal: t.goal,
				open: delivery{pubs: 1, subscribers: 1, size: 16 << 10}.open},
			scenario{name: name + "-fanout-10", title: "fan-out 10 x 128 B over a " + name + " link", per: perPublished, topo: t.topo, goal: t.goal,
				back: t.topo == leaf, open: delivery{pubs: 1, subscribers: 10, size: 128}.open},
			scenario{name: name + "-paced-10k", title: "1:1 paced 10,000/s over a " + name + " link", per: perMessage, topo: t.topo,
				least: time.Second, open: delivery{pubs: 1, subscribers: 1, size: 128, rate: 10_000}.open},
			scenario{name: name + "-reqrep-1", title: "request/reply, 1 in flight over a " + name + " link", per: perRequest, topo: t.topo,
				least: time.Second, open: requests{size: 128, requesters: 1, inflight: 1}.open},
		)
	}
	return all
}

// standingScenarios are about what is there without load, and about who suffers from a bad neighbour.
func standingScenarios() []scenario {
	slow := func(n int, rate float64, size int) isolate {
		return isolate{delivery{pubs: 1, subscribers: n, size: size, rate: rate}}
	}
	isolated := []limit{
		{figure: "p99 beside / quiet", most: 2}, {figure: "deaf one cut off (1: yes)", most: 1, least: true}, {figure: "publisher held at most, ms", most: 10},
	}
	return []scenario{
		{name: "start", title: "start of a process, and idle for 3 s", per: "start", figure: "start to first PONG, ms", goal: 1, most: 5,
			once: startup{quiet: 3 * time.Second}.once},
		{name: "isolation-100", title: "fan-out 100 x 4 KiB at 500/s beside one that does not read", per: perPublished,
			limits: isolated, figure: "p99 beside / quiet", conf: "max_pending: 2097152\n", least: 5 * time.Second, most: 3, open: slow(100, 500, 4<<10).open},
		{name: "isolation-1000", title: "fan-out 1,000 x 8 KiB at 40/s beside one that does not read", per: perPublished,
			limits: isolated, figure: "p99 beside / quiet", conf: "max_pending: 1048576\n", least: 18 * time.Second, most: 2, open: slow(1000, 40, 8<<10).open},
	}
}
