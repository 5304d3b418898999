package config

import (
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// shown is a value for a message. A seed that stands where a public key belongs is
// not repeated.
func shown(s string) string {
	if _, _, err := nkeys.DecodeSeed([]byte(s)); err == nil {
		return redacted
	}
	return s
}

// publicKeys are the kinds of public keys that settings name.
var publicKeys = map[string]struct {
	valid   func(string) bool
	message string
}{
	"user":     {nkeys.IsValidPublicUserKey, "Not a valid public nkey for a user"},
	"account":  {nkeys.IsValidPublicAccountKey, "Not a valid public nkey for an account"},
	"operator": {nkeys.IsValidPublicOperatorKey, "Not a valid public nkey for an operator"},
}

// readPublicKey reads a public key of a kind. A seed in its place is not
// repeated in the message.
func readPublicKey(kind string) reader {
	k := publicKeys[kind]
	return func(d *decoder, path string, v *conf.Value) (any, bool) {
		if v.Kind != conf.String || !k.valid(v.Str) {
			d.errorf(v.Pos, path, "%s", k.message)
			return nil, false
		}
		return v.Str, true
	}
}
