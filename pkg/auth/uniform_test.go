package auth

import (
	"errors"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/banyanmq/banyan/pkg/config"
)

// comparisons counts those with hashes of a login that fails.
func comparisons(t *testing.T, s *Settings, c *Credentials) (n int) {
	t.Helper()
	s.hash.compare = func(hash, shown []byte) bool {
		n++
		return bcrypt.CompareHashAndPassword(hash, shown) == nil
	}
	if _, err := s.Authenticate(c); !errors.Is(err, ErrRefused) {
		t.Errorf("%+v: %v", c, err)
	}
	return n
}

// Every failure costs one comparison of hashes, so that time tells nothing.
func TestFailuresCostTheSame(t *testing.T) {
	h, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	hash := config.Secret(h)
	users := &config.Config{}
	users.Auth.Users = []config.User{
		{Name: "hashed", Password: hash},
		{Name: "clear", Password: "p"},
		{Name: "elsewhere", Password: hash, AllowedConnectionTypes: []config.ConnectionType{config.MQTT}},
		{Name: "bound", Password: hash, ProxyRequired: true},
	}
	single := &config.Config{}
	single.Auth.User, single.Auth.Password = "joe", hash
	token := &config.Config{}
	token.Auth.Token = hash
	leafs := &config.Config{LeafNodes: &config.LeafNodes{Auth: config.LeafAuth{User: "edge", Password: hash}}}
	leafUsers := &config.Config{LeafNodes: &config.LeafNodes{Auth: config.LeafAuth{Users: []config.LeafUser{{Name: "edge", Password: hash}}}}}
	for name, x := range map[string]struct {
		cfg  *config.Config
		cred Credentials
	}{
		"wrong password":               {users, Credentials{User: "hashed", Pass: "wrong"}},
		"unknown user":                 {users, Credentials{User: "nobody", Pass: "wrong"}},
		"nothing":                      {users, Credentials{}},
		"wrong password in clear":      {users, Credentials{User: "clear", Pass: "wrong"}},
		"connection type":              {users, Credentials{User: "elsewhere", Pass: "right"}},
		"connection type, wrong too":   {users, Credentials{User: "elsewhere", Pass: "wrong"}},
		"proxy":                        {users, Credentials{User: "bound", Pass: "right"}},
		"the one user's password":      {single, Credentials{User: "joe", Pass: "wrong"}},
		"not the one user":             {single, Credentials{User: "jim", Pass: "right"}},
		"token":                        {token, Credentials{Token: "wrong"}},
		"no token":                     {token, Credentials{}},
		"leaf node's password":         {leafs, Credentials{Kind: config.LeafNode, User: "edge", Pass: "wrong"}},
		"unknown leaf node":            {leafs, Credentials{Kind: config.LeafNode, User: "x", Pass: "right"}},
		"one leaf node's password":     {leafUsers, Credentials{Kind: config.LeafNode, User: "edge", Pass: "wrong"}},
		"unknown leaf node of several": {leafUsers, Credentials{Kind: config.LeafNode, User: "x", Pass: "right"}},
	} {
		if x.cred.Kind == "" {
			x.cred.Kind = config.Standard
		}
		if n := comparisons(t, FromConfig(x.cfg), &x.cred); n != 1 {
			t.Errorf("%s: %d comparisons", name, n)
		}
	}
}
