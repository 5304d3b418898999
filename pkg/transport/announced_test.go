package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
)

// Announcing a message costs its reader nothing: memory follows what arrives.
func TestAnnouncedSizeIsNotTrusted(t *testing.T) {
	x, y := sockets(t)
	defer x.Close()
	c, err := New(y, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() {
		_, _ = x.Write(binary.BigEndian.AppendUint32(nil, 900<<20))
		_, _ = x.Write(make([]byte, 1000))
		x.Close()
	}()
	err = c.Serve(&frames{on: func([]byte) error { return errors.New("a frame came") }})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.EOF) {
		t.Errorf("Serve: %v, want %v", err, io.EOF)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("%d bytes were allocated for 1000", got)
	}
}

// A message far larger than what is trusted arrives whole, with others before and behind it.
func TestLargeMessageGrows(t *testing.T) {
	x, y := sockets(t)
	defer x.Close()
	c, err := New(y, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var want [][]byte
	for i, size := range []int{5, 17<<20 + 3, 1, 2 << 20, 2<<20 - 4, 4<<20 + 1, 0} {
		want = append(want, bytes.Repeat([]byte{byte(i + 1)}, size))
	}
	go func() {
		for _, p := range want {
			_, _ = x.Write(frame(p))
		}
	}()
	got := 0
	err = c.Serve(&frames{on: func(p []byte) error {
		if !bytes.Equal(p, want[got]) {
			return errors.New("a frame is damaged")
		}
		if got++; got == len(want) {
			return errDone
		}
		return nil
	}})
	if !errors.Is(err, errDone) {
		t.Errorf("after %d of %d frames: %v", got, len(want), err)
	}
}
