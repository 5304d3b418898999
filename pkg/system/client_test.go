package system_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/system"
)

// TestClientExchange: what one client publishes another is given, with header and
// reply subject, in its account only.
func TestClientExchange(t *testing.T) {
	b := broker.New("N", "", "")
	one, two := system.NewClient(b, 0), system.NewClient(b, 0)
	defer one.Close()
	defer two.Close()
	a := b.Account("A")
	got := make(chan *system.Request, 10)
	s := one.Subscribe(a, "x.*", system.SubOptions{}, func(r *system.Request) { got <- r })
	one.Subscribe(b.Account("B"), ">", system.SubOptions{}, func(*system.Request) { t.Error("left its account") })
	hdr := []byte("NATS/1.0\r\nA: b\r\n\r\n")
	payload := []byte("hello")
	if n := two.Publish(a, "x.y", "reply.to", hdr, payload); n != 1 {
		t.Fatalf("%d destinations, want 1", n)
	}
	copy(payload, "XXXXX") // the request is a copy
	r := <-got
	if r.Subject != "x.y" || r.Reply != "reply.to" || string(r.Header) != string(hdr) || string(r.Payload) != "hello" ||
		r.Account != a || r.From != two.ID() || r.Class != broker.Client {
		t.Errorf("%+v", r)
	}
	two.Publish(a, "x.z", "", nil, nil)
	if r := <-got; r.Header != nil || r.Reply != "" || len(r.Payload) != 0 {
		t.Errorf("%+v", r)
	}
	one.Unsubscribe(s)
	if n := two.Publish(a, "x.y", "", nil, nil); n != 0 {
		t.Errorf("%d destinations after Unsubscribe", n)
	}
	if a.Subscriptions() != 0 {
		t.Errorf("%d subscriptions left", a.Subscriptions())
	}
}

// TestClientHandlersAreNotOnThePublishersGoroutine: a handler may wait for the
// publisher, publish and subscribe.
func TestClientHandlersAreNotOnThePublishersGoroutine(t *testing.T) {
	b := broker.New("N", "", "")
	c := system.NewClient(b, 0)
	defer c.Close()
	a := b.Account("A")
	published, answered := make(chan struct{}), make(chan struct{})
	c.Subscribe(a, "answer", system.SubOptions{}, func(*system.Request) { close(answered) })
	c.Subscribe(a, "ask", system.SubOptions{}, func(r *system.Request) {
		<-published
		c.Publish(r.Account, r.Reply, "", nil, []byte("yes"))
	})
	c.Publish(a, "ask", "answer", nil, nil) // to itself as well
	close(published)
	<-answered
}

// TestClientRefusesWhatItCantQueue, and takes messages again when it has room.
func TestClientRefusesWhatItCantQueue(t *testing.T) {
	b := broker.New("N", "", "")
	c := system.NewClient(b, 0)
	defer c.Close()
	src := system.NewClient(b, 0)
	defer src.Close()
	a := b.Account("A")
	hold, done := make(chan struct{}), make(chan struct{})
	var handled atomic.Int64
	c.Do(func() { <-hold })
	c.Subscribe(a, "x", system.SubOptions{}, func(*system.Request) { handled.Add(1) })
	big := make([]byte, 1<<20)
	taken := 0
	for taken < 1000 && src.Publish(a, "x", "", nil, big) == 1 {
		taken++
	}
	if taken < 10 || taken > 16 {
		t.Errorf("%d messages of 1 MiB were queued, want what fits into 16 MiB", taken)
	}
	small := 0
	for small < 100_000 && c.Do(func() {}) {
		small++
	}
	if small == 100_000 {
		t.Error("the queue has no end")
	}
	close(hold)
	for !c.Do(func() { close(done) }) {
	}
	<-done
	if n := handled.Load(); n != int64(taken) {
		t.Errorf("%d handled of %d", n, taken)
	}
	if src.Publish(a, "x", "", nil, big) != 1 {
		t.Error("refused although there is room")
	}
}

// TestClientAccept: what is not accepted counts as not delivered.
func TestClientAccept(t *testing.T) {
	b := broker.New("N", "", "")
	c := system.NewClient(b, 0)
	defer c.Close()
	a := b.Account("A")
	o := system.SubOptions{Accept: func(m *broker.Msg) bool { return strings.HasSuffix(string(m.Subject), ".yes") }}
	got := make(chan string, 2)
	c.Subscribe(a, "x.*", o, func(r *system.Request) { got <- r.Subject })
	if n := c.Publish(a, "x.no", "", nil, nil); n != 0 {
		t.Errorf("%d destinations, want none", n)
	}
	if n := c.Publish(a, "x.yes", "", nil, nil); n != 1 {
		t.Errorf("%d destinations, want 1", n)
	}
	if s := <-got; s != "x.yes" {
		t.Errorf("got %s", s)
	}
}

type watcher struct{ told map[string]int32 }

func (w *watcher) Snapshot(_ *broker.Account, in *broker.Interest) { w.note(in) }
func (w *watcher) Changed(_ *broker.Account, in *broker.Interest, _ broker.Origin, _, _ int32) {
	w.note(in)
}

func (w *watcher) note(in *broker.Interest) {
	w.told[string(in.Subject)] = in.Sum(^broker.Set(0), broker.Origin{})
}

// TestClientLocalInterest: other servers hear of ordinary interest only, and Wanted
// does not count the client's own.
func TestClientLocalInterest(t *testing.T) {
	b := broker.New("N", "", "")
	c, other := system.NewClient(b, 0), system.NewClient(b, 0)
	defer c.Close()
	defer other.Close()
	a := b.Account("A")
	w := &watcher{told: make(map[string]int32)}
	a.Watch(w, nil, nil)
	defer a.Unwatch(w)
	c.Subscribe(a, "here", system.SubOptions{Local: true}, func(*system.Request) {})
	c.Subscribe(a, "all", system.SubOptions{}, func(*system.Request) {})
	if w.told["here"] != 0 || w.told["all"] != 1 {
		t.Errorf("told %v", w.told)
	}
	if c.Wanted(a, "all") || c.Wanted(a, "nobody") {
		t.Error("nobody but the client itself listens")
	}
	if !other.Wanted(a, "all") {
		t.Error("the first client listens")
	}
}

// TestClientClose: what is queued is handled, then nothing more is taken.
func TestClientClose(t *testing.T) {
	b := broker.New("N", "", "")
	c := system.NewClient(b, 0)
	var n int
	for i := range 100 {
		if !c.Do(func() { n++ }) {
			t.Fatalf("job %d was refused", i)
		}
	}
	a := b.Account("A")
	c.Subscribe(a, ">", system.SubOptions{}, func(*system.Request) {})
	c.Close()
	c.Close()
	if n != 100 {
		t.Errorf("%d jobs were done, want 100", n)
	}
	if c.Do(func() {}) || a.Subscriptions() != 0 {
		t.Error("alive after Close")
	}
}

// BenchmarkDeliver is what a request costs the connection that it comes from.
func BenchmarkDeliver(b *testing.B) {
	br := broker.New("N", "", "")
	for _, size := range []int{0, 128} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c, src := system.NewClient(br, 0), system.NewClient(br, 0)
			defer c.Close()
			defer src.Close()
			a := br.Account("A")
			c.Subscribe(a, "x", system.SubOptions{}, func(*system.Request) {})
			payload := make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				src.Publish(a, "x", "r", nil, payload)
			}
		})
	}
}
