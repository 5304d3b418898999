package wire

import "encoding/json"

// ClientParser parses what a client sends. The zero value knows no headers and
// takes empty payloads only. Fields may be changed between two calls of Next.
type ClientParser struct {
	MaxControlLine int  // bytes of arguments, 0: DefaultMaxControlLine
	MaxPayload     int  // bytes of header and body, <0: unlimited
	Headers        bool // headers were agreed in CONNECT
}

var clientVerbs = common(
	verb{"PUB", followBlank, verbPub},
	verb{"HPUB", followBlank, verbHpub},
	verb{"SUB", followBlank, verbSub},
	verb{"UNSUB", followBlank, verbUnsub},
)

// Next parses one operation at the start of b.
//
//	n > 0            op is filled and took n bytes
//	n == 0, no error b holds a part of an operation: call again with more bytes behind the
//	                 same start. need is the length that b must have, 0 while unknown
//	error            a *ProtoError; the connection can't go on
//
// The result depends on p and b alone, so an operation may be offered again and again until it
// is whole. A payload above the limit is refused as soon as its line is whole.
//
// While authentication is pending the caller looks at [MayBeConnect] of the first byte before
// it calls Next.
func (p *ClientParser) Next(b []byte, op *Op) (n, need int, err error) {
	if len(b) > 4 {
		switch w := word4(b); {
		case w&0xffffff == wordPub && isBlank(b[3]):
			return p.pub(b, op)
		case w == wordHpub && isBlank(b[4]):
			return p.hpub(b, op)
		}
	}
	id, off, err := findVerb(clientVerbs, b)
	switch id {
	case verbNone:
		return 0, 0, err
	case verbSub, verbUnsub:
		arg, next, err := cutLine(b, off, p.limit())
		if next == 0 {
			return 0, 0, err
		}
		if id == verbSub {
			err = parseSub(arg, op)
		} else {
			err = parseUnsub(arg, op)
		}
		if err != nil {
			return 0, 0, err
		}
		return next, 0, nil
	case verbPub, verbHpub:
		// The verb and its blank are there, and nothing else.
		return 0, 0, nil
	}
	n, need, err = control(b, id, off, p.limit(), false, op)
	if n > 0 && id == verbInfo && !json.Valid(op.Arg) {
		return 0, 0, ErrBadJSON
	}
	return n, need, err
}

// MayBeConnect reports whether an operation that starts with c can be CONNECT. While a client
// (or a peer that dialed) must authenticate, any other first byte is refused with
// [TextAuthViolation] before the parser sees it (client-protocol 13).
func MayBeConnect(c byte) bool { return c == 'C' || c == 'c' }

func (p *ClientParser) limit() int {
	if p.MaxControlLine <= 0 {
		return DefaultMaxControlLine
	}
	return p.MaxControlLine
}

// pub parses `PUB subject [reply] size`. It and hpub are the message path.
//
// The plain line, with single blanks, clean names and all of it in b, is cut by walking over it
// once. Whatever differs in any way is left to the careful path.
func (p *ClientParser) pub(b []byte, op *Op) (n, need int, err error) {
	const from = len("PUB ")
	line := b
	if most := from + p.limit() + 2; len(line) > most {
		line = line[:most]
	}
	end := lowByte(line, from)
	next := end + 1
	var reply []byte
	if next < len(line) && end > from && line[end] == ' ' {
		size, at := walkSize(line, next)
		if size < 0 {
			if at = lowByte(line, next); at > next && at < len(line) && line[at] == ' ' {
				reply = line[next:at]
				size, at = walkSize(line, at+1)
			}
		}
		if size >= 0 && (size <= p.MaxPayload || p.MaxPayload < 0) {
			op.become(KindPub)
			op.Subject, op.Reply, op.HdrLen = line[from:end], reply, 0
			return finishPayload(b, at, size, op)
		}
	}
	return p.pubCareful(b, op)
}

