//go:build linux

package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMedianAndRatios(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{5, 1, 3}, 3}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.in, got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("nothing has a median")
	}
	in := []float64{2, 1}
	median(in)
	if in[0] != 2 {
		t.Error("median sorted its argument")
	}
	// Pairs are divided one by one: the ratio of medians would be 4/2, that of the pairs is 0.5.
	got := spreadOf(ratios([]float64{1, 4, 10}, []float64{2, 8, 1}))
	if got != (spread{Median: 0.5, Min: 0.5, Max: 10, N: 3}) {
		t.Errorf("got %+v", got)
	}
	if r := ratios([]float64{1, 0, 3, 9}, []float64{2, 5, 0}); !slices.Equal(r, []float64{0.5}) {
		t.Errorf("pairs without a value on one side were not left out: %v", r)
	}
	if s := spreadOf(nil); s.N != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestHistogramAgainstSortedValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Int64Range(0, 1<<rapid.IntRange(1, 40).Draw(t, "bits")), 1, 300).Draw(t, "values")
		var h histogram
		for _, x := range v {
			h.record(x)
		}
		slices.Sort(v)
		for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
			rank := max(int(math.Ceil(q*float64(len(v)))), 1)
			want, got := float64(v[rank-1]), float64(h.quantile(q))
			if math.Abs(got-want) > want*0.02+1 {
				t.Fatalf("quantile %v of %d values is %v, want %v", q, len(v), got, want)
			}
		}
		if h.max != v[len(v)-1] || h.count != int64(len(v)) {
			t.Fatalf("max %d, count %d", h.max, h.count)
		}
	})
}

func TestHistogramBucketsAreOrderedAndComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Int64Range(0, math.MaxInt64).Draw(t, "value")
		i := bucketOf(x)
		if lowerEdge(i) > x || i+1 < len(histogram{}.bucket) && lowerEdge(i+1) <= x {
			t.Fatalf("%d fell into bucket %d from %d to %d", x, i, lowerEdge(i), lowerEdge(i+1))
		}
	})
	if bucketOf(-5) != 0 {
		t.Error("a negative duration (a clock read a moment apart) must count as 0")
	}
	if (&histogram{}).summary() != nil || (&histogram{}).quantile(0.5) != 0 {
		t.Error("an empty histogram has no quantiles")
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		r    spread
		goal float64
		want []string
	}{
		{spread{0.4, 0.38, 0.45, 5}, 0.5, []string{"0.40 of the other's in every pair", "goal 0.50 met"}},
		{spread{0.6, 0.5, 0.7, 5}, 0.5, []string{"in every pair", "goal 0.50 MISSED"}},
		{spread{1.3, 1.1, 1.4, 5}, 0.5, []string{"HIGHER in every pair: 1.30", "MISSED"}},
		{spread{1.02, 0.9, 1.1, 5}, 0, []string{"the same within the spread"}},
		{spread{0.8, 0.7, 1.1, 5}, 0, []string{"pairs disagree"}},
		{spread{}, 0.5, []string{"nothing to compare with"}},
	} {
		got := verdict(c.r, c.goal, "CPU")
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("verdict on %+v, goal %v is %q, lacks %q", c.r, c.goal, got, w)
			}
		}
		if c.goal == 0 && strings.Contains(got, "goal") {
			t.Errorf("%q speaks of a goal that there is not", got)
		}
	}
}

func TestScheduleAndCorrectedLatency(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSchedule(rapid.Int64Range(0, 1e12).Draw(t, "start"), rapid.Float64Range(1, 1e6).Draw(t, "rate"))
		now := s.start + rapid.Int64Range(-1e6, 1e10).Draw(t, "later")
		n := s.passed(now)
		if n > 0 && s.due(n-1) > now {
			t.Fatalf("%d are said to be due, the last of them %d ns too early", n, s.due(n-1)-now)
		}
		if s.due(n+1) <= now { // n itself may be off by rounding of a nanosecond
			t.Fatalf("thing %d is due and was left out", n+1)
		}
	})
	// Each publisher of three has every third thing of the whole.
	whole := newSchedule(1000, 3000)
	third := schedule{whole.due(1), whole.interval * 3}
	for i := range uint64(50) {
		if d := third.due(i) - whole.due(1+3*i); d < -1 || d > 1 {
			t.Errorf("message %d of publisher 1 is due %d ns apart", i, d)
		}
	}
}

// A server that stalls must show in the latencies although the generator could not send in time either: a message that was
// due at 10 ms and came at 110 ms is 100 ms late, whenever it left.
func TestLatencyCountsFromWhenAMessageWasDue(t *testing.T) {
	s := &session{run: 1, loop: &loop{}}
	p := testFlow(t, s, flowSpec{size: 16, subjects: []string{"a"}, block: 16})
	p.plan, p.base = newSchedule(0, 1000), 5 // message 5+n is due after n ms
	s.loop.at = int64(110 * time.Millisecond)
	s.arrived(p, 1, 15)
	if got := s.hist.max; got != int64(100*time.Millisecond) {
		t.Errorf("latency %v, want 100ms", time.Duration(got))
	}
}

func TestParseBusy(t *testing.T) {
	stat := "cpu  100 20 30 9999 888 1 2 3 50 0\ncpu0 1 2 3\n"
	if got, want := parseBusy(stat), 1560*time.Millisecond; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []string{"", "cpu 1", "intr 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"} {
		if parseBusy(bad) != 0 {
			t.Errorf("%q gave a number", bad)
		}
	}
}
