//go:build soak && linux

package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/e2e/traffic"
)

// mishap is something that may happen to a world. It returns when all is well again.
type mishap struct {
	name string
	do   func(m *mishaps) (what string)
}

// mishaps is a world under load to which things happen.
type mishaps struct {
	t       *testing.T
	e       *estate.Estate
	r       *rand.Rand
	regions []*estate.Region
	clients []*nats.Conn
}

func (m *mishaps) region() *estate.Region { return m.regions[m.r.IntN(len(m.regions))] }
func (m *mishaps) border() *estate.Node {
	r := m.region()
	return r.Borders[m.r.IntN(len(r.Borders))]
}
func (m *mishaps) hub() *estate.Node {
	r := m.region()
	return r.Hubs[m.r.IntN(len(r.Hubs))]
}
func (m *mishaps) while(least, most time.Duration) {
	time.Sleep(least + time.Duration(m.r.Int64N(int64(most-least))))
}

func (m *mishaps) restart(n *estate.Node) {
	if err := n.Restart(); err != nil {
		m.t.Fatalf("restarting %s: %v", n.Name, err)
	}
}

var kinds = []mishap{
	{"kill of a border node", func(m *mishaps) string {
		n := m.border()
		n.Kill()
		m.while(100*time.Millisecond, 5*time.Second)
		m.restart(n)
		return n.Name
	}},
	{"kill of a hub", func(m *mishaps) string {
		n := m.hub()
		n.Kill()
		m.while(100*time.Millisecond, 5*time.Second)
		m.restart(n)
		return n.Name
	}},
	{"kill of a whole border", func(m *mishaps) string {
		r := m.region()
		for _, n := range r.Borders {
			n.Kill()
		}
		m.while(100*time.Millisecond, 3*time.Second)
		for _, n := range r.Borders {
			m.restart(n)
		}
		return r.Name
	}},
	{"gentle stop of a border node", func(m *mishaps) string {
		n := m.border()
		if err := n.Process().Signal(syscall.SIGUSR2); err != nil {
			m.t.Fatal(err)
		}
		if code, err := n.Process().Wait(m.e.Context()); err != nil || code != 0 {
			m.t.Errorf("%s ended with %d, %v", n.Name, code, err)
		}
		m.restart(n)
		return n.Name
	}},
	{"stop of a border node", func(m *mishaps) string {
		n := m.border()
		if code, err := n.Process().Term(m.e.Context()); err != nil || code != 0 {
			m.t.Errorf("%s ended with %d, %v", n.Name, code, err)
		}
		m.while(100*time.Millisecond, 2*time.Second)
		m.restart(n)
		return n.Name
	}},
	{"cut of a road", func(m *mishaps) string {
		n := m.border()
		n.Road().Cut()
		return n.Name
	}},
	{"road blocked", func(m *mishaps) string {
		n := m.border()
		n.Road().Refuse(true)
		n.Road().Cut()
		m.while(500*time.Millisecond, 5*time.Second)
		n.Road().Refuse(false)
		return n.Name
	}},
	{"road that swallows everything", func(m *mishaps) string {
		n := m.border()
		n.Road().Freeze()
		m.while(200*time.Millisecond, 8*time.Second)
		n.Road().Thaw()
		return n.Name
	}},
	{"border node that comes back while a road swallows everything", func(m *mishaps) string {
		n, road := m.border(), m.border()
		n.Kill()
		m.while(100*time.Millisecond, time.Second)
		m.restart(n)
		m.while(0, 2*time.Second)
		road.Road().Freeze()
		m.while(time.Second, 4*time.Second)
		road.Road().Thaw()
		return n.Name + " and the road to " + road.Name
	}},
	{"suspension of a border node", func(m *mishaps) string {
		n := m.border()
		_ = n.Process().Freeze()
		m.while(200*time.Millisecond, 9*time.Second)
		_ = n.Process().Thaw()
		return n.Name
	}},
}

// well waits until every route, every road and every client is there again.
func (m *mishaps) well() {
	m.e.AwaitMesh(m.regions...)
	m.e.Eventually("all clients are connected", func() error {
		for _, nc := range m.clients {
			if !nc.IsConnected() {
				return fmt.Errorf("one to %s is not", nc.Opts.Url)
			}
		}
		return nil
	})
}

