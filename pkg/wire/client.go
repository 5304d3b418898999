package wire

// ClientParser parses what a client sends. The zero value refuses headers and every payload.
type ClientParser struct {
	MaxControlLine int  // bytes of arguments, 0: DefaultMaxControlLine
	MaxPayload     int  // bytes of header and body, <0: unlimited
	Headers        bool // headers were agreed in CONNECT
}

// Next parses one operation at the start of b.
func (p *ClientParser) Next(b []byte, op *Op) (n, need int, err error) { return 0, 0, ErrUnknownOp }
