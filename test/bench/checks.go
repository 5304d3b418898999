//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// checkScenarios have a verdict of their own, not only a ratio: most compare ours with itself under another load.
func checkScenarios() []scenario {
	one := delivery{pubs: 1, subscribers: 1, size: 128}
	all := slices.Concat(garbageChecks(), seriesChecks(), settleChecks(), []scenario{
		{name: "check-paced-calls", title: "system calls of 1:1 paced 10,000/s", per: perMessage, least: 2 * time.Second,
			open: delivery{pubs: 1, subscribers: 1, size: 128, rate: 10_000}.open, limits: []limit{
				{figure: "writes/message", most: 1.1}, {figure: "reads/message", most: 1.5}, {figure: "switches/message", most: 1.5}}},
		{name: "check-churn", title: "1:1 at 20,000/s, alone and beside 100,000 SUB/UNSUB a second", per: "message, churn included", least: time.Second,
			open:   besideChurn{delivery{pubs: 1, subscribers: 1, size: 128, rate: 20_000, churn: 100_000}}.open,
			limits: []limit{{figure: "p50", most: 400}, {figure: "CPU of the flow beside / alone", most: 1.3}}},
		{name: "check-subs-1m", title: "a million subscriptions: hot, cold and absent subjects", per: perMessage, most: 1,
			limits: []limit{{figure: "install, s", most: 10}, {figure: "B/subscription", most: 350}},
			once:   millionSeries().once},
		{name: "check-tls-records", title: "TLS records of 1:1, 16 KiB", per: perMessage, tls: true,
			open: delivery{pubs: 1, subscribers: 1, size: 16 << 10}.open, limits: []limit{{figure: "records/16 KiB", most: 1.3}}},
		{name: "check-tls-writes", title: "writes of TLS 1:1, 128 B", per: perMessage, tls: true, open: one.open,
			limits: []limit{{figure: "writes/message", most: 0.03}}},
		{name: "check-idle-process", title: "a hub that nobody uses, for 60 s", per: "start", figure: "idle CPU, us/s", most: 1,
			limits: []limit{{figure: "idle CPU, us/s", most: 10_000}, {figure: "idle wake-ups/s", most: 10}}, once: startup{quiet: time.Minute}.once},
		{name: "check-idle-leafd", title: "an edge node that nobody uses, for 60 s", per: "start", figure: "idle CPU, us/s", most: 1, daemon: "leafd",
			limits: []limit{{figure: "idle CPU, us/s", most: 300}, {figure: "idle wake-ups/s", most: 10}, {figure: "resident MB", most: 10}},
			once:   startup{quiet: time.Minute}.once},
		{name: "check-idle-burst-1000", title: "1,000 idle connections, then 32 KiB through each", per: "connect", figure: "KB/connection", most: 2,
			limits: []limit{{figure: "KB/connection", most: 12}, {figure: "resident after / before a burst", most: 1.5}},
			once:   idle{conns: 1000, quiet: 10 * time.Second, burst: 32 << 10}.once},
		{name: "check-idle-burst-10000", title: "10,000 idle connections, then 32 KiB through each", per: "connect", figure: "KB/connection", most: 1,
			limits: []limit{{figure: "KB/connection", most: 12}, {figure: "resident after / before a burst", most: 1.5}},
			once:   idle{conns: 10_000, quiet: 10 * time.Second, burst: 32 << 10}.once},
	})
	for _, rate := range []int{1000, 5000, 20_000} {
		all = append(all, scenario{
			name: fmt.Sprintf("check-reqrep-%d", rate), title: fmt.Sprintf("request/reply, open loop %s/s", thousands(rate)), per: perRequest,
			least: 2 * time.Second, open: requests{size: 128, requesters: 1, rate: float64(rate)}.open,
			limits: []limit{{figure: "p50", most: 1, beside: true}, {figure: "p99", most: 1, beside: true}, {figure: "p99.9", most: 1, beside: true}},
		})
	}
	return all
}

// garbageChecks count what floods allocate.
func garbageChecks() []scenario {
	var all []scenario
	for _, k := range []struct {
		name, title string
		d           delivery
	}{
		{"publish", "publish 128 B", delivery{pubs: 1, size: 128}},
		{"1to1", "1:1, 128 B", delivery{pubs: 1, subscribers: 1, size: 128}},
		{"fanout", "fan-out 10 x 128 B", delivery{pubs: 1, subscribers: 10, size: 128}},
	} {
		all = append(all, scenario{name: "check-garbage-" + k.name, title: "objects allocated by " + k.title, per: perMessage, profile: true,
			most: 3, open: counted{k.d}.open, limits: []limit{{figure: allocated, most: 10_000}}})
	}
	return all
}

const allocated = "objects per million messages"

// counted is a flood of a million messages or more, whose allocations the server itself counts.
type counted struct{ delivery }

type countedSession struct{ *deliverySession }

func (c counted) open(run uint16, at *site) (load, error) {
	l, err := c.delivery.open(run, at)
	if err != nil {
		return nil, err
	}
	return &countedSession{l.(*deliverySession)}, nil
}

