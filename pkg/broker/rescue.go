package broker

// RescueOrigin is the leaf cluster that a rescued message seems to come from, so
// that it is not rescued again.
const RescueOrigin = "$Q"

// Rescue lets messages of a route whose chosen queue group has no member here any
// more go on to another server that has one: once, and back to the server that
// chose us only if no other has (cluster-routes 14.3, 20.8): a member that moved
// from here to there, as clients do before a planned stop, gets what was chosen for
// it before. Servers are told apart by the Link of their ports' Origin.
func (in *Inlet) Rescue() { in.rescues = true }

// rescue is the rare case of a group that was left between the choice and the
// arrival. A server with plain interest in the subject has had its copy, and
// would give a second line to its plain subscribers too: it does not count.
func (in *Inlet) rescue(m *Msg, served uint64) (n int) {
	if m.Cluster != "" {
		return 0
	}
	r := &in.spare
	in.returns = true
	in.build(r, m.Account, m.Subject, Route, false)
	in.returns = false
	for i := range r.groups {
		g := &r.groups[i]
		at, ok := m.listed(g.name)
		if !ok || served&(1<<at) != 0 {
			continue
		}
		all := g.members
		if in.pickElsewhere(r, g, all, m, false) || in.pickElsewhere(r, g, all, m, true) {
			n++
		}
	}
	m.Cluster = RescueOrigin
	for i := range r.peers {
		p := &r.peers[i]
		if len(p.names) > 0 && p.port.Sink.DeliverOnce(m, false, p.names) {
			in.mark(p.port, len(m.Payload))
		}
	}
	m.Cluster = ""
	return n
}

// pickElsewhere picks among those of the members that are at the server which chose
// us, or at any other.
func (in *Inlet) pickElsewhere(r *result, g *group, all []member, m *Msg, chooser bool) bool {
	kept := make([]member, 0, len(all))
	for _, mb := range all {
		if mb.peer >= 0 && len(r.peers[mb.peer].plain) == 0 &&
			(r.peers[mb.peer].port.Origin.Link == in.port.Origin.Link) == chooser {
			kept = append(kept, mb)
		}
	}
	g.members = kept
	g.sort()
	return in.pick(r, g, m)
}
