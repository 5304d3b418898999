package plot

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Point is a value at X with its range. All four are above 0 and Low <= Y <= High.
type Point struct{ X, Y, Low, High float64 }

// Series is one line, its points by rising X. A chart has room for two.
type Series struct {
	Name   string
	Points []Point
}

// Chart is a picture. Points with a value that has no logarithm are left out.
type Chart struct {
	Title  string
	X, Y   string // what the axes show, with the unit
	Series []Series
}

// Size of the picture and of the field with the lines.
const (
	width, height            = 680, 380
	left, right, top, bottom = 72, 560, 48, 320
	tickLength, markRadius   = 5, 4
	leastRoom, labelLine     = 1.2, 14
	whisker                  = 4
)

// style has the colours of both surroundings. The two lines differ in brightness too.
const style = `
 text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
 .title { font-size: 15px; font-weight: 600 }
 .ground { fill: #ffffff }
 .grid { stroke: #d0d7de; stroke-width: 1 }
 .frame { stroke: #57606a; stroke-width: 1; fill: none }
 .s0 { stroke: #0550ae; fill: #0550ae } .s1 { stroke: #bc4c00; fill: #bc4c00 }
 polyline.line { fill: none; stroke-width: 2.2 } .s1.line { stroke-dasharray: 7 4 }
 .range { stroke-width: 1.2; opacity: .7 }
 text.s0, text.s1 { stroke: none; font-weight: 600 }
 @media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .ground { fill: #0d1117 } .grid { stroke: #30363d } .frame { stroke: #8b949e }
  .s0 { stroke: #79c0ff; fill: #79c0ff } .s1 { stroke: #ffa657; fill: #ffa657 }
 }
`

// SVG draws the chart. Without a point that can be drawn it is an empty field with its title.
func (c Chart) SVG() []byte {
	c.Series = drawable(c.Series)
	var xs, ys []float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			xs, ys = append(xs, p.X), append(ys, p.Low, p.High)
		}
	}
	x, y := newAxis(xs, left, right), newAxis(ys, bottom, top)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, escape(c.Title))
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", escape(c.Title), style)
	fmt.Fprintf(&b, `<rect class="ground" width="%d" height="%d" rx="6"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="26">%s</text>`+"\n", left, escape(c.Title))
	for _, t := range x.ticks {
		at := x.at(t)
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, at, at, top, bottom+tickLength)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at, bottom+20, label(t))
	}
	for _, t := range y.ticks {
		at := y.at(t)
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, left-tickLength, right, at, at)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-9, at+4, label(t))
	}
	fmt.Fprintf(&b, `<rect class="frame" x="%d" y="%d" width="%d" height="%d"/>`+"\n", left, top, right-left, bottom-top)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+right)/2, height-16, escape(c.X))
	fmt.Fprintf(&b, `<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+bottom)/2, escape(c.Y))
	for i, s := range c.Series {
		drawLine(&b, i%2, s, x, y)
	}
	drawNames(&b, c.Series, y)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func drawLine(b *bytes.Buffer, class int, s Series, x, y axis) {
	var path []string
	for _, p := range s.Points {
		px := x.at(p.X)
		path = append(path, fmt.Sprintf("%.1f,%.1f", px, y.at(p.Y)))
		if p.High > p.Low {
			lo, hi := y.at(p.Low), y.at(p.High)
			fmt.Fprintf(b, `<path class="range s%d" d="M%.1f %.1fH%.1fM%.1f %.1fH%.1fM%.1f %.1fV%.1f"/>`+"\n",
				class, px-whisker, lo, px+whisker, px-whisker, hi, px+whisker, px, lo, hi)
		}
	}
	fmt.Fprintf(b, `<polyline class="line s%d" points="%s"/>`+"\n", class, strings.Join(path, " "))
	for _, p := range s.Points {
		px, py := x.at(p.X), y.at(p.Y)
		if class == 0 {
			fmt.Fprintf(b, `<circle class="s0" cx="%.1f" cy="%.1f" r="%d"/>`, px, py, markRadius)
		} else {
			fmt.Fprintf(b, `<rect class="s1" x="%.1f" y="%.1f" width="%d" height="%d"/>`, px-markRadius, py-markRadius, 2*markRadius, 2*markRadius)
		}
	}
	b.WriteByte('\n')
}

// drawNames puts each line's name behind its last point, moved apart when they would overlap.
func drawNames(b *bytes.Buffer, series []Series, y axis) {
	type name struct {
		class int
		text  string
		at    float64
	}
	var names []name
	for i, s := range series {
		names = append(names, name{i % 2, s.Name, y.at(s.Points[len(s.Points)-1].Y) + 4})
	}
	slices.SortFunc(names, func(a, b name) int { return cmp.Compare(a.at, b.at) })
	for i := 1; i < len(names); i++ {
		names[i].at = max(names[i].at, names[i-1].at+labelLine)
	}
	for _, n := range names {
		fmt.Fprintf(b, `<text class="s%d" x="%d" y="%.1f">%s</text>`+"\n", n.class, right+10, n.at, escape(n.text))
	}
}

// drawable keeps what has a place on logarithmic axes.
func drawable(in []Series) []Series {
	var out []Series
	for _, s := range in {
		points := slices.DeleteFunc(slices.Clone(s.Points), func(p Point) bool {
			return !(p.X > 0 && p.Low > 0 && p.Y >= p.Low && p.High >= p.Y) || math.IsInf(p.X, 0) || math.IsInf(p.High, 0)
		})
		if len(points) > 0 {
			out = append(out, Series{s.Name, points})
		}
	}
	return out
}

// axis maps values to places by their logarithm.
type axis struct {
	low, high float64 // values at its ends
	from, to  float64 // places of its ends
	ticks     []float64
}

func newAxis(values []float64, from, to float64) axis {
	a := axis{low: 1, high: 10, from: from, to: to}
	if len(values) > 0 {
		a.low, a.high = slices.Min(values)/leastRoom, slices.Max(values)*leastRoom
	}
	a.ticks = ticks(a.low, a.high)
	return a
}

func (a axis) at(v float64) float64 {
	return a.from + (a.to-a.from)*math.Log(v/a.low)/math.Log(a.high/a.low)
}

// ticks are powers of ten within low and high, and also twice and five times those when they are few.
func ticks(low, high float64) []float64 {
	steps := []float64{1}
	if math.Log10(high/low) < 2.5 {
		steps = []float64{1, 2, 5}
	}
	var out []float64
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, s := range steps {
			if v := s * math.Pow(10, e); v >= low && v <= high {
				out = append(out, v)
			}
		}
	}
	return out
}

// label prints 0.02, 5, 200, 1k, 1M.
func label(v float64) string {
	unit := ""
	switch {
	case v >= 999_999:
		v, unit = v/1e6, "M"
	case v >= 999:
		v, unit = v/1e3, "k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64) + unit
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}
