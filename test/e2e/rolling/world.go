//go:build linux

package rolling

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/procs"
)

// Kinds of applications.
const (
	Defaults = "defaults" // the official client as it is
	Advised  = "advised"  // follows the advice
)

// Config is the size of a measurement.
type Config struct {
	Hubs  int           // of each region
	RTT   time.Duration // between the regions
	Rate  int           // messages a second of each publisher
	Asks  int           // requests a second of each requester
	Grace time.Duration // lifecycle.drain_grace
	// Nodes picks those that are restarted, nil: all.
	Nodes func(name string) bool
}

// Way is how a server is asked to leave.
type Way string

// Ways. The first is the one that the script has by itself.
const (
	Drain Way = "drain"
	Term  Way = "SIGTERM"
	Kill  Way = "SIGKILL"
)

// Result is what the applications of one kind noticed.
type Result struct {
	Kind    string
	Clients int
	Moved   int // clients that went to another server, times
	Ended   int // connections that a server ended
	Cut     int // of these, without having been told before

	Requests, NoResponders, Timeouts, OtherErrors int
	SlowestRequest                                time.Duration

	GroupSent, GroupLost, GroupTwice               int
	PlainExpected, PlainLost, PlainTwice, Disorder int

	FirstFailure, FirstLoss, FirstCut string
}

// Failed is how many requests had no answer.
func (r *Result) Failed() int { return r.NoResponders + r.Timeouts + r.OtherErrors }

func (r *Result) String() string {
	return fmt.Sprintf("%s: %d clients, %d moves, %d connections ended, %d without a warning; %d requests, %d failed (%d no responders, %d timeouts, %d others), "+
		"slowest %v; groups: %d of %d lost, %d twice; subscribers: %d of %d lost, %d twice, %d out of order %s %s %s",
		r.Kind, r.Clients, r.Moved, r.Ended, r.Cut, r.Requests, r.Failed(), r.NoResponders, r.Timeouts, r.OtherErrors,
		r.SlowestRequest.Round(time.Millisecond), r.GroupLost, r.GroupSent, r.GroupTwice, r.PlainLost, r.PlainExpected, r.PlainTwice, r.Disorder,
		r.FirstFailure, r.FirstLoss, r.FirstCut)
}

// World is two regions with their edges and applications.
type World struct {
	*estate.Estate
	t       testing.TB
	cfg     Config
	regions []*estate.Region
	edges   [][]*estate.Node // by region
}

// New starts the servers, and builds their other versions.
func New(t testing.TB, bins *procs.Binaries, cfg Config, versions ...string) *World {
	t.Helper()
	w := &World{Estate: estate.New(t, bins), t: t, cfg: cfg}
	for _, v := range versions {
		for _, name := range []string{"hubd", "gwd", "leafd"} {
			w.BuildVersion(name, v)
		}
	}
	w.Cert("hub", certs.Server|certs.Client)
	tls := w.TLSBlock("hub")
	w.regions = w.Regions(
		estate.RegionSpec{Name: "sfo", Hubs: cfg.Hubs, Grace: cfg.Grace, LeafTLS: tls},
		estate.RegionSpec{Name: "ams", Hubs: cfg.Hubs, Grace: cfg.Grace, LeafTLS: tls, RTT: cfg.RTT},
	)
	ca := w.Cert("hub", certs.Server|certs.Client).CA
	for _, r := range w.regions {
		var urls []string
		for _, h := range r.Hubs {
			urls = append(urls, "tls://"+h.Addr("leafnodes"))
		}
		var pair []*estate.Node
		for i := range 2 {
			turned := append(append([]string(nil), urls[i%len(urls):]...), urls[:i%len(urls)]...)
			pair = append(pair, w.Edge(estate.EdgeSpec{Name: fmt.Sprintf("edge-%s-%d", r.Name, i+1), URLs: turned, TLS: "{ca: " + ca + "}", Grace: cfg.Grace}))
		}
		w.Start(pair...)
		w.edges = append(w.edges, pair)
	}
	w.awaitEdges()
	return w
}

