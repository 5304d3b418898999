package monitor_test

import (
	"cmp"
	"math"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/wire"
)

func nilAddr() *net.TCPAddr { return nil }

func ids(z *monitor.Connz) (out []uint64) {
	for i := range z.Conns {
		out = append(out, z.Conns[i].CID)
	}
	return out
}

// TestConnzOrder: each way to sort, open and closed.
func TestConnzOrder(t *testing.T) {
	o := newOptions()
	now := time.Now()
	ago := func(s int) time.Time { return now.Add(-time.Duration(s) * time.Second) }
	// Figures are made so that each sort gives an order of its own.
	conns := []link.Info{
		{ID: 1, Started: ago(50), Active: ago(5), Subs: 2, Pending: 1, InMsgs: 3, OutMsgs: 1, InBytes: 2, OutBytes: 3, RTT: 3},
		{ID: 2, Started: ago(90), Active: ago(1), Subs: 3, Pending: 2, InMsgs: 1, OutMsgs: 3, InBytes: 3, OutBytes: 1, RTT: 2},
		{ID: 3, Started: ago(10), Active: ago(9), Subs: 1, Pending: 3, InMsgs: 2, OutMsgs: 2, InBytes: 1, OutBytes: 2, RTT: 1},
	}
	reasons := []wire.CloseReason{wire.ReasonStale, wire.ReasonClientClosed, wire.ReasonKicked}
	for k, i := range conns {
		i.Kind, i.Account = link.KindClient, "$G"
		add(o.Clients, i)
		i.ID += 10
		remove(o.Clients, add(o.Clients, i), reasons[k], ago(4-k))
	}
	r := monitor.NewReports(o)
	for sort, want := range map[string][]uint64{
		"": {1, 2, 3}, "cid": {1, 2, 3}, "start": {1, 2, 3}, "uptime": {3, 1, 2}, "subs": {2, 1, 3}, "pending": {3, 2, 1},
		"msgs_to": {2, 3, 1}, "msgs_from": {1, 3, 2}, "bytes_to": {1, 3, 2}, "bytes_from": {2, 1, 3}, "last": {2, 1, 3}, "idle": {3, 1, 2},
		"rtt": {1, 2, 3},
	} {
		z, err := r.Connz(monitor.ConnzOptions{Sort: sort})
		if err != nil || !slices.Equal(ids(z), want) {
			t.Errorf("sort %q: %v, want %v (%v)", sort, ids(z), want, err)
		}
	}
	for sort, want := range map[string][]uint64{"": {11, 12, 13}, "stop": {13, 12, 11}, "reason": {12, 13, 11}} {
		z, err := r.Connz(monitor.ConnzOptions{Sort: sort, State: monitor.ConnClosed})
		if err != nil || !slices.Equal(ids(z), want) {
			t.Errorf("sort %q of the closed: %v, want %v (%v)", sort, ids(z), want, err)
		}
	}
	z, err := r.Connz(monitor.ConnzOptions{State: monitor.ConnAll, Offset: 2, Limit: 2})
	if err != nil || !slices.Equal(ids(z), []uint64{3, 11}) || z.Total != 6 || z.NumConns != 2 || z.Offset != 2 || z.Limit != 2 {
		t.Errorf("a page of all: %+v, %v", z, err)
	}
	if z.Conns[1].Reason != "Stale Connection" || z.Conns[1].Stop == nil || z.Conns[1].Uptime != "46s" || z.Conns[0].Stop != nil {
		t.Errorf("closed: %+v", z.Conns[1])
	}
}

