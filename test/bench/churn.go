//go:build linux

package main

import (
	"fmt"
	"time"
)

// churner subscribes to and unsubscribes from subjects that nobody publishes on, each used once.
type churner struct {
	s        *session
	e        *endpoint
	prefix   string
	wildcard bool
	buf      []byte
	seq      uint64
	asked    int64 // PINGs sent
}

// newChurner connects one; all its subjects begin with prefix.
func newChurner(s *session, prefix string, wildcard bool) (*churner, error) {
	e, err := s.dial(s.site.pub, 0)
	if err != nil {
		return nil, err
	}
	c := &churner{s: s, e: e, prefix: prefix, wildcard: wildcard}
	return c, s.loop.add(e, control{e})
}

// block renders n pairs and a PING.
func (c *churner) block(n int) []byte {
	b := c.buf[:0]
	var digits [replyDigits]byte
	for range n {
		putHex(digits[:], c.seq)
		c.seq++
		b = append(b, "SUB "...)
		b = append(b, c.prefix...)
		b = append(b, '.')
		b = append(b, digits[:]...)
		if c.wildcard {
			b = append(b, ".*"...)
		}
		b = append(b, ' ')
		b = append(b, digits[:]...)
		b = append(b, "\r\nUNSUB "...)
		b = append(b, digits[:]...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "PING\r\n"...)
	c.buf = b
	return b
}

func (c *churner) write(n int) error {
	if err := settleOwed(c.e); err != nil {
		return err
	}
	c.asked++
	return c.e.write(c.block(n))
}

// answered waits until at most open PINGs are without their PONG.
func (c *churner) answered(open int64) error {
	return c.s.await(func() (bool, int64) { return c.asked-c.e.pongs <= open, c.e.pongs }, func() error {
		return wrong("lost: %d of %d PONGs did not come", c.asked-c.e.pongs, c.asked)
	})
}

// paced does rate pairs a second, in a block each millisecond, until a time.
func (c *churner) paced(rate float64, until int64) (int64, error) {
	const blocks = 1000
	n, _, err := pace(newSchedule(c.s.now(), blocks), c.s.now, until, func(from, to uint64) error {
		for range to - from {
			if err := c.write(int(rate / blocks)); err != nil {
				return err
			}
		}
		return c.s.err()
	})
	if err != nil {
		return 0, err
	}
	return int64(n) * int64(rate/blocks), c.answered(0)
}

// churn is a flood of SUB and UNSUB pairs.
type churn struct{ wildcard bool }

type churnSession struct {
	*session
	c *churner
}

func (c churn) open(run uint16, at *site) (load, error) {
	s, err := newSession(run, at)
	if err != nil {
		return nil, err
	}
	ch, err := newChurner(s, fmt.Sprintf("b%d.churn", run), c.wildcard)
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return &churnSession{s, ch}, nil
}

// Run counts per pair. At its end nothing may be left of the subscriptions: a message on the last subjects must not come
// back (control refuses any).
func (s *churnSession) Run(d time.Duration) (measure, error) {
	const perBlock, open = 500, 4
	return s.phase(func() (int64, error) {
		first := s.c.seq
		for until := s.now() + int64(d); s.now() < until; {
			if err := s.c.write(perBlock); err != nil {
				return 0, s.because(err)
			}
			if err := s.c.answered(open); err != nil {
				return 0, err
			}
		}
		if err := s.c.answered(0); err != nil {
			return 0, err
		}
		var b []byte
		for i := range uint64(10) {
			b = fmt.Appendf(b, "PUB %s.%012x.x 2\r\nhi\r\nPUB %[1]s.%012[2]x 2\r\nhi\r\n", s.c.prefix, s.c.seq-1-i)
		}
		if err := s.c.e.write(b); err != nil {
			return 0, err
		}
		return int64(s.c.seq - first), s.sync(s.c.e)
	})
}
