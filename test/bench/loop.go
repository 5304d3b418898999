//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banyanmq/banyan/test/bench/dialect"
)

// loop reads what arrives on many connections: one thread with an epoll set for plain sockets, a goroutine each for TLS.
// Everything is handled under one lock, which nobody contends for in a flood but who starts and ends a phase.
type loop struct {
	mu  *sync.Mutex
	now func() int64 // nanoseconds on the session's clock
	at  int64        // when the block that is being handled was read; guarded by mu

	onError func(error)

	ep      int
	wake    int // eventfd that ends the thread
	plain   []*endpoint
	started bool
	wg      sync.WaitGroup
	closing bool // guarded by mu
}

// readBlock is read at once; large, so that the generator takes few calls.
const readBlock = 512 << 10

// readRecords is read at once with TLS, which hands over a record of 16 KiB at most.
const readRecords = 16 << 10

func newLoop(mu *sync.Mutex, now func() int64, onError func(error)) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, os.NewSyscallError("eventfd", err)
	}
	l := &loop{mu: mu, now: now, onError: onError, ep: ep, wake: wake}
	if err := l.watch(wake, -1); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *loop) watch(fd, index int) error {
	// The kernel hands back 64 bits of ours; the library shows the low half as Fd.
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &ev))
}

// add takes a connection in; to is told what arrives.
func (l *loop) add(e *endpoint, to dialect.Handler) error {
	e.listen(to)
	if e.tls != nil {
		l.wg.Go(func() { l.readTLS(e) })
		return nil
	}
	l.mu.Lock()
	l.plain = append(l.plain, e)
	index := len(l.plain) - 1
	if !l.started {
		l.started = true
		l.wg.Go(l.run)
	}
	l.mu.Unlock()
	return l.watch(e.fd, index)
}

func (l *loop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events := make([]unix.EpollEvent, 512)
	buf := make([]byte, readBlock)
	for {
		n, err := unix.EpollWait(l.ep, events, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			l.onError(os.NewSyscallError("epoll_wait", err))
			return
		}
		for i := range events[:n] {
			index := events[i].Fd
			if index < 0 {
				return
			}
			if err := l.read(int(index), buf); err != nil {
				l.onError(err)
				return
			}
		}
	}
}

// read takes one block from a connection that has one.
func (l *loop) read(index int, buf []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.plain[index]
	n, err := unix.Read(e.fd, buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("connection lost: %w", os.NewSyscallError("read", err))
	case n == 0:
		return errors.New("connection lost: the server closed it")
	}
	return l.handle(e, buf[:n])
}

// handle is called with the lock held.
func (l *loop) handle(e *endpoint, b []byte) error {
	l.at = l.now()
	if err := e.reader.Feed(b); err != nil {
		return err
	}
	if e.flush != nil {
		return e.flush()
	}
	return nil
}

func (l *loop) readTLS(e *endpoint) {
	buf := make([]byte, readRecords)
	for {
		n, err := e.tls.Read(buf)
		l.mu.Lock()
		closing := l.closing
		if n > 0 && !closing {
			if herr := l.handle(e, buf[:n]); herr != nil {
				err = herr
			}
		}
		l.mu.Unlock()
		if err != nil {
			if !closing && !errors.Is(err, net.ErrClosed) {
				if errors.Is(err, io.EOF) {
					err = errors.New("connection lost: the server closed it")
				}
				l.onError(err)
			}
			return
		}
	}
}

// close ends all reading and closes the connections given.
func (l *loop) close(all []*endpoint) {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	for _, e := range all {
		if e.tls != nil {
			e.close()
		}
	}
	l.wg.Wait()
	for _, e := range all {
		if e.tls == nil {
			e.close()
		}
	}
	_ = unix.Close(l.ep)
	_ = unix.Close(l.wake)
}

// clock returns a function that counts nanoseconds from now on.
func clock() func() int64 {
	began := time.Now()
	return func() int64 { return int64(time.Since(began)) }
}
