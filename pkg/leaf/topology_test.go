package leaf

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
	"github.com/banyanmq/banyan/test/procs"
)

// D -> C -> B -> A: both ends see each other, and each node in turn comes back (13.3).
func TestDaisyChain(t *testing.T) {
	a := startNode(t, "A", listening)
	b := startNode(t, "B", listening, dialing(a.addr()), hurried)
	c := startNode(t, "C", listening, dialing(b.addr()), hurried)
	d := startNode(t, "D", dialing(c.addr()), hurried)
	b.links(2)
	c.links(2)
	traffic(t, a, d)
	traffic(t, b, d)
	for _, l := range b.reg.Open() {
		l.Close(wire.ReasonKicked)
	}
	eventually(t, "new links", func() bool { return b.reg.Total() >= 4 })
	b.links(2)
	traffic(t, d, a)
}

// Two leaf nodes of one hub hear each other; two of one cluster do not (12.1).
func TestSideways(t *testing.T) {
	h := startNode(t, "HUB", listening)
	one := startNode(t, "ONE", dialing(h.addr()))
	two := startNode(t, "TWO", dialing(h.addr()))
	same := startNode(t, "SAME", dialing(h.addr()), func(n *node) { n.srv.SetCluster("ONE", false) })
	h.links(3)
	traffic(t, one, two)
	sub := subscribe(t, same.nats(), "x", "")
	two.wants("$G", "x")
	subscribe(t, one.nats(), "y", "")
	two.wants("$G", "y")
	if one.b.Account("$G").HasInterest([]byte("x")) || same.b.Account("$G").HasInterest([]byte("y")) {
		t.Error("interest of a cluster came back to it")
	}
	publish(t, one.nats(), "x", "not this")
	publish(t, two.nats(), "x", "this")
	sub.expect("this")
}

// Isolated leaf nodes are not told of each other's interest; messages still flow (11.5).
func TestIsolation(t *testing.T) {
	h := startNode(t, "HUB", listening, func(n *node) { n.cfg.LeafNodes.Isolate = true })
	one := startNode(t, "ONE", dialing(h.addr()))
	two := startNode(t, "TWO", dialing(h.addr()))
	h.links(2)
	sub := subscribe(t, two.nats(), "x", "")
	subscribe(t, h.nats(), "mark", "")
	h.wants("$G", "x")
	one.wants("$G", "mark")
	if one.b.Account("$G").HasInterest([]byte("x")) {
		t.Error("an isolated leaf node was told of another's interest")
	}
	// Interest of leaf nodes at other members of the cluster bears their tag.
	tagged := &broker.Port{Class: broker.Route, Reach: broker.FromRoute, Aggregate: true, Sink: nobody{},
		Origin: broker.Origin{Class: broker.Route, Cluster: "OTHER"}}
	plain := &broker.Port{Class: broker.Route, Reach: broker.FromRoute, Aggregate: true, Sink: nobody{},
		Origin: broker.Origin{Class: broker.Route}}
	g := h.b.Account("$G")
	g.Subscribe(&broker.Sub{Port: tagged, Subject: []byte("tagged"), Origin: tagged.Origin}, 1)
	g.Subscribe(&broker.Sub{Port: plain, Subject: []byte("plain"), Origin: plain.Origin}, 1)
	one.wants("$G", "plain")
	if one.b.Account("$G").HasInterest([]byte("tagged")) {
		t.Error("an isolated leaf node was told of interest behind another member of the cluster")
	}
	publish(t, h.nats(), "x", "hello")
	sub.expect("hello")
}

