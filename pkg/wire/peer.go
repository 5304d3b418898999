package wire

// Dialect is the protocol spoken on a link between servers.
type Dialect uint8

// The dialects. Each verb outside its dialect is an unknown operation.
const (
	DialectRoute   Dialect = iota // RS+ RS- LS+ LS- A+ A- RMSG HMSG LMSG, and GMSG GFENCE between our own
	DialectGateway                // RS+ RS- A+ A- RMSG HMSG
	DialectLeaf                   // LS+ LS- LMSG HMSG
)

// PeerParser parses what another server sends on a route, a gateway connection or a leaf
// link. Fields may be changed between two calls of Next.
type PeerParser struct {
	Dialect        Dialect
	AccountOmitted bool // routes: dedicated to one account, lines carry none

	// DelWithoutOrigin: LS- on routes carries no origin, because the peer did not announce
	// lnocu in its INFO: it is too old to send one. Seen from 2.9 servers:
	// `LS-  $G foo q`, with an empty place for the origin.
	DelWithoutOrigin bool

	MaxControlLine int // bytes of arguments, 0: DefaultMaxPeerControlLine
	MaxPayload     int // bytes of header and body, <=0: what nine digits can say
}

var peerVerbs = [...][]verb{
	DialectRoute: common(
		verb{"RS+", followBlank, verbInterestAdd},
		verb{"RS-", followBlank, verbInterestDel},
		verb{"LS+", followBlank, verbOriginAdd},
		verb{"LS-", followBlank, verbOriginDel},
		verb{"RMSG", followBlank, verbRmsg},
		verb{"HMSG", followBlank, verbHmsg},
		verb{"LMSG", followBlank, verbLmsg},
		verb{"GMSG", followBlank, verbTargeted},
		verb{"GFENCE", followBlank, verbFence},
		verb{"A+", followBlank, verbAccountAdd},
		verb{"A-", followBlank, verbAccountDel},
	),
	DialectGateway: common(
		verb{"RS+", followBlank, verbInterestAdd},
		verb{"RS-", followBlank, verbInterestDel},
		verb{"RMSG", followBlank, verbRmsg},
		verb{"HMSG", followBlank, verbHmsg},
		verb{"A+", followBlank, verbAccountAdd},
		verb{"A-", followBlank, verbAccountDel},
	),
	DialectLeaf: common(
		verb{"LS+", followWord, verbInterestAdd},
		verb{"LS-", followWord, verbInterestDel},
		verb{"LMSG", followBlank, verbLmsg},
		verb{"HMSG", followBlank, verbHmsg},
	),
}

// Next parses one operation at the start of b; see [ClientParser.Next] for the results.
//
// Two things differ from a client's lines: CR and NUL inside names are no error but set
// op.Dirty, since a reference server passes on what its clients sent and
// the link must not suffer for it; and the JSON of INFO is not looked at.
func (p *PeerParser) Next(b []byte, op *Op) (n, need int, err error) {
	id, off := p.message(b)
	if id == verbNone {
		if id, off, err = findVerb(peerVerbs[p.Dialect], b); id == verbNone {
			return 0, 0, err
		}
	}
	if id < verbPub {
		return control(b, id, off, p.limit(), true, op)
	}
	arg, next, err := cutLine(b, off, p.limit())
	if next == 0 {
		return 0, 0, err
	}
	switch id {
	case verbRmsg:
		return p.msg(b, arg, next, p.shape(false, false), op)
	case verbHmsg:
		return p.msg(b, arg, next, p.shape(false, true), op)
	case verbLmsg:
		onRoute := p.Dialect == DialectRoute
		return p.msg(b, arg, next, p.shape(onRoute, onRoute), op)
	case verbTargeted:
		return p.msg(b, arg, next, shape{kind: KindTargetedMsg, origin: true, account: true, hdr: true}, op)
	case verbFence, verbAccountAdd, verbAccountDel:
		err = p.single(arg, id, op)
	default:
		err = p.interest(arg, id, op)
	}
	if err != nil {
		return 0, 0, err
	}
	return next, 0, nil
}

// message tells the message verbs of the dialect by one comparison each.
func (p *PeerParser) message(b []byte) (id verbID, off int) {
	if len(b) < 5 || !isBlank(b[4]) {
		return verbNone, 0
	}
	switch word4(b) {
	case wordHmsg:
		return verbHmsg, 4
	case wordRmsg:
		if p.Dialect != DialectLeaf {
			return verbRmsg, 4
		}
	case wordLmsg:
		if p.Dialect != DialectGateway {
			return verbLmsg, 4
		}
	}
	return verbNone, 0
}

func (p *PeerParser) limit() int {
	if p.MaxControlLine <= 0 {
		return DefaultMaxPeerControlLine
	}
	return p.MaxControlLine
}

