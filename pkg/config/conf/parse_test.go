package conf

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// TestTranscripts parses the inputs of testdata/*.txt. The argument "file="
// stores an input for later includes, "env=(NAME=text,...)" sets variables.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		files := map[string]string{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "file" {
				files[d.CmdArgs[0].Key] = d.Input
				return ""
			}
			env := map[string]string{}
			for _, a := range d.CmdArgs {
				env[a.Key] = strings.Join(a.Vals, ",")
			}
			opts := Options{
				Lookup: func(n string) (string, bool) { v, ok := env[n]; return v, ok },
				ReadFile: func(p string) ([]byte, error) {
					if text, ok := files[p]; ok {
						return []byte(text), nil
					}
					return nil, &os.PathError{Op: "open", Path: p, Err: os.ErrNotExist}
				},
			}
			v, err := Parse("f.conf", []byte(d.Input), opts)
			if err != nil {
				return "error: " + err.Error() + "\n"
			}
			var b strings.Builder
			dump(&b, v, "")
			return b.String()
		})
	})
}

// dump prints one value per line: key, position, kind and value.
func dump(b *strings.Builder, v *Value, indent string) {
	for _, e := range v.Entries {
		used := ""
		if e.Variable {
			used = " (variable)"
		}
		fmt.Fprintf(b, "%s%s @%s%s = %s\n", indent, e.Key, strings.TrimPrefix(e.Pos.String(), "f.conf:"), used, e.Value.Describe())
		dump(b, e.Value, indent+"  ")
	}
	for _, it := range v.Items {
		fmt.Fprintf(b, "%s- @%d:%d %s\n", indent, it.Pos.Line, it.Pos.Col, it.Describe())
		dump(b, it, indent+"  ")
	}
}

func TestDigest(t *testing.T) {
	for _, c := range []struct{ text, canonical string }{
		{"port: 4333", `{"port":4333}`},
		{`{"port": 4333}`, `{"port":4333}`},
		{"max_payload: 2mib", `{"max_payload":2097152}`},
		{"b: 1\na: 2\nb: 3", `{"a":2,"b":3}`},
		{"h: '<&>'", `{"h":"\u003c\u0026\u003e"}`},
		{"t: 2020-01-02T03:04:05Z", `{"t":"2020-01-02T03:04:05Z"}`},
		{"X = 5; y: $X", `{"X":5,"y":5}`},
	} {
		v, err := Parse("f", []byte(c.text), Options{})
		if err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		got, err := json.Marshal(v.Plain())
		if err != nil || string(got) != c.canonical {
			t.Errorf("%q: canonical %s, want %s (%v)", c.text, got, c.canonical, err)
		}
	}
	v, _ := Parse("f", []byte("port: 4333"), Options{})
	sum, err := v.Digest()
	if err != nil || !strings.HasPrefix(sum, "sha256:5942f673") || !strings.HasSuffix(sum, "eb80d") {
		t.Errorf("digest %s (%v) is not the one the reference prints", sum, err)
	}
}

func TestMissingFile(t *testing.T) {
	_, err := ParseFile("nofile.conf", Options{})
	if err == nil || err.Error() != "open nofile.conf: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

func TestAbsoluteInclude(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	inc := filepath.Join(other, "inc.conf")
	if err := os.WriteFile(inc, []byte("port: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "main.conf")
	if err := os.WriteFile(main, []byte("include "+inc), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := ParseFile(main, Options{})
	if err != nil || v.Get("port") == nil || v.Get("port").Pos.File != inc {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestBounds(t *testing.T) {
	bomb := "a0: [1,1]\n"
	for i := range 40 {
		bomb += fmt.Sprintf("a%d: [$a%d, $a%d]\n", i+1, i, i)
	}
	self := func(string) ([]byte, error) { return []byte("include other\ninclude other2"), nil }
	for name, c := range map[string]struct {
		text, want string
		opts       Options
	}{
		"expansion": {bomb, "values after expansion", Options{}},
		"nesting":   {"a: " + strings.Repeat("[", 100000), "levels of nesting", Options{}},
		"maps":      {strings.Repeat("a {", 100000), "levels of nesting", Options{}},
		"includes":  {"include x", "includes itself", Options{ReadFile: self}},
		"variables": {"a: $V", "variable reference cycle for 'V'", Options{Lookup: func(string) (string, bool) { return "$V", true }}},
		"spreading": {"a: $V", "refer to each other", Options{Lookup: func(n string) (string, bool) { return "$x" + n, true }}},
	} {
		if _, err := Parse("f", []byte(c.text), c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %.200v, want %q", name, err, c.want)
		}
	}
}

// TestJSON: every JSON object of the kinds the format knows reads as itself.
func TestJSON(t *testing.T) {
	text := rapid.StringMatching(`[ -~\n]{0,12}`).Filter(func(s string) bool { return s != "" })
	key := rapid.StringMatching(`[A-Za-z_.$>* ]{1,8}`)
	scalar := rapid.OneOf(text.AsAny(), rapid.Int64().AsAny(), rapid.Bool().AsAny())
	value := rapid.OneOf(scalar, rapid.SliceOfN(scalar, 0, 4).AsAny(), rapid.MapOfN(key, scalar, 0, 4).AsAny())
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOfN(key, value, 0, 5).Draw(t, "map")
		want := encode(m)
		v, err := Parse("f", []byte(want), Options{})
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if got := encode(v.Plain()); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

// encode writes JSON without escapes that the format does not know.
func encode(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/transcripts/*")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "\n\n") {
			f.Add([]byte(part))
		}
	}
	files := map[string][]byte{"a.conf": []byte("x: 1\ninclude b.conf"), "b.conf": []byte("y { z: $x }")}
	opts := Options{
		Lookup: func(n string) (string, bool) { return "$" + n + "x", len(n) < 4 },
		ReadFile: func(p string) ([]byte, error) {
			if text, ok := files[p]; ok {
				return text, nil
			}
			return nil, errors.New("none")
		},
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Parse("fuzz.conf", text, opts)
		if err != nil {
			return
		}
		if v.Kind != Map || v.Weight() > MaxWeight {
			t.Fatalf("kind %v, weight %d", v.Kind, v.Weight())
		}
		if _, err := v.Digest(); err != nil {
			t.Fatal(err)
		}
	})
}
