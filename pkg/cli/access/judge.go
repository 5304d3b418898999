package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/subject"
)

// Who is a user, as a login makes it.
type Who struct {
	User    string
	Account string
	// Permissions nil allows everything. Whose says where they stand.
	Permissions *config.Permissions
	Whose       string
	// Notes are what else there is to know about its logins.
	Notes []string
}

// Question is what is asked: one of Publish and Subscribe is set.
type Question struct {
	Publish   string
	Subscribe string
	Queue     string
}

// Answer is the verdict and how it came about.
type Answer struct {
	Allowed bool   `json:"allowed"`
	User    string `json:"user,omitempty"`
	Account string `json:"account"`
	Action  string `json:"action"`
	Subject string `json:"subject"`
	Queue   string `json:"queue,omitempty"`
	// Outcomes are the subjects that a published message may get by mappings, or the
	// one that it has.
	Outcomes []Outcome `json:"outcomes,omitempty"`
	// Rule decided about a subscription.
	Rule string `json:"rule,omitempty"`
	// Filtered are entries that keep single messages from an allowed subscription.
	Filtered []string `json:"filtered,omitempty"`
	Mapping  string   `json:"mapping,omitempty"`
	// Ways are how messages cross accounts.
	Ways  []Way    `json:"ways,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// Outcome is one subject that a message may be published on.
type Outcome struct {
	Subject string `json:"subject"`
	// Weight in percent of the messages; 0: it depends on the message.
	Weight  int    `json:"weight,omitempty"`
	Allowed bool   `json:"allowed"`
	Rule    string `json:"rule"`
}

// Way is one import that carries messages.
type Way struct {
	Kind string `json:"kind"`
	// From and To are accounts, in the direction of messages, with the subject in each.
	From        string `json:"from"`
	FromSubject string `json:"from_subject"`
	To          string `json:"to"`
	ToSubject   string `json:"to_subject"`
	Export      string `json:"export"`
}

// World is what accounts say of themselves.
type World struct {
	Definitions []account.Definition
	// Cluster whose mappings count.
	Cluster       string
	SystemAccount string
}

// Judge answers a question.
func (w *World) Judge(who *Who, q Question) (*Answer, error) {
	a := &Answer{User: who.User, Account: who.Account, Queue: q.Queue, Notes: slices.Clone(who.Notes)}
	if q.Subscribe != "" {
		a.Action, a.Subject = "subscribe", q.Subscribe
		return a, w.subscribe(a, who)
	}
	a.Action, a.Subject = "publish", q.Publish
	return a, w.publish(a, who)
}

func (w *World) definition(name string) *account.Definition {
	for i := range w.Definitions {
		if w.Definitions[i].Name == name {
			return &w.Definitions[i]
		}
	}
	return &account.Definition{Name: name}
}

func (w *World) publish(a *Answer, who *Who) error {
	if !subject.ValidPublish(a.Subject) {
		return fmt.Errorf("%q is no subject that can be published to: tokens must not be empty, hold blanks or be * or >", a.Subject)
	}
	outcomes, err := w.mapped(a)
	if err != nil {
		return err
	}
	perms := auth.NewPermissions(who.Permissions)
	a.Allowed = true
	for _, o := range outcomes {
		o.Allowed, o.Rule = perms.CanPublish([]byte(o.Subject)), publishRule(who, o.Subject)
		if reserved := w.reservedSubject(o.Subject, who.Account); reserved != "" {
			o.Allowed, o.Rule = false, reserved
		}
		a.Allowed = a.Allowed && o.Allowed
		a.Outcomes = append(a.Outcomes, o)
		if o.Allowed {
			a.Ways = append(a.Ways, w.publishWays(who.Account, o.Subject)...)
		}
	}
	if p := who.Permissions; p != nil && p.AllowResponses != nil && !a.Allowed {
		a.Notes = append(a.Notes, responses(p.AllowResponses))
	}
	return nil
}

// reservedSubject says why clients may never publish to a subject; "" if they may.
func (w *World) reservedSubject(subj, name string) string {
	switch {
	case strings.HasPrefix(subj, "_GR_."):
		return "clients never publish to _GR_., which is for gateways"
	case strings.HasPrefix(subj, "$NRG.") && name != w.SystemAccount:
		return "clients publish to $NRG. in the system account only"
	}
	return ""
}

// mapped are the subjects that the account's mappings make of the one that is asked
// about.
func (w *World) mapped(a *Answer) ([]Outcome, error) {
	d := w.definition(a.Account)
	m, err := account.NewMapper(d.Mappings, w.Cluster)
	if err != nil {
		return nil, err
	}
	same := []Outcome{{Subject: a.Subject}}
	if m == nil || m.Find([]byte(a.Subject)) == nil {
		return same, nil
	}
	// The mapper chooses by chance; here each destination is looked at by itself. What
	// is found is the mapping that decides when the others are gone.
	var found *account.Mapping
	for i := range d.Mappings {
		if subject.Match(d.Mappings[i].Source, a.Subject) && (found == nil || before(d.Mappings[i].Source, found.Source)) {
			found = &d.Mappings[i]
		}
	}
	a.Mapping = found.Source
	here := func(d account.Destination) bool { return d.Cluster == "" }
	if w.Cluster != "" && slices.ContainsFunc(found.To, func(d account.Destination) bool { return d.Cluster == w.Cluster }) {
		here = func(d account.Destination) bool { return d.Cluster == w.Cluster }
	}
	var list []Outcome
	rest, keeps := 100, false
	for _, to := range found.To {
		if !here(to) || to.Weight == 0 {
			continue
		}
		rest -= to.Weight
		one, err := account.NewMapper([]account.Mapping{{Source: found.Source, To: []account.Destination{{Subject: to.Subject, Weight: 100}}}}, "")
		if err != nil {
			return nil, err
		}
		t, _ := one.Find([]byte(a.Subject)).Pick(0)
		out := string(t.Append(nil, []byte(a.Subject)))
		keeps = keeps || t.Identity()
		list = append(list, Outcome{Subject: out, Weight: to.Weight})
	}
	if rest > 0 {
		if keeps {
			a.Notes = append(a.Notes, fmt.Sprintf("%d%% of the messages are dropped by the mapping of %q on purpose", rest, found.Source))
		} else {
			list = append(list, Outcome{Subject: a.Subject, Weight: rest})
		}
	}
	return list, nil
}

// before tells whether the mapping of one pattern goes before that of another, where
// both match: the first token in which they differ is the narrower one.
func before(a, b string) bool {
	rank := func(token string) int { return strings.Index("*>", token) } // others are -1
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		if d := rank(x[i]) - rank(y[i]); d != 0 {
			return d < 0
		}
	}
	return len(x) > len(y)
}

func (w *World) subscribe(a *Answer, who *Who) error {
	switch {
	case !subject.ValidSubscribe(a.Subject):
		return fmt.Errorf("%q is no subject that can be subscribed to: tokens must not be empty or hold blanks, and > comes last", a.Subject)
	case strings.ContainsAny(a.Queue, " \t"):
		return fmt.Errorf("%q is no name of a queue: it holds blanks", a.Queue)
	}
	var queue []byte
	if a.Queue != "" {
		queue = []byte(a.Queue)
	}
	perms := auth.NewPermissions(who.Permissions)
	a.Allowed, a.Rule = perms.CanSubscribe([]byte(a.Subject), queue), subscribeRule(who, a.Subject, a.Queue)
	if a.Queue == "_sys_" {
		a.Allowed, a.Rule = false, "the queue _sys_ is reserved"
	}
	if !a.Allowed {
		return nil
	}
	if perms.Filters([]byte(a.Subject), queue) {
		for _, e := range who.Permissions.Subscribe.Deny {
			s, q := entry(e)
			if subject.Overlap(a.Subject, s) && concerns(q, a.Queue) {
				a.Filtered = append(a.Filtered, e)
			}
		}
	}
	a.Ways = w.subscribeWays(who.Account, a.Subject)
	return nil
}

// entry parts a list's entry into subject and queue.
func entry(e string) (subj, queue string) {
	f := strings.Fields(e)
	switch len(f) {
	case 0:
		return "", ""
	case 1:
		return f[0], ""
	}
	return f[0], f[1]
}

func covers(pattern, queue string) bool { return pattern == queue || subject.Match(pattern, queue) }

// concerns tells whether a deny entry with this queue is about subscriptions with that one.
func concerns(pattern, queue string) bool {
	return pattern == "" || queue != "" && covers(pattern, queue)
}

// publishRule says which entry decides.
func publishRule(who *Who, subj string) string {
	p := who.Permissions
	if p == nil {
		return "nothing restricts " + who.whom()
	}
	for _, e := range p.Publish.Deny {
		if subject.Match(e, subj) {
			return fmt.Sprintf("publish.deny entry %q %s", e, who.Whose)
		}
	}
	for _, e := range p.Publish.Allow {
		if subject.Match(e, subj) {
			return fmt.Sprintf("publish.allow entry %q %s", e, who.Whose)
		}
	}
	switch {
	case len(p.Publish.Allow) > 0:
		return fmt.Sprintf("no entry of publish.allow %s matches: %s", who.Whose, list(p.Publish.Allow))
	case p.AllowResponses != nil:
		return fmt.Sprintf("allow_responses %s without publish.allow: nothing but answers", who.Whose)
	case len(p.Publish.Deny) > 0:
		return fmt.Sprintf("no entry of publish.deny %s matches, and there is no publish.allow", who.Whose)
	}
	return fmt.Sprintf("nothing %s restricts publishing", who.Whose)
}

func subscribeRule(who *Who, subj, queue string) string {
	p := who.Permissions
	if p == nil {
		return "nothing restricts " + who.whom()
	}
	for _, e := range p.Subscribe.Deny {
		if s, q := entry(e); concerns(q, queue) && subject.Subset(subj, s) {
			return fmt.Sprintf("subscribe.deny entry %q %s", e, who.Whose)
		}
	}
	qualified, plain, part := "", "", ""
	for _, e := range p.Subscribe.Allow {
		s, q := entry(e)
		switch {
		case !subject.Subset(subj, s):
			if subject.Overlap(subj, s) {
				part = e
			}
		case q == "":
			plain = e
		case queue != "" && covers(q, queue):
			return fmt.Sprintf("subscribe.allow entry %q %s", e, who.Whose)
		default:
			qualified = e
		}
	}
	switch {
	case plain != "" && (qualified == "" || queue == ""):
		return fmt.Sprintf("subscribe.allow entry %q %s", plain, who.Whose)
	case qualified != "" && queue == "":
		return fmt.Sprintf("subscribe.allow entry %q %s is for its queue only", qualified, who.Whose)
	case qualified != "":
		return fmt.Sprintf("subscribe.allow entry %q %s is for another queue", qualified, who.Whose)
	case part != "":
		return fmt.Sprintf("subscribe.allow entry %q %s covers only a part of %q", part, who.Whose, subj)
	case len(p.Subscribe.Allow) > 0:
		return fmt.Sprintf("no entry of subscribe.allow %s covers it: %s", who.Whose, list(p.Subscribe.Allow))
	case len(p.Subscribe.Deny) > 0:
		return fmt.Sprintf("no entry of subscribe.deny %s covers it, and there is no subscribe.allow", who.Whose)
	}
	return fmt.Sprintf("nothing %s restricts subscribing", who.Whose)
}

func (who *Who) whom() string {
	if who.User == "" {
		return "who connects without a name"
	}
	return fmt.Sprintf("user %q", who.User)
}

func list(entries []string) string {
	const most = 8
	var q []string
	for i, e := range entries {
		if i == most {
			q = append(q, fmt.Sprintf("and %d more", len(entries)-most))
			break
		}
		q = append(q, fmt.Sprintf("%q", e))
	}
	return strings.Join(q, ", ")
}

func responses(r *config.ResponsePermission) string {
	count, span := fmt.Sprintf("%d times", r.Max), fmt.Sprintf("within %s", r.Expires)
	if r.Max == 1 || r.Max == 0 {
		count = "once"
	}
	if r.Max < 0 {
		count = "any number of times"
	}
	if r.Expires == 0 {
		span = "within 2m0s"
	}
	if r.Expires < 0 {
		span = "at any time"
	}
	return fmt.Sprintf("the reply subject of a request that it gets may be published to %s %s (allow_responses)", count, span)
}
