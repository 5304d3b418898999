package client

import (
	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// End implements auth.Session.
func (c *conn) End(reason wire.CloseReason, text string) { c.shut(reason, text) }

// Permit implements auth.Session. Subscriptions that are no longer allowed go at
// once. The reader takes the rest on with the next block, and looks again: it
// may have made a subscription meanwhile that was allowed before.
func (c *conn) Permit(id *auth.Identity) {
	c.mu.Lock()
	login := c.logins
	c.mu.Unlock()
	c.permit(id, login)
}

// permit is Permit for who has not logged in again since: the permissions of another
// user, perhaps of another account, are none of the new one's.
func (c *conn) permit(id *auth.Identity, login uint64) {
	c.mu.Lock()
	if c.logins != login {
		c.mu.Unlock()
		return
	}
	c.tell(func(n *news) { n.id = id })
	c.mu.Unlock()
	c.weed(id, login)
	c.t.Flush()
}

// adopt is the reader's part of Permit.
func (c *conn) adopt() {
	n := c.news.Load()
	if n == nil {
		return
	}
	for !c.news.CompareAndSwap(n, nil) {
		n = c.news.Load()
	}
	c.mu.Lock()
	was := c.identity
	if n.id != nil {
		c.identity = n.id
	}
	id, login := c.identity, c.logins
	if n.set != nil {
		c.set = n.set
	}
	c.mu.Unlock()
	if n.set != nil {
		c.settleIn()
	}
	c.assume(id, was.Permissions == id.Permissions)
	if n.id != nil {
		c.weed(id, login)
	}
}

// assume sets what follows from permissions and limits; same: the permissions are
// as they were, and so is what may be answered.
func (c *conn) assume(id *auth.Identity, same bool) {
	c.t.Locked(func() {
		c.out.permissions = id.Permissions
		if !same {
			c.out.responses = auth.NewResponses(id.Permissions)
		}
	})
	if c.pub != nil {
		c.pub.inlet.Flush()
	}
	c.pub = nil // it belongs to the account and the permissions
	c.careful = c.verbose || c.pedantic || id.Permissions.Restricted()
	c.mu.Lock()
	c.parser.MaxPayload = c.payloadLimit(c.set, id)
	c.web.known(c.parser.MaxPayload)
	c.mu.Unlock()
	c.maxSubs = int(lower(int64(c.set.limits.MaxSubscriptions), newLimits(c.account, id).subs))
}

// payloadLimit is the lowest of the limits. c.mu is held.
func (c *conn) payloadLimit(set *terms, id *auth.Identity) int {
	if id.NoPayload {
		return 0
	}
	return int(lower(set.limits.MaxPayload, newLimits(c.account, id).payload))
}

// weed takes the subscriptions away that id does not allow, and has the others'
// messages looked at where it denies some, unless the client has logged in again since.
// It may run on any goroutine.
func (c *conn) weed(id *auth.Identity, login uint64) {
	p := id.Permissions
	var gone []*broker.Sub
	c.mu.Lock()
	if c.logins != login {
		c.mu.Unlock()
		return
	}
	account, all := c.account, c.subs.all()
	for _, s := range all {
		ok := p.CanSubscribe(s.Subject, s.Queue)
		if !ok {
			c.subs.remove(s)
			gone = append(gone, s)
		}
		filter := p.Filters(s.Subject, s.Queue)
		c.t.Locked(func() {
			s.State.Gone = s.State.Gone || !ok
			s.State.Filter = filter
		})
	}
	c.t.Locked(func() { c.out.permissions = p })
	over := id.NoSubs || id.MaxSubs > 0 && len(all)-len(gone) > id.MaxSubs
	c.mu.Unlock()
	account.UnsubscribeAll(gone)
	for _, s := range gone {
		text := wire.TextSubscriptionRemoved(string(s.Subject), string(s.Queue), s.SID)
		c.t.Write(wire.AppendErr(nil, text))
		c.log().Noticef("Removed sub %q (sid %q): not authorized any more", s.Subject, s.SID)
	}
	if over {
		c.shut(wire.ReasonMaxSubscriptions, wire.TextMaxSubscriptions)
	}
}
