package border

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/test/procs"
)

// reference starts a reference server; it skips the test if there is none.
func reference(t testing.TB, name, more string) (*procs.Process, *nats.Conn) {
	t.Helper()
	exe, err := procs.Reference()
	if err != nil {
		t.Skip(err)
	}
	p, err := procs.Start(procs.Spec{Exe: exe, Dir: t.TempDir(), Config: fmt.Sprintf(
		"server_name: %s\nlisten: 127.0.0.1:-1\nports_file_dir: \"{{dir}}\"\ndebug: true\n%s", name, more)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ports, err := p.Ports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(ports.Client(), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return p, nc
}

// referenceRegion starts a cluster of two reference servers with a gateway each.
func referenceRegion(t testing.TB, region string) (conns [2]*nats.Conn, gateways [2]string) {
	t.Helper()
	free, err := procs.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	for i := range conns {
		port := -1
		if i == 0 {
			port = free[0]
		}
		gateways[i] = fmt.Sprint("127.0.0.1:", free[i+1])
		_, conns[i] = reference(t, fmt.Sprint(region, i), fmt.Sprintf(`cluster { name: %s, listen: "127.0.0.1:%d", routes: ["nats-route://127.0.0.1:%d"] }
gateway { name: %s, listen: "%s" }`, region, port, free[0], region, gateways[i]))
	}
	return conns, gateways
}

func toURLs(name string, addrs ...string) config.RemoteGateway {
	r := config.RemoteGateway{Name: name}
	for _, a := range addrs {
		r.URLs = append(r.URLs, &url.URL{Scheme: "nats", Host: a})
	}
	return r
}

// TestReferenceRegion: our region, two hubs and two gwds, with a region of two reference
// servers: everything once, each way (gateways 20.24).
func TestReferenceRegion(t *testing.T) {
	conns, gateways := referenceRegion(t, "B")
	a1 := newHub(t, "A", "a1")
	hubs := []*hub{a1, newHub(t, "A", "a2", a1)}
	o := gwdOptions{remotes: []config.RemoteGateway{toURLs("B", gateways[:]...)}}
	var gwds []*Service
	for i := range 2 {
		gwds = append(gwds, newGwd(t, "A", fmt.Sprint("ga", i), hubs, o))
		reaches(t, gwds[i], "B")
	}
	await(t, "both servers dial", func() bool {
		return len(gwds[0].Gateways().Status(false).Inbound)+len(gwds[1].Gateways().Status(false).Inbound) == 2
	})
	const many = 2000
	// Outgoing.
	var plain, group [2]*nats.Subscription
	for i, nc := range conns {
		plain[i], _ = nc.SubscribeSync("out")
		plain[i].SetPendingLimits(-1, -1)
		group[i], _ = nc.QueueSubscribeSync("out", "q")
		group[i].SetPendingLimits(-1, -1)
		nc.Subscribe("svc", func(m *nats.Msg) { m.Respond(m.Data) })
		nc.Flush()
	}
	for _, h := range hubs {
		h.client("$G")
		h.wants("$G", "out", true)
		h.wants("$G", "svc", true)
	}
	pubs := []*client{hubs[0].client("$G"), hubs[1].client("$G")}
	for i := range many {
		for n, c := range pubs {
			c.send("out", "", fmt.Sprint(n, " ", i))
		}
	}
	pending := func(s *nats.Subscription) int { n, _, _ := s.Pending(); return n }
	await(t, "outgoing", func() bool {
		return pending(plain[0]) >= 2*many && pending(plain[1]) >= 2*many && pending(group[0])+pending(group[1]) >= 2*many
	})
	if pending(plain[0]) != 2*many || pending(plain[1]) != 2*many || pending(group[0])+pending(group[1]) != 2*many {
		t.Fatalf("doubled: %d %d %d", pending(plain[0]), pending(plain[1]), pending(group[0])+pending(group[1]))
	}
	next := [2]int{}
	for range 2 * many {
		m, err := plain[0].NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		var n, i int
		fmt.Sscan(string(m.Data), &n, &i)
		if i != next[n] {
			t.Fatalf("publisher %d: got %d, want %d", n, i, next[n])
		}
		next[n]++
	}
	// Two responders, plain: the first answer counts; any number of answers comes.
	for _, h := range hubs {
		c := h.client("$G")
		for i := range 100 {
			if _, ok := c.request("svc"); !ok {
				t.Fatalf("request %d", i)
			}
		}
	}
	// Incoming.
	in := []*client{hubs[0].client("$G"), hubs[1].client("$G")}
	work := []*client{hubs[0].client("$G"), hubs[1].client("$G")}
	for i := range in {
		in[i].sub("in", "")
		work[i].sub("in", "q")
	}
	responder := hubs[1].client("$G")
	responder.answersOn("asvc", "a")
	await(t, "B knows", func() bool {
		for _, nc := range conns {
			if m, err := nc.Request("asvc", nil, 500*time.Millisecond); err != nil || string(m.Data) != "a" {
				return false
			}
		}
		return true
	})
	for i := range many {
		for n, nc := range conns {
			nc.Publish("in", fmt.Appendf(nil, "%d %d", n, i))
		}
	}
	await(t, "incoming", func() bool {
		return in[0].count() >= 2*many && in[1].count() >= 2*many && work[0].count()+work[1].count() >= 2*many
	})
	if in[0].count() != 2*many || in[1].count() != 2*many || work[0].count()+work[1].count() != 2*many {
		t.Fatalf("doubled: %d %d %d", in[0].count(), in[1].count(), work[0].count()+work[1].count())
	}
	for i := range 100 {
		for _, nc := range conns {
			if m, err := nc.Request("asvc", nil, patience); err != nil || string(m.Data) != "a" {
				t.Fatalf("request %d: %v", i, err)
			}
		}
	}
	// No interest anywhere: 503 at once.
	if _, err := conns[0].Request("nobody", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Fatalf("request to nobody: %v", err)
	}
}

// TestSingleOwner: reference servers as hubs, two gwds of which one owns the border
// (gateways 18.13, 20.32). Everything once; the other takes over.
func TestSingleOwner(t *testing.T) {
	free, err := procs.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	route := fmt.Sprint("127.0.0.1:", free[0])
	var conns [2]*nats.Conn
	for i := range conns {
		listen := route
		if i > 0 {
			listen = "127.0.0.1:-1"
		}
		_, conns[i] = reference(t, fmt.Sprint("A", i), fmt.Sprintf(
			`cluster { name: A, listen: "%s", routes: ["nats-route://%s"] }`, listen, route))
	}
	b := []*hub{newHub(t, "B", "b1")}
	gb := newGwd(t, "B", "gb", b, gwdOptions{})
	var gwds []*Service
	for i := range 2 {
		o := gwdOptions{
			remotes: []config.RemoteGateway{remoteOf("B", gb)},
			routes:  []*url.URL{{Scheme: "nats-route", Host: route}},
			border:  config.Border{Mode: config.BorderSingleOwner, Priority: 10 * (i + 1)},
		}
		gwds = append(gwds, newGwd(t, "A", fmt.Sprint("ga", i), nil, o))
		reaches(t, gwds[i], "B")
	}
	owns := func(g *Service) bool { return g.state.Load().Owner }
	await(t, "the higher priority owns", func() bool { return owns(gwds[1]) && !owns(gwds[0]) })

	await(t, "each gwd is in sync with both hubs", func() bool {
		return gwds[0].replies.unaware.Load() == 2 && gwds[1].replies.unaware.Load() == 2
	})
	plain := b[0].client("$G")
	plain.sub("out", "")
	group := b[0].client("$G")
	group.sub("work", "q")
	b[0].client("$G").answersOn("bsvc", "b")
	await(t, "the hubs know", func() bool {
		m, err := conns[0].Request("bsvc", nil, 200*time.Millisecond)
		return err == nil && string(m.Data) == "b"
	})
	// Requests with fresh inboxes, from each hub, out and in.
	for i := range 100 {
		for n, nc := range conns {
			if m, err := nc.Request("bsvc", nil, patience); err != nil || string(m.Data) != "b" {
				t.Fatalf("request %d from hub %d: %v", i, n, err)
			}
		}
	}
	conns[1].Subscribe("asvc", func(m *nats.Msg) { m.Respond([]byte("a")) })
	conns[1].Flush()
	b[0].wants("$G", "asvc", true)
	requester := b[0].client("$G")
	for i := range 100 {
		if got, ok := requester.request("asvc"); !ok || got != "a" {
			t.Fatalf("request %d from B: %q", i, got)
		}
	}
	// Each message once, the own member of a group first.
	const many = 500
	publish := func() {
		for i := range many {
			conns[i%2].Publish("out", []byte("x"))
			conns[i%2].Publish("work", []byte("x"))
		}
		conns[0].Flush()
		conns[1].Flush()
	}
	publish()
	await(t, "messages", func() bool { return plain.count() >= many && group.count() >= many })
	own, _ := conns[0].QueueSubscribeSync("work", "q")
	conns[0].Flush()
	await(t, "the member is known", func() bool {
		conns[1].Publish("work", nil)
		conns[1].Flush()
		n, _, _ := own.Pending()
		return n > 0
	})
	// Servers of the 2.9 line do not put the border's members last, so only the sum
	// is certain.
	all := func() int { n, _, _ := own.Pending(); return group.count() + n }
	served := all()
	settle(t, func() int { served = all(); return served })
	publish()
	await(t, "messages", func() bool { return plain.count() >= 2*many && all() >= served+many })
	if plain.count() != 2*many || all() != served+many {
		t.Fatalf("plain %d, groups %d, before %d", plain.count(), all(), served)
	}
	own.Unsubscribe()
	conns[0].Flush()
	if _, err := conns[0].Request("nobody", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Fatalf("request to nobody: %v", err)
	}
	// The owner goes: the other takes over.
	gwds[1].Close()
	await(t, "the other owns", func() bool { return owns(gwds[0]) })
	await(t, "requests work again", func() bool {
		m, err := conns[1].Request("bsvc", nil, 200*time.Millisecond)
		return err == nil && string(m.Data) == "b"
	})
	plain.take()
	publish()
	await(t, "messages", func() bool { return plain.count() >= many })
	if n := plain.count(); n != many {
		t.Fatalf("got %d of %d", n, many)
	}
}
