package system_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/test/daemons"
)

// operatorConf is the settings of a server that knows the accounts of a tree.
func operatorConf(t testing.TB, tr *operatortest.Tree) string {
	var b strings.Builder
	fmt.Fprintf(&b, "operator: %s\nresolver: MEMORY\nresolver_preload {\n", operatortest.Sign(t, tr.Claims, tr.Operator))
	for _, a := range tr.All {
		fmt.Fprintf(&b, "  %s: %s\n", a.Pub, a.Token())
	}
	b.WriteString("}\n")
	return b.String()
}

// as connects a user of an operator's account.
func as(u operatortest.User) nats.Option {
	return nats.UserJWT(func() (string, error) { return u.Token, nil }, func(nonce []byte) ([]byte, error) { return u.Sign(nonce) })
}

// TestEventsOfAnOperatorsUsers: what a user's token says stands in the events, and in
// what the user is told of itself.
func TestEventsOfAnOperatorsUsers(t *testing.T) {
	tr := operatortest.New(t)
	app := tr.Account("application")
	admin := tr.System.User(nil)
	user := app.User(&app.Signer, func(c *jwt.UserClaims) {
		c.Name = "ann"
		c.Tags.Add("team:blue", "edge")
		c.Expires = time.Now().Add(time.Hour).Unix()
	})
	bearer := app.User(nil, func(c *jwt.UserClaims) { c.BearerToken = true })
	h := daemons.Hub(t, "op", operatorConf(t, tr))
	sys := h.Nats("", as(admin))
	events := listen(t, sys, "$SYS.ACCOUNT."+app.Pub+".CONNECT")
	nc := h.Nats("", as(user), nats.Name("app"))
	_, v := next(t, events)
	c := at(v, "client")
	for key, want := range map[string]any{
		"jwt": user.Token, "issuer_key": app.Signer.Pub, "name_tag": "ann", "user": user.Pub, "acc": app.Pub, "name": "app",
		"kind": "Client", "client_type": "nats", "lang": "go", "host": "127.0.0.1",
	} {
		if at(c, key) != want {
			t.Errorf("%s is %v, want %v", key, at(c, key), want)
		}
	}
	if tags := fmt.Sprint(at(c, "tags")); tags != "[team:blue edge]" {
		t.Errorf("tags %s", tags)
	}
	if at(v, "type") != "io.nats.server.advisory.v1.client_connect" || len(fmt.Sprint(at(v, "id"))) != 22 {
		t.Errorf("head of %v", v)
	}
	u := at(request(t, nc, "$SYS.REQ.USER.INFO", ""), "data")
	left, _ := at(u, "expires").(float64)
	if at(u, "user") != user.Pub || at(u, "user_name") != "ann" || at(u, "account") != app.Pub || at(u, "account_name") != "application" ||
		left <= 0 || left > float64(time.Hour) {
		t.Errorf("USER.INFO %v", u)
	}
	h.Nats("", nats.UserJWT(func() (string, error) { return bearer.Token, nil }, func([]byte) ([]byte, error) { return nil, nil }))
	if _, v = next(t, events); at(v, "client", "jwt") != "[REDACTED]" {
		t.Errorf("the token of a bearer: %v", at(v, "client", "jwt"))
	}
}

// TestRefusedLogins are told to the system account, and to the one account there is.
func TestRefusedLogins(t *testing.T) {
	for _, alone := range []bool{true, false} {
		text := tenants
		if alone {
			text = "authorization { user: ann, password: pw }\n"
		}
		h := daemons.Hub(t, "hub", text)
		sys := refusals(t, h.Broker, h.Broker.SystemAccount(), "$SYS.SERVER."+h.Server.ID+".CLIENT.AUTH.ERR")
		global := refusals(t, h.Broker, h.Broker.Account(broker.GlobalAccount), "$SYS.ACCOUNT.CLIENT.AUTH.ERR")
		if _, err := nats.Connect("nats://"+h.Addr("nats"), nats.UserInfo("ann", "wrong")); err == nil {
			t.Fatal("let in")
		}
		v := decode(t, <-sys)
		if at(v, "reason") != "Authentication Failure" || at(v, "type") != "io.nats.server.advisory.v1.client_disconnect" {
			t.Errorf("event %v", v)
		}
		if !alone {
			if len(global) > 0 {
				t.Error("a tenant was told of a login")
			}
			continue
		}
		if other := decode(t, <-global); at(other, "id") != at(v, "id") {
			t.Errorf("in the account: %v", other)
		}
	}
}

// TestLeafEvents: leaf nodes come and go like clients, and other regions hear of them.
func TestLeafEvents(t *testing.T) {
	h := daemons.Hub(t, "hub", tenants+`leafnodes { listen: "127.0.0.1:-1", authorization { user: edge, password: pw, account: APP } }`)
	sys := h.Nats("sys")
	connects, regions := listen(t, sys, "$SYS.ACCOUNT.APP.CONNECT"), listen(t, sys, "$SYS.ACCOUNT.*.LEAFNODE.CONNECT")
	discs := listen(t, sys, "$SYS.ACCOUNT.APP.DISCONNECT")
	l := daemons.Leaf(t, "edge", fmt.Sprintf("leafnodes { remotes: [{url: \"nats://edge:pw@%s\"}] }\n", h.Addr("leafnodes")))
	_, v := next(t, connects)
	if at(v, "client", "kind") != "Leafnode" || at(v, "client", "name") != "edge" || at(v, "client", "user") != "edge" {
		t.Errorf("connect %v", v)
	}
	if _, v = next(t, regions); at(v, "acc") != "APP" || at(v, "server", "name") != "hub" {
		t.Errorf("leafnode connect %v", v)
	}
	l.Stop()
	if _, v = next(t, discs); at(v, "client", "kind") != "Leafnode" || at(v, "reason") == "" {
		t.Errorf("disconnect %v", v)
	}
}

// TestLameDuck: whoever watches from another server sees each client go, and SHUTDOWN last.
func TestLameDuck(t *testing.T) {
	const clients = 30
	all := daemons.Cluster(t, "c", 2, func(int) string { return tenants + "lame_duck_duration: 30s\nlame_duck_grace_period: 0s\n" })
	one, two := all[0], all[1]
	sys := two.Nats("sys")
	events := listen(t, sys, "$SYS.ACCOUNT.APP.DISCONNECT")
	server := listen(t, sys, "$SYS.SERVER."+one.Server.ID+".*")
	one.Knows("SYS", "$SYS.ACCOUNT.APP.DISCONNECT", broker.Route)
	one.Knows("SYS", "$SYS.SERVER."+one.Server.ID+".SHUTDOWN", broker.Route)
	for range clients {
		one.Nats("ann", nats.NoReconnect())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	one.Drain(ctx)
	one.Stop()
	for range clients {
		if _, v := next(t, events); at(v, "server", "name") != "c1" {
			t.Errorf("disconnect %v", v)
		}
	}
	var seen []string
	last := 0.0
	for {
		m, v := next(t, server)
		what := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		seen = append(seen, what)
		if what == "STATSZ" {
			v, _ = v["server"].(map[string]any)
		}
		if seq, _ := v["seq"].(float64); seq <= last {
			t.Errorf("%s has seq %v after %v", what, seq, last)
		} else {
			last = seq
		}
		if what == "SHUTDOWN" {
			break
		}
	}
	if !slices.Contains(seen, "LAMEDUCK") {
		t.Errorf("seen %v", seen)
	}
}
