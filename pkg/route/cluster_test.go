package route

import (
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

func TestTwoServers(t *testing.T) {
	a := startNode(t, nil)
	b := startNode(t, dialing(a))
	b.synced()
	a.routes(4)
	b.routes(4)
	ca, cb := a.client("A"), b.client("A")
	s := ca.sub("foo.*", "")
	q := ca.sub("foo.*", "q")
	b.weight("A", "foo.1", "q", 1)
	b.knows("A", "foo.1", true)
	if n := cb.pub("foo.1", "inbox", "hello"); n != 2 {
		t.Fatalf("handed to %d", n)
	}
	ca.want(2)
	ca.a.Unsubscribe(s)
	ca.a.Unsubscribe(q)
	b.knows("A", "foo.1", false)
}

// TestGossip: two servers that only know a third find each other.
func TestGossip(t *testing.T) {
	seed := startNode(t, nil)
	var others []*node
	for range 3 {
		others = append(others, startNode(t, dialing(seed)))
	}
	all := append(others, seed)
	for _, n := range all {
		n.routes(3 * 4)
	}
	// Exactly one copy everywhere, wherever it is published.
	var clients []*client
	for _, n := range all {
		c := n.client("B")
		c.sub("news.>", "")
		clients = append(clients, c)
	}
	for _, n := range all {
		eventually(t, func() bool { return len(n.b.Account("B").Matching([]byte("news.x"), nil)) == 4 },
			func() string { return "interest of all four" })
	}
	for i, c := range clients {
		c.pub(fmt.Sprintf("news.%d", i), "", "x")
		for _, d := range clients {
			d.want(1)
		}
	}
	// Addresses for clients.
	for _, n := range all {
		if n.s.o.URLs.All() != nil {
			t.Errorf("addresses %v although nobody has any", n.s.o.URLs.All())
		}
	}
}

// TestCrossing: both servers dial each other at the same moment, many times.
func TestCrossing(t *testing.T) {
	for range 100 {
		a := newNode(t, func(n *node) { n.set.Port = freePort(t) })
		b := newNode(t, func(n *node) { n.set.Port = freePort(t) })
		at := func(n *node) *url.URL {
			return &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("127.0.0.1:%d", n.set.Port)}
		}
		a.set.Routes, b.set.Routes = []*url.URL{at(b)}, []*url.URL{at(a)}
		var wg sync.WaitGroup
		wg.Add(2)
		began := time.Now()
		go func() { defer wg.Done(); a.start() }()
		go func() { defer wg.Done(); b.start() }()
		wg.Wait()
		a.synced()
		b.synced()
		a.routes(4)
		b.routes(4)
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("mesh complete after %v", d)
		}
		ca, cb := a.client("A"), b.client("A")
		ca.sub("x", "")
		b.knows("A", "x", true)
		cb.pub("x", "", "1")
		ca.want(1)
		a.s.Close()
		b.s.Close()
	}
}

func TestPoolSizesDiffer(t *testing.T) {
	sizes := func(k int) func(n *node) {
		return func(n *node) { n.set.PoolSize = k }
	}
	for _, tc := range []struct{ a, b, conns int }{{3, 5, 6}, {5, 3, 6}, {1, 3, 4}, {-1, 3, 1}, {3, -1, 1}, {-1, -1, 1}} {
		t.Run(fmt.Sprintf("%d-%d", tc.a, tc.b), func(t *testing.T) {
			a := startNode(t, sizes(tc.a))
			b := startNode(t, func(n *node) { sizes(tc.b)(n); dialing(a)(n) })
			b.synced()
			a.routes(tc.conns)
			b.routes(tc.conns)
			checkAccounts(t, a, b)
		})
	}
}

// checkAccounts sends messages both ways in accounts of all indexes.
func checkAccounts(t *testing.T, a, b *node) {
	t.Helper()
	for _, acc := range []string{"$G", "$SYS", "A", "B", "ORDERS", "X1", "X2", "X3", "X4"} {
		a.b.Account(acc)
		b.b.Account(acc)
		ca, cb := a.client(acc), b.client(acc)
		ca.sub("to.a", "")
		cb.sub("to.b", "")
		a.knows(acc, "to.b", true)
		b.knows(acc, "to.a", true)
		ca.pub("to.b", "", acc)
		cb.pub("to.a", "", acc)
		cb.wait(1)
		ca.wait(1)
	}
}

