package rolling

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Mover is a connection that goes to another server when its own says that it is about to stop, in such a way that nothing
// is lost: it connects there, subscribes there, and only then leaves the old one, when the requests that it made there have
// been answered. All subscriptions are in queue groups, for while there are two connections each message must come once; a
// subscriber that is to get everything takes a group of its own.
type Mover struct {
	servers []string
	options []nats.Option

	mu     sync.RWMutex // held for reading while a request or a message is handed over
	nc     *nats.Conn
	busy   *sync.WaitGroup // requests under way on nc
	subs   []subscription
	moves  int
	closed bool
}

type subscription struct {
	subject, group string
	handle         nats.MsgHandler
}

// overlap is how long both connections get messages: until everybody knows of the new one.
const overlap = 500 * time.Millisecond

// Move connects to one of the servers.
func Move(servers []string, options ...nats.Option) (*Mover, error) {
	m := &Mover{servers: servers, options: options}
	nc, err := m.connect(servers)
	if err != nil {
		return nil, err
	}
	m.nc, m.busy = nc, new(sync.WaitGroup)
	return m, nil
}

func (m *Mover) connect(servers []string) (*nats.Conn, error) {
	var given nats.Options
	for _, option := range m.options {
		if err := option(&given); err != nil {
			return nil, err
		}
	}
	return nats.Connect(strings.Join(servers, ","), append(slices.Clone(m.options), nats.LameDuckModeHandler(func(nc *nats.Conn) {
		if f := given.LameDuckModeHandler; f != nil {
			f(nc)
		}
		m.move(nc)
	}))...)
}

// Subscribe subscribes, here and wherever it moves to.
func (m *Mover) Subscribe(subject, group string, handle nats.MsgHandler) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subs = append(m.subs, subscription{subject, group, handle})
	if _, err := m.nc.QueueSubscribe(subject, group, handle); err != nil {
		return err
	}
	return m.nc.Flush()
}

// Publish publishes.
func (m *Mover) Publish(subject string, data []byte) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.nc.Publish(subject, data)
}

// Request asks, and waits for the answer on the connection on which it asked.
func (m *Mover) Request(subject string, data []byte, timeout time.Duration) (*nats.Msg, error) {
	m.mu.RLock()
	nc, busy := m.nc, m.busy
	busy.Add(1)
	m.mu.RUnlock()
	defer busy.Done()
	return nc.Request(subject, data, timeout)
}

// move is called when a server has said that it is about to stop.
func (m *Mover) move(old *nats.Conn) {
	m.mu.RLock()
	stale := m.nc != old || m.closed
	subs := slices.Clone(m.subs)
	m.mu.RUnlock()
	if stale {
		return
	}
	next, err := m.connect(m.others(old))
	if err != nil {
		return // nobody else is there: it is reconnected as after any break
	}
	for _, s := range subs {
		if _, e := next.QueueSubscribe(s.subject, s.group, s.handle); e != nil {
			err = errors.Join(err, e)
		}
	}
	if err = errors.Join(err, next.Flush()); err != nil {
		next.Close()
		return
	}
	m.mu.Lock()
	_ = old.FlushTimeout(overlap) // what was published is on its way before what comes next
	if m.closed {
		m.mu.Unlock()
		next.Close()
		return
	}
	busy := m.busy
	m.nc, m.busy = next, new(sync.WaitGroup)
	m.moves++
	m.mu.Unlock()
	go func() {
		time.Sleep(overlap)
		busy.Wait()
		_ = old.Drain()
	}()
}

// others are the servers beside the one that is about to stop: those that it names, and those of the settings.
func (m *Mover) others(old *nats.Conn) []string {
	all := slices.Clone(old.DiscoveredServers())
	for _, s := range m.servers {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return s == old.ConnectedUrl() })
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// Moves is how often it has gone to another server.
func (m *Mover) Moves() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.moves
}

// Close ends the connection.
func (m *Mover) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.nc.Close()
}
