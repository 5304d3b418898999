package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// transcript feeds input in pieces, as a connection would: what is not taken stays in front of the
// next piece. It gives what was parsed and the error at the end.
func transcript(p nexter, pieces ...[]byte) []string {
	var out []string
	var held []byte
	var op Op
	for _, piece := range pieces {
		held = append(held, piece...)
		for len(held) > 0 {
			n, need, err := p.Next(held, &op)
			if err != nil {
				var pe *ProtoError
				if !errors.As(err, &pe) || n != 0 {
					return append(out, fmt.Sprintf("BROKEN: %d, %v", n, err))
				}
				return append(out, "error "+err.Error())
			}
			if n == 0 {
				if need != 0 && need <= len(held) {
					return append(out, fmt.Sprintf("BROKEN: need %d of %d", need, len(held)))
				}
				break
			}
			if n > len(held) {
				return append(out, fmt.Sprintf("BROKEN: took %d of %d", n, len(held)))
			}
			out = append(out, show(&op))
			held = held[n:]
		}
	}
	return out
}

func singleBytes(in []byte) [][]byte {
	var pieces [][]byte
	for i := range in {
		pieces = append(pieces, in[i:i+1])
	}
	return pieces
}

var dialogues = map[string]struct {
	p  nexter
	in string
}{
	"client": {client(), "CONNECT {\"verbose\":false}\r\nPING\r\nsub foo.* 1\nSUB bar q 2\r\nPUB foo.a 5\r\nhello\r\n" +
		"PUB foo.a r 0\r\n\r\nHPUB foo.a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPINGxyz\nUNSUB 1 3\r\nUNSUB 2\r\n+OK\r\nPONG\r\nINFO {}\r\n" +
		"PUB a 4\r\n\r\n\r\n\r\n-ERR 'x'\r\nPUB foo 2\r\nhixx\r\n"},
	"route": {route(), "CONNECT {}\r\nINFO {} \r\nRS+ A foo\r\nRS+ A foo q1 3\r\nRS- A foo q1\r\nLS+ LF A foo q 1\r\nLS- LF A foo q\r\n" +
		"RMSG A foo 2\r\nhi\r\nRMSG A foo + r q1 q2 2\r\n\r\n\r\nHMSG A foo | q1 1 3\r\nabc\r\nLMSG LF A foo 0 2\r\nhi\r\nGMSG B A foo 0 0\r\n\r\n" +
		"GFENCE 9\r\nPING\r\nPONG\r\nA+ A\r\nRMSG A foo bar baz 2\r\n"},
	"gateway": {gateway(), "INFO {}\r\nRS+ A foo\r\nRS+ A foo q 1\r\nA- B\r\nA+ B\r\nRMSG A foo 2\r\nhi\r\nHMSG A foo + r q 1 2\r\nhi\r\nPING\r\nLMSG"},
	"leaf": {leaf(), "INFO {}\r\nLS+ foo\r\nLS+ foo q 2\r\nLS- foo q\r\nLMSG foo r 2\r\nhi\r\nHMSG foo | q1 q2 1 2\r\nhi\r\n" +
		"LMSG foo 4\r\n\r\n\r\n\r\n-ERR 'x'\r\nLMSG foo 101\r\n"},
}

func TestAnySplitGivesTheSame(t *testing.T) {
	for name, d := range dialogues {
		in := []byte(d.in)
		want := transcript(d.p, in)
		if !strings.HasPrefix(want[len(want)-1], "error ") {
			t.Fatalf("%s: the dialogue must end in an error: %q", name, want)
		}
		for i := range in {
			if got := transcript(d.p, in[:i], in[i:]); !slices.Equal(got, want) {
				t.Errorf("%s, split at %d:\n got %q\nwant %q", name, i, got, want)
			}
		}
		if got := transcript(d.p, singleBytes(in)...); !slices.Equal(got, want) {
			t.Errorf("%s, single bytes:\n got %q\nwant %q", name, got, want)
		}
	}
}

