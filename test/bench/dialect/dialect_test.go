package dialect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// recorder writes down what it is told.
type recorder struct{ bytes.Buffer }

func (r *recorder) Message(m *Message) error {
	fmt.Fprintf(r, "%q %d %q %q %q\n", m.Subject, m.SID, m.Reply, m.Header, m.Payload)
	return nil
}
func (r *recorder) Ping() { r.WriteString("ping\n") }
func (r *recorder) Pong() { r.WriteString("pong\n") }

// tongue is a dialect with what a broker makes of a message in it.
type tongue struct {
	Dialect
	deliver func(subject, payload string) []byte
	pong    []byte
	other   []byte // what else may come
	sid     int
}

func wsFrame(b []byte) []byte {
	if len(b) < 126 {
		return append([]byte{wsFinal | wsBinary, byte(len(b))}, b...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{wsFinal | wsBinary, 126}, uint16(len(b))), b...)
}

// amqpDelivery is a message in body frames of at most split bytes.
func amqpDelivery(subject, payload string, split int) []byte {
	b := amqpFrame(nil, 1, amqpDeliver, func(b []byte) []byte {
		b = amqpShort(b, "7")
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 1, 0)
		return amqpShort(amqpShort(b, amqpExchange), subject)
	})
	b = append(b, amqpHeader, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(len(payload)))
	b = append(b, 0, 0, amqpMark)
	for len(payload) > 0 {
		n := min(split, len(payload))
		b = binary.BigEndian.AppendUint32(append(b, amqpBody, 0, 1), uint32(n))
		b = append(append(b, payload[:n]...), amqpMark)
		payload = payload[n:]
	}
	return b
}

func tongues() map[string]tongue {
	qosOk := amqpFrame(nil, 1, amqpQosOk, func(b []byte) []byte { return b })
	natsMsg := func(subject, payload string) []byte {
		return fmt.Appendf(nil, "MSG %s 7 %d\r\n%s\r\n", subject, len(payload), payload)
	}
	amqp := func(split int) tongue {
		return tongue{Dialect: &AMQP{}, sid: 7, pong: qosOk, other: []byte{amqpHeartbeat, 0, 0, 0, 0, 0, 0, amqpMark},
			deliver: func(s, p string) []byte { return amqpDelivery(s, p, split) }}
	}
	return map[string]tongue{
		"NATS": {Dialect: NATS{}, sid: 7, deliver: natsMsg, pong: []byte("PONG\r\n"), other: []byte("+OK\r\nINFO {}\r\n")},
		"WebSocket": {Dialect: framed{}, sid: 7, pong: wsFrame([]byte("PONG\r\n")), other: wsFrame([]byte("+OK\r\n")),
			deliver: func(s, p string) []byte { return wsFrame(natsMsg(s, p)) }},
		"MQTT": {Dialect: &MQTT{}, sid: 1, pong: []byte{mqttPingresp, 0}, other: []byte{mqttSuback, 3, 0, 1, 0},
			deliver: func(s, p string) []byte {
				return (&MQTT{}).Publish(nil, &Message{Subject: []byte(s), Payload: []byte(p)})
			}},
		"RESP": {Dialect: RESP{}, sid: 1, pong: []byte("*2\r\n$4\r\npong\r\n$0\r\n\r\n"), other: []byte(":1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"),
			deliver: func(s, p string) []byte { return respCommand(nil, []byte("message"), []byte(s), []byte(p)) }},
		"AMQP, whole": amqp(1 << 20), "AMQP, in parts": amqp(50),
	}
}

// framed reads NATS in frames of a WebSocket.
type framed struct{ NATS }

func (f framed) Reader(to Handler) Reader { return (&WebSocket{}).Reader(f.NATS.Reader(to)) }

func TestDeliveriesCutAnywhere(t *testing.T) {
	for name, g := range tongues() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var stream []byte
				want := &recorder{}
				for range 20 {
					subject := rapid.StringMatching(`[a-z]{1,5}(\.[a-z0-9]{1,6}){0,3}`).Draw(t, "subject")
					payload := rapid.StringN(0, 300, 600).Draw(t, "payload")
					stream = append(append(stream, g.other...), g.deliver(subject, payload)...)
					_ = want.Message(&Message{Subject: []byte(subject), SID: g.sid, Payload: []byte(payload)})
				}
				stream = append(stream, g.pong...)
				want.Pong()
				got := &recorder{}
				r := g.Reader(got)
				for len(stream) > 0 {
					n := rapid.IntRange(1, min(len(stream), 400)).Draw(t, "cut")
					if err := r.Feed(bytes.Clone(stream[:n])); err != nil {
						t.Fatal(err)
					}
					stream = stream[n:]
				}
				if got.String() != want.String() {
					t.Fatalf("got\n%swant\n%s", got, want)
				}
			})
		})
	}
}

