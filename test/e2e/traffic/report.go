package traffic

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report is the account of a load.
type Report struct {
	Published  int
	Expected   int // deliveries, over all receivers
	Received   int // without copies
	Duplicates int
	Misordered int // behind a later message of the same publisher
	Lost       []Loss
	Slowest    time.Duration
	// Shares is how many messages of a publisher each connection of a receiver got.
	Shares map[string][][]int
	Odd    []string // by receiver, what was first seen of copies and wrong order
}

// Loss is a message that a receiver did not get.
type Loss struct {
	Receiver  string
	Publisher int
	Number    int
	Sent      time.Time
}

func (r *Run) report() *Report {
	rep := &Report{Published: r.Published(), Shares: make(map[string][][]int)}
	for _, b := range r.books {
		b.mu.Lock()
		for p := range b.lines {
			ln := &b.lines[p]
			rep.Shares[b.name] = append(rep.Shares[b.name], slices.Clone(ln.shares))
			if b.from != nil && !b.from[p] {
				continue
			}
			rep.Expected += r.load.Count
			rep.Received += ln.received
			rep.Duplicates += ln.duplicates
			rep.Misordered += ln.misordered
			rep.Slowest = max(rep.Slowest, ln.slowest)
			if ln.firstOdd != "" {
				rep.Odd = append(rep.Odd, b.name+": "+ln.firstOdd)
			}
			for n := range r.load.Count {
				if ln.seen[n/64]&(1<<(n%64)) == 0 {
					rep.Lost = append(rep.Lost, Loss{
						Receiver: b.name, Publisher: p, Number: n, Sent: r.start.Add(time.Duration(r.sent[p][n])),
					})
				}
			}
		}
		b.mu.Unlock()
	}
	return rep
}

// Event is something that was done to the servers.
type Event struct {
	What string
	At   time.Time
}

// Outside returns the losses that were sent neither up to before an event nor up to after it.
func (r *Report) Outside(events []Event, before, after time.Duration) []Loss {
	var out []Loss
	for _, l := range r.Lost {
		if nearest(l, events, before, after) < 0 {
			out = append(out, l)
		}
	}
	return out
}

func nearest(l Loss, events []Event, before, after time.Duration) int {
	for i, e := range events {
		if d := l.Sent.Sub(e.At); d >= -before && d <= after {
			return i
		}
	}
	return -1
}

// Explain says for each event how many messages were lost around it and over which time they had been sent.
func (r *Report) Explain(events []Event, before, after time.Duration) string {
	var b strings.Builder
	for i, e := range events {
		n, first, last := 0, time.Duration(0), time.Duration(0)
		by := map[string]int{}
		for _, l := range r.Lost {
			if nearest(l, events, before, after) != i {
				continue
			}
			d := l.Sent.Sub(e.At)
			if n == 0 || d < first {
				first = d
			}
			if n == 0 || d > last {
				last = d
			}
			n++
			by[fmt.Sprintf("%d->%s", l.Publisher, l.Receiver)]++
		}
		fmt.Fprintf(&b, "%s: %d deliveries lost", e.What, n)
		if n > 0 {
			fmt.Fprintf(&b, ", sent from %v to %v around it, on %d paths", first.Round(time.Microsecond), last.Round(time.Microsecond), len(by))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (r *Report) String() string {
	return fmt.Sprintf("%d published; %d of %d deliveries, %d lost, %d twice, %d out of order; slowest %v",
		r.Published, r.Received, r.Expected, len(r.Lost), r.Duplicates, r.Misordered, r.Slowest.Round(time.Millisecond))
}
