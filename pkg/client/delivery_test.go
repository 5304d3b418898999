package client

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
)

// numbers reads n messages and checks that the bodies are numbers that only go up.
func numbers(c *raw, n int) error {
	last := -1
	for range n {
		l, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		f := strings.Fields(l)
		if f[0] != "MSG" {
			return fmt.Errorf("got %q", l)
		}
		size, err := strconv.Atoi(f[len(f)-1])
		if err != nil {
			return err
		}
		body := make([]byte, size+2)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return err
		}
		v, err := strconv.Atoi(strings.TrimSpace(string(body)))
		if err != nil || v <= last {
			return fmt.Errorf("%d after %d, %v", v, last, err)
		}
		last = v
	}
	return nil
}

// Each subscription gets the messages of a publisher in their order.
func TestOrder(t *testing.T) {
	n := 200_000
	if testing.Short() {
		n = 20_000
	}
	h := startHub(t)
	var wg sync.WaitGroup
	for _, sub := range []string{"SUB o.x 1\r\n", "SUB o.> 1\r\n", "SUB o.* q 1\r\n"} {
		c := h.ready(t)
		c.ask(sub, "")
		c.SetReadDeadline(time.Now().Add(3 * patience))
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := numbers(c, n); err != nil {
				t.Errorf("%q: %v", sub, err)
			}
		}()
	}
	pub := h.ready(t)
	w := bufio.NewWriterSize(pub.Conn, 32<<10)
	for i := range n {
		s := strconv.Itoa(i)
		fmt.Fprintf(w, "PUB o.x %d\r\n%s\r\n", len(s), s)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

// A group over three patterns is one group; its members share evenly, whatever
// else listens.
func TestQueueGroupShares(t *testing.T) {
	const n = 3000
	h := startHub(t)
	subs := []string{"SUB foo.bar q 1\r\n", "SUB foo.* q 1\r\n", "SUB foo.> q 1\r\n", "SUB foo.bar other 1\r\n", "SUB > 1\r\n"}
	all := loops(t, h, len(subs)+1, quiet)
	for i, s := range subs {
		all[i].feed(s)
	}
	all[len(subs)].block(pubs(n, 5, "foo.bar"))
	var got []int64
	for _, l := range all[:len(subs)] {
		got = append(got, l.Info(false).OutMsgs)
	}
	if got[0]+got[1]+got[2] != n || got[3] != n || got[4] != n {
		t.Fatalf("delivered %v", got)
	}
	for _, g := range got[:3] {
		if g < 1000-129 || g > 1000+129 { // five sigma
			t.Errorf("delivered %v", got)
		}
	}
}

// An exhausted member is passed over, and the group goes on.
func TestQueueGroupExhausted(t *testing.T) {
	h := startHub(t)
	l := loops(t, h, 3, quiet)
	l[0].feed("SUB foo q 1\r\nUNSUB 1 5\r\n")
	l[1].feed("SUB foo q 1\r\n")
	for range 40 {
		l[2].block(pubs(1, 1, "foo"))
	}
	if a, b := l[0].Info(false).OutMsgs, l[1].Info(false).OutMsgs; a != 5 || b != 35 {
		t.Errorf("delivered %d and %d", a, b)
	}
	if n := l[0].Info(false).Subs; n != 0 {
		t.Errorf("%d subscriptions left", n)
	}
	// In one block.
	l[0].feed("SUB foo q 2\r\nUNSUB 2 5\r\n")
	l[2].block(pubs(40, 1, "foo"))
	if a, b := l[0].Info(false).OutMsgs, l[1].Info(false).OutMsgs; a != 10 || b != 70 {
		t.Errorf("delivered %d and %d", a, b)
	}
}

// The sum over publishers that race for an automatic limit is exactly the limit,
// and the interest is withdrawn.
func TestAutoUnsubscribeRace(t *testing.T) {
	h := startHub(t)
	l := loops(t, h, 5, quiet)
	for round := range 50 {
		l[0].feed(fmt.Sprintf("SUB foo %d\r\nUNSUB %d 100\r\n", round, round))
		var wg sync.WaitGroup
		for _, p := range l[1:] {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 10 {
					p.block(pubs(7, 1, "foo"))
				}
			}()
		}
		wg.Wait()
		if i := l[0].Info(true); i.OutMsgs != int64(100*(round+1)) || i.Subs != 0 {
			t.Fatalf("round %d: %d delivered, %+v left", round, i.OutMsgs, i.More)
		}
		if h.broker.Account("$G").HasInterest([]byte("foo")) {
			t.Fatal("interest is left")
		}
	}
}

