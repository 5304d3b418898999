package route

import (
	"slices"
	"strings"
	"testing"

	"github.com/banyanmq/banyan/pkg/account"
)

// shareTalk gives accounts A and B of each node a stream and a service to share.
func shareTalk(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		err := n.b.Share([]account.Definition{
			{Name: "A", Exports: []account.Export{{Kind: account.Stream, Subject: "acme.>"}, {Kind: account.Service, Subject: "svc.*"}}},
			{Name: "B", Imports: []account.Import{
				{Kind: account.Stream, From: "A", Subject: "acme.>", Prefix: "cncf"},
				{Kind: account.Service, From: "A", Subject: "svc.*", To: "local.$1"},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSharingOverRoutes: imported streams are interest in both accounts, messages travel in the
// exporter's; requests are converted where they enter, and the way back is interest
// of the exporter that is announced before the request.
func TestSharingOverRoutes(t *testing.T) {
	one := startNode(t, nil)
	two := startNode(t, dialing(one))
	one.synced()
	two.synced()
	shareTalk(t, one, two)

	reader, asker := one.client("B"), one.client("B")
	ticker, hello := two.client("A"), two.client("A")
	sub := reader.sub("cncf.acme.>", "")
	group := reader.sub("cncf.acme.x", "q")
	two.knows("B", "cncf.acme.x", true)
	two.knows("A", "acme.x", true)
	two.weight("A", "acme.x", "q", 1)
	ticker.pub("acme.x", "reply", "1")
	got := reader.want(2)
	slices.Sort(got)
	if !slices.Equal(got, []string{"cncf.acme.x reply 1", "cncf.acme.x reply 1 [q]"}) {
		t.Errorf("got %q", got)
	}
	reader.a.Unsubscribe(sub)
	reader.a.Unsubscribe(group)
	two.knows("A", "acme.x", false)

	hello.sub("svc.1", "workers")
	one.knows("A", "svc.1", true)
	if two.b.Lookup([]byte("B")).HasInterest([]byte("local.1")) != true {
		t.Error("the import is not there")
	}
	for _, in := range two.b.Lookup([]byte("B")).Matching([]byte("local.1"), nil) {
		if in.Port.Aggregate {
			t.Error("a service import was announced to the cluster")
		}
	}
	asker.sub("inbox", "")
	if n := asker.pub("local.1", "inbox", "hi"); n != 1 {
		t.Errorf("requested from %d", n)
	}
	req := hello.want(1)[0]
	parts := strings.SplitN(req, " ", 3)
	if parts[0] != "svc.1" || !strings.HasPrefix(parts[1], "_R_.") || !strings.HasSuffix(parts[2], `Nats-Request-Info: {"acc":"B"}`+"\r\n\r\nhi [workers]") {
		t.Fatalf("the request is %q", req)
	}
	if n := hello.pub(parts[1], "", "hello"); n != 1 {
		t.Errorf("answered to %d", n)
	}
	if got := asker.want(1); got[0] != "inbox  hello" {
		t.Errorf("answer %q", got)
	}
	if n := asker.pub("local.2", "inbox", ""); n != 0 {
		t.Errorf("a service that is not there took %d", n)
	}
}
