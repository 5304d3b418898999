package wire

import (
	"errors"
	"strings"
	"testing"
)

func client() *ClientParser {
	return &ClientParser{MaxControlLine: 64, MaxPayload: 100, Headers: true}
}

// show renders what a parser gave, as one line that tests compare.
func show(op *Op) string {
	var s strings.Builder
	s.WriteString(op.Kind.String())
	field := func(name string, v []byte) {
		if v != nil {
			s.WriteString(" " + name + "=" + string(v))
		}
	}
	field("origin", op.Origin)
	field("acct", op.Account)
	field("subj", op.Subject)
	field("reply", op.Reply)
	field("queue", op.Queue)
	if op.HasQueues {
		s.WriteString(" queues=[")
		for i, q := range op.Queues {
			if i > 0 {
				s.WriteByte(' ')
			}
			s.Write(q)
		}
		s.WriteString("]")
	}
	field("sid", op.SID)
	number := func(name string, n int) {
		if n != 0 {
			s.WriteString(" " + name + "=")
			if n < 0 {
				s.WriteString("-")
				n = -n
			}
			s.Write(AppendDecimal(nil, n))
		}
	}
	number("max", op.Max)
	number("weight", int(op.Weight))
	number("hdr", op.HdrLen)
	field("payload", op.Payload)
	field("arg", op.Arg)
	if op.Dirty {
		s.WriteString(" dirty")
	}
	return s.String()
}

func TestClientOperations(t *testing.T) {
	long := strings.Repeat(" ", 5000)
	for _, tc := range []struct{ in, want string }{
		{"PUB foo 5\r\nhello\r\n", "PUB subj=foo payload=hello"},
		{"PUB foo 0\r\n\r\n", "PUB subj=foo payload="},
		{"PUB foo bar 5\r\nhello\r\n", "PUB subj=foo reply=bar payload=hello"},
		{"pub foo 2\nhi\r\n", "PUB subj=foo payload=hi"},
		{"pUb\tfoo\t \tbar \t2 \t\r\nhi\r\n", "PUB subj=foo reply=bar payload=hi"},
		{"PUB foo 02\r\nhi\r\n", "PUB subj=foo payload=hi"},
		{"PUB foo 000000002\r\nhi\r\n", "PUB subj=foo payload=hi"},
		{"PUB foo 4\r\n\r\n\r\n\r\n", "PUB subj=foo payload=\r\n\r\n"},
		{"PUB a..b 0\r\n\r\n", "PUB subj=a..b payload="},
		{"PUB a.> r.* 0\r\n\r\n", "PUB subj=a.> reply=r.* payload="},
		{"PUB \x0b\x0c\x01\xff 0\r\n\r\n", "PUB subj=\x0b\x0c\x01\xff payload="},
		{"PUB 5 5 5\r\nhello\r\n", "PUB subj=5 reply=5 payload=hello"},
		{"PUB" + long + "foo 0\r\n\r\n", "PUB subj=foo payload="},
		{"HPUB foo 5 7\r\nabcdehi\r\n", "PUB subj=foo hdr=5 payload=abcdehi"},
		{"HPUB foo r 12 12\r\nNATS/1.0\r\n\r\n\r\n", "PUB subj=foo reply=r hdr=12 payload=NATS/1.0\r\n\r\n"},
		{"hpub foo 0 2\r\nhi\r\n", "PUB subj=foo payload=hi"},
		{"SUB foo 1\r\n", "SUB subj=foo sid=1"},
		{"sub foo.* q.> abc\n", "SUB subj=foo.* queue=q.> sid=abc"},
		{"SUB foo 1 \t \r\n", "SUB subj=foo sid=1"},
		{"UNSUB 1\r\n", "UNSUB sid=1 max=-1"},
		{"unsub 1 5\r\n", "UNSUB sid=1 max=5"},
		{"UNSUB 1 0\r\n", "UNSUB sid=1 max=-1"},
		{"UNSUB 1 x\r\n", "UNSUB sid=1 max=-1"},
		{"UNSUB 1 -3\r\n", "UNSUB sid=1 max=-1"},
		{"UNSUB 1 999999999\r\n", "UNSUB sid=1 max=999999999"},
		{"UNSUB 1 1000000000\r\n", "UNSUB sid=1 max=-1"},
		{"PING\r\n", "PING"},
		{"ping\n", "PING"},
		{"PINGxyz\n", "PING"},
		{"PING" + long + long + "\n", "PING"},
		{"Pong\r\n", "PONG"},
		{"+OK\r\n", "+OK"},
		{"+okay\r\n", "+OK"},
		{"-ERR 'Some thing'\r\n", "-ERR arg='Some thing'"},
		{"CONNECT {}\r\n", "CONNECT arg={}"},
		{"CONNECT{\"a\":1}\r\n", "CONNECT arg={\"a\":1}"},
		{"connect  \t {\"a\": 1} \r\n", "CONNECT arg={\"a\": 1} "},
		{"CONNECT not json\r\n", "CONNECT arg=not json"},
		{"INFO {}\r\n", "INFO arg={}"},
	} {
		checkParses(t, client(), tc.in, tc.want)
	}
}

