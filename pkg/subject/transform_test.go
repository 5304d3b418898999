package subject

import (
	"fmt"
	"hash/fnv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTransformVectors(t *testing.T) {
	for _, c := range []struct{ source, dest, in, want string }{
		{"a", "b", "a", "b"},
		{"a.b", "c.d.e", "a.b", "c.d.e"},
		{"map.*.*", "x.$2.$1", "map.1.2", "x.2.1"},
		{"map.*.*", "x.{{wildcard(2)}}.{{ Wildcard( 1 ) }}", "map.1.2", "x.2.1"},
		{"*", "$x.$1", "q", "$x.q"},
		{"*", "$1.$1", "q", "q.q"},
		{"*.*", "$2", "q.r", "r"},
		{"tail.*.>", "o.$1.>", "tail.a.b.c.d", "o.a.b.c.d"},
		{">", "p.>", "a.b", "p.a.b"},
		{"p.>", ">", "p.a.b", "a.b"},
		{"sfl.*", "{{splitfromleft(1,3)}}", "sfl.12345", "123.45"},
		{"sfr.*", "{{SplitFromRight(1,3)}}", "sfr.12345", "12.345"},
		{"sll.*", "{{sliceFromLeft(1,3)}}", "sll.1234567890", "123.456.789.0"},
		{"slr.*", "{{slicefromright(1,3)}}", "slr.1234567890", "1.234.567.890"},
		{"slr.*", "{{slicefromright(1,5)}}", "slr.1234567890", "12345.67890"},
		{"sll.*", "{{slicefromleft(1,0)}}", "sll.123", "123"},
		{"sll.*", "{{slicefromleft(1,3)}}", "sll.123", "123"},
		{"spl.*", "{{split(1,-)}}", "spl.-a-b--c-", "a.b.c"},
		{"spl.*", "x.{{split(1,--)}}.y", "spl.a--b-c", "x.a.b-c.y"},
		{"spl.*", "x.{{split(1,-)}}", "spl.--", "x.--"},
		{"p1.*.*", "{{partition(10,1,2)}}", "p1.foo.bar", "0"},
		{"p2.*.*", "{{partition(10)}}", "p2.foo.bar", "0"},
		{"p3.lit", "{{partition(5)}}", "p3.lit", "1"},
		{"a.*.*", "{{partition(3)}}", "a.x.y", "2"},
		{"a.*", "{{partition(0,1)}}.{{random(0)}}.{{random(1)}}", "a.x", "0.0.0"},
		{"a.*", "{{left(1,2)}}.{{right(1,2)}}", "a.hello", "he.lo"},
		{"a.*", "{{left(1,9)}}", "a.hello", "hello"},
		{"a.*", "b.$1", "x", "x"}, // does not match
		{"a.>", "b.>", "a", "a"},
		{"a", "b", "a.b", "a.b"},
	} {
		tr, err := ParseTransform(c.source, c.dest)
		if err != nil {
			t.Errorf("%s -> %s: %v", c.source, c.dest, err)
			continue
		}
		if got := string(tr.Append([]byte("!"), []byte(c.in))); got != "!"+c.want {
			t.Errorf("%s -> %s: %s becomes %s, want %s", c.source, c.dest, c.in, got[1:], c.want)
		}
	}
}

