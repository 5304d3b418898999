package interest

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

var sizes = []int{1_000, 100_000, 1_000_000}

func filled(n int) *Index[*int] {
	x := New[*int]()
	buf := make([]byte, 0, 128)
	for i := range n {
		v := i
		x.Insert(workload(buf, i), &v)
	}
	return x
}

// texts renders n names outside of the timed part.
func texts(n int, name func([]byte, int) []byte) [][]byte {
	var all []byte
	out := make([][]byte, n)
	for i := range n {
		start := len(all)
		all = append(all, name(nil, i)...)
		out[i] = all[start:]
		out[i] = append([]byte(nil), out[i]...)
	}
	return out
}

func BenchmarkInsert(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			patterns := texts(n, workload)
			vals := make([]*int, n)
			for i := range vals {
				vals[i] = new(int)
			}
			b.ResetTimer()
			for range b.N {
				x := New[*int]()
				for i, p := range patterns {
					x.Insert(p, vals[i])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/insert")
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range sizes {
		x := filled(n)
		subjects := texts(n, workloadSubject)
		rand.Shuffle(n, func(i, j int) { subjects[i], subjects[j] = subjects[j], subjects[i] })
		for _, c := range []struct {
			name string
			of   int
		}{{"hot", 64}, {"cold", n}} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				dst := make([]*int, 0, 1024)
				found, i := 0, 0
				for b.Loop() {
					dst = x.Match(subjects[i], dst[:0])
					found += len(dst)
					if i++; i == c.of {
						i = 0
					}
				}
				b.ReportMetric(float64(found)/float64(b.N), "values/op")
			})
		}
		b.Run(fmt.Sprintf("absent/%d", n), func(b *testing.B) {
			subj := []byte("region7.nowhere.dev1.data.none")
			for b.Loop() {
				if x.MatchesAny(subj) {
					b.Fatal("match")
				}
			}
		})
	}
}

func BenchmarkChurn(b *testing.B) {
	x := filled(100_000)
	v := new(int)
	for _, c := range []string{"churn.some.literal.%d", "churn.%d.*", "*.churn.%d", "_INBOX.abcdefghijklmnop%06d.*"} {
		patterns := texts(1000, func(buf []byte, i int) []byte { return fmt.Appendf(buf, c, i) })
		b.Run(c, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				p := patterns[i%1000]
				x.Insert(p, v)
				x.Remove(p, v)
			}
		})
	}
}

func BenchmarkStamp(b *testing.B) {
	x := filled(100_000)
	subj := workloadSubject(nil, 4711)
	for b.Loop() {
		_ = x.Stamp(subj)
	}
}

func BenchmarkFresh(b *testing.B) {
	x := filled(100_000)
	s := x.Stamp(workloadSubject(nil, 4711))
	for b.Loop() {
		if !x.Fresh(s) {
			b.Fatal("stale")
		}
	}
}

// The longest that one insert holds the lock on the way to a million, and what
// the result costs in memory and at a collection.
func BenchmarkMillion(b *testing.B) {
	v := new(int)
	buf := make([]byte, 0, 128)
	for b.Loop() {
		before := heap()
		x := New[*int]()
		worst := time.Duration(0)
		for i := range 1_000_000 {
			buf = workload(buf, i)
			start := time.Now()
			x.Insert(buf, v)
			worst = max(worst, time.Since(start))
		}
		b.ReportMetric(float64(heap()-before)/float64(x.Len()), "B/sub")
		b.ReportMetric(float64(worst.Microseconds()), "worst-us")
		start := time.Now()
		runtime.GC()
		b.ReportMetric(float64(time.Since(start).Microseconds()), "gc-us")
		b.ReportMetric(float64(x.cur.live)/float64(x.Len()), "nodes/sub")
		runtime.KeepAlive(x)
	}
}
