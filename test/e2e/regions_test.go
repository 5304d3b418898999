//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/e2e/scenario"
	"github.com/banyanmq/banyan/test/e2e/traffic"
)

// world is three regions, each with an edge node on its first hub. Seen from sfo, ams is nearer than sgp.
type world struct {
	*estate.Estate
	sfo, ams, sgp *estate.Region
	edges         []*estate.Node
}

func newWorld(t *testing.T) *world {
	e := estate.New(t, bins)
	r := e.Regions(
		estate.RegionSpec{Name: "sfo"},
		estate.RegionSpec{Name: "ams", RTT: 10 * time.Millisecond},
		estate.RegionSpec{Name: "sgp", RTT: 40 * time.Millisecond},
	)
	w := &world{Estate: e, sfo: r[0], ams: r[1], sgp: r[2]}
	for _, r := range w.regions() {
		w.edges = append(w.edges, e.Edge(estate.EdgeSpec{
			Name: "edge-" + r.Name, URLs: []string{"nats://" + r.Hubs[0].Addr("leafnodes")},
		}))
	}
	e.Start(w.edges...)
	for _, r := range w.regions() {
		scenario.AwaitLeafs(e, r.Hubs[0], 1)
	}
	return w
}

func (w *world) regions() []*estate.Region { return []*estate.Region{w.sfo, w.ams, w.sgp} }

// The parts run one after the other in one world: starting it is what takes the time.
func TestThreeRegions(t *testing.T) {
	w := newWorld(t)
	t.Run("MessageOnceEverywhere", w.onceEverywhere)
	t.Run("AccountsAreSeparate", w.accounts)
	t.Run("RequestsWithFreshInboxes", w.requests)
	t.Run("NoResponders", w.noResponders)
	t.Run("QueueLocalFirstThenNearest", w.nearest)
	t.Run("QueueOnceWhereverItsMembersAre", w.groupOnce)
	t.Run("HeadersAndSizes", w.headers)
	t.Run("OneSystemAnswerOfEachServer", w.system)
	t.Run("KillOfABorder", w.kill)
	t.Run("DrainOfABorder", w.drain)
}

func (w *world) places() []*estate.Node {
	var all []*estate.Node
	for i, r := range w.regions() {
		all = append(append(all, r.Hubs...), w.edges[i])
	}
	return all
}

func check(t *testing.T, run *traffic.Run, err error) *traffic.Report {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	rep, err := run.Wait()
	if err != nil {
		t.Error(err)
	}
	t.Log(rep)
	if rep.Duplicates > 0 || rep.Misordered > 0 {
		t.Errorf("%d messages came twice, %d out of order: %q", rep.Duplicates, rep.Misordered, rep.Odd)
	}
	return rep
}

func lossless(t *testing.T, rep *traffic.Report) {
	t.Helper()
	if len(rep.Lost) > 0 {
		t.Errorf("%d deliveries lost, the first %+v", len(rep.Lost), rep.Lost[0])
	}
}

// From every hub and edge to every hub and edge, each message once and in order.
func (w *world) onceEverywhere(t *testing.T) {
	load := traffic.Load{Subject: "once", Count: 300, Rate: 600}
	for _, n := range w.places() {
		load.Publishers = append(load.Publishers, w.Connect(n))
		load.Receivers = append(load.Receivers, traffic.Receiver{Name: n.Name, Conns: []*nats.Conn{w.Connect(n)}})
	}
	run, err := traffic.Start(t.Context(), load)
	lossless(t, check(t, run, err))
}

