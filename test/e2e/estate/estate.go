//go:build linux

package estate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/test/procs"
)

// Patience is how long to wait for something that takes milliseconds on an idle machine: tests share theirs with others.
const Patience = 60 * time.Second

// Estate is the servers and clients of one test.
type Estate struct {
	t    testing.TB
	bins *procs.Binaries
	dir  string

	mu    sync.Mutex
	nodes []*Node                  // guarded by mu
	certs map[string]*certs.Result // guarded by mu
}

// New returns an empty estate that is torn down with the test.
func New(t testing.TB, bins *procs.Binaries) *Estate {
	t.Helper()
	e := &Estate{t: t, bins: bins, dir: t.TempDir(), certs: make(map[string]*certs.Result)}
	t.Cleanup(e.close)
	return e
}

func (e *Estate) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.nodes {
		defer n.stop()
		if e.t.Failed() {
			if crash := n.Crash(); crash != "" {
				e.t.Logf("--- %s crashed:\n%s", n.Name, crash)
				continue
			}
			e.t.Logf("--- %s ended its log with:\n%s", n.Name, n.Log().Tail(25))
		}
	}
}

// Nodes returns all servers that were made so far.
func (e *Estate) Nodes() []*Node {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*Node(nil), e.nodes...)
}

// Context ends after [Patience] and with the test.
func (e *Estate) Context() context.Context {
	ctx, cancel := context.WithTimeoutCause(e.t.Context(), Patience, fmt.Errorf("not within %v", Patience))
	e.t.Cleanup(cancel)
	return ctx
}

// Eventually waits until cond has no objection and fails the test with its last one after [Patience].
func (e *Estate) Eventually(what string, cond func() error) {
	e.t.Helper()
	if err := Await(Patience, cond); err != nil {
		e.t.Fatalf("%s: %v", what, err)
	}
}

// Await waits until cond returns nil and gives its last error after that time.
func Await(limit time.Duration, cond func() error) error {
	end := time.Now().Add(limit)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := cond()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("still after %v: %w", limit, err)
		}
		time.Sleep(pause)
	}
}

// Cert returns a certificate of the estate's own authority, made at its first use.
func (e *Estate) Cert(name string, usage certs.Usage) *certs.Result {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.certs[name]; c != nil {
		return c
	}
	c, err := certs.Ensure(certs.Spec{Dir: filepath.Join(e.dir, "tls"), Name: name, Usage: usage, Hosts: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		e.t.Fatal(err)
	}
	e.certs[name] = c
	return c
}

// TLSBlock is a block of settings, in one line, for a server with a certificate of that name.
func (e *Estate) TLSBlock(name string, more ...string) string {
	e.t.Helper()
	c := e.Cert(name, certs.Server|certs.Client)
	parts := append([]string{"cert: " + c.Cert, "key: " + c.Key, "ca: " + c.CA, "timeout: 10s"}, more...)
	return "{" + strings.Join(parts, ", ") + "}"
}

// Connect connects a client that never gives up on a reconnect. It is closed with the test.
func (e *Estate) Connect(n *Node, opts ...nats.Option) *nats.Conn {
	e.t.Helper()
	all := append([]nats.Option{
		nats.Name(e.t.Name()), nats.Timeout(Patience / 2), nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond),
		nats.DrainTimeout(Patience), nats.PingInterval(time.Minute),
	}, opts...)
	nc, err := nats.Connect(n.URL(), all...)
	if err != nil {
		e.t.Fatalf("connecting to %s: %v", n.Name, err)
	}
	e.t.Cleanup(nc.Close)
	return nc
}

// Reference returns the path of the reference server. Where there is none the test is skipped by name.
func Reference(t testing.TB) string {
	t.Helper()
	path, err := procs.Reference()
	if errors.Is(err, procs.ErrNoReference) {
		t.Skipf("%s needs a reference server to talk to: %v", t.Name(), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Build returns the path of one of this module's commands.
func (e *Estate) Build(name string) string {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	path, err := e.bins.Build(ctx, name)
	if err != nil {
		e.t.Fatal(err)
	}
	return path
}

// BuildVersion is Build with another version in the binary.
func (e *Estate) BuildVersion(name, version string) string {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	path, err := e.bins.BuildVersion(ctx, name, version)
	if err != nil {
		e.t.Fatal(err)
	}
	return path
}

// Dir makes a directory below the estate's.
func (e *Estate) Dir(name string) string {
	e.t.Helper()
	dir := filepath.Join(e.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		e.t.Fatal(err)
	}
	return dir
}
