//go:build soak && linux

package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/procs"
)

// dialect is what a stranger says to a port: how it introduces itself, and lines that would be right.
type dialect struct {
	hello []string // sent as they are, most of the time; %d is a number of the connection's own
	lines []string
	// info: the server speaks first and is listened to before anything is sent.
	info bool
}

var clientDialect = dialect{
	hello: []string{"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1,\"name\":\"h%d\"}\r\nPING\r\n"},
	lines: []string{
		"PUB foo 5\r\nhello\r\n", "PUB foo.bar reply.to 0\r\n\r\n", "HPUB foo 12 17\r\nNATS/1.0\r\n\r\nhello\r\n", "HPUB foo r 22 22\r\nNATS/1.0\r\nA: b\r\n\r\n\r\n",
		"SUB foo 1\r\n", "SUB foo.* q 2\r\n", "SUB > 3\r\n", "UNSUB 1\r\n", "UNSUB 2 5\r\n", "PING\r\n", "PONG\r\n", "pub foo 2\r\nhi\r\n",
		"CONNECT {\"verbose\":true,\"echo\":false}\r\n", "PUB _GR_.aaaaaa.bbbbbb.x 1\r\nx\r\n", "PUB $SYS.REQ.SERVER.PING 0\r\n\r\n",
		"SUB $SYS.> 9\r\n", "PUB foo _INBOX.a.b 3\r\nabc\r\n", "-ERR 'x'\r\n", "+OK\r\n", "INFO {}\r\n", "MSG a 1 1\r\nx\r\n", "PUB foo 1048576\r\n",
	},
}

var routeDialect = dialect{
	info: true,
	hello: []string{
		"CONNECT {\"echo\":true,\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"headers\":true,\"cluster\":\"sfo\",\"name\":\"NHOSTILE%[1]d\",\"server_name\":\"h%[1]d\",\"dynamic\":false,\"lnoc\":true}\r\n" +
			"INFO {\"server_id\":\"NHOSTILE%[1]d\",\"server_name\":\"h%[1]d\",\"version\":\"2.10.0\",\"proto\":1,\"host\":\"127.0.0.1\",\"port\":0,\"headers\":true,\"max_payload\":1048576,\"cluster\":\"sfo\",\"lnoc\":true}\r\nPING\r\n",
		"CONNECT {\"headers\":true,\"cluster\":\"sfo\",\"name\":\"NHOSTILE%[1]d\",\"server_name\":\"h%[1]d\"}\r\n" +
			"INFO {\"server_id\":\"NHOSTILE%[1]d\",\"server_name\":\"h%[1]d\",\"proto\":1,\"headers\":true,\"cluster\":\"sfo\",\"route_pool_size\":3,\"route_pool_idx\":1,\"x_role\":\"gwd\",\"x_caps\":[\"fence\",\"sole\"]}\r\nPING\r\n",
	},
	lines: []string{
		"RS+ APP foo\r\n", "RS+ APP foo.* q 3\r\n", "RS- APP foo\r\n", "RS- APP foo.* q\r\n", "LS+ edge APP bar\r\n", "LS+ $GW APP baz\r\n", "LS- $GW APP baz\r\n", "LS+ $GW APP baz q 1\r\n",
		"RMSG APP foo 5\r\nhello\r\n", "RMSG APP foo reply 0\r\n\r\n", "RMSG APP foo + reply q1 q2 2\r\nhi\r\n", "RMSG APP foo | q1 2\r\nhi\r\n", "HMSG APP foo 12 17\r\nNATS/1.0\r\n\r\nhello\r\n",
		"LMSG edge APP bar 2\r\nhi\r\n", "LMSG edge APP bar + r q 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "PING\r\n", "PONG\r\n", "A- APP\r\n", "A+ APP\r\n", "GFENCE 1\r\n", "GMSG ams APP foo 2\r\nhi\r\n",
		"RMSG APP _GR_.aaaaaa.bbbbbb.x 1\r\nx\r\n", "INFO {\"ldm\":true}\r\n", "INFO {\"server_id\":\"X\",\"x_remotes\":[\"B\"]}\r\n", "-ERR 'x'\r\n", "RS+ SYS $SYS.> \r\n", "RMSG SYS $SYS.SERVER.X.STATSZ 2\r\n{}\r\n",
	},
}

