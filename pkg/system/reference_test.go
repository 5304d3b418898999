//go:build linux

package system_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/test/daemons"
	"github.com/banyanmq/banyan/test/procs"
)

const mixed = `
accounts {
  SYS { users: [{user: sys, password: pw}] }
  A { users: [{user: a, password: pw}], exports: [{service: "svc.*", latency: {subject: lat.svc, sampling: 100}}] }
  B { users: [{user: b, password: pw}], imports: [{service: {account: A, subject: "svc.*"}}] }
  LTD { users: [{user: ltd, password: pw}], limits: {max_connections: 4} }
}
system_account: SYS
`

// TestWithReference: a cluster of one of ours and a reference server counts connections
// together, and measures services with requester and responder on either.
func TestWithReference(t *testing.T) {
	exe, err := procs.Reference()
	if err != nil {
		t.Skip(err)
	}
	ours := daemons.Hub(t, "ours", "cluster { name: c, listen: \"127.0.0.1:-1\" }\n"+mixed)
	dir := t.TempDir()
	p, err := procs.Start(procs.Spec{Exe: exe, Dir: dir, Config: fmt.Sprintf(
		"server_name: theirs\nports_file_dir: \"{{dir}}\"\nlisten: \"127.0.0.1:-1\"\ncluster { name: c, listen: \"127.0.0.1:-1\", routes: [\"nats://%s\"] }\n", ours.Addr("cluster")) + mixed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ports, err := p.Ports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	theirs := func(user string, o ...nats.Option) (*nats.Conn, error) {
		return nats.Connect(ports.Nats[0], append(o, nats.UserInfo(user, "pw"), nats.NoReconnect())...)
	}
	daemons.Eventually(t, "both know each other", func() bool { return ours.System.Servers() == 2 })
	sys, err := theirs("sys")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sys.Close)
	daemons.Eventually(t, "the reference counts two servers", func() bool {
		return at(request(t, sys, "$SYS.REQ.SERVER.PING", `{"server_name":"theirs"}`), "statsz", "active_servers") == 2.0
	})
	for _, v := range gather(t, sys, "$SYS.REQ.SERVER.PING", "", 2) {
		if at(v, "statsz", "active_servers") != 2.0 {
			t.Errorf("PING %v", v)
		}
	}

	counts := listen(t, sys, "$SYS.ACCOUNT.LTD.SERVER.CONNS")
	ours.Knows("SYS", "$SYS.ACCOUNT.LTD.SERVER.CONNS", broker.Route)
	for range 2 {
		nc, err := theirs("ltd")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		ours.Nats("ltd", nats.NoReconnect())
	}
	daemons.Eventually(t, "ours counts the two on the other", func() bool { return ours.Broker.Account("LTD").Elsewhere.Load() == 2 })
	for {
		// It has this message too.
		if _, v := next(t, counts); at(v, "server", "name") == "ours" && at(v, "conns") == 2.0 {
			break
		}
	}
	if nc, err := theirs("ltd"); err == nil {
		nc.Close()
		t.Error("a fifth connection on the reference")
	} else if !strings.Contains(err.Error(), "maximum account active connections exceeded") {
		t.Error(err)
	}
	if nc, err := nats.Connect("nats://"+ours.Addr("nats"), nats.UserInfo("ltd", "pw"), nats.NoReconnect()); err == nil {
		nc.Close()
		t.Error("a fifth connection on ours")
	}

	ends := map[string]func(user string) *nats.Conn{
		"ours": func(user string) *nats.Conn { return ours.Nats(user, nats.Name(user)) },
		"theirs": func(user string) *nats.Conn {
			nc, err := theirs(user, nats.Name(user))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			return nc
		},
	}
	for _, asker := range []string{"ours", "theirs"} {
		responder := map[string]string{"ours": "theirs", "theirs": "ours"}[asker]
		a, b := ends[responder]("a"), ends[asker]("b")
		events := listen(t, ends[asker]("a"), "lat.svc")
		name := "svc." + responder
		serve(t, a, name)
		if asker == "ours" {
			ours.Knows("A", name, broker.Route)
		}
		daemons.Eventually(t, "the service answers", func() bool {
			m, err := b.Request(name, []byte("x"), patience)
			return err == nil && string(m.Data) == "answer"
		})
		for {
			_, v := next(t, events)
			if v["status"] == 503.0 {
				continue // asked before it was known
			}
			if v["status"] != 200.0 || at(v, "responder", "server") != responder || at(v, "responder", "name") != "a" || at(v, "requestor", "acc") != "B" || span(v, "service") < pause/2 || span(v, "total") < span(v, "service") {
				t.Errorf("requester on %s: %v", asker, v)
			}
			break
		}
	}
}
