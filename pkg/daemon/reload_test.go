package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/config"
)

// rig is a process with its settings in a file of the test.
type rig struct {
	t    *testing.T
	dir  string
	file string
	log  string
	p    *Process

	mu      sync.Mutex
	applied []string
	refuse  error
	stop    context.CancelFunc
	done    chan error
}

func newRig(t *testing.T, text string) *rig {
	t.Helper()
	others := goleak.IgnoreCurrent()
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, file: filepath.Join(dir, "x.conf"), log: filepath.Join(dir, "log"), done: make(chan error, 1)}
	r.write(text)
	load := func() (*config.Config, []config.Warning, error) {
		return config.Load(config.LoadOptions{Daemon: config.Hubd, File: r.file})
	}
	cfg, _, err := load()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	up := make(chan struct{})
	go func() {
		r.done <- Run(ctx, cfg, nil, load, func(p *Process) error {
			r.p = p
			for _, name := range []string{"first", "second"} {
				p.Add(Part{Name: name, Start: func() error { return nil }, Prepare: r.prepare(name)})
			}
			p.Add(Part{Name: "last", Start: func() error { close(up); return nil }})
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-r.done; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, others)
	})
	select {
	case <-up:
	case err := <-r.done:
		r.done <- nil
		t.Fatal(err)
	}
	r.await("Server is ready")
	return r
}

func (r *rig) prepare(name string) Prepare {
	return func(ch *config.Change) (func(), error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if name == "second" && r.refuse != nil {
			return nil, r.refuse
		}
		return func() {
			r.mu.Lock()
			r.applied = append(r.applied, name)
			r.mu.Unlock()
		}, nil
	}
}

func (r *rig) write(text string) {
	r.t.Helper()
	text = "log_file: '" + r.log + "'\n" + strings.ReplaceAll(text, "DIR", r.dir)
	if err := os.WriteFile(r.file+".new", []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(r.file+".new", r.file); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) count(text string) int {
	b, err := os.ReadFile(r.log)
	if err != nil {
		return 0
	}
	return strings.Count(string(b), text)
}

func (r *rig) await(text string) {
	r.t.Helper()
	r.awaitN(text, 1)
}

func (r *rig) awaitN(text string, n int) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); r.count(text) < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b, _ := os.ReadFile(r.log)
			r.t.Fatalf("%q is not in the log %d times:\n%s", text, n, b)
		}
	}
}

func (r *rig) parts() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.applied, " ")
	r.applied = nil
	return s
}

const hubBase = "port: -1, host: 127.0.0.1\n"

func TestReload(t *testing.T) {
	r := newRig(t, hubBase+"max_payload: 1024, pid_file: 'DIR/pid'")
	first := r.p.Settings()

	r.write(hubBase + "max_payload: 2048, pid_file: 'DIR/pid2', debug: true")
	if err := r.p.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := r.parts(); got != "first second" {
		t.Errorf("applied %q", got)
	}
	if r.p.Settings().Limits.MaxPayload != 2048 || first.Limits.MaxPayload != 1024 || r.p.Config != first {
		t.Error("the settings are not the new ones, or the old ones were changed")
	}
	if !r.p.Log.DebugEnabled() || !r.p.Loaded().After(r.p.Server.Started) {
		t.Error("the log's level, or the time, is not that of the reload")
	}
	if _, err := os.Stat(filepath.Join(r.dir, "pid")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the old pid file is still there")
	}
	if b := read(t, filepath.Join(r.dir, "pid2")); b == "" {
		t.Error("no pid in the new file")
	}
	for _, line := range []string{
		"Reloaded: max_payload = 2048", "Reloaded: debug = true", "Reloaded: accounts", "Reloaded: authorization users",
		"Reloaded server configuration (" + r.p.Settings().Digest + ")",
	} {
		if r.count(line) != 1 {
			t.Errorf("%q is in the log %d times", line, r.count(line))
		}
	}
	// A part that refuses: nothing changes anywhere.
	r.mu.Lock()
	r.refuse = errors.New("not now")
	r.mu.Unlock()
	r.write(hubBase + "max_payload: 4096, pid_file: 'DIR/pid2'")
	if err := r.p.Reload(); err == nil || err.Error() != "second: not now" {
		t.Error(err)
	}
	if r.parts() != "" || r.p.Settings().Limits.MaxPayload != 2048 || !r.p.Log.DebugEnabled() {
		t.Error("something of a refused change is in force")
	}
	r.await("Failed to reload server configuration: second: not now")
}

