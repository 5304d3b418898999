package wire

import (
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestAppendDecimal(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 9999, 10000, 65535, 1048576, 999999999, math.MaxInt} {
		if got := string(AppendDecimal([]byte("x"), n)); got != "x"+strconv.Itoa(n) {
			t.Errorf("%d: %q", n, got)
		}
	}
	if got := string(AppendDecimal(nil, -5)); got != "0" {
		t.Errorf("negative: %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, math.MaxInt).Draw(t, "n")
		if got := string(AppendDecimal(nil, n)); got != strconv.Itoa(n) {
			t.Fatalf("%d: %q", n, got)
		}
	})
}

func b(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// Lines as reference servers write them.
func TestAppendedLines(t *testing.T) {
	q := [][]byte{b("q1"), b("q2")}
	for _, tc := range []struct{ got, want string }{
		{string(AppendClientMsg(nil, b("foo"), "1", nil, 0, 5)), "MSG foo 1 5\r\n"},
		{string(AppendClientMsg(nil, b("foo"), "1", b("r.1"), 0, 0)), "MSG foo 1 r.1 0\r\n"},
		{string(AppendClientMsg(nil, b("foo"), "1", nil, 12, 17)), "HMSG foo 1 12 17\r\n"},
		{string(AppendClientMsg(nil, b("foo"), "1", b("r.1"), 12, 17)), "HMSG foo 1 r.1 12 17\r\n"},
		{string(AppendRouteMsg(nil, nil, b("A"), b("foo"), nil, nil, 0, 2)), "RMSG A foo 2\r\n"},
		{string(AppendRouteMsg(nil, nil, nil, b("foo"), b("r"), nil, 0, 2)), "RMSG foo r 2\r\n"},
		{string(AppendRouteMsg(nil, nil, b("A"), b("foo"), nil, q[:1], 0, 5)), "RMSG A foo | q1 5\r\n"},
		{string(AppendRouteMsg(nil, nil, b("A"), b("foo"), b("inbox.1"), q[:1], 18, 23)), "HMSG A foo + inbox.1 q1 18 23\r\n"},
		{string(AppendRouteMsg(nil, b("LF"), b("A"), b("foo"), nil, nil, 0, 3)), "LMSG LF A foo 0 3\r\n"},
		{string(AppendRouteMsg(nil, b("LF"), b("A"), b("foo"), b("r"), q, 12, 15)), "LMSG LF A foo + r q1 q2 12 15\r\n"},
		{string(AppendGatewayMsg(nil, b("A"), b("foo"), b("_GR_.NUmM6c.A05KOF.INB.1.x"), nil, 0, 3)), "RMSG A foo _GR_.NUmM6c.A05KOF.INB.1.x 3\r\n"},
		{string(AppendLeafMsg(nil, b("foo"), nil, q, 0, 5)), "LMSG foo | q1 q2 5\r\n"},
		{string(AppendLeafMsg(nil, b("foo"), b("rep.1"), q, 0, 2)), "LMSG foo + rep.1 q1 q2 2\r\n"},
		{string(AppendLeafMsg(nil, b("bar.x"), nil, nil, 12, 14)), "HMSG bar.x 12 14\r\n"},
		{string(AppendLeafMsg(nil, b("foo"), b("rr"), q, 12, 14)), "HMSG foo + rr q1 q2 12 14\r\n"},
		{string(AppendTargetedMsg(nil, b("B"), b("A"), b("foo"), nil, nil, 0, 2)), "GMSG B A foo 0 2\r\n"},
		{string(AppendFence(nil, b("17"))), "GFENCE 17\r\n"},
		{string(AppendInterest(nil, VerbRouteAdd, nil, b("A"), b("foo"), nil, 0)), "RS+ A foo\r\n"},
		{string(AppendInterest(nil, VerbRouteAdd, nil, nil, b("foo"), b("q1"), 3)), "RS+ foo q1 3\r\n"},
		{string(AppendInterest(nil, VerbRouteDel, nil, b("A"), b("foo"), b("q1"), 3)), "RS- A foo q1\r\n"},
		{string(AppendInterest(nil, VerbLeafAdd, b("$GW"), b("A"), b("foo"), b("q1"), 1)), "LS+ $GW A foo q1 1\r\n"},
		{string(AppendInterest(nil, VerbLeafDel, nil, nil, b("foo"), b("q1"), 0)), "LS- foo q1\r\n"},
		{string(AppendAccount(nil, true, b("A"))), "A+ A\r\n"},
		{string(AppendAccount(nil, false, b("A"))), "A- A\r\n"},
		{string(AppendErr(nil, TextInvalidSubject)), "-ERR 'Invalid Subject'\r\n"},
		{string(AppendNoResponders(nil, b("r.1"), "7", b("nobody"))), "HMSG r.1 7 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

var (
	genName  = rapid.StringMatching(`[!-*,-{}~\x01-\x08\x{80}-\x{2ff}][!-~]{0,12}`)
	genMaybe = rapid.OneOf(rapid.Just(""), genName)
)

type message struct {
	origin, account, subject, reply string
	groups                          [][]byte
	hdr                             int
	payload                         []byte
}

func drawMessage(t *rapid.T) message {
	m := message{
		origin:  genName.Draw(t, "origin"),
		account: genName.Draw(t, "account"),
		subject: genName.Draw(t, "subject"),
		reply:   genMaybe.Draw(t, "reply"),
		payload: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "groups") {
		m.groups = append(m.groups, []byte(genName.Draw(t, "group")))
	}
	m.hdr = rapid.IntRange(0, len(m.payload)).Draw(t, "hdr")
	return m
}

func (m *message) want(kind Kind, origin, account bool) string {
	op := Op{
		Kind: kind, Subject: b(m.subject), Reply: b(m.reply), Queues: m.groups, HasQueues: len(m.groups) > 0,
		HdrLen: m.hdr, Payload: m.payload,
	}
	if origin {
		op.Origin = b(m.origin)
	}
	if account {
		op.Account = b(m.account)
	}
	if op.Payload == nil {
		op.Payload = []byte{}
	}
	return show(&op)
}

// Whatever an appender writes, the dialect's parser reads back, whole and in two pieces.
func TestMessagesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		total := len(m.payload)
		subject, reply, account, origin := b(m.subject), b(m.reply), b(m.account), b(m.origin)
		check := func(p *PeerParser, line []byte, want string) {
			t.Helper()
			whole := append(append(line, m.payload...), CRLF...)
			var op Op
			at := rapid.IntRange(0, len(whole)-1).Draw(t, "split")
			if n, _, err := p.Next(whole[:at], &op); n != 0 || err != nil {
				t.Fatalf("%q cut at %d: %d, %v", whole, at, n, err)
			}
			if n, _, err := p.Next(whole, &op); n != len(whole) || err != nil {
				t.Fatalf("%q: %d, %v", whole, n, err)
			}
			if got := show(&op); got != want {
				t.Fatalf("%q:\n got %q\nwant %q", whole, got, want)
			}
		}
		check(&PeerParser{}, AppendRouteMsg(nil, nil, account, subject, reply, m.groups, m.hdr, total), m.want(KindMsg, false, true))
		check(&PeerParser{}, AppendRouteMsg(nil, origin, account, subject, reply, m.groups, m.hdr, total), m.want(KindMsg, true, true))
		check(&PeerParser{}, AppendTargetedMsg(nil, origin, account, subject, reply, m.groups, m.hdr, total), m.want(KindTargetedMsg, true, true))
		ded := &PeerParser{AccountOmitted: true}
		check(ded, AppendRouteMsg(nil, nil, nil, subject, reply, m.groups, m.hdr, total), m.want(KindMsg, false, false))
		check(ded, AppendRouteMsg(nil, origin, nil, subject, reply, m.groups, m.hdr, total), m.want(KindMsg, true, false))
		check(&PeerParser{Dialect: DialectGateway}, AppendGatewayMsg(nil, account, subject, reply, m.groups, m.hdr, total), m.want(KindMsg, false, true))
		check(&PeerParser{Dialect: DialectLeaf}, AppendLeafMsg(nil, subject, reply, m.groups, m.hdr, total), m.want(KindMsg, false, false))
	})
}

func TestInterestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		origin, account := b(genName.Draw(t, "origin")), b(genName.Draw(t, "account"))
		subject, queue := b(genName.Draw(t, "subject")), b(genMaybe.Draw(t, "queue"))
		weight := rapid.Int32Range(1, 999999999).Draw(t, "weight")
		check := func(p *PeerParser, verb Verb, origin, account []byte) {
			t.Helper()
			line := AppendInterest(nil, verb, origin, account, subject, queue, weight)
			want := Op{Kind: KindInterestAdd, Origin: origin, Account: account, Subject: subject, Queue: queue}
			if verb == VerbRouteDel || verb == VerbLeafDel {
				want.Kind = KindInterestDel
			} else if queue != nil {
				want.Weight = weight
			}
			var op Op
			if n, _, err := p.Next(line, &op); n != len(line) || err != nil {
				t.Fatalf("%q: %d, %v", line, n, err)
			}
			if got := show(&op); got != show(&want) {
				t.Fatalf("%q:\n got %q\nwant %q", line, got, show(&want))
			}
		}
		for _, verb := range []Verb{VerbRouteAdd, VerbRouteDel} {
			check(&PeerParser{}, verb, nil, account)
			check(&PeerParser{AccountOmitted: true}, verb, nil, nil)
			check(&PeerParser{Dialect: DialectGateway}, verb, nil, account)
		}
		for _, verb := range []Verb{VerbLeafAdd, VerbLeafDel} {
			check(&PeerParser{}, verb, origin, account)
			check(&PeerParser{AccountOmitted: true}, verb, origin, nil)
			check(&PeerParser{Dialect: DialectLeaf}, verb, nil, nil)
		}
	})
}