// The same subject in another account is another subject, in every region.
func (w *world) accounts(t *testing.T) {
	other := nats.UserInfo("other", estate.Password)
	var got atomic.Int64
	for _, r := range w.regions() {
		if _, err := w.Connect(r.Hubs[1], other).Subscribe("secret.>", func(*nats.Msg) { got.Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	load := traffic.Load{Subject: "secret", Count: 50, Rate: 500, Publishers: []*nats.Conn{w.Connect(w.sfo.Hubs[0])}}
	for _, r := range w.regions() {
		load.Receivers = append(load.Receivers, traffic.Receiver{Name: r.Name, Conns: []*nats.Conn{w.Connect(r.Hubs[0])}})
	}
	run, err := traffic.Start(t.Context(), load)
	lossless(t, check(t, run, err))
	if n := got.Load(); n != 0 {
		t.Errorf("%d messages leaked into another account", n)
	}
}

func (w *world) requests(t *testing.T) {
	served, sub, err := traffic.Serve(w.Connect(w.edges[2]), "svc.fresh", "q")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	askers := []*nats.Conn{w.Connect(w.sfo.Hubs[1]), w.Connect(w.edges[0])}
	for _, nc := range askers {
		w.Eventually("the service is known in sfo", func() error {
			_, err := nc.Request("svc.fresh", []byte("ready?"), 5*time.Second)
			return err
		})
	}
	before := served.Load()
	for _, nc := range askers {
		if err := traffic.Requests(t.Context(), nc, "svc.fresh", 500, 50, estate.Patience/2); err != nil {
			t.Errorf("from %s: %v", nc.ConnectedServerName(), err)
		}
	}
	if n := served.Load() - before; n != 1000 {
		t.Errorf("1000 requests were served %d times", n)
	}
}

func (w *world) noResponders(t *testing.T) {
	for _, n := range w.places() {
		begin := time.Now()
		if _, err := w.Connect(n).Request("svc.nobody", nil, estate.Patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("at %s: %v, want %v after %v", n.Name, err, nats.ErrNoResponders, time.Since(begin))
		}
	}
	// A service that was there and has gone is nobody as well.
	_, sub, err := traffic.Serve(w.Connect(w.sgp.Hubs[0]), "svc.gone", "q")
	if err != nil {
		t.Fatal(err)
	}
	nc := w.Connect(w.sfo.Hubs[0])
	w.Eventually("the service is known", func() error { _, err := nc.Request("svc.gone", nil, 5*time.Second); return err })
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	w.Eventually("the service is forgotten", func() error {
		if _, err := nc.Request("svc.gone", nil, 100*time.Millisecond); !errors.Is(err, nats.ErrNoResponders) {
			return fmt.Errorf("a request gives %v", err)
		}
		return nil
	})
}

// A group's messages from sfo go to the member in sfo; without it to the one in ams, which is nearer than sgp; without that
// to the one in sgp; then to nobody.
func (w *world) nearest(t *testing.T) {
	nc := w.Connect(w.sfo.Hubs[0])
	type member struct {
		region string
		sub    *nats.Subscription
	}
	var members []member
	for _, at := range []struct {
		region string
		node   *estate.Node
	}{{"sfo", w.sfo.Hubs[1]}, {"ams", w.ams.Hubs[0]}, {"sgp", w.sgp.Hubs[0]}} {
		sub, err := w.Connect(at.node).QueueSubscribe("svc.where", "q", func(m *nats.Msg) { _ = m.Respond([]byte(at.region)) })
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, member{at.region, sub})
	}
	answers := func(n int, patience time.Duration) (map[string]int, error) {
		got := make(map[string]int)
		for range n {
			m, err := nc.Request("svc.where", nil, patience)
			if err != nil {
				return got, err
			}
			got[string(m.Data)]++
		}
		return got, nil
	}
	for _, m := range members {
		// Interest and round-trip times spread while other regions answer; then it is this one alone.
		w.Eventually("the answers come from "+m.region, func() error {
			got, err := answers(1, 500*time.Millisecond)
			if err == nil && got[m.region] != 1 {
				err = fmt.Errorf("answered by %v", got)
			}
			return err
		})
		if got, err := answers(50, estate.Patience); err != nil || got[m.region] != 50 {
			t.Errorf("answers by region: %v, %v; want 50 from %s", got, err, m.region)
		}
		if err := m.sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	w.Eventually("nobody is left", func() error {
		if _, err := nc.Request("svc.where", nil, time.Second); !errors.Is(err, nats.ErrNoResponders) {
			return fmt.Errorf("a request gives %v", err)
		}
		return nil
	})
}

// One group with members in all regions and at edges, another that lives in sgp alone, and a plain subscriber: every
// group gets each message once.
func (w *world) groupOnce(t *testing.T) {
	load := traffic.Load{Subject: "group", Count: 400, Rate: 800}
	var all []*nats.Conn
	for _, n := range w.places() {
		load.Publishers = append(load.Publishers, w.Connect(n))
		all = append(all, w.Connect(n))
	}
	load.Receivers = []traffic.Receiver{
		{Name: "group everywhere", Queue: "everywhere", Conns: all},
		{Name: "group in sgp", Queue: "far", Conns: []*nats.Conn{w.Connect(w.sgp.Hubs[0]), w.Connect(w.sgp.Hubs[1]), w.Connect(w.edges[2])}},
		{Name: "plain in ams", Conns: []*nats.Conn{w.Connect(w.ams.Hubs[1])}},
	}
	run, err := traffic.Start(t.Context(), load)
	lossless(t, check(t, run, err))
}

func (w *world) headers(t *testing.T) {
	sub, err := w.Connect(w.edges[2]).SubscribeSync("blob")
	if err != nil {
		t.Fatal(err)
	}
	_ = sub.SetPendingLimits(-1, -1)
	nc := w.Connect(w.edges[0])
	w.Eventually("interest has reached the other edge", func() error {
		_ = nc.Publish("blob", []byte("probe"))
		_, err := sub.NextMsg(200 * time.Millisecond)
		return err
	})
	for size := 0; size <= 1<<20-1024; size = size*7 + 1 {
		m := nats.NewMsg("blob")
		m.Header.Set("Size", fmt.Sprint(size))
		m.Header.Set("Numbers", "one")
		m.Header.Add("Numbers", "two")
		m.Data = make([]byte, size)
		for i := range m.Data {
			m.Data[i] = byte(i * 31)
		}
		if err := nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		var got *nats.Msg
		for got == nil || string(got.Data) == "probe" {
			if got, err = sub.NextMsg(estate.Patience); err != nil {
				t.Fatalf("a message of %d bytes: %v", size, err)
			}
		}
		if string(got.Data) != string(m.Data) || got.Header.Get("Size") != fmt.Sprint(size) || len(got.Header.Values("Numbers")) != 2 {
			t.Errorf("a message of %d bytes came as %d bytes with headers %v", size, len(got.Data), got.Header)
		}
	}
}

// A ping of the system account, from any region, is answered once by every hub and gwd of all regions.
func (w *world) system(t *testing.T) {
	want := make(map[string]int)
	for _, r := range w.regions() {
		for _, n := range append(append([]*estate.Node(nil), r.Hubs...), r.Borders...) {
			want[n.Name] = 1
		}
	}
	for _, r := range w.regions() {
		nc := w.Connect(r.Hubs[0], nats.UserInfo("sys", estate.Password))
		w.Eventually("every server answers a ping from "+r.Name, func() error {
			inbox := nc.NewInbox()
			sub, err := nc.SubscribeSync(inbox)
			if err != nil {
				return err
			}
			defer sub.Unsubscribe()
			if err := nc.PublishRequest("$SYS.REQ.SERVER.PING", inbox, nil); err != nil {
				return err
			}
			got := make(map[string]int)
			for {
				m, err := sub.NextMsg(500 * time.Millisecond)
				if err != nil {
					break
				}
				var a struct {
					Server struct {
						Name string `json:"name"`
					} `json:"server"`
				}
				if err := json.Unmarshal(m.Data, &a); err != nil {
					return err
				}
				got[a.Server.Name]++
			}
			for name, n := range got {
				if n > 1 {
					t.Errorf("%s answered %d times", name, n)
				}
			}
			if !maps.Equal(got, want) {
				return fmt.Errorf("answers by server %v, want %v", got, want)
			}
			return nil
		})
	}
}

// load sends from both hubs and the edge of every region to all hubs until stop is closed.
func (w *world) load(t *testing.T, subject string, count, rate int) *traffic.Run {
	t.Helper()
	l := traffic.Load{Subject: subject, Count: count, Rate: rate}
	for _, n := range w.places() {
		l.Publishers = append(l.Publishers, w.Connect(n))
	}
	for _, r := range w.regions() {
		for _, h := range r.Hubs {
			l.Receivers = append(l.Receivers, traffic.Receiver{Name: h.Name, Conns: []*nats.Conn{w.Connect(h)}})
		}
	}
	run, err := traffic.Start(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func at(run *traffic.Run, messages int, w *world) {
	w.Eventually("the load is under way", func() error {
		if n := run.Published(); n < messages {
			return fmt.Errorf("%d messages sent", n)
		}
		return nil
	})
}

// A border node dies under load: what is lost was sent within a second of it, nothing comes twice or out of order, and the
// other one carries everything while it is away.
func (w *world) kill(t *testing.T) {
	const count = 2000
	run := w.load(t, "kill", count, 500)
	at(run, count*9/4, w)
	victim := w.ams.Borders[0]
	kill := traffic.Event{What: "kill of " + victim.Name, At: time.Now()}
	victim.Kill()
	rep := check(t, run, nil)
	t.Log(rep.Explain([]traffic.Event{kill}, time.Second, time.Second))
	if late := rep.Outside([]traffic.Event{kill}, time.Second, time.Second); len(late) > 0 {
		t.Errorf("%d deliveries lost far from the kill, the first %+v", len(late), late[0])
	}
	if err := victim.Restart(); err != nil {
		t.Fatal(err)
	}
	w.AwaitMesh(w.regions()...)
}

// A border node is asked to leave under load: nothing is lost between our own servers, nothing comes twice or out of
// order, and the process ends by itself.
func (w *world) drain(t *testing.T) {
	const count = 3000
	run := w.load(t, "drain", count, 400)
	at(run, count*9/6, w)
	leaver := w.sgp.Borders[1]
	if err := leaver.Process().Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if code, err := leaver.Process().Wait(w.Context()); err != nil || code != 0 {
		t.Errorf("%s ended with %d, %v; want 0", leaver.Name, code, err)
	}
	lossless(t, check(t, run, nil))
	if err := leaver.Restart(); err != nil {
		t.Fatal(err)
	}
	w.AwaitMesh(w.regions()...)
}

// The edge's link runs over TLS; a world of this size needs no more than one of them to show it.
func TestEdgeOverTLS(t *testing.T) {
	e := estate.New(t, bins)
	e.Cert("hub", certs.Server|certs.Client)
	hub := e.Hub(estate.HubSpec{Name: "hub", LeafTLS: e.TLSBlock("hub")})
	e.Start(hub)
	edge := e.Edge(estate.EdgeSpec{Name: "edge", URLs: []string{"tls://" + hub.Addr("leafnodes")}, TLS: "{ca: " + e.Cert("hub", certs.Server|certs.Client).CA + "}"})
	e.Start(edge)
	scenario.AwaitLeafs(e, hub, 1)
	scenario.Exchange(t, e, scenario.Sides{A: []*estate.Node{edge}, B: []*estate.Node{hub}, LocalFirst: [2]bool{true, true}}, 2000)
}
