//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/test/bench/plot"
)

// curve is how a figure goes along an axis. Its points are scenarios.
type curve struct {
	name, title string
	axis, unit  string // what is along X and along Y
	figure      string // "" for CPU
	linear      bool   // the cost of a message is expected to grow with x: a flat curve is one of cost by x
	from        float64
	allow       float64 // how often the least earlier cost the last one may be before the curve is said to bend upward
	points      []scenario
}

// thousands prints 10000 as 10,000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func allCurves() []curve {
	return slices.Concat(subscriptionCurves(), loadCurves(), churnCurves())
}

// curveScenarios are the points of all curves.
func curveScenarios() []scenario {
	var all []scenario
	for _, c := range allCurves() {
		all = append(all, c.points...)
	}
	return all
}

// at adds a point.
func (c *curve) at(x int, sc scenario) {
	sc.curve, sc.x, sc.figure = c.name, float64(x), c.figure
	if sc.name == "" {
		sc.name = fmt.Sprintf("curve-%s-%d", c.name, x)
	}
	if sc.title == "" {
		sc.title = fmt.Sprintf("%s, %s: %s", c.title, c.axis, thousands(x))
	}
	if sc.per == "" {
		sc.per = perMessage
	}
	c.points = append(c.points, sc)
}

// subscriptionCurves go from 1 to a million subscriptions of one account, wildcards among them.
func subscriptionCurves() []curve {
	hot := curve{name: "subs-hot", title: "1:1 beside many subscriptions, 64 subjects in use", allow: 2}
	cold := curve{name: "subs-cold", title: "1:1 beside many subscriptions, up to 50,000 subjects in use", allow: 4}
	none := curve{name: "subs-none", title: "publish beside many subscriptions, no match", allow: 3}
	for _, c := range []*curve{&hot, &cold, &none} {
		c.axis, c.unit = "subscriptions", "CPU us/message"
		for _, n := range []int{1, 1000, 10_000, 100_000, 1_000_000} {
			d := delivery{pubs: 1, subscribers: 1, size: 128, subjects: min(n, 50_000), installed: n, match: c != &none}
			if c == &hot {
				d.subjects = min(n, 64)
				if n >= 10_000 {
					d.weigh = 2 * time.Second
				}
			}
			sc := scenario{open: d.open}
			if n >= 1_000_000 {
				sc.alone, sc.most = true, 3
			}
			c.at(n, sc)
		}
	}
	return []curve{hot, cold, none}
}

// loadCurves change one thing about the load or about the servers.
func loadCurves() []curve {
	conns := curve{name: "connections", title: "pairs at 10,000 messages/s over all", axis: "connections", unit: "CPU us/message", allow: 1.3}
	for _, n := range []int{2, 10, 100, 1000, 10_000} {
		conns.at(n, scenario{least: time.Second, alone: n >= 10_000,
			open: delivery{pubs: n / 2, subscribers: n / 2, pairs: true, size: 128, rate: 10_000}.open})
	}
	tenants := curve{name: "accounts", title: "100 pairs as fast as they go", axis: "accounts of 10 users", unit: "CPU us/message", allow: 1.5}
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		tenants.at(n, scenario{tenants: conf{accounts: n, users: 10}.settings, alone: n >= 10_000, most: map[bool]int{true: 3}[n >= 10_000],
			open: arrival{delivery{pubs: 100, subscribers: 100, pairs: true, size: 128}}.open})
	}
	routes := curve{name: "routes", title: "1 publisher to a subscriber behind each route", axis: "routes", unit: "CPU us/delivery, all servers",
		figure: perDelivery, allow: 1.5}
	for _, n := range []int{1, 2, 4, 8} {
		routes.at(n, scenario{topo: route, routes: n, per: perPublished,
			open: delivery{pubs: 1, subscribers: n, size: 128, each: true}.open})
	}
	payload := curve{name: "payload", title: "1:1, size of the payload", axis: "bytes of payload", unit: "CPU us/message", linear: true, from: 4096, allow: 2}
	for _, n := range []int{16, 128, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20} {
		payload.at(n, scenario{open: delivery{pubs: 1, subscribers: 1, size: n}.open})
	}
	fan := curve{name: "fanout", title: "fan-out of 128 B", axis: "subscribers", unit: perDelivery, figure: perDelivery, allow: 1.5}
	for _, n := range []int{1, 10, 100, 1000, 5000} {
		fan.at(n, scenario{per: perPublished, alone: n >= 5000, open: delivery{pubs: 1, subscribers: n, size: 128, each: true}.open})
	}
	subjects := curve{name: "subjects", title: "1:1, 128 B over many subjects", axis: "subjects in turn", unit: "CPU us/message", allow: 3}
	for _, n := range []int{1, 500, 5000, 100_000} {
		subjects.at(n, scenario{open: delivery{pubs: 1, subscribers: 1, size: 128, subjects: n}.open})
	}
	return []curve{conns, tenants, routes, payload, fan, subjects}
}

