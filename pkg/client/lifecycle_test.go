package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

func TestFirstInfo(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.Limits.MaxPayload = 12345 })
	c := h.raw(t)
	l := c.line()
	if !strings.HasPrefix(l, "INFO {") || !strings.HasSuffix(l, "}\r\n") && !strings.HasSuffix(l, "} \r\n") {
		t.Errorf("line %q", l)
	}
	for _, want := range []string{
		`"server_id":"NTEST"`, `"server_name":"NTEST"`, `"version":"2.14.5"`, `"proto":1`, `"go":"go1.`, `"host":"127.0.0.1"`,
		fmt.Sprintf(`"port":%d`, h.Addr().Port), `"headers":true`, `"max_payload":12345`, `"client_id":1`,
		`"client_ip":"127.0.0.1"`, `"api_lvl":4`, `"xkey":"XTEST"`, `"x_banyan":"0.0.1"`,
	} {
		if !strings.Contains(l, want) {
			t.Errorf("no %s in %s", want, l)
		}
	}
	for _, not := range []string{"nonce", "connect_urls", "auth_required", "tls_", "ldm", "connect_info", "remote_account", "jetstream", "cluster"} {
		if strings.Contains(l, not) {
			t.Errorf("%s in %s", not, l)
		}
	}
}

func TestInfoStaysShort(t *testing.T) {
	h := startHub(t)
	var urls []string
	for i := range 5000 {
		urls = append(urls, fmt.Sprintf("host-%d.example.net:4222", i))
	}
	h.urls.Add(urls)
	if l := h.raw(t).line(); len(l) >= 32<<10 {
		t.Errorf("INFO of %d bytes", len(l))
	}
}

// Nothing unsolicited comes before the first PONG; then addresses do.
func TestAsyncInfo(t *testing.T) {
	h := startHub(t)
	own := h.Addr().String()
	c, old, busy := h.dial(t), h.dial(t), h.ready(t)
	c.send("CONNECT " + quiet + "}\r\n")
	old.send("CONNECT {\"verbose\":false}\r\nPING\r\n")
	old.expect("PONG\r\n")
	h.urls.Add([]string{"peer:1"})
	if i := busy.info(); fmt.Sprint(i.ConnectURLs) != "["+own+" peer:1]" || i.ConnectInfo {
		t.Errorf("INFO %+v", i)
	}
	c.silent(100 * time.Millisecond)
	old.silent(time.Millisecond)
	c.send("PING\r\n")
	c.expect("PONG\r\n")
	if i := c.info(); fmt.Sprint(i.ConnectURLs) != "["+own+" peer:1]" || !i.ConnectInfo {
		t.Errorf("INFO %+v", i)
	}
	h.urls.Remove([]string{"peer:1"})
	for _, x := range []*raw{c, busy} {
		if i := x.info(); fmt.Sprint(i.ConnectURLs) != "["+own+"]" {
			t.Errorf("INFO %+v", i)
		}
	}
	old.silent(50 * time.Millisecond)
	if i := h.raw(t).info(); fmt.Sprint(i.ConnectURLs) != "["+own+"]" {
		t.Errorf("first INFO %+v", i)
	}
}

func TestAdvertise(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.Client.Advertise = "hub.example.net:77" })
	if i := h.raw(t).info(); i.Host != "hub.example.net" || i.Port != 77 {
		t.Errorf("INFO %+v", i)
	}
	if own := h.urls.Own(); fmt.Sprint(own) != "[hub.example.net:77]" {
		t.Errorf("own addresses %v", own)
	}
	for _, a := range []string{"hub", "[::1]", "::1"} {
		host, port, err := splitAdvertise(a, 5)
		if err != nil || host != strings.Trim(a, "[]") || port != 5 {
			t.Errorf("%q: %q %d %v", a, host, port, err)
		}
	}
	for _, a := range ownAddresses("0.0.0.0", 9) {
		if host, port, err := net.SplitHostPort(a); err != nil || port != "9" || host == "127.0.0.1" {
			t.Errorf("own address %q", a)
		}
	}
}

func TestEarlyConnect(t *testing.T) {
	h := startHub(t)
	c := h.raw(t)
	c.send(hello + "PUB x 1\r\n1\r\nPING\r\n")
	c.info()
	c.expect("PONG\r\n")
	c.info()
	c.expect("PONG\r\n")
}

