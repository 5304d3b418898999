//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
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
	Runs     map[string][]measure `json:"runs,omitempty"` // by side, pair by pair
	Ratio    spread               `json:"ratio"`          // A over B
	RatioP50 spread               `json:"ratio_p50"`
	RatioP99 spread               `json:"ratio_p99"`
	Verdict  string               `json:"verdict"`
	Failure  string               `json:"failure,omitempty"`
	Wrong    bool                 `json:"wrong,omitempty"`   // a message was lost, doubled, out of order or mixed up
	Skipped  string               `json:"skipped,omitempty"` // why it was not run
	Foreign  float64              `json:"foreign_cores"`     // median of what other programs took meanwhile
}

// runner measures one scenario after the other.
type runner struct {
	sides []*side // A and B, or A alone
	plan  plan
	out   io.Writer
	run   uint16 // sessions so far
}

func (r *runner) nextRun() uint16 {
	r.run++
	return r.run
}

// scenario measures one. Failures are in the result.
func (r *runner) scenario(sc *scenario) result {
	res := result{Name: sc.name, Title: sc.title, Per: sc.per, Figure: sc.figure, Goal: sc.goal, Runs: map[string][]measure{}}
	if res.Figure == "" {
		res.Figure = "CPU"
	}
	var err error
	for pair := range r.pairs(sc) {
		var got map[string]measure
		if got, err = r.measurePair(sc, r.order(pair)); err != nil {
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
		res.Skipped = err.Error()
		res.Verdict = "not run: " + res.Skipped
		return res
	case err != nil:
		res.Failure = err.Error()
		res.Wrong = errors.As(err, &bad)
	}
	res.conclude(sc, len(r.sides) == 2 && r.sides[0].Exe == r.sides[1].Exe)
	return res
}

func (r *runner) pairs(sc *scenario) int {
	if sc.most > 0 {
		return min(sc.most, r.plan.pairs)
	}
	return r.plan.pairs
}

// order is A B, B A, A B, ...: slow drift cancels out.
func (r *runner) order(pair int) []*side {
	if pair%2 == 1 && len(r.sides) == 2 {
		return []*side{r.sides[1], r.sides[0]}
	}
	return r.sides
}

// measurePair measures each side once. A pair during which other programs took much of the machine is measured again, as
// often as the plan allows, and the least disturbed one counts.
func (r *runner) measurePair(sc *scenario, order []*side) (map[string]measure, error) {
	var best map[string]measure
	for try := 0; ; try++ {
		got, err := r.once(sc, order)
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

// once measures a pair on fresh servers: what a process has become by chance (where its memory lies, how its connections
// fell) must not colour all pairs.
func (r *runner) once(sc *scenario, order []*side) (out map[string]measure, err error) {
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
	if sc.once != nil {
		for _, s := range order {
			if up[s], err = s.start(sc); err != nil {
				return nil, err
			}
			if out[s.Name], err = sc.once(r.nextRun(), &up[s].site); err != nil {
				return nil, blame(s, err)
			}
			up[s].stop()
		}
		return out, nil
	}
	for _, s := range order {
		if up[s], err = s.start(sc); err != nil {
			return nil, err
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
	for _, s := range order {
		if out[s.Name], err = loads[s].Run(max(r.plan.phase, sc.least)); err != nil {
			return nil, blame(s, err)
		}
	}
	return out, nil
}

// value is a scenario's figure of one measure.
func (m measure) value(figure string) float64 {
	switch figure {
	case "", "CPU":
		return m.CPU
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

func (res *result) ratio(figure string) spread {
	return spreadOf(ratios(values(res.Runs["A"], figure), values(res.Runs["B"], figure)))
}

// conclude computes the ratios and says what they mean.
// same: both sides are one binary, and goals mean nothing.
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
	res.Ratio = res.ratio(res.Figure)
	res.RatioP50, res.RatioP99 = res.ratio("p50"), res.ratio("p99")
	if res.Failure != "" {
		res.Verdict = "FAILED"
		if res.Wrong {
			res.Verdict = "FAILED: messages were lost, doubled, out of order or mixed up"
		}
		return
	}
	if same {
		sc = &scenario{}
	}
	res.Verdict = verdict(res.Ratio, sc.goal, res.Figure)
	if sc.p50 > 0 {
		res.Verdict += "; " + verdict(res.RatioP50, sc.p50, "p50")
	}
	if sc.p99 > 0 {
		res.Verdict += "; " + verdict(res.RatioP99, sc.p99, "p99")
	}
	if res.Foreign > disturbed {
		res.Verdict += fmt.Sprintf("; DISTURBED: other programs took %.1f cores", res.Foreign)
	}
}
