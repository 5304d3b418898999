package leaf

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/wire"
)

// remote is one hub to dial, with the goroutine that does it.
type remote struct {
	svc  *Service
	conf atomic.Pointer[config.LeafRemote]
	name string
	log  *logging.Logger
	wake chan struct{} // a wait is cut short

	// Guarded by Service.mu.
	cancel context.CancelFunc // nil unless dialed
	ended  chan struct{}      // closed when run has ended

	// Of the goroutine.
	addrs    *addresses
	back     backoff
	sessions tls.ClientSessionCache
	tlsSeen  bool // once TLS, always TLS
	guess    bool // the next attempt tries TLS first, since the hub said nothing
	tried    int  // addresses tried since the last wait

	mu      sync.Mutex
	state   RemoteState
	final   RemoteState // once it is not dialed any more
	url     string
	tries   int
	lastErr string
	failed  time.Time
	next    time.Time
	upSince time.Time
	rtt     time.Duration
	link    *conn
	learned []string
	hint    *wire.HubHints
	gossip  []string // to be learned
	news    bool     // gossip is new
}

func newRemote(s *Service, cfg *config.LeafRemote) *remote {
	r := &remote{
		svc: s, name: cfg.Name, wake: make(chan struct{}, 1),
		addrs:    newAddresses(cfg.URLs, cfg.NoRandomize),
		sessions: tls.NewLRUClientSessionCache(8),
		state:    RemoteDialing,
	}
	r.conf.Store(cfg)
	if r.name == "" {
		r.name = fmt.Sprintf("%v", hosts(cfg.URLs))
	}
	r.log = s.opts.Log
	if cfg.Disabled {
		r.state = RemoteDisabled
	}
	if f := cfg.Credentials; f != "" && exposed(f) {
		r.log.Warnf("Credentials file %q can be read by others than its owner: chmod 600", f)
	}
	return r
}

// cfg is what the settings say of the remote now.
func (r *remote) cfg() *config.LeafRemote { return r.conf.Load() }

func (r *remote) account() string { return orText(r.cfg().Account, config.DefaultAccount) }

func (r *remote) label() string {
	if r == nil {
		return ""
	}
	return "for remote " + r.name
}

func (r *remote) urlInUse() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.url
}

func (r *remote) noteRTT(d time.Duration) {
	r.mu.Lock()
	r.rtt = d
	r.mu.Unlock()
}

// tlsFirst tells whether the next connection begins with TLS.
func (r *remote) tlsFirst() bool {
	if r.cfg().TLS == nil {
		return false
	}
	guess := r.guess
	r.guess = false
	return r.cfg().TLS.HandshakeFirst.Mode == config.HandshakeOn || guess
}

// suspectTLSFirst makes the next attempt begin with TLS, once.
func (r *remote) suspectTLSFirst() { r.guess = r.cfg().TLS != nil }

// told takes what an INFO says of other hubs and of the hub's plans.
func (r *remote) told(info *wire.LeafInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	urls := info.LeafURLs
	if r.cfg().IsWebSocket() {
		urls = info.WSConnectURLs
	}
	if urls != nil && r.cfg().IgnoreDiscovered != config.Yes {
		r.gossip, r.news = urls, true
	}
	if h := info.Hub; h != nil && h.MoveMS == 0 && (h.RetryAfterMS > 0 || h.SpreadMS > 0) {
		r.hint = h
	}
}

