package leaf

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
)

// reload changes a copy of the settings and puts it into force.
func (n *node) reload(change func(c *config.Config)) {
	n.t.Helper()
	next := *n.cfg
	block := *n.cfg.LeafNodes
	block.Remotes = slices.Clone(block.Remotes)
	block.Auth.Users = slices.Clone(block.Auth.Users)
	next.LeafNodes = &block
	change(&next)
	ch := config.Compare(n.cfg, &next)
	if err := ch.Refused(); err != nil {
		n.t.Fatal(err)
	}
	for _, prepare := range []func(*config.Change) (func(), error){n.users().Prepare, n.s.Prepare} {
		apply, err := prepare(ch)
		if err != nil {
			n.t.Fatal(err)
		}
		if apply != nil {
			apply()
		}
	}
	n.cfg = &next
}

func (n *node) users() *auth.Users { return n.o.Judge.(*auth.Users) }

// reloadable lets a node's users change.
func reloadable(n *node) {
	u := auth.NewUsers(n.cfg, nil)
	n.o.Auth, n.o.Judge = u, u
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

func (n *node) ids() (list []uint64) {
	for _, c := range n.reg.Open() {
		list = append(list, c.ID())
	}
	slices.Sort(list)
	return list
}

func TestReloadRemotes(t *testing.T) {
	a, b := startNode(t, "a", listening), startNode(t, "b", listening)
	n := startNode(t, "n", dialing(a.addr()), hurried, reloadable)
	until(t, "link to a", func() bool { return len(n.ids()) == 1 })
	first := n.ids()

	n.reload(func(*config.Config) {})
	n.reload(func(c *config.Config) { c.LeafNodes.Remotes[0].FirstInfoTimeout = time.Minute })
	other := newNode(t, "other", dialing(b.addr()))
	n.reload(func(c *config.Config) {
		c.LeafNodes.Remotes = append(c.LeafNodes.Remotes, other.cfg.LeafNodes.Remotes[0])
	})
	until(t, "link to b", func() bool { return len(n.ids()) == 2 })
	if !slices.Contains(n.ids(), first[0]) {
		t.Error("the link that did not change was made anew")
	}

	n.reload(func(c *config.Config) { c.LeafNodes.Remotes[1].Disabled = true })
	until(t, "no link to b", func() bool { return slices.Equal(n.ids(), first) })
	if s := n.s.Links()[1].State; s != RemoteDisabled {
		until(t, "state", func() bool { return n.s.Links()[1].State == RemoteDisabled })
	}
	n.reload(func(c *config.Config) { c.LeafNodes.Remotes[1].Disabled = false })
	until(t, "link to b again", func() bool { return len(n.ids()) == 2 })

	// Another order, and one of the two changed: only its link is made anew.
	n.reload(func(c *config.Config) {
		r := c.LeafNodes.Remotes
		r[0], r[1] = r[1], r[0]
		r[0].DenyImports = []string{"secret.>"}
	})
	until(t, "b made anew", func() bool {
		return len(n.ids()) == 2 && n.s.Links()[0].State == RemoteUp && n.s.Links()[0].LinkID > first[0]
	})
	if !slices.Contains(n.ids(), first[0]) {
		t.Error("the link that only moved was made anew")
	}

	n.reload(func(c *config.Config) { c.LeafNodes.Remotes = c.LeafNodes.Remotes[:1] })
	until(t, "no link to a", func() bool { return len(n.ids()) == 1 && !slices.Contains(n.ids(), first[0]) })
	n.reload(func(c *config.Config) { c.LeafNodes = nil; c.LeafNodes = &config.LeafNodes{} })
	until(t, "no link", func() bool { return len(n.ids()) == 0 && len(a.ids()) == 0 && len(b.ids()) == 0 })
	for _, i := range n.reg.Closed() {
		if i.Reason.String() != "Client Closed" {
			t.Errorf("closed with %q", i.Reason)
		}
	}
}

// Who may log in at the listener: those that are gone lose their link, those whose
// permissions change keep it and are told.
func TestReloadLeafUsers(t *testing.T) {
	users := func(n *node) {
		n.cfg.Accounts = []config.Account{{Name: "A", Users: []config.User{
			{Name: "one", Password: "1", Account: "A"}, {Name: "two", Password: "2", Account: "A"}}}}
	}
	hub := startNode(t, "hub", listening, users, reloadable)
	leaf := func(name, user, pass string) *node {
		return startNode(t, name, hurried, dialing(hub.addr(), func(r *config.LeafRemote) { r.User, r.Password = user, config.Secret(pass) }))
	}
	one, two := leaf("n1", "one", "1"), leaf("n2", "two", "2")
	until(t, "two links", func() bool { return len(hub.ids()) == 2 })
	ids := hub.ids()
	hub.reload(func(c *config.Config) {
		c.Accounts = []config.Account{{Name: "A", Users: []config.User{
			{Name: "one", Password: "1", Account: "A", Permissions: &config.Permissions{Publish: config.SubjectPermission{Allow: []string{"ok.>"}}}},
			{Name: "two", Password: "other", Account: "A"}}}}
	})
	until(t, "two is refused", func() bool {
		s := two.s.Links()[0]
		return s.State != RemoteUp && strings.Contains(s.LastErr, "Authorization Violation")
	})
	if now := hub.ids(); len(now) != 1 || !slices.Contains(ids, now[0]) {
		t.Errorf("links %v, before %v", now, ids)
	}
	// What is not allowed any more does not pass, what is does.
	in, out := hub.nats(nats.UserInfo("one", "1")), one.nats()
	sub, err := in.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Flush(); err != nil {
		t.Fatal(err)
	}
	until(t, "interest at the leaf", func() bool { return one.b.Account("$G").HasInterest([]byte("ok.x")) })
	until(t, "the leaf knows", func() bool { return one.s.open()[0].rules.Load().send != nil })
	for _, s := range []string{"no.x", "ok.x"} {
		if err := out.Publish(s, nil); err != nil {
			t.Fatal(err)
		}
	}
	m, err := sub.NextMsg(patience)
	if err != nil || m.Subject != "ok.x" {
		t.Errorf("got %v, %v", m, err)
	}
	hub.reload(func(c *config.Config) {
		c.Accounts = nil
		c.Accounts = []config.Account{{Name: "A", Users: []config.User{{Name: "x", Account: "A"}}}}
	})
	until(t, "no links", func() bool { return len(hub.ids()) == 0 })
}

// TestReloadPins: links whose certificate is none of those that are let in now end.
func TestReloadPins(t *testing.T) {
	p := newPKI(t)
	server := p.tls("hub")
	server.Verify = true
	hub := startNode(t, "hub", listening, secured(server), reloadable)
	edge := startNode(t, "edge", dialing(hub.addr(), with(p.tls("edge"))), hurried, reloadable)
	hub.links(1)
	edge.links(1)
	ids := hub.ids()
	certificate := hub.reg.Open()[0].(*conn).c.TLSState().PeerCertificates[0]
	pin := func(pins ...string) func(*config.Config) {
		return func(c *config.Config) {
			other := *c.LeafNodes.TLS
			other.PinnedCerts = pins
			c.LeafNodes.TLS = &other
		}
	}
	hub.reload(pin(config.Fingerprint(certificate)))
	if now := hub.ids(); !slices.Equal(now, ids) {
		t.Errorf("links %v, before %v", now, ids)
	}
	hub.reload(pin(strings.Repeat("0", 64)))
	until(t, "the link ends", func() bool { return !slices.Contains(hub.ids(), ids[0]) })
	if r := hub.reg.Closed()[0].Reason.String(); r != "TLS Handshake Failure" {
		t.Errorf("closed with %q", r)
	}
}
