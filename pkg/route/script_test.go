package route

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// TestScripts runs the transcripts under testdata: a raw peer says something, and
// what our server answers must be what stands there.
//
//	server [pool=N] [cluster=X] [dynamic] [auth=u:p] [pinned=A,B] [compression=M] [routes] [gwd] [authtimeout=D]
//	dial NAME          opens a connection to the server and prints its INFO
//	accept NAME        waits for the server's own dial (server with routes)
//	send NAME [closed] sends lines, prints what comes until the answer to a PING, or until the end
//	recv NAME          prints what has come
//	sub, unsub A subject [queue]     a client of the server
//	pub A subject payload [reply]
//	got A              what the client got
//	ended              reason and text of the last connection that ended
func TestScripts(t *testing.T) { runScripts(t, 0) }

// TestScriptsInPieces sends the same byte by byte.
func TestScriptsInPieces(t *testing.T) { runScripts(t, 1) }

func runScripts(t *testing.T, piece int) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		x := &script{t: t, piece: piece, raws: make(map[string]*raw), clients: make(map[string]*client), subs: make(map[string]*broker.Sub),
			ends: make(chan string, 100)}
		defer x.stop()
		datadriven.RunTest(t, path, x.run)
	})
}

type script struct {
	t       *testing.T
	n       *node
	lis     net.Listener
	raws    map[string]*raw
	clients map[string]*client
	subs    map[string]*broker.Sub
	ends    chan string
	piece   int // bytes a write, 0: all at once
}

func (x *script) stop() {
	for _, r := range x.raws {
		r.nc.Close()
	}
	if x.n != nil {
		x.n.s.Close()
	}
	if x.lis != nil {
		x.lis.Close()
	}
}

func arg(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			if len(a.Vals) == 0 {
				return "yes"
			}
			return strings.Join(a.Vals, ",")
		}
	}
	return ""
}

func (x *script) run(t *testing.T, d *datadriven.TestData) string {
	word := func(i int) string {
		if i < len(d.CmdArgs) {
			return d.CmdArgs[i].Key
		}
		return ""
	}
	switch d.Cmd {
	case "server":
		return x.server(d)
	case "dial":
		nc, err := net.Dial("tcp", x.n.s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		r := newRaw(nc, x.piece)
		x.raws[word(0)] = r
		return r.next()
	case "accept":
		nc, err := x.lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		x.raws[word(0)] = newRaw(nc, x.piece)
		return ""
	case "send":
		r := x.raws[word(0)]
		r.write(d.Input)
		if word(1) == "closed" {
			return r.until("")
		}
		if word(1) == "nothing" {
			return ""
		}
		r.write("PING")
		return r.until("PONG")
	case "recv":
		r := x.raws[word(0)]
		if word(1) != "" {
			k, _ := strconv.Atoi(word(1))
			out := ""
			for range k {
				out += r.next()
			}
			return out
		}
		r.write("PING")
		return r.until("PONG")
	case "sub":
		c := x.client(word(0))
		key := word(0) + " " + word(1) + " " + word(2)
		for x.subs[key] != nil {
			key += "'"
		}
		x.subs[key] = c.sub(word(1), word(2))
		return ""
	case "unsub":
		key := word(0) + " " + word(1) + " " + word(2)
		for x.subs[key+"'"] != nil {
			key += "'"
		}
		x.client(word(0)).a.Unsubscribe(x.subs[key])
		delete(x.subs, key)
		return ""
	case "pub":
		return fmt.Sprintln(x.client(word(0)).pub(word(1), word(3), word(2)))
	case "got":
		got := x.client(word(0)).take()
		sort.Strings(got)
		out := ""
		for _, g := range got {
			out += strconv.Quote(g) + "\n"
		}
		return out
	case "ended":
		select {
		case e := <-x.ends:
			return e
		case <-time.After(10 * time.Second):
			return "no connection ended"
		}
	}
	t.Fatalf("unknown command %q", d.Cmd)
	return ""
}

func (x *script) client(account string) *client {
	if x.clients[account] == nil {
		x.clients[account] = x.n.client(account)
	}
	return x.clients[account]
}

func (x *script) server(d *datadriven.TestData) string {
	if x.n != nil {
		x.n.s.Close()
		x.clients = make(map[string]*client)
	}
	for len(x.ends) > 0 {
		<-x.ends
	}
	x.n = newNode(x.t, func(n *node) {
		n.id = "NSERVER"
		n.srv.ID, n.srv.Name = n.id, "server"
		n.b = broker.New(n.id, "CL", "")
		n.b.Account("A")
		n.b.Account("B")
		n.o.Broker = n.b
		n.set.PoolSize, _ = strconv.Atoi(arg(d, "pool"))
		if c := arg(d, "cluster"); c != "" {
			n.srv.SetCluster(c, arg(d, "dynamic") != "")
		}
		if u, p, ok := strings.Cut(arg(d, "auth"), ":"); ok {
			n.set.Auth = config.LinkAuth{User: u, Password: config.Secret(p)}
			n.set.Auth.Timeout, _ = time.ParseDuration(arg(d, "authtimeout"))
		}
		if p := arg(d, "pinned"); p != "" {
			n.set.Accounts = strings.Split(p, ",")
		}
		n.set.Compression.Mode = config.CompressionMode(arg(d, "compression"))
		if arg(d, "ping") != "" {
			n.set.PingInterval, _ = time.ParseDuration(arg(d, "ping"))
		}
		if arg(d, "urls") != "" {
			n.o.URLs.SetOwn([]string{"server:4222"})
		}
		if arg(d, "gwd") != "" {
			n.o.Role = BorderRole
		}
		if arg(d, "routes") != "" {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				x.t.Fatal(err)
			}
			x.lis = lis
			n.set.Routes = []*url.URL{{Scheme: "nats-route", Host: lis.Addr().String()}}
		}
		n.o.onEnd = func(reason wire.CloseReason, err error) {
			text := ""
			var end *closing
			if errors.As(err, &end) && (end.text != "" || end.note != "") {
				text = ": " + end.Error()
			}
			select {
			case x.ends <- reason.String() + text + "\n":
			default:
			}
		}
	})
	x.n.start()
	return ""
}

