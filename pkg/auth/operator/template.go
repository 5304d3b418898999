package operator

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/subject"
)

// maxExpanded bounds each list of a template's subjects.
const maxExpanded = 4096

var (
	errTemplate = errors.New("User JWT generated invalid permissions")
	operation   = regexp.MustCompile(`\{\{[^{}]*\}\}`)
)

// values are what a template may ask for.
type values struct {
	name, subject           string
	accountName, accountKey string
	tags, accountTags       jwt.TagList
}

// of returns the values of an operation; ok is false if there is no such one.
func (v *values) of(op string) (list []string, ok bool) {
	op = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(op, "{{"), "}}"))
	name, arg, ok := strings.Cut(op, "(")
	if !ok || !strings.HasSuffix(arg, ")") {
		return nil, false
	}
	name = strings.ToLower(strings.TrimSpace(name))
	arg = strings.ToLower(strings.TrimSpace(strings.TrimSuffix(arg, ")")))
	tagged := func(tags jwt.TagList) (list []string) {
		for _, t := range tags {
			k, x, ok := strings.Cut(t, ":")
			if ok && strings.ToLower(k) == arg {
				list = append(list, x)
			}
		}
		return list
	}
	switch name {
	case "tag":
		return tagged(v.tags), arg != ""
	case "account-tag":
		return tagged(v.accountTags), arg != ""
	}
	if arg != "" {
		return nil, false
	}
	one := map[string]string{
		"name": v.name, "subject": v.subject, "account-name": v.accountName, "account-subject": v.accountKey,
	}
	x, ok := one[name]
	return []string{x}, ok
}

// expand fills the values into the subjects of one list. Several values of one
// operation give an entry each. An entry without a value, or that is no subject
// afterwards, falls out of an allow list and refuses the login in a deny list
// (jwt-operator 7).
func (v *values) expand(list []string, deny bool) ([]string, error) {
	var out []string
	for _, entry := range list {
		all, err := v.entry(entry)
		if err != nil {
			return nil, err
		}
		if len(all) == 0 && deny {
			return nil, fmt.Errorf("%w: %q has no value", errTemplate, entry)
		}
		for _, e := range all {
			if validEntry(e) {
				out = append(out, e)
			} else if deny {
				return nil, fmt.Errorf("%w: %q", errTemplate, e)
			}
		}
		if len(out) > maxExpanded {
			return nil, fmt.Errorf("%w: more than %d subjects", errTemplate, maxExpanded)
		}
	}
	return out, nil
}

func (v *values) entry(entry string) ([]string, error) {
	out := []string{""}
	rest := entry
	for {
		at := operation.FindStringIndex(rest)
		if at == nil {
			if strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
				return nil, fmt.Errorf("%w: %q", errTemplate, entry)
			}
			for i := range out {
				out[i] += rest
			}
			return out, nil
		}
		before, op, after := rest[:at[0]], rest[at[0]:at[1]], rest[at[1]:]
		list, ok := v.of(op)
		if !ok {
			return nil, fmt.Errorf("%w: unknown operation %s", errTemplate, op)
		}
		// Dots make several tokens of a value: only where nothing follows that
		// they could push aside, and where the value is a token of its own.
		whole := after == "" && (before == "" && rest == entry || strings.HasSuffix(before, "."))
		next := make([]string, 0, len(out)*len(list))
		for _, o := range out {
			for _, x := range list {
				if err := harmless(x, whole); err != nil {
					return nil, fmt.Errorf("%w: %s: %w", errTemplate, op, err)
				}
				next = append(next, o+before+x)
				if len(next) > maxExpanded {
					return nil, fmt.Errorf("%w: more than %d subjects", errTemplate, maxExpanded)
				}
			}
		}
		out, rest = next, after
	}
}

// harmless tells whether a value widens nothing: whoever issues tokens with a
// scoped key chooses names and tags.
func harmless(x string, dots bool) error {
	switch {
	case strings.ContainsAny(x, "*> \t\r\n\f\x00"):
		return errors.New("the value has a wildcard or a space")
	case !dots && strings.Contains(x, "."):
		return errors.New("the value has a dot")
	}
	return nil
}

// validEntry: a subject, perhaps with a queue.
func validEntry(e string) bool {
	f := strings.Split(e, " ")
	if len(f) > 2 {
		return false
	}
	for _, s := range f {
		if !subject.ValidSubscribe([]byte(s)) {
			return false
		}
	}
	return true
}

// fill makes the permissions of a template into those of a user.
func (v *values) fill(p jwt.Permissions) (jwt.Permissions, error) {
	one := func(p jwt.Permission) (out jwt.Permission, err error) {
		allow, err := v.expand(p.Allow, false)
		if err != nil {
			return out, err
		}
		deny, err := v.expand(p.Deny, true)
		if err != nil {
			return out, err
		}
		if len(p.Allow) > 0 && len(allow) == 0 {
			deny = append(deny, ">") // not everything because nothing is listed
		}
		return jwt.Permission{Allow: allow, Deny: deny}, nil
	}
	var err error
	if p.Pub, err = one(p.Pub); err != nil {
		return p, err
	}
	p.Sub, err = one(p.Sub)
	return p, err
}
