package broker

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/subject"
)

// sink records what a port is given.
type sink struct {
	mu      sync.Mutex
	port    *Port
	got     []delivery
	refuse  bool
	flushes int
}

type delivery struct {
	subject, payload string
	sub              *Sub
	plain            bool
	groups           []string
}

func (k *sink) Deliver(m *Msg, s *Sub) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse || s.State.Gone {
		return false
	}
	k.got = append(k.got, delivery{subject: string(m.Subject), payload: string(m.Payload), sub: s})
	return true
}

func (k *sink) DeliverOnce(m *Msg, plain bool, groups [][]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse {
		return false
	}
	d := delivery{subject: string(m.Subject), payload: string(m.Payload), plain: plain}
	for _, g := range groups {
		d.groups = append(d.groups, string(g))
	}
	k.got = append(k.got, d)
	return true
}

func (k *sink) DeliverBatch(ms []Msg, s *Sub, mixed bool) (n int) {
	for i := range ms {
		if !mixed && !bytes.Equal(ms[i].Subject, ms[0].Subject) {
			panic(fmt.Sprintf("%s and %s in a batch on one subject", ms[0].Subject, ms[i].Subject))
		}
		if k.Deliver(&ms[i], s) {
			n++
		}
	}
	return n
}

func (k *sink) Flush() { k.mu.Lock(); k.flushes++; k.mu.Unlock() }

func (k *sink) take() []delivery {
	k.mu.Lock()
	defer k.mu.Unlock()
	got := k.got
	k.got = nil
	return got
}

func newPort(b *Broker, class Class, reach Set, cluster string) (*Port, *sink) {
	k := &sink{}
	p := &Port{
		ID: b.NextID(), Class: class, Reach: reach, Sink: k, Aggregate: class != Client,
		Origin: Origin{Class: class, Cluster: cluster},
	}
	k.port = p
	if class == Client {
		p.Batched(k)
	}
	return p, k
}

func subscribe(a *Account, p *Port, subj, queue string, tier uint8, w int32) *Sub {
	s := &Sub{Port: p, Subject: []byte(subj), Origin: p.Origin, Tier: tier}
	if queue != "" {
		s.Queue = []byte(queue)
	}
	a.Subscribe(s, w)
	return s
}

func publish(in *Inlet, a *Account, subj, payload string) int {
	n := in.Publish(&Msg{Account: a, Subject: []byte(subj), Payload: []byte(payload)})
	in.Flush()
	return n
}

// TestReach checks each row of the matrix of classes.
func TestReach(t *testing.T) {
	rows := []struct {
		name  string
		from  Class
		reach Set
		gets  []Class
	}{
		{"client", Client, FromClient, []Class{Client, LeafDown, LeafUp, Route, Border}},
		{"leaf below", LeafDown, FromLeafDown, []Class{Client, LeafDown, LeafUp, Route, Border}},
		{"hub above", LeafUp, FromLeafUp, []Class{Client, LeafDown}},
		{"route", Route, FromRoute, []Class{Client, LeafDown}},
		{"route at a gwd", Route, FromRouteAtBorder, []Class{Client, Gateway}},
		{"gateway", Gateway, FromGateway, []Class{Client, Route}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			b := New("N1", "C", "")
			a := b.Account("A")
			sinks := map[Class]*sink{}
			for _, c := range []Class{Client, LeafDown, LeafUp, Route, Border, Gateway} {
				p, k := newPort(b, c, 0, "")
				subscribe(a, p, "x", "", TierDirect, 1)
				sinks[c] = k
			}
			src, own := newPort(b, row.from, row.reach, "")
			subscribe(a, src, "x", "", TierDirect, 1)
			publish(b.NewInlet(src), a, "x", "m")
			for c, k := range sinks {
				if got, want := len(k.take()), slices.Contains(row.gets, c); (got == 1) != want {
					t.Errorf("class %b got %d messages, want some: %v", c, got, want)
				}
			}
			if got := len(own.take()); got != 0 && row.from != Client {
				t.Errorf("sent back where it came from %d times", got)
			}
		})
	}
}

