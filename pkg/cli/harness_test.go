package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/test/procs"
)

func TestMain(m *testing.M) {
	// What the machine's owner has set must not reach the tests.
	for _, v := range []string{"NATS_URL", "NATS_USER", "NATS_PASSWORD", "NATS_TOKEN", "NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_CERT", "NATS_KEY", "BANYAN_HTTP"} {
		os.Unsetenv(v)
	}
	goleak.VerifyTestMain(m)
}

// server is the installed reference server, as a peer that we did not write.
type server struct {
	url, http string
}

func startServer(t *testing.T, settings string) server {
	t.Helper()
	exe, err := procs.Reference()
	if errors.Is(err, procs.ErrNoReference) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := procs.Start(procs.Spec{Exe: exe, Dir: t.TempDir(), Config: "listen: 127.0.0.1:-1\nhttp: 127.0.0.1:-1\nports_file_dir: \"{{dir}}\"\n" + settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	ports, err := p.Ports(within(t))
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Log)
	}
	return server{ports.Client(), ports.HTTP()}
}

func (s server) connect(t *testing.T, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// within bounds everything that a test waits for.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// command is one run of the command line inside the test.
type command struct {
	t        *testing.T
	out, err *buffer
	code     chan int
	stop     context.CancelFunc
}

func start(t *testing.T, stdin string, args ...string) *command {
	t.Helper()
	return startDaemon(t, Daemon{Name: config.Hubd, Short: "the hub"}, stdin, args...)
}

func startDaemon(t *testing.T, d Daemon, stdin string, args ...string) *command {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t))
	c := &command{t: t, out: newBuffer(), err: newBuffer(), code: make(chan int, 1), stop: cancel}
	go func() {
		c.code <- Execute(ctx, d, append([]string{"/usr/bin/hubd"}, args...), strings.NewReader(stdin), c.out, c.err)
	}()
	t.Cleanup(cancel)
	return c
}

// end waits for the exit code.
func (c *command) end() int {
	c.t.Helper()
	select {
	case code := <-c.code:
		return code
	case <-within(c.t).Done():
		c.t.Fatalf("the command does not end; stdout %q, stderr %q", c.out, c.err)
		return -1
	}
}

// says waits for a text on stderr.
func (c *command) says(text string) {
	c.t.Helper()
	c.err.wait(c.t, regexp.MustCompile(regexp.QuoteMeta(text)))
}

// run runs a command to its end.
func run(t *testing.T, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	c := start(t, stdin, args...)
	code = c.end()
	return code, c.out.String(), c.err.String()
}

type buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{}
}

func newBuffer() *buffer { return &buffer{changed: make(chan struct{})} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) wait(t *testing.T, re *regexp.Regexp) {
	t.Helper()
	ctx := within(t)
	for {
		b.mu.Lock()
		found, changed := re.Match(b.b.Bytes()), b.changed
		b.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s never came; got %q", re, b)
		}
	}
}
