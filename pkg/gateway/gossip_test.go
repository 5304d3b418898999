package gateway

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

const peerConnect = `CONNECT {"name":"NPEER","gateway":"%s"}`

func peerInfo(gateway string, urls ...string) string {
	return strings.TrimSpace(string(wire.AppendInfo(nil, &wire.GatewayInfo{
		ServerID: "NPEER", ServerName: "peer", Version: "2.14.5", Gateway: gateway, GatewayURLs: urls,
		NewReplyPrefix: true, InterestOnlyMode: true,
	})))
}

// TestMesh: C knows B alone, B knows A; all get to know each other, both ways (gateways
// 20.4), and who was named is told from who was learned.
func TestMesh(t *testing.T) {
	a := newSite(t, "A", nil)
	a.Open()
	b := newSite(t, "B", nil, remote("A", a.Addr().String()))
	b.Open()
	c := newSite(t, "C", nil, remote("B", b.Addr().String()), config.RemoteGateway{Name: "C"})
	c.Open()
	all := []*site{a, b, c}
	for _, s := range all {
		for _, r := range all {
			if s != r {
				s.has(t, r.name)
			}
		}
	}
	await(t, "two inbound connections each", func() bool {
		return len(a.list(inbound)) == 2 && len(b.list(inbound)) == 2 && len(c.list(inbound)) == 2
	})
	for _, r := range c.Status(true).Outbound {
		if r.Configured != (r.Name == "B") || r.Connection == nil {
			t.Errorf("C to %s: %+v", r.Name, r)
		}
	}
	if n := len(c.Status(false).Outbound); n != 2 {
		t.Errorf("C shows %d remotes", n)
	}
}

// TestRejectUnknown: gossip about a name that is not configured is ignored (gateways 5.5).
func TestRejectUnknown(t *testing.T) {
	a := newSite(t, "A", nil)
	a.Open()
	b := newSite(t, "B", nil, remote("A", a.Addr().String()))
	b.Open()
	c := newSite(t, "C", func(o *Options) { o.Settings.RejectUnknown = true }, remote("B", b.Addr().String()))
	c.Open()
	c.has(t, "B")
	b.has(t, "C")
	// B's gossip stood before the PONG that made the connection usable.
	if r := c.region("A", false); r != nil {
		t.Fatal("C has heard of A")
	}
}

// TestAddresses: when the addresses of our cluster change, inbound peers are told all
// of them (gateways 20.5).
func TestAddresses(t *testing.T) {
	a := newSite(t, "A", nil)
	a.Open()
	p := dialRaw(t, a.Addr().String())
	p.until("INFO")
	p.send(fmt.Sprintf(peerConnect, "B"), peerInfo("B"), "PING")
	p.until("PONG")
	urls := func() []string {
		for {
			lines := p.until("INFO")
			var in wire.GatewayInfo
			if err := wire.DecodeJSON([]byte(lines[len(lines)-1][5:]), &in); err != nil {
				t.Fatal(err)
			}
			if in.Cmd == 0 {
				return in.GatewayURLs
			}
		}
	}
	own := a.Addr().String()
	a.o.URLs.Add([]string{"127.0.0.1:9"})
	if got := urls(); !slices.Equal(got, []string{own, "127.0.0.1:9"}) {
		t.Fatalf("after a second gwd: %v", got)
	}
	a.o.URLs.Remove([]string{"127.0.0.1:9"})
	if got := urls(); !slices.Equal(got, []string{own}) {
		t.Fatalf("after it went: %v", got)
	}
}

// TestGossip: a new peer is told of the other remotes, with their addresses.
func TestGossip(t *testing.T) {
	a := newSite(t, "A", nil, remote("C", "127.0.0.1:9"))
	a.Open()
	p := dialRaw(t, a.Addr().String())
	p.until("INFO")
	p.send(fmt.Sprintf(peerConnect, "B"), peerInfo("B"), "PING")
	var got []string
	for _, l := range p.until("PONG") {
		if strings.HasPrefix(l, "INFO") {
			got = append(got, show(l))
		}
	}
	if !slices.Equal(got, []string{"INFO gossip gateway=C urls=[127.0.0.1:9]"}) {
		t.Fatalf("got %q", got)
	}
}

// TestDialRate: a learned remote that can't be dialed but has a connection to us is
// tried again for ever, with a pause (gateways 19.1, 20.23).
func TestDialRate(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	dials := make(chan time.Time, 100)
	go func() {
		for {
			nc, err := lis.Accept()
			if err != nil {
				close(dials)
				return
			}
			dials <- time.Now()
			nc.Close()
		}
	}()
	a := newSite(t, "A", func(o *Options) { o.Retry = 100 * time.Millisecond })
	a.Open()
	p := dialRaw(t, a.Addr().String())
	p.until("INFO")
	p.send(fmt.Sprintf(peerConnect, "B"), peerInfo("B", lis.Addr().String()), "PING")
	p.until("PONG")
	last := <-dials
	for range 4 {
		at := <-dials
		if d := at.Sub(last); d < 95*time.Millisecond {
			t.Fatalf("dialed again after %v", d)
		}
		last = at
	}
	// When the peer leaves, it is given up.
	p.nc.Close()
	await(t, "given up", func() bool { return a.log.has(`Giving up connecting to implicit gateway "B"`) })
}

