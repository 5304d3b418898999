package link

import (
	"math/rand/v2"
	"sync"
	"time"
)

// PingerOptions say how a connection is kept alive.
type PingerOptions struct {
	First time.Duration // until the first PING; up to a fifth of it is added
	Every time.Duration // between PINGs
	Max   int           // PINGs that may be unanswered
	Send  func()        // queues and flushes a PING
	Stale func()        // the peer is silent; called at most once
	// Busy tells whether the peer was heard of since the last tick, in which case no
	// PING is due; nil means that PINGs are always due. Even a busy peer is
	// pinged when the round trip was never or not for an hour measured.
	Busy func() bool
	// Heard tells whether a single byte has come in since the last tick. A peer that
	// is heard is never stale, even if its PONG waits behind a backlog.
	// nil means that only PONGs count.
	Heard func() bool
}

// Pinger sends PINGs and notices a silent peer. All methods are safe for
// concurrent use.
type Pinger struct {
	o PingerOptions

	mu      sync.Mutex
	timer   *time.Timer
	out     int // unanswered
	sent    time.Time
	rtt     time.Duration
	stopped bool
}

// StartPinger starts pinging.
func StartPinger(o PingerOptions) *Pinger {
	p := &Pinger{o: o}
	first := o.First
	if first > 0 {
		first += time.Duration(rand.Int64N(int64(first)/5 + 1))
	}
	p.mu.Lock()
	p.timer = time.AfterFunc(first, p.tick)
	p.mu.Unlock()
	return p
}

func (p *Pinger) tick() {
	busy := p.o.Busy != nil && p.o.Busy()
	heard := p.o.Heard != nil && p.o.Heard()
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	if heard {
		p.out = min(p.out, 1) // an answer that is still due gives a round trip
	}
	if busy && p.rtt > 0 && time.Since(p.sent) < time.Hour {
		p.timer.Reset(p.o.Every)
		p.mu.Unlock()
		return
	}
	if p.out+1 > p.o.Max && !heard {
		p.stopped = true
		p.mu.Unlock()
		p.o.Stale()
		return
	}
	p.out++
	p.sent = time.Now()
	p.timer.Reset(p.o.Every)
	p.mu.Unlock()
	p.o.Send()
}

// Ping sends a PING now, as one that is due.
func (p *Pinger) Ping() {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	p.out++
	p.sent = time.Now()
	p.mu.Unlock()
	p.o.Send()
}

// Pong notes an answer. It returns the round trip, or false for an answer that
// nobody asked for.
func (p *Pinger) Pong() (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == 0 {
		return 0, false
	}
	p.out = 0
	p.rtt = max(time.Since(p.sent), 1)
	return p.rtt, true
}

// RTT is the last round trip, 0 if none was measured.
func (p *Pinger) RTT() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rtt
}

// SetRTT gives an estimate to start with.
func (p *Pinger) SetRTT(d time.Duration) {
	p.mu.Lock()
	if p.rtt == 0 {
		p.rtt = d
	}
	p.mu.Unlock()
}

// Stop ends it. Send or Stale may still be running when it returns.
func (p *Pinger) Stop() {
	p.mu.Lock()
	p.stopped = true
	p.timer.Stop()
	p.mu.Unlock()
}
