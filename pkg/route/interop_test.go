package route

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/config"
)

// reference is a running reference server.
type reference struct {
	t       testing.TB
	cmd     *exec.Cmd
	client  string
	cluster *url.URL
	log     string
}

// startReference runs the installed reference server with a cluster block.
func startReference(t testing.TB, name, cluster string) *reference {
	t.Helper()
	return startReferenceAt(t, name, "-1", cluster)
}

func startReferenceAt(t testing.TB, name, port, cluster string) *reference {
	t.Helper()
	exe := os.Getenv("NATS_SERVER")
	if exe == "" {
		var err error
		if exe, err = exec.LookPath("nats-server"); err != nil {
			t.Skip("no nats-server in PATH: interoperability with the reference server is not tested")
		}
	}
	dir := t.TempDir()
	conf := fmt.Sprintf(`
server_name: %s
listen: "127.0.0.1:-1"
ports_file_dir: %q
accounts { A { users [{user: a, password: a}] }, B { users [{user: b, password: b}] } }
no_auth_user: a
cluster { name: CL, listen: "127.0.0.1:%s", %s }
`, name, dir, port, cluster)
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &reference{t: t, cmd: exec.Command(exe, "-c", file, "-l", filepath.Join(dir, "log"), "-DV"), log: filepath.Join(dir, "log")}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			b, _ := os.ReadFile(r.log)
			lines := strings.Split(string(b), "\n")
			t.Logf("log of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-60):], "\n"))
		}
	})
	var ports struct{ Nats, Cluster []string }
	eventually(t, func() bool {
		list, _ := filepath.Glob(filepath.Join(dir, "*.ports"))
		if len(list) == 0 {
			return false
		}
		b, err := os.ReadFile(list[0])
		return err == nil && json.Unmarshal(b, &ports) == nil && len(ports.Nats) > 0 && len(ports.Cluster) > 0
	}, func() string { return "ports file of the reference server" })
	r.client = ports.Nats[0]
	u, err := url.Parse(ports.Cluster[0])
	if err != nil {
		t.Fatal(err)
	}
	r.cluster = u
	return r
}

func (r *reference) kill() {
	if r.cmd.ProcessState == nil {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	}
}

func (r *reference) connect() *nats.Conn {
	r.t.Helper()
	nc, err := nats.Connect(r.client)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	return nc
}

// joined runs a test with the reference server dialing us, us dialing it, and both.
func joined(t *testing.T, f func(t *testing.T, n *node, r *reference)) {
	t.Run("we dial", func(t *testing.T) {
		r := startReference(t, "ref", "")
		n := startNode(t, func(n *node) { n.set.Routes = []*url.URL{r.cluster} })
		n.synced()
		n.routes(1)
		f(t, n, r)
	})
	t.Run("it dials", func(t *testing.T) {
		n := startNode(t, nil)
		r := startReference(t, "ref", fmt.Sprintf("routes: [%q]", n.url()))
		n.routes(1)
		f(t, n, r)
	})
}

func TestReferenceMessages(t *testing.T) {
	joined(t, func(t *testing.T, n *node, r *reference) {
		nc := r.connect()
		c := n.client("A")

		// Theirs to ours.
		c.sub("up.*", "")
		other := n.client("B")
		other.sub("up.*", "")
		refKnows(t, nc, "up.1")
		c.take()
		const many = 2000
		for i := range many {
			nc.Publish("up.seq", fmt.Appendf(nil, "%d", i))
		}
		nc.Flush()
		got := c.want(many)
		for i, m := range got {
			if m != fmt.Sprintf("up.seq  %d", i) {
				t.Fatalf("message %d is %q", i, m)
			}
		}
		if other.count() != 0 {
			t.Error("another account got messages")
		}

		// Ours to theirs, with header.
		sub, err := nc.SubscribeSync("down")
		if err != nil {
			t.Fatal(err)
		}
		nc.Flush()
		n.knows("A", "down", true)
		for i := range many {
			c.pub("down", "", fmt.Sprint(i))
		}
		for i := range many {
			m, err := sub.NextMsg(5 * time.Second)
			if err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			if string(m.Data) != fmt.Sprint(i) {
				t.Fatalf("message %d is %q", i, m.Data)
			}
		}
		if m, err := sub.NextMsg(30 * time.Millisecond); err == nil {
			t.Fatalf("one more message: %q", m.Data)
		}

		// Interest that goes away.
		sub.Unsubscribe()
		nc.Flush()
		n.knows("A", "down", false)
	})
}

// refKnows waits until a request of the reference server's client has a responder.
func refKnows(t *testing.T, nc *nats.Conn, subj string) {
	t.Helper()
	eventually(t, func() bool {
		_, err := nc.Request(subj, nil, 50*time.Millisecond)
		return err == nats.ErrTimeout
	}, func() string { return "the reference server's interest in " + subj })
}

