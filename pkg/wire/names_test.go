package wire

import (
	"encoding/base64"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPoolIndex(t *testing.T) {
	for _, tc := range []struct {
		account string
		hash    uint32
		index   [4]int // of 2, 3, 5, 10
	}{
		{"$G", 0x7abc619c, [4]int{0, 2, 3, 8}},
		{"$SYS", 0x02d66af8, [4]int{0, 0, 0, 0}},
		{"A", 0xc40bf6cc, [4]int{0, 0, 2, 2}},
		{"B", 0xc70bfb85, [4]int{1, 0, 4, 9}},
		{"ORDERS", 0xd51e03ac, [4]int{0, 1, 3, 8}},
		{"AC5V4OC2POUAX4W4H7CKN5TQ5AKVJJ4AJ7XZKNER6P6DHKBYGVGJHSNC", 0xbac5194a, [4]int{0, 2, 2, 2}},
	} {
		if got := fnv1a(tc.account); got != tc.hash {
			t.Errorf("%s: hash %08x, want %08x", tc.account, got, tc.hash)
		}
		for i, size := range []int{2, 3, 5, 10} {
			if got := PoolIndex(tc.account, size); got != tc.index[i] {
				t.Errorf("%s of %d: %d, want %d", tc.account, size, got, tc.index[i])
			}
			if got := PoolIndex([]byte(tc.account), size); got != tc.index[i] {
				t.Errorf("%s of %d as bytes: %d, want %d", tc.account, size, got, tc.index[i])
			}
		}
		for _, size := range []int{1, 0, -1} {
			if got := PoolIndex(tc.account, size); got != 0 {
				t.Errorf("%s of %d: %d", tc.account, size, got)
			}
		}
	}
}

func TestGatewayHashes(t *testing.T) {
	for _, tc := range []struct{ name, six, old string }{
		{"A", "NUmM6c", "559a"},
		{"B", "b2oh2L", "df7e"},
		{"C", "jZ6RvV", "6b23"},
		{"EU", "Lois3o", "9170"},
		{"US", "VWkHCQ", "9b20"},
		{"region-1", "fV0u1L", "29d9"},
		{"NB2U6PSQ5MGDD526XGYOS7BXKC4THNSA4QLIX5FC75XBWED7HLANZVJP", "A05KOF", ""},
	} {
		if got := GatewayHash(tc.name); got != tc.six {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.six)
		}
		if got := OldGatewayHash(tc.name); tc.old != "" && got != tc.old {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.old)
		}
	}
	if got := NameHash("r2", 8); got != "Xv51pPqX" {
		t.Errorf("eight characters of r2: %s", got)
	}
}

func TestGatewayReplies(t *testing.T) {
	for _, tc := range []struct {
		in, cluster, server, reply string
		ok                         bool
	}{
		{"_GR_.NUmM6c.A05KOF.INB.1.x", "NUmM6c", "A05KOF", "INB.1.x", true},
		{"_GR_.NUmM6c.A05KOF.x", "NUmM6c", "A05KOF", "x", true},
		{"$GR.559a.INB.1.x", "559a", "", "INB.1.x", true},
		{"$GR.559a.x", "559a", "", "x", true},
		{"_GR_.NUmM6c.A05KOF.", "", "", "", false},
		{"_GR_.NUmM6c.A05KOFxINB", "", "", "", false},
		{"_GR_.NUmM6cxA05KOF.INB", "", "", "", false},
		{"_GR_.", "", "", "", false},
		{"_GR_.short", "", "", "", false},
		{"_gr_.NUmM6c.A05KOF.INB", "", "", "", false},
		{"$GR.559a.", "", "", "", false},
		{"$GR.559aINB.x", "", "", "", false},
		{"$GR.", "", "", "", false},
		{"INB.1.x", "", "", "", false},
		{"", "", "", "", false},
	} {
		cluster, server, reply, ok := SplitGatewayReply([]byte(tc.in))
		if string(cluster) != tc.cluster || string(server) != tc.server || string(reply) != tc.reply || ok != tc.ok {
			t.Errorf("%q: %q %q %q %v", tc.in, cluster, server, reply, ok)
		}
		want := tc.in
		if tc.ok {
			want = tc.reply
		}
		if got := string(StripGatewayReply([]byte(tc.in))); got != want {
			t.Errorf("%q stripped: %q", tc.in, got)
		}
		if got := IsGatewayReply([]byte(tc.in)); got != (tc.server != "") {
			t.Errorf("%q is a gateway reply: %v", tc.in, got)
		}
		if !tc.ok {
			continue
		}
		var back []byte
		if tc.server != "" {
			back = AppendGatewayReply(nil, tc.cluster, tc.server, reply)
		} else {
			back = AppendOldGatewayReply(nil, tc.cluster, reply)
		}
		if string(back) != tc.in {
			t.Errorf("%q mapped again: %q", tc.in, back)
		}
	}
}

