package interest

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// workload returns the ith pattern of performance 9: five tokens, one in ten
// each ending in "*", in ">", and with "*" in the second place.
func workload(buf []byte, i int) []byte {
	a, b, c := i%10, i/10%20, i/200%50
	buf = buf[:0]
	switch i / 10 % 10 {
	case 3:
		return fmt.Appendf(buf, "region%d.site%d.dev%d.metric%d.*", a, b, c, i)
	case 5:
		return fmt.Appendf(buf, "region%d.site%d.dev%d.metric%d.>", a, b, c, i)
	case 7:
		return fmt.Appendf(buf, "region%d.*.dev%d.data.metric%d", a, c, i)
	}
	return fmt.Appendf(buf, "region%d.site%d.dev%d.data.metric%d", a, b, c, i)
}

// workloadSubject returns a subject that the ith pattern matches.
func workloadSubject(buf []byte, i int) []byte {
	a, b, c := i%10, i/10%20, i/200%50
	buf = buf[:0]
	switch i / 10 % 10 {
	case 3, 5:
		return fmt.Appendf(buf, "region%d.site%d.dev%d.metric%d.x", a, b, c, i)
	}
	return fmt.Appendf(buf, "region%d.site%d.dev%d.data.metric%d", a, b, c, i)
}

// A quarter of a million flat subjects: segments split, the directory doubles,
// and among so many some pairs agree in all 32 bits of their hash (seven are
// expected), which verification must tell apart. Then most go away, and memory
// with them.
func TestManySubjects(t *testing.T) {
	const n = 250_000
	x := New[int]()
	name := func(i int) []byte { return fmt.Appendf(nil, "subject-with-a-long-name-%d", i) }
	for i := range n {
		x.Insert(name(i), i)
	}
	full := *x.cur
	dst := make([]int, 0, 8)
	check := func(step int, want func(i int) bool) {
		t.Helper()
		for i := 0; i < n; i += step {
			if got := x.Match(name(i), dst[:0]); want(i) != slices.Equal(got, []int{i}) || !want(i) && len(got) != 0 {
				t.Fatalf("Match(%s) = %v", name(i), got)
			}
		}
	}
	check(1, func(int) bool { return true })
	for i := range n {
		if i%100 == 0 {
			continue
		}
		if !x.Remove(name(i), i) {
			t.Fatalf("%s was not there", name(i))
		}
		if i%5000 == 1 { // also in the middle of moving
			check(997, func(j int) bool { return j > i || j%100 == 0 })
		}
	}
	check(1, func(i int) bool { return i%100 == 0 })
	nodes, bytes := x.cur.nodes.n, x.cur.arena.size
	if x.old != nil {
		nodes, bytes = nodes+x.old.nodes.n, bytes+x.old.arena.size
	}
	if nodes > full.nodes.n/8 || bytes > full.arena.size/8 {
		t.Errorf("after the removal: nodes %d of %d, bytes %d of %d", nodes, full.nodes.n, bytes, full.arena.size)
	}
	seen := 0
	x.Walk(func([]byte, int) bool { seen++; return true })
	if seen != n/100 {
		t.Errorf("Walk saw %d", seen)
	}
	checkInvariants(t, x)
	for i := 0; i < n; i += 100 {
		x.Remove(name(i), i)
	}
	if x.Len() != 0 || x.MatchesAny(name(0)) {
		t.Error("not empty at the end")
	}
}

// Wide Overlapping falls back to the scan; both must stop when told.
func TestOverlappingWide(t *testing.T) {
	const n = 3 * overlapBudget
	x := New[int]()
	for i := range n {
		x.Insert(fmt.Appendf(nil, "a.%d", i), i)
	}
	x.Insert([]byte("b.c"), n)
	for _, c := range []struct {
		pattern string
		want    int
	}{{"a.*", n}, {"a.>", n}, {">", n + 1}, {"b.*", 1}, {"*.c", 1}, {"*.*.c", 0}, {"a.77", 1}} {
		seen := map[int]bool{}
		x.Overlapping([]byte(c.pattern), func(_ []byte, v int) bool {
			if seen[v] {
				t.Fatalf("%s: %d twice", c.pattern, v)
			}
			seen[v] = true
			return true
		})
		if len(seen) != c.want {
			t.Errorf("Overlapping(%s): %d, want %d", c.pattern, len(seen), c.want)
		}
		calls := 0
		x.Overlapping([]byte(c.pattern), func([]byte, int) bool { calls++; return false })
		if calls != min(1, c.want) {
			t.Errorf("Overlapping(%s): %d calls after false", c.pattern, calls)
		}
	}
}

