package transport

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stressFor is how long TestStress runs with each number of processors.
var stressFor = flag.Duration("stress", 700*time.Millisecond, "how long TestStress runs with each number of processors")

// TestStress has many connections of all kinds come, talk and go at the same time.
// Everything sent to one that is not cut comes back, in order; each ends once;
// no descriptor is left.
func TestStress(t *testing.T) {
	for _, procs := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			before := descriptors(t)
			w := newWorld(t, procs)
			w.run()
			waitFor(t, func() bool { return descriptors(t) <= before })
		})
	}
}

func descriptors(t *testing.T) int {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		ln.Close() // the runtime's own descriptors come with the first socket
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("the system does not tell which descriptors are open")
	}
	return len(list)
}

// world is a server that echoes, and its clients.
type world struct {
	t       *testing.T
	ln      net.Listener
	server  *Poller
	client  *Poller
	tls     *tls.Config
	stop    chan struct{}
	wg      sync.WaitGroup
	opened  atomic.Int64
	ended   atomic.Int64
	whole   atomic.Int64 // conversations that came to their end
	disturb chan *echoer // those that may be cut
	mu      sync.Mutex
	all     map[*echoer]struct{}
}

const (
	modePlain = iota
	modeTLS
	modeS2
	modeBoth
	modes
)

func newWorld(t *testing.T, procs int) *world {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, ln: ln, server: NewPoller(procs), client: NewPoller(1), tls: serverTLS(t),
		stop: make(chan struct{}), disturb: make(chan *echoer, 64), all: make(map[*echoer]struct{}),
	}
}

func (w *world) run() {
	w.wg.Go(w.accept)
	w.wg.Go(w.trouble)
	w.wg.Go(w.chatter)
	var clients sync.WaitGroup
	for range 40 {
		clients.Go(func() {
			for {
				select {
				case <-w.stop:
					return
				default:
					w.one()
				}
			}
		})
	}
	time.Sleep(*stressFor)
	close(w.stop)
	clients.Wait()
	w.ln.Close()
	waitFor(w.t, func() bool { return w.opened.Load() == w.ended.Load() })
	w.wg.Wait()
	w.server.Close()
	w.client.Close()
	if w.whole.Load() < 20 {
		w.t.Errorf("only %d conversations came to their end", w.whole.Load())
	}
	w.t.Logf("%d connections, %d conversations to their end, %d loops", w.opened.Load(), w.whole.Load(), len(w.server.loops))
}

// echoer is one connection at the server.
type echoer struct {
	c    *Conn
	once atomic.Int64
}

// HandleBlock echoes frames. Those that start with w have to wait for something, with
// c the connection may be cut from then on, and with q it is to be ended.
func (e *echoer) HandleBlock(b []byte) (n, need int, err error) {
	defer e.c.Flush()
	for len(b)-n >= 4 {
		size := 4 + int(binary.BigEndian.Uint32(b[n:]))
		if len(b)-n < size {
			return n, size, nil
		}
		f := b[n : n+size]
		switch f[4] {
		case 'w':
			if e.c.Afloat() {
				return n, 0, ErrMayBlock
			}
			time.Sleep(time.Microsecond)
		case 'q':
			return n, 0, errDone
		}
		e.c.Write(f)
		n += size
	}
	return n, 0, nil
}

func (w *world) accept() {
	for {
		nc, err := w.ln.Accept()
		if err != nil {
			return
		}
		w.opened.Add(1)
		w.wg.Go(func() { w.serve(nc) })
	}
}

func (w *world) serve(nc net.Conn) {
	c, err := New(nc, Options{Poller: w.server, WriteDeadline: 20 * time.Second})
	if err != nil {
		w.t.Error(err)
		return
	}
	e := &echoer{c: c}
	end := func(err error) {
		if e.once.Add(1) != 1 {
			w.t.Error("a connection ended twice")
		}
		w.mu.Lock()
		delete(w.all, e)
		w.mu.Unlock()
		if errors.Is(err, errDone) || rand.IntN(2) == 0 {
			c.Finish(err, 5*time.Second)
		} else {
			c.Close()
		}
		w.ended.Add(1)
	}
	head, err := c.Peek(1, time.Now().Add(10*time.Second))
	if err != nil {
		end(err)
		return
	}
	mode, cut := head[0]&0xf, head[0]&0x10 != 0
	c.Discard(1)
	if mode&modeTLS != 0 {
		if err := c.StartTLS(w.tls, true, 10*time.Second); err != nil {
			w.t.Error(err)
			end(err)
			return
		}
	}
	if mode&modeS2 != 0 {
		c.StartS2Read()
		c.StartS2Write(Fast, time.Second)
	}
	w.mu.Lock()
	w.all[e] = struct{}{}
	w.mu.Unlock()
	c.Rest()
	c.Run(e, end)
	if cut {
		select {
		case w.disturb <- e:
		default:
		}
	}
}