func TestReferenceQueues(t *testing.T) {
	joined(t, func(t *testing.T, n *node, r *reference) {
		nc := r.connect()
		c := n.client("A")
		var theirs atomic.Int64
		for range 3 {
			if _, err := nc.QueueSubscribe("work", "q", func(*nats.Msg) { theirs.Add(1) }); err != nil {
				t.Fatal(err)
			}
		}
		nc.Flush()
		n.weight("A", "work", "q", 3)
		// Ours publishes; a member of ours against three of theirs.
		c.sub("work", "q")
		const many = 400
		for i := range many {
			c.pub("work", "", fmt.Sprint(i))
		}
		eventually(t, func() bool { return int(theirs.Load())+c.count() == many }, func() string {
			return fmt.Sprintf("%d here and %d there", c.count(), theirs.Load())
		})
		if k := c.count(); k < 60 || k > 140 {
			t.Errorf("%d of %d stayed here, with one of four members", k, many)
		}
		// Theirs publishes.
		c.take()
		theirs.Store(0)
		refKnows(t, nc, "work")
		theirs.Store(0)
		c.take()
		for i := range many {
			nc.Publish("work", fmt.Appendf(nil, "%d", i))
		}
		nc.Flush()
		eventually(t, func() bool { return int(theirs.Load())+c.count() >= many }, func() string {
			return fmt.Sprintf("%d here and %d there", c.count(), theirs.Load())
		})
		time.Sleep(20 * time.Millisecond)
		if k := int(theirs.Load()) + c.count(); k != many {
			t.Errorf("%d deliveries of %d messages", k, many)
		}
		if k := c.count(); k < 60 || k > 140 {
			t.Errorf("%d of %d came here, with one of four members", k, many)
		}
	})
}

func TestReferenceRequests(t *testing.T) {
	joined(t, func(t *testing.T, n *node, r *reference) {
		nc := r.connect()
		if _, err := nc.Subscribe("svc", func(m *nats.Msg) { m.Respond([]byte("re " + string(m.Data))) }); err != nil {
			t.Fatal(err)
		}
		nc.Flush()
		n.knows("A", "svc", true)
		c := n.client("A")
		for i := range 200 {
			inbox := fmt.Sprintf("_INBOX.%d", i)
			s := c.sub(inbox, "")
			c.pub("svc", inbox, fmt.Sprint(i))
			if got := c.wait(1)[0]; got != inbox+"  re "+fmt.Sprint(i) {
				t.Fatalf("answer %q", got)
			}
			c.a.Unsubscribe(s)
		}
		// No responders: at theirs at once.
		if _, err := nc.Request("nobody", nil, time.Second); err != nats.ErrNoResponders {
			t.Errorf("request nobody: %v", err)
		}
	})
}

// wait takes n messages as soon as they are there.
func (c *client) wait(n int) []string {
	c.n.t.Helper()
	eventually(c.n.t, func() bool { return c.count() >= n }, func() string { return fmt.Sprintf("%d messages", n) })
	return c.take()
}

// TestReferenceCrossing: both sides have each other's address.
func TestReferenceCrossing(t *testing.T) {
	for i := range 5 {
		n := newNode(t, func(n *node) { n.set.Listen = config.Listen{Host: "127.0.0.1", Port: freePort(t)} })
		r := startReference(t, fmt.Sprintf("ref%d", i), fmt.Sprintf("routes: [\"nats-route://127.0.0.1:%d\"]", n.set.Port))
		n.set.Routes = []*url.URL{r.cluster}
		n.start()
		began := time.Now()
		n.synced()
		n.routes(1)
		nc := r.connect()
		c := n.client("A")
		c.sub("x", "")
		refKnows(t, nc, "x")
		c.take()
		nc.Publish("x", nil)
		nc.Flush()
		c.want(1)
		t.Logf("joined after %v", time.Since(began))
		n.s.Close()
		r.kill()
	}
}

// TestReferenceRestart: the reference server is killed and comes back.
func TestReferenceRestart(t *testing.T) {
	r := startReference(t, "ref", "")
	n := startNode(t, func(n *node) { n.set.Routes = []*url.URL{r.cluster} })
	n.synced()
	nc := r.connect()
	sub, _ := nc.SubscribeSync("x")
	nc.Flush()
	n.knows("A", "x", true)
	if urls := n.o.URLs.All(); len(urls) == 0 {
		t.Error("no addresses for clients")
	}
	_ = sub
	r.kill()
	n.knows("A", "x", false)
	n.routes(0)
	if urls := n.o.URLs.All(); len(urls) != 0 {
		t.Errorf("addresses %v of a dead server", urls)
	}
	again := startReferenceAt(t, "ref", r.cluster.Port(), "")
	n.routes(1)
	n.synced()
	nc = again.connect()
	nc.SubscribeSync("y")
	nc.Flush()
	n.knows("A", "y", true)
}