// Writers change the interest in their own subjects while readers match, hold
// on to results and walk. Each writer knows what its subject must give once a
// change has returned.
func TestConcurrentUse(t *testing.T) {
	x := New[int]()
	x.floor = 16
	const writers, rounds = 3, 1500
	x.Insert([]byte("steady.>"), -1)
	var stop atomic.Bool
	var readers, work sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			subj := fmt.Appendf(nil, "w%d.a.b.c", w)
			patterns := [][]byte{subj, fmt.Appendf(nil, "w%d.a.b.*", w), fmt.Appendf(nil, "w%d.*.b.c", w), fmt.Appendf(nil, "w%d.>", w)}
			has := make([]bool, len(patterns))
			var cached []int
			var stamp Stamp
			for r := range rounds {
				if !x.Fresh(stamp) {
					stamp = x.Stamp(subj)
					cached = x.Match(subj, cached[:0])
				}
				var want []int
				for i, on := range has {
					if on {
						want = append(want, i)
					}
				}
				slices.Sort(cached)
				if !slices.Equal(cached, want) {
					t.Errorf("round %d: cached %v, want %v", r, cached, want)
					return
				}
				i := rng.IntN(len(patterns))
				if has[i] {
					if !x.Remove(patterns[i], i) {
						t.Errorf("pattern %s was not there", patterns[i])
					}
				} else {
					x.Insert(patterns[i], i)
				}
				has[i] = !has[i]
				// Mass, so that arrays grow and cores are moved.
				own := fmt.Appendf(nil, "mass.%d.%d", w, r%200)
				if r/200%2 == 0 {
					x.Insert(own, r%200)
				} else if r%200 != 0 {
					x.Remove(own, r%200)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			subj := []byte("steady.x")
			var dst []int
			for !stop.Load() {
				if dst = x.Match(subj, dst[:0]); !slices.Equal(dst, []int{-1}) {
					t.Errorf("steady subject: %v", dst)
					return
				}
				seen := 0
				x.Walk(func(_ []byte, v int) bool {
					if v == -1 {
						seen++
					}
					return true
				})
				if seen != 1 {
					t.Errorf("walk saw the steady pattern %d times", seen)
					return
				}
				runtime.Gosched()
			}
		})
	}
	work.Wait()
	stop.Store(true)
	readers.Wait()
	checkInvariants(t, x)
}

func TestWalkMayUseTheIndex(t *testing.T) {
	x := New[int]()
	for i := range 2000 {
		x.Insert(fmt.Appendf(nil, "a.%d", i), i)
	}
	x.Walk(func(p []byte, v int) bool {
		if !x.Remove(p, v) {
			t.Errorf("%s was not there", p)
		}
		return true
	})
	if x.Len() != 0 {
		t.Errorf("%d left", x.Len())
	}
	// Moving is held up during a walk and goes on with the next change.
	x.Insert([]byte("b"), 1)
	if got := sortedMatch(x, "b"); !slices.Equal(got, []int{1}) {
		t.Errorf("Match = %v", got)
	}
}

func TestNoAllocations(t *testing.T) {
	x := New[*int]()
	buf := make([]byte, 0, 128)
	for i := range 20_000 {
		x.Insert(workload(buf, i), new(int))
	}
	for range 100 {
		x.Insert([]byte("region3.>"), new(int))
	}
	subj := workloadSubject(nil, 3)
	dst := make([]*int, 0, 256)
	stamp := x.Stamp(subj)
	fresh := 0
	got := testing.AllocsPerRun(100, func() {
		dst = x.Match(subj, dst[:0])
		s := x.Stamp(subj)
		if x.Fresh(stamp) && x.Fresh(s) && x.MatchesAny(subj) {
			fresh++
		}
	})
	if got != 0 || fresh != 101 || len(dst) < 101 {
		t.Errorf("%v allocations a run, fresh %d times, %d values", got, fresh, len(dst))
	}
	v := new(int)
	churn := []byte("_INBOX.abcdefghijklmnopqrstuv.*")
	got = testing.AllocsPerRun(100, func() {
		x.Insert(churn, v)
		x.Remove(churn, v)
	})
	if got != 0 {
		t.Errorf("%v allocations for a pair of changes", got)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestSmallIndexIsSmall(t *testing.T) {
	const n = 1000
	for _, c := range []struct {
		subs  int
		limit uint64
	}{{0, 512}, {1, 1536}, {10, 3072}} {
		all := make([]*Index[*int], n)
		before := heap()
		for i := range all {
			all[i] = New[*int]()
			for k := range c.subs {
				all[i].Insert(fmt.Appendf(nil, "some.subject.%d", k), nil)
			}
		}
		each := (heap() - before) / n
		if each > c.limit {
			t.Errorf("an index with %d subscriptions takes %d bytes", c.subs, each)
		}
		t.Logf("%d subscriptions: %d bytes an index", c.subs, each)
		runtime.KeepAlive(all)
	}
}

func TestMemoryPerSubscription(t *testing.T) {
	const n = 200_000
	before := heap()
	x := New[*int]()
	v := new(int)
	buf := make([]byte, 0, 128)
	for i := range n {
		x.Insert(workload(buf, i), v)
	}
	pairs := uint64(x.Len())
	each := (heap() - before) / pairs
	t.Logf("%d pairs: %d bytes each, with an 8-byte value", pairs, each)
	if each > 150 {
		t.Errorf("%d bytes a subscription", each)
	}
	runtime.KeepAlive(x)
}

// A walk sees what is there all the time exactly once, even if memory is given
// back meanwhile.
func TestWalkDuringMassRemoval(t *testing.T) {
	x := New[int]()
	x.floor = 16
	const n, keep = 6000, 10
	for i := range n {
		x.Insert(fmt.Appendf(nil, "a.%d", i), i)
	}
	seen := make([]int, n)
	first := true
	x.Walk(func(_ []byte, v int) bool {
		if first {
			first = false
			for i := range n {
				if i%keep != 0 {
					x.Remove(fmt.Appendf(nil, "a.%d", i), i)
				}
			}
		}
		seen[v]++
		return true
	})
	for i := 0; i < n; i += keep {
		if seen[i] != 1 {
			t.Fatalf("%d seen %d times", i, seen[i])
		}
	}
	for range n { // the next changes give the memory back
		x.Insert([]byte("b"), 1)
		x.Remove([]byte("b"), 1)
	}
	if x.old != nil || x.cur.nodes.n > n/5 {
		t.Errorf("%d nodes for %d pairs", x.cur.nodes.n, x.Len())
	}
}
