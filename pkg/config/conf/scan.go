package conf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// scanner walks over a text and knows where it is.
type scanner struct {
	file string
	text string
	pos  int
	line int
	bol  int // offset of the current line's first byte
}

func (s *scanner) eof() bool { return s.pos >= len(s.text) }

// peek is the current byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.eof() {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) next() {
	if s.eof() {
		return
	}
	if s.text[s.pos] == '\n' {
		s.line++
		s.bol = s.pos + 1
	}
	s.pos++
}

func (s *scanner) oneOf(set string) bool {
	return !s.eof() && strings.IndexByte(set, s.text[s.pos]) >= 0
}

func (s *scanner) at() Pos { return Pos{File: s.file, Line: s.line, Col: s.pos - s.bol + 1} }

// pos2off is the offset of a place on the current line.
func pos2off(p *parser, at Pos) int { return p.bol + at.Col - 1 }

func (s *scanner) fail(format string, args ...any) error { return s.failAt(s.at(), format, args...) }

func (s *scanner) failAt(pos Pos, format string, args ...any) error {
	return &SyntaxError{Pos: pos, Detail: fmt.Sprintf(format, args...)}
}

// found names what stands here.
func (s *scanner) found() string {
	if s.eof() {
		return "EOF"
	}
	r, _ := utf8.DecodeRuneInString(s.text[s.pos:])
	return fmt.Sprintf("'%c'", r)
}

func (s *scanner) startsComment() bool {
	return s.peek() == '#' || strings.HasPrefix(s.text[s.pos:], "//")
}

func (s *scanner) skipSpaces() {
	for s.oneOf(" \t\r") {
		s.next()
	}
}

// skipBlank passes spaces, newlines and comments and says whether a newline was among them.
func (s *scanner) skipBlank() (newline bool) {
	for !s.eof() {
		switch {
		case s.oneOf(" \t\r"):
		case s.peek() == '\n':
			newline = true
		case s.startsComment():
			for !s.eof() && s.peek() != '\n' {
				s.next()
			}
			continue
		default:
			return newline
		}
		s.next()
	}
	return newline
}

// skipSeparators passes blanks and the marks that end an entry.
func (s *scanner) skipSeparators() {
	for {
		s.skipBlank()
		if !s.oneOf(",;") {
			return
		}
		s.next()
	}
}

// word takes everything up to a terminator, without looking into it.
func (s *scanner) word() string {
	start := s.pos
	for !s.eof() && !s.oneOf(" \t\r\n,;]}") {
		s.next()
	}
	return s.text[start:s.pos]
}

// digits is the number of digits that w begins with.
func digits(w string) int {
	n := 0
	for n < len(w) && digit(w[n]) {
		n++
	}
	return n
}

// integerWord: an optional minus and digits, nothing else.
func integerWord(w string) bool {
	w = strings.TrimPrefix(w, "-")
	return w != "" && digits(w) == len(w)
}

// floatWord: an optional minus, and digits on both sides of a dot.
func floatWord(w string) bool {
	whole, rest, ok := strings.Cut(strings.TrimPrefix(w, "-"), ".")
	return ok && whole != "" && rest != "" && digits(whole) == len(whole) && digits(rest) == len(rest)
}

// dateStart: digits and a minus, as a year is written.
func dateStart(w string) bool {
	n := digits(w)
	return n > 0 && n < len(w) && w[n] == '-'
}

// sizeWord splits an integer with a suffix: the letter of the power, and what
// follows it, "b", "i" or "ib" in any case.
func sizeWord(w string) (number string, power byte, binary, ok bool) {
	n := len(w) - len(strings.TrimPrefix(w, "-"))
	n += digits(w[n:])
	if n == len(w) || !integerWord(w[:n]) || !strings.Contains("kmgtpeKMGTPE", w[n:n+1]) {
		return "", 0, false, false
	}
	switch w[n+1:] {
	case "":
	case "b", "B", "i", "I", "ib", "iB", "Ib", "IB":
		binary = true
	default:
		return "", 0, false, false
	}
	return w[:n], w[n], binary, true
}

const dateLayout = "2006-01-02T15:04:05Z"

// scalar reads a string, number, boolean or date (config-cli 4.2).
func (s *scanner) scalar(pos Pos) (*Value, error) {
	switch c := s.peek(); c {
	case '"':
		return s.quoted(pos)
	case '\'':
		return s.raw(pos)
	case '(':
		return s.block(pos)
	case '.':
		return nil, s.fail("Floats must start with a digit")
	case '-':
		if s.pos+1 >= len(s.text) || !digit(s.text[s.pos+1]) {
			return nil, s.fail("Expected a digit after '-'")
		}
		return number(pos, s.word(), s)
	case ']', '}', ')', ',', ';':
		return nil, s.fail("Expected a value, but got %s instead.", s.found())
	default:
		if digit(c) {
			return number(pos, s.word(), s)
		}
	}
	return s.bare(pos)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// number types a word that begins like a number.
func number(pos Pos, w string, s *scanner) (*Value, error) {
	if dateStart(w) {
		t, err := time.Parse(dateLayout, w)
		if err != nil {
			return nil, s.failAt(pos, "All ISO8601 dates must be in full Zulu form.")
		}
		return &Value{Kind: Time, Pos: pos, Time: t}, nil
	}
	if integerWord(w) {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return nil, s.failAt(pos, "integer '%s' is out of the range", w)
		}
		return &Value{Kind: Integer, Pos: pos, Int: n}, nil
	}
	if n, ok, err := Size(w); ok {
		if err != nil {
			return nil, s.failAt(pos, "%s", err)
		}
		return &Value{Kind: Integer, Pos: pos, Int: n}, nil
	}
	if floatWord(w) {
		f, err := strconv.ParseFloat(w, 64)
		if err != nil || math.IsInf(f, 0) {
			return nil, s.failAt(pos, "float '%s' is out of the range", w)
		}
		return &Value{Kind: Float, Pos: pos, Float: f}, nil
	}
	if strings.ContainsAny(w, `\'`) {
		return nil, s.failAt(pos, "Expected a number or a string, but got '%s' instead.", w)
	}
	return &Value{Kind: String, Pos: pos, Str: w}, nil
}