// All that came before FIN is processed, and what it leads to is still written.
func TestHalfClose(t *testing.T) {
	h := startHub(t)
	c := h.ready(t)
	id := h.registry.Open()[0].ID()
	c.send("SUB foo 1\r\n" + string(pubs(1000, 100, "foo")) + "PUB foo 5\r\nhal")
	c.Conn.(*net.TCPConn).CloseWrite()
	want := strings.Repeat("MSG foo 1 100\r\n"+strings.Repeat("x", 100)+"\r\n", 1000)
	c.expect(want)
	c.eof()
	if r := h.reasonOf(t, id); r != wire.ReasonClientClosed {
		t.Errorf("closed for %q", r)
	}
}

func TestReset(t *testing.T) {
	h := startHub(t)
	c := h.ready(t)
	id := h.registry.Open()[0].ID()
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
	if r := h.reasonOf(t, id); r != wire.ReasonReadError {
		t.Errorf("closed for %q", r)
	}
}

// The text of a fatal error is readable though what it is about is still on its way.
func TestMaxPayload(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.Limits.MaxPayload = 1 << 20 })
	c := h.ready(t)
	body := strings.Repeat("x", 1<<20)
	c.ask("PUB foo 1048576\r\n"+body+"\r\n", "")
	for range 5 {
		c := h.ready(t)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			io.WriteString(c.Conn, "PUB foo 1048577\r\n"+body+"x\r\n")
		}()
		c.expect("-ERR 'Maximum Payload Violation'\r\n")
		<-sent
		c.ended()
	}
	c = h.ready(t)
	c.send("HPUB foo 12 1048577\r\n")
	c.expect("-ERR 'Maximum Payload Violation'\r\n")
	c.eof()
}

func TestAuthTimeout(t *testing.T) {
	h := startHub(t, func(c *config.Config) {
		c.Auth.Token = "t"
		c.Auth.Timeout = 200 * time.Millisecond
	})
	start := time.Now()
	c := h.raw(t)
	i := c.info()
	c.expect("-ERR 'Authentication Timeout'\r\n")
	if d := time.Since(start); d < 190*time.Millisecond {
		t.Errorf("after %s", d)
	}
	c.eof()
	if r := h.reasonOf(t, i.ClientID); r != wire.ReasonAuthTimeout {
		t.Errorf("closed for %q", r)
	}
	c = h.dial(t)
	c.send("CONNECT {\"auth_token\":\"t\",\"verbose\":false}\r\n")
	time.Sleep(300 * time.Millisecond) // nothing is to happen
	c.ask("", "")
}

func TestMaxConnections(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.Limits.MaxConnections = 3 })
	a := []*raw{h.ready(t), h.ready(t), h.ready(t)}
	c := h.raw(t)
	i := c.info()
	c.expect("-ERR 'maximum connections exceeded'\r\n")
	c.eof()
	if r := h.reasonOf(t, i.ClientID); r != wire.ReasonMaxConnections {
		t.Errorf("closed for %q", r)
	}
	a[0].Close()
	eventually(t, "one has left", func() bool { return h.registry.Len() == 2 })
	h.ready(t)

	none := startHub(t, func(c *config.Config) { c.Limits.MaxConnections = -1 })
	c = none.dial(t)
	c.expect("-ERR 'maximum connections exceeded'\r\n")
}

func TestStale(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.Limits.PingInterval, c.Limits.PingMax = 150*time.Millisecond, 2 })
	start := time.Now()
	mute := h.ready(t)
	id := h.registry.Open()[0].ID()
	answering := h.ready(t)
	done := make(chan int)
	go func() { // a client that answers lives
		n := 0
		for n < 6 {
			answering.expect("PING\r\n")
			answering.send("PONG\r\n")
			n++
		}
		done <- n
	}()
	mute.expect("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n")
	mute.eof()
	if d := time.Since(start); d < 440*time.Millisecond {
		t.Errorf("stale after %s", d)
	}
	if r := h.reasonOf(t, id); r != wire.ReasonStale {
		t.Errorf("closed for %q", r)
	}
	if n := h.Stats().Stale; n != 1 {
		t.Errorf("%d stale connections counted", n)
	}
	<-done
	if i := h.registry.Open()[0].Info(false); i.RTT <= 0 || i.RTT > time.Second {
		t.Errorf("round trip %s", i.RTT)
	}
}

