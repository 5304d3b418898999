package system_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/test/daemons"
)

const limited = `
accounts {
  SYS { users: [{user: sys, password: pw}] }
  APP { users: [{user: ann, password: pw}], limits: {max_connections: 4} }
}
system_account: SYS
`

// TestLimitOfTheCluster: connections on another server count.
func TestLimitOfTheCluster(t *testing.T) {
	all := daemons.Cluster(t, "c", 2, func(int) string { return limited })
	one, two := all[0], all[1]
	first, _ := one.Nats("ann"), one.Nats("ann")
	two.Nats("ann")
	two.Nats("ann")
	for _, s := range all {
		daemons.Eventually(t, s.Server.Name+" knows of two connections elsewhere", func() bool {
			return s.Broker.Account("APP").Elsewhere.Load() == 2
		})
	}
	for _, s := range all {
		nc, err := nats.Connect("nats://"+s.Addr("nats"), nats.UserInfo("ann", "pw"), nats.NoReconnect())
		if err == nil {
			nc.Close()
			t.Fatalf("a fifth connection on %s", s.Server.Name)
		}
		if !strings.Contains(err.Error(), "maximum account active connections exceeded") {
			t.Errorf("refused on %s by %v", s.Server.Name, err)
		}
	}
	// One goes, another may come, elsewhere.
	first.Close()
	daemons.Eventually(t, "there is room again", func() bool {
		nc, err := nats.Connect("nats://"+two.Addr("nats"), nats.UserInfo("ann", "pw"), nats.NoReconnect())
		if err == nil {
			t.Cleanup(nc.Close)
		}
		return err == nil
	})
	// A server that leaves takes its connections along.
	one.Stop()
	daemons.Eventually(t, "the counts of a server that has left are gone", func() bool {
		return two.Broker.Account("APP").Elsewhere.Load() == 0 && two.System.Servers() == 1
	})
}

// TestShedding: the youngest go when another server came to have too many at the same time.
func TestShedding(t *testing.T) {
	one := daemons.Hub(t, "solo", limited)
	sys := one.Nats("sys")
	discs := listen(t, sys, "$SYS.ACCOUNT.APP.DISCONNECT")
	ends := make(chan string, 10)
	for i := range 4 {
		one.Nats("ann", nats.Name(fmt.Sprint(i)), nats.NoReconnect(), nats.ClosedHandler(func(nc *nats.Conn) {
			ends <- nc.Opts.Name + " " + fmt.Sprint(nc.LastError())
		}))
	}
	say := func(conns int) {
		t.Helper()
		body := fmt.Sprintf(`{"server":{"name":"x","id":"NOTHER","seq":1},"acc":"APP","conns":%d,"leafnodes":0,"total_conns":%[1]d}`, conns)
		for _, to := range []string{"$SYS.SERVER.ACCOUNT.APP.CONNS", "$SYS.ACCOUNT.APP.SERVER.CONNS"} {
			if err := sys.Publish(to, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	say(2)
	gone := map[string]bool{}
	for range 2 {
		_, v := next(t, discs)
		if at(v, "reason") != "Maximum Account Connections Exceeded" {
			t.Errorf("reason %v", at(v, "reason"))
		}
		gone[fmt.Sprint(at(v, "client", "name"))] = true
		if end := <-ends; !strings.Contains(end, "maximum account active connections exceeded") {
			t.Errorf("the client saw %q", end)
		}
	}
	if !gone["2"] || !gone["3"] {
		t.Errorf("ended were %v, want the youngest", gone)
	}
	// The same count again ends nobody.
	say(2)
	if err := sys.Publish("$SYS.SERVER.NOTHER.SHUTDOWN", []byte(`{"name":"x","id":"NOTHER","seq":2}`)); err != nil {
		t.Fatal(err)
	}
	daemons.Eventually(t, "the other server is forgotten", func() bool { return one.Broker.Account("APP").Elsewhere.Load() == 0 })
	if n := one.Broker.Account("APP").Clients.Load(); n != 2 {
		t.Errorf("%d connections are left", n)
	}
	if _, err := discs.NextMsg(0); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("another disconnect: %v", err)
	}
}

// TestLimitOfAnOperatorsAccount counts on all servers too.
func TestLimitOfAnOperatorsAccount(t *testing.T) {
	tr := operatortest.New(t)
	app := tr.Account("application")
	app.Claims.Limits.Conn = 2
	u := app.User(nil)
	all := daemons.Cluster(t, "c", 2, func(int) string { return operatorConf(t, tr) })
	for _, s := range all {
		s.Nats("", as(u))
	}
	for _, s := range all {
		daemons.Eventually(t, s.Server.Name+" knows of the connection elsewhere", func() bool {
			return s.Broker.Account(app.Pub).Elsewhere.Load() == 1
		})
		nc, err := nats.Connect("nats://"+s.Addr("nats"), as(u), nats.NoReconnect())
		if err == nil {
			nc.Close()
			t.Fatalf("a third connection on %s", s.Server.Name)
		}
		if !strings.Contains(err.Error(), "maximum account active connections exceeded") {
			t.Errorf("refused on %s by %v", s.Server.Name, err)
		}
	}
}
