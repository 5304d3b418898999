package leaf

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/config"
)

// script plays a file of testdata: a node of ours and a peer that is a raw socket. Output
// is what the peer reads. Commands:
//
//	start [key=value ...]    a node; see settings
//	connect                  the peer dials our listener and prints INFO
//	leaf [json fields]       connect, CONNECT with these fields, and everything up to the end of the
//	                         snapshot, interest sorted
//	again [json fields]      leaf on a second connection, while the first stays the one that is read
//	loop                     the peer announces the node's own loop subject, and prints what comes
//	accept                   the peer accepts our remote's connection
//	send                     the peer sends the lines of the input
//	hub [json fields]        accept, INFO, and after CONNECT the INFO that answers it, with these fields
//	recv n [sorted]          prints n lines
//	recv eof                 prints all lines until the connection ends
//	talk                     send, then a PING, and prints all lines before the PONG
//	sub subject [queue]      a client of the node subscribes; unsub ends the last such subscription
//	got subject              prints messages that came for the client up to now
//	pub subject [reply] data the client publishes
//	remote                   the state of the remote
//	links n                  waits until n links are up
type script struct {
	t    *testing.T
	n    *node
	peer net.Listener
	c    net.Conn
	r    *bufio.Reader
	nc   *nats.Conn
	subs map[string][]*nats.Subscription
	got  map[string]*box
}

// leafFields is CONNECT of the peer as a leaf node.
const leafFields = `"name":"L","cluster":"L","server_id":"NL","version":"2.14.5","headers":true`

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{t: t, subs: map[string][]*nats.Subscription{}, got: map[string]*box{}}
		t.Cleanup(s.end)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(d) })
	})
}

func (s *script) end() {
	if s.c != nil {
		s.c.Close()
	}
	if s.peer != nil {
		s.peer.Close()
	}
	if s.nc != nil {
		s.nc.Close()
	}
	if s.n != nil {
		s.n.s.Close()
		s.n.c.Close()
	}
	s.n, s.c, s.peer, s.nc = nil, nil, nil, nil
	s.subs, s.got = map[string][]*nats.Subscription{}, map[string]*box{}
}