// No message for a sid comes after the PONG that follows its UNSUB.
func TestNothingAfterUnsub(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	h := startHub(t)
	c, pub := h.ready(t), h.ready(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		b := pubs(50, 10, "foo")
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := pub.Write(b); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	for i := range rounds {
		sid := strconv.Itoa(i)
		c.send("SUB foo " + sid + "\r\nPING\r\nUNSUB " + sid + "\r\nPING\r\n")
		for pongs := 0; pongs < 2; {
			l := c.line()
			if l == "PONG\r\n" {
				pongs++
				continue
			}
			if !strings.HasPrefix(l, "MSG foo "+sid+" ") {
				t.Fatalf("round %d: got %q", i, l)
			}
			c.line()
		}
	}
	close(stop)
	<-done
}

// A connection that ends leaves no interest and no count behind, whatever it was doing.
func TestNothingIsLeft(t *testing.T) {
	h := startHub(t)
	a := h.broker.Account("$G")
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := h.ready(t)
			var b bytes.Buffer
			for s := range 200 {
				fmt.Fprintf(&b, "SUB s.%d.%d %d\r\nPUB s.%d.%d 1\r\nx\r\n", i, s, s, i, s)
			}
			c.Write(b.Bytes()[:b.Len()-i*7])
			c.Close()
		}()
	}
	wg.Wait()
	eventually(t, "all are gone", func() bool { return h.registry.Len() == 0 })
	eventually(t, "no subscriptions", func() bool { return a.Subscriptions() == 0 })
	if n := a.Clients.Load(); n != 0 {
		t.Errorf("%d clients counted", n)
	}
	if n := h.open.Load(); n != 0 {
		t.Errorf("%d connections counted", n)
	}
}

// What servers say to each other in replies does not reach clients.
func TestRepliesFromServers(t *testing.T) {
	h := startHub(t)
	c := h.ready(t)
	c.ask("SUB foo 1\r\nSUB dlv 2\r\n", "")
	route := &broker.Port{ID: 1000, Class: broker.Route, Reach: broker.FromRoute, Origin: broker.Origin{Class: broker.Route}}
	in := h.broker.NewInlet(route)
	const ack = "$JS.ACK.s.c.1.2.3.4.5"
	for _, row := range []struct{ subject, reply, line string }{
		{"foo", "plain.reply", "MSG foo 1 plain.reply 1\r\n"},
		{"foo", "_GR_.aaaaaa.bbbbbb.plain", "MSG foo 1 plain 1\r\n"},
		{"dlv", ack + "@orders.new", "MSG orders.new 2 " + ack + " 1\r\n"},
		{"dlv", "_GR_.aaaaaa.bbbbbb." + ack + "@orders.new", "MSG orders.new 2 " + ack + " 1\r\n"},
		{"dlv", "$JS.ACK.a.b@c", "MSG dlv 2 $JS.ACK.a.b@c 1\r\n"},
	} {
		in.Publish(&broker.Msg{
			Account: h.broker.Account("$G"), Subject: []byte(row.subject), Reply: []byte(row.reply), Payload: []byte("x"),
		})
		in.Flush()
		c.expect(row.line + "x\r\n")
	}
}

// TestBatchWithDenied: of messages that go to one subscription together, those that its user may not get are left out,
// however many they are, and the others come.
func TestBatchWithDenied(t *testing.T) {
	h := startHub(t, func(c *config.Config) {
		c.Auth.NoAuthUser = "n"
		c.Auth.Users = []config.User{
			{Name: "n", Account: "$G"},
			{Name: "p", Password: "p", Account: "$G", Permissions: &config.Permissions{
				Subscribe: config.SubjectPermission{Deny: []string{"foo.no"}},
			}},
		}
	})
	sub := h.ready(t, `"user":"p","pass":"p"`)
	sub.ask("SUB foo.> 1\r\n", "")
	pub := loops(t, h, 1, quiet)[0]
	var block []byte
	for _, m := range []struct {
		subject string
		n, size int
	}{{"foo.no", 1, 3 * batchRoom}, {"foo.a", 1, 1}, {"foo.no", 300, 100}, {"foo.b", 1, 1}} {
		block = append(block, pubs(m.n, m.size, m.subject)...)
	}
	pub.block(block)
	sub.expect("MSG foo.a 1 1\r\nx\r\nMSG foo.b 1 1\r\nx\r\n")
}
