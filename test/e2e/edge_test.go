//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/e2e/scenario"
	"github.com/banyanmq/banyan/test/e2e/traffic"
	"github.com/banyanmq/banyan/test/procs"
)

// The order of TLS and INFO: each setting of the hub with each edge node that it serves.
func TestEdgeTLSOrders(t *testing.T) {
	e := estate.New(t, bins)
	ca := e.Cert("hub", certs.Server|certs.Client).CA
	for _, hubOrder := range []string{"never", "auto", "always"} {
		hub := e.Hub(estate.HubSpec{Name: "hub-" + hubOrder, LeafTLS: e.TLSBlock("hub", "handshake_first: "+hubOrder)})
		e.Start(hub)
		up := 0
		for _, first := range []string{"never", "always"} {
			if first == "always" && hubOrder == "never" || first == "never" && hubOrder == "always" {
				continue
			}
			edge := e.Edge(estate.EdgeSpec{
				Name: "edge-" + hubOrder + "-" + first, URLs: []string{"tls://" + hub.Addr("leafnodes")},
				TLS: fmt.Sprintf("{ca: %s, timeout: 10s, handshake_first: %s}", ca, first),
			})
			e.Start(edge)
			up++
			scenario.AwaitLeafs(e, hub, up)
			echo(t, e, edge, hub)
		}
	}
	t.Run("AnotherAuthority", func(t *testing.T) {
		hub := e.Hub(estate.HubSpec{Name: "hub-strange", LeafTLS: e.TLSBlock("hub")})
		e.Start(hub)
		strange, err := certs.Ensure(certs.Spec{Dir: t.TempDir(), Name: "strange"})
		if err != nil {
			t.Fatal(err)
		}
		edge := e.Edge(estate.EdgeSpec{Name: "edge-strange", URLs: []string{"tls://" + hub.Addr("leafnodes")}, TLS: "{ca: " + strange.CA + "}"})
		e.Start(edge)
		e.Eventually("the edge node says why it does not trust the hub", func() error {
			if log := edge.Log().String(); !strings.Contains(log, "certificate") {
				return fmt.Errorf("its log:\n%s", edge.Log().Tail(3))
			}
			return nil
		})
		if v, err := hub.Varz(); err != nil || v.Leafs != 0 {
			t.Errorf("%d leaf links, %v; want none", v.Leafs, err)
		}
	})
}

// echo asks a service across the link, both ways.
func echo(t *testing.T, e *estate.Estate, a, b *estate.Node) {
	t.Helper()
	for _, way := range [][2]*estate.Node{{a, b}, {b, a}} {
		asker, responder := e.Connect(way[0]), e.Connect(way[1])
		subject := "echo." + responder.ConnectedServerName() + "." + asker.ConnectedServerName()
		_, sub, err := traffic.Serve(responder, subject, "q")
		if err != nil {
			t.Fatal(err)
		}
		e.Eventually("an answer for "+way[0].Name, func() error {
			_, err := asker.Request(subject, []byte("hello"), 5*time.Second)
			return err
		})
		if err := traffic.Requests(t.Context(), asker, subject, 20, 4, estate.Patience/2); err != nil {
			t.Error(err)
		}
		_ = sub.Unsubscribe()
		asker.Close()
		responder.Close()
	}
}

// A hub that wants certificates of edge nodes serves those that have one of its authority.
func TestEdgeClientCertificate(t *testing.T) {
	e := estate.New(t, bins)
	hub := e.Hub(estate.HubSpec{Name: "hub", LeafTLS: e.TLSBlock("hub", "verify: true")})
	e.Start(hub)
	c := e.Cert("edge", certs.Client)
	with := e.Edge(estate.EdgeSpec{
		Name: "with", URLs: []string{"tls://" + hub.Addr("leafnodes")},
		TLS: fmt.Sprintf("{cert: %s, key: %s, ca: %s, timeout: 10s}", c.Cert, c.Key, c.CA),
	})
	without := e.Edge(estate.EdgeSpec{
		Name: "without", URLs: []string{"tls://" + hub.Addr("leafnodes")}, TLS: fmt.Sprintf("{ca: %s, timeout: 10s}", c.CA),
	})
	e.Start(without, with)
	scenario.AwaitLeafs(e, hub, 1)
	echo(t, e, with, hub)
	e.Eventually("the other one is refused", func() error {
		if log := without.Log().String(); !strings.Contains(log, "certificate required") && !strings.Contains(log, "bad certificate") {
			return fmt.Errorf("its log:\n%s", without.Log().Tail(3))
		}
		return nil
	})
	if names, err := hub.Leafs(); err != nil || !slices.Equal(names, []string{"with"}) {
		t.Errorf("leaf links of %q, %v; want the one with a certificate", names, err)
	}
}