func (w *World) awaitEdges() {
	for _, pair := range w.edges {
		for _, e := range pair {
			w.Eventually(e.Name+" has its link", func() error {
				v, err := e.Varz()
				if err == nil && v.Leafs != 1 {
					err = fmt.Errorf("%d leaf links", v.Leafs)
				}
				return err
			})
		}
	}
}

// servers are all that may be upgraded, in the order of an inventory.
func (w *World) servers(f func(region, role string, n *estate.Node)) {
	for i, r := range w.regions {
		for _, n := range w.edges[i] {
			f(r.Name, "leaf", n)
		}
		for _, n := range r.Borders {
			f(r.Name, "gwd", n)
		}
		for _, n := range r.Hubs {
			f(r.Name, "hub", n)
		}
	}
}

// urls are those of nodes, beginning with the nth.
func urls(nodes []*estate.Node, first int) []string {
	var all []string
	for i := range nodes {
		all = append(all, nodes[(first+i)%len(nodes)].URL())
	}
	return all
}

// fleet is all applications of one kind. At the hubs and at the edges of each region there are a publisher, subscribers,
// members of a group, a service and somebody who asks it.
type fleet struct {
	w     *World
	kind  string
	watch *watch
	all   []client

	asked  asked
	group  *book
	plains []*book

	sent []uint32 // by publisher
	stop chan struct{}
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []string
}

func (f *fleet) connect(name string, servers []string) client {
	f.w.t.Helper()
	name = f.kind + " " + name
	var p *plain
	opts := []nats.Option{
		nats.Name(name), nats.DisconnectErrHandler(func(nc *nats.Conn, err error) { f.watch.lost(nc, name, err) }),
		nats.LameDuckModeHandler(f.watch.tell), nats.DrainTimeout(10 * time.Second),
	}
	var c client
	var err error
	if f.kind == Advised {
		c, err = Move(servers, opts...)
	} else {
		p = new(plain)
		opts = append(opts, nats.ReconnectHandler(func(*nats.Conn) { p.moves.Add(1) }))
		p.Conn, err = nats.Connect(strings.Join(servers, ","), opts...)
		c = p
	}
	if err != nil {
		f.w.t.Fatalf("%s: %v", name, err)
	}
	f.all = append(f.all, c)
	f.w.t.Cleanup(c.Close)
	return c
}

// newFleet connects and subscribes.
func (w *World) newFleet(kind string) *fleet {
	w.t.Helper()
	f := &fleet{w: w, kind: kind, watch: newWatch(), group: newBook("the group"), stop: make(chan struct{})}
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	everything := kind + ".load"
	var publishers, askers []client
	for i, r := range w.regions {
		for at, nodes := range map[string][]*estate.Node{"hubs": r.Hubs, "edges": w.edges[i]} {
			where := r.Name + " " + at
			for k := range 2 {
				service := f.connect(where+" service", urls(nodes, k))
				must(service.Subscribe(kind+".service."+r.Name, "service", func(m *nats.Msg) { _ = m.Respond(m.Data) }))
				worker := f.connect(where+" worker", urls(nodes, k+1))
				must(worker.Subscribe(everything, "workers", f.group.note))
				b := newBook(fmt.Sprintf("%s subscriber %d", where, k))
				group := ""
				if kind == Advised {
					group = fmt.Sprintf("only-%s-%s-%d", r.Name, at, k) // of its own
				}
				subscriber := f.connect(where+" subscriber", urls(nodes, k))
				must(subscriber.Subscribe(everything, group, b.note))
				f.plains = append(f.plains, b)
			}
			publishers = append(publishers, f.connect(where+" publisher", urls(nodes, 0)))
			askers = append(askers, f.connect(where+" requester", urls(nodes, 1)))
		}
	}
	f.sent = make([]uint32, len(publishers))
	f.warmUp(publishers, askers)
	for i, p := range publishers {
		f.wg.Go(func() { f.publish(uint32(i), p, everything) })
	}
	for i, a := range askers {
		f.wg.Go(func() { f.ask(fmt.Sprintf("requester %d", i), a) })
	}
	return f
}

