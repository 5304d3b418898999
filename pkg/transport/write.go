package transport

import (
	"os"
	"syscall"
	"time"
)

const (
	minChunk = 1 << 10
	maxChunk = 64 << 10
	// inlineRounds bounds how often one Flush goes back for what others queued
	// while it wrote, so that nobody's reading goroutine becomes another
	// connection's writer for good.
	inlineRounds = 4
	// encodeBatch is how much plain data is encoded at a time, so that a slow
	// socket holds back encoding too.
	encodeBatch = 256 << 10
)

// Reserve locks the outbound queue and returns an empty slice with room for n
// more bytes. The caller appends at most n bytes and must call Commit with the
// result, at once and without blocking. It returns nil, with nothing locked,
// when the connection has ended or the queue would pass its limit; in the
// latter case the connection has just been ended with ErrSlowPending.
func (c *Conn) Reserve(n int) []byte {
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return nil
	}
	if c.opts.MaxPending > 0 && c.pending+int64(n) > c.opts.MaxPending {
		c.abortLocked(ErrSlowPending)
		c.mu.Unlock()
		return nil
	}
	if c.tail == nil || cap(c.tail)-len(c.tail) < n {
		c.newChunkLocked(n)
	}
	return c.tail[len(c.tail):len(c.tail)]
}

// TryReserve is Reserve for what may be lost: when the queue would pass limit
// bytes it returns nil and the connection lives on.
func (c *Conn) TryReserve(n int, limit int64) []byte {
	c.mu.Lock()
	if c.cause != nil || c.pending+int64(n) > limit {
		c.mu.Unlock()
		return nil
	}
	if c.tail == nil || cap(c.tail)-len(c.tail) < n {
		c.newChunkLocked(n)
	}
	return c.tail[len(c.tail):len(c.tail)]
}

// newChunkLocked starts a chunk with room for n bytes. Chunks grow with the
// burst, from the size that recent bursts had.
func (c *Conn) newChunkLocked(n int) {
	size := c.hint
	if c.tail != nil {
		size = 2 * cap(c.tail)
		c.queue = append(c.queue, c.tail)
	}
	c.tail = getBuf(max(n, min(max(size, minChunk), maxChunk)))
}

// Commit queues b, a slice from Reserve with something appended, and unlocks
// the queue.
func (c *Conn) Commit(b []byte) {
	c.tail = c.tail[:len(c.tail)+len(b)]
	c.pending += int64(len(b))
	c.dropEmptyLocked()
	c.mu.Unlock()
}

// Locked runs f under the lock that is held between Reserve and Commit. f must
// be short and must not call methods of c.
func (c *Conn) Locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// Cancel unlocks the queue after Reserve without queuing anything. No empty
// chunk stays: the writer takes each chunk for bytes to write.
func (c *Conn) Cancel() {
	c.dropEmptyLocked()
	c.mu.Unlock()
}

func (c *Conn) dropEmptyLocked() {
	if c.tail != nil && len(c.tail) == 0 {
		putBuf(c.tail)
		c.tail = nil
	}
}

// Write queues a copy of p. It reports whether the connection took it.
func (c *Conn) Write(p []byte) bool {
	b := c.Reserve(len(p))
	if b == nil {
		return false
	}
	c.Commit(append(b, p...))
	return true
}

// WriteFlush queues a copy of p and flushes.
func (c *Conn) WriteFlush(p []byte) bool {
	ok := c.Write(p)
	c.Flush()
	return ok
}

// Flush writes what is queued, as far as the socket takes it without blocking;
// the rest is written in the background. It may be called from any goroutine,
// with nothing queued too. While another goroutine writes it returns at once:
// that one will see what was queued.
func (c *Conn) Flush() {
	c.mu.Lock()
	if c.writing || c.pending == 0 && !c.owed || c.cause != nil {
		c.mu.Unlock()
		return
	}
	c.writing = true
	c.pushLocked()
	c.mu.Unlock()
}

// pushLocked writes without blocking. mu is held, and let go while it writes;
// writing is set, and stays so if something is left to be written later.
func (c *Conn) pushLocked() {
	for range inlineRounds {
		if len(c.wire) == 0 {
			c.takeLocked()
		}
		c.mu.Unlock()
		err := c.writeNow()
		c.mu.Lock()
		if err != nil {
			c.stopWritingLocked(err)
			return
		}
		if c.wireAt < len(c.wire) {
			break // the socket is full
		}
		c.batches++
		if len(c.queue) == 0 && len(c.tail) == 0 && !c.owed {
			c.writing = false
			return
		}
	}
	if c.fd >= 0 {
		c.holdLocked()
		return
	}
	c.drainLocked()
}

// drainLocked leaves the rest of a write to a goroutine.
func (c *Conn) drainLocked() {
	c.drained.Add(1)
	go func() {
		defer c.drained.Done()
		c.drainLoop()
	}()
}

// takeLocked moves what is queued to wire, encoding it if there are layers.
func (c *Conn) takeLocked() {
	if c.tail != nil {
		c.queue = append(c.queue, c.tail)
		c.tail = nil
	}
	if c.enc == nil {
		c.wire, c.queue = append(c.wire, c.queue...), c.queue[:0]
		total := 0
		for _, b := range c.wire {
			total += len(b)
		}
		c.remember(total)
		return
	}
	n, total := 0, 0
	for n < len(c.queue) && total < encodeBatch {
		total += len(c.queue[n])
		n++
	}
	c.remember(total)
	c.owing, c.owed = c.owed, false
	c.spare = append(c.spare[:0], c.queue[:n]...)
	c.queue = append(c.queue[:0], c.queue[n:]...)
}

