package callout

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth/usertoken"
)

// tokenStart begins each token.
const tokenStart = "eyJ"

// check judges an answer, in the order of jwt-operator 12.3, as far as it does not
// matter which account the user is placed in.
func (c *Caller) check(q *Question, nkey string, answer []byte) (*jwt.UserClaims, string, error) {
	refuse := func(format string, args ...any) (*jwt.UserClaims, string, error) {
		return nil, "", q.Refusal(format, args...)
	}
	if len(answer) == 0 {
		return refuse(`auth callout violation: "no reason supplied" on account %q`, q.Account)
	}
	text, sealed := string(answer), false
	if q.XKey != "" {
		if strings.HasPrefix(text, tokenStart) {
			return refuse("auth callout response on account %q is not encrypted", q.Account)
		}
		clear, err := c.o.Curve.Open(answer, q.XKey)
		if err != nil {
			return refuse("error decrypting auth callout response on account %q: %v", q.Account, err)
		}
		text, sealed = string(clear), true
	}
	r, err := jwt.DecodeAuthorizationResponseClaims(text)
	if err != nil {
		return refuse("%v", err)
	}
	vr := jwt.CreateValidationResults()
	if r.Validate(vr); len(vr.Issues) > 0 {
		return refuse("authorization response had validation errors: %s", first(vr))
	}
	switch {
	case r.Subject != nkey:
		return refuse("auth callout violation: auth callout response is not for expected user")
	case r.Audience != c.o.Server().ID:
		return refuse("auth callout violation: auth callout response is not for server")
	case !(sealed && q.SealVouches) && !q.Signed(r.Issuer, r.IssuerAccount):
		return refuse("auth callout signing key is unknown: %s on account %q", r.Issuer, q.Account)
	case r.Error != "":
		return refuse("auth callout service returned an error: %s", limited(r.Error))
	}
	u, err := jwt.DecodeUserClaims(r.Jwt)
	if err != nil {
		return refuse("error decoding user JWT on account %q: %v", q.Account, err)
	}
	vr = jwt.CreateValidationResults()
	if u.Validate(vr); vr.IsBlocking(true) || usertoken.Expired(u.Expires, c.o.Now()) {
		return refuse("error validating user JWT: %s", usertoken.Issues(vr))
	}
	if u.Subject != nkey {
		return refuse("expected authorized user of %q but got %q on account %q", nkey, u.Subject, q.Account)
	}
	if err := checkNames(u); err != nil {
		return refuse("%v on account %q", err, q.Account)
	}
	return u, r.Jwt, nil
}

// checkNames judges what a service calls a user.
func checkNames(u *jwt.UserClaims) error {
	if len(u.Tags) > maxTags {
		return fmt.Errorf("authorized user has %d tags, at most %d are taken", len(u.Tags), maxTags)
	}
	for _, name := range append([]string{u.Name}, u.Tags...) {
		if len(name) > maxName {
			return fmt.Errorf("authorized user has a name or a tag of %d bytes, at most %d are taken", len(name), maxName)
		}
		if strings.ContainsFunc(name, unicode.IsControl) {
			return errors.New("authorized user has a name or a tag with control characters")
		}
	}
	return nil
}

func first(vr *jwt.ValidationResults) string { return vr.Issues[0].Description }

func limited(s string) string {
	if len(s) > maxReason {
		return s[:maxReason] + "..."
	}
	return s
}
