package access

import (
	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/subject"
)

// publishWays are the imports that carry a message of an account elsewhere: its own
// imports of services, and others' imports of streams.
func (w *World) publishWays(name, subj string) (ways []Way) {
	own := w.definition(name)
	for i := range own.Imports {
		imp := &own.Imports[i]
		export := w.offered(name, imp)
		if imp.Kind != account.Service || export == nil {
			continue
		}
		local, err := imp.Local()
		if err != nil || !subject.Match(local.Pattern(), subj) {
			continue
		}
		to := string(local.Inverse().Append(nil, []byte(subj)))
		ways = append(ways, Way{Kind: "service", From: name, FromSubject: subj, To: imp.From, ToSubject: to, Export: export.Subject})
	}
	for k := range w.Definitions {
		other := &w.Definitions[k]
		for i := range other.Imports {
			imp := &other.Imports[i]
			if imp.Kind != account.Stream || imp.From != name || !subject.Match(imp.Subject, subj) {
				continue
			}
			export := w.offered(other.Name, imp)
			t, err := imp.Local()
			if export == nil || err != nil {
				continue
			}
			ways = append(ways, Way{Kind: "stream", From: name, FromSubject: subj, To: other.Name, ToSubject: string(t.Append(nil, []byte(subj))), Export: export.Subject})
		}
	}
	return ways
}

// subscribeWays are the imports by which an account's subscription gets messages of
// others: its own imports of streams, and requests by others' imports of services.
func (w *World) subscribeWays(name, subj string) (ways []Way) {
	own := w.definition(name)
	for i := range own.Imports {
		imp := &own.Imports[i]
		export := w.offered(name, imp)
		if imp.Kind != account.Stream || export == nil {
			continue
		}
		if local, err := imp.Local(); err == nil && subject.Overlap(local.Pattern(), subj) {
			ways = append(ways, Way{Kind: "stream", From: imp.From, FromSubject: imp.Subject, To: name, ToSubject: local.Pattern(), Export: export.Subject})
		}
	}
	for k := range w.Definitions {
		other := &w.Definitions[k]
		for i := range other.Imports {
			imp := &other.Imports[i]
			if imp.Kind != account.Service || imp.From != name || !subject.Overlap(imp.Subject, subj) {
				continue
			}
			local, err := imp.Local()
			if export := w.offered(other.Name, imp); export != nil && err == nil {
				ways = append(ways, Way{Kind: "service", From: other.Name, FromSubject: local.Pattern(), To: name, ToSubject: imp.Subject, Export: export.Subject})
			}
		}
	}
	return ways
}

// offered is the export that gives an account an import, nil if none does.
func (w *World) offered(importer string, i *account.Import) *account.Export {
	return w.definition(i.From).Export(importer, i)
}
