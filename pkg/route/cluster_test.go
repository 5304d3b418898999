package route

import (
	"testing"
)

func TestTwoServers(t *testing.T) {
	a := startNode(t, nil)
	b := startNode(t, dialing(a))
	b.synced()
	a.routes(4)
	b.routes(4)
	ca, cb := a.client("A"), b.client("A")
	s := ca.sub("foo.*", "")
	q := ca.sub("foo.*", "q")
	b.knows("A", "foo.1", true)
	b.weight("A", "foo.1", "q", 1)
	if n := cb.pub("foo.1", "inbox", "hello"); n != 2 {
		t.Fatalf("handed to %d", n)
	}
	ca.want(2)
	ca.a.Unsubscribe(s)
	ca.a.Unsubscribe(q)
	b.knows("A", "foo.1", false)
}
