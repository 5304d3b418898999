package auth

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/subject"
)

// Defaults of response permissions.
const (
	defaultResponses   = 1
	defaultResponseAge = 2 * time.Minute
)

// Permissions is what an identity may publish and subscribe to. A nil
// *Permissions allows everything. It is not changed after it was made.
type Permissions struct {
	pub       rules
	quick     published
	pubClosed bool // nothing but responses: no allow list, but allow_responses
	sub       rules
	// responses: how many answers each request allows (negative: any number)
	// within which time (negative: for ever).
	responses   bool
	maxAnswers  int
	answerLimit time.Duration

	// Source is what it was made from, for monitoring.
	Source *config.Permissions
}

type rules struct {
	allow, deny []rule
}

// Of what may be published to, for speed.
type published struct {
	allow, deny patterns
}

// rule is an entry of a list; queue is nil unless it is qualified by one.
type rule struct {
	subject []byte
	queue   []byte
}

// NewPermissions compiles settings; nil gives nil.
func NewPermissions(p *config.Permissions) *Permissions {
	if p == nil {
		return nil
	}
	out := &Permissions{pub: newRules(p.Publish), sub: newRules(p.Subscribe), Source: p}
	out.quick = published{newPatterns(out.pub.allow), newPatterns(out.pub.deny)}
	if r := p.AllowResponses; r != nil {
		out.responses = true
		out.pubClosed = len(p.Publish.Allow) == 0
		out.maxAnswers, out.answerLimit = r.Max, r.Expires
		if out.maxAnswers == 0 {
			out.maxAnswers = defaultResponses
		}
		if out.answerLimit == 0 {
			out.answerLimit = defaultResponseAge
		}
	}
	return out
}

// Denying returns permissions that are the same but for subjects that must not be
// published to, whatever else is allowed.
func (p *Permissions) Denying(subjects ...string) *Permissions {
	var source config.Permissions
	if p != nil {
		source = *p.Source
	}
	source.Publish.Deny = slices.Concat(source.Publish.Deny, subjects)
	return NewPermissions(&source)
}

func newRules(p config.SubjectPermission) rules {
	return rules{newList(p.Allow), newList(p.Deny)}
}

func newList(entries []string) []rule {
	list := make([]rule, 0, len(entries))
	for _, e := range entries {
		f := strings.Fields(e)
		if len(f) == 0 {
			continue
		}
		r := rule{subject: []byte(f[0])}
		if len(f) > 1 {
			r.queue = []byte(f[1])
		}
		list = append(list, r)
	}
	return list
}

// Restricted tells whether publishing is restricted at all.
func (p *Permissions) Restricted() bool {
	return p != nil && (p.pubClosed || len(p.pub.allow) > 0 || len(p.pub.deny) > 0)
}

// CanPublish tells whether the lists let subj be published to. Its wildcards are
// literal. Response permissions are [Responses]' matter.
func (p *Permissions) CanPublish(subj []byte) bool {
	if p == nil {
		return true
	}
	if p.pubClosed || len(p.pub.allow) > 0 && !p.quick.allow.match(subj) {
		return false
	}
	return !p.quick.deny.match(subj)
}

// CanSubscribe tells whether a subscription may be made; queue nil is a plain
// one. A pattern has to lie wholly within an allowed one. One that is only in
// part denied is admitted: see Filters.
func (p *Permissions) CanSubscribe(subj, queue []byte) bool {
	if p == nil {
		return true
	}
	return p.subAllowed(subj, queue) && !p.subDenied(subj, queue)
}

// subAllowed: among the entries that cover the subject, those with a queue decide
// about queue subscriptions if there are any; plain ones decide otherwise
// (accounts-auth 6.2).
func (p *Permissions) subAllowed(subj, queue []byte) bool {
	if len(p.sub.allow) == 0 {
		return true
	}
	plain, qualified := false, false
	for i := range p.sub.allow {
		r := &p.sub.allow[i]
		switch {
		case !subject.Subset(subj, r.subject):
		case r.queue == nil:
			plain = true
		case queue == nil:
		case r.covers(queue):
			return true
		default:
			qualified = true
		}
	}
	return plain && !qualified
}

func (p *Permissions) subDenied(subj, queue []byte) bool {
	for i := range p.sub.deny {
		r := &p.sub.deny[i]
		if r.concerns(queue) && subject.Subset(subj, r.subject) {
			return true
		}
	}
	return false
}

// Filters tells whether messages for an admitted subscription have to be looked
// at one by one with Delivers.
func (p *Permissions) Filters(subj, queue []byte) bool {
	if p == nil {
		return false
	}
	for i := range p.sub.deny {
		r := &p.sub.deny[i]
		if r.concerns(queue) && subject.Overlap(subj, r.subject) {
			return true
		}
	}
	return false
}

// Delivers tells whether a message on subj may go to a subscription with this queue.
func (p *Permissions) Delivers(subj, queue []byte) bool {
	if p == nil {
		return true
	}
	for i := range p.sub.deny {
		r := &p.sub.deny[i]
		if r.concerns(queue) && subject.Match(r.subject, subj) {
			return false
		}
	}
	return true
}

// concerns tells whether a deny entry is about subscriptions with this queue.
func (r *rule) concerns(queue []byte) bool {
	return r.queue == nil || queue != nil && r.covers(queue)
}

// covers tells whether the entry's queue, which may hold wildcards, is this one.
func (r *rule) covers(queue []byte) bool {
	return bytes.Equal(r.queue, queue) || subject.Match(r.queue, queue)
}
