package websocket

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// Options of a Codec.
type Options struct {
	// Client: this side dialed. It masks what it sends, unless Unmasked, and takes
	// frames that are not masked.
	Client bool
	// Unmasked: both agreed that the side that dialed does not mask. What is masked
	// all the same is understood.
	Unmasked bool
	// Compress: permessage-deflate without context takeover was agreed.
	Compress bool
	// MaxPayload is the largest message of the protocol inside, in bytes. It bounds
	// what compressed messages may hold and expand to. 0 is 1 MiB.
	MaxPayload int
	// Code says with which code and text a connection closes that ends for cause,
	// which is nil or not an error of this package. nil: 1000 and no text.
	Code func(cause error) (code uint16, text string)
}

const (
	defaultPayload = 1 << 20
	// A compressed message may be this many times max_payload, and never more than
	// maxCompressed.
	compressedFactor = 8
	maxCompressed    = 64 << 20
	// firstCompressed bounds it until the peer is known.
	firstCompressed = 128 << 10

	// MaxFrame is the largest payload of a frame that Encode makes.
	MaxFrame = 64 << 10
	// compressAbove is the size of a batch above which it is compressed.
	compressAbove = 64
	// maxReplies bounds pongs that wait because the peer does not read.
	maxReplies = 2 << 10
)

// Codec is the WebSocket layer of one connection. Decode is for the goroutine
// that reads, Encode and Farewell for one that writes at a time; the two may run
// at the same time.
type Codec struct {
	code func(error) (uint16, string)

	client, unmasked, compress bool

	// Of the reader.
	open       bool   // a data message has begun and its last frame not yet
	fin        bool   // the data frame under way is its message's last
	compressed bool   // the message under way is
	masked     bool   // the data frame under way is
	held       bool   // see Decode
	key        uint32 // turned to the next byte
	left       uint64 // bytes of the data frame under way that have not come
	limit      int    // of a compressed message
	payload    int    // max_payload
	message    *message
	err        error // ended: nothing is decoded any more

	// Between the two.
	waiting atomic.Bool // replies is not empty
	mu      sync.Mutex
	replies []byte // frames, as they go out but for the mask
	end     error  // *Error or *Closed, why the reader ended
	closed  bool   // Farewell was called
}

// NewCodec makes the codec of a connection whose upgrade has just been agreed.
func NewCodec(o Options) *Codec {
	c := &Codec{client: o.Client, unmasked: o.Unmasked, compress: o.Compress, code: o.Code}
	c.SetMaxPayload(o.MaxPayload)
	c.limit = min(c.limit, firstCompressed)
	return c
}

// Compresses tells whether permessage-deflate was agreed.
func (c *Codec) Compresses() bool { return c.compress }

// SetMaxPayload changes Options.MaxPayload, and says that the peer has become
// known: before, compressed messages are bounded more tightly. It is for the
// goroutine that reads.
func (c *Codec) SetMaxPayload(n int) {
	if n <= 0 {
		n = defaultPayload
	}
	c.payload = n
	c.limit = maxCompressed
	if n < maxCompressed/compressedFactor {
		c.limit = max(n*compressedFactor, 4<<10)
	}
}

// Decode takes bytes off the front of src, which begins with those that earlier
// calls did not consume, and appends to dst what they carry. It returns dst, how
// many bytes it consumed, and whether it has something to answer: Encode is then
// to be called soon, with nothing to send if there is nothing. An error ends the
// connection; it is an [*Error], or [*Closed] when the peer ended it.
//
// One call appends no more than dst has room for, or, if it has none, at most as
// much as src holds or [MaxFrame] of what is compressed. So it must be called
// again, with the bytes that are left, until it has neither consumed nor appended
// anything: those are then the start of a header or of a control frame, and it
// wants more.
func (c *Codec) Decode(dst, src []byte) (out []byte, consumed int, reply bool, err error) {
	d := decoding{c: c, out: dst, src: src, room: cap(dst) - len(dst)}
	if d.room == 0 {
		d.room = max(len(src), MaxFrame)
	}
	if c.err != nil {
		return dst, 0, false, c.err
	}
	for d.step() {
	}
	if d.err != nil {
		c.finish(d.err)
		return d.out, d.n, d.reply, c.err
	}
	return d.out, d.n, d.reply, nil
}

