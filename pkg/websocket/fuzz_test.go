package websocket

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzDecode: any bytes, cut anywhere, come to the same end without a panic and
// without much memory.
func FuzzDecode(f *testing.F) {
	z := string(deflated(f, []byte(strings.Repeat("PUB a 1\r\nx\r\n", 50))))
	for _, b := range [][]byte{
		masked(0x82, "PING\r\n"), masked(0x89, "hi"), masked(0x88, "\x03\xe8bye"), masked(0xc2, z),
		append(masked(0x42, z[:5]), masked(0x80, z[5:])...), append(masked(0x02, "a"), masked(0x80, "b")...),
		{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}, masked(0xc2, "\xff"), {0x82, 0xfe, 0xff, 0xff},
	} {
		f.Add(b, byte(3))
		f.Add(b, byte(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, piece byte) {
		var got [2][]byte
		var errs [2]error
		for i, p := range []int{0, 1 + int(piece)} {
			c := NewCodec(Options{Compress: true, MaxPayload: 4096})
			got[i], _, errs[i] = decodeAll(t, c, b, p)
			if len(got[i]) > len(b)+expandLeast+expandRatio*len(b)+MaxFrame {
				t.Fatalf("%d bytes became %d", len(b), len(got[i]))
			}
			if out, err := c.Encode(nil, []byte("x")); err != nil || len(out) > len(b)+maxReplies+100 {
				t.Fatalf("%d bytes to answer, %v", len(out), err)
			}
			readFrames(t, c.Farewell(nil, nil), false)
		}
		if !bytes.Equal(got[0], got[1]) {
			t.Fatalf("at once %q, in pieces %q", got[0], got[1])
		}
		if (errs[0] == nil) != (errs[1] == nil) || errs[0] != nil && errs[0].Error() != errs[1].Error() {
			t.Fatalf("at once %v, in pieces %v", errs[0], errs[1])
		}
	})
}

// FuzzRequest: what is taken for a request can be upgraded or refused, and what is
// said back can be read.
func FuzzRequest(f *testing.F) {
	f.Add(head(get, nil))
	f.Add(head("GET http://h/x?y HTTP/1.1", map[string]string{"Origin": "https://a:1", "Cookie": `a="b"; c`}))
	f.Add(head("POST * HTTP/1.1", map[string]string{"Host": "", "Sec-WebSocket-Extensions": "permessage-deflate;a=b"}))
	f.Add([]byte("\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := HeadLen(b)
		if n == 0 {
			return
		}
		r := Rules{SameOrigin: true, Compress: true, Origins: []Origin{{"http", "a", "80"}}}
		q, a, status := judge(&r, b[:n])
		if status < 0 {
			t.Fatal("an error that is no refusal")
		}
		if q != nil {
			q.Cookie("a")
			q.ForwardedFor()
		}
		if a != nil {
			if m := HeadLen(AppendAccept(nil, a, "")); m == 0 {
				t.Fatal("no answer")
			}
		}
	})
}

func FuzzResponse(f *testing.F) {
	o := Offer{Host: "h", Path: "/", key: "dGhlIHNhbXBsZSBub25jZQ=="}
	f.Add([]byte("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 101\r\nSec-WebSocket-Extensions: permessage-deflate;\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := CheckResponse(b, &o); err == nil && (a.Compress || a.Unmasked) {
			t.Fatalf("granted what was not asked for: %+v", a)
		}
	})
}
