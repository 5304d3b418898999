package border

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/gateway"
	"github.com/banyanmq/banyan/test/delayproxy"
)

// TestTargeted: of two gwds only one reaches the other region. Everything is
// delivered once, part of it by way of the other gwd (gateways 18.6).
func TestTargeted(t *testing.T) {
	b := []*hub{newHub(t, "B", "b1")}
	gb := newGwd(t, "B", "gb1", b, gwdOptions{})
	a := []*hub{newHub(t, "A", "a1")}
	blind := newGwd(t, "A", "ga1", a, gwdOptions{gateway: func(o *gateway.Options) { o.Settings.RejectUnknown = true }})
	sees := newGwd(t, "A", "ga2", a, gwdOptions{remotes: []config.RemoteGateway{remoteOf("B", gb)}})
	reaches(t, sees, "B")
	reaches(t, gb, "A")
	if len(blind.Gateways().Remotes()) > 0 {
		t.Fatal("the blind gwd sees")
	}
	const accounts, many = 16, 50
	for i := range accounts { // hubs take interest in accounts that they have
		a[0].b.Account(fmt.Sprint("X", i))
	}
	var subs, groups []*client
	for i := range accounts {
		name := fmt.Sprint("X", i)
		s, g := b[0].client(name), b[0].client(name)
		s.sub("s", "")
		g.sub("s", "q")
		b[0].client(name).answersOn("svc", name)
		subs, groups = append(subs, s), append(groups, g)
	}
	for i := range accounts {
		name := fmt.Sprint("X", i)
		a[0].wants(name, "s", true)
		a[0].wants(name, "svc", true)
	}
	await(t, "the blind gwd knows the interest by the other", func() bool {
		for i := range accounts {
			if len(blind.o.Broker.Account(fmt.Sprint("X", i)).Matching([]byte("svc"), nil)) == 0 {
				return false
			}
		}
		return true
	})
	for i := range accounts {
		c := a[0].client(fmt.Sprint("X", i))
		for k := range many {
			c.send("s", "", fmt.Sprint(k))
		}
		if got, ok := c.request("svc"); !ok || got != c.a.Name {
			t.Fatalf("request in %s: %q", c.a.Name, got)
		}
	}
	for i := range accounts {
		for _, c := range []*client{subs[i], groups[i]} {
			await(t, "messages", func() bool { return c.count() >= many })
			for k, m := range c.take() {
				if m.payload != fmt.Sprint(k) {
					t.Fatalf("account %d: got %q, want %d", i, m.payload, k)
				}
			}
		}
	}
	relayed := int64(0)
	for _, r := range blind.Gateways().Status(true).Outbound {
		relayed += r.Relayed
		if r.Via == "" || r.Connection != nil {
			t.Errorf("status of the blind gwd: %+v", r)
		}
	}
	if relayed < many {
		t.Fatalf("%d messages went by way of the other gwd", relayed)
	}
	// The seeing one goes: nobody is left to tell of the interest.
	sees.Close()
	a[0].wants("X0", "s", false)
}

