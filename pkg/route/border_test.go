package route

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// startGwd starts a gwd that dials hubs.
func startGwd(t testing.TB, tune func(n *node), hubs ...*node) *node {
	t.Helper()
	return startNode(t, func(n *node) {
		dialing(hubs...)(n)
		n.o.Role = BorderRole
		n.o.Border = new(BorderHooks)
		n.b.Answers = broker.FromGateway
		if tune != nil {
			tune(n)
		}
	})
}

// region is a remote region as seen by a gwd: it announces interest and records
// what it is sent.
type region struct {
	n     *node
	port  *broker.Port
	inlet *broker.Inlet

	mu  sync.Mutex
	got []string
}

func (n *node) region(name string) *region {
	r := &region{n: n}
	r.port = &broker.Port{ID: n.b.NextID(), Class: broker.Gateway, Reach: broker.FromGateway,
		Origin: broker.Origin{Class: broker.Gateway, Cluster: broker.RegionMark + name}, Aggregate: true, Sink: r}
	r.inlet = n.b.NewInlet(r.port)
	return r
}

func (r *region) Deliver(*broker.Msg, *broker.Sub) bool { panic("aggregate") }
func (r *region) Flush()                                {}
func (r *region) DeliverOnce(m *broker.Msg, plain bool, groups [][]byte) bool {
	line := fmt.Sprintf("%s %s %s %v", m.Subject, m.Reply, m.Payload, plain)
	for _, g := range groups {
		line += " [" + string(g) + "]"
	}
	r.mu.Lock()
	r.got = append(r.got, line)
	r.mu.Unlock()
	return true
}

func (r *region) sub(account, subj, queue string) *broker.Sub {
	s := &broker.Sub{Port: r.port, Subject: []byte(subj), Origin: r.port.Origin, Tier: broker.TierBorder}
	if queue != "" {
		s.Queue = []byte(queue)
	}
	r.n.b.Account(account).Subscribe(s, 1)
	return s
}

func (r *region) unsub(s *broker.Sub) { s.Account.Unsubscribe(s) }

func (r *region) send(account, subj, reply, payload string, groups ...string) {
	m := &broker.Msg{Account: r.n.b.Account(account), Subject: []byte(subj), Payload: []byte(payload), Listed: true}
	if reply != "" {
		m.Reply = []byte(reply)
	}
	for _, g := range groups {
		m.Groups = append(m.Groups, []byte(g))
	}
	r.inlet.Publish(m)
	r.inlet.Flush()
}

func (r *region) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

func (r *region) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// total waits until regions together got n messages and no more.
func total(t *testing.T, n int, regions ...*region) {
	t.Helper()
	sum := func() (k int) {
		for _, r := range regions {
			k += r.count()
		}
		return k
	}
	eventually(t, func() bool { return sum() >= n }, func() string { return fmt.Sprintf("%d of %d messages", sum(), n) })
	time.Sleep(20 * time.Millisecond)
	if k := sum(); k != n {
		t.Fatalf("%d messages instead of %d", k, n)
	}
}

// borderNet is two hubs and two gwds with a region B each.
type borderNet struct {
	hubs []*node
	gwds []*node
	b    []*region
}

func newBorderNet(t *testing.T) *borderNet {
	x := &borderNet{}
	h0 := startNode(t, nil)
	h1 := startNode(t, dialing(h0))
	x.hubs = []*node{h0, h1}
	for range 2 {
		g := startGwd(t, nil, h0)
		x.gwds = append(x.gwds, g)
		x.b = append(x.b, g.region("B"))
	}
	h1.synced()
	for _, n := range x.hubs {
		n.routes(4 + 4 + 4)
	}
	for _, n := range x.gwds {
		n.routes(4 + 4 + 1)
	}
	return x
}

// borders waits until a hub has border interest in subj, or none.
func (n *node) borders(account, subj string, yes bool) {
	n.t.Helper()
	eventually(n.t, func() bool {
		found := false
		for _, s := range n.b.Account(account).Matching([]byte(subj), nil) {
			if s.Port.Class == broker.Border && string(s.Subject) != "_GR_.>" {
				found = true
			}
		}
		return found == yes
	}, func() string { return fmt.Sprintf("border interest in %s should be %v", subj, yes) })
}

