package operator

import (
	"slices"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/callout"
)

// question is what is to be asked about a user whose account has its users judged
// by a service; nil if it has not, or if the user is that service.
func (a *account) question(u *user) *callout.Question {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := &a.claims.Authorization
	if !x.IsEnabled() || slices.Contains(x.AuthUsers, u.claims.Subject) {
		return nil
	}
	return &callout.Question{
		Account: a.key, Subject: a.key, XKey: x.XKey, SealVouches: true, Signed: a.signed,
		User: u.claims.Subject, NameTag: u.claims.Name, Tags: u.claims.Tags,
	}
}

// signed tells whether the account's key or one of its signing keys has signed.
// Who names an account must be of it: that it is named proves nothing.
func (a *account) signed(issuer, issuerAccount string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if issuerAccount != "" && issuerAccount != a.key {
		return false
	}
	_, signs := a.claims.SigningKeys[issuer]
	return signs || issuer == a.key
}

// callOut has the service of a decide who a connection is: a user of that account,
// or of one that it may place users in.
func (o *Operator) callOut(a *account, q *callout.Question, c *auth.Credentials) (*auth.Identity, error) {
	claims, token, err := o.o.Callout.Decide(q, c)
	if err != nil {
		return nil, err
	}
	target := a
	if key := memberOf(claims); key != a.key {
		if !a.mayPlace(key) {
			return nil, q.Refusal("Account %q not permitted as valid account option for auth callout for account %q", key, a.key)
		}
		if target, err = o.account(key); err != nil {
			return nil, err
		}
	}
	u := &user{claims: claims, token: token, delegated: true}
	if err := target.judge(u, c); err != nil {
		return nil, q.Because(err)
	}
	return target.admit(u), nil
}

// mayPlace tells whether users may be placed in another account.
func (a *account) mayPlace(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.claims.Authorization.AllowedAccounts
	return slices.Contains(list, key) || len(list) == 1 && list[0] == jwt.AnyAccount
}