var gatewayDialect = dialect{
	info: true,
	hello: []string{
		"CONNECT {\"verbose\":false,\"headers\":true,\"name\":\"NHOSTILE%[1]d\",\"gateway\":\"ams\"}\r\n" +
			"INFO {\"server_id\":\"NHOSTILE%[1]d\",\"server_name\":\"h%[1]d\",\"version\":\"2.10.0\",\"proto\":1,\"headers\":true,\"max_payload\":1048576,\"gateway\":\"ams\",\"gateway_nrp\":true,\"gateway_iom\":true}\r\nPING\r\n",
	},
	lines: []string{
		"RMSG APP foo 5\r\nhello\r\n", "RMSG APP foo reply 0\r\n\r\n", "RMSG APP foo + _GR_.aaaaaa.bbbbbb.r q1 q2 2\r\nhi\r\n", "RMSG APP foo | q1 2\r\nhi\r\n", "HMSG APP foo 12 17\r\nNATS/1.0\r\n\r\nhello\r\n",
		"PING\r\n", "PONG\r\n", "RS+ APP foo\r\n", "RS- APP foo\r\n", "A- APP\r\n", "INFO {\"gateway\":\"ams\",\"gateway_cmd\":2,\"gateway_cmd_payload\":\"QVBQ\"}\r\n", "-ERR 'x'\r\n",
		"RMSG APP _GR_.aaaaaa.bbbbbb.x 1\r\nx\r\n", "RMSG SYS $SYS.REQ.SERVER.PING 0\r\n\r\n", "RMSG $G a.b.c.d.e.f 3\r\nabc\r\n", "GMSG ams APP foo 2\r\nhi\r\n",
	},
}

var leafDialect = dialect{
	info: true,
	hello: []string{
		"CONNECT {\"user\":\"edge\",\"pass\":\"" + estate.Password + "\",\"headers\":true,\"name\":\"h%[1]d\",\"server_id\":\"NHOSTILE%[1]d\",\"version\":\"2.10.0\",\"cluster\":\"h%[1]d\",\"no_responders\":true}\r\nPING\r\n",
		"CONNECT {\"user\":\"edge\",\"pass\":\"" + estate.Password + "\",\"headers\":true,\"name\":\"h%[1]d\",\"server_id\":\"NHOSTILE%[1]d\",\"compression\":\"off\",\"proto\":1,\"isolate\":true}\r\nPING\r\n",
	},
	lines: []string{
		"LS+ foo\r\n", "LS+ foo.* q 3\r\n", "LS- foo\r\n", "LS- foo.* q\r\n", "LS+ $LDS.abc\r\n", "LMSG foo 5\r\nhello\r\n", "LMSG foo reply 0\r\n\r\n", "LMSG foo + reply q1 q2 2\r\nhi\r\n",
		"LMSG foo | q1 2\r\nhi\r\n", "HMSG foo 12 17\r\nNATS/1.0\r\n\r\nhello\r\n", "PING\r\n", "PONG\r\n", "INFO {\"headers\":true}\r\n", "-ERR 'x'\r\n", "LMSG _GR_.aaaaaa.bbbbbb.x 1\r\nx\r\n", "RS+ APP foo\r\n",
	},
}

var bytesOfInterest = []string{
	"\r\n", "\n", "\r", " ", "\t", "\x00", "\xff\xfe", "-1", "99999999999999999999", "4294967296", "2147483647", "0", ".", "..", ">", "*", "*.>", "{", "}", "\"", "[", "]", ":", ",", "null",
	"{\"a\":{\"a\":{\"a\":", "\\u0000", "_GR_.", "$GR.", "$SYS.", "_INBOX.", "APP", "\x16\x03\x01\x02\x00\x01\x00", "\xff\x06\x00\x00sNaPpY", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "GET / HTTP/1.1\r\n\r\n",
}

// input makes one input: a right line, a damaged one, or noise.
func (d *dialect) input(r *rand.Rand) []byte {
	line := []byte(d.lines[r.IntN(len(d.lines))])
	switch kind := r.IntN(10); {
	case kind == 0:
		return line
	case kind == 1: // noise
		b := make([]byte, 1+r.IntN(200))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	case kind == 2: // a very long word
		return append(line[:1+r.IntN(len(line)-1)], strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(9000))...)
	}
	for range 1 + r.IntN(3) {
		line = damage(r, line, d.lines)
	}
	return line
}