func (s *script) run(d *datadriven.TestData) string {
	switch d.Cmd {
	case "start":
		s.end()
		s.start(d)
		return ""
	case "connect":
		s.use(net.Dial("tcp", s.n.addr()))
		return s.recv(1)
	case "leaf":
		s.use(net.Dial("tcp", s.n.addr()))
		s.recv(1)
		s.write("CONNECT " + fields(d.Input, leafFields) + "\r\nPING\r\n")
		return snapshot(s.until("PONG"))
	case "again":
		// The same as a second connection; the first stays the one that is read.
		c, r := s.c, s.r
		s.c = nil
		s.use(net.Dial("tcp", s.n.addr()))
		second := s.c
		s.t.Cleanup(func() { second.Close() })
		s.recv(1)
		s.write("CONNECT " + fields(d.Input, leafFields) + "\r\nPING\r\n")
		out := snapshot(s.until("PONG"))
		s.c, s.r = c, r
		return out
	case "loop":
		a := s.n.s.account("$G")
		s.write("LS+ " + a.loop + "\r\n")
		return s.until("")
	case "accept":
		s.accept()
		return ""
	case "hub":
		return s.hub(d)
	case "send":
		s.write(lines(d.Input))
		return ""
	case "raw":
		s.write(strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00").Replace(d.Input))
		return ""
	case "recv":
		if d.HasArg("eof") {
			return s.until("")
		}
		n, err := strconv.Atoi(d.CmdArgs[0].Key)
		if err != nil {
			s.t.Fatal(err)
		}
		if d.HasArg("sorted") {
			all := strings.SplitAfter(s.recv(n), "\n")
			slices.Sort(all)
			return strings.Join(all, "")
		}
		return s.recv(n)
	case "talk":
		s.write(lines(d.Input) + "PING\r\n")
		return s.until("PONG")
	case "close":
		s.c.Close()
		return ""
	case "sub":
		return s.sub(d)
	case "unsub":
		key := d.CmdArgs[0].Key
		all := s.subs[key]
		last := all[len(all)-1]
		s.subs[key] = all[:len(all)-1]
		if err := errors.Join(last.Unsubscribe(), s.nc.Flush()); err != nil {
			s.t.Fatal(err)
		}
		return ""
	case "pub":
		m := nats.NewMsg(d.CmdArgs[0].Key)
		m.Data = []byte(d.CmdArgs[len(d.CmdArgs)-1].Key)
		if len(d.CmdArgs) > 2 {
			m.Reply = d.CmdArgs[1].Key
		}
		if d.Input != "" {
			m.Header.Set("K", d.Input)
		}
		if err := errors.Join(s.client().PublishMsg(m), s.nc.Flush()); err != nil {
			s.t.Fatal(err)
		}
		return ""
	case "got":
		return s.messages(d.CmdArgs[0].Key)
	case "remote":
		return s.remote(d)
	case "links":
		n, _ := strconv.Atoi(d.CmdArgs[0].Key)
		s.n.links(n)
		return ""
	case "closed":
		eventually(s.t, "a closed link", func() bool { return len(s.n.reg.Closed()) > 0 })
		all := s.n.reg.Closed()
		return all[len(all)-1].Reason.String() + "\n"
	}
	s.t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	return ""
}

// start makes a node with these settings:
//
//	name=X cluster=X compression=X isolate min-version=X user=X account=X max-payload=N
//	auth-timeout=D first-info=D deny-imports=a,b deny-exports=a,b hub remote max-subs=N
func (s *script) start(d *datadriven.TestData) {
	s.n = newNode(s.t, "NODE", func(n *node) {
		l := n.cfg.LeafNodes
		l.Compression.Mode = config.CompressionOff
		l.HandshakeTimeout = 5 * time.Second
		r := config.LeafRemote{NoRandomize: true, IgnoreDiscovered: config.Yes, FirstInfoTimeout: patience}
		dials := false
		for _, a := range d.CmdArgs {
			v := ""
			if len(a.Vals) > 0 {
				v = a.Vals[0]
			}
			dur := func() time.Duration {
				x, err := time.ParseDuration(v)
				if err != nil {
					s.t.Fatal(err)
				}
				return x
			}
			switch a.Key {
			case "name":
				n.srv.Name = v
			case "cluster":
				n.srv.SetCluster(v, false)
			case "compression":
				l.Compression.Mode = config.CompressionMode(v)
			case "isolate":
				l.Isolate = true
				r.Isolate = true
			case "request-isolation":
				r.RequestIsolation = true
			case "min-version":
				l.MinVersion = v
			case "user":
				l.Auth.User, l.Auth.Password = v, "secret"
			case "account":
				l.Auth.Account = v
			case "max-payload":
				n.cfg.Limits.MaxPayload, _ = strconv.ParseInt(v, 10, 64)
			case "auth-timeout":
				l.Auth.Timeout = dur()
			case "first-info":
				r.FirstInfoTimeout = dur()
			case "handshake":
				l.HandshakeTimeout = dur()
			case "deny-imports":
				r.DenyImports = a.Vals
			case "deny-exports":
				r.DenyExports = a.Vals
			case "hub":
				r.Hub = true
			case "remote":
				dials = true
			case "remote-user":
				r.User, r.Password = v, "secret"
			case "limited":
				// A user with permissions, which everybody becomes.
				n.cfg.Auth.Users = []config.User{{Name: "u", Account: "$G", Permissions: &config.Permissions{
					Publish:   config.SubjectPermission{Allow: []string{"up.>"}, Deny: []string{"up.secret"}},
					Subscribe: config.SubjectPermission{Allow: []string{"down.>", "q.* grp"}, Deny: []string{"down.no"}},
				}}, {Name: "admin", Account: "$G"}}
				n.cfg.Auth.NoAuthUser = "u"
			default:
				s.t.Fatalf("%s: unknown setting %s", d.Pos, a.Key)
			}
		}
		if !dials {
			listening(n)
			return
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		s.peer = ln
		r.URLs = []*url.URL{{Scheme: "nats-leaf", Host: ln.Addr().String()}}
		r.Compression = l.Compression
		l.Remotes = []config.LeafRemote{r}
		l.Reconnect = 20 * time.Second
	})
	// What comes after the first failure is told, not waited for.
	s.n.s.random = func(n time.Duration) time.Duration { return n }
	if err := errors.Join(s.n.c.Start(), s.n.s.Start()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) client() *nats.Conn {
	if s.nc == nil {
		var err error
		u := "nats://" + s.n.c.Addr().String()
		if s.n.cfg.Auth.NoAuthUser != "" {
			u = "nats://admin:@" + s.n.c.Addr().String()
		}
		if s.nc, err = nats.Connect(u); err != nil {
			s.t.Fatal(err)
		}
	}
	return s.nc
}

func (s *script) use(c net.Conn, err error) {
	if err != nil {
		s.t.Fatal(err)
	}
	if s.c != nil {
		s.c.Close()
	}
	s.c, s.r = c, bufio.NewReader(c)
}

func (s *script) accept() {
	s.peer.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	s.use(s.peer.Accept())
}

// hub lets our node connect to the peer. The input's first line are fields of the first INFO,
// the second those of the one that answers CONNECT.
func (s *script) hub(d *datadriven.TestData) string {
	first, second, _ := strings.Cut(d.Input, "\n")
	base := `"server_id":"NH","server_name":"H","version":"2.14.5","proto":3,"headers":true,"max_payload":1048576,"client_id":5,` +
		`"nonce":"abcdefghijklmno","info_on_connect":true,"leafnode_urls":["127.0.0.1:1"]`
	s.accept()
	s.write("INFO " + fields(first, base) + " \r\n")
	out := s.recv(1)
	s.write("INFO " + fields(second, base+`,"connect_info":true,"remote_account":"HA"`) + " \r\nPING\r\n")
	return out + snapshot(s.until("PONG"))
}

// fields joins fields of a JSON object; later ones win.
func fields(more, base string) string {
	all := map[string]any{}
	for _, part := range []string{base, more} {
		if err := json.Unmarshal([]byte("{"+part+"}"), &all); err != nil {
			return more // deliberately broken
		}
	}
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	b, _ := json.Marshal(all)
	return string(b)
}

func lines(in string) string {
	if in == "" {
		return ""
	}
	return strings.ReplaceAll(in, "\n", "\r\n") + "\r\n"
}

func (s *script) write(b string) {
	s.c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(s.c, b); err != nil {
		s.t.Logf("peer can't write: %v", err)
	}
}

// line reads a line; PINGs that are due are answered and not shown.
func (s *script) line() (string, bool) {
	for {
		s.c.SetReadDeadline(time.Now().Add(patience))
		l, err := s.r.ReadString('\n')
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			s.t.Fatalf("the node says nothing more, after %q", l)
		}
		if err != nil {
			return "EOF", false
		}
		l = strings.TrimRight(l, "\r\n")
		if l == "PING" {
			s.write("PONG\r\n")
			continue
		}
		return masked(l), true
	}
}

func (s *script) recv(n int) string {
	var b strings.Builder
	for range n {
		l, ok := s.line()
		b.WriteString(l + "\n")
		if !ok {
			break
		}
	}
	return b.String()
}

func (s *script) until(last string) string {
	var b strings.Builder
	for {
		l, ok := s.line()
		if l == last {
			return b.String()
		}
		b.WriteString(l + "\n")
		if !ok {
			return b.String()
		}
	}
}

// snapshot sorts the lines of a snapshot, which come in any order.
func snapshot(out string) string {
	all := strings.SplitAfter(strings.TrimSuffix(out, "\n"), "\n")
	all[len(all)-1] += "\n"
	slices.SortStableFunc(all, func(a, b string) int {
		if strings.HasPrefix(a, "LS+") && strings.HasPrefix(b, "LS+") {
			return strings.Compare(a, b)
		}
		return 0
	})
	return strings.Join(all, "")
}

var loops = regexp.MustCompile(`\$LDS\.[0-9A-Za-z]{22}`)

// masked shows what is the same in each run.
func masked(l string) string {
	verb, arg, _ := strings.Cut(l, " ")
	if f := strings.Fields(arg); (verb == "LMSG" || verb == "HMSG") && len(f) > 3 && (f[1] == "|" || f[1] == "+") {
		from, to := 2, len(f)-1
		if f[1] == "+" {
			from++
		}
		if verb == "HMSG" {
			to--
		}
		slices.Sort(f[from:to]) // groups stand in any order
		l = verb + " " + strings.Join(f, " ")
	}
	if verb != "INFO" && verb != "CONNECT" {
		return loops.ReplaceAllString(l, "$$LDS.X")
	}
	all := map[string]any{}
	if err := json.Unmarshal([]byte(arg), &all); err != nil {
		return l
	}
	for _, k := range []string{"server_id", "version", "go", "git_commit", "host", "port", "ip", "x_banyan", "x_leafd", "api_lvl", "server_name", "proto", "protocol"} {
		delete(all, k)
	}
	if n, ok := all["nonce"].(string); ok {
		all["nonce"] = fmt.Sprintf("%d characters", len(n))
	}
	if _, ok := all["client_id"]; ok {
		all["client_id"] = "set"
	}
	if u, ok := all["leafnode_urls"].([]any); ok {
		all["leafnode_urls"] = len(u)
	}
	b, _ := json.Marshal(all)
	tail := ""
	if verb == "INFO" && !strings.HasSuffix(l, " ") {
		tail = " (without the blank at the end)"
	}
	return verb + " " + string(b) + tail
}

func (s *script) sub(d *datadriven.TestData) string {
	subj := d.CmdArgs[0].Key
	b := s.got[subj]
	if b == nil {
		b = &box{s.t, make(chan *nats.Msg, 1000)}
		s.got[subj] = b
	}
	queue := ""
	if len(d.CmdArgs) > 1 {
		queue = d.CmdArgs[1].Key
	}
	sub, err := s.client().ChanQueueSubscribe(subj, queue, b.c)
	if err == nil {
		err = s.nc.Flush()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.subs[subj] = append(s.subs[subj], sub)
	return ""
}

// messages prints what has come for a subject. The peer's PING and the client's flush make
// sure that all that was sent before has arrived.
func (s *script) messages(subj string) string {
	if err := s.client().Flush(); err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for ch := s.got[subj].c; len(ch) > 0; {
		var b strings.Builder
		m := <-ch
		fmt.Fprintf(&b, "%s %s %q", m.Subject, m.Reply, m.Data)
		for k, v := range m.Header {
			fmt.Fprintf(&b, " %s=%v", k, v)
		}
		if m.Sub.Queue != "" {
			fmt.Fprintf(&b, " [%s]", m.Sub.Queue)
		}
		all = append(all, b.String()+"\n")
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

// remote prints the state of the remote once it has failed, and how it means to go on.
func (s *script) remote(d *datadriven.TestData) string {
	var r RemoteStatus
	eventually(s.t, "a remote that waits", func() bool {
		r = s.n.s.Links()[0]
		return r.State == RemoteWaiting && r.LastErr != ""
	})
	slow := "soon"
	if r.NextDial.Sub(r.FailedAt) >= refusedMin {
		slow = "later"
	}
	return fmt.Sprintf("%s, dials again %s: %s\n", r.State, slow, r.LastErr)
}
