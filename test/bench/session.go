//go:build linux

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/test/bench/dialect"
)

// session is one set of connections to one side's servers, under which phases of load are run. What it counts goes on from
// phase to phase, so that nothing can arrive late unnoticed.
type session struct {
	run  uint16
	site *site
	now  func() int64

	began time.Time
	reach time.Duration // how long the first message may take to all receivers

	mu    sync.Mutex
	loop  *loop
	hist  histogram // latencies of this phase; guarded by mu
	flows []*publisher
	units []*unit // guarded by mu once the loop reads
	all   []*endpoint

	failed  chan struct{} // closed at the first error
	failure error         // set before failed is closed
	once    sync.Once
}

// site is where a session connects: one side's servers.
type site struct {
	pub     string      // address for publishers (requesters)
	subs    []string    // addresses for subscribers (responders), which take them in turn
	tls     *tls.Config // nil: plain
	ws      bool        // over WebSocket
	speak   dialect.Dialect
	login   func(who int) dialect.Login // nil: nobody says who they are
	pids    []int                       // servers whose CPU counts
	started time.Time                   // when the first of them was started
	profile []string                    // URLs of the servers' profiles
}

func (at *site) dialect() dialect.Dialect {
	if at.speak == nil {
		return dialect.NATS{}
	}
	return at.speak
}

// publisher is one flow, the connection it is sent on and how far it and its receivers are.
type publisher struct {
	*flow
	e    *endpoint
	sent uint64 // owned by the goroutine that publishes

	progress *progress     // guarded by the session's lock; nil without receivers
	done     atomic.Uint64 // messages that all receivers have got, in whole marks
	moved    chan struct{} // told when done grew

	// For paced phases: message base+n is due at plan.due(n). Guarded by the session's lock.
	plan schedule
	base uint64
}

func newSession(run uint16, at *site) (*session, error) {
	s := &session{run: run, site: at, now: clock(), began: time.Now(), reach: patience, failed: make(chan struct{})}
	l, err := newLoop(&s.mu, s.now, s.fail)
	if err != nil {
		return nil, err
	}
	s.loop = l
	return s, nil
}

// fail ends the session with an error; only the first counts.
func (s *session) fail(err error) {
	s.once.Do(func() {
		s.failure = err
		close(s.failed)
	})
}

func (s *session) err() error {
	select {
	case <-s.failed:
		return s.failure
	default:
		return nil
	}
}

// Close ends all connections. It returns what was found wrong after the last phase.
func (s *session) Close() error {
	time.Sleep(10 * time.Millisecond) // a message that comes twice comes soon
	s.loop.close(s.all)
	return s.err()
}

// connectPatience is how long all connections of a session may take to be made.
const connectPatience = 5 * time.Minute

// dial connects; who is the number of the user to log in as, where there are several.
func (s *session) dial(addr string, who int) (*endpoint, error) {
	if took := time.Since(s.began); took > connectPatience {
		return nil, fmt.Errorf("after %v only %d connections are there", took.Round(time.Second), len(s.all))
	}
	e, err := s.site.dial(addr, who)
	if err == nil {
		s.all = append(s.all, e)
	}
	return e, err
}

// control answers a publisher's connection, on which only PING and PONG come.
type control struct{ e *endpoint }

func (c control) Ping() { c.e.owesPong.Store(true) }
func (c control) Pong() { c.e.pongs++ }
func (c control) Message(m *dialect.Message) error {
	return wrong("mixed up: a message on %s came to a connection without subscription", m.Subject)
}

// settleOwed answers the server's PING from the goroutine that writes to e.
func settleOwed(e *endpoint) error {
	if e.owesPong.CompareAndSwap(true, false) {
		return e.write([]byte("PONG\r\n"))
	}
	return nil
}

// addPublisher connects a publisher whose messages reach units units, which may hold ahead blocks that are not delivered.
func (s *session) addPublisher(spec flowSpec, body bodies, units int) (*publisher, error) {
	e, err := s.dial(s.site.pub, len(s.flows))
	if err != nil {
		return nil, err
	}
	spec.speak = s.site.dialect()
	p := &publisher{flow: newFlow(s.run, uint16(len(s.flows)), spec, body), e: e, moved: make(chan struct{}, 1)}
	if units > 0 {
		p.progress = newProgress(uint64(p.perWrite), units, 4*windowBlocks)
	}
	s.flows = append(s.flows, p)
	return p, s.loop.add(e, control{e})
}

