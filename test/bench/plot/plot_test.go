package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// elements counts a picture's elements by class, and fails when it is no XML.
func elements(t interface{ Fatalf(string, ...any) }, svg []byte) map[string]int {
	n := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, svg)
		}
		if e, ok := tok.(xml.StartElement); ok {
			class := ""
			for _, a := range e.Attr {
				if a.Name.Local == "class" {
					class = " " + a.Value
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Fatalf("%s has %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
			}
			n[e.Name.Local+class]++
		}
	}
}

func TestChart(t *testing.T) {
	c := Chart{Title: "a < b & c", X: "subscriptions", Y: "us", Series: []Series{
		{"ours", []Point{{1, 0.2, 0.1, 0.3}, {1000, 0.2, 0.2, 0.2}, {1e6, 0.4, 0.3, 0.5}}},
		{"theirs", []Point{{1, 1, 0.9, 1.1}, {1e6, 2, 1, 3}}},
	}}
	svg := c.SVG()
	got := elements(t, svg)
	for class, want := range map[string]int{
		"circle s0": 3, "rect s1": 2, "polyline line s0": 1, "polyline line s1": 1, "path range s0": 2, "path range s1": 2, "text s0": 1, "text s1": 1,
	} {
		if got[class] != want {
			t.Errorf("%d of %q, want %d", got[class], class, want)
		}
	}
	for _, want := range []string{"a &lt; b &amp; c", ">1k<", ">1M<", "prefers-color-scheme: dark"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
}

func TestWhatHasNoLogarithmIsLeftOut(t *testing.T) {
	got := elements(t, Chart{Title: "t", Series: []Series{
		{"a", []Point{{0, 1, 1, 1}, {1, 0, 0, 0}, {1, math.NaN(), 1, 1}, {1, 1, 1, math.Inf(1)}, {2, 1, 1, 1}}},
		{"b", nil},
	}}.SVG())
	if got["circle s0"] != 1 || got["rect s1"] != 0 {
		t.Errorf("got %v", got)
	}
	if elements(t, Chart{}.SVG())["rect ground"] != 1 {
		t.Error("an empty chart has no ground")
	}
}

func TestEverythingIsInsideTheField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(1e-6, 1e9), 1, 20).Draw(t, "values")
		a := newAxis(values, 100, 500)
		last := math.Inf(-1)
		for _, v := range slices.Sorted(slices.Values(values)) {
			at := a.at(v)
			if at < 100 || at > 500 || at < last {
				t.Fatalf("%v of %v is at %v, after %v", v, values, at, last)
			}
			last = at
		}
		for _, tick := range a.ticks {
			if at := a.at(tick); at < 100 || at > 500 {
				t.Fatalf("tick %v is at %v", tick, at)
			}
		}
		if slices.Max(values) > 100*slices.Min(values) && len(a.ticks) < 2 {
			t.Fatalf("%v has the ticks %v", values, a.ticks)
		}
	})
}
