package subject

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Transform turns subjects that match a source pattern into subjects of the form
// that a destination describes. It is made once and then used by anybody.
//
// The tokens of a destination are literal, "$n" or "{{wildcard(n)}}" for the nth
// "*" of the source, or one of the functions of accounts-auth 10.2. A ">" ends
// both source and destination or neither.
//
//	t, _ := subject.ParseTransform("orders.*.*", "by.$2.{{partition(3,1)}}")
//	t.Append(nil, []byte("orders.eu.new")) // by.new.0, by.new.1 or by.new.2
type Transform struct {
	source, dest string
	parts        []part
	tokens       int  // of the source, without ">"
	tail         bool // both end in ">"
	random       bool
}

// part is one token of a destination.
type part struct {
	do      op
	literal string
	at      []int // tokens of the subject that it is made from
	n       int
	delim   string
}

type op uint8

const (
	opLiteral op = iota
	opToken
	opPartition
	opSplit
	opSplitFromLeft
	opSplitFromRight
	opSliceFromLeft
	opSliceFromRight
	opLeft
	opRight
	opRandom
)

// functions by the spelling in which each hump may also begin with a small letter.
var functions = []struct {
	name     string
	do       op
	min, max int // arguments
}{
	{"Wildcard", opToken, 1, 1},
	{"Partition", opPartition, 1, -1},
	{"Split", opSplit, 2, 2},
	{"SplitFromLeft", opSplitFromLeft, 2, 2},
	{"SplitFromRight", opSplitFromRight, 2, 2},
	{"SliceFromLeft", opSliceFromLeft, 2, 2},
	{"SliceFromRight", opSliceFromRight, 2, 2},
	{"Left", opLeft, 2, 2},
	{"Right", opRight, 2, 2},
	{"Random", opRandom, 1, 1},
}

// ErrInvalid is a subject that can't stand where it stands.
var ErrInvalid = errors.New("invalid subject")

// DestinationError says what is wrong with a token of a destination.
type DestinationError struct {
	Token  string
	Reason error
	index  int // of the wildcard, if that is what is wrong
}

// Reasons of a DestinationError.
var (
	ErrTransform      = errors.New("invalid transform")
	ErrUnknown        = errors.New("unknown function")
	ErrIndex          = errors.New("wildcard index out of range")
	ErrFewArguments   = errors.New("not enough arguments passed to the function")
	ErrManyArguments  = errors.New("too many arguments passed to the function")
	ErrArgument       = errors.New("function argument is invalid or in the wrong format")
	ErrUnusedWildcard = errors.New("not using all of the token wildcard(s)")
	ErrImportFunction = errors.New("the only mapping function allowed for import transforms is {{Wildcard()}}")
)

func (e *DestinationError) Error() string {
	switch {
	case e.Reason == ErrTransform:
		return "invalid mapping destination: " + e.Reason.Error()
	case e.Reason == ErrIndex:
		return fmt.Sprintf("invalid mapping destination: %v in %s: [%d]", e.Reason, e.Token, e.index)
	}
	return fmt.Sprintf("invalid mapping destination: %v in %s", e.Reason, e.Token)
}

// Unwrap returns the reason.
func (e *DestinationError) Unwrap() error { return e.Reason }

// ParseTransform makes the transform from the pattern source to dest. The error is
// ErrInvalid or a *DestinationError.
func ParseTransform(source, dest string) (*Transform, error) {
	return parseTransform(source, dest, false)
}

// ParseImport is ParseTransform with the rules for imports: every wildcard of the
// source is used once and nothing is computed, so that there is a way back.
func ParseImport(source, dest string) (*Transform, error) {
	return parseTransform(source, dest, true)
}

