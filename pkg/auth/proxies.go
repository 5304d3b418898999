package auth

import (
	"encoding/base64"
	"fmt"
	"sync"

	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Proxies is an Authenticator that knows the proxies which may vouch for
// connections, in front of the one that knows the users (accounts-auth 14). A
// connection that shows a proxy's signature which is none ends there, whoever it
// is. Without trusted proxies such signatures are not looked at.
type Proxies struct {
	users Authenticator

	mu sync.Mutex
	// keys that are trusted, and through which connections came.
	keys     map[string]nkeys.KeyPair
	sessions map[*proxied]struct{}
}

// proxied is a connection that came through a proxy.
type proxied struct {
	Session
	key string
}

// Permit keeps what a change of permissions knows nothing of.
func (p *proxied) Permit(id *Identity) {
	c := *id
	c.Proxy = p.key
	p.Session.Permit(&c)
}

// TrustProxies puts trusted proxies, given by their public keys, before users.
func TrustProxies(users Authenticator, keys []string) (*Proxies, error) {
	p := &Proxies{users: users, sessions: make(map[*proxied]struct{})}
	if err := p.Trust(keys); err != nil {
		return nil, err
	}
	return p, nil
}

// Trust replaces the trusted keys. Connections that came through a proxy which is
// no longer trusted end.
func (p *Proxies) Trust(keys []string) error {
	trusted := make(map[string]nkeys.KeyPair, len(keys))
	for _, k := range keys {
		pair, err := nkeys.FromPublicKey(k)
		if err != nil {
			return fmt.Errorf("trusted proxy: %w", err)
		}
		trusted[k] = pair
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = trusted
	for s := range p.sessions {
		if trusted[s.key] == nil {
			s.End(wire.ReasonProxyNotTrusted, wire.TextAuthViolation)
		}
	}
	return nil
}

// Policy implements Authenticator.
func (p *Proxies) Policy(kind config.ConnectionType) Policy {
	out := p.users.Policy(kind)
	p.mu.Lock()
	defer p.mu.Unlock()
	out.Nonce = out.Nonce || len(p.keys) > 0
	return out
}

// Authenticate implements Authenticator.
func (p *Proxies) Authenticate(c *Credentials) (*Identity, error) {
	if err := p.prove(c); err != nil {
		return nil, err
	}
	id, err := p.users.Authenticate(c)
	if err != nil || c.Proxy == "" {
		return id, err
	}
	through := *id
	through.Proxy = c.Proxy
	through.Attach = func(s Session) (func(), error) { return p.attach(&proxied{s, c.Proxy}, id.Attach) }
	return &through, nil
}

// prove finds the proxy whose signature is shown. It is base64 for URLs without
// padding, and nothing else.
func (p *Proxies) prove(c *Credentials) error {
	c.Proxy = ""
	p.mu.Lock()
	keys := p.keys
	p.mu.Unlock()
	if c.ProxySig == "" || len(keys) == 0 {
		return nil
	}
	sig, err := base64.RawURLEncoding.Strict().DecodeString(c.ProxySig)
	if err == nil && c.Nonce != "" {
		for name, k := range keys {
			if k.Verify([]byte(c.Nonce), sig) == nil {
				c.Proxy = name
				return nil
			}
		}
	}
	return &Refusal{Reason: wire.ReasonProxyNotTrusted, Text: "the proxy's signature is not that of a trusted proxy over this connection's nonce"}
}

// attach asks once more whether the proxy is trusted: it may have ceased to be
// while the connection logged in.
func (p *Proxies) attach(s *proxied, next func(Session) (func(), error)) (func(), error) {
	p.mu.Lock()
	if p.keys[s.key] == nil {
		p.mu.Unlock()
		return nil, &Refusal{Reason: wire.ReasonProxyNotTrusted, Text: "the proxy is not trusted any more"}
	}
	p.sessions[s] = struct{}{}
	p.mu.Unlock()
	leave := func() {
		p.mu.Lock()
		delete(p.sessions, s)
		p.mu.Unlock()
	}
	if next == nil {
		return leave, nil
	}
	detach, err := next(s)
	if err != nil {
		leave()
		return nil, err
	}
	return func() {
		leave()
		if detach != nil {
			detach()
		}
	}, nil
}
