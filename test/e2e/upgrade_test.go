//go:build linux

package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/banyanmq/banyan/test/e2e/rolling"
)

// A hub, a border node and an edge are upgraded under load by the script. Nobody is cut off without having been told, and
// applications that follow the advice lose nothing. The figures of whole upgrades are made by the long tests.
func TestRollingUpgrade(t *testing.T) {
	w := rolling.New(t, bins, rolling.Config{
		Hubs: 2, RTT: 5 * time.Millisecond, Rate: 50, Asks: 20, Grace: 2 * time.Second,
		Nodes: func(name string) bool {
			return slices.Contains([]string{"hub-sfo-1", "gwd-sfo-1", "edge-sfo-1"}, name)
		},
	})
	o := w.Upgrade(rolling.Drain, "9.9.9")
	if len(o.Summary.Nodes) != 3 {
		t.Errorf("%d servers were upgraded, want 3", len(o.Summary.Nodes))
	}
	rolling.Check(t, o)
}