func parseTransform(source, dest string, strict bool) (*Transform, error) {
	t := &Transform{source: source, dest: dest}
	if !validPattern(source) {
		return nil, ErrInvalid
	}
	var wild []int // token of each "*"
	for tok := range Tokens(source) {
		switch tok {
		case ">":
			t.tail = true
			continue
		case "*":
			wild = append(wild, t.tokens)
		}
		t.tokens++
	}
	tail := false
	for _, tok := range destinationTokens(dest) {
		if tail || tok == "" {
			return nil, &DestinationError{Token: dest, Reason: ErrTransform}
		}
		if tok == ">" {
			tail = true
			continue
		}
		p, err := parsePart(tok, wild)
		if err != nil {
			return nil, err
		}
		if strict && p.do != opLiteral && p.do != opToken {
			return nil, &DestinationError{Token: tok, Reason: ErrImportFunction}
		}
		t.random = t.random || p.do == opRandom
		t.parts = append(t.parts, p)
	}
	if tail != t.tail || len(t.parts) == 0 && !tail {
		return nil, ErrInvalid
	}
	if strict && !t.usesAll(wild) {
		return nil, &DestinationError{Token: dest, Reason: ErrUnusedWildcard}
	}
	return t, nil
}

// usesAll tells whether each wildcard of the source occurs exactly once.
func (t *Transform) usesAll(wild []int) bool {
	used := map[int]bool{}
	n := 0
	for i := range t.parts {
		if p := &t.parts[i]; p.do == opToken {
			used[p.at[0]] = true
			n++
		}
	}
	return n == len(wild) && len(used) == n
}

func validPattern(s string) bool {
	return ValidSubscribe(s) && !strings.ContainsAny(s, " \t\r\n\f\x00")
}

// destinationTokens splits at the dots outside of functions.
func destinationTokens(dest string) []string {
	var tokens []string
	start, inside := 0, false
	for i := 0; i < len(dest); i++ {
		switch {
		case strings.HasPrefix(dest[i:], "{{"):
			inside = true
		case strings.HasPrefix(dest[i:], "}}"):
			inside = false
		case dest[i] == sep && !inside:
			tokens = append(tokens, dest[start:i])
			start = i + 1
		}
	}
	return append(tokens, dest[start:])
}

func parsePart(tok string, wild []int) (part, error) {
	fail := func(reason error) (part, error) { return part{}, &DestinationError{Token: tok, Reason: reason} }
	if strings.Contains(tok, "{{") || strings.Contains(tok, "}}") {
		return parseFunction(tok, wild)
	}
	if tok[0] == '$' && len(tok) > 1 {
		if n, err := strconv.Atoi(tok[1:]); err == nil {
			return wildcardAt(tok, n, wild)
		}
	}
	if tok == "*" || strings.ContainsAny(tok, " \t\r\n\f\x00") {
		return part{}, ErrInvalid
	}
	if tok == "" {
		return fail(ErrTransform)
	}
	return part{do: opLiteral, literal: tok}, nil
}

func wildcardAt(tok string, n int, wild []int) (part, error) {
	if n < 1 || n > len(wild) {
		return part{}, &DestinationError{Token: tok, Reason: ErrIndex, index: n}
	}
	return part{do: opToken, at: []int{wild[n-1]}}, nil
}

func parseFunction(tok string, wild []int) (part, error) {
	fail := func(reason error) (part, error) { return part{}, &DestinationError{Token: tok, Reason: reason} }
	inner, ok := strings.CutPrefix(tok, "{{")
	if !ok {
		return fail(ErrUnknown)
	}
	if inner, ok = strings.CutSuffix(inner, "}}"); !ok || strings.Contains(inner, "{{") || strings.Contains(inner, "}}") {
		return fail(ErrUnknown)
	}
	name, rest, open := strings.Cut(strings.TrimSpace(inner), "(")
	list, closed := strings.CutSuffix(rest, ")")
	if !open || !closed {
		return fail(ErrUnknown)
	}
	for _, f := range functions {
		if !spelled(strings.TrimSpace(name), f.name) {
			continue
		}
		var args []string
		if strings.TrimSpace(list) != "" {
			args = strings.Split(list, ",")
		}
		switch {
		case len(args) < f.min:
			return fail(ErrFewArguments)
		case f.max >= 0 && len(args) > f.max:
			return fail(ErrManyArguments)
		}
		return parseArguments(tok, f.do, args, wild)
	}
	return fail(ErrUnknown)
}

// spelled tells whether s is name, in which capitals may be small.
func spelled(s, name string) bool {
	if len(s) != len(name) {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := name[i]
		if s[i] != c && !('A' <= c && c <= 'Z' && s[i] == c+'a'-'A') {
			return false
		}
	}
	return true
}

