package delayproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one client's connection and its counterpart to the target.
type link struct {
	proxy  *Proxy
	client net.Conn

	mu     sync.Mutex
	server net.Conn // nil until dialled; guarded by mu
	killed bool     // guarded by mu
	dead   chan struct{}
}

// kill resets both ends. It reports whether the link was alive.
func (l *link) kill() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.killed {
		return false
	}
	l.killed = true
	close(l.dead)
	reset(l.client)
	if l.server != nil {
		reset(l.server)
	}
	return true
}

// run serves the link until both directions have ended.
func (l *link) run() {
	p := l.proxy
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	// The target sees a connection when the third packet of the handshake arrives: one and a half round trips after the
	// client began. So whatever the target says first reaches the client after two, as over a real path.
	if !l.sleep(p.RTT()*3/2) || !p.passable(l) {
		l.kill()
		return
	}
	s, err := net.Dial("tcp", *p.target.Load())
	if err != nil {
		p.refused.Add(1)
		l.kill()
		return
	}
	l.mu.Lock()
	if l.killed {
		l.mu.Unlock()
		reset(s)
		return
	}
	l.server = s
	l.mu.Unlock()

	var wg sync.WaitGroup
	wg.Go(func() { l.forward(l.client, s, &p.up) })
	wg.Go(func() { l.forward(s, l.client, &p.down) })
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.killed { // both sides said goodbye
		l.killed = true
		close(l.dead)
		_ = l.client.Close()
		_ = s.Close()
	}
}

// sleep waits for d; false when the link died meanwhile.
func (l *link) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.dead:
		return false
	}
}

// piece is bytes under way and when they are to arrive. No bytes: the end of the stream.
type piece struct {
	due time.Time
	b   []byte
}

// forward carries one direction: this goroutine reads and stamps, a second one delivers when the time has come.
func (l *link) forward(from, to net.Conn, count *atomic.Int64) {
	p := l.proxy
	under := &pipe{room: p.window}
	under.cond.L = &under.mu
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		stop := make(chan struct{})
		defer close(stop)
		wg.Go(func() { // a dead link ends the waits of both
			select {
			case <-l.dead:
			case <-stop:
			}
			under.close()
		})
		l.deliver(under, to, count)
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		due := time.Now().Add(p.RTT() / 2)
		if n > 0 {
			if !p.passable(l) || !under.put(piece{due, append([]byte(nil), buf[:n]...)}) {
				return
			}
		}
		if err != nil {
			if p.passable(l) && errors.Is(err, io.EOF) {
				under.put(piece{due: due})
			} else {
				l.kill()
				under.close()
			}
			return
		}
	}
}

func (l *link) deliver(under *pipe, to net.Conn, count *atomic.Int64) {
	for {
		pc, ok := under.take()
		if !ok {
			return
		}
		if !l.sleep(time.Until(pc.due)) || !l.proxy.passable(l) {
			return
		}
		if len(pc.b) == 0 {
			if t, ok := to.(*net.TCPConn); ok {
				_ = t.CloseWrite()
			}
			return
		}
		if _, err := to.Write(pc.b); err != nil {
			l.kill()
			return
		}
		count.Add(int64(len(pc.b)))
		under.free(len(pc.b))
	}
}

// pipe is a queue of pieces bounded by bytes.
type pipe struct {
	mu     sync.Mutex
	cond   sync.Cond
	q      []piece // guarded by mu
	room   int     // bytes that still fit; may go below zero by one piece; guarded by mu
	closed bool    // guarded by mu
}

// put waits for room and appends; false when the pipe was closed.
func (q *pipe) put(pc piece) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.room <= 0 && !q.closed {
		q.cond.Wait()
	}
	if q.closed {
		return false
	}
	q.room -= len(pc.b)
	q.q = append(q.q, pc)
	q.cond.Broadcast()
	return true
}

// take waits for the next piece; false when the pipe was closed.
func (q *pipe) take() (piece, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.q) == 0 && !q.closed {
		q.cond.Wait()
	}
	if q.closed {
		return piece{}, false
	}
	pc := q.q[0]
	q.q[0] = piece{}
	q.q = q.q[1:]
	return pc, true
}

// free returns room for n delivered bytes.
func (q *pipe) free(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.room += n
	q.cond.Broadcast()
}

func (q *pipe) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.cond.Broadcast()
}