// warmUp waits until everything reaches everybody. Messages with the number 0 do not count.
func (f *fleet) warmUp(publishers, askers []client) {
	f.w.t.Helper()
	for i, p := range publishers {
		f.w.Eventually(fmt.Sprintf("%s: publisher %d reaches everybody", f.kind, i), func() error {
			if err := p.Publish(f.kind+".load", message(uint32(i), 0)); err != nil {
				return err
			}
			for k, b := range append([]*book{f.group}, f.plains...) {
				if !b.has(uint32(i), 0) {
					return fmt.Errorf("not subscriber %d", k)
				}
			}
			return nil
		})
	}
	for i, a := range askers {
		for _, r := range f.w.regions {
			f.w.Eventually(fmt.Sprintf("%s: requester %d is answered by %s", f.kind, i, r.Name), func() error {
				_, err := a.Request(f.kind+".service."+r.Name, []byte("ready?"), 2*time.Second)
				return err
			})
		}
	}
	for _, b := range append([]*book{f.group}, f.plains...) {
		b.mu.Lock()
		clear(b.seen)
		b.received, b.duplicates = 0, 0
		b.mu.Unlock()
	}
}

func (f *fleet) publish(i uint32, c client, subject string) {
	tick := time.NewTicker(time.Second / time.Duration(f.w.cfg.Rate))
	defer tick.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
		if err := c.Publish(subject, message(i, f.sent[i]+1)); err != nil {
			f.complain(fmt.Sprintf("publisher %d: %v", i, err))
			continue
		}
		f.sent[i]++
	}
}

func (f *fleet) complain(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) < 5 {
		f.errs = append(f.errs, text)
	}
}

// ask asks the services of all regions in turn, for some time each, and does not wait for the answer before the next.
func (f *fleet) ask(name string, c client) {
	tick := time.NewTicker(time.Second / time.Duration(f.w.cfg.Asks))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
		subject := f.kind + ".service." + f.w.regions[n%len(f.w.regions)].Name
		f.wg.Go(func() {
			began := time.Now()
			_, err := c.Request(subject, []byte("question"), 5*time.Second)
			f.asked.note(name, subject, began, err)
		})
	}
}

// end stops the applications and counts.
func (f *fleet) end() *Result {
	close(f.stop)
	f.wg.Wait()
	// What is still on its way has arrived when nothing comes any more.
	books := append([]*book{f.group}, f.plains...)
	total := func() (n int) {
		for _, b := range books {
			b.mu.Lock()
			n += b.received + b.duplicates
			b.mu.Unlock()
		}
		return n
	}
	for before := -1; before != total(); time.Sleep(time.Second) {
		before = total()
	}
	r := &Result{Kind: f.kind, Clients: len(f.all)}
	for _, c := range f.all {
		r.Moved += c.Moves()
	}
	for _, c := range f.all {
		c.Close()
	}
	f.watch.mu.Lock()
	r.Ended, r.Cut, r.FirstCut = f.watch.ended, f.watch.cut, f.watch.firstly
	f.watch.mu.Unlock()
	a := &f.asked
	a.mu.Lock()
	r.Requests, r.NoResponders, r.Timeouts, r.OtherErrors = a.sent, a.noResponders, a.timeouts, a.others
	r.SlowestRequest, r.FirstFailure = a.slowest, a.firstFailure
	a.mu.Unlock()
	for _, n := range f.sent {
		r.GroupSent += int(n)
	}
	r.GroupLost, r.FirstLoss = f.group.missing(f.sent)
	r.GroupTwice = f.group.duplicates
	for _, b := range f.plains {
		lost, first := b.missing(f.sent)
		r.PlainLost += lost
		if r.FirstLoss == "" {
			r.FirstLoss = first
		}
		r.PlainExpected += r.GroupSent
		r.PlainTwice += b.duplicates
		r.Disorder += b.misordered
	}
	if len(f.errs) > 0 {
		f.w.t.Logf("%s: %q", f.kind, f.errs)
	}
	return r
}
