package operator

import (
	"time"

	"github.com/nats-io/jwt/v2"

	acct "github.com/banyanmq/banyan/pkg/account"
)

// Shown is what is known of an account, for those who look.
type Shown struct {
	// Claims are not to be changed.
	Claims     *jwt.AccountClaims
	Token      string // "" if the account exists without one, as the system account may at first
	Definition acct.Definition
	Expired    bool
}

// Show tells what is known of an account; nothing is fetched for it. ok is false for
// one that is not loaded, or deleted.
func (o *Operator) Show(key string) (s Shown, ok bool) {
	o.mu.Lock()
	a := o.accounts[key]
	o.mu.Unlock()
	if a == nil {
		return s, false
	}
	a.mu.Lock()
	s.Claims, s.Token = a.claims, a.token
	gone := a.deleted
	a.mu.Unlock()
	if s.Claims == nil || gone {
		return Shown{}, false
	}
	s.Definition, _ = o.define(s.Claims)
	s.Expired = s.Claims.Expires != 0 && s.Claims.Expires <= o.o.Now().Unix()
	return s, true
}

// Updated is when the claims were signed.
func (s *Shown) Updated() time.Time { return time.Unix(s.Claims.IssuedAt, 0).UTC() }
