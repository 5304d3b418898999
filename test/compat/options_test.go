package compat

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/config"
)

// keys fills in public keys.
func keys(t *testing.T) *strings.Replacer {
	t.Helper()
	var pairs []string
	for name, kind := range map[string]nkeys.PrefixByte{"{{A}}": nkeys.PrefixByteAccount, "{{U}}": nkeys.PrefixByteUser, "{{O}}": nkeys.PrefixByteOperator} {
		kp, err := nkeys.CreatePair(kind)
		if err != nil {
			t.Fatal(err)
		}
		pub, err := kp.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, name, pub)
	}
	return strings.NewReplacer(pairs...)
}

func tables(t *testing.T, name string) []Table {
	t.Helper()
	list, err := Read(name)
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: %d tables, %v", name, len(list), err)
	}
	return list
}

// load reads settings from a .conf file of the test's.
func load(t *testing.T, daemon, text string) (*config.Config, string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, warnings, err := config.Load(config.LoadOptions{Daemon: config.Daemon(daemon), File: file})
	if c != nil {
		c.File, c.Digest = "", ""
	}
	return c, fmt.Sprint(warnings), err
}

// TestOptions loads a file with each option, under each of its names, and holds what
// comes of it against the table. What works is also converted to YAML and must come
// out the same.
func TestOptions(t *testing.T) {
	keys := keys(t)
	for _, table := range tables(t, "options.txt") {
		for _, row := range table.Rows {
			for _, name := range row.Names {
				text := keys.Replace(row.Text(table, name))
				where := fmt.Sprintf("options.txt:%d: %s (%s)", row.Line, name, row.State)
				c, warnings, err := load(t, table.Daemon, text)
				switch row.State {
				case "works", "same":
					if err != nil {
						t.Errorf("%s: refused: %v\n%s", where, err, text)
						continue
					}
					if strings.Contains(warnings, "has no effect:") {
						t.Errorf("%s: %s", where, warnings)
					}
					rest := strings.Replace(text, keys.Replace(name+": "+strings.TrimSpace(strings.Split(row.Sample, ";;")[0])), "", 1)
					if without, _, err := load(t, table.Daemon, rest); row.State == "works" && err == nil && reflect.DeepEqual(c, without) {
						t.Errorf("%s: the settings are the same without it\n%s\n--\n%s", where, text, rest)
					}
					converts(t, where, table.Daemon, text)
				case "none":
					if err != nil || !strings.Contains(warnings, name+": has no effect:") {
						t.Errorf("%s: want a warning, got %v and %s", where, err, warnings)
					}
				case "planned":
					if err == nil || !strings.Contains(err.Error(), "not supported yet") {
						t.Errorf("%s: not refused by name: %v", where, err)
					}
				case "refused":
					if err == nil || strings.Contains(err.Error(), "not supported yet") || strings.Contains(err.Error(), "unknown field") {
						t.Errorf("%s: not refused with a reason: %v", where, err)
					}
				default:
					t.Errorf("%s: no such state", where)
				}
			}
		}
	}
}

func converts(t *testing.T, where, daemon, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := config.Convert(config.LoadOptions{Daemon: config.Daemon(daemon), File: file})
	if err != nil {
		t.Errorf("%s: convert: %v", where, err)
		return
	}
	yaml := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(yaml, out, 0o600); err != nil {
		t.Fatal(err)
	}
	a, _, err := config.Load(config.LoadOptions{Daemon: config.Daemon(daemon), File: file})
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := config.Load(config.LoadOptions{Daemon: config.Daemon(daemon), File: yaml})
	if err != nil {
		t.Errorf("%s: the converted file: %v\n%s", where, err, out)
		return
	}
	for _, o := range config.Compare(a, b).Options {
		t.Errorf("%s: converted, %s is %s instead of %s\n%s", where, o.Name, o.New, o.Old, out)
	}
}

// started runs a command line and returns the settings that the daemon would get.
func started(t *testing.T, args ...string) (*config.Config, int, string) {
	t.Helper()
	var got *config.Config
	d := cli.Daemon{Name: config.Hubd, Short: "x", Run: func(_ context.Context, o cli.RunOptions) error {
		got = o.Config
		return nil
	}}
	var out, errOut bytes.Buffer
	code := cli.Execute(context.Background(), d, append([]string{"hubd"}, args...), strings.NewReader(""), &out, &errOut)
	return got, code, out.String() + errOut.String()
}

// TestFlags gives each flag in every form that the reference's parser takes: one dash
// and two, the value behind a space and behind an equals sign.
func TestFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(file, []byte("server_name: f\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, _, _ := started(t)
	for _, table := range tables(t, "flags.txt") {
		for _, row := range table.Rows {
			for _, name := range row.Names {
				where := fmt.Sprintf("flags.txt:%d: %s (%s)", row.Line, name, row.State)
				words := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(row.Sample, ";;", " "), "{{FILE}}", file))
				bare := strings.TrimLeft(name, "-")
				var forms [][]string
				for _, dashed := range []string{"-" + bare, "--" + bare} {
					switch {
					case row.State == "command":
					case strings.HasPrefix(words[0], "="):
						forms = append(forms, append([]string{dashed + strings.TrimSuffix(words[0], "=")}, words[1:]...))
						if words[0] == "=" {
							forms = append(forms, append([]string{dashed + "=true"}, words[1:]...))
						}
					default:
						forms = append(forms, append([]string{dashed}, words...), append([]string{dashed + "=" + words[0]}, words[1:]...))
					}
				}
				for _, form := range forms {
					c, code, out := started(t, form...)
					switch row.State {
					case "works":
						if code != 0 || c == nil || reflect.DeepEqual(c, plain) {
							t.Errorf("%s: %q: exit %d, %s", where, form, code, out)
						}
					case "planned":
						if code != 1 || c != nil || !strings.Contains(out, "not supported yet") || !strings.Contains(out, bare) {
							t.Errorf("%s: %q: exit %d, %s", where, form, code, out)
						}
					}
				}
			}
		}
	}
	for _, form := range [][]string{{"-h"}, {"--help"}, {"help"}, {"-v"}, {"--version"}, {"version"}, {"-help_tls"}, {"--help_tls"}, {"-t", "-c", file}} {
		if c, code, out := started(t, form...); c != nil || code != 0 || out == "" {
			t.Errorf("%q: exit %d, %q", form, code, out)
		}
	}
	for _, form := range [][]string{{"-sl", "bogus"}, {"--signal=bogus=1"}, {"-signal", "reload=x"}} {
		if c, code, out := started(t, form...); c != nil || code != 1 || !strings.Contains(out, "bogus") && !strings.Contains(out, "invalid pid") {
			t.Errorf("%q: exit %d, %q", form, code, out)
		}
	}
	// The help text shows each flag under one of its names.
	_, _, help := started(t, "-h")
	for _, table := range tables(t, "flags.txt") {
		for _, row := range table.Rows {
			shown := row.State == "planned"
			for _, name := range row.Names {
				bare := strings.TrimLeft(name, "-")
				shown = shown || strings.Contains(help, "--"+bare+" ") || strings.Contains(help, " -"+bare+",")
			}
			if !shown {
				t.Errorf("flags.txt:%d: %v is not in the help text", row.Line, row.Names)
			}
		}
	}
}