// TestTiers: direct members first, leaf links if none takes it, the border last.
func TestTiers(t *testing.T) {
	b := New("N1", "C", "")
	a := b.Account("A")
	src, _ := newPort(b, Client, FromClient, "")
	in := b.NewInlet(src)
	local, lk := newPort(b, Client, FromClient, "")
	leaf, fk := newPort(b, LeafDown, FromLeafDown, "edge")
	border, bk := newPort(b, Border, 0, "")
	subscribe(a, border, "x", "q", TierBorder, 1)
	subscribe(a, leaf, "x", "q", TierLeaf, 5)
	subscribe(a, local, "x", "q", TierDirect, 1)
	count := func() [3]int {
		for range 20 {
			publish(in, a, "x", "m")
		}
		return [3]int{len(lk.take()), len(fk.take()), len(bk.take())}
	}
	if got := count(); got != [3]int{20, 0, 0} {
		t.Fatalf("with a local member: %v", got)
	}
	lk.refuse = true
	if got := count(); got != [3]int{0, 20, 0} {
		t.Fatalf("local member refuses: %v", got)
	}
	a.EachSub(func(s *Sub) bool {
		if s.Port == leaf {
			defer a.Unsubscribe(s)
		}
		return true
	})
	if got := count(); got != [3]int{0, 0, 20} {
		t.Fatalf("only the border left: %v", got)
	}
}

// TestWeights: a remote with weight 3 beside one local member gets three in four.
func TestWeights(t *testing.T) {
	b := New("N1", "C", "")
	a := b.Account("A")
	src, _ := newPort(b, Client, FromClient, "")
	local, lk := newPort(b, Client, FromClient, "")
	remote, rk := newPort(b, Route, FromRoute, "")
	subscribe(a, local, "x", "q", TierDirect, 1)
	s := subscribe(a, remote, "x", "q", TierDirect, 1)
	a.SetWeight(s, 3)
	in := b.NewInlet(src)
	const n = 4000
	for range n {
		publish(in, a, "x", "m")
	}
	l, r := len(lk.take()), len(rk.take())
	if l+r != n || l < n/4-200 || l > n/4+200 {
		t.Fatalf("local %d, remote %d of %d", l, r, n)
	}
}

// TestNearest: at a gwd the nearest region that takes the message gets it.
func TestNearest(t *testing.T) {
	b := New("N1", "C", "")
	a := b.Account("A")
	src, _ := newPort(b, Route, FromRouteAtBorder, "")
	in := b.NewInlet(src)
	far, fk := newPort(b, Gateway, FromGateway, "")
	near, nk := newPort(b, Gateway, FromGateway, "")
	far.Distance.Store(50)
	near.Distance.Store(10)
	subscribe(a, far, "x", "q", TierBorder, 1)
	subscribe(a, near, "x", "q", TierBorder, 1)
	send := func() {
		m := &Msg{Account: a, Subject: []byte("x"), Listed: true, Groups: [][]byte{[]byte("q")}}
		in.Publish(m)
		in.Flush()
	}
	send()
	if len(nk.take()) != 1 || len(fk.take()) != 0 {
		t.Fatal("not the nearest")
	}
	near.Distance.Store(100)
	send()
	if len(nk.take()) != 0 || len(fk.take()) != 1 {
		t.Fatal("distance change not seen")
	}
}

// TestOneLineForAll: an aggregate port gets one message for plain interest and
// all groups chosen.
func TestOneLineForAll(t *testing.T) {
	b := New("N1", "C", "")
	a := b.Account("A")
	src, _ := newPort(b, Client, FromClient, "")
	p, k := newPort(b, Route, FromRoute, "")
	subscribe(a, p, "x", "", TierDirect, 1)
	subscribe(a, p, ">", "", TierDirect, 1)
	subscribe(a, p, "*", "q1", TierDirect, 2)
	subscribe(a, p, "x", "q2", TierDirect, 1)
	in := b.NewInlet(src)
	for range 3 {
		publish(in, a, "x", "m")
		got := k.take()
		if len(got) != 1 || !got[0].plain {
			t.Fatalf("%+v", got)
		}
		slices.Sort(got[0].groups)
		if !slices.Equal(got[0].groups, []string{"q1", "q2"}) {
			t.Fatalf("groups %v", got[0].groups)
		}
	}
	if k.flushes != 3 {
		t.Fatalf("%d flushes for 3 blocks", k.flushes)
	}
}