// windowBlocks is how many blocks may be under way to each receiver of a flow.
const windowBlocks = 8

// blockFor returns the bytes of one write when receivers get each message: 64 KiB, less when many receivers would make the
// server hold more than 64 MiB.
func blockFor(receivers int) int {
	return min(64<<10, max(64<<20/windowBlocks/max(receivers, 1), 4<<10))
}

// addSubscriber connects a member of a unit and sends its subscriptions. It is the user with the number of the unit's first
// flow.
func (s *session) addSubscriber(u *unit, subs []byte, sids []int) (*endpoint, error) {
	e, err := s.dial(s.site.subs[len(s.all)%len(s.site.subs)], u.from)
	if err != nil {
		return nil, err
	}
	c := &subscriber{s: s, e: e, unit: u, sids: sids}
	if u.group {
		c.last = make([]uint64, len(u.track))
	}
	if err := s.loop.add(e, c); err != nil {
		return nil, err
	}
	if err := e.write(subs); err != nil {
		return nil, err
	}
	return e, s.sync(e)
}

// sync sends PING and waits for its PONG: the server has handled everything sent before on e.
func (s *session) sync(e *endpoint) error { return s.syncWithin(e, patience/2) }

func (s *session) syncWithin(e *endpoint, limit time.Duration) error {
	s.mu.Lock()
	want := e.pongs + 1
	s.mu.Unlock()
	if err := e.write(s.site.dialect().Ping(nil)); err != nil {
		return err
	}
	return s.awaitWithin(limit, func() (bool, int64) { return e.pongs >= want, 0 }, func() error {
		return fmt.Errorf("no PONG came within %v", limit)
	})
}

// await waits until done is true, looking under the lock, as long as the number beside it changes now and then.
func (s *session) await(done func() (bool, int64), lost func() error) error {
	return s.awaitWithin(patience/2, done, lost)
}

// awaitWithin is await with a limit of its own to the time without change.
func (s *session) awaitWithin(limit time.Duration, done func() (bool, int64), lost func() error) error {
	last, since := int64(-1), time.Now()
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 500*time.Microsecond) {
		if err := s.err(); err != nil {
			return err
		}
		s.mu.Lock()
		ok, progress := done()
		s.mu.Unlock()
		if ok {
			return nil
		}
		if progress != last {
			last, since = progress, time.Now()
		} else if time.Since(since) > limit {
			s.mu.Lock()
			defer s.mu.Unlock()
			return lost()
		}
		time.Sleep(pause)
	}
}

// probe waits until each publisher's messages reach every unit that wants them: interest travels on its own over routes,
// gateways and leaf links. It gives up when nothing gets through for as long as s.reach.
func (s *session) probe() error {
	missing, since := s.unreached(), time.Now()
	for pause := 20 * time.Millisecond; len(missing) > 0; pause = min(2*pause, time.Second) {
		for p := range missing {
			if err := p.e.write(p.flow.probe(p.subject(0))); err != nil {
				return err
			}
			if err := settleOwed(p.e); err != nil {
				return err
			}
		}
		// A probe that is under way is not helped by another.
		for again := time.Now().Add(pause); len(missing) > 0 && time.Now().Before(again); {
			if err := s.err(); err != nil {
				return err
			}
			time.Sleep(time.Millisecond + time.Duration(len(missing))*10*time.Microsecond)
			now := s.unreached()
			if len(now) < len(missing) {
				since = time.Now()
			}
			missing = now
		}
		if time.Since(since) > s.reach {
			for p, u := range missing {
				return fmt.Errorf("no way from publisher %d to %s within %v (%d publishers wait)", p.id, u.name, s.reach, len(missing))
			}
		}
	}
	return s.err()
}

// unreached are the publishers of which a unit has got no probe, with such a unit.
func (s *session) unreached() map[*publisher]*unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[*publisher]*unit{}
	for _, u := range s.units {
		for i := range u.track {
			if u.track[i].probes == 0 {
				out[s.flows[u.from+i]] = u
			}
		}
	}
	return out
}

