package route

import (
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// maxPayload is what INFO says of it.
func (s *Service) maxPayload(c *config.Config) int32 {
	if n := c.Limits.MaxPayload; n != 0 {
		return int32(n)
	}
	return s.o.MaxPayload
}

// renew has the connections that are there go by next, which is in force already.
func (s *Service) renew(old, next *state) {
	permissions := !config.Same(old.Permissions, next.Permissions)
	more := old.exports != nil && !old.exports.same(next.exports)
	if permissions {
		for _, p := range s.peerList() {
			for _, w := range p.announcers() {
				w.permit(next.imports)
			}
		}
	}
	unpinned := 0
	for _, x := range s.o.Registry.Open() {
		c, ok := x.(*conn)
		switch {
		case !ok:
		case c.keepTo(next):
			unpinned++
		case permissions && (c.remote.Proto < 1 || more && !c.peer.ours):
			// It can't be told, or does not reliably announce again what was refused:
			// reference servers of 2.9 do so in the global account alone.
			c.Close(wire.ReasonClientClosed)
		case permissions || old.mode != next.mode:
			c.renewed.Store(next)
			c.sendPing() // the PONG is at the latest what the reader comes by for
		}
	}
	if unpinned > 0 {
		s.o.Log.Noticef("Disconnect %d routes due to pinned certs reload", unpinned)
	}
}

// keepTo gives the connection what does not concern its reader. It reports true for one
// that is closed, because the peer's certificate is none of those that are let in now.
func (c *conn) keepTo(set *state) (closed bool) {
	c.tc.SetWriting(set.WriteDeadline, set.WriteTimeout != config.WriteTimeoutClose)
	_, every, most := c.pings()
	c.pinger.SetPace(every, most)
	if st := c.tc.TLSState(); st != nil && set.TLS.Unpinned(st.PeerCertificates) {
		c.Close(wire.ReasonTLSHandshake)
		return true
	}
	return false
}

// renew is the reader's part: interest that is not accepted any more goes, and what is
// sent is compressed as the settings want it.
func (c *conn) renew() {
	set := c.renewed.Swap(nil)
	subs := make(map[*broker.Account][]*broker.Sub)
	for k, h := range c.keys {
		switch {
		case h.border != nil:
			if !set.exports.admits(h.border.sub.Subject) {
				delete(c.keys, k)
				c.s.border.remove(c, h.border)
			}
		case !set.exports.admits(h.sub.Subject):
			delete(c.keys, k)
			subs[h.sub.Account] = append(subs[h.sub.Account], h.sub)
		}
	}
	for a, list := range subs {
		a.UnsubscribeAll(list)
	}
	if mode, err := wire.SelectCompression(set.mode, c.comp); err == nil && c.comp.Compresses() && mode.Compresses() && mode != c.mode() {
		c.remode.Store(&mode)
		c.adjustLevel(c.pinger.RTT())
	}
}

// mode is how what is sent is compressed.
func (c *conn) mode() wire.CompressionMode {
	if m := c.remode.Load(); m != nil {
		return *m
	}
	return c.comp
}

// catchUp is for settings that changed while the connection was being opened: whoever
// went through all connections may have missed this one.
func (c *conn) catchUp() {
	s := c.s
	set := s.set()
	if set == c.began || c.keepTo(set) || config.Same(set.Permissions, c.began.Permissions) {
		return
	}
	c.renewed.Store(set)
	in := s.info()
	in.PoolSize = s.poolWith(c.peer.role)
	c.tc.WriteFlush(wire.AppendInfo(nil, in))
	c.sendPing()
}
