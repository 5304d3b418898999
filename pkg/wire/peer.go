package wire

// Dialect is the protocol spoken on a link between servers.
type Dialect uint8

// The dialects.
const (
	DialectRoute Dialect = iota
	DialectGateway
	DialectLeaf
)

// PeerParser parses what another server sends on a route, a gateway connection or a leaf link.
type PeerParser struct {
	Dialect        Dialect
	AccountOmitted bool // routes: dedicated to one account, lines carry none
	// DelWithoutOrigin: LS- on routes carries no origin, because the peer is older than
	// the INFO field lnocu (it did not announce it).
	DelWithoutOrigin bool
	MaxControlLine   int // bytes of arguments, 0: DefaultMaxPeerControlLine
	MaxPayload       int // bytes of header and body, <=0: what nine digits can say
}

// Next parses one operation at the start of b.
func (p *PeerParser) Next(b []byte, op *Op) (n, need int, err error) { return 0, 0, ErrUnknownOp }
