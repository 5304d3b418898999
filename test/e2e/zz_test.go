//go:build linux

package e2e

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/banyanmq/banyan/test/e2e/traffic"
)

func TestZZ(t *testing.T) {
	w := newWorld(t)
	_, _, err := traffic.Serve(w.Connect(w.edges[2]), "svc.fresh", "q")
	if err != nil {
		t.Fatal(err)
	}
	nc := w.Connect(w.sfo.Hubs[1])
	w.Eventually("known", func() error { _, err := nc.Request("svc.fresh", nil, 5*time.Second); return err })
	for _, workers := range []int{1, 5, 50} {
		var mu sync.Mutex
		var all []time.Duration
		var wg sync.WaitGroup
		begin := time.Now()
		for range workers {
			wg.Go(func() {
				for range 20 {
					b := time.Now()
					s, _ := nc.SubscribeSync(nc.NewInbox())
					nc.PublishRequest("svc.fresh", s.Subject, nil)
					_, err := s.NextMsg(10 * time.Second)
					mu.Lock()
					all = append(all, time.Since(b))
					mu.Unlock()
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		slices.Sort(all)
		t.Log(workers, "workers:", time.Since(begin), "p10", all[len(all)/10], "p50", all[len(all)/2], "p90", all[len(all)*9/10], "max", all[len(all)-1])
	}
}
