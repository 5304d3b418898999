//go:build linux

package procs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Spec says how to start a process.
type Spec struct {
	Exe  string   // path of the binary
	Args []string // arguments, after those that Config adds
	Env  []string // added to this process's own environment, as "NAME=value"
	Dir  string   // working directory, where the settings file and the ports file live; must exist

	// Config, when not empty, is written to <Dir>/<ConfigName> and given as "-c". Each {{dir}} in it becomes Dir.
	Config     string
	ConfigName string // "server.conf" if empty
}

// Process is a running or ended process. Its methods are safe for concurrent use.
type Process struct {
	Log *Log // standard output and standard error together

	spec Spec
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone
	exit error         // how it ended; readable after done
}

// Start starts a process. The caller must end it by Term or Kill.
func Start(s Spec) (*Process, error) {
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return nil, err
	}
	s.Dir = dir
	var args []string
	if s.Config != "" {
		if s.ConfigName == "" {
			s.ConfigName = "server.conf"
		}
		file := filepath.Join(dir, s.ConfigName)
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(s.Config, "{{dir}}", dir)), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-c", file)
	}
	p := &Process{Log: newLog(), spec: s, done: make(chan struct{})}
	p.cmd = exec.Command(s.Exe, append(args, s.Args...)...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), s.Env...)
	p.cmd.Stdout, p.cmd.Stderr = p.Log, p.Log
	// A server must not outlive a test that was killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p.cmd.WaitDelay = 2 * time.Second
	started := make(chan error, 1)
	go func() {
		// The kernel sends the death signal when the thread that started the process ends, so that thread is kept for as
		// long as the process lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		if p.exit = p.cmd.Wait(); p.exit == nil {
			p.exit = errExitZero
		}
		p.Log.end()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Exe, err)
	}
	return p, nil
}

var errExitZero = errors.New("exit status 0")

func (p *Process) name() string { return filepath.Base(p.spec.Exe) }

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Dir returns the process's working directory.
func (p *Process) Dir() string { return p.spec.Dir }

// Done is closed when the process is gone.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the process is gone and returns its exit code; a process killed by signal n gives -n.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return 0, fmt.Errorf("%s (pid %d) still runs: %w", p.name(), p.Pid(), context.Cause(ctx))
	}
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -int(ws.Signal()), nil
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// Signal sends a signal.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Freeze stops the process as if its machine had hung: its sockets stay open and nothing is read or answered.
func (p *Process) Freeze() error { return p.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw() error { return p.Signal(syscall.SIGCONT) }

// Kill ends the process at once and waits until it is gone. Killing one that is gone does nothing.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Term asks the process to shut down cleanly and waits; when ctx ends first it is killed, and that is an error. It returns
// the exit code.
func (p *Process) Term(ctx context.Context) (int, error) {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	code, err := p.Wait(ctx)
	if err != nil {
		p.Kill()
		return code, fmt.Errorf("did not obey SIGTERM: %w", err)
	}
	return code, nil
}

// Restart starts the process again with the same settings after it has gone (it is killed if it still runs). Its log starts
// empty.
func (p *Process) Restart() (*Process, error) {
	p.Kill()
	return Start(p.spec)
}
