//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// plan says how much to measure.
type plan struct {
	pairs int
	phase time.Duration // of load; scenarios may ask for more
	warm  time.Duration // of load that is not counted, before each run

	retries int // of a pair that other programs disturbed
}

// result is what one scenario showed.
type result struct {
	Name     string               `json:"name"`
	Title    string               `json:"title"`
	Per      string               `json:"per"`
	Figure   string               `json:"figure"` // what Ratio compares
	Goal     float64              `json:"goal,omitempty"`
	Sides    []string             `json:"sides"`          // names, in order; the first is ours
	Runs     map[string][]measure `json:"runs,omitempty"` // by side, pair by pair
	Ratio    spread               `json:"ratio"`          // the first side over the second
	RatioP50 spread               `json:"ratio_p50"`
	RatioP99 spread               `json:"ratio_p99"`
	Beside   map[string]spread    `json:"beside,omitempty"` // with more than two sides: each over the first
	Verdict  string               `json:"verdict"`
	Failure  string               `json:"failure,omitempty"`
	Wrong    bool                 `json:"wrong,omitempty"`   // a message was lost, doubled, out of order or mixed up
	Skipped  string               `json:"skipped,omitempty"` // why it was not run
	Absent   map[string]string    `json:"absent,omitempty"`  // sides that could not take part, and why
	Foreign  float64              `json:"foreign_cores"`     // median of what other programs took meanwhile
	Curve    string               `json:"curve,omitempty"`   // which curve this is a point of
	X        float64              `json:"x,omitempty"`
}

// runner measures one scenario after the other.
type runner struct {
	sides    []*side // the one that is judged, and what it is compared with
	plan     plan
	out      io.Writer
	profiles string // directory for CPU profiles of the servers; "" for none
	run      uint16 // sessions so far
}

func (r *runner) nextRun() uint16 {
	r.run++
	return r.run
}

// scenario measures one. Failures are in the result.
func (r *runner) scenario(sc *scenario) result {
	res := result{
		Name: sc.name, Title: sc.title, Per: sc.per, Figure: sc.figure, Goal: sc.goal, Curve: sc.curve, X: sc.x,
		Runs: map[string][]measure{}, Absent: map[string]string{},
	}
	if res.Figure == "" {
		res.Figure = "CPU"
	}
	for _, s := range r.sides {
		res.Sides = append(res.Sides, s.Name)
	}
	var err error
	for pair := range r.pairs(sc) {
		var got map[string]measure
		if got, err = r.measurePair(sc, r.order(pair, res.Absent), res.Absent); err != nil {
			break
		}
		for name, m := range got {
			res.Runs[name] = append(res.Runs[name], m)
		}
		fmt.Fprint(r.out, ".")
	}
	var bad *wrongDelivery
	switch {
	case errors.Is(err, errUnavailable):
		res.Skipped, _, _ = strings.Cut(err.Error(), "\n")
		res.Verdict = "not run: " + res.Skipped
		return res
	case err != nil:
		res.Failure = err.Error()
		res.Wrong = errors.As(err, &bad)
	}
	res.conclude(sc, len(r.sides) == 2 && r.sides[0].Version == r.sides[1].Version)
	return res
}

func (r *runner) pairs(sc *scenario) int {
	if sc.most > 0 {
		return min(sc.most, r.plan.pairs)
	}
	return r.plan.pairs
}

// order is A B, B A, A B, ...: slow drift cancels out. Those that turned out to be absent are left out.
func (r *runner) order(pair int, absent map[string]string) []*side {
	var out []*side
	for _, s := range r.sides {
		if absent[s.Name] == "" {
			out = append(out, s)
		}
	}
	if pair%2 == 1 {
		slices.Reverse(out)
	}
	return out
}

// measurePair measures each side once. A pair during which other programs took much of the machine is measured again, as
// often as the plan allows, and the least disturbed one counts.
func (r *runner) measurePair(sc *scenario, order []*side, absent map[string]string) (map[string]measure, error) {
	var best map[string]measure
	for try := 0; ; try++ {
		got, err := r.once(sc, order, absent)
		if err != nil {
			return nil, err
		}
		if best == nil || foreign(got) < foreign(best) {
			best = got
		}
		if foreign(best) <= disturbed || try >= r.plan.retries || sc.least >= longPhase {
			return best, nil
		}
	}
}

