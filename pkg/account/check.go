package account

import (
	"errors"
	"fmt"
	"slices"

	"github.com/banyanmq/banyan/pkg/subject"
)

// What may be wrong with an import. The texts are known to tools.
var (
	ErrStreamNotAuthorized  = errors.New("stream import not authorized")
	ErrServiceNotAuthorized = errors.New("service import not authorized")
	ErrCycle                = errors.New("import forms a cycle")
	ErrDepth                = errors.New("search cycle depth exhausted")
	ErrStreamTwice          = errors.New("stream import already exists")
)

// maxDepth bounds the search for cycles.
const maxDepth = 1024

// Part is what of a definition a problem is about.
type Part uint8

// The parts.
const (
	OfExport Part = iota
	OfImport
	OfMapping
	OfTrace
)

// Problem is something wrong in one definition.
type Problem struct {
	Account int // index of the definition
	Part    Part
	Index   int // in the definition's list
	Err     error
}

// Check judges a set of definitions as a whole. Accounts that are named and not
// defined do not exist.
func Check(defs []Definition) []Problem {
	s := NewSet(defs)
	var all []Problem
	for a := range defs {
		d := &defs[a]
		for i := range d.Exports {
			if err := s.checkExport(&d.Exports[i]); err != nil {
				all = append(all, Problem{a, OfExport, i, err})
			}
		}
		seen := map[string]*Import{}
		for i := range d.Imports {
			if err := s.checkImport(d, &d.Imports[i], seen); err != nil {
				all = append(all, Problem{a, OfImport, i, err})
			}
		}
		for i := range d.Mappings {
			if _, err := newRule(&d.Mappings[i], ""); err != nil {
				all = append(all, Problem{a, OfMapping, i, err})
			}
		}
		if d.Trace != nil {
			if err := d.Trace.check(); err != nil {
				all = append(all, Problem{a, OfTrace, 0, err})
			}
		}
	}
	return all
}

// Prune is Check for definitions that come from many hands: what is wrong with one of
// them is taken out of it, and all else counts. defs themselves are not changed.
func Prune(defs []Definition) (kept []Definition, wrong []Problem) {
	kept = make([]Definition, len(defs))
	for i, d := range defs {
		d.Exports, d.Imports, d.Mappings = slices.Clone(d.Exports), slices.Clone(d.Imports), slices.Clone(d.Mappings)
		kept[i] = d
	}
	// An import may depend on an export that is taken out, hence again.
	for {
		found := Check(kept)
		if len(found) == 0 {
			return kept, wrong
		}
		for i := len(found) - 1; i >= 0; i-- { // from the back, so that indexes hold
			p := found[i]
			d := &kept[p.Account]
			switch p.Part {
			case OfExport:
				d.Exports = slices.Delete(d.Exports, p.Index, p.Index+1)
			case OfImport:
				d.Imports = slices.Delete(d.Imports, p.Index, p.Index+1)
			case OfMapping:
				d.Mappings = slices.Delete(d.Mappings, p.Index, p.Index+1)
			case OfTrace:
				d.Trace = nil
			}
		}
		wrong = append(wrong, found...)
	}
}

func (t *Trace) check() error {
	switch {
	case !subject.ValidPublish(t.Dest):
		return fmt.Errorf("trace destination %q is not a subject to publish on", t.Dest)
	case t.Sampling < 1 || t.Sampling > 100:
		return fmt.Errorf("sampling of traces should be 1-100, got %d", t.Sampling)
	}
	return nil
}

// Set is definitions by the names of their accounts.
type Set struct{ byName map[string]*Definition }

// NewSet makes a set; it refers to defs.
func NewSet(defs []Definition) *Set {
	s := &Set{byName: make(map[string]*Definition, len(defs))}
	for i := range defs {
		s.byName[defs[i].Name] = &defs[i]
	}
	return s
}

// Definition of an account; nil if there is none.
func (s *Set) Definition(name string) *Definition { return s.byName[name] }

func (s *Set) checkExport(e *Export) error {
	for _, name := range e.Accounts {
		if s.byName[name] == nil {
			return fmt.Errorf("%q account not defined for %s export", name, e.Kind)
		}
	}
	return e.check()
}

func (s *Set) checkImport(d *Definition, i *Import, seen map[string]*Import) error {
	if i.From == "" {
		return errNoAccount
	}
	from := s.byName[i.From]
	if from == nil {
		return fmt.Errorf("%q account not defined for %s import", i.From, i.Kind)
	}
	local, err := i.Local()
	if err != nil {
		return err
	}
	switch {
	case from.Export(d.Name, i) != nil:
	case i.Kind == Stream:
		return ErrStreamNotAuthorized
	default:
		return ErrServiceNotAuthorized
	}
	key := i.From + " " + i.Subject
	if i.Kind == Service {
		key = "service " + i.From + " " + local.Pattern()
	}
	if old := seen[key]; old != nil {
		if i.Kind == Stream {
			return ErrStreamTwice
		}
		return fmt.Errorf("Duplicate service import subject %q, previously used in import for account %q, subject %q", //nolint:staticcheck // known text
			local.Pattern(), old.From, old.Subject)
	}
	seen[key] = i
	w := walk{set: s, kind: i.Kind, seen: map[string]bool{d.Name: true}, self: map[*Import]bool{i: true}}
	if i.From == d.Name {
		return nil
	}
	return w.follow(i.From, i.Subject)
}

// walk follows imports of one kind from account to account.
type walk struct {
	set   *Set
	kind  Kind
	seen  map[string]bool // accounts on the way here
	self  map[*Import]bool
	steps int
}

// follow goes on from a subject of an account, in which an import of it may be.
func (w *walk) follow(name, subj string) error {
	if w.seen[name] {
		return ErrCycle
	}
	if w.steps++; w.steps > maxDepth {
		return ErrDepth
	}
	d := w.set.byName[name]
	if d == nil {
		return nil
	}
	w.seen[name] = true
	defer delete(w.seen, name)
	return w.imports(d, subj)
}

func (w *walk) imports(d *Definition, subj string) error {
	for k := range d.Imports {
		i := &d.Imports[k]
		if i.Kind != w.kind || w.self[i] {
			continue
		}
		local, err := i.Local()
		if err != nil {
			continue // told where it stands
		}
		both, ok := subject.Intersect(subj, local.Pattern())
		if !ok {
			continue
		}
		there := string(local.Inverse().Append(nil, []byte(both)))
		if i.From == d.Name {
			// An account may import from itself; not in a circle.
			w.self[i] = true
			err = w.imports(d, there)
			delete(w.self, i)
		} else {
			err = w.follow(i.From, there)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