// checkParses wants in to be one operation, whole, with every shorter prefix incomplete and any
// bytes behind it left alone.
func checkParses(t *testing.T, p nexter, in, want string) {
	t.Helper()
	for _, tail := range []string{"", "P", "PING\r\n", "\x00\r\n"} {
		var op Op
		n, _, err := p.Next([]byte(in+tail), &op)
		if err != nil || n != len(in) {
			t.Errorf("%q + %q: took %d of %d, error %v", cut(in), tail, n, len(in), err)
			return
		}
		if got := show(&op); got != want {
			t.Errorf("%q + %q:\n got %q\nwant %q", cut(in), tail, got, want)
		}
	}
	var op Op
	for i := range len(in) {
		n, need, err := p.Next([]byte(in[:i]), &op)
		if n != 0 || err != nil {
			t.Errorf("%q: took %d of a prefix of %d, error %v", cut(in), n, i, err)
			return
		}
		if need != 0 && need != len(in) {
			t.Errorf("%q: prefix of %d needs %d, the whole has %d", cut(in), i, need, len(in))
		}
	}
}

func cut(s string) string {
	if len(s) > 80 {
		return s[:40] + "..." + s[len(s)-40:]
	}
	return s
}

func TestClientMalformed(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want *ProtoError
	}{
		// Unknown or misplaced operations.
		{"X", ErrUnknownOp},
		{"\r\n", ErrUnknownOp},
		{"\n", ErrUnknownOp},
		{" PUB foo 0\r\n", ErrUnknownOp},
		{"PUB\r\n", ErrUnknownOp},
		{"PUBL foo 0\r\n", ErrUnknownOp},
		{"SUB\r\n", ErrUnknownOp},
		{"UNSUB\n", ErrUnknownOp},
		{"HPUB\r\n", ErrUnknownOp},
		{"PIN\r\n", ErrUnknownOp},
		{"CONNEC {}\r\n", ErrUnknownOp},
		{"-ERR\r\n", ErrUnknownOp},
		{"\x0bOK\r\n", ErrUnknownOp}, // '+' with its case bit off
		{"\x0dERR x\r\n", ErrUnknownOp},
		{"PUB\x00foo 0\r\n", ErrUnknownOp}, // NUL with the case bit is a blank
		{"MSG foo 1 0\r\n\r\n", ErrUnknownOp},
		{"HMSG foo 1 0 0\r\n\r\n", ErrUnknownOp},
		{"RMSG $G foo 0\r\n\r\n", ErrUnknownOp},
		{"LMSG foo 0\r\n\r\n", ErrUnknownOp},
		{"RS+ $G foo\r\n", ErrUnknownOp},
		{"RS- $G foo\r\n", ErrUnknownOp},
		{"LS+ foo\r\n", ErrUnknownOp},
		{"LS- foo\r\n", ErrUnknownOp},
		{"A+ x\r\n", ErrUnknownOp},
		{"A- x\r\n", ErrUnknownOp},
		{"GMSG B $G foo 0 0\r\n\r\n", ErrUnknownOp},
		{"GFENCE 1\r\n", ErrUnknownOp},
		// Payload and its end.
		{"PUB foo 5\r\nhi\r\n....", ErrUnknownOp},
		{"PUB foo 2\r\nhixx\r\n", ErrUnknownOp},
		{"PUB foo 2\r\nhix", ErrUnknownOp},
		{"PUB foo 2\r\nhi\n", ErrUnknownOp},
		{"PUB foo 2\r\nhi\r\r", ErrUnknownOp},
		// CR and NUL where they would be carried on.
		{"SUB foo\r 12\n", ErrUnknownOp},
		{"SUB foo 12\r\r\n", ErrUnknownOp},
		{"SUB fo\x00o 12\r\n", ErrUnknownOp},
		{"SUB foo q\x00 12\r\n", ErrUnknownOp},
		{"SUB foo 1\x002\r\n", ErrUnknownOp},
		{"UNSUB 1\x00\r\n", ErrUnknownOp},
		{"PUB fo\ro 0\r\n\r\n", ErrUnknownOp},
		{"PUB foo r\x00 0\r\n\r\n", ErrUnknownOp},
		{"PUB foo \rr 0\r\n\r\n", ErrUnknownOp},
		{"CONNECT {}\r \r\n", ErrUnknownOp},
		{"-ERR 'a\rb'\r\n", ErrUnknownOp},
		// Arguments: closed without a word.
		{"PUB \r\n", ErrArguments},
		{"PUB foo\r\n", ErrArguments},
		{"PUB 5\r\n", ErrArguments},
		{"PUB foo a b 5\r\n", ErrArguments},
		{"PUB foo -1\r\n", ErrArguments},
		{"PUB foo +1\r\n", ErrArguments},
		{"PUB foo 1x\r\n", ErrArguments},
		{"PUB foo x\r\n", ErrArguments},
		{"PUB foo 1.0\r\n", ErrArguments},
		{"PUB foo 1000000000\r\n", ErrArguments},
		{"PUB foo 0000000001\r\n", ErrArguments},
		{"HPUB \r\n", ErrArguments},
		{"HPUB foo 5\r\n", ErrArguments},
		{"HPUB foo 5 \r\n", ErrArguments},
		{"HPUB 5 5\r\n", ErrArguments},
		{"HPUB foo x 5\r\n", ErrArguments},
		{"HPUB foo -1 5\r\n", ErrArguments},
		{"HPUB foo 6 5\r\n", ErrArguments},
		{"HPUB foo a b 5 5\r\n", ErrArguments},
		{"SUB \r\n", ErrArguments},
		{"SUB foo\r\n", ErrArguments},
		{"SUB foo q 1 x\r\n", ErrArguments},
		{"UNSUB \r\n", ErrArguments},
		{"UNSUB 1 2 3\r\n", ErrArguments},
		// JSON.
		{"CONNECT\r\n", ErrBadJSON},
		{"CONNECT  \r\n", ErrBadJSON},
		{"INFO\r\n", ErrBadJSON},
		{"INFO {bad\r\n", ErrBadJSON},
		// Sizes.
		{"PUB foo 101\r\n", ErrMaxPayload},
		{"PUB foo 999999999\r\n", ErrMaxPayload},
		{"HPUB foo 5 101\r\n", ErrMaxPayload},
	} {
		checkRefuses(t, client(), tc.in, tc.want)
	}
}

