package transport

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// Poller waits for many sockets with few goroutines, and calls the handlers of
// those that have something to say. It starts with one event loop; another one
// is added when the others are busy most of the time, up to the limit, and what
// is left to do is gathered on the first again when it has become little: a
// loop that is awake already costs less than one that has to be woken.
//
// Its methods may be called from anywhere.
type Poller struct {
	limit int

	mu     sync.Mutex
	loops  []*loop // never shrinks while open
	closed bool
	wg     sync.WaitGroup
}

// NewPoller makes a Poller of at most limit loops; 0: one for each processor.
// It takes no goroutine and no descriptor before the first connection.
func NewPoller(limit int) *Poller {
	if limit <= 0 {
		limit = runtime.GOMAXPROCS(0)
	}
	return &Poller{limit: limit}
}

// Close ends the loops, and the connections that they still have with ErrClosed,
// and waits for the loops.
func (p *Poller) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		for _, l := range p.loops {
			l.stop() // once: a loop's descriptors are closed when it ends
		}
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// first is the loop for a new connection.
func (p *Poller) first() *loop {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	if len(p.loops) == 0 {
		return p.startLocked()
	}
	return p.loops[0]
}

// startLocked adds a loop, nil if that is not possible.
func (p *Poller) startLocked() *loop {
	l, err := newLoop(p)
	if err != nil {
		return nil
	}
	p.loops = append(p.loops, l)
	p.wg.Go(l.run)
	return l
}

// loop is one goroutine that waits for sockets.
type loop struct {
	p    *Poller
	ep   int // epoll descriptor
	wake int // event descriptor, readable when posts has something

	mu      sync.Mutex // after a Conn's mu
	slots   []slot     // by descriptor
	gen     int32
	posts   []*Conn
	woken   bool
	closing bool

	events [128]syscall.EpollEvent
	load   load
}

// slot is the connection that owns a descriptor.
type slot struct {
	c   *Conn
	gen int32
}

func newLoop(p *Poller) (*loop, error) {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	fd, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		syscall.Close(ep)
		return nil, os.NewSyscallError("eventfd", errno)
	}
	l := &loop{p: p, ep: ep, wake: int(fd)}
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, l.wake, &ev); err != nil {
		syscall.Close(ep)
		syscall.Close(l.wake)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return l, nil
}

// run waits and serves until stop.
func (l *loop) run() {
	defer func() {
		syscall.Close(l.ep)
		syscall.Close(l.wake)
	}()
	for {
		n := l.wait()
		l.load.sample()
		for i := range n {
			ev := &l.events[i]
			if int(ev.Fd) == l.wake {
				continue
			}
			if c := l.owner(ev.Fd, ev.Pad); c != nil {
				if c.ready(ev.Events) && (l.load.shed != nil || l.load.gather != nil) {
					l.rehome(c, i, n)
				}
			}
		}
		if !l.attendPosts() {
			return
		}
		l.settle(n)
	}
}

// wait blocks until there are events.
func (l *loop) wait() int {
	for {
		n, err := syscall.EpollWait(l.ep, l.events[:], -1)
		if err != syscall.EINTR {
			return max(n, 0)
		}
	}
}

// owner is the connection that an event is for, nil if it is gone.
func (l *loop) owner(fd, gen int32) *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := &l.slots[fd]; s.gen == gen {
		return s.c
	}
	return nil
}

// attendPosts looks after those who asked for it. It reports false when the loop
// has to end.
func (l *loop) attendPosts() bool {
	l.mu.Lock()
	if !l.woken {
		l.mu.Unlock()
		return true
	}
	posts, closing := l.posts, l.closing
	l.posts, l.woken = nil, false
	var b [8]byte
	syscall.Read(l.wake, b[:])
	l.mu.Unlock()
	for _, c := range posts {
		c.attend(l)
	}
	if closing {
		l.abandon()
	}
	return !closing
}

// abandon ends the connections that are left when the loop is stopped.
func (l *loop) abandon() {
	l.mu.Lock()
	slots := l.slots
	l.mu.Unlock()
	for _, s := range slots {
		if s.c != nil {
			s.c.leave(ErrClosed)
		}
	}
}

// post asks the loop to look after c; Conn's mu is held.
func (l *loop) post(c *Conn) {
	l.mu.Lock()
	l.posts = append(l.posts, c)
	l.rouseLocked()
	l.mu.Unlock()
}

func (l *loop) rouseLocked() {
	if !l.woken {
		l.woken = true
		one := [8]byte{1}
		if runtime.GOARCH == "s390x" || runtime.GOARCH == "ppc64" {
			one = [8]byte{7: 1}
		}
		syscall.Write(l.wake, one[:])
	}
}

func (l *loop) stop() {
	l.mu.Lock()
	l.closing = true
	l.rouseLocked()
	l.mu.Unlock()
}