func TestLostConnectionOfPool(t *testing.T) {
	a := startNode(t, nil)
	b := startNode(t, dialing(a))
	b.synced()
	a.routes(4)
	ca, cb := a.client("A"), b.client("A")
	ca.sub("x", "")
	b.knows("A", "x", true)
	p := a.s.peerList()[0]
	own := p.table.Load().carrier("A", 3)
	before := cb.a.Matching([]byte("x"), nil)[0].Port
	own.Close(wire.ReasonReadError)
	// Another connection of the pair takes over long before the redial.
	began := time.Now()
	eventually(t, func() bool {
		subs := cb.a.Matching([]byte("x"), nil)
		return len(subs) == 1 && subs[0].Port != before
	}, func() string { return "interest on another connection" })
	if d := time.Since(began); d > 500*time.Millisecond {
		t.Errorf("taken over after %v", d)
	}
	cb.pub("x", "", "1")
	ca.want(1)
	a.routes(4)
	b.routes(4)
	// And it goes back.
	eventually(t, func() bool {
		p.watchMu.Lock()
		defer p.watchMu.Unlock()
		w := p.watch[ca.a]
		return w != nil && w.c == p.table.Load().carrier("A", 3) && w.c != own
	}, func() string { return "the account on its own connection" })
	b.knows("A", "x", true)
	for range 100 {
		cb.pub("x", "", "2")
	}
	ca.want(100)
}

func TestCompressionPairs(t *testing.T) {
	modes := []config.CompressionMode{"not supported", "off", "accept", "s2_fast", "s2_better", "s2_auto"}
	for _, ma := range modes {
		for _, mb := range modes {
			t.Run(string(ma)+"/"+string(mb), func(t *testing.T) {
				a := startNode(t, func(n *node) { n.set.Compression.Mode = ma })
				b := startNode(t, func(n *node) { n.set.Compression.Mode = mb; dialing(a)(n) })
				b.synced()
				a.routes(4)
				b.routes(4)
				check := func(n *node, own, theirs config.CompressionMode) {
					t.Helper()
					want, _ := wire.SelectCompression(wire.CompressionMode(own), wire.CompressionMode(theirs))
					auto := want == wire.CompressionS2Auto
					for _, i := range n.s.Peers() {
						got := i.More.(Details).Compression
						if !want.Compresses() {
							want = wire.CompressionOff
						}
						if got != string(want) && !(auto && wire.CompressionMode(got).Compresses()) {
							t.Errorf("compression %q, want %q", got, want)
						}
					}
				}
				check(a, ma, mb)
				check(b, mb, ma)
				ca, cb := a.client("A"), b.client("A")
				ca.sub("x", "")
				cb.sub("y", "")
				b.knows("A", "x", true)
				a.knows("A", "y", true)
				for range 50 {
					cb.pub("x", "", "some words that repeat, some words that repeat")
					ca.pub("y", "", "some words that repeat, some words that repeat")
				}
				ca.wait(50)
				cb.wait(50)
			})
		}
	}
}

func TestQueueWeights(t *testing.T) {
	a := startNode(t, nil)
	b := startNode(t, dialing(a))
	b.synced()
	ca, cb := a.client("A"), b.client("A")
	var subs []*broker.Sub
	for i := range 3 {
		subs = append(subs, ca.sub("w", "q"))
		b.weight("A", "w", "q", int32(i+1))
	}
	cb.sub("w", "q")
	for range 400 {
		cb.pub("w", "", "x")
	}
	eventually(t, func() bool { return ca.count()+cb.count() == 400 }, func() string { return "400 messages" })
	if k := cb.count(); k < 60 || k > 140 {
		t.Errorf("%d of 400 stayed with one of four members", k)
	}
	ca.a.UnsubscribeAll(subs)
	b.weight("A", "w", "q", 0)
}

func TestDynamicNames(t *testing.T) {
	name := func(name string, dynamic bool) func(n *node) {
		return func(n *node) { n.srv.SetCluster(name, dynamic) }
	}
	for _, tc := range []struct {
		a, b string
		da   bool
		db   bool
		want string
	}{
		{"CL", "aaa", false, true, "CL"},
		{"aaa", "CL", true, false, "CL"},
		{"aaa", "bbb", true, true, "bbb"},
		{"bbb", "aaa", true, true, "bbb"},
	} {
		t.Run(fmt.Sprintf("%s-%v-%s-%v", tc.a, tc.da, tc.b, tc.db), func(t *testing.T) {
			a := startNode(t, name(tc.a, tc.da))
			b := startNode(t, func(n *node) { name(tc.b, tc.db)(n); dialing(a)(n) })
			b.synced()
			a.routes(4)
			for _, n := range []*node{a, b} {
				if got, _ := n.srv.Cluster(); got != tc.want {
					t.Errorf("cluster name %q, want %q", got, tc.want)
				}
			}
		})
	}
}

func TestClientURLs(t *testing.T) {
	a := startNode(t, func(n *node) { n.o.URLs.SetOwn([]string{"a:1"}); n.o.LeafURLs.SetOwn([]string{"a:2"}) })
	b := startNode(t, func(n *node) { n.o.URLs.SetOwn([]string{"b:1"}); dialing(a)(n) })
	b.synced()
	has := func(n *node, want ...string) {
		t.Helper()
		eventually(t, func() bool { return fmt.Sprint(n.o.URLs.All()) == fmt.Sprint(want) },
			func() string { return fmt.Sprintf("%v, want %v", n.o.URLs.All(), want) })
	}
	has(a, "a:1", "b:1")
	has(b, "b:1", "a:1")
	if got := b.o.LeafURLs.All(); len(got) != 1 || got[0] != "a:2" {
		t.Errorf("leaf addresses %v", got)
	}
	b.s.LameDuck()
	has(a, "a:1")
	a.s.Close()
	has(b, "b:1")
}