// checkRefuses wants the same error from in at once, with more behind it, and byte by byte.
func checkRefuses(t *testing.T, p nexter, in string, want *ProtoError) {
	t.Helper()
	var op Op
	for _, tail := range []string{"", "PING\r\n"} {
		if n, _, err := p.Next([]byte(in+tail), &op); n != 0 || !errors.Is(err, want) {
			t.Errorf("%q + %q: took %d, error %v, want %v", cut(in), tail, n, err, want)
		}
	}
	for i := range len(in) {
		n, _, err := p.Next([]byte(in[:i]), &op)
		if n != 0 {
			t.Errorf("%q: took %d of a prefix of %d", cut(in), n, i)
		}
		if err != nil && !errors.Is(err, want) {
			t.Errorf("%q: prefix of %d gives %v, the whole %v", cut(in), i, err, want)
		}
	}
}

func TestClientHeadersNotAgreed(t *testing.T) {
	p := client()
	p.Headers = false
	checkRefuses(t, p, "HPUB foo 0 0\r\n\r\n", ErrHeadersNotSet)
	checkParses(t, p, "PUB foo 0\r\n\r\n", "PUB subj=foo payload=")
}

func TestClientControlLineLimit(t *testing.T) {
	const limit = 64
	fill := func(n int) string { return strings.Repeat("a", n) }
	for _, head := range []struct{ verb, args string }{
		{"CONNECT ", ""}, {"CONNECT", "{"}, {"PUB  \t", " 0"}, {"HPUB ", " 0 0"}, {"SUB ", " 1"}, {"UNSUB ", ""}, {"-ERR ", ""},
	} {
		for _, eol := range []string{"\r\n", "\n"} {
			args := fill(limit-len(head.args)) + head.args
			var op Op
			if _, _, err := client().Next([]byte(head.verb+args+eol), &op); err != nil {
				t.Errorf("%q: %d argument bytes: %v", head.verb, limit, err)
			}
			checkRefuses(t, client(), head.verb+"a"+args+eol, ErrControlLine)
			checkRefuses(t, client(), head.verb+"a"+args, ErrControlLine)
		}
	}
	checkRefuses(t, client(), "SUB "+fill(10*limit), ErrControlLine)
	// A full line that waits for LF behind its CR is not too long yet.
	var op Op
	if n, need, err := client().Next([]byte("SUB "+fill(limit)+"\r"), &op); n != 0 || need != 0 || err != nil {
		t.Errorf("full line without LF: %d, %d, %v", n, need, err)
	}
	// What is skipped is bounded too, far above.
	checkErr := func(in string) {
		t.Helper()
		for _, tail := range []string{"", "\r\n"} {
			if _, _, err := client().Next([]byte(in+tail), &op); !errors.Is(err, ErrControlLine) {
				t.Errorf("%q: %v", cut(in), err)
			}
		}
	}
	checkErr("PING" + fill(maxSkipped+1))
	checkErr("SUB " + strings.Repeat(" ", maxSkipped))
}

