package client

//lint:file-ignore SA1019 tokens in use still carry the field To, and have to be read

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/auth/operator"
	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/wire"
)

// operated is a hub in operator mode with the accounts of a tree.
func operated(t *testing.T, tr *operatortest.Tree) (*hub, *operator.Operator) {
	t.Helper()
	op, err := operator.New(operator.Options{Settings: tr.Settings(), SystemAccount: tr.System.Pub, Resolver: operator.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Client: config.Client{Listen: config.Listen{Host: "127.0.0.1", Port: -1}}}
	h := &hub{broker: broker.New("NTEST", "", tr.System.Pub), registry: link.NewRegistry(100), urls: new(link.URLs)}
	h.Service = New(Options{
		Server: &link.Server{ID: "NTEST", Name: "NTEST", Poller: newPoller(t)}, Broker: h.broker, Registry: h.registry, URLs: h.urls,
		Auth: op, Settings: cfg, FirstPing: time.Hour,
	})
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); op.Close() })
	h.addr = h.Addr().String()
	return h, op
}

func as(u operatortest.User) nats.Option { return nats.UserJWTAndSeed(u.Token, seedOf(u)) }

func seedOf(u operatortest.User) string {
	s, _ := u.Seed()
	return string(s)
}

// login is a raw client of a user, past its PONG.
func login(t *testing.T, h *hub, u operatortest.User) *raw {
	t.Helper()
	c := h.raw(t)
	i := c.info()
	c.send("CONNECT " + quiet + `,"jwt":"` + u.Token + `","sig":"` + u.Sig(t, i.Nonce) + `"}` + "\r\n")
	return c
}

func TestOperatorMode(t *testing.T) {
	tr := operatortest.New(t)
	a, b := tr.Account("A"), tr.Account("B")
	h, op := operated(t, tr)
	nc, other := h.nats(t, as(a.User(nil))), h.nats(t, as(b.User(&b.Signer)))
	in, err := nc.SubscribeSync("x")
	if err != nil {
		t.Fatal(err)
	}
	nc.Flush()
	other.Publish("x", []byte("of another account"))
	other.Flush()
	nc.Publish("x", []byte("own"))
	if m, err := in.NextMsg(patience); err != nil || string(m.Data) != "own" {
		t.Fatal(m, err)
	}
	stranger := operatortest.New(t).Account("C")
	if _, err := nats.Connect("nats://"+h.addr, as(stranger.User(nil))); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("stranger: %v", err)
	}

	// What a new token means for one that is connected.
	c := login(t, h, a.User(nil))
	c.send("SUB public.> 1\r\nSUB secret.a 2\r\nSUB secret.b q 3\r\nPING\r\n")
	for c.line() != wire.LinePong {
	}
	c.info()
	a.Claims.DefaultPermissions.Sub.Deny.Add("secret.>", "public.not")
	a.Claims.DefaultPermissions.Pub.Deny.Add("no")
	push(t, op, a)
	lines := c.line() + c.line()
	for _, want := range []string{wire.TextSubscriptionRemoved("secret.a", "", "2"), wire.TextSubscriptionRemoved("secret.b", "q", "3")} {
		if !strings.Contains(lines, string(wire.AppendErr(nil, want))) {
			t.Errorf("%q lacks %q", lines, want)
		}
	}
	c.ask("PUB no 1\r\nx\r\n", string(wire.AppendErr(nil, wire.TextPublishViolation("no"))))
	c.ask("SUB secret.c 4\r\n", string(wire.AppendErr(nil, wire.TextSubscribeViolation("secret.c", ""))))
	c.ask("PUB public.not 1\r\nx\r\nPUB public.yes 1\r\nx\r\n", "MSG public.yes 1 1\r\nx\r\n")

	u := a.User(nil)
	d := login(t, h, u)
	d.send("PING\r\n")
	for d.line() != wire.LinePong {
	}
	d.info()
	a.Claims.RevokeAt(u.Pub, time.Now().Add(time.Minute))
	push(t, op, a)
	d.expect(string(wire.AppendErr(nil, wire.TextUserRevoked)))
	d.eof()
	c.ask("", "") // the other one did not notice
	e := login(t, h, u)
	e.expect(string(wire.AppendErr(nil, wire.TextAuthViolation)))
	e.eof()
}

func push(t *testing.T, op *operator.Operator, a *operatortest.Account) {
	t.Helper()
	if _, _, err := op.Update(a.Token()); err != nil {
		t.Fatal(err)
	}
}

