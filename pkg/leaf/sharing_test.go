package leaf

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	sharing "github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// withTwoAccounts: users a and b, for clients and for leaf nodes.
func withTwoAccounts(n *node) {
	n.cfg.Accounts = []config.Account{
		{Name: "A", Users: []config.User{{Name: "a", Password: "a", Account: "A"}}},
		{Name: "B", Users: []config.User{{Name: "b", Password: "b", Account: "B"}}},
	}
}

func edgeUser(name string) func(r *config.LeafRemote) {
	return func(r *config.LeafRemote) { r.User, r.Password = name, config.Secret(name) }
}

// TestSharingOverLeafs: a leaf node of the importing account hears the stream and reaches the
// service; sources of mappings are announced, and what they map is mapped at the hub.
func TestSharingOverLeafs(t *testing.T) {
	hub := startNode(t, "hub", listening, withTwoAccounts)
	err := hub.b.Share([]sharing.Definition{
		{Name: "A", Exports: []sharing.Export{{Kind: sharing.Stream, Subject: "acme.>"}, {Kind: sharing.Service, Subject: "hello"}}},
		{
			Name: "B",
			Imports: []sharing.Import{
				{Kind: sharing.Stream, From: "A", Subject: "acme.>", Prefix: "cncf"},
				{Kind: sharing.Service, From: "A", Subject: "hello", To: "cncf.hello"},
			},
			Mappings: []sharing.Mapping{{Source: "old.*", To: []sharing.Destination{{Subject: "new.$1", Weight: 100}}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	edge := startNode(t, "edge", dialing(hub.addr(), edgeUser("b"))).links(1)
	hub.links(1)
	edge.wants(config.DefaultAccount, "cncf.hello")
	edge.wants(config.DefaultAccount, "old.1")

	acme, cncf := hub.nats(nats.UserInfo("a", "a")), hub.nats(nats.UserInfo("b", "b"))
	local := edge.nats()
	all := subscribe(t, local, "cncf.>", "")
	one := subscribe(t, local, "cncf.acme.1", "")
	hub.wants("A", "acme.1")
	publish(t, acme, "acme.1", "tick")
	all.expect("tick")
	one.expect("tick")

	respond(t, acme, "hello", "acme")
	request(t, local, "cncf.hello", "hi", "acme got hi")
	request(t, cncf, "cncf.hello", "hi", "acme got hi")

	mapped := subscribe(t, cncf, "new.*", "")
	publish(t, local, "old.7", "moved")
	if m := mapped.get(); m.Subject != "new.7" || string(m.Data) != "moved" {
		t.Errorf("got %s on %s", m.Data, m.Subject)
	}
}

func TestLeafLimits(t *testing.T) {
	hub := startNode(t, "hub", listening, withTwoAccounts)
	if err := hub.b.Share([]sharing.Definition{{Name: "A", Limits: sharing.Limits{MaxLeafNodes: 1}}, {Name: "B", Limits: sharing.Limits{MaxConnections: 1}}}); err != nil {
		t.Fatal(err)
	}
	startNode(t, "one", dialing(hub.addr(), edgeUser("a"))).links(1)
	second := startNode(t, "two", dialing(hub.addr(), edgeUser("a")))
	hub.nats(nats.UserInfo("b", "b"))
	third := startNode(t, "three", dialing(hub.addr(), edgeUser("b")))
	for _, n := range []*node{second, third} {
		eventually(t, "the leaf node is refused", func() bool {
			return strings.Contains(n.s.Links()[0].LastErr, wire.TextMaxAccountConnections)
		})
	}
	hub.links(1)
}
