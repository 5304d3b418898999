package transport

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/s2"
)

// blocks is a handler that is told of each block and takes it.
type blocks func(b []byte)

func (f blocks) HandleBlock(b []byte) (int, int, error) {
	f(b)
	return len(b), 0, nil
}

// TestBombHoldsUpNobody: a few bytes that unpack to very many are not handled in one
// go while others on the same loop wait, and all of them are handled.
func TestBombHoldsUpNobody(t *testing.T) {
	p := NewPoller(1)
	t.Cleanup(p.Close)
	open := func() (near, far *Conn) {
		x, y := sockets(t)
		near, err := New(x, Options{Poller: p})
		if err != nil {
			t.Fatal(err)
		}
		far, err = New(y, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return near, far
	}
	const total = 64 << 20
	var bomb bytes.Buffer
	w := s2.NewWriter(&bomb, s2.WriterBlockSize(4<<20), s2.WriterConcurrency(1))
	w.Write(make([]byte, total))
	w.Close()

	victim, other := open()
	target, bomber := open()
	target.StartS2Read()
	served := make(chan struct{}, 2)
	seen, at := 0, 0
	all, heard := make(chan struct{}), make(chan struct{})
	go func() {
		victim.Serve(blocks(func([]byte) { at = seen; close(heard) }))
		served <- struct{}{}
	}()
	go func() {
		target.Serve(blocks(func(b []byte) {
			if !target.Afloat() {
				t.Error("not on the loop")
			}
			if seen == 0 {
				other.WriteFlush([]byte("x"))
			}
			if seen += len(b); seen == total {
				close(all)
			}
		}))
		served <- struct{}{}
	}()
	afloat := func(c *Conn) (is bool) {
		c.Locked(func() { is = c.loop != nil })
		return is
	}
	waitFor(t, func() bool { return afloat(victim) && afloat(target) })
	bomber.WriteFlush(bomb.Bytes())
	<-heard
	<-all
	if at == 0 || at > total/2 {
		t.Errorf("another was heard after %d of %d bytes", at, total)
	}
	for _, c := range []*Conn{victim, target} {
		c.Interrupt()
		<-served
	}
	for _, c := range []*Conn{victim, target, other, bomber} {
		c.Close()
	}
}