func (s *countedSession) Run(d time.Duration) (measure, error) {
	if len(s.site.profile) == 0 {
		return s.deliverySession.Run(d) // no such listener: the figure is not measured
	}
	asking, err := s.reading() // what the reading itself allocates
	if err != nil {
		return measure{}, err
	}
	before, err := s.reading()
	if err != nil {
		return measure{}, err
	}
	asking = before - asking
	var sum measure
	for began := time.Now(); sum.Messages < 1_000_000 && time.Since(began) < patience || sum.Messages == 0; {
		m, err := s.deliverySession.Run(d)
		if err != nil {
			return m, err
		}
		m.Messages += sum.Messages
		sum = m
	}
	after, err := s.reading()
	if err != nil {
		return measure{}, err
	}
	sum.note(allocated, max(float64(after-before-asking), 0)*1e6/float64(sum.Messages))
	return sum, nil
}

// reading is how many objects the server has allocated so far.
func (s *countedSession) reading() (int64, error) {
	b, err := get(profileRoot(s.site.profile[0])+"/debug/pprof/heap?debug=1", patience)
	if err != nil {
		return 0, err
	}
	return mallocs(b)
}

// mallocs finds the count in a heap profile in text.
func mallocs(profile []byte) (int64, error) {
	_, rest, ok := bytes.Cut(profile, []byte("# Mallocs = "))
	if !ok {
		return 0, errors.New("the profile says nothing of the objects allocated")
	}
	digits, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.ParseInt(string(bytes.TrimSpace(digits)), 10, 64)
}

// besideChurn measures a paced flow alone, churn alone, and both.
type besideChurn struct{ delivery }

type besideChurnSession struct{ *deliverySession }

func (c besideChurn) open(run uint16, at *site) (load, error) {
	l, err := c.delivery.open(run, at)
	if err != nil {
		return nil, err
	}
	return &besideChurnSession{l.(*deliverySession)}, nil
}

// Run returns the measure of both together. The flow's own cost there is the whole less that of the churn alone.
func (s *besideChurnSession) Run(d time.Duration) (measure, error) {
	churner, rate := s.churn, s.spec.churn
	s.churn, s.spec.churn = nil, 0
	alone, err := s.deliverySession.Run(d)
	s.churn, s.spec.churn = churner, rate
	if err != nil {
		return alone, err
	}
	churn, err := s.phase(func() (int64, error) {
		return s.churn.paced(float64(s.spec.churn), s.now()+int64(d))
	})
	if err != nil {
		return churn, err
	}
	both, err := s.deliverySession.Run(d)
	if err != nil {
		return both, err
	}
	pairs := both.Extra["churn pairs/s"] * both.Seconds / float64(both.Messages) // for each message of the flow
	flow := both.CPU - churn.CPU*pairs
	both.note("CPU of the flow alone, us", alone.CPU)
	both.note("CPU of the flow beside churn, us", flow)
	both.note("CPU of the flow beside / alone", flow/alone.CPU)
	both.note("p50 alone, us", alone.Latency.P50)
	return both, nil
}

// settle is a flood after which the servers must give back what it took.
type settle struct {
	delivery
	quiet time.Duration
}

func (c settle) once(run uint16, at *site, d time.Duration) (measure, error) {
	l, err := c.delivery.open(run, at)
	if err != nil {
		return measure{}, err
	}
	m, err := c.measure(l.(*deliverySession), d)
	return m, errors.Join(err, l.Close())
}

func (c settle) measure(s *deliverySession, d time.Duration) (measure, error) {
	before, _, err := usage(s.site.pids)
	if err != nil {
		return measure{}, err
	}
	m, err := s.Run(d)
	if err != nil {
		return m, err
	}
	time.Sleep(c.quiet)
	after, _, err := usage(s.site.pids)
	m.note("MB before", float64(before.RSS)/(1<<20))
	m.note("MB at the end", float64(m.RSS)/(1<<20))
	m.note(resting, float64(after.RSS)/float64(before.RSS))
	return m, err
}

const resting = "resident after / before"

// settleChecks flood in several ways.
func settleChecks() []scenario {
	var all []scenario
	for _, k := range []struct {
		name, title string
		d           delivery
		tls         bool
	}{
		{"1to1", "1:1, 128 B", delivery{pubs: 1, subscribers: 1, size: 128}, false},
		{"large", "1:1, 1 MiB", delivery{pubs: 1, subscribers: 1, size: 1 << 20}, false},
		{"pairs", "100 pairs, 1 KiB", delivery{pubs: 100, subscribers: 100, pairs: true, size: 1 << 10}, false},
		{"fanout", "fan-out 100 x 16 KiB", delivery{pubs: 1, subscribers: 100, size: 16 << 10}, false},
		{"subjects", "1:1 over 100,000 subjects", delivery{pubs: 1, subscribers: 1, size: 128, subjects: 100_000}, false},
		{"tls", "TLS fan-out 10 x 16 KiB", delivery{pubs: 1, subscribers: 10, size: 16 << 10}, true},
	} {
		all = append(all, scenario{name: "check-memory-" + k.name, title: "memory 10 s after a flood: " + k.title, per: perMessage, most: 2,
			tls: k.tls, figure: resting, least: time.Second, once: settle{k.d, 10 * time.Second}.once, limits: []limit{{figure: resting, most: 1.5}}})
	}
	return all
}
