package usertoken

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
)

// Admit judges a connection by a user's limits: those of its token, or of the
// template of the key that signed it. expires is the token's end in seconds, 0 for
// none. It returns until when the user may stay, zero for ever, and an error that
// wraps auth.ErrRefused.
func Admit(who string, l *jwt.UserPermissionLimits, expires int64, c *auth.Credentials, now time.Time) (until time.Time, err error) {
	if err := auth.ProxyRequired(l.ProxyRequired, c, "user "+who); err != nil {
		return until, err
	}
	if !AllowsKind(l.AllowedConnectionTypes, c.Kind) {
		return until, auth.Refused("connection type %s of user %s", c.Kind, who)
	}
	if !AllowsSource(l.Src, c.Remote) {
		return until, auth.Refused("Bad src Ip %v", c.Remote)
	}
	until, inside := Window(now, &l.UserLimits)
	if !inside {
		return until, auth.Refused("user %s is outside of its times", who)
	}
	if expires > 0 {
		if at := time.Unix(expires, 0); until.IsZero() || at.Before(until) {
			until = at
		}
	}
	return until, nil
}

var kinds = []config.ConnectionType{
	config.Standard, config.WebSocket, config.LeafNode, config.LeafWS, config.MQTT, config.MQTTWS, config.InProcess,
}

// AllowsKind tells whether a list of connection types has a kind. Types that do not
// exist do not count, but a list of nothing else allows nothing.
func AllowsKind(list []string, kind config.ConnectionType) bool {
	if len(list) == 0 {
		return true
	}
	return slices.Contains(kinds, kind) && slices.ContainsFunc(list, func(x string) bool {
		return config.ConnectionType(strings.ToUpper(x)) == kind
	})
}

// AllowsSource tells whether an address is in one of a list of networks.
func AllowsSource(list []string, remote net.Addr) bool {
	if len(list) == 0 {
		return true
	}
	t, ok := remote.(*net.TCPAddr)
	if !ok {
		return false
	}
	return slices.ContainsFunc(list, func(cidr string) bool {
		_, n, err := net.ParseCIDR(strings.TrimSpace(cidr))
		return err == nil && n.Contains(t.IP)
	})
}

// Permissions are those of a token in the form of settings; nil if it says nothing.
func Permissions(p jwt.Permissions) *config.Permissions {
	if p.Pub.Empty() && p.Sub.Empty() && p.Resp == nil {
		return nil
	}
	out := &config.Permissions{
		Publish:   config.SubjectPermission{Allow: p.Pub.Allow, Deny: p.Pub.Deny},
		Subscribe: config.SubjectPermission{Allow: p.Sub.Allow, Deny: p.Sub.Deny},
	}
	if r := p.Resp; r != nil {
		out.AllowResponses = &config.ResponsePermission{Max: r.MaxMsgs, Expires: r.Expires}
	}
	return out
}

// Limit sets limits of a connection as tokens write them: negative is none, 0 is
// zero.
func Limit(id *auth.Identity, subs, payload int64) {
	payload = min(payload, 1<<31-1)
	id.MaxSubs, id.NoSubs = int(max(min(subs, 1<<31-1), 0)), subs == 0
	id.MaxPayload, id.NoPayload = max(payload, 0), payload == 0
}

// Show sets what is shown of who a user is. token "" shows none; bearer: who has
// it needs nothing else.
func Show(id *auth.Identity, c *jwt.UserClaims, token string, bearer bool) {
	id.NameTag, id.Tags, id.IssuerKey, id.JWT = c.Name, c.Tags, c.Issuer, token
	if bearer && token != "" {
		id.JWT = auth.Redacted
	}
}

// Expired tells whether the second of a token's end has come.
func Expired(at int64, now time.Time) bool { return at > 0 && !now.Before(time.Unix(at, 0)) }

// Issues lists what stands against a token.
func Issues(vr *jwt.ValidationResults) string {
	var list []string
	for _, i := range vr.Issues {
		if i.Blocking || i.TimeCheck {
			list = append(list, i.Description)
		}
	}
	return fmt.Sprintf("validation errors: %q", list)
}
