package transport

import "errors"

// ErrMayBlock is what a Handler returns when it is called by a Poller (see
// [Conn.Afloat]) and what comes next may have to wait: a look-up, a question to
// another server. It is called again with what it did not consume, on a goroutine
// of the connection's own, and goes back to the Poller after that.
var ErrMayBlock = errors.New("the handler may block")

// errAfloat: the connection went over to a Poller.
var errAfloat = errors.New("afloat")

// afloat is what a Conn has while a Poller waits for it. It is guarded by mu,
// but for fd, which is also read by whoever holds writing, and gen.
type afloat struct {
	fd      int   // the socket; -1 ashore
	loop    *loop // who waits; nil ashore, and between leaving and being ended
	gen     int32 // of the descriptor, so that a late event is told from one of its next owner
	stuck   bool  // the socket is full: whoever waits holds writing
	armed   bool  // it is waited for room, too
	late    lateness
	summons bool // the loop has been asked to look after it
}

// Rest tells that from the end of this block on the handler never blocks, so
// that no goroutine of its own is needed to wait for the connection. It is for
// the handler to call, or before Run.
func (c *Conn) Rest() { c.restful = c.opts.Poller != nil }

// Afloat tells the handler that it is called by a Poller and must not block.
func (c *Conn) Afloat() bool { return c.onLoop }

// Run serves the connection until the handler or the socket ends it, and then
// calls ended, once, with the reason that Serve would return, on a goroutine
// that may block and has to close the Conn. Run returns when the connection has
// ended, or earlier when a Poller has taken over (after Rest).
func (c *Conn) Run(h Handler, ended func(error)) {
	c.handler, c.ended = h, ended
	c.settle()
	if err := c.serve(); err != errAfloat {
		ended(err)
	}
}

// Serve is Run for those who want to wait for the end.
func (c *Conn) Serve(h Handler) error {
	done := make(chan error, 1)
	c.Rest()
	c.Run(h, func(err error) { done <- err })
	return <-done
}

// serve reads and handles on the caller's goroutine.
func (c *Conn) serve() error {
	for {
		if err := c.handle(); err != nil {
			return c.why(err)
		}
		more, err := c.advance()
		if err != nil {
			return c.why(err)
		}
		if more {
			continue
		}
		if c.restful {
			c.slim()
			if c.launch() {
				return errAfloat
			}
		}
		if err := c.fill(); err != nil {
			return c.why(err)
		}
	}
}

// handle offers the handler what there is, if it is as much as it asked for.
func (c *Conn) handle() error {
	if len(c.rbuf) == 0 || len(c.rbuf) < c.need {
		return nil
	}
	n, need, err := c.handler.HandleBlock(c.rbuf)
	if err != nil && err != ErrMayBlock {
		c.refused = true
		return err
	}
	c.need = need
	c.consume(n, need)
	return err
}

// stepMost is about how much one step handles, so that a little that unpacks to very
// much does not hold up the others of the loop.
const stepMost = 1 << 20

// step is serve's round for a Poller: one read, and what it brought.
func (c *Conn) step() error {
	got, err := true, error(nil)
	if !c.more {
		c.makeRoom()
		got, err = c.receive()
		if got && len(c.stages) > 0 {
			got, err = c.advance()
		}
	}
	c.more = false
	for done := 0; err == nil && got; {
		if done > stepMost {
			c.more = true
			c.mu.Lock()
			c.summonLocked()
			c.mu.Unlock()
			return nil
		}
		done += len(c.rbuf)
		if err = c.handle(); err == nil {
			got, err = c.advance()
		}
	}
	c.slim()
	return err
}

// slim moves the start of an operation whose rest may be long in coming out of a
// large buffer, and so for each stage.
func (c *Conn) slim() {
	if most := cap(c.rbuf) / 4; c.need <= most {
		c.rbuf = slimmed(c.rbuf, most)
	}
	for _, s := range c.stages {
		s.in = slimmed(s.in, maxSlim)
	}
}

// slimmed moves what b holds to a smaller buffer, if that is at most most bytes.
func slimmed(b []byte, most int) []byte {
	if n := len(b); n == 0 || n > most || cap(b) <= maxSlim {
		return b
	}
	return moveBuf(b, len(b))
}

const maxSlim = 4 << 10

// landed goes on with a connection that a Poller gave up, on a goroutine.
func (c *Conn) landed(err error) {
	c.onLoop, c.more = false, false
	if err == ErrMayBlock {
		if err = c.ashore(); err == nil {
			err = c.serve()
		}
	}
	if err != errAfloat {
		c.ended(c.why(err))
	}
}
