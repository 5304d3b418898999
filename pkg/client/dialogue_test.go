package client

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// TestDialogues plays the files in testdata: what clients send, and what comes
// back. Blocks are handled one after the other without sockets being read, so a
// dialogue is deterministic. Each file is played three times, with what is sent
// arriving whole, byte by byte, and in two pieces cut at random; the transcript
// must be the same.
//
//	hub [max-payload=n] [max-subs=n] [max-tokens=n] [max-line=n] [users] [token] [no-auth] [no-headers]
//	client NAME       accepts a client, INFO read
//	send NAME         the lines, each with CRLF unless it ends in a backslash; \r, \n, \t, \0 and
//	                  {n*x} (n times x) are replaced
//	info NAME         what monitoring shows
//
// Rewritten with -rewrite.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	cuts := map[string]func(s string) []string{
		"whole":   func(s string) []string { return []string{s} },
		"bytes":   func(s string) []string { return strings.Split(s, "") },
		"halves":  func(s string) []string { i := rand.IntN(len(s) + 1); return []string{s[:i], s[i:]} },
		"halves2": func(s string) []string { i := rand.IntN(len(s) + 1); return []string{s[:i], s[i:]} },
	}
	for _, f := range files {
		for name, cut := range cuts {
			if name != "whole" && slices.Contains(os.Args, "-rewrite") {
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(f), ".txt")+"/"+name, func(t *testing.T) {
				d := &dialogue{t: t, cut: cut}
				datadriven.RunTest(t, f, d.play)
				d.close()
			})
		}
	}
}

// Wherever what a client sends is cut in two, the answers are the same.
func TestEverySplit(t *testing.T) {
	const text = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n" +
		"SUB foo.* 1\r\nsub bar q 22\nPUB foo.a 5\r\nhel\r\n\r\nHPUB foo.b rep.x 12 14\r\nNATS/1.0\r\n\r\nhi\r\n" +
		"PING\r\nPUB bar 0\r\n\r\nUNSUB 1 3\r\nPUB foo.c 1\r\nx\r\nPUB foo.c 1\r\ny\r\nSUB r 3\r\nPUB no r 0\r\n\r\nSUB a..b 4\r\nPONG\r\n" +
		"UNSUB 22\r\nPUB bar 1\r\nz\r\nping\r\nPUB bar 3\r\nlong\r\n"
	d := &dialogue{t: t, hub: startHub(t)}
	defer d.close()
	want := ""
	for cut := range len(text) + 1 {
		d.names, d.parts = nil, map[string]*part{}
		d.accept("a")
		d.output()
		p := d.parts["a"]
		p.feed([]byte(text[:cut]))
		p.feed([]byte(text[cut:]))
		got := d.output()
		if cut == 0 {
			want = got
			if n := strings.Count(got, "\n"); n < 20 || !strings.Contains(got, "closed, Protocol Violation") {
				t.Fatalf("answers:\n%s", got)
			}
		}
		if got != want {
			t.Fatalf("cut at %d:\n%s\nwant:\n%s", cut, got, want)
		}
		p.peer.Close()
	}
}

type dialogue struct {
	t     *testing.T
	cut   func(string) []string
	hub   *hub
	names []string
	parts map[string]*part
}

// part is one client in a dialogue.
type part struct {
	*conn
	peer *net.UnixConn
	rest []byte // received and not consumed
	need int
	done bool
	got  string // sent to it and not shown, because a line is not complete
}

func (d *dialogue) close() {
	for _, p := range d.parts {
		if !p.done {
			p.finish(io.EOF)
		}
		p.peer.Close()
	}
	d.parts, d.names = nil, nil
	if d.hub != nil {
		d.hub.Close()
	}
}

func (d *dialogue) play(t *testing.T, td *datadriven.TestData) string {
	name := ""
	if td.Cmd != "hub" {
		name = td.CmdArgs[0].Key
	}
	switch td.Cmd {
	case "hub":
		d.close()
		d.hub = startHub(t, func(c *config.Config) { settings(t, td, c) })
		d.parts = make(map[string]*part)
	case "client":
		d.accept(name)
	case "send":
		p := d.parts[name]
		for _, s := range d.cut(unescape(td.Input)) {
			p.feed([]byte(s))
		}
	case "info":
		i := d.parts[name].Info(true)
		det := i.More.(Details)
		out := fmt.Sprintf("account=%s user=%q name=%q subs=%d in=%d/%d out=%d/%d\n", i.Account, i.User, i.Name, i.Subs,
			i.InMsgs, i.InBytes, i.OutMsgs, i.OutBytes)
		slices.SortFunc(det.Subs, func(a, b Subscription) int { return strings.Compare(a.SID, b.SID) })
		for _, s := range det.Subs {
			out += fmt.Sprintf("%s %s %q msgs=%d max=%d\n", s.SID, s.Subject, s.Queue, s.Msgs, s.Max)
		}
		return out
	default:
		t.Fatalf("unknown command %q", td.Cmd)
	}
	return d.output()
}

func settings(t *testing.T, td *datadriven.TestData, c *config.Config) {
	number := func(v *int) func(string) {
		return func(s string) {
			n, err := strconv.Atoi(s)
			if err != nil {
				t.Fatal(err)
			}
			*v = n
		}
	}
	var maxPayload int
	numbers := map[string]func(string){
		"max-payload": number(&maxPayload), "max-subs": number(&c.Limits.MaxSubscriptions),
		"max-tokens": number(&c.Limits.MaxSubscriptionTokens), "max-line": number(&c.Limits.MaxControlLine),
	}
	for _, a := range td.CmdArgs {
		switch a.Key {
		case "users":
			testUsers(c)
		case "token":
			c.Auth.Token = "secret"
		case "no-auth":
			c.Auth.NoAuthUser = "guest"
		case "no-headers":
			c.Client.NoHeaders = true
		default:
			numbers[a.Key](a.Vals[0])
		}
	}
	c.Limits.MaxPayload = int64(maxPayload)
}

