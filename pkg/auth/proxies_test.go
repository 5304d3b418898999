package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

type ended struct {
	reason wire.CloseReason
	text   string
	id     *Identity
}

func (e *ended) End(reason wire.CloseReason, text string) { e.reason, e.text = reason, text }
func (e *ended) Permit(id *Identity)                      { e.id = id }

func proxyKey(t *testing.T, kind nkeys.PrefixByte) (nkeys.KeyPair, string) {
	t.Helper()
	kp, err := nkeys.CreatePair(kind)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return kp, pub
}

func TestProxies(t *testing.T) {
	one, pub := proxyKey(t, nkeys.PrefixByteUser)
	two, pub2 := proxyKey(t, nkeys.PrefixByteServer)
	const nonce = "d8Aequ-8n4GHErE"
	// One of the signatures must show the difference between the encodings.
	sign := func(kp nkeys.KeyPair, nonce string) []byte {
		sig, err := kp.Sign([]byte(nonce))
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	raw := base64.RawURLEncoding.EncodeToString
	users := func() *Settings {
		c := &config.Config{}
		c.Auth.Users = []config.User{{Name: "free", Password: "p"}, {Name: "bound", Password: "p", ProxyRequired: true}}
		return FromConfig(c)
	}()
	p, err := TrustProxies(users, []string{pub, pub2})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Policy(config.Standard).Nonce {
		t.Error("INFO needs a nonce")
	}
	for name, x := range map[string]struct {
		user, sig, nonce string
		want             wire.CloseReason // none: in
		proxy            string
	}{
		"without":         {"free", "", nonce, 0, ""},
		"with":            {"free", raw(sign(one, nonce)), nonce, 0, pub},
		"bound with":      {"bound", raw(sign(two, nonce)), nonce, 0, pub2},
		"bound without":   {"bound", "", nonce, wire.ReasonProxyRequired, ""},
		"other nonce":     {"free", raw(sign(one, "another nonce..")), nonce, wire.ReasonProxyNotTrusted, ""},
		"no nonce":        {"free", raw(sign(one, "")), "", wire.ReasonProxyNotTrusted, ""},
		"junk":            {"free", "junk", nonce, wire.ReasonProxyNotTrusted, ""},
		"standard base64": {"free", base64.StdEncoding.EncodeToString(sign(one, nonce)), nonce, wire.ReasonProxyNotTrusted, ""},
		"wrong password":  {"nobody", raw(sign(one, nonce)), nonce, wire.ReasonAuthFailure, ""},
		"padded url":      {"free", base64.URLEncoding.EncodeToString(sign(one, nonce)), nonce, wire.ReasonProxyNotTrusted, ""},
	} {
		c := &Credentials{Kind: config.Standard, User: x.user, Pass: "p", ProxySig: x.sig, Nonce: x.nonce, Proxy: "forged"}
		id, err := p.Authenticate(c)
		switch {
		case x.want == wire.ReasonNone:
			if err != nil || id.Proxy != x.proxy {
				t.Errorf("%s: %+v, %v", name, id, err)
			}
		case !errors.Is(err, ErrRefused) || ReasonOf(err) != x.want:
			t.Errorf("%s: %v, %s", name, err, ReasonOf(err))
		}
	}

	// Who came through a proxy that is trusted no more ends; others stay.
	login := func(kp nkeys.KeyPair) *Identity {
		id, err := p.Authenticate(&Credentials{Kind: config.Standard, User: "free", Pass: "p", ProxySig: raw(sign(kp, nonce)), Nonce: nonce})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	var a, b, gone, late ended
	id := login(one)
	for _, s := range []*ended{&a, &gone} {
		detach, err := id.Attach(s)
		if err != nil {
			t.Fatal(err)
		}
		if s == &gone {
			detach()
		}
	}
	if _, err := login(two).Attach(&b); err != nil {
		t.Fatal(err)
	}
	if err := p.Trust([]string{pub2}); err != nil {
		t.Fatal(err)
	}
	if a.reason != wire.ReasonProxyNotTrusted || a.text != wire.TextAuthViolation || b.reason != 0 || gone.reason != 0 {
		t.Errorf("%+v %+v %+v", a, b, gone)
	}
	if _, err := id.Attach(&late); ReasonOf(err) != wire.ReasonProxyNotTrusted {
		t.Errorf("it ceased to be trusted during the login: %v", err)
	}
	if err := p.Trust(nil); err != nil {
		t.Fatal(err)
	}
	if b.reason != wire.ReasonProxyNotTrusted || p.Policy(config.Standard).Nonce {
		t.Errorf("%+v", b)
	}
	// Nobody is trusted: signatures are not looked at, and who needs a proxy stays out.
	if _, err := p.Authenticate(&Credentials{Kind: config.Standard, User: "free", Pass: "p", ProxySig: "junk"}); err != nil {
		t.Error(err)
	}
	if _, err := p.Authenticate(&Credentials{Kind: config.Standard, User: "bound", Pass: "p", ProxySig: "junk", Proxy: pub}); ReasonOf(err) != wire.ReasonProxyRequired {
		t.Error(err)
	}
	if err := p.Trust([]string{"junk"}); err == nil || !strings.Contains(err.Error(), "trusted proxy") {
		t.Error(err)
	}
}

// A change of permissions does not forget the proxy; both handles are told of the end.
func TestProxiesKeepOthersHandles(t *testing.T) {
	_, pub := proxyKey(t, nkeys.PrefixByteUser)
	p, err := TrustProxies(Open{}, []string{pub})
	if err != nil {
		t.Fatal(err)
	}
	var inner Session
	detached := 0
	var e ended
	detach, err := p.attach(&proxied{&e, pub}, func(s Session) (func(), error) {
		inner = s
		return func() { detached++ }, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	inner.Permit(&Identity{User: "u"})
	if e.id.Proxy != pub || e.id.User != "u" {
		t.Errorf("%+v", e.id)
	}
	detach()
	if detached != 1 || len(p.sessions) != 0 {
		t.Errorf("%d, %d sessions", detached, len(p.sessions))
	}
	if _, err := p.attach(&proxied{&e, pub}, func(Session) (func(), error) { return nil, ErrTooMany }); !errors.Is(err, ErrTooMany) || len(p.sessions) != 0 {
		t.Errorf("%v, %d sessions", err, len(p.sessions))
	}
}
