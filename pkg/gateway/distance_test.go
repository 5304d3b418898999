package gateway

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/wire"
)

func TestDistance(t *testing.T) {
	const ms = time.Millisecond
	for _, x := range []struct {
		name    string
		samples []time.Duration
		known   time.Duration
		changes int
	}{
		{"one", []time.Duration{20 * ms}, 20 * ms, 1},
		{"none is too small", []time.Duration{0}, time.Microsecond, 1},
		{"a slow first one", []time.Duration{90 * ms, 20 * ms, 21 * ms, 20 * ms}, 20 * ms, 2},
		{"each better one at first", []time.Duration{22 * ms, 21 * ms, 20 * ms, 19 * ms}, 19 * ms, 4},
		{"steady later", []time.Duration{20 * ms, 20 * ms, 20 * ms, 20 * ms, 19 * ms, 18500 * time.Microsecond}, 20 * ms, 1},
		{"a burst of load passes", []time.Duration{20 * ms, 90 * ms, 90 * ms, 90 * ms, 90 * ms, 90 * ms, 90 * ms, 20 * ms, 90 * ms}, 20 * ms, 1},
		{"a longer way", []time.Duration{20 * ms, 60 * ms, 60 * ms, 60 * ms, 60 * ms, 60 * ms, 60 * ms, 60 * ms, 60 * ms}, 60 * ms, 2},
		{"a shorter way", []time.Duration{60 * ms, 60 * ms, 60 * ms, 60 * ms, 60 * ms, 20 * ms}, 20 * ms, 2},
	} {
		t.Run(x.name, func(t *testing.T) {
			var d distance
			changes := 0
			for _, s := range x.samples {
				if d.add(s) {
					changes++
				}
			}
			if d.known != x.known.Microseconds() || changes != x.changes {
				t.Fatalf("%d us after %d changes; want %v after %d", d.known, changes, x.known, x.changes)
			}
		})
	}
}

// TestDistanceSteady: round trips that are never less than the way takes and at most
// a tenth above it, and now and then any longer, move the distance no more once
// the first ones are there.
func TestDistanceSteady(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		way := time.Duration(rapid.IntRange(1, 300).Draw(t, "way")) * time.Millisecond
		var d distance
		for i := range 200 {
			rtt := way + time.Duration(rapid.Int64Range(0, int64(way/10)).Draw(t, "jitter"))
			if i%4 == 3 { // load
				rtt += time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "load"))
			}
			if d.add(rtt) && i > earlyProbes {
				t.Fatalf("sample %d, %v, moved a way of %v to %d us", i, rtt, way, d.known)
			}
		}
	})
}

// TestFirstSecond: a peer that is slow to answer the first PING only. Within about a
// second its distance is what the later ones say.
func TestFirstSecond(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	const slow = 300 * time.Millisecond
	a := newSite(t, "A", nil, remote("B", lis.Addr().String()))
	a.Open()
	nc, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p := &raw{t, nc, newReader(nc)}
	p.send(strings.TrimSpace(string(wire.AppendInfo(nil, &wire.GatewayInfo{
		ServerID: "NB", ServerName: "b", Gateway: "B", Headers: true, NewReplyPrefix: true, InterestOnlyMode: true,
	}))))
	p.until("PING")
	time.Sleep(slow) // it is what is measured
	p.send("PONG")
	r := a.has(t, "B")
	if d := time.Duration(r.port.Distance.Load()) * time.Microsecond; d < slow {
		t.Fatalf("the first round trip was %v, less than %v", d, slow)
	}
	done := make(chan string, 1)
	go func() {
		for {
			switch l := p.line(); l {
			case "":
				done <- "ended"
				return
			case "PING":
				p.send("PONG")
			default:
				done <- fmt.Sprintf("unexpected %q", l)
				return
			}
		}
	}()
	began := time.Now()
	await(t, "the smaller distance", func() bool { return r.port.Distance.Load() < slow.Microseconds()/2 })
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("it took %v", took)
	}
	await(t, "Remotes tells it", func() bool {
		list := a.Remotes()
		return len(list) == 1 && list[0].RTT < slow.Microseconds()/2
	})
	select {
	case s := <-done:
		t.Fatal(s)
	default:
	}
}
