package wire

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Limits of lines. Sizes have at most nine digits, whoever sends them.
const (
	DefaultMaxControlLine     = 4096
	DefaultMaxPeerControlLine = 65536 // 16 times the client's, for routes, gateways and leaf links

	// maxSkipped bounds what the protocol lets stand without meaning: blanks between a verb and
	// its first argument, and whatever follows PING, PONG and +OK. Reference servers
	// do not bound it at all.
	maxSkipped = 65536

	maxDigits = 9
)

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// cutLine finds the arguments of the line whose verb ends at off: from the first non-blank up
// to the end of line, CR left out. next is the index behind LF, 0 while that is not there. The
// limit counts argument bytes, and holds for a line without an end too.
func cutLine(b []byte, off, limit int) (arg []byte, next int, err error) {
	from := off
	for from < len(b) && isBlank(b[from]) {
		from++
	}
	if from-off > maxSkipped {
		return nil, 0, ErrControlLine
	}
	// Arguments of the full length, CR and LF: further on nothing can save the line.
	window := b[from:]
	if len(window) > limit+2 {
		window = window[:limit+2]
	}
	end := bytes.IndexByte(window, '\n')
	next = from + end + 1
	if end < 0 {
		end, next = len(window), 0
	}
	if end > 0 && window[end-1] == '\r' {
		end--
	}
	if end > limit || (next == 0 && len(b)-from > limit+1) {
		return nil, 0, ErrControlLine
	}
	if next == 0 {
		return nil, 0, nil
	}
	return window[:end], next, nil
}

// skipLine finds the end of a line whose rest means nothing. next is 0 while it is not there.
func skipLine(b []byte, off int) (next int, err error) {
	window := b[off:]
	if len(window) > maxSkipped+1 {
		window = window[:maxSkipped+1]
	}
	if i := bytes.IndexByte(window, '\n'); i >= 0 {
		return off + i + 1, nil
	}
	if len(window) > maxSkipped {
		return 0, ErrControlLine
	}
	return 0, nil
}

// cutToken takes the first token off s, which must not start with a blank, and the blanks
// behind it. dirty: the token holds CR or NUL. Other control bytes are ordinary (client-protocol 8).
func cutToken(s []byte) (token, rest []byte, dirty bool) {
	end := lowByte(s, 0)
	for end < len(s) && !isBlank(s[end]) {
		dirty = dirty || s[end] == '\r' || s[end] == 0
		end = lowByte(s, end+1)
	}
	next := end
	for next < len(s) && isBlank(s[next]) {
		next++
	}
	return s[:end], s[next:], dirty
}

const (
	everyByte = 0x0101010101010101
	highBits  = everyByte << 7
)

// lowByte gives the index of the first byte at or behind from that is a blank or a control
// byte, len(s) if none is. It looks at eight bytes at a time: a byte up to 0x20 borrows
// when 0x21 is taken from it. A borrow may flag the next byte up as well, so only the
// lowest flag counts.
func lowByte(s []byte, from int) int {
	i := from
	for ; i+8 <= len(s); i += 8 {
		x := binary.LittleEndian.Uint64(s[i:])
		if low := (x - everyByte*(' '+1)) &^ x & highBits; low != 0 {
			return i + bits.TrailingZeros64(low)>>3
		}
	}
	for ; i < len(s); i++ {
		if s[i] <= ' ' {
			return i
		}
	}
	return len(s)
}

// cutSize takes the last token off s, trailing blanks included, and reads it as a size.
// n is -1 unless it is 1 to 9 digits with a blank in front.
func cutSize(s []byte) (rest []byte, n int) {
	end := len(s)
	for end > 0 && isBlank(s[end-1]) {
		end--
	}
	start := end
	n, unit := 0, 1
	for start > 0 {
		d := s[start-1] - '0'
		if d > 9 {
			break
		}
		if end-start == maxDigits {
			return nil, -1
		}
		n += int(d) * unit
		unit *= 10
		start--
	}
	if start == end || start == 0 || !isBlank(s[start-1]) {
		return nil, -1
	}
	for start > 0 && isBlank(s[start-1]) {
		start--
	}
	return s[:start], n
}

// parseSize reads 1 to 9 decimal digits, -1 for anything else.
func parseSize(d []byte) int {
	if len(d) == 0 || len(d) > maxDigits {
		return -1
	}
	n := 0
	for _, c := range d {
		c -= '0'
		if c > 9 {
			return -1
		}
		n = n*10 + int(c)
	}
	return n
}

