package transport

// Layer is a protocol between the link and the socket, above TLS, that frames
// bytes its own way (WebSocket).
type Layer interface {
	// Decode is given the bytes from the socket that it has not consumed yet. It
	// appends what they carry for the link to dst, and says how many bytes of src it
	// consumed, and whether it has something of its own to send: Encode is then
	// called soon, with nothing plain if there is nothing. It is called by the reading
	// goroutine only.
	Decode(dst, src []byte) (out []byte, consumed int, reply bool, err error)
	// Encode appends to dst the frames that carry plain, behind what Decode wants
	// sent. It is called by whoever writes, one at a time, at the same time as Decode.
	Encode(dst, plain []byte) ([]byte, error)
	// Farewell appends what is to be sent last, when the connection ends for cause.
	Farewell(dst []byte, cause error) []byte
}

// StartLayer puts l between the link and the socket. Bytes that have been read
// already are l's. It must be called before Run or Serve, with nothing queued.
func (c *Conn) StartLayer(l Layer) {
	c.settle()
	e := &layerEncoder{l: l, next: c.enc}
	c.enc, c.framing = e, e
	c.stack(layerDecoder{c: c, l: l})
}

type layerDecoder struct {
	c *Conn
	l Layer
}

func (d layerDecoder) decode(dst, src []byte) ([]byte, int, error) {
	if len(src) == 0 {
		return dst, 0, nil
	}
	out, n, reply, err := d.l.Decode(dst, src)
	if reply {
		d.c.mu.Lock()
		d.c.owed = true
		d.c.mu.Unlock()
		d.c.Flush()
	}
	return out, n, err
}

type layerEncoder struct {
	l    Layer
	next encoder
}

func (e *layerEncoder) encode(wire, plain [][]byte) ([][]byte, error) {
	size := 0
	for _, b := range plain {
		size += len(b) + frameRoom
	}
	framed := getBuf(size + frameRoom)
	var err error
	if len(plain) == 0 {
		framed, err = e.l.Encode(framed, nil)
	}
	for _, b := range plain {
		if err != nil {
			break
		}
		framed, err = e.l.Encode(framed, b)
	}
	return e.below(wire, framed, err)
}

// frameRoom is what a frame is expected to add.
const frameRoom = 128

// below hands framed to the layer below. What the Layer made of it may not be of
// getBuf any more; putBuf knows.
func (e *layerEncoder) below(wire [][]byte, framed []byte, err error) ([][]byte, error) {
	if len(framed) == 0 {
		putBuf(framed)
		if e.next == nil || err != nil {
			return wire, err
		}
		return e.next.encode(wire, nil)
	}
	if e.next == nil {
		return append(wire, framed), err
	}
	wire, nerr := e.next.encode(wire, [][]byte{framed})
	putBuf(framed)
	if err == nil {
		err = nerr
	}
	return wire, err
}

// farewell writes a layer's last words, after all else has been written.
func (c *Conn) farewell(cause error) {
	if c.framing == nil {
		return
	}
	wire, _ := c.framing.below(nil, c.framing.l.Farewell(getBuf(minChunk), cause), nil)
	for _, b := range wire {
		c.nc.Write(b)
		putBuf(b)
	}
}
