//go:build soak && linux

package soak

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/e2e/traffic"
)

// Four publishers in each of three regions send numbered messages to subscribers at every hub, while one gwd of each
// region in turn, then the other, is killed and comes back. Nothing comes twice or out of order, and what is lost was
// sent within a second of a kill.
func TestRegionsWhileBordersDie(t *testing.T) {
	count, rate := setting(t, "SOAK_COUNT", 100_000), setting(t, "SOAK_RATE", 1000)
	e := estate.New(t, bins)
	regions := e.Regions(
		estate.RegionSpec{Name: "sfo"},
		estate.RegionSpec{Name: "ams", RTT: 10 * time.Millisecond},
		estate.RegionSpec{Name: "sgp", RTT: 20 * time.Millisecond},
	)
	load := traffic.Load{Count: count, Rate: rate}
	for _, r := range regions {
		for i := range 4 {
			load.Publishers = append(load.Publishers, e.Connect(r.Hubs[i%2], nats.NoEcho()))
		}
		for _, h := range r.Hubs {
			load.Receivers = append(load.Receivers, traffic.Receiver{Name: h.Name, Conns: []*nats.Conn{e.Connect(h)}})
		}
	}
	run, err := traffic.Start(t.Context(), load)
	if err != nil {
		t.Fatal(err)
	}
	var kills []traffic.Event
	for round := 0; ; round++ {
		victim := regions[round%len(regions)].Borders[round/len(regions)%2]
		if !sleep(run, 4*time.Second) {
			break
		}
		kills = append(kills, traffic.Event{What: fmt.Sprintf("kill of %s", victim.Name), At: time.Now()})
		victim.Kill()
		alive := sleep(run, 2*time.Second)
		if err := victim.Restart(); err != nil {
			t.Fatal(err)
		}
		if !alive {
			break
		}
		e.AwaitMesh(regions...)
	}
	rep, err := run.Wait()
	if err != nil {
		t.Error(err)
	}
	t.Logf("%v\n%s", rep, rep.Explain(kills, time.Second, time.Second))
	if len(kills) < 3 && count >= 20_000 {
		t.Errorf("only %d kills fell into the run", len(kills))
	}
	if rep.Duplicates > 0 || rep.Misordered > 0 {
		t.Errorf("%d messages came twice, %d out of order: %q", rep.Duplicates, rep.Misordered, rep.Odd)
	}
	if late := rep.Outside(kills, time.Second, time.Second); len(late) > 0 {
		t.Errorf("%d deliveries lost far from any kill, the first %+v", len(late), late[0])
	}
}

// sleep waits, and returns false when the run is over.
func sleep(run *traffic.Run, d time.Duration) bool {
	select {
	case <-run.Done():
		return false
	case <-time.After(d):
		return true
	}
}
