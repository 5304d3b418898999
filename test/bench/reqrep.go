//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/banyanmq/banyan/test/bench/dialect"
)

// requests is a load of requesters and one responder that sends each payload back. Every request has a reply subject of its
// own, below a prefix of its requester, as client libraries do it.
type requests struct {
	size       int
	requesters int
	inflight   int     // requests of each that may be open at once (closed loop)
	rate       float64 // requests a second over all (open loop); 0: closed loop
	half       bool    // closed loop until pace is called: see calibrated
}

type requestSession struct {
	*session
	spec requests
	reqs []*requester
	resp *responder
}

// requester sends requests and checks the replies. Guarded by the session's lock, but for open-loop sending.
type requester struct {
	*publisher
	s      *session
	prefix []byte  // of its reply subjects
	next   uint64  // request that may be sent next (closed loop)
	got    uint64  // replies so far: they come in order, because there is one responder
	sentAt []int64 // when request seq went out, by seq modulo inflight
	until  int64   // no new request after this time; 0 in open loop
	due    int     // requests to send at the end of the read block
	probes int     // that came back
}

// calibrated is a load whose rate is found out: half of what the slowest of the servers it is run against can take.
type calibrated interface {
	load
	uncalibrated() bool
	// saturation is how many requests a second the servers take when the next one waits for the last.
	saturation(d time.Duration) (float64, error)
	// pace makes it an open loop at that rate, to be called once and between two runs.
	pace(rate float64)
}

func (s *requestSession) uncalibrated() bool { return s.spec.half && s.spec.rate == 0 }

func (s *requestSession) saturation(d time.Duration) (float64, error) {
	m, err := s.Run(d)
	return m.Rate, err
}

func (s *requestSession) pace(rate float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spec.rate = rate
	for _, r := range s.reqs {
		r.e.flush = nil // the sender answers pings from here on
		r.publisher.sent, r.until = r.next, 0
	}
}

func (r requests) open(run uint16, at *site) (load, error) {
	s, err := newSession(run, at)
	if err != nil {
		return nil, err
	}
	rs := &requestSession{session: s, spec: r}
	if err := rs.connect(); err != nil {
		_ = s.Close()
		return nil, s.because(err)
	}
	return rs, nil
}

func (s *requestSession) connect() error {
	e, err := s.dial(s.site.subs[0], 0)
	if err != nil {
		return err
	}
	s.resp = &responder{s: s.session, e: e}
	e.flush = s.resp.flush
	if err := s.loop.add(e, s.resp); err != nil {
		return err
	}
	service := fmt.Sprintf("b%d.service", s.run)
	if err := e.write(fmt.Appendf(nil, "SUB %s 1\r\n", service)); err != nil {
		return err
	}
	if err := s.sync(e); err != nil {
		return err
	}
	body := newBodies(s.spec.size)
	for i := range s.spec.requesters {
		e, err := s.dial(s.site.pub, i)
		if err != nil {
			return err
		}
		prefix := fmt.Sprintf("_INBOX.b%dr%03d.", s.run, i)
		spec := flowSpec{size: s.spec.size, subjects: []string{service}, reply: prefix, block: 16 << 10}
		p := &publisher{flow: newFlow(s.run, uint16(i), spec, body), e: e}
		r := &requester{publisher: p, s: s.session, prefix: []byte(prefix), sentAt: make([]int64, max(s.spec.inflight, 1))}
		if s.spec.rate == 0 {
			e.flush = r.flush
		}
		s.flows = append(s.flows, p)
		s.reqs = append(s.reqs, r)
		if err := s.loop.add(e, r); err != nil {
			return err
		}
		if err := e.write(fmt.Appendf(nil, "SUB %s* 1\r\n", prefix)); err != nil {
			return err
		}
		if err := s.sync(e); err != nil {
			return err
		}
	}
	return s.reach(service)
}

// reach waits until a probe of each requester comes back.
func (s *requestSession) reach(service string) error {
	deadline := time.Now().Add(patience)
	for _, r := range s.reqs {
		for {
			b := fmt.Appendf(nil, "PUB %s %sprobe %d\r\n", service, r.prefix, stampLen)
			var st [stampLen]byte
			putStamp(st[:], s.run, probeFlow, uint64(r.id))
			if err := r.e.write(append(append(b, st[:]...), "\r\n"...)); err != nil {
				return err
			}
			if err := s.sync(r.e); err != nil {
				return err
			}
			time.Sleep(2 * time.Millisecond)
			s.mu.Lock()
			there := r.probes > 0
			s.mu.Unlock()
			if there {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("no reply reached requester %d within %v", r.id, patience)
			}
		}
	}
	return s.err()
}

func (r *requester) Ping() { r.e.owesPong.Store(true) }
func (r *requester) Pong() { r.e.pongs++ }

