package auth

import (
	"maps"

	"github.com/banyanmq/banyan/pkg/config"
)

// Listeners of their own (WebSocket) may have a user, a token or a no_auth_user that
// hold there in place of those that hold elsewhere. Everything else is the same for all
// (websocket 6).

// addWays makes what holds for the listeners that override something.
func (s *Settings) addWays(c *config.Config) {
	w := c.WebSocket
	if w == nil {
		return
	}
	noAuth := s.users[w.NoAuthUser]
	if noAuth == nil {
		noAuth = s.keys[w.NoAuthUser]
	}
	if noAuth == nil && w.Auth.User == "" && w.Auth.Token == "" {
		return
	}
	o := *s
	o.single, o.token, o.tokenProxy, o.noAuth = nil, w.Auth.Token, false, noAuth
	o.required, o.openGlobal, o.announced = true, false, true
	if w.Auth.User != "" {
		o.single = newUser(w.Auth.User, w.Auth.Password, config.DefaultAccount)
	}
	o.chooseDecoy()
	ways := map[config.ConnectionType]*Settings{config.WebSocket: &o}
	if noAuth != nil {
		leafs := *s
		leafs.noAuth, leafs.openGlobal = noAuth, false
		ways[config.LeafWS] = &leafs
	}
	if s.ways != nil {
		maps.Copy(s.ways, ways)
		return
	}
	s.ways = ways
}
