package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Handler is the link on top of a Conn.
type Handler interface {
	// HandleBlock is given all bytes that arrived and were not consumed yet.
	// It returns how many of them it consumed, and how many bytes, counted
	// from the first one not consumed, it needs to go on (0: at least one
	// more). A non-nil error ends Serve, which returns it. The block is
	// valid only during the call.
	HandleBlock(block []byte) (consumed, need int, err error)
}

// Options of a Conn.
type Options struct {
	// MaxPending is the most that may wait in the outbound queue, in bytes;
	// 0 means no limit.
	MaxPending int64
	// WriteDeadline is how long a write may make no headway; 0 means 10 s.
	WriteDeadline time.Duration
	// WriteRetry keeps a connection whose write made some headway before the
	// deadline; without it the first deadline closes the connection.
	WriteRetry bool
	// Poller waits for the connection once its handler needs no goroutine of its
	// own; nil: it always has one.
	Poller *Poller
	// OnSlow is told each time a write deadline passes with some of the batch
	// written and WriteRetry set. It may be nil and must not block.
	OnSlow func()
}

// complete fills in what was left out.
func (o *Options) complete() {
	if o.WriteDeadline == 0 {
		o.WriteDeadline = 10 * time.Second
	}
}

// Errors with which a connection ends on our side. Serve returns the first
// that happened.
var (
	// ErrSlowPending: the outbound queue would have passed MaxPending.
	ErrSlowPending = errors.New("slow consumer: pending bytes")
	// ErrSlowWrite: a write did not finish within WriteDeadline.
	ErrSlowWrite = errors.New("slow consumer: write deadline")
	// ErrClosed: closed by this side without another cause.
	ErrClosed = errors.New("connection closed")
)

// Conn is one socket with its outbound queue.
//
// Invariants:
//   - queue and pending are guarded by mu; committed bytes are never changed.
//   - at most one goroutine writes to the socket at a time: the one that set
//     writing. It owns wire until it clears writing, and before that it looks
//     again whether something was queued meanwhile, so nothing is left behind.
//   - once cause is set nothing more is queued; the first cause stays.
type Conn struct {
	nc     net.Conn        // nil afloat
	raw    syscall.RawConn // nil afloat
	remote net.Addr
	local  net.Addr
	opts   Options
	tls    *tls.Conn
	layer  *tlsLayer

	// Reading; owned by the goroutine that calls ReadLine, Run or Serve, then by
	// the loop that waits for the connection.
	handler Handler
	ended   func(error)
	restful bool
	onLoop  bool
	more    bool     // step has left something of what was read
	need    int      // what the handler asked for
	refused bool     // it returned an error: what it had of the block it must not get again
	rbuf    []byte   // bytes read and not consumed; nil while idle
	stages  []*stage // between the socket and rbuf, lowest first
	rdst    *[]byte  // where receive puts what it reads
	rn      int
	rerr    error
	rread   func(fd uintptr) bool
	rwant   int // size of the next read buffer
	lineEnd int // end of the line that ReadLine returned, to be dropped
	started time.Time

	mu sync.Mutex
	afloat
	interrupted bool
	owed        bool     // a layer has something of its own to send
	queue       [][]byte // full chunks, oldest first
	tail        []byte   // chunk being filled; nil when there is none
	pending     int64    // bytes queued or being written
	writing     bool
	cause       error
	done        bool // socket closed
	killed      bool
	hint        int // bytes of recent bursts: size of the next first chunk

	// Writing; owned by whoever holds writing.
	wire    [][]byte // encoded chunks, oldest first
	wireAt  int      // the one being written
	wireOff int      // bytes of it that are out
	batches uint     // how often wire was written to its end; also under mu
	spare   [][]byte // plain chunks to be encoded
	enc     encoder
	owing   bool          // a layer's own goes out with this batch
	framing *layerEncoder // set with a Layer
	wbuf    []byte
	wn      int
	werr    error
	wtry    func(fd uintptr) bool
	wblock  func(fd uintptr) bool

	inBytes  atomic.Int64
	outBytes atomic.Int64
	drained  sync.WaitGroup
}

// New wraps a TCP (or unix) socket. The Conn owns it from then on.
func New(nc net.Conn, opts Options) (*Conn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, errors.New("transport: not a socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	opts.complete()
	if t, ok := nc.(*net.TCPConn); ok {
		t.SetNoDelay(true)
	}
	c := &Conn{nc: nc, raw: raw, remote: nc.RemoteAddr(), local: nc.LocalAddr(), opts: opts, rwant: firstRead, started: time.Now()}
	c.fd = -1
	c.rread = c.readable
	c.wtry = c.tryWrite
	c.wblock = c.blockWrite
	return c, nil
}

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// LocalAddr is our address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// Started is when the Conn was made.
func (c *Conn) Started() time.Time { return c.started }

// BytesIn and BytesOut count bytes on the socket, all layers included.
func (c *Conn) BytesIn() int64 { return c.inBytes.Load() }

// BytesOut counts bytes written to the socket.
func (c *Conn) BytesOut() int64 { return c.outBytes.Load() }

// Pending is the number of bytes in the outbound queue.
func (c *Conn) Pending() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending
}

// SetMaxPending changes Options.MaxPending.
func (c *Conn) SetMaxPending(n int64) {
	c.mu.Lock()
	c.opts.MaxPending = n
	c.mu.Unlock()
}

// Cause is why the connection ended, nil while it lives.
func (c *Conn) Cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Abort ends the connection at once: what waits is dropped, a blocked read or
// write returns, Serve returns cause. The first cause counts. It never blocks
// and may be called from anywhere.
func (c *Conn) Abort(cause error) {
	c.mu.Lock()
	c.abortLocked(cause)
	c.mu.Unlock()
}