// An edge node goes to its next hub when one dies and local traffic does not notice.
func TestEdgeFailOverAndHubRestart(t *testing.T) {
	e := estate.New(t, bins)
	one := e.Hub(estate.HubSpec{Name: "one", Cluster: "core"})
	e.Start(one)
	two := e.Hub(estate.HubSpec{Name: "two", Cluster: "core", Routes: []*estate.Node{one}})
	e.Start(two)
	e.AwaitMesh(&estate.Region{Hubs: []*estate.Node{one, two}})
	edge := e.Edge(estate.EdgeSpec{Name: "edge", URLs: []string{"nats://" + one.Addr("leafnodes"), "nats://" + two.Addr("leafnodes")}})
	e.Start(edge)
	scenario.AwaitLeafs(e, one, 1)
	echo(t, e, edge, two)

	// Local traffic, all the time.
	load := traffic.Load{Subject: "local", Count: 3000, Rate: 1000, Publishers: []*nats.Conn{e.Connect(edge)}}
	load.Receivers = []traffic.Receiver{{Name: "edge", Conns: []*nats.Conn{e.Connect(edge)}}}
	local, err := traffic.Start(t.Context(), load)
	if err != nil {
		t.Fatal(err)
	}

	var got atomic.Int64
	if _, err := e.Connect(two).Subscribe("from.edge", func(*nats.Msg) { got.Add(1) }); err != nil {
		t.Fatal(err)
	}
	one.Kill()
	scenario.AwaitLeafs(e, two, 1)
	echo(t, e, edge, two)
	nc := e.Connect(edge)
	e.Eventually("messages reach the other hub", func() error {
		_ = nc.Publish("from.edge", nil)
		if got.Load() == 0 {
			return fmt.Errorf("none yet")
		}
		return nil
	})

	// Now the only hub that is left restarts: the edge comes back to it, or to the other one.
	if err := one.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := two.Restart(); err != nil {
		t.Fatal(err)
	}
	e.AwaitMesh(&estate.Region{Hubs: []*estate.Node{one, two}})
	echo(t, e, edge, one)
	echo(t, e, edge, two)
	lossless(t, check(t, local, nil))
}

// A member of a queue group at the edge gets what is published there, whatever the number of members at the hub; without it
// the hub's members do.
func TestEdgeQueuePrefersLocal(t *testing.T) {
	e := estate.New(t, bins)
	hub := e.Hub(estate.HubSpec{Name: "hub"})
	e.Start(hub)
	edge := e.Edge(estate.EdgeSpec{Name: "edge", URLs: []string{"nats://" + hub.Addr("leafnodes")}})
	e.Start(edge)
	scenario.AwaitLeafs(e, hub, 1)
	var atHub atomic.Int64
	for range 5 {
		if _, err := e.Connect(hub).QueueSubscribe("work.*", "q", func(m *nats.Msg) { atHub.Add(1); _ = m.Respond([]byte("hub")) }); err != nil {
			t.Fatal(err)
		}
	}
	nc := e.Connect(edge)
	ask := func() (string, error) {
		m, err := nc.Request("work.x", nil, 500*time.Millisecond)
		if err != nil {
			return "", err
		}
		return string(m.Data), nil
	}
	e.Eventually("the hub's members are known", func() error { _, err := ask(); return err })
	local, err := e.Connect(edge).QueueSubscribe("work.*", "q", func(m *nats.Msg) { _ = m.Respond([]byte("edge")) })
	if err != nil {
		t.Fatal(err)
	}
	e.Eventually("the local member is known", func() error {
		if who, err := ask(); err != nil || who != "edge" {
			return fmt.Errorf("answered by %q, %v", who, err)
		}
		return nil
	})
	before := atHub.Load()
	for range 200 {
		if m, err := nc.Request("work.x", nil, estate.Patience); err != nil || string(m.Data) != "edge" {
			t.Fatalf("answered with %+v, %v", m, err)
		}
	}
	if n := atHub.Load() - before; n != 0 {
		t.Errorf("%d requests went to the hub", n)
	}
	if err := local.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	e.Eventually("the hub takes over", func() error {
		if who, err := ask(); err != nil || who != "hub" {
			return fmt.Errorf("answered by %q, %v", who, err)
		}
		return nil
	})
}

