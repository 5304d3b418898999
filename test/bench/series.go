//go:build linux

package main

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// series is several loads, one after the other on the same servers, whose costs are compared with each other.
type series struct {
	unit  string // what each is a number of
	parts []part
}

type part struct {
	label string
	open  func(run uint16, at *site) (load, error)
	by    float64 // what its cost is divided by; 0: 1
}

// once measures all parts. Its measure is that of the last, with the costs of all beside it.
func (c series) once(run uint16, at *site, d time.Duration) (measure, error) {
	var last measure
	beside := map[string]float64{}
	var first float64
	for i, p := range c.parts {
		m, err := p.measure(run+uint16(i)*seriesRuns, at, d)
		if err != nil {
			return m, fmt.Errorf("%s %s: %w", p.label, c.unit, err)
		}
		cost := m.CPU / max(p.by, 1)
		if i == 0 {
			first = cost
		}
		beside[c.costOf(p.label)] = cost
		if i > 0 {
			beside[c.overFirst(p.label)] = cost / first
		}
		for name, v := range m.Extra {
			if _, known := beside[name]; !known && (name == "install, s" || name == "B/subscription") {
				beside[name] = v
			}
		}
		m.Foreign = max(m.Foreign, last.Foreign)
		last = m
	}
	last.Extra = maps.Clone(beside)
	return last, nil
}

// seriesRuns keeps the session numbers of parts apart.
const seriesRuns = 3000

func (c series) costOf(label string) string { return fmt.Sprintf("CPU us, %s %s", label, c.unit) }
func (c series) overFirst(label string) string {
	return fmt.Sprintf("%s / %s %s", label, c.parts[0].label, c.unit)
}

func (p part) measure(run uint16, at *site, d time.Duration) (measure, error) {
	l, err := p.open(run, at)
	if err != nil {
		return measure{}, err
	}
	_, err = l.Run(d / 4)
	var m measure
	if err == nil {
		m, err = l.Run(d)
	}
	return m, errors.Join(err, l.Close())
}

// seriesChecks are the same load, wider and wider.
func seriesChecks() []scenario {
	connections := series{unit: "connections"}
	for _, n := range []int{100, 10_000} {
		connections.parts = append(connections.parts, part{label: thousands(n),
			open: delivery{pubs: n / 2, subscribers: n / 2, pairs: true, size: 128, rate: 10_000}.open})
	}
	widths := series{unit: "wide"}
	for _, n := range []int{10, 100, 1000, 5000} {
		widths.parts = append(widths.parts, part{label: thousands(n), by: float64(n), open: delivery{pubs: 1, subscribers: n, size: 128}.open})
	}
	subjects := series{unit: "subjects"}
	for _, n := range []int{1, 500, 5000, 100_000} {
		subjects.parts = append(subjects.parts, part{label: thousands(n), open: delivery{pubs: 1, subscribers: 1, size: 128, subjects: n}.open})
	}
	within := func(s series, most ...float64) []limit {
		var out []limit
		for i, p := range s.parts[1:] {
			out = append(out, limit{figure: s.overFirst(p.label), most: most[min(i, len(most)-1)]})
		}
		return out
	}
	return []scenario{
		{name: "check-connections", title: "10,000/s over 100 and over 10,000 connections", per: perMessage, most: 3, least: 2 * time.Second,
			once: connections.once, limits: within(connections, 1.3)},
		{name: "check-fanout", title: "fan-out 10, 100, 1,000, 5,000: CPU a delivery", per: perPublished, most: 3,
			once: widths.once, limits: within(widths, 1.5)},
		// 4,096 subjects have room in a connection's cache.
		{name: "check-subjects", title: "1:1 over 1, 500, 5,000, 100,000 subjects", per: perMessage,
			once: subjects.once, limits: within(subjects, 1.5, 3)},
	}
}

// millionSeries installs a million subscriptions three times over.
func millionSeries() series {
	const million = 1_000_000
	load := func(subjects int, match bool, weigh time.Duration) delivery {
		return delivery{pubs: 1, subscribers: 1, size: 128, subjects: subjects, installed: million, match: match, weigh: weigh}
	}
	return series{unit: "subjects", parts: []part{
		{label: "hot", open: load(64, true, 10*time.Second).open},
		{label: "cold", open: load(50_000, true, 0).open},
		{label: "absent", open: load(50_000, false, 0).open},
	}}
}