// longPhase is what a run takes that is neither warmed up nor repeated.
const longPhase = 5 * time.Second

// disturbed is how many cores other programs may take before a pair is measured again.
const disturbed = 0.25

func foreign(pair map[string]measure) float64 {
	worst := 0.0
	for _, m := range pair {
		worst = max(worst, m.Foreign)
	}
	return worst
}

// once measures every side on fresh servers: what a process has become by chance (where its memory lies, how its
// connections fell) must not colour all pairs.
func (r *runner) once(sc *scenario, order []*side, absent map[string]string) (map[string]measure, error) {
	if sc.once == nil && !sc.alone {
		return r.together(sc, order)
	}
	out := map[string]measure{}
	for _, s := range order {
		got, err := r.together(sc, []*side{s})
		// With more than two sides the others go on without one that can't do this: only the first is judged.
		if err != nil && len(r.sides) > 2 && s != r.sides[0] {
			absent[s.Name], _, _ = strings.Cut(err.Error(), "\n")
			continue
		}
		if err != nil {
			return nil, err
		}
		out[s.Name] = got[s.Name]
	}
	return out, nil
}

// together starts servers for all sides given and loads one after the other.
func (r *runner) together(sc *scenario, order []*side) (out map[string]measure, err error) {
	out = map[string]measure{}
	up := map[*side]*servers{}
	loads := map[*side]load{}
	blame := func(s *side, err error) error {
		return fmt.Errorf("side %s: %w\n%s", s.Name, err, up[s].logs())
	}
	defer func() {
		for _, s := range order {
			if l := loads[s]; l != nil {
				if cerr := l.Close(); err == nil && cerr != nil {
					err = blame(s, cerr)
				}
			}
			if v := up[s]; v != nil {
				v.stop()
			}
		}
	}()
	phase := max(r.plan.phase, sc.least)
	for _, s := range order {
		if up[s], err = s.start(sc); err != nil {
			return nil, err
		}
		if sc.once != nil {
			if out[s.Name], err = sc.once(r.nextRun(), &up[s].site, phase); err != nil {
				return nil, blame(s, err)
			}
			continue
		}
		if loads[s], err = sc.open(r.nextRun(), &up[s].site); err != nil {
			return nil, blame(s, err)
		}
		if sc.least < longPhase {
			if _, err = loads[s].Run(r.plan.warm); err != nil {
				return nil, blame(s, err)
			}
		}
	}
	if sc.once != nil {
		return out, nil
	}
	if err := calibrate(loads, phase/4); err != nil {
		return nil, err
	}
	for _, s := range order {
		stop := profiling(r.profiles, sc.name, up[s].profile, phase)
		out[s.Name], err = loads[s].Run(phase)
		if perr := stop(); err == nil {
			err = perr
		}
		if err != nil {
			return nil, blame(s, err)
		}
	}
	return out, nil
}

// calibrate gives loads that want it half of the rate that the slowest of their servers took.
func calibrate(loads map[*side]load, d time.Duration) error {
	slowest := math.Inf(1)
	var wanting []calibrated
	for s, l := range loads {
		c, ok := l.(calibrated)
		if !ok || !c.uncalibrated() {
			continue
		}
		rate, err := c.saturation(d)
		if err != nil {
			return fmt.Errorf("side %s: saturation: %w", s.Name, err)
		}
		slowest, wanting = min(slowest, rate), append(wanting, c)
	}
	for _, c := range wanting {
		c.pace(slowest / 2)
	}
	return nil
}

// value is a scenario's figure of one measure.
func (m measure) value(figure string) float64 {
	switch figure {
	case "", "CPU":
		return m.CPU
	case "rate":
		return m.Rate
	case "resident, MB":
		return float64(m.RSS) / (1 << 20)
	case "reads/message":
		return m.Reads
	case "writes/message":
		return m.Writes
	case "switches/message":
		return m.Switches
	case "p50", "p99", "p99.9":
		if m.Latency == nil {
			return 0
		}
		return map[string]float64{"p50": m.Latency.P50, "p99": m.Latency.P99, "p99.9": m.Latency.P999}[figure]
	}
	return m.Extra[figure]
}

