package interest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/banyanmq/banyan/pkg/subject"
	"pgregory.net/rapid"
)

// model is the index as a plain list.
type model []pair

type pair struct {
	pattern string
	v       int
}

func (m model) has(p pair) bool { return slices.Contains(m, p) }

func (m model) match(subj string) []int {
	var out []int
	for _, p := range m {
		if subject.Match(p.pattern, subj) {
			out = append(out, p.v)
		}
	}
	slices.Sort(out)
	return out
}

func (m model) overlapping(pattern string) []pair {
	var out []pair
	for _, p := range m {
		if subject.Overlap(p.pattern, pattern) {
			out = append(out, p)
		}
	}
	sortPairs(out)
	return out
}

func sortPairs(ps []pair) {
	slices.SortFunc(ps, func(a, b pair) int {
		if c := strings.Compare(a.pattern, b.pattern); c != 0 {
			return c
		}
		return a.v - b.v
	})
}

func collect(each func(func([]byte, int) bool)) []pair {
	var out []pair
	each(func(p []byte, v int) bool {
		out = append(out, pair{string(p), v})
		return true
	})
	sortPairs(out)
	return out
}

func sortedMatch(x *Index[int], subj string) []int {
	out := x.Match([]byte(subj), nil)
	slices.Sort(out)
	return out
}

// Few short tokens, so that patterns collide, and long ones that live in the
// arena, some of which differ only behind the bytes kept in the node.
var tokens = []string{"a", "b", "c", "foo*", "a>", "thirteenbytes", "exactly12byt", strings.Repeat("long", 9), strings.Repeat("long", 9) + "x", strings.Repeat("z", 300)}

func drawPattern(t *rapid.T, label string) string {
	n := rapid.IntRange(1, 5).Draw(t, label+"Tokens")
	parts := make([]string, n)
	for i := range parts {
		choices := append([]string{"*", "*"}, tokens...)
		if i == n-1 {
			choices = append(choices, ">", ">")
		}
		parts[i] = rapid.SampledFrom(choices).Draw(t, label)
	}
	return strings.Join(parts, ".")
}

func drawSubject(t *rapid.T) string {
	n := rapid.IntRange(1, 6).Draw(t, "subjectTokens")
	parts := make([]string, n)
	for i := range parts {
		parts[i] = rapid.SampledFrom(append([]string{"", "*", ">"}, append(tokens, tokens...)...)).Draw(t, "subject")
	}
	return strings.Join(parts, ".")
}

// cached is a result that somebody holds on to.
type cached struct {
	stamp Stamp
	subj  string
	vals  []int
}

func TestIndexAgainstModel(t *testing.T) { rapid.Check(t, againstModel) }

func FuzzIndex(f *testing.F) { f.Fuzz(rapid.MakeFuzz(againstModel)) }

// againstModel makes changes at random and compares everything that can be
// asked, results held since earlier included.
func againstModel(t *rapid.T) {
	x := New[int]()
	x.floor = uint32(rapid.SampledFrom([]int{2, 8, tidyFrom}).Draw(t, "floor"))
	var m model
	var cache []cached
	insert := func(p pair) {
		x.Insert([]byte(p.pattern), p.v)
		if !m.has(p) {
			m = append(m, p)
		}
	}
	remove := func(p pair) {
		i := slices.Index(m, p)
		if got := x.Remove([]byte(p.pattern), p.v); got != (i >= 0) {
			t.Fatalf("Remove(%q, %d) = %v", p.pattern, p.v, got)
		}
		if i >= 0 {
			m = slices.Delete(m, i, i+1)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"insert": func(t *rapid.T) {
			insert(pair{drawPattern(t, "pattern"), rapid.IntRange(0, 3).Draw(t, "v")})
		},
		"insertMany": func(t *rapid.T) {
			p := drawPattern(t, "pattern")
			for v := range rapid.SampledFrom([]int{4, 8, 9, 12, 64, 80}).Draw(t, "n") {
				insert(pair{p, v})
			}
		},
		"remove": func(t *rapid.T) {
			remove(pair{drawPattern(t, "pattern"), rapid.IntRange(0, 3).Draw(t, "v")})
		},
		"removeSome": func(t *rapid.T) {
			for range rapid.IntRange(1, 40).Draw(t, "n") {
				if len(m) == 0 {
					t.Skip("empty")
				}
				remove(m[rapid.IntRange(0, len(m)-1).Draw(t, "i")])
			}
		},
		"overlapping": func(t *rapid.T) {
			p := drawPattern(t, "pattern")
			want := m.overlapping(p)
			got := collect(func(f func([]byte, int) bool) { x.Overlapping([]byte(p), f) })
			if !slices.Equal(got, want) {
				t.Fatalf("Overlapping(%q) = %v, want %v", p, got, want)
			}
			got = collect(func(f func([]byte, int) bool) { x.scan([]byte(p), f) })
			if !slices.Equal(got, want) {
				t.Fatalf("scan(%q) = %v, want %v", p, got, want)
			}
		},
		"cache": func(t *rapid.T) {
			s := drawSubject(t)
			cache = append(cache, cached{x.Stamp([]byte(s)), s, sortedMatch(x, s)})
		},
		"": func(t *rapid.T) {
			s := drawSubject(t)
			want := m.match(s)
			if got := sortedMatch(x, s); !slices.Equal(got, want) {
				t.Fatalf("Match(%q) = %v, want %v", s, got, want)
			}
			if got := x.MatchesAny([]byte(s)); got != (len(want) > 0) {
				t.Fatalf("MatchesAny(%q) = %v", s, got)
			}
			if x.Len() != len(m) {
				t.Fatalf("Len = %d, want %d", x.Len(), len(m))
			}
			for _, c := range cache {
				if x.Fresh(c.stamp) && !slices.Equal(c.vals, m.match(c.subj)) {
					t.Fatalf("stale result of %q is fresh", c.subj)
				}
			}
			all := slices.Clone(m)
			sortPairs(all)
			if got := collect(x.Walk); !slices.Equal(got, []pair(all)) {
				t.Fatalf("Walk = %v, want %v", got, all)
			}
			checkInvariants(t, x)
		},
	})
}

