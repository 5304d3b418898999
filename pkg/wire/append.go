package wire

// Whole lines without arguments, and the end of all others.
const (
	CRLF     = "\r\n"
	LinePing = "PING\r\n"
	LinePong = "PONG\r\n"
	LineOK   = "+OK\r\n"
)

// digitPairs holds 00 to 99, so that a decimal takes one division for two digits.
const digitPairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

// AppendDecimal appends n in decimal without leading zeros. A negative n counts as 0.
func AppendDecimal(dst []byte, n int) []byte {
	if n < 10 {
		return append(dst, '0'+byte(max(n, 0)))
	}
	if n < 100 {
		return append(dst, digitPairs[2*n], digitPairs[2*n+1])
	}
	var buf [20]byte
	i := len(buf)
	u := uint(n)
	for u >= 100 {
		q := u / 100
		r := 2 * (u - q*100)
		i -= 2
		buf[i], buf[i+1] = digitPairs[r], digitPairs[r+1]
		u = q
	}
	if u >= 10 {
		i -= 2
		buf[i], buf[i+1] = digitPairs[2*u], digitPairs[2*u+1]
	} else {
		i--
		buf[i] = '0' + byte(u)
	}
	return append(dst, buf[i:]...)
}

// AppendClientMsg appends `MSG subject sid [reply] total CRLF`, or with hdr > 0
// `HMSG subject sid [reply] hdr total CRLF`. The payload and CRLF follow. A receiver that
// did not agree on headers gets hdr 0 and the size of the body alone.
//
// A caller that delivers one subject to one sid again and again keeps the line's start from
// [AppendClientPrefix] and finishes it with [AppendClientTail].
func AppendClientMsg(dst, subject []byte, sid string, reply []byte, hdr, total int) []byte {
	return AppendClientTail(AppendClientPrefix(dst, subject, sid, hdr > 0), reply, hdr, total)
}

// AppendClientPrefix appends `MSG subject sid ` or `HMSG subject sid `.
func AppendClientPrefix(dst, subject []byte, sid string, withHeader bool) []byte {
	if withHeader {
		dst = append(dst, "HMSG "...)
	} else {
		dst = append(dst, "MSG "...)
	}
	dst = append(dst, subject...)
	dst = append(dst, ' ')
	dst = append(dst, sid...)
	return append(dst, ' ')
}

// AppendClientTail appends `[reply] total CRLF`, with hdr > 0 `[reply] hdr total CRLF`.
func AppendClientTail(dst, reply []byte, hdr, total int) []byte {
	if len(reply) > 0 {
		dst = append(dst, reply...)
		dst = append(dst, ' ')
	}
	return appendSizes(dst, hdr > 0, hdr, total)
}

// AppendRouteMsg appends the line of a message for a route: RMSG, HMSG when hdr > 0, LMSG when
// origin is set. account nil: the route is dedicated. groups nil: no queue list, only
// plain subscribers. The payload and CRLF follow.
func AppendRouteMsg(dst, origin, account, subject, reply []byte, groups [][]byte, hdr, total int) []byte {
	if len(origin) > 0 {
		dst = append(dst, "LMSG "...)
		dst = appendField(dst, origin)
		dst = appendMsgFields(dst, account, subject, reply, groups)
		return appendSizes(dst, true, hdr, total)
	}
	return AppendGatewayMsg(dst, account, subject, reply, groups, hdr, total)
}

// AppendGatewayMsg appends RMSG, or HMSG when hdr > 0. The arguments are as in [AppendRouteMsg].
func AppendGatewayMsg(dst, account, subject, reply []byte, groups [][]byte, hdr, total int) []byte {
	if hdr > 0 {
		dst = append(dst, "HMSG "...)
	} else {
		dst = append(dst, "RMSG "...)
	}
	dst = appendMsgFields(dst, account, subject, reply, groups)
	return appendSizes(dst, hdr > 0, hdr, total)
}

// AppendLeafMsg appends LMSG, or HMSG when hdr > 0. The arguments are as in [AppendRouteMsg].
func AppendLeafMsg(dst, subject, reply []byte, groups [][]byte, hdr, total int) []byte {
	if hdr > 0 {
		dst = append(dst, "HMSG "...)
	} else {
		dst = append(dst, "LMSG "...)
	}
	dst = appendMsgFields(dst, nil, subject, reply, groups)
	return appendSizes(dst, hdr > 0, hdr, total)
}

