package subject

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestValidity(t *testing.T) {
	for _, c := range []struct {
		s                        string
		subscribe, publish, wild bool
	}{
		{"", false, false, false},
		{".", false, false, false},
		{"a", true, true, false},
		{"a.b", true, true, false},
		{"a..b", false, false, false},
		{".a", false, false, false},
		{"a.", false, false, false},
		{"*", true, false, true},
		{">", true, false, true},
		{"a.*", true, false, true},
		{"a.>", true, false, true},
		{"*.*.>", true, false, true},
		{"a.>.b", false, false, true},
		{">.a", false, false, true},
		{"a.>.", false, false, true},
		{"foo*", true, true, false},
		{"a>.b", true, true, false},
		{"b*c", true, true, false},
		{"a.>b", true, true, false},
		{"a.**", true, true, false},
		{"a.>>", true, true, false},
		{"a\x00.\xff\v", true, true, false},
	} {
		if got := ValidSubscribe([]byte(c.s)); got != c.subscribe {
			t.Errorf("ValidSubscribe(%q) = %v", c.s, got)
		}
		if got := ValidPublish([]byte(c.s)); got != c.publish {
			t.Errorf("ValidPublish(%q) = %v", c.s, got)
		}
		if got := HasWildcard(Subject(c.s)); got != c.wild {
			t.Errorf("HasWildcard(%q) = %v", c.s, got)
		}
	}
}

func TestMatchTable(t *testing.T) {
	for _, c := range []struct {
		pattern, literal string
		want             bool
	}{
		{"a", "a", true},
		{"a", "A", false},
		{"a.b", "a", false},
		{"a", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"a.*", "a.b.c", false},
		{"*", "a", true},
		{">", "a", true},
		{">", "a.b.c", true},
		{"a.>", "a", false},
		{"a.>", "a.b.c", true},
		{"a.*.>", "a.b", false},
		{"*.b.>", "x.b.y", true},
		{"foo*", "foo*", true},
		{"foo*", "foobar", false},
		// A published wildcard token is a literal one.
		{"a.*", "a.*", true},
		{"a.*", "a.>", true},
		{">", "*", true},
		{"a.b", "a.*", false},
		{"a.b", "a.>", false},
		{"a.*.b", "a.>.b", true},
		// Empty tokens reach nobody.
		{">", "", false},
		{">", "a..b", false},
		{"a.>", "a..b", false},
		{"a.>", "a.b.", false},
		{"a.*.b", "a..b", false},
		{"*", "", false},
		{">", ".a", false},
		{"a.*", "a.", false},
	} {
		if got := Match(c.pattern, []byte(c.literal)); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.literal, got)
		}
	}
}

// The naive models work on split tokens.

func naiveMatch(pattern, literal string) bool {
	l := strings.Split(literal, ".")
	if slices.Contains(l, "") {
		return false
	}
	p := strings.Split(pattern, ".")
	for i, tok := range p {
		switch {
		case i >= len(l):
			return false
		case tok == ">":
			return true
		case tok != "*" && tok != l[i]:
			return false
		}
	}
	return len(p) == len(l)
}

// universe is every subject of up to four tokens over the alphabet of
// drawPattern and one token more: enough to tell any two of its patterns of up
// to three tokens apart.
var universe = func() []string {
	alphabet := []string{"a", "b", "c*", "other"}
	level, all := []string{""}, []string(nil)
	for range 4 {
		var next []string
		for _, s := range level {
			for _, tok := range alphabet {
				next = append(next, strings.TrimPrefix(s+"."+tok, "."))
			}
		}
		level, all = next, append(all, next...)
	}
	return all
}()

func drawPattern(t *rapid.T, label string) string {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c*", "*", "*"}), 0, 3).Draw(t, label)
	if len(parts) == 0 || len(parts) < 3 && rapid.Bool().Draw(t, label+"Rest") {
		parts = append(parts, ">")
	}
	return strings.Join(parts, ".")
}

func TestRelationsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPattern(t, "a"), drawPattern(t, "b")
		subset, overlap := true, false
		for _, s := range universe {
			ma, mb := naiveMatch(a, s), naiveMatch(b, s)
			if Match(a, s) != ma {
				t.Fatalf("Match(%q, %q) = %v", a, s, !ma)
			}
			subset = subset && (!ma || mb)
			overlap = overlap || ma && mb
		}
		if got := Subset(a, []byte(b)); got != subset {
			t.Fatalf("Subset(%q, %q) = %v", a, b, got)
		}
		if got := Overlap([]byte(a), b); got != overlap {
			t.Fatalf("Overlap(%q, %q) = %v", a, b, got)
		}
		if !ValidSubscribe(a) {
			t.Fatalf("ValidSubscribe(%q) = false", a)
		}
	})
}

func checkText(t interface{ Fatalf(string, ...any) }, s string) {
	toks := strings.Split(s, ".")
	if s == "" {
		toks = nil
	}
	if got := slices.Collect(Tokens(s)); !slices.Equal(got, toks) {
		t.Fatalf("Tokens(%q) = %q", s, got)
	}
	if got := TokenCount([]byte(s)); got != len(toks) {
		t.Fatalf("TokenCount(%q) = %d", s, got)
	}
	for i := range len(toks) + 2 {
		got, ok := Token(s, i)
		if ok != (i < max(1, len(toks))) || i < len(toks) && got != toks[i] {
			t.Fatalf("Token(%q, %d) = %q, %v", s, i, got, ok)
		}
	}
	empty := s == "" || slices.Contains(toks, "")
	wild := slices.Contains(toks, "*") || slices.Contains(toks, ">")
	rest := slices.Index(toks, ">")
	if got := NoEmptyToken(s); got == empty {
		t.Fatalf("NoEmptyToken(%q) = %v", s, got)
	}
	if got := HasWildcard(s); got != wild {
		t.Fatalf("HasWildcard(%q) = %v", s, got)
	}
	if got := ValidPublish(s); got != (!empty && !wild) {
		t.Fatalf("ValidPublish(%q) = %v", s, got)
	}
	if got := ValidSubscribe(s); got != (!empty && (rest < 0 || rest == len(toks)-1)) {
		t.Fatalf("ValidSubscribe(%q) = %v", s, got)
	}
	if got := Reemittable(s); got == strings.ContainsAny(s, "\r\n\x00") {
		t.Fatalf("Reemittable(%q) = %v", s, got)
	}
}

func TestTextAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkText(t, rapid.StringOfN(rapid.SampledFrom([]rune(".*>ab.\r\n\x00")), 0, 12, -1).Draw(t, "s"))
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", "a..b", "a.>.b", "*.>", "foo*", ".", "\xff.\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkText(t, s) })
}

func FuzzMatch(f *testing.F) {
	f.Add("a.*.>", "a.b.c")
	f.Add(">", "a..b")
	f.Add("foo*", "foo*")
	f.Add("a.*", "a.>")
	f.Fuzz(func(t *testing.T, pattern, literal string) {
		if !ValidSubscribe(pattern) {
			_, _ = Match(pattern, literal), Overlap(pattern, literal) // no panic
			return
		}
		want := naiveMatch(pattern, literal)
		if got := Match([]byte(pattern), literal); got != want {
			t.Fatalf("Match(%q, %q) = %v", pattern, literal, got)
		}
		if ValidPublish(literal) {
			if Subset(literal, pattern) != want || Overlap(pattern, literal) != want {
				t.Fatalf("%q, %q: Subset and Overlap of a literal must be Match", literal, pattern)
			}
		}
	})
}

func TestNoAllocations(t *testing.T) {
	p, s := []byte("orders.*.new.>"), []byte("orders.eu.new.1.2")
	n := 0
	got := testing.AllocsPerRun(100, func() {
		if Match(p, s) && ValidSubscribe(p) && ValidPublish(s) && Overlap(p, s) && Subset(s, p) {
			n++
		}
		for tok := range Tokens(s) {
			n += len(tok)
		}
	})
	if got != 0 || n == 0 {
		t.Fatalf("%v allocations a run, n = %d", got, n)
	}
}

func BenchmarkMatch(b *testing.B) {
	p, s := []byte("sensors.*.floor.*.temp"), []byte("sensors.building7.floor.12.temp")
	for b.Loop() {
		if !Match(p, s) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkValidSubscribe(b *testing.B) {
	p := []byte("sensors.*.floor.*.temp")
	for b.Loop() {
		if !ValidSubscribe(p) {
			b.Fatal("invalid")
		}
	}
}
