package transport

import (
	"errors"
	"testing"
	"time"
)

// begun handles words of four bytes.
type begun struct{}

func (begun) HandleBlock(b []byte) (n, need int, err error) { return len(b) &^ 3, 0, nil }

// TestHalfSentHoldsLittle: whoever leaves an operation half sent makes nobody hold a
// whole read buffer for it, whenever that is and whatever the layers.
func TestHalfSentHoldsLittle(t *testing.T) {
	for name, layer := range layerings() {
		for _, first := range []string{"abcdef", "ab"} {
			t.Run(name+" "+first, func(t *testing.T) {
				a, b := pair(t, Options{}, Options{})
				layer(t, a, b)
				served := make(chan struct{})
				go func() { b.Serve(begun{}); close(served) }()
				in, out := b.BytesIn(), a.BytesOut()
				a.WriteFlush([]byte(first))
				waitFor(t, func() bool { return b.BytesIn() > in && b.BytesIn()-in == a.BytesOut()-out })
				b.Interrupt()
				<-served
				held := cap(b.rbuf)
				for _, s := range b.stages {
					held += cap(s.in)
				}
				if held > 2*maxSlim {
					t.Errorf("%d bytes are held", held)
				}
			})
		}
	}
}

// TestHalfBlockHoldsLittle: the same with the start of an S2 block.
func TestHalfBlockHoldsLittle(t *testing.T) {
	a, b := pair(t, Options{}, Options{})
	b.StartS2Read()
	served := make(chan struct{})
	go func() { b.Serve(begun{}); close(served) }()
	const half = "\xff\x06\x00\x00S2sTwO\x01\x05\x00\x00aaa"
	a.WriteFlush([]byte(half))
	waitFor(t, func() bool { return b.BytesIn() == int64(len(half)) })
	b.Interrupt()
	<-served
	if held := cap(b.rbuf) + cap(b.stages[0].in); held == 0 || held > 2*maxSlim {
		t.Errorf("%d bytes are held", held)
	}
}

// TestAnswersOfTLS: what crypto/tls writes while it reads goes out though nobody
// writes: a peer that asks for a key update again and again must not fill the memory.
func TestAnswersOfTLS(t *testing.T) {
	a, b := pair(t, Options{}, Options{})
	layerings()["tls"](t, a, b)
	served := make(chan struct{})
	go func() { b.Serve(begun{}); close(served) }()
	out := b.BytesOut()
	b.layer.Write(make([]byte, 100)) // as the reading half does
	a.WriteFlush([]byte("word"))
	waitFor(t, func() bool { return b.BytesOut() == out+100 })
	b.Interrupt()
	<-served
}

// TestFullRecords: chunks of the queue do not end in records of their own.
func TestFullRecords(t *testing.T) {
	a, b := pair(t, Options{}, Options{})
	layerings()["tls"](t, a, b)
	served := make(chan struct{})
	go func() { b.Serve(begun{}); close(served) }()
	out, plain := a.BytesOut(), 0
	for range 10 { // three of them fit in a chunk
		plain += 16<<10 + 40
		a.Write(make([]byte, 16<<10+40))
	}
	a.Flush()
	waitFor(t, func() bool { return a.Pending() == 0 })
	const overhead = 5 + 1 + 16 // header, type and tag of a TLS 1.3 record
	if records := (int(a.BytesOut()-out) - plain) / overhead; records != (plain+tlsRecord-1)/tlsRecord {
		t.Errorf("%d records for %d bytes", records, plain)
	}
	b.Interrupt()
	<-served
}

// TestRefusedIsNotServed: a handler that ended the connection by an error does not get the same block once more.
func TestRefusedIsNotServed(t *testing.T) {
	a, b := pair(t, Options{}, Options{})
	calls := 0
	b.WriteFlush(frame([]byte("word")))
	if err := a.Serve(&frames{on: func([]byte) error { calls++; return errDone }}); !errors.Is(err, errDone) {
		t.Fatalf("Serve: %v", err)
	}
	go b.Close()
	a.FinishServing(nil, time.Second, time.Second)
	if calls != 1 {
		t.Errorf("the handler was called %d times", calls)
	}
	// One that never served has no handler.
	c, d := pair(t, Options{}, Options{})
	d.WriteFlush(frame([]byte("word")))
	if _, err := c.Peek(1, time.Now().Add(5*time.Second)); err != nil {
		t.Fatal(err)
	}
	go d.Close()
	c.FinishServing(nil, time.Second, time.Second)
}
