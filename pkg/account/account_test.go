package account

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/subject"
)

func stream(s string, to ...string) Export {
	return Export{Kind: Stream, Subject: s, Private: len(to) > 0, Accounts: to}
}

func service(s string, to ...string) Export {
	return Export{Kind: Service, Subject: s, Private: len(to) > 0, Accounts: to}
}

func def(name string, parts ...any) Definition {
	d := Definition{Name: name}
	for _, p := range parts {
		switch p := p.(type) {
		case Export:
			d.Exports = append(d.Exports, p)
		case Import:
			d.Imports = append(d.Imports, p)
		case Mapping:
			d.Mappings = append(d.Mappings, p)
		}
	}
	return d
}

func TestCheck(t *testing.T) {
	position := func(e Export, n int) Export { e.TokenPosition = n; return e }
	for _, c := range []struct {
		name string
		defs []Definition
		want string // of the only problem
	}{
		{"the example", []Definition{
			def("ACME", stream("acme.>"), service("hello")),
			def("CNCF", Import{Kind: Stream, From: "ACME", Subject: "acme.>", Prefix: "cncf"}, Import{Kind: Service, From: "ACME", Subject: "hello", To: "cncf.hello"}),
		}, ""},
		{"no export", []Definition{def("A"), def("B", Import{From: "A", Subject: "s"})}, "stream import not authorized"},
		{"another kind", []Definition{def("A", stream("s")), def("B", Import{Kind: Service, From: "A", Subject: "s"})}, "service import not authorized"},
		{"wider", []Definition{def("A", stream("s.*")), def("B", Import{From: "A", Subject: "s.>"})}, "stream import not authorized"},
		{"narrower", []Definition{def("A", stream("s.>")), def("B", Import{From: "A", Subject: "s.*.x"})}, ""},
		{"private, listed", []Definition{def("A", stream("s", "B")), def("B", Import{From: "A", Subject: "s"})}, ""},
		{"private, not listed", []Definition{def("A", stream("s", "C")), def("B", Import{From: "A", Subject: "s"}), def("C")}, "stream import not authorized"},
		{"private to nobody", []Definition{def("A", Export{Subject: "s", Private: true}), def("B", Import{From: "A", Subject: "s"})}, "stream import not authorized"},
		{"one of two exports will do", []Definition{def("A", stream("s.>", "C"), stream("s.x")), def("B", Import{From: "A", Subject: "s.x"}), def("C")}, ""},
		{"own token", []Definition{def("A", position(service("pos.*.x"), 2)), def("B", Import{Kind: Service, From: "A", Subject: "pos.B.x"})}, ""},
		{"other token", []Definition{def("A", position(service("pos.*.x"), 2)), def("B", Import{Kind: Service, From: "A", Subject: "pos.C.x"})}, "service import not authorized"},
		{"token as wildcard", []Definition{def("A", position(service("pos.*.x"), 2)), def("B", Import{Kind: Service, From: "A", Subject: "pos.*.x"})}, "service import not authorized"},
		{"no such position", []Definition{def("A", position(service("pos.*.x"), 1))}, `service export "pos.*.x": invalid account token position: it must be that of a "*" in the subject`},
		{"unknown importer", []Definition{def("A", stream("s", "B"))}, `"B" account not defined for stream export`},
		{"unknown exporter", []Definition{def("B", Import{Kind: Service, From: "A", Subject: "s"})}, `"A" account not defined for service import`},
		{"same twice", []Definition{def("A", stream("s")), def("B", Import{From: "A", Subject: "s"}, Import{From: "A", Subject: "s", Prefix: "p"})}, "stream import already exists"},
		{"service twice", []Definition{def("A", service("s"), service("r")), def("B", Import{Kind: Service, From: "A", Subject: "s", To: "q"}, Import{Kind: Service, From: "A", Subject: "r", To: "q"})},
			`Duplicate service import subject "q", previously used in import for account "A", subject "s"`},
		{"from two accounts", []Definition{def("A", service("s")), def("C", service("s")), def("B", Import{Kind: Service, From: "A", Subject: "s"}, Import{Kind: Service, From: "C", Subject: "s"})}, ""},
		{"prefix and to", []Definition{def("A", stream("s")), def("B", Import{From: "A", Subject: "s", Prefix: "p", To: "q"})}, "Stream import can not have a 'prefix' and a 'to' property"},
		{"wild prefix", []Definition{def("A", stream("s")), def("B", Import{From: "A", Subject: "s", Prefix: "p.*"})}, "stream import prefix can not contain wildcard tokens"},
		{"wildcards lost", []Definition{def("A", stream("s.*")), def("B", Import{From: "A", Subject: "s.*", To: "q"})}, "invalid mapping destination: not using all of the token wildcard(s) in q"},
		{"self", []Definition{def("A", stream("s.>"), Import{From: "A", Subject: "s.>", Prefix: "p"})}, ""},
		{"chain", []Definition{
			def("A", service("s")), def("B", Import{Kind: Service, From: "A", Subject: "s", To: "t"}, service("t")), def("C", Import{Kind: Service, From: "B", Subject: "t"}),
		}, ""},
		{"both ways, apart", []Definition{
			def("A", service("s"), Import{Kind: Service, From: "B", Subject: "t"}), def("B", service("t"), Import{Kind: Service, From: "A", Subject: "s"}),
		}, ""},
	} {
		got := Check(c.defs)
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s: %v", c.name, got[0].Err)
		case c.want != "" && (len(got) != 1 || got[0].Err.Error() != c.want):
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

func TestCycles(t *testing.T) {
	for _, kind := range []Kind{Stream, Service} {
		export := Export{Kind: kind, Subject: ">"}
		from := func(name, subj, to string) Import { return Import{Kind: kind, From: name, Subject: subj, To: to} }
		for _, defs := range [][]Definition{
			{def("A", export, from("B", "x", "")), def("B", export, from("A", "x", ""))},
			{def("A", export, from("B", "b.>", "a.>")), def("B", export, from("A", "a.x.*", "b.$1"))},
			{def("A", export, from("B", "x.>", "")), def("B", export, from("C", "x.>", "")), def("C", export, from("A", "x.y", ""))},
			{def("A", export, from("B", "b", "")), def("B", export, from("B", "c", "b"), from("A", "b", "c"))},
		} {
			got := Check(defs)
			if len(got) == 0 || got[0].Err != ErrCycle {
				t.Errorf("%v %+v: %v", kind, defs, got)
			}
		}
	}
}

func TestLocal(t *testing.T) {
	for _, c := range []struct{ subject, prefix, to, in, want string }{
		{"acme.>", "cncf", "", "acme.ticker", "cncf.acme.ticker"},
		{"acme.>", "cncf.", "", "acme.ticker", "cncf.acme.ticker"},
		{"a.*.*", "p", "", "a.1.2", "p.a.1.2"},
		{"a.*.*", "", "", "a.1.2", "a.1.2"},
		{"a.*.*.*", "", "m3.$2.$3.$1", "a.1.2.3", "m3.2.3.1"},
		{"hello", "", "cncf.hello", "hello", "cncf.hello"},
	} {
		i := Import{Subject: c.subject, Prefix: c.prefix, To: c.to}
		tr, err := i.Local()
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if got := string(tr.Append(nil, []byte(c.in))); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestActivation: an export may leave the decision to who knows tokens.
func TestActivation(t *testing.T) {
	e := Export{Subject: "s", Private: true, Admit: func(importer string, i *Import) bool { return importer == "B" && i.Token == "ok" }}
	for token, want := range map[string]int{"ok": 0, "": 1, "no": 1} {
		if got := Check([]Definition{def("A", e), def("B", Import{From: "A", Subject: "s", Token: token})}); len(got) != want {
			t.Errorf("token %q: %v", token, got)
		}
	}
}

func TestMappingErrors(t *testing.T) {
	to := func(list ...Destination) []Destination { return list }
	for _, c := range []struct {
		m    Mapping
		want string
	}{
		{Mapping{"a.*", to(Destination{"b.*", 100, ""})}, `Error adding mapping for "a.*" to "b.*" : invalid subject`},
		{Mapping{"a", to(Destination{"", 100, ""})}, `Error adding mapping for "a" to "" : invalid subject`},
		{Mapping{"a", to(Destination{"b", 101, ""})}, `Error adding mapping for "a" to "b" : individual weights need to be <= 100`},
		{Mapping{"a", to(Destination{"b", 60, ""}, Destination{"c", 60, ""})}, `Error adding mapping for "a" to "c" : total weight needs to be <= 100`},
		{Mapping{"a", to(Destination{"b", 10, ""}, Destination{"b", 10, ""})}, `Error adding mapping for "a" to "b" : duplicate entry for "b"`},
		{Mapping{"a", to(Destination{"b", 90, ""}, Destination{"c", 90, "x"})}, ""},
		{Mapping{"a.*", to(Destination{"a.*", 50, ""})}, ""},
	} {
		got := ""
		if p := Check([]Definition{{Name: "A", Mappings: []Mapping{c.m}}}); len(p) > 0 {
			got = p[0].Err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %s\nwant %s", c.m, got, c.want)
		}
	}
}

// share of 100 dice that lead to each outcome.
func share(r *Rule, subj string) map[string]int {
	got := map[string]int{}
	for dice := range uint32(100) {
		tr, drop := r.Pick(dice)
		switch {
		case tr != nil:
			got[string(tr.Append(nil, []byte(subj)))]++
		case drop:
			got["lost"]++
		default:
			got["as it is"]++
		}
	}
	return got
}

func TestMapper(t *testing.T) {
	list := []Mapping{
		{"w", []Destination{{"x", 20, ""}, {"y", 30, ""}}},
		{"half", []Destination{{"half", 50, ""}}},
		{"loss.*", []Destination{{"loss.$1", 40, ""}, {"other.$1", 10, ""}}},
		{"c", []Destination{{"general", 100, ""}, {"west", 100, "west"}}},
		{"only.*", []Destination{{"east.$1", 100, "east"}}},
		{"o.>", []Destination{{"far.>", 100, ""}}},
		{"o.*", []Destination{{"near.$1", 100, ""}}},
		{"o.x", []Destination{{"here", 100, ""}}},
		{"zero", []Destination{{"x", 0, ""}}},
	}
	for _, c := range []struct {
		cluster, subj string
		want          map[string]int
	}{
		{"", "w", map[string]int{"x": 20, "y": 30, "as it is": 50}},
		{"", "half", map[string]int{"half": 50, "lost": 50}},
		{"", "loss.1", map[string]int{"loss.1": 40, "other.1": 10, "lost": 50}},
		{"", "c", map[string]int{"general": 100}},
		{"west", "c", map[string]int{"west": 100}},
		{"east", "c", map[string]int{"general": 100}},
		{"east", "only.1", map[string]int{"east.1": 100}},
		{"west", "only.1", map[string]int{"as it is": 100}},
		{"", "o.x", map[string]int{"here": 100}},
		{"", "o.y", map[string]int{"near.y": 100}},
		{"", "o.y.z", map[string]int{"far.y.z": 100}},
		{"", "zero", map[string]int{"as it is": 100}},
	} {
		m, err := NewMapper(list, c.cluster)
		if err != nil {
			t.Fatal(err)
		}
		r := m.Find([]byte(c.subj))
		if r == nil {
			t.Errorf("%s is not mapped", c.subj)
			continue
		}
		got := share(r, c.subj)
		if len(got) != len(c.want) {
			t.Errorf("%s in %q: %v", c.subj, c.cluster, got)
		}
		for k, n := range c.want {
			if got[k] != n {
				t.Errorf("%s in %q: %v, want %v", c.subj, c.cluster, got, c.want)
			}
		}
	}
	m, _ := NewMapper(list, "")
	if r := m.Find([]byte("nothing")); r != nil {
		t.Errorf("nothing is mapped by %s", r.source)
	}
	if none, err := NewMapper(nil, ""); none != nil || err != nil {
		t.Errorf("no mappings: %v %v", none, err)
	}
	if f := m.Find([]byte("o.x")).Fixed(); f == nil || m.Find([]byte("w")).Fixed() != nil || m.Find([]byte("half")).Fixed() != nil {
		t.Error("which rules are fixed")
	}
}

// TestMostSpecificFirst: a rule that is found is never wider than another that matches.
func TestMostSpecificFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.Custom(func(t *rapid.T) string {
			p := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*"}), 1, 3).Draw(t, "tokens")
			if rapid.Bool().Draw(t, "rest") {
				p[len(p)-1] = ">"
			}
			return strings.Join(p, ".")
		})
		var list []Mapping
		for _, p := range rapid.SliceOfNDistinct(pattern, 1, 8, rapid.ID).Draw(t, "patterns") {
			dest := "x"
			if strings.HasSuffix(p, ">") {
				dest = "x.>"
			}
			list = append(list, Mapping{p, []Destination{{dest, 100, ""}}})
		}
		m, err := NewMapper(list, "")
		if err != nil {
			t.Fatal(err)
		}
		subj := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 3).Draw(t, "subject"), ".")
		r := m.Find([]byte(subj))
		for _, x := range list {
			if !subject.Match(x.Source, subj) {
				continue
			}
			if r == nil {
				t.Fatalf("%s does not find %s", subj, x.Source)
			}
			if x.Source != r.source && subject.Subset(x.Source, r.source) {
				t.Fatalf("%s finds %s before %s", subj, r.source, x.Source)
			}
		}
	})
}

