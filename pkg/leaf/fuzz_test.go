package leaf

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
)

// FuzzPeer sends bytes of any kind to the leaf port, as they are and behind a good CONNECT, and
// to a remote as its hub. Nothing may crash or stay behind.
func FuzzPeer(f *testing.F) {
	for _, s := range []string{
		"CONNECT {}\r\nPING\r\n",
		"CONNECT {\"name\":\"x\",\"cluster\":\"y\",\"headers\":true}\r\nLS+ foo\r\nLS+ foo q 3\r\nLS- foo\r\nLMSG foo 3\r\nabc\r\n",
		"INFO {\"compression\":\"s2_fast\"}\r\n\xff\x06\x00\x00S2sTwO\x01\x09\x00\x00\x00\x00\x00\x00hello",
		"INFO {\"server_id\":\"N\",\"client_id\":1,\"nonce\":\"x\",\"leafnode_urls\":[\"a:1\"],\"info_on_connect\":true}\r\nINFO {\"connect_info\":true}\r\nLS+ a\r\n",
		"HMSG foo + r q1 q2 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
		"LMSG foo | q1 q2 2\r\nhi\r\n-ERR 'Loop detected'\r\n",
		"LS+ $LDS.x\r\nPONG\r\nINFO {\"import\":{\"deny\":[\"a b c\"]}}\r\n",
		"\x16\x03\x01\x00\x05hello",
		"LMSG a 999999999\r\n",
		"-ERR 'Server Busy, retry after 99999999999999999999'\r\n",
	} {
		f.Add([]byte(s))
	}
	h := startNode(f, "HUB", listening, compressing(config.CompressionS2Auto))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	l := startNode(f, "EDGE", dialing(ln.Addr().String()), func(n *node) {
		n.cfg.LeafNodes.Reconnect, n.cfg.LeafNodes.ReconnectMax = time.Microsecond, time.Microsecond
		n.cfg.LeafNodes.ReconnectSpread = time.Microsecond
	})
	defer ln.Close()
	play := func(c net.Conn, b []byte) {
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		c.Write(b)
		c.(*net.TCPConn).CloseWrite()
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, before := range []string{"", "CONNECT {\"name\":\"f\",\"cluster\":\"f\",\"headers\":true}\r\n"} {
			c, err := net.Dial("tcp", h.addr())
			if err != nil {
				t.Fatal(err)
			}
			play(c, append([]byte(before), b...))
		}
		const info = `INFO {"server_id":"NH","client_id":5,"nonce":"abcdefghijklmno","info_on_connect":true` + "}\r\n" +
			`INFO {"server_id":"NH","connect_info":true}` + "\r\n"
		for _, before := range []string{"", info} {
			// A refusal makes the remote wait long.
			l.s.Retry()
			ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			play(c, append([]byte(before), b...))
			eventually(t, "the link to be gone", func() bool { return l.reg.Len() == 0 && l.s.Links()[0].State != RemoteUp })
			l.s.Retry()
		}
		eventually(t, "all links to be gone", func() bool { return h.reg.Len() == 0 && len(h.s.open()) == 0 })
		for _, n := range []*node{h, l} {
			if got := n.b.Account("$G").Subscriptions(); got > 1 {
				t.Fatalf("%d subscriptions are left at %s", got, n.srv.Name)
			}
		}
	})
}

// Whatever clients subscribe to and give up, in whatever order, both sides' tables are equal to
// a naive count in the end (check 15).
func TestInterestConverges(t *testing.T) {
	h := startNode(t, "HUB", listening)
	l := startNode(t, "EDGE", dialing(h.addr()))
	h.links(1)
	l.links(1)
	rapid.Check(t, func(t *rapid.T) {
		type key struct{ subj, queue string }
		for _, side := range []struct{ from, to *node }{{h, l}, {l, h}} {
			acct := side.from.b.Account("$G")
			port := &broker.Port{ID: side.from.b.NextID(), Class: broker.Client, Reach: broker.FromClient,
				Origin: broker.Origin{Class: broker.Client}, Sink: nobody{}}
			live := map[key][]*broker.Sub{}
			for range rapid.IntRange(1, 60).Draw(t, "steps") {
				k := key{pattern1(t, "subject"), rapid.SampledFrom([]string{"", "q", "r"}).Draw(t, "queue")}
				if all := live[k]; len(all) > 0 && rapid.Bool().Draw(t, "remove") {
					acct.Unsubscribe(all[len(all)-1])
					live[k] = all[:len(all)-1]
					continue
				}
				s := &broker.Sub{Port: port, Origin: port.Origin, Subject: []byte(k.subj)}
				if k.queue != "" {
					s.Queue = []byte(k.queue)
				}
				acct.Subscribe(s, 1)
				live[k] = append(live[k], s)
			}
			want := map[key]int32{}
			for k, all := range live {
				if len(all) > 0 {
					want[k] = 1
					if k.queue != "" {
						want[k] = int32(len(all))
					}
				}
			}
			eventually(t, "equal tables", func() bool {
				got := map[key]int32{}
				side.to.b.Account("$G").EachSub(func(s *broker.Sub) bool {
					if s.Port.Class != broker.Client && !bytes.HasPrefix(s.Subject, []byte(loopPrefix)) {
						got[key{string(s.Subject), string(s.Queue)}] = s.Weight()
					}
					return true
				})
				if len(got) != len(want) {
					return false
				}
				for k, n := range want {
					if got[k] != n {
						return false
					}
				}
				return true
			})
			for _, all := range live {
				acct.UnsubscribeAll(all)
			}
			eventually(t, "empty tables", func() bool { return side.to.b.Account("$G").Subscriptions() <= 2 })
		}
	})
}

// Links that come and go under traffic and changes of interest leave nothing behind.
func TestChurn(t *testing.T) {
	h := startNode(t, "HUB", listening, compressing(config.CompressionS2Auto))
	var wg sync.WaitGroup
	for range 4 {
		l := startNode(t, "EDGE", hurried, compressing(config.CompressionS2Auto), dialing(h.addr()))
		nc := l.nats()
		wg.Go(func() {
			for i := range 300 {
				sub, err := nc.SubscribeSync("churn")
				if err != nil {
					return
				}
				nc.Publish("churn", []byte("x"))
				if i%50 == 0 {
					nc.Flush()
					for _, c := range l.reg.Open() {
						c.Close(1)
					}
				}
				sub.Unsubscribe()
			}
			nc.Flush()
			nc.Close()
		})
		// All have the same name: they also replace each other.
	}
	wg.Wait()
	h.hasInterest("$G", "churn", false)
}
