package subject

import "iter"

// Subject is a subject or a pattern, as text: "orders.eu.new", "orders.>".
// Holding a Subject says nothing about its validity; see ValidSubscribe and
// ValidPublish.
type Subject string

// Text is what the functions of this package accept. The message path hands
// in slices of the read block, configuration and monitoring hand in strings.
type Text interface{ ~string | ~[]byte }

const (
	sep      = '.'
	wildOne  = '*'
	wildRest = '>'
)

// ValidSubscribe reports whether s may be subscribed to: no token is empty,
// and ">" is the last token if it occurs as a token. Bytes are otherwise free.
func ValidSubscribe[S Text](s S) bool {
	start := 0
	for i := 0; i < len(s); i++ {
		if s[i] != sep {
			continue
		}
		if i == start || (i == start+1 && s[start] == wildRest) {
			return false
		}
		start = i + 1
	}
	return start < len(s)
}

// ValidPublish reports whether s passes the pedantic rule for published
// subjects: no token is empty and none is a wildcard. Without the pedantic
// option such subjects are accepted all the same; see Match for what they reach.
func ValidPublish[S Text](s S) bool {
	return NoEmptyToken(s) && !hasWildToken(s)
}

// NoEmptyToken reports whether s has at least one token and no empty one. A
// published subject for which it is false matches no pattern at all.
func NoEmptyToken[S Text](s S) bool {
	start := 0
	for i := 0; i < len(s); i++ {
		if s[i] == sep {
			if i == start {
				return false
			}
			start = i + 1
		}
	}
	return start < len(s)
}

// HasWildcard reports whether the pattern s holds a wildcard. For a literal
// pattern matching is equality.
func HasWildcard[S Text](s S) bool { return hasWildToken(s) }

func hasWildToken[S Text](s S) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c == wildOne || c == wildRest) &&
			(i == 0 || s[i-1] == sep) && (i+1 == len(s) || s[i+1] == sep) {
			return true
		}
	}
	return false
}

// Reemittable reports whether s is free of CR, LF and NUL, which would break
// out of the other protocols into which subjects, replies, queue names and
// subscription ids are copied (routes, MQTT, logs).
func Reemittable[S Text](s S) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\r', '\n', 0:
			return false
		}
	}
	return true
}

// TokenCount returns the number of tokens, empty ones included; 0 for an empty s.
func TokenCount[S Text](s S) int {
	if len(s) == 0 {
		return 0
	}
	n := 1
	for i := 0; i < len(s); i++ {
		if s[i] == sep {
			n++
		}
	}
	return n
}

// Cut splits off the first token. more tells whether a separator followed it,
// that is, whether rest (possibly empty) is a further token.
func Cut[S Text](s S) (token, rest S, more bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, s[len(s):], false
}

// Token returns the nth token, counted from 0, and whether there is one.
func Token[S Text](s S, n int) (token S, ok bool) {
	for more := true; more; n-- {
		token, s, more = Cut(s)
		if n == 0 {
			return token, true
		}
	}
	return s[:0], false
}

// Tokens iterates over the tokens, empty ones included; an empty s has none.
// The tokens are parts of s, not copies.
func Tokens[S Text](s S) iter.Seq[S] {
	return func(yield func(S) bool) {
		for more := len(s) > 0; more; {
			var token S
			token, s, more = Cut(s)
			if !yield(token) {
				return
			}
		}
	}
}