func damage(r *rand.Rand, b []byte, lines []string) []byte {
	if len(b) == 0 {
		return []byte("\r\n")
	}
	at := r.IntN(len(b))
	switch r.IntN(7) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		b[at] = byte(r.Uint32())
	case 2:
		b = b[:at]
	case 3:
		b = append(b[:at:at], b[min(len(b), at+1+r.IntN(4)):]...)
	case 4:
		word := bytesOfInterest[r.IntN(len(bytesOfInterest))]
		b = append(append(append([]byte(nil), b[:at]...), word...), b[at:]...)
	case 5:
		other := lines[r.IntN(len(lines))]
		b = append(append([]byte(nil), b[:at]...), other[r.IntN(len(other)):]...)
	case 6: // a number becomes another one
		s := number.ReplaceAllStringFunc(string(b), func(string) string {
			return []string{"0", "1", "7", "-1", "00", "1e3", "65536", "1048577", "99999999999", ""}[r.IntN(10)]
		})
		b = []byte(s)
	}
	return b
}

var number = regexp.MustCompile(`\d+`)

// port is one listener under attack.
type port struct {
	name    string
	node    *estate.Node
	kind    string // of the listener
	dialect dialect
	share   int // one in so many of the inputs
}

// A million random and damaged inputs to each port: nothing crashes, no goroutine and no memory stays behind, and everybody
// else is served as before.
func TestHostileInput(t *testing.T) {
	inputs := setting(t, "SOAK_INPUTS", 1_000_000)
	seed := uint64(setting(t, "SOAK_SEED", int(time.Now().UnixNano()&0xffffff)))
	t.Logf("SOAK_SEED=%d", seed)
	e := estate.New(t, bins)
	r := e.Regions(estate.RegionSpec{Name: "sfo", Hubs: 1, Gwds: 1}, estate.RegionSpec{Name: "ams", Hubs: 1, Gwds: 1})
	hub, gwd := r[0].Hubs[0], r[0].Borders[0]
	edge := e.Edge(estate.EdgeSpec{Name: "edge", URLs: []string{"nats://" + hub.Addr("leafnodes")}})
	e.Start(edge)
	for _, p := range []port{
		{"client port of hubd", hub, "nats", clientDialect, 1},
		{"route port of hubd", hub, "cluster", routeDialect, 1},
		{"leaf port of hubd", hub, "leafnodes", leafDialect, 1},
		{"gateway port of gwd", gwd, "gateway", gatewayDialect, 1},
		{"route port of gwd", gwd, "cluster", routeDialect, 10},
		{"client port of leafd", edge, "nats", clientDialect, 10},
	} {
		t.Run(strings.ReplaceAll(p.name, " ", "_"), func(t *testing.T) {
			attack(t, e, p, inputs/p.share, seed)
			stillServes(t, e, []*estate.Node{hub, edge, r[1].Hubs[0]})
		})
		if t.Failed() {
			return
		}
	}
}

func attack(t *testing.T, e *estate.Estate, p port, inputs int, seed uint64) {
	// Once, so that what is made at the first use is there before it is measured.
	assault(t, p, inputs/50, seed+1)
	before := settle(t, e, p.node, nil)
	pid := p.node.Pid()
	conns := assault(t, p, inputs, seed)
	after := settle(t, e, p.node, &before)
	t.Logf("%d inputs on %d connections; goroutines %d -> %d, heap %.1f -> %.1f MB, resident %.1f -> %.1f MB (at most %.1f)", inputs, conns,
		before.goroutines, after.goroutines, mb(before.heap), mb(after.heap), mb(before.rss), mb(after.rss), mb(after.peak))
	select {
	case <-p.node.Process().Done():
		t.Fatalf("%s has ended", p.node.Name)
	default:
	}
	if p.node.Pid() != pid {
		t.Error("the process is another one")
	}
	if after.goroutines > before.goroutines+5 {
		t.Errorf("%d goroutines, %d before:\n%s", after.goroutines, before.goroutines, goroutines(p.node))
	}
	if after.heap > before.heap+8<<20 {
		t.Errorf("%.1f MB of heap in use, %.1f before", mb(after.heap), mb(before.heap))
	}
	if after.peak > 512<<20 {
		t.Errorf("%.1f MB resident at most, want less than 512", mb(after.peak))
	}
}

func mb(n int64) float64 { return float64(n) / (1 << 20) }

