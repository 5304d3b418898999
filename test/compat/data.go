package compat

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.txt
var files embed.FS

// Table is one table of a data file.
type Table struct {
	Title  string
	Around string // "%" where there is nothing around
	Daemon string // hubd, unless another is named
	Rows   []Row
}

// Row is one line.
type Row struct {
	Names  []string
	State  string
	Sample string
	Remark string
	Line   int
}

// Read parses a data file.
func Read(name string) ([]Table, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var tables []Table
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, " | ")
		for k := range cells {
			cells[k] = strings.TrimSuffix(strings.TrimSpace(cells[k]), " |")
		}
		cells = append(cells, "", "", "")
		if title, ok := strings.CutPrefix(cells[0], "== "); ok {
			t := Table{Title: title, Around: cells[1], Daemon: cells[2]}
			if t.Around == "" {
				t.Around = "%"
			}
			if t.Daemon == "" {
				t.Daemon = "hubd"
			}
			tables = append(tables, t)
			continue
		}
		if len(tables) == 0 || cells[1] == "" {
			return nil, fmt.Errorf("%s:%d: want NAMES | STATE, got %q", name, i+1, line)
		}
		t := &tables[len(tables)-1]
		t.Rows = append(t.Rows, Row{Names: strings.Split(cells[0], "/"), State: cells[1], Sample: cells[2], Remark: cells[3], Line: i + 1})
	}
	return tables, nil
}

// Text is the sample under one of the row's names, with what is around it.
func (r Row) Text(t Table, name string) string {
	first, more, _ := strings.Cut(r.Sample, ";;")
	text := name + ": " + strings.TrimSpace(first)
	if more != "" {
		text += "\n" + more
	}
	return strings.ReplaceAll(strings.Replace(t.Around, "%", text, 1), ";;", "\n")
}
