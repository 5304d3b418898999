//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplaceSection(t *testing.T) {
	doc := []byte("# Title\n\nprose\n")
	for _, step := range []struct{ set, body, want string }{
		{"one", "1\n", "# Title\n\nprose\n\n<!-- bench:one -->\n1\n<!-- end of bench:one -->\n"},
		{"two", "2\n", "# Title\n\nprose\n\n<!-- bench:one -->\n1\n<!-- end of bench:one -->\n\n<!-- bench:two -->\n2\n<!-- end of bench:two -->\n"},
		{"one", "new\n", "# Title\n\nprose\n\n<!-- bench:one -->\nnew\n<!-- end of bench:one -->\n\n<!-- bench:two -->\n2\n<!-- end of bench:two -->\n"},
	} {
		var err error
		if doc, err = replaceSection(doc, step.set, []byte(step.body)); err != nil || string(doc) != step.want {
			t.Fatalf("%s: %v\n%s", step.set, err, doc)
		}
	}
	if _, err := replaceSection([]byte("<!-- bench:one -->\nno end\n"), "one", nil); err == nil {
		t.Error("a section without end was replaced")
	}
}

// point is a result of a curve with one run of each side.
func point(c *curve, x, a, b float64) result {
	m := func(v float64) []measure {
		one := func(v float64) measure {
			return measure{CPU: v, Latency: &latency{P50: v}, Extra: map[string]float64{perDelivery: v}}
		}
		return []measure{one(v), one(1.1 * v)}
	}
	r := result{Name: "p", Title: "p", Figure: c.figure, Curve: c.name, X: x, Sides: []string{"A", "B"}, Runs: map[string][]measure{"A": m(a), "B": m(b)}}
	if r.Figure == "" {
		r.Figure = "CPU"
	}
	r.conclude(&scenario{}, false)
	return r
}

func TestVerdictsOfCurves(t *testing.T) {
	flat := curve{name: "flat", axis: "things", allow: 1.5}
	rising := curve{name: "rising", axis: "bytes", allow: 1.5, linear: true, from: 100}
	for _, c := range []struct {
		curve  curve
		points [][3]float64 // x, A, B
		want   []string
	}{
		{flat, [][3]float64{{1, 1, 2}, {10, 1.2, 3}, {100, 1.4, 4}}, []string{"does not bend upward", "100 is 1.40", "the other's 2.00 times", "does not grow (0.50 to 0.35)"}},
		{flat, [][3]float64{{100, 1.6, 4}, {1, 1, 2}}, []string{"BENDS UPWARD", "1.60 times"}},
		{flat, [][3]float64{{1, 1, 2}, {10, 1.2, 1}}, []string{"does not bend upward", "GROWS in every pair (0.50 to 1.20)"}},
		{rising, [][3]float64{{1, 50, 50}, {100, 10, 50}, {1000, 100, 500}}, []string{"does not bend upward: cost per byte at 1,000 is 1.00"}},
		{rising, [][3]float64{{100, 10, 50}, {1000, 200, 500}}, []string{"BENDS UPWARD"}},
		{flat, [][3]float64{{1, 1, 2}}, []string{"not enough points"}},
	} {
		var results []result
		for _, p := range c.points {
			results = append(results, point(&c.curve, p[0], p[1], p[2]))
		}
		got := c.curve.verdict(c.curve.of(results))
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%v: %q lacks %q", c.points, got, want)
			}
		}
	}
}

