//go:build linux

package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/banyanmq/banyan/test/bench/dialect"
	"github.com/banyanmq/banyan/test/procs"
)

// idle opens connections that do nothing and asks what they hold. It wants a fresh process each time, because a process
// keeps what earlier connections took.
type idle struct {
	conns int
	step  int           // what they hold is also read after this many, for the slope; 0: only at the end
	quiet time.Duration // between the last connection and the reading
	burst int           // then so many bytes go through each of them; 0: none
}

// forgotten is after how long a process has given back what its start took, if it does such a thing: what connections take is
// counted from there.
const forgotten = 6 * time.Second

func (c idle) once(run uint16, at *site, _ time.Duration) (measure, error) {
	time.Sleep(min(forgotten, c.quiet))
	before, _, err := usage(at.pids)
	if err != nil {
		return measure{}, err
	}
	s, err := newSession(run, at)
	if err != nil {
		return measure{}, err
	}
	m, err := c.measure(&idleSession{session: s}, before)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return m, err
}

type idleSession struct {
	*session
	idlers []*idler
}

// idler is one connection; it counts what comes.
type idler struct {
	control
	got int
}

// fill opens connections up to n.
func (s *idleSession) fill(n int) error {
	for i := len(s.idlers); i < n; i++ {
		e, err := s.dial(s.site.subs[0], i)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		c := &idler{control: control{e}}
		s.idlers = append(s.idlers, c)
		if err := s.loop.add(e, c); err != nil {
			return err
		}
		if err := e.write(s.site.dialect().Subscribe(nil, s.subject(i), "", 1)); err != nil {
			return err
		}
		if err := s.sync(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *idleSession) subject(i int) string { return fmt.Sprintf("b%d.idle.%06d", s.run, i) }

// rest lets d pass and returns what the servers have used then.
func (s *idleSession) rest(d time.Duration) (procs.Usage, error) {
	select {
	case <-time.After(d):
	case <-s.failed:
		return procs.Usage{}, s.failure
	}
	u, _, err := usage(s.site.pids)
	return u, err
}

func (c idle) measure(s *idleSession, before procs.Usage) (measure, error) {
	m := measure{Messages: int64(c.conns)}
	first := procs.Usage{}
	if c.step > 0 {
		if err := s.fill(c.step); err != nil {
			return m, err
		}
		var err error
		if first, err = s.rest(c.quiet); err != nil {
			return m, err
		}
	}
	began, busy := time.Now(), machineBusy()
	start, own, err := usage(s.site.pids)
	if err != nil {
		return m, err
	}
	if err := s.fill(c.conns); err != nil {
		return m, err
	}
	opened := time.Since(began)
	connected, ownThen, err := usage(s.site.pids)
	if err != nil {
		return m, err
	}
	spent := connected.Sub(start).CPU
	m.Foreign = max((machineBusy()-busy-spent-(ownThen-own)).Seconds()/opened.Seconds(), 0)
	after, err := s.rest(c.quiet)
	if err != nil {
		return m, err
	}
	n, added := float64(c.conns), float64(c.conns-c.step)
	m.Seconds, m.Rate, m.CPU, m.RSS = opened.Seconds(), added/opened.Seconds(), micros(spent)/added, after.RSS
	m.note("KB/connection", float64(after.RSS-before.RSS)/1024/n)
	m.note("idle CPU, us/(s conn)", micros(after.Sub(connected).CPU)/n/c.quiet.Seconds())
	m.note("threads", float64(after.Threads))
	if c.step > 0 {
		m.note("KB/connection above "+thousands(c.step), float64(after.RSS-first.RSS)/1024/added)
	}
	if c.burst > 0 {
		err = c.flush(s, &m, after)
	}
	return m, err
}

// afterBurst is how long a server has to give back what a burst took.
const afterBurst = 30 * time.Second

// flush sends a burst through every connection, to itself, and waits until the servers are back near what they were.
func (c idle) flush(s *idleSession, m *measure, before procs.Usage) error {
	body := bytes.Repeat([]byte("x"), c.burst)
	for i, e := range s.idlers {
		b := fmt.Appendf(nil, "PUB %s %d\r\n", s.subject(i), len(body))
		if err := settleOwed(e.e); err != nil {
			return err
		}
		if err := e.e.write(append(append(b, body...), "\r\n"...)); err != nil {
			return err
		}
	}
	err := s.await(func() (bool, int64) {
		sum := 0
		for _, e := range s.idlers {
			sum += e.got
		}
		return sum == len(s.idlers)*c.burst, int64(sum)
	}, func() error { return wrong("lost: some of a burst of %d bytes did not come back", c.burst) })
	if err != nil {
		return err
	}
	ended := time.Now()
	for {
		now, err := s.rest(250 * time.Millisecond)
		if err != nil {
			return err
		}
		took, over := time.Since(ended), float64(now.RSS)/float64(before.RSS)
		if over <= 1.5 || took > afterBurst {
			m.note("resident after / before a burst", over)
			m.note("s until that", took.Seconds())
			return nil
		}
	}
}

// Message implements dialect.Handler.
func (c *idler) Message(m *dialect.Message) error {
	c.got += len(m.Payload)
	return nil
}

// startup measures a process from its start to its first PONG, and what it is then when nobody is there.
type startup struct{ quiet time.Duration }

func (c startup) once(_ uint16, at *site, _ time.Duration) (measure, error) {
	e, err := at.dial(at.pub, 0)
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
