//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A document is prose with a section for each set of scenarios, between marks; a run replaces the sections of its set and
// leaves everything else alone.

func markOf(set string) (begin, end string) {
	return "<!-- bench:" + set + " -->\n", "<!-- end of bench:" + set + " -->\n"
}

// replaceSection puts body between the marks of a set; a document without them gets them at its end.
func replaceSection(doc []byte, set string, body []byte) ([]byte, error) {
	begin, end := markOf(set)
	section := append(append([]byte(begin), body...), end...)
	at := bytes.Index(doc, []byte(begin))
	if at < 0 {
		if len(doc) > 0 && !bytes.HasSuffix(doc, []byte("\n\n")) {
			doc = append(bytes.TrimRight(doc, "\n"), "\n\n"...)
		}
		return append(doc, section...), nil
	}
	length := bytes.Index(doc[at:], []byte(end))
	if length < 0 {
		return nil, fmt.Errorf("the section %s has no line %q", set, strings.TrimSpace(end))
	}
	var out []byte
	out = append(append(out, doc[:at]...), section...)
	return append(out, doc[at+length+len(end):]...), nil
}

// writeDocument replaces the section of the report's set in a file, which it makes when there is none. Pictures are written
// into the directory images.
func (r *report) writeDocument(file, images string) error {
	doc, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	body, err := r.section(filepath.Dir(file), images)
	if err != nil {
		return err
	}
	if doc, err = replaceSection(doc, r.Set, body); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, doc, 0o644)
}

// section is the text of the report's set, for a document in directory base.
func (r *report) section(base, images string) ([]byte, error) {
	var b bytes.Buffer
	r.facts(&b)
	switch r.Set {
	case curves:
		if err := r.curves(&b, base, images); err != nil {
			return nil, err
		}
	case rivals, gc:
		r.wide(&b)
	default:
		r.pairTable(&b)
	}
	return b.Bytes(), nil
}

// facts say what was measured, when and where.
func (r *report) facts(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n- Date: %s\n", r.Date.UTC().Format(dateFormat))
	for _, s := range r.Sides {
		fmt.Fprintf(b, "- %s: `%s`, %s%s", s.Name, filepath.Base(s.Exe), s.Version, s.builtFrom())
		if len(s.Env) > 0 {
			fmt.Fprintf(b, ", with `%s`", strings.Join(s.Env, " "))
		}
		b.WriteString("\n")
	}
	if len(r.Sides) < 2 {
		fmt.Fprintf(b, "- No other server was found (`nats-server` on PATH or named by `NATS_SERVER`): no ratios.\n")
	}
	for _, why := range r.Missing {
		fmt.Fprintf(b, "- Left out: %s\n", why)
	}
	if r.Same {
		fmt.Fprintf(b, "- **Both sides are the same binary**: this run checks the programme; every ratio should be 1.0 within its range.\n")
	}
	if len(r.Merged) > 0 {
		fmt.Fprintf(b, "- Rows of several runs: those not measured at this date are of %s\n", strings.Join(r.Merged, ", "))
	}
	m := r.Machine
	fmt.Fprintf(b, "- Machine: %d cores of %s, %d GiB, %s, %s; servers and load share it over loopback\n", m.Cores, m.CPU, m.Memory>>30, m.Kernel, m.Go)
	fmt.Fprintf(b, "- At most %d pairs (A B, B A, ...) of each scenario, fewer of the long ones; fresh servers each; %.1f s of load unless a scenario needs more\n\n",
		r.Pairs, r.Phase)
}

func (r *report) pairTable(b *bytes.Buffer) {
	b.WriteString("| scenario | CPU us A / B | messages/s A / B | p50 us A / B | p99 us A / B | p99.9 us A / B | ratio (range) | verdict |\n" +
		"|---|---|---|---|---|---|---|---|\n")
	for i := range r.Results {
		res := &r.Results[i]
		ratio := ratioText(res.Ratio)
		if res.Figure != "CPU" && res.Ratio.N > 0 {
			ratio = res.Figure + ": " + ratio
		}
		fmt.Fprintf(b, "| %s (`%s`) | %s | %s | %s | %s | %s | %s | %s |\n", res.Title, res.Name, res.all("CPU"), res.all("rate"),
			res.all("p50"), res.all("p99"), res.all("p99.9"), ratio, res.verdictCell())
	}
	b.WriteString("\nWhat these scenarios measured besides:\n\n| scenario | what | A | B |\n|---|---|---|---|\n")
	for i := range r.Results {
		r.Results[i].besides(b)
	}
	b.WriteString("\n")
}

// verdictCell makes what is missed stand out.
func (res *result) verdictCell() string {
	v := strings.ReplaceAll(res.Verdict, "|", "\\|")
	for _, word := range []string{"MISSED", "FAILED", "HIGHER", "DISTURBED", "BENDS UPWARD", "GROWS"} {
		v = strings.ReplaceAll(v, word, "**"+word+"**")
	}
	return v
}

