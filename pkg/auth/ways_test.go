package auth

import (
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
)

// TestWebSocketOverride: what the websocket block says of logins holds there and nowhere else.
func TestWebSocketOverride(t *testing.T) {
	admits := func(s *Settings, kind config.ConnectionType, user, pass, token string) (string, bool) {
		id, err := s.Authenticate(&Credentials{Kind: kind, User: user, Pass: pass, Token: token})
		if err != nil {
			return "", false
		}
		return id.User, true
	}
	open := func(w *config.WebSocketListener) *Settings {
		return FromConfig(&config.Config{WebSocket: w, SystemAccount: "$SYS"})
	}

	s := open(&config.WebSocketListener{Auth: config.WebSocketAuth{User: "web", Password: "secret"}})
	if p := s.Policy(config.Standard); p.Required || p.Announced {
		t.Errorf("TCP: %+v", p)
	}
	if p := s.Policy(config.WebSocket); !p.Required || !p.Announced || p.Anonymous {
		t.Errorf("WebSocket: %+v", p)
	}
	if _, ok := admits(s, config.Standard, "", "", ""); !ok {
		t.Error("TCP is closed")
	}
	if _, ok := admits(s, config.WebSocket, "", "", ""); ok {
		t.Error("WebSocket is open")
	}
	if u, ok := admits(s, config.WebSocket, "web", "secret", ""); !ok || u != "web" {
		t.Error("the block's user is not let in")
	}
	if _, ok := admits(s, config.WebSocket, "web", "wrong", ""); ok {
		t.Error("any password will do")
	}

	s = open(&config.WebSocketListener{Auth: config.WebSocketAuth{Token: "tok"}})
	if _, ok := admits(s, config.WebSocket, "", "", "tok"); !ok {
		t.Error("the block's token is not let in")
	}

	// The global user does not hold where the block has its own.
	s = FromConfig(&config.Config{
		Auth:      config.Authorization{User: "all", Password: "p"},
		WebSocket: &config.WebSocketListener{Auth: config.WebSocketAuth{User: "web", Password: "q"}}, SystemAccount: "$SYS",
	})
	if _, ok := admits(s, config.WebSocket, "all", "p", ""); ok {
		t.Error("the global user is let in")
	}
	if _, ok := admits(s, config.Standard, "web", "q", ""); ok {
		t.Error("the block's user is let in by TCP")
	}

	users := []config.User{{Name: "a", Password: "x"}, {Name: "guest", AllowedConnectionTypes: []config.ConnectionType{config.WebSocket, config.LeafWS}}}
	s = FromConfig(&config.Config{Auth: config.Authorization{Users: users}, WebSocket: &config.WebSocketListener{NoAuthUser: "guest"}, SystemAccount: "$SYS"})
	if p := s.Policy(config.WebSocket); !p.Required || !p.Announced || !p.Anonymous {
		t.Errorf("no_auth_user: %+v", p)
	}
	for kind, want := range map[config.ConnectionType]string{config.WebSocket: "guest", config.LeafWS: "guest", config.Standard: "", config.LeafNode: ""} {
		if u, ok := admits(s, kind, "", "", ""); ok != (want != "") || u != want {
			t.Errorf("%s without a name: %q, %v", kind, u, ok)
		}
		if u, _ := admits(s, kind, "a", "x", ""); u != "a" {
			t.Errorf("%s as a user: %q", kind, u)
		}
	}
}