// What a client publishes arrives at a naive reader of MSG lines.
func TestPublishRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		line := []byte("PUB " + m.subject + " ")
		if m.hdr > 0 {
			line = append([]byte("H"), line...)
		}
		if m.reply != "" {
			line = append(line, m.reply+" "...)
		}
		if m.hdr > 0 {
			line = append(line, strconv.Itoa(m.hdr)+" "...)
		}
		line = append(line, strconv.Itoa(len(m.payload))+"\r\n"...)
		line = append(append(line, m.payload...), CRLF...)
		var op Op
		p := ClientParser{MaxPayload: -1, Headers: true}
		if n, _, err := p.Next(line, &op); n != len(line) || err != nil {
			t.Fatalf("%q: %d, %v", line, n, err)
		}
		want := Op{Kind: KindPub, Subject: b(m.subject), Reply: b(m.reply), HdrLen: m.hdr, Payload: m.payload}
		if want.Payload == nil {
			want.Payload = []byte{}
		}
		if got := show(&op); got != show(&want) {
			t.Fatalf("%q:\n got %q\nwant %q", line, got, show(&want))
		}
	})
}

func TestMessagePathDoesNotAllocate(t *testing.T) {
	subject, sid, reply, account, origin := b("bench.subject"), b("12"), b("_INBOX.a.b"), b("$G"), b("LF")
	groups := [][]byte{b("q1"), b("q2")}
	buf := make([]byte, 0, 512)
	var op Op
	for name, tc := range map[string]struct {
		p  nexter
		in string
	}{
		"PUB":        {&ClientParser{MaxPayload: -1}, "PUB bench.subject r 3\r\nabc\r\n"},
		"HPUB":       {&ClientParser{MaxPayload: -1, Headers: true}, "HPUB bench.subject r 1 3\r\nabc\r\n"},
		"PUB part":   {&ClientParser{MaxPayload: -1}, "PUB bench.subject r 3\r\na"},
		"PUB bad":    {&ClientParser{MaxPayload: -1}, "PUB bench.subject\r\n"},
		"RMSG":       {&PeerParser{}, "RMSG $G bench.subject + r q1 q2 3\r\nabc\r\n"},
		"HMSG":       {&PeerParser{}, "HMSG $G bench.subject | q1 q2 1 3\r\nabc\r\n"},
		"LMSG route": {&PeerParser{}, "LMSG LF $G bench.subject | q1 q2 1 3\r\nabc\r\n"},
		"LMSG leaf":  {&PeerParser{Dialect: DialectLeaf}, "LMSG bench.subject + r q1 q2 3\r\nabc\r\n"},
		"GMSG":       {&PeerParser{}, "GMSG B $G bench.subject + r q1 q2 0 3\r\nabc\r\n"},
		"SUB":        {&ClientParser{}, "SUB foo q 1\r\n"},
		"RS+":        {&PeerParser{}, "RS+ $G foo q 1\r\n"},
	} {
		in := []byte(tc.in)
		if n := testing.AllocsPerRun(100, func() { tc.p.Next(in, &op) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	for name, f := range map[string]func(){
		"client":        func() { buf = AppendClientMsg(buf[:0], subject, "12", reply, 12, 1024) },
		"route":         func() { buf = AppendRouteMsg(buf[:0], origin, account, subject, reply, groups, 12, 1024) },
		"gateway":       func() { buf = AppendGatewayMsg(buf[:0], account, subject, reply, groups, 12, 1024) },
		"leaf":          func() { buf = AppendLeafMsg(buf[:0], subject, reply, groups, 12, 1024) },
		"targeted":      func() { buf = AppendTargetedMsg(buf[:0], origin, account, subject, reply, groups, 12, 1024) },
		"interest":      func() { buf = AppendInterest(buf[:0], VerbLeafAdd, origin, account, subject, sid, 3) },
		"no responders": func() { buf = AppendNoResponders(buf[:0], reply, "12", subject) },
		"error":         func() { buf = AppendErr(buf[:0], TextStale) },
		"gateway reply": func() { buf = AppendGatewayReply(buf[:0], "NUmM6c", "A05KOF", reply) },
		"deliver reply": func() { buf = AppendDeliverReply(buf[:0], reply, subject) },
		"strip":         func() { StripGatewayReply(subject) },
		"pool index":    func() { PoolIndex(account, 3) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
