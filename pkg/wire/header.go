package wire

import "bytes"

// HeaderVersion starts every header block.
const HeaderVersion = "NATS/1.0"

const headerEnd = "\r\n\r\n"

// HeaderValue looks a field up by its name, in exact letter case. hdr is a whole header block,
// version line included. The value is without blanks behind the colon (client-protocol 22).
func HeaderValue(hdr []byte, name string) (value []byte, ok bool) {
	start, end := findHeader(hdr, 0, name)
	if start < 0 {
		return nil, false
	}
	v := hdr[start+len(name)+1 : end]
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	return v, true
}

// HeaderStatus gives the three-digit status of the version line, 0 without one.
func HeaderStatus(hdr []byte) int {
	const at = len(HeaderVersion)
	if len(hdr) < at+4 || string(hdr[:at]) != HeaderVersion || hdr[at] != ' ' {
		return 0
	}
	n := parseSize(hdr[at+1 : at+4])
	if n < 0 {
		return 0
	}
	return n
}

// AppendSetHeader appends hdr with a field set: every earlier occurrence of the name is left
// out and one line stands at the end. An empty hdr becomes a new block. A malformed block, one
// that does not start with the version or end in a blank line, is appended untouched and ok is false.
func AppendSetHeader(dst, hdr []byte, name string, value []byte) (out []byte, ok bool) {
	if len(hdr) == 0 {
		dst = append(dst, HeaderVersion...)
		dst = append(dst, CRLF...)
	} else {
		if !wellFormedHeader(hdr) {
			return append(dst, hdr...), false
		}
		dst = appendWithoutHeader(dst, hdr[:len(hdr)-len(CRLF)], name)
	}
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, headerEnd...), true
}

// AppendDelHeader appends hdr without the fields of a name. A malformed block is appended untouched.
func AppendDelHeader(dst, hdr []byte, name string) []byte {
	if !wellFormedHeader(hdr) {
		return append(dst, hdr...)
	}
	return appendWithoutHeader(dst, hdr, name)
}

func wellFormedHeader(hdr []byte) bool {
	return bytes.HasPrefix(hdr, []byte(HeaderVersion)) && bytes.HasSuffix(hdr, []byte(headerEnd))
}

// appendWithoutHeader copies lines of hdr up to the next occurrence of name, skips it, and goes on.
func appendWithoutHeader(dst, hdr []byte, name string) []byte {
	from := 0
	for {
		start, end := findHeader(hdr, from, name)
		if start < 0 {
			return append(dst, hdr[from:]...)
		}
		dst = append(dst, hdr[from:start]...)
		from = end + len(CRLF)
	}
}

// findHeader gives the bounds of the first line `name: value` at or behind from, without its
// CRLF; start is -1 when there is none. A line counts only between two CRLFs.
func findHeader(hdr []byte, from int, name string) (start, end int) {
	for i := from; ; {
		at := bytes.Index(hdr[i:], []byte(name))
		if at < 0 {
			return -1, -1
		}
		at += i
		after := at + len(name)
		if at >= 2 && hdr[at-2] == '\r' && hdr[at-1] == '\n' && after < len(hdr) && hdr[after] == ':' {
			n := bytes.Index(hdr[after:], []byte(CRLF))
			if n < 0 {
				return -1, -1
			}
			return at, after + n
		}
		i = at + 1
	}
}
