package route

import (
	"fmt"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
)

// TestManySubscriptions: a server with 50,000 subscriptions is joined. Interest is
// complete when the marker says so, and gone when it dies.
func TestManySubscriptions(t *testing.T) {
	const many = 50_000
	a := startNode(t, nil)
	c := a.client("A")
	subs := make([]*broker.Sub, many)
	for i := range subs {
		subs[i] = c.sub(fmt.Sprintf("devices.%d.state", i), "")
	}
	began := time.Now()
	b := startNode(t, dialing(a))
	b.synced()
	if k := b.b.Account("A").Subscriptions(); k != many {
		t.Errorf("%d subscriptions when in sync", k)
	}
	t.Logf("in sync after %v", time.Since(began))
	began = time.Now()
	c.a.UnsubscribeAll(subs[:many/2])
	eventually(t, func() bool { return b.b.Account("A").Subscriptions() == many/2 }, func() string { return "half of them" })
	t.Logf("half of them gone after %v", time.Since(began))
	began = time.Now()
	a.s.Close()
	eventually(t, func() bool { return b.b.Account("A").Subscriptions() == 0 }, func() string { return "none left" })
	t.Logf("all gone after %v", time.Since(began))
}