// TestNearest: a group with members in two regions is served by the nearer one,
// then by the other when that is gone (gateways 20.13).
func TestNearest(t *testing.T) {
	b, c := newHub(t, "B", "b1"), newHub(t, "C", "c1")
	gb := newGwd(t, "B", "gb", []*hub{b}, gwdOptions{})
	gc := newGwd(t, "C", "gc", []*hub{c}, gwdOptions{})
	far, err := delayproxy.Start(delayproxy.Config{Target: gb.Addr().String(), RTT: 60 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	a := newHub(t, "A", "a1")
	toB := config.RemoteGateway{Name: "B", URLs: []*url.URL{{Scheme: "nats", Host: far.Addr()}}}
	ga := newGwd(t, "A", "ga", []*hub{a}, gwdOptions{remotes: []config.RemoteGateway{toB, remoteOf("C", gc)}})
	reaches(t, ga, "B", "C")
	qb, qc, plain := b.client("A"), c.client("A"), b.client("A")
	qb.sub("s", "q")
	sc := qc.sub("s", "q")
	plain.sub("s", "")
	await(t, "all interest", func() bool { return len(ga.o.Broker.Account("A").Matching([]byte("s"), nil)) == 3 })
	a.wants("A", "s", true)
	pub := a.client("A")
	const many = 100
	for range many {
		pub.send("s", "", "x")
	}
	await(t, "the nearer group and the plain subscriber", func() bool { return qc.count() == many && plain.count() == many })
	if n := qb.count(); n != 0 {
		t.Fatalf("the farther group got %d", n)
	}
	qc.unsub(sc)
	await(t, "one member left", func() bool { return len(ga.o.Broker.Account("A").Matching([]byte("s"), nil)) == 2 })
	for range many {
		pub.send("s", "", "x")
	}
	await(t, "the farther group", func() bool { return qb.count() == many && plain.count() == 2*many })
	// A member in the region itself: none leave.
	own := a.client("A")
	own.sub("s", "q")
	for range many {
		pub.send("s", "", "x")
	}
	await(t, "the own member", func() bool { return own.count() == many && plain.count() == 3*many })
	if qb.count() != many || qc.count() != many {
		t.Fatal("a message of the group left a region with a member")
	}
}

// flow publishes numbers and looks at what arrives: no number twice, none before an
// earlier one.
type flow struct {
	to   *client
	stop chan struct{}
	wg   sync.WaitGroup
	mu   sync.Mutex
	sent []int
}

func startFlow(from []*client, to *client, subj string) *flow {
	f := &flow{to: to, stop: make(chan struct{}), sent: make([]int, len(from))}
	for n, c := range from {
		f.wg.Add(1)
		go func() {
			defer f.wg.Done()
			tick := time.NewTicker(200 * time.Microsecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-f.stop:
					f.mu.Lock()
					f.sent[n] = i
					f.mu.Unlock()
					return
				case <-tick.C:
					c.send(subj, "", fmt.Sprint(n, " ", i))
				}
			}
		}()
	}
	return f
}

// settle waits until a count has not changed for a while, and returns it.
func settle(t *testing.T, count func() int) int {
	t.Helper()
	last, since := -1, time.Now()
	await(t, "a count to settle", func() bool {
		if n := count(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 50*time.Millisecond
	})
	return last
}

// end stops and returns how many were lost of how many.
func (f *flow) end(t *testing.T) (lost, total int) {
	t.Helper()
	close(f.stop)
	f.wg.Wait()
	last := settle(t, f.to.count)
	next := make(map[int]int)
	for _, m := range f.to.take() {
		var n, i int
		fmt.Sscan(m.payload, &n, &i)
		if i < next[n] {
			t.Fatalf("publisher %d: %d came after %d", n, i, next[n]-1)
		}
		next[n] = i + 1
	}
	for _, n := range f.sent {
		total += n
	}
	return total - last, total
}

// TestKill: a gwd dies under traffic. Nothing comes twice or out of order, and what
// is lost is what was on its way (gateways 20.26).
func TestKill(t *testing.T) {
	p := newPair(t)
	to := p.b[0].client("A")
	to.sub("f", "")
	p.spread(t, "A", "f")
	var from []*client
	for i := range 4 {
		from = append(from, p.a[i%2].client("A"))
	}
	f := startFlow(from, to, "f")
	await(t, "traffic", func() bool { return to.count() > 200 })
	p.ga[0].Close()
	at := to.count()
	await(t, "traffic goes on", func() bool { return to.count() > at+400 })
	p.gb[1].Close()
	at = to.count()
	await(t, "traffic goes on", func() bool { return to.count() > at+400 })
	lost, total := f.end(t)
	t.Logf("lost %d of %d", lost, total)
	// Each of the two kills may lose what is sent within 100 ms: 20 a millisecond.
	if lost > 2*2000 {
		t.Errorf("lost %d of %d", lost, total)
	}
}

// TestDrain: a gwd leaves gently. Nothing is lost, doubled or reordered (gateways 20.30).
func TestDrain(t *testing.T) {
	p := newPair(t)
	to := p.b[0].client("A")
	to.sub("f", "")
	p.spread(t, "A", "f")
	var from []*client
	for i := range 4 {
		from = append(from, p.a[i%2].client("A"))
	}
	back := p.a[0].client("A")
	back.sub("g", "")
	p.spread(t, "A", "g")
	f := startFlow(from, to, "f")
	g := startFlow([]*client{p.b[0].client("A"), p.b[1].client("A")}, back, "g")
	await(t, "traffic", func() bool { return to.count() > 200 && back.count() > 100 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.ga[0].Drain(ctx)
	p.ga[0].Close()
	at := to.count()
	await(t, "traffic goes on", func() bool { return to.count() > at+200 })
	for _, x := range []*flow{f, g} {
		if lost, total := x.end(t); lost != 0 {
			t.Errorf("lost %d of %d", lost, total)
		}
	}
	await(t, "the other gwd is used alone", func() bool {
		n := 0
		for _, gb := range p.gb {
			st := gb.Gateways().Status(false)
			n += len(st.Inbound)
			if st.Outbound[0].Connection == nil {
				return false
			}
		}
		return n == 1
	})
}

// TestFreeze: a gwd that hangs is left after three intervals of pings, with the default
// of 2 s (gateways 20.27).
func TestFreeze(t *testing.T) {
	b := []*hub{newHub(t, "B", "b1")}
	gb := newGwd(t, "B", "gb1", b, gwdOptions{})
	const ping = 300 * time.Millisecond
	a := newHubWith(t, "A", "a1", ping)
	border := config.Border{PingInterval: ping}
	o := gwdOptions{remotes: []config.RemoteGateway{remoteOf("B", gb)}, border: border}
	var proxies []*delayproxy.Proxy
	var gwds []*Service
	for i := range 2 {
		px, err := delayproxy.Start(delayproxy.Config{Target: a.routes.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		defer px.Close()
		proxies = append(proxies, px)
		o.routes = []*url.URL{{Scheme: "nats-route", Host: px.Addr()}}
		gwds = append(gwds, newGwd(t, "A", fmt.Sprint("ga", i), nil, o))
		reaches(t, gwds[i], "B")
	}
	to := b[0].client("A")
	to.sub("f", "")
	a.wants("A", "f", true)
	await(t, "two gwds", func() bool { return len(a.routes.Peers()) >= 2 })
	f := startFlow([]*client{a.client("A")}, to, "f")
	await(t, "traffic", func() bool { return to.count() > 200 })
	for _, px := range proxies {
		px.Freeze()
		at := time.Now()
		n := to.count()
		await(t, "traffic goes on", func() bool { return to.count() > n+200 })
		t.Logf("went on after %v", time.Since(at))
		px.Cut() // what is stuck on the way would come out of order
		px.Thaw()
		await(t, "the gwd is back", func() bool { return len(gwds[0].routes.Missing()) == 0 && len(gwds[1].routes.Missing()) == 0 })
	}
	f.end(t)
}

// TestPolicy: what controls streams does not cross, neither as interest nor as
// messages (gateways 18.9).
func TestPolicy(t *testing.T) {
	p := newPair(t)
	sys := p.b[0].client("$SYS")
	sys.sub("$JS.API.INFO", "")
	sys.sub("$NRG.>", "")
	sys.sub(">", "")
	sys.sub("$SYS.X", "")
	free := p.b[0].client("A")
	free.sub("$JS.API.INFO", "")
	p.a[0].wants("$SYS", "$SYS.X", true)
	p.a[0].wants("A", "$JS.API.INFO", true)
	await(t, "each gwd knows", func() bool {
		for _, g := range p.ga {
			if len(g.o.Broker.Account("$SYS").Matching([]byte("$SYS.X"), nil)) != 2 ||
				len(g.o.Broker.Account("A").Matching([]byte("$JS.API.INFO"), nil)) != 1 {
				return false
			}
		}
		return true
	})
	for _, s := range p.ga[0].o.Broker.Account("$SYS").Matching([]byte("$JS.API.INFO"), nil) {
		if string(s.Subject) == "$JS.API.INFO" {
			t.Fatal("denied interest has crossed")
		}
	}
	from := p.a[0].client("$SYS")
	from.send("$JS.API.INFO", "", "no")
	from.send("$NRG.V.x", "", "no")
	from.send("$SYS.X", "", "yes")
	p.a[0].client("A").send("$JS.API.INFO", "", "other account")
	await(t, "what may cross", func() bool { return sys.count() >= 2 && free.count() == 1 })
	for _, m := range sys.take() {
		if m.payload != "yes" {
			t.Fatalf("%v has crossed", m)
		}
	}
}

// TestReady: remotes are let in when the hubs' interest is known (gateways 18.3).
func TestReady(t *testing.T) {
	b := newHub(t, "B", "b1")
	gb := newGwd(t, "B", "gb", []*hub{b}, gwdOptions{})
	a := newHub(t, "A", "a1")
	c := a.client("A")
	const many = 5000
	for i := range many {
		c.sub(fmt.Sprint("s.", i), "")
	}
	newGwd(t, "A", "ga", []*hub{a}, gwdOptions{
		remotes: []config.RemoteGateway{remoteOf("B", gb)}, border: config.Border{ReadyTimeout: time.Minute},
	})
	reaches(t, gb, "A")
	// As soon as the connection may be used, all interest is there.
	if n := len(gb.o.Broker.Account("A").Matching([]byte(fmt.Sprint("s.", many-1)), nil)); n != 1 {
		t.Fatalf("interest missing: %d", n)
	}
	if n := gb.o.Broker.Account("A").Subscriptions(); n < many {
		t.Fatalf("%d of %d", n, many)
	}
}
