package config

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// Finding is one thing that is wrong with the settings, or worth a warning.
type Finding struct {
	// Pos is where in which file. Line is 0 when it comes from an environment
	// variable or a flag, which File then names; all is empty when it concerns
	// the settings as a whole.
	Pos conf.Pos
	// Key is the option's path as written, "" when no single one is to blame.
	Key string
	// Message says what is wrong and what would be right.
	Message string
}

func (f Finding) String() string {
	var b strings.Builder
	switch {
	case f.Pos.Line > 0:
		fmt.Fprintf(&b, "%s: ", f.Pos)
	case f.Pos.File != "":
		fmt.Fprintf(&b, "%s: ", f.Pos.File)
	}
	if f.Key != "" {
		fmt.Fprintf(&b, "%s: ", f.Key)
	}
	b.WriteString(f.Message)
	return b.String()
}

// Warning is a finding that does not keep a daemon from starting.
type Warning = Finding

// Errors are the findings that do, sorted by position. Load returns them as
// its error.
type Errors []Finding

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// maxFindings of a kind are kept: nobody reads more, and a hostile file must not
// keep a process busy with composing them.
const maxFindings = 200

// report collects findings.
type report struct {
	errors   []Finding
	warnings []Finding
	// accounts are the names of accounts that leaf links refer to.
	accounts []accountRef
	// places of what accounts share.
	places []place
	// secrets are the files that hold some, with what.
	secrets map[string]string
	// files in the order they were first met, for sorting.
	files []string
}

// accountRef is one mention of an account that must exist.
type accountRef struct {
	pos               conf.Pos
	path, name, where string
}

// full says that further errors are not worth looking for.
func (r *report) full() bool { return len(r.errors) >= maxFindings }

func (r *report) errorf(pos conf.Pos, key, format string, args ...any) {
	if r.full() {
		return
	}
	r.errors = append(r.errors, Finding{pos, key, fmt.Sprintf(format, args...)})
}

func (r *report) warnf(pos conf.Pos, key, format string, args ...any) {
	if len(r.warnings) >= maxFindings {
		return
	}
	w := Finding{pos, key, fmt.Sprintf(format, args...)}
	if !slices.Contains(r.warnings, w) {
		r.warnings = append(r.warnings, w)
	}
}

// sorted puts findings in the order of the files, those without a place last.
func (r *report) sorted(list []Finding) []Finding {
	rank := func(f Finding) int {
		if i := slices.Index(r.files, f.Pos.File); i >= 0 {
			return i
		}
		if f.Pos.File == "" {
			return len(r.files) + 1
		}
		return len(r.files)
	}
	// Not by package slices: its code for one more type is 20 KB of a binary.
	sort.SliceStable(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		return cmp.Or(rank(*a)-rank(*b), a.Pos.Line-b.Pos.Line, a.Pos.Col-b.Pos.Col) < 0
	})
	return list
}

func (r *report) err() error {
	if len(r.errors) == 0 {
		return nil
	}
	return Errors(r.sorted(r.errors))
}