// raw is a peer that says what the script tells it.
type raw struct {
	nc    net.Conn
	r     *bufio.Reader
	piece int
}

func newRaw(nc net.Conn, piece int) *raw {
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{nc: nc, r: bufio.NewReader(nc), piece: piece}
}

func (r *raw) write(lines string) {
	lines = strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\r\n")
	lines = strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00").Replace(lines)
	lines += "\r\n"
	for r.piece > 0 && len(lines) > r.piece {
		io.WriteString(r.nc, lines[:r.piece])
		lines = lines[r.piece:]
	}
	io.WriteString(r.nc, lines)
}

// next reads one line; PINGs of the server are answered on the way.
func (r *raw) next() string {
	for {
		line, err := r.r.ReadString('\n')
		if err != nil {
			if line != "" {
				return line + "\n(closed)\n"
			}
			return "(closed)\n"
		}
		if line == "PING\r\n" {
			io.WriteString(r.nc, "PONG\r\n")
			continue
		}
		return show(strings.TrimSuffix(line, "\r\n")) + "\n"
	}
}

// until reads lines up to one, or to the end. Interest lines in a row are sorted.
func (r *raw) until(end string) string {
	var all, interest []string
	settle := func() {
		sort.Strings(interest)
		all = append(all, interest...)
		interest = nil
	}
	for {
		line := r.next()
		switch {
		case strings.HasPrefix(line, "RS+ "), strings.HasPrefix(line, "LS+ "):
			interest = append(interest, line)
			continue
		case end != "" && line == end+"\n":
			settle()
			return strings.Join(all, "")
		}
		settle()
		all = append(all, line)
		if line == "(closed)\n" {
			r.nc.Close()
			return strings.Join(all, "")
		}
	}
}

// shown are the keys of INFO and CONNECT that transcripts hold.
var shown = []string{"cluster", "cluster_dynamic", "compression", "route_pool_size", "route_pool_idx", "route_account",
	"route_acc_add_reqid", "gossip_mode", "ldm", "connect_urls", "ip", "server_name", "name", "lnoc", "lnocu", "user", "x_role"}

func show(line string) string {
	verb, js, ok := strings.Cut(line, " {")
	if !ok || verb != "INFO" && verb != "CONNECT" {
		return line
	}
	var keys map[string]any
	if err := json.Unmarshal([]byte("{"+strings.TrimSpace(js)), &keys); err != nil {
		return line
	}
	out := verb
	for _, k := range slices.Sorted(slices.Values(shown)) {
		if v, ok := keys[k]; ok {
			b, _ := json.Marshal(v)
			out += " " + k + "=" + string(b)
		}
	}
	return out
}