// run dials until ctx ends.
func (r *remote) run(ctx context.Context) {
	same := false
	for ctx.Err() == nil {
		r.learn()
		u := r.addrs.next(same)
		r.set(RemoteDialing, func() { r.url = u.Host })
		e, up := r.connect(ctx, u)
		if ctx.Err() != nil {
			break
		}
		a := r.finished(e, up)
		same = up >= healthyAfter && a.retry == 0
		if e.first {
			r.addrs.rewind()
		}
		r.tried++
		if e.cause == causeDial && r.tried < r.addrs.len() {
			continue // nobody there: the next address, at once
		}
		r.tried = 0
		r.wait(ctx, r.back.next(r.policy(), a, r.svc.random))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = time.Time{}
	if r.state = r.final; r.state == "" {
		r.state = RemoteStopped
	}
}

func (r *remote) policy() policy {
	s := r.svc.set()
	return policy{base: s.Reconnect, max: s.ReconnectMax, spread: orElse(r.cfg().ReconnectSpread, s.ReconnectSpread)}
}

func random(n time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	return rand.N(n + 1)
}

// open dials a hub and opens a link up to where interest is exchanged.
func (r *remote) open(ctx context.Context, u *url.URL) (*conn, *ending) {
	d := net.Dialer{
		Timeout:         orElse(r.cfg().DialTimeout, r.svc.set().DialTimeout),
		KeepAliveConfig: net.KeepAliveConfig{Enable: false},
		KeepAlive:       -1,
	}
	nc, err := d.DialContext(ctx, "tcp", r.dialed(u))
	if err != nil {
		return nil, &ending{reason: wire.ReasonReadError, detail: err.Error(), cause: causeDial}
	}
	l, err := r.svc.newConn(nc, r)
	if err != nil {
		nc.Close()
		return nil, silent(wire.ReasonServerShutdown, "%v", err)
	}
	stop := context.AfterFunc(ctx, func() {
		if r.svc.ctx.Err() == nil { // the remote was taken away
			l.Close(wire.ReasonClientClosed)
		}
	})
	defer stop()
	if e := l.openDialed(u); e != nil {
		e = l.fail(e)
		l.close(e)
		r.svc.forget(l)
		return nil, e
	}
	return l, nil
}

// connect makes one attempt and keeps the link until it ends, or those that take its
// place when a hub asks for it.
func (r *remote) connect(ctx context.Context, u *url.URL) (*ending, time.Duration) {
	l, e := r.open(ctx, u)
	if e != nil {
		return e, 0
	}
	v := r.serve(ctx, l, u)
	r.current(v)
	r.tried = 0
	for {
		select {
		case <-v.l.asked:
			if next := r.move(ctx, v); next != nil {
				v = next
			}
		case <-v.ended:
			r.set(RemoteDialing, func() { r.link, r.upSince = nil, time.Time{} })
			return v.e, time.Since(v.l.opened)
		}
	}
}

// watchPreferred ends a link to another hub than the first of an ordered list once that one can be
// reached and the link is idle, so that the remote goes back there. It ends with ctx.
func (r *remote) watchPreferred(ctx context.Context, l *conn) {
	every := r.svc.failBack
	for seen := int64(-1); ; {
		t := time.NewTimer(every + r.svc.random(every/5))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		now := l.c.BytesIn() + l.c.BytesOut()
		idle := seen >= 0 && now-seen < idleBytes
		seen = now
		if !idle {
			continue
		}
		d := net.Dialer{Timeout: r.svc.set().DialTimeout}
		nc, err := d.DialContext(ctx, "tcp", r.cfg().URLs[0].Host)
		if err != nil {
			continue
		}
		nc.Close()
		l.stop(&ending{reason: wire.ReasonClientClosed, detail: "going back to the preferred hub", cause: causeMoved, first: true})
		return
	}
}

// idleBytes is what keeping a link alive may take between two looks.
const idleBytes = 64 << 10

// finished notes how an attempt ended.
func (r *remote) finished(e *ending, up time.Duration) attempt {
	a := attempt{cause: e.cause, up: up, retry: e.retry}
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hint; h != nil {
		r.hint = nil
		a.spread = time.Duration(h.SpreadMS) * time.Millisecond
		if r.addrs.len() == 1 {
			a.retry = time.Duration(h.RetryAfterMS) * time.Millisecond
		} else {
			// The hub lets its leaf nodes go one by one, and others are there.
			a.spread = min(a.spread, max(r.policy().spread, time.Millisecond))
		}
	}
	news := r.lastErr != e.Error()
	r.tries++
	r.lastErr, r.failed = e.Error(), time.Now()
	every := r.svc.set().connectReports
	if r.rtt > 0 {
		every = r.svc.set().reconnectReports
	}
	if news || every > 0 && r.tries%every == 0 {
		r.log.Errorf("Error trying to connect as leafnode to remote server %q (attempt %d): %s", r.url, r.tries, e)
	}
	return a
}

func (r *remote) learn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.news {
		r.news = false
		r.addrs.learn(r.gossip)
		r.learned = hosts(r.addrs.learned)
	}
}

func (r *remote) set(s RemoteState, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
	f()
}

func (r *remote) wait(ctx context.Context, d time.Duration) {
	r.set(RemoteWaiting, func() { r.next = time.Now().Add(d) })
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.wake:
	case <-ctx.Done():
	}
}

// retry cuts a wait short.
func (r *remote) retry() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *remote) status() RemoteStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := RemoteStatus{
		Name: r.name, URLs: hosts(r.cfg().URLs), Learned: r.learned, Account: r.account(), State: r.state, URL: r.url,
		Attempts: r.tries, LastErr: r.lastErr, FailedAt: r.failed, NextDial: r.next, UpSince: r.upSince, RTT: r.rtt,
	}
	if r.state != RemoteWaiting {
		s.NextDial = time.Time{}
	}
	if r.link != nil {
		s.LinkID = r.link.id
	}
	return s
}
