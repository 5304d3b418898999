package daemon

import "testing"

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
