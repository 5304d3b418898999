package intake_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
)

// Each kind of user is told who it is.
func TestUserInfo(t *testing.T) {
	key := operatortest.NewKey(t, nkeys.PrefixByteUser)
	proven := nats.Nkey(key.Pub, func(nonce []byte) ([]byte, error) { return key.Sign(nonce) })
	const list = "subscribe: { allow: [ \"a q\", \"_INBOX.>\" ] }, publish: { allow: \"$SYS.REQ.USER.INFO\" }, allow_responses: true"
	users := start(t, fmt.Sprintf(`accounts { A { users: [ { user: u, password: p }, { user: l, password: p, permissions: { %s } }, { nkey: %s }, { user: any } ] } }
no_auth_user: any`, list, key.Pub))
	for _, x := range []struct {
		name string
		h    *hub
		opts []nats.Option
		want string
	}{
		{"name and password", users, []nats.Option{nats.UserInfo("u", "p")}, "user:u account:A account_name:A user_name:u"},
		{"nkey", users, []nats.Option{proven}, "user:" + key.Pub + " account:A account_name:A user_name:" + key.Pub},
		{"no_auth_user", users, nil, "user:any account:A account_name:A user_name:any"},
		{"lists", users, []nats.Option{nats.UserInfo("l", "p")}, "user:l account:A account_name:A user_name:l permissions:map[" +
			"publish:map[allow:[$SYS.REQ.USER.INFO]] responses:map[max:1 ttl:1.2e+11] subscribe:map[allow:[a q _INBOX.>]]]"},
		{"token", start(t, "authorization { token: s3cret }"), []nats.Option{nats.Token("s3cret")}, "user:[REDACTED] account:$G account_name:$G user_name:[REDACTED]"},
		{"the one user", start(t, "authorization { user: one, password: p }"), []nats.Option{nats.UserInfo("one", "p")}, "user:one account:$G account_name:$G user_name:one"},
		{"nobody", start(t, ""), nil, "user: account:$G account_name:$G"},
	} {
		nc := x.h.connect(t, x.opts...)
		u := info(t, nc)
		got := ""
		for _, k := range []string{"user", "account", "account_name", "user_name", "permissions", "expires"} {
			if v, ok := u[k]; ok {
				got += fmt.Sprintf(" %s:%v", k, v)
			}
		}
		got = strings.ReplaceAll(strings.TrimSpace(got), " deny:[]", "")
		if got != x.want {
			t.Errorf("%s:\ngot  %s\nwant %s", x.name, got, x.want)
		}
	}

	o := tree(t, false)
	o.start(t, "")
	u := o.app.User(&o.app.Signer, func(c *jwt.UserClaims) {
		c.Name = "bob"
		c.Expires = time.Now().Add(time.Hour).Unix()
	})
	if v := info(t, o.connect(t, creds(u))); v["user"] != u.Pub || v["account"] != o.app.Pub || v["account_name"] != "APP" || v["user_name"] != "bob" ||
		v["expires"].(float64) < 3590e9 || v["expires"].(float64) > 3600e9 || v["permissions"] != nil {
		t.Errorf("token: %v", v)
	}
}
