//go:build linux

package scenario

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/e2e/traffic"
	"github.com/banyanmq/banyan/test/procs"
)

// Mixed runs each estate of our servers and reference servers with so many messages in all.
func Mixed(t *testing.T, bins *procs.Binaries, messages int) {
	ref := estate.Reference(t)
	t.Run("Cluster", func(t *testing.T) {
		e := estate.New(t, bins)
		ours := e.Hub(estate.HubSpec{Name: "hub", Cluster: "mixed"})
		e.Start(ours)
		theirs := e.ReferenceNode(estate.ReferenceSpec{Name: "reference", Exe: ref, Cluster: "mixed", Routes: []*estate.Node{ours}})
		e.Start(theirs)
		e.AwaitMesh(&estate.Region{Name: "mixed", Hubs: []*estate.Node{ours, theirs}})
		Exchange(t, e, Sides{A: []*estate.Node{ours}, B: []*estate.Node{theirs}, Shared: true}, messages)
	})
	t.Run("ReferenceLeafOfHubd", func(t *testing.T) {
		e := estate.New(t, bins)
		hub := e.Hub(estate.HubSpec{Name: "hub"})
		e.Start(hub)
		leaf := e.ReferenceNode(estate.ReferenceSpec{Name: "leaf", Exe: ref, Upstreams: []string{hub.Addr("leafnodes")}})
		e.Start(leaf)
		AwaitLeafs(e, hub, 1)
		Exchange(t, e, Sides{A: []*estate.Node{hub}, B: []*estate.Node{leaf}, LocalFirst: [2]bool{true, false}}, messages)
	})
	t.Run("LeafdOfReference", func(t *testing.T) {
		e := estate.New(t, bins)
		hub := e.ReferenceNode(estate.ReferenceSpec{Name: "hub", Exe: ref})
		e.Start(hub)
		leaf := e.Edge(estate.EdgeSpec{Name: "edge", URLs: []string{"nats://" + hub.Addr("leafnodes")}})
		e.Start(leaf)
		AwaitLeafs(e, hub, 1)
		Exchange(t, e, Sides{A: []*estate.Node{leaf}, B: []*estate.Node{hub}, LocalFirst: [2]bool{true, false}}, messages)
	})
	t.Run("RegionOfReference", func(t *testing.T) {
		e := estate.New(t, bins)
		r := e.Regions(estate.RegionSpec{Name: "sfo"}, estate.RegionSpec{Name: "ams", Reference: ref, RTT: 2 * time.Millisecond})
		Exchange(t, e, Sides{A: r[0].Hubs, B: r[1].Hubs, LocalFirst: [2]bool{true, true}}, messages)
	})
	t.Run("BorderOfReferenceCluster", func(t *testing.T) {
		e := estate.New(t, bins)
		r := e.Regions(estate.RegionSpec{Name: "sfo"}, estate.RegionSpec{Name: "ams", Reference: ref, Gwds: 1, RTT: 2 * time.Millisecond})
		// Reference servers of this age count a border node's members as their cluster's own.
		Exchange(t, e, Sides{A: r[0].Hubs, B: r[1].Hubs, LocalFirst: [2]bool{true, false}}, messages)
	})
}

// AwaitLeafs waits until a server has so many leaf links.
func AwaitLeafs(e *estate.Estate, n *estate.Node, want int) {
	e.Eventually(fmt.Sprintf("%s has %d leaf links", n.Name, want), func() error {
		v, err := n.Varz()
		if err != nil {
			return err
		}
		if v.Leafs != want {
			return fmt.Errorf("it has %d", v.Leafs)
		}
		return nil
	})
}

// Sides are two places that exchange messages.
type Sides struct {
	A, B []*estate.Node
	// Shared: members of a queue group on both sides share its messages.
	Shared bool
	// LocalFirst: members on the publisher's side get all of a group's messages, for publishers of A and of B.
	LocalFirst [2]bool
}

