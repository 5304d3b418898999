package cli

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

// Whatever a stranger publishes is one line of text that no terminal acts on.
func TestCleanTextIsHarmless(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := string(rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) })).Draw(rt, "s"))
		got := clean(s)
		if i := strings.IndexFunc(got, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }); i >= 0 {
			rt.Fatalf("%q became %q", s, got)
		}
		if again := clean(got); again != got {
			rt.Fatalf("%q became %q, then %q", s, got, again)
		}
	})
	for _, s := range []string{"", "plain", "ü€😀", `back\slash`, "tab\t"} {
		if clean(s) != s {
			t.Errorf("%q became %q", s, clean(s))
		}
	}
	if got := clean("a\u202eb\u0085"); got != `a\u202eb\u0085` {
		t.Errorf("%q", got)
	}
}

func TestParseHeaders(t *testing.T) {
	h, err := parseHeaders([]string{"a: 1", "a:2", "B:", "c: x: y "})
	if err != nil || len(h) != 3 || strings.Join(h["a"], ",") != "1,2" || h["B"][0] != "" || h["c"][0] != "x: y" {
		t.Errorf("%v, %v", h, err)
	}
	for _, bad := range []string{"", "x", ":", " : y", "a: b\r\nc: d"} {
		if _, err := parseHeaders([]string{bad}); ExitCode(err) != ExitUsage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"nats://u:p@h:1":          "nats://[REDACTED]@h:1",
		"nats://h:1,tls://t@g":    "nats://h:1,tls://[REDACTED]@g",
		"u:p@h":                   "[REDACTED]@h",
		"nats://u:p@ss@h:1/@path": "nats://[REDACTED]@path",
		"h:4222":                  "h:4222",
	} {
		if got := redact(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

func TestPacerKeepsTheRate(t *testing.T) {
	p := newPacer(1000)
	p.start = time.Now().Add(-time.Second)
	// Behind time it catches up at once and counts each message.
	for range 500 {
		if !p.wait(t.Context()) {
			t.Fatal("the context did not end")
		}
	}
	if p.n != 500 || p.every != time.Millisecond {
		t.Errorf("%+v", p)
	}
}