// Messages of one flow are rendered once and stamped again and again.
func TestPublishedMessagesAreOfOneLength(t *testing.T) {
	for name, g := range tongues() {
		payload := []byte("0123456789abcdef")
		one := g.Publish(nil, &Message{Subject: []byte("a.1"), Payload: payload})
		two := g.Publish(one, &Message{Subject: []byte("b.2"), Payload: payload})
		if len(two) != 2*len(one) {
			t.Errorf("%s: two messages are %d bytes, one %d", name, len(two), len(one))
		}
		if end := len(one) - g.Trailer(); !bytes.Equal(one[end-len(payload):end], payload) {
			t.Errorf("%s: the payload is not %d bytes before the end of %q", name, g.Trailer(), one)
		}
	}
}

func TestReadersRefuseWhatNoBrokerMaySend(t *testing.T) {
	amqpBad := func(method uint32, args string) string {
		return string(amqpFrame(nil, 1, method, func(b []byte) []byte { return append(b, args...) }))
	}
	delivered := amqpDelivery("a", "abc", 10)
	for _, c := range []struct {
		d        Dialect
		in, want string
	}{
		{NATS{}, "-ERR 'Slow Consumer'\r\n", "Slow Consumer"},
		{NATS{}, "HELLO\r\n", "no operation"},
		{NATS{}, "MSG a\r\n", "malformed"},
		{NATS{}, "MSG a 1\r\n", "malformed"},
		{NATS{}, "MSG a x 3\r\nabc\r\n", "malformed"},
		{NATS{}, "MSG a 1 -3\r\nabc\r\n", "malformed"},
		{NATS{}, "MSG a 1 r s 3\r\nabc\r\n", "malformed"},
		{NATS{}, "MSG a 1 1234567890\r\n", "malformed"},
		{NATS{}, "MSG a 1 2\r\nabc\r\n", "does not end"},
		{NATS{}, "HMSG a 1 5 3\r\nabc\r\n", "malformed"},
		{NATS{}, "HMSG a 1 3\r\nabc\r\n", "malformed"},
		{NATS{}, strings.Repeat("x", maxLine+1), "more than"},
		{&MQTT{}, "\x30\xff\xff\xff\xff", "without a length"},
		{&MQTT{}, "\x32\x05\x00\x01a\x00\x01", "QoS"},
		{&MQTT{}, "\x30\x03\x00\x05a", "too short"},
		{&MQTT{}, "\x30\x01\x00", "too short"},
		{&MQTT{}, "\x90\x03\x00\x01\x80", "refused"},
		{&MQTT{}, "\x10\x00", "does not expect"},
		{RESP{}, "-ERR max number of clients reached\r\n", "max number"},
		{RESP{}, "hello\r\n", "no reply"},
		{RESP{}, "*9\r\n", "array of"},
		{RESP{}, "*3\r\n+x\r\n", "within an array"},
		{RESP{}, "*2\r\n$2\r\nabc\r\n", "does not end"},
		{RESP{}, "*2\r\n$7\r\nmessage\r\n$1\r\na\r\n", "2 parts"},
		{RESP{}, "*2\r\n$2\r\nhi\r\n$1\r\na\r\n", "does not expect"},
		{RESP{}, "\n", "the line"},
		{&AMQP{}, "\x01\x00\x01\xff\xff\xff\xff", "frame of"},
		{&AMQP{}, "\x05\x00\x01\x00\x00\x00\x00\xce", "type 5"},
		{&AMQP{}, "\x01\x00\x01\x00\x00\x00\x00\xcf", "does not end"},
		{&AMQP{}, "\x01\x00\x01\x00\x00\x00\x01x\xce", "without a number"},
		{&AMQP{}, "\x03\x00\x01\x00\x00\x00\x01x\xce", "more of a message"},
		{&AMQP{}, "\x02\x00\x01\x00\x00\x00\x01x\xce", "no delivery"},
		{&AMQP{}, amqpBad(amqpClose, "\x01\x40\x0fACCESS_REFUSED"), "ACCESS_REFUSED"},
		{&AMQP{}, amqpBad(amqpDeclare, ""), "does not expect"},
		{&AMQP{}, amqpBad(amqpDeliver, "\x017"), "too short"},
		{&AMQP{}, amqpBad(amqpDeliver, "\x017\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00"), "without routing key"},
		{&AMQP{}, amqpBad(amqpDeliver, "\x01x\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x01a"), "consumer"},
		{&AMQP{}, string(delivered[:len(delivered)-3-amqpFrameHead-1]) + amqpBad(amqpQosOk, ""), "within a message"},
		{framed{}, "\x88\x00", "closed"},
		{framed{}, "\x89\x00", "kind 9"},
		{framed{}, "\x82\x81", "begins with"},
		{framed{}, "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "frame of"},
	} {
		err := c.d.Reader(&recorder{}).Feed([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: %.60q gave %v, want %q", c.d, c.in, err, c.want)
		}
	}
}

// script plays a broker that says in and then nothing.
type script struct {
	in  *strings.Reader
	out bytes.Buffer
}

func (s *script) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error) { return s.out.Write(b) }

func TestGreetings(t *testing.T) {
	frames := func(methods ...uint32) (s string) {
		for _, m := range methods {
			s += string(amqpFrame(nil, 0, m, func(b []byte) []byte { return append(b, "args"...) }))
		}
		return s
	}
	login := func(nonce string) (string, error) { return `"sig":"` + nonce + `",`, nil }
	for _, c := range []struct {
		d       Dialect
		in      string
		as      Login
		said    string // "" when it must fail
		because string
	}{
		{NATS{}, "INFO {}\r\nPONG\r\n", nil, `CONNECT {"verbose":false`, ""},
		{NATS{}, "INFO {\"nonce\":\"xyz\"}\r\n+OK\r\nPONG\r\n", login, `CONNECT {"sig":"xyz","verbose"`, ""},
		{NATS{}, "INFO {}\r\n-ERR 'Authorization Violation'\r\n", nil, "", "Authorization"},
		{NATS{}, "HTTP/1.1 400\r\n", nil, "", "not INFO"},
		{&MQTT{}, "\x20\x02\x00\x00", nil, "bench-1", ""},
		{&MQTT{}, "\x20\x02\x00\x05", nil, "", "refused"},
		{RESP{}, "+PONG\r\n", nil, "PING", ""},
		{RESP{}, "-ERR\r\n", nil, "", "refused"},
		{&AMQP{}, frames(amqpStart, amqpTune, amqpOpenOk, amqpChanOpenOk), nil, "PLAIN", ""},
		{&AMQP{}, frames(amqpStart, amqpClose), nil, "", "refused"},
		{&AMQP{}, "HTTP/1.1 ", nil, "", "began a frame"},
	} {
		s := &script{in: strings.NewReader(c.in + "rest")}
		err := c.d.Greet(s, c.as)
		switch {
		case c.said == "" && (err == nil || !strings.Contains(err.Error(), c.because)):
			t.Errorf("%T: %q gave %v, want %q", c.d, c.in, err, c.because)
		case c.said != "" && (err != nil || !strings.Contains(s.out.String(), c.said)):
			t.Errorf("%T: %q gave %v, and it said %q", c.d, c.in, err, s.out.String())
		case c.said != "" && s.in.Len() != len("rest"):
			t.Errorf("%T read %d bytes of what comes after", c.d, len("rest")-s.in.Len())
		}
	}
}

func TestWebSocketUpgrade(t *testing.T) {
	for in, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n":                                        "400",
		"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong\r\n\r\n": "does not match",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n":              "waiting",
	} {
		if err := (&WebSocket{}).Upgrade(&script{in: strings.NewReader(in)}, "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %v", in, err)
		}
	}
	// What one end wraps, the other unwraps when it takes the mask off.
	for _, n := range []int{0, 5, 125, 126, 70_000} {
		p := bytes.Repeat([]byte("z"), n)
		f := (*WebSocket)(nil).Wrap(nil, p)
		head := map[bool]int{true: 2, false: 4}[n < 126]
		if n >= 1<<16 {
			head = 10
		}
		mask, body := f[head:head+4], f[head+4:]
		for i := range body {
			body[i] ^= mask[i%4]
		}
		if !bytes.Equal(body, p) || f[1]&wsMasked == 0 {
			t.Errorf("%d bytes do not come back", n)
		}
	}
}