// finishPayload cuts the payload of size bytes that starts at next. The byte behind it is
// judged as soon as it is there, so that a wrong size is refused without waiting.
func finishPayload(b []byte, next, size int, op *Op) (n, need int, err error) {
	end := next + size
	if len(b) < end+2 {
		if len(b) > end && b[end] != '\r' {
			return 0, 0, ErrUnknownOp
		}
		return 0, end + 2, nil
	}
	if b[end] != '\r' || b[end+1] != '\n' {
		return 0, 0, ErrUnknownOp
	}
	op.Payload = b[next:end:end]
	return end + 2, 0, nil
}

// follow says what must stand behind a verb.
type follow uint8

const (
	followBlank follow = iota // at least one blank
	followAny                 // blanks may be missing, as in CONNECT{}
	followSkip                // the rest of the line is skipped
	followWord                // a blank, or the end of the line: the arguments are missing
)

// verb is a row of a dialect's table.
type verb struct {
	word   string // upper case
	follow follow
	id     verbID
}

// verbID is what a dialect's parser switches on.
type verbID uint8

const (
	verbNone verbID = iota
	verbConnect
	verbInfo
	verbPing
	verbPong
	verbOK
	verbErr
	verbPub
	verbHpub
	verbSub
	verbUnsub
	verbInterestAdd
	verbInterestDel
	verbOriginAdd
	verbOriginDel
	verbAccountAdd
	verbAccountDel
	verbRmsg
	verbHmsg
	verbLmsg
	verbTargeted
	verbFence
)

// common are the verbs that every dialect has.
func common(rest ...verb) []verb {
	return append(rest,
		verb{"PING", followSkip, verbPing},
		verb{"PONG", followSkip, verbPong},
		verb{"+OK", followSkip, verbOK},
		verb{"-ERR", followBlank, verbErr},
		verb{"INFO", followAny, verbInfo},
		verb{"CONNECT", followAny, verbConnect},
	)
}

// findVerb looks the start of b up. id is verbNone with a nil error while b is too short to tell.
func findVerb(table []verb, b []byte) (id verbID, off int, err error) {
	undecided := false
	for i := range table {
		v := &table[i]
		if len(b) <= len(v.word) && hasWord(v.word, b) {
			if len(b) == len(v.word) && v.follow != followBlank && v.follow != followWord {
				return v.id, len(b), nil
			}
			undecided = true
			continue
		}
		if len(b) > len(v.word) && hasWord(v.word, b[:len(v.word)]) &&
			v.mayPrecede(b[len(v.word)]) {
			return v.id, len(v.word), nil
		}
	}
	if undecided {
		return verbNone, 0, nil
	}
	return verbNone, 0, ErrUnknownOp
}

// mayPrecede tells whether c may stand behind the verb.
func (v *verb) mayPrecede(c byte) bool {
	switch v.follow {
	case followBlank:
		return isBlank(c)
	case followWord:
		return isBlank(c) || c == '\r' || c == '\n'
	}
	return true
}

// hasWord reports whether word starts with b, without regard to b's letter case.
func hasWord(word string, b []byte) bool {
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// word4 reads the first four bytes as one number with the letters folded to lower case. Bytes that
// are not letters fold too, so it only tells words made of letters.
func word4(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24 | 0x20202020
}

const (
	wordPing = 'p' | 'i'<<8 | 'n'<<16 | 'g'<<24
	wordHpub = 'h' | 'p'<<8 | 'u'<<16 | 'b'<<24
	wordPub  = 'p' | 'u'<<8 | 'b'<<16 // three letters
	wordRmsg = 'r' | 'm'<<8 | 's'<<16 | 'g'<<24
	wordHmsg = 'h' | 'm'<<8 | 's'<<16 | 'g'<<24
	wordLmsg = 'l' | 'm'<<8 | 's'<<16 | 'g'<<24
)

// control finishes the verbs that every dialect has. keepCR leaves a CR inside a line alone.
func control(b []byte, id verbID, off, limit int, keepCR bool, op *Op) (n, need int, err error) {
	switch id {
	case verbPing, verbPong, verbOK:
		n, err = skipLine(b, off)
		if n > 0 {
			op.become(KindPing + Kind(id-verbPing))
		}
		return n, 0, err
	}
	arg, next, err := cutLine(b, off, limit)
	if next == 0 {
		return 0, 0, err
	}
	if !keepCR && bytes.IndexByte(arg, '\r') >= 0 {
		return 0, 0, ErrUnknownOp
	}
	kind := KindErr
	if id != verbErr {
		kind = KindConnect
		if id == verbInfo {
			kind = KindInfo
		}
		if len(arg) == 0 {
			return 0, 0, ErrBadJSON
		}
	}
	op.become(kind)
	op.Arg = arg
	return next, 0, nil
}
