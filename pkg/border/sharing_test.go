package border

import (
	"fmt"
	"testing"

	"github.com/banyanmq/banyan/pkg/account"
)

// TestSharingBetweenRegions: accounts A and B share a stream and a service, with the exporter
// in one region and the importer in the other. What crosses is A's.
func TestSharingBetweenRegions(t *testing.T) {
	p := newPair(t)
	for _, h := range append(p.a, p.b...) {
		err := h.b.Share([]account.Definition{
			{Name: "A", Exports: []account.Export{{Kind: account.Stream, Subject: "acme.>"}, {Kind: account.Service, Subject: "hello"}}},
			{Name: "B", Imports: []account.Import{
				{Kind: account.Stream, From: "A", Subject: "acme.>", Prefix: "cncf"},
				{Kind: account.Service, From: "A", Subject: "hello", To: "cncf.hello"},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ticker, hello := p.b[1].client("A"), p.b[0].client("A")
	hello.sub("hello", "workers")
	hello.answers("from far")
	for i, h := range p.a {
		reader := h.client("B")
		x := fmt.Sprint("acme.x", i)
		reader.sub("cncf."+x, "")
		asker := h.client("B")
		p.spread(t, "A", x)
		for n := range 100 {
			ticker.send(x, "", fmt.Sprint(n))
		}
		await(t, "100 ticks", func() bool { return reader.count() == 100 })
		for _, m := range reader.take() {
			if m.subject != "cncf."+x {
				t.Errorf("a tick is shown as %s", m.subject)
			}
		}
		h.wants("A", "hello", true)
		for range 20 { // the first replies are too fresh to be known in the other region
			if got, ok := asker.request("cncf.hello"); !ok || got != "from far" {
				t.Fatalf("answer %q, %v", got, ok)
			}
		}
		for _, m := range asker.take() {
			t.Errorf("besides the answers: %+v", m)
		}
	}
	if n := len(p.ga[0].o.Broker.Account("B").Matching([]byte("cncf.hello"), nil)); n != 0 {
		t.Errorf("a service import was announced to the border %d times", n)
	}
}