// checkInvariants verifies the links, flags, counts and the table of both cores.
func checkInvariants(t interface{ Fatalf(string, ...any) }, x *Index[int]) {
	for _, c := range []*core[int]{x.old, x.cur} {
		if c == nil {
			continue
		}
		live, vals, tokenBytes, inTable, more := 0, 0, 0, 0, 0
		for id := range c.nodes.n {
			n := c.nodes.at(id)
			if n.meta&flagFree != 0 {
				continue
			}
			if id != 0 {
				live++
				if n.first == 0 && !n.hasValues() {
					t.Fatalf("node %d leads nowhere", id)
				}
				if k := n.tokenLen(); k > inlineToken {
					tokenBytes += arenaUnits(k) * arenaUnit
				}
			}
			switch n.meta & (flagVal | flagMore | flagGroup) {
			case flagVal | flagMore:
				for e := c.more[id]; e != 0; e = *c.links.at(e) {
					vals++
				}
				more++
			case flagVal | flagGroup:
				if k := len(c.groups[c.more[id]].vals); k <= groupTo {
					t.Fatalf("group of %d", k)
				}
				more++
			case 0:
				if id < c.vals.n && *c.vals.at(id) != 0 {
					t.Fatalf("node %d keeps a value", id)
				}
			case flagVal:
			default:
				t.Fatalf("flags of %d are %x", id, n.meta)
			}
			want, prev, rank := uint32(0), uint32(0), 0
			for ch := n.first; ch != 0; ch = c.nodes.at(ch).next {
				k := c.nodes.at(ch)
				r, flag := 3, uint32(flagLit)
				switch tok := string(c.token(k)); tok {
				case "*":
					r, flag = 1, flagStar
				case ">":
					r, flag = 2, flagRest
				default:
					inTable++
				}
				if k.parent != id || k.prev != prev || r < rank || r == rank && r < 3 {
					t.Fatalf("child %d of %d is out of place", ch, id)
				}
				want, prev, rank = want|flag, ch, r
			}
			if got := n.meta & (flagStar | flagRest | flagLit); got != want {
				t.Fatalf("flags of %d are %x, want %x", id, got, want)
			}
		}
		used := 0
		seen := map[*segment]bool{}
		for _, s := range c.table.dir {
			if !seen[s] {
				seen[s] = true
				used += int(s.used)
			}
		}
		if live != int(c.live) || vals != int(c.liveOver) || more != len(c.more) || tokenBytes != c.arena.live || used != inTable {
			t.Fatalf("counts: nodes %d/%d values %d/%d token bytes %d/%d table %d/%d",
				live, c.live, vals, c.liveOver, tokenBytes, c.arena.live, used, inTable)
		}
	}
}

func TestZeroStampIsNeverFresh(t *testing.T) {
	x := New[int]()
	if x.Fresh(Stamp{}) {
		t.Fatal("zero stamp is fresh in an empty index")
	}
	x.Insert([]byte("a"), 1)
	if x.Fresh(Stamp{}) {
		t.Fatal("zero stamp is fresh")
	}
}

// Each kind of pattern must spoil the subjects that it matches, and churn
// elsewhere should leave most of the others alone.
func TestStampIsPrecise(t *testing.T) {
	for _, c := range []struct{ churn, keep string }{
		{"x.y.%d", "x.y.keep"},
		{"x.%d.*", "x.keep.1"},
		{"%d.>", "keep.1"},
		{"%d.*", "keep"},
		{"%d", "keep.a.b"},
		{"k.%d.>", "k.keep.b"},
	} {
		x := New[int]()
		for i := range 2000 { // let the counters grow
			x.Insert(fmt.Appendf(nil, "fill.%d", i), 1)
		}
		spoilt := 0
		for i := range 1000 {
			s := x.Stamp([]byte(c.keep))
			x.Insert(fmt.Appendf(nil, c.churn, i), 1)
			if !x.Fresh(s) {
				spoilt++
			}
		}
		if spoilt > 50 {
			t.Errorf("churn of %s: %d of 1000 changes spoilt %s", c.churn, spoilt, c.keep)
		}
	}
}
