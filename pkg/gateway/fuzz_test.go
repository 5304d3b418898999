package gateway

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
)

// FuzzInbound gives a stranger's bytes to the gateway port, in two pieces, before and
// behind a proper opening. Whatever comes, the service lives and serves the next one.
func FuzzInbound(f *testing.F) {
	a := newSite(f, "A", func(o *Options) {
		o.Settings.Auth.Timeout = 50 * time.Millisecond
		o.Settings.RejectUnknown = true
	}, remote("B"))
	g := a.b.Account("A")
	a.hub.sub(g, "foo", "")
	a.hub.sub(g, "w.*", "q")
	a.Open()
	for _, seed := range []string{
		"PING\r\nPONG\r\n", "RMSG A foo 3\r\nabc\r\n", "RMSG A w.1 | q 1\r\nx\r\n", "HMSG A foo 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
		"RMSG A _GR_.NUmM6c.Zev3L5.foo 1\r\nx\r\n", "RMSG A $GR.559a.foo 1\r\nx\r\n", "RS+ A x\r\n", "A- A\r\n",
		"INFO {\"gateway\":\"B\",\"gateway_cmd\":1,\"gateway_urls\":[\"127.0.0.1:1\"]}\r\n",
		"INFO {\"gateway\":\"B\",\"gateway_cmd\":2,\"gateway_cmd_payload\":\"QQ==\"}\r\n", "RMSG A foo 999999999\r\n",
		"CONNECT {}\r\n", "-ERR 'x'\r\n", "\x16\x03\x01", "GET / HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(seed), true, 3)
		f.Add([]byte(seed), false, 1)
	}
	f.Fuzz(func(t *testing.T, data []byte, opened bool, cut int) {
		nc, err := net.Dial("tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if opened {
			fmt.Fprintf(nc, peerConnect+"\r\n%s\r\n", "B", peerInfo("B"))
		}
		cut = min(max(cut, 0), len(data))
		nc.Write(data[:cut])
		nc.Write(data[cut:])
		nc.(*net.TCPConn).CloseWrite()
		nc.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, nc); err != nil && !isReset(err) {
			t.Fatalf("the connection was not ended: %v", err)
		}
		a.hub.take()
	})
}

// FuzzOutbound gives bytes to the dialer's side: what a remote sends as interest.
func FuzzOutbound(f *testing.F) {
	for _, seed := range []string{
		"RS+ A foo\r\nRS- A foo\r\n", "RS+ A foo q 1\r\nRS- A foo q\r\n", "A- A\r\nA+ A\r\n", "RS+ A a..b\r\n", "RS+ A >.a q 0\r\n",
		"INFO {\"gateway\":\"B\",\"gateway_cmd\":2,\"gateway_cmd_payload\":\"QQ==\"}\r\nRS+ A *.x\r\nA- A\r\nA+ A\r\nRS- A y\r\n" +
			"INFO {\"gateway\":\"B\",\"gateway_cmd\":3,\"gateway_cmd_payload\":\"QQ==\"}\r\n",
	} {
		f.Add([]byte(seed))
	}
	a := newSite(f, "A", nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := a.newRegion("B")
		c := &conn{s: a.Service, dir: outbound, name: "B", region: r, table: r.newTable(0), log: a.Service.log}
		c.parser.Dialect = 1
		c.table.setLive(true)
		for len(data) > 0 {
			n, _, err := c.parser.Next(data, &c.op)
			if err != nil || n == 0 {
				break
			}
			switch c.op.Kind.String() {
			case "interest+", "interest-", "A+", "A-":
				c.onInterest(&c.op)
			case "INFO":
				c.onInfo(c.op.Arg)
			}
			data = data[n:]
		}
		c.table.setLive(false)
		for _, acct := range a.b.Accounts() {
			acct.EachSub(func(s *broker.Sub) bool {
				t.Fatalf("left behind in %s: %q %q", acct.Name, s.Subject, s.Queue)
				return false
			})
		}
	})
}

func isReset(err error) bool {
	ne, ok := err.(*net.OpError)
	return ok && !ne.Timeout()
}
