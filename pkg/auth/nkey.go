package auth

import (
	"encoding/base64"
	"errors"

	"github.com/nats-io/nkeys"
)

var (
	errNoNonce   = errors.New("this connection was given no nonce to sign")
	errEncoding  = errors.New("the signature is not in base64")
	errSignature = errors.New("the signature is not that of the key over this connection's nonce")
)

// VerifySignature tells whether sig, as CONNECT carries it, is the signature of
// the holder of a public key over a nonce, as INFO carried it: its characters
// themselves. The signature is base64 for URLs without padding, or the standard
// one with padding (accounts-auth 5.1).
func VerifySignature(publicKey, nonce, sig string) error {
	if nonce == "" {
		return errNoNonce
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sig)
	if err != nil {
		if raw, err = base64.StdEncoding.Strict().DecodeString(sig); err != nil {
			return errEncoding
		}
	}
	key, err := nkeys.FromPublicKey(publicKey)
	if err != nil {
		return err
	}
	if key.Verify([]byte(nonce), raw) != nil {
		return errSignature
	}
	return nil
}