func TestDocumentOfCurves(t *testing.T) {
	dir := t.TempDir()
	r := report{Set: curves, Sides: []*side{{Name: "A", Exe: "/x/hubd"}, {Name: "B", Exe: "/x/other"}}}
	for _, c := range allCurves() {
		if len(c.points) < 3 {
			t.Errorf("%s has %d points", c.name, len(c.points))
		}
		for _, p := range c.points {
			r.Results = append(r.Results, point(&c, p.x, 1, 2))
		}
	}
	r.Results = append(r.Results, result{Curve: "routes", X: 16, Failure: "x", Verdict: "FAILED"})
	file := filepath.Join(dir, "B.md")
	if err := r.writeDocument(file, filepath.Join(dir, "images")); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range allCurves() {
		svg, err := os.ReadFile(filepath.Join(dir, "images", c.name+".svg"))
		if err != nil || !strings.Contains(string(svg), "hubd") {
			t.Errorf("%s: no picture with our name: %v", c.name, err)
		}
		if !strings.Contains(string(doc), "images/"+c.name+".svg)") {
			t.Errorf("the document shows no picture of %s", c.name)
		}
	}
	if !strings.Contains(string(doc), "| `routes` | 16 | | | | **FAILED** |") {
		t.Error("the point that failed is not in the table")
	}
}

func TestLimits(t *testing.T) {
	res := result{Sides: []string{"A", "B"}, Runs: map[string][]measure{
		"A": {{CPU: 2, Extra: map[string]float64{"MB": 3}}}, "B": {{CPU: 4}},
	}}
	for _, c := range []struct {
		limit limit
		want  string
	}{
		{limit{figure: "MB", most: 3}, "MB 3.00, at most 3.00: met"},
		{limit{figure: "MB", most: 2}, "MISSED"},
		{limit{figure: "MB", most: 4, least: true}, "at least 4.00: MISSED"},
		{limit{figure: "CPU", most: 0.5, beside: true}, "CPU 0.50 of the other's, at most 0.50: met"},
		{limit{figure: "MB", most: 1, beside: true}, "not measured"},
	} {
		if got := res.holds(c.limit); !strings.Contains(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	res.Sides = res.Sides[:1]
	if got := res.holds(limit{figure: "CPU", most: 1, beside: true}); !strings.Contains(got, "nothing to compare") {
		t.Error(got)
	}
}

func TestWideTable(t *testing.T) {
	r := report{Set: gc, Sides: []*side{{Name: "x"}, {Name: "y"}, {Name: "z"}}}
	res := result{Name: "n", Title: "t", Per: "message", Figure: "CPU", Sides: []string{"x", "y", "z"}, Absent: map[string]string{"z": "too big"},
		Runs: map[string][]measure{"x": {{CPU: 2, RSS: 1 << 20}}, "y": {{CPU: 1, RSS: 2 << 20}}}}
	res.conclude(&scenario{}, false)
	r.Results = []result{res}
	body, err := r.section(".", ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| t (`n`) | CPU us/message | 2.00 | 1.00 | - |", "| of x, as a ratio (range) | 1 | 0.50 (0.50-0.50) | - |", "| resident, MB | 1.00 | 2.00 | - |", "z took no part: too big",
		"- y: 0.50 of the CPU and 2.00 of the memory of x", "- z: - of the CPU",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the table lacks %q:\n%s", want, body)
		}
	}
}

func TestMallocs(t *testing.T) {
	if n, err := mallocs([]byte("# Frees = 3\n# Mallocs = 12345\n# x\n")); n != 12345 || err != nil {
		t.Error(n, err)
	}
	if _, err := mallocs([]byte("nothing")); err == nil {
		t.Error("a profile without the count was understood")
	}
}

func TestRecordCounter(t *testing.T) {
	record := func(kind byte, n int) []byte {
		return append([]byte{kind, 3, 3, byte(n >> 8), byte(n)}, make([]byte, n)...)
	}
	var stream []byte
	for _, r := range [][]byte{record(22, 100), record(recordData, 16<<10), record(recordData, 1), record(20, 1), record(recordData, 300)} {
		stream = append(stream, r...)
	}
	for _, cut := range []int{1, 3, 7, 1000, len(stream)} {
		c := &recordCounter{}
		for rest := stream; len(rest) > 0; {
			n := min(cut, len(rest))
			c.count(rest[:n])
			rest = rest[n:]
		}
		if n := c.records.Load(); n != 3 {
			t.Errorf("cut into %d bytes: %d records of data, want 3", cut, n)
		}
	}
}
