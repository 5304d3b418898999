package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var sizesOfPieces = []int{0, 1, 2, 3, 7, 100}

func TestDecodeData(t *testing.T) {
	long := strings.Repeat("0123456789", 10_000)
	tests := map[string]struct {
		in   [][]byte
		want string
	}{
		"binary":    {[][]byte{masked(0x82, "PING\r\n")}, "PING\r\n"},
		"text":      {[][]byte{masked(0x81, "PING\r\n")}, "PING\r\n"},
		"not UTF-8": {[][]byte{masked(0x81, "\xff\xfe")}, "\xff\xfe"},
		"empty":     {[][]byte{masked(0x82, ""), masked(0x82, "a")}, "a"},
		"fragments": {[][]byte{masked(0x02, "PI"), masked(0x00, "N"), masked(0x80, "G\r\n")}, "PING\r\n"},
		"long":      {[][]byte{masked(0x82, long), masked(0x82, long)}, long + long},
		"wide 16":   {[][]byte{frame{first: 0x82, masked: true, payload: []byte("abc"), wide: 2}.bytes()}, "abc"},
		"wide 64":   {[][]byte{frame{first: 0x82, masked: true, payload: []byte("abc"), wide: 8}.bytes()}, "abc"},
		"pong":      {[][]byte{masked(0x8a, "x"), masked(0x82, "a")}, "a"},
		"ping between": {[][]byte{masked(0x02, "PI"), masked(0x89, ""), masked(0x00, "N"), masked(0x89, "hello"), masked(0x80, "G")},
			"PING"},
		"compressed": {[][]byte{masked(0xc2, string(deflated(t, []byte(long))))}, long},
		"compressed, fragments": {func() [][]byte {
			z := string(deflated(t, []byte(long)))
			return [][]byte{masked(0x42, z[:10]), masked(0x89, "p"), masked(0x00, z[10:20]), masked(0x00, z[20:]), masked(0x80, "")}
		}(), long},
		"mixed":              {[][]byte{masked(0x82, "a"), masked(0xc2, string(deflated(t, []byte("bbb")))), masked(0x82, "c")}, "abbbc"},
		"compressed nothing": {[][]byte{masked(0xc2, "\x00"), masked(0x82, "a")}, "a"},
	}
	for name, test := range tests {
		for _, piece := range sizesOfPieces {
			c := NewCodec(Options{Compress: true})
			got, _, err := decodeAll(t, c, bytes.Join(test.in, nil), piece)
			if err != nil {
				t.Errorf("%s, pieces of %d: %v", name, piece, err)
			}
			if string(got) != test.want {
				t.Errorf("%s, pieces of %d: got %d bytes, want %d: %.40q", name, piece, len(got), len(test.want), got)
			}
		}
	}
}

// TestRefusals is the table of websocket 8, and what goes out with each.
func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		in   []byte
		code uint16
		text string
	}{
		"no mask":                 {frame{first: 0x82, payload: []byte("a")}.bytes(), 1002, "mask bit missing"},
		"RSV2":                    {masked(0xa2, "a"), 1002, "RSV2 and RSV3 must be clear"},
		"RSV3":                    {masked(0x92, "a"), 1002, "RSV2 and RSV3 must be clear"},
		"compressed continuation": {append(masked(0x02, "a"), masked(0xc0, "a")...), 1002, "invalid continuation frame"},
		"no start":                {masked(0x80, "a"), 1002, "invalid continuation frame"},
		"start in between": {append(masked(0x02, "a"), masked(0x82, "a")...), 1002,
			"new message started before final frame for previous message was received"},
		"opcode 3":         {masked(0x83, ""), 1002, "unknown opcode 3"},
		"opcode 11":        {masked(0x8b, ""), 1002, "unknown opcode 11"},
		"top bit":          {[]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1002, "invalid 64-bit payload length"},
		"long control":     {masked(0x89, strings.Repeat("a", 126)), 1002, "control frame length bigger than maximum allowed of 125 bytes"},
		"cut control":      {masked(0x09, "a"), 1002, "control frame does not have final bit set"},
		"deflated control": {masked(0xc9, "a"), 1002, "control frame must not be compressed"},
		"close 1":          {masked(0x88, "a"), 1002, "close frame payload cannot be 1 byte"},
		"close 1005":       {masked(0x88, "\x03\xed"), 1002, "invalid close status code 1005"},
		"close 999":        {masked(0x88, "\x03\xe7"), 1002, "invalid close status code 999"},
		"close 5000":       {masked(0x88, "\x13\x88"), 1002, "invalid close status code 5000"},
		"close 2999":       {masked(0x88, "\x0b\xb7"), 1002, "invalid close status code 2999"},
		"close UTF-8":      {masked(0x88, "\x03\xe8\xff"), 1007, "invalid utf8 body in close frame"},
		"corrupt":          {masked(0xc2, "\xff\xff\xff\xff"), 1007, "invalid compressed data"},
	}
	for name, test := range tests {
		for _, piece := range sizesOfPieces {
			c := NewCodec(Options{Compress: true})
			_, _, err := decodeAll(t, c, append(masked(0x82, "before"), test.in...), piece)
			var e *Error
			if !errors.As(err, &e) || e.Code != test.code || e.Text != test.text {
				t.Errorf("%s, pieces of %d: got %v", name, piece, err)
				continue
			}
			if _, _, _, again := c.Decode(nil, masked(0x82, "more")); again != err {
				t.Errorf("%s: goes on after its end: %v", name, again)
			}
			got := readFrames(t, c.Farewell(nil, errors.New("something else")), false)
			want := string(binary.BigEndian.AppendUint16(nil, test.code)) + test.text
			if len(got) != 1 || got[0].first != 0x88 || string(got[0].payload) != want {
				t.Errorf("%s: said %q", name, got)
			}
		}
	}
	c := NewCodec(Options{})
	if _, _, err := decodeAll(t, c, masked(0xc2, "aaa"), 0); err != errNotNegotiated {
		t.Errorf("compressed, not agreed: %v", err)
	}
}

