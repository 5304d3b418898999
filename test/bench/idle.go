//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/banyanmq/banyan/test/procs"
)

// idle opens connections that do nothing and asks what they hold. It wants a fresh process each time, because a process
// keeps what earlier connections took.
type idle struct {
	conns int
	quiet time.Duration // between the last connection and the reading
}

func (c idle) once(run uint16, at *site) (measure, error) {
	before, _, err := usage(at.pids)
	if err != nil {
		return measure{}, err
	}
	s, err := newSession(run, at)
	if err != nil {
		return measure{}, err
	}
	began := time.Now()
	m, err := c.fill(s, before, began)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return m, err
}

func (c idle) fill(s *session, before procs.Usage, began time.Time) (measure, error) {
	for i := range c.conns {
		u := newUnit(fmt.Sprintf("connection %d", i), false, 0)
		if _, err := s.addSubscriber(u, fmt.Appendf(nil, "SUB b%d.idle.%06d 1\r\n", s.run, i), nil); err != nil {
			return measure{}, fmt.Errorf("connection %d: %w", i, err)
		}
	}
	opened := time.Since(began)
	connected, _, err := usage(s.site.pids)
	if err != nil {
		return measure{}, err
	}
	select {
	case <-time.After(c.quiet):
	case <-s.failed:
		return measure{}, s.failure
	}
	after, _, err := usage(s.site.pids)
	if err != nil {
		return measure{}, err
	}
	n := float64(c.conns)
	return measure{
		Messages: int64(c.conns), Seconds: opened.Seconds(), Rate: n / opened.Seconds(),
		CPU: micros(connected.Sub(before).CPU) / n, RSS: after.RSS,
		Extra: map[string]float64{
			"KB/connection":         float64(after.RSS-before.RSS) / 1024 / n,
			"idle CPU, us/(s conn)": micros(after.Sub(connected).CPU) / n / c.quiet.Seconds(),
			"threads":               float64(after.Threads),
		},
	}, nil
}

// startup measures a process from its start to its first PONG, and what it is then when nobody is there.
type startup struct{ quiet time.Duration }

func (c startup) once(_ uint16, at *site) (measure, error) {
	e, err := dial(at.pub, at.tls)
	if err != nil {
		return measure{}, err
	}
	first := time.Since(at.started)
	e.close()
	atPong, _, err := usage(at.pids)
	if err != nil {
		return measure{}, err
	}
	time.Sleep(c.quiet)
	after, _, err := usage(at.pids)
	if err != nil {
		return measure{}, err
	}
	return measure{
		Messages: 1, Seconds: first.Seconds(), Rate: 1 / first.Seconds(), CPU: micros(atPong.CPU), RSS: after.RSS,
		Extra: map[string]float64{
			"start to first PONG, ms": micros(first) / 1e3,
			"resident MB":             float64(after.RSS) / (1 << 20),
			"idle CPU, us/s":          micros(after.Sub(atPong).CPU) / c.quiet.Seconds(),
			"idle wake-ups/s":         float64(after.Sub(atPong).Voluntary) / c.quiet.Seconds(),
			"threads":                 float64(after.Threads),
		},
	}, nil
}