// A remote binds one account here to one there.
func TestAccounts(t *testing.T) {
	accounts := func(n *node) {
		n.cfg.Accounts = []config.Account{
			{Name: "A", Users: []config.User{{Name: "a", Password: "p", Account: "A"}}},
			{Name: "B", Users: []config.User{{Name: "b", Password: "p", Account: "B"}}},
		}
	}
	h := startNode(t, "HUB", listening, accounts)
	l := startNode(t, "EDGE", accounts,
		dialing("a:p@"+h.addr(), func(r *config.LeafRemote) { r.Account = "B" }),
		dialing(h.addr(), func(r *config.LeafRemote) { r.Account, r.User, r.Password = "A", "b", "p" }))
	h.links(2)
	l.links(2)
	ab := subscribe(t, l.nats(nats.UserInfo("b", "p")), "x", "")
	ba := subscribe(t, l.nats(nats.UserInfo("a", "p")), "x", "")
	h.wants("A", "x")
	h.wants("B", "x")
	publish(t, h.nats(nats.UserInfo("a", "p")), "x", "from a")
	publish(t, h.nats(nats.UserInfo("b", "p")), "x", "from b")
	ab.expect("from a")
	ba.expect("from b")
}

// B dials A, C dials A and B: C finds the loop and ends the link to the second, whichever
// was up first. The first stays and is of use.
func TestTriangle(t *testing.T) {
	a := startNode(t, "A", listening)
	b := startNode(t, "B", listening, dialing(a.addr()), hurried)
	b.links(1)
	c := startNode(t, "C", dialing(a.addr()), dialing(b.addr()), hurried)
	eventually(t, "a loop that was found, and cut at the second link", func() bool {
		r := c.s.Links()
		return strings.Contains(r[1].LastErr, wire.MarkLoopDetected) && r[1].NextDial.Sub(r[1].FailedAt) >= refusedMin &&
			r[0].State == RemoteUp
	})
	// Once each, also from where both links led.
	at := subscribe(t, c.nats(), "x", "")
	a.wants("$G", "x")
	b.wants("$G", "x")
	publish(t, b.nats(), "x", "from b")
	at.expect("from b")
	publish(t, a.nats(), "x", "from a")
	at.expect("from a")
	if r := c.s.Links()[0]; r.State != RemoteUp || r.LastErr != "" {
		t.Errorf("the first link: %+v", r)
	}
}

func TestDialsItself(t *testing.T) {
	ports, err := procs.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, "SELF", func(n *node) {
		n.cfg.LeafNodes.Listen = config.Listen{Host: "127.0.0.1", Port: ports[0]}
	}, dialing(fmt.Sprintf("127.0.0.1:%d", ports[0])))
	if r := failed(t, n); !strings.Contains(r.LastErr, wire.TextSameClusterName) {
		t.Errorf("error %q", r.LastErr)
	}
}

// A dials B while B dials A: one link is enough, the other is a loop (14.2).
func TestTwoDialEachOther(t *testing.T) {
	ports, err := procs.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	both := func(own, other int) func(n *node) {
		return func(n *node) {
			n.cfg.LeafNodes.Listen = config.Listen{Host: "127.0.0.1", Port: own}
			dialing(fmt.Sprintf("127.0.0.1:%d", other))(n)
			hurried(n)
		}
	}
	a, b := startNode(t, "A", both(ports[0], ports[1])), startNode(t, "B", both(ports[1], ports[0]))
	refused := func(n *node) bool {
		r := n.s.Links()[0]
		return r.State == RemoteWaiting && strings.Contains(strings.ToLower(r.LastErr), "loop detected") &&
			r.NextDial.Sub(r.FailedAt) >= refusedMin
	}
	eventually(t, "a loop that was found", func() bool { return refused(a) || refused(b) })
}

// A remote with two hubs goes to the second when the first is gone, at once.
func TestFailOver(t *testing.T) {
	one, two := newNode(t, "ONE", listening), startNode(t, "TWO", listening)
	one.start()
	l := startNode(t, "EDGE", hurried, dialing(one.addr(), func(r *config.LeafRemote) {
		r.URLs = append(r.URLs, parseAll(t, "nats-leaf://"+two.addr())...)
	}))
	one.links(1)
	one.s.Close()
	two.links(1)
	eventually(t, "the remote's state", func() bool {
		r := l.s.Links()[0]
		return r.State == RemoteUp && r.URL == two.addr() && r.Attempts == 0
	})
}