// TestReferenceMany: a hundred thousand messages each way, once each and in order.
func TestReferenceMany(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 messages take seconds: not with -short")
	}
	r := startReference(t, "ref", "")
	n := startNode(t, func(n *node) { n.set.Routes = []*url.URL{r.cluster} })
	n.synced()
	nc := r.connect()
	c := n.client("A")
	c.sub("up", "")
	refKnows(t, nc, "up")
	c.take()
	const many = 100_000
	var down, bad atomic.Int64
	nc.Subscribe("down", func(m *nats.Msg) {
		if string(m.Data) != fmt.Sprint(down.Add(1)-1) {
			bad.Add(1)
		}
	})
	nc.Flush()
	n.knows("A", "down", true)
	go func() {
		for i := range many {
			nc.Publish("up", fmt.Appendf(nil, "%d", i))
		}
		nc.Flush()
	}()
	for i := range many {
		c.pub("down", "", fmt.Sprint(i))
		if i%1000 == 999 {
			eventually(t, func() bool { return down.Load() > int64(i)-20_000 }, func() string { return "messages down" })
		}
	}
	eventually(t, func() bool { return down.Load() >= many }, func() string { return fmt.Sprintf("%d messages down", down.Load()) })
	got := c.want(many)
	for i, m := range got {
		if m != fmt.Sprintf("up  %d", i) {
			t.Fatalf("message %d is %q", i, m)
		}
	}
	if k := down.Load(); k != many || bad.Load() > 0 {
		t.Errorf("%d messages down, %d out of order", k, bad.Load())
	}
}

// TestReferenceHubs: a gwd in a cluster of reference servers, which know nothing
// of roles. Remote members of a queue come last there too.
func TestReferenceHubs(t *testing.T) {
	r := startReference(t, "ref", "")
	g := startNode(t, func(n *node) {
		n.set.Routes = []*url.URL{r.cluster}
		n.o.Role = BorderRole
		n.o.Border = new(BorderHooks)
	})
	g.synced()
	g.routes(1)
	b := g.region("B")
	b.sub("A", "out", "")
	b.sub("A", "work", "q")
	nc := r.connect()
	refKnows(t, nc, "out")
	eventually(t, func() bool { return b.count() > 0 }, func() string { return "a request in the region" })
	time.Sleep(20 * time.Millisecond)
	b.take()
	nc.Publish("out", []byte("1"))
	nc.Flush()
	total(t, 1, b)
	b.take()
	var here atomic.Int64
	local, _ := nc.QueueSubscribe("work", "q", func(*nats.Msg) { here.Add(1) })
	nc.Flush()
	for range 50 {
		nc.Publish("work", nil)
	}
	nc.Flush()
	eventually(t, func() bool { return int(here.Load())+b.count() >= 50 }, func() string { return fmt.Sprintf("%d messages", here.Load()) })
	time.Sleep(20 * time.Millisecond)
	if k := int(here.Load()) + b.count(); k != 50 {
		t.Errorf("%d deliveries of 50 messages", k)
	}
	// Servers before 2.10 do not put routed members with an origin last.
	if old := strings.HasPrefix(nc.ConnectedServerVersion(), "2.9."); !old && b.count() > 0 {
		t.Errorf("%d of 50 messages left the region", b.count())
	}
	b.take()
	local.Unsubscribe()
	nc.Flush()
	b.take()
	for range 50 {
		nc.Publish("work", nil)
	}
	nc.Flush()
	total(t, 50, b)
	b.take()
	// From the region to a client there.
	in, _ := nc.SubscribeSync("in")
	nc.Flush()
	g.knows("A", "in", true)
	b.send("A", "in", "", "hello")
	if m, err := in.NextMsg(5 * time.Second); err != nil || string(m.Data) != "hello" {
		t.Errorf("%v %v", m, err)
	}
	// Another gwd owns the border: nothing crosses here.
	g.s.Advertise(false)
	eventually(t, func() bool {
		_, err := nc.Request("out", nil, 50*time.Millisecond)
		return err == nats.ErrNoResponders
	}, func() string { return "no responders" })
}

// TestReferenceMixed: two of ours and one reference server in one cluster; each
// message reaches each server once.
func TestReferenceMixed(t *testing.T) {
	a := startNode(t, nil)
	b := startNode(t, dialing(a))
	r := startReference(t, "ref", fmt.Sprintf("routes: [%q]", a.url()))
	a.routes(5)
	b.routes(5)
	nc := r.connect()
	ca, cb := a.client("A"), b.client("A")
	ca.sub("x", "")
	cb.sub("x", "")
	sub, _ := nc.SubscribeSync("x")
	nc.Flush()
	for _, n := range []*node{a, b} {
		eventually(t, func() bool { return len(n.b.Account("A").Matching([]byte("x"), nil)) == 3 }, func() string { return "interest of three" })
	}
	refKnows(t, nc, "x")
	time.Sleep(20 * time.Millisecond)
	ca.take()
	cb.take()
	for {
		if _, err := sub.NextMsg(20 * time.Millisecond); err != nil {
			break
		}
	}
	for range 100 {
		ca.pub("x", "", "a")
		cb.pub("x", "", "b")
		nc.Publish("x", []byte("c"))
	}
	nc.Flush()
	ca.want(300)
	cb.want(300)
	for i := range 300 {
		if _, err := sub.NextMsg(5 * time.Second); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if m, err := sub.NextMsg(30 * time.Millisecond); err == nil {
		t.Errorf("one more: %s", m.Data)
	}
}
