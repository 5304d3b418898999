//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is everything that a run of the programme showed.
type report struct {
	Set     string    `json:"set"`
	Date    time.Time `json:"date"`
	Merged  []string  `json:"merged,omitempty"` // when rows taken from earlier runs were measured
	Machine machine   `json:"machine"`
	Sides   []*side   `json:"sides"`
	Missing []string  `json:"missing,omitempty"` // who could have been measured too, and why not
	Same    bool      `json:"same,omitempty"`    // both sides are one binary: a check of the programme itself
	Pairs   int       `json:"pairs"`
	Phase   float64   `json:"phase_seconds"`
	Results []result  `json:"results"`
}

type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

const dateFormat = "2006-01-02 15:04 MST"

func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) == nil {
		m.Memory = int64(si.Totalram) * int64(si.Unit)
	}
	return m
}

func (r *report) writeJSON(path string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// merge takes the scenarios that were not run now from an earlier run, in the order of the table of scenarios. Ratios are
// within one run, so they may stand side by side; the servers must be the same.
func (r *report) merge(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var old report
	if err := json.Unmarshal(b, &old); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if old.Set != r.Set {
		return fmt.Errorf("%s is of the set %q, this run of %q", path, old.Set, r.Set)
	}
	if len(old.Sides) != len(r.Sides) {
		return fmt.Errorf("%s compares %d servers, this run %d", path, len(old.Sides), len(r.Sides))
	}
	for i, s := range r.Sides {
		if old.Sides[i].Version != s.Version {
			return fmt.Errorf("%s measured %s as side %s, this run %s", path, old.Sides[i].Version, s.Name, s.Version)
		}
	}
	r.Merged = append(old.Merged, old.Date.UTC().Format(dateFormat))
	byName := map[string]result{}
	for _, res := range append(old.Results, r.Results...) {
		byName[res.Name] = res
	}
	r.Results = r.Results[:0:0]
	for _, sc := range scenarios() {
		if res, ok := byName[sc.name]; ok {
			r.Results = append(r.Results, res)
		}
	}
	return nil
}

// short prints a number with three digits that count.
func short(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case a == 0:
		return "0"
	case a < 10:
		return fmt.Sprintf("%.2f", v)
	case a < 100:
		return fmt.Sprintf("%.1f", v)
	case a < 1e4:
		return fmt.Sprintf("%.0f", v)
	case a < 1e6:
		return fmt.Sprintf("%.0fk", v/1e3)
	}
	return fmt.Sprintf("%.2fM", v/1e6)
}

func ratioText(s spread) string {
	if s.N == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max)
}

// mid is the median of a figure over a side's runs, as text.
func (res *result) mid(side, figure string) string {
	runs := res.Runs[side]
	if len(runs) == 0 || strings.HasPrefix(figure, "p") && isLatency(figure) && runs[0].Latency == nil {
		return "-"
	}
	return short(median(values(runs, figure)))
}

func isLatency(figure string) bool { return figure == "p50" || figure == "p99" || figure == "p99.9" }

// all is the median of a figure for each side, "" when none has it.
func (res *result) all(figure string) string {
	var out []string
	some := false
	for _, side := range res.Sides {
		v := res.mid(side, figure)
		some = some || v != "-"
		out = append(out, v)
	}
	if !some {
		return ""
	}
	return strings.Join(out, " / ")
}

// extras are the names of what only this scenario measured.
func (res *result) extras() []string {
	names := map[string]bool{}
	for _, runs := range res.Runs {
		for _, m := range runs {
			for name := range m.Extra {
				names[name] = true
			}
		}
	}
	return sortedKeys(names)
}

func tableHead(w io.Writer, sides []*side) {
	var names []string
	for _, s := range sides {
		names = append(names, s.Name)
	}
	who := strings.Join(names, " / ")
	fmt.Fprintf(w, "%-22s %21s %17s %20s %20s %20s   %s\n", "scenario", "CPU us/message", "messages/s", "p50 us", "p99 us", "ratio (range)", who)
}

// line is a scenario's row on the terminal.
func (res *result) line(w io.Writer) {
	fmt.Fprintf(w, "%-22s %21s %17s %20s %20s %20s\n", res.Name, res.all("CPU"), res.all("rate"), res.all("p50"), res.all("p99"), ratioText(res.Ratio))
	for _, name := range res.extras() {
		fmt.Fprintf(w, "  %-40s %s\n", name, res.all(name))
	}
	fmt.Fprintf(w, "  %s\n", res.Verdict)
	for _, side := range sortedKeys(res.Absent) {
		fmt.Fprintf(w, "  %s could not: %s\n", side, res.Absent[side])
	}
	if res.Failure != "" {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(strings.TrimSpace(res.Failure), "\n", "\n  "))
	}
}