// When the preferred hub is back, an idle remote goes back to it.
func TestFailBack(t *testing.T) {
	ports, err := procs.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	preferred := fmt.Sprintf("127.0.0.1:%d", ports[0])
	two := startNode(t, "TWO", listening)
	l := newNode(t, "EDGE", hurried, dialing(preferred, func(r *config.LeafRemote) {
		r.URLs = append(r.URLs, parseAll(t, "nats-leaf://"+two.addr())...)
	}))
	l.s.failBack = 20 * time.Millisecond
	l.start()
	two.links(1)
	one := startNode(t, "ONE", func(n *node) { n.cfg.LeafNodes.Listen = config.Listen{Host: "127.0.0.1", Port: ports[0]} })
	one.links(1)
	two.links(0)
	traffic(t, one, l)
}

// Beyond a number of handshakes a second newcomers are sent away.
func TestGateRate(t *testing.T) {
	g := gate{limit: 100, rate: 3}
	now := time.Now()
	for i := range 5 {
		release, busy := g.enter(now)
		if (busy > 0) != (i >= 3) {
			t.Errorf("newcomer %d: busy %s", i, busy)
		}
		release()
		release()
	}
	if _, busy := g.enter(now.Add(time.Second)); busy > 0 || g.n != 1 {
		t.Errorf("a second later: busy %s, %d are opening", busy, g.n)
	}
}

// A peer that stops reading costs a bounded queue, and messages only (check 25).
func TestSlowPeer(t *testing.T) {
	s := &script{t: t}
	h := startNode(t, "HUB", listening, compressing(config.CompressionOff))
	s.n = h
	s.use(net.Dial("tcp", h.addr()))
	defer s.c.Close()
	s.recv(1)
	s.write("CONNECT " + fields("", leafFields) + "\r\nLS+ flood\r\nPING\r\n")
	s.until("PONG")
	l := h.reg.Open()[0].(*conn)
	m := &broker.Msg{Account: l.acct.Account, Subject: []byte("flood"), Payload: make([]byte, 1<<20)}
	refused := 0
	for range 400 {
		if !l.DeliverOnce(m, true, nil) {
			refused++
		}
	}
	l.Flush()
	if p := l.c.Pending(); refused == 0 || p > maxPending {
		t.Errorf("%d of 400 MiB refused, %d bytes pending", refused, p)
	}
	if d := l.Info(false).More.(Details); d.Dropped != int64(refused) {
		t.Errorf("%d refused, %d counted", refused, d.Dropped)
	}
	if h.reg.Len() != 1 {
		t.Error("the link did not survive")
	}
	l.Close(wire.ReasonSlowPending)
}

// A hub tells of the other members of its cluster, and a leaf node that may uses them (15.3).
func TestGossip(t *testing.T) {
	two := startNode(t, "TWO", listening)
	one := startNode(t, "ONE", listening)
	l := startNode(t, "EDGE", hurried, dialing(one.addr(), func(r *config.LeafRemote) { r.IgnoreDiscovered = config.No }))
	deaf := startNode(t, "DEAF", hurried, dialing(one.addr()))
	one.links(2)
	one.o.LeafURLs.Add([]string{two.addr()})
	eventually(t, "the gossip", func() bool {
		l.s.remotes[0].mu.Lock()
		defer l.s.remotes[0].mu.Unlock()
		return len(l.s.remotes[0].gossip) == 2
	})
	one.s.Close()
	two.links(1)
	if r := deaf.s.Links()[0]; len(r.Learned) > 0 {
		t.Errorf("a remote that ignores gossip learned %v", r.Learned)
	}
	if r := l.s.Links()[0]; r.URL != two.addr() || len(r.Learned) != 1 {
		t.Errorf("remote is at %s, learned %v", r.URL, r.Learned)
	}
}

