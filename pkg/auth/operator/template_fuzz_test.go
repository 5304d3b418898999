package operator

import (
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/subject"
)

// FuzzTemplate: no value of a user's makes a subject wider than the template with
// a wildcard for one token, or at its end for the rest, in the place of each value.
func FuzzTemplate(f *testing.F) {
	f.Add("u.{{name()}}.>", "joe", "team:red")
	f.Add("t.{{tag(team)}}", "joe", "team:a.b")
	f.Add("{{name()}}{{tag(team)}}", ">", "team:*")
	f.Add("u.{{ NAME() }}x", "a.b", "")
	f.Add("u.{{name()}} q", "a", "team:x y")
	f.Fuzz(func(t *testing.T, entry, name, tag string) {
		v := &values{name: name, subject: "U", tags: jwt.TagList{tag}}
		out, err := v.expand([]string{entry}, false)
		if err != nil {
			return
		}
		// Tokens of the template that hold an operation may be anything; the last one
		// anything that follows.
		words := strings.Split(entry, " ")
		wide := make([]string, len(words))
		for i, w := range words {
			tokens := strings.Split(operation.ReplaceAllString(w, "\x00"), ".")
			for j, tok := range tokens {
				if strings.Contains(tok, "\x00") {
					tokens[j] = "*"
					if tok == "\x00" && j == len(tokens)-1 && len(words) == 1 {
						tokens[j] = ">"
					}
				}
			}
			wide[i] = strings.Join(tokens, ".")
		}
		for _, got := range out {
			for i, w := range strings.Split(got, " ") {
				if i >= len(wide) || !subject.Subset(w, wide[i]) {
					t.Fatalf("%q of %q with %q and %q", got, entry, name, tag)
				}
			}
		}
	})
}