// finish notes why nothing is decoded any more.
func (c *Codec) finish(err error) {
	c.err = err
	c.drop()
	c.mu.Lock()
	if c.end == nil {
		c.end = err
	}
	c.mu.Unlock()
}

// drop gives back what a compressed message under way has borrowed.
func (c *Codec) drop() {
	if c.message != nil {
		c.message.free()
		c.message = nil
	}
}

// decoding is one call of Decode.
type decoding struct {
	c     *Codec
	out   []byte
	src   []byte
	n     int // consumed
	room  int // bytes that may still be appended
	reply bool
	err   error
}

// step reports false when there is nothing more to do for now.
func (d *decoding) step() bool {
	c := d.c
	switch {
	case c.held:
		return d.inflate()
	case c.left > 0:
		return d.take()
	}
	var h header
	rest := d.src[d.n:]
	more := h.parse(rest)
	if len(rest) < 2 {
		return false
	}
	// What is wrong already shows in the first two bytes.
	if err := c.judge(rest, &h); err != nil {
		return d.fail(err)
	}
	switch {
	case more:
		return false
	case h.control():
		return d.control(&h)
	case h.size>>63 != 0:
		return d.fail(errLength)
	}
	if h.op != opContinuation {
		c.compressed = h.rsv1
	}
	c.open, c.fin = !h.fin, h.fin
	c.masked, c.key, c.left = h.masked, h.key, h.size
	d.n += h.len
	if c.compressed && c.message == nil {
		c.message = newMessage()
	}
	if c.left == 0 && c.compressed && c.fin {
		d.hold()
	}
	return true
}

func (d *decoding) fail(err error) bool {
	d.err = err
	return false
}

// judge says what is wrong with a header of which the first two bytes are known.
func (c *Codec) judge(b []byte, h *header) error {
	switch {
	case b[0]&rsvBits != 0:
		return errReserved
	case h.control():
		switch {
		case h.op > opPong:
			return errOpcode(h.op)
		case b[1]&^maskBit > maxControl:
			return errControlLength
		case !h.fin:
			return errControlFin
		case h.rsv1:
			return errControlDeflate
		}
	case h.op == opContinuation:
		if !c.open || h.rsv1 {
			return errContinuation
		}
	case h.op > opBinary:
		return errOpcode(h.op)
	case c.open:
		return errUnfinished
	case h.rsv1 && !c.compress:
		return errNotNegotiated
	}
	if !h.masked && !c.client && !c.unmasked {
		return errMaskMissing
	}
	return nil
}

// take takes payload of the data frame under way.
func (d *decoding) take() bool {
	c := d.c
	rest := d.src[d.n:]
	if len(rest) == 0 {
		return false
	}
	if uint64(len(rest)) > c.left {
		rest = rest[:c.left]
	}
	if c.compressed {
		if len(c.message.in)+len(rest) > c.limit {
			return d.fail(errCompressedSize(c.limit))
		}
		c.message.in = c.unmask(c.message.in, rest)
	} else {
		if d.room == 0 {
			return false
		}
		rest = rest[:min(len(rest), d.room)]
		d.room -= len(rest)
		d.out = c.unmask(d.out, rest)
	}
	d.n += len(rest)
	if c.left -= uint64(len(rest)); c.left == 0 && c.compressed && c.fin {
		d.hold()
	}
	return true
}

// unmask appends payload in clear.
func (c *Codec) unmask(b, payload []byte) []byte {
	at := len(b)
	b = append(b, payload...)
	if c.masked {
		c.key = xor(b[at:], b[at:], c.key)
	}
	return b
}

// hold begins to inflate a message of which all has come. The last byte is not
// consumed before all has been handed on: Decode is called again for it.
func (d *decoding) hold() {
	d.c.held = true
	d.n--
}

