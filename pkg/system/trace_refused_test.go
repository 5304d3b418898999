package system_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/test/daemons"
)

// TestTraceOfRefusals: what a message meets that does not get where it was to go.
func TestTraceOfRefusals(t *testing.T) {
	h := daemons.Hub(t, "hub", "max_payload: 1000\n"+traced+`leafnodes { listen: "127.0.0.1:-1", authorization { user: edge, password: pw, account: APP } }`)
	edge := daemons.Leaf(t, "edge", fmt.Sprintf("leafnodes { remotes: [{url: \"nats://edge:pw@%s\", deny_imports: [\"t.private\"]}] }\n", h.Addr("leafnodes")))
	got := listen(t, edge.Nats(""), "t.>")
	h.Knows("APP", "t.private", broker.LeafDown)
	ann, ltd := h.Nats("ann", nats.Name("ann")), h.Nats("ltd")
	tell(t, "denied to a leaf node", collect(t, ann, ltd, nats.NewMsg("t.private"))["hub"],
		"in kind=0 name=ann acc=APP subj=t.private; eg kind=4 name=edge error=Not delivered because publish denied for this subject")
	if m, err := got.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("delivered: %v", m)
	}

	m := nats.NewMsg("nobody.there")
	m.Reply = nats.NewInbox()
	tell(t, "no responders", collect(t, ann, ltd, m)["hub"], "in kind=0 name=ann acc=APP subj=nobody.there error=no responders available")

	// The library does not send what is too large.
	dest := listen(t, ltd, "tr.big")
	nc, err := net.Dial("tcp", h.Addr("nats"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	until := func(prefix string) {
		t.Helper()
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("no %s: %v", prefix, err)
			}
			if strings.HasPrefix(line, prefix) {
				return
			}
		}
	}
	send := func(s string) {
		t.Helper()
		if _, err := io.WriteString(nc, s); err != nil {
			t.Fatal(err)
		}
	}
	send("CONNECT {\"user\":\"ann\",\"pass\":\"pw\",\"name\":\"raw\",\"headers\":true,\"verbose\":false}\r\nPING\r\n")
	until("PONG")
	header := "NATS/1.0\r\nNats-Trace-Dest: tr.big\r\n\r\n"
	send(fmt.Sprintf("HPUB t.big %d %d\r\n%s%s\r\n", len(header), len(header)+1000, header, strings.Repeat("x", 1000)))
	until("-ERR 'Maximum Payload Violation'")
	v := reports(t, dest)["hub"]
	tell(t, "too large", v, "in kind=0 name=raw acc=APP subj=t.big error=maximum payload exceeded")
	if at(v, "request", "msgsize") != float64(len(header)+1000) {
		t.Errorf("request %v", v["request"])
	}
}
