package cli

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSendSignal(t *testing.T) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(got)
	pidFile := filepath.Join(t.TempDir(), "hubd.pid")
	if err := os.WriteFile(pidFile, fmt.Append(nil, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]os.Signal{
		fmt.Sprintf("reload=%d", os.Getpid()): syscall.SIGHUP,
		"reopen=" + pidFile:                   syscall.SIGUSR1,
		"ldm=" + pidFile:                      syscall.SIGUSR2,
	} {
		if err := sendSignal("hubd", spec); err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		select {
		case s := <-got:
			if s != want {
				t.Errorf("%s sent %v, want %v", spec, s, want)
			}
		case <-within(t).Done():
			t.Fatalf("%s sent nothing", spec)
		}
	}
}

func TestSendSignalErrors(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("not a pid"), 0o600); err != nil {
		t.Fatal(err)
	}
	pid := dead.Process.Pid
	for spec, want := range map[string]string{
		"bogus":                       `unknown signal "bogus"`,
		"bogus=1":                     `unknown signal "bogus"`,
		"reload=x":                    "invalid pid: x",
		"reload=0":                    "invalid pid: 0",
		"reload=-1":                   "invalid pid: -1",
		"reload=" + junk:              "invalid pid: " + junk,
		"reload=1=2":                  "invalid signal parameters: [2]",
		"reload":                      "no banyan-test-nobody processes running",
		"reload=9*":                   "no banyan-test-nobody processes running",
		fmt.Sprintf("reload=%d", pid): fmt.Sprintf(`signal "reload" %d: no such process`, pid),
	} {
		if err := sendSignal("banyan-test-nobody", spec); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", spec, err, want)
		}
	}
}

// Processes are found by name, ourselves excepted; the name of a process has fifteen characters.
func TestSignalByName(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep on PATH")
	}
	const name = "banyan-test-sleeper"
	exe := filepath.Join(t.TempDir(), name)
	b, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, b, 0o755); err != nil {
		t.Fatal(err)
	}
	begin := func() *exec.Cmd {
		c := exec.Command(exe, "60")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		return c
	}
	one, two := begin(), begin()
	if err := sendSignal(name, "term"); err == nil || !strings.HasPrefix(err.Error(), "multiple "+name+" processes running:\n") {
		t.Errorf("%v", err)
	}
	if err := sendSignal(name, fmt.Sprintf("term=%d*", one.Process.Pid)); err != nil {
		t.Error(err)
	}
	if err := one.Wait(); err == nil || one.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("the first ended with %v", err)
	}
	if err := sendSignal(name, "stop"); err != nil {
		t.Error(err)
	}
	if err := two.Wait(); err == nil || two.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the second ended with %v", err)
	}
}

func TestSignalCommand(t *testing.T) {
	for want, args := range map[int][]string{
		ExitUsage:   {"signal", "bogus", "1"},
		ExitFailure: {"signal", "reload", "none"},
	} {
		if code, _, errOut := run(t, "", args...); code != want {
			t.Errorf("%q: exit %d, want %d: %s", args, code, want, errOut)
		}
	}
	if code, _, _ := run(t, "", "signal"); code != ExitUsage {
		t.Errorf("exit %d", code)
	}
}

// A process that runs our file under another name is meant if none has the name asked for.
func TestSignalByFile(t *testing.T) {
	if os.Getenv("BANYAN_TEST_SLEEPER") != "" {
		<-within(t).Done()
		return
	}
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Skip("no /proc, which says what a process runs")
	}
	alias := filepath.Join(t.TempDir(), "banyan-alias")
	if err := os.Symlink(own, alias); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(alias, "-test.run=^TestSignalByFile$")
	c.Env = append(os.Environ(), "BANYAN_TEST_SLEEPER=1")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	if err := sendSignal("banyan-test-nobody", "term"); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || c.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", err)
	}
}