// testUsers are the users of dialogues: joe of $G may do anything, ann of A too,
// lim of A is limited, svc answers requests, root is of the system account, guest of B.
func testUsers(c *config.Config) {
	c.SystemAccount = "SYS"
	c.Auth.Users = []config.User{{Name: "joe", Password: "pw", Account: "$G"}}
	c.Accounts = []config.Account{
		{Name: "A", Users: []config.User{
			{Name: "ann", Password: "pw"},
			{Name: "lim", Password: "pw", Permissions: &config.Permissions{
				Publish:   config.SubjectPermission{Allow: []string{"ok.>", "x.*"}, Deny: []string{"ok.no"}},
				Subscribe: config.SubjectPermission{Allow: []string{"in.>", "bar.*", "q v1", "d.>"}, Deny: []string{"in.no", "d.secret", "d.q qq"}},
			}},
			{Name: "svc", Password: "pw", Permissions: &config.Permissions{
				Subscribe:      config.SubjectPermission{Allow: []string{"svc"}},
				AllowResponses: &config.ResponsePermission{Max: 2},
			}},
		}},
		{Name: "B", Users: []config.User{{Name: "guest"}}},
		{Name: "SYS", Users: []config.User{{Name: "root", Password: "pw"}}},
	}
}

var repeated = regexp.MustCompile(`\{(\d+)\*(.)\}`)

func unescape(s string) string {
	var b strings.Builder
	for _, l := range strings.SplitAfter(s, "\n") {
		l = strings.TrimSuffix(l, "\n")
		if l == "" {
			continue
		}
		end := "\r\n"
		if strings.HasSuffix(l, `\`) {
			l, end = strings.TrimSuffix(l, `\`), ""
		}
		l = strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t", `\0`, "\x00", `\s`, " ").Replace(l)
		l = repeated.ReplaceAllStringFunc(l, func(m string) string {
			f := repeated.FindStringSubmatch(m)
			n, _ := strconv.Atoi(f[1])
			return strings.Repeat(f[2], n)
		})
		b.WriteString(l + end)
	}
	return b.String()
}

// accept makes a client over a pair of sockets, on which what is written can be
// read at once.
func (d *dialogue) accept(name string) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	nc, peer := fileConn(d.t, fds[0]), fileConn(d.t, fds[1])
	c, err := d.hub.newConn(nc)
	if err != nil {
		d.t.Fatal(err)
	}
	if !d.hub.register(c) {
		d.t.Fatal("not registered")
	}
	p := &part{conn: c, peer: peer}
	d.names = append(d.names, name)
	d.parts[name] = p
	if err := c.openUp(); err != nil {
		p.finish(err)
	}
}

func fileConn(t *testing.T, fd int) *net.UnixConn {
	syscall.SetNonblock(fd, true)
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return nc.(*net.UnixConn)
}

// feed hands in bytes as transport does.
func (p *part) feed(b []byte) {
	if p.done {
		return
	}
	p.rest = append(p.rest, b...)
	if len(p.rest) == 0 || len(p.rest) < p.need {
		return
	}
	n, need, err := p.HandleBlock(p.rest)
	if err != nil {
		p.finish(err)
		return
	}
	p.rest, p.need = append([]byte(nil), p.rest[n:]...), need
}

func (p *part) finish(err error) {
	p.done = true
	p.peer.CloseWrite() // so that nothing waits for it
	p.end(err)
}

// output is what all clients were sent since the last time.
func (d *dialogue) output() string {
	var b strings.Builder
	for _, name := range d.names {
		p := d.parts[name]
		p.got += p.read(d.t)
		for {
			l, rest, ok := strings.Cut(p.got, "\r\n")
			if !ok {
				break
			}
			p.got = rest
			fmt.Fprintf(&b, "%s: %s\n", name, show(l))
		}
		if p.done && !p.closedShown() {
			fmt.Fprintf(&b, "%s: closed, %s\n", name, p.reason)
		}
	}
	return b.String()
}

// closedShown reports whether the end was shown before, and notes it.
func (p *part) closedShown() bool {
	shown := p.need < 0
	p.need = -1
	return shown
}

// read takes what there is without waiting.
func (p *part) read(t *testing.T) string {
	raw, err := p.peer.SyscallConn()
	if err != nil {
		return ""
	}
	var got []byte
	b := make([]byte, 64<<10)
	raw.Read(func(fd uintptr) bool {
		for {
			n, err := syscall.Read(int(fd), b)
			if n <= 0 || err != nil {
				return true
			}
			got = append(got, b[:n]...)
		}
	})
	return string(got)
}

func show(l string) string {
	js, ok := strings.CutPrefix(l, "INFO ")
	if !ok {
		if len(l) > 200 {
			l = fmt.Sprintf("%s... (%d bytes)", l[:60], len(l))
		}
		q := strconv.Quote(l)
		return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(q[1 : len(q)-1])
	}
	var i wire.ClientInfo
	if err := json.Unmarshal([]byte(js), &i); err != nil {
		return err.Error()
	}
	out := "INFO"
	if i.AuthRequired {
		out += " auth_required"
	}
	if !i.Headers {
		out += " no headers"
	}
	if i.ConnectInfo {
		out += " connect_info account=" + i.RemoteAccount
	}
	if i.AccountIsSys {
		out += " system"
	}
	return out
}
