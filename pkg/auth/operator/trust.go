package operator

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth/usertoken"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/version"
)

// trust is who may sign tokens of accounts. It does not change.
type trust struct {
	// keys of operators, and whether theirs wants signing keys to be used by
	// accounts too.
	keys map[string]strict
	// selves are the operators' own keys, also where signing keys are wanted.
	selves map[string]bool
}

type strict bool

func newTrust(s *config.OperatorMode) (*trust, error) {
	t := &trust{keys: make(map[string]strict), selves: make(map[string]bool)}
	for _, k := range s.TrustedKeys {
		t.keys[k], t.selves[k] = false, true
	}
	for _, token := range s.JWTs {
		c, err := jwt.DecodeOperatorClaims(token)
		if err != nil {
			return nil, fmt.Errorf("operator JWT: %w", err)
		}
		vr := jwt.CreateValidationResults()
		if c.Validate(vr); vr.IsBlocking(false) {
			return nil, fmt.Errorf("operator JWT of %s: %w", c.Subject, errors.Join(vr.Errors()...))
		}
		if !c.DidSign(c) {
			return nil, fmt.Errorf("operator JWT of %s is not signed by its own key or a signing key of it, but by %s", c.Subject, c.Issuer)
		}
		if err := checkVersion(c); err != nil {
			return nil, err
		}
		own := strict(c.StrictSigningKeyUsage)
		t.selves[c.Subject] = true
		if !own {
			t.keys[c.Subject] = own
		}
		for _, k := range c.SigningKeys {
			t.keys[k] = own
		}
	}
	return t, nil
}

// checkVersion tells whether the operator asks for a newer server than this one.
func checkVersion(c *jwt.OperatorClaims) error {
	major, minor, update, err := jwt.ParseServerVersion(c.AssertServerVersion)
	if err != nil {
		return fmt.Errorf("operator %s: %w", c.Subject, err)
	}
	own := [3]int{}
	for i, p := range strings.SplitN(version.Protocol, ".", 3) {
		if own[i], err = strconv.Atoi(p); err != nil {
			return nil
		}
	}
	for i, x := range []struct {
		name string
		want int
	}{{"major", major}, {"minor", minor}, {"update", update}} {
		if x.want > own[i] {
			return fmt.Errorf("operator %s expected %s version %d > server %s version %d", c.Subject, x.name, x.want, x.name, own[i])
		}
		if x.want < own[i] {
			return nil
		}
	}
	return nil
}

// signs tells whether a key may sign tokens of accounts.
func (t *trust) signs(key string) bool {
	_, ok := t.keys[key]
	return ok
}

// orders tells whether a key may give orders as an operator: to delete accounts.
func (t *trust) orders(key string) bool { return t.signs(key) || t.selves[key] }

var (
	errSubject   = errors.New("subject does not match jwt content")
	errUntrusted = errors.New("account validation failed")
)

// badToken is an error that a token is the cause of.
type badToken struct{ error }

func (e badToken) Unwrap() error { return e.error }

// account checks the token of an account as a whole. key "" takes the one that
// the token names. An error is a badToken.
func (t *trust) account(key, token string) (*jwt.AccountClaims, error) {
	c, err := t.judge(key, token)
	if err != nil {
		return nil, badToken{err}
	}
	return c, nil
}

func (t *trust) judge(key, token string) (*jwt.AccountClaims, error) {
	c, err := jwt.DecodeAccountClaims(token)
	switch {
	case err != nil:
		return nil, err
	case key != "" && c.Subject != key:
		return nil, errSubject
	case !t.signs(c.Issuer):
		if t.selves[c.Issuer] {
			return nil, errors.New("operator requires issuer to be a signing key")
		}
		return nil, fmt.Errorf("%w: its issuer is not trusted", errUntrusted)
	}
	vr := jwt.CreateValidationResults()
	if c.Validate(vr); vr.IsBlocking(true) {
		return nil, fmt.Errorf("%w: %s", errUntrusted, usertoken.Issues(vr))
	}
	return c, nil
}

// memberOf is the account that a user's token is of: who signed it, or whom the
// signing key belongs to.
func memberOf(c *jwt.UserClaims) string {
	if c.IssuerAccount != "" {
		return c.IssuerAccount
	}
	return c.Issuer
}
