package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// MaxHead is the longest HTTP head that either side needs to read.
const MaxHead = 8 << 10

var headEnd = []byte("\r\n\r\n")

// HeadLen is the length of the HTTP head at the start of b, the empty line
// included; 0 if its end is not there yet.
func HeadLen(b []byte) int {
	if i := bytes.Index(b, headEnd); i >= 0 {
		return i + len(headEnd)
	}
	return 0
}

// field is one line of an HTTP head. Names are in lower case.
type field struct{ name, value string }

// fields are the lines of a head behind its first.
type fields []field

// all are the values of a name, in order.
func (f fields) all(name string) (list []string) {
	for i := range f {
		if f[i].name == name {
			list = append(list, f[i].value)
		}
	}
	return list
}

// first is the first value of a name.
func (f fields) first(name string) (string, bool) {
	for i := range f {
		if f[i].name == name {
			return f[i].value, true
		}
	}
	return "", false
}

// hasToken tells whether one of the comma separated values of a name is token, in any
// case. Parameters behind a semicolon do not count.
func (f fields) hasToken(name, token string) bool {
	for _, v := range f.all(name) {
		for part := range strings.SplitSeq(v, ",") {
			part, _, _ = strings.Cut(part, ";")
			if strings.EqualFold(strings.Trim(part, " \t"), token) {
				return true
			}
		}
	}
	return false
}

var errHead = errors.New("malformed HTTP head")

// parseHead takes a head apart into its first line and its fields.
func parseHead(head []byte) (first string, f fields, err error) {
	text, ok := strings.CutSuffix(string(head), "\r\n\r\n")
	if !ok {
		return "", nil, errHead
	}
	first, rest, more := strings.Cut(text, "\r\n")
	if !printable(first) {
		return "", nil, errHead
	}
	for more {
		var line string
		line, rest, more = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !isToken(name) || !printable(value) {
			return "", nil, fmt.Errorf("%w: line %q", errHead, cut(line))
		}
		f = append(f, field{strings.ToLower(name), value})
	}
	return first, f, nil
}

// cut shortens what a stranger sent, for a log.
func cut(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
