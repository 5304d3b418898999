package auth

import (
	"crypto/sha256"
	"crypto/subtle"

	"golang.org/x/crypto/bcrypt"

	"github.com/banyanmq/banyan/pkg/config"
)

// matchesClear tells whether shown is the configured password or token, over hashes
// of equal length, so that the time does not tell the length.
func matchesClear(configured config.Secret, shown string) bool {
	a, b := sha256.Sum256([]byte(configured)), sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// IsHash tells whether a configured password is a bcrypt hash: $2a$, $2b$, $2x$
// or $2y$, two digits and $.
func IsHash(s string) bool {
	if len(s) < 7 || s[:2] != "$2" || s[3] != '$' || s[6] != '$' {
		return false
	}
	switch s[2] {
	case 'a', 'b', 'x', 'y':
	default:
		return false
	}
	return digit(s[4]) && digit(s[5])
}

// hashCost is the cost of a hash, 0 of what is none.
func hashCost(p config.Secret) int {
	if !IsHash(string(p)) {
		return 0
	}
	n, err := bcrypt.Cost([]byte(p))
	if err != nil {
		return 0
	}
	return n
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
