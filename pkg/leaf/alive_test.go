package leaf

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
)

// pinged starts a hub that pings often, and a peer of it that is up.
func pinged(t *testing.T) *script {
	h := startNode(t, "HUB", listening, compressing(config.CompressionOff), func(n *node) {
		n.cfg.LeafNodes.PingInterval, n.cfg.LeafNodes.PingMax = 30*time.Millisecond, 2
	})
	s := &script{t: t, n: h}
	s.use(net.Dial("tcp", h.addr()))
	s.recv(1)
	s.write("CONNECT " + fields("", leafFields) + "\r\nPING\r\n")
	s.until("PONG")
	t.Cleanup(func() { s.c.Close() })
	return s
}

// A silent peer is given up after as many PINGs as the settings say (16.1).
func TestSilentPeer(t *testing.T) {
	t.Parallel()
	s := pinged(t)
	s.c.SetReadDeadline(time.Now().Add(patience))
	var got []string
	for {
		l, err := s.r.ReadString('\n')
		if err != nil {
			break
		}
		got = append(got, strings.TrimSpace(l))
	}
	if want := "PING PING -ERR 'Stale Connection'"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	eventually(t, "the closed link", func() bool { return len(s.n.reg.Closed()) == 1 })
	if r := s.n.reg.Closed()[0].Reason.String(); r != "Stale Connection" {
		t.Errorf("closed for %s", r)
	}
}

// A peer that is heard lives, though its PONGs never come: on a slow line they wait behind a
// backlog (21.7).
func TestHeardPeer(t *testing.T) {
	t.Parallel()
	s := pinged(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				s.c.Write([]byte("LMSG x 1\r\ny\r\n"))
			}
		}
	}()
	s.c.SetReadDeadline(time.Now().Add(patience))
	for pings := 0; pings < 10; {
		l, err := s.r.ReadString('\n')
		if err != nil || strings.HasPrefix(l, "-ERR") {
			t.Fatalf("after %d PINGs: %q %v", pings, l, err)
		}
		if l == "PING\r\n" {
			pings++
		}
	}
	close(stop)
	<-done
}