// TestMasking: whatever was agreed, the mask bit of a frame counts; the side that
// dialed asks for none.
func TestMasking(t *testing.T) {
	in := append(masked(0x82, "abcdefghi"), frame{first: 0x82, payload: []byte("jkl")}.bytes()...)
	for _, o := range []Options{{Unmasked: true}, {Client: true}, {Client: true, Unmasked: true}} {
		got, _, err := decodeAll(t, NewCodec(o), in, 5)
		if err != nil || string(got) != "abcdefghijkl" {
			t.Errorf("%+v: %q, %v", o, got, err)
		}
		out, _ := NewCodec(o).Encode(nil, []byte("abc"))
		f := readFrames(t, out, o.Client && !o.Unmasked)
		if len(f) != 1 || string(f[0].payload) != "abc" {
			t.Errorf("%+v: sent %q", o, f)
		}
	}
}

func TestPing(t *testing.T) {
	c := NewCodec(Options{})
	for _, n := range []int{0, 5, 125} {
		body := strings.Repeat("p", n)
		_, reply, err := decodeAll(t, c, masked(0x89, body), 3)
		if err != nil || !reply {
			t.Fatalf("ping of %d bytes: %v, %v", n, reply, err)
		}
		out, _ := c.Encode(nil, []byte("MSG"))
		f := readFrames(t, out, false)
		if len(f) != 2 || f[0].first != 0x8a || string(f[0].payload) != body || f[1].first != 0x82 {
			t.Fatalf("ping of %d bytes: answered %q", n, f)
		}
	}
	// A peer that pings and does not read is not remembered for ever.
	var last []byte
	for i := range 10_000 {
		last = []byte{byte(i >> 8), byte(i)}
		decodeAll(t, c, masked(0x89, string(last)), 0)
	}
	out, _ := c.Encode(nil, nil)
	f := readFrames(t, out, false)
	if len(out) > maxReplies || len(f) == 0 || !bytes.Equal(f[len(f)-1].payload, last) {
		t.Errorf("%d bytes of pongs, the last %q", len(out), f[len(f)-1].payload)
	}
	if out, _ := c.Encode(nil, nil); len(out) != 0 {
		t.Errorf("answered twice: %q", out)
	}
}

func TestCloseIsAnswered(t *testing.T) {
	for _, body := range []string{"", "\x03\xe8", "\x0b\xb8bye", "\x03\xf6"} {
		c := NewCodec(Options{})
		_, _, err := decodeAll(t, c, append(masked(0x88, body), masked(0x82, "late")...), 1)
		var gone *Closed
		if !errors.As(err, &gone) {
			t.Fatalf("close %q: %v", body, err)
		}
		f := readFrames(t, c.Farewell(nil, err), false)
		if len(f) != 1 || f[0].first != 0x88 || string(f[0].payload) != body {
			t.Errorf("close %q: answered %q", body, f)
		}
		if b := c.Farewell(nil, err); len(b) != 0 {
			t.Errorf("close %q: answered twice", body)
		}
	}
}

