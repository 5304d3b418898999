package gateway

import (
	"io"
	"net"
	"testing"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// sinkhole is a region whose far end reads and forgets.
func sinkhole(tb testing.TB) *site {
	a := newSite(tb, "A", func(o *Options) {
		o.Hooks.MapReply = func(*broker.Msg) (h [6]byte, ok bool) { return h, true }
		o.Hooks.Outgoing = func(account string) *Filter {
			if account == "A" {
				return &Filter{deny: []string{"$NRG.>"}}
			}
			return nil
		}
	})
	a.Open()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { lis.Close() })
	a.Learn("B", []string{lis.Addr().String()})
	nc, err := lis.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	p := &raw{t: tb, nc: nc, r: newReader(nc)}
	p.send(peerInfo("B", lis.Addr().String()))
	p.until("PING")
	p.send("PONG", `INFO {"gateway":"B","gateway_cmd":2,"gateway_cmd_payload":"QQ=="}`, "RS+ A foo.*", "RS+ A foo.bar q 1",
		`INFO {"gateway":"B","gateway_cmd":3,"gateway_cmd_payload":"QQ=="}`)
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, nc)
	}()
	tb.Cleanup(func() { nc.Close(); <-done })
	a.interest(tb, "A", "foo.bar", true)
	return a
}

// TestNoAllocation: a message that leaves makes no garbage, with a mapped reply, a group
// and a policy; nor does one that arrives.
func TestNoAllocation(t *testing.T) {
	a := sinkhole(t)
	m := &broker.Msg{
		Account: a.b.Account("A"), Subject: []byte("foo.bar"), Reply: []byte("_INBOX.x"), Payload: make([]byte, 128),
		Listed: true, Groups: [][]byte{[]byte("q")},
	}
	leave := func() {
		m.Subject = m.Subject[:7]
		a.hub.in.Publish(m)
		a.hub.in.Flush()
	}
	if n := testing.AllocsPerRun(2000, leave); n >= 1 {
		t.Errorf("%v allocations a message that leaves", n)
	}
	c := &conn{s: a.Service, name: "B"}
	c.in = newSource(c)
	op := &wire.Op{Kind: wire.KindMsg, Account: []byte("A"), Subject: []byte("in"), Payload: m.Payload}
	s := &broker.Sub{Port: &broker.Port{Class: broker.Route, Aggregate: true, Sink: taker{}}, Subject: []byte("in")}
	a.b.Account("A").Subscribe(s, 1)
	if n := testing.AllocsPerRun(2000, func() {
		c.onMsg(op)
		c.in.inlet.Flush()
	}); n >= 1 {
		t.Errorf("%v allocations a message that arrives", n)
	}
}

type taker struct{ nowhere }

func (taker) DeliverOnce(*broker.Msg, bool, [][]byte) bool { return true }

// BenchmarkLeave is a message of a hub to one remote.
func BenchmarkLeave(b *testing.B) {
	a := sinkhole(b)
	m := &broker.Msg{Account: a.b.Account("A"), Subject: []byte("foo.x"), Payload: make([]byte, 128), Listed: true}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.hub.in.Publish(m)
		if i%64 == 0 {
			a.hub.in.Flush()
		}
	}
}