// TestLeafCluster: what comes from a leaf cluster does not go back there, on
// whichever link its interest is known.
func TestLeafCluster(t *testing.T) {
	b := New("N1", "C", "")
	a := b.Account("A")
	one, k1 := newPort(b, LeafDown, FromLeafDown, "edge")
	two, k2 := newPort(b, LeafDown, FromLeafDown, "edge")
	other, k3 := newPort(b, LeafDown, FromLeafDown, "depot")
	route, k4 := newPort(b, Route, FromRoute, "")
	for _, p := range []*Port{one, two, other} {
		subscribe(a, p, "x", "", TierLeaf, 1)
	}
	s := &Sub{Port: route, Subject: []byte("x"), Origin: Origin{Class: Route, Cluster: "edge"}, Tier: TierLeaf}
	a.Subscribe(s, 1)
	in := b.NewInlet(one)
	in.Publish(&Msg{Account: a, Subject: []byte("x"), Cluster: "edge"})
	in.Flush()
	if len(k1.take())+len(k2.take())+len(k4.take()) != 0 || len(k3.take()) != 1 {
		t.Fatal("a message of leaf cluster edge went back to it, or not to depot")
	}
	// The same message over a route, marked with its leaf cluster.
	rin := b.NewInlet(route)
	rin.Publish(&Msg{Account: a, Subject: []byte("x"), Cluster: "edge", Listed: true})
	rin.Flush()
	if len(k1.take())+len(k2.take()) != 0 || len(k3.take()) != 1 {
		t.Fatal("by route: a message of leaf cluster edge went back to it, or not to depot")
	}
}

// TestMappedReplies walks a request from another region and its answer through
// a hub (gateways 10).
func TestMappedReplies(t *testing.T) {
	b := New("NHUB", "here", "")
	a := b.Account("A")
	border, bk := newPort(b, Border, 0, "")
	subscribe(a, border, "_GR_.>", "", TierBorder, 1)
	client, _ := newPort(b, Client, FromClient, "")
	watcher, wk := newPort(b, Client, FromClient, "")
	subscribe(a, watcher, ">", "", TierDirect, 1)
	in := b.NewInlet(client)
	defer client.Replies.Stop()

	full := "_GR_.aaaaaa.bbbbbb.INBOX.1"
	if got := client.Replies.Strip([]byte(full)); string(got) != "INBOX.1" {
		t.Fatalf("shown %q", got)
	}
	publish(in, a, "INBOX.1", "answer")
	if got := bk.take(); len(got) != 1 || got[0].subject != full {
		t.Fatalf("to the border: %+v", got)
	}
	if got := wk.take(); len(got) != 0 {
		t.Fatalf("answer seen locally: %+v", got)
	}
	publish(in, a, "INBOX.2", "other")
	if len(wk.take()) != 1 || len(bk.take()) != 0 {
		t.Fatal("a subject that is not mapped must go by interest")
	}
	// Without a way to the border the plain subject applies.
	bk.refuse = true
	publish(in, a, "INBOX.1", "late")
	if got := wk.take(); len(got) != 1 || got[0].subject != "INBOX.1" {
		t.Fatalf("fallback: %+v", got)
	}

	// The answer that comes back to the requester's hub.
	route, _ := newPort(b, Route, FromRoute, "")
	rin := b.NewInlet(route)
	ours := fmt.Sprintf("_GR_.%s.%s.INBOX.9", b.ClusterHash[:], b.ServerHash[:])
	rin.Publish(&Msg{Account: a, Subject: []byte(ours), Listed: true})
	rin.Flush()
	if got := wk.take(); len(got) != 1 || got[0].subject != "INBOX.9" {
		t.Fatalf("answer at the requester's hub: %+v", got)
	}
}

// watcher keeps what a link would have announced.
type watcher struct {
	set    Set
	except Origin
	keys   map[string]int32
	wrong  string
}

func (w *watcher) Snapshot(_ *Account, in *Interest) {
	if n := in.Sum(w.set, w.except); n > 0 {
		w.keys[string(in.Subject)+" "+string(in.Queue)] = n
	}
}

func (w *watcher) Changed(_ *Account, in *Interest, from Origin, old, now int32) {
	key := string(in.Subject) + " " + string(in.Queue)
	after := in.Sum(w.set, w.except)
	before := after
	if from.Class&w.set != 0 && !from.same(w.except) {
		before -= now - old
	}
	if w.keys[key] != before {
		w.wrong = fmt.Sprintf("%s: told %d before, knows %d", key, before, w.keys[key])
	}
	if after > 0 {
		w.keys[key] = after
	} else {
		delete(w.keys, key)
	}
}