// remember keeps the size of recent bursts: up at once, down by halves.
func (c *Conn) remember(total int) {
	c.hint = max(total, c.hint/2)
	if c.hint > maxChunk {
		c.hint = maxChunk
	}
}

// encode runs what takeLocked set aside through the layers. Not locked: the
// writer owns encoder, spare and wire.
func (c *Conn) encode() error {
	if len(c.spare) == 0 && !c.owing {
		return nil
	}
	c.owing = false
	plain := 0
	for _, b := range c.spare {
		plain += len(b)
	}
	var err error
	before := wireLen(c.wire)
	c.wire, err = c.enc.encode(c.wire, c.spare)
	for i, b := range c.spare {
		putBuf(b)
		c.spare[i] = nil
	}
	c.spare = c.spare[:0]
	c.account(wireLen(c.wire) - before - plain)
	return err
}

func wireLen(w [][]byte) (n int) {
	for _, b := range w {
		n += len(b)
	}
	return n
}

// account changes pending by delta bytes.
func (c *Conn) account(delta int) {
	c.mu.Lock()
	c.pending += int64(delta)
	c.mu.Unlock()
}

// writeNow encodes and writes until nothing is left or the socket is full.
func (c *Conn) writeNow() error {
	if err := c.encode(); err != nil {
		return err
	}
	return c.writeWire(c.wtry)
}

// writeWire writes wire through the poller's callback f. What was written is
// given back to the pool.
func (c *Conn) writeWire(f func(fd uintptr) bool) error {
	for c.wireAt < len(c.wire) {
		c.wbuf, c.wn, c.werr = c.wire[c.wireAt][c.wireOff:], 0, nil
		var err error
		if c.fd >= 0 {
			c.writeSome(uintptr(c.fd))
		} else {
			err = c.onWritable(f)
		}
		if c.wn > 0 {
			c.wrote(c.wn)
		}
		if err != nil {
			return err
		}
		if c.werr != nil {
			if c.werr == syscall.EAGAIN {
				return nil
			}
			return os.NewSyscallError("write", c.werr)
		}
	}
	c.wire, c.wireAt = c.wire[:0], 0
	return nil
}

// wrote moves on by n bytes, at most to the end of the current chunk.
func (c *Conn) wrote(n int) {
	c.outBytes.Add(int64(n))
	c.wireOff += n
	if b := c.wire[c.wireAt]; c.wireOff == len(b) {
		putBuf(b)
		c.wire[c.wireAt] = nil
		c.wireAt++
		c.wireOff = 0
	}
	c.account(-n)
}

// blockWrite makes attempts until the chunk is out.
func (c *Conn) blockWrite(fd uintptr) bool {
	c.writeSome(fd)
	if c.werr == syscall.EAGAIN {
		c.werr = nil
		return false
	}
	return true
}

func (c *Conn) writeSome(fd uintptr) {
	for c.wn < len(c.wbuf) {
		n, err := c.sysWrite(fd, c.wbuf[c.wn:])
		if n > 0 {
			c.wn += n
		}
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			c.werr = err
			return
		}
	}
}

// drainLoop writes with blocking until nothing is queued. The caller holds
// writing; drainLoop clears it.
func (c *Conn) drainLoop() {
	for {
		if err := c.drainBatch(); err != nil {
			c.mu.Lock()
			c.stopWritingLocked(err)
			c.mu.Unlock()
			return
		}
		c.mu.Lock()
		c.batches++
		if len(c.queue) == 0 && len(c.tail) == 0 && !c.owed {
			if c.cause == nil {
				c.nc.SetWriteDeadline(time.Time{})
			}
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.takeLocked()
		c.mu.Unlock()
	}
}

// drainBatch writes wire within the write deadline, or, with WriteRetry, for as
// long as each deadline sees some headway.
func (c *Conn) drainBatch() error {
	if err := c.encode(); err != nil {
		return err
	}
	for c.wireAt < len(c.wire) {
		c.mu.Lock()
		retry := c.opts.WriteRetry
		if c.cause == nil {
			c.nc.SetWriteDeadline(time.Now().Add(c.opts.WriteDeadline))
		}
		c.mu.Unlock()
		before := c.outBytes.Load()
		err := c.writeWire(c.wblock)
		switch {
		case err == nil:
		case !IsTimeout(err):
			return err
		case retry && c.outBytes.Load() > before && c.Cause() == nil:
			if c.opts.OnSlow != nil {
				c.opts.OnSlow()
			}
		default:
			return ErrSlowWrite
		}
	}
	return nil
}

// stopWritingLocked ends the connection after a failed write.
func (c *Conn) stopWritingLocked(err error) {
	c.dropWireLocked()
	c.abortLocked(err)
}

// dropWireLocked ends a write.
func (c *Conn) dropWireLocked() {
	for _, b := range c.wire[c.wireAt:] {
		c.pending -= int64(len(b) - c.wireOff)
		c.wireOff = 0
		putBuf(b)
	}
	c.wire, c.wireAt, c.wireOff = nil, 0, 0
	c.writing = false
}
