package daemon

import (
	"sync"
	"testing"
)

var sink []byte

// TestTrimmerWaitsForQuiet: it is due after a lot was allocated, not while it is,
// and not again.
func TestTrimmerWaitsForQuiet(t *testing.T) {
	tr := startTrimmer()
	tr.stop()
	tr.look()
	tr.trimmed = tr.last
	if tr.due() {
		t.Error("due without cause")
	}
	for range 64 {
		sink = make([]byte, 1<<20)
	}
	if tr.due() {
		t.Error("due while much is allocated")
	}
	if !tr.due() {
		t.Error("not due when it has become quiet")
	}
	tr.trimmed = tr.last
	if tr.due() {
		t.Error("due again")
	}
}

// TestTrimmerAfterStart: the first trim needs no more than quiet.
func TestTrimmerAfterStart(t *testing.T) {
	tr := startTrimmer()
	tr.stop()
	tr.look()
	if tr.trimmed != 0 {
		t.Fatal("trimmed before it was quiet")
	}
	if !tr.due() {
		t.Error("not due after the start")
	}
}

func TestNextLook(t *testing.T) {
	wait := trimSoon
	for range 10 {
		wait = nextLook(wait, trimQuiet-1)
	}
	if wait != trimLate {
		t.Errorf("%v after a long quiet", wait)
	}
	if got := nextLook(wait, trimQuiet); got != trimSoon {
		t.Errorf("%v after something was allocated", got)
	}
}

// TestTrimEmptiesPools: what has been pooled goes as well.
func TestTrimEmptiesPools(t *testing.T) {
	var p sync.Pool
	for range 100 {
		p.Put(new([1 << 10]byte))
	}
	trim()
	if p.Get() != nil {
		t.Error("a buffer is still pooled")
	}
}
