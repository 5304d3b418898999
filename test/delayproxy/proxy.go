package delayproxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultWindow bounds the bytes under way in one direction of one connection.
const DefaultWindow = 8 << 20

// Config says what to forward and how slowly.
type Config struct {
	Listen string        // address to accept on; 127.0.0.1 with a port chosen by the kernel if empty
	Target string        // host:port to forward to
	RTT    time.Duration // round-trip time to add; each direction gets half
	Window int           // bytes under way per direction and connection; DefaultWindow if 0
}

// Stats counts what passed. Open is a gauge, all others only grow.
type Stats struct {
	Accepted int64 // connections taken from clients
	Refused  int64 // of these, closed at once because of Refuse or because the target did not answer
	Open     int64 // connections that live now
	Cut      int64 // connections that Cut has reset
	Up, Down int64 // bytes delivered to the target, and back to clients
}

// Proxy forwards connections. All methods are safe for concurrent use.
type Proxy struct {
	ln     net.Listener
	window int
	rtt    atomic.Int64
	target atomic.Pointer[string]
	refuse atomic.Bool

	accepted, refused, cut, up, down atomic.Int64

	mu     sync.Mutex
	links  map[*link]struct{} // guarded by mu
	closed bool               // guarded by mu
	gate   chan struct{}      // closed while bytes may move; guarded by mu

	wg sync.WaitGroup
}

// Start listens and forwards until Close.
func Start(cfg Config) (*Proxy, error) {
	if cfg.Target == "" {
		return nil, errors.New("delayproxy: no target")
	}
	if cfg.RTT < 0 {
		return nil, fmt.Errorf("delayproxy: negative round-trip time %v", cfg.RTT)
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Window <= 0 {
		cfg.Window = DefaultWindow
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("delayproxy: %w", err)
	}
	open := make(chan struct{})
	close(open)
	p := &Proxy{ln: ln, window: cfg.Window, links: make(map[*link]struct{}), gate: open}
	p.rtt.Store(int64(cfg.RTT))
	p.target.Store(&cfg.Target)
	p.wg.Go(p.accept)
	return p, nil
}

// Addr returns the host:port to connect to.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Port returns the port to connect to.
func (p *Proxy) Port() int { return p.ln.Addr().(*net.TCPAddr).Port }

// RTT returns the added round-trip time.
func (p *Proxy) RTT() time.Duration { return time.Duration(p.rtt.Load()) }

// SetRTT changes the added round-trip time for bytes that arrive from now on; bytes never overtake each other.
func (p *Proxy) SetRTT(d time.Duration) { p.rtt.Store(int64(max(d, 0))) }

// SetTarget changes where new connections go.
func (p *Proxy) SetTarget(addr string) { p.target.Store(&addr) }

// Refuse makes new connections fail at once (true) or be served again (false). Connections that live are not touched.
func (p *Proxy) Refuse(on bool) { p.refuse.Store(on) }

// Freeze stops the movement of all bytes, of ends of streams and of new connections, without telling anybody: a path that
// swallows packets. Senders notice by back-pressure or by their own timers.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if isOpen(p.gate) && !p.closed {
		p.gate = make(chan struct{})
	}
}

// Thaw ends Freeze: what was held goes on, in order.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !isOpen(p.gate) {
		close(p.gate)
	}
}

func isOpen(gate chan struct{}) bool {
	select {
	case <-gate:
		return true
	default:
		return false
	}
}

// Cut resets every connection that lives now (both ends see a reset; bytes under way are lost) and returns how many. New
// ones are served.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	p.mu.Unlock()
	n := 0
	for _, l := range links {
		if l.kill() {
			n++
		}
	}
	p.cut.Add(int64(n))
	return n
}

// Stats returns the counters.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	open := len(p.links)
	p.mu.Unlock()
	return Stats{
		Accepted: p.accepted.Load(), Refused: p.refused.Load(), Open: int64(open), Cut: p.cut.Load(),
		Up: p.up.Load(), Down: p.down.Load(),
	}
}

// Close stops listening, resets every connection and waits until all goroutines have ended.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	if !isOpen(p.gate) {
		close(p.gate)
	}
	p.mu.Unlock()
	err := p.ln.Close()
	p.mu.Lock()
	for l := range p.links {
		l.kill()
	}
	p.mu.Unlock()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return // closed: nothing else ends a listener on loopback for good
		}
		p.accepted.Add(1)
		if p.refuse.Load() {
			p.refused.Add(1)
			reset(c)
			continue
		}
		l := &link{proxy: p, client: c, dead: make(chan struct{})}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			reset(c)
			return
		}
		p.links[l] = struct{}{}
		p.wg.Go(l.run)
		p.mu.Unlock()
	}
}

// passable waits until bytes may move; false when the link died meanwhile.
func (p *Proxy) passable(l *link) bool {
	for {
		p.mu.Lock()
		gate := p.gate
		p.mu.Unlock()
		select {
		case <-gate:
			select {
			case <-l.dead:
				return false
			default:
				return true
			}
		case <-l.dead:
			return false
		}
	}
}

// reset closes a connection so that the peer sees a reset, not an orderly end.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
