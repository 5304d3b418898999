package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/config"
)

// daemon records what it was run with.
func daemon(name config.Daemon, got *RunOptions) Daemon {
	return Daemon{Name: name, Short: string(name), Run: func(_ context.Context, o RunOptions) error {
		*got = o
		return nil
	}}
}

func runDaemon(t *testing.T, name config.Daemon, args ...string) (o RunOptions, code int, out, errOut string) {
	t.Helper()
	c := startDaemon(t, daemon(name, &o), "", args...)
	code = c.end()
	return o, code, c.out.String(), c.err.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRunTakesTheReferencesFlags(t *testing.T) {
	file := write(t, "x.tmp", "port: 4333\ndebug: true\nserver_name: f\n")
	for _, c := range []struct {
		args []string
		want func(*config.Config) bool
	}{
		{nil, func(c *config.Config) bool { return c.Client.Port == 4222 && c.File == "" && c.Log.Time }},
		{[]string{"run"}, func(c *config.Config) bool { return c.Client.Port == 4222 }},
		{[]string{"-p", "-1", "-a", "127.0.0.1"}, func(c *config.Config) bool { return c.Client.Port == -1 && c.Client.Host == "127.0.0.1" }},
		{[]string{"-port=5", "-addr", "h"}, func(c *config.Config) bool { return c.Client.Port == 5 && c.Client.Host == "h" }},
		{[]string{"--port", "5", "--net=h"}, func(c *config.Config) bool { return c.Client.Port == 5 && c.Client.Host == "h" }},
		{[]string{"-DV"}, func(c *config.Config) bool { return c.Log.Debug && c.Log.Trace }},
		{[]string{"-D", "-V"}, func(c *config.Config) bool { return c.Log.Debug && c.Log.Trace }},
		{[]string{"-T=false"}, func(c *config.Config) bool { return !c.Log.Time }},
		{[]string{"-m", "-1", "-P", "x.pid"}, func(c *config.Config) bool { return c.HTTP.Port == -1 && strings.HasSuffix(c.PidFile, "x.pid") }},
		{[]string{"-c", file}, func(c *config.Config) bool { return c.Client.Port == 4333 && c.Log.Debug && c.ServerName == "f" }},
		{[]string{"run", "-c", file, "-D=false", "-p", "7"}, func(c *config.Config) bool { return c.Client.Port == 7 && !c.Log.Debug }},
		{[]string{"-config", file, "-name", "n"}, func(c *config.Config) bool { return c.ServerName == "n" }},
	} {
		o, code, _, errOut := runDaemon(t, config.Hubd, c.args...)
		if code != 0 || o.Config == nil {
			t.Errorf("%q: exit %d, %s", c.args, code, errOut)
			continue
		}
		if !c.want(o.Config) {
			t.Errorf("%q: client %+v, log %+v, http %+v, name %q, pid %q", c.args, o.Config.Client, o.Config.Log, o.Config.HTTP, o.Config.ServerName, o.Config.PidFile)
		}
		if o.Exe != "hubd" || o.Stdout == nil || o.Stderr == nil {
			t.Errorf("%+v", o)
		}
	}
}

// What a reload reads is what the start read: the flags are part of it.
func TestLoadAgainKeepsTheFlags(t *testing.T) {
	file := write(t, "x.conf", "port: 4333\n")
	o, code, _, errOut := runDaemon(t, config.Hubd, "-c", file, "-n", "by-flag")
	if code != 0 {
		t.Fatal(errOut)
	}
	if err := os.WriteFile(file, []byte("port: 4334\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(o.Load)
	if err != nil || cfg.Client.Port != 4334 || cfg.ServerName != "by-flag" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestRunErrors(t *testing.T) {
	file := write(t, "bad.conf", "port: x\nnope: 1\n")
	o, code, out, errOut := runDaemon(t, config.Hubd, "-c", file)
	if code != ExitFailure || o.Config != nil || out != "" {
		t.Errorf("exit %d, %q", code, out)
	}
	for _, line := range strings.Split(strings.TrimSuffix(errOut, "\n"), "\n") {
		if !strings.HasPrefix(line, "hubd: "+file+":") {
			t.Errorf("line %q of %q", line, errOut)
		}
	}
	if _, code, _, errOut := runDaemon(t, config.Hubd, "-c", "/does/not/exist"); code != ExitFailure || !strings.HasPrefix(errOut, "hubd: open /does/not/exist: no such file") {
		t.Errorf("exit %d, %q", code, errOut)
	}
	d := Daemon{Name: config.Hubd, Run: func(context.Context, RunOptions) error { return errors.New("the port is taken") }}
	c := startDaemon(t, d, "", "-p", "-1")
	if code := c.end(); code != ExitFailure || c.err.String() != "hubd: the port is taken\n" {
		t.Errorf("exit %d, %q", code, c.err)
	}
}

func TestWrongFlagsAndWords(t *testing.T) {
	for _, c := range []struct {
		code int
		text string
		args []string
	}{
		{ExitUsage, "flag provided but not defined: -nope", []string{"-nope"}},
		{ExitUsage, "flag provided but not defined: --nope", []string{"--nope"}},
		{ExitUsage, "flag provided but not defined: -Q", []string{"-Q"}},
		{ExitUsage, "flag provided but not defined: -p4222", []string{"-p4222"}},
		{ExitUsage, "flag provided but not defined: -nope", []string{"run", "-p", "1", "-nope"}},
		{ExitUsage, "flag provided but not defined: -nope", []string{"-l", "-D", "-nope"}},
		{ExitUsage, `invalid value "x" for flag -m`, []string{"-m", "x"}},
		{ExitUsage, `invalid value "x" for flag -D`, []string{"-D=x"}},
		{ExitUsage, `invalid value "x" for flag -p: want integer`, []string{"-p", "x"}},
		{ExitUsage, `invalid value "70000" for flag -p: port 70000 is out of range`, []string{"run", "-p", "70000"}},
		{ExitUsage, `invalid value "x" for flag --cluster: could not parse`, []string{"--cluster", "x"}},
		{ExitUsage, "flag needs an argument: -p", []string{"-p"}},
		{ExitUsage, "flag needs an argument: --port", []string{"-port"}},
		{ExitFailure, `unrecognized command: "bogus"`, []string{"bogus"}},
		{ExitFailure, `unrecognized command: "bogus"`, []string{"-D", "bogus"}},
		{ExitFailure, `unrecognized command: "stat"; did you mean "status"?`, []string{"stat"}},
	} {
		_, code, out, errOut := runDaemon(t, config.Hubd, c.args...)
		if code != c.code || !strings.HasPrefix(errOut, "hubd: "+c.text) {
			t.Errorf("%q: exit %d, stderr %q", c.args, code, errOut)
		}
		if usage := strings.Contains(out, "Usage:"); usage != (c.code == ExitUsage) {
			t.Errorf("%q: usage on stdout is %v: %q", c.args, usage, out)
		}
	}
}

func TestVersionInAllItsForms(t *testing.T) {
	re := regexp.MustCompile(`^hubd: v2\.14\.5 \(banyan \S+\)\n$`)
	for _, args := range [][]string{{"-v"}, {"--version"}, {"-version"}, {"-D", "version"}} {
		if o, code, out, errOut := runDaemon(t, config.Hubd, args...); code != 0 || !re.MatchString(out) || errOut != "" || o.Config != nil {
			t.Errorf("%q: exit %d, %q %q", args, code, out, errOut)
		}
	}
	if _, code, out, _ := runDaemon(t, config.Hubd, "version"); code != 0 || !strings.HasPrefix(out, "hubd: v2.14.5 (banyan ") || !strings.Contains(out, "api level: 4") {
		t.Errorf("exit %d, %q", code, out)
	}
	_, code, out, _ := runDaemon(t, config.Leafd, "version", "--json")
	var v map[string]any
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || v["daemon"] != "leafd" || v["protocol"] != "2.14.5" || v["api_level"] != 4.0 || v["product"] != "banyan" {
		t.Errorf("exit %d, %q, %v", code, out, err)
	}
}

// Installed under the reference's name, the daemon answers under that name.
func TestArgvZeroNamesTheProgram(t *testing.T) {
	out, errOut := newBuffer(), newBuffer()
	d := Daemon{Name: config.Hubd}
	if code := Execute(context.Background(), d, []string{"/usr/bin/nats-server", "-v"}, strings.NewReader(""), out, errOut); code != 0 || !strings.HasPrefix(out.String(), "nats-server: v2.14.5") {
		t.Errorf("exit %d, %q", code, out)
	}
	if code := Execute(context.Background(), d, []string{"nats-server", "bogus"}, strings.NewReader(""), out, errOut); code != 1 || errOut.String() != "nats-server: unrecognized command: \"bogus\"\n" {
		t.Errorf("exit %d, %q", code, errOut)
	}
}

func TestCheck(t *testing.T) {
	good := write(t, "good.conf", "port: 4333 # a comment\n")
	bad := write(t, "bad.yaml", "clients:\n  lisen: 0.0.0.0:4222\n")
	for _, args := range [][]string{{"check", "-c", good}, {"-t", "-c", good}, {"-c", good, "-t"}, {"check", "-config=" + good}} {
		o, code, out, errOut := runDaemon(t, config.Hubd, args...)
		want := regexp.MustCompile(`^hubd: configuration file ` + regexp.QuoteMeta(good) + ` is valid \(sha256:[0-9a-f]{64}\)\n$`)
		if code != 0 || out != "" || !want.MatchString(errOut) || o.Config != nil {
			t.Errorf("%q: exit %d, %q %q", args, code, out, errOut)
		}
	}
	for _, args := range [][]string{{"check", "-c", bad}, {"-t", "-c", bad}} {
		_, code, _, errOut := runDaemon(t, config.Hubd, args...)
		if code != 1 || !strings.HasPrefix(errOut, "hubd: "+bad+":2:") || !strings.Contains(errOut, "listen") {
			t.Errorf("%q: exit %d, %q", args, code, errOut)
		}
	}
	_, code, out, _ := runDaemon(t, config.Hubd, "check", "--json", "-c", bad)
	var r struct {
		OK     bool
		Errors []jsonFinding
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 1 || r.OK || len(r.Errors) != 1 || r.Errors[0].Line != 2 || r.Errors[0].File != bad {
		t.Errorf("exit %d, %s, %v", code, out, err)
	}
	if _, code, out, errOut := runDaemon(t, config.Hubd, "check", "--json", "-c", good); code != 0 || errOut != "" || !strings.Contains(out, `"errors":[]`) {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	if _, code, _, _ := runDaemon(t, config.Hubd, "check"); code != ExitUsage {
		t.Errorf("without a file: exit %d", code)
	}
	if _, code, _, errOut := runDaemon(t, config.Hubd, "-t"); code != 1 || errOut != "hubd: must specify [-c, --config] option to check configuration file syntax\n" {
		t.Errorf("-t: exit %d, %q", code, errOut)
	}
	if _, code, _, _ := runDaemon(t, config.Hubd, "check", "-c", good, "word"); code != ExitUsage {
		t.Errorf("with a word: exit %d", code)
	}
}

func TestSignalFlag(t *testing.T) {
	for _, args := range [][]string{{"--signal", "bogus"}, {"-sl=bogus"}, {"-sl", "bogus"}, {"-signal=bogus"}} {
		if o, code, _, errOut := runDaemon(t, config.Hubd, args...); code != 1 || errOut != "hubd: unknown signal \"bogus\"\n" || o.Config != nil {
			t.Errorf("%q: exit %d, %q", args, code, errOut)
		}
	}
	if _, code, _, errOut := runDaemon(t, config.Hubd, "-sl=ldm=/no/such/file.pid"); code != 1 || errOut != "hubd: invalid pid: /no/such/file.pid\n" {
		t.Errorf("exit %d, %q", code, errOut)
	}
}

func TestHelp(t *testing.T) {
	for _, name := range []config.Daemon{config.Hubd, config.Gwd, config.Leafd} {
		for _, args := range [][]string{{"-h"}, {"--help"}, {"help"}, {"-help"}, {"-p", "1", "help"}} {
			if name == config.Gwd && args[0] == "-p" {
				continue // it has no client port
			}
			o, code, out, errOut := runDaemon(t, name, args...)
			if code != 0 || errOut != "" || o.Config != nil {
				t.Errorf("%s %q: exit %d, %q", name, args, code, errOut)
			}
			for _, c := range []string{"run", "check", "version", "pub", "sub", "request", "reply", "status", "keys", "signal", "--config", "Usage:"} {
				if !strings.Contains(out, c) {
					t.Errorf("%s %q: no %s in the help", name, args, c)
				}
			}
		}
	}
	for words, usage := range map[string]string{"help pub": "hubd pub SUBJECT", "help keys tls": "hubd keys tls", "help run": "hubd run [flags]", "run --help": "--cluster_name"} {
		if _, code, out, errOut := runDaemon(t, config.Hubd, strings.Fields(words)...); code != 0 || errOut != "" || !strings.Contains(out, usage) {
			t.Errorf("%s: exit %d, %q", words, code, errOut)
		}
	}
	if _, code, out, errOut := runDaemon(t, config.Hubd, "help", "bogus"); code != ExitUsage || out != "" || !strings.Contains(errOut, `no command "bogus"`) {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	if _, code, out, _ := runDaemon(t, config.Hubd, "--help_tls"); code != 0 || !strings.Contains(out, "--tlsverify") {
		t.Errorf("exit %d, %q", code, out)
	}
}

// Images of nats-server that have a shell are started with its name as an argument.
func TestNameOfTheServerAsAnArgument(t *testing.T) {
	got, code, _, errOut := runDaemon(t, config.Hubd, "nats-server", "-p", "4333", "-n", "x")
	if code != 0 || got.Config == nil || got.Config.Client.Port != 4333 || got.Config.ServerName != "x" {
		t.Errorf("exit %d, %+v, %s", code, got.Config, errOut)
	}
	if _, code, _, errOut := runDaemon(t, config.Hubd, "nats-server", "-nope"); code != ExitUsage || !strings.Contains(errOut, "-nope") {
		t.Errorf("exit %d, %s", code, errOut)
	}
}

// Each command shows examples and what its exit codes mean.
func TestHelpOfEachCommand(t *testing.T) {
	root := NewRoot("hubd", Daemon{Name: config.Hubd})
	for _, path := range []string{"pub", "sub", "request", "reply", "status", "health", "signal", "keys tls", "check", "run"} {
		cmd, rest, err := root.Find(strings.Fields(path))
		if err != nil || len(rest) > 0 {
			t.Fatalf("%s: %v", path, err)
		}
		for _, line := range strings.Split(cmd.Example, "\n") {
			if !strings.Contains(line, "hubd") || strings.Contains(line, "EXE") {
				t.Errorf("%s: example %q", path, line)
			}
		}
		if path != "run" && path != "check" && !strings.Contains(cmd.Long, "Exit codes:") {
			t.Errorf("%s: no exit codes in its help", path)
		}
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s: no example or description", path)
		}
	}
}

// No command's flags collide, for any daemon: pflag panics when they do.
func TestTreeBuildsForEachDaemon(t *testing.T) {
	for _, name := range []config.Daemon{config.Hubd, config.Gwd, config.Leafd} {
		n := 0
		var walk func(*cobra.Command)
		walk = func(c *cobra.Command) {
			n++
			c.InitDefaultHelpFlag()
			for _, sub := range c.Commands() {
				walk(sub)
			}
		}
		walk(NewRoot(string(name), Daemon{Name: name}))
		if n < 12 {
			t.Errorf("%s has %d commands", name, n)
		}
	}
}

func TestExitCodes(t *testing.T) {
	if ExitCode(nil) != 0 || ExitCode(errors.New("x")) != 1 || ExitCode(fmt.Errorf("y: %w", exit(4, nil))) != 4 {
		t.Error("exit codes")
	}
}