func parseArguments(tok string, do op, args []string, wild []int) (part, error) {
	fail := func(reason error) (part, error) { return part{}, &DestinationError{Token: tok, Reason: reason} }
	number := func(i int) (int, bool) {
		n, err := strconv.ParseInt(strings.TrimSpace(args[i]), 10, 32)
		return int(n), err == nil
	}
	first, ok := number(0)
	if !ok {
		return fail(ErrArgument)
	}
	p := part{do: do}
	switch do {
	case opToken:
		return wildcardAt(tok, first, wild)
	case opPartition, opRandom:
		if first < 0 {
			return fail(ErrArgument)
		}
		p.n = first
		for i := 1; i < len(args); i++ {
			n, ok := number(i)
			if !ok {
				return fail(ErrArgument)
			}
			w, err := wildcardAt(tok, n, wild)
			if err != nil {
				return part{}, err
			}
			p.at = append(p.at, w.at...)
		}
		return p, nil
	}
	w, err := wildcardAt(tok, first, wild)
	if err != nil {
		return part{}, err
	}
	p.at = w.at
	if do == opSplit {
		if p.delim = args[1]; p.delim == "" || strings.ContainsAny(p.delim, " .") {
			return fail(ErrArgument)
		}
		return p, nil
	}
	if p.n, ok = number(1); !ok {
		return fail(ErrArgument)
	}
	return p, nil
}

// Source is the pattern of the subjects that can be transformed.
func (t *Transform) Source() string { return t.source }

// Destination is what they are transformed to, as it was given.
func (t *Transform) Destination() string { return t.dest }

// Pattern is the destination as a pattern: with "*" for each token that is not literal.
func (t *Transform) Pattern() string {
	tokens := make([]string, 0, len(t.parts)+1)
	for i := range t.parts {
		if p := &t.parts[i]; p.do == opLiteral {
			tokens = append(tokens, p.literal)
		} else {
			tokens = append(tokens, "*")
		}
	}
	if t.tail {
		tokens = append(tokens, ">")
	}
	return strings.Join(tokens, ".")
}

// Fixed tells whether a subject is always transformed to the same.
func (t *Transform) Fixed() bool { return !t.random }

// Identity tells whether subjects stay what they are.
func (t *Transform) Identity() bool {
	if t.source == t.dest {
		return true
	}
	if len(t.parts) != t.tokens {
		return false
	}
	n := 0
	for tok := range Tokens(t.source) {
		if n == t.tokens {
			break
		}
		p := &t.parts[n]
		if tok == "*" && (p.do != opToken || p.at[0] != n) || tok != "*" && p.literal != tok {
			return false
		}
		n++
	}
	return true
}

// Inverse is the way back of a transform made by ParseImport.
func (t *Transform) Inverse() *Transform {
	inv := &Transform{source: t.Pattern(), tokens: len(t.parts), tail: t.tail}
	var dest []string
	n := 0
	for tok := range Tokens(t.source) {
		if n == t.tokens {
			break
		}
		p := part{do: opLiteral, literal: tok}
		if tok == "*" {
			wild := 0
			for i := range t.parts {
				if t.parts[i].do != opToken {
					continue
				}
				wild++
				if t.parts[i].at[0] == n {
					p, tok = part{do: opToken, at: []int{i}}, "$"+strconv.Itoa(wild)
					break
				}
			}
		}
		inv.parts = append(inv.parts, p)
		dest = append(dest, tok)
		n++
	}
	if t.tail {
		dest = append(dest, ">")
	}
	inv.dest = strings.Join(dest, ".")
	return inv
}

// span is a token's place in the subject.
type span struct{ from, to int }

// Append appends what subj is transformed to. A subject that does not match the source
// is appended as it is. Nothing is allocated but what dst needs.
func (t *Transform) Append(dst, subj []byte) []byte {
	var room [32]span
	spans := room[:0]
	rest := -1 // where the tail begins
	for at := 0; ; {
		if len(spans) == t.tokens {
			rest = at
			break
		}
		end := tokenEnd(subj, at)
		spans = append(spans, span{at, end})
		if at = end + 1; at > len(subj) {
			break
		}
	}
	if len(spans) < t.tokens || t.tail != (rest >= 0 && rest < len(subj)) {
		return append(dst, subj...)
	}
	for i := range t.parts {
		if i > 0 {
			dst = append(dst, sep)
		}
		dst = t.parts[i].append(dst, subj, spans)
	}
	if t.tail {
		if len(t.parts) > 0 {
			dst = append(dst, sep)
		}
		dst = append(dst, subj[rest:]...)
	}
	return dst
}

