package leaf

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config"
)

// maxCredentials bounds what is read of a credentials file.
const maxCredentials = 1 << 20

var errMalformed = errors.New("Credentials file malformed")

// credentialsFile proves a user by its token and key in a file (jwt-operator 2).
// The file is read for each proof, so that a new one counts from the next
// connection on.
type credentialsFile struct {
	name string
	also Proof // user information of the URL, which a callout may want
}

// Prove implements Credentials.
func (f credentialsFile) Prove(nonce string) (Proof, error) {
	p := f.also
	b, err := readSecret(f.name)
	if err != nil {
		return p, fmt.Errorf("credentials: %w", err)
	}
	defer clear(b)
	token, seed := blocks(b)
	if token == nil || seed == nil {
		return p, fmt.Errorf("credentials file %q: %w: want a JWT and a seed, each between lines of dashes", f.name, errMalformed)
	}
	if _, p.Sig, err = sign(seed, nonce); err != nil {
		return f.also, fmt.Errorf("credentials file %q: %w", f.name, err)
	}
	p.JWT = string(token)
	return p, nil
}

// keySeed proves the key of a seed, which is written out or stands in a file.
type keySeed struct {
	text config.Secret
	also Proof
}

// Prove implements Credentials.
func (k keySeed) Prove(nonce string) (Proof, error) {
	p := k.also
	seed := []byte(k.text)
	if _, _, err := nkeys.DecodeSeed(seed); err != nil {
		// Not a seed, so it may be told.
		b, err := readSecret(string(k.text))
		if err != nil {
			return p, errors.New("seed: neither an nkey seed nor a file that can be read")
		}
		defer clear(b)
		if seed = bytes.TrimSpace(b); bytes.HasPrefix(seed, []byte("---")) {
			seed, _ = blocks(b)
		}
	}
	defer clear(seed)
	var err error
	p.NKey, p.Sig, err = sign(seed, nonce)
	return p, err
}

// readSecret reads a file that is not longer than it may be.
func readSecret(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if fi.Size() > maxCredentials {
		return nil, fmt.Errorf("file %q has %d bytes, more than %d", name, fi.Size(), maxCredentials)
	}
	b := make([]byte, fi.Size())
	n, err := f.ReadAt(b, 0)
	if n < len(b) {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	return b, nil
}

// exposed tells whether others than the owner can read a file.
func exposed(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.Mode().Perm()&0o077 != 0
}

// blocks returns what stands in the first two blocks: a line that begins with
// three dashes, a line of text, and another line with dashes.
func blocks(b []byte) (first, second []byte) {
	var found [2][]byte
	n := 0
	var body []byte
	open := false
	for line := range bytes.Lines(b) {
		line = bytes.TrimSpace(line)
		switch dashes := bytes.HasPrefix(line, []byte("---")); {
		case dashes && open && body != nil:
			found[n] = body
			if n++; n == len(found) {
				return found[0], found[1]
			}
			open, body = false, nil
		case dashes:
			open = true
		case open && body == nil && plain(line):
			body = line
		case len(line) > 0:
			open, body = false, nil
		}
	}
	return found[0], found[1]
}

// plain tells whether a line has nothing but letters of tokens and seeds.
func plain(line []byte) bool {
	for _, c := range line {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_' || c == '.' || c == '=' || c == '-':
		default:
			return false
		}
	}
	return len(line) > 0
}

// sign returns the public key of a user's seed and its signature of a nonce.
func sign(seed []byte, nonce string) (pub, sig string, err error) {
	kind, _, err := nkeys.DecodeSeed(seed)
	switch {
	case err != nil:
		return "", "", errors.New("not an nkey seed")
	case kind != nkeys.PrefixByteUser:
		return "", "", errors.New("the seed is not that of a user")
	case nonce == "":
		return "", "", errors.New("the hub gave no nonce to sign")
	}
	kp, err := nkeys.FromSeed(seed)
	if err != nil {
		return "", "", errors.New("not an nkey seed")
	}
	defer kp.Wipe()
	if pub, err = kp.PublicKey(); err != nil {
		return "", "", err
	}
	raw, err := kp.Sign([]byte(nonce))
	if err != nil {
		return "", "", err
	}
	return pub, base64.RawURLEncoding.EncodeToString(raw), nil
}
