package traffic

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// feed makes the run of one publisher and one receiver and lets numbers arrive.
func feed(t *testing.T, count int, numbers ...uint32) *Report {
	t.Helper()
	r := &Run{load: Load{Subject: "s", Count: count, Publishers: make([]*nats.Conn, 1)}, start: time.Now()}
	r.sent = [][]int64{make([]int64, count)}
	for n := range r.sent[0] {
		r.sent[0][n] = int64(n) * int64(time.Second)
	}
	b := &book{name: "receiver", ordered: true, lines: make([]line, 1)}
	b.lines[0].seen, b.lines[0].shares, b.lines[0].last = make([]uint64, (count+63)/64), make([]int, 1), -1
	r.books = []*book{b}
	buf := make([]byte, 16)
	for _, n := range numbers {
		message(buf, 0, n, 0)
		r.receive(b, 0, &nats.Msg{Data: buf})
	}
	return r.report()
}

func TestAccount(t *testing.T) {
	for _, c := range []struct {
		name               string
		numbers            []uint32
		received, twice    int
		misordered, losses int
		odd                string
	}{
		{"all in order", []uint32{probe, 0, 1, 2, 3, endMark}, 4, 0, 0, 0, ""},
		{"one lost", []uint32{0, 1, 3}, 3, 0, 0, 1, ""},
		{"one twice", []uint32{0, 1, 1, 2, 3}, 4, 1, 0, 0, "message 1 of publisher 0 came twice"},
		{"one twice, later", []uint32{0, 1, 2, 3, 0}, 4, 1, 0, 0, "message 0 of publisher 0 came twice"},
		{"out of order", []uint32{0, 2, 1, 3}, 4, 0, 1, 0, "message 1 of publisher 0 came after 2"},
		{"nothing", nil, 0, 0, 0, 4, ""},
		{"marks are no messages", []uint32{probe, probe, endMark, endMark}, 0, 0, 0, 4, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep := feed(t, 4, c.numbers...)
			if rep.Received != c.received || rep.Duplicates != c.twice || rep.Misordered != c.misordered || len(rep.Lost) != c.losses {
				t.Errorf("%v", rep)
			}
			if got := strings.Join(rep.Odd, "; "); !strings.Contains(got, c.odd) || (c.odd == "") != (got == "") {
				t.Errorf("first oddity %q, want %q", got, c.odd)
			}
		})
	}
}

func TestLossesOutsideOfEvents(t *testing.T) {
	rep := feed(t, 100, 0, 1) // message n is sent in second n
	begin := rep.Lost[0].Sent.Add(-2 * time.Second)
	events := []Event{{"kill", begin.Add(10 * time.Second)}, {"kill", begin.Add(50 * time.Second)}}
	out := rep.Outside(events, time.Second, 2*time.Second)
	near := map[int]bool{9: true, 10: true, 11: true, 12: true, 49: true, 50: true, 51: true, 52: true}
	if want := 98 - len(near); len(out) != want {
		t.Errorf("%d losses outside, want %d", len(out), want)
	}
	for _, l := range out {
		if near[l.Number] {
			t.Errorf("message %d, sent beside an event, counts as outside", l.Number)
		}
	}
	if text := rep.Explain(events, time.Second, 2*time.Second); !strings.Contains(text, "4 deliveries lost, sent from -1s to 2s") {
		t.Errorf("explained as %q", text)
	}
}
