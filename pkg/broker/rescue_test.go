package broker

import "testing"

// A message whose group has left goes on to another server that has a member, and back to the one that chose only if no
// other has; not to one with plain interest, which has had its copy; and only once.
func TestRescue(t *testing.T) {
	b := New("N1", "C", "")
	a := b.Account("A")
	server := func(link uint64) (*Port, *sink) {
		p, k := newPort(b, Route, FromRoute, "")
		p.Origin.Link = link
		return p, k
	}
	chooser, back := server(1)
	other, away := server(2)
	in := b.NewInlet(chooser)
	in.Rescue()
	send := func(cluster string) int {
		n := in.Publish(&Msg{Account: a, Subject: []byte("s"), Payload: []byte("x"), Groups: [][]byte{[]byte("g")}, Listed: true, Cluster: cluster})
		in.Flush()
		return n
	}
	expect := func(what string, n, atBack, atAway int) {
		t.Helper()
		if gotBack, gotAway := len(back.take()), len(away.take()); n != atBack+atAway || gotBack != atBack || gotAway != atAway {
			t.Errorf("%s: %d destinations, %d messages back and %d to the other, want %d and %d", what, n, gotBack, gotAway, atBack, atAway)
		}
	}
	expect("nobody is there", send(""), 0, 0)
	mine := subscribe(a, chooser, "s", "g", TierDirect, 1)
	expect("only the chooser has a member", send(""), 1, 0)
	subscribe(a, other, "s", "g", TierDirect, 1)
	expect("both have", send(""), 0, 1)
	expect("it was rescued before", send(RescueOrigin), 0, 0)
	plain := subscribe(a, other, "s", "", TierDirect, 1)
	expect("the other has had its copy", send(""), 1, 0)
	a.Unsubscribe(plain)
	a.Unsubscribe(mine)
	expect("only the other has", send(""), 0, 1)
}
