package wire

import (
	"errors"
	"strings"
	"testing"
)

func route() *PeerParser     { return &PeerParser{Dialect: DialectRoute, MaxControlLine: 64} }
func dedicated() *PeerParser { return &PeerParser{AccountOmitted: true, MaxControlLine: 64} }
func gateway() *PeerParser   { return &PeerParser{Dialect: DialectGateway, MaxControlLine: 64} }
func leaf() *PeerParser {
	return &PeerParser{Dialect: DialectLeaf, MaxControlLine: 64, MaxPayload: 100}
}

type parseCase struct{ in, want string }

func TestRouteOperations(t *testing.T) {
	for _, tc := range []parseCase{
		{"RS+ A foo\r\n", "interest+ acct=A subj=foo"},
		{"rs+\tA  foo \r\n", "interest+ acct=A subj=foo"},
		{"RS+ A foo q1 3\r\n", "interest+ acct=A subj=foo queue=q1 weight=3"},
		{"RS+ A foo q1 0\r\n", "interest+ acct=A subj=foo queue=q1"},
		{"RS- A foo\r\n", "interest- acct=A subj=foo"},
		{"RS- A foo q1\r\n", "interest- acct=A subj=foo queue=q1"},
		{"LS+ LF A foo\r\n", "interest+ origin=LF acct=A subj=foo"},
		{"LS+ LF A foo q1 2\r\n", "interest+ origin=LF acct=A subj=foo queue=q1 weight=2"},
		{"LS+ $GW A foo q1 1\n", "interest+ origin=$GW acct=A subj=foo queue=q1 weight=1"},
		{"LS- LF A foo\r\n", "interest- origin=LF acct=A subj=foo"},
		{"LS- LF A foo q1\r\n", "interest- origin=LF acct=A subj=foo queue=q1"},
		{"RMSG A foo 2\r\nhi\r\n", "message acct=A subj=foo payload=hi"},
		{"rmsg A foo bar 2\r\nhi\r\n", "message acct=A subj=foo reply=bar payload=hi"},
		{"RMSG A foo | q1 2\r\nhi\r\n", "message acct=A subj=foo queues=[q1] payload=hi"},
		{"RMSG A foo | q1 q2 q3 2\r\nhi\r\n", "message acct=A subj=foo queues=[q1 q2 q3] payload=hi"},
		{"RMSG A foo + bar q1 q2 2\r\nhi\r\n", "message acct=A subj=foo reply=bar queues=[q1 q2] payload=hi"},
		{"RMSG A foo + bar 2\r\nhi\r\n", "message acct=A subj=foo reply=bar queues=[] payload=hi"},
		{"RMSG A foo + 2\r\nhi\r\n", "message acct=A subj=foo reply=+ payload=hi"},
		{"RMSG A foo | 2\r\nhi\r\n", "message acct=A subj=foo reply=| payload=hi"},
		{"HMSG A foo 1 3\r\nhhi\r\n", "message acct=A subj=foo hdr=1 payload=hhi"},
		{"HMSG A foo bar 1 3\r\nhhi\r\n", "message acct=A subj=foo reply=bar hdr=1 payload=hhi"},
		{"HMSG A foo | q1 3 3\r\nhhi\r\n", "message acct=A subj=foo queues=[q1] hdr=3 payload=hhi"},
		{"HMSG A foo + bar q1 0 3\r\nhhi\r\n", "message acct=A subj=foo reply=bar queues=[q1] payload=hhi"},
		{"LMSG LF A foo 0 2\r\nhi\r\n", "message origin=LF acct=A subj=foo payload=hi"},
		{"LMSG LF A foo bar 1 2\r\nhi\r\n", "message origin=LF acct=A subj=foo reply=bar hdr=1 payload=hi"},
		{"LMSG LF A foo | q1 0 2\r\nhi\r\n", "message origin=LF acct=A subj=foo queues=[q1] payload=hi"},
		{"LMSG LF A foo + bar q1 0 2\r\nhi\r\n", "message origin=LF acct=A subj=foo reply=bar queues=[q1] payload=hi"},
		{"GMSG B A foo 0 2\r\nhi\r\n", "GMSG origin=B acct=A subj=foo payload=hi"},
		{"GMSG B A foo bar 1 2\r\nhi\r\n", "GMSG origin=B acct=A subj=foo reply=bar hdr=1 payload=hi"},
		{"GMSG B A foo + bar q1 q2 0 2\r\nhi\r\n", "GMSG origin=B acct=A subj=foo reply=bar queues=[q1 q2] payload=hi"},
		{"GFENCE 17\r\n", "GFENCE arg=17"},
		{"A+ A\r\n", "A+ acct=A"},
		{"A- A\r\n", "A- acct=A"},
		{"A+ \r\n", "A+ acct="},
		{"PING\r\n", "PING"}, {"PONG\r\n", "PONG"}, {"+OK\r\n", "+OK"},
		{"-ERR 'x'\r\n", "-ERR arg='x'"},
		{"INFO {\"a\":1} \r\n", "INFO arg={\"a\":1} "},
		{"CONNECT {}\r\n", "CONNECT arg={}"},
		// What a reference server's clients may do to the names.
		{"RMSG A fo\ro 2\r\nhi\r\n", "message acct=A subj=fo\ro payload=hi dirty"},
		{"RMSG A foo b\x00 2\r\nhi\r\n", "message acct=A subj=foo reply=b\x00 payload=hi dirty"},
		{"RMSG A foo | q\r q2 2\r\nhi\r\n", "message acct=A subj=foo queues=[q\r q2] payload=hi dirty"},
		{"RS+ A foo q\r 2\r\n", "interest+ acct=A subj=foo queue=q\r weight=2 dirty"},
		{"RS- A \rfoo\r\n", "interest- acct=A subj=\rfoo dirty"},
		{"RMSG A \x01\x7f\xff 2\r\nhi\r\n", "message acct=A subj=\x01\x7f\xff payload=hi"},
	} {
		checkParses(t, route(), tc.in, tc.want)
	}
}

