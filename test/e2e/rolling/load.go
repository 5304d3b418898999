package rolling

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// client is what an application of either kind does.
type client interface {
	Publish(subject string, data []byte) error
	Request(subject string, data []byte, timeout time.Duration) (*nats.Msg, error)
	Subscribe(subject, group string, handle nats.MsgHandler) error
	Moves() int
	Close()
}

// plain is the official client as it is.
type plain struct {
	*nats.Conn
	moves atomic.Int64
}

func (p *plain) Subscribe(subject, group string, handle nats.MsgHandler) (err error) {
	if group == "" {
		_, err = p.Conn.Subscribe(subject, handle)
	} else {
		_, err = p.QueueSubscribe(subject, group, handle)
	}
	if err == nil {
		err = p.Flush()
	}
	return err
}

func (p *plain) Moves() int { return int(p.moves.Load()) }

// book is what subscribers, each of which should get everything, or a group have got of numbered messages.
type book struct {
	who        string
	mu         sync.Mutex
	seen       map[uint64]int // publisher and number -> times
	last       map[uint32]uint32
	received   int
	duplicates int
	misordered int
}

func newBook(who string) *book {
	return &book{who: who, seen: make(map[uint64]int), last: make(map[uint32]uint32)}
}

const messageSize = 64

func message(publisher, number uint32) []byte {
	b := make([]byte, messageSize)
	binary.BigEndian.PutUint32(b, publisher)
	binary.BigEndian.PutUint32(b[4:], number)
	return b
}

func (b *book) note(m *nats.Msg) {
	if len(m.Data) < 8 {
		return
	}
	publisher, number := binary.BigEndian.Uint32(m.Data), binary.BigEndian.Uint32(m.Data[4:])
	b.mu.Lock()
	defer b.mu.Unlock()
	key := uint64(publisher)<<32 | uint64(number)
	if b.seen[key]++; b.seen[key] > 1 {
		b.duplicates++
		return
	}
	b.received++
	if number < b.last[publisher] {
		b.misordered++
	}
	b.last[publisher] = max(b.last[publisher], number)
}

// missing counts messages up to the given numbers that did not come, and names the first.
func (b *book) missing(sent []uint32) (n int, first string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, count := range sent {
		for k := uint32(1); k <= count; k++ {
			if b.seen[uint64(p)<<32|uint64(k)] == 0 {
				if n++; first == "" {
					first = fmt.Sprintf("%s: message %d of %d of publisher %d", b.who, k, count, p)
				}
			}
		}
	}
	return n, first
}

func (b *book) has(publisher, number uint32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen[uint64(publisher)<<32|uint64(number)] > 0
}

// asked is what came of requests.
type asked struct {
	mu           sync.Mutex
	sent         int
	noResponders int
	timeouts     int
	others       int
	slowest      time.Duration
	firstFailure string
}

func (a *asked) note(from, subject string, began time.Time, err error) {
	took := time.Since(began)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent++
	switch {
	case err == nil:
		a.slowest = max(a.slowest, took)
		return
	case errors.Is(err, nats.ErrNoResponders):
		a.noResponders++
	case errors.Is(err, nats.ErrTimeout):
		a.timeouts++
	default:
		a.others++
	}
	if a.firstFailure == "" {
		a.firstFailure = fmt.Sprintf("%s asked %s at %s, %v later: %v", from, subject, began.Format("15:04:05.000"), took.Round(time.Millisecond), err)
	}
}

// watch records whether a client was told before its connection ended.
type watch struct {
	mu      sync.Mutex
	told    map[*nats.Conn]bool
	cut     int // ended without a word
	ended   int // ended by the server at all
	firstly string
}

func newWatch() *watch { return &watch{told: make(map[*nats.Conn]bool)} }

func (w *watch) tell(nc *nats.Conn) {
	w.mu.Lock()
	w.told[nc] = true
	w.mu.Unlock()
}

func (w *watch) lost(nc *nats.Conn, name string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && nc.IsClosed() {
		return // it has left by itself
	}
	w.ended++
	if !w.told[nc] {
		w.cut++
		if w.firstly == "" {
			w.firstly = fmt.Sprintf("%s was cut off at %s: %v", name, time.Now().Format("15:04:05.000"), err)
		}
	}
	delete(w.told, nc) // its next server has told nothing yet
}