// inflate hands on of the message that is held what the call has room for.
func (d *decoding) inflate() bool {
	c := d.c
	if len(d.src) == d.n || d.room == 0 {
		return false
	}
	at := len(d.out)
	var done bool
	d.out, done, d.err = c.message.inflate(d.out, min(d.room, MaxFrame), c.payload)
	d.room -= len(d.out) - at
	if d.err != nil || !done {
		return false
	}
	c.drop()
	c.held = false
	d.n++
	return true
}

// control handles a control frame once all of it has come.
func (d *decoding) control(h *header) bool {
	c := d.c
	end := d.n + h.len + int(h.size)
	if len(d.src) < end {
		return false
	}
	var room [maxControl]byte
	body := room[:copy(room[:], d.src[d.n+h.len:end])]
	if h.masked {
		xor(body, body, h.key)
	}
	d.n = end
	switch h.op {
	case opPing:
		c.answer(opPong, body)
		d.reply = true
	case opClose:
		gone, bad := readClose(body)
		if bad != nil {
			return d.fail(bad)
		}
		return d.fail(gone)
	}
	return true
}

// answer queues a control frame. When the peer reads none it is the latest that counts.
func (c *Codec) answer(op byte, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.replies)+2+len(body) > maxReplies {
		c.replies = c.replies[:0]
	}
	c.replies = append(c.replies, finBit|op, byte(len(body)))
	c.replies = append(c.replies, body...)
	c.waiting.Store(true)
}

// Encode appends to dst what Decode wants answered and then the frames that carry
// plain. A frame carries at most [MaxFrame] and is a message of its own. dst and
// plain must not overlap.
func (c *Codec) Encode(dst, plain []byte) ([]byte, error) {
	if c.waiting.Load() {
		dst = c.appendReplies(dst)
	}
	for len(plain) > 0 {
		p := plain[:min(len(plain), MaxFrame)]
		plain = plain[len(p):]
		if c.compress && len(p) > compressAbove {
			var ok bool
			if dst, ok = c.appendCompressed(dst, p); ok {
				continue
			}
		}
		dst = c.appendFrame(dst, finBit|opBinary, p)
	}
	return dst, nil
}

func (c *Codec) appendReplies(dst []byte) []byte {
	c.mu.Lock()
	r := c.replies
	c.replies = nil
	c.waiting.Store(false)
	c.mu.Unlock()
	for len(r) > 0 {
		end := 2 + int(r[1])
		dst = c.appendFrame(dst, r[0], r[2:end])
		r = r[end:]
	}
	return dst
}

// appendFrame appends one frame.
func (c *Codec) appendFrame(dst []byte, first byte, payload []byte) []byte {
	if !c.client || c.unmasked {
		dst = appendHeader(dst, first, len(payload), false, 0)
		return append(dst, payload...)
	}
	key := nextKey(true)
	dst = appendHeader(dst, first, len(payload), true, key)
	at := len(dst)
	dst = append(dst, payload...)
	xor(dst[at:], dst[at:], key)
	return dst
}

// nextKey is a fresh masking key. The generator is seeded by the system and can't be
// predicted from what it gave before.
func nextKey(masked bool) uint32 {
	if !masked {
		return 0
	}
	return rand.Uint32()
}

// Farewell appends the close frame for the cause with which the connection ends,
// the first time that it is called: what the peer said when it closed, what the
// peer did wrong, or what Options.Code makes of the cause. Nothing is to be
// encoded afterwards.
func (c *Codec) Farewell(dst []byte, cause error) []byte {
	c.mu.Lock()
	end, again := c.end, c.closed
	c.closed = true
	c.mu.Unlock()
	if again {
		return dst
	}
	code, text := uint16(CodeNormal), ""
	switch e := end.(type) {
	case *Closed:
		code, text = e.Code, e.Text
	case *Error:
		code, text = e.Code, e.Text
	default:
		if c.code != nil {
			code, text = c.code(cause)
		}
	}
	if c.waiting.Load() {
		dst = c.appendReplies(dst)
	}
	var room [maxControl]byte
	return c.appendFrame(dst, finBit|opClose, closeBody(room[:0], code, text))
}