func TestPermissions(t *testing.T) {
	a := startNode(t, func(n *node) {
		n.set.Permissions = &config.Permissions{
			Publish:   config.SubjectPermission{Allow: []string{"in.>"}, Deny: []string{"in.not"}},
			Subscribe: config.SubjectPermission{Deny: []string{"out.not.>"}},
		}
	})
	b := startNode(t, dialing(a))
	b.synced()
	ca, cb := a.client("A"), b.client("A")
	for _, s := range []string{"in.not", "other", "in.yes"} {
		ca.sub(s, "")
	}
	b.knows("A", "in.yes", true)
	b.knows("A", "in.not", false)
	b.knows("A", "other", false)
	for _, s := range []string{"out.not.x", "out.yes"} {
		cb.sub(s, "")
	}
	a.knows("A", "out.yes", true)
	a.knows("A", "out.not.x", false)
}

func TestAuthorization(t *testing.T) {
	a := startNode(t, func(n *node) { n.set.Auth = config.LinkAuth{User: "u", Password: "secret"} })
	// By the address.
	b := startNode(t, func(n *node) {
		u := *a.url()
		u.User = url.UserPassword("u", "secret")
		n.set.Routes = []*url.URL{&u}
	})
	b.synced()
	// By the own settings, over gossip too.
	c := startNode(t, func(n *node) { n.set.Auth = config.LinkAuth{User: "u", Password: "secret"}; dialing(a)(n) })
	c.synced()
	// Wrong.
	d := startNode(t, func(n *node) {
		u := *a.url()
		u.User = url.UserPassword("u", "wrong")
		n.set.Routes = []*url.URL{&u}
	})
	eventually(t, func() bool {
		for _, i := range a.o.Registry.Closed() {
			if i.Reason == wire.ReasonAuthFailure {
				return true
			}
		}
		return len(d.s.Missing()) == 1
	}, func() string { return "a refused route" })
	if len(d.s.Peers()) != 0 {
		t.Error("joined with a wrong password")
	}
}

// TestSelf: the own address among the routes is no reason to wait.
func TestSelf(t *testing.T) {
	port := freePort(t)
	n := startNode(t, func(n *node) {
		n.set.Port = port
		n.set.Routes = []*url.URL{{Scheme: "nats", Host: fmt.Sprintf("localhost:%d", port)}, {Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)}}
	})
	n.synced()
	if len(n.s.Peers()) != 0 {
		t.Error("a route to itself")
	}
}

func TestManyAccountsLater(t *testing.T) {
	a := startNode(t, nil)
	b := startNode(t, dialing(a))
	b.synced()
	checkAccounts(t, a, b)
}

// TestPinnedAccounts: accounts with connections of their own, on both sides, on one
// only, and at a gwd that follows.
func TestPinnedAccounts(t *testing.T) {
	pin := func(accounts ...string) func(n *node) {
		return func(n *node) { n.set.Accounts = accounts }
	}
	a := startNode(t, pin("A", "B"))
	b := startNode(t, func(n *node) { pin("A")(n); dialing(a)(n) })
	b.synced()
	a.routes(3 + 2)
	b.routes(3 + 2)
	checkAccounts(t, a, b)
	own := false
	for _, i := range a.s.Peers() {
		own = own || i.Account == "A" && i.More.(Details).PoolIndex == -1
	}
	if !own {
		t.Error("no connection of its own for A")
	}
	g := startGwd(t, nil, a)
	g.routes(3 + 3 + 3 + 2) // A, B and the system account at a; A and the system account at b
	r := g.region("R")
	for _, acc := range []string{"A", "B", "$G"} {
		r.sub(acc, "out", "")
		for _, n := range []*node{a, b} {
			n.borders(acc, "out", true)
			n.client(acc).pub("out", "", acc)
		}
	}
	total(t, 6, r)
}

// TestSystemAccountByAnotherName has its connection too.
func TestSystemAccountByAnotherName(t *testing.T) {
	sys := func(n *node) {
		n.b = broker.New(n.id, "CL", "SYS")
		n.b.Account("A")
		n.o.Broker = n.b
	}
	a := startNode(t, sys)
	b := startNode(t, func(n *node) { sys(n); dialing(a)(n) })
	b.synced()
	a.routes(4)
	found := false
	for _, i := range a.s.Peers() {
		found = found || i.Account == "SYS"
	}
	if !found {
		t.Error("no connection of its own for SYS")
	}
}