// naiveClient is a second reading of the client grammar, line by line with string functions.
// It gives one operation of a whole input, or how it fails; "" means more bytes are needed.
func naiveClient(p *ClientParser, in string) (result string, taken int) {
	line, rest, ended := strings.Cut(in, "\n")
	if !ended {
		return "", 0
	}
	taken = len(line) + 1
	fail := func(e *ProtoError) (string, int) { return "error " + e.Error(), 0 }
	args := strings.TrimSuffix(line, "\r")
	word := ""
	for _, w := range []string{"CONNECT", "INFO", "PING", "PONG", "+OK", "-ERR ", "-ERR\t", "PUB ", "PUB\t", "HPUB ", "HPUB\t", "SUB ", "SUB\t", "UNSUB ", "UNSUB\t"} {
		if len(args) >= len(w) && asciiUpper(args[:len(w)]) == w {
			word = strings.TrimRight(w, " \t")
		}
	}
	switch word {
	case "":
		return fail(ErrUnknownOp)
	case "PING", "PONG", "+OK":
		return word, taken
	case "HPUB":
		if !p.Headers {
			return fail(ErrHeadersNotSet)
		}
	}
	args = strings.TrimLeft(args[len(word):], " \t")
	if len(args) > p.MaxControlLine {
		return fail(ErrControlLine)
	}
	f := strings.FieldsFunc(args, func(r rune) bool { return r == ' ' || r == '\t' })
	size := func(s string) int {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || len(s) > 9 {
			return -1
		}
		return int(n)
	}
	unclean := strings.ContainsAny(args, "\r\x00")
	switch word {
	case "CONNECT", "INFO", "-ERR":
		switch {
		case strings.Contains(args, "\r"):
			return fail(ErrUnknownOp)
		case args == "" && word != "-ERR":
			return fail(ErrBadJSON)
		}
		return word + " arg=" + args, taken
	case "SUB":
		switch {
		case unclean:
			return fail(ErrUnknownOp)
		case len(f) == 2:
			return "SUB subj=" + f[0] + " sid=" + f[1], taken
		case len(f) == 3:
			return "SUB subj=" + f[0] + " queue=" + f[1] + " sid=" + f[2], taken
		}
		return fail(ErrArguments)
	case "UNSUB":
		switch {
		case unclean:
			return fail(ErrUnknownOp)
		case len(f) == 1, len(f) == 2 && size(f[1]) < 1:
			return "UNSUB sid=" + f[0] + " max=-1", taken
		case len(f) == 2:
			return "UNSUB sid=" + f[0] + " max=" + strconv.Itoa(size(f[1])), taken
		}
		return fail(ErrArguments)
	}
	// PUB and HPUB: sizes from the back.
	total, hdr := -1, 0
	if n := len(f); n > 0 {
		total, f = size(f[n-1]), f[:n-1]
	}
	if n := len(f); word == "HPUB" {
		if hdr = -1; n > 0 {
			hdr, f = size(f[n-1]), f[:n-1]
		}
	}
	names := strings.Join(f, " ")
	switch {
	case total < 0, hdr < 0, hdr > total, len(f) == 0:
		return fail(ErrArguments)
	case len(f) <= 2 && strings.ContainsAny(names, "\r\x00"):
		return fail(ErrUnknownOp)
	case len(f) > 2:
		if strings.ContainsAny(f[0]+f[1], "\r\x00") {
			return fail(ErrUnknownOp)
		}
		return fail(ErrArguments)
	case p.MaxPayload >= 0 && total > p.MaxPayload:
		return fail(ErrMaxPayload)
	case len(rest) > total && rest[total] != '\r', len(rest) > total+1 && rest[total+1] != '\n':
		return fail(ErrUnknownOp)
	case len(rest) < total+2:
		return "", 0
	}
	s := "PUB subj=" + f[0]
	if len(f) == 2 {
		s += " reply=" + f[1]
	}
	if hdr > 0 {
		s += " hdr=" + strconv.Itoa(hdr)
	}
	return s + " payload=" + rest[:total], taken + total + 2
}

