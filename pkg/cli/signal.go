package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/process"
)

// signals by the names that --signal and the signal command take (config-cli 10).
var signals = []struct {
	name string
	sig  syscall.Signal
	what string
}{
	{"reload", syscall.SIGHUP, "read the settings again"},
	{"reopen", process.Reopen, "close and open the log file, after it was moved"},
	{"ldm", process.Drain, "lame duck: send clients away one by one, then stop"},
	{"quit", syscall.SIGINT, "stop at once, cleanly"},
	{"term", syscall.SIGTERM, "stop at once, cleanly, unless a lame duck is under way"},
	{"stop", syscall.SIGKILL, "kill"},
}

// sendSignal serves --signal: "CMD" or "CMD=PID", where PID is a process id,
// the beginning of one followed by "*", or a file that holds one. Without PID
// the only other process of this name is meant.
func sendSignal(exe, spec string) error {
	parts := strings.Split(spec, "=")
	if len(parts) > 2 {
		return fmt.Errorf("invalid signal parameters: %v", parts[2:])
	}
	sig, err := signalNamed(parts[0])
	if err != nil {
		return err
	}
	target := ""
	if len(parts) == 2 {
		target = parts[1]
	}
	pids, err := targets(exe, target)
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		if err := process.Send(pid, sig); err != nil {
			errs = append(errs, fmt.Errorf("signal %q %d: %w", parts[0], pid, err))
		}
	}
	return errors.Join(errs...)
}

func signalNamed(name string) (syscall.Signal, error) {
	for _, s := range signals {
		if s.name == name {
			return s.sig, nil
		}
	}
	return 0, fmt.Errorf("unknown signal %q", name)
}

func targets(exe, target string) ([]int, error) {
	if target != "" && !strings.HasSuffix(target, "*") {
		pid, err := pidOf(target)
		return []int{pid}, err
	}
	pids, err := processes(exe)
	if err != nil {
		return nil, err
	}
	prefix := strings.TrimSuffix(target, "*")
	pids = slices.DeleteFunc(pids, func(pid int) bool { return !strings.HasPrefix(strconv.Itoa(pid), prefix) })
	switch {
	case len(pids) == 0:
		return nil, fmt.Errorf("no %s processes running", exe)
	case len(pids) > 1 && target == "":
		list := ""
		for _, pid := range pids {
			list += fmt.Sprintf("\n%d", pid)
		}
		return nil, fmt.Errorf("multiple %s processes running:%s", exe, list)
	}
	return pids, nil
}

// pidOf takes a number or a file that holds one.
func pidOf(target string) (int, error) {
	text := target
	if b, err := os.ReadFile(target); err == nil {
		text = strings.TrimSpace(string(b))
	}
	// 0 and negative numbers would signal whole process groups.
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("invalid pid: %s", target)
	}
	return pid, nil
}

// processes finds other processes of this name. Where there is none, those are meant that
// run this very file under another of its names: in images hubd is nats-server too.
func processes(exe string) ([]int, error) {
	if comms, _ := filepath.Glob("/proc/[0-9]*/comm"); len(comms) > 0 {
		pids := named(comms, exe)
		if len(pids) == 0 {
			pids = running(comms)
		}
		return pids, nil
	}
	out, err := exec.Command("pgrep", "-x", exe).Output()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		return nil, fmt.Errorf("unable to find %s processes, give a pid or a pid file: %w", exe, err)
	}
	var pids []int
	for _, w := range strings.Fields(string(out)) {
		pids = addOther(pids, w)
	}
	return pids, nil
}

// addOther appends a process id unless it is our own.
func addOther(pids []int, word string) []int {
	if pid, err := strconv.Atoi(word); err == nil && pid != os.Getpid() {
		return append(pids, pid)
	}
	return pids
}

// named lists the processes, each by its comm file below /proc, that have this name.
func named(comms []string, exe string) (pids []int) {
	// The kernel keeps fifteen characters of a name.
	name := exe[:min(len(exe), 15)]
	for _, f := range comms {
		if b, err := os.ReadFile(f); err == nil && strings.TrimSuffix(string(b), "\n") == name {
			pids = addOther(pids, filepath.Base(filepath.Dir(f)))
		}
	}
	return pids
}

// running lists those that run the file that we run.
func running(comms []string) (pids []int) {
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	for _, f := range comms {
		dir := filepath.Dir(f)
		if exe, err := os.Readlink(filepath.Join(dir, "exe")); err == nil && exe == own {
			pids = addOther(pids, filepath.Base(dir))
		}
	}
	return pids
}

func newSignal(exe string) *cobra.Command {
	long := "Send a signal to a running daemon.\n\n"
	for _, s := range signals {
		long += fmt.Sprintf("  %-7s %s\n", s.name, s.what)
	}
	return &cobra.Command{
		Use:   "signal COMMAND [PID | PIDFILE]",
		Short: "Tell a running daemon to reload, stop, ...",
		Long:  long + "\nWithout a pid the only other process named " + exe + " is meant.\n\n" + exitCodesHelp,
		Example: example(exe, `signal reload /run/EXE/EXE.pid
signal ldm 4711`),
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := signalNamed(args[0]); err != nil {
				return exit(ExitUsage, err)
			}
			return sendSignal(exe, strings.Join(args, "="))
		},
	}
}