func TestBorderInterest(t *testing.T) {
	x := newBorderNet(t)
	for _, h := range x.hubs {
		h.borders("A", "_GR_.X", false)
		h.knows("A", "_GR_.cccccc.ssssss.x", true)
		h.knows("A", "$GR.cccc.x", true)
	}
	s0 := x.b[0].sub("A", "out", "")
	s1 := x.b[1].sub("A", "out", "")
	for _, h := range x.hubs {
		h.borders("A", "out", true)
		if n := len(h.b.Account("A").Matching([]byte("out"), nil)); n != 1 {
			t.Errorf("%d subscriptions for what two gwds announce", n)
		}
	}
	x.b[0].unsub(s0)
	x.b[1].unsub(s1)
	for _, h := range x.hubs {
		h.borders("A", "out", false)
	}
	// Known through another gwd only: announced to nobody.
	far := x.gwds[0].region("C")
	far.port.Origin.Link = 7
	far.sub("A", "far", "")
	// A hub's own interest is not announced back; an account that only remotes have is
	// ignored by hubs.
	x.b[0].sub("UNKNOWN", "x", "")
	x.b[0].sub("A", "last", "")
	x.hubs[0].borders("A", "last", true)
	x.hubs[0].borders("A", "far", false)
	if x.hubs[0].b.Lookup([]byte("UNKNOWN")) != nil {
		t.Error("a hub made an account")
	}
}

func TestBorderMessages(t *testing.T) {
	x := newBorderNet(t)
	for _, r := range x.b {
		r.sub("A", "out.*", "")
		r.sub("A", "work", "q")
	}
	h0, h1 := x.hubs[0].client("A"), x.hubs[1].client("A")
	for _, h := range x.hubs {
		h.borders("A", "out.1", true)
		h.borders("A", "work", true)
	}
	// Each message crosses once, in order.
	const many = 1000
	for i := range many {
		h0.pub("out.1", "", fmt.Sprint(i))
	}
	total(t, many, x.b...)
	for _, r := range x.b {
		if got := r.take(); len(got) > 0 {
			for i, m := range got {
				if m != fmt.Sprintf("out.1  %d true", i) {
					t.Fatalf("message %d is %q", i, m)
				}
			}
		}
	}
	// Queues: a member in the region is preferred, on any hub.
	s := h1.sub("work", "q")
	x.hubs[0].weight("A", "work", "q", 1)
	for range 100 {
		h0.pub("work", "", "x")
	}
	h1.want(100)
	total(t, 0, x.b...)
	h1.a.Unsubscribe(s)
	x.hubs[0].weight("A", "work", "q", 0)
	for range 100 {
		h0.pub("work", "", "x")
	}
	total(t, 100, x.b...)
	for _, r := range x.b {
		for _, m := range r.take() {
			if m != "work  x false [q]" {
				t.Fatalf("message %q", m)
			}
		}
	}
	// From a region to both hubs, once each, and to no other gwd or region.
	h0.sub("in", "")
	h1.sub("in", "")
	h1.sub("in", "q")
	for _, g := range x.gwds {
		eventually(t, func() bool { return len(g.b.Account("A").Matching([]byte("in"), nil)) == 3 },
			func() string { return "the hubs' interest" })
	}
	x.b[0].send("A", "in", "", "1")
	h0.want(1)
	h1.want(1)
	x.b[1].send("A", "in", "", "2", "q")
	h0.want(1)
	h1.want(2)
	total(t, 0, x.b...)
}

// TestBorderServices: what a gwd's own services want reaches each gwd once, and
// crosses no border twice.
func TestBorderServices(t *testing.T) {
	x := newBorderNet(t)
	var services []*client
	for i, g := range x.gwds {
		c := g.client("$SYS")
		c.port.Reach = broker.FromClientAtBorder
		c.sub("ping", "")
		services = append(services, c)
		x.b[i].sub("$SYS", "ping", "")
	}
	h := x.hubs[1].client("$SYS")
	h.sub("pong", "")
	eventually(t, func() bool { return len(h.a.Matching([]byte("ping"), nil)) == 3 }, func() string { return "ping" })
	for _, g := range x.gwds {
		g.knows("$SYS", "pong", true)
	}
	h.pub("ping", "", "x")
	for _, c := range services {
		c.want(1)
		c.pub("pong", "", "y")
	}
	h.want(2)
	total(t, 1, x.b...)
	// From a region: both gwds get it, although it came in at one.
	x.b[0].take()
	x.b[1].take()
	eventually(t, func() bool { return len(x.gwds[0].b.SystemAccount().Matching([]byte("ping"), nil)) == 3 }, func() string { return "ping" })
	x.b[0].send("$SYS", "ping", "", "z")
	for _, c := range services {
		c.want(1)
	}
	total(t, 0, x.b...)
}

