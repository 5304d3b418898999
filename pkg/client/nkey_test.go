package client

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

func TestOfficialClientWithKey(t *testing.T) {
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	h := startHub(t, func(c *config.Config) {
		c.Accounts = []config.Account{{Name: "A", Users: []config.User{{NKey: pub}}}}
	})
	nc := h.nats(t, nats.Nkey(pub, kp.Sign))
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := h.broker.Account("A").Clients.Load(); n != 1 {
		t.Errorf("%d clients in the account", n)
	}
	other, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Connect("nats://"+h.addr, nats.Nkey(pub, other.Sign)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("another's signature: %v", err)
	}
	// A signature is of one connection's nonce only.
	c := h.raw(t)
	i := c.info()
	if len(i.Nonce) != 15 || !i.AuthRequired {
		t.Fatalf("INFO %+v", i)
	}
	d := h.raw(t)
	if j := d.info(); j.Nonce == i.Nonce {
		t.Error("two connections have the same nonce")
	}
	sig, err := kp.Sign([]byte(i.Nonce))
	if err != nil {
		t.Fatal(err)
	}
	connect := `CONNECT {"verbose":false,"nkey":"` + pub + `","sig":"` + base64.RawURLEncoding.EncodeToString(sig) + `"}` + "\r\n"
	c.ask(connect, "")
	d.send(connect)
	d.expect(string(wire.AppendErr(nil, wire.TextAuthViolation)))
	d.eof()
}
