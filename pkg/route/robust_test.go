package route

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// joinRaw brings a raw peer up on a node, without a pool.
func joinRaw(t testing.TB, n *node, id string, more string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", n.s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	r := newRaw(nc, 0)
	r.next()
	r.write(fmt.Sprintf(`CONNECT {"cluster":"CL","name":%q}`, id))
	r.write(fmt.Sprintf(`INFO {"server_id":%q,"server_name":%q,"cluster":"CL","headers":true,"lnoc":true,"lnocu":true%s}`, id, id, more))
	r.write("PING")
	r.until("PONG")
	return r
}

// TestPoolOfAnySize: memory is not set aside for whatever number a peer names.
func TestPoolOfAnySize(t *testing.T) {
	n := startNode(t, nil)
	for _, size := range []string{"99999999999", "1025", "-1", "-9223372036854775808"} {
		nc, err := net.Dial("tcp", n.s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		r := newRaw(nc, 0)
		r.next()
		r.write(`CONNECT {"cluster":"CL","name":"NBIG"}`)
		r.write(`INFO {"server_id":"NBIG","server_name":"big","cluster":"CL","headers":true,"route_pool_idx":1,"route_pool_size":` + size + `}`)
		if rest, err := io.ReadAll(nc); err != nil || bytes.Contains(rest, []byte("RS+")) {
			t.Errorf("pool of %s: %q, %v; want the end of the connection", size, rest, err)
		}
		nc.Close()
	}
	joinRaw(t, n, "NSMALL", `,"route_pool_size":1024,"route_pool_idx":1023`)
}

// TestThirdServer: gossip about a server that nobody answers for is tried once.
func TestThirdServer(t *testing.T) {
	n := startNode(t, nil)
	r := joinRaw(t, n, "NR", "")
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	third := fmt.Sprintf(`INFO {"server_id":"N3","server_name":"third","ip":"nats-route://%s/","host":"127.0.0.1","port":1,"cluster":"CL","gossip_mode":2}`, lis.Addr())
	r.write(third)
	nc, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	d := newRaw(nc, 0)
	if got := d.next(); !strings.HasPrefix(got, "CONNECT") {
		t.Errorf("it said %q", got)
	}
	// While it is under way, the same again has no effect.
	r.write(third)
	io.WriteString(nc, "INFO {\"server_id\":\"N3\",\"server_name\":\"third\",\"cluster\":\"CL\",\"host\":\"127.0.0.1\",\"port\":1}\r\nPING\r\n")
	if got := d.next(); !strings.Contains(got, "gossip_mode=2") {
		t.Errorf("it said %q", got)
	}
	d.until("PONG")
	n.routes(2)
	nc.Close()
	lis.Close()
	n.routes(1)
	eventually(t, func() bool {
		n.s.mu.Lock()
		defer n.s.mu.Unlock()
		return len(n.s.implicit) == 0
	}, func() string { return "the end of dialing" })
}

// TestSilentPeer: a peer that does not answer PINGs is cut off, and so is one
// that never introduces itself.
func TestSilentPeer(t *testing.T) {
	n := startNode(t, func(n *node) { n.set.PingInterval, n.set.PingMax = 20*time.Millisecond, 2 })
	nc, err := net.Dial("tcp", n.s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := newRaw(nc, 0)
	r.next()
	if got := r.until(""); got != "-ERR 'Stale Connection'\n(closed)\n" {
		t.Errorf("got %q", got)
	}
	q := joinRaw(t, n, "NR", "")
	b, _ := io.ReadAll(q.nc) // answers no PING
	if !strings.HasSuffix(string(b), "PING\r\n-ERR 'Stale Connection'\r\n") {
		t.Errorf("got %q", b)
	}
	eventually(t, func() bool {
		c := n.o.Registry.Closed()
		return len(c) == 1 && c[0].Reason == wire.ReasonStale
	}, func() string { return "a stale connection" })
}

// TestFrozenGwd: a gwd that does not answer is noticed by the border's own PINGs.
func TestFrozenGwd(t *testing.T) {
	n := startNode(t, func(n *node) { n.o.BorderPing, n.o.BorderPingMax = 20*time.Millisecond, 2 })
	r := joinRaw(t, n, "NG", `,"x_role":"gwd"`)
	r.write("LS+ $GW A out")
	n.borders("A", "out", true)
	n.borders("A", "out", false)
}

// TestFrozenIsNoticed: whenever a gwd falls silent, three intervals are enough to notice,
// and there is room for timers that are late.
func TestFrozenIsNoticed(t *testing.T) {
	n := startNode(t, nil)
	joinRaw(t, n, "NG", `,"x_role":"gwd"`)
	var c *conn
	eventually(t, func() bool {
		for _, x := range n.s.o.Registry.Open() {
			c = x.(*conn)
		}
		return c != nil
	}, func() string { return fmt.Sprintf("no connection; ended: %+v", n.s.o.Registry.Closed()) })
	first, every, most := c.pings()
	interval := n.s.o.BorderPing
	// The last PONG answers the PING at the start, or a later one.
	for _, wait := range []time.Duration{first + first/5, every} {
		noticed := wait + time.Duration(most)*every
		if limit := time.Duration(most+1) * interval; noticed > limit-limit/20 {
			t.Errorf("noticed after %v, with intervals of %v", noticed, interval)
		}
	}
	if most != 2 || interval != 2*time.Second {
		t.Errorf("%d PINGs, %v", most, interval)
	}
}

// TestSlowPeer: a peer that stops reading costs a bounded amount of memory, and
// nobody else anything.
func TestSlowPeer(t *testing.T) {
	n := startNode(t, func(n *node) { n.o.maxPending = 4 << 20 })
	slow, quick := joinRaw(t, n, "NSLOW", ""), joinRaw(t, n, "NQUICK", "")
	slow.write("RS+ A x\nPING")
	slow.until("PONG")
	quick.write("RS+ A x\nPING")
	quick.until("PONG")
	got := make(chan int)
	go func() {
		k, buf := 0, make([]byte, 64<<10)
		for {
			m, err := quick.nc.Read(buf)
			k += strings.Count(string(buf[:m]), "RMSG")
			if err != nil || k == 2000 {
				got <- k
				return
			}
		}
	}()
	c := n.client("A")
	payload := strings.Repeat("y", 16<<10)
	for range 2000 {
		c.pub("x", "", payload)
		if p := n.s.Peers(); len(p) == 2 && p[0].Pending > 4<<20 {
			t.Fatalf("%d bytes wait", p[0].Pending)
		}
		time.Sleep(10 * time.Microsecond)
	}
	if k := <-got; k < 1990 { // a verb may be cut by a read
		t.Errorf("%d of 2000 messages", k)
	}
	info := n.s.Peers()[0]
	if d := info.More.(Details); d.RemoteID != "NSLOW" || d.Lost == 0 || d.Lost+info.OutMsgs != 2000 {
		t.Errorf("%d sent, %d lost: %+v", info.OutMsgs, d.Lost, d)
	}
	// It comes to itself: interest is right, messages come again.
	c.sub("later", "")
	lines := 0
	slow.nc.SetDeadline(time.Now().Add(20 * time.Second))
	for !strings.HasPrefix(slow.next(), "RS+ A later") {
		lines++
	}
	if lines < 200 {
		t.Errorf("%d lines before the interest", lines)
	}
	c.pub("x", "", "again")
	if got := slow.next() + slow.next(); got != "RMSG A x 5\nagain\n" {
		t.Errorf("got %q", got)
	}
}

// TestKilledMember: one of three servers goes away under load.
func TestKilledMember(t *testing.T) {
	a := startNode(t, nil)
	b := startNode(t, dialing(a))
	c := startNode(t, dialing(a))
	for _, n := range []*node{a, b, c} {
		n.routes(8)
	}
	sub := a.client("A")
	sub.sub("x.*", "")
	b.knows("A", "x.1", true)
	c.knows("A", "x.1", true)
	gone := c.client("A")
	gone.sub("only", "")
	gone.sub("x.*", "")
	b.knows("A", "only", true)
	pb, pc := b.client("A"), c.client("A")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	send := func(p *client, name string) {
		defer wg.Done()
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			p.pub("x."+name, "", fmt.Sprint(i))
		}
	}
	wg.Add(2)
	go send(pb, "b")
	go send(pc, "c")
	eventually(t, func() bool { return sub.count() > 1000 }, func() string { return "traffic" })
	c.s.Close()
	b.knows("A", "only", false)
	before := sub.count()
	eventually(t, func() bool { return sub.count() > before+1000 }, func() string { return "traffic of the survivor" })
	close(stop)
	wg.Wait()
	last := map[string]int{}
	for _, m := range sub.take() {
		var who string
		var k int
		fmt.Sscanf(m, "x.%s  %d", &who, &k)
		if k <= last[who] || who == "b" && k != last[who]+1 {
			t.Fatalf("message %d of %s after %d", k, who, last[who])
		}
		last[who] = k
	}
	a.routes(4)
	b.routes(4)
}

// TestRestart: a peer comes back under another id, at the same address.
func TestRestart(t *testing.T) {
	port := freePort(t)
	at := func(n *node) { n.set.Port = port }
	a := startNode(t, at)
	b := startNode(t, dialing(a))
	b.synced()
	a.s.Close()
	b.routes(0)
	a = startNode(t, at)
	b.routes(4)
	b.synced()
	checkAccounts(t, a, b)
}

// TestS2InPieces: a peer compresses, and its bytes come one by one.
func TestS2InPieces(t *testing.T) {
	n := startNode(t, nil)
	nc, err := net.Dial("tcp", n.s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := newRaw(nc, 0)
	r.next()
	c := n.client("A")
	c.sub("in", "")
	r.write(`CONNECT {"cluster":"CL","name":"NR"}`)
	hello := `INFO {"server_id":"NR","server_name":"NR","cluster":"CL","headers":true,"route_pool_size":3,"compression":"s2_fast"}`
	r.write(hello)
	// From here on everything is S2, in both directions.
	dec := newRaw(&s2Conn{nc, s2.NewReader(r.r)}, 0)
	if got := dec.next(); !strings.Contains(got, `compression="s2_fast"`) {
		t.Fatalf("second INFO is %q", got)
	}
	send := func(lines string) { io.WriteString(dec.nc, strings.ReplaceAll(lines, "\n", "\r\n")) }
	send(hello + "\nRS+ A out\n")
	send("PING\n")
	if got := dec.until("PONG"); got != "RS+ A in\n" {
		t.Errorf("got %q", got)
	}
	send("RMSG A in 5\nhello\nRMSG A in 5\nworld\n")
	c.want(2)
	c.pub("out", "", "answer")
	if got := dec.next() + dec.next(); got != "RMSG A out 6\nanswer\n" {
		t.Errorf("got %q", got)
	}
}

type s2Conn struct {
	net.Conn
	r *s2.Reader
}

func (c *s2Conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// Write makes a stream of its own of each write, and sends it byte by byte.
func (c *s2Conn) Write(p []byte) (int, error) {
	var out bytes.Buffer
	w := s2.NewWriter(&out)
	w.Write(p)
	w.Close()
	for _, b := range out.Bytes() {
		if _, err := c.Conn.Write([]byte{b}); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// TestLargeMessages pass in pieces and whole.
func TestLargeMessages(t *testing.T) {
	a := startNode(t, nil)
	b := startNode(t, func(n *node) { n.set.Compression.Mode = config.CompressionS2Best; dialing(a)(n) })
	b.synced()
	ca, cb := a.client("A"), b.client("A")
	ca.sub("x", "")
	b.knows("A", "x", true)
	big := make([]byte, 8<<20)
	for i := range big {
		big[i] = byte(rand.Uint32())
	}
	cb.pub("x", "", string(big))
	cb.pub("x", "", "small")
	got := ca.want(2)
	if got[0] != "x  "+string(big) || got[1] != "x  small" {
		t.Error("changed on the way")
	}
}

// FuzzRoute: whatever a registered peer or a stranger sends, the process lives and
// serves others.
func FuzzRoute(f *testing.F) {
	for _, s := range []string{
		"RS+ A foo\r\nRS+ A foo q 3\r\nRS- A foo\r\n", "LS+ leaf A foo\r\nLS- leaf A foo q\r\n",
		"RMSG A foo | q 3\r\nabc\r\n", "HMSG A foo + r q 12 13\r\nNATS/1.0\r\n\r\nx\r\n", "LMSG l A foo 0 1\r\nx\r\n",
		"INFO {\"server_id\":\"N2\",\"ip\":\"nats-route://127.0.0.1:1/\"}\r\n", "INFO {\"ldm\":true}\r\n",
		"INFO {\"route_account\":\"A\",\"route_acc_add_reqid\":\"x\"}\r\n", "GFENCE 1\r\n", "GMSG B A foo 0 1\r\nx\r\n",
		"LS+ $GW A foo\r\nLS+ $GW A foo q 1\r\n", "PONG\r\nPING\r\n", "-ERR 'x'\r\n", "CONNECT {}\r\n", "RS+ A foo q\r\n",
	} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(1))
		f.Add([]byte(s), uint8(2))
	}
	hub := startNode(f, nil)
	gwd := startNode(f, func(n *node) { n.o.Role = BorderRole; n.o.Border = new(BorderHooks) })
	c := hub.client("A")
	c.sub("foo", "q")
	c.sub("foo", "")
	f.Fuzz(func(t *testing.T, data []byte, how uint8) {
		n := hub
		if how&4 != 0 {
			n = gwd
		}
		nc, err := net.Dial("tcp", n.s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		role := ""
		if how&1 != 0 {
			role = `,"x_role":"gwd","x_caps":["gmsg","gfence","remotes"]`
		}
		hello := `CONNECT {"cluster":"CL","name":"NF"}` + "\r\n" +
			`INFO {"server_id":"NF","server_name":"f","cluster":"CL","lnoc":true,"lnocu":true` + role + "}\r\n"
		switch how & 3 {
		case 2:
			hello = ""
		case 3:
			hello = hello[:len(hello)/2]
		}
		io.WriteString(nc, hello)
		nc.Write(data)
		nc.(*net.TCPConn).CloseWrite()
		nc.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, nc); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("connection is not ended")
		}
	})
}

// TestNoLeak: connections that come and go leave nothing behind.
func TestNoLeak(t *testing.T) {
	n := startNode(t, nil)
	before := runtime.NumGoroutine()
	for i := range 50 {
		r := joinRaw(t, n, fmt.Sprintf("N%d", i), `,"x_role":"gwd"`)
		r.write("RS+ A foo\nLS+ $GW A bar\nPING")
		r.until("PONG")
		r.nc.Close()
	}
	n.routes(0)
	n.knows("A", "foo", false)
	n.knows("A", "bar", false)
	eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, func() string {
		return fmt.Sprintf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	})
	if k := n.b.Account("A").Subscriptions(); k != 0 {
		t.Errorf("%d subscriptions left", k)
	}
}

// TestNoAllocation: sending and receiving a message on a route allocates nothing.
func TestNoAllocation(t *testing.T) {
	n := startNode(t, nil)
	r := joinRaw(t, n, "NR", "")
	r.write("RS+ A a.subject.that.is.longer.than.thirty.two.bytes\nRS+ A q.subject queue 3\nPING")
	r.until("PONG")
	go io.Copy(io.Discard, r.nc)
	c := n.client("A")
	send := func(m *broker.Msg) float64 {
		return testing.AllocsPerRun(2000, func() {
			c.inlet.Publish(m)
			c.inlet.Flush()
		})
	}
	for _, m := range []*broker.Msg{
		{Account: c.a, Subject: []byte("a.subject.that.is.longer.than.thirty.two.bytes"), Payload: make([]byte, 128)},
		{Account: c.a, Subject: []byte("q.subject"), Reply: []byte("reply"), Payload: make([]byte, 128)},
		{Account: c.a, Subject: []byte("q.subject"), Cluster: "a-leaf-cluster-with-a-name-of-more-than-32-bytes", Payload: make([]byte, 128)},
	} {
		if k := send(m); k > 0.05 {
			t.Errorf("%s: %v allocations a message", m.Subject, k)
		}
	}
}
