package route

import (
	"slices"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
)

// TestReferenceReload: permissions that change by a reload, with the reference server at
// the other end: interest follows in both directions. The route stays unless we accept
// what was refused before, which such a server does not announce again.
func TestReferenceReload(t *testing.T) {
	joined(t, func(t *testing.T, n *node, r *reference) {
		nc := r.connect()
		if _, err := nc.SubscribeSync("theirs"); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.SubscribeSync("theirs.too"); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		c := n.client("A")
		c.sub("ours", "")
		n.knows("A", "theirs", true)
		refKnows(t, nc, "ours")
		ids := n.ids()

		n.reload(func(set *config.Cluster) {
			set.Permissions = &config.Permissions{
				Publish:   config.SubjectPermission{Deny: []string{"ours"}},
				Subscribe: config.SubjectPermission{Deny: []string{"theirs"}},
			}
		})
		n.knows("A", "theirs", false)
		n.knows("A", "theirs.too", true)
		// It sends nothing more on what was taken back.
		c.sub("mark", "")
		refKnows(t, nc, "mark")
		c.take()
		for _, subject := range []string{"ours", "mark"} {
			if err := nc.Publish(subject, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := c.want(1); got[0] != "mark  x" {
			t.Errorf("got %q", got)
		}

		if now := n.ids(); !slices.Equal(now, ids) {
			t.Errorf("the route was made anew: %v, before %v", now, ids)
		}

		n.reload(func(set *config.Cluster) { set.Permissions = nil })
		n.knows("A", "theirs", true)
		refKnows(t, nc, "ours")
		time.Sleep(20 * time.Millisecond)
		c.take()
		if err := nc.Publish("ours", []byte("y")); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := c.want(1); got[0] != "ours  y" {
			t.Errorf("got %q", got)
		}
	})
}