// A hub that stops as planned lets its leaf nodes go over time, and ours know how to come back.
func TestDrain(t *testing.T) {
	h := startNode(t, "HUB", listening)
	var all []*node
	for i := range 5 {
		all = append(all, startNode(t, fmt.Sprintf("EDGE%d", i), dialing(h.addr())))
	}
	h.links(5)
	for _, l := range all {
		l.links(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h.s.Drain(ctx, 50*time.Millisecond)
	h.links(0)
	if _, err := net.DialTimeout("tcp", h.addr(), time.Second); err == nil {
		t.Error("the listener is still open")
	}
	for _, l := range all {
		r := failed(t, l)
		if wait := r.NextDial.Sub(r.FailedAt); wait > 31*time.Second {
			t.Errorf("%s waits %s", l.srv.Name, wait)
		}
	}
}

// Newcomers beyond what can be opening at a time are sent away before TLS.
func TestTooMany(t *testing.T) {
	p := newPKI(t)
	h := startNode(t, "HUB", listening, secured(first(p.tls("hub"), config.HandshakeOn)), func(n *node) { n.o.MaxHandshakes = 2 })
	var held []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", h.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	eventually(t, "a full gate", func() bool {
		h.s.gate.mu.Lock()
		defer h.s.gate.mu.Unlock()
		return h.s.gate.n == 2
	})
	c, err := net.Dial("tcp", h.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(c); err != nil || string(b) != "-ERR 'Server Busy, retry after 2000'\r\n" {
		t.Fatalf("%q %v", b, err)
	}
	l := startNode(t, "EDGE", dialing(h.addr(), with(first(p.ca(), config.HandshakeOn))))
	if r := failed(t, l); !strings.Contains(r.LastErr, "TLS") || r.NextDial.Sub(r.FailedAt) > 6*time.Second {
		t.Errorf("%s, again in %s", r.LastErr, r.NextDial.Sub(r.FailedAt))
	}
	for _, c := range held {
		c.Close()
	}
	eventually(t, "the gate to be open", func() bool { l.s.Retry(); return h.reg.Len() == 1 })
}

// Every line of the opening arrives byte by byte.
func TestSplitOpening(t *testing.T) {
	h := startNode(t, "HUB", listening, compressing(config.CompressionOff))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", h.addr())
			if err != nil {
				c.Close()
				return
			}
			slow := func(dst, src net.Conn) {
				buf := make([]byte, 1)
				for {
					if _, err := src.Read(buf); err != nil {
						break
					}
					if _, err := dst.Write(buf); err != nil {
						break
					}
				}
				dst.Close()
				src.Close()
			}
			go slow(up, c)
			go slow(c, up)
		}
	}()
	l := startNode(t, "EDGE", dialing(ln.Addr().String(), func(r *config.LeafRemote) { r.FirstInfoTimeout = patience }))
	l.links(1)
	in := subscribe(t, l.nats(), "x", "")
	h.wants("$G", "x")
	numbered(t, h.nats(), in, "x", 20)
	l.s.Close()
	h.links(0)
	ln.Close()
	<-done
}

// What is too large for the hub is dropped by the leaf, and the link stays (check 24).
func TestOversized(t *testing.T) {
	h := startNode(t, "HUB", listening, func(n *node) { n.cfg.Limits.MaxPayload = 100 })
	l := startNode(t, "EDGE", dialing(h.addr()))
	h.links(1)
	in := subscribe(t, h.nats(), "x", "")
	l.wants("$G", "x")
	pub := l.nats()
	publish(t, pub, "x", strings.Repeat("x", 101))
	publish(t, pub, "x", "small")
	in.expect("small")
	d := l.reg.Open()[0].Info(false).More.(Details)
	if d.Oversized != 1 || l.reg.Total() != 1 {
		t.Errorf("%d counted as too large, %d links in all", d.Oversized, l.reg.Total())
	}
}

