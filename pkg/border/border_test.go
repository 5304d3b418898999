package border

import (
	"fmt"
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
)

// pair is two regions, each with two hubs and two gwds.
type pair struct {
	a, b   []*hub
	ga, gb []*Service
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{}
	a1 := newHub(t, "A", "a1")
	p.a = []*hub{a1, newHub(t, "A", "a2", a1)}
	b1 := newHub(t, "B", "b1")
	p.b = []*hub{b1, newHub(t, "B", "b2", b1)}
	p.ga = []*Service{newGwd(t, "A", "ga1", p.a, gwdOptions{}), newGwd(t, "A", "ga2", p.a, gwdOptions{})}
	for i := range 2 { // each gwd of B begins at another one of A
		to := gwdOptions{remotes: []config.RemoteGateway{remoteOf("A", p.ga[i])}}
		p.gb = append(p.gb, newGwd(t, "B", fmt.Sprint("gb", i+1), p.b, to))
	}
	for i := range 2 {
		reaches(t, p.ga[i], "B")
		reaches(t, p.gb[i], "A")
	}
	return p
}

// spread waits until all hubs and gwds of both regions know a subscription to a
// subject that one hub has.
func (p *pair) spread(t testing.TB, account, subj string) {
	t.Helper()
	await(t, "all know "+subj, func() bool {
		for _, h := range append(p.a, p.b...) {
			if len(h.b.Account(account).Matching([]byte(subj), nil)) == 0 {
				return false
			}
		}
		for _, g := range append(p.ga, p.gb...) {
			if len(g.o.Broker.Account(account).Matching([]byte(subj), nil)) == 0 {
				return false
			}
		}
		return true
	})
}

// TestTwoRegions: each message crosses once, each way, from and to each hub.
func TestTwoRegions(t *testing.T) {
	p := newPair(t)
	var subs []*client
	var groups [2][]*client
	for r, hubs := range [][]*hub{p.a, p.b} {
		for _, h := range hubs {
			c := h.client("A")
			c.sub("news", "")
			subs = append(subs, c)
			q := h.client("A")
			q.sub("work", "crew")
			groups[r] = append(groups[r], q)
		}
	}
	for _, h := range append(p.a, p.b...) {
		h.wants("A", "news", true)
		h.wants("A", "work", true)
	}
	const many = 500
	var pubs []*client
	for _, h := range append(p.a, p.b...) {
		pubs = append(pubs, h.client("A"))
	}
	await(t, "all know all interest", func() bool {
		for _, subj := range []string{"news", "work"} {
			for _, h := range append(p.a, p.b...) { // own, the other hub's, the border's
				if len(h.b.Account("A").Matching([]byte(subj), nil)) != 3 {
					return false
				}
			}
			for _, g := range append(p.ga, p.gb...) { // two hubs' and the other region's
				if n := len(g.o.Broker.Account("A").Matching([]byte(subj), nil)); n != 3 {
					return false
				}
			}
		}
		return true
	})
	for i := range many {
		for n, c := range pubs {
			c.send("news", "", fmt.Sprint(n, " ", i))
			c.send("work", "", fmt.Sprint(n, " ", i))
		}
	}
	for _, c := range subs {
		await(t, "plain messages", func() bool { return c.count() >= 4*many })
	}
	for _, c := range subs {
		next := make(map[string]int)
		for _, m := range c.take() {
			var n, i int
			fmt.Sscan(m.payload, &n, &i)
			key := fmt.Sprint(n)
			if next[key] != i {
				t.Fatalf("publisher %d: got %d, want %d", n, i, next[key])
			}
			next[key]++
		}
	}
	// The group of the publisher's region serves all of its messages.
	for r := range groups {
		total := 0
		await(t, "queue messages", func() bool {
			total = groups[r][0].count() + groups[r][1].count()
			return total >= 2*many
		})
		if total != 2*many {
			t.Fatalf("group of region %d got %d of %d", r, total, 2*many)
		}
	}
}

// TestRequests: fresh inboxes, both ways, many times, from each hub.
func TestRequests(t *testing.T) {
	p := newPair(t)
	p.b[1].client("A").answersOn("svc", "b")
	p.spread(t, "A", "svc")
	for _, h := range p.a {
		c := h.client("A")
		for i := range 200 {
			if got, ok := c.request("svc"); !ok || got != "b" {
				t.Fatalf("request %d from %s: %q %v", i, h.srv.Name, got, ok)
			}
		}
	}
	if _, ok := p.a[0].client("A").request("nobody"); ok {
		t.Fatal("a request without responder was sent somewhere")
	}
}

func (c *client) answersOn(subj, name string) {
	c.answers(name)
	c.sub(subj, "")
}
