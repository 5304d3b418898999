package wire

// Whole lines without arguments, and the ends of the others.
const (
	CRLF     = "\r\n"
	LinePing = "PING\r\n"
	LinePong = "PONG\r\n"
	LineOK   = "+OK\r\n"
)

// AppendDecimal appends n in decimal; a negative n counts as 0.
func AppendDecimal(dst []byte, n int) []byte { return dst }

// AppendClientMsg appends the line of MSG, or HMSG when hdr > 0. The payload and CRLF follow.
func AppendClientMsg(dst, subject, sid, reply []byte, hdr, total int) []byte { return dst }

// AppendRouteMsg appends RMSG, HMSG or, with an origin, LMSG. account nil: dedicated route.
// groups nil: no list.
func AppendRouteMsg(dst, origin, account, subject, reply []byte, groups [][]byte, hdr, total int) []byte {
	return dst
}

// AppendGatewayMsg appends RMSG or HMSG.
func AppendGatewayMsg(dst, account, subject, reply []byte, groups [][]byte, hdr, total int) []byte {
	return dst
}

// AppendLeafMsg appends LMSG or HMSG.
func AppendLeafMsg(dst, subject, reply []byte, groups [][]byte, hdr, total int) []byte { return dst }

// AppendTargetedMsg appends GMSG.
func AppendTargetedMsg(dst, cluster, account, subject, reply []byte, groups [][]byte, hdr, total int) []byte {
	return dst
}

// Verb is one of the four interest verbs.
type Verb string

// The interest verbs.
const (
	VerbRouteAdd Verb = "RS+ "
	VerbRouteDel Verb = "RS- "
	VerbLeafAdd  Verb = "LS+ "
	VerbLeafDel  Verb = "LS- "
)

// AppendInterest appends a line of interest; nil origin, account or queue are left out.
// The weight is written only for a queue on a `+` verb.
func AppendInterest(dst []byte, verb Verb, origin, account, subject, queue []byte, weight int32) []byte {
	return dst
}

// AppendErr appends -ERR 'text'.
func AppendErr(dst []byte, text string) []byte { return dst }

// AppendNoResponders appends the whole 503 message of client-protocol 10.
func AppendNoResponders(dst, reply, sid, subject []byte) []byte { return dst }
