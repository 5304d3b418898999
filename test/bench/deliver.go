//go:build linux

package main

import (
	"fmt"
	"time"
)

// delivery is a load of publishers and subscribers.
type delivery struct {
	pubs   int
	size   int
	header bool
	rate   float64 // messages a second over all publishers; 0: flood

	subscribers int  // how many, or members of each queue group
	groups      int  // queue groups; 0: plain subscriptions
	pairs       bool // subscriber i gets publisher i alone
	subjects    int  // subjects of each publisher; 0: one
	installed   int  // subscriptions of the one subscriber, one in use for each subject; 0: only what is needed
	match       bool // with installed: the subjects published have a subscription
	churn       int  // SUB and UNSUB pairs a second on a connection beside
}

// load is a session whose phases can be repeated.
type load interface {
	Run(d time.Duration) (measure, error)
	Close() error
}

type deliverySession struct {
	*session
	spec  delivery
	churn *churner
}

// open connects everything and waits until messages get through.
func (d delivery) open(run uint16, at *site) (load, error) {
	s, err := newSession(run, at)
	if err != nil {
		return nil, err
	}
	ds := &deliverySession{session: s, spec: d}
	if err := ds.connect(); err != nil {
		_ = s.Close()
		return nil, s.because(err)
	}
	return ds, nil
}

func (s *deliverySession) connect() error {
	d := s.spec
	receivers := d.subscribers
	switch {
	case d.installed > 0 && !d.match:
		receivers = 0
	case d.pairs:
		receivers = 1
	case d.groups > 0:
		receivers = d.groups
	}
	spec := flowSpec{size: d.size, block: blockFor(receivers)}
	if d.rate > 0 {
		spec.block = 4 << 10
	}
	if d.header {
		spec.header = "NATS/1.0\r\nTraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-01\r\nKind: reading\r\n\r\n"
	}
	body := newBodies(d.size)
	for i := range d.pubs {
		spec.subjects = s.subjectsOf(i)
		if _, err := s.addPublisher(spec, body, receivers); err != nil {
			return err
		}
	}
	if err := s.subscribe(); err != nil {
		return err
	}
	if d.churn > 0 {
		var err error
		if s.churn, err = newChurner(s.session, fmt.Sprintf("b%d.churn", s.run), false); err != nil {
			return err
		}
	}
	return s.probe()
}

// subjectsOf returns what publisher i publishes on.
func (s *deliverySession) subjectsOf(i int) []string {
	d := s.spec
	switch {
	case d.installed > 0:
		out := make([]string, d.subjects)
		for k := range out {
			n := k * (d.installed / d.subjects) // spread over all
			if !d.match {
				n += d.installed
			}
			out[k] = installedSubject(s.run, n)
		}
		return out
	case d.subjects > 1:
		out := make([]string, d.subjects)
		for k := range out {
			out[k] = fmt.Sprintf("b%d.%03d.%06d", s.run, i, k)
		}
		return out
	case d.pairs || d.subscribers == 0:
		return []string{fmt.Sprintf("b%d.%03d", s.run, i)}
	}
	return []string{fmt.Sprintf("b%d.all", s.run)}
}

func (s *deliverySession) subscribe() error {
	d := s.spec
	everybody := make([]int, d.pubs)
	for i := range everybody {
		everybody[i] = i
	}
	add := func(u *unit, subs []byte, sids []int) error {
		_, err := s.addSubscriber(u, subs, sids)
		return err
	}
	switch {
	case d.installed > 0:
		u := newUnit("the subscriber", false, d.pubs, everybody...)
		if !d.match {
			u = newUnit("the subscriber", false, d.pubs)
		} else {
			s.units = append(s.units, u)
		}
		sids := make([]int, d.subjects)
		for k := range sids {
			sids[k] = k*(d.installed/d.subjects) + 1
		}
		return add(u, installedSubs(s.run, d.installed), sids)
	case d.groups > 0:
		for g := range d.groups {
			u := newUnit(fmt.Sprintf("queue group %d", g), true, d.pubs, everybody...)
			s.units = append(s.units, u)
			for range d.subscribers {
				if err := add(u, fmt.Appendf(nil, "SUB b%d.all group%d 1\r\n", s.run, g), nil); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for i := range d.subscribers {
		wanted, subject := everybody, fmt.Sprintf("b%d.all", s.run)
		if d.pairs {
			wanted, subject = []int{i}, fmt.Sprintf("b%d.%03d", s.run, i)
		}
		if d.subjects > 1 {
			subject = fmt.Sprintf("b%d.*.*", s.run)
		}
		u := newUnit(fmt.Sprintf("subscriber %d", i), false, d.pubs, wanted...)
		s.units = append(s.units, u)
		if err := add(u, fmt.Appendf(nil, "SUB %s 1\r\n", subject), nil); err != nil {
			return err
		}
	}
	return nil
}

// installedSubject is a subject that subscription i of installedSubs matches and no other does.
func installedSubject(run uint16, i int) string {
	return fmt.Sprintf("w%d.g%02d.%07d.a.b", run, i%64, i)
}

// installedSubs renders n subscriptions, numbered from 1: one in ten each ends in *, ends in >, has * in second place.
func installedSubs(run uint16, n int) []byte {
	b := make([]byte, 0, n*40)
	for i := range n {
		switch i % 10 {
		case 0:
			b = fmt.Appendf(b, "SUB w%d.g%02d.%07d.a.* %d\r\n", run, i%64, i, i+1)
		case 1:
			b = fmt.Appendf(b, "SUB w%d.g%02d.%07d.> %d\r\n", run, i%64, i, i+1)
		case 2:
			b = fmt.Appendf(b, "SUB w%d.*.%07d.a.b %d\r\n", run, i, i+1)
		default:
			b = fmt.Appendf(b, "SUB %s %d\r\n", installedSubject(run, i), i+1)
		}
	}
	return b
}

// Run loads the server for d and counts per published message.
func (s *deliverySession) Run(d time.Duration) (measure, error) {
	var late time.Duration
	var pairs int64
	m, err := s.phase(func() (int64, error) {
		before := s.sentAll()
		until := s.now() + int64(d)
		stop := s.churnBeside(until, &pairs)
		var err error
		if s.spec.rate > 0 {
			late, err = s.paceAll(s.spec.rate, until)
		} else {
			err = s.floodAll(until)
		}
		if cerr := stop(); err == nil {
			err = cerr
		}
		return s.sentAll() - before, err
	})
	if s.spec.churn > 0 && m.Seconds > 0 {
		m.Extra = map[string]float64{"churn pairs/s": float64(pairs) / m.Seconds}
	}
	if s.spec.rate > 0 && err == nil {
		if m.Extra == nil {
			m.Extra = map[string]float64{}
		}
		m.Extra["worst lateness of a send, us"] = micros(late)
	}
	return m, err
}

// churnBeside starts the churn of this scenario, if it has any; the function it returns waits for its end.
func (s *deliverySession) churnBeside(until int64, pairs *int64) func() error {
	if s.churn == nil {
		return func() error { return nil }
	}
	out := make(chan error, 1)
	go func() {
		n, err := s.churn.paced(float64(s.spec.churn), until)
		*pairs = n
		out <- err
	}()
	return func() error { return <-out }
}
