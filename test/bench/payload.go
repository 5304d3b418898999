//go:build linux

package main

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"

	"github.com/banyanmq/banyan/test/bench/dialect"
)

// A payload begins with a stamp and goes on with a body that follows from the flow and the slot of the message:
//
//	0  run   uint16  which session sent it
//	2  flow  uint16  which publisher; probeFlow for a probe
//	4  check uint32  of the other three
//	8  seq   uint64  counted from 0 in each flow
const (
	stampLen  = 16
	probeFlow = 0xFFFF
)

func putStamp(b []byte, run, flow uint16, seq uint64) {
	_ = b[stampLen-1]
	binary.LittleEndian.PutUint16(b[0:], run)
	binary.LittleEndian.PutUint16(b[2:], flow)
	binary.LittleEndian.PutUint32(b[4:], stampCheck(run, flow, seq))
	binary.LittleEndian.PutUint64(b[8:], seq)
}

// readStamp returns what a stamp says; false when it is damaged.
func readStamp(b []byte) (run, flow uint16, seq uint64, ok bool) {
	if len(b) < stampLen {
		return 0, 0, 0, false
	}
	run = binary.LittleEndian.Uint16(b[0:])
	flow = binary.LittleEndian.Uint16(b[2:])
	seq = binary.LittleEndian.Uint64(b[8:])
	return run, flow, seq, binary.LittleEndian.Uint32(b[4:]) == stampCheck(run, flow, seq)
}

func stampCheck(run, flow uint16, seq uint64) uint32 {
	x := (seq ^ uint64(run)<<48 ^ uint64(flow)<<32) * 0x9E3779B97F4A7C15
	return uint32(x >> 32)
}

// bodies is a stretch of random bytes; every body is a piece of it.
type bodies []byte

func newBodies(size int) bodies {
	b := make(bodies, size+bodyOffsets)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

const bodyOffsets = 4093

func (b bodies) piece(flow uint16, slot, n int) []byte {
	off := (slot*61 + int(flow)*1031) % bodyOffsets
	return b[off : off+n]
}

// flowSpec says what one publisher sends.
type flowSpec struct {
	size     int      // bytes of payload, at least stampLen
	header   string   // whole header block, "" for a plain PUB
	subjects []string // used in turn; all of one length
	reply    string   // prefix of the reply subject, to which replyDigits hexadecimal digits of seq are added; "" for none
	block    int      // bytes of one write, at least one message's

	speak dialect.Dialect // how it is sent; nil: NATS
}

const replyDigits = 12

// flow is what one publisher sends: ready-made messages in slots of equal length, of which only the stamp (and the end of
// the reply subject) changes when they are used again.
type flow struct {
	flowSpec
	run, id uint16
	body    bodies

	ring     []byte // slots * slotLen bytes
	slots    int
	slotLen  int
	stampAt  int // where in a slot the payload begins
	replyAt  int // where in a slot the digits of the reply begin, -1 for none
	perWrite int // messages in one block
}

func newFlow(run, id uint16, spec flowSpec, body bodies) *flow {
	f := &flow{flowSpec: spec, run: run, id: id, body: body, replyAt: -1}
	if f.speak == nil {
		f.speak = dialect.NATS{}
	}
	first := f.render(0, nil)
	f.slotLen = len(first)
	f.perWrite = max(spec.block/f.slotLen, 1)
	n := len(spec.subjects)
	f.slots = (f.perWrite*2 + n - 1) / n * n
	f.ring = make([]byte, 0, f.slots*f.slotLen)
	for i := range f.slots {
		f.ring = f.render(i, f.ring)
		if len(f.ring) != (i+1)*f.slotLen {
			panic("bench: subjects of one flow differ in length")
		}
	}
	f.stampAt = f.slotLen - f.speak.Trailer() - spec.size
	if spec.reply != "" {
		f.replyAt = len("PUB ") + len(spec.subjects[0]) + 1 + len(spec.reply)
		if spec.header != "" {
			f.replyAt++
		}
	}
	return f
}

// render appends slot i with a stamp of zeros.
func (f *flow) render(i int, b []byte) []byte {
	m := dialect.Message{Subject: []byte(f.subject(uint64(i))), Payload: make([]byte, stampLen, f.size)}
	m.Payload = append(m.Payload, f.body.piece(f.id, i, f.size-stampLen)...)
	if f.reply != "" {
		m.Reply = []byte(f.reply + strings.Repeat("0", replyDigits))
	}
	if f.header != "" {
		m.Header = []byte(f.header)
	}
	return f.speak.Publish(b, &m)
}

func (f *flow) subject(seq uint64) string {
	if len(f.subjects) == 1 {
		return f.subjects[0]
	}
	return f.subjects[seq%uint64(len(f.subjects))]
}

// messages returns at most n messages from seq on as one stretch of bytes, good until the next call, and how many they are.
func (f *flow) messages(seq uint64, n int) ([]byte, int) {
	slot := int(seq % uint64(f.slots))
	n = min(n, f.slots-slot)
	out := f.ring[slot*f.slotLen : (slot+n)*f.slotLen]
	for at := f.stampAt; at < len(out); at += f.slotLen {
		putStamp(out[at:], f.run, f.id, seq)
		if f.replyAt >= 0 {
			putHex(out[at-f.stampAt+f.replyAt:], seq)
		}
		seq++
	}
	return out, n
}

// probe returns a message of this flow's publisher that is not counted: it asks whether the way to all subscribers is open.
func (f *flow) probe(subject string) []byte {
	var stamp [stampLen]byte
	putStamp(stamp[:], f.run, probeFlow, uint64(f.id))
	return f.speak.Publish(nil, &dialect.Message{Subject: []byte(subject), Payload: stamp[:]})
}

// bodyOf is what must follow the stamp of message seq.
func (f *flow) bodyOf(seq uint64) []byte {
	return f.body.piece(f.id, int(seq%uint64(f.slots)), f.size-stampLen)
}

const hexDigits = "0123456789abcdef"

// putHex writes the low replyDigits digits of v.
func putHex(b []byte, v uint64) {
	for i := replyDigits - 1; i >= 0; i-- {
		b[i] = hexDigits[v&15]
		v >>= 4
	}
}

// readHex reads replyDigits digits as putHex writes them.
func readHex(b []byte) (uint64, bool) {
	if len(b) != replyDigits {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
