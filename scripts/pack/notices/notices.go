// Package notices finds the licences of everything that is linked into a Go binary: the
// modules that the binary itself lists, and the Go standard library. Their texts are
// read from the module cache and the Go release that the binary was built with.
package notices

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
	"golang.org/x/mod/module"
)

// Module is one module with the licences of its files.
type Module struct {
	Path, Version string
	Licences      []string // SPDX identifiers, sorted; those that are not known are left out
	Files         []File
}

// File is one licence or notice.
type File struct {
	Name string // relative to the module
	Text []byte
}

// Source is where modules and the standard library are read.
type Source struct {
	ModCache, GoRoot string
}

// fileName is how files of licences are called.
var fileName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|authors\.license)([.-].*)?$`)

// Of returns the modules of a binary, the main one excepted, sorted by path, and at the
// end the standard library as module "std". A module without a licence is an error:
// whoever passes the binary on has to know.
func Of(binary string, s Source) ([]Module, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("notices: %s: %w", binary, err)
	}
	var all []Module
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		dir, err := s.dir(d.Path, d.Version)
		if err != nil {
			return nil, err
		}
		m, err := read(d.Path, d.Version, dir, true)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Module) int { return cmp.Compare(a.Path, b.Path) })
	std, err := read("std", strings.TrimPrefix(firstWord(info.GoVersion), "go"), s.GoRoot, false)
	return append(all, std), err
}

func firstWord(s string) string {
	s, _, _ = strings.Cut(s, " ")
	return s
}

func (s Source) dir(path, version string) (string, error) {
	p, err := module.EscapePath(path)
	if err != nil {
		return "", fmt.Errorf("notices: %w", err)
	}
	v, err := module.EscapeVersion(version)
	if err != nil {
		return "", fmt.Errorf("notices: %w", err)
	}
	return filepath.Join(s.ModCache, filepath.FromSlash(p)+"@"+v), nil
}

func read(path, version, dir string, deep bool) (Module, error) {
	m := Module{Path: path, Version: version}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if name != dir && (!deep || e.Name() == "testdata" || e.Name() == "vendor" || e.Name()[0] == '_' || e.Name()[0] == '.') {
				return fs.SkipDir
			}
			return nil
		}
		if !e.Type().IsRegular() || !fileName.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(m.Files, func(f File) bool { return bytes.Equal(f.Text, text) }) {
			return nil
		}
		rel, err := filepath.Rel(dir, name)
		m.Files = append(m.Files, File{filepath.ToSlash(rel), text})
		for _, match := range licensecheck.Scan(text).Match {
			if !match.IsURL && !slices.Contains(m.Licences, match.ID) {
				m.Licences = append(m.Licences, match.ID)
			}
		}
		return err
	})
	if err != nil {
		return m, fmt.Errorf("notices: %s %s: %w; \"go mod download\" brings modules that are not there", path, version, err)
	}
	if len(m.Files) == 0 {
		return m, fmt.Errorf("notices: %s %s has no file with its licence", path, version)
	}
	slices.Sort(m.Licences)
	return m, nil
}

// Text is one file with all of them, for people.
func Text(program string, all []Module) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s is licensed under the Apache License 2.0, see LICENSE.\nLinked into it are the following modules, under the licences below.\n\n", program)
	for _, m := range all {
		fmt.Fprintf(&b, "  %s %s: %s\n", m.Path, m.Version, strings.Join(m.Licences, ", "))
	}
	for _, m := range all {
		for _, f := range m.Files {
			fmt.Fprintf(&b, "\n%[1]s\n%[2]s %[3]s: %[4]s\n%[1]s\n\n%[5]s\n", strings.Repeat("-", 80), m.Path, m.Version, f.Name, bytes.TrimSpace(bytes.ReplaceAll(f.Text, []byte("\r\n"), []byte("\n"))))
		}
	}
	return b.Bytes()
}