// FuzzReaders feeds the same bytes in one piece and in many: both must be understood in the same way, or refused.
func FuzzReaders(f *testing.F) {
	kinds := []string{"NATS", "WebSocket", "MQTT", "RESP", "AMQP, whole"}
	all := tongues()
	for i, k := range kinds {
		f.Add(uint8(i), append(all[k].deliver("a.b", "payload"), all[k].pong...), uint8(3))
		f.Add(uint8(i), append(bytes.Clone(all[k].other), all[k].deliver("a.b", strings.Repeat("x", 300))...), uint8(50))
	}
	for _, s := range []string{"HMSG a 1 r 12 15\r\nNATS/1.0\r\n\r\nabc\r\n", "MSG a 1 999999999\r\n", "-ERR 'x'\r\n+OK\r\n"} {
		f.Add(uint8(0), []byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte, cut uint8) {
		g := all[kinds[int(kind)%len(kinds)]]
		whole, parts := &recorder{}, &recorder{}
		rw, rp := g.Reader(whole), g.Reader(parts)
		werr := rw.Feed(bytes.Clone(b))
		var perr error
		for rest := b; len(rest) > 0 && perr == nil; {
			n := min(int(cut)+1, len(rest))
			perr = rp.Feed(bytes.Clone(rest[:n]))
			rest = rest[n:]
		}
		if (werr == nil) != (perr == nil) || whole.String() != parts.String() {
			t.Fatalf("in one piece %q, %v; in pieces of %d %q, %v", whole, werr, int(cut)+1, parts, perr)
		}
	})
}