func TestTransformErrors(t *testing.T) {
	const bad = "invalid mapping destination: "
	for _, c := range []struct {
		source, dest string
		strict       bool
		want         string
	}{
		{"a.*", "b.*", false, "invalid subject"},
		{"a.>", "b", false, "invalid subject"},
		{"a", "b.>", false, "invalid subject"},
		{"a", "", false, bad + "invalid transform"},
		{"a", "b..c", false, bad + "invalid transform"},
		{"a.>", "b.>.c", false, bad + "invalid transform"},
		{"a..b", "b", false, "invalid subject"},
		{"a", "b c", false, "invalid subject"},
		{"a.*", "b.$2", false, bad + "wildcard index out of range in $2: [2]"},
		{"a.*", "b.$0", false, bad + "wildcard index out of range in $0: [0]"},
		{"a", "b.$1", false, bad + "wildcard index out of range in $1: [1]"},
		{"a.*", "{{wildcard(3)}}", false, bad + "wildcard index out of range in {{wildcard(3)}}: [3]"},
		{"a.*", "{{partition(3,-1)}}", false, bad + "wildcard index out of range in {{partition(3,-1)}}: [-1]"},
		{"a.*", "{{wildcard()}}", false, bad + "not enough arguments passed to the function in {{wildcard()}}"},
		{"a.*", "{{wildcard(1,2)}}", false, bad + "too many arguments passed to the function in {{wildcard(1,2)}}"},
		{"a.*", "{{wildcard(x)}}", false, bad + "function argument is invalid or in the wrong format in {{wildcard(x)}}"},
		{"a.*", "{{split(1)}}", false, bad + "not enough arguments passed to the function in {{split(1)}}"},
		{"a.*", "{{split(1,.)}}", false, bad + "function argument is invalid or in the wrong format in {{split(1,.)}}"},
		{"a.*", "{{split(1,)}}", false, bad + "function argument is invalid or in the wrong format in {{split(1,)}}"},
		{"a.*", "{{partition(-1,1)}}", false, bad + "function argument is invalid or in the wrong format in {{partition(-1,1)}}"},
		{"a.*", "{{partition(99999999999,1)}}", false, bad + "function argument is invalid or in the wrong format in {{partition(99999999999,1)}}"},
		{"a.*", "{{WILDCARD(1)}}", false, bad + "unknown function in {{WILDCARD(1)}}"},
		{"a.*", "{{nothing(1)}}", false, bad + "unknown function in {{nothing(1)}}"},
		{"a.*", "x{{wildcard(1)}}", false, bad + "unknown function in x{{wildcard(1)}}"},
		{"a.*.*", "x.$1", true, bad + "not using all of the token wildcard(s) in x.$1"},
		{"a.*", "x.$1.$1", true, bad + "not using all of the token wildcard(s) in x.$1.$1"},
		{"a.*", "x.{{partition(1,1)}}", true, bad + "the only mapping function allowed for import transforms is {{Wildcard()}} in {{partition(1,1)}}"},
	} {
		_, err := parseTransform(c.source, c.dest, c.strict)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s -> %s: %v\nwant %s", c.source, c.dest, err, c.want)
		}
	}
}

func TestPartitionIsFNV(t *testing.T) {
	h := fnv.New32a()
	h.Write([]byte("foobar"))
	if got := fnv1a(fnv1a(fnvOffset, []byte("foo")), []byte("bar")); got != h.Sum32() {
		t.Errorf("got %x, want %x", got, h.Sum32())
	}
}

// TestInverse: an import's transform has a way back for each subject, and for each
// pattern below its own.
func TestInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5).Draw(t, "wildcards")
		source, dest := []string{"src"}, []string{"dst"}
		for i, at := range rapid.Permutation([]int{0, 1, 2, 3, 4}[:n]).Draw(t, "order") {
			source = append(source, "*")
			if rapid.Bool().Draw(t, "literal") {
				source = append(source, "l")
				dest = append(dest, "m")
			}
			dest = append(dest, fmt.Sprintf("$%d", at+1))
			_ = i
		}
		if rapid.Bool().Draw(t, "tail") {
			source, dest = append(source, ">"), append(dest, ">")
		}
		tr, err := ParseImport(strings.Join(source, "."), strings.Join(dest, "."))
		if err != nil {
			t.Fatal(err)
		}
		inv := tr.Inverse()
		if again, err := ParseImport(inv.Source(), inv.Destination()); err != nil || again.Pattern() != tr.Source() {
			t.Fatalf("inverse %s -> %s: %v", inv.Source(), inv.Destination(), err)
		}
		token := rapid.SampledFrom([]string{"a", "b", "c", "*"})
		var tokens []string
		for _, s := range source {
			switch s {
			case "*":
				s = token.Draw(t, "token")
			case ">":
				s = rapid.SampledFrom([]string{"x", "x.y", "*.y", ">", "x.>"}).Draw(t, "rest")
			}
			tokens = append(tokens, s)
		}
		subj := strings.Join(tokens, ".")
		there := tr.Append(nil, []byte(subj))
		if !Subset(there, tr.Pattern()) {
			t.Fatalf("%s becomes %s, which is not in %s", subj, there, tr.Pattern())
		}
		if back := string(inv.Append(nil, there)); back != subj {
			t.Fatalf("%s becomes %s and then %s", subj, there, back)
		}
	})
}

