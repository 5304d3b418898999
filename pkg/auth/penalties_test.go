package auth

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// clocked are penalties with a clock of the test's.
func clocked(first, most time.Duration) (*Penalties, *time.Time) {
	p := NewPenalties(first, most)
	now := time.Unix(1_000_000, 0)
	p.now = func() time.Time { return now }
	return p, &now
}

func from(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }

// between tells whether d is at most want, and not much less.
func between(d, want time.Duration) bool { return d <= want && d >= want-want/4-1 }

func TestPenaltiesGrow(t *testing.T) {
	p, now := clocked(10*time.Millisecond, 200*time.Millisecond)
	want := []time.Duration{10, 10, 10, 20, 40, 80, 160, 200, 200}
	for i, w := range want {
		if d := p.Failed(from("10.0.0.1")); !between(d, w*time.Millisecond) {
			t.Errorf("failure %d waits %s", i+1, d)
		}
	}
	if d := p.Failed(from("10.0.0.2")); !between(d, 10*time.Millisecond) {
		t.Errorf("another address waits %s", d)
	}
	*now = now.Add(halfLife) // 9 are 4
	if d := p.Failed(from("10.0.0.1")); !between(d, 40*time.Millisecond) {
		t.Errorf("after a half-life it waits %s", d)
	}
	*now = now.Add(10 * halfLife)
	if d := p.Failed(from("10.0.0.1")); !between(d, 10*time.Millisecond) {
		t.Errorf("long after it waits %s", d)
	}
	for range 100 {
		p.Failed(from("2001:db8::1"))
	}
	if d := p.Failed(from("2001:db8::ffff:1")); !between(d, 200*time.Millisecond) {
		t.Errorf("the same /64 waits %s", d)
	}
	if d := p.Failed(from("2001:db8:0:1::1")); !between(d, 10*time.Millisecond) {
		t.Errorf("another /64 waits %s", d)
	}
	p.Failed(from("10.9.9.9"))
	if d := p.Failed(from("::ffff:10.9.9.9")); !between(d, 10*time.Millisecond) || p.seen[source(from("10.9.9.9"))].failures != 2 {
		t.Error("an address in both its forms is two")
	}
	if d := p.Failed(nil); !between(d, 10*time.Millisecond) {
		t.Errorf("no address: %s", d)
	}
}

func TestPenaltiesAreBounded(t *testing.T) {
	p, _ := clocked(time.Millisecond, time.Second)
	for range 50 {
		p.Failed(from("192.0.2.1"))
	}
	for i := range 3 * maxOffenders {
		p.Failed(from(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
	}
	if n := len(p.seen); n > maxOffenders {
		t.Errorf("%d addresses are remembered", n)
	}
	if d := p.Failed(from("192.0.2.1")); !between(d, time.Second) {
		t.Errorf("the worst was forgotten: %s", d)
	}
	var none *Penalties
	off := NewPenalties(0, time.Second)
	if none.Failed(from("10.0.0.1")) != 0 || off.Failed(from("10.0.0.1")) != 0 || len(off.seen) != 0 {
		t.Error("without a delay there is one")
	}
	off.Set(time.Second, 0)
	if d := off.Failed(from("10.0.0.1")); !between(d, time.Second) {
		t.Errorf("switched on: %s", d)
	}
}

func BenchmarkPenalties(b *testing.B) {
	p := NewPenalties(time.Millisecond, time.Second)
	a := from("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		p.Failed(a)
	}
}