// TestConnzFilters: by id, account, user, state.
func TestConnzFilters(t *testing.T) {
	o := newOptions()
	o.Broker.Account("APP")
	o.Broker.Account("EMPTY")
	add(o.Clients, link.Info{ID: 1, Kind: link.KindClient, Account: "$G"})
	add(o.Clients, link.Info{ID: 2, Kind: link.KindClient, Account: "APP", User: "ann"})
	add(o.Leafs, link.Info{ID: 3, Kind: link.KindLeaf, Account: "APP", User: "bob", More: "x"})
	remove(o.Clients, add(o.Clients, link.Info{ID: 4, Kind: link.KindClient, Account: "APP", User: "ann"}), wire.ReasonClientClosed, time.Now())
	add(o.Routes, link.Info{ID: 5, Kind: link.KindRoute})
	o.Hooks.Leaf = func(link.Info) monitor.LeafDetails { return monitor.LeafDetails{Subs: []string{"orders.new"}} }
	r := monitor.NewReports(o)
	rows := []struct {
		o    monitor.ConnzOptions
		want []uint64
	}{
		{monitor.ConnzOptions{}, []uint64{1, 2, 3}},
		{monitor.ConnzOptions{CID: 2}, []uint64{2}},
		{monitor.ConnzOptions{CID: 4}, nil},
		{monitor.ConnzOptions{CID: 4, State: monitor.ConnClosed}, []uint64{4}},
		{monitor.ConnzOptions{CID: 4, State: monitor.ConnAll}, []uint64{4}},
		{monitor.ConnzOptions{CID: 5}, nil},
		{monitor.ConnzOptions{Account: "APP"}, []uint64{2, 3}},
		{monitor.ConnzOptions{Account: "EMPTY"}, nil},
		{monitor.ConnzOptions{User: "ann", State: monitor.ConnAll}, []uint64{2, 4}},
		{monitor.ConnzOptions{User: "nobody"}, nil},
		{monitor.ConnzOptions{MQTTClient: "m"}, nil},
		{monitor.ConnzOptions{Offset: 1, Limit: 1}, []uint64{2}},
		{monitor.ConnzOptions{Offset: math.MaxInt, Limit: math.MaxInt}, nil},
		{monitor.ConnzOptions{Offset: -5, Limit: -5}, []uint64{1, 2, 3}},
		{monitor.ConnzOptions{Account: "APP", FilterSubject: "orders.>"}, []uint64{3}},
		{monitor.ConnzOptions{Account: "APP", FilterSubject: "other"}, nil},
	}
	for _, row := range rows {
		z, err := r.Connz(row.o)
		if err != nil || !slices.Equal(ids(z), row.want) || z.NumConns != len(row.want) || z.Conns == nil {
			t.Errorf("%+v: %v, want %v (%v)", row.o, ids(z), row.want, err)
		}
	}
	z, err := r.Connz(monitor.ConnzOptions{Account: "NOPE"})
	if err != nil || z.ID != "" || z.Conns != nil {
		t.Errorf("unknown account: %+v, %v", z, err)
	}
	if _, err := r.Connz(monitor.ConnzOptions{FilterSubject: "x"}); err == nil || err.Error() != "filter by subject only valid with account filtering" {
		t.Errorf("filter_subject without acc: %v", err)
	}
	z, err = r.Connz(monitor.ConnzOptions{CID: 3, Auth: true, SubsDetail: true})
	if err != nil || z.Conns[0].User != "bob" || z.Conns[0].Account != "APP" || len(z.Conns[0].SubsDetail) != 1 || z.Limit != 1 {
		t.Errorf("details of a leaf link: %+v, %v", z, err)
	}
}

// TestConnzPages: the pages of any size give each connection once, in order.
func TestConnzPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOptions()
		n := rapid.IntRange(0, 40).Draw(t, "connections")
		var all []link.Info
		for id := range n {
			i := link.Info{ID: uint64(id + 1), Kind: link.KindClient, Account: "$G", Subs: rapid.IntRange(0, 5).Draw(t, "subs")}
			all = append(all, i)
			add(o.Clients, i)
		}
		sort := rapid.SampledFrom([]string{"", "subs"}).Draw(t, "sort")
		slices.SortFunc(all, func(a, b link.Info) int {
			if sort == "subs" && a.Subs != b.Subs {
				return cmp.Compare(b.Subs, a.Subs)
			}
			return cmp.Compare(a.ID, b.ID)
		})
		r := monitor.NewReports(o)
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		var got []uint64
		for {
			z, err := r.Connz(monitor.ConnzOptions{Sort: sort, Offset: len(got), Limit: limit})
			if err != nil || z.Total != n || z.NumConns > limit {
				t.Fatalf("%+v, %v", z, err)
			}
			if z.NumConns == 0 {
				break
			}
			got = append(got, ids(z)...)
		}
		if len(got) != n {
			t.Fatalf("%d connections on the pages, want %d", len(got), n)
		}
		for k := range got {
			if got[k] != all[k].ID {
				t.Fatalf("order %v", got)
			}
		}
	})
}

