package dialect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
)

// AMQP is version 0-9-1. Every subscription has a queue of its own, exclusive to its connection and bound to the topic
// exchange; nothing is acknowledged. The zero value is ready; all connections of one run share it.
type AMQP struct{ queues atomic.Uint64 }

// Frames: type, channel, size, that many bytes, and a mark (AMQP 0-9-1, 4.2.3).
const (
	amqpMethod    = 1
	amqpHeader    = 2
	amqpBody      = 3
	amqpHeartbeat = 8
	amqpMark      = 0xCE
	amqpFrameHead = 7
	amqpFrameMost = 131072
	amqpExchange  = "amq.topic"
)

// Methods: class and number.
const (
	amqpStart      = 10<<16 | 10
	amqpStartOk    = 10<<16 | 11
	amqpTune       = 10<<16 | 30
	amqpTuneOk     = 10<<16 | 31
	amqpOpen       = 10<<16 | 40
	amqpOpenOk     = 10<<16 | 41
	amqpClose      = 10<<16 | 50
	amqpChanOpen   = 20<<16 | 10
	amqpChanOpenOk = 20<<16 | 11
	amqpChanClose  = 20<<16 | 40
	amqpDeclare    = 50<<16 | 10
	amqpBind       = 50<<16 | 20
	amqpQos        = 60<<16 | 10
	amqpQosOk      = 60<<16 | 11
	amqpConsume    = 60<<16 | 20
	amqpPublish    = 60<<16 | 40
	amqpDeliver    = 60<<16 | 60
)

// Greet opens a connection as guest, without heartbeats, and channel 1.
func (*AMQP) Greet(rw io.ReadWriter, _ Login) error {
	if _, err := io.WriteString(rw, "AMQP\x00\x00\x09\x01"); err != nil {
		return err
	}
	if _, err := amqpExpect(rw, amqpStart); err != nil {
		return err
	}
	startOk := amqpFrame(nil, 0, amqpStartOk, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, 0) // no client properties
		b = amqpShort(b, "PLAIN")
		b = amqpLong(b, "\x00guest\x00guest")
		return amqpShort(b, "en_US")
	})
	if _, err := rw.Write(startOk); err != nil {
		return err
	}
	if _, err := amqpExpect(rw, amqpTune); err != nil {
		return err
	}
	open := amqpFrame(nil, 0, amqpTuneOk, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint16(b, 1)
		b = binary.BigEndian.AppendUint32(b, amqpFrameMost)
		return binary.BigEndian.AppendUint16(b, 0)
	})
	open = amqpFrame(open, 0, amqpOpen, func(b []byte) []byte { return append(amqpShort(b, "/"), 0, 0) })
	if _, err := rw.Write(open); err != nil {
		return err
	}
	if _, err := amqpExpect(rw, amqpOpenOk); err != nil {
		return err
	}
	if _, err := rw.Write(amqpFrame(nil, 1, amqpChanOpen, func(b []byte) []byte { return append(b, 0) })); err != nil {
		return err
	}
	_, err := amqpExpect(rw, amqpChanOpenOk)
	return err
}

// amqpExpect reads frames up to a method and returns its arguments.
func amqpExpect(r io.Reader, method uint32) ([]byte, error) {
	var head [amqpFrameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("waiting for %s: %w", amqpName(method), err)
	}
	size := binary.BigEndian.Uint32(head[3:])
	if head[0] != amqpMethod || size < 4 || size > amqpFrameMost {
		return nil, fmt.Errorf("the broker began a frame with % x while %s was awaited", head, amqpName(method))
	}
	body := make([]byte, size+1)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("waiting for %s: %w", amqpName(method), err)
	}
	if got := binary.BigEndian.Uint32(body); got != method {
		return nil, fmt.Errorf("the broker refused the connection: %s %.60q, not %s", amqpName(got), body[4:size], amqpName(method))
	}
	return body[4:size], nil
}

func amqpName(method uint32) string { return fmt.Sprintf("method %d.%d", method>>16, method&0xFFFF) }

// Publish implements Dialect: three frames, the method, the header and the payload.
func (*AMQP) Publish(b []byte, m *Message) []byte {
	must(len(m.Payload)+amqpFrameHead+1 <= amqpFrameMost, "a payload of %d bytes in one frame", len(m.Payload))
	b = amqpFrame(b, 1, amqpPublish, func(b []byte) []byte {
		b = append(b, 0, 0)
		b = amqpShort(b, amqpExchange)
		b = amqpShort(b, string(m.Subject))
		return append(b, 0)
	})
	b = append(b, amqpHeader, 0, 1)
	b = binary.BigEndian.AppendUint32(b, 14)
	b = binary.BigEndian.AppendUint16(b, 60)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(len(m.Payload)))
	b = append(b, 0, 0, amqpMark) // no properties
	b = append(b, amqpBody, 0, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.Payload)))
	b = append(b, m.Payload...)
	return append(b, amqpMark)
}

// Trailer implements Dialect.
func (*AMQP) Trailer() int { return 1 }

