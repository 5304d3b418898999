package transport

import (
	"sync/atomic"
	"syscall"
	"time"
)

// load is how busy a loop is, as far as the loop itself sees it: the share of
// the time that it spends between one wait and the next, of which every 16th is
// measured, so that a message does not pay for the clock.
type load struct {
	// The loop's own.
	tick   uint
	woke   time.Time
	since  time.Time
	busy   time.Duration
	shed   *loop // takes every other connection of the next crowded round
	gather *loop // takes whoever has something to say

	share  atomic.Int32 // of the last window, in percent
	judged atomic.Int64 // when that was, in unix nanoseconds
}

const (
	sampleEvery = 16
	window      = 50 * time.Millisecond
	tooBusy     = 85 // percent of a window
	roomy       = 50
	nearIdle    = 10
)

// sample is called when a wait is over.
func (l *load) sample() {
	if l.tick++; l.tick%sampleEvery == 0 {
		l.woke = time.Now()
	}
}

// settle is called at the end of a round that had n events.
func (l *loop) settle(n int) {
	ld := &l.load
	if ld.shed != nil && n > 1 {
		ld.shed = nil
	}
	if ld.tick%sampleEvery != 0 || ld.woke.IsZero() {
		return
	}
	now := time.Now()
	ld.busy += sampleEvery * now.Sub(ld.woke)
	took := now.Sub(ld.since)
	if took < window {
		return
	}
	share := int32(min(100, 100*ld.busy/took))
	ld.share.Store(share)
	ld.judged.Store(now.UnixNano())
	ld.since, ld.busy = now, 0
	ld.shed, ld.gather = l.p.advise(l, share, now)
}

// recent is how busy the loop has been lately, as others see it.
func (l *loop) recent(now time.Time) int32 {
	if now.UnixNano()-l.load.judged.Load() > int64(10*window) {
		return 0
	}
	return l.load.share.Load()
}

// advise says what a loop with that share should do with its connections.
func (p *Poller) advise(l *loop, share int32, now time.Time) (shed, gather *loop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
	case share >= tooBusy:
		for _, o := range p.loops {
			if o != l && o.recent(now) < roomy {
				return o, nil
			}
		}
		if len(p.loops) < p.limit {
			return p.startLocked(), nil
		}
	case share < nearIdle && l != p.loops[0] && p.loops[0].recent(now) < roomy:
		return nil, p.loops[0]
	}
	return nil, nil
}

// rehome moves the i-th of n connections of a round, if it is still here.
func (l *loop) rehome(c *Conn, i, n int) {
	to := l.load.gather
	if to == nil && n > 1 && i%2 == 1 {
		to = l.load.shed
	}
	if to == nil || to == l {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loop != l {
		return
	}
	l.remove(c)
	if to.add(c) == nil || l.add(c) == nil {
		return
	}
	c.abortLocked(ErrClosed)
	go c.landed(ErrClosed)
}

// lateness watches over a socket that takes nothing.
type lateness struct {
	timer *time.Timer
	mark  int64 // bytes that were out when the deadline was set
	batch uint  // the batch that it was set for
	due   time.Time
	on    bool
}

func (t *lateness) stop() {
	if t.on {
		t.timer.Stop()
		t.on = false
	}
}

// holdLocked leaves the rest of a write to the loop: it is told when the socket
// has room. mu is held and writing is set.
func (c *Conn) holdLocked() {
	c.stuck = true
	if c.loop != nil && !c.armed {
		c.armed = true
		c.loop.control(syscall.EPOLL_CTL_MOD, c)
	}
	t := &c.late
	if t.on && t.batch == c.batches {
		return
	}
	t.mark, t.batch, t.due = c.outBytes.Load(), c.batches, time.Now().Add(c.opts.WriteDeadline)
	if t.timer == nil {
		t.timer = time.AfterFunc(c.opts.WriteDeadline, c.overdue)
	} else {
		t.timer.Reset(c.opts.WriteDeadline)
	}
	t.on = true
}

// overdue runs when a write deadline may have passed.
func (c *Conn) overdue() {
	c.mu.Lock()
	t := &c.late
	if !t.on || c.cause != nil || time.Now().Before(t.due) {
		c.mu.Unlock() // stopped, or set anew, when it had gone off already
		return
	}
	out := c.outBytes.Load()
	late := t.batch == c.batches // else that one was written just now
	if late && (!c.opts.WriteRetry || out == t.mark) {
		c.abortLocked(ErrSlowWrite)
		c.mu.Unlock()
		return
	}
	t.mark, t.batch, t.due = out, c.batches, time.Now().Add(c.opts.WriteDeadline)
	t.timer.Reset(c.opts.WriteDeadline)
	c.mu.Unlock()
	if late && c.opts.OnSlow != nil {
		c.opts.OnSlow()
	}
}

// resume goes on writing when the socket has room.
func (c *Conn) resume() {
	c.mu.Lock()
	if !c.stuck || c.cause != nil {
		c.mu.Unlock()
		return
	}
	c.stuck = false
	c.pushLocked()
	if !c.writing {
		c.late.stop()
		if c.armed && c.loop != nil {
			c.armed = false
			c.loop.control(syscall.EPOLL_CTL_MOD, c)
		}
	}
	c.mu.Unlock()
}
