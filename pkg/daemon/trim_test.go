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
