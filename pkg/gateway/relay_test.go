package gateway

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// via stands for the other gwds of a region.
type via struct {
	mu    sync.Mutex
	got   []string // peer and payload
	fence map[string]func()
}

func (v *via) SendTargeted(peer, _ string, m *broker.Msg, _ [][]byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.got = append(v.got, peer+" "+string(m.Payload))
	return true
}

func (v *via) FlushTargeted() {}

func (v *via) Fence(peer string, done func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fence == nil {
		v.fence = make(map[string]func())
	}
	v.fence[peer] = done
}

func (v *via) take() (s string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s = strings.Join(v.got, ", ")
	v.got = nil
	return s
}

func (v *via) fenced(peer string) func() {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.fence[peer]
}

// TestBackFromRelay: while there is no connection, messages go by way of another gwd,
// and stay with that one when a third says that it is nearer. When there is a
// connection, what is sent on it waits until what went the other way has arrived.
func TestBackFromRelay(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	v := &via{}
	a := newSite(t, "A", func(o *Options) { o.Hooks.Relay = v })
	acct := a.b.Account("A")
	a.PeerRemotes("P", []wire.RemoteCluster{{Name: "B", RTT: 20000}})
	a.PeerInterest("P", "B", acct, []byte("s"), nil, 1, true)
	a.PeerInterest("Q", "B", acct, []byte("s"), nil, 1, true)
	a.hub.pub(acct, "s", "", "1")
	a.PeerRemotes("Q", []wire.RemoteCluster{{Name: "B", RTT: 1000}})
	a.hub.pub(acct, "s", "", "2")
	if got := v.take(); got != "P 1, P 2" {
		t.Fatalf("relayed %q", got)
	}

	a.Open()
	a.Learn("B", []string{lis.Addr().String()})
	nc, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p := &raw{t, nc, newReader(nc)}
	p.send(strings.TrimSpace(string(wire.AppendInfo(nil, &wire.GatewayInfo{
		ServerID: "NB", ServerName: "b", Gateway: "B", Headers: true, NewReplyPrefix: true, InterestOnlyMode: true,
	}))))
	p.until("PING")
	p.send(`INFO {"gateway":"B","gateway_cmd":2,"gateway_cmd_payload":"QQ=="}`, "RS+ A s", `INFO {"gateway":"B","gateway_cmd":3,"gateway_cmd_payload":"QQ=="}`, "PONG")
	a.has(t, "B")
	await(t, "a fence", func() bool { return v.fenced("P") != nil })
	for i := 3; i < 6; i++ {
		if n := a.hub.pub(acct, "s", "", fmt.Sprint(i)); n != 1 {
			t.Fatalf("sent %d times", n)
		}
	}
	if got := v.take(); got != "" {
		t.Fatalf("relayed %q", got)
	}
	nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if l, err := p.r.ReadString('\n'); err == nil {
		t.Fatalf("%q came before the fence", l)
	}
	v.fenced("P")()
	for i := 3; i < 6; i++ {
		head, body := p.until("RMSG"), p.line()
		if len(head) != 1 || body != fmt.Sprint(i) {
			t.Fatalf("got %q %q, want %d", head, body, i)
		}
	}
}
