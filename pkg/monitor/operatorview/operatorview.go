// Package operatorview shows what package operator knows of an account in the words
// of package monitor: the hook monitor.Hooks.Account. It imports the two.
package operatorview

import (
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth/operator"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// Account makes monitor.Hooks.Account of an operator's accounts.
func Account(show func(key string) (operator.Shown, bool)) func(name string) *monitor.AccountMore {
	return func(name string) *monitor.AccountMore {
		s, ok := show(name)
		if !ok {
			return nil
		}
		at, c := s.Updated(), s.Claims
		m := &monitor.AccountMore{
			Definition: s.Definition, Updated: &at, Expired: s.Expired, Token: s.Token, Issuer: c.Issuer, NameTag: c.Name, Tags: c.Tags, Decoded: c,
		}
		vr := jwt.CreateValidationResults()
		c.Validate(vr)
		for _, i := range vr.Issues {
			m.Validation = append(m.Validation, monitor.TokenFinding{Description: i.Description, Blocking: i.Blocking, TimeCheck: i.TimeCheck})
		}
		for user, before := range c.Revocations {
			if m.Revoked == nil {
				m.Revoked = make(map[string]time.Time)
			}
			m.Revoked[user] = time.Unix(before, 0).UTC()
		}
		return m
	}
}