func TestReloadRefused(t *testing.T) {
	r := newRig(t, hubBase)
	pair := "tls { cert_file: 'DIR/cert.pem', key_file: 'DIR/key.pem' }"
	for _, c := range []struct{ text, want string }{
		{"port: 4555, host: 127.0.0.1", "config reload not supported for Port: old=-1, new=4555"},
		{"port: -1, host: localhost, server_name: x, max_sub_tokens: 7",
			"config reload not supported for ServerName: old=, new=x; config reload not supported for Host: old=127.0.0.1, new=localhost; " +
				"config reload not supported for MaxSubTokens: old=0, new=7"},
		{hubBase + "cluster {port: -1}", "config reload not supported for Cluster: old=false, new=true"},
		{hubBase + "max_payload: [", "Parse error"},
		{hubBase + "max_payload: 5GB", "max_payload value is too big"},
		{hubBase + "nonsense: 1", `unknown field "nonsense"`},
		{hubBase + pair, "error parsing X509 certificate/key pair: open " + r.dir + "/cert.pem: no such file or directory"},
		{hubBase + "log_file: '/nowhere/to/be/found'", "opening the log file: open /nowhere/to/be/found"},
	} {
		before := r.p.Settings()
		r.write(c.text)
		if err := r.p.Reload(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
		if r.parts() != "" || r.p.Settings() != before {
			t.Errorf("%q: something changed", c.text)
		}
	}
	r.write(hubBase + "max_payload: 2048")
	if err := r.p.Reload(); err != nil || r.parts() != "first second" {
		t.Errorf("what is right after what was wrong: %v", err)
	}
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	if err := r.p.Reload(); err == nil {
		t.Error("a reload without a file")
	}
	p := &Process{Config: r.p.Config, Log: r.p.Log}
	if err := p.Reload(); !errors.Is(err, errNoFile) {
		t.Error(err)
	}
}

// A hundred signals in a row: the last state counts, nothing is lost or stuck.
func TestReloadStorm(t *testing.T) {
	r := newRig(t, hubBase)
	for i := range 100 {
		r.write(hubBase + "max_payload: " + strings.Repeat("1", 3+i%2))
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	r.write(hubBase + "max_payload: 4096")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); r.p.Settings().Limits.MaxPayload != 4096; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("max_payload is %d", r.p.Settings().Limits.MaxPayload)
		}
	}
}

// Certificates are read anew by each reload, and kept if they can't be.
func TestReloadCertificates(t *testing.T) {
	dir := t.TempDir()
	tlsText := func(name string) string {
		return hubBase + "tls { cert_file: '" + dir + "/" + name + ".pem', key_file: '" + dir + "/" + name + "-key.pem' }"
	}
	ca, err := certs.NewAuthority("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	make := func(name string) {
		t.Helper()
		req := certs.Request{CommonName: name, Validity: time.Hour}
		req.AddHost("127.0.0.1")
		pair, err := ca.Issue(req)
		if err == nil {
			err = pair.WriteFiles(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	make("a")
	r := newRig(t, tlsText("a"))
	cfg, err := r.p.Config.Client.TLS.Server()
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		c, err := cfg.GetConfigForClient(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Certificates[0].Leaf.SerialNumber.String()
	}
	first := serial()
	make("a") // another one by the same name
	if err := r.p.Reload(); err != nil {
		t.Fatal(err)
	}
	second := serial()
	if second == first {
		t.Error("the old certificate is still shown")
	}
	r.write(tlsText("b"))
	if err := r.p.Reload(); err == nil || serial() != second {
		t.Errorf("a certificate that is not there: %v", err)
	}
	make("b")
	if err := r.p.Reload(); err != nil || serial() == second {
		t.Errorf("another file: %v", err)
	}
}

// A change of the file, of what it includes, and of the directory behind a link is seen
// once each; a notice without a change is none.
func TestReloadWatch(t *testing.T) {
	const done = "Reloaded server configuration"
	r := newRig(t, hubBase)
	mounted := filepath.Join(r.dir, "mounted")
	state := func(name string, payload string) {
		d := filepath.Join(mounted, name)
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "more.inc"), []byte("max_payload: "+payload), 0o600); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(mounted, "..data")
		if err := os.Symlink(name, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	payload := func(want int64) {
		t.Helper()
		if got := r.p.Settings().Limits.MaxPayload; got != want {
			t.Errorf("max_payload is %d, want %d", got, want)
		}
	}
	state("..1", "1111")
	if err := os.Symlink("..data/more.inc", filepath.Join(mounted, "more.inc")); err != nil {
		t.Fatal(err)
	}
	r.write(hubBase + "reload { watch: true }\ninclude './mounted/more.inc'\n")
	if err := r.p.Reload(); err != nil { // from here on it watches
		t.Fatal(err)
	}
	payload(1111)
	state("..2", "2222")
	r.awaitN(done, 2)
	payload(2222)
	r.write(hubBase + "reload { watch: true }\nping_interval: '1m'\ninclude './mounted/more.inc'\n")
	r.awaitN(done, 3)
	if d := r.p.Settings().Limits.PingInterval; d != time.Minute {
		t.Errorf("ping_interval is %v", d)
	}
	state("..3", "2222") // the same again: no news
	state("..4", "4444")
	r.awaitN(done, 4)
	payload(4444)
	r.write(hubBase + "port: 1\nreload { watch: true }\n")
	r.await("Failed to reload server configuration")
	r.write(hubBase + "max_payload: 5555\n")
	r.awaitN(done, 5)
	payload(5555)
	if n := r.count("The settings have changed on disk"); n != 5 {
		t.Errorf("news %d times", n)
	}
	r.p.reload.mu.Lock()
	defer r.p.reload.mu.Unlock()
	if r.p.reload.watcher != nil {
		t.Error("still watched")
	}
}