func TestFarewell(t *testing.T) {
	cause := errors.New("x")
	for _, n := range []int{0, 123, 124, 200} {
		text := strings.Repeat("é", n/2) + strings.Repeat("a", n%2)
		c := NewCodec(Options{Client: true, Code: func(err error) (uint16, string) {
			if err != cause {
				t.Errorf("asked for %v", err)
			}
			return 1008, text
		}})
		f := readFrames(t, c.Farewell(nil, cause), true)
		gone, bad := readClose(f[0].payload)
		if bad != nil || gone.Code != 1008 {
			t.Fatalf("text of %d bytes: %v, %v", n, gone, bad)
		}
		switch {
		case n <= 123 && gone.Text != text:
			t.Errorf("text of %d bytes became %q", n, gone.Text)
		case n > 123 && (!strings.HasSuffix(gone.Text, "...") || len(gone.Text) > 123):
			t.Errorf("text of %d bytes became %q", n, gone.Text)
		}
	}
}

func TestEncodeSizes(t *testing.T) {
	for _, o := range []Options{{}, {Compress: true}, {Client: true}, {Client: true, Compress: true}} {
		for _, n := range []int{0, 1, 64, 65, 125, 126, 1000, 65535, 65536, 65537, 300_000} {
			for name, plain := range map[string][]byte{
				"text": bytes.Repeat([]byte("MSG foo.bar 1 5\r\nhello\r\n"), n/24+1)[:n], "noise": noise(n),
			} {
				out, err := NewCodec(o).Encode(nil, plain)
				if err != nil {
					t.Fatal(err)
				}
				f := readFrames(t, out, o.Client)
				for _, x := range f {
					if len(x.payload) > MaxFrame {
						t.Errorf("%+v: %d bytes of %s: frame of %d", o, n, name, len(x.payload))
					}
					if deflated := x.first == 0xc2; deflated && (n <= 64 || !o.Compress || name == "noise") {
						t.Errorf("%+v: %d bytes of %s went compressed", o, n, name)
					} else if o.Compress && name == "text" && n > 64 && !deflated && len(x.payload) > 64 {
						t.Errorf("%+v: %d bytes of %s went plain", o, n, name)
					}
				}
				if got := inflated(t, f); !bytes.Equal(got, plain) {
					t.Errorf("%+v: %d bytes of %s became %d", o, n, name, len(got))
				}
			}
		}
	}
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestRoundTrip lets the two sides talk in pieces of any size.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unmasked, compress := rapid.Bool().Draw(t, "unmasked"), rapid.Bool().Draw(t, "compress")
		server := NewCodec(Options{Unmasked: unmasked, Compress: compress})
		client := NewCodec(Options{Client: true, Unmasked: unmasked, Compress: compress})
		var want, sent []byte
		for range rapid.IntRange(1, 10).Draw(t, "batches") {
			p := rapid.SliceOfN(rapid.ByteRange('a', 'd'), 0, 2000).Draw(t, "batch")
			want = append(want, p...)
			sent, _ = client.Encode(sent, p)
		}
		tb := testing.TB(failer{t: t})
		got, _, err := decodeAll(tb, server, sent, rapid.IntRange(0, 50).Draw(t, "piece"))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes became %d: %v", len(want), len(got), err)
		}
		back, _ := server.Encode(nil, want)
		got, _, err = decodeAll(tb, client, back, rapid.IntRange(0, 50).Draw(t, "piece back"))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("back: %d bytes became %d: %v", len(want), len(got), err)
		}
	})
}

// failer lets helpers that want a testing.TB fail a rapid check.
type failer struct {
	testing.TB
	t *rapid.T
}

func (f failer) Helper()                      {}
func (f failer) Fatal(args ...any)            { f.t.Fatal(args...) }
func (f failer) Fatalf(s string, args ...any) { f.t.Fatalf(s, args...) }

func TestXor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.Uint32().Draw(t, "key")
		p := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "p")
		cut := rapid.IntRange(0, len(p)).Draw(t, "cut")
		got := make([]byte, len(p))
		xor(got[cut:], p[cut:], xor(got[:cut], p[:cut], key))
		for i := range p {
			if want := p[i] ^ byte(key>>(8*(i%4))); got[i] != want {
				t.Fatalf("byte %d of %d: %#x, want %#x", i, len(p), got[i], want)
			}
		}
	})
}