func TestOperatorLimits(t *testing.T) {
	tr := operatortest.New(t)
	a := tr.Account("A")
	a.Claims.Limits.Subs, a.Claims.Limits.Payload, a.Claims.Limits.Conn = 2, 10, 4
	h, op := operated(t, tr)
	c := login(t, h, a.User(nil, func(c *jwt.UserClaims) { c.Limits.Subs = 1; c.Limits.Payload = 1 << 20 }))
	c.send("PING\r\n")
	c.expect(wire.LinePong)
	if i := c.info(); i.MaxPayload != 10 || i.RemoteAccount != a.Pub {
		t.Errorf("INFO %+v", i)
	}
	c.ask("SUB a 1\r\nSUB b 2\r\n", string(wire.AppendErr(nil, wire.TextMaxSubscriptions)))
	c.send("PUB a 11\r\n")
	c.expect(string(wire.AppendErr(nil, wire.TextMaxPayload)))
	c.eof()
	zero := login(t, h, a.User(nil, func(c *jwt.UserClaims) { c.Limits = jwt.Limits{} }))
	zero.expect(string(wire.AppendErr(nil, wire.TextMaxSubscriptions)))
	zero.eof()
	nopay := login(t, h, a.User(nil, func(c *jwt.UserClaims) { c.Limits.Payload = 0 }))
	nopay.send("PING\r\n")
	nopay.expect(wire.LinePong)
	if i := nopay.info(); i.MaxPayload != 0 {
		t.Errorf("INFO %+v", i)
	}
	var all []*raw
	eventually(t, "room", func() bool { return h.broker.Account(a.Pub).Clients.Load() == 1 })
	for range 3 {
		x := login(t, h, a.User(nil))
		x.send("SUB s 1\r\nSUB s 2\r\nPING\r\n")
		for x.line() != wire.LinePong {
		}
		x.info()
		all = append(all, x)
	}
	over := login(t, h, a.User(nil))
	over.expect(string(wire.AppendErr(nil, wire.TextMaxAccountConnections)))
	over.eof()
	a.Claims.Limits.Conn = 3
	push(t, op, a)
	all[2].expect(string(wire.AppendErr(nil, wire.TextMaxAccountConnections)))
	all[2].eof()
	a.Claims.Limits.Subs = 1
	push(t, op, a)
	for _, x := range all[:2] {
		x.expect(string(wire.AppendErr(nil, wire.TextMaxSubscriptions)))
		x.eof()
	}
	nopay.ask("", "")
}

func TestUserExpires(t *testing.T) {
	tr := operatortest.New(t)
	a := tr.Account("A")
	h, _ := operated(t, tr)
	c := login(t, h, a.User(nil, func(c *jwt.UserClaims) { c.Expires = time.Now().Add(2 * time.Second).Unix() }))
	c.send("PING\r\n")
	c.expect(wire.LinePong)
	c.info()
	c.expect(string(wire.AppendErr(nil, wire.TextUserExpired)))
	c.eof()
	var id uint64
	for _, i := range h.registry.Closed() {
		id = i.ID
	}
	if r := h.reasonOf(t, id); r != wire.ReasonAuthExpired {
		t.Errorf("reason %s", r)
	}
}

// TestClaimsShare: an account sees a stream of another under a prefix and calls its
// service under a name of its own, as their tokens say.
func TestClaimsShare(t *testing.T) {
	tr := operatortest.New(t)
	acme, cncf := tr.Account("ACME"), tr.Account("CNCF")
	acme.Claims.Exports.Add(&jwt.Export{Subject: "acme.>", Type: jwt.Stream}, &jwt.Export{Subject: "hello", Type: jwt.Service})
	cncf.Claims.Imports.Add(&jwt.Import{Account: acme.Pub, Subject: "acme.>", To: "cncf", Type: jwt.Stream},
		&jwt.Import{Account: acme.Pub, Subject: "hello", LocalSubject: "cncf.hello", Type: jwt.Service})
	h, op := operated(t, tr)
	op.SetShare(h.broker.Share)
	owner, guest := h.nats(t, as(acme.User(nil))), h.nats(t, as(cncf.User(nil)))
	if _, err := owner.QueueSubscribe("hello", "q", func(m *nats.Msg) { m.Respond([]byte("hello " + string(m.Data))) }); err != nil {
		t.Fatal(err)
	}
	owner.Flush()
	in, err := guest.SubscribeSync("cncf.acme.>")
	if err != nil {
		t.Fatal(err)
	}
	guest.Flush()
	owner.Publish("acme.ticker", []byte("1"))
	if m, err := in.NextMsg(patience); err != nil || m.Subject != "cncf.acme.ticker" || string(m.Data) != "1" {
		t.Fatal(m, err)
	}
	if m, err := guest.Request("cncf.hello", []byte("you"), patience); err != nil || string(m.Data) != "hello you" {
		t.Fatal(m, err)
	}
	// What is taken back is gone, without a disconnection.
	acme.Claims.Exports = slices.DeleteFunc(acme.Claims.Exports, (*jwt.Export).IsService)
	push(t, op, acme)
	if _, err := guest.Request("cncf.hello", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a service that is not exported any more: %v", err)
	}
	if !owner.IsConnected() || !guest.IsConnected() {
		t.Error("disconnected")
	}
}
