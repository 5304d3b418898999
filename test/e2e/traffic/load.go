package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Load says what to send and who gets it.
type Load struct {
	Subject    string // messages of publisher n go to <Subject>.<n>; "load" if empty
	Publishers []*nats.Conn
	Receivers  []Receiver
	Count      int // messages of each publisher
	Rate       int // messages a second of each publisher; 0 is as fast as the receivers take them
	Window     int // with Rate 0: messages of one publisher that may be under way; 2000 if 0
	Size       int // bytes of a message, at least 16; 64 if 0
	Patience   time.Duration
}

// Receiver gets every message of every publisher once. With a queue group its connections share them.
type Receiver struct {
	Name  string
	Conns []*nats.Conn
	Queue string
	// From limits it to these publishers; nil is all.
	From []int
}

// What takes the place of the number in messages that are not counted.
const (
	probe   = ^uint32(0)
	endMark = ^uint32(0) - 1
)

// Run is a load under way.
type Run struct {
	load  Load
	sent  [][]int64 // by publisher: when each message was sent, in nanoseconds since start; written by its goroutine only
	start time.Time
	books []*book
	subs  []*nats.Subscription
	done  chan struct{}
	err   error

	published atomic.Int64
}

// book is what one receiver has seen.
type book struct {
	name    string
	ordered bool
	from    map[int]bool

	mu    sync.Mutex
	lines []line // by publisher; guarded by mu
}

type line struct {
	seen       []uint64 // a bit for each message
	received   int
	shares     []int // of received, by connection
	duplicates int
	misordered int
	firstOdd   string // the first duplicate or message out of order, in words
	last       int64  // highest number so far, -1 before the first
	probed     bool
	ended      bool
	slowest    time.Duration
	high       atomic.Int64 // last, for the window
}

// Start subscribes, waits until every path works, and begins to send. When a path does not work within Patience (a minute
// if 0) it fails.
func Start(ctx context.Context, l Load) (*Run, error) {
	if l.Subject == "" {
		l.Subject = "load"
	}
	if l.Window == 0 {
		l.Window = 2000
	}
	if l.Size == 0 {
		l.Size = 64
	}
	if l.Patience == 0 {
		l.Patience = time.Minute
	}
	l.Size = max(l.Size, 16)
	r := &Run{load: l, done: make(chan struct{}), start: time.Now()}
	for range l.Publishers {
		r.sent = append(r.sent, make([]int64, l.Count))
	}
	for i := range l.Receivers {
		if err := r.subscribe(&l.Receivers[i]); err != nil {
			r.unsubscribe()
			return nil, err
		}
	}
	if err := r.signalAll(ctx, probe, l.Patience, func(ln *line) bool { return ln.probed }); err != nil {
		r.unsubscribe()
		return nil, fmt.Errorf("before the first message: %w", err)
	}
	go r.run(ctx)
	return r, nil
}

