package gateway

import (
	"slices"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
)

// reload changes a copy of the settings and puts it into force.
func (s *site) reload(t *testing.T, change func(c *config.Gateway)) {
	t.Helper()
	old := s.set().Gateway
	next := *old
	next.Remotes = slices.Clone(next.Remotes)
	change(&next)
	ch := config.Compare(&config.Config{Daemon: config.Gwd, Gateway: old}, &config.Config{Daemon: config.Gwd, Gateway: &next})
	if err := ch.Refused(); err != nil {
		t.Fatal(err)
	}
	apply, err := s.Prepare(ch)
	if err != nil {
		t.Fatal(err)
	}
	if apply != nil {
		apply()
	}
}

func TestReloadRemotes(t *testing.T) {
	b := newSite(t, "B", nil)
	c := newSite(t, "C", nil)
	a := newSite(t, "A", nil, remote("B", b.Addr().String()))
	for _, s := range []*site{a, b, c} {
		s.Open()
	}
	reaches := func(names ...string) func() bool {
		return func() bool {
			var have []string
			for _, r := range a.Remotes() {
				have = append(have, r.Name)
			}
			return slices.Equal(have, names)
		}
	}
	await(t, "a reaches b", reaches("B"))
	first := a.list(outbound)[0]
	a.reload(t, func(*config.Gateway) {})
	a.reload(t, func(g *config.Gateway) { g.Remotes = append(g.Remotes, remote("C", c.Addr().String())) })
	await(t, "a reaches c too", reaches("B", "C"))
	if a.region("B", false).live() != first {
		t.Error("the connection to b was made anew")
	}

	// Another user than the one that a and b dial with: they are sent away.
	c.reload(t, func(g *config.Gateway) { g.Auth = config.LinkAuth{User: "u", Password: "p"} })
	await(t, "a does not reach c", reaches("B"))
	a.reload(t, func(g *config.Gateway) { g.Auth = config.LinkAuth{User: "u", Password: "p"} })
	await(t, "a reaches c again", reaches("B", "C"))

	// Regions that are not listed must not come in.
	b.reload(t, func(g *config.Gateway) { g.RejectUnknown = true })
	await(t, "b let a go", reaches("C"))
	b.reload(t, func(g *config.Gateway) { g.RejectUnknown = false })
	await(t, "b lets a in", reaches("B", "C"))

	a.reload(t, func(g *config.Gateway) { g.RejectUnknown = true; g.Remotes = g.Remotes[:1] })
	await(t, "a does not reach c", reaches("B"))
	if a.known("C") {
		t.Error("c is still known")
	}
}

// TestReloadKeepsConnections: how often they are pinged changes under them; who is none
// of those that are let in now is sent away.
func TestReloadKeepsConnections(t *testing.T) {
	set := pki(t)
	with := func(o *Options) { o.Settings.TLS = set }
	a := newSite(t, "A", with)
	b := newSite(t, "B", with, remote("A", a.Addr().String()))
	a.Open()
	b.Open()
	a.has(t, "B")
	c := b.has(t, "A").live()
	old := &config.Config{Daemon: config.Gwd, Gateway: b.set().Gateway}
	next := *old
	next.Limits.PingInterval, next.Limits.PingMax = 20*time.Millisecond, 100
	apply, err := b.Prepare(config.Compare(old, &next))
	if err != nil || apply == nil {
		t.Fatal(err)
	}
	out := c.tc.BytesOut()
	apply()
	await(t, "pings", func() bool { return c.tc.BytesOut() > out+500 })
	if b.region("A", false).live() != c {
		t.Error("the connection was made anew")
	}
	pin := func(pins ...string) func(g *config.Gateway) {
		return func(g *config.Gateway) {
			other := *g.TLS
			other.PinnedCerts = pins
			g.TLS = &other
		}
	}
	b.reload(t, pin(config.Fingerprint(c.tc.TLSState().PeerCertificates[0])))
	if c.tc.Cause() != nil {
		t.Error("who is pinned was sent away")
	}
	b.reload(t, pin("00"))
	await(t, "sent away", func() bool { return c.tc.Cause() != nil })
	in := a.list(inbound)
	a.reload(t, pin("00"))
	for _, c := range in {
		await(t, "sent away", func() bool { return c.tc.Cause() != nil })
	}
}
