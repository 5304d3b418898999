//go:build linux

package packages

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unitFile is the [Service] section of a unit.
type unitFile map[string][]string

func readUnit(t *testing.T, file string) unitFile {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	u, section := unitFile{}, ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = line
		case section == "[Service]":
			k, v, _ := strings.Cut(line, "=")
			u[k] = append(u[k], v)
		}
	}
	return u
}

func (u unitFile) one(t *testing.T, key string) string {
	t.Helper()
	if len(u[key]) != 1 {
		t.Fatalf("%s= stands %d times", key, len(u[key]))
	}
	return u[key][0]
}

func (u unitFile) seconds(t *testing.T, key string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(u.one(t, key) + "s")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (u unitFile) killSignal(t *testing.T) syscall.Signal {
	t.Helper()
	switch s := u.one(t, "KillSignal"); s {
	case "SIGUSR2":
		return syscall.SIGUSR2
	case "SIGTERM":
		return syscall.SIGTERM
	default:
		t.Fatalf("KillSignal=%s is none that a daemon stops by", s)
		return 0
	}
}

// systemd-analyze finds nothing wrong with the units, and the exposure that it sees is
// that of a service which has to talk to the network and else has nothing.
func TestUnits(t *testing.T) {
	analyze := tool(t, "systemd-analyze", "systemd")
	const most = "26" // tenths
	exposure := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)
	for _, d := range daemons() {
		file := shared.root + "/configs/systemd/" + d + ".service"
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// What it starts has to be there to be verified.
		here := t.TempDir() + "/" + d + ".service"
		if err := os.WriteFile(here, []byte(strings.ReplaceAll(string(text), "/usr/bin/"+d, shared.bin+"/"+d)), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := tryRun(analyze, "verify", "--man=no", here); err != nil || strings.Contains(out, d) {
			t.Errorf("systemd-analyze verify %s.service: %v\n%s", d, err, out)
		}
		out, err := tryRun(analyze, "security", "--offline=true", "--threshold="+most, "--no-pager", file)
		found := exposure.FindStringSubmatch(out)
		if err != nil || found == nil {
			t.Errorf("systemd-analyze security %s.service: %v\n%s", d, err, out)
			continue
		}
		t.Logf("%s.service: exposure %s", d, found[1])
	}
}

// What stands in the units fits what the daemons do by the settings that come with them.
func TestUnitsFitSettings(t *testing.T) {
	for _, d := range daemons() {
		u := readUnit(t, shared.root+"/configs/systemd/"+d+".service")
		settings, err := os.ReadFile(shared.root + "/configs/debian/" + d + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if u.killSignal(t) == syscall.SIGUSR2 {
			drain := regexp.MustCompile(`(?m)^lifecycle: \{drain: ([0-9a-z]+),`).FindSubmatch(settings)
			if drain == nil {
				t.Fatalf("%s.yaml does not say how long a drain takes", d)
			}
			long, err := time.ParseDuration(string(drain[1]))
			if err != nil || u.seconds(t, "TimeoutStopSec") < long+20*time.Second {
				t.Errorf("%s: a drain takes %s, TimeoutStopSec=%s", d, drain[1], u.one(t, "TimeoutStopSec"))
			}
		}
		if got := u.one(t, "User"); got != d || u.one(t, "DynamicUser") != "yes" || u.one(t, "Type") != "notify" {
			t.Errorf("%s: User=%s, DynamicUser=%s, Type=%s", d, got, u.one(t, "DynamicUser"), u.one(t, "Type"))
		}
		if out, err := tryRun(shared.bin+"/"+d, "check", "-c", shared.root+"/configs/debian/"+d+".yaml"); err != nil || strings.Contains(out, "warning") {
			t.Errorf("the settings of the package: %v\n%s", err, out)
		}
	}
}