// TestModel runs random changes of interest and publishes against a naive model:
// plain interest gets each message once, each group exactly one member of its
// lowest tier that is allowed, watchers know the sums.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := New("N1", "C", "")
		a := b.Account("A")
		type end struct {
			p  *Port
			k  *sink
			in *Inlet
		}
		var ends []end
		add := func(c Class, reach Set, cluster string) {
			p, k := newPort(b, c, reach, cluster)
			ends = append(ends, end{p, k, b.NewInlet(p)})
		}
		for range 3 {
			add(Client, FromClient, "")
		}
		add(LeafDown, FromLeafDown, "edge")
		add(LeafDown, FromLeafDown, "edge")
		add(LeafUp, FromLeafUp, "hub")
		add(Route, FromRoute, "")
		add(Route, FromRoute, "")
		add(Border, 0, "")
		tierOf := map[Class]uint8{Client: 0, Route: 0, LeafDown: 1, LeafUp: 1, Border: 2}
		pattern := rapid.SampledFrom([]string{"a", "a.b", "a.*", "*.b", "a.>", ">", "*", "b", "b.c"})
		literal := rapid.SampledFrom([]string{"a", "a.b", "b.c", "a.b.c", "z"})
		queue := rapid.SampledFrom([]string{"", "", "q", "r"})
		var subs []*Sub
		var w *watcher
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		for range steps {
			switch rapid.IntRange(0, 6).Draw(t, "op") {
			case 0, 1:
				e := rapid.SampledFrom(ends).Draw(t, "end")
				wt := int32(1)
				q := queue.Draw(t, "queue")
				if q != "" && e.p.Class != Client {
					wt = int32(rapid.IntRange(1, 3).Draw(t, "weight"))
				}
				subs = append(subs, subscribe(a, e.p, pattern.Draw(t, "pattern"), q, tierOf[e.p.Class], wt))
			case 2:
				if len(subs) > 0 {
					i := rapid.IntRange(0, len(subs)-1).Draw(t, "sub")
					if !a.Unsubscribe(subs[i]) {
						t.Fatal("unsubscribe: not there")
					}
					subs = slices.Delete(subs, i, i+1)
				}
			case 3:
				if len(subs) > 0 {
					s := rapid.SampledFrom(subs).Draw(t, "sub")
					if s.Queue != nil {
						a.SetWeight(s, int32(rapid.IntRange(1, 4).Draw(t, "weight")))
					}
				}
			case 4:
				if w == nil {
					w = &watcher{set: Client | LeafDown, except: Origin{Class: LeafDown, Cluster: "edge"}, keys: map[string]int32{}}
					a.Watch(w, nil, nil)
				} else {
					a.Unwatch(w)
					w = nil
				}
			default:
				e := rapid.SampledFrom(ends[:8]).Draw(t, "from")
				subj := literal.Draw(t, "subject")
				if e.in.put.held == nil && rapid.Bool().Draw(t, "enqueue") {
					e.in.Enqueue(&Msg{Account: a, Subject: []byte(subj), Payload: []byte("m")})
					e.in.Flush()
				} else {
					publish(e.in, a, subj, "m")
				}
				ok := func(s *Sub) bool {
					if !subject.Match(s.Subject, []byte(subj)) || s.Port.Class&e.p.Reach == 0 {
						return false
					}
					if s.Port == e.p && s.Port.Class != Client {
						return false
					}
					return e.p.Origin.Cluster == "" || e.p.Origin.Cluster != s.Origin.Cluster
				}
				plain := map[*Sub]bool{}
				lines := map[*Port]bool{}
				best := map[string]uint8{}
				for _, s := range subs {
					if !ok(s) {
						continue
					}
					if s.Queue != nil {
						if t, have := best[string(s.Queue)]; !have || s.Tier < t {
							best[string(s.Queue)] = s.Tier
						}
						continue
					}
					if s.Port.Aggregate {
						lines[s.Port] = true
					} else {
						plain[s] = true
					}
				}
				served := map[string]int{}
				for _, d := range ends {
					got := d.k.take()
					if d.p.Aggregate && len(got) > 1 {
						t.Fatalf("%d lines for one message", len(got))
					}
					for _, g := range got {
						if g.sub != nil && g.sub.Queue == nil {
							if !plain[g.sub] {
								t.Fatalf("%q delivered to %q twice or wrongly", subj, g.sub.Subject)
							}
							delete(plain, g.sub)
						}
						if g.sub != nil && g.sub.Queue != nil {
							if g.sub.Tier != best[string(g.sub.Queue)] || !ok(g.sub) {
								t.Fatalf("group %s: member of the wrong tier", g.sub.Queue)
							}
							served[string(g.sub.Queue)]++
						}
						if g.plain {
							if !lines[d.p] {
								t.Fatalf("%q sent to a port without plain interest", subj)
							}
							delete(lines, d.p)
						}
						for _, q := range g.groups {
							if !slices.ContainsFunc(subs, func(s *Sub) bool {
								return s.Port == d.p && string(s.Queue) == q && s.Tier == best[q] && ok(s)
							}) {
								t.Fatalf("group %s: wrong port", q)
							}
							served[q]++
						}
					}
				}
				if len(plain)+len(lines) > 0 {
					t.Fatalf("%q: %d subscriptions and %d ports missed", subj, len(plain), len(lines))
				}
				for q := range best {
					if served[q] != 1 {
						t.Fatalf("group %s served %d times", q, served[q])
					}
				}
			}
			if w != nil {
				if w.wrong != "" {
					t.Fatal(w.wrong)
				}
				want := map[string]int32{}
				for _, s := range subs {
					if s.Origin.Class&w.set != 0 && !s.Origin.same(w.except) {
						want[string(s.Subject)+" "+string(s.Queue)] += s.Weight()
					}
				}
				if fmt.Sprint(want) != fmt.Sprint(w.keys) {
					t.Fatalf("watcher knows %v, want %v", w.keys, want)
				}
			}
		}
	})
}

