package transport

// ReserveOrFlush is [Conn.Reserve], with one attempt to write what is queued when the
// queue would pass its limit: before a connection is cut off for being slow its
// socket is asked.
func (c *Conn) ReserveOrFlush(n int) []byte {
	c.mu.Lock()
	if c.cause == nil && (c.opts.MaxPending <= 0 || c.pending+int64(n) <= c.opts.MaxPending) {
		if c.tail == nil || cap(c.tail)-len(c.tail) < n {
			c.newChunkLocked(n)
		}
		return c.tail[len(c.tail):len(c.tail)]
	}
	over := c.cause == nil
	c.mu.Unlock()
	if !over {
		return nil
	}
	c.Flush()
	return c.Reserve(n)
}
