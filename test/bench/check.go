//go:build linux

package main

import (
	"bytes"
	"fmt"

	"github.com/banyanmq/banyan/test/bench/dialect"
)

// wrongDelivery is what loses a run: a message that was not what or where it had to be.
type wrongDelivery struct{ what string }

func (e *wrongDelivery) Error() string { return e.what }

func wrong(format string, args ...any) error { return &wrongDelivery{fmt.Sprintf(format, args...)} }

// unit is whoever must get each message of its flows exactly once: one subscription, or a queue group as a whole. Its
// methods are called under the session's lock.
type unit struct {
	name  string
	group bool
	from  int     // id of the first flow that it must get
	track []track // of that flow and those behind it
}

// track is what a unit has got of one flow.
type track struct {
	count  uint64   // messages so far; the next sequence number of a unit that is no group
	seen   []uint64 // a bit for each sequence number, for groups
	probes int
}

// newUnit makes one that must get n flows, from from on.
func newUnit(name string, group bool, from, n int) *unit {
	return &unit{name: name, group: group, from: from, track: make([]track, n)}
}

// of returns the track of a flow, nil when the unit must not get it.
func (u *unit) of(flow int) *track {
	if flow < u.from || flow >= u.from+len(u.track) {
		return nil
	}
	return &u.track[flow-u.from]
}

// take records message seq of a flow; for a group, last is the member's own memory of the flow's highest number plus one.
func (u *unit) take(f int, seq uint64, last *uint64) error {
	t := u.of(f)
	if t == nil {
		return wrong("mixed up: %s got message %d of publisher %d, to which it is not subscribed", u.name, seq, f)
	}
	if !u.group {
		switch {
		case seq < t.count:
			return wrong("doubled or out of order: %s got message %d of publisher %d again or late; it waits for %d", u.name, seq, f, t.count)
		case seq > t.count:
			return wrong("lost or out of order: %s got message %d of publisher %d while it waits for %d", u.name, seq, f, t.count)
		}
		t.count++
		return nil
	}
	word, bit := seq/64, uint64(1)<<(seq%64)
	if word > uint64(len(t.seen))+1<<20 {
		return wrong("mixed up: queue group %s got message %d of publisher %d, far ahead of all others", u.name, seq, f)
	}
	for uint64(len(t.seen)) <= word {
		t.seen = append(t.seen, 0)
	}
	if t.seen[word]&bit != 0 {
		return wrong("doubled: queue group %s got message %d of publisher %d twice", u.name, seq, f)
	}
	t.seen[word] |= bit
	t.count++
	if seq < *last {
		return wrong("out of order: one member of queue group %s got message %d of publisher %d after %d", u.name, seq, f, *last-1)
	}
	*last = seq + 1
	return nil
}

// progress tells how far all units of a flow have come, in marks of some messages each, so that the flow's window moves
// with the slowest.
type progress struct {
	every uint64 // messages in a mark
	units int
	reach []int  // units that passed mark i, in a ring
	done  uint64 // marks that all units have passed
}

func newProgress(every uint64, units int, ahead int) *progress {
	return &progress{every: every, units: units, reach: make([]int, ahead)}
}

// passed is told that a unit's count is now n; it reports whether all units have passed another mark.
func (p *progress) passed(n uint64) bool {
	if n%p.every != 0 {
		return false
	}
	i := (n/p.every - 1) % uint64(len(p.reach))
	if p.reach[i]++; p.reach[i] < p.units {
		return false
	}
	p.reach[i] = 0
	p.done++
	return true
}

// subscriber checks what arrives on one connection. It belongs to one unit.
type subscriber struct {
	s    *session
	e    *endpoint
	unit *unit
	last []uint64 // by track of the unit, for members of groups
	sids []int    // subscription by subject of the flow, in its order; nil: all under number 1
}

func (c *subscriber) Ping() { c.e.send([]byte("PONG\r\n")) }
func (c *subscriber) Pong() { c.e.pongs++ }

func (c *subscriber) Message(m *dialect.Message) error {
	s := c.s
	run, id, seq, ok := readStamp(m.Payload)
	if !ok {
		return wrong("mixed up: %s got a message on %s with a damaged stamp", c.unit.name, m.Subject)
	}
	if run != s.run {
		return wrong("mixed up: %s got a message on %s of another session", c.unit.name, m.Subject)
	}
	if id == probeFlow {
		if seq >= uint64(len(s.flows)) {
			return wrong("mixed up: a probe of publisher %d", seq)
		}
		if t := c.unit.of(int(seq)); t != nil {
			t.probes++
		}
		return nil
	}
	if int(id) >= len(s.flows) {
		return wrong("mixed up: a message of publisher %d", id)
	}
	p := s.flows[id]
	var last *uint64
	if c.unit.group {
		last = &c.last[int(id)-c.unit.from]
	}
	if err := c.unit.take(int(id), seq, last); err != nil {
		return err
	}
	if err := checkContent(p.flow, seq, m); err != nil {
		return err
	}
	want := 1
	if c.sids != nil {
		want = c.sids[seq%uint64(len(c.sids))]
	}
	if m.SID != want {
		return wrong("mixed up: message on %s came under subscription %d, not %d", m.Subject, m.SID, want)
	}
	s.arrived(p, c.unit.of(int(id)).count, seq)
	return nil
}

// checkContent compares subject, header and payload with what message seq of f was sent with.
func checkContent(f *flow, seq uint64, m *dialect.Message) error {
	if string(m.Subject) != f.subject(seq) {
		return wrong("mixed up: message %d of publisher %d came on %s, not %s", seq, f.id, m.Subject, f.subject(seq))
	}
	if len(m.Payload) != f.size || !bytes.Equal(m.Payload[stampLen:], f.bodyOf(seq)) {
		return wrong("mixed up: message %d of publisher %d has %d bytes that are not those sent", seq, f.id, len(m.Payload))
	}
	if string(m.Header) != f.header {
		return wrong("mixed up: message %d of publisher %d has the header %q", seq, f.id, m.Header)
	}
	return nil
}
