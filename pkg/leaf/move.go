package leaf

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/wire"
)

// A hub of ours that is about to stop asks our leaf nodes to go to another hub of its
// cluster (x_hubd.move_ms in INFO), and they go before it ends the link:
//
//  1. The new link is opened up to where interest would be exchanged.
//  2. What goes up waits (outlet). Answers to what went up before come down meanwhile.
//  3. Interest in queue groups is announced on the new link: of two ways to one
//     group a message takes one. The new hub's interest comes in.
//  4. The old link ends; all that the old hub had for us is taken.
//  5. Plain interest is announced on the new link: from both hubs, messages would come
//     twice. Those that are published between 4 and 5 are lost to us.
//  6. What waits goes up.
//
// So requests of clients here do not fail, they wait, and requests that come down
// find a group's members here all the time.
const (
	// settleMove is how long answers may take that come by the old link.
	settleMove = 300 * time.Millisecond
	// spreadMove is for the new hub to tell others of its cluster of our queue groups.
	spreadMove = 20 * time.Millisecond
	// fenceMove is how long any one step may take.
	fenceMove = 2 * time.Second
	// leaveMove is how long a hub waits for a leaf node that it has asked to move.
	leaveMove = 8 * time.Second
)

// capMove in x_leafd.caps: the leaf node moves when it is asked to.
const capMove = "move"

// served is a link of a remote with the goroutine that serves it.
type served struct {
	l     *conn
	u     *url.URL
	bound chan struct{} // closed when the link is up
	ended chan struct{} // closed when the link is closed
	e     *ending       // why; before ended
}

// serve serves an opened link on a goroutine.
func (r *remote) serve(ctx context.Context, l *conn, u *url.URL) *served {
	v := &served{l: l, u: u, bound: make(chan struct{}), ended: make(chan struct{})}
	l.whenUp = sync.OnceFunc(func() { close(v.bound) })
	r.svc.wg.Go(func() {
		defer close(v.ended)
		defer r.svc.forget(l)
		gone, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(ctx, func() {
			if r.svc.ctx.Err() == nil { // the remote was taken away
				l.Close(wire.ReasonClientClosed)
			}
		})()
		if r.cfg().NoRandomize && r.cfg().Proxy == nil && u.Host != r.cfg().URLs[0].Host {
			r.svc.wg.Go(func() { r.watchPreferred(gone, l) })
		}
		v.e = l.serve(nil)
		r.mu.Lock()
		if r.link == l {
			r.state, r.link, r.upSince = RemoteDialing, nil, time.Time{}
		}
		r.mu.Unlock()
		l.close(v.e)
	})
	return v
}

// current makes v's link the one that is shown.
func (r *remote) current(v *served) {
	r.set(RemoteUp, func() {
		r.tries, r.lastErr, r.next, r.upSince, r.link, r.url = 0, "", time.Time{}, time.Now(), v.l, v.u.Host
	})
}

// askedToMove notes that the hub wants to be left.
func (l *conn) askedToMove() {
	select {
	case l.asked <- struct{}{}:
	default:
	}
}

// await reports whether c was closed before the link ended and in time.
func (v *served) await(c <-chan struct{}, limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-v.ended:
	case <-t.C:
	}
	return false
}

// move changes from one hub to another of the same cluster. It returns the new link, or nil if
// that was not possible: then the old one goes on, or has ended.
func (r *remote) move(ctx context.Context, old *served) *served {
	next, u := r.openElsewhere(ctx, old)
	if next == nil {
		return nil
	}
	r.log.Noticef("Moving from hub %q, which is about to stop, to %q", old.l.peer.name, next.peer.name)
	out := old.l.out
	full := out.hold()
	t := time.NewTimer(settleMove)
	defer t.Stop()
	select {
	case <-t.C:
	case <-full:
	case <-old.ended:
	case <-ctx.Done():
	}
	old.await(old.l.fence(), fenceMove)

	next.port, next.out, next.groupsOnly = old.l.port, out, true
	v := r.serve(ctx, next, u)
	if !v.await(v.bound, fenceMove) || !v.await(next.fence(), fenceMove) {
		next.stop(silent(wire.ReasonReadError, "the hub did not answer in time"))
		<-v.ended
		out.release()
		return nil
	}
	time.Sleep(spreadMove)
	out.link.Store(next) // nothing is sent yet
	old.l.stop(&ending{reason: wire.ReasonClientClosed, detail: "moved to another hub", cause: causeMoved})
	old.await(nil, fenceMove)
	next.announcePlain()
	v.await(next.fence(), fenceMove)
	out.release()
	r.current(v)
	return v
}