func (r *requester) Message(m *dialect.Message) error {
	if status := []byte("NATS/1.0 503"); bytes.HasPrefix(m.Header, status) {
		if r.got == 0 && r.next == 0 && r.sent == 0 {
			return nil // a probe before the responder was known
		}
		return wrong("lost: a request of requester %d found no responder", r.id)
	}
	run, id, seq, ok := readStamp(m.Payload)
	if !ok || run != r.run {
		return wrong("mixed up: requester %d got a damaged reply on %s", r.id, m.Subject)
	}
	if id == probeFlow && seq == uint64(r.id) {
		r.probes++
		return nil
	}
	if id != r.id {
		return wrong("mixed up: requester %d got a reply for requester %d", r.id, id)
	}
	if seq != r.got {
		return wrong("lost, doubled or out of order: requester %d got reply %d while it waits for %d", r.id, seq, r.got)
	}
	token, found := bytes.CutPrefix(m.Subject, r.prefix)
	if n, ok := readHex(token); !found || !ok || n != seq {
		return wrong("mixed up: reply %d of requester %d came on %s", seq, r.id, m.Subject)
	}
	if len(m.Payload) != r.size || !bytes.Equal(m.Payload[stampLen:], r.bodyOf(seq)) {
		return wrong("mixed up: reply %d of requester %d has not the content of its request", seq, r.id)
	}
	if m.SID != 1 {
		return wrong("mixed up: a reply came under subscription %d", m.SID)
	}
	r.got++
	at := r.s.loop.at
	if r.plan.interval > 0 {
		r.s.hist.record(at - r.plan.due(seq-r.base))
		return nil
	}
	r.s.hist.record(at - r.sentAt[seq%uint64(len(r.sentAt))])
	if at < r.until {
		r.due++
	}
	return nil
}

// flush sends, in one write, a new request for each reply of the block.
func (r *requester) flush() error {
	if err := settleOwed(r.e); err != nil {
		return err
	}
	for r.due > 0 {
		b, n := r.messages(r.next, r.due)
		now := r.s.now()
		for i := range uint64(n) {
			r.sentAt[(r.next+i)%uint64(len(r.sentAt))] = now
		}
		r.next += uint64(n)
		r.due -= n
		if err := r.e.write(b); err != nil {
			return err
		}
	}
	return nil
}

// responder answers each request with its own payload.
type responder struct {
	s   *session
	e   *endpoint
	out []byte
}

func (r *responder) Ping() { r.out = append(r.out, "PONG\r\n"...) }
func (r *responder) Pong() { r.e.pongs++ }

func (r *responder) Message(m *dialect.Message) error {
	if m.Reply == nil {
		return wrong("mixed up: a request on %s has no reply subject", m.Subject)
	}
	r.out = append(r.out, "PUB "...)
	r.out = append(r.out, m.Reply...)
	r.out = append(r.out, ' ')
	r.out = strconv.AppendInt(r.out, int64(len(m.Payload)), 10)
	r.out = append(r.out, "\r\n"...)
	r.out = append(r.out, m.Payload...)
	r.out = append(r.out, "\r\n"...)
	return nil
}

func (r *responder) flush() error {
	if len(r.out) == 0 {
		return nil
	}
	b := r.out
	r.out = r.out[:0]
	return r.e.write(b)
}

// Run counts per request with its reply.
func (s *requestSession) Run(d time.Duration) (measure, error) {
	var late time.Duration
	m, err := s.phase(func() (int64, error) {
		before := s.replies()
		until := s.now() + int64(d)
		var err error
		if s.spec.rate > 0 {
			late, err = s.openLoop(until)
		} else {
			err = s.closedLoop(until)
		}
		return s.replies() - before, err
	})
	if s.spec.rate > 0 && err == nil {
		m.note("worst lateness of a send, us", micros(late))
	}
	return m, err
}

func (s *requestSession) replies() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n uint64
	for _, r := range s.reqs {
		n += r.got
	}
	return int64(n)
}

func (s *requestSession) closedLoop(until int64) error {
	s.mu.Lock()
	for _, r := range s.reqs {
		r.until = until
		r.plan = schedule{}
		r.due = s.spec.inflight
		if err := r.flush(); err != nil {
			s.mu.Unlock()
			return s.because(err)
		}
	}
	s.mu.Unlock()
	sleep := time.NewTimer(time.Duration(until - s.now()))
	defer sleep.Stop()
	select {
	case <-sleep.C:
	case <-s.failed:
		return s.failure
	}
	return s.replied(func(r *requester) uint64 { return r.next })
}

func (s *requestSession) openLoop(until int64) (time.Duration, error) {
	late, err := s.send(s.spec.rate, until)
	if err != nil {
		return 0, s.because(err)
	}
	return late, s.replied(func(r *requester) uint64 { return r.publisher.sent })
}

// replied waits until every request has its reply.
func (s *requestSession) replied(sent func(*requester) uint64) error {
	return s.await(func() (bool, int64) {
		all, sum := true, uint64(0)
		for _, r := range s.reqs {
			sum += r.got
			all = all && r.got == sent(r)
		}
		return all, int64(sum)
	}, func() error {
		for _, r := range s.reqs {
			if r.got != sent(r) {
				return wrong("lost: requester %d got %d replies to %d requests", r.id, r.got, sent(r))
			}
		}
		return nil
	})
}