// Exchange checks everything that applications do between two sides: messages both ways, queue groups, requests with
// fresh inboxes, and the answer when nobody is there. Each message arrives once and in order.
func Exchange(t *testing.T, e *estate.Estate, s Sides, messages int) {
	t.Helper()
	nodes := slices.Concat(s.A, s.B)
	conns := make([]*nats.Conn, len(nodes))
	for i, n := range nodes {
		conns[i] = e.Connect(n)
	}
	plainAndGroups(t, e, s, nodes, conns, messages)
	last := len(conns) - 1
	for _, way := range [][2]int{{0, last}, {last, 0}} {
		asker, responder := conns[way[0]], conns[way[1]]
		subject := fmt.Sprintf("service.%d", way[1])
		requests(t, e, asker, responder, subject, min(messages/10, 1000))
	}
	for _, nc := range conns {
		if _, err := nc.Request("nobody.is.there", nil, estate.Patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("a request that nobody serves, at %s: %v, want %v", nc.ConnectedServerName(), err, nats.ErrNoResponders)
		}
	}
}

func plainAndGroups(t *testing.T, e *estate.Estate, s Sides, nodes []*estate.Node, conns []*nats.Conn, messages int) {
	t.Helper()
	load := traffic.Load{Count: messages / len(nodes), Window: 1000}
	var all, far []*nats.Conn
	for i, n := range nodes {
		load.Publishers = append(load.Publishers, e.Connect(n))
		load.Receivers = append(load.Receivers, traffic.Receiver{Name: n.Name, Conns: []*nats.Conn{conns[i]}})
		all = append(all, e.Connect(n))
		if i >= len(s.A) {
			far = append(far, e.Connect(n))
		}
	}
	load.Receivers = append(load.Receivers,
		traffic.Receiver{Name: "group on both sides", Queue: "both", Conns: all},
		traffic.Receiver{Name: "group on side B", Queue: "far", Conns: far},
	)
	run, err := traffic.Start(t.Context(), load)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := run.Wait()
	if err != nil {
		t.Error(err)
	}
	t.Log(rep)
	if len(rep.Lost) > 0 {
		t.Errorf("%d deliveries lost, the first %+v", len(rep.Lost), rep.Lost[0])
	}
	if rep.Duplicates > 0 || rep.Misordered > 0 {
		t.Errorf("%d messages came twice, %d out of order: %q", rep.Duplicates, rep.Misordered, rep.Odd)
	}
	for p, shares := range rep.Shares["group on both sides"] {
		side := 0
		if p >= len(s.A) {
			side = 1
		}
		a, b := sum(shares[:len(s.A)]), sum(shares[len(s.A):])
		local, remote := a, b
		if side == 1 {
			local, remote = b, a
		}
		if s.LocalFirst[side] && remote > 0 {
			t.Errorf("of %s, %d messages went to the group's members on the other side, though %d are on its own", nodes[p].Name, remote, local)
		}
		if s.Shared && (local == 0 || remote == 0) {
			t.Errorf("of %s, %d messages stayed on its side and %d went to the other; want both", nodes[p].Name, local, remote)
		}
	}
}

func sum(all []int) (n int) {
	for _, v := range all {
		n += v
	}
	return n
}

func requests(t *testing.T, e *estate.Estate, asker, responder *nats.Conn, subject string, n int) {
	t.Helper()
	served, sub, err := traffic.Serve(responder, subject, "responders")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	e.Eventually("a service is known on the other side", func() error {
		_, err := asker.Request(subject, []byte("ready?"), 5*time.Second)
		return err
	})
	before := served.Load()
	if err := traffic.Requests(t.Context(), asker, subject, n, 8, estate.Patience/2); err != nil {
		t.Errorf("requests from %s to %s: %v", asker.ConnectedServerName(), responder.ConnectedServerName(), err)
	}
	if got := served.Load() - before; got != int64(n) {
		t.Errorf("%d requests from %s were served %d times", n, asker.ConnectedServerName(), got)
	}
}