func (p *PeerParser) withAccount() bool {
	return p.Dialect == DialectGateway || (p.Dialect == DialectRoute && !p.AccountOmitted)
}

// shape says which fields a message line has around its subject.
type shape struct {
	kind    Kind
	origin  bool
	account bool
	hdr     bool // two sizes
}

func (p *PeerParser) shape(origin, hdr bool) shape {
	return shape{KindMsg, origin, p.withAccount(), hdr}
}

// msg parses `[origin] [account] subject [reply | "+" reply queue... | "|" queue...] [hdr] total`
// and cuts the payload. It is the message path of every link.
func (p *PeerParser) msg(b, arg []byte, next int, s shape, op *Op) (n, need int, err error) {
	arg, total := cutSize(arg)
	hdr := 0
	if s.hdr {
		arg, hdr = cutSize(arg)
	}
	if total < 0 || hdr < 0 || hdr > total {
		return 0, 0, ErrArguments
	}
	op.become(s.kind)
	op.HdrLen, op.Dirty = hdr, false
	op.Origin, op.Account = nil, nil
	if s.origin {
		op.Origin, arg = op.cut(arg)
	}
	if s.account {
		op.Account, arg = op.cut(arg)
	}
	if op.Subject, arg = op.cut(arg); len(op.Subject) == 0 {
		return 0, 0, ErrArguments
	}
	if !op.cutTargets(arg) {
		return 0, 0, ErrArguments
	}
	if p.MaxPayload > 0 && total > p.MaxPayload {
		return 0, 0, ErrMaxPayload
	}
	return finishPayload(b, next, total, op)
}

// cut takes a token off arg and remembers if it is dirty.
func (op *Op) cut(arg []byte) (token, rest []byte) {
	token, rest, bad := cutToken(arg)
	op.Dirty = op.Dirty || bad
	return token, rest
}

// cutTargets reads what stands between subject and sizes. A lone field is the reply, even
// if it looks like a marker.
func (op *Op) cutTargets(arg []byte) bool {
	op.Reply, op.Queues, op.HasQueues = nil, nil, false
	if len(arg) == 0 {
		return true
	}
	first, arg := op.cut(arg)
	if len(arg) == 0 {
		op.Reply = first
		return true
	}
	if len(first) != 1 {
		return false
	}
	switch first[0] {
	case '+':
		op.Reply, arg = op.cut(arg)
	case '|':
	default:
		return false
	}
	op.HasQueues = true
	op.fields = op.fields[:0]
	for len(arg) > 0 {
		var queue []byte
		queue, arg = op.cut(arg)
		op.fields = append(op.fields, queue)
	}
	op.Queues = op.fields
	return true
}

// interest parses `[origin] [account] subject [queue [weight]]`: the weight stands with each queue
// on an add, and never on a delete.
func (p *PeerParser) interest(arg []byte, id verbID, op *Op) error {
	add := id == verbInterestAdd || id == verbOriginAdd
	if add {
		op.become(KindInterestAdd)
	} else {
		op.become(KindInterestDel)
	}
	op.Dirty = false
	op.Origin, op.Account, op.Queue, op.Weight = nil, nil, nil, 0
	if id == verbOriginAdd || (id == verbOriginDel && !p.DelWithoutOrigin) {
		op.Origin, arg = op.cut(arg)
	}
	if p.withAccount() {
		op.Account, arg = op.cut(arg)
	}
	if op.Subject, arg = op.cut(arg); len(op.Subject) == 0 {
		return ErrArguments
	}
	if len(arg) == 0 {
		return nil
	}
	op.Queue, arg = op.cut(arg)
	if add {
		if len(arg) == 0 {
			return ErrArguments
		}
		var weight []byte
		weight, arg = op.cut(arg)
		if op.Weight = p.weight(weight); op.Weight < 0 {
			return ErrArguments
		}
	}
	if len(arg) > 0 {
		return ErrArguments
	}
	return nil
}

// weight reads the number of members behind an interest, -1 if it is none. Leaf links
// have always taken anything there; what makes no sense counts as one member.
func (p *PeerParser) weight(d []byte) int32 {
	n := parseSize(d)
	if p.Dialect == DialectLeaf && n < 1 {
		return 1
	}
	return int32(n)
}

// single parses the verbs with one argument. A+ and A- mean nothing on a route: whatever they
// carry is let through for the link to ignore.
func (p *PeerParser) single(arg []byte, id verbID, op *Op) error {
	token, rest, dirty := cutToken(arg)
	strict := id == verbFence || p.Dialect == DialectGateway
	if strict && (len(token) == 0 || len(rest) > 0 || dirty) {
		return ErrArguments
	}
	switch id {
	case verbFence:
		op.become(KindFence)
		op.Arg = token
	case verbAccountAdd:
		op.become(KindAccountAdd)
		op.Account = token
	default:
		op.become(KindAccountDel)
		op.Account = token
	}
	return nil
}
