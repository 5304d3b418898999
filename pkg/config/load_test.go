package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/spf13/pflag"
)

// TestTranscripts loads the files of testdata/load/*.txt. Arguments: the file's
// name first; daemon=NAME (default hubd), format=NAME; lines of the input up to
// "---" are environment variables ("$ NAME=value") and arguments ("> --flag value").
// What comes out is every setting that differs from the daemon's defaults, or
// the errors; warnings first.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/load", func(t *testing.T, path string) {
		dir := t.TempDir()
		t.Chdir(dir)
		datadriven.RunTest(t, mustAbs(t, path), func(t *testing.T, d *datadriven.TestData) string {
			return transcript(t, d)
		})
	})
}

var start, _ = os.Getwd()

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	return filepath.Join(start, path)
}

func transcript(t *testing.T, d *datadriven.TestData) string {
	opts := LoadOptions{Daemon: Hubd}
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "daemon":
			opts.Daemon = Daemon(a.Vals[0])
		case "format":
			opts.Format = a.Vals[0]
		default:
			opts.File = a.Key
		}
	}
	var body, args []string
	for _, line := range strings.Split(d.Input, "\n") {
		switch {
		case strings.HasPrefix(line, "$ "):
			opts.Env = append(opts.Env, line[2:])
		case strings.HasPrefix(line, "> "):
			args = append(args, strings.Fields(line[2:])...)
		default:
			body = append(body, line)
		}
	}
	if opts.File != "" {
		if err := os.WriteFile(opts.File, []byte(strings.Join(body, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if d.Cmd == "file" {
		return ""
	}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	fs.SetOutput(&strings.Builder{})
	RegisterFlags(fs, opts.Daemon)
	for i, a := range args {
		if a == `""` {
			args[i] = ""
		}
	}
	if err := fs.Parse(NormalizeArgs(args)); err != nil {
		return "flags: " + err.Error() + "\n"
	}
	opts.Flags = fs
	var b strings.Builder
	if d.Cmd == "check" {
		r := Check(opts)
		for _, w := range r.Warnings {
			fmt.Fprintf(&b, "warning: %s\n", w)
		}
		for _, e := range r.Errors {
			fmt.Fprintf(&b, "%s\n", e)
		}
		fmt.Fprintf(&b, "ok: %v\n", r.OK())
		return b.String()
	}
	cfg, warnings, err := Load(opts)
	for _, w := range warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	if err != nil {
		return b.String() + err.Error() + "\n"
	}
	base := map[string]bool{}
	def, _, err := Load(LoadOptions{Daemon: opts.Daemon})
	if opts.Daemon == Gwd {
		def, err = &Config{}, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range flatten(reflect.ValueOf(*def), "") {
		base[line] = true
	}
	for _, line := range flatten(reflect.ValueOf(*cfg), "") {
		if !base[line] && !strings.HasPrefix(line, "Digest ") && !strings.HasPrefix(line, "File ") && !strings.HasPrefix(line, "Files[") && !strings.HasPrefix(line, "Daemon ") {
			fmt.Fprintln(&b, line)
		}
	}
	return b.String()
}

// flatten lists the set fields of a value, one per line.
func flatten(v reflect.Value, path string) []string {
	switch x := v.Interface().(type) {
	case *url.URL:
		if x == nil {
			return nil
		}
		return []string{path + " " + x.String()}
	case Secret:
		if x == "" {
			return nil
		}
		return []string{path + " secret:" + string(x)}
	case fmt.Stringer:
		return []string{path + " " + x.String()}
	}
	var out []string
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		out = flatten(v.Elem(), path)
		if len(out) == 0 {
			out = []string{path + " {}"}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			p := v.Type().Field(i).Name
			if !v.Type().Field(i).IsExported() {
				continue
			}
			if path != "" {
				p = path + "." + p
			}
			out = append(out, flatten(v.Field(i), p)...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = append(out, flatten(v.Index(i), fmt.Sprintf("%s[%d]", path, i))...)
		}
	default:
		if !v.IsZero() {
			out = append(out, fmt.Sprintf("%s %v", path, v.Interface()))
		}
	}
	return out
}

func TestFieldsExist(t *testing.T) {
	for _, c := range []struct {
		s      *scope
		target func() any
	}{
		{rootScope(), func() any { return &Config{} }}, {userScope(), func() any { return &User{} }}, {accountScope(), func() any { return &Account{} }},
		{permissionsScope(), func() any { return &Permissions{} }}, {responsesScope(), func() any { return &ResponsePermission{} }},
		{pairScope(), func() any { return &Certificate{} }}, {policyScope(), func() any { return &BorderPolicy{} }},
		{remoteGatewayScope(), func() any { return &RemoteGateway{} }}, {leafUserScope(), func() any { return &LeafUser{} }}, {leafRemoteScope(), func() any { return &LeafRemote{} }},
	} {
		for _, o := range c.s.rows {
			if o.field != "" {
				fieldOf(reflect.ValueOf(c.target()).Elem(), o.field) // panics when it is not there
			} else if o.kind < kBlock && o.kind != kListen && o.kind != kLevel && o.kind != kCustom {
				t.Errorf("%s %q: a value but no field", c.s.name, o.yaml)
			}
			if o.yaml == "" && o.conf == "" {
				t.Errorf("%s: a row without a name", c.s.name)
			}
		}
	}
}

// TestNamesAreUnique: no two settings share an environment variable or a flag.
func TestNamesAreUnique(t *testing.T) {
	for _, d := range []Daemon{Hubd, Gwd, Leafd} {
		env, flag := map[string]string{}, map[string]string{}
		for _, o := range rootScope().rows {
			if !o.scalar() {
				continue
			}
			for m, name := range map[*map[string]string]string{&env: envName(d, o.key()), &flag: flagName(o)} {
				if old := (*m)[name]; old != "" {
					t.Errorf("%s: %s and %s are both %s", d, old, o.key(), name)
				}
				(*m)[name] = o.key()
			}
		}
		fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
		RegisterFlags(fs, d) // panics when a name or letter is there twice
		if fs.Lookup("config") == nil || !slices.ContainsFunc(rootScope().rows, (*option).scalar) {
			t.Fatal("no flags")
		}
	}
}

// TestHostileFiles end soon and say why.
func TestHostileFiles(t *testing.T) {
	bomb := "a0: &a0 [1,1]\n"
	for i := range 60 {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	for name, c := range map[string]struct{ file, text, want string }{
		"aliases":     {"f.yaml", bomb, "values after expansion"},
		"own anchor":  {"f.yaml", "a: &a [*a, *a]", `anchor "a" contains itself`},
		"nesting":     {"f.yaml", "a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "levels of nesting"},
		"merge":       {"f.yaml", "a: &a {b: 1}\nc: {<<: *a}", "merge keys"},
		"tag":         {"f.yaml", "a: !!binary aGk=", "unsupported YAML tag"},
		"many errors": {"f.conf", strings.Repeat("a { b: 1 }\n", 10) + "c { " + manyKeys(50000) + " }", "unknown field"},
		"many keys":   {"f.conf", manyKeys(50000), "unknown field"},
		"device":      {"f.conf", "include /dev/zero", "not a regular file"},
		"secret":      {"f.yaml", "auth: {token: {file: /dev/zero}}", "not a regular file"},
		"list":        {"f.yaml", "- a", "want a map of settings"},
		"infinite":    {"f.yaml", "server: {name: .inf}", "no number"},
	} {
		_, _, err := Load(LoadOptions{Daemon: Hubd, File: c.file, content: []byte(c.text)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %.300v, want %q", name, err, c.want)
		}
		if name == "aliases" && strings.Count(err.Error(), c.file) != 1 {
			t.Errorf("%s: the place is named more than once: %v", name, err)
		}
		if n := len(Findings(err)); n > maxFindings {
			t.Errorf("%s: %d findings", name, n)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key_number_%d: 1\n", i)
	}
	return b.String()
}
