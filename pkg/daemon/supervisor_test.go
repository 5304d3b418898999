package daemon

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/config"
)

// manager is the service manager's end of the socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return &manager{t, conn}
}

// next is the next message that matches; others are passed over.
func (m *manager) next(re string) string {
	m.t.Helper()
	buf := make([]byte, 4096)
	for {
		_ = m.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := m.conn.Read(buf)
		if err != nil {
			m.t.Fatalf("nothing like %s came: %v", re, err)
		}
		if s := string(buf[:n]); regexp.MustCompile(re).MatchString(s) {
			return s
		}
	}
}

// The life of a process as its service manager sees it (deployment 4).
func TestServiceManagerIsTold(t *testing.T) {
	defer goleak.VerifyNone(t)
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", "100000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	cfg := settings(t)
	done := make(chan error, 1)
	drained := make(chan struct{})
	load := func() (*config.Config, []config.Warning, error) { return cfg, nil, nil }
	go func() {
		done <- Run(context.Background(), cfg, nil, load, func(p *Process) error {
			p.Add(Part{Name: "part", Start: func() error { return nil }, Drain: func(context.Context) { <-drained }})
			return nil
		})
	}()
	if got := m.next(`^READY=1`); !strings.Contains(got, "\nSTATUS=Serving on 0 listeners as N") {
		t.Errorf("got %q", got)
	}
	m.next(`^WATCHDOG=1`)
	kill := func(s syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	kill(syscall.SIGHUP)
	if got := m.next(`^RELOADING=1`); !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=`).MatchString(got) {
		t.Errorf("got %q", got)
	}
	m.next(`^READY=1`)
	kill(syscall.SIGUSR2)
	m.next(`^STOPPING=1\nSTATUS=Sending clients away`)
	m.next(`^WATCHDOG=1`) // it is alive while it drains
	close(drained)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// It was told once; nothing but signs of life may follow.
	_ = m.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	buf := make([]byte, 4096)
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			break
		}
		if s := string(buf[:n]); !strings.HasPrefix(s, "WATCHDOG=1") {
			t.Errorf("after STOPPING: %q", s)
		}
	}
}

// A process whose locks are held for ever gives no sign of life.
func TestWatchdogOfAHangingProcess(t *testing.T) {
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", "60000")
	p, err := New(settings(t))
	if err != nil {
		t.Fatal(err)
	}
	hung, release := make(chan struct{}), make(chan struct{})
	p.super.checks = append(p.super.checks, sync.OnceFunc(func() { close(hung); <-release }))
	stop := p.feedWatchdog()
	<-hung
	_ = m.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := m.conn.Read(make([]byte, 100)); err == nil {
		t.Errorf("a sign of life of %d bytes", n)
	}
	close(release)
	stop()
}
