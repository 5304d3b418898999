package gateway

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/procs"
)

// TestReferenceRegion: a region of two reference servers and one of ours.
func TestReferenceRegion(t *testing.T) {
	a := newSite(t, "A", nil)
	free, err := procs.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	conf := `cluster { name: B, listen: "127.0.0.1:%d", routes: ["nats-route://127.0.0.1:%d"] }
gateway { name: B, listen: "127.0.0.1:%d", gateways: [{name: A, urls: ["nats://%s"]}] }`
	_, p1 := reference(t, "B", "b1", fmt.Sprintf(conf, free[0], free[0], free[1], a.Addr()))
	_, p2 := reference(t, "B", "b2", fmt.Sprintf(conf, -1, free[0], free[2], a.Addr()))
	g := a.b.Account("$G")
	a.hub.sub(g, "to.a", "")
	a.hub.sub(g, "work", "crew")
	a.Open()
	a.Learn("B", []string{fmt.Sprint("127.0.0.1:", free[1])})
	a.has(t, "B")
	await(t, "both servers of B dial", func() bool { return len(a.list(inbound)) == 2 })

	var conns []*nats.Conn
	for _, p := range []procs.Ports{p1, p2} {
		nc, err := nats.Connect(p.Client(), nats.Timeout(patience))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		conns = append(conns, nc)
	}

	// From A: one plain subscriber on each server of B, and a group with a member on each.
	var plain [2]*nats.Subscription
	var group [2]*nats.Subscription
	for i, nc := range conns {
		plain[i], _ = nc.SubscribeSync("to.b")
		group[i], _ = nc.QueueSubscribeSync("to.b", "q")
		nc.SubscribeSync(fmt.Sprint("last.", i))
		nc.Flush()
	}
	for i := range conns { // the server at the far end knows what each of the two wants
		a.interest(t, "$G", fmt.Sprint("last.", i), true)
	}
	a.interest(t, "$G", "to.b", true)
	await(t, "interest of the group", func() bool { return len(g.Matching([]byte("to.b"), nil)) == 2 })
	const many = 200
	for i := range many {
		if n := a.hub.pub(g, "to.b", "", fmt.Sprint(i), "q"); n == 0 {
			t.Fatalf("sent %d times", n)
		}
	}
	for i := range plain {
		for k := range many {
			m, err := plain[i].NextMsg(patience)
			if err != nil {
				t.Fatalf("subscriber %d after %d: %v", i, k, err)
			}
			if string(m.Data) != fmt.Sprint(k) {
				t.Fatalf("subscriber %d got %s, want %d", i, m.Data, k)
			}
		}
	}
	await(t, "group", func() bool {
		n0, _, _ := group[0].Pending()
		n1, _, _ := group[1].Pending()
		if n0+n1 > many {
			t.Fatalf("group got %d of %d", n0+n1, many)
		}
		return n0+n1 == many
	})

	// A header crosses.
	hdr := "NATS/1.0\r\nK: v\r\n\r\n"
	m := msgWithHeader(g, "to.b", hdr, "body")
	a.hub.in.Publish(m)
	a.hub.in.Flush()
	got, err := plain[0].NextMsg(patience)
	if err != nil || got.Header.Get("K") != "v" || string(got.Data) != "body" {
		t.Fatalf("header: %v %v", got, err)
	}

	// From B: plain, and the group's name in the list.
	for i, nc := range conns {
		nc.Publish("to.a", []byte(fmt.Sprint("p", i)))
		nc.Publish("work", []byte(fmt.Sprint("w", i)))
		nc.Publish("nobody", []byte("x"))
		nc.Flush()
	}
	await(t, "messages from B", func() bool { return a.hub.count() >= 4 })
	lines := a.hub.take()
	sort.Strings(lines)
	want := []string{"RMSG $G to.a 2 p0", "RMSG $G to.a 2 p1", "RMSG $G work | crew 2 w0", "RMSG $G work | crew 2 w1"}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Fatalf("from B: %q", lines)
	}

	// A request from B: the reply is mapped, and the answer finds its way.
	done := make(chan string, 1)
	go func() {
		m, err := conns[1].Request("to.a", []byte("?"), patience)
		if err != nil {
			done <- err.Error()
			return
		}
		done <- string(m.Data)
	}()
	await(t, "the request", func() bool { return a.hub.count() == 1 })
	req := strings.Fields(a.hub.take()[0])
	if !strings.HasPrefix(req[3], "_GR_.b2oh2L.") {
		t.Fatalf("request %q", req)
	}
	if n := a.hub.pub(g, req[3], "", "!"); n != 1 {
		t.Fatalf("answer sent %d times", n)
	}
	if ans := <-done; ans != "!" {
		t.Fatalf("answer %q", ans)
	}

	// A subscription that goes is withdrawn.
	for i := range plain {
		plain[i].Unsubscribe()
		group[i].Unsubscribe()
		conns[i].Flush()
	}
	a.interest(t, "$G", "to.b", false)
	if n := a.hub.pub(g, "to.b", "", "x", "q"); n != 0 {
		t.Fatalf("sent %d times without interest", n)
	}
}

// TestReferenceLoses: the server at the far end goes; the connection moves to
// the other one, and interest with it.
func TestReferenceLoses(t *testing.T) {
	a := newSite(t, "A", nil)
	free, err := procs.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	conf := `cluster { name: B, listen: "127.0.0.1:%d", routes: ["nats-route://127.0.0.1:%d"] }
gateway { name: B, listen: "127.0.0.1:%d" }`
	b1, p1 := reference(t, "B", "b1", fmt.Sprintf(conf, free[0], free[0], free[1]))
	b2, p2 := reference(t, "B", "b2", fmt.Sprintf(conf, -1, free[0], free[2]))
	a.Open()
	a.Learn("B", []string{fmt.Sprint("127.0.0.1:", free[1]), fmt.Sprint("127.0.0.1:", free[2])})
	r := a.has(t, "B")
	first := r.live()
	dead, ports := b1, p2
	if first.url == fmt.Sprint("127.0.0.1:", free[2]) {
		dead, ports = b2, p1
	}
	nc, err := nats.Connect(ports.Client())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, _ := nc.SubscribeSync("x")
	nc.Flush()
	a.interest(t, "$G", "x", true)
	dead.Kill()
	began := time.Now()
	await(t, "another connection", func() bool { c := r.live(); return c != nil && c != first })
	a.interest(t, "$G", "x", true)
	t.Logf("moved in %v", time.Since(began))
	a.hub.pub(a.b.Account("$G"), "x", "", "after")
	if m, err := sub.NextMsg(patience); err != nil || string(m.Data) != "after" {
		t.Fatalf("%v %v", m, err)
	}
}
