package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// script runs a text of testdata: what a peer sends, and what it gets.
//
//	site [reject_unknown] [user=u pass=p] [optimistic] [known=NAME]   our side, gateway A
//	dial                       a peer connects; prints what it gets first
//	send [until=WORD|closed]   lines from the peer; prints what comes back
//	hub                        sub|unsub ACCOUNT SUBJECT [QUEUE] or got; prints what the peer is told
//	accept [old] [name=B]      we dial a peer that listens; prints what it gets up to PING
//	peer [closed]              lines from the listening peer
//	pub                        ACCOUNT SUBJECT [reply=R] [GROUP...]; prints what the listening peer gets
//	log                        tells whether each line is in the log
type script struct {
	t    *testing.T
	site *site
	conn *raw // that dialed us
	out  *raw // that we dialed
	subs map[string]*broker.Sub
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{t: t, subs: make(map[string]*broker.Sub)}
		datadriven.RunTest(t, path, s.run)
	})
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	var lines []string
	if in := strings.TrimSpace(d.Input); in != "" {
		lines = strings.Split(in, "\n")
	}
	switch d.Cmd {
	case "site":
		return s.start(d)
	case "dial":
		s.conn = dialRaw(t, s.site.Addr().String())
		return s.read(s.conn, "INFO")
	case "send":
		s.conn.send(lines...)
		until := "PONG"
		if d.HasArg("until") {
			d.ScanArgs(t, "until", &until)
		} else {
			s.conn.send("PING")
		}
		return s.read(s.conn, until)
	case "hub":
		return s.hub(lines)
	case "accept":
		return s.accept(d)
	case "peer":
		s.out.send(lines...)
		if d.HasArg("closed") {
			return s.read(s.out, "closed")
		}
		s.out.send("PING")
		return s.read(s.out, "PONG")
	case "pub":
		return s.pub(lines)
	case "log":
		var b strings.Builder
		for _, l := range lines {
			await(t, "in the log: "+l, func() bool { return s.site.log.has(l) })
			fmt.Fprintln(&b, "yes")
		}
		return b.String()
	}
	t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	return ""
}

func (s *script) start(d *datadriven.TestData) string {
	var remotes []config.RemoteGateway
	if d.HasArg("known") {
		var name string
		d.ScanArgs(s.t, "known", &name)
		remotes = append(remotes, config.RemoteGateway{Name: name})
	}
	s.site = newSite(s.t, "A", func(o *Options) {
		o.Settings.RejectUnknown = d.HasArg("reject_unknown")
		o.AllowOptimistic = d.HasArg("optimistic")
		o.Hooks.MapReply = func(m *broker.Msg) ([6]byte, bool) {
			return [6]byte([]byte(wire.GatewayHash("NHUB"))), strings.HasPrefix(string(m.Reply), "fresh")
		}
		if d.HasArg("user") {
			o.Settings.Auth = config.LinkAuth{User: "u", Password: "p"}
		}
		o.Settings.Auth.Timeout = 300 * time.Millisecond
	}, remotes...)
	s.site.b.Account("A")
	s.site.Open()
	return ""
}

// read returns what comes up to a line that begins with until, which is left out when it
// only marks the end; "closed" reads to the end.
func (s *script) read(r *raw, until string) string {
	var b strings.Builder
	for {
		l := r.line()
		switch {
		case l == "":
			if until != "closed" {
				b.WriteString("(unexpected) ")
			}
			b.WriteString("closed\n")
			return b.String()
		case l == "PING" && until != "PING":
			r.send("PONG")
			continue
		case strings.HasPrefix(l, until) && (until == "PONG" || until == "PING"):
			return b.String()
		}
		b.WriteString(show(l) + "\n")
		if strings.HasPrefix(l, until) {
			return b.String()
		}
	}
}