// TestSlowRemote: a remote that does not read costs bounded memory and drops what does
// not fit, its connection and other remotes go on.
func TestSlowRemote(t *testing.T) {
	a := newSite(t, "A", func(o *Options) { o.MaxQueued = 1 << 20 })
	a.Open()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	a.Learn("B", []string{lis.Addr().String()})
	nc, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p := &raw{t: t, nc: nc}
	p.r = newReader(nc)
	p.send(peerInfo("B", lis.Addr().String()))
	p.until("PING")
	p.send("PONG", `INFO {"gateway":"B","gateway_cmd":2,"gateway_cmd_payload":"QQ=="}`, "RS+ A foo",
		`INFO {"gateway":"B","gateway_cmd":3,"gateway_cmd_payload":"QQ=="}`)
	r := a.has(t, "B")
	a.interest(t, "A", "foo", true)
	payload := strings.Repeat("x", 64<<10)
	g := a.b.Account("A")
	sent := 0
	for range 2000 {
		sent += a.hub.pub(g, "foo", "", payload)
	}
	c := r.live()
	if c == nil || c.dropped.Load() == 0 || int64(sent)+c.dropped.Load() != 2000 {
		t.Fatalf("sent %d, connection %v", sent, c)
	}
	if n := c.tc.Pending(); n > 1<<20 {
		t.Fatalf("%d bytes wait", n)
	}
	// When it reads again, it goes on.
	read := 0
	buf := make([]byte, 1<<20)
	nc.SetReadDeadline(time.Now().Add(patience))
	for read < sent*len(payload) {
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		read += n
	}
	if a.hub.pub(g, "foo", "", "again") != 1 {
		t.Fatal("not sent again")
	}
}

// TestNames: what is no name for a region is not taken for one, whoever says it.
func TestNames(t *testing.T) {
	a := newSite(t, "A", nil)
	a.Open()
	for _, name := range []string{"a b", "a\u0000", "x\r\nRS- A y", strings.Repeat("n", maxName+1)} {
		js, _ := json.Marshal(name)
		p := dialRaw(t, a.Addr().String())
		p.until("INFO")
		p.send(`CONNECT {"gateway":` + string(js) + `}`)
		if l := p.line(); !strings.HasPrefix(l, "-ERR 'Connection to gateway") && !strings.Contains(l, "rejected") {
			t.Errorf("%q was told %q", name, l)
		}
		a.Learn(name, []string{"127.0.0.1:1"})
		a.PeerRemotes("P", []wire.RemoteCluster{{Name: name}})
		a.PeerInterest("P", name, a.b.Account("A"), []byte("s"), nil, 1, true)
	}
	for _, name := range []string{"", "a b"} {
		o := a.o
		o.Settings = &config.Gateway{Name: "A", Remotes: []config.RemoteGateway{{Name: name}}}
		if _, err := New(o); err == nil {
			t.Errorf("settings with a remote %q are taken", name)
		}
		o.Settings = &config.Gateway{Name: name}
		if _, err := New(o); err == nil {
			t.Errorf("settings with the name %q are taken", name)
		}
	}
	if n := len(a.regions()); n != 0 {
		t.Errorf("%d regions", n)
	}
}

// TestHangsUp: a learned remote that takes connections and ends them is given up like one
// that is not there, and what gossip can make us remember is bounded.
func TestHangsUp(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go func() {
		for {
			nc, err := lis.Accept()
			if err != nil {
				return
			}
			nc.Write([]byte(peerInfo("B") + "\r\n"))
			nc.Close()
		}
	}()
	a := newSite(t, "A", nil)
	a.Open()
	a.Learn("B", []string{lis.Addr().String()})
	await(t, "B is given up", func() bool { return a.log.has(`Giving up connecting to implicit gateway "B"`) })

	many := []string{"no address", strings.Repeat("h", maxName) + ":1"}
	for i := range 2 * maxURLs {
		many = append(many, fmt.Sprintf("127.0.0.1:%d", 10000+i))
	}
	c := a.region("C", true)
	c.learned(many[:maxURLs], false)
	c.learned(many, false)
	if n := len(c.addresses()); n != maxURLs {
		t.Errorf("%d addresses", n)
	}
	if slices.Contains(c.addresses(), many[0]) || slices.Contains(c.addresses(), many[1]) {
		t.Error("what can't be dialed is remembered")
	}
}
