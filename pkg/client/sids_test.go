package client

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/broker"
)

// TestSids compares the table with a map.
func TestSids(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := newSids(), map[string]*broker.Sub{}
		span := rapid.SampledFrom([]int{10, 1000, 20_000}).Draw(t, "span")
		steps := rapid.IntRange(0, 5000).Draw(t, "steps")
		seed := rapid.Uint64().Draw(t, "seed")
		for i := range steps {
			seed = seed*6364136223846793005 + 1442695040888963407
			sid := strconv.Itoa(int(seed>>33) % span)
			switch (seed >> 20) % 4 {
			case 0, 1:
				s := &broker.Sub{SID: sid}
				table.put(s)
				model[sid] = s
			case 2:
				table.remove(&broker.Sub{SID: sid}) // another one of that sid
			default:
				if i > steps/2 || span < 1000 {
					if s := model[sid]; s != nil {
						table.remove(s)
						delete(model, sid)
					}
				}
			}
			if got := table.get(sid); got != model[sid] {
				t.Fatalf("sid %s: %v, want %v", sid, got, model[sid])
			}
		}
		all := table.appendAll(nil)
		if len(all) != len(model) || table.n != len(model) {
			t.Fatalf("%d and %d subscriptions, want %d", len(all), table.n, len(model))
		}
		for _, s := range all {
			if model[s.SID] != s {
				t.Fatalf("sid %s is not the last that came", s.SID)
			}
			table.remove(s)
		}
		if table.n != 0 || len(table.appendAll(nil)) != 0 {
			t.Fatalf("%d subscriptions are left", table.n)
		}
	})
}
