package system

import (
	"slices"
	"sync"

	"github.com/banyanmq/banyan/pkg/broker"
)

// What may wait for a Client's goroutine. Beyond it messages are refused, so that
// who asks is told at once that nobody answers.
const (
	maxQueued      = 8192
	maxQueuedBytes = 16 << 20
)

// Request is a message that was delivered to a Client. It is a copy and belongs
// to the handler.
type Request struct {
	Account *broker.Account
	Subject string
	Reply   string // "" if no answer is wanted
	Header  []byte // the whole block, nil without one
	Payload []byte
	// From is the id of the connection that it came in on, and Class the kind of
	// that connection: with broker.Client the sender itself.
	From  uint64
	Class broker.Class
}

// SubOptions of a subscription.
type SubOptions struct {
	// Local keeps the interest from other servers.
	Local bool
	// Queue is the group that shares the messages, "" for none.
	Queue string
	// Accept nil takes all messages. It is called by the publisher's goroutine, must
	// not block or keep m. A message that is not accepted counts as not delivered.
	Accept func(m *broker.Msg) bool
}

// Subscription of a Client.
type Subscription struct {
	sub    *broker.Sub
	accept func(m *broker.Msg) bool
	handle func(*Request)
}

// Client is an application inside this process, without a socket. Its handlers
// and what it is told to Do run one after the other on its goroutine.
type Client struct {
	b    *broker.Broker
	port *broker.Port

	subMu sync.RWMutex
	subs  map[*broker.Sub]*Subscription

	pubMu sync.Mutex
	inlet *broker.Inlet

	mu     sync.Mutex
	queue  []func()
	sizes  []int // of each entry of queue
	jobs   int   // waiting or running
	bytes  int
	closed bool
	wake   chan struct{} // one token: the queue may have something, or closed is set
	ended  chan struct{}
}