func TestDedicatedRouteOperations(t *testing.T) {
	for _, tc := range []parseCase{
		{"RS+ foo\r\n", "interest+ subj=foo"},
		{"RS+ foo q1 3\r\n", "interest+ subj=foo queue=q1 weight=3"},
		{"RS- foo q1\r\n", "interest- subj=foo queue=q1"},
		{"LS+ LF foo\r\n", "interest+ origin=LF subj=foo"},
		{"LS+ foo bar baz 1\r\n", "interest+ origin=foo subj=bar queue=baz weight=1"},
		{"LS- LF foo q\r\n", "interest- origin=LF subj=foo queue=q"},
		{"RMSG foo 2\r\nhi\r\n", "message subj=foo payload=hi"},
		{"RMSG foo bar 2\r\nhi\r\n", "message subj=foo reply=bar payload=hi"},
		{"RMSG foo + bar q1 2\r\nhi\r\n", "message subj=foo reply=bar queues=[q1] payload=hi"},
		{"HMSG foo | q1 1 2\r\nhi\r\n", "message subj=foo queues=[q1] hdr=1 payload=hi"},
		{"LMSG LF foo 0 2\r\nhi\r\n", "message origin=LF subj=foo payload=hi"},
	} {
		checkParses(t, dedicated(), tc.in, tc.want)
	}
	// Too few fields on this kind of route, though enough on the other.
	checkRefuses(t, dedicated(), "RS+ foo q1\r\n", ErrArguments)
	checkRefuses(t, dedicated(), "LMSG foo 0 2\r\n", ErrArguments)
}

func TestRouteDelWithoutOrigin(t *testing.T) {
	p := route()
	p.DelWithoutOrigin = true
	checkParses(t, p, "LS- A foo\r\n", "interest- acct=A subj=foo")
	checkParses(t, p, "LS- A foo q1\r\n", "interest- acct=A subj=foo queue=q1")
	// Servers of version 2.9 leave the place of the origin empty: two blanks.
	checkParses(t, p, "LS-  $G foo q\r\n", "interest- acct=$G subj=foo queue=q")
	checkParses(t, p, "LS+ LF A foo\r\n", "interest+ origin=LF acct=A subj=foo")
}

func TestGatewayOperations(t *testing.T) {
	for _, tc := range []parseCase{
		{"RS+ A foo\r\n", "interest+ acct=A subj=foo"},
		{"RS+ A foo grp 1\r\n", "interest+ acct=A subj=foo queue=grp weight=1"},
		{"RS- A foo grp\r\n", "interest- acct=A subj=foo queue=grp"},
		{"A+ A\r\n", "A+ acct=A"},
		{"a- A \r\n", "A- acct=A"},
		{"RMSG A _GR_.NUmM6c.A05KOF.INB.1.x 3\r\nabc\r\n", "message acct=A subj=_GR_.NUmM6c.A05KOF.INB.1.x payload=abc"},
		{"RMSG A foo | q1 1\r\nx\r\n", "message acct=A subj=foo queues=[q1] payload=x"},
		{"HMSG A foo + r q1 1 1\r\nx\r\n", "message acct=A subj=foo reply=r queues=[q1] hdr=1 payload=x"},
		{"PING\r\n", "PING"},
		{"INFO {}\r\n", "INFO arg={}"},
	} {
		checkParses(t, gateway(), tc.in, tc.want)
	}
}

