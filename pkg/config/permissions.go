package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// Defaults of allow_responses.
const (
	defaultResponseMax     = 1
	defaultResponseExpires = 2 * time.Minute
)

// readPermissions reads a permissions block (config-cli 6.4).
func readPermissions(d *decoder, path string, v *conf.Value) (any, bool) {
	if v.Kind != conf.Map {
		d.errorf(v.Pos, path, "want a map with publish and subscribe, got %s", v.Describe())
		return nil, false
	}
	before := len(d.errors)
	p := &Permissions{}
	d.object(permissionsScope(), v, path, p)
	return p, len(d.errors) == before
}

// readSubjects reads one direction: a subject, a list, or {allow, deny}.
func readSubjects(queues bool) reader {
	return func(d *decoder, path string, v *conf.Value) (any, bool) {
		before := len(d.errors)
		var p SubjectPermission
		if v.Kind != conf.Map {
			p.Allow = d.subjects(path, v, queues)
			return p, len(d.errors) == before
		}
		for _, e := range v.Entries {
			at := join(path, e.Key)
			switch lower(e.Key) {
			case "allow":
				p.Allow = d.subjects(at, e.Value, queues)
			case "deny":
				p.Deny = d.subjects(at, e.Value, queues)
			default:
				if !e.Variable {
					d.errorf(e.Pos, at, "Unknown field name %q parsing subject permissions, only 'allow' or 'deny' are permitted", e.Key)
				}
			}
		}
		return p, len(d.errors) == before
	}
}

func (d *decoder) subjects(path string, v *conf.Value, queues bool) []string {
	read, ok := d.strings(path, v)
	if !ok {
		return nil
	}
	list := read.([]string)
	for i, s := range list {
		pos := v.Pos
		if v.Kind == conf.Array {
			pos = v.Items[i].Pos
		}
		if err := checkSubject(s, queues); err != nil {
			d.errorf(pos, path, "%v", err)
		}
	}
	return list
}

// readDenies reads the subjects of a leaf remote's deny list.
func readDenies(d *decoder, path string, v *conf.Value) (any, bool) {
	before := len(d.errors)
	list := d.subjects(path, v, false)
	return list, len(d.errors) == before
}

// checkSubject accepts what may stand in a permission: a subject with
// wildcards, and where queues is set a queue after a space.
func checkSubject(s string, queues bool) error {
	words := strings.Fields(s)
	if len(words) == 2 && queues {
		if !validSubject(words[1]) {
			return fmt.Errorf("queue %q is not a valid queue", words[1])
		}
		s = words[0]
	}
	if !validSubject(s) {
		return fmt.Errorf("subject %q is not a valid subject", s)
	}
	return nil
}

// validSubject: tokens are not empty, have no space, and ">" is the last. (The
// package knows subjects by way of pkg/account alone.)
func validSubject(s string) bool {
	if s == "" || strings.ContainsAny(s, " \t\r\n\f\x00") {
		return false
	}
	tokens := strings.Split(s, ".")
	for i, t := range tokens {
		if t == "" || t == ">" && i < len(tokens)-1 {
			return false
		}
	}
	return true
}

// readResponses reads allow_responses: a boolean or {max, expires}.
func readResponses(d *decoder, path string, v *conf.Value) (any, bool) {
	switch v.Kind {
	case conf.Bool:
		if !v.Bool {
			return (*ResponsePermission)(nil), true
		}
		return &ResponsePermission{defaultResponseMax, defaultResponseExpires}, true
	case conf.Map:
		before := len(d.errors)
		r := &ResponsePermission{}
		d.object(responsesScope(), v, path, r)
		if r.Max == 0 {
			r.Max = defaultResponseMax
		}
		if r.Expires == 0 {
			r.Expires = defaultResponseExpires
		}
		return r, len(d.errors) == before
	}
	d.errorf(v.Pos, path, "error parsing response permissions, got %s; want true, false or {max, expires}", v.Describe())
	return nil, false
}

// readPolicies reads one direction of a border policy.
var readPolicy = readSubjects(false)
