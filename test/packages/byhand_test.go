//go:build linux

package packages

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const patience = 30 * time.Second

// byHand is a daemon that the test starts as its unit says, in systemd's stead.
type byHand struct {
	t      *testing.T
	unit   unitFile
	cmd    *exec.Cmd
	log    *lines
	notes  *net.UnixConn
	exited chan error
	env    []string
	cred   *syscall.Credential
	// limited: the unit's limit of open files holds. Raising it takes a capability.
	limited bool
}

// lines is what a process prints.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startByHand does what systemd does: the directories, the environment, the user, the
// limits, ExecStartPre and ExecStart, and the socket that readiness is told to.
func startByHand(t *testing.T, name string) *byHand {
	t.Helper()
	b := &byHand{t: t, unit: readUnit(t, "/usr/lib/systemd/system/"+name+".service"), log: &lines{}, exited: make(chan error, 1)}
	account, err := user.Lookup(b.unit.one(t, "User"))
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	b.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for key, base := range map[string]string{"RuntimeDirectory": "/run/", "StateDirectory": "/var/lib/", "LogsDirectory": "/var/log/"} {
		for _, d := range b.unit[key] {
			if err := os.MkdirAll(base+d, 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(base+d, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
	}
	const socket = "/run/notify"
	os.Remove(socket)
	if b.notes, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.notes.Close() })
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	b.env = []string{"PATH=/usr/bin:/bin", "NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=1000000", "MAINPID="}
	for line := range strings.Lines(readFile(t, strings.TrimPrefix(b.unit.one(t, "EnvironmentFile"), "-"))) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			b.env = append(b.env, line)
		}
	}
	files, err := strconv.ParseUint(b.unit.one(t, "LimitNOFILE"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
		t.Logf("LimitNOFILE=%d: %v", files, err)
	} else {
		b.limited = true
	}
	b.command(b.unit.one(t, "ExecStartPre"))
	args := strings.Fields(b.unit.one(t, "ExecStart"))
	b.cmd = exec.Command(args[0], args[1:]...)
	b.cmd.Dir, b.cmd.Env = "/", b.env
	b.cmd.Stdout, b.cmd.Stderr = b.log, b.log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.cred, Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { b.exited <- b.cmd.Wait() }()
	t.Cleanup(func() { _ = b.cmd.Process.Kill() })
	return b
}

// command runs a line of the unit as its user, to its end.
func (b *byHand) command(line string) {
	b.t.Helper()
	if b.cmd != nil {
		line = strings.ReplaceAll(line, "$MAINPID", strconv.Itoa(b.cmd.Process.Pid))
	}
	args := strings.Fields(line)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = "/", b.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// told waits for a message that begins so; others are passed over.
func (b *byHand) told(begin string) string {
	b.t.Helper()
	buf := make([]byte, 4096)
	for {
		_ = b.notes.SetReadDeadline(time.Now().Add(patience))
		n, err := b.notes.Read(buf)
		if err != nil {
			b.t.Fatalf("%s was not told: %v\n%s", begin, err, b.log)
		}
		if s := string(buf[:n]); strings.HasPrefix(s, begin) {
			return s
		}
	}
}

// reload does ExecReload and waits until it is over.
func (b *byHand) reload() {
	b.t.Helper()
	for _, line := range b.unit["ExecReload"] {
		b.command(line)
	}
	if s := b.told("RELOADING=1"); !strings.Contains(s, "MONOTONIC_USEC=") {
		b.t.Errorf("told %q", s)
	}
	b.told("READY=1")
}

// stop sends the signal that systemd would and returns how long the end took.
func (b *byHand) stop() time.Duration {
	b.t.Helper()
	began := time.Now()
	if err := b.cmd.Process.Signal(b.unit.killSignal(b.t)); err != nil {
		b.t.Fatal(err)
	}
	b.told("STOPPING=1")
	select {
	case err := <-b.exited:
		if err != nil {
			b.t.Errorf("the end: %v\n%s", err, b.log)
		}
	case <-time.After(patience):
		b.t.Fatalf("it does not stop\n%s", b.log)
	}
	return time.Since(began)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