func TestLeafOperations(t *testing.T) {
	for _, tc := range []parseCase{
		{"LS+ foo\r\n", "interest+ subj=foo"},
		{"LS+ foo q1 2\r\n", "interest+ subj=foo queue=q1 weight=2"},
		{"LS+ foo q1 0\r\n", "interest+ subj=foo queue=q1 weight=1"},
		{"LS+ foo q1 -4\r\n", "interest+ subj=foo queue=q1 weight=1"},
		{"LS+ foo q1 many\r\n", "interest+ subj=foo queue=q1 weight=1"},
		{"LS+ foo..bar\r\n", "interest+ subj=foo..bar"},
		{"LS- foo\r\n", "interest- subj=foo"},
		{"LS- foo q1\r\n", "interest- subj=foo queue=q1"},
		{"LMSG foo 2\r\nhi\r\n", "message subj=foo payload=hi"},
		{"LMSG foo r 2\r\nhi\r\n", "message subj=foo reply=r payload=hi"},
		{"LMSG foo | q1 q2 2\r\nhi\r\n", "message subj=foo queues=[q1 q2] payload=hi"},
		{"LMSG foo + rep.1 q1 q2 2\r\nhi\r\n", "message subj=foo reply=rep.1 queues=[q1 q2] payload=hi"},
		{"HMSG bar.x 1 2\r\nhi\r\n", "message subj=bar.x hdr=1 payload=hi"},
		{"HMSG foo r 0 2\r\nhi\r\n", "message subj=foo reply=r payload=hi"},
		{"HMSG foo + rr q1 q2 1 2\r\nhi\r\n", "message subj=foo reply=rr queues=[q1 q2] hdr=1 payload=hi"},
		{"+OK\r\n", "+OK"},
		{"-ERR 'Loop detected'\r\n", "-ERR arg='Loop detected'"},
	} {
		checkParses(t, leaf(), tc.in, tc.want)
	}
}

func TestPeerMalformed(t *testing.T) {
	dialects := map[string]func() *PeerParser{"route": route, "gateway": gateway, "leaf": leaf}
	for name, rows := range map[string][]struct {
		want *ProtoError
		in   []string
	}{
		"route": {
			{ErrUnknownOp, []string{
				"X", " PING\r\n", "\r\n", "RS+\r\n", "RMSG\r\n", "RMSGX A foo 0\r\n", "SUB foo 1\r\n", "UNSUB 1\r\n", "PUB foo 0\r\n",
				"HPUB foo 0 0\r\n", "MSG foo 1 0\r\n", "GMX", "RS*", "A* A\r\n",
				"RMSG A foo 2\r\nhixx\r\n", "RMSG A foo 2\r\nhi\n", "RMSG A foo 3\r\nhi\r\n...", "LMSG LF A foo 0 1\r\nhi\r\n",
			}},
			{ErrArguments, []string{
				"RS+ \r\n", "RS+ A\r\n", "RS+ A foo q1\r\n", "RS+ A foo q1 x\r\n", "RS+ A foo q1 -1\r\n", "RS+ A foo q1 1 1\r\n",
				"RS+ A foo q1 1000000000\r\n", "RS- A\r\n", "RS- A foo q 1\r\n", "LS+ LF A\r\n", "LS+ LF A foo q\r\n", "LS- LF A\r\n",
				"LS- LF A foo q 1\r\n", "RMSG \r\n", "RMSG A\r\n", "RMSG A 2\r\n", "RMSG 2\r\n", "RMSG A foo\r\n", "RMSG A foo x\r\n",
				"RMSG A foo -2\r\n", "RMSG A foo 1000000000\r\n", "RMSG A foo bar baz 2\r\n", "RMSG A foo * q1 2\r\n",
				"RMSG A foo ++ r q1 2\r\n", "RMSG A foo 2\r\r\n", "HMSG A foo 2\r\n", "HMSG A foo 3 2\r\n", "HMSG A foo x 2\r\n",
				"HMSG A foo -1 2\r\n", "HMSG A foo bar baz 0 2\r\n", "LMSG LF A foo 2\r\n", "LMSG LF A 0 2\r\n", "LMSG LF A foo 3 2\r\n",
				"GMSG B A foo 2\r\n", "GMSG B A 0 2\r\n", "GFENCE \r\n", "GFENCE 1 2\r\n",
			}},
			{ErrBadJSON, []string{"INFO\r\n", "CONNECT \r\n"}},
		},
		"gateway": {
			{ErrUnknownOp, []string{
				"LS+ A foo\r\n", "LS- A foo\r\n", "LMSG A foo 0\r\n", "GMSG B A foo 0 0\r\n", "GFENCE 1\r\n", "SUB foo 1\r\n", "PUB foo 0\r\n",
				"RMSG A foo 0\r\nxx",
			}},
			{ErrArguments, []string{
				"RS+ A\r\n", "RS+ A foo grp\r\n", "RS- \r\n", "RMSG A 0\r\n", "HMSG A foo 0\r\n", "HMSG A foo 2 1\r\n", "A+ \r\n", "A- A B\r\n",
			}},
		},
		"leaf": {
			{ErrUnknownOp, []string{
				"SUB x 1\r\n", "PUB x 1\r\n", "RS+ x\r\n", "RS- x\r\n", "RMSG x 1\r\n", "A+ x\r\n", "MSG x 1 0\r\n", "GMSG x 0 0\r\n",
				"LMSG foo 2\r\nhixx\r\n",
			}},
			{ErrArguments, []string{
				"LS+ \r\n", "LS+\r\n", "LS-\n", "LS+ foo bar\r\n", "LS+ foo q 1 1\r\n", "LS- \r\n", "LS- foo q 1\r\n", "LMSG 2\r\n", "LMSG foo\r\n", "LMSG foo -2\r\n",
				"LMSG foo x r q 2\r\n", "HMSG foo 2\r\n", "HMSG 1 2\r\n", "HMSG foo -1 2\r\n", "HMSG foo 3 2\r\n",
			}},
			{ErrMaxPayload, []string{"LMSG foo 101\r\n", "HMSG foo 1 101\r\n"}},
		},
	} {
		for _, row := range rows {
			for _, in := range row.in {
				t.Run(name, func(t *testing.T) { checkRefuses(t, dialects[name](), in, row.want) })
			}
		}
	}
}