// walkSize reads the size that starts at from and is followed by CR LF at once. next is behind
// the line; size is -1 if anything else stands there.
func walkSize(line []byte, from int) (size, next int) {
	for i := from; i < len(line); i++ {
		d := line[i] - '0'
		if d > 9 {
			if i > from && i+1 < len(line) && line[i] == '\r' && line[i+1] == '\n' {
				return size, i + 2
			}
			break
		}
		if i-from == maxDigits {
			break
		}
		size = size*10 + int(d)
	}
	return -1, 0
}

// pubCareful is the whole grammar of PUB.
func (p *ClientParser) pubCareful(b []byte, op *Op) (n, need int, err error) {
	arg, next, err := cutLine(b, len("PUB"), p.limit())
	if next == 0 {
		return 0, 0, err
	}
	arg, size := cutSize(arg)
	if size < 0 {
		return 0, 0, ErrArguments
	}
	return p.publish(b, arg, next, 0, size, op)
}

// hpub parses `HPUB subject [reply] hdrsize totalsize`.
func (p *ClientParser) hpub(b []byte, op *Op) (n, need int, err error) {
	if !p.Headers {
		return 0, 0, ErrHeadersNotSet
	}
	arg, next, err := cutLine(b, len("HPUB"), p.limit())
	if next == 0 {
		return 0, 0, err
	}
	arg, total := cutSize(arg)
	arg, hdr := cutSize(arg)
	if hdr < 0 || hdr > total {
		return 0, 0, ErrArguments
	}
	return p.publish(b, arg, next, hdr, total, op)
}

// publish parses `subject [reply]` and cuts the payload, which starts at next.
func (p *ClientParser) publish(b, arg []byte, next, hdr, total int, op *Op) (n, need int, err error) {
	subject, arg, dirty := cutToken(arg)
	var reply []byte
	if len(arg) > 0 {
		var bad bool
		reply, arg, bad = cutToken(arg)
		dirty = dirty || bad
	}
	switch {
	case dirty:
		return 0, 0, ErrUnknownOp
	case len(subject) == 0, len(arg) > 0:
		return 0, 0, ErrArguments
	case total > p.MaxPayload && p.MaxPayload >= 0:
		return 0, 0, ErrMaxPayload
	}
	op.become(KindPub)
	op.Subject, op.Reply, op.HdrLen = subject, reply, hdr
	return finishPayload(b, next, total, op)
}

// parseSub reads `subject [queue] sid`.
func parseSub(arg []byte, op *Op) error {
	var f [3][]byte
	n, dirty := cutTokens(arg, f[:])
	if dirty {
		return ErrUnknownOp
	}
	op.become(KindSub)
	switch n {
	case 2:
		op.Subject, op.Queue, op.SID = f[0], nil, f[1]
	case 3:
		op.Subject, op.Queue, op.SID = f[0], f[1], f[2]
	default:
		return ErrArguments
	}
	return nil
}

// parseUnsub reads `sid [max]`. A max that is no size means now, as does 0: clients
// of long standing rely on it.
func parseUnsub(arg []byte, op *Op) error {
	var f [2][]byte
	n, dirty := cutTokens(arg, f[:])
	if dirty {
		return ErrUnknownOp
	}
	if n != 1 && n != 2 {
		return ErrArguments
	}
	op.become(KindUnsub)
	op.SID, op.Max = f[0], -1
	if m := parseSize(f[1]); m > 0 {
		op.Max = m
	}
	return nil
}

// cutTokens cuts s into the tokens that f has room for. The count is len(f)+1 if more follow.
func cutTokens(s []byte, f [][]byte) (n int, dirty bool) {
	for len(s) > 0 {
		tok, rest, bad := cutToken(s)
		dirty = dirty || bad
		if n == len(f) {
			return n + 1, dirty
		}
		f[n] = tok
		n++
		s = rest
	}
	return n, dirty
}
