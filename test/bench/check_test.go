//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/test/bench/dialect"
)

// testFlow adds a flow without connection and a mark for each message.
func testFlow(t interface{ Helper() }, s *session, spec flowSpec) *publisher {
	t.Helper()
	p := &publisher{flow: newFlow(s.run, uint16(len(s.flows)), spec, newBodies(spec.size)), moved: make(chan struct{}, 1)}
	p.progress = newProgress(1, 1, 8)
	s.flows = append(s.flows, p)
	return p
}

// deliver is what a server makes of a PUB or HPUB line by line: the same operation with a subscription number.
func deliver(pub []byte, sid int) []byte {
	line, rest, _ := bytes.Cut(pub, []byte("\r\n"))
	f := strings.Fields(string(line))
	f[0] = map[string]string{"PUB": "MSG", "HPUB": "HMSG"}[f[0]]
	f[1] += fmt.Sprintf(" %d", sid)
	return append([]byte(strings.Join(f, " ")+"\r\n"), rest...)
}

func oneByOne(p *publisher, n int) [][]byte {
	var out [][]byte
	for seq := range uint64(n) {
		b, k := p.messages(seq, 1)
		if k != 1 {
			panic("no message")
		}
		out = append(out, bytes.Clone(b))
	}
	return out
}

func reader(s *session, u *unit) *subscriber {
	s.units = append(s.units, u)
	c := &subscriber{s: s, e: &endpoint{fd: -1, speak: dialect.NATS{}}, unit: u, last: make([]uint64, len(u.track))}
	c.e.listen(c)
	return c
}

var kinds = map[string]flowSpec{
	"plain":    {size: 16, subjects: []string{"a.b"}, block: 300},
	"body":     {size: 200, subjects: []string{"a.b"}, block: 1000},
	"subjects": {size: 33, subjects: []string{"a.1", "a.2", "a.3"}, block: 100},
	"header":   {size: 40, subjects: []string{"a.b"}, header: "NATS/1.0\r\nA: b\r\n\r\n", block: 100},
	"reply":    {size: 40, subjects: []string{"a.b"}, reply: "_INBOX.x.", block: 100},
	"all":      {size: 40, subjects: []string{"a.b"}, reply: "_INBOX.x.", header: "NATS/1.0\r\n\r\n", block: 100},
}

func TestHonestDeliveriesPassCutAnywhere(t *testing.T) {
	for name, spec := range kinds {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := &session{run: 7, loop: &loop{}}
				p := testFlow(t, s, spec)
				c := reader(s, newUnit("u", false, 0, 1))
				stream := []byte("INFO {}\r\n+OK\r\n")
				const n = 30
				for _, m := range oneByOne(p, n) {
					stream = append(stream, deliver(m, 1)...)
				}
				stream = append(stream, "PONG\r\n"...)
				for len(stream) > 0 {
					k := rapid.IntRange(1, min(len(stream), 400)).Draw(t, "cut")
					if err := c.e.reader.Feed(bytes.Clone(stream[:k])); err != nil {
						t.Fatal(err)
					}
					stream = stream[k:]
				}
				if got := c.unit.track[0].count; got != n {
					t.Fatalf("%d messages counted, want %d", got, n)
				}
				if c.e.pongs != 1 {
					t.Fatal("the PONG after them was not seen")
				}
				if p.done.Load() != n {
					t.Fatalf("the window stands at %d, want %d", p.done.Load(), n)
				}
			})
		})
	}
}

func TestBatchesAreTheSameAsSingleMessages(t *testing.T) {
	for name, spec := range kinds {
		p := testFlow(t, &session{run: 3}, spec)
		want := bytes.Join(oneByOne(p, 100), nil)
		var got []byte
		for seq := uint64(0); seq < 100; {
			b, n := p.messages(seq, min(p.perWrite, int(100-seq)))
			got = append(got, b...)
			seq += uint64(n)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: a block differs from its messages", name)
		}
	}
}

// Each thing that a server may do wrong must be noticed, and be told apart from a broken connection.
func TestEveryWrongDeliveryIsNoticed(t *testing.T) {
	spec := flowSpec{size: 64, subjects: []string{"a.1", "a.2", "a.3"}, header: "NATS/1.0\r\nA: b\r\n\r\n", block: 1000}
	other := testFlow(t, &session{run: 8}, spec)
	replace := func(old, new string) func([][]byte) [][]byte {
		return func(m [][]byte) [][]byte {
			m[4] = bytes.Replace(m[4], []byte(old), []byte(new), 1)
			return m
		}
	}
	for name, c := range map[string]struct {
		what string
		do   func(m [][]byte) [][]byte
	}{
		"lost":       {"lost", func(m [][]byte) [][]byte { return append(m[:4], m[5:]...) }},
		"doubled":    {"doubled", func(m [][]byte) [][]byte { m[5] = m[4]; return m }},
		"reordered":  {"out of order", func(m [][]byte) [][]byte { m[4], m[5] = m[5], m[4]; return m }},
		"subject":    {"mixed up", replace("a.2", "a.1")},
		"sid":        {"mixed up", replace(" 1 ", " 2 ")},
		"header":     {"mixed up", replace("A: b", "A: c")},
		"content":    {"mixed up", func(m [][]byte) [][]byte { m[4][len(m[4])-3] ^= 1; return m }},
		"stamp":      {"mixed up", func(m [][]byte) [][]byte { m[4][len(m[4])-2-64+9] ^= 1; return m }},
		"other run":  {"mixed up", func(m [][]byte) [][]byte { m[4] = deliver(oneByOne(other, 5)[4], 1); return m }},
		"payload of": {"mixed up", func(m [][]byte) [][]byte { copy(m[4][len(m[4])-20:], m[5][len(m[5])-20:]); return m }},
	} {
		t.Run(name, func(t *testing.T) {
			s := &session{run: 7, loop: &loop{}}
			p := testFlow(t, s, spec)
			r := reader(s, newUnit("u", false, 0, 1))
			ms := oneByOne(p, 10)
			for i := range ms {
				ms[i] = deliver(ms[i], 1)
			}
			err := r.e.reader.Feed(bytes.Join(c.do(ms), nil))
			var bad *wrongDelivery
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.what) {
				t.Errorf("got %v, want a wrong delivery that says %q", err, c.what)
			}
		})
	}
}

