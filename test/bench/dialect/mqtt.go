package dialect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
)

// MQTT is version 3.1.1 with QoS 0. The zero value is ready; all connections of one run share it.
type MQTT struct{ clients atomic.Uint64 }

// Types of packets, in the high half of their first byte (MQTT 3.1.1, 2.2.1).
const (
	mqttConnect     = 1 << 4
	mqttConnack     = 2 << 4
	mqttPublish     = 3 << 4
	mqttSubscribe   = 8<<4 | 2
	mqttSuback      = 9 << 4
	mqttPingreq     = 12 << 4
	mqttPingresp    = 13 << 4
	mqttMaxRemain   = 1<<28 - 1
	mqttRefused     = 0x80
	mqttCleanStart  = 2
	mqttHeaderMost  = 5
	mqttConnackSize = 4
)

// Greet does CONNECT and CONNACK, without a keep-alive.
func (d *MQTT) Greet(rw io.ReadWriter, _ Login) error {
	id := fmt.Sprintf("bench-%d", d.clients.Add(1))
	body := mqttString(nil, "MQTT")
	body = append(body, 4, mqttCleanStart, 0, 0)
	body = mqttString(body, id)
	packet := append(mqttHeader(nil, mqttConnect, len(body)), body...)
	if _, err := rw.Write(packet); err != nil {
		return err
	}
	var ack [mqttConnackSize]byte
	if _, err := io.ReadFull(rw, ack[:]); err != nil {
		return fmt.Errorf("waiting for CONNACK: %w", err)
	}
	if ack[0] != mqttConnack || ack[3] != 0 {
		return fmt.Errorf("the broker refused the connection: % x", ack)
	}
	return nil
}

// Publish implements Dialect.
func (*MQTT) Publish(b []byte, m *Message) []byte {
	b = mqttHeader(b, mqttPublish, 2+len(m.Subject)+len(m.Payload))
	at := len(b) + 2
	b = mqttString(b, string(m.Subject))
	for i := at; i < len(b); i++ {
		if b[i] == '.' {
			b[i] = '/'
		}
	}
	return append(b, m.Payload...)
}

// Trailer implements Dialect.
func (*MQTT) Trailer() int { return 0 }

// Subscribe implements Dialect.
func (*MQTT) Subscribe(b []byte, subject, _ string, sid int) []byte {
	filter := strings.NewReplacer(".", "/", "*", "+", ">", "#").Replace(subject)
	b = mqttHeader(b, mqttSubscribe, 2+2+len(filter)+1)
	b = binary.BigEndian.AppendUint16(b, uint16(sid%0xFFFF+1))
	return append(mqttString(b, filter), 0)
}

// Ping implements Dialect.
func (*MQTT) Ping(b []byte) []byte { return append(b, mqttPingreq, 0) }

// Reader implements Dialect.
func (*MQTT) Reader(to Handler) Reader {
	r := &mqttReader{to: to}
	r.cutter.one = r.packet
	return r
}

type mqttReader struct {
	cutter
	to      Handler
	msg     Message
	subject []byte
}

func (r *mqttReader) packet(b []byte) (int, error) {
	if len(b) < 2 {
		r.need = 2
		return 0, nil
	}
	remain, n := binary.Uvarint(b[1:min(len(b), mqttHeaderMost)])
	if n == 0 && len(b) < mqttHeaderMost {
		r.need = len(b) + 1
		return 0, nil
	}
	if n <= 0 || remain > mqttMaxRemain {
		return 0, fmt.Errorf("the broker sent a packet without a length: % x", b[:min(len(b), mqttHeaderMost)])
	}
	end := 1 + n + int(remain)
	if len(b) < end {
		r.need = end
		return 0, nil
	}
	return end, r.take(b[0], b[1+n:end])
}

func (r *mqttReader) take(kind byte, body []byte) error {
	switch kind &^ 0x0F {
	case mqttPublish:
		if kind&0x06 != 0 {
			return errors.New("the broker delivered with a QoS that was not asked for")
		}
		if len(body) < 2 || len(body) < 2+int(binary.BigEndian.Uint16(body)) {
			return errors.New("the broker sent a PUBLISH that is too short for its topic")
		}
		n := 2 + int(binary.BigEndian.Uint16(body))
		r.subject = translated(r.subject, body[2:n], '/', '.')
		r.msg = Message{Subject: r.subject, SID: 1, Payload: body[n:]}
		return r.to.Message(&r.msg)
	case mqttPingresp:
		r.to.Pong()
	case mqttSuback:
		if len(body) < 3 || bytes.IndexByte(body[2:], mqttRefused) >= 0 {
			return fmt.Errorf("the broker refused a subscription: % x", body)
		}
	default:
		return fmt.Errorf("the broker sent a packet of type %d, which a subscriber does not expect", kind>>4)
	}
	return nil
}

// mqttHeader appends the fixed header of a packet with n bytes behind it.
func mqttHeader(b []byte, kind byte, n int) []byte {
	must(n <= mqttMaxRemain, "a packet of %d bytes", n)
	return binary.AppendUvarint(append(b, kind), uint64(n))
}

func mqttString(b []byte, s string) []byte {
	must(len(s) < 1<<16, "a string of %d bytes", len(s))
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
