package border

import (
	"testing"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
)

// TestLeafClusterNamedAsRegion: a leaf cluster in region A has the name of region B. They
// are two things all the same: messages go both ways, and a gwd without a connection to B
// hears of the interest.
func TestLeafClusterNamedAsRegion(t *testing.T) {
	b := newHub(t, "B", "b1")
	gb := newGwd(t, "B", "gb1", []*hub{b}, gwdOptions{})
	a := newHub(t, "A", "a1")
	sees := newGwd(t, "A", "ga1", []*hub{a}, gwdOptions{remotes: []config.RemoteGateway{remoteOf("B", gb)}})
	reaches(t, sees, "B")
	reaches(t, gb, "A")

	leaf := a.client("A")
	leaf.port.Class, leaf.port.Reach = broker.LeafDown, broker.FromLeafDown
	leaf.port.Origin = broker.Origin{Class: broker.LeafDown, Cluster: "B"}
	leaf.in = a.b.NewInlet(leaf.port)
	far := b.client("A")
	far.sub("up", "")
	a.wants("A", "up", true)
	m := broker.Msg{Account: leaf.a, Subject: []byte("up"), Payload: []byte("1"), Cluster: "B"}
	if n := leaf.in.Publish(&m); n != 1 {
		t.Fatalf("from the leaf node: sent %d times", n)
	}
	leaf.in.Flush()
	await(t, "the leaf node's message", func() bool { return far.count() == 1 })

	s := &broker.Sub{Port: leaf.port, Subject: []byte("down"), Origin: leaf.port.Origin}
	leaf.a.Subscribe(s, 1)
	b.wants("A", "down", true)
	if n := far.send("down", "", "2"); n != 1 {
		t.Fatalf("to the leaf node: sent %d times", n)
	}
	await(t, "a message for the leaf node", func() bool { return leaf.got1("2") })

	blind := newGwd(t, "A", "ga2", []*hub{a}, gwdOptions{})
	await(t, "what another gwd says of B", func() bool {
		for _, x := range blind.o.Broker.Account("A").Matching([]byte("up"), nil) {
			if x.Origin.Cluster == broker.RegionMark+"B" {
				return true
			}
		}
		return false
	})
}

// got1 tells whether exactly one message came, with this payload.
func (c *client) got1(payload string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got) == 1 && c.got[0].payload == payload
}