// TestBorderDeath: a gwd dies under traffic; nothing is doubled, order is kept, and
// the next message takes the other.
func TestBorderDeath(t *testing.T) {
	x := newBorderNet(t)
	for _, r := range x.b {
		r.sub("A", "out", "")
	}
	c := x.hubs[0].client("A")
	x.hubs[0].borders("A", "out", true)
	c.pub("out", "", "first")
	total(t, 1, x.b...)
	mine, other := 0, 1
	if x.b[1].count() == 1 {
		mine, other = 1, 0
	}
	x.b[mine].take()
	go x.gwds[mine].s.Close()
	began := time.Now()
	n := 0
	eventually(t, func() bool {
		n++
		c.pub("out", "", fmt.Sprint(n))
		return x.b[other].count() > 0
	}, func() string { return "a message at the other gwd" })
	if d := time.Since(began); d > 500*time.Millisecond {
		t.Errorf("moved after %v", d)
	}
	for range 100 {
		n++
		c.pub("out", "", fmt.Sprint(n))
	}
	eventually(t, func() bool { return x.b[other].count() >= 100 }, func() string { return "100 messages" })
	time.Sleep(20 * time.Millisecond)
	got := append(x.b[mine].take(), x.b[other].take()...)
	last := 0
	for _, m := range got {
		var k int
		fmt.Sscanf(m, "out  %d", &k)
		if k <= last {
			t.Fatalf("message %d after %d", k, last)
		}
		last = k
	}
	if last != n {
		t.Errorf("last message is %d of %d", last, n)
	}
	// The last gwd goes: nobody is left.
	x.gwds[other].s.Close()
	x.hubs[0].borders("A", "out", false)
	x.hubs[0].knows("A", "_GR_.cccccc.ssssss.x", false)
	if k := c.pub("out", "", "x"); k != 0 {
		t.Errorf("handed to %d", k)
	}
}

// TestBorderDrain: a planned leave loses nothing, and waits for what is under way.
func TestBorderDrain(t *testing.T) {
	x := newBorderNet(t)
	answers := make(chan func(), 100)
	for _, g := range x.gwds {
		g.o.Border.Fence = func(done func()) { answers <- done }
	}
	for _, r := range x.b {
		r.sub("A", "out", "")
	}
	c := x.hubs[0].client("A")
	x.hubs[0].borders("A", "out", true)
	c.pub("out", "", "0")
	total(t, 1, x.b...)
	mine, other := 0, 1
	if x.b[1].count() == 1 {
		mine, other = 1, 0
	}
	x.gwds[mine].s.Drain()
	var done func()
	select {
	case done = <-answers:
	case <-time.After(5 * time.Second):
		t.Fatal("no fence")
	}
	for i := range 10 {
		if k := c.pub("out", "", fmt.Sprint(i+1)); k != 1 {
			t.Fatalf("handed to %d", k)
		}
	}
	if x.b[other].count() != 0 {
		t.Error("messages passed the fence")
	}
	done()
	total(t, 11, x.b...)
	for i, m := range x.b[other].take() {
		if m != fmt.Sprintf("out  %d true", i+1) {
			t.Fatalf("message %d is %q", i, m)
		}
	}
}