// besides are the figures that a scenario has alone, and the system calls per message where they say something.
func (res *result) besides(b *bytes.Buffer) {
	if len(res.Runs) == 0 {
		return
	}
	names := res.extras()
	if runs := res.Runs[res.Sides[0]]; len(runs) > 0 && runs[0].Latency != nil {
		names = append(names, "reads/message", "writes/message", "switches/message")
	}
	for _, name := range names {
		fmt.Fprintf(b, "| `%s` | %s |", res.Name, name)
		for _, side := range res.Sides {
			fmt.Fprintf(b, " %s |", res.mid(side, name))
		}
		b.WriteString("\n")
	}
}

// curves are a picture, a verdict and a table each.
func (r *report) curves(b *bytes.Buffer, base, images string) error {
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	link, err := filepath.Rel(base, images)
	if err != nil {
		return err
	}
	names := make([]string, len(r.Sides))
	for i, s := range r.Sides {
		names[i] = filepath.Base(s.Exe)
	}
	var table bytes.Buffer
	b.WriteString("Bars in the pictures are the range over the pairs; both axes are logarithmic. A curve bends upward when its last point\n" +
		"costs more than the allowance times the least of the others.\n\n")
	for _, c := range allCurves() {
		points := c.of(r.Results)
		if len(points) == 0 {
			continue
		}
		file := c.name + ".svg"
		if err := os.WriteFile(filepath.Join(images, file), c.chart(points, names).SVG(), 0o644); err != nil {
			return err
		}
		line := &result{Verdict: c.verdict(points)}
		fmt.Fprintf(b, "### Curve: %s, by %s\n\n%s.\n\n![%s](%s)\n\n", c.title, c.axis, line.verdictCell(), c.title, path.Join(filepath.ToSlash(link), file))
		for _, p := range points {
			fmt.Fprintf(&table, "| `%s` | %s | %s | %s | %s | %s |\n", c.name, thousands(int(p.X)), p.all(p.Figure), ratioText(p.Ratio), p.all("rate"), p.extraText())
		}
	}
	b.WriteString("### The points of the curves\n\n| curve | x | A / B | ratio (range) | messages/s A / B | besides, A / B |\n|---|---|---|---|---|---|\n")
	b.Write(table.Bytes())
	for i := range r.Results {
		if res := &r.Results[i]; res.Failure != "" || res.Skipped != "" {
			fmt.Fprintf(b, "| `%s` | %s | | | | %s |\n", res.Curve, thousands(int(res.X)), res.verdictCell())
		}
	}
	b.WriteString("\n")
	return nil
}

func (res *result) extraText() string {
	var out []string
	for _, name := range res.extras() {
		if name != res.Figure {
			out = append(out, name+" "+res.all(name))
		}
	}
	return strings.Join(out, "; ")
}

// wide is a table with a column for each side.
func (r *report) wide(b *bytes.Buffer) {
	if r.Set == gc {
		r.together(b)
	}
	b.WriteString("| scenario | what |")
	rule := "|---|---|"
	for _, s := range r.Sides {
		fmt.Fprintf(b, " %s |", s.Name)
		rule += "---|"
	}
	fmt.Fprintf(b, "\n%s\n", rule)
	for i := range r.Results {
		res := &r.Results[i]
		row := func(what string, cell func(side string) string) {
			fmt.Fprintf(b, "| %s (`%s`) | %s |", res.Title, res.Name, what)
			for _, s := range r.Sides {
				fmt.Fprintf(b, " %s |", cell(s.Name))
			}
			b.WriteString("\n")
		}
		row("CPU us/"+res.Per, func(s string) string { return res.mid(s, "CPU") })
		row("of "+r.Sides[0].Name+", as a ratio (range)", func(s string) string {
			if s == r.Sides[0].Name {
				return "1"
			}
			return ratioText(res.over(res.Figure, s, r.Sides[0].Name))
		})
		row("resident, MB", func(s string) string { return res.mid(s, "resident, MB") })
		if res.all("p50") != "" {
			row("p50 / p99 / p99.9 us", func(s string) string {
				return res.mid(s, "p50") + " / " + res.mid(s, "p99") + " / " + res.mid(s, "p99.9")
			})
		}
		for _, side := range sortedKeys(res.Absent) {
			fmt.Fprintf(b, "| `%s` | %s took no part: %s |\n", res.Name, side, strings.ReplaceAll(res.Absent[side], "|", "\\|"))
		}
		if res.Failure == "" { // the figures are above
			res = &result{Name: res.Name, Verdict: disturbance(res.Foreign)}
		}
		if res.Verdict != "" {
			fmt.Fprintf(b, "| `%s` | %s |\n", res.Name, res.verdictCell())
		}
	}
	b.WriteString("\n")
}

// together says in a line for each side what it takes of the first one, over all scenarios alike.
func (r *report) together(b *bytes.Buffer) {
	mean := func(side, figure string) string {
		sum, n := 0.0, 0
		for i := range r.Results {
			if s := r.Results[i].over(figure, side, r.Sides[0].Name); s.N > 0 {
				sum += math.Log(s.Median)
				n++
			}
		}
		if n == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", math.Exp(sum/float64(n)))
	}
	for _, s := range r.Sides[1:] {
		fmt.Fprintf(b, "- %s: %s of the CPU and %s of the memory of %s (geometric means over the scenarios)\n",
			s.Name, mean(s.Name, "CPU"), mean(s.Name, "resident, MB"), r.Sides[0].Name)
	}
	b.WriteString("\n")
}