// A dynamic cluster name that changes has links opened anew.
func TestRenamed(t *testing.T) {
	h := startNode(t, "HUB", listening)
	l := startNode(t, "EDGE", hurried, dialing(h.addr()), func(n *node) { n.srv.SetCluster("X", true) })
	h.links(1)
	l.links(1)
	l.srv.SetCluster("Y", false)
	eventually(t, "a link under the new name", func() bool {
		all := h.reg.Open()
		return len(all) == 1 && all[0].Info(false).More.(Details).Cluster == "Y"
	})
}

func TestMonitoring(t *testing.T) {
	h := startNode(t, "HUB", listening, compressing(config.CompressionS2Fast))
	l := startNode(t, "EDGE", dialing(h.addr()), compressing(config.CompressionS2Auto))
	h.links(1)
	l.links(1)
	subscribe(t, l.nats(), "x.y", "")
	h.wants("$G", "x.y")
	i := h.reg.Open()[0].Info(true)
	d := i.More.(Details)
	if i.Name != "EDGE" || i.Account != "$G" || i.Subs != 2 || !has(d.Subscriptions, "x.y") || d.IsSpoke || d.Solicited ||
		d.Compression != "s2_fast" || d.ServerID != l.srv.ID {
		t.Errorf("at the hub: %+v", i)
	}
	i = l.reg.Open()[0].Info(false)
	if d := i.More.(Details); !d.IsSpoke || !d.Solicited || d.URL != h.addr() || d.Compression == "" {
		t.Errorf("at the leaf: %+v", i)
	}
	r := l.s.Links()[0]
	if r.State != RemoteUp || r.LinkID == 0 || r.UpSince.IsZero() || r.Account != "$G" {
		t.Errorf("remote: %+v", r)
	}
	h.s.Close()
	r = failed(t, l)
	if r.Attempts == 0 || r.NextDial.IsZero() || r.FailedAt.IsZero() {
		t.Errorf("remote that is down: %+v", r)
	}
	eventually(t, "the closed link", func() bool { return len(l.reg.Closed()) > 0 })
	if c := l.reg.Closed()[0]; c.Reason != wire.ReasonClientClosed || c.Stopped.IsZero() {
		t.Errorf("closed: %+v", c)
	}
}

func TestStartErrors(t *testing.T) {
	h := startNode(t, "HUB", listening)
	n := newNode(t, "SECOND", func(n *node) { n.cfg.LeafNodes.Listen = config.Listen{Host: "127.0.0.1", Port: h.s.Addr().Port} })
	defer n.s.Close()
	if err := n.s.Start(); err == nil || !strings.Contains(err.Error(), fmt.Sprint(h.s.Addr().Port)) {
		t.Errorf("error %v", err)
	}
	m := newNode(t, "THIRD", func(n *node) { n.cfg.LeafNodes.Remotes = []config.LeafRemote{{Name: "empty"}} })
	defer m.s.Close()
	if err := m.s.Start(); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("error %v", err)
	}
}

// A line of 60,000 bytes passes, one beyond 65,536 does not (section 10).
func TestLongLines(t *testing.T) {
	h := startNode(t, "HUB", listening, compressing(config.CompressionOff))
	for _, c := range []struct {
		n    int
		want string
	}{{60000, ""}, {66000, "-ERR 'maximum control line exceeded'\nEOF\n"}} {
		s := &script{t: t, n: h}
		s.use(net.Dial("tcp", h.addr()))
		s.recv(1)
		s.write("CONNECT " + fields("", leafFields) + "\r\nPING\r\n")
		s.until("PONG")
		s.write("LS+ " + strings.Repeat("x", c.n) + "\r\nPING\r\n")
		if got := s.until("PONG"); got != c.want {
			t.Errorf("%d bytes: %q", c.n, got)
		}
		s.c.Close()
	}
}
