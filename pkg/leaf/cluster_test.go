package leaf

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/route"
	"github.com/banyanmq/banyan/pkg/wire"
)

// startCluster starts hubs that are routed to each other.
func startCluster(t *testing.T, names ...string) []*node {
	t.Helper()
	var hubs []*node
	var routes []*url.URL
	for _, name := range names {
		h := newNode(t, name, listening, func(n *node) { n.srv.SetCluster("HUBS", false) })
		r, err := route.New(route.Options{
			Server: h.srv, Broker: h.b, URLs: new(link.URLs), LeafURLs: h.o.LeafURLs, GatewayURLs: new(link.URLs),
			Registry: link.NewRegistry(1),
			Settings: &config.Cluster{Name: "HUBS", Listen: config.Listen{Host: "127.0.0.1", Port: -1}, Routes: routes},
		})
		if err != nil {
			t.Fatal(err)
		}
		h.start()
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: r.Addr().String()})
		hubs = append(hubs, h)
	}
	return hubs
}

// Leaf nodes at different members of a hub cluster hear each other, each message once; members of
// one leaf cluster do not, wherever they are attached (13.1).
func TestHubCluster(t *testing.T) {
	hubs := startCluster(t, "H1", "H2")
	ca := func(n *node) { n.srv.SetCluster("CA", false) }
	one := startNode(t, "ONE", dialing(hubs[0].addr()), ca)
	twin := startNode(t, "TWIN", dialing(hubs[1].addr()), ca)
	two := startNode(t, "TWO", dialing(hubs[1].addr()))
	hubs[0].links(1)
	hubs[1].links(2)
	traffic(t, one, two)
	traffic(t, one, hubs[1])
	traffic(t, two, hubs[0])

	deaf := subscribe(t, twin.nats(), "echo", "")
	hears := subscribe(t, two.nats(), "echo", "")
	one.wants("$G", "echo")
	publish(t, one.nats(), "echo", "from one")
	hears.expect("from one")
	publish(t, two.nats(), "echo", "from two")
	hears.expect("from two")
	deaf.expect("from two")

	// Members of one group at both hubs and both clusters: each message once.
	q := []*box{subscribe(t, two.nats(), "work", "g"), subscribe(t, hubs[0].nats(), "work", "g"), subscribe(t, hubs[1].nats(), "work", "g")}
	one.wants("$G", "work")
	eventually(t, "the whole group at the first hub", func() bool {
		n := int32(0)
		hubs[0].b.Account("$G").EachSub(func(s *broker.Sub) bool {
			if string(s.Subject) == "work" {
				n += s.Weight()
			}
			return true
		})
		return n >= 2
	})
	shared(t, one.nats(), "work", 2000, q...)

	// What is told of leaf listeners goes around (15.3).
	eventually(t, "gossip", func() bool { return len(hubs[0].o.LeafURLs.All()) == 2 })
}

// Ten members behind one link get ten times the share of one behind another (check 17).
func TestWeights(t *testing.T) {
	h := startNode(t, "HUB", listening)
	one := startNode(t, "ONE", dialing(h.addr()))
	ten := startNode(t, "TEN", dialing(h.addr()))
	h.links(2)
	light, heavy := one.nats(), ten.nats()
	members := []*box{subscribe(t, light, "w", "g")}
	for range 10 {
		members = append(members, subscribe(t, heavy, "w", "g"))
	}
	eventually(t, "all weights at the hub", func() bool {
		n := int32(0)
		h.b.Account("$G").EachSub(func(s *broker.Sub) bool {
			if string(s.Subject) == "w" {
				n += s.Weight()
			}
			return true
		})
		return n == 11
	})
	const total = 11000
	counts := shared(t, h.nats(), "w", total, members...)
	if got := counts[0]; got < 700 || got > 1300 {
		t.Errorf("the link with one member of eleven got %d of %d", got, total)
	}
	mine := subscribe(t, h.nats(), "w", "g")
	counts = shared(t, h.nats(), "w", 500, append(members, mine)...)
	if got := counts[len(counts)-1]; got != 500 {
		t.Errorf("the member beside the publisher got %d of 500", got)
	}
}

