//go:build linux

package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/test/procs"
)

// reloadable is a hubd whose settings a test changes.
type reloadable struct {
	t    *testing.T
	p    *procs.Process
	addr string
	file string
	ca   *certs.Authority
	n    int // reloads
}

const reloadBase = `
listen: 127.0.0.1:%d
http: 127.0.0.1:-1
ports_file_dir: '{{dir}}'
tls { cert_file: '{{dir}}/server.pem', key_file: '{{dir}}/server-key.pem' }
accounts {
  SYS { users: [{user: sys, password: sys}] }
  APP { users: [
    {user: pub, password: pub}, {user: alice, password: alice}
    %s
  ] }
}
system_account: SYS
max_payload: %d
max_pending: %s
ping_interval: "%ds"
`

var reloadDone = regexp.MustCompile(`Reloaded server configuration`)

// write makes the settings; users are those besides pub and alice.
func (r *reloadable) write(text string) {
	r.t.Helper()
	tmp := r.file + ".new"
	if err := os.WriteFile(tmp, []byte(strings.ReplaceAll(text, "{{dir}}", filepath.Dir(r.file))), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(tmp, r.file); err != nil {
		r.t.Fatal(err)
	}
}

// certificate issues another one under the same name.
func (r *reloadable) certificate(dir string) {
	r.t.Helper()
	req := certs.Request{CommonName: "hub", Validity: time.Hour}
	req.AddHost("127.0.0.1")
	pair, err := r.ca.Issue(req)
	if err == nil {
		err = pair.WriteFiles(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// reload sends SIGHUP and waits until the change is in force.
func (r *reloadable) reload() {
	r.t.Helper()
	if err := r.p.Signal(syscall.SIGHUP); err != nil {
		r.t.Fatal(err)
	}
	r.n++
	for end := time.Now().Add(30 * time.Second); r.p.Log.Count(reloadDone) < r.n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("no reload:\n%s", r.p.Log.Tail(20))
		}
	}
}

func (r *reloadable) connect(user string, opts ...nats.Option) *nats.Conn {
	r.t.Helper()
	opts = append([]nats.Option{
		nats.UserInfo(user, user), nats.Secure(&tls.Config{RootCAs: r.ca.Pool(), ServerName: "127.0.0.1"}), nats.NoReconnect(), nats.Name(user),
		nats.Timeout(10 * time.Second), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, opts...)
	nc, err := nats.Connect("tls://"+r.addr, opts...)
	if err != nil {
		r.t.Fatalf("%s: %v", user, err)
	}
	r.t.Cleanup(nc.Close)
	return nc
}

// serial is that of the certificate that is shown to new connections.
func (r *reloadable) serial() string {
	r.t.Helper()
	nc := r.connect("alice")
	defer nc.Close()
	st, err := nc.TLSConnectionState()
	if err != nil {
		r.t.Fatal(err)
	}
	return st.PeerCertificates[0].SerialNumber.String()
}

func startReloadable(t *testing.T, text string) *reloadable {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	exe, err := bins.Build(ctx, "hubd")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &reloadable{t: t, file: filepath.Join(dir, "server.conf")}
	if r.ca, err = certs.NewAuthority("test", time.Hour); err != nil {
		t.Fatal(err)
	}
	r.certificate(dir)
	if r.p, err = procs.Start(procs.Spec{Exe: exe, Dir: dir, Config: text}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if code, err := r.p.Term(ctx); err != nil || code != 0 {
			t.Errorf("exit code %d, %v\n%s", code, err, r.p.Log.Tail(30))
		}
	})
	ports, err := r.p.Ports(ctx)
	if err != nil {
		t.Fatalf("%v\n%s", err, r.p.Log.Tail(30))
	}
	r.addr = procs.Addr(ports.Client())
	return r
}

// TestReloadUnderTraffic changes users, limits and certificates again and again while
// messages flow: who stays loses none and none twice, who lost the right gets none that
// was published after the change.
func TestReloadUnderTraffic(t *testing.T) {
	const (
		free   = `{user: bob, password: bob}, {user: carol, password: carol}`
		denied = `{user: bob, password: bob, permissions: {subscribe: {deny: ["secret"]}}}`
		rounds = 4
	)
	text := func(users string, i int) string {
		return fmt.Sprintf(reloadBase, -1, users, 1<<20-i, []string{"64mb", "32mb"}[i%2], 60+i)
	}
	r := startReloadable(t, text(free, 0))

	var published, alice, secrets atomic.Int64 // sequence numbers
	var gaps, late atomic.Int64
	var mark atomic.Int64 // bob may get nothing above; 0: anything
	down := func(who string) nats.Option {
		return nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				t.Errorf("%s was disconnected: %v", who, err)
			}
		})
	}
	seq := func(m *nats.Msg) int64 {
		n, err := strconv.ParseInt(string(m.Data), 10, 64)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	nc := r.connect("alice", down("alice"))
	sub, err := nc.Subscribe("data", func(m *nats.Msg) {
		if n := seq(m); n != alice.Load()+1 {
			gaps.Add(1)
		} else {
			alice.Store(n)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	listen := func(c *nats.Conn, subject string) {
		t.Helper()
		user := c.Opts.Name
		s, err := c.Subscribe(subject, func(m *nats.Msg) {
			n := seq(m)
			if limit := mark.Load(); limit > 0 && n > limit && (m.Subject == "secret" || user == "carol") {
				late.Add(1)
			}
			if m.Subject == "secret" {
				secrets.Add(1)
			}
		})
		if err == nil {
			err = s.SetPendingLimits(-1, -1)
		}
		if err == nil {
			err = c.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var gone sync.WaitGroup
	watch := func(user string, opts ...nats.Option) *nats.Conn {
		t.Helper()
		c := r.connect(user, opts...)
		listen(c, "secret")
		listen(c, "data")
		return c
	}
	bob := watch("bob", down("bob"))

	pub := r.connect("pub", down("pub"))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			for range 100 {
				b := strconv.AppendInt(nil, published.Add(1), 10)
				if err := errors.Join(pub.Publish("data", b), pub.Publish("secret", b)); err != nil {
					done <- err
					return
				}
			}
			if err := pub.Flush(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()

	serial := r.serial()
	for i := 1; i <= rounds; i++ {
		closed := make(chan error, 1)
		gone.Add(1)
		watch("carol", nats.ClosedHandler(func(c *nats.Conn) { closed <- c.LastError(); gone.Done() }))
		before := secrets.Load()
		for end := time.Now().Add(20 * time.Second); secrets.Load() < before+1000; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no messages")
			}
		}
		r.certificate(r.p.Dir())
		r.write(text(denied, i))
		r.reload()
		mark.Store(published.Load() + 1)
		select {
		case err := <-closed:
			if err != nil && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "permissions violation") {
				t.Errorf("carol was closed with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("carol is still connected")
		}
		if s := r.serial(); s == serial {
			t.Error("the old certificate is shown")
		} else {
			serial = s
		}
		if _, err := nats.Connect("tls://"+r.addr, nats.UserInfo("carol", "carol"), nats.Secure(&tls.Config{RootCAs: r.ca.Pool(), ServerName: "127.0.0.1"})); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("carol may log in: %v", err)
		}
		// bob has to ask again for what he may have again.
		mark.Store(0)
		r.write(text(free, i))
		r.reload()
		listen(bob, "secret")
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); alice.Load() < published.Load() && gaps.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("alice got %d of %d", alice.Load(), published.Load())
		}
	}
	if gaps.Load() > 0 || late.Load() > 0 {
		t.Errorf("%d messages out of sequence for who stayed, %d for who may not have them", gaps.Load(), late.Load())
	}
	gone.Wait()
	t.Logf("%d messages, %d reloads", published.Load(), r.n)
}
