package route

import (
	"fmt"
	"slices"
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
)

// reload changes a copy of the settings and puts it into force.
func (n *node) reload(change func(c *config.Cluster)) {
	n.t.Helper()
	next := *n.set
	next.Routes = slices.Clone(next.Routes)
	change(&next)
	ch := config.Compare(&config.Config{Cluster: n.set}, &config.Config{Cluster: &next})
	if err := ch.Refused(); err != nil {
		n.t.Fatal(err)
	}
	apply, err := n.s.Prepare(ch)
	if err != nil {
		n.t.Fatal(err)
	}
	if apply != nil {
		apply()
	}
	n.set = &next
}

func (n *node) ids() (list []uint64) {
	for _, c := range n.o.Registry.Open() {
		list = append(list, c.ID())
	}
	slices.Sort(list)
	return list
}

func TestReloadRoutes(t *testing.T) {
	single := func(n *node) { n.set.PoolSize = -1 }
	b, c := startNode(t, single), startNode(t, single)
	a := startNode(t, func(n *node) {
		single(n)
		dialing(b)(n)
	})
	a.synced()
	a.routes(1)
	first := a.ids()

	a.reload(func(*config.Cluster) {})
	a.reload(func(set *config.Cluster) { set.Routes = append(set.Routes, c.url()) })
	a.synced()
	a.routes(2)
	if !slices.Contains(a.ids(), first[0]) {
		t.Error("a route that did not change was made anew")
	}
	a.reload(func(set *config.Cluster) { set.ConnectBackoff = true })
	if len(a.ids()) != 2 {
		t.Error("routes were ended for a setting that is of use when dialing")
	}

	// b and c have heard of each other and keep their route.
	b.routes(2)
	a.reload(func(set *config.Cluster) { set.Routes = set.Routes[1:] })
	eventually(t, func() bool { return len(a.ids()) == 1 && len(b.ids()) == 1 }, func() string { return fmt.Sprint(a.ids(), b.ids()) })
	if slices.Contains(a.ids(), first[0]) {
		t.Error("the route that was taken away is still there")
	}

	// Another user: who dialed us with the one before is sent away, and comes back once
	// it has the new one too.
	c.reload(func(set *config.Cluster) { set.Auth = config.LinkAuth{User: "u", Password: "p"} })
	c.routes(0)
	for _, n := range []*node{a, b} {
		n.reload(func(set *config.Cluster) {
			set.Auth = config.LinkAuth{User: "u", Password: "p"}
			for i, u := range set.Routes {
				other := *u
				other.User = nil
				set.Routes[i] = &other
			}
		})
	}
	eventually(t, func() bool {
		return slices.ContainsFunc(a.s.Peers(), func(i link.Info) bool { return i.More.(Details).RemoteID == c.id })
	}, func() string { return fmt.Sprint(a.ids()) })

	// A pool is agreed on when a route opens.
	a.reload(func(set *config.Cluster) { set.PoolSize = 2 })
	c.reload(func(set *config.Cluster) { set.PoolSize = 2 })
	eventually(t, func() bool { return len(a.ids()) >= 3 }, func() string {
		s := fmt.Sprint(a.s.set().pool, c.s.set().pool, c.s.set().Auth.User)
		for _, i := range a.s.Peers() {
			s += fmt.Sprintf("\n%+v", i)
		}
		return s
	})
}
