//go:build linux

package procs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The tests start the test binary itself as the process: the variable says what it is to do.
const role = "PROCS_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		goleak.VerifyTestMain(m)
	case "server":
		serve()
	case "burn":
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		}
		fmt.Println("burnt")
		select {}
	case "die":
		fmt.Println("bad settings")
		os.Exit(3)
	case "deaf":
		ignoreTerm()
		fmt.Println("ready")
		select {}
	}
}

func serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	file := portsFile(".", os.Args[0], os.Getpid())
	body := fmt.Sprintf(`{"nats":["nats://%s"]}`, l.Addr())
	if err := os.WriteFile(file+".tmp", []byte(body), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		panic(err)
	}
	fmt.Printf("args %s\nlistening on %s\n", strings.Join(os.Args[1:], " "), l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "hello\n")
		c.Close()
	}
}

func start(t *testing.T, what string, s Spec) *Process {
	t.Helper()
	s.Exe, s.Dir = os.Args[0], t.TempDir()
	s.Env = append(s.Env, role+"="+what)
	p, err := Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return c
}

func TestStartPortsTerm(t *testing.T) {
	p := start(t, "server", Spec{Config: "dir {{dir}}\n", Args: []string{"-D"}})
	ports, err := p.Ports(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Log.Wait(ctx(t), regexp.MustCompile(`listening on (\S+)`))
	if err != nil {
		t.Fatal(err)
	}
	if got := Addr(ports.Client()); got != m[1] {
		t.Errorf("ports file says %s, the log %s", got, m[1])
	}
	if ports.HTTP() != "" {
		t.Errorf("a listener that is off has the URL %q", ports.HTTP())
	}
	file := filepath.Join(p.Dir(), "server.conf")
	if b, err := os.ReadFile(file); err != nil || string(b) != "dir "+p.Dir()+"\n" {
		t.Errorf("settings %q, %v", b, err)
	}
	if want := "args -c " + file + " -D"; !strings.Contains(p.Log.String(), want) {
		t.Errorf("log %q lacks %q", p.Log, want)
	}
	if code, err := p.Term(ctx(t)); err != nil || code != -15 {
		t.Errorf("Term gave %d, %v; want -15", code, err)
	}
	if _, err := net.Dial("tcp", m[1]); err == nil {
		t.Error("the port still answers")
	}
}

func TestFreezeThaw(t *testing.T) {
	p := start(t, "server", Spec{})
	ports, err := p.Ports(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", Addr(ports.Client())) // the kernel accepts for it
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a frozen process answered: %d, %v", n, err)
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 10)); err != nil {
		t.Fatalf("a thawed process does not answer: %v", err)
	}
}

func TestEarlyDeath(t *testing.T) {
	p := start(t, "die", Spec{})
	if _, err := p.Ports(ctx(t)); err == nil || !strings.Contains(err.Error(), "bad settings") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v does not say what happened", err)
	}
	if code, err := p.Wait(ctx(t)); err != nil || code != 3 {
		t.Errorf("Wait gave %d, %v; want 3", code, err)
	}
	if _, err := p.Log.Wait(ctx(t), regexp.MustCompile("never")); err == nil {
		t.Error("waiting for a line of a dead process did not fail")
	}
}

func TestDeafProcessIsKilled(t *testing.T) {
	p := start(t, "deaf", Spec{})
	if _, err := p.Log.Wait(ctx(t), regexp.MustCompile("ready")); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Term(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Term of a process that ignores it: %v", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("it still runs")
	}
	q, err := p.Restart()
	if err != nil {
		t.Fatal(err)
	}
	defer q.Kill()
	if _, err := q.Log.Wait(ctx(t), regexp.MustCompile("ready")); err != nil {
		t.Fatal(err)
	}
}

func TestUsage(t *testing.T) {
	p := start(t, "burn", Spec{})
	if _, err := p.Log.Wait(ctx(t), regexp.MustCompile("burnt")); err != nil {
		t.Fatal(err)
	}
	u, err := ReadUsage(p.Pid())
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU < 20*time.Millisecond || u.CPU > 20*time.Second {
		t.Errorf("a process that spun for 300 ms took %v of CPU", u.CPU)
	}
	if u.RSS < 1<<20 || u.PeakRSS < u.RSS || u.Threads < 2 || u.Voluntary == 0 {
		t.Errorf("implausible: %+v", u)
	}
	v, err := ReadUsage(p.Pid())
	if err != nil {
		t.Fatal(err)
	}
	if d := v.Sub(u); d.CPU < 0 || d.CPU > u.CPU || d.RSS != v.RSS {
		t.Errorf("difference of two readings: %+v", d)
	}
	if s := u.Add(u); s.CPU != 2*u.CPU || s.RSS != 2*u.RSS {
		t.Errorf("sum: %+v", s)
	}
	p.Kill()
	if _, err := CPUTime(p.Pid()); err == nil {
		t.Error("a process that is gone still has a clock")
	}
}

func TestReservedPortsAreForThoseWhoNameThem(t *testing.T) {
	r, err := Reserve(20)
	if err != nil {
		t.Fatal(err)
	}
	reserved := map[int]bool{}
	for _, p := range r.Ports {
		reserved[p] = true
	}
	if len(reserved) != 20 {
		t.Fatalf("%d different ports, want 20", len(reserved))
	}
	for range 500 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if port := l.Addr().(*net.TCPAddr).Port; reserved[port] {
			t.Fatalf("reserved port %d was given away", port)
		}
	}
	for _, p := range r.Ports {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			t.Fatalf("nobody can listen on reserved port %d: %v", p, err)
		}
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
}

func TestReferenceByVariable(t *testing.T) {
	t.Setenv("NATS_SERVER", os.Args[0])
	if got, err := Reference(); err != nil || got != os.Args[0] {
		t.Errorf("got %q, %v", got, err)
	}
	t.Setenv("NATS_SERVER", "/no/such/binary")
	if _, err := Reference(); err == nil || !strings.Contains(err.Error(), "/no/such/binary") {
		t.Errorf("a missing binary gave %v", err)
	}
}

func TestBuildReportsCompilerErrors(t *testing.T) {
	b := NewBinaries(t.TempDir())
	if _, err := b.Build(ctx(t), "no-such-command"); err == nil || !strings.Contains(err.Error(), "cmd/no-such-command") {
		t.Errorf("got %v", err)
	}
}

func TestLogKeepsBothEnds(t *testing.T) {
	l := newLog()
	fmt.Fprintln(l, "first")
	for range 20 {
		_, _ = l.Write([]byte(strings.Repeat("x", 1<<20-1) + "\n"))
	}
	fmt.Fprintln(l, "last")
	s := l.String()
	if len(s) > maxLog || !strings.HasPrefix(s, "first\n") || !strings.HasSuffix(s, "last\n") {
		t.Errorf("%d bytes kept, from %.10q to %.10q", len(s), s, s[len(s)-5:])
	}
	if l.Tail(1) != "last" {
		t.Errorf("tail %q", l.Tail(1))
	}
	if n := l.Count(regexp.MustCompile("^(first|last)$")); n != 2 {
		t.Errorf("%d lines counted, want 2", n)
	}
	if _, err := l.Wait(ctx(t), regexp.MustCompile("^last$")); err != nil {
		t.Error(err)
	}
}