// Kill is Abort that also drops what the kernel still holds. On a link between
// servers whose peer is silent, such bytes would arrive behind newer ones that
// took another way in the meantime.
func (c *Conn) Kill(cause error) {
	c.mu.Lock()
	c.killed = true
	c.abortLocked(cause)
	c.mu.Unlock()
}

var longAgo = time.Unix(1, 0)

func (c *Conn) abortLocked(cause error) {
	if c.cause == nil {
		if cause == nil {
			cause = ErrClosed
		}
		c.cause = cause
	}
	c.dropLocked()
	switch {
	case c.done:
	case c.nc != nil:
		// Expiring the deadlines wakes whoever is blocked; the socket itself is
		// closed by Close, which the reading goroutine's owner calls.
		c.nc.SetDeadline(longAgo)
	default:
		c.summonLocked()
	}
}

// Interrupt makes Serve and Run end as soon as the block that is being handled
// is done; what is queued stays to be written. It may be called from anywhere.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	switch {
	case c.done || c.cause != nil:
	case c.nc != nil:
		c.nc.SetReadDeadline(longAgo)
	default:
		c.summonLocked()
	}
}

// Finish ends the connection after what waits has been written, within limit.
// Nothing more can be queued. The write side is shut down and input is
// discarded for a short bounded time, so that the peer gets to read the last
// bytes rather than a reset; then the socket is closed. It blocks for at most
// about twice limit, and must be called from the goroutine that reads.
func (c *Conn) Finish(cause error, limit time.Duration) {
	c.finish(cause, limit, func() { c.discard(min(limit, lingerLimit)) })
}

// FinishServing is Finish that goes on to give input to the handler of Run, until
// the peer, which sees the end of what we send, has closed its side too, or for at
// most linger. What the peer had sent by then is not lost. A handler that has ended the
// connection itself, by an error, gets nothing more.
func (c *Conn) FinishServing(cause error, limit, linger time.Duration) {
	c.finish(cause, limit, func() { c.serveRest(linger) })
}

func (c *Conn) finish(cause error, limit time.Duration, rest func()) {
	moored := c.ashore() == nil
	c.mu.Lock()
	if c.cause == nil && moored {
		if cause == nil {
			cause = ErrClosed
		}
		c.cause = cause
	} else {
		c.mu.Unlock()
		c.Close()
		return
	}
	claimed := !c.writing
	if claimed {
		c.writing = true
	}
	c.nc.SetWriteDeadline(time.Now().Add(limit))
	c.mu.Unlock()
	// Whoever is writing may be in the background, or in a Flush that never blocks
	// but may have seen only a part of the queue.
	for !claimed {
		c.drained.Wait()
		c.mu.Lock()
		if !c.writing {
			c.writing, claimed = true, true
		}
		c.mu.Unlock()
		if !claimed {
			runtime.Gosched()
		}
	}
	c.drainLoop()
	c.farewell(cause)
	if c.tls != nil {
		c.tls.CloseWrite()
		c.layer.flushDirect()
	}
	if h, ok := c.nc.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
		rest()
	}
	c.Close()
}

// discard reads until the peer has closed, or for a while.
func (c *Conn) discard(limit time.Duration) {
	c.nc.SetReadDeadline(time.Now().Add(limit))
	b := getBuf(16 << 10)
	defer putBuf(b)
	for seen := 0; seen < lingerBytes; {
		n, err := c.nc.Read(b[:cap(b)])
		seen += n
		if err != nil {
			return
		}
	}
}

// serveRest handles what was read, and is still to come, until the peer has closed.
func (c *Conn) serveRest(limit time.Duration) {
	if c.handler == nil || c.refused {
		c.discard(min(limit, lingerLimit))
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(limit))
	for c.handle() == nil {
		more, err := c.advance()
		if err != nil {
			return
		}
		if !more && c.fill() != nil {
			return
		}
	}
}

const (
	lingerLimit = 250 * time.Millisecond
	lingerBytes = 8 << 20
)

// Close closes the socket and drops what waits. Only the goroutine that reads,
// or the owner of a Conn that is not being read, may call it.
func (c *Conn) Close() {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = ErrClosed
	}
	done := c.done
	c.done = true
	c.dropLocked()
	for c.fd >= 0 && c.writing && !c.stuck {
		c.mu.Unlock()
		runtime.Gosched() // the writer does not block
		c.mu.Lock()
	}
	c.late.stop()
	if c.fd >= 0 {
		if c.stuck {
			c.stuck = false
			c.dropWireLocked()
		}
		c.closeFDLocked(c.killed)
		done = true
	}
	reset := c.killed
	c.mu.Unlock()
	if !done && c.nc != nil {
		if t, ok := c.nc.(*net.TCPConn); ok && reset {
			t.SetLinger(0)
		}
		c.nc.Close()
	}
	c.drained.Wait()
	if c.rbuf != nil {
		putBuf(c.rbuf)
		c.rbuf = nil
	}
	for _, s := range c.stages {
		putBuf(s.in)
		s.in = nil
	}
}

// dropLocked empties the queue. What a writer holds in wire stays its own.
func (c *Conn) dropLocked() {
	for i, b := range c.queue {
		c.pending -= int64(len(b))
		putBuf(b)
		c.queue[i] = nil
	}
	c.queue = c.queue[:0]
	if c.tail != nil {
		c.pending -= int64(len(c.tail))
		putBuf(c.tail)
		c.tail = nil
	}
}

// TLSState is the state of the TLS layer, nil without one.
func (c *Conn) TLSState() *tls.ConnectionState {
	if c.tls == nil {
		return nil
	}
	s := c.tls.ConnectionState()
	return &s
}
