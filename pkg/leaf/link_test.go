package leaf

import (
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
)

func TestBothWays(t *testing.T) {
	for _, mode := range []config.CompressionMode{
		config.CompressionOff, config.CompressionS2Auto, config.CompressionS2Fast, config.CompressionAccept,
		config.CompressionNotSupported,
	} {
		t.Run(string(mode), func(t *testing.T) {
			h := startNode(t, "HUB", listening, compressing(mode))
			l := startNode(t, "EDGE", dialing(h.addr()), compressing(mode))
			h.links(1)
			l.links(1)
			traffic(t, h, l)
		})
	}
}

// traffic checks messages, queue groups and requests in both directions over the link
// between two nodes.
func traffic(t *testing.T, a, b *node) {
	t.Helper()
	for _, way := range []struct{ from, to *node }{{a, b}, {b, a}} {
		from, to := way.from, way.to
		pub, sub := from.nats(), to.nats()
		in := subscribe(t, sub, "n.>", "")
		from.wants("$G", "n.x")
		numbered(t, pub, in, "n.x", 2000)

		q1, q2 := subscribe(t, sub, "q", "g"), subscribe(t, sub, "q", "g")
		from.wants("$G", "q")
		for _, n := range shared(t, pub, "q", 500, q1, q2) {
			if n < 100 {
				t.Errorf("one of two members got %d of 500", n)
			}
		}
		respond(t, sub, "svc", to.srv.Name)
		from.wants("$G", "svc")
		request(t, pub, "svc", "hi", to.srv.Name+" got hi")
		sub.Close()
		from.hasInterest("$G", "n.x", false)
		from.hasInterest("$G", "q", false)
	}
}