// A client that pings is heard of: it is pinged once, to learn the round trip.
func TestBusyIsNotPinged(t *testing.T) {
	const interval = 150 * time.Millisecond
	h := startHub(t, func(c *config.Config) { c.Limits.PingInterval = interval })
	c := h.ready(t)
	pings, held := 0, 0 // held: how often this test itself was kept from pinging
	last := time.Now()
	for end := last.Add(time.Second); last.Before(end); time.Sleep(interval / 5) {
		if time.Since(last) > interval/2 {
			held++
		}
		last = time.Now()
		c.send("PING\r\n")
		for {
			l := c.line()
			if l == "PONG\r\n" {
				break
			}
			if l != "PING\r\n" {
				t.Fatalf("got %q", l)
			}
			pings++
			c.send("PONG\r\n")
		}
	}
	if pings < 1 || pings > 1+held {
		t.Errorf("%d PINGs; %d times this side was silent for long", pings, held)
	}
	// An answer that nobody asked for does not spoil the round trip.
	c.ask("PONG\r\nPONG\r\n", "")
	if i := h.registry.Open()[0].Info(false); i.RTT > time.Second {
		t.Errorf("round trip %s", i.RTT)
	}
}

// An idle client gives up what it had for publishing, and gets it back.
func TestIdleGivesUp(t *testing.T) {
	h := startHub(t)
	l := loops(t, h, 2, quiet)
	l[1].feed("SUB foo 1\r\n")
	l[0].feed("PUB foo 1\r\nx\r\n")
	l[0].pinger.Ping()
	l[0].feed("PONG\r\n")
	if l[0].pub == nil {
		t.Fatal("given up though active since the last tick")
	}
	l[0].active.Store(false) // as a tick does
	l[0].pinger.Ping()
	l[0].feed("PUB foo 1\r\nx\r\nPONG\r\n")
	if l[0].pub == nil {
		t.Fatal("given up with a message in the same block")
	}
	l[0].active.Store(false)
	l[0].pinger.Ping()
	l[0].feed("PONG\r\n")
	if l[0].pub != nil {
		t.Fatal("not given up")
	}
	l[0].feed("PUB foo 1\r\nx\r\n")
	if i := l[1].Info(false); i.OutMsgs != 3 {
		t.Errorf("%d messages delivered", i.OutMsgs)
	}
}

func TestKickAndShutdown(t *testing.T) {
	h := startHub(t)
	c, rest := h.ready(t), h.ready(t)
	id := uint64(1)
	if h.Kick(99) || !h.Kick(id) {
		t.Fatal("kicked the wrong one")
	}
	c.eof()
	if r := h.reasonOf(t, id); r != wire.ReasonKicked {
		t.Errorf("closed for %q", r)
	}
	opening := h.raw(t)
	opening.info()
	start := time.Now()
	h.Close()
	if d := time.Since(start); d > time.Second {
		t.Errorf("closing took %s", d)
	}
	if got := rest.ended() + opening.ended(); got != "" {
		t.Errorf("got %q at the shutdown", got)
	}
	for _, i := range h.registry.Closed() {
		if i.ID != id && i.Reason != wire.ReasonServerShutdown {
			t.Errorf("cid %d closed for %q", i.ID, i.Reason)
		}
	}
	if h.registry.Len() != 0 {
		t.Errorf("%d connections left", h.registry.Len())
	}
	h.Close()
}

func TestLameDuck(t *testing.T) {
	h := startHub(t)
	h.urls.Add([]string{"peer:1"})
	var all []*raw
	for range 10 {
		all = append(all, h.ready(t))
	}
	unready, old := h.dial(t), h.dial(t)
	old.ask("CONNECT {\"verbose\":false}\r\n", "")
	if err := h.LameDuck(1); err != nil {
		t.Fatal(err)
	}
	for i, c := range all { // which of them is 1 depends on the order of accepting
		if h.registry.Get(1).Info(false).Addr.String() == c.LocalAddr().String() {
			if i := all[i].info(); !i.LameDuck || len(i.ConnectURLs) != 2 {
				t.Errorf("INFO %+v", i)
			}
		}
	}
	if h.LameDuck(99) == nil {
		t.Error("there is no 99")
	}
	done := make(chan struct{})
	start := time.Now()
	go func() {
		h.Drain(context.Background(), 700*time.Millisecond, 200*time.Millisecond)
		close(done)
	}()
	for _, c := range all {
		if i := c.info(); !i.LameDuck || fmt.Sprint(i.ConnectURLs) != "[peer:1]" {
			t.Errorf("INFO %+v", i)
		}
	}
	if nc, err := net.Dial("tcp", h.addr); err == nil {
		nc.Close()
		t.Error("a new connection was taken")
	}
	all[0].silent(100 * time.Millisecond)
	all[0].ask("PUB x 1\r\nx\r\n", "")
	var ends []time.Duration
	for _, c := range append(all, unready, old) {
		if got := c.ended(); got != "" {
			t.Errorf("got %q at the end", got)
		}
		ends = append(ends, time.Since(start))
	}
	<-done
	if d := time.Since(start); d < 400*time.Millisecond || d > 2*time.Second {
		t.Errorf("it took %s: %v", d, ends)
	}
	if h.registry.Closed()[0].Reason != wire.ReasonServerShutdown {
		t.Errorf("closed for %q", h.registry.Closed()[0].Reason)
	}
	h.Close()
}