func TestPrune(t *testing.T) {
	defs := []Definition{
		def("A", stream("s..x"), stream("t"), Import{From: "B", Subject: "z"}),
		def("B", Import{From: "A", Subject: "s"}, Import{From: "A", Subject: "t"}, Mapping{"a", []Destination{{"", 100, ""}}}),
	}
	kept, wrong := Prune(defs)
	if len(kept[0].Exports) != 1 || len(kept[0].Imports) != 0 || len(kept[1].Imports) != 1 || kept[1].Imports[0].Subject != "t" || len(kept[1].Mappings) != 0 {
		t.Errorf("kept %+v", kept)
	}
	if len(wrong) != 4 || len(Check(kept)) != 0 || len(defs[1].Imports) != 2 {
		t.Errorf("wrong %+v", wrong)
	}
}

// TestTokenPositionOfPrivateExport: a private export stays private for accounts that
// name themselves.
func TestTokenPositionOfPrivateExport(t *testing.T) {
	d := Definition{Name: "E", Exports: []Export{{Kind: Stream, Subject: "pos.*", TokenPosition: 2, Private: true, Accounts: []string{"A"}}}}
	for importer, want := range map[string]bool{"A": true, "B": false} {
		i := &Import{Kind: Stream, Subject: "pos." + importer}
		if got := d.Export(importer, i) != nil; got != want {
			t.Errorf("account %s: admitted %v, want %v", importer, got, want)
		}
	}
}
