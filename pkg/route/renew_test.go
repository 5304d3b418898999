package route

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/wire"
)

func (n *node) same(ids []uint64) {
	n.t.Helper()
	if now := n.ids(); !slices.Equal(now, ids) {
		n.t.Errorf("routes were made anew: %v, before %v", now, ids)
	}
}

// TestReloadPermissions: interest comes and goes with them, and the routes stay.
func TestReloadPermissions(t *testing.T) {
	a := startNode(t, nil)
	b := startNode(t, dialing(a))
	b.synced()
	a.routes(4)
	ids, theirs := b.ids(), a.ids()
	ca, cb := a.client("A"), b.client("A")
	for _, subj := range []string{"in.x", "out.x", "in.>"} {
		ca.sub(subj, "")
	}
	ca.sub("in.x", "g")
	b.knows("A", "in.x", true)
	b.knows("A", "out.x", true)
	b.weight("A", "in.x", "g", 1)

	a.reload(func(set *config.Cluster) {
		set.Permissions = &config.Permissions{Publish: config.SubjectPermission{Deny: []string{"in.>"}}}
	})
	b.knows("A", "in.x", false)
	b.weight("A", "in.x", "g", 0)
	b.knows("A", "out.x", true)
	late := ca.sub("in.late", "") // is not told
	b.reload(func(set *config.Cluster) {
		set.Permissions = &config.Permissions{Subscribe: config.SubjectPermission{Deny: []string{"out.>"}}}
	})
	b.knows("A", "out.x", false)
	ca.sub("out.late", "")
	ca.sub("other", "")
	b.knows("A", "other", true)
	b.knows("A", "out.late", false)
	b.knows("A", "in.late", false)

	a.reload(func(set *config.Cluster) { set.Permissions = nil })
	b.knows("A", "in.x", true)
	b.knows("A", "in.late", true)
	b.weight("A", "in.x", "g", 1)
	b.knows("A", "out.x", false)
	b.reload(func(set *config.Cluster) { set.Permissions = nil })
	b.knows("A", "out.x", true)
	b.knows("A", "out.late", true)

	// What came back goes again, once.
	ca.a.Unsubscribe(late)
	cb.pub("in.x", "", "m")
	ca.want(3) // in.x, in.> and the group
	cb.pub("out.x", "", "m")
	ca.want(1)
	b.same(ids)
	a.same(theirs)
}

// TestReloadLevel: how hard is compressed is each side's own matter.
func TestReloadLevel(t *testing.T) {
	mode := func(m config.CompressionMode) func(*node) {
		return func(n *node) { n.set.Compression.Mode, n.set.PoolSize = m, -1 }
	}
	a := startNode(t, mode(config.CompressionS2Fast))
	b := startNode(t, func(n *node) { mode(config.CompressionS2Fast)(n); dialing(a)(n) })
	b.synced()
	a.routes(1)
	ids := a.ids()
	shown := func(n *node, want config.CompressionMode) {
		t.Helper()
		eventually(t, func() bool { return n.s.Peers()[0].More.(Details).Compression == string(want) }, func() string {
			return fmt.Sprint(n.s.Peers()[0].More)
		})
	}
	a.reload(func(set *config.Cluster) { set.Compression.Mode = config.CompressionS2Best })
	shown(a, config.CompressionS2Best)
	shown(b, config.CompressionS2Fast)
	checkAccounts(t, a, b)
	a.same(ids)
	// With and without compression is what both agree on.
	a.reload(func(set *config.Cluster) { set.Compression.Mode = config.CompressionOff })
	eventually(t, func() bool { now := a.ids(); return len(now) == 1 && now[0] != ids[0] }, func() string { return fmt.Sprint(a.ids()) })
}

// TestReloadPace: links that are there are pinged as new settings say.
func TestReloadPace(t *testing.T) {
	a := startNode(t, func(n *node) { n.set.PoolSize = -1 })
	b := startNode(t, func(n *node) { n.set.PoolSize = -1; dialing(a)(n) })
	b.synced()
	a.routes(1)
	ids := a.ids()
	a.reload(func(set *config.Cluster) { set.PingInterval, set.WriteDeadline = 20*time.Millisecond, time.Second })
	c := a.o.Registry.Open()[0].(*conn)
	eventually(t, func() bool {
		c.pingMu.Lock()
		defer c.pingMu.Unlock()
		return c.got > 10 // 5 s apart it would take most of a minute
	}, func() string { return "pings" })
	a.same(ids)
}

// TestReloadPins: who is none of those that are let in now is sent away, whoever dialed.
func TestReloadPins(t *testing.T) {
	block := pki(t)
	secure := func(n *node) { n.set.TLS, n.set.PoolSize = block, -1 }
	a := startNode(t, secure)
	b := startNode(t, func(n *node) { secure(n); dialing(a)(n) })
	b.synced()
	a.routes(1)
	ids := a.ids()
	st := a.o.Registry.Open()[0].(*conn).tc.TLSState()
	pinned := func(pins ...string) func(*config.Cluster) {
		return func(set *config.Cluster) {
			next := *set.TLS
			next.PinnedCerts = pins
			set.TLS = &next
		}
	}
	a.reload(pinned(config.Fingerprint(st.PeerCertificates[0])))
	a.same(ids)
	for _, n := range []*node{a, b} {
		n.routes(1)
		ids := n.ids()
		n.reload(pinned("00"))
		eventually(t, func() bool {
			return slices.ContainsFunc(n.o.Registry.Closed(), func(i link.Info) bool { return i.ID == ids[0] && i.Reason == wire.ReasonTLSHandshake })
		}, func() string { return fmt.Sprint(n.o.Registry.Closed()) })
		n.reload(pinned())
	}
}

// TestRemakeDoesNotWait: routes that are made anew by a reload do not wait as after a
// failure.
func TestRemakeDoesNotWait(t *testing.T) {
	a := startNode(t, nil)
	b := startNode(t, dialing(a))
	b.synced()
	b.routes(4)
	ids := b.ids()
	began := time.Now()
	b.reload(func(set *config.Cluster) { set.Accounts = []string{"B"} })
	eventually(t, func() bool {
		now := b.ids()
		return len(now) >= 4 && !slices.ContainsFunc(now, func(id uint64) bool { return slices.Contains(ids, id) }) && len(b.s.Missing()) == 0
	}, func() string { return fmt.Sprint(b.ids()) })
	if took := time.Since(began); took >= redialExplicit {
		t.Errorf("it took %s", took)
	}
}