// openElsewhere opens a link to another hub of the same cluster.
func (r *remote) openElsewhere(ctx context.Context, old *served) (*conn, *url.URL) {
	r.learn()
	for range r.addrs.len() {
		u := r.addrs.next(false)
		if u.Host == old.u.Host || ctx.Err() != nil {
			continue
		}
		l, e := r.open(ctx, u)
		if e != nil {
			r.log.Debugf("Can't move to %s: %s", u.Host, e)
			continue
		}
		if p := &l.peer; p.cluster != "" && p.cluster == old.l.peer.cluster && p.id != old.l.peer.id {
			return l, u
		}
		l.close(l.fail(silent(wire.ReasonClientClosed, "not a hub of the same cluster")))
		r.svc.forget(l)
	}
	r.addrs.current = old.u.Host
	r.log.Warnf("The hub %q is about to stop, and no other hub of its cluster can be reached", old.l.peer.name)
	return nil, nil
}

// announcePlain tells the hub of plain interest, which was put off, and from now on
// of its changes.
func (l *conn) announcePlain() {
	l.acct.Do(func() {
		l.groupsOnly = false
		l.acct.EachInterest(func(in *broker.Interest) {
			if in.Queue == nil {
				l.Snapshot(l.acct.Account, in)
			}
		})
	})
	l.c.Flush()
}

// pings counts PINGs and their answers, so that one can wait for a certain one.
type pings struct {
	mu        sync.Mutex
	sent, got uint64
	waits     []fence
}

type fence struct {
	n    uint64
	done chan struct{}
}

// ping sends a PING.
func (l *conn) ping() { l.sendPing(nil) }

// fence returns a channel that is closed when the peer has handled all that was queued
// up to now. It never is if the link ends before.
func (l *conn) fence() <-chan struct{} {
	done := make(chan struct{})
	l.sendPing(done)
	return done
}

// sendPing sends a PING; done, if it is not nil, is closed by the answer.
func (l *conn) sendPing(done chan struct{}) {
	p := &l.pings
	p.mu.Lock()
	p.sent++
	if done != nil {
		p.waits = append(p.waits, fence{p.sent, done})
	}
	l.c.Write([]byte("PING\r\n"))
	p.mu.Unlock()
	l.c.Flush()
}

// ponged notes an answer.
func (l *conn) ponged() {
	p := &l.pings
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = min(p.got+1, p.sent)
	for len(p.waits) > 0 && p.waits[0].n <= p.got {
		close(p.waits[0].done)
		p.waits = p.waits[1:]
	}
}

// Drain sends away the leaf nodes that dialed us, over the time given, before a planned
// stop: nobody new is let in, our own leaf nodes are asked to move to another hub, or
// told to spread their return, and links that are still there are closed one by one. It
// returns when all are closed or ctx ends.
func (s *Service) Drain(ctx context.Context, over time.Duration) {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	if s.ln != nil {
		s.ln.Close()
	}
	if u := s.opts.LeafURLs; u != nil {
		u.Withhold()
	}
	var all, movers []*conn
	for _, l := range s.open() {
		switch {
		case l.remote != nil:
		case l.peer.moves && l.isUp():
			movers = append(movers, l)
		default:
			all = append(all, l)
		}
	}
	began := time.Now()
	movers = s.sendElsewhere(ctx, movers, min(over, leaveMove))
	s.closeSpread(ctx, append(all, movers...), over-time.Since(began))
}

// sendElsewhere asks leaf nodes to move, one after the other, and waits until they have
// gone. It returns those that are still there.
func (s *Service) sendElsewhere(ctx context.Context, movers []*conn, limit time.Duration) (left []*conn) {
	if len(movers) == 0 {
		return nil
	}
	info := s.listenInfo()
	info.Hub = hints(0, 0)
	info.Hub.MoveMS = limit.Milliseconds()
	line := wire.AppendInfo(nil, &info)
	end := time.Now().Add(limit)
	gap := min(limit/2/time.Duration(len(movers)), time.Second)
	for i, l := range movers {
		if i > 0 && !link.Sleep(ctx, gap) {
			return movers
		}
		l.c.WriteFlush(line)
	}
	for {
		left = left[:0]
		for _, l := range movers {
			if l.isUp() && l.c.Cause() == nil {
				left = append(left, l)
			}
		}
		if len(left) == 0 || time.Now().After(end) || !link.Sleep(ctx, 20*time.Millisecond) {
			return left
		}
	}
}

// closeSpread closes links one by one over a time, at most a second apart.
func (s *Service) closeSpread(ctx context.Context, all []*conn, over time.Duration) {
	if len(all) == 0 {
		return
	}
	info := s.listenInfo()
	info.Hub = hints(over, defaultDrainSpread)
	line := wire.AppendInfo(nil, &info)
	for _, l := range all {
		if l.isUp() && l.peer.ours {
			l.c.WriteFlush(line)
		}
	}
	gap := min(max(over, 0)/time.Duration(len(all)), time.Second)
	for _, l := range all {
		if !link.Sleep(ctx, gap) {
			return
		}
		l.Close(wire.ReasonServerShutdown)
	}
}
