package client

import (
	"testing"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// lobby has a user for those who show nothing, who may not hear all of its account.
func lobby(t *testing.T) *hub {
	return startHub(t, func(c *config.Config) {
		c.Accounts = []config.Account{
			{Name: "A", Users: []config.User{
				{Name: "a", Password: "a", Account: "A"},
				{Name: "anyone", Password: "x", Account: "A", Permissions: &config.Permissions{
					Subscribe: config.SubjectPermission{Deny: []string{"secret"}},
				}},
			}},
			{Name: "B", Users: []config.User{{Name: "b", Password: "b", Account: "B"}}},
		}
		c.Auth.NoAuthUser = "anyone"
	})
}

// TestSubscriptionsBeforeConnect: what a client has subscribed to before its first
// CONNECT is gone with who it was, like before any other CONNECT: it does not stay in an
// account that the client is no more of, nor is it judged by another user's permissions.
func TestSubscriptionsBeforeConnect(t *testing.T) {
	for _, who := range []string{"a", "b"} {
		h := lobby(t)
		c := h.dial(t)
		c.send("SUB > 1\r\nPING\r\n")
		c.expect("+OK\r\nPONG\r\n")
		c.send("CONNECT " + quiet + `,"user":"` + who + `","pass":"` + who + `"}` + "\r\nPING\r\n")
		c.expect("PONG\r\n")
		c.info()
		a := h.ready(t, userPass("a"))
		a.send("PUB secret 1\r\nx\r\nPUB open 1\r\nx\r\n")
		a.sync(t)
		c.ask("", "")
		if n := h.broker.Account("A").Subscriptions(); n != 0 {
			t.Errorf("%s: %d subscriptions are left in A", who, n)
		}
	}
}

// TestPermitIsForWhoItWas: permissions that a reload gives to a user do not reach the
// connection once it has become another one.
func TestPermitIsForWhoItWas(t *testing.T) {
	h := lobby(t)
	r := h.ready(t, userPass("b"))
	var c *conn
	h.eachClient(func(x *conn) { c = x })
	c.mu.Lock()
	login, b := c.logins, c.identity
	c.mu.Unlock()
	r.send("CONNECT " + quiet + `,"user":"a","pass":"a"}` + "\r\n")
	r.ask("SUB > 1\r\n", "")
	none := auth.NewPermissions(&config.Permissions{Subscribe: config.SubjectPermission{Deny: []string{">"}}})
	strangers := *b
	strangers.Permissions = none
	c.permit(&strangers, login)
	r.ask("PUB x 1\r\ny\r\n", "MSG x 1 1\r\ny\r\n")
	c.mu.Lock()
	login = c.logins
	c.mu.Unlock()
	c.permit(&strangers, login)
	r.ask("PUB x 1\r\ny\r\n", "-ERR '"+wire.TextSubscriptionRemoved(">", "", "1")+"'\r\n")
}