func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		source, dest string
		want         bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a.*", "a.$1", true}, {"a.*.*", "a.$2.$1", false},
		{"a.*.>", "a.$1.>", true}, {"a.*", "a.{{left(1,3)}}", false}, {"a.>", "b.a.>", false},
	} {
		tr, err := ParseTransform(c.source, c.dest)
		if err != nil || tr.Identity() != c.want {
			t.Errorf("%s -> %s: %v, %v", c.source, c.dest, tr.Identity(), err)
		}
	}
}

// TestIntersect against Match, over all subjects of few tokens.
func TestIntersect(t *testing.T) {
	var all []string
	var grow func(prefix string, n int)
	grow = func(prefix string, n int) {
		for _, tok := range []string{"a", "b", "c"} {
			all = append(all, prefix+tok)
			if n > 1 {
				grow(prefix+tok+".", n-1)
			}
		}
	}
	grow("", 4)
	pattern := rapid.Custom(func(t *rapid.T) string {
		tokens := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*"}), 0, 3).Draw(t, "tokens")
		if len(tokens) == 0 || rapid.Bool().Draw(t, "rest") {
			tokens = append(tokens, ">")
		}
		return strings.Join(tokens, ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := pattern.Draw(t, "a"), pattern.Draw(t, "b")
		both, ok := Intersect(a, b)
		if ok != Overlap(a, b) {
			t.Fatalf("Intersect(%s, %s) = %s, %v", a, b, both, ok)
		}
		for _, s := range all {
			if want := Match(a, s) && Match(b, s); want != (ok && Match(both, s)) {
				t.Fatalf("Intersect(%s, %s) = %s, wrong for %s", a, b, both, s)
			}
		}
	})
}

func TestTransformAllocatesNothing(t *testing.T) {
	tr, err := ParseTransform("a.*.*.>", "b.{{partition(7,1,2)}}.{{split(1,-)}}.{{slicefromright(2,2)}}.{{random(4)}}.>")
	if err != nil {
		t.Fatal(err)
	}
	buf, subj := make([]byte, 0, 256), []byte("a.x-y.12345.t.u")
	if n := testing.AllocsPerRun(100, func() { tr.Append(buf, subj) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzTransform(f *testing.F) {
	f.Add("a.*.*", "b.$2.{{split(1,-)}}", "a.x-y.z")
	f.Add("a.>", "b.>", "a.x")
	f.Add("*", "{{slicefromleft(1,2)}}.{{partition(3)}}", "abcdef")
	f.Fuzz(func(t *testing.T, source, dest, subj string) {
		tr, err := ParseTransform(source, dest)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		out := tr.Append(nil, []byte(subj))
		if Match(source, subj) && !NoEmptyToken(out) {
			t.Errorf("%q -> %q makes %q of %q", source, dest, out, subj)
		}
		if strict, err := ParseImport(source, dest); err == nil && Match(source, subj) {
			if back := string(strict.Inverse().Append(nil, out)); back != subj {
				t.Errorf("%q -> %q makes %q of %q, and of that %q", source, dest, out, subj, back)
			}
		}
	})
}
