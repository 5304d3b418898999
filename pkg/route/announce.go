package route

import (
	"strings"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// announcer tells one peer of one account's interest, on one connection. All
// fields that change are guarded by the account's lock.
//
// A key is announced for each leaf cluster apart (LS+), and for everything else
// together (RS+). Plain keys only when their count leaves or reaches zero, as
// a repeated RS+ would corrupt what the peer announces elsewhere; queue keys
// with each change of their weight.
type announcer struct {
	c     *conn
	a     *broker.Account
	name  []byte // nil on a dedicated connection
	off   bool
	lets  *filter // interest that may be sent
	gw    bool    // a gwd to a hub: interest of other regions
	peers bool    // a gwd to a gwd: interest of other regions by their name
	buf   []byte
	done  []string // scratch
}

func newAnnouncer(c *conn, a *broker.Account) *announcer {
	w := &announcer{c: c, a: a, lets: c.s.set().imports}
	if c.account == "" {
		w.name = []byte(a.Name)
	}
	if c.s.o.Role == BorderRole {
		if c.peer.role == wire.RoleGateway {
			w.peers = c.peer.has(capRemotes)
		} else {
			w.gw = c.s.advertise.Load()
		}
	}
	return w
}

func (w *announcer) start() {
	w.a.Watch(w, nil, nil)
	w.c.flusher.Soon()
}

// withdraw takes everything back that was announced.
func (w *announcer) withdraw() {
	w.a.Do(func() {
		w.off = true
		w.a.EachInterest(func(in *broker.Interest) { w.each(in, w.take) })
	})
	w.a.Unwatch(w)
}

// Snapshot announces what there is at the start.
func (w *announcer) Snapshot(_ *broker.Account, in *broker.Interest) { w.each(in, w.put) }

// each calls f for each origin under which a key is announced.
func (w *announcer) each(in *broker.Interest, f func(in *broker.Interest, origin string, n int32)) {
	if w.gw {
		if n := regions(in); n > 0 {
			f(in, borderOrigin, 1)
		}
	}
	set := w.classes()
	w.done = w.done[:0]
next:
	for o, n := range in.All() {
		if o.Class&set == 0 || n == 0 || o.Class == broker.Gateway && o.Link != 0 {
			continue
		}
		for _, d := range w.done {
			if d == o.Cluster {
				continue next
			}
		}
		w.done = append(w.done, o.Cluster)
		f(in, o.Cluster, w.sum(in, set, o.Cluster))
	}
}

// classes whose interest is announced under the cluster that it belongs to.
func (w *announcer) classes() broker.Set {
	switch {
	case w.c.s.o.Role == Hub:
		return broker.Client | broker.LeafDown
	case w.peers:
		return broker.Client | broker.Gateway
	}
	return broker.Client
}

func (w *announcer) sum(in *broker.Interest, set broker.Set, cluster string) (n int32) {
	for o, k := range in.All() {
		if o.Class&set != 0 && o.Cluster == cluster && !(o.Class == broker.Gateway && o.Link != 0) {
			n += k
		}
	}
	return n
}

// regions counts what remote regions have announced to this process itself.
func regions(in *broker.Interest) (n int32) {
	for o, k := range in.All() {
		if o.Class == broker.Gateway && o.Link == 0 {
			n += k
		}
	}
	return n
}

// Changed announces a change.
func (w *announcer) Changed(_ *broker.Account, in *broker.Interest, from broker.Origin, old, now int32) {
	if w.off || from.Class == broker.Gateway && from.Link != 0 {
		return
	}
	if w.gw && from.Class == broker.Gateway {
		n := regions(in)
		switch before := n - (now - old); {
		case before <= 0 && n > 0:
			w.put(in, borderOrigin, 1)
		case before > 0 && n <= 0:
			w.take(in, borderOrigin, 0)
		default:
			return
		}
		w.c.flusher.Soon()
		return
	}
	set := w.classes()
	if from.Class&set == 0 {
		return
	}
	n := w.sum(in, set, from.Cluster)
	before := n - (now - old)
	switch {
	case n > 0 && (before <= 0 || in.Queue != nil):
		w.put(in, from.Cluster, n)
	case n <= 0 && before > 0:
		w.take(in, from.Cluster, 0)
	default:
		return
	}
	w.c.flusher.Soon()
}

func (w *announcer) put(in *broker.Interest, origin string, weight int32) {
	if !w.lets.admits(in.Subject) {
		return
	}
	verb := wire.VerbRouteAdd
	if origin != "" {
		verb = wire.VerbLeafAdd
	}
	origin = strings.TrimPrefix(origin, broker.RegionMark)
	w.buf = wire.AppendInterest(w.buf[:0], verb, []byte(origin), w.name, in.Subject, in.Queue, weight)
	w.c.tc.Write(w.buf)
}

func (w *announcer) take(in *broker.Interest, origin string, _ int32) {
	if !w.lets.admits(in.Subject) {
		return
	}
	verb := wire.VerbRouteDel
	if origin != "" {
		verb = wire.VerbLeafDel
		origin = strings.TrimPrefix(origin, broker.RegionMark)
		if !w.c.remote.LeafOriginDel {
			origin = ""
		}
	}
	w.buf = wire.AppendInterest(w.buf[:0], verb, []byte(origin), w.name, in.Subject, in.Queue, 0)
	w.c.tc.Write(w.buf)
}

// advertiseRegions switches the announcing of other regions' interest.
func (w *announcer) advertiseRegions(on bool) {
	w.a.Do(func() {
		if w.off || w.gw == on {
			return
		}
		w.gw = on
		w.a.EachInterest(func(in *broker.Interest) {
			if regions(in) == 0 {
				return
			}
			if on {
				w.put(in, borderOrigin, 1)
			} else {
				w.take(in, borderOrigin, 0)
			}
		})
	})
	w.c.flusher.Soon()
}

// again announces the keys that which selects once more.
func (w *announcer) again(which func(subj []byte) bool) {
	w.a.Do(func() {
		if w.off {
			return
		}
		w.a.EachInterest(func(in *broker.Interest) {
			if which(in.Subject) {
				w.each(in, w.put)
			}
		})
	})
	w.c.flusher.Soon()
}

// permit changes what may be sent: what may not any more is taken back, what may now is
// announced.
func (w *announcer) permit(next *filter) {
	w.a.Do(func() {
		old := w.lets
		if w.off || old == next {
			w.lets = next
			return
		}
		w.a.EachInterest(func(in *broker.Interest) {
			before, after := old.admits(in.Subject), next.admits(in.Subject)
			switch {
			case before && !after:
				w.lets = old
				w.each(in, w.take)
			case after && !before:
				w.lets = next
				w.each(in, w.put)
			}
		})
		w.lets = next
	})
	w.c.flusher.Soon()
}