// values of one figure, run by run.
func values(runs []measure, figure string) []float64 {
	out := make([]float64, len(runs))
	for i, m := range runs {
		out[i] = m.value(figure)
	}
	return out
}

// over divides a figure of one side by that of another, pair by pair.
func (res *result) over(figure, side, other string) spread {
	return spreadOf(ratios(values(res.Runs[side], figure), values(res.Runs[other], figure)))
}

// ratio of the first side to another.
func (res *result) ratio(figure, other string) spread { return res.over(figure, res.Sides[0], other) }

// conclude computes the ratios and says what they mean.
// same: both sides are one server, perhaps built in two ways, and goals mean nothing.
func (res *result) conclude(sc *scenario, same bool) {
	var others []float64
	for _, runs := range res.Runs {
		for _, m := range runs {
			others = append(others, m.Foreign)
		}
	}
	if len(others) > 0 {
		res.Foreign = median(others)
	}
	if len(res.Sides) > 1 {
		other := res.Sides[1]
		res.Ratio, res.RatioP50, res.RatioP99 = res.ratio(res.Figure, other), res.ratio("p50", other), res.ratio("p99", other)
	}
	if len(res.Sides) > 2 {
		res.Beside = map[string]spread{}
		for _, other := range res.Sides[1:] {
			res.Beside[other] = res.over(res.Figure, other, res.Sides[0])
		}
	}
	if res.Failure != "" {
		res.Verdict = "FAILED"
		if res.Wrong {
			res.Verdict = "FAILED: messages were lost, doubled, out of order or mixed up"
		}
		return
	}
	res.Verdict = res.judge(sc, same)
	if d := disturbance(res.Foreign); d != "" {
		res.Verdict += "; " + d
	}
}

// disturbance says that other programs took too much meanwhile; "" when they did not.
func disturbance(foreign float64) string {
	if foreign <= disturbed {
		return ""
	}
	return fmt.Sprintf("DISTURBED: other programs took %.1f cores", foreign)
}

func (res *result) judge(sc *scenario, same bool) string {
	if same {
		sc = &scenario{}
	}
	var said []string
	if len(res.Sides) > 2 {
		for _, other := range res.Sides[1:] {
			if s := res.Beside[other]; s.N > 0 {
				said = append(said, fmt.Sprintf("%s %s", other, ratioText(s)))
			}
		}
		return fmt.Sprintf("%s as shares of what %s takes: %s", res.Figure, res.Sides[0], strings.Join(said, ", "))
	}
	if len(sc.limits) == 0 || len(res.Sides) > 1 && (sc.goal > 0 || sc.p50 > 0 || sc.p99 > 0) {
		said = append(said, verdict(res.Ratio, sc.goal, res.Figure))
	}
	if sc.p50 > 0 {
		said = append(said, verdict(res.RatioP50, sc.p50, "p50"))
	}
	if sc.p99 > 0 {
		said = append(said, verdict(res.RatioP99, sc.p99, "p99"))
	}
	for _, l := range sc.limits {
		said = append(said, res.holds(l))
	}
	return strings.Join(said, "; ")
}

// holds says whether the median keeps a limit.
func (res *result) holds(l limit) string {
	s, of := spreadOf(values(res.Runs[res.Sides[0]], l.figure)), ""
	if l.beside {
		if len(res.Sides) < 2 {
			return l.figure + ": nothing to compare with"
		}
		s, of = res.ratio(l.figure, res.Sides[1]), " of the other's"
	}
	if s.N == 0 {
		return l.figure + ": not measured"
	}
	kept, word := s.Median <= l.most, "at most"
	if l.least {
		kept, word = s.Median >= l.most, "at least"
	}
	return fmt.Sprintf("%s %s%s, %s %s: %s", l.figure, short(s.Median), of, word, short(l.most), map[bool]string{true: "met", false: "MISSED"}[kept])
}