// show shortens INFO and CONNECT to what does not differ from run to run.
func show(l string) string {
	verb, arg, _ := strings.Cut(l, " ")
	switch verb {
	case "INFO":
		var in wire.GatewayInfo
		if json.Unmarshal([]byte(arg), &in) != nil {
			return l
		}
		switch {
		case in.Cmd == wire.GatewayCmdGossip:
			return fmt.Sprintf("INFO gossip gateway=%s urls=%v", in.Gateway, in.GatewayURLs)
		case in.Cmd != 0:
			return fmt.Sprintf("INFO gateway=%s cmd=%d account=%s", in.Gateway, in.Cmd, in.CmdPayload)
		}
		return fmt.Sprintf("INFO gateway=%s urls=%d nrp=%v iom=%v auth=%v proto=%d headers=%v",
			in.Gateway, len(in.GatewayURLs), in.NewReplyPrefix, in.InterestOnlyMode, in.AuthRequired, in.Proto, in.Headers)
	case "CONNECT":
		return l
	}
	return l
}

func (s *script) hub(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		f := strings.Fields(l)
		switch f[0] {
		case "sub":
			s.subs[strings.Join(f[1:], " ")+fmt.Sprint(len(s.subs))] = s.site.hub.sub(s.site.b.Account(f[1]), f[2], strings.Join(f[3:], ""))
		case "unsub":
			for k, x := range s.subs {
				if strings.HasPrefix(k, strings.Join(f[1:], " ")) {
					x.Account.Unsubscribe(x)
					delete(s.subs, k)
					break
				}
			}
		case "got":
			for _, m := range s.site.hub.take() {
				b.WriteString(m + "\n")
			}
		}
	}
	if s.conn != nil {
		s.conn.send("PING")
		b.WriteString(s.read(s.conn, "PONG"))
	}
	return b.String()
}

func (s *script) accept(d *datadriven.TestData) string {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { lis.Close() })
	name := "B"
	if d.HasArg("name") {
		d.ScanArgs(s.t, "name", &name)
	}
	s.site.Learn("B", []string{lis.Addr().String()})
	nc, err := lis.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	s.out = &raw{s.t, nc, bufio.NewReader(nc)}
	in := wire.GatewayInfo{
		ServerID: "NPEER", ServerName: "peer", Version: "2.14.5", Proto: 1, Headers: !d.HasArg("noheaders"), Gateway: name,
		GatewayURLs: []string{lis.Addr().String()}, NewReplyPrefix: !d.HasArg("old"), InterestOnlyMode: !d.HasArg("old"),
	}
	if d.HasArg("line") {
		var line string
		d.ScanArgs(s.t, "line", &line)
		s.out.send(strings.ReplaceAll(line, "_", " "))
		return s.read(s.out, "closed")
	}
	s.out.send(strings.TrimSpace(string(wire.AppendInfo(nil, &in))))
	if name != "B" || d.HasArg("refused") {
		return s.read(s.out, "closed")
	}
	text := s.read(s.out, "PING")
	s.out.send("PONG")
	s.site.has(s.t, "B")
	return text
}

// pub publishes as a hub, and shows what the peer got before a PING of ours.
func (s *script) pub(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		f := strings.Fields(l)
		reply, payload := "", "x"
		var groups []string
		for _, w := range f[2:] {
			if r, ok := strings.CutPrefix(w, "reply="); ok {
				reply = r
			} else {
				groups = append(groups, w)
			}
		}
		m := &broker.Msg{Account: s.site.b.Account(f[0]), Subject: []byte(f[1]), Payload: []byte(payload), Listed: true}
		if reply != "" {
			m.Reply = []byte(reply)
		}
		for _, g := range groups {
			m.Groups = append(m.Groups, []byte(g))
		}
		if strings.HasPrefix(f[1], "hdr") {
			m.Payload = []byte("NATS/1.0\r\n\r\nx")
			m.HdrLen = 12
		}
		s.site.hub.in.Publish(m)
		s.site.hub.in.Flush()
		arrived := make(chan struct{})
		s.site.Fence(func() { close(arrived) })
		got := ""
		for _, x := range s.out.until("PING") {
			if strings.Contains(x, "MSG ") {
				got += " " + x
			}
		}
		s.out.send("PONG")
		<-arrived
		if got == "" {
			got = " nothing"
		}
		fmt.Fprintf(&b, "%s:%s\n", l, got)
	}
	return b.String()
}
