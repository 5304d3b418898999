package subject

// tokenEnd returns the index just behind the token that starts at i.
func tokenEnd[S Text](s S, i int) int {
	for i < len(s) && s[i] != sep {
		i++
	}
	return i
}

func isToken[S Text](s S, from, to int, c byte) bool {
	return to == from+1 && s[from] == c
}

func sameToken[A, B Text](a A, i, iEnd int, b B, j, jEnd int) bool {
	if iEnd-i != jEnd-j {
		return false
	}
	for ; i < iEnd; i, j = i+1, j+1 {
		if a[i] != b[j] {
			return false
		}
	}
	return true
}

// Match reports whether the published subject literal reaches subscriptions to
// pattern. The tokens "*" and ">" of literal have no meaning of their own: like
// any other token they are matched by the wildcards of pattern. A literal with an empty token matches nothing,
// not even ">".
//
// The pattern is valid in the sense of ValidSubscribe; for others the result
// is unspecified.
func Match[P, L Text](pattern P, literal L) bool {
	i, j := 0, 0
	for {
		iEnd, jEnd := tokenEnd(pattern, i), tokenEnd(literal, j)
		if j == jEnd {
			return false
		}
		switch {
		case isToken(pattern, i, iEnd, wildRest):
			return NoEmptyToken(literal[j:])
		case isToken(pattern, i, iEnd, wildOne):
		case !sameToken(pattern, i, iEnd, literal, j, jEnd):
			return false
		}
		if iEnd == len(pattern) || jEnd == len(literal) {
			return iEnd == len(pattern) && jEnd == len(literal)
		}
		i, j = iEnd+1, jEnd+1
	}
}

// Subset reports whether every subject that matches a also matches b. Both are
// valid patterns.
func Subset[A, B Text](a A, b B) bool {
	i, j := 0, 0
	for {
		iEnd, jEnd := tokenEnd(a, i), tokenEnd(b, j)
		switch {
		case isToken(b, j, jEnd, wildRest):
			return true
		case isToken(a, i, iEnd, wildRest):
			return false
		case isToken(b, j, jEnd, wildOne):
		case isToken(a, i, iEnd, wildOne), !sameToken(a, i, iEnd, b, j, jEnd):
			return false
		}
		if iEnd == len(a) || jEnd == len(b) {
			return iEnd == len(a) && jEnd == len(b)
		}
		i, j = iEnd+1, jEnd+1
	}
}

// Overlap reports whether some subject matches both a and b. Both are valid
// patterns.
func Overlap[A, B Text](a A, b B) bool {
	i, j := 0, 0
	for {
		iEnd, jEnd := tokenEnd(a, i), tokenEnd(b, j)
		switch {
		case isToken(a, i, iEnd, wildRest), isToken(b, j, jEnd, wildRest):
			return true
		case isToken(a, i, iEnd, wildOne), isToken(b, j, jEnd, wildOne):
		case !sameToken(a, i, iEnd, b, j, jEnd):
			return false
		}
		if iEnd == len(a) || jEnd == len(b) {
			return iEnd == len(a) && jEnd == len(b)
		}
		i, j = iEnd+1, jEnd+1
	}
}
