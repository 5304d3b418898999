package transport

import "time"

// SetOptions replaces the Options that concern writing: where it turns out only after
// the first words of a connection whose it is. It must be called before Run or Serve,
// with nothing queued.
func (c *Conn) SetOptions(o Options) {
	o.complete()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opts.MaxPending, c.opts.WriteDeadline = o.MaxPending, o.WriteDeadline
	c.opts.WriteRetry, c.opts.OnSlow = o.WriteRetry, o.OnSlow
}

// SetWriting replaces Options.WriteDeadline and WriteRetry of a connection at work, for
// writes that begin to wait from now on. 0 means 10 s.
func (c *Conn) SetWriting(deadline time.Duration, retry bool) {
	o := Options{WriteDeadline: deadline}
	o.complete()
	c.mu.Lock()
	c.opts.WriteDeadline, c.opts.WriteRetry = o.WriteDeadline, retry
	c.mu.Unlock()
}
