package broker

import "math/bits"

// deliver hands m to the destinations in r and returns how many took it.
func (in *Inlet) deliver(r *result, m *Msg) int {
	if len(r.special) > 0 {
		return in.deliverSpecial(r, m)
	}
	return in.deliverHere(r, m)
}

func (in *Inlet) deliverHere(r *result, m *Msg) (n int) {
	if in.trace != nil {
		return in.deliverTraced(r, m)
	}
	size := len(m.Payload)
	for _, s := range r.direct {
		if s.extra != nil {
			if in.deliverShadow(m, s) {
				n++
			}
			continue
		}
		if s.Port.Sink.Deliver(m, s) {
			in.mark(s.Port, size)
			n++
		}
	}
	served := uint64(0)
	for i := range r.groups {
		g := &r.groups[i]
		if at, ok := m.listed(g.name); ok && in.pick(r, g, m) {
			served |= 1 << at
			n++
		}
	}
	for i := range r.peers {
		p := &r.peers[i]
		plain := p.wants(m)
		if !plain && len(p.names) == 0 {
			continue
		}
		shown := m
		if p.way != nil {
			shown, _ = in.local(m, p.way)
		}
		if p.port.Sink.DeliverOnce(shown, plain, p.names) {
			in.mark(p.port, size)
			if plain {
				n++
			}
		}
		clear(p.names)
		p.names = p.names[:0]
	}
	if in.rescues && len(m.Groups) > bits.OnesCount64(served) {
		n += in.rescue(m, served)
	}
	return n
}

// deliverSpecial is deliver for a result some of which is in other accounts.
func (in *Inlet) deliverSpecial(r *result, m *Msg) int {
	var room [4]*Sub
	special := append(room[:0], r.special...) // what follows may make r anew
	n := in.deliverHere(r, m)
	for _, s := range special {
		n += in.cross(s, m)
	}
	return n
}

// wants tells whether the peer has plain interest that m may be sent to: not
// only that of the leaf cluster which it comes from.
func (p *peer) wants(m *Msg) bool {
	if p.way != nil && m.via != nil {
		return false
	}
	if m.Cluster == "" {
		return len(p.plain) > 0
	}
	for _, s := range p.plain {
		if s.Origin.Cluster != m.Cluster {
			return true
		}
	}
	return false
}

// pick gives m to one member of g: the lowest tier of which a member takes it,
// and within the tier a member at random, by weight, or the nearest.
func (in *Inlet) pick(r *result, g *group, m *Msg) bool {
	from := 0
	for t := range tiers {
		to := g.ends[t]
		if from == to {
			continue
		}
		tier := g.members[from:to]
		from = to
		if t == TierBorder && len(tier) > 1 {
			if in.pickNearest(r, g, tier, m) {
				return true
			}
			continue
		}
		start := in.start(tier)
		for i := range tier {
			k := start + i
			if k >= len(tier) {
				k -= len(tier)
			}
			if in.give(r, g, &tier[k], m) {
				return true
			}
		}
	}
	return false
}

// start is a random member, each as likely as its weight.
func (in *Inlet) start(tier []member) int {
	if len(tier) == 1 {
		return 0
	}
	total := uint32(0)
	for i := range tier {
		total += uint32(max(tier[i].sub.Weight(), 0))
	}
	if total == 0 {
		return 0
	}
	at := in.random(total)
	for i := range tier {
		w := uint32(max(tier[i].sub.Weight(), 0))
		if at < w {
			return i
		}
		at -= w
	}
	return 0
}

// pickNearest tries members in order of their port's distance.
func (in *Inlet) pickNearest(r *result, g *group, tier []member, m *Msg) bool {
	tried := uint64(0)
	for range tier {
		best := -1
		for i := range tier {
			if i < 64 && tried&(1<<i) != 0 {
				continue
			}
			if best < 0 || tier[i].sub.Port.Distance.Load() < tier[best].sub.Port.Distance.Load() {
				best = i
			}
		}
		if best < 0 || best >= 64 {
			return false
		}
		if in.give(r, g, &tier[best], m) {
			return true
		}
		tried |= 1 << best
	}
	return false
}

// give offers m to one member. A peer is only noted: it gets one line for all
// that it is chosen for.
func (in *Inlet) give(r *result, g *group, mb *member, m *Msg) bool {
	s := mb.sub
	if s.Weight() <= 0 || m.Cluster != "" && s.Origin.Cluster == m.Cluster {
		return false
	}
	if in.trace != nil && mb.peer < 0 {
		return in.traceTo(m, s)
	}
	if s.extra != nil {
		if m.via != nil {
			return false
		}
		if mb.peer < 0 {
			return in.deliverShadow(m, s)
		}
	}
	if mb.peer < 0 {
		if !s.Port.Sink.Deliver(m, s) {
			return false
		}
		in.mark(s.Port, len(m.Payload))
		return true
	}
	p := &r.peers[mb.peer]
	p.names = append(p.names, g.name)
	return true
}