// TestBorderMoveNotConfirmed: where the old gwd does not say that it has passed on what it was sent, an account stays with it,
// so that nothing is overtaken.
func TestBorderMoveNotConfirmed(t *testing.T) {
	x := newBorderNet(t)
	for i, g := range x.gwds {
		g.o.Border.Fence = func(func()) {}
		x.b[i].sub("A", "out", "")
	}
	hub := x.hubs[0]
	c := hub.client("A")
	hub.borders("A", "out", true)
	// Both are in sync; the account is with the one that is not the better choice.
	b, as := hub.s.border, hub.s.border.assigned(hub.b.Account("A"))
	carrier := func(g *node) *conn {
		for _, p := range *b.gwds.Load() {
			if p.id == g.id {
				return p.table.Load().carrier("A", hub.s.set().pool)
			}
		}
		return nil
	}
	eventually(t, func() bool {
		one, two := carrier(x.gwds[0]), carrier(x.gwds[1])
		return one != nil && two != nil && one.synced.Load() && two.synced.Load()
	}, func() string { return "both gwds in sync" })
	mine := 0
	if b.choose(as.a, nil) == carrier(x.gwds[0]) {
		mine = 1
	}
	old := carrier(x.gwds[mine])
	as.conn.Store(old)
	c.pub("out", "", "0")
	total(t, 1, x.b...)
	if !b.startFence(as) {
		t.Fatal("no move was begun")
	}
	for i := range 10 {
		c.pub("out", "", fmt.Sprint(i+1))
	}
	total(t, 11, x.b...)
	for i, m := range x.b[mine].take() {
		if m != fmt.Sprintf("out  %d true", i) {
			t.Fatalf("message %d at the first gwd is %q", i, m)
		}
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.conn.Load() != old || as.pause == 0 {
		t.Errorf("it moved, or will try again at once")
	}
}

func TestGwdRemotes(t *testing.T) {
	type event struct{ peer, what string }
	events := make(chan event, 100)
	hooks := func(remotes *[]wire.RemoteCluster, mu *sync.Mutex) *BorderHooks {
		return &BorderHooks{
			Remotes: func() []wire.RemoteCluster { mu.Lock(); defer mu.Unlock(); return *remotes },
			PeerRemotes: func(peer string, r []wire.RemoteCluster) {
				events <- event{peer, fmt.Sprintf("remotes %v", r)}
			},
			PeerGone: func(peer string) { events <- event{peer, "gone"} },
			PeerInterest: func(peer, remote string, a *broker.Account, subj, queue []byte, w int32, add bool) {
				events <- event{peer, fmt.Sprintf("interest %s %s %s %q %d %v", remote, a.Name, subj, queue, w, add)}
			},
			Targeted: func(remote string, m *broker.Msg) {
				events <- event{"", fmt.Sprintf("to %s: %s %s %s %q", remote, m.Account.Name, m.Subject, m.Payload, m.Groups)}
			},
			GatewayGossip: func(gw string, urls []string) { events <- event{"", fmt.Sprintf("gateway %s %v", gw, urls)} },
		}
	}
	expect := func(want event) {
		t.Helper()
		select {
		case got := <-events:
			if got != want {
				t.Fatalf("got %v, want %v", got, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("nothing, want %v", want)
		}
	}
	hub := startNode(t, nil)
	var mu sync.Mutex
	r0 := []wire.RemoteCluster{{Name: "B", RTT: 5}}
	g0 := startGwd(t, func(n *node) { n.o.Border = hooks(&r0, &mu) }, hub)
	b := g0.region("B")
	b.sub("A", "x", "")
	b.sub("A", "x", "q")
	var none []wire.RemoteCluster
	var mu1 sync.Mutex
	g1 := startGwd(t, func(n *node) { n.o.Border = hooks(&none, &mu1) }, hub)
	g1.routes(5)
	seen := make(map[event]bool)
	for len(seen) < 4 { // what a gwd has may be told again
		select {
		case e := <-events:
			seen[e] = true
		case <-time.After(5 * time.Second):
			t.Fatal("events missing", seen)
		}
	}
	for _, want := range []event{
		{g0.id, "remotes [{B 5}]"}, {g1.id, "remotes []"},
		{g0.id, `interest B A x "" 0 true`}, {g0.id, `interest B A x "q" 1 true`},
	} {
		if !seen[want] {
			t.Errorf("missing %v in %v", want, seen)
		}
	}
	s := b.sub("NEW", "y", "")
	expect(event{g0.id, `interest B NEW y "" 0 true`})
	b.unsub(s)
	expect(event{g0.id, `interest B NEW y "" 0 false`})
	mu.Lock()
	r0 = nil
	mu.Unlock()
	g0.s.AnnounceRemotes()
	expect(event{g0.id, "remotes []"})
	m := &broker.Msg{Account: g1.b.Account("A"), Subject: []byte("x"), Payload: []byte("hi")}
	if !g1.s.SendTargeted(g0.id, "B", m, [][]byte{[]byte("q")}) {
		t.Error("not sent")
	}
	g1.s.FlushTargeted()
	expect(event{"", `to B: A x hi ["q"]`})
	fenced := make(chan bool, 1)
	g1.s.FencePeer(g0.id, func() { fenced <- true })
	<-fenced
	g1.s.FencePeer(hub.id, func() { fenced <- true }) // its answer or the limit
	<-fenced
	g1.s.FencePeer("nobody", func() { fenced <- true })
	<-fenced
	g1.s.GossipGateway("C", []string{"c:1"})
	expect(event{"", "gateway C [c:1]"})
	if g1.s.SendTargeted(hub.id, "B", m, nil) {
		t.Error("a hub was sent a targeted message")
	}
	g1.s.Close()
	for e := range events {
		if e == (event{g1.id, "gone"}) {
			break
		}
		if e != (event{g0.id, "gone"}) {
			t.Fatalf("got %v", e)
		}
	}
}

func TestFreshReply(t *testing.T) {
	hub := startNode(t, nil)
	got := make(chan *broker.Msg, 10)
	g := startGwd(t, nil, hub)
	g.synced()
	g.routes(4)
	hub.routes(4)
	r := &fromSink{region: g.region("B"), got: got}
	r.port.Sink = r
	r.sub("A", "svc", "")
	c := hub.client("A")
	c.sub("old.*", "")
	hub.borders("A", "svc", true)
	g.knows("A", "old.1", true)
	c.sub("_INBOX.abc.*", "")
	c.pub("svc", "_INBOX.abc.1", "x")
	m := <-got
	from := m.From.Sink.(*conn)
	if _, fresh := g.s.FreshReply(m.From, m.Account, []byte("old.1"), 10*time.Second); !fresh {
		t.Error("a reply of a hub that has just joined is not fresh")
	}
	from.settling.Store(time.Now().Add(-3 * time.Second).UnixNano())
	id, fresh := g.s.FreshReply(m.From, m.Account, []byte("_INBOX.abc.1"), 2*time.Second)
	if id != hub.id || !fresh {
		t.Errorf("fresh reply: %s %v", id, fresh)
	}
	if _, fresh := g.s.FreshReply(m.From, m.Account, []byte("_INBOX.other.1"), 2*time.Second); fresh {
		t.Error("a reply that nobody subscribed to is fresh")
	}
	if _, fresh := g.s.FreshReply(m.From, m.Account, []byte("_INBOX.abc.1"), 0); fresh {
		t.Error("fresh in no time")
	}
	if !g.s.IsHub(m.From) || !g.s.AwareHub(m.From) {
		t.Error("not a hub")
	}
	if p := g.s.PortForServer(m.Account, []byte(wire.GatewayHash(hub.id))); p == nil || !g.s.IsHub(p) {
		t.Error("no way to the hub")
	}
	if p := g.s.PortForServer(m.Account, []byte("nobody")); p != nil {
		t.Error("a way to nobody")
	}
	if n := len(g.s.HubPorts(m.Account)); n != 1 {
		t.Errorf("%d hubs", n)
	}
}

type fromSink struct {
	*region
	got chan *broker.Msg
}

func (r *fromSink) DeliverOnce(m *broker.Msg, _ bool, _ [][]byte) bool {
	r.got <- &broker.Msg{Account: m.Account, From: m.From}
	return true
}

func TestAdvertise(t *testing.T) {
	hub := startNode(t, nil)
	g := startGwd(t, nil, hub)
	g.synced()
	r := g.region("B")
	r.sub("A", "x", "")
	hub.borders("A", "x", true)
	g.s.Advertise(false)
	hub.borders("A", "x", false)
	r.sub("A", "y", "")
	g.s.Advertise(true)
	hub.borders("A", "x", true)
	hub.borders("A", "y", true)
}
