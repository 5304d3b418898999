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
	warm  time.Duration // of load that is not counted, before the first pair
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
	if sc.once != nil {
		err = r.fresh(sc, &res)
	} else {
		err = r.phases(sc, &res)
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
	res.conclude(sc)
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

// fresh measures scenarios that want a new process each time.
func (r *runner) fresh(sc *scenario, res *result) error {
	for pair := range r.pairs(sc) {
		for _, s := range r.order(pair) {
			v, err := s.start(sc)
			if err != nil {
				return err
			}
			m, err := sc.once(r.nextRun(), &v.site)
			logs := ""
			if err != nil {
				logs = v.logs()
			}
			v.stop()
			if err != nil {
				return fmt.Errorf("side %s: %w\n%s", s.Name, err, logs)
			}
			res.Runs[s.Name] = append(res.Runs[s.Name], m)
		}
		fmt.Fprint(r.out, ".")
	}
	return nil
}

// phases keeps both sides' servers and connections and loads them in turn.
func (r *runner) phases(sc *scenario, res *result) (err error) {
	up := map[*side]*servers{}
	loads := map[*side]load{}
	blame := func(s *side, err error) error {
		return fmt.Errorf("side %s: %w\n%s", s.Name, err, up[s].logs())
	}
	defer func() {
		for _, s := range r.sides {
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
	for _, s := range r.sides {
		if up[s], err = s.start(sc); err != nil {
			return err
		}
		if loads[s], err = sc.open(r.nextRun(), &up[s].site); err != nil {
			return blame(s, err)
		}
		if sc.least < 5*time.Second { // those take long enough to be warm
			if _, err = loads[s].Run(r.plan.warm); err != nil {
				return blame(s, err)
			}
		}
	}
	d := max(r.plan.phase, sc.least)
	for pair := range r.pairs(sc) {
		for _, s := range r.order(pair) {
			m, err := loads[s].Run(d)
			if err != nil {
				return blame(s, err)
			}
			res.Runs[s.Name] = append(res.Runs[s.Name], m)
		}
		fmt.Fprint(r.out, ".")
	}
	return nil
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
func (res *result) conclude(sc *scenario) {
	res.Ratio = res.ratio(res.Figure)
	res.RatioP50, res.RatioP99 = res.ratio("p50"), res.ratio("p99")
	if res.Failure != "" {
		res.Verdict = "FAILED"
		if res.Wrong {
			res.Verdict = "FAILED: messages were lost, doubled, out of order or mixed up"
		}
		return
	}
	res.Verdict = verdict(res.Ratio, sc.goal, res.Figure)
	if sc.p50 > 0 {
		res.Verdict += "; " + verdict(res.RatioP50, sc.p50, "p50")
	}
	if sc.p99 > 0 {
		res.Verdict += "; " + verdict(res.RatioP99, sc.p99, "p99")
	}
}
