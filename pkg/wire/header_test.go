package wire

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestHeaderValue(t *testing.T) {
	hdr := "NATS/1.0\r\nFirst: one\r\nAB: long\r\nB:\t two words \r\nEmpty:\r\nB: again\r\nnote: B: no\r\n\r\n"
	for _, tc := range []struct {
		name, want string
		ok         bool
	}{
		{"First", "one", true}, {"B", "two words ", true}, {"AB", "long", true}, {"Empty", "", true}, {"note", "B: no", true},
		{"first", "", false}, {"Firs", "", false}, {"irst", "", false}, {"NATS/1.0", "", false}, {"Missing", "", false},
	} {
		got, ok := HeaderValue([]byte(hdr), tc.name)
		if string(got) != tc.want || ok != tc.ok {
			t.Errorf("%s: %q, %v", tc.name, got, ok)
		}
	}
	for _, bad := range []string{"", "B", "B: x", "\r\n", "\r\nB", "NATS/1.0\r\nB: never ends", "NATS/1.0\r\nB"} {
		if got, ok := HeaderValue([]byte(bad), "B"); ok {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

func TestHeaderStatus(t *testing.T) {
	for in, want := range map[string]int{
		"NATS/1.0 503\r\n\r\n": 503, "NATS/1.0 100 Idle Heartbeat\r\n\r\n": 100, "NATS/1.0\r\n\r\n": 0, "NATS/1.0 x\r\n\r\n": 0,
		"NATS/1.0 5": 0, "": 0, "HTTP/1.1 200\r\n": 0,
	} {
		if got := HeaderStatus([]byte(in)); got != want {
			t.Errorf("%q: %d", in, got)
		}
	}
}

func TestSetHeader(t *testing.T) {
	for _, tc := range []struct {
		in, want string
		ok       bool
	}{
		{"", "NATS/1.0\r\nX: new\r\n\r\n", true},
		{"NATS/1.0\r\n\r\n", "NATS/1.0\r\nX: new\r\n\r\n", true},
		{"NATS/1.0 503\r\nA: 1\r\n\r\n", "NATS/1.0 503\r\nA: 1\r\nX: new\r\n\r\n", true},
		{"NATS/1.0\r\nX: 1\r\nA: 2\r\nX: 3\r\nX: 4\r\nXX: 5\r\n\r\n", "NATS/1.0\r\nA: 2\r\nXX: 5\r\nX: new\r\n\r\n", true},
		{"NATS/1.0\r\nx: 1\r\n\r\n", "NATS/1.0\r\nx: 1\r\nX: new\r\n\r\n", true},
		{"NATS/1.0\r\nX: 1\r\n", "NATS/1.0\r\nX: 1\r\n", false},
		{"garbage", "garbage", false},
	} {
		got, ok := AppendSetHeader([]byte("> "), []byte(tc.in), "X", []byte("new"))
		if string(got) != "> "+tc.want || ok != tc.ok {
			t.Errorf("%q: %q, %v", tc.in, got, ok)
		}
	}
	if got := AppendDelHeader(nil, []byte("NATS/1.0\r\nX: 1\r\nA: 2\r\nX: 3\r\n\r\n"), "X"); string(got) != "NATS/1.0\r\nA: 2\r\n\r\n" {
		t.Errorf("deleted: %q", got)
	}
	if got := AppendDelHeader(nil, []byte("NATS/1.0\r\nX: 1"), "X"); string(got) != "NATS/1.0\r\nX: 1" {
		t.Errorf("malformed: %q", got)
	}
}

// Setting a header leaves all others as they were, in their order, whatever they are.
func TestSetHeaderKeepsOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"A", "B", "AB", "Ba", "b"}), 0, 8).Draw(t, "names")
		in, want := "NATS/1.0\r\n", "NATS/1.0\r\n"
		for i, n := range names {
			line := n + ": A:" + strings.Repeat("x", i) + "\r\n"
			in += line
			if n != "A" {
				want += line
			}
		}
		got, ok := AppendSetHeader(nil, []byte(in+"\r\n"), "A", []byte("v"))
		if want += "A: v\r\n\r\n"; string(got) != want || !ok {
			t.Fatalf("%q:\n got %q\nwant %q", in, got, want)
		}
		if v, ok := HeaderValue(got, "A"); string(v) != "v" || !ok {
			t.Fatalf("%q read back: %q, %v", got, v, ok)
		}
	})
}