// For half an hour (SOAK_TIME) servers and links fail at random under load. No message comes twice, each publisher's order is
// kept, messages are lost only while something is amiss, and afterwards every path works again.
func TestRandomMishaps(t *testing.T) {
	duration := span(t, "SOAK_TIME", 30*time.Minute)
	seed := uint64(setting(t, "SOAK_SEED", int(time.Now().UnixNano()&0xffffff)))
	t.Logf("SOAK_SEED=%d", seed)
	const rate = 100
	m := &mishaps{t: t, e: estate.New(t, bins), r: rand.New(rand.NewPCG(seed, 7))}
	m.regions = m.e.Regions(
		estate.RegionSpec{Name: "sfo"},
		estate.RegionSpec{Name: "ams", RTT: 8 * time.Millisecond},
		estate.RegionSpec{Name: "sgp", RTT: 30 * time.Millisecond},
	)
	load := traffic.Load{Count: int(duration.Seconds() * rate), Rate: rate}
	connect := func(n *estate.Node) *nats.Conn {
		nc := m.e.Connect(n, nats.IgnoreDiscoveredServers(), nats.PingInterval(2*time.Second), nats.ReconnectBufSize(64<<20))
		m.clients = append(m.clients, nc)
		return nc
	}
	for _, r := range m.regions {
		for _, h := range r.Hubs {
			load.Publishers = append(load.Publishers, connect(h))
			load.Receivers = append(load.Receivers, traffic.Receiver{Name: h.Name, Conns: []*nats.Conn{connect(h)}})
		}
	}
	run, err := traffic.Start(t.Context(), load)
	if err != nil {
		t.Fatal(err)
	}
	only := chosen(t)
	var amiss []period
	for sleep(run, time.Duration(1+m.r.IntN(3))*time.Second) {
		kind := only[m.r.IntN(len(only))]
		p, at := period{from: time.Now()}, run.Elapsed()
		what := kind.do(m)
		m.well()
		p.to, p.what = time.Now(), kind.name+": "+what
		amiss = append(amiss, p)
		t.Logf("%v: %s, all well after %v", at, p.what, p.to.Sub(p.from).Round(time.Millisecond))
	}
	rep, err := run.Wait()
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d mishaps; %v", len(amiss), rep)
	if rep.Duplicates > 0 {
		t.Errorf("%d messages came twice: %q", rep.Duplicates, rep.Odd)
	}
	if rep.Misordered > 0 {
		t.Errorf("%d messages out of order: %q", rep.Misordered, rep.Odd)
	}
	// A second before: what waited in buffers. Two after: interest on its way to the last server.
	lost := slices.DeleteFunc(slices.Clone(rep.Lost), func(l traffic.Loss) bool {
		return slices.ContainsFunc(amiss, func(p period) bool {
			return l.Sent.After(p.from.Add(-time.Second)) && l.Sent.Before(p.to.Add(2*time.Second))
		})
	})
	if len(lost) > 0 {
		t.Errorf("%d deliveries lost though nothing was amiss, the first %+v", len(lost), lost[0])
	}
	by := make(map[string]int)
	for _, l := range rep.Lost {
		for _, p := range amiss {
			if l.Sent.After(p.from.Add(-time.Second)) && l.Sent.Before(p.to.Add(2*time.Second)) {
				by[strings.SplitN(p.what, ":", 2)[0]]++
				break
			}
		}
	}
	t.Logf("deliveries lost by kind of mishap: %v", by)
}

// chosen are the kinds that SOAK_MISHAPS, a regular expression, picks by name.
func chosen(t *testing.T) []mishap {
	t.Helper()
	re, err := regexp.Compile(os.Getenv("SOAK_MISHAPS"))
	if err != nil {
		t.Fatalf("SOAK_MISHAPS: %v", err)
	}
	some := slices.DeleteFunc(slices.Clone(kinds), func(m mishap) bool { return !re.MatchString(m.name) })
	if len(some) == 0 {
		t.Fatalf("SOAK_MISHAPS=%s picks none", re)
	}
	return some
}

// period is when something was amiss.
type period struct {
	what     string
	from, to time.Time
}