const (
	waitRead  = syscall.EPOLLIN | syscall.EPOLLRDHUP
	waitWrite = syscall.EPOLLOUT
)

// add makes the loop wait for c, whose mu is held.
func (l *loop) add(c *Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return net.ErrClosed
	}
	if c.fd >= len(l.slots) {
		l.slots = append(l.slots, make([]slot, max(64, c.fd+c.fd/4+1-len(l.slots)))...)
	}
	l.gen++
	l.slots[c.fd] = slot{c: c, gen: l.gen}
	c.gen, c.loop = l.gen, l
	if err := l.control(syscall.EPOLL_CTL_ADD, c); err != nil {
		l.slots[c.fd] = slot{}
		c.loop = nil
		return err
	}
	return nil
}

// remove is the end of add; c's mu is held, on the loop's goroutine.
func (l *loop) remove(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.control(syscall.EPOLL_CTL_DEL, c)
	l.slots[c.fd] = slot{}
	c.loop = nil
}

// control tells the kernel what c is waited for; c's mu is held.
func (l *loop) control(op int, c *Conn) error {
	ev := syscall.EpollEvent{Events: waitRead, Fd: int32(c.fd), Pad: c.gen}
	if c.armed {
		ev.Events |= waitWrite
	}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(l.ep, op, c.fd, &ev))
}

// launch hands the connection to the Poller. It reports false when that is not
// possible now; the caller goes on to serve it.
func (c *Conn) launch() bool {
	l := c.opts.Poller.first()
	if l == nil {
		return false
	}
	for range 100 {
		c.mu.Lock()
		if c.cause != nil || c.interrupted {
			c.mu.Unlock()
			return false
		}
		if c.writing {
			c.mu.Unlock()
			runtime.Gosched()
			continue
		}
		fd, err := dup(c.raw)
		if err != nil {
			c.mu.Unlock()
			return false
		}
		c.fd = fd
		c.onLoop = true
		nc := c.nc
		if err := l.add(c); err != nil {
			syscall.Close(fd)
			c.fd, c.onLoop = -1, false
			c.mu.Unlock()
			return false
		}
		c.nc, c.raw = nil, nil
		nc.Close()
		c.mu.Unlock()
		return true
	}
	return false
}

func dup(raw syscall.RawConn) (fd int, err error) {
	fd = -1
	cerr := raw.Control(func(old uintptr) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		if errno != 0 {
			err = os.NewSyscallError("dup", errno)
			return
		}
		fd = int(n)
	})
	return fd, errors.Join(err, cerr)
}

// ready is called by the loop when something happened.
// It reports whether the connection stays.
func (c *Conn) ready(events uint32) bool {
	if events&waitWrite != 0 {
		c.resume()
	}
	if events&^waitWrite == 0 {
		return true
	}
	err := c.step()
	if err != nil {
		c.leave(err)
	}
	return err == nil
}

// attend is called by the loop after a post.
func (c *Conn) attend(l *loop) {
	c.mu.Lock()
	c.summons = false
	here := c.loop == l
	if !here {
		c.summonLocked() // it has moved, or left
	}
	over := c.cause != nil || c.interrupted
	c.mu.Unlock()
	switch {
	case !here:
	case over:
		c.leave(os.ErrDeadlineExceeded)
	case c.more:
		if err := c.step(); err != nil {
			c.leave(err)
		}
	}
}

// summonLocked makes the loop look after c.
func (c *Conn) summonLocked() {
	if c.loop != nil && !c.summons {
		c.summons = true
		c.loop.post(c)
	}
}

// leave takes the connection off its loop, on whose goroutine it is called.
func (c *Conn) leave(err error) {
	c.mu.Lock()
	c.loop.remove(c)
	c.mu.Unlock()
	go c.landed(err)
}

// ashore gives the socket back to the runtime's poller. Whoever writes meanwhile
// is waited for.
func (c *Conn) ashore() error {
	c.mu.Lock()
	for c.writing && !c.stuck {
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if c.fd < 0 {
		return nil
	}
	f := os.NewFile(uintptr(c.fd), "")
	nc, err := net.FileConn(f)
	f.Close()
	c.fd, c.armed = -1, false
	if err == nil {
		c.nc = nc
		c.raw, err = nc.(syscall.Conn).SyscallConn()
	}
	if err != nil {
		c.done = true
		c.abortLocked(err)
		return err
	}
	if c.cause != nil || c.interrupted {
		c.nc.SetReadDeadline(longAgo)
	}
	if c.stuck {
		c.stuck = false
		c.late.stop()
		c.drainLocked()
	}
	return nil
}

// closeFD closes a socket that no Poller waits for; mu is held.
func (c *Conn) closeFDLocked(reset bool) {
	if reset {
		syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	}
	syscall.Close(c.fd)
	c.fd = -1
}
