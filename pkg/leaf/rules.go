package leaf

import (
	"slices"
	"strings"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/wire"
)

// rules are what one link may carry. They never change: new permissions make new
// rules. A nil *filter allows everything.
type rules struct {
	send *filter // messages to the peer, and which interest of the peer counts
	recv *filter // messages from the peer, and which of our interest it is told of
}

// filter is a pair of lists. An entry may name a queue group.
type filter struct {
	allow, deny []pattern
	// none: with an empty allow list nothing is allowed rather than everything.
	none bool
	// scoped: some entry names a queue group.
	scoped bool
}

type pattern struct{ subject, queue string }

// newFilter is nil when the lists allow everything.
func newFilter(allow, deny []string, none bool) *filter {
	if len(allow) == 0 && len(deny) == 0 && !none {
		return nil
	}
	return makeFilter(patterns(allow), patterns(deny), none)
}

func makeFilter(allow, deny []pattern, none bool) *filter {
	scoped := func(p pattern) bool { return p.queue != "" }
	return &filter{
		allow: allow, deny: deny, none: none,
		scoped: slices.ContainsFunc(allow, scoped) || slices.ContainsFunc(deny, scoped),
	}
}

func patterns(list []string) []pattern {
	var ps []pattern
	for _, s := range list {
		f := strings.Fields(s)
		switch len(f) {
		case 1:
			ps = append(ps, pattern{f[0], ""})
		case 2:
			ps = append(ps, pattern{f[0], f[1]})
		}
	}
	return ps
}

// withDeny returns a filter that also denies what is listed.
func (f *filter) withDeny(deny []string) *filter {
	if len(deny) == 0 {
		return f
	}
	if f == nil {
		return newFilter(nil, deny, false)
	}
	all := append(append([]pattern(nil), f.deny...), patterns(deny)...)
	return makeFilter(f.allow, all, f.none)
}

// Prefixes that permissions of leaf links do not touch (leafnodes 9.2).
const (
	loopPrefix = "$LDS."
	mqttPrefix = "$MQTT."
)

func hasPrefix(s []byte, prefix string) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == prefix
}

// interest tells whether interest in a subject, which may hold wildcards, is to be told
// or accepted. A wildcard is if any of it is allowed: messages are filtered.
// Entries for a queue group say nothing here.
func (f *filter) interest(subj []byte) bool {
	if f == nil || exemptInterest(subj) {
		return true
	}
	if !f.allowsInterest(subj) && !hasPrefix(subj, mqttPrefix) {
		return false
	}
	for _, p := range f.deny {
		if p.queue == "" && subject.Subset(subj, p.subject) {
			return false
		}
	}
	return true
}

func exemptInterest(subj []byte) bool {
	return hasPrefix(subj, loopPrefix) || hasPrefix(subj, wire.OldGatewayReplyPrefix) ||
		hasPrefix(subj, wire.GatewayReplyPrefix)
}

func (f *filter) allowsInterest(subj []byte) bool {
	if len(f.allow) == 0 {
		return !f.none
	}
	for _, p := range f.allow {
		if p.queue == "" && subject.Overlap(subj, p.subject) {
			return true
		}
	}
	return false
}

// incoming tells whether the peer may send a message on subj.
func (f *filter) incoming(subj []byte) bool {
	if f == nil || hasPrefix(subj, wire.ServiceReplyPrefix) || hasPrefix(subj, wire.AckReplyPrefix) {
		return true
	}
	subj = wire.StripGatewayReply(subj)
	return f.plain(subj)
}

// outgoing tells whether a message may be sent to the peer's plain interest.
func (f *filter) outgoing(subj []byte) bool {
	if f == nil {
		return true
	}
	return f.plain(wire.StripGatewayReply(subj))
}

func (f *filter) plain(subj []byte) bool {
	ok := len(f.allow) == 0 && !f.none || hasPrefix(subj, mqttPrefix)
	for i := 0; i < len(f.allow) && !ok; i++ {
		ok = f.allow[i].queue == "" && subject.Match(f.allow[i].subject, subj)
	}
	return ok && !f.denied(subj, "")
}

func (f *filter) denied(subj []byte, queue string) bool {
	for i := range f.deny {
		if p := &f.deny[i]; p.queue == queue && subject.Match(p.subject, subj) {
			return true
		}
	}
	return false
}

// group tells whether a message may be sent to members of a group at the peer.
func (f *filter) group(subj, queue []byte) bool {
	ok := len(f.allow) == 0 && !f.none
	for i := 0; i < len(f.allow) && !ok; i++ {
		p := &f.allow[i]
		ok = (p.queue == "" || p.queue == string(queue)) && subject.Match(p.subject, subj)
	}
	return ok && !f.denied(subj, "") && !f.denied(subj, string(queue))
}

// appendGroups appends those of groups that may be served.
func (f *filter) appendGroups(dst [][]byte, subj []byte, groups [][]byte) [][]byte {
	for _, g := range groups {
		if f.group(subj, g) {
			dst = append(dst, g)
		}
	}
	return dst
}

// hubRules are what a user's permissions mean for a link on which it is the leaf:
// what it may publish we receive, what it may subscribe to we send.
func hubRules(perms *auth.Permissions, denySend []string) *rules {
	r := &rules{}
	if perms != nil && perms.Source != nil {
		p := perms.Source
		r.recv = newFilter(p.Publish.Allow, p.Publish.Deny, p.AllowResponses != nil && len(p.Publish.Allow) == 0)
		r.send = newFilter(p.Subscribe.Allow, p.Subscribe.Deny, false)
	}
	r.send = r.send.withDeny(denySend)
	return r
}

// spokeRules are what a hub told us in INFO, with our own denies.
func spokeRules(info *wire.LeafInfo, denyImports, denyExports []string) *rules {
	r := &rules{}
	if p := info.Import; p != nil {
		r.recv = newFilter(p.Allow, p.Deny, false)
	}
	if p := info.Export; p != nil {
		r.send = newFilter(p.Allow, p.Deny, false)
	}
	r.recv = r.recv.withDeny(denyImports)
	r.send = r.send.withDeny(denyExports)
	return r
}

func wirePermission(p config.SubjectPermission) *wire.SubjectPermission {
	if len(p.Allow) == 0 && len(p.Deny) == 0 {
		return nil
	}
	return &wire.SubjectPermission{Allow: p.Allow, Deny: p.Deny}
}
