package broker

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/wire"
)

// answers are what an account's services still owe to other accounts. Requests have
// a reply subject _R_.xxxxxx.yyyyyy: the first part is the account's on this
// server, under which it has interest, the second is the request's.
type answers struct {
	prefix []byte // with its last dot

	mu    sync.Mutex
	open  map[[idLen]byte]*answer
	lines map[time.Duration]*line
}

const (
	idLen   = 6
	letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func randomID() (id [idLen]byte) {
	for i := range id {
		id[i] = letters[rand.IntN(len(letters))]
	}
	return id
}

// answer is one request that is not answered to its end. What changes is guarded by
// the lock of its answers, and next in its reply by that of the pending ones.
type answer struct {
	owner *answers
	to    *Account // where the request came from
	reply string
	terms terms
	id    [idLen]byte
	// measure of the request, nil if it is not measured.
	measure *measure
	latency *latency

	gone       bool
	tick       int64
	prev, next *answer // in its line
	same       *answer // waits for the same reply
}

// line has the answers with one threshold, the one that is given up first in front.
// Time is counted in ticks, an eighth of the threshold each, while there are any.
type line struct {
	period     time.Duration
	tick       int64
	head, tail *answer
	timer      *time.Timer
}

const (
	ticks      = 8
	minPeriod  = time.Millisecond
	afterTicks = ticks + 1 // at least the threshold, and at most an eighth more
)

// pending are the answers that are waited for in an account, by their reply
// subject: they are given up as soon as nobody wants them.
type pending struct {
	mu      sync.Mutex
	byReply map[string]*answer
}

// expect notes that an answer to a message in the account from is for reply in the
// account to, and appends the subject under which it will come. x is how the request is
// measured, nil if it is not.
func (b *Broker) expect(from, to *Account, reply []byte, t terms, x *measure, dst []byte) (*answer, []byte) {
	o := b.answersOf(from)
	a := &answer{owner: o, to: to, reply: string(reply), terms: t, measure: x, latency: &b.latency}
	p := to.pending.Load()
	if p == nil {
		to.pending.CompareAndSwap(nil, &pending{byReply: make(map[string]*answer)})
		p = to.pending.Load()
	}
	o.mu.Lock()
	for a.id = randomID(); o.open[a.id] != nil; a.id = randomID() {
	}
	o.open[a.id] = a
	o.lineOf(t.threshold).add(a)
	p.mu.Lock() // both lists at once: who takes it out of one finds it in the other
	a.same = p.byReply[a.reply]
	p.byReply[a.reply] = a
	p.mu.Unlock()
	dst = append(append(dst, o.prefix...), a.id[:]...)
	if x != nil {
		dst = append(dst, b.latency.suffix...)
		b.latency.tracks(x, dst)
	}
	o.mu.Unlock()
	return a, dst
}

// answersOf makes the account able to answer: its interest is announced before the
// first request is sent.
func (b *Broker) answersOf(a *Account) *answers {
	if o := a.answers.Load(); o != nil {
		return o
	}
	b.sharing.mu.Lock()
	defer b.sharing.mu.Unlock()
	if o := a.answers.Load(); o != nil {
		return o
	}
	id := randomID()
	o := &answers{
		prefix: append(append([]byte(wire.ServiceReplyPrefix), id[:]...), '.'),
		open:   make(map[[idLen]byte]*answer), lines: make(map[time.Duration]*line),
	}
	p := b.sharing.answers
	a.insert(&Sub{Port: p, Subject: append(o.prefix[:len(o.prefix):len(o.prefix)], '>'), Origin: p.Origin, extra: &extra{answers: o}}, 1)
	a.answers.Store(o)
	return o
}

func (o *answers) lineOf(threshold time.Duration) *line {
	l := o.lines[threshold]
	if l == nil {
		l = &line{period: max(threshold/ticks, minPeriod)}
		o.lines[threshold] = l
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(l.period, func() { o.advance(l) })
	}
	return l
}

func (l *line) add(a *answer) {
	a.tick, a.prev, a.next = l.tick, l.tail, nil
	if l.tail != nil {
		l.tail.next = a
	} else {
		l.head = a
	}
	l.tail = a
}

func (l *line) remove(a *answer) {
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		l.head = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	} else {
		l.tail = a.prev
	}
	a.prev, a.next = nil, nil
}

// advance is one tick: who has waited too long is given up.
func (o *answers) advance(l *line) {
	var late []*answer
	o.mu.Lock()
	l.tick++
	for a := l.head; a != nil && l.tick-a.tick >= afterTicks; a = l.head {
		o.removeLocked(a)
		late = append(late, a)
	}
	if l.head != nil {
		l.timer.Reset(l.period)
	} else {
		l.timer = nil
	}
	o.mu.Unlock()
	for _, a := range late {
		a.unlist()
		a.unanswered(StatusServiceTimeout)
	}
}

// take finds the answer that a subject is for. The last one, or one without a body,
// ends it.
func (o *answers) take(subj []byte, empty bool) *answer {
	if len(subj) < len(o.prefix)+idLen || len(subj) > len(o.prefix)+idLen && subj[len(o.prefix)+idLen] != '.' {
		return nil
	}
	var id [idLen]byte
	copy(id[:], subj[len(o.prefix):])
	o.mu.Lock()
	a := o.open[id]
	if a == nil {
		o.mu.Unlock()
		return nil
	}
	if a.terms.response != account.Singleton && !empty {
		l := o.lines[a.terms.threshold]
		l.remove(a)
		l.add(a)
		o.mu.Unlock()
		return a
	}
	o.removeLocked(a)
	o.mu.Unlock()
	a.unlist()
	return a
}

func (o *answers) removeLocked(a *answer) {
	a.gone = true
	delete(o.open, a.id)
	o.lines[a.terms.threshold].remove(a)
}

// fail gives an answer up for a reason.
func (a *answer) fail(status int) {
	if a.forget() {
		a.unanswered(status)
	}
}

// unanswered ends the measurement, if there is one.
func (a *answer) unanswered(status int) {
	if a.measure != nil {
		a.latency.failed(a.measure, status)
	}
}

// forget gives an answer up. It reports false if that was done before.
func (a *answer) forget() bool {
	a.owner.mu.Lock()
	gone := a.gone
	if !gone {
		a.owner.removeLocked(a)
	}
	a.owner.mu.Unlock()
	if !gone {
		a.unlist()
	}
	return !gone
}

// unlist takes an answer from the pending ones of its requester's account.
func (a *answer) unlist() {
	p := a.to.pending.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.byReply[a.reply]
	if at == a {
		if a.same == nil {
			delete(p.byReply, a.reply)
		} else {
			p.byReply[a.reply] = a.same
		}
		return
	}
	for ; at != nil; at = at.same {
		if at.same == a {
			at.same = a.same
			return
		}
	}
}

// left gives up what nobody waits for any more, after subscriptions of the account ended.
func (p *pending) left(acc *Account, subs ...*Sub) {
	var all []*answer
	take := func(a *answer) {
		for ; a != nil; a = a.same {
			all = append(all, a)
		}
	}
	p.mu.Lock()
	if len(p.byReply) > 0 {
		for _, s := range subs {
			if !subject.HasWildcard(s.Subject) {
				take(p.byReply[string(s.Subject)])
				continue
			}
			for reply, a := range p.byReply {
				if subject.Match(s.Subject, reply) {
					take(a)
				}
			}
		}
	}
	p.mu.Unlock()
	for _, a := range all {
		if !acc.HasInterest([]byte(a.reply)) {
			a.fail(StatusRequestTimeout)
		}
	}
}