func TestClientDefaultControlLine(t *testing.T) {
	p := &ClientParser{MaxPayload: -1}
	var op Op
	if _, _, err := p.Next([]byte("CONNECT "+strings.Repeat("x", DefaultMaxControlLine)+"\r\n"), &op); err != nil {
		t.Error(err)
	}
	if _, _, err := p.Next([]byte("CONNECT "+strings.Repeat("x", DefaultMaxControlLine+1)+"\r\n"), &op); !errors.Is(err, ErrControlLine) {
		t.Error(err)
	}
}

func TestClientPayloadLimit(t *testing.T) {
	var op Op
	p := client()
	exact := "PUB foo 100\r\n" + payload(100) + "\r\n"
	checkParses(t, p, exact, "PUB subj=foo payload="+payload(100))
	if _, need, err := p.Next([]byte("PUB foo 100\r\n"), &op); need != len(exact) || err != nil {
		t.Errorf("need %d, want %d; %v", need, len(exact), err)
	}
	// The refusal comes with the line, before any payload.
	checkRefuses(t, p, "PUB foo 101\r\n", ErrMaxPayload)
	p.MaxPayload = -1
	if _, need, err := p.Next([]byte("PUB foo 999999999\r\n"), &op); need != len("PUB foo 999999999\r\n")+999999999+2 || err != nil {
		t.Errorf("unlimited: need %d, %v", need, err)
	}
	p.MaxPayload = 0
	checkParses(t, p, "PUB foo 0\r\n\r\n", "PUB subj=foo payload=")
	checkRefuses(t, p, "PUB foo 1\r\n", ErrMaxPayload)
}

func TestMayBeConnect(t *testing.T) {
	for c := range 256 {
		want := c == 'c' || c == 'C'
		if got := MayBeConnect(byte(c)); got != want {
			t.Errorf("%q: %v", rune(c), got)
		}
	}
}

// An Op that held one kind must show nothing of it as another.
func TestOpIsCleanAfterReuse(t *testing.T) {
	kinds := []string{
		"PUB foo bar 5\r\nhello\r\n", "HPUB foo r 5 7\r\nabcdehi\r\n", "PUB foo 1\r\nx\r\n", "SUB foo q 1\r\n", "SUB foo 1\r\n",
		"UNSUB 1 5\r\n", "UNSUB 1\r\n", "PING\r\n", "CONNECT {}\r\n", "-ERR 'x'\r\n", "INFO {}\r\n",
	}
	for _, a := range kinds {
		for _, b := range kinds {
			var used, fresh Op
			for _, in := range []string{a, b} {
				if n, _, err := client().Next([]byte(in), &used); n == 0 {
					t.Fatalf("%q: %v", in, err)
				}
			}
			if n, _, err := client().Next([]byte(b), &fresh); n == 0 {
				t.Fatalf("%q: %v", b, err)
			}
			if got, want := show(&used), show(&fresh); got != want {
				t.Errorf("%q after %q: %q, want %q", b, a, got, want)
			}
		}
	}
}
