package auth

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of what is remembered of failed logins.
const (
	freeFailures = 3 // of an address that cost the first delay only
	maxOffenders = 4096
	halfLife     = 15 * time.Second
)

// Penalties says how long the answer to a failed login has to wait: a little for
// the first failures of an address, then twice as long each time, up to a most.
// Failures are forgotten with time, not by a login that succeeds: whoever has one
// password could try others in between. Addresses of a /64 of IPv6 count as one.
//
// It remembers a bounded number of addresses. A nil *Penalties never waits.
type Penalties struct {
	now func() time.Time

	mu          sync.Mutex
	first, most time.Duration
	seen        map[netip.Addr]offender
}

type offender struct {
	failures int
	last     time.Time
}

// NewPenalties makes penalties without failures. If first is not above 0, none wait.
func NewPenalties(first, most time.Duration) *Penalties {
	p := &Penalties{now: time.Now, seen: make(map[netip.Addr]offender)}
	p.Set(first, most)
	return p
}

// Set changes the delays. What is remembered of failures stays.
func (p *Penalties) Set(first, most time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.first, p.most = max(first, 0), max(first, most)
}

// Failed notes a failed login and returns the time to wait before the peer is told.
// Waiting must hold nothing but the goroutine of that one connection.
func (p *Penalties) Failed(from net.Addr) time.Duration {
	if p == nil {
		return 0
	}
	n, d, most := p.count(source(from))
	if d == 0 {
		return 0
	}
	for i := freeFailures; i < n && d < most; i++ {
		d *= 2
	}
	d = min(d, most)
	return d - rand.N(d/4+1) // so that many do not come back in one moment
}

// Atone notes a failed login and waits, until the peer may be told or stop is closed.
func (p *Penalties) Atone(from net.Addr, stop <-chan struct{}) {
	d := p.Failed(from)
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	}
}

func (p *Penalties) count(a netip.Addr) (failures int, first, most time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first == 0 {
		return 0, 0, 0
	}
	now := p.now()
	o, known := p.seen[a]
	if !known && len(p.seen) >= maxOffenders {
		p.evict(now)
	}
	o.failures = o.left(now) + 1
	o.last = now
	p.seen[a] = o
	return o.failures, p.first, p.most
}

// left is what is remembered of failures after a time.
func (o offender) left(now time.Time) int {
	halvings := now.Sub(o.last) / halfLife
	if halvings >= 32 {
		return 0
	}
	return o.failures >> max(halvings, 0)
}

// evict makes room: the least of a few goes, so that those who fail most are the
// last to be forgotten.
func (p *Penalties) evict(now time.Time) {
	var worst netip.Addr
	least, looked := -1, 0
	for a, o := range p.seen {
		if n := o.left(now); least < 0 || n < least {
			worst, least = a, n
		}
		if looked++; looked == 16 || least == 0 {
			break
		}
	}
	delete(p.seen, worst)
}

// source is what failures are counted by; the zero address stands for all that
// have none.
func source(from net.Addr) netip.Addr {
	t, ok := from.(*net.TCPAddr)
	if !ok || t == nil {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(t.IP)
	a = a.Unmap()
	if a.Is6() {
		prefix, err := a.WithZone("").Prefix(64)
		if err != nil {
			return netip.Addr{}
		}
		return prefix.Addr()
	}
	return a
}