// AppendTargetedMsg appends GMSG, from one gwd to another: the message goes to that cluster
// and nowhere else. Only for peers that announced [CapTargetedMsg].
func AppendTargetedMsg(dst, cluster, account, subject, reply []byte, groups [][]byte, hdr, total int) []byte {
	dst = append(dst, "GMSG "...)
	dst = appendField(dst, cluster)
	dst = appendMsgFields(dst, account, subject, reply, groups)
	return appendSizes(dst, true, hdr, total)
}

// AppendFence appends GFENCE. Only for peers that announced [CapFence].
func AppendFence(dst, id []byte) []byte {
	dst = append(dst, "GFENCE "...)
	dst = append(dst, id...)
	return append(dst, CRLF...)
}

func appendField(dst, f []byte) []byte {
	dst = append(dst, f...)
	return append(dst, ' ')
}

// appendMsgFields appends `[account] subject [reply | + reply queue... | "|" queue...] `.
func appendMsgFields(dst, account, subject, reply []byte, groups [][]byte) []byte {
	if len(account) > 0 {
		dst = appendField(dst, account)
	}
	dst = appendField(dst, subject)
	if len(groups) == 0 {
		if len(reply) > 0 {
			dst = appendField(dst, reply)
		}
		return dst
	}
	if len(reply) > 0 {
		dst = append(dst, "+ "...)
		dst = appendField(dst, reply)
	} else {
		dst = append(dst, "| "...)
	}
	for _, g := range groups {
		dst = appendField(dst, g)
	}
	return dst
}

func appendSizes(dst []byte, withHeader bool, hdr, total int) []byte {
	if withHeader {
		dst = AppendDecimal(dst, hdr)
		dst = append(dst, ' ')
	}
	dst = AppendDecimal(dst, total)
	return append(dst, CRLF...)
}

// Verb is one of the interest verbs, with the blank behind it.
type Verb string

// The interest verbs. VerbLeafAdd and VerbLeafDel stand on leaf links, and on routes for
// interest with an origin.
const (
	VerbRouteAdd Verb = "RS+ "
	VerbRouteDel Verb = "RS- "
	VerbLeafAdd  Verb = "LS+ "
	VerbLeafDel  Verb = "LS- "
)

// AppendInterest appends `verb [origin] [account] subject [queue [weight]] CRLF`. What is
// nil is left out; the weight stands with each queue on an add, and never on a delete.
func AppendInterest(dst []byte, verb Verb, origin, account, subject, queue []byte, weight int32) []byte {
	dst = append(dst, verb...)
	if len(origin) > 0 {
		dst = appendField(dst, origin)
	}
	if len(account) > 0 {
		dst = appendField(dst, account)
	}
	dst = append(dst, subject...)
	if len(queue) > 0 {
		dst = append(dst, ' ')
		dst = append(dst, queue...)
		if verb == VerbRouteAdd || verb == VerbLeafAdd {
			dst = append(dst, ' ')
			dst = AppendDecimal(dst, int(weight))
		}
	}
	return append(dst, CRLF...)
}

// AppendAccount appends A+ (on) or A- for gateways without interest-only mode.
func AppendAccount(dst []byte, on bool, account []byte) []byte {
	if on {
		dst = append(dst, "A+ "...)
	} else {
		dst = append(dst, "A- "...)
	}
	dst = append(dst, account...)
	return append(dst, CRLF...)
}

// AppendErr appends -ERR 'text'. The quotes and a text that is not empty are part of what
// clients' patterns want.
func AppendErr(dst []byte, text string) []byte {
	dst = append(dst, "-ERR '"...)
	dst = append(dst, text...)
	return append(dst, "'\r\n"...)
}

const (
	noRespondersStart = "NATS/1.0 503\r\nNats-Subject: "
	noRespondersFixed = len(noRespondersStart) + len(headerEnd) // 32
)

// AppendNoResponders appends the whole message that tells a requester at once that nobody
// listens on subject (client-protocol 10). sid is its own subscription on the reply.
func AppendNoResponders(dst, reply []byte, sid string, subject []byte) []byte {
	n := noRespondersFixed + len(subject)
	dst = AppendClientMsg(dst, reply, sid, nil, n, n)
	dst = append(dst, noRespondersStart...)
	dst = append(dst, subject...)
	dst = append(dst, headerEnd...)
	return append(dst, CRLF...)
}