func (r *Run) subscribe(rc *Receiver) error {
	b := &book{name: rc.Name, ordered: len(rc.Conns) == 1, lines: make([]line, len(r.load.Publishers))}
	for i := range b.lines {
		b.lines[i].seen = make([]uint64, (r.load.Count+63)/64)
		b.lines[i].shares = make([]int, len(rc.Conns))
		b.lines[i].last = -1
		b.lines[i].high.Store(-1)
	}
	if rc.From != nil {
		b.from = make(map[int]bool)
		for _, p := range rc.From {
			b.from[p] = true
		}
	}
	r.books = append(r.books, b)
	for i, nc := range rc.Conns {
		subject := r.load.Subject + ".*"
		var s *nats.Subscription
		var err error
		if rc.Queue != "" {
			s, err = nc.QueueSubscribe(subject, rc.Queue, func(m *nats.Msg) { r.receive(b, i, m) })
		} else {
			s, err = nc.Subscribe(subject, func(m *nats.Msg) { r.receive(b, i, m) })
		}
		if err != nil {
			return err
		}
		if err := s.SetPendingLimits(-1, -1); err != nil {
			return err
		}
		r.subs = append(r.subs, s)
		if err := nc.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) unsubscribe() {
	for _, s := range r.subs {
		_ = s.Unsubscribe()
	}
}

func (r *Run) receive(b *book, conn int, m *nats.Msg) {
	if len(m.Data) < 16 {
		return
	}
	p, n := int(binary.BigEndian.Uint32(m.Data)), binary.BigEndian.Uint32(m.Data[4:])
	if p >= len(b.lines) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	ln := &b.lines[p]
	switch {
	case n == probe:
		ln.probed = true
		return
	case n == endMark:
		ln.ended = true
		return
	case int(n) >= r.load.Count:
		return
	}
	if bit := uint64(1) << (n % 64); ln.seen[n/64]&bit != 0 {
		ln.duplicates++
		ln.odd("message %d of publisher %d came twice, the second time %v after the start", n, p, r.Elapsed())
	} else {
		ln.seen[n/64] |= bit
		ln.received++
		ln.shares[conn]++
		if b.ordered && int64(n) < ln.last {
			ln.misordered++
			ln.odd("message %d of publisher %d came after %d, %v after the start", n, p, ln.last, r.Elapsed())
		}
	}
	if int64(n) > ln.last {
		ln.last = int64(n)
		ln.high.Store(ln.last)
	}
	if late := time.Since(r.start) - time.Duration(binary.BigEndian.Uint64(m.Data[8:])); late > ln.slowest {
		ln.slowest = late
	}
}

func (l *line) odd(format string, args ...any) {
	if l.firstOdd == "" {
		l.firstOdd = fmt.Sprintf(format, args...)
	}
}

func (r *Run) subject(p int) string { return r.load.Subject + "." + strconv.Itoa(p) }

func message(buf []byte, p int, n uint32, at time.Duration) {
	binary.BigEndian.PutUint32(buf, uint32(p))
	binary.BigEndian.PutUint32(buf[4:], n)
	binary.BigEndian.PutUint64(buf[8:], uint64(at))
}

// signalAll sends a mark from every publisher until every receiver has it.
func (r *Run) signalAll(ctx context.Context, mark uint32, patience time.Duration, has func(*line) bool) error {
	end := time.Now().Add(patience)
	buf := make([]byte, r.load.Size)
	for {
		var missing []string
		ask := make([]bool, len(r.load.Publishers))
		for _, b := range r.books {
			b.mu.Lock()
			for p := range b.lines {
				if (b.from == nil || b.from[p]) && !has(&b.lines[p]) {
					missing, ask[p] = append(missing, fmt.Sprintf("publisher %d to %s", p, b.name)), true
				}
			}
			b.mu.Unlock()
		}
		if missing == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("nothing comes through from %q within %v", missing, patience)
		}
		for p, nc := range r.load.Publishers {
			if !ask[p] {
				continue
			}
			message(buf, p, mark, 0)
			if err := nc.Publish(r.subject(p), buf); err != nil {
				return err
			}
			_ = nc.FlushTimeout(5 * time.Second) // a connection that is being made again has its own time
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *Run) run(ctx context.Context) {
	defer close(r.done)
	defer r.unsubscribe()
	errs := make([]error, len(r.load.Publishers))
	var wg sync.WaitGroup
	for p := range r.load.Publishers {
		wg.Go(func() { errs[p] = r.publish(ctx, p) })
	}
	wg.Wait()
	if r.err = errors.Join(errs...); r.err != nil {
		return
	}
	if err := r.signalAll(ctx, endMark, r.load.Patience, func(ln *line) bool { return ln.ended }); err != nil {
		r.err = fmt.Errorf("after the last message: %w", err)
		return
	}
	// Whatever comes twice comes now at the latest: both copies were under way before the end marks.
	r.settle(ctx)
}

// settle waits until nothing has arrived for a while.
func (r *Run) settle(ctx context.Context) {
	quiet := 500 * time.Millisecond
	for last := -1; ; {
		now := r.Received()
		if now == last {
			return
		}
		last = now
		select {
		case <-ctx.Done():
			return
		case <-time.After(quiet):
		}
	}
}

func (r *Run) publish(ctx context.Context, p int) error {
	nc, subject, buf := r.load.Publishers[p], r.subject(p), make([]byte, r.load.Size)
	begin := time.Now()
	for n := range r.load.Count {
		if n%16 == 0 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := r.pace(ctx, nc, p, n, begin); err != nil {
				return err
			}
		}
		at := time.Since(r.start)
		r.sent[p][n] = int64(at)
		message(buf, p, uint32(n), at)
		if err := nc.Publish(subject, buf); err != nil {
			return fmt.Errorf("publisher %d, message %d: %w", p, n, err)
		}
		r.published.Add(1)
	}
	return nc.FlushTimeout(r.load.Patience)
}

// pace waits until it is time for message n.
func (r *Run) pace(ctx context.Context, nc *nats.Conn, p, n int, begin time.Time) error {
	if r.load.Rate > 0 {
		if d := time.Duration(n)*time.Second/time.Duration(r.load.Rate) - time.Since(begin); d > 0 {
			select {
			case <-time.After(d):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}
	// A message that is lost must not hold up the rest for good.
	for range 400 {
		if r.lowest(p) >= int64(n-r.load.Window) {
			return nil
		}
		select {
		case <-time.After(500 * time.Microsecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// lowest is the number up to which every receiver has heard of publisher p.
func (r *Run) lowest(p int) int64 {
	low := int64(r.load.Count)
	for _, b := range r.books {
		if b.from == nil || b.from[p] {
			low = min(low, b.lines[p].high.Load())
		}
	}
	return low
}

// Received counts what has arrived at all receivers, copies included.
func (r *Run) Received() int {
	n := 0
	for _, b := range r.books {
		b.mu.Lock()
		for p := range b.lines {
			n += b.lines[p].received + b.lines[p].duplicates
		}
		b.mu.Unlock()
	}
	return n
}

// Published counts what has been sent.
func (r *Run) Published() int { return int(r.published.Load()) }

// Elapsed is how long ago the run began.
func (r *Run) Elapsed() time.Duration { return time.Since(r.start).Round(time.Millisecond) }

// Done is closed when everything has been sent and has arrived or is lost.
func (r *Run) Done() <-chan struct{} { return r.done }

// Wait waits for the end and returns the account.
func (r *Run) Wait() (*Report, error) {
	<-r.done
	return r.report(), r.err
}