// trouble ends connections from outside.
func (w *world) trouble() {
	for {
		select {
		case <-w.stop:
			return
		case e := <-w.disturb:
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			switch rand.IntN(4) {
			case 0:
				e.c.Abort(errDone)
			case 1:
				e.c.Interrupt()
			case 2:
				e.c.Kill(errDone)
			case 3:
				e.c.Interrupt()
				e.c.Abort(nil)
			}
		}
	}
}

// chatter writes to whoever is there, as publishers do.
func (w *world) chatter() {
	for {
		select {
		case <-w.stop:
			return
		case <-time.After(time.Millisecond):
		}
		w.mu.Lock()
		for e := range w.all {
			if rand.IntN(3) == 0 {
				e.c.Write(frame([]byte("b")))
				e.c.Flush()
			}
		}
		w.mu.Unlock()
	}
}

// one is one client, from its coming to its going.
func (w *world) one() {
	nc, err := net.Dial("tcp", w.ln.Addr().String())
	if err != nil {
		w.t.Error(err)
		return
	}
	mode, cut := byte(rand.IntN(modes)), byte(rand.IntN(4)/3)
	count, size, slow, bytewise := 1+rand.IntN(60), 1+rand.IntN(2000), false, false
	switch rand.IntN(8) {
	case 0:
		mode, slow, size, count = modePlain, true, 30000, 200
	case 1:
		mode, bytewise, size, count = modePlain, true, 20, 5
	case 2:
		size, count = 100000, 10
	case 3:
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
	nc.Write([]byte{mode | cut<<4})
	if mode == modePlain {
		w.raw(nc, cut != 0, count, size, slow, bytewise)
		return
	}
	w.layered(nc, mode, cut != 0, count, size)
}

// say makes the i-th frame of a conversation.
func say(i, size int) []byte {
	p := make([]byte, 5+size)
	p[0] = "eeeew"[i%5]
	binary.BigEndian.PutUint32(p[1:], uint32(i))
	return frame(p)
}

// heard checks what comes back.
type heard struct{ next int }

func (h *heard) take(p []byte) error {
	if p[0] == 'b' {
		return nil
	}
	if i := int(binary.BigEndian.Uint32(p[1:])); i != h.next {
		return fmt.Errorf("frame %d where %d was expected", i, h.next)
	}
	h.next++
	return nil
}

// raw is a client that reads and writes its socket as it likes.
func (w *world) raw(nc net.Conn, cut bool, count, size int, slow, bytewise bool) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	var sent sync.WaitGroup
	defer sent.Wait()
	sent.Go(func() {
		for i := range count {
			f := say(i, size)
			step := len(f)
			if bytewise {
				step = 1
			}
			for at := 0; at < len(f); at += step {
				if _, err := nc.Write(f[at : at+step]); err != nil {
					return
				}
			}
		}
	})
	if slow {
		time.Sleep(50 * time.Millisecond)
	}
	var h heard
	var head [4]byte
	for h.next < count {
		_, err := io.ReadFull(nc, head[:])
		p := []byte{}
		if err == nil {
			p = make([]byte, binary.BigEndian.Uint32(head[:]))
			_, err = io.ReadFull(nc, p)
		}
		if err == nil {
			err = h.take(p)
		} else if cut && !IsTimeout(err) {
			nc.Close()
			return
		}
		if err != nil {
			w.t.Errorf("plain: after %d of %d frames of %d bytes: %v", h.next, count, size, err)
			nc.Close()
			return
		}
	}
	w.whole.Add(1)
	if rand.IntN(2) == 0 {
		nc.Write(frame([]byte("q")))
		for { // an end in good order
			if _, err := nc.Read(head[:]); err != nil {
				if !errors.Is(err, io.EOF) && !cut {
					w.t.Errorf("instead of the end: %v", err)
				}
				return
			}
		}
	}
}

// layered is a client that is a Conn too.
func (w *world) layered(nc net.Conn, mode byte, cut bool, count, size int) {
	c, err := New(nc, Options{Poller: w.client})
	if err != nil {
		w.t.Error(err)
		return
	}
	defer c.Close()
	if mode&modeTLS != 0 {
		if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}, false, 10*time.Second); err != nil {
			w.t.Errorf("mode %d: %v", mode, err)
			return
		}
	}
	if mode&modeS2 != 0 {
		c.StartS2Read()
		c.StartS2Write(Fast, time.Second)
	}
	var h heard
	limit := time.AfterFunc(30*time.Second, func() { c.Abort(os.ErrDeadlineExceeded) })
	defer limit.Stop()
	go func() {
		for i := range count {
			c.Write(say(i, size))
			if i%3 == 0 {
				c.Flush()
			}
		}
		c.Flush()
	}()
	err = c.Serve(&frames{on: func(p []byte) error {
		if err := h.take(p); err != nil {
			return err
		}
		if h.next == count {
			return errDone
		}
		return nil
	}})
	switch {
	case errors.Is(err, errDone):
		w.whole.Add(1)
	case !cut || IsTimeout(err):
		w.t.Errorf("mode %d: after %d of %d frames of %d bytes: %v", mode, h.next, count, size, err)
	}
}