// TestBatch: messages that were put off arrive in order, once, and before any
// that was published at once.
func TestBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := New("N1", "C", "")
		a := b.Account("A")
		src, _ := newPort(b, Client, FromClient, "")
		in := b.NewInlet(src)
		one, k := newPort(b, Client, FromClient, "")
		two, _ := newPort(b, Client, FromClient, "")
		subscribe(a, one, ">", "", 0, 1)
		if rapid.Bool().Draw(t, "group") {
			subscribe(a, two, "b", "q", 0, 1)
		}
		want := 0
		var subjects []string
		for range rapid.IntRange(1, 2000).Draw(t, "messages") {
			subj := rapid.SampledFrom([]string{"a", "a", "a", "b", "c"}).Draw(t, "subject")
			if rapid.IntRange(0, 3).Draw(t, "often") == 0 { // more subjects than the cache has places
				subj = fmt.Sprintf("s%d", rapid.IntRange(0, 60).Draw(t, "rare"))
			}
			subjects = append(subjects, subj)
			m := &Msg{Account: a, Subject: []byte(subj), Payload: fmt.Append(nil, want)}
			want++
			switch rapid.IntRange(0, 9).Draw(t, "how") {
			case 0:
				if in.Publish(m) == 0 {
					t.Fatal("not delivered")
				}
			case 1:
				in.Enqueue(m)
				in.Settle()
			case 2:
				in.Enqueue(m)
				s := subscribe(a, two, "a", "", 0, 1) // makes results stale
				a.Unsubscribe(s)
			default:
				in.Enqueue(m)
			}
		}
		in.Flush()
		got := k.take()
		if len(got) != want {
			t.Fatalf("%d messages, want %d", len(got), want)
		}
		for i, d := range got {
			if d.payload != fmt.Sprint(i) || d.subject != subjects[i] {
				t.Fatalf("message %d is %s on %s, want it on %s", i, d.payload, d.subject, subjects[i])
			}
		}
		if n := src.In.Msgs.Load(); n != int64(want) {
			t.Fatalf("counted %d, want %d", n, want)
		}
	})
}

// TestNoAllocation: the usual message, its subject cached, makes no garbage.
func TestNoAllocation(t *testing.T) {
	b := New("N1", "C", "")
	a := b.Account("A")
	src, _ := newPort(b, Client, FromClient, "")
	dst, _ := newPort(b, Client, FromClient, "")
	dst.Sink = blackhole{}
	subscribe(a, dst, "a.b", "", 0, 1)
	subscribe(a, dst, "a.*", "q", 0, 1)
	in := b.NewInlet(src)
	m := &Msg{Account: a}
	subj := []byte("a.b")
	none := []byte("z.b")
	if n := testing.AllocsPerRun(1000, func() {
		m.Subject = subj
		in.Publish(m)
		m.Subject = none
		in.Publish(m)
		in.Flush()
	}); n > 0 {
		t.Fatalf("%v allocations a message", n)
	}
	// Subjects used once.
	i := 0
	var buf []byte
	if n := testing.AllocsPerRun(5000, func() {
		i++
		buf = fmt.Appendf(buf[:0], "_INBOX.%d", i)
		m.Subject = buf
		in.Publish(m)
		in.Flush()
	}); n > 1 {
		t.Fatalf("%v allocations a message with a new subject", n)
	}
}

