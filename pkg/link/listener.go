package link

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// Listener accepts connections and serves each on a goroutine of its own.
type Listener struct {
	ln   net.Listener
	wg   sync.WaitGroup
	done chan struct{}
	once sync.Once
}

// Listen opens a TCP listener on host and port; port -1 or 0 lets the kernel
// choose. TCP keep-alive is left to each link's PINGs.
func Listen(host string, port int) (*Listener, error) {
	if port < 0 {
		port = 0
	}
	lc := net.ListenConfig{KeepAlive: -1}
	ln, err := lc.Listen(bg, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listening on %s port %d: %w", host, port, err)
	}
	return &Listener{ln: ln, done: make(chan struct{})}, nil
}

// Addr is the address that is listened on.
func (l *Listener) Addr() *net.TCPAddr { return l.ln.Addr().(*net.TCPAddr) }

// Serve accepts until Close. What serve does on its goroutine is waited for by
// Wait. Errors such as too many open files are told to fail and retried.
func (l *Listener) Serve(serve func(net.Conn), fail func(error)) {
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		pause := 10 * time.Millisecond
		for {
			nc, err := l.ln.Accept()
			if err != nil {
				select {
				case <-l.done:
					return
				default:
				}
				if errors.Is(err, net.ErrClosed) {
					return
				}
				fail(err)
				select {
				case <-l.done:
					return
				case <-time.After(pause):
				}
				pause = min(2*pause, time.Second)
				continue
			}
			pause = 10 * time.Millisecond
			l.wg.Add(1)
			go func() {
				defer l.wg.Done()
				serve(nc)
			}()
		}
	}()
}

// Close stops accepting. Connections that were accepted live on.
func (l *Listener) Close() {
	l.once.Do(func() {
		close(l.done)
		l.ln.Close()
	})
}

// Wait waits until all that was served has ended, after Close.
func (l *Listener) Wait() { l.wg.Wait() }