func TestLameDuckAlone(t *testing.T) {
	h := startHub(t)
	h.Drain(context.Background(), time.Hour, time.Minute) // nobody to wait for
	ctx, cancel := context.WithCancel(context.Background())
	h2 := startHub(t)
	h2.ready(t)
	cancel()
	h2.Drain(ctx, time.Hour, time.Minute)
}

// waitNoInterest waits until nobody listens on foo.
func waitNoInterest(t *testing.T, h *hub, limit time.Duration) {
	t.Helper()
	a := h.broker.Account("$G")
	for end := time.Now().Add(limit); a.HasInterest([]byte("foo")); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("interest of a closed connection is still there")
		}
	}
}

func TestSlowConsumerPending(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.Limits.MaxPending = 1 << 20 })
	slow, pub, good := h.ready(t), h.ready(t), h.ready(t)
	id := h.registry.Open()
	slow.ask("SUB foo 1\r\n", "")
	good.ask("SUB bar 1\r\n", "")
	_ = id
	blk := bytes.Repeat(pubs(1, 16384, "foo"), 8)
	done := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if _, err := pub.Write(blk); err != nil {
				done <- err
				return
			}
		}
	}()
	eventually(t, "slow consumer noticed", func() bool { return h.Stats().SlowConsumers > 0 })
	waitNoInterest(t, h, 100*time.Millisecond)
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got := slow.ended()
	if strings.Contains(got, "-ERR") {
		t.Error("an -ERR was sent")
	}
	pub.ask("PUB bar 2\r\nhi\r\n", "")
	good.expect("MSG bar 1 2\r\nhi\r\n")
	eventually(t, "in the list of closed ones", func() bool { return len(h.registry.Closed()) == 1 })
	if r := h.registry.Closed()[0].Reason; r != wire.ReasonSlowPending {
		t.Errorf("closed for %q", r)
	}
	if s := h.Stats(); s.SlowConsumers != 1 || s.SlowPending != 1 {
		t.Errorf("counted %+v", s)
	}
}

func TestSlowConsumerDeadline(t *testing.T) {
	h := startHub(t, func(c *config.Config) { c.Limits.WriteDeadline = 200 * time.Millisecond })
	slow, pub := h.ready(t), h.ready(t)
	slow.ask("SUB foo 1\r\n", "")
	start := time.Now()
	// More than the sockets' buffers hold, less than the queue may.
	pub.ask(string(bytes.Repeat(pubs(1, 1<<20, "foo"), 20)), "")
	eventually(t, "slow consumer noticed", func() bool { return h.Stats().SlowConsumers > 0 })
	if d := time.Since(start); d < 200*time.Millisecond {
		t.Errorf("after %s", d)
	}
	waitNoInterest(t, h, 100*time.Millisecond)
	if got := slow.ended(); strings.Contains(got, "-ERR") {
		t.Error("an -ERR was sent")
	}
	if s := h.Stats(); s.SlowConsumers != 1 || s.SlowWrite != 1 {
		t.Errorf("counted %+v", s)
	}
	if r := h.registry.Closed()[0].Reason; r != wire.ReasonSlowWrite {
		t.Errorf("closed for %q", r)
	}
}

// With write_timeout retry a consumer that reads a little is flagged and kept.
func TestSlowConsumerRetry(t *testing.T) {
	h := startHub(t, func(c *config.Config) {
		c.Limits.WriteDeadline, c.Limits.WriteTimeout = time.Second, config.WriteTimeoutRetry
	})
	slow, pub := h.ready(t), h.ready(t)
	slow.ask("SUB foo 1\r\n", "")
	const n = 20
	pub.ask(string(bytes.Repeat(pubs(1, 1<<20, "foo"), n)), "")
	b := make([]byte, 256<<10)
	read := 0
	for h.Stats().SlowConsumers == 0 {
		m, err := io.ReadFull(slow.r, b[:256<<10])
		if read += m; err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Millisecond) // slower than it is sent
	}
	want := n * (len("MSG foo 1 1048576\r\n") + 1<<20 + 2)
	if _, err := io.CopyN(io.Discard, slow.r, int64(want-read)); err != nil {
		t.Fatalf("%v; %+v", err, h.Stats())
	}
	slow.ask("", "")
}