// assault sends so many inputs and returns on how many connections.
func assault(t *testing.T, p port, inputs int, seed uint64) int {
	t.Helper()
	var next, conns atomic.Int64
	addr := p.node.Addr(p.kind)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for w := range errs {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for next.Load() < int64(inputs) && t.Context().Err() == nil {
				n := 1 + r.IntN(12)
				next.Add(int64(n))
				id := conns.Add(1)
				if err := p.dialect.connection(t.Context(), r, addr, id, n); err != nil {
					errs[w] = err
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%v; the end of the server's log:\n%s\nits goroutines:\n%s", err, p.node.Log().Tail(30), goroutines(p.node))
	}
	return int(conns.Load())
}

// connection sends n inputs on one connection and waits until the server has dealt with all of them.
func (d *dialect) connection(ctx context.Context, r *rand.Rand, addr string, id int64, n int) error {
	// Source addresses of their own: one has too few ports for so many connections.
	dialer := net.Dialer{Timeout: 20 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+id/250%250), byte(1+id%250))}}
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("connection %d: %w", id, err)
	}
	defer c.Close()
	tcp := c.(*net.TCPConn)
	_ = tcp.SetLinger(0)
	_ = tcp.SetDeadline(time.Now().Add(30 * time.Second))
	rd := bufio.NewReader(c)
	if d.info {
		if _, err := rd.ReadSlice('\n'); err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("connection %d: no INFO: %w", id, err)
		}
	}
	// What the server says is read all the time: this is about what it gets, not about slow readers.
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, rd)
		done <- err
	}()
	hello := []byte(fmt.Sprintf(d.hello[r.IntN(len(d.hello))], id))
	switch r.IntN(8) {
	case 0:
		hello = damage(r, hello, d.lines)
	case 1:
		hello = nil
	}
	_, err = c.Write(hello)
	for i := 0; i < n && err == nil; i++ {
		_, err = c.Write(d.input(r))
	}
	_ = tcp.CloseWrite()
	if err := <-done; errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("connection %d was not ended though nothing more will come", id)
	}
	return nil
}

// state is what a process holds.
type state struct {
	goroutines      int
	heap, rss, peak int64
}

// settle reads the state after a collection, and waits for goroutines to end until there are no more than before.
func settle(t *testing.T, e *estate.Estate, n *estate.Node, before *state) state {
	t.Helper()
	var s state
	limit := 30 * time.Second
	if before == nil {
		limit = 5 * time.Second
	}
	_ = estate.Await(limit, func() error {
		text, err := profile(n, "goroutine?debug=1")
		if err != nil {
			return err
		}
		m := regexp.MustCompile(`total (\d+)`).FindStringSubmatch(text)
		if m == nil {
			return fmt.Errorf("%.60q", text)
		}
		s.goroutines, _ = strconv.Atoi(m[1])
		if before == nil || s.goroutines > before.goroutines {
			return fmt.Errorf("%d goroutines", s.goroutines)
		}
		return nil
	})
	for range 2 { // finalizers and pools need two
		text, err := profile(n, "heap?gc=1&debug=1")
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`# HeapAlloc = (\d+)`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no HeapAlloc in the profile of %s", n.Name)
		}
		s.heap, _ = strconv.ParseInt(m[1], 10, 64)
	}
	u, err := procs.ReadUsage(n.Pid())
	if err != nil {
		t.Fatal(err)
	}
	s.rss, s.peak = u.RSS, u.PeakRSS
	return s
}

func profile(n *estate.Node, what string) (string, error) {
	c := http.Client{Timeout: 30 * time.Second}
	defer c.CloseIdleConnections()
	resp, err := c.Get("http://" + n.Addr("profile") + "/debug/pprof/" + what)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func goroutines(n *estate.Node) string {
	text, err := profile(n, "goroutine?debug=1")
	if err != nil {
		return err.Error()
	}
	return text[:min(len(text), 20_000)]
}

// stillServes checks that messages go from every place to every place.
func stillServes(t *testing.T, e *estate.Estate, places []*estate.Node) {
	t.Helper()
	for i, from := range places {
		for k, to := range places {
			sub, err := e.Connect(to).SubscribeSync(fmt.Sprintf("still.%d.%d", i, k))
			if err != nil {
				t.Fatal(err)
			}
			nc := e.Connect(from, nats.NoEcho())
			e.Eventually(fmt.Sprintf("%s still reaches %s", from.Name, to.Name), func() error {
				if err := nc.Publish(sub.Subject, nil); err != nil {
					return err
				}
				_, err := sub.NextMsg(500 * time.Millisecond)
				return err
			})
			nc.Close()
		}
	}
}