// What is denied does not cross, what is not does; the edge node works with no hub at all.
func TestEdgeDenyListsAndNoHub(t *testing.T) {
	e := estate.New(t, bins)
	hub := e.Hub(estate.HubSpec{Name: "hub"})
	e.Start(hub)
	edge := e.Edge(estate.EdgeSpec{
		Name: "edge", URLs: []string{"nats://" + hub.Addr("leafnodes")},
		Link: "    deny: {exports: [\"local.>\"], imports: [\"secret.>\"]}\n",
	})
	e.Start(edge)
	scenario.AwaitLeafs(e, hub, 1)
	atHub, err := e.Connect(hub).SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	atEdge, err := e.Connect(edge).SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	fromEdge, fromHub := e.Connect(edge), e.Connect(hub)
	// Denied first: when what was sent behind it is there, it would be there as well.
	for _, way := range []struct {
		from   *nats.Conn
		to     *nats.Subscription
		denied string
	}{{fromEdge, atHub, "local.x"}, {fromHub, atEdge, "secret.x"}} {
		e.Eventually("the open subject crosses", func() error {
			_ = way.from.Publish(way.denied, nil)
			_ = way.from.Publish("open.x", nil)
			for {
				m, err := way.to.NextMsg(200 * time.Millisecond)
				if err != nil {
					return err
				}
				if m.Subject == way.denied {
					t.Errorf("%s crossed", way.denied)
				}
				if m.Subject == "open.x" {
					return nil
				}
			}
		})
	}
	hub.Kill()
	for i := range 20 {
		if err := fromEdge.Publish("alone", []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < 20; {
		m, err := atEdge.NextMsg(estate.Patience)
		if err != nil {
			t.Fatalf("after %d local messages without a hub: %v", n, err)
		}
		if m.Subject == "alone" {
			n++
		}
	}
}

// leafd binds to loopback unless told otherwise, and then wants to know its users.
func TestEdgeRefusesOpenAddress(t *testing.T) {
	e := estate.New(t, bins)
	for settings, want := range map[string]string{
		"clients: {listen: \"0.0.0.0:-1\"}\n":                                "allow_lan",
		"clients: {listen: \"0.0.0.0:-1\"}\nlisten: {allow_lan: true}\n":     "auth",
		"clients: {listen: \"192.0.2.1:4222\"}\n":                            "allow_lan",
		"clients: {listen: \"[::]:-1\"}\nlog: {level: info, format: text}\n": "allow_lan",
	} {
		p, err := procs.Start(procs.Spec{Exe: e.Build("leafd"), Dir: t.TempDir(), Config: settings, ConfigName: "leafd.yaml"})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Kill()
		if code, err := p.Wait(e.Context()); err != nil || code != 1 || !strings.Contains(p.Log.String(), want) {
			t.Errorf("%q: exit %d, %v, want 1 and a word on %q:\n%s", settings, code, err, want, p.Log)
		}
	}
}

// A chain of edge nodes: what happens at one end is seen at the other, once.
func TestEdgeDaisyChain(t *testing.T) {
	e := estate.New(t, bins)
	hub := e.Hub(estate.HubSpec{Name: "hub"})
	e.Start(hub)
	chain := []*estate.Node{hub}
	for i := range 3 {
		up := chain[len(chain)-1]
		edge := e.Edge(estate.EdgeSpec{Name: fmt.Sprintf("edge-%d", i), URLs: []string{"nats://" + up.Addr("leafnodes")}, Down: true})
		e.Start(edge)
		chain = append(chain, edge)
	}
	// The nodes between have one link up and one down.
	for i, n := range chain {
		scenario.AwaitLeafs(e, n, min(2, 1+min(i, len(chain)-1-i)))
	}
	scenario.Exchange(t, e, scenario.Sides{A: []*estate.Node{chain[3]}, B: []*estate.Node{hub}, LocalFirst: [2]bool{true, true}}, 2000)
}
