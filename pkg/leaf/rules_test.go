package leaf

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/subject"
)

func pattern1(t *rapid.T, label string) string {
	n := rapid.IntRange(1, 4).Draw(t, label+" tokens")
	var tokens []string
	for i := range n {
		choice := []string{"a", "b", "*"}
		if i == n-1 {
			choice = append(choice, ">")
		}
		tokens = append(tokens, rapid.SampledFrom(choice).Draw(t, label))
	}
	return strings.Join(tokens, ".")
}

// What a spoke announces never gets it cut off, and what it announces of a literal is what
// messages of that subject are judged by.
func TestRulesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) (list []string) {
			for range rapid.IntRange(0, 3).Draw(t, label+" count") {
				list = append(list, pattern1(t, label))
			}
			return list
		}
		f := newFilter(draw("allow"), draw("deny"), rapid.Bool().Draw(t, "none"))
		want := pattern1(t, "interest")
		literal := strings.NewReplacer("*", "a", ">", "b").Replace(want)
		if f.incoming([]byte(literal)) != f.outgoing([]byte(literal)) {
			t.Fatalf("%s: %v one way, %v the other", literal, f.incoming([]byte(literal)), f.outgoing([]byte(literal)))
		}
		if !subject.HasWildcard(want) {
			if f.interest([]byte(want)) != f.outgoing([]byte(want)) {
				t.Fatalf("%s: interest %v, messages %v", want, f.interest([]byte(want)), f.outgoing([]byte(want)))
			}
			return
		}
		// A subject that may be sent and is wanted has its interest announced.
		if f.outgoing([]byte(literal)) && subject.Match(want, literal) && !f.interest([]byte(want)) {
			t.Fatalf("%s may be sent, but interest in %s is not told", literal, want)
		}
	})
}

func TestRulesQueueEntries(t *testing.T) {
	f := newFilter([]string{"q.* grp", "p.>"}, []string{"p.x bad", "p.no"}, false)
	for _, c := range []struct {
		subj   string
		plain  bool
		groups string
	}{
		{"q.a", false, "grp"},
		{"p.x", true, "grp other"},
		{"p.y", true, "grp other bad"},
		{"p.no", false, ""},
		{"z", false, ""},
	} {
		plain, groups := f.prune(nil, []byte(c.subj), true, [][]byte{[]byte("grp"), []byte("other"), []byte("bad")})
		var names []string
		for _, g := range groups {
			names = append(names, string(g))
		}
		if got := strings.Join(names, " "); plain != c.plain || got != c.groups {
			t.Errorf("%s: plain %v groups %q, want %v %q", c.subj, plain, got, c.plain, c.groups)
		}
	}
}
