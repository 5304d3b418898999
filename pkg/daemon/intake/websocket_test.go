package intake_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
)

// webTry connects over WebSocket with cookies.
func (h *hub) webTry(cookies string, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect("ws://"+h.in.Clients.WebSocketAddr().String(), append([]nats.Option{
		nats.NoReconnect(), nats.Timeout(patience), nats.WebSocketConnectionHeaders(http.Header{"Cookie": {cookies}}),
	}, opts...)...)
}

// TestTokenInACookie: a bearer's token may be in a cookie; what CONNECT says wins, and the
// token of somebody who must sign lets nobody in.
func TestTokenInACookie(t *testing.T) {
	o := tree(t, false)
	o.start(t, `websocket { listen: "127.0.0.1:-1", no_tls: true, jwt_cookie: who }`)
	user := o.app.User(nil, func(c *jwt.UserClaims) { c.Name, c.BearerToken = "page", true })
	tcpOnly := o.app.User(nil, func(c *jwt.UserClaims) {
		c.BearerToken = true
		c.AllowedConnectionTypes.Add(jwt.ConnectionTypeStandard)
	})
	other := o.app.User(nil, func(c *jwt.UserClaims) { c.BearerToken = true })
	signs := o.app.User(nil)
	for name, row := range map[string]struct {
		cookies string
		opts    []nats.Option
		want    string // the user; "": refused
	}{
		"a bearer":         {"x=1; who=" + user.Token, nil, user.Pub},
		"the last counts":  {"who=" + signs.Token + "; who=" + user.Token, nil, user.Pub},
		"CONNECT wins":     {"who=" + signs.Token, []nats.Option{bearer(other)}, other.Pub},
		"CONNECT is wrong": {"who=" + user.Token, []nats.Option{bearer(signs)}, ""},
		"who must sign":    {"who=" + signs.Token, nil, ""},
		"no token":         {"who=nobody", nil, ""},
		"another cookie":   {"them=" + user.Token, nil, ""},
		"not by this way":  {"who=" + tcpOnly.Token, nil, ""},
		"nothing at all":   {"", nil, ""},
	} {
		nc, err := o.webTry(row.cookies, row.opts...)
		if row.want == "" {
			if !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if u := info(t, nc); u["user"] != row.want {
			t.Errorf("%s: %v", name, u)
		}
		nc.Close()
	}
}

// TestReloadWebSocket: another login for pages, without a restart.
func TestReloadWebSocket(t *testing.T) {
	const conf = `ping_interval: %s, authorization { timeout: %d }
websocket { listen: "127.0.0.1:-1", no_tls: true, %s }`
	h := start(t, fmt.Sprintf(conf, "1m", 2, ""))
	open, err := h.webTry("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(open.Close)
	// What the listener takes over from elsewhere changes with it.
	h.reload(t, fmt.Sprintf(conf, "2m", 3, ""))
	if err := open.Flush(); err != nil {
		t.Fatal(err)
	}
	h.reload(t, fmt.Sprintf(conf, "2m", 3, "authorization { token: t }, token_cookie: c"))
	if _, err := h.webTry(""); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without a token: %v", err)
	}
	nc, err := h.webTry("c=t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	h.connect(t) // over TCP everybody may
	eventually(t, "who is not let in any more is gone", open.IsClosed)
	if err := nc.Flush(); err != nil {
		t.Error(err)
	}
	h.reload(t, fmt.Sprintf(conf, "2m", 3, "authorization { token: t }, token_cookie: d"))
	if _, err := h.webTry("c=t"); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("with the old cookie: %v", err)
	}
	if v := h.in.Hooks.WebSocket(); v == nil || v.Compression {
		t.Errorf("%+v", v)
	}
	h.reload(t, fmt.Sprintf(conf, "2m", 3, "compression: true"))
	if v := h.in.Hooks.WebSocket(); v == nil || !v.Compression {
		t.Errorf("monitoring does not see the change: %+v", v)
	}
	if nc, err = h.webTry(""); err != nil {
		t.Fatal(err)
	}
	nc.Close()
}
