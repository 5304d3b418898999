package auth

import (
	"bytes"
	"hash/maphash"
)

// verdictSlots is how many subjects' verdicts a connection remembers.
const verdictSlots = 64

// Verdicts remembers, for one connection, which subjects may be published to. It
// is used by one goroutine. It is direct-mapped: a subject displaces the one in
// its slot, whose memory it reuses.
type Verdicts struct {
	p     *Permissions
	seed  maphash.Seed
	slots [verdictSlots]verdict
}

type verdict struct {
	subject []byte
	allowed bool
}

// maxRemembered bounds what a slot may hold on to; longer subjects are judged anew.
const maxRemembered = 256

// NewVerdicts returns an empty memory for p.
func NewVerdicts(p *Permissions) *Verdicts { return &Verdicts{p: p, seed: maphash.MakeSeed()} }

// CanPublish is [Permissions.CanPublish], remembered.
func (v *Verdicts) CanPublish(subj []byte) bool {
	if len(subj) > maxRemembered {
		return v.p.CanPublish(subj)
	}
	s := &v.slots[maphash.Bytes(v.seed, subj)%verdictSlots]
	if s.subject != nil && bytes.Equal(s.subject, subj) {
		return s.allowed
	}
	s.allowed = v.p.CanPublish(subj)
	s.subject = append(s.subject[:0], subj...)
	return s.allowed
}
