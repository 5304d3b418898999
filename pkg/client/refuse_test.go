package client

import (
	"encoding/base64"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/wire"
)

// guarded is a hub with penalties and trusted proxies.
func guarded(t *testing.T, first, most time.Duration, trusted []string, change func(*config.Config)) (*hub, *auth.Proxies) {
	t.Helper()
	cfg := &config.Config{Client: config.Client{Listen: config.Listen{Host: "127.0.0.1", Port: -1}}}
	change(cfg)
	users, err := auth.TrustProxies(auth.FromConfig(cfg), trusted)
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{broker: broker.New("NTEST", "", ""), registry: link.NewRegistry(100), urls: new(link.URLs)}
	h.Service = New(Options{
		Server: &link.Server{ID: "NTEST", Name: "NTEST"}, Broker: h.broker, Registry: h.registry, URLs: h.urls,
		Auth: users, Penalties: auth.NewPenalties(first, most), Settings: cfg, FirstPing: time.Hour,
	})
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	h.addr = h.Addr().String()
	return h, users
}

func joe(c *config.Config) { c.Auth.User, c.Auth.Password = "joe", "p" }

const violation = "-ERR '" + wire.TextAuthViolation + "'\r\n"

// A refusal waits, and nobody waits with it.
func TestRefusalsWait(t *testing.T) {
	h, _ := guarded(t, 80*time.Millisecond, 320*time.Millisecond, nil, joe)
	fail := func() time.Duration {
		c := h.dial(t)
		begin := time.Now()
		c.send("CONNECT " + quiet + `,"user":"joe","pass":"wrong"}` + "\r\n")
		c.expect(violation)
		d := time.Since(begin)
		c.eof()
		return d
	}
	for i, least := range []time.Duration{60, 60, 60, 120, 240, 240} {
		if d := fail(); d < least*time.Millisecond {
			t.Errorf("failure %d was answered after %s", i+1, d)
		}
	}
	// Who is in already does not try others' passwords for less.
	c := h.ready(t, `"user":"joe"`, `"pass":"p"`)
	again := time.Now()
	c.send("CONNECT " + quiet + `,"user":"joe","pass":"wrong"}` + "\r\n")
	c.expect(violation)
	if d := time.Since(again); d < 240*time.Millisecond {
		t.Errorf("a second CONNECT was answered after %s", d)
	}
	// Many at once are answered together, and who has the password does not wait.
	begin := time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			c := h.dial(t)
			c.send("CONNECT " + quiet + `,"user":"x","pass":"y"}` + "\r\n")
			c.expect(violation)
		})
	}
	h.ready(t, `"user":"joe"`, `"pass":"p"`)
	if d := time.Since(begin); d > 200*time.Millisecond {
		t.Logf("a login took %s beside failures", d) // no judgement on a busy machine
	}
	wg.Wait()
	if d := time.Since(begin); d > 4*time.Second {
		t.Errorf("20 failures took %s one after the other", d)
	}
}

func TestCloseDoesNotWaitForRefusals(t *testing.T) {
	h, _ := guarded(t, time.Hour, time.Hour, nil, joe)
	c := h.dial(t)
	c.send("CONNECT " + quiet + `,"user":"joe","pass":"wrong"}` + "\r\n")
	eventually(t, "the failure is noted", func() bool { return h.Stats().AuthFailures == 1 })
	begin := time.Now()
	h.Close()
	if d := time.Since(begin); d > patience {
		t.Errorf("closing took %s", d)
	}
}

// proof is the signature of a nonce as proxies give it.
func proof(t *testing.T, kp nkeys.KeyPair, nonce string) string {
	t.Helper()
	sig, err := kp.Sign([]byte(nonce))
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sig)
}

func TestTrustedProxies(t *testing.T) {
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := kp.PublicKey()
	h, users := guarded(t, 0, 0, []string{pub}, func(c *config.Config) {
		c.Auth.Users = []config.User{{Name: "bound", Password: "p", ProxyRequired: true}, {Name: "free", Password: "p"}}
		c.Auth.NoAuthUser = "bound"
	})
	first := h.raw(t)
	if i := first.info(); i.Nonce == "" {
		t.Fatal("no nonce")
	}
	first.send("PING\r\n") // no_auth_user needs a proxy: nobody comes in without CONNECT
	first.expect(violation)
	first.eof()
	try := func(user, sig string) (*raw, uint64) {
		c := h.raw(t)
		i := c.info()
		if sig == "good" {
			sig = proof(t, kp, i.Nonce)
		}
		b, _ := json.Marshal(sig)
		c.send("CONNECT " + quiet + `,"user":"` + user + `","pass":"p","proxy_sig":` + string(b) + "}\r\nPING\r\n")
		return c, i.ClientID
	}
	for _, x := range []struct {
		user, sig string
		want      wire.CloseReason
	}{
		{"bound", "good", 0}, {"free", "good", 0}, {"free", "", 0},
		{"bound", "", wire.ReasonProxyRequired},
		{"free", "junk", wire.ReasonProxyNotTrusted},
		{"bound", "junk", wire.ReasonProxyNotTrusted},
		{"nobody", "good", wire.ReasonAuthFailure},
	} {
		c, id := try(x.user, x.sig)
		if x.want == 0 {
			c.expect("PONG\r\n")
			continue
		}
		c.expect(violation)
		c.eof()
		if r := h.reasonOf(t, id); r != x.want {
			t.Errorf("%s %s: %s", x.user, x.sig, r)
		}
	}
	// The key goes: who came through that proxy ends, and only those.
	through, id := try("free", "good")
	direct, _ := try("free", "")
	for _, c := range []*raw{through, direct} {
		c.expect("PONG\r\n")
		c.info()
	}
	shown := ""
	for _, c := range h.registry.Open() {
		if c.ID() == id {
			shown = c.Info(false).More.(Details).Identity.Proxy
		}
	}
	if shown != pub {
		t.Errorf("shown: %q", shown)
	}
	if err := users.Trust(nil); err != nil {
		t.Fatal(err)
	}
	through.expect(violation)
	through.eof()
	if r := h.reasonOf(t, id); r != wire.ReasonProxyNotTrusted {
		t.Error(r)
	}
	direct.ask("", "")
}

// Failures look alike: what a stranger sees does not depend on what was wrong.
func TestRefusalsLookAlike(t *testing.T) {
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := kp.PublicKey()
	h, _ := guarded(t, 0, 0, nil, func(c *config.Config) {
		c.Auth.Users = []config.User{
			{Name: "joe", Password: "p"},
			{Name: "mqtt", Password: "p", AllowedConnectionTypes: []config.ConnectionType{config.MQTT}},
			{Name: "bound", Password: "p", ProxyRequired: true},
			{NKey: pub},
		}
	})
	var seen string
	for _, connect := range []string{
		`"user":"joe","pass":"x"`, `"user":"nobody","pass":"x"`, `"user":"mqtt","pass":"p"`, `"user":"bound","pass":"p"`, `"auth_token":"t"`, `"jwt":"eyJ"`,
		`"nkey":"` + pub + `","sig":"x"`, `"nkey":"U","sig":"x"`, `"user":"joe","pass":"p","account":"A"`, `"verbose":false`,
	} {
		c := h.dial(t)
		c.send("CONNECT " + quiet + "," + connect + "}\r\nPING\r\n")
		got := c.ended()
		if seen == "" {
			seen = got
		}
		if got != violation || got != seen {
			t.Errorf("%s: %q", connect, got)
		}
	}
}