// Size reads an integer with an optional size suffix: k m g t p e are powers
// of 1000; followed by b, i or ib, in any case, powers of 1024. ok is false
// when w does not have that form at all.
func Size(w string) (n int64, ok bool, err error) {
	if integerWord(w) {
		n, err = strconv.ParseInt(w, 10, 64)
		if err != nil {
			err = fmt.Errorf("integer '%s' is out of the range", w)
		}
		return n, true, err
	}
	number, power, binary, ok := sizeWord(w)
	if !ok {
		return 0, false, nil
	}
	unit := int64(1000)
	if binary {
		unit = 1024
	}
	n, err = strconv.ParseInt(number, 10, 64)
	for range strings.IndexByte("kmgtpe", power|0x20) + 1 {
		if n > math.MaxInt64/unit || n < math.MinInt64/unit {
			err = strconv.ErrRange
			break
		}
		n *= unit
	}
	if err != nil {
		return 0, true, fmt.Errorf("integer '%s' is out of the range", w)
	}
	return n, true, nil
}

// bare reads an unquoted string or a boolean.
func (s *scanner) bare(pos Pos) (*Value, error) {
	start := s.pos
	var b strings.Builder
	for !s.eof() && !s.oneOf(" \t\r\n,;]}") {
		switch c := s.peek(); c {
		case '\'':
			return nil, s.fail("Unexpected quote in the unquoted string '%s'", s.text[start:s.pos])
		case '\\':
			if err := s.escape(&b); err != nil {
				return nil, err
			}
		default:
			b.WriteByte(c)
			s.next()
		}
	}
	switch strings.ToLower(s.text[start:s.pos]) {
	case "true", "yes", "on":
		return &Value{Kind: Bool, Pos: pos, Bool: true}, nil
	case "false", "no", "off":
		return &Value{Kind: Bool, Pos: pos}, nil
	}
	return &Value{Kind: String, Pos: pos, Str: b.String()}, nil
}

func (s *scanner) quoted(pos Pos) (*Value, error) {
	var b strings.Builder
	for s.next(); s.peek() != '"'; {
		switch {
		case s.eof():
			return nil, s.failAt(pos, "Unexpected EOF in a quoted string.")
		case s.peek() == '\\':
			if err := s.escape(&b); err != nil {
				return nil, err
			}
		default:
			b.WriteByte(s.peek())
			s.next()
		}
	}
	s.next()
	return &Value{Kind: String, Pos: pos, Str: b.String()}, nil
}

func (s *scanner) raw(pos Pos) (*Value, error) {
	s.next()
	start := s.pos
	for s.peek() != '\'' {
		if s.eof() {
			return nil, s.failAt(pos, "Unexpected EOF in a quoted string.")
		}
		s.next()
	}
	v := &Value{Kind: String, Pos: pos, Str: s.text[start:s.pos]}
	s.next()
	return v, nil
}

// block reads "(" to a ")" alone on its line.
func (s *scanner) block(pos Pos) (*Value, error) {
	s.next()
	start := s.pos
	for !s.eof() {
		for !s.eof() && s.peek() != '\n' {
			s.next()
		}
		s.next()
		end := s.pos
		s.skipSpaces()
		if s.peek() != ')' {
			continue
		}
		s.next()
		s.skipSpaces()
		if s.eof() || s.peek() == '\n' {
			return &Value{Kind: String, Pos: pos, Str: s.text[start:end]}, nil
		}
	}
	return nil, s.failAt(pos, "Unexpected EOF processing block.")
}

// escape reads one of \xHH \t \n \r \" \\.
func (s *scanner) escape(b *strings.Builder) error {
	pos := s.at()
	s.next()
	c := s.peek()
	switch c {
	case 't':
		b.WriteByte('\t')
	case 'n':
		b.WriteByte('\n')
	case 'r':
		b.WriteByte('\r')
	case '"', '\\':
		b.WriteByte(c)
	case 'x':
		if s.pos+3 > len(s.text) {
			return s.failAt(pos, `Expected two hexadecimal digits after '\x'`)
		}
		n, err := strconv.ParseUint(s.text[s.pos+1:s.pos+3], 16, 8)
		if err != nil {
			return s.failAt(pos, `Expected two hexadecimal digits after '\x', but got '%s'`, s.text[s.pos+1:s.pos+3])
		}
		b.WriteByte(byte(n))
		s.next()
		s.next()
	default:
		return s.failAt(pos, `Invalid escape character %s. Only the following escape characters are allowed: \xXX, \t, \n, \r, \", \\.`, s.found())
	}
	s.next()
	return nil
}
