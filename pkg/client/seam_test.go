package client

import (
	"fmt"
	"testing"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/wire"
)

// keys is an Authenticator as those for keys and callouts are: it wants a nonce,
// and gives limits.
type keys struct{}

func (keys) Policy(config.ConnectionType) auth.Policy {
	return auth.Policy{Required: true, Announced: true, Nonce: true}
}

func (keys) Authenticate(c *auth.Credentials) (*auth.Identity, error) {
	switch c.NKey {
	case "down":
		return nil, fmt.Errorf("resolver: %w", auth.ErrUnavailable)
	case "good":
		if c.Sig != "signed "+c.Nonce {
			return nil, fmt.Errorf("signature: %w", auth.ErrRefused)
		}
		return &auth.Identity{User: "UGOOD", Account: "ACC", MaxPayload: 10, MaxSubs: 1, MaxConnections: 2}, nil
	}
	return nil, auth.ErrRefused
}

func TestAuthenticatorSeam(t *testing.T) {
	cfg := &config.Config{Client: config.Client{Listen: config.Listen{Host: "127.0.0.1", Port: -1}}}
	h := &hub{broker: broker.New("NTEST", "", ""), registry: link.NewRegistry(100), urls: new(link.URLs)}
	opened := make(chan link.Info, 10)
	h.registry.OnOpen(func(i link.Info) { opened <- i })
	h.Service = New(Options{
		Server: &link.Server{ID: "NTEST", Poller: newPoller(t)}, Broker: h.broker, Registry: h.registry, URLs: h.urls, Auth: keys{}, Settings: cfg,
	})
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.addr = h.Addr().String()
	login := func(nkey, sig string) (*raw, wire.ClientInfo) {
		c := h.raw(t)
		i := c.info()
		if len(i.Nonce) != 15 {
			t.Fatalf("nonce %q", i.Nonce)
		}
		c.send(fmt.Sprintf("CONNECT {\"nkey\":%q,\"sig\":%q,\"verbose\":false,\"protocol\":1}\r\nPING\r\n", nkey, sig+i.Nonce))
		return c, i
	}
	c, _ := login("good", "signed ")
	c.expect("PONG\r\n")
	if i := c.info(); i.Nonce != "" || i.RemoteAccount != "ACC" || i.MaxPayload != 10 {
		t.Errorf("INFO %+v", i)
	}
	if i := <-opened; i.User != "UGOOD" || i.Account != "ACC" {
		t.Errorf("told of %+v", i)
	}
	if n := h.broker.Account("ACC").Clients.Load(); n != 1 {
		t.Errorf("%d clients counted", n)
	}
	c.ask("SUB a 1\r\nSUB b 2\r\nPUB x 10\r\n0123456789\r\n", "-ERR 'maximum subscriptions exceeded'\r\n")
	c.send("PUB x 11\r\n")
	c.expect("-ERR 'Maximum Payload Violation'\r\n")
	c.eof()
	eventually(t, "count", func() bool { return h.broker.Account("ACC").Clients.Load() == 0 })

	for range 2 {
		c, _ := login("good", "signed ")
		c.expect("PONG\r\n")
	}
	c, i := login("good", "signed ")
	c.expect("-ERR 'maximum account active connections exceeded'\r\n")
	if r := h.reasonOf(t, i.ClientID); r != wire.ReasonMaxAccountConnections {
		t.Errorf("closed for %q", r)
	}
	c, _ = login("good", "forged ")
	c.expect("-ERR 'Authorization Violation'\r\n")
	// What could not be judged is no refusal: the client is to try again.
	c, i = login("down", "")
	if got := c.ended(); got != "" {
		t.Errorf("got %q", got)
	}
	if r := h.reasonOf(t, i.ClientID); r != wire.ReasonAuthFailure {
		t.Errorf("closed for %q", r)
	}
}
