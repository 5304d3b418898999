package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What follows runs a process in an unpacked image as container engines do: in namespaces
// of its own, as process 1, with the image's root, without privileges. The test's binary
// begins in the new namespaces, sets them up, and becomes the program.

const initVariable = "BANYAN_TEST_CONTAINER"

// container says what to run.
type container struct {
	Root     string
	ReadOnly bool // the root; /tmp is a file system of its own then
	UID      int
	Env      []string
	Argv     []string // the program is looked for in the PATH of Env
	Join     int      // run inside of the container whose first process this is
}

func TestMain(m *testing.M) {
	if spec := os.Getenv(initVariable); spec != "" {
		var c container
		err := json.Unmarshal([]byte(spec), &c)
		if err == nil {
			err = c.become()
		}
		fmt.Fprintln(os.Stderr, "container:", err)
		os.Exit(125)
	}
	os.Exit(m.Run())
}

// become ends only when it fails, or when what it ran inside of another container has ended.
func (c *container) become() error {
	runtime.LockOSThread()
	if c.Join > 0 {
		return c.join()
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := unix.Mount(c.Root, c.Root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if err := unix.Mount("proc", filepath.Join(c.Root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if c.ReadOnly {
		if err := unix.Mount("tmpfs", filepath.Join(c.Root, "tmp"), "tmpfs", 0, "mode=1777"); err != nil {
			return fmt.Errorf("/tmp: %w", err)
		}
		if err := unix.Mount("", c.Root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("read-only root: %w", err)
		}
	}
	if err := errors.Join(unix.Chroot(c.Root), unix.Chdir("/")); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(c.UID), syscall.Setuid(c.UID)); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	// A change of user clears what the test set: nothing may outlive it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	program, err := c.program("/")
	if err != nil {
		return err
	}
	return syscall.Exec(program, c.Argv, c.Env)
}

// join is what "docker exec" does.
func (c *container) join() error {
	for name, kind := range map[string]int{"net": unix.CLONE_NEWNET, "pid": unix.CLONE_NEWPID} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", c.Join, name))
		if err != nil {
			return err
		}
		if err := unix.Setns(int(f.Fd()), kind); err != nil {
			return fmt.Errorf("namespace %s: %w", name, err)
		}
		f.Close()
	}
	root := fmt.Sprintf("/proc/%d/root", c.Join)
	program, err := c.program(root)
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{
		Path: program, Args: c.Argv, Env: c.Env, Dir: "/", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: uint32(c.UID), Gid: uint32(c.UID)}},
	}
	err = cmd.Run()
	var ended *exec.ExitError
	if err == nil || errors.As(err, &ended) {
		os.Exit(cmd.ProcessState.ExitCode())
	}
	return err
}

// program looks for the first argument in PATH; the links of an image are relative.
func (c *container) program(root string) (string, error) {
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, e := range c.Env {
		path, ok := strings.CutPrefix(e, "PATH=")
		for dir := range strings.SplitSeq(path, ":") {
			if info, err := os.Stat(filepath.Join(root, dir, name)); ok && err == nil && info.Mode()&0o111 != 0 {
				return filepath.Join(dir, name), nil
			}
		}
	}
	return "", fmt.Errorf("%s is not in the PATH of %q", name, c.Env)
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}

// running is a container at work.
type running struct {
	t    *testing.T
	c    container
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

func (c container) command(ctx context.Context, out *output) *exec.Cmd {
	spec, err := json.Marshal(c)
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{initVariable + "=" + string(spec)}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.Join == 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID
	}
	return cmd
}

// needContainers skips where processes can't be given a root and namespaces.
func needContainers(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root: a process can't be given another root directory and user")
	}
	probe := exec.Command("/proc/self/exe", "-test.run=^$")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID}
	if err := probe.Run(); err != nil {
		t.Skipf("no namespaces here: %v", err)
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (c container) start(t *testing.T) *running {
	t.Helper()
	r := &running{t: t, c: c, out: &output{}, done: make(chan struct{})}
	// Pdeathsig is sent when the thread ends that started the process: it must not.
	started := make(chan error)
	r.cmd = c.command(context.Background(), r.out)
	go func() {
		runtime.LockOSThread()
		started <- r.cmd.Start()
		_ = r.cmd.Wait() // the exit code is in its state
		close(r.done)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
	})
	return r
}

// exec runs a command inside, as the container's user, and returns its exit code and output.
func (r *running) exec(argv ...string) (int, string) {
	r.t.Helper()
	c := r.c
	c.Argv, c.Join = argv, r.cmd.Process.Pid
	out := &output{}
	cmd := c.command(within(r.t), out)
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		r.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// healthy waits until the daemon's own probe says so.
func (r *running) healthy(daemon string) {
	r.t.Helper()
	ctx := within(r.t)
	for {
		code, out := r.exec(daemon, "health")
		if code == 0 {
			return
		}
		select {
		case <-r.done:
			r.t.Fatalf("%q ended:\n%s", r.c.Argv, r.out)
		case <-ctx.Done():
			r.t.Fatalf("%q is not healthy: %s\n%s", r.c.Argv, out, r.out)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// exit waits for the end and returns the exit code.
func (r *running) exit() int {
	r.t.Helper()
	select {
	case <-r.done:
		return r.cmd.ProcessState.ExitCode()
	case <-within(r.t).Done():
		r.t.Fatalf("%q does not end:\n%s", r.c.Argv, r.out)
		return -1
	}
}

// stop is what "docker stop" does.
func (r *running) stop() int {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	return r.exit()
}

// says waits for a text in what the daemon wrote.
func (r *running) says(text string) {
	r.t.Helper()
	ctx := within(r.t)
	for !strings.Contains(r.out.String(), text) {
		select {
		case <-ctx.Done():
			r.t.Fatalf("%q never says %q:\n%s", r.c.Argv, text, r.out)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// status is a line of the first process in /proc, such as its user.
func (r *running) status(key string) string {
	r.t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/status")
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return ""
}