// arrived is told, under the lock, that a unit got message seq of p, the count-th that it got.
func (s *session) arrived(p *publisher, count, seq uint64) {
	if p.plan.interval > 0 {
		s.hist.record(s.loop.at - p.plan.due(seq-p.base))
	}
	if p.progress.passed(count) {
		p.done.Store(p.progress.done * p.progress.every)
		select {
		case p.moved <- struct{}{}:
		default:
		}
	}
}

// flood publishes blocks until the time is over, never more than the window ahead of the slowest receiver.
func (s *session) flood(p *publisher, until int64) error {
	window := uint64(windowBlocks * p.perWrite)
	for s.now() < until {
		if p.progress != nil && p.sent-p.done.Load()+uint64(p.perWrite) > window {
			select {
			case <-p.moved:
			case <-s.failed:
				return s.failure
			case <-time.After(patience / 2):
				return nil // settle finds out who misses what
			}
			continue
		}
		b, n := p.messages(p.sent, p.perWrite)
		if err := p.e.write(b); err != nil {
			return err
		}
		p.sent += uint64(n)
		if err := settleOwed(p.e); err != nil {
			return err
		}
	}
	return nil
}

// floodAll runs all publishers and then waits until everything was delivered.
func (s *session) floodAll(until int64) error {
	s.mu.Lock()
	for _, p := range s.flows {
		p.plan = schedule{}
	}
	s.mu.Unlock()
	errs := make([]error, len(s.flows))
	var wg sync.WaitGroup
	for i, p := range s.flows {
		wg.Go(func() { errs[i] = s.flood(p, until) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return s.because(err)
	}
	return s.settle()
}

// paceAll sends single messages when they are due and then waits until everything was delivered.
func (s *session) paceAll(rate float64, until int64) (time.Duration, error) {
	late, err := s.send(rate, until)
	if err != nil {
		return 0, s.because(err)
	}
	return late, s.settle()
}

// send sends single messages, the publishers in turn, rate of them a second over all. It returns the worst time that a
// message was late in leaving.
func (s *session) send(rate float64, until int64) (time.Duration, error) {
	n := uint64(len(s.flows))
	plan := newSchedule(s.now()+int64(time.Millisecond), rate)
	s.mu.Lock()
	for i, p := range s.flows {
		// Flow i has the things i, i+n, i+2n, ... of the whole.
		p.plan = schedule{plan.due(uint64(i)), plan.interval * float64(n)}
		p.base = p.sent
	}
	s.mu.Unlock()
	_, late, err := pace(plan, s.now, until, func(from, to uint64) error {
		for from < to {
			p := s.flows[from%n]
			most := 1
			if n == 1 {
				most = int(to - from)
			}
			b, k := p.messages(p.sent, most)
			if err := p.e.write(b); err != nil {
				return err
			}
			p.sent += uint64(k)
			from += uint64(k)
			if err := settleOwed(p.e); err != nil {
				return err
			}
		}
		return s.err()
	})
	return time.Duration(late), err
}

// because prefers what the reader found: a server that closes a connection says why there.
func (s *session) because(err error) error {
	select {
	case <-s.failed:
		return s.failure
	case <-time.After(100 * time.Millisecond):
		return err
	}
}

// settle waits until every unit has every message; publishers without receivers wait for the server's PONG.
func (s *session) settle() error {
	for _, p := range s.flows {
		if p.progress == nil {
			if err := s.sync(p.e); err != nil {
				return err
			}
		}
	}
	return s.await(func() (bool, int64) {
		all, sum := true, uint64(0)
		for _, u := range s.units {
			for i := range u.track {
				t := &u.track[i]
				sum += t.count
				if t.count != s.flows[u.from+i].sent {
					all = false
				}
			}
		}
		return all, int64(sum)
	}, func() error {
		for _, u := range s.units {
			for i := range u.track {
				if t, p := &u.track[i], s.flows[u.from+i]; t.count != p.sent {
					return wrong("lost: %s got %d of the %d messages of publisher %d", u.name, t.count, p.sent, p.id)
				}
			}
		}
		return nil
	})
}

// sentAll is the number of messages published so far.
func (s *session) sentAll() int64 {
	var n uint64
	for _, p := range s.flows {
		n += p.sent
	}
	return int64(n)
}