// Subscribe implements Dialect.
func (d *AMQP) Subscribe(b []byte, subject, _ string, sid int) []byte {
	queue := fmt.Sprintf("bench-%d", d.queues.Add(1))
	const exclusive, autoDelete, noWait = 4, 8, 16
	b = amqpFrame(b, 1, amqpDeclare, func(b []byte) []byte {
		b = append(b, 0, 0)
		b = amqpShort(b, queue)
		b = append(b, exclusive|autoDelete|noWait)
		return binary.BigEndian.AppendUint32(b, 0)
	})
	b = amqpFrame(b, 1, amqpBind, func(b []byte) []byte {
		b = append(b, 0, 0)
		b = amqpShort(b, queue)
		b = amqpShort(b, amqpExchange)
		b = amqpShort(b, subject)
		b = append(b, 1) // no wait
		return binary.BigEndian.AppendUint32(b, 0)
	})
	return amqpFrame(b, 1, amqpConsume, func(b []byte) []byte {
		const noAck, noWait = 2, 8
		b = append(b, 0, 0)
		b = amqpShort(b, queue)
		b = amqpShort(b, strconv.Itoa(sid))
		b = append(b, noAck|noWait)
		return binary.BigEndian.AppendUint32(b, 0)
	})
}

// Ping implements Dialect. There is no ping in a channel; asking for no prefetch limit changes nothing and is answered.
func (*AMQP) Ping(b []byte) []byte {
	return amqpFrame(b, 1, amqpQos, func(b []byte) []byte { return append(b, 0, 0, 0, 0, 0, 0, 0) })
}

// amqpFrame appends a frame with a method, whose arguments args appends.
func amqpFrame(b []byte, channel byte, method uint32, args func([]byte) []byte) []byte {
	b = append(b, amqpMethod, 0, channel, 0, 0, 0, 0)
	at := len(b)
	b = args(binary.BigEndian.AppendUint32(b, method))
	binary.BigEndian.PutUint32(b[at-4:], uint32(len(b)-at))
	return append(b, amqpMark)
}

func amqpShort(b []byte, s string) []byte {
	must(len(s) < 1<<8, "a short string of %d bytes", len(s))
	return append(append(b, byte(len(s))), s...)
}

func amqpLong(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// Reader implements Dialect.
func (*AMQP) Reader(to Handler) Reader {
	r := &amqpReader{to: to}
	r.cutter.one = r.frame
	return r
}

// amqpReader gathers a message from its frames: the method, the header with its size, and as much body.
type amqpReader struct {
	cutter
	to      Handler
	msg     Message
	key     []byte // routing key of the message that is being delivered; nil between messages
	sid     int
	size    uint64 // of its payload, once the header came
	sized   bool
	payload []byte // what came of it, when it takes more than a frame
}

func (r *amqpReader) frame(b []byte) (int, error) {
	if len(b) < amqpFrameHead {
		r.need = amqpFrameHead
		return 0, nil
	}
	size := binary.BigEndian.Uint32(b[3:])
	if size > amqpFrameMost {
		return 0, fmt.Errorf("the broker sent a frame of %d bytes", size)
	}
	end := amqpFrameHead + int(size) + 1
	if len(b) < end {
		r.need = end
		return 0, nil
	}
	if b[end-1] != amqpMark {
		return 0, errors.New("the broker sent a frame that does not end where its size says")
	}
	body := b[amqpFrameHead : end-1]
	switch b[0] {
	case amqpMethod:
		return end, r.method(body)
	case amqpHeader:
		return end, r.header(body)
	case amqpBody:
		return end, r.body(body)
	case amqpHeartbeat:
		return end, nil
	}
	return 0, fmt.Errorf("the broker sent a frame of type %d", b[0])
}

func (r *amqpReader) method(b []byte) error {
	if len(b) < 4 {
		return errors.New("the broker sent a method without a number")
	}
	method := binary.BigEndian.Uint32(b)
	if r.key != nil {
		return fmt.Errorf("the broker sent %s within a message", amqpName(method))
	}
	switch method {
	case amqpQosOk:
		r.to.Pong()
		return nil
	case amqpClose, amqpChanClose:
		return fmt.Errorf("the broker says %.200q", b[4:])
	case amqpDeliver:
		return r.deliver(b[4:])
	}
	return fmt.Errorf("the broker sent %s, which a subscriber does not expect", amqpName(method))
}

// deliver reads consumer tag, delivery tag, redelivered, exchange and routing key.
func (r *amqpReader) deliver(b []byte) error {
	tag, b, ok := cutShort(b)
	if !ok || len(b) < 9 {
		return errors.New("the broker sent a delivery that is too short")
	}
	_, b, ok = cutShort(b[9:])
	var key []byte
	if ok {
		key, b, ok = cutShort(b)
	}
	if !ok || len(b) != 0 || len(key) == 0 {
		return errors.New("the broker sent a delivery without routing key")
	}
	if r.sid, ok = number(tag); !ok {
		return fmt.Errorf("the broker delivered to the consumer %q", tag)
	}
	r.key, r.sized, r.payload = bytes.Clone(key), false, r.payload[:0]
	return nil
}

func cutShort(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}

func (r *amqpReader) header(b []byte) error {
	if r.key == nil || r.sized || len(b) < 14 {
		return errors.New("the broker sent a header that no delivery asked for")
	}
	r.size, r.sized = binary.BigEndian.Uint64(b[4:]), true
	if r.size == 0 {
		return r.whole(nil)
	}
	return nil
}

func (r *amqpReader) body(b []byte) error {
	if !r.sized || r.key == nil || uint64(len(r.payload)+len(b)) > r.size {
		return errors.New("the broker sent more of a message than its header says")
	}
	if len(r.payload) == 0 && uint64(len(b)) == r.size {
		return r.whole(b)
	}
	if r.payload = append(r.payload, b...); uint64(len(r.payload)) < r.size {
		return nil
	}
	return r.whole(r.payload)
}

func (r *amqpReader) whole(payload []byte) error {
	r.msg = Message{Subject: r.key, SID: r.sid, Payload: payload}
	r.key, r.sized = nil, false
	return r.to.Message(&r.msg)
}
