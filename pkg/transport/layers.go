package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
)

// encoder turns plain chunks into what goes on the wire. It appends buffers of
// getBuf to wire. The plain chunks stay the caller's.
type encoder interface {
	encode(wire, plain [][]byte) ([][]byte, error)
}

// decoder turns what came from below into what goes up. It appends to dst, as much
// as it likes, and says how much of src it is done with. Without headway on either
// it waits for more. It is called again after headway, with an empty src too.
type decoder interface {
	decode(dst, src []byte) (out []byte, consumed int, err error)
}

// stage is a decoder with what it has not consumed yet; in is nil while idle.
type stage struct {
	decoder
	in  []byte
	err error // told after what came before it
}

// advance decodes what is there already, until something more is in rbuf or nothing
// is left to be done.
func (c *Conn) advance() (bool, error) {
	if len(c.stages) == 0 {
		return false, nil
	}
	c.makeRoom()
	return c.advanceTo(len(c.stages)-1, &c.rbuf)
}

// advanceTo makes stage i append to dst.
func (c *Conn) advanceTo(i int, dst *[]byte) (bool, error) {
	s := c.stages[i]
	for {
		if s.err != nil {
			return false, s.err
		}
		had := len(*dst)
		fresh := *dst == nil
		if fresh {
			*dst = getBuf(c.rwant)
		} else if cap(*dst)-len(*dst) < maxSlim {
			*dst = roomFor(*dst, max(c.rwant, len(*dst)))
		}
		out, n, err := s.decode(*dst, s.in)
		*dst = out
		if fresh && len(out) == 0 {
			putBuf(out)
			*dst = nil
		}
		s.consume(n)
		if len(out) > had {
			s.err = err
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if n > 0 {
			continue
		}
		if i == 0 {
			return false, nil
		}
		if more, err := c.advanceTo(i-1, &s.in); !more {
			return false, err
		}
	}
}

// consume drops n bytes of in. An empty buffer goes back to the pool.
func (s *stage) consume(n int) {
	if s.in == nil {
		return
	}
	rest := copy(s.in, s.in[n:])
	s.in = s.in[:rest]
	if rest == 0 {
		putBuf(s.in)
		s.in = nil
	}
}

// tlsLayer stands between crypto/tls and the socket. While direct it passes
// calls on and may block: that is how the handshake runs. Afterwards reads
// return errWouldBlock when no bytes are there (crypto/tls keeps what it has
// and goes on at the next call), and writes are gathered in out, which is what
// the Conn then writes without blocking.
type tlsLayer struct {
	c      *Conn
	direct bool
	in     []byte // bytes from the socket
	off    int
	// out is appended to by whoever makes crypto/tls write: mostly the writer,
	// but an alert or a key update may come from the reading goroutine.
	mu  sync.Mutex
	out chunkWriter
}

// wouldBlock looks temporary to crypto/tls, which therefore does not take the
// connection for broken.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "would block" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

var errWouldBlock error = wouldBlock{}

func (l *tlsLayer) Read(p []byte) (int, error) {
	if l.off < len(l.in) {
		n := copy(p, l.in[l.off:])
		l.off += n
		return n, nil
	}
	if !l.direct {
		return 0, errWouldBlock
	}
	n, err := l.c.nc.Read(p)
	l.c.inBytes.Add(int64(n))
	return n, err
}

// decode decrypts.
func (l *tlsLayer) decode(dst, src []byte) (out []byte, consumed int, err error) {
	l.in, l.off = src, 0
	for len(dst) < cap(dst) {
		n, rerr := l.c.tls.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if rerr != nil {
			if !errors.Is(rerr, errWouldBlock) {
				err = rerr
			}
			break
		}
	}
	consumed, l.in = l.off, nil
	l.answer()
	return dst, consumed, err
}

// answer sends what crypto/tls has to say of its own, such as the key update that a
// peer asked for: left to the next write a peer could make it pile up.
func (l *tlsLayer) answer() {
	l.mu.Lock()
	waits := len(l.out.chunks) > 0
	l.mu.Unlock()
	if !waits {
		return
	}
	c := l.c
	c.mu.Lock()
	if !c.writing { // else it is the writer's, or goes out next time
		c.owed = true
	}
	c.mu.Unlock()
	c.Flush()
}

func (l *tlsLayer) Write(p []byte) (int, error) {
	if l.direct {
		n, err := l.c.nc.Write(p)
		l.c.outBytes.Add(int64(n))
		return n, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

// take returns what is gathered and forgets it.
func (l *tlsLayer) take(wire [][]byte) [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	wire = append(wire, l.out.chunks...)
	clear(l.out.chunks)
	l.out.chunks = l.out.chunks[:0]
	return wire
}

// flushDirect writes what is gathered (a close alert) straight to the socket.
func (l *tlsLayer) flushDirect() {
	for _, b := range l.take(nil) {
		l.c.nc.Write(b)
		putBuf(b)
	}
}

func (l *tlsLayer) Close() error                     { return nil }
func (l *tlsLayer) LocalAddr() net.Addr              { return l.c.nc.LocalAddr() }
func (l *tlsLayer) RemoteAddr() net.Addr             { return l.c.nc.RemoteAddr() }
func (l *tlsLayer) SetDeadline(time.Time) error      { return nil }
func (l *tlsLayer) SetReadDeadline(time.Time) error  { return nil }
func (l *tlsLayer) SetWriteDeadline(time.Time) error { return nil }

type tlsEncoder struct {
	l    *tlsLayer
	conn *tls.Conn
}

// tlsRecord is the most that a record carries (RFC 8446 5.1).
const tlsRecord = 16 << 10

// encode makes full records: what is left of a chunk shares one with the start of the
// next.
func (e *tlsEncoder) encode(wire, plain [][]byte) ([][]byte, error) {
	var rest []byte
	defer func() { putBuf(rest) }()
	for i, b := range plain {
		if len(rest) > 0 {
			n := min(tlsRecord-len(rest), len(b))
			rest = append(rest, b[:n]...)
			b = b[n:]
			if len(rest) < tlsRecord && i < len(plain)-1 {
				continue
			}
			if _, err := e.conn.Write(rest); err != nil {
				return wire, err
			}
			rest = rest[:0]
		}
		if i < len(plain)-1 {
			if left := len(b) % tlsRecord; left > 0 {
				if rest == nil {
					rest = getBuf(tlsRecord)
				}
				rest = append(rest, b[len(b)-left:]...)
				b = b[:len(b)-left]
			}
		}
		if len(b) == 0 {
			continue
		}
		if _, err := e.conn.Write(b); err != nil {
			return wire, err
		}
	}
	return e.l.take(wire), nil
}

// StartTLS runs a TLS handshake, as server or as client, within limit. It must
// be called before Serve, with nothing queued. Bytes already read by Peek or
// behind a line of ReadLine belong to the handshake.
func (c *Conn) StartTLS(cfg *tls.Config, server bool, limit time.Duration) error {
	if c.tls != nil || c.enc != nil {
		return errors.New("transport: TLS after another layer")
	}
	c.settle()
	if !cfg.DynamicRecordSizingDisabled {
		cfg = cfg.Clone()
		// Full records: small ones cost many times as much a byte.
		cfg.DynamicRecordSizingDisabled = true
	}
	l := &tlsLayer{c: c, direct: true, in: c.rbuf}
	first := c.rbuf
	c.rbuf = nil
	t := tls.Client(l, cfg)
	if server {
		t = tls.Server(l, cfg)
	}
	c.mu.Lock()
	if c.cause != nil {
		defer c.mu.Unlock()
		return c.cause
	}
	c.nc.SetDeadline(time.Now().Add(limit))
	c.mu.Unlock()
	if err := t.HandshakeContext(context.Background()); err != nil {
		return c.why(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	c.nc.SetDeadline(time.Time{})
	l.direct = false
	c.tls, c.layer, c.enc = t, l, &tlsEncoder{l: l, conn: t}
	below := &stage{decoder: l, in: first}
	below.consume(l.off)
	c.stages = append(c.stages, below)
	l.in = nil
	return nil
}

// Level is how hard S2 tries.
type Level uint8

// Levels of S2.
const (
	Uncompressed Level = iota // S2 framing around stored blocks
	Fast
	Better
	Best
)

// writers recycles S2 writers: an idle connection holds none.
var writers [Best + 1]sync.Pool

func newS2Writer(l Level) *s2.Writer {
	opts := []s2.WriterOption{s2.WriterConcurrency(1), s2.WriterBlockSize(64 << 10)}
	switch l {
	case Uncompressed:
		opts = append(opts, s2.WriterUncompressed())
	case Better:
		opts = append(opts, s2.WriterBetterCompression())
	case Best:
		opts = append(opts, s2.WriterBestCompression())
	}
	return s2.NewWriter(nil, opts...)
}

// s2Encoder makes each flush one complete S2 stream.
type s2Encoder struct {
	level Level
	next  encoder // TLS below, or nil
	out   chunkWriter
}

// chunkWriter gathers bytes in pooled chunks.
type chunkWriter struct{ chunks [][]byte }

func (w *chunkWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		last := len(w.chunks) - 1
		if last < 0 || len(w.chunks[last]) == cap(w.chunks[last]) {
			w.chunks = append(w.chunks, getBuf(min(max(len(p), minChunk), maxChunk)))
			last++
		}
		b := w.chunks[last]
		m := copy(b[len(b):cap(b)], p)
		w.chunks[last] = b[:len(b)+m]
		p = p[m:]
	}
	return n, nil
}

func (e *s2Encoder) encode(wire, plain [][]byte) ([][]byte, error) {
	if len(plain) == 0 {
		if e.next == nil {
			return wire, nil
		}
		return e.next.encode(wire, nil)
	}
	w, _ := writers[e.level].Get().(*s2.Writer)
	if w == nil {
		w = newS2Writer(e.level)
	}
	w.Reset(&e.out)
	var err error
	for _, b := range plain {
		if _, err = w.Write(b); err != nil {
			break
		}
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	w.Reset(nil)
	writers[e.level].Put(w)
	if err == nil && e.next != nil {
		wire, err = e.next.encode(wire, e.out.chunks)
		for _, b := range e.out.chunks {
			putBuf(b)
		}
	} else {
		wire = append(wire, e.out.chunks...)
	}
	clear(e.out.chunks)
	e.out.chunks = e.out.chunks[:0]
	return wire, err
}

// StartS2Read makes everything that is read from here on S2. It must be called
// between ReadLine and the next read, or from HandleBlock with all bytes
// consumed.
func (c *Conn) StartS2Read() {
	c.settle()
	c.stack(&s2Decoder{})
}

// stack puts a decoder on top of the others. Bytes read already are its.
func (c *Conn) stack(d decoder) {
	c.stages = append(c.stages, &stage{decoder: d, in: c.rbuf})
	c.rbuf = nil
}

// StartS2Write makes everything queued from here on S2, or changes the level.
// What was queued before the first call must have been written: it waits for
// that, for at most limit.
func (c *Conn) StartS2Write(level Level, limit time.Duration) error {
	c.mu.Lock()
	if e, ok := c.enc.(*s2Encoder); ok {
		// The writer may be encoding: it reads the level at the next flush.
		c.mu.Unlock()
		return c.changeLevel(e, level, limit)
	}
	c.mu.Unlock()
	return c.claim(limit, func() { c.enc = &s2Encoder{level: level, next: c.enc} })
}

func (c *Conn) changeLevel(e *s2Encoder, level Level, limit time.Duration) error {
	return c.claim(limit, func() { e.level = level })
}

// claim runs f as the writer, with nothing queued or being written.
func (c *Conn) claim(limit time.Duration, f func()) error {
	deadline := time.Now().Add(limit)
	for {
		c.Flush()
		c.mu.Lock()
		if c.cause != nil {
			c.mu.Unlock()
			return c.cause
		}
		if !c.writing && c.pending == 0 {
			f()
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		if time.Now().After(deadline) {
			return os.ErrDeadlineExceeded
		}
		time.Sleep(time.Millisecond)
	}
}