// TestClients: what clients do is seen in connz, varz and accstatz, and stays
// counted when they have gone.
func TestClients(t *testing.T) {
	h := startHub(t, func(c *config.Config) {
		c.Accounts = []config.Account{{Name: "APP", Users: []config.User{{
			Name: "ann", Password: "pw", Account: "APP",
			Permissions: &config.Permissions{Publish: config.SubjectPermission{Deny: []string{"no.>"}}},
		}}}}
		c.Auth.NoAuthUser = "ann"
	})
	h.broker.Account("APP")
	sub := h.nats(t, nats.Name("taker"))
	s, err := sub.SubscribeSync("x.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AutoUnsubscribe(5); err != nil {
		t.Fatal(err)
	}
	if err := sub.Flush(); err != nil {
		t.Fatal(err)
	}
	pub := h.nats(t, nats.UserInfo("ann", "pw"))
	for range 3 {
		if err := pub.Publish("x.y", []byte("1234")); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if _, err := s.NextMsg(patience); err != nil {
			t.Fatal(err)
		}
	}
	cid, err := sub.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	z := ask[monitor.Connz](t, h.base+"/connz?auth=1&acc=APP&subs=detail&sort=msgs_to")
	if z.Total != 2 || z.Conns[0].CID != cid || z.Conns[0].Name != "taker" || z.Conns[0].OutMsgs != 3 || z.Conns[0].OutBytes != 12 {
		t.Fatalf("connz: %+v", z)
	}
	if d := z.Conns[0].SubsDetail; len(d) != 1 || d[0].Msgs != 3 || d[0].Max != 5 || d[0].Account != "APP" {
		t.Errorf("subscription: %+v", d)
	}
	if p := z.Conns[1]; p.User != "ann" || p.Account != "APP" || p.InMsgs != 3 || p.NumSubs != 0 {
		t.Errorf("publisher: %+v", p)
	}
	if z := ask[monitor.Subsz](t, h.base+"/subsz?subs=1&acc=APP"); z.Total != 1 || z.Subs[0].Msgs != 3 || z.Subs[0].Max != 5 || z.Subs[0].CID != cid {
		t.Errorf("subsz: %+v", z)
	}
	pub.Close()
	until(t, "the publisher is closed", func() bool { return h.options.Clients.Len() == 1 })
	closed := ask[monitor.Connz](t, h.base+"/connz?state=closed")
	if closed.Total != 1 || closed.Conns[0].Reason != "Client Closed" || closed.Conns[0].Stop == nil || closed.Conns[0].InMsgs != 3 {
		t.Errorf("closed: %+v", closed)
	}
	v := ask[monitor.Varz](t, h.base+"/varz")
	if v.InMsgs != 3 || v.InClientBytes != 12 || v.OutMsgs != 3 || v.OutClientBytes != 12 || v.Conns != 1 || v.TotalConns != 2 || !v.AuthRequired {
		t.Errorf("varz: %+v", v)
	}
	st := ask[monitor.AccountStatz](t, h.base+"/accstatz").Accounts
	if len(st) != 1 || st[0].Account != "APP" || st[0].Conns != 1 || st[0].Received.Msgs != 3 || st[0].Sent.Bytes != 12 {
		t.Errorf("accstatz: %+v", st)
	}
	if st := ask[monitor.AccountStatz](t, h.base+"/accstatz?unused=1").Accounts; len(st) != 3 {
		t.Errorf("accstatz with unused: %+v", st)
	}
	u := h.Reports().UserInfo(cid)
	if u == nil || u.User != "ann" || u.Account != "APP" || u.Permissions == nil || u.Permissions.Publish.Deny[0] != "no.>" {
		t.Errorf("user: %+v", u)
	}
}

// TestCountersOfTrouble: slow and stale connections by kind, counted when they close.
func TestCountersOfTrouble(t *testing.T) {
	o := newOptions()
	o.Hooks.SlowEvents = func(k link.Kind) int64 {
		if k == link.KindClient {
			return 2
		}
		return 0
	}
	r := monitor.NewReports(o)
	end := func(reg *link.Registry, id uint64, reason wire.CloseReason) {
		remove(reg, add(reg, link.Info{ID: id, Account: "$G", OutMsgs: 1}), reason, time.Now())
	}
	end(o.Clients, 1, wire.ReasonSlowPending)
	end(o.Clients, 2, wire.ReasonSlowWrite)
	end(o.Clients, 3, wire.ReasonStale)
	end(o.Routes, 4, wire.ReasonSlowWrite)
	end(o.Leafs, 5, wire.ReasonStale)
	end(o.Gateways, 6, wire.ReasonClientClosed)
	v := r.Varz()
	if want := (monitor.KindStats{Clients: 4, Routes: 1}); v.SlowConsumers != 5 || v.SlowConsumerStats != want {
		t.Errorf("slow: %d %+v, want %+v", v.SlowConsumers, v.SlowConsumerStats, want)
	}
	if want := (monitor.KindStats{Clients: 1, Leafs: 1}); v.StaleConnections != 2 || v.StaleConnectionStats != want {
		t.Errorf("stale: %d %+v, want %+v", v.StaleConnections, v.StaleConnectionStats, want)
	}
	if v.OutMsgs != 6 {
		t.Errorf("%d messages of the closed, want 6", v.OutMsgs)
	}
	st := r.AccountStatz(monitor.AccountStatzOptions{Accounts: []string{"$G"}, Unused: true}).Accounts
	if len(st) != 1 || st[0].SlowConsumers != 3 || st[0].Sent.Msgs != 6 || st[0].Sent.Leafs.Msgs != 1 {
		t.Errorf("account: %+v", st)
	}
}

// TestCountersDoNotGoBack, even when a connection is in neither list for a moment.
func TestCountersDoNotGoBack(t *testing.T) {
	o := newOptions()
	r := monitor.NewReports(o)
	f := add(o.Clients, link.Info{ID: 1, Account: "$G", InMsgs: 7, InBytes: 70})
	if v := r.Varz(); v.InMsgs != 7 {
		t.Fatalf("%d messages, want 7", v.InMsgs)
	}
	f.i.InMsgs, f.i.InBytes = 0, 0 // as if it were in neither
	if v := r.Varz(); v.InMsgs != 7 || v.InBytes != 70 {
		t.Errorf("went back to %d messages, %d bytes", v.InMsgs, v.InBytes)
	}
	if st := r.AccountStatz(monitor.AccountStatzOptions{Unused: true}).Accounts; st[0].Received.Msgs != 7 {
		t.Errorf("the account went back to %+v", st[0].Received)
	}
	f.i.InMsgs = 9
	if v := r.Varz(); v.InMsgs != 9 {
		t.Errorf("%d messages, want 9", v.InMsgs)
	}
}