func TestReservedReplies(t *testing.T) {
	for in, want := range map[string]bool{
		"_R_.x": true, "_GR_.x": true, "$JS.ACK.x": true, "_R_.": false, "_GR_.": false, "$JS.ACK.": false,
		"_R_x": false, "$JS.ACKx": false, "": false, "_INBOX.x": false, "$JS.API.x": false,
	} {
		if got := IsReservedReply([]byte(in)); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestDeliverReplies(t *testing.T) {
	for _, tc := range []struct{ in, ack, subject string }{
		{"$JS.ACK.s.c.1.1.1.1.0@orig.subj", "$JS.ACK.s.c.1.1.1.1.0", "orig.subj"},
		{"$JS.ACK.dom.hash.s.c.1.1.1.1.0.tok@orig", "$JS.ACK.dom.hash.s.c.1.1.1.1.0.tok", "orig"},
		{"$JS.ACK.s.c@d.1.1.1.1.0@orig@x", "$JS.ACK.s.c@d.1.1.1.1.0", "orig@x"},
		{"$JS.ACK.s.c.1.1.1.1@orig", "", ""},   // seven dots
		{"$JS.ACK.s.c.1.1.1.1@a.b.c", "", ""},  // dots behind do not count
		{"$JS.ACK.s.c.1.1.1.1.0@", "", ""},     // no subject
		{"$JS.ACK.s.c.1.1.1.1.0", "", ""},      // nothing to split
		{"_INBOX.a.b.c.d.e.f.g.h.i@x", "", ""}, // no ack
		{"", "", ""},
	} {
		ack, subject, ok := SplitDeliverReply([]byte(tc.in))
		switch {
		case ok != (tc.ack != ""):
			t.Errorf("%q: %v", tc.in, ok)
		case ok && (string(ack) != tc.ack || string(subject) != tc.subject):
			t.Errorf("%q: %q, %q", tc.in, ack, subject)
		}
	}
	once := AppendDeliverReply(nil, []byte("$JS.ACK.s.c.1.1.1.1.0"), []byte("orig"))
	if string(once) != "$JS.ACK.s.c.1.1.1.1.0@orig" {
		t.Errorf("once: %q", once)
	}
	if twice := AppendDeliverReply(nil, once, []byte("other")); string(twice) != string(once) {
		t.Errorf("twice: %q", twice)
	}
}

// The split is where a plain reading of the rule puts it.
func TestDeliverReplyRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := AckReplyPrefix + rapid.StringMatching(`[a.@]{0,24}`).Draw(t, "rest")
		at := -1
		for i := range in {
			if in[i] == '@' && strings.Count(in[:i], ".") >= 8 && i+1 < len(in) {
				at = i
				break
			}
			if in[i] == '@' && strings.Count(in[:i], ".") >= 8 {
				break
			}
		}
		ack, subject, ok := SplitDeliverReply([]byte(in))
		if ok != (at >= 0) || ok && (string(ack) != in[:at] || string(subject) != in[at+1:]) {
			t.Fatalf("%q: %q, %q, %v, want a cut at %d", in, ack, subject, ok, at)
		}
	})
}

func TestNonce(t *testing.T) {
	a, b := NewNonce(), NewNonce()
	if a == b {
		t.Errorf("twice the same: %s", a)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(a); err != nil || len(raw) != 11 || len(a) != 15 {
		t.Errorf("%q: %d bytes, %v", a, len(raw), err)
	}
}
