package leaf

import (
	"bytes"
	"testing"
)

// FuzzCredentials: whatever a file holds, what is taken from it stands in it and is
// made of letters of tokens and seeds alone.
func FuzzCredentials(f *testing.F) {
	f.Add([]byte("-----BEGIN NATS USER JWT-----\neyJ0.eyJ1.x-_y\n------END NATS USER JWT------\n\n*** NOTE ***\n\n-----BEGIN USER NKEY SEED-----\nSUAB\n------END USER NKEY SEED------\n"))
	f.Add([]byte("-----A-----\r\na\r\n-----B-----\r\n-----C-----\r\nb\r\n---"))
	f.Add([]byte("---\n---\n---\nx\n---\n\n---\ny y\n---\n"))
	f.Add([]byte("eyJ0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, second := blocks(b)
		if first == nil && second != nil {
			t.Fatal("a second block without a first")
		}
		for _, x := range [][]byte{first, second} {
			if x != nil && (!plain(x) || !bytes.Contains(b, x)) {
				t.Fatalf("%q of %q", x, b)
			}
		}
		if _, _, err := sign(bytes.Clone(second), "nonce"); err == nil && !bytes.HasPrefix(second, []byte("SU")) {
			t.Fatalf("signed with %q", second)
		}
	})
}
