package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var envWord = regexp.MustCompile(`([A-Z_]+)=('[^']*'|\S+)`)

// headOf reads the first line of a file of the corpus: "# DAEMON...; NAME=value...".
func headOf(t *testing.T, text []byte) (daemons []Daemon, env []string) {
	t.Helper()
	line, _, _ := strings.Cut(string(text), "\n")
	line, ok := strings.CutPrefix(line, "# ")
	if !ok {
		return []Daemon{Hubd}, nil
	}
	names, variables, _ := strings.Cut(line, ";")
	for _, name := range strings.Fields(names) {
		daemons = append(daemons, Daemon(name))
	}
	for _, m := range envWord.FindAllStringSubmatch(variables, -1) {
		env = append(env, m[1]+"="+strings.Trim(m[2], "'"))
	}
	return daemons, env
}

// settled is everything that a part can see of settings. A gwd has no logins.
func settled(c *Config) []string {
	c.File, c.Files, c.Digest, c.SharedWithHub = "", nil, "", false
	if c.Daemon == Gwd {
		c.Auth = Authorization{}
	}
	return flatten(reflect.ValueOf(*c), "")
}

// sameFiles: paths of .conf files are relative to the process, those of YAML are not.
func sameFiles(a, b []string) bool {
	here, _ := os.Getwd()
	for i := range a {
		if a[i] != b[i] && !strings.Contains(b[i], here) {
			return false
		}
		name, path, _ := strings.Cut(b[i], " ")
		if rel, err := filepath.Rel(here, path); a[i] != b[i] && (err != nil || a[i] != name+" "+rel && a[i] != name+" ./"+rel) {
			return false
		}
	}
	return true
}

// TestConvertKeepsEverySetting: what Convert makes of a file gives the settings
// that the file gives, and no secret that was not in it.
func TestConvertKeepsEverySetting(t *testing.T) {
	t.Chdir("testdata/convert")
	files, err := filepath.Glob("*.[cj][os]*[fn]")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a directory
		}
		daemons, env := headOf(t, text)
		for _, d := range daemons {
			t.Run(string(d)+" "+file, func(t *testing.T) {
				opts := LoadOptions{Daemon: d, File: file, Env: env}
				want, _, err := Load(opts)
				if err != nil {
					t.Fatal(err)
				}
				out, _, err := Convert(opts)
				if err != nil {
					t.Fatal(err)
				}
				for _, kv := range env {
					if _, secret, _ := strings.Cut(kv, "="); strings.HasPrefix(secret, "s3c") && strings.Contains(string(out), secret) {
						t.Errorf("a secret of the environment is printed:\n%s", out)
					}
				}
				got, warnings, err := Load(LoadOptions{Daemon: d, File: "elsewhere/x.yaml", Env: env, content: out})
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				for _, w := range warnings {
					if strings.Contains(w.Message, "has no effect:") {
						t.Errorf("converted to %s", w)
					}
				}
				a, b := settled(want), settled(got)
				if len(a) != len(b) || !sameFiles(a, b) {
					t.Errorf("other settings:\n%s\n--- want\n%s\n--- from\n%s", difference(b, a), difference(a, b), out)
				}
			})
		}
	}
}

func difference(a, b []string) string {
	var out []string
	for _, line := range a {
		if !slices.Contains(b, line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func TestConvertRefuses(t *testing.T) {
	for _, c := range []struct{ file, text, env, want string }{
		{"a.conf", "jetstream: enabled", "", "a.conf:1:1: jetstream: not supported yet: streams"},
		{"a.conf", "port: 99999", "", "out of range"},
		{"a.conf", "port: [", "", "Parse error on line 1"},
		{"a.yaml", "server: {name: x}", "", "a.yaml is read as YAML already"},
		{"a.conf", "authorization { user: a, password: $P }", "P='x y'", "a.conf:1:36: authorization.password: the environment variable P holds the secret in quotes"},
		{"a.conf", "authorization: $A", "A={user: a, password: s3cret}", "the environment variable A"},
		{"a.conf", "cluster { name: c, port: 1, routes: [$R] }", "R=nats://u:s3cret@h:1", "a URL of the environment holds a password"},
	} {
		opts := LoadOptions{Daemon: Hubd, File: c.file, content: []byte(c.text)}
		if c.env != "" {
			opts.Env = []string{c.env}
		}
		out, _, err := Convert(opts)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(out) > 0 {
			t.Errorf("%s: error %v and %q, want %s", c.text, err, out, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the message has the secret: %v", err)
		}
	}
}

// TestConvertText pins the look of a small file.
func TestConvertText(t *testing.T) {
	const in = `
port: 4222
server_name: "a b c"   # comments are gone
ping_interval: "2m"
cluster { routes: [nats://a:6222], name: sfo, port: 6222 }
accounts { A { users: [{user: a, password: $P}] } }
max_payload: 2MiB
`
	want := `# Settings of hubd, converted from "a.conf".
server:
  name: "on"
clients:
  port: 4222
  ping:
    interval: 2m
  limits:
    max_payload: 2MiB
accounts:
  - name: A
    users:
      - name: a
        password: {env: P}
cluster:
  routes: ['nats://a:6222']
  name: sfo
  port: 6222
`
	out, warnings, err := Convert(LoadOptions{Daemon: Hubd, File: "a.conf", content: []byte(strings.Replace(in, "a b c", "on", 1)), Env: []string{"P=x", "HUBD_CLIENTS_PORT=1"}})
	if err != nil || string(out) != want || len(warnings) > 0 {
		t.Errorf("%v %v\n%s\nwant\n%s", err, warnings, out, want)
	}
}

// FuzzConvert: whatever loads is converted to the same settings or refused.
func FuzzConvert(f *testing.F) {
	files, err := filepath.Glob("testdata/convert/*.conf")
	if err != nil || len(files) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for i := range uint8(3) {
			f.Add(i, text)
		}
	}
	env := []string{"PASS=p", "NAME=bob", "TIMEOUT=3", "SEC=s3cret", "REF=$SEC", "RP=pw", "T=tok", "PORT=4555", "HOME=/h", "WHO=me", "NATS_USER=route"}
	f.Fuzz(func(t *testing.T, pick uint8, text []byte) {
		opts := LoadOptions{Daemon: []Daemon{Hubd, Gwd, Leafd}[pick%3], File: "/nowhere/f.conf", Env: env, content: append([]byte{}, text...)}
		want, _, err := Load(opts)
		if err != nil {
			return
		}
		out, _, err := Convert(opts)
		if err != nil {
			return
		}
		got, _, err := Load(LoadOptions{Daemon: opts.Daemon, File: "/nowhere/f.yaml", Env: env, content: out})
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if a, b := settled(want), settled(got); len(a) != len(b) || !sameFiles(a, b) {
			t.Errorf("other settings:\n%s\n--- want\n%s\n--- from\n%s", difference(b, a), difference(a, b), out)
		}
	})
}
