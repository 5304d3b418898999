package broker

// RescueOrigin is the leaf cluster that a rescued message seems to come from, so
// that it is not rescued again.
const RescueOrigin = "$Q"

// Rescue lets messages of a route whose chosen queue group has no member here any
// more go on to another server that has one: once, never back to the server that
// chose us (cluster-routes 14.3, 20.8). Servers are told apart by the Link
// of their ports' Origin.
func (in *Inlet) Rescue() { in.rescues = true }

// rescue is the rare case of a group that was left between the choice and the
// arrival. A server with plain interest in the subject has had its copy, and
// would give a second line to its plain subscribers too: it does not count.
func (in *Inlet) rescue(m *Msg, served uint64) (n int) {
	if m.Cluster != "" {
		return 0
	}
	r := &in.spare
	in.build(r, m.Account, m.Subject, Route, false)
	for i := range r.groups {
		g := &r.groups[i]
		at, ok := m.listed(g.name)
		if !ok || served&(1<<at) != 0 {
			continue
		}
		kept := g.members[:0]
		for _, mb := range g.members {
			if mb.peer >= 0 && len(r.peers[mb.peer].plain) == 0 &&
				r.peers[mb.peer].port.Origin.Link != in.port.Origin.Link {
				kept = append(kept, mb)
			}
		}
		g.members = kept
		g.sort()
		if in.pick(r, g, m) {
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