func TestPeerControlLineLimit(t *testing.T) {
	p := &PeerParser{Dialect: DialectLeaf}
	line := func(n int) string { return "LS+ " + strings.Repeat("a", n) }
	var op Op
	if n, _, err := p.Next([]byte(line(DefaultMaxPeerControlLine)+"\r\n"), &op); n == 0 {
		t.Errorf("a line of %d: %v", DefaultMaxPeerControlLine, err)
	}
	for _, tail := range []string{"", "\r\n"} {
		if _, _, err := p.Next([]byte(line(DefaultMaxPeerControlLine+1)+tail), &op); !errors.Is(err, ErrControlLine) {
			t.Errorf("a longer line: %v", err)
		}
	}
	p.MaxControlLine = 10
	checkRefuses(t, p, "LS+ 12345678901\r\n", ErrControlLine)
}

// Without a configured limit nine digits are the limit.
func TestPeerPayloadUnlimited(t *testing.T) {
	var op Op
	line := "RMSG A foo 999999999\r\n"
	if n, need, err := route().Next([]byte(line), &op); n != 0 || need != len(line)+999999999+2 || err != nil {
		t.Errorf("%d, %d, %v", n, need, err)
	}
}

func TestPeerOpIsCleanAfterReuse(t *testing.T) {
	kinds := []string{
		"RS+ A foo q1 3\r\n", "RS+ A foo\r\n", "LS+ LF A foo\r\n", "LS- LF A foo q\r\n", "RMSG A foo + bar q1 q2 2\r\nhi\r\n",
		"RMSG A foo 2\r\nhi\r\n", "RMSG A f\ro r 2\r\nhi\r\n", "LMSG LF A foo 1 2\r\nhi\r\n", "GMSG B A foo 0 2\r\nhi\r\n",
		"GFENCE 1\r\n", "A+ A\r\n", "PONG\r\n", "INFO {}\r\n", "RS- A \rfoo\r\n",
	}
	for _, a := range kinds {
		for _, b := range kinds {
			var used, fresh Op
			for _, in := range []string{a, b} {
				if n, _, err := route().Next([]byte(in), &used); n == 0 {
					t.Fatalf("%q: %v", in, err)
				}
			}
			if n, _, err := route().Next([]byte(b), &fresh); n == 0 {
				t.Fatalf("%q: %v", b, err)
			}
			if got, want := show(&used), show(&fresh); got != want {
				t.Errorf("%q after %q: %q, want %q", b, a, got, want)
			}
		}
	}
}