func TestMessageForSomebodyElse(t *testing.T) {
	s := &session{run: 7, loop: &loop{}}
	a := testFlow(t, s, kinds["plain"])
	b := testFlow(t, s, kinds["plain"])
	r := reader(s, newUnit("u", false, 0, 1))
	if err := r.e.reader.Feed(deliver(oneByOne(a, 1)[0], 1)); err != nil {
		t.Fatal(err)
	}
	if err := r.e.reader.Feed(deliver(oneByOne(b, 1)[0], 1)); err == nil || !strings.Contains(err.Error(), "not subscribed") {
		t.Errorf("got %v", err)
	}
	if err := (control{r.e}).Message(&dialect.Message{}); err == nil {
		t.Error("a message on a publisher's connection was accepted")
	}
}

func TestProbesAreNotCounted(t *testing.T) {
	s := &session{run: 7, loop: &loop{}}
	p := testFlow(t, s, kinds["plain"])
	r := reader(s, newUnit("u", false, 0, 1))
	if err := r.e.reader.Feed(deliver(p.probe("a.b"), 1)); err != nil {
		t.Fatal(err)
	}
	if tr := r.unit.track[0]; tr.count != 0 || tr.probes != 1 {
		t.Errorf("track %+v", tr)
	}
}

func TestQueueGroup(t *testing.T) {
	const n, members = 500, 3
	rapid.Check(t, func(t *rapid.T) {
		u := newUnit("g", true, 0, 1)
		last := make([]uint64, members)
		for seq := range uint64(n) {
			m := rapid.IntRange(0, members-1).Draw(t, "member")
			if err := u.take(0, seq, &last[m]); err != nil {
				t.Fatal(err)
			}
		}
		if u.track[0].count != n {
			t.Fatalf("%d counted", u.track[0].count)
		}
		seq := uint64(rapid.IntRange(0, n-1).Draw(t, "again"))
		if err := u.take(0, seq, &last[0]); err == nil || !strings.Contains(err.Error(), "doubled") {
			t.Fatalf("message %d twice gave %v", seq, err)
		}
	})
	u := newUnit("g", true, 0, 1)
	var one, two uint64
	for _, c := range []struct {
		seq  uint64
		last *uint64
		ok   bool
	}{{5, &one, true}, {3, &two, true}, {4, &one, false}, {1 << 60, &two, false}} {
		if err := u.take(0, c.seq, c.last); (err == nil) != c.ok {
			t.Errorf("message %d gave %v", c.seq, err)
		}
	}
}

// The window moves with the slowest of several units, whatever order they read in.
func TestProgressFollowsTheSlowest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const units, every, window = 3, 4, 40
		p := newProgress(every, units, 4*window/every)
		counts := make([]uint64, units)
		sent := uint64(0)
		for range 400 {
			sent = min(sent+5, p.done*every+window)
			i := rapid.IntRange(0, units-1).Draw(t, "unit")
			if counts[i] < sent {
				counts[i]++
				p.passed(counts[i])
			}
			least := min(counts[0], counts[1], counts[2])
			if p.done != least/every {
				t.Fatalf("counts %v, yet %d marks of %d are said to be passed", counts, p.done, every)
			}
		}
	})
}

func TestDamagedStampsAreNoticed(t *testing.T) {
	for _, in := range []string{"MSG  1 3\r\nabc\r\n", "MSG a 1 16\r\n0123456789abcdef\r\n", "MSG a 1 r 16\r\n0123456789abcdef\r\n "} {
		s := &session{run: 7, loop: &loop{}}
		testFlow(t, s, kinds["plain"])
		r := reader(s, newUnit("u", false, 0, 1))
		if err := r.e.reader.Feed([]byte(in)); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%.40q gave %v", in, err)
		}
	}
}

func TestHexDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64Range(0, 1<<48-1).Draw(t, "v")
		var b [replyDigits]byte
		putHex(b[:], v)
		if got, ok := readHex(b[:]); !ok || got != v || string(b[:]) != fmt.Sprintf("%012x", v) {
			t.Fatalf("%d became %q became %d, %v", v, b, got, ok)
		}
	})
	if _, ok := readHex([]byte("00000000000g")); ok {
		t.Error("g is a digit")
	}
}
