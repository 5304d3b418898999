package auth

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config"
)

// signer is a user key.
type signer struct {
	nkeys.KeyPair
	pub string
}

func newSigner(t testing.TB) signer {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return signer{kp, pub}
}

func (s signer) raw(t testing.TB, text string) []byte {
	t.Helper()
	sig, err := s.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func (s signer) sign(t testing.TB, text string) string {
	t.Helper()
	return base64.RawURLEncoding.EncodeToString(s.raw(t, text))
}

// special signs nonces until standard base64 of the signature has a letter that
// base64 for URLs has not.
func (s signer) special(t testing.TB) (nonce string, sig []byte) {
	t.Helper()
	for i := range 1000 {
		nonce = "nonce-" + strings.Repeat("x", i)
		sig = s.raw(t, nonce)
		if strings.ContainsAny(base64.StdEncoding.EncodeToString(sig), "+/") {
			return nonce, sig
		}
	}
	t.Fatal("no signature with + or /")
	return "", nil
}

func TestSignatureEncodings(t *testing.T) {
	k := newSigner(t)
	nonce, sig := k.special(t)
	decodedNonce := "d8Aequ-8n4GHErE"
	inner, err := base64.RawURLEncoding.DecodeString(decodedNonce)
	if err != nil {
		t.Fatal(err)
	}
	other := newSigner(t)
	for name, x := range map[string]struct {
		pub, nonce, sig string
		ok              bool
	}{
		"url, no padding":          {k.pub, nonce, base64.RawURLEncoding.EncodeToString(sig), true},
		"standard, padding":        {k.pub, nonce, base64.StdEncoding.EncodeToString(sig), true},
		"standard, no padding":     {k.pub, nonce, base64.RawStdEncoding.EncodeToString(sig), false},
		"url, padding":             {k.pub, nonce, base64.URLEncoding.EncodeToString(sig), false},
		"of the decoded nonce":     {k.pub, decodedNonce, k.sign(t, string(inner)), false},
		"of another nonce":         {k.pub, nonce, k.sign(t, nonce+"x"), false},
		"of another key":           {k.pub, nonce, other.sign(t, nonce), false},
		"cut short":                {k.pub, nonce, base64.RawURLEncoding.EncodeToString(sig[:63]), false},
		"with a byte more":         {k.pub, nonce, base64.RawURLEncoding.EncodeToString(append(sig[:64:64], 0)), false},
		"none":                     {k.pub, nonce, "", false},
		"no nonce, signed as \"\"": {k.pub, "", k.sign(t, ""), false},
		"not a key":                {"UABC", nonce, base64.RawURLEncoding.EncodeToString(sig), false},
	} {
		if err := VerifySignature(x.pub, x.nonce, x.sig); (err == nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeyLogin(t *testing.T) {
	a, b, guest, stranger := newSigner(t), newSigner(t), newSigner(t), newSigner(t)
	c := &config.Config{SystemAccount: "$SYS", Auth: config.Authorization{NoAuthUser: guest.pub}}
	c.Auth.Users = []config.User{{NKey: a.pub}, {Name: "joe", Password: "pw"}, {NKey: guest.pub}}
	c.Accounts = []config.Account{{Name: "B", Users: []config.User{{NKey: b.pub, AllowedConnectionTypes: []config.ConnectionType{config.LeafNode}}}}}
	s := FromConfig(c)
	if p := s.Policy(config.Standard); !p.Nonce || !p.Required || p.Announced || !p.Anonymous {
		t.Errorf("policy %+v", p)
	}
	const n = "the-nonce-of-it"
	for _, x := range []struct {
		name string
		c    Credentials
		want string
	}{
		{"key", Credentials{NKey: a.pub, Sig: a.sign(t, n), Nonce: n}, "$G/" + a.pub},
		{"key with a JWT, which is ignored", Credentials{NKey: a.pub, Sig: a.sign(t, n), Nonce: n, JWT: "eyJ"}, "$G/" + a.pub},
		{"no signature", Credentials{NKey: a.pub, Nonce: n}, "no"},
		{"replayed signature", Credentials{NKey: a.pub, Sig: a.sign(t, "an earlier nonce"), Nonce: n}, "no"},
		{"another's signature", Credentials{NKey: a.pub, Sig: b.sign(t, n), Nonce: n}, "no"},
		{"unknown key with a good password", Credentials{NKey: stranger.pub, Sig: stranger.sign(t, n), Nonce: n, User: "joe", Pass: "pw"}, "no"},
		{"key as a user name", Credentials{User: a.pub, Nonce: n}, "no"},
		{"wrong kind of connection", Credentials{NKey: b.pub, Sig: b.sign(t, n), Nonce: n}, "no"},
		{"right kind", Credentials{Kind: config.LeafNode, NKey: b.pub, Sig: b.sign(t, n), Nonce: n}, "B/" + b.pub},
		{"password beside keys", Credentials{User: "joe", Pass: "pw", Nonce: n}, "$G/joe"},
		{"nothing shown", Credentials{Nonce: n}, "$G/" + guest.pub},
		{"no_auth_user's key without a proof", Credentials{NKey: guest.pub, Nonce: n}, "no"},
		{"no_auth_user's key with one", Credentials{NKey: guest.pub, Sig: guest.sign(t, n), Nonce: n}, "$G/" + guest.pub},
	} {
		if got := try(t, s, x.c); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

func TestLeafKeys(t *testing.T) {
	k, u := newSigner(t), newSigner(t)
	const n = "nonce"
	leaf := func(a config.LeafAuth) *Settings {
		return FromConfig(&config.Config{SystemAccount: "$SYS", LeafNodes: &config.LeafNodes{Auth: a}})
	}
	for _, x := range []struct {
		auth config.LeafAuth
		c    Credentials
		want string
	}{
		{config.LeafAuth{NKey: k.pub, Account: "A"}, Credentials{NKey: k.pub, Sig: k.sign(t, n)}, "A/" + k.pub},
		{config.LeafAuth{NKey: k.pub, Account: "A"}, Credentials{NKey: u.pub, Sig: u.sign(t, n)}, "no"},
		{config.LeafAuth{NKey: k.pub, Account: "A"}, Credentials{}, "no"},
		{config.LeafAuth{Users: []config.LeafUser{{NKey: u.pub, Account: "B"}, {Name: "x", Password: "y"}}}, Credentials{NKey: u.pub, Sig: u.sign(t, n)}, "B/" + u.pub},
		{config.LeafAuth{Users: []config.LeafUser{{NKey: u.pub, Account: "B"}, {Name: "x", Password: "y"}}}, Credentials{NKey: u.pub, Sig: k.sign(t, n)}, "no"},
		{config.LeafAuth{Users: []config.LeafUser{{NKey: u.pub, Account: "B"}, {Name: "x", Password: "y"}}}, Credentials{User: "x", Pass: "y"}, "$G/x"},
	} {
		s := leaf(x.auth)
		if p := s.Policy(config.LeafNode); !p.Nonce || !p.Required {
			t.Errorf("policy %+v", p)
		}
		x.c.Kind, x.c.Nonce = config.LeafNode, n
		if got := try(t, s, x.c); got != x.want {
			t.Errorf("%+v, %+v: %s, want %s", x.auth, x.c, got, x.want)
		}
	}
}