func (p *part) append(dst, subj []byte, spans []span) []byte {
	switch p.do {
	case opLiteral:
		return append(dst, p.literal...)
	case opPartition:
		return strconv.AppendUint(dst, uint64(p.partition(subj, spans)), 10)
	case opRandom:
		n := 0
		if p.n > 0 {
			n = rand.IntN(p.n)
		}
		return strconv.AppendInt(dst, int64(n), 10)
	}
	tok := subj[spans[p.at[0]].from:spans[p.at[0]].to]
	k := p.n
	if p.do == opSplit {
		return p.split(dst, tok)
	}
	if p.do == opToken || k <= 0 || k >= len(tok) {
		return append(dst, tok...)
	}
	switch p.do {
	case opSplitFromLeft:
		dst = append(append(dst, tok[:k]...), sep)
		return append(dst, tok[k:]...)
	case opSplitFromRight:
		dst = append(append(dst, tok[:len(tok)-k]...), sep)
		return append(dst, tok[len(tok)-k:]...)
	case opSliceFromLeft:
		return pieces(dst, tok, k, k)
	case opSliceFromRight:
		first := len(tok) % k
		if first == 0 {
			first = k
		}
		return pieces(dst, tok, first, k)
	case opLeft:
		return append(dst, tok[:k]...)
	}
	return append(dst, tok[len(tok)-k:]...) // opRight
}

// pieces cuts tok into a first piece and then pieces of k bytes.
func pieces(dst, tok []byte, first, k int) []byte {
	dst = append(dst, tok[:first]...)
	for tok = tok[first:]; len(tok) > 0; tok = tok[min(k, len(tok)):] {
		dst = append(dst, sep)
		dst = append(dst, tok[:min(k, len(tok))]...)
	}
	return dst
}

// split makes tokens of the pieces between delimiters. Empty pieces vanish; if there
// are no others the token stays.
func (p *part) split(dst, tok []byte) []byte {
	start, was := len(dst), 0
	for i := 0; i <= len(tok); {
		if i < len(tok) && (len(tok)-i < len(p.delim) || string(tok[i:i+len(p.delim)]) != p.delim) {
			i++
			continue
		}
		if i > was {
			if len(dst) > start {
				dst = append(dst, sep)
			}
			dst = append(dst, tok[was:i]...)
		}
		if i == len(tok) {
			break
		}
		i += len(p.delim)
		was = i
	}
	if len(dst) == start {
		return append(dst, tok...)
	}
	return dst
}

func (p *part) partition(subj []byte, spans []span) uint32 {
	if p.n == 0 {
		return 0
	}
	h := uint32(fnvOffset)
	if len(p.at) == 0 {
		h = fnv1a(h, subj)
	}
	for _, at := range p.at {
		h = fnv1a(h, subj[spans[at].from:spans[at].to])
	}
	return h % uint32(p.n)
}

const (
	fnvOffset = 2166136261
	fnvPrime  = 16777619
)

func fnv1a(h uint32, b []byte) uint32 {
	for _, c := range b {
		h = (h ^ uint32(c)) * fnvPrime
	}
	return h
}

// Intersect returns the pattern of the subjects that match both a and b, and whether
// there are any. Both are valid patterns.
func Intersect(a, b string) (string, bool) {
	var out strings.Builder
	put := func(s string) {
		if out.Len() > 0 {
			out.WriteByte(sep)
		}
		out.WriteString(s)
	}
	for {
		if a == ">" {
			put(b)
			return out.String(), true
		}
		if b == ">" {
			put(a)
			return out.String(), true
		}
		x, aRest, aMore := Cut(a)
		y, bRest, bMore := Cut(b)
		switch {
		case x == "*":
			put(y)
		case y == "*" || x == y:
			put(x)
		default:
			return "", false
		}
		if !aMore || !bMore {
			return out.String(), aMore == bMore
		}
		a, b = aRest, bRest
	}
}
