package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/banyanmq/banyan/pkg/subject"
)

// What may be wrong with a mapping. The texts are known to tools.
var (
	ErrTotalWeight = errors.New("total weight needs to be <= 100")
	ErrWeight      = errors.New("individual weights need to be <= 100")
)

// Mapper finds the mapping of a published subject. It does not change.
type Mapper struct {
	literal map[string]*Rule
	// wild has the more specific patterns first.
	wild []*Rule
}

// Rule is one mapping as it counts in one cluster.
type Rule struct {
	source string
	to     []choice
	// loses: what no destination gets is dropped; otherwise it stays as it is.
	loses bool
}

type choice struct {
	transform *subject.Transform
	upTo      uint32 // sum of the weights up to here
}

// NewMapper makes the mapper for servers of a cluster; nil without mappings.
func NewMapper(list []Mapping, cluster string) (*Mapper, error) {
	if len(list) == 0 {
		return nil, nil
	}
	m := &Mapper{literal: make(map[string]*Rule)}
	for i := range list {
		r, err := newRule(&list[i], cluster)
		if err != nil {
			return nil, err
		}
		if subject.HasWildcard(r.source) {
			m.wild = append(m.wild, r)
		} else {
			m.literal[r.source] = r
		}
	}
	slices.SortStableFunc(m.wild, func(a, b *Rule) int { return moreSpecific(a.source, b.source) })
	return m, nil
}

// moreSpecific orders patterns: the one whose first difference is the narrower
// token comes first, and the longer one if there is none.
func moreSpecific(a, b string) int {
	rank := func(tok string) int {
		switch tok {
		case "*":
			return 1
		case ">":
			return 2
		}
		return 0
	}
	for a != "" && b != "" {
		x, aRest, _ := subject.Cut(a)
		y, bRest, _ := subject.Cut(b)
		if d := rank(x) - rank(y); d != 0 {
			return d
		}
		a, b = aRest, bRest
	}
	return len(b) - len(a)
}

func newRule(m *Mapping, cluster string) (*Rule, error) {
	r := &Rule{source: m.Source}
	fail := func(dest string, err error) error {
		return fmt.Errorf("Error adding mapping for %q to %q : %w", m.Source, dest, err) //nolint:staticcheck // known text
	}
	if !subject.ValidSubscribe(m.Source) {
		return nil, fail("", subject.ErrInvalid)
	}
	here := func(d *Destination) bool { return d.Cluster == "" }
	if cluster != "" && slices.ContainsFunc(m.To, func(d Destination) bool { return d.Cluster == cluster }) {
		here = func(d *Destination) bool { return d.Cluster == cluster }
	}
	totals := map[string]int{}
	seen := map[string]bool{}
	total := uint32(0)
	for i := range m.To {
		d := &m.To[i]
		switch {
		case seen[d.Cluster+" "+d.Subject]:
			return nil, fail(d.Subject, fmt.Errorf("duplicate entry for %q", d.Subject))
		case d.Weight < 0 || d.Weight > 100:
			return nil, fail(d.Subject, ErrWeight)
		}
		seen[d.Cluster+" "+d.Subject] = true
		if totals[d.Cluster] += d.Weight; totals[d.Cluster] > 100 {
			return nil, fail(d.Subject, ErrTotalWeight)
		}
		t, err := parseDestination(m.Source, d.Subject)
		if err != nil {
			return nil, fail(d.Subject, err)
		}
		if !here(d) {
			continue
		}
		r.loses = r.loses || t.Identity()
		if d.Weight > 0 {
			total += uint32(d.Weight)
			r.to = append(r.to, choice{t, total})
		}
	}
	return r, nil
}

// parseDestination takes the source itself too, with its wildcards as they are.
func parseDestination(source, dest string) (*subject.Transform, error) {
	if source == dest {
		dest = numbered(dest)
	}
	if dest == "" {
		return nil, subject.ErrInvalid // would be no subject
	}
	return subject.ParseTransform(source, dest)
}

// Find returns the rule for a subject; nil if it is not mapped.
func (m *Mapper) Find(subj []byte) *Rule {
	if r := m.literal[string(subj)]; r != nil {
		return r
	}
	for _, r := range m.wild {
		if subject.Match(r.source, subj) {
			return r
		}
	}
	return nil
}

// Sources are the patterns of the subjects that are mapped.
func (m *Mapper) Sources() []string {
	var all []string
	for s := range m.literal {
		all = append(all, s)
	}
	for _, r := range m.wild {
		all = append(all, r.source)
	}
	slices.SortFunc(all, strings.Compare)
	return all
}

// Fixed returns the transform if it is the same for each message and makes the same
// of the same subject; else nil.
func (r *Rule) Fixed() *subject.Transform {
	if len(r.to) == 1 && r.to[0].upTo == 100 && r.to[0].transform.Fixed() {
		return r.to[0].transform
	}
	return nil
}

// Pick chooses for one message by a number below 100 at random. A nil transform
// leaves the message as it is, unless drop is set: then it is lost on purpose.
func (r *Rule) Pick(dice uint32) (t *subject.Transform, drop bool) {
	for i := range r.to {
		if dice < r.to[i].upTo {
			return r.to[i].transform, false
		}
	}
	return nil, r.loses
}
