package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/config"
)

// settings of a daemon that logs and leaves its pid in a directory of the test.
func settings(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	cfg := &config.Config{Daemon: config.Hubd, PidFile: filepath.Join(dir, "pid")}
	cfg.Log.File = filepath.Join(dir, "log")
	return cfg
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A start that fails leaves the pid file of the daemon that runs as it was.
func TestFailedStart(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, former := range []string{"", strconv.Itoa(os.Getppid()), "1073741824", "x"} {
		cfg := settings(t)
		if former != "" {
			if err := os.WriteFile(cfg.PidFile, []byte(former), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		stopped := 0
		err := Run(context.Background(), cfg, nil, nil, func(p *Process) error {
			p.Add(Part{Name: "first", Start: func() error { return nil }, Stop: func() { stopped++ }})
			p.Add(Part{Name: "second", Start: func() error {
				if s := read(t, cfg.PidFile); s != strconv.Itoa(os.Getpid()) {
					t.Errorf("the pid file holds %q while the daemon starts", s)
				}
				return errors.New("second: the port is taken")
			}, Stop: func() { t.Error("what did not start is stopped") }})
			return nil
		})
		if err == nil || err.Error() != "second: the port is taken" || stopped != 1 {
			t.Errorf("%v, first part stopped %d times", err, stopped)
		}
		if log := read(t, cfg.Log.File); !strings.Contains(log, "The start failed: second: the port is taken") {
			t.Errorf("no reason in the log:\n%s", log)
		}
		if former == strconv.Itoa(os.Getppid()) {
			if s := read(t, cfg.PidFile); s != former {
				t.Errorf("the pid file holds %q, want that of the other daemon, %s", s, former)
			}
		} else if _, err := os.Stat(cfg.PidFile); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("former content %q: the pid file is still there", former)
		}
	}
}

// Signals that come while parts start are kept for later and kill nothing.
func TestSignalsDuringTheStart(t *testing.T) {
	defer goleak.VerifyNone(t)
	cfg := settings(t)
	done := make(chan error, 1)
	go func() {
		done <- Run(context.Background(), cfg, nil, nil, func(p *Process) error {
			p.Add(Part{Name: "slow", Start: func() error {
				for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM} {
					if err := syscall.Kill(os.Getpid(), s); err != nil {
						return err
					}
				}
				return nil
			}})
			return nil
		})
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("SIGTERM was lost")
	}
	if log := read(t, cfg.Log.File); !strings.Contains(log, "Server is ready") || !strings.Contains(log, "Server Exiting..") {
		t.Errorf("the log says\n%s", log)
	}
	if _, err := os.Stat(cfg.PidFile); !errors.Is(err, os.ErrNotExist) {
		t.Error("the pid file is still there")
	}
}
