//go:build soak && linux

package soak

import (
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/e2e/scenario"
	"github.com/banyanmq/banyan/test/procs"
)

// An idle leafd without streams, linked to its hub over TLS, stays below 20 MB.
func TestIdleEdgeIsSmall(t *testing.T) {
	const limit = 20 << 20
	e := estate.New(t, bins)
	hub := e.Hub(estate.HubSpec{Name: "hub", LeafTLS: e.TLSBlock("hub")})
	e.Start(hub)
	edge := e.Edge(estate.EdgeSpec{
		Name: "edge", URLs: []string{"tls://" + hub.Addr("leafnodes")}, TLS: "{ca: " + e.Cert("hub", certs.Server|certs.Client).CA + ", timeout: 10s}",
	})
	e.Start(edge)
	scenario.AwaitLeafs(e, hub, 1)
	time.Sleep(10 * time.Second) // idle is what is measured
	u, err := procs.ReadUsage(edge.Pid())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("idle leafd: %.1f MB resident, at most %.1f; %d threads, CPU %v in all", float64(u.RSS)/(1<<20), float64(u.PeakRSS)/(1<<20), u.Threads, u.CPU)
	if u.RSS >= limit {
		t.Errorf("%d bytes resident, want less than %d", u.RSS, limit)
	}
}