type blackhole struct{}

func (blackhole) Deliver(*Msg, *Sub) bool               { return true }
func (blackhole) DeliverOnce(*Msg, bool, [][]byte) bool { return true }
func (blackhole) Flush()                                {}

func BenchmarkPublish(b *testing.B) {
	for _, subs := range []int{0, 1, 10, 100} {
		for _, subjects := range []int{1, 100, 3000} {
			b.Run(fmt.Sprintf("subs=%d/subjects=%d", subs, subjects), func(b *testing.B) {
				br := New("N1", "C", "")
				a := br.Account("A")
				src, _ := newPort(br, Client, FromClient, "")
				for range subs {
					dst, _ := newPort(br, Client, FromClient, "")
					dst.Sink = blackhole{}
					subscribe(a, dst, "bench.>", "", 0, 1)
				}
				in := br.NewInlet(src)
				m := &Msg{Account: a, Payload: bytes.Repeat([]byte("x"), 128)}
				list := make([][]byte, subjects)
				for i := range list {
					list[i] = fmt.Appendf(nil, "bench.subject.%d", i)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					m.Subject = list[i%len(list)]
					in.Publish(m)
					if i%256 == 0 {
						in.Flush()
					}
				}
			})
		}
	}
}

// TestBatchOneConnection: two subscriptions of one connection get messages in
// the order of publishing, not one subscription's after the other's.
func TestBatchOneConnection(t *testing.T) {
	b := New("N1", "C", "")
	a := b.Account("A")
	src, _ := newPort(b, Client, FromClient, "")
	in := b.NewInlet(src)
	dst, k := newPort(b, Client, FromClient, "")
	subscribe(a, dst, "a", "", 0, 1)
	subscribe(a, dst, ">", "", 0, 1)
	for i := range 20 { // more connections than are compared one by one
		p, _ := newPort(b, Client, FromClient, "")
		if i%2 == 0 {
			subscribe(a, p, "a", "", 0, 1)
		}
		for n := range 3 {
			in.Enqueue(&Msg{Account: a, Subject: []byte("a"), Payload: fmt.Append(nil, n)})
		}
		in.Flush()
		for at, d := range k.take() {
			if d.payload != fmt.Sprint(at/2) {
				t.Fatalf("delivery %d is message %s", at, d.payload)
			}
		}
	}
}

// TestResultSize: results lie on whole lines of the processor's cache, which the
// allocator gives to objects of this size.
func TestResultSize(t *testing.T) {
	if size := unsafe.Sizeof(result{}); unsafe.Sizeof(uintptr(0)) == 8 && size != 256 {
		t.Errorf("a result takes %d bytes", size)
	}
}

// TestCacheFollowsSubjects: the cache of an inlet becomes large enough for the
// subjects that come back, however many times they are more than it holds at
// first, and stays small beside those that do not.
func TestCacheFollowsSubjects(t *testing.T) {
	b := New("N1", "C", "")
	a := b.Account("A")
	src, _ := newPort(b, Client, FromClient, "")
	round := func(in *Inlet, n int, subj func(i int) string) (misses int) {
		for i := range n {
			if r := in.find(a, []byte(subj(i))); r == &in.spare || !r.used {
				misses++
			}
		}
		return misses
	}
	sensor := func(i int) string { return fmt.Sprintf("plant.sensor.%d", i) }
	for _, n := range []int{2, 32, 100, 500, 2500, 4000} {
		in := b.NewInlet(src)
		for range 20 {
			round(in, n, sensor)
		}
		if misses := round(in, n, sensor); misses > n/8 {
			t.Errorf("%d subjects in turn: %d misses, %d slots", n, misses, len(in.slots))
		}
		if len(in.slots) > max(cacheMin, 8*n) {
			t.Errorf("%d subjects in turn: %d slots", n, len(in.slots))
		}
	}
	in := b.NewInlet(src)
	for i := range 100_000 { // one of five is used for the first and last time
		round(in, 4, sensor)
		round(in, 1, func(int) string { return fmt.Sprintf("_INBOX.%d", i) })
	}
	if len(in.slots) != cacheMin {
		t.Errorf("%d slots for four subjects and those used once", len(in.slots))
	}
	if misses := round(in, 4, sensor); misses > 0 {
		t.Errorf("%d of four subjects were driven out by those used once", misses)
	}
	in.Rest()
	if in.slots != nil {
		t.Error("a cache at rest")
	}
}
