//go:build linux

package main

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"
)

// Histogram of durations: buckets of equal width within each power of two, subBuckets of them, so that a value is known to
// better than 2 %. The zero value is empty and ready.
type histogram struct {
	count  int64
	max    int64
	bucket [(64 - subBits) << subBits]int64
}

const subBits = 6

func bucketOf(ns int64) int {
	if ns < 1<<subBits {
		return int(max(ns, 0))
	}
	shift := bits.Len64(uint64(ns)) - 1 - subBits
	return (shift+1)<<subBits + int(ns>>shift) - 1<<subBits
}

// lowerEdge is the least value of a bucket.
func lowerEdge(i int) int64 {
	if i < 1<<subBits {
		return int64(i)
	}
	shift := i>>subBits - 1
	return int64(i&(1<<subBits-1)+1<<subBits) << shift
}

func (h *histogram) record(ns int64) {
	h.bucket[bucketOf(ns)]++
	h.count++
	h.max = max(h.max, ns)
}

// quantile returns the value that a share q of all values do not exceed, 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := max(int64(math.Ceil(q*float64(h.count))), 1)
	var seen int64
	for i, n := range h.bucket {
		if seen += n; seen >= rank {
			mid := (lowerEdge(i) + lowerEdge(i+1)) / 2
			return time.Duration(min(mid, h.max))
		}
	}
	return time.Duration(h.max)
}

// latency is the summary of a histogram, in microseconds.
type latency struct {
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
}

func (h *histogram) summary() *latency {
	if h.count == 0 {
		return nil
	}
	return &latency{
		P50: micros(h.quantile(0.5)), P90: micros(h.quantile(0.9)), P99: micros(h.quantile(0.99)),
		P999: micros(h.quantile(0.999)), Max: micros(time.Duration(h.max)),
	}
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// median of values; NaN for none. The argument is not changed.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// spread is a median with its range.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	return spread{Median: median(v), Min: slices.Min(v), Max: slices.Max(v), N: len(v)}
}

// ratios divides pair by pair and leaves out pairs in which one side has no value.
func ratios(a, b []float64) []float64 {
	var r []float64
	for i := range min(len(a), len(b)) {
		if a[i] > 0 && b[i] > 0 {
			r = append(r, a[i]/b[i])
		}
	}
	return r
}

// verdict says in words what the ratio of the pairs shows against the goal (0: none).
func verdict(r spread, goal float64, what string) string {
	if r.N == 0 {
		return "nothing to compare with"
	}
	var v string
	switch {
	case r.Max < 1:
		v = fmt.Sprintf("%s %.2f of the other's in every pair", what, r.Median)
	case r.Min > 1:
		v = fmt.Sprintf("%s HIGHER in every pair: %.2f times", what, r.Median)
	case math.Abs(r.Median-1) <= 0.05:
		v = what + " the same within the spread"
	default:
		v = fmt.Sprintf("%s %.2f of the other's, but pairs disagree", what, r.Median)
	}
	if goal == 0 {
		return v
	}
	if r.Median <= goal {
		return fmt.Sprintf("%s; goal %.2f met", v, goal)
	}
	return fmt.Sprintf("%s; goal %.2f MISSED", v, goal)
}

// sortedKeys returns a map's keys in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
