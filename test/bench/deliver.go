//go:build linux

package main

import (
	"fmt"
	"maps"
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

	weigh time.Duration // with installed: how long to wait before their memory is read; 0: it is not
	each  bool          // the figure per delivery is shown too
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
	extra map[string]float64 // what connecting showed; nil: nothing
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
			out[k] = fmt.Sprintf("b%d.%05d.%06d", s.run, i, k)
		}
		return out
	case d.pairs || d.subscribers == 0:
		return []string{s.own(i)}
	}
	return []string{s.shared()}
}

func (s *deliverySession) subscribe() error {
	d, speak := s.spec, s.site.dialect()
	add := func(u *unit, subject, group string, sid int) error {
		s.units = append(s.units, u)
		_, err := s.addSubscriber(u, speak.Subscribe(nil, subject, group, sid), nil)
		return err
	}
	switch {
	case d.installed > 0:
		return s.install()
	case d.groups > 0:
		for g := range d.groups {
			u := newUnit(fmt.Sprintf("queue group %d", g), true, 0, d.pubs)
			s.units = append(s.units, u)
			sub := speak.Subscribe(nil, s.shared(), fmt.Sprintf("group%d", g), 1)
			for range d.subscribers {
				if _, err := s.addSubscriber(u, sub, nil); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for i := range d.subscribers {
		from, n, subject := 0, d.pubs, s.shared()
		if d.pairs {
			from, n, subject = i, 1, s.own(i)
		}
		if d.subjects > 1 {
			subject = fmt.Sprintf("b%d.*.*", s.run)
		}
		if err := add(newUnit(fmt.Sprintf("subscriber %d", i), false, from, n), subject, "", 1); err != nil {
			return err
		}
	}
	return nil
}

// shared is the subject on which everybody publishes, own(i) that of pair i alone.
func (s *deliverySession) shared() string   { return fmt.Sprintf("b%d.all", s.run) }
func (s *deliverySession) own(i int) string { return fmt.Sprintf("b%d.%05d", s.run, i) }

// installChunk is how many subscriptions are made before the server must answer.
const installChunk = 10_000

// install makes the many subscriptions of one subscriber and notes what they took.
func (s *deliverySession) install() error {
	d := s.spec
	flows := 0
	if d.match {
		flows = d.pubs
	}
	u := newUnit("the subscriber", false, 0, flows)
	if d.match {
		s.units = append(s.units, u)
	}
	sids := make([]int, d.subjects)
	for k := range sids {
		sids[k] = k*(d.installed/d.subjects) + 1
	}
	before, _, err := usage(s.site.pids)
	if err != nil {
		return err
	}
	var began time.Time
	var e *endpoint
	for from := 0; from < d.installed; from += installChunk {
		subs := installedSubs(s.run, from, min(from+installChunk, d.installed))
		if e == nil {
			began = time.Now()
			e, err = s.addSubscriber(u, subs, sids)
		} else if err = e.write(subs); err == nil {
			err = s.syncWithin(e, 3*patience)
		}
		if err != nil {
			return err
		}
	}
	took := time.Since(began)
	if d.weigh == 0 {
		return nil
	}
	time.Sleep(d.weigh)
	after, _, err := usage(s.site.pids)
	s.extra = map[string]float64{
		"install, s":     took.Seconds(),
		"B/subscription": float64(after.RSS-before.RSS) / float64(d.installed),
	}
	return err
}

// installedSubject is a subject that subscription i of installedSubs matches and no other does.
func installedSubject(run uint16, i int) string {
	return fmt.Sprintf("w%d.g%02d.%07d.a.b", run, i%64, i)
}

// installedSubs renders subscriptions from..to-1, numbered from 1: one in ten each ends in *, ends in >, has * in second place.
func installedSubs(run uint16, from, to int) []byte {
	b := make([]byte, 0, (to-from)*40)
	for i := from; i < to; i++ {
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
	records := s.records()
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
	m.Extra = maps.Clone(s.extra)
	if err != nil {
		return m, err
	}
	if s.spec.churn > 0 {
		m.note("churn pairs/s", float64(pairs)/m.Seconds)
	}
	if s.spec.rate > 0 {
		m.note("worst lateness of a send, us", micros(late))
	}
	if s.spec.each {
		m.note(perDelivery, m.CPU/float64(max(s.spec.subscribers, 1)))
	}
	if n := s.records(); n > 0 && len(s.flows) == 1 {
		m.note("records/16 KiB", float64(n-records)*(16<<10)/(float64(m.Messages)*float64(s.flows[0].slotLen)))
	}
	return m, nil
}

// perDelivery names what one delivery of a message costs.
const perDelivery = "CPU us/delivery"

// records is how many TLS records the first receiver has got.
func (s *session) records() (n int64) {
	for _, e := range s.all[len(s.flows):] {
		if e.records != nil {
			return e.records.records.Load()
		}
	}
	return 0
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