func asciiUpper(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

// checkStream is what must hold for any bytes: splits change nothing, and every
// slice of an Op lies inside the block.
func checkStream(t *testing.T, p nexter, in []byte, split uint16) {
	want := transcript(p, in)
	for _, line := range want {
		if strings.HasPrefix(line, "BROKEN") {
			t.Fatalf("%q: %s", in, line)
		}
	}
	at := int(split) % (len(in) + 1)
	if got := transcript(p, in[:at], in[at:]); !slices.Equal(got, want) {
		t.Fatalf("%q split at %d:\n got %q\nwant %q", in, at, got, want)
	}
	if len(in) < 512 {
		if got := transcript(p, singleBytes(in)...); !slices.Equal(got, want) {
			t.Fatalf("%q in single bytes:\n got %q\nwant %q", in, got, want)
		}
	}
	// No byte is written.
	before := bytes.Clone(in)
	transcript(p, in)
	if !bytes.Equal(before, in) {
		t.Fatalf("%q was changed to %q", before, in)
	}
}

func fuzzSeeds(f *testing.F, dialogue string) {
	in := dialogues[dialogue].in
	f.Add([]byte(in), uint16(0))
	f.Add([]byte(in), uint16(len(in)/2))
	for _, line := range strings.SplitAfter(in, "\n") {
		f.Add([]byte(line), uint16(3))
	}
}

func FuzzClient(f *testing.F) {
	fuzzSeeds(f, "client")
	f.Add([]byte("PUB foo\r 1\r\nx\r\n"), uint16(8))
	f.Add([]byte("HPUB foo 999999999 9999999999\r\n"), uint16(8))
	f.Fuzz(func(t *testing.T, in []byte, split uint16) {
		p := client()
		p.Headers = split%2 == 0
		checkStream(t, p, in, split)
		// The naive reading must agree wherever it can decide. The parser may refuse
		// earlier, while the line is not whole yet.
		var op Op
		want, taken := naiveClient(p, string(in))
		n, _, err := p.Next(in, &op)
		switch {
		case want == "":
			if n > 0 {
				t.Fatalf("%q: took %d of what is not whole: %s", in, n, show(&op))
			}
			return
		case err != nil:
			if got := "error " + err.Error(); got != want && !(errors.Is(err, ErrBadJSON) && strings.HasPrefix(want, "INFO")) {
				t.Fatalf("%q:\n got %q\nwant %q", in, got, want)
			}
		case n != taken || show(&op) != want:
			t.Fatalf("%q: %d of %d\n got %q\nwant %q", in, n, taken, show(&op), want)
		}
	})
}

func FuzzRoute(f *testing.F) {
	fuzzSeeds(f, "route")
	f.Add([]byte("RMSG foo + r q1 q2 1\r\nx\r\n"), uint16(1))
	f.Fuzz(func(t *testing.T, in []byte, split uint16) {
		p := route()
		p.AccountOmitted = split%2 == 1
		p.DelWithoutOrigin = split%3 == 1
		checkStream(t, p, in, split)
	})
}

func FuzzGateway(f *testing.F) {
	fuzzSeeds(f, "gateway")
	f.Fuzz(func(t *testing.T, in []byte, split uint16) { checkStream(t, gateway(), in, split) })
}

func FuzzLeaf(f *testing.F) {
	fuzzSeeds(f, "leaf")
	f.Fuzz(func(t *testing.T, in []byte, split uint16) { checkStream(t, leaf(), in, split) })
}

// The short way through a plain PUB line and the careful one tell the same of any line.
func TestPubShortAndCarefulAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(rapid.SampledFrom([]string{
			" ", " ", "\t", "foo", "a.very.long.subject.indeed", "r", "0", "3", "07", "100", "101", "999999999", "1234567890", "-1", "\x00", "\x01", "\r", "\xff",
		}), 0, 8).Draw(t, "pieces")
		in := "PUB " + strings.Join(pieces, "") +
			rapid.SampledFrom([]string{"\r\n", "\n", "\r", ""}).Draw(t, "eol") +
			rapid.SampledFrom([]string{"", "abc\r\n", "\r\n", "abc\r", "abcx"}).Draw(t, "payload")
		p := ClientParser{MaxControlLine: rapid.IntRange(1, 40).Draw(t, "limit"), MaxPayload: rapid.IntRange(-1, 101).Draw(t, "max")}
		var a, b Op
		n1, need1, err1 := p.pub([]byte(in), &a)
		n2, need2, err2 := p.pubCareful([]byte(in), &b)
		if n1 != n2 || need1 != need2 || err1 != err2 || (n1 > 0 && show(&a) != show(&b)) {
			t.Fatalf("%q: %d %d %v %s, careful %d %d %v %s", in, n1, need1, err1, show(&a), n2, need2, err2, show(&b))
		}
	})
}