// churnCurves have SUB and UNSUB pairs on a connection beside the traffic.
func churnCurves() []curve {
	flood := curve{name: "churn-flood", title: "1:1 as fast as it goes beside interest that changes", axis: "SUB/UNSUB pairs a second",
		unit: "CPU us/message, churn included", allow: 2}
	paced := curve{name: "churn-paced", title: "1:1 at 20,000/s beside interest that changes", axis: "SUB/UNSUB pairs a second",
		unit: "p50 latency, us", figure: "p50", allow: 3}
	for _, n := range []int{1000, 10_000, 100_000} {
		flood.at(n, scenario{open: delivery{pubs: 1, subscribers: 1, size: 128, churn: n}.open})
		paced.at(n, scenario{open: delivery{pubs: 1, subscribers: 1, size: 128, rate: 20_000, churn: n}.open})
	}
	return []curve{flood, paced}
}

// of picks the results of a curve's points that have figures, by rising x.
func (c *curve) of(results []result) []*result {
	var out []*result
	for i := range results {
		if r := &results[i]; r.Curve == c.name && r.Failure == "" && r.Skipped == "" && len(r.Runs) > 0 {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *result) int { return int(a.X - b.X) })
	return out
}

// chart draws the curve for the first two sides.
func (c *curve) chart(points []*result, names []string) plot.Chart {
	ch := plot.Chart{Title: c.title, X: c.axis, Y: c.unit}
	for i, name := range names[:min(len(names), 2)] {
		var line []plot.Point
		for _, r := range points {
			s := spreadOf(values(r.Runs[r.Sides[i]], r.Figure))
			line = append(line, plot.Point{X: r.X, Y: s.Median, Low: s.Min, High: s.Max})
		}
		ch.Series = append(ch.Series, plot.Series{Name: name, Points: line})
	}
	return ch
}

// growth is how often the last cost is the least one before it. On a linear curve it is that of cost by x.
func (c *curve) growth(points []*result, side int) float64 {
	var costs []float64
	for _, r := range points {
		cost := median(values(r.Runs[r.Sides[side]], r.Figure))
		if c.linear {
			if r.X < c.from {
				continue
			}
			cost /= r.X
		}
		costs = append(costs, cost)
	}
	if len(costs) < 2 {
		return 0
	}
	return costs[len(costs)-1] / slices.Min(costs[:len(costs)-1])
}

// verdict says in a line whether our curve bends upward, and whether it does so more than the other's: the ratio must not
// grow along the axis.
func (c *curve) verdict(points []*result) string {
	ours := c.growth(points, 0)
	if ours == 0 {
		return "not enough points"
	}
	first, last := points[0], points[len(points)-1]
	what := "cost"
	if c.linear {
		what = "cost per byte"
	}
	said := []string{fmt.Sprintf("does not bend upward: %s at %s is %.2f times the least before", what, thousands(int(last.X)), ours)}
	if ours > c.allow {
		said[0] = fmt.Sprintf("BENDS UPWARD: %s at %s is %.2f times the least before, more than %.1f", what, thousands(int(last.X)), ours, c.allow)
	}
	if len(first.Sides) > 1 && first.Ratio.N > 0 && last.Ratio.N > 0 {
		word := "does not grow"
		if last.Ratio.Median > first.Ratio.Median && last.Ratio.Min > first.Ratio.Max {
			word = "GROWS in every pair"
		} else if last.Ratio.Median > 1.1*first.Ratio.Median {
			word = "grows, but pairs disagree"
		}
		said = append(said, fmt.Sprintf("the other's %.2f times", c.growth(points, 1)),
			fmt.Sprintf("the ratio to it %s (%.2f to %.2f)", word, first.Ratio.Median, last.Ratio.Median))
	}
	for _, r := range points {
		if r.Foreign > disturbed {
			said = append(said, "DISTURBED by other programs")
			break
		}
	}
	return strings.Join(said, "; ")
}
