package leaf

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/config"
)

// A hub that is about to stop asks its leaf node to move. Meanwhile no request fails, in either direction, members of a
// group at the edge lose nothing, and nothing that goes up is lost, comes twice or out of order.
func TestMove(t *testing.T) {
	hubs := startCluster(t, "H1", "H2")
	edge := startNode(t, "EDGE", dialing(hubs[0].addr(), func(r *config.LeafRemote) {
		r.URLs = append(r.URLs, &url.URL{Scheme: "nats-leaf", Host: hubs[1].addr()})
	}))
	edge.links(1)
	hubs[0].links(1)
	first := edge.s.Links()[0]

	above, below := hubs[1].nats(), edge.nats()
	respond(t, above, "svc.above", "above")
	if _, err := below.QueueSubscribe("svc.below", "q", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		t.Fatal(err)
	}
	up := subscribe(t, above, "up", "")
	var down atomic.Int64
	if _, err := below.QueueSubscribe("down", "q", func(*nats.Msg) { down.Add(1) }); err != nil {
		t.Fatal(err)
	}
	plain := subscribe(t, below, "plain", "")
	if err := below.Flush(); err != nil {
		t.Fatal(err)
	}
	edge.wants("$G", "svc.above")
	edge.wants("$G", "up")
	for _, subj := range []string{"svc.below", "down", "plain"} {
		hubs[1].wants("$G", subj)
	}

	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failures []error
	var asked, sentDown atomic.Int64
	loop := func(f func() error) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := f(); err != nil {
					mu.Lock()
					failures = append(failures, err)
					mu.Unlock()
				}
			}
		})
	}
	for range 4 {
		for subj, nc := range map[string]*nats.Conn{"svc.above": below, "svc.below": above} {
			loop(func() error {
				_, err := nc.Request(subj, []byte("x"), 3*time.Second)
				asked.Add(1)
				if err != nil {
					err = fmt.Errorf("%s: %w", subj, err)
				}
				return err
			})
		}
	}
	loop(func() error {
		time.Sleep(200 * time.Microsecond)
		sentDown.Add(1)
		return above.Publish("down", nil)
	})
	sentUp := 0
	loop(func() error {
		time.Sleep(200 * time.Microsecond)
		sentUp++
		return below.Publish("up", fmt.Appendf(nil, "%d", sentUp))
	})

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	hubs[0].s.Drain(ctx, patience)
	if d := time.Since(began); d > patience/2 {
		t.Errorf("it took %v until the leaf node had gone", d)
	}
	hubs[0].links(0)
	hubs[1].links(1)
	edge.links(1)
	eventually(t, "the move is over", func() bool { s := edge.s.Links()[0]; return s.State == RemoteUp && s.LinkID != first.LinkID })
	seen := asked.Load()
	eventually(t, "requests are answered after the move", func() bool { return asked.Load() > seen+50 })
	close(stop)
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Errorf("%d of %d requests and messages failed: %v", len(failures), asked.Load(), failures[0])
	}
	if s := edge.s.Links()[0]; s.URL != hubs[1].addr() || s.Attempts != 0 {
		t.Errorf("the link is shown as %+v", s)
	}
	for i := 1; i <= sentUp; i++ {
		up.expect(fmt.Sprint(i))
	}
	eventually(t, "all messages to the group below", func() bool { return down.Load() >= sentDown.Load() })
	if got, want := down.Load(), sentDown.Load(); got != want {
		t.Errorf("%d messages came to the group for %d", got, want)
	}
	// Plain interest is there again, once.
	hubs[1].wants("$G", "plain")
	numbered(t, above, plain, "plain", 100)
}

// Without another hub of the cluster the link stays until the hub ends it, and what waited for the move is sent on it.
func TestNowhereToMove(t *testing.T) {
	hub, other := startNode(t, "HUB", listening), startNode(t, "OTHER", listening)
	edge := startNode(t, "EDGE", hurried, dialing(hub.addr(), func(r *config.LeafRemote) {
		r.URLs = append(r.URLs, &url.URL{Scheme: "nats-leaf", Host: other.addr()})
	}))
	edge.links(1)
	hub.links(1)
	id := edge.s.Links()[0].LinkID
	up := subscribe(t, hub.nats(), "up", "")
	edge.wants("$G", "up")
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		hub.s.Drain(ctx, time.Second)
	}()
	numbered(t, edge.nats(), up, "up", 500)
	if now := edge.s.Links()[0].LinkID; now != id {
		t.Errorf("link %d became %d", id, now)
	}
	<-done
	hub.links(0)
	other.links(1) // by an ordinary reconnect
}
