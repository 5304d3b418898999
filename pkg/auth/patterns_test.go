package auth

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/subject"
)

// Whatever the list, it covers what one of its entries covers, and nothing else.
func TestPatterns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.SampledFrom([]string{"a", "b", "c", "ab", "*", ">", "a*", ">b"})
		name := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(token, 1, 5).Draw(t, "tokens"), ".") })
		var list []rule
		for _, s := range rapid.SliceOfN(name, 0, 40).Draw(t, "list") {
			if subject.ValidSubscribe([]byte(s)) {
				list = append(list, rule{subject: []byte(s)})
			}
		}
		p := newPatterns(list)
		for _, s := range append(rapid.SliceOfN(name, 1, 20).Draw(t, "published"), "", ".", "a.", ".a", "a..b") {
			want := false
			for _, r := range list {
				want = want || subject.Match(r.subject, []byte(s))
			}
			if got := p.match([]byte(s)); got != want {
				t.Fatalf("%q covers %q: %v", list, s, got)
			}
		}
	})
}