// NewClient starts a Client. reach says whom its messages may reach; 0 is
// broker.FromClient.
func NewClient(b *broker.Broker, reach broker.Set) *Client {
	if reach == 0 {
		reach = broker.FromClient
	}
	c := &Client{b: b, subs: make(map[*broker.Sub]*Subscription), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	c.port = &broker.Port{
		ID: b.NextID(), Class: broker.Client, Reach: reach, Origin: broker.Origin{Class: broker.Client}, Sink: (*clientSink)(c),
	}
	c.inlet = b.NewInlet(c.port)
	go c.run()
	return c
}

// ID is the connection id of the Client.
func (c *Client) ID() uint64 { return c.port.ID }

// Subscribe asks for messages in an account; handle is called for each on the
// Client's goroutine. The subject may have wildcards.
func (c *Client) Subscribe(a *broker.Account, subject string, o SubOptions, handle func(*Request)) *Subscription {
	s := &Subscription{accept: o.Accept, handle: handle}
	s.sub = &broker.Sub{Port: c.port, Subject: []byte(subject), Origin: c.port.Origin}
	if o.Queue != "" {
		s.sub.Queue = []byte(o.Queue)
	}
	if o.Local {
		// Interest of no class is announced to nobody.
		s.sub.Origin = broker.Origin{}
	}
	c.subMu.Lock()
	c.subs[s.sub] = s
	c.subMu.Unlock()
	a.Subscribe(s.sub, 1)
	return s
}

// Unsubscribe ends a subscription. Messages that are queued are still handled.
func (c *Client) Unsubscribe(s *Subscription) {
	s.sub.Account.Unsubscribe(s.sub)
	c.subMu.Lock()
	delete(c.subs, s.sub)
	c.subMu.Unlock()
}

// Publish sends a message and returns to how many destinations it went. hdr is a
// whole header block or empty. The slices are not kept.
func (c *Client) Publish(a *broker.Account, subject, reply string, hdr, payload []byte) int {
	m := broker.Msg{Account: a, Subject: []byte(subject), HdrLen: len(hdr), Payload: payload}
	if reply != "" {
		m.Reply = []byte(reply)
	}
	if len(hdr) > 0 {
		m.Payload = slices.Concat(hdr, payload)
	}
	c.pubMu.Lock()
	defer c.pubMu.Unlock()
	n := c.inlet.Publish(&m)
	c.inlet.Flush()
	return n
}

// Wanted tells whether anybody but this Client listens to a subject. It costs a
// look into the index: for what is published now and then.
func (c *Client) Wanted(a *broker.Account, subject string) bool {
	subj := []byte(subject)
	if !a.HasInterest(subj) {
		return false
	}
	var buf [8]*broker.Sub
	return slices.ContainsFunc(a.Matching(subj, buf[:0]), func(s *broker.Sub) bool { return s.Port != c.port })
}

// Do runs f on the Client's goroutine, after what is queued. It reports false if
// there is no room or the Client is closed.
func (c *Client) Do(f func()) bool { return c.push(f, 0, false) }

func (c *Client) push(f func(), size int, force bool) bool {
	c.mu.Lock()
	if c.closed || !force && (c.jobs >= maxQueued || c.bytes+size > maxQueuedBytes) {
		c.mu.Unlock()
		return false
	}
	c.queue, c.sizes = append(c.queue, f), append(c.sizes, size)
	c.jobs++
	c.bytes += size
	c.mu.Unlock()
	c.signal()
	return true
}

func (c *Client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Client) run() {
	defer close(c.ended)
	for range c.wake {
		for {
			c.mu.Lock()
			jobs, sizes := c.queue, c.sizes
			c.queue, c.sizes = nil, nil
			closed := c.closed
			c.mu.Unlock()
			if len(jobs) == 0 {
				if closed {
					return
				}
				break
			}
			for i, f := range jobs {
				f()
				jobs[i] = nil
				c.mu.Lock()
				c.jobs--
				c.bytes -= sizes[i]
				c.mu.Unlock()
			}
		}
	}
}

// Close takes all subscriptions back, handles what is queued and ends the
// Client's goroutine. It must not be called on it. It may be called more than once.
func (c *Client) Close() { c.finish(nil) }

// finish is Close with something to be done last of all.
func (c *Client) finish(last func()) {
	c.subMu.Lock()
	subs := c.subs
	c.subs = make(map[*broker.Sub]*Subscription)
	c.subMu.Unlock()
	for sub := range subs {
		sub.Account.Unsubscribe(sub)
	}
	c.mu.Lock()
	if !c.closed && last != nil {
		c.queue, c.sizes = append(c.queue, last), append(c.sizes, 0)
		c.jobs++
	}
	c.closed = true
	c.mu.Unlock()
	c.signal()
	<-c.ended
	c.port.Replies.Stop()
}

// clientSink is the Client as the broker sees it.
type clientSink Client

// Deliver queues a copy of the message.
func (k *clientSink) Deliver(m *broker.Msg, sub *broker.Sub) bool {
	c := (*Client)(k)
	c.subMu.RLock()
	s := c.subs[sub]
	c.subMu.RUnlock()
	if s == nil || s.accept != nil && !s.accept(m) {
		return false
	}
	all := slices.Clone(m.Payload)
	r := &Request{Account: m.Account, Subject: string(m.Subject), Reply: string(m.Reply), Payload: all[m.HdrLen:]}
	if m.HdrLen > 0 {
		r.Header = all[:m.HdrLen:m.HdrLen]
	}
	if m.From != nil {
		r.From, r.Class = m.From.ID, m.From.Class
	}
	return c.push(func() { s.handle(r) }, len(all)+len(m.Subject)+len(m.Reply), false)
}

// DeliverOnce is never called: the port is not aggregate.
func (k *clientSink) DeliverOnce(*broker.Msg, bool, [][]byte) bool { return false }

// Flush has nothing to write.
func (k *clientSink) Flush() {}