// All pairs of modes come up, and each side sends as the rule says (check 8).
func TestCompressionPairs(t *testing.T) {
	modes := []config.CompressionMode{
		config.CompressionNotSupported, config.CompressionOff, config.CompressionAccept, config.CompressionS2Auto,
		config.CompressionS2Fast, config.CompressionS2Better, config.CompressionS2Best,
	}
	show := func(own, other config.CompressionMode) string {
		m, err := wire.SelectCompression(wire.CompressionMode(own), wire.CompressionMode(other))
		if err != nil {
			t.Fatal(err)
		}
		return string(m)
	}
	// The automatic mode shows a level, which depends on how busy the machine is.
	shows := func(got, want string) bool {
		return got == want || want == "s2_auto" && wire.CompressionMode(got).Compresses() && got != want
	}
	for _, a := range modes {
		for _, b := range modes {
			t.Run(fmt.Sprintf("hub %s leaf %s", a, b), func(t *testing.T) {
				h := startNode(t, "HUB", listening, compressing(a))
				l := startNode(t, "EDGE", dialing(h.addr()), compressing(b))
				h.links(1)
				l.links(1)
				in := subscribe(t, l.nats(), "x", "")
				h.wants("$G", "x")
				numbered(t, h.nats(), in, "x", 10)
				leaf := l.reg.Open()[0].Info(false).More.(Details).Compression
				hub := h.reg.Open()[0].Info(false).More.(Details).Compression
				if compressed := wire.CompressionMode(show(b, a)).Compresses(); !compressed {
					if wire.CompressionMode(leaf).Compresses() || wire.CompressionMode(hub).Compresses() {
						t.Errorf("leaf %s, hub %s, want no compression", leaf, hub)
					}
					return
				}
				if !shows(leaf, show(b, a)) || !shows(hub, show(a, b)) {
					t.Errorf("leaf %s, hub %s, want %s and %s", leaf, hub, show(b, a), show(a, b))
				}
			})
		}
	}
}

// The message path allocates nothing, in either direction.
func TestNoAllocation(t *testing.T) {
	h := startNode(t, "HUB", listening)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peerSide, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(io.Discard, peerSide)
		peerSide.Close()
	}()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	// A link that nobody reads, so that this goroutine may.
	c, err := h.s.newConn(nc, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.hub, c.peer = true, peer{name: "L", cluster: "L", headers: true}
	c.acct = h.s.account("$G")
	c.parser = wire.PeerParser{Dialect: wire.DialectLeaf}
	if e := c.bind(nil); e != nil {
		t.Fatal(e)
	}
	port := &broker.Port{Class: broker.Client, Reach: broker.FromClient, Origin: broker.Origin{Class: broker.Client}, Sink: nobody{}}
	c.acct.Subscribe(&broker.Sub{Port: port, Subject: []byte("up"), Origin: port.Origin}, 1)
	block := []byte("LMSG up 5\r\nhello\r\nLMSG up | g h 5\r\nhello\r\nHMSG up re 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
	m := &broker.Msg{Account: c.acct.Account, Subject: []byte("down"), Reply: []byte("re"), Payload: make([]byte, 100)}
	groups := [][]byte{[]byte("g"), []byte("h")}
	for _, way := range []struct {
		name string
		f    func()
	}{
		{"in", func() {
			if n, _, err := c.HandleBlock(block); n != len(block) || err != nil {
				t.Fatal(n, err)
			}
		}},
		{"out", func() {
			if !c.DeliverOnce(m, true, groups) {
				t.Fatal("not taken")
			}
			c.Flush()
		}},
	} {
		// Less than one: the socket may be full once, and is then drained in the background.
		if n := testing.AllocsPerRun(500, way.f); n >= 1 {
			t.Errorf("%s: %.1f allocations", way.name, n)
		}
	}
	e := silent(wire.ReasonClientClosed, "end of test")
	c.unbind(e)
	c.close(e)
	h.s.forget(c)
	<-drained
}
