package issuer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/atomicfile"
)

func (r *Result) kept(path string) { r.Files = append(r.Files, File{path, "kept"}) }

func (r *Result) write(path string, b []byte, mode fs.FileMode) error {
	if err := writeFile(path, b, mode); err != nil {
		return err
	}
	r.Files = append(r.Files, File{path, "wrote"})
	return nil
}

// writeFile puts a file in place whole, and makes its directory.
func writeFile(path string, b []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(path, b, mode)
}

// key reads the seed in a file, or makes it, and notes the public key.
func (s Store) key(r *Result, path string, kind nkeys.PrefixByte) (nkeys.KeyPair, error) {
	kp, err := readSeed(path)
	switch {
	case err == nil:
		r.kept(path)
	case errors.Is(err, fs.ErrNotExist):
		if kp, err = nkeys.CreatePair(kind); err != nil {
			return nil, err
		}
		seed, err := kp.Seed()
		if err != nil {
			return nil, err
		}
		text := append(seed[:len(seed):len(seed)], '\n') // seed is the pair's own
		defer clear(text)
		if err := r.write(path, text, 0o600); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	if r.Key, err = kp.PublicKey(); err != nil {
		return nil, err
	}
	if p := nkeys.Prefix(r.Key); p != kind {
		return nil, fmt.Errorf("%s holds the key of another kind: %s", path, p)
	}
	return kp, nil
}

func readSeed(path string) (nkeys.KeyPair, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	kp, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(b))))
	if err != nil {
		return nil, fmt.Errorf("%s holds no seed", path)
	}
	return kp, nil
}

// readToken reads the token in a file, bare or in a credentials file.
func readToken[C any](path string, decode func(string) (C, error)) (C, error) {
	var none C
	b, err := os.ReadFile(path)
	if err != nil {
		return none, err
	}
	token := strings.TrimSpace(string(b))
	if strings.HasPrefix(token, "---") {
		if token, err = jwt.ParseDecoratedJWT(b); err != nil {
			return none, fmt.Errorf("%s: %w", path, err)
		}
	}
	c, err := decode(token)
	if err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// token signs claims into a file.
func (r *Result) token(path string, c interface {
	Encode(nkeys.KeyPair) (string, error)
}, kp nkeys.KeyPair) error {
	token, err := c.Encode(kp)
	if err != nil {
		return err
	}
	return r.write(path, []byte(token+"\n"), 0o644)
}
