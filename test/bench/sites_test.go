//go:build linux

package main

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/banyanmq/banyan/test/procs"
)

// referenceSide is the installed reference server, with a certificate.
func referenceSide(t *testing.T) *side {
	t.Helper()
	ref, err := procs.Reference()
	if errors.Is(err, procs.ErrNoReference) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	certs, err := makeTLS(work)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSide("B", ref, work, false, certs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// on starts what a scenario wants and hands over where it is.
func on(t *testing.T, s *side, sc scenario, do func(at *site) (measure, error)) measure {
	t.Helper()
	v, err := s.start(&sc)
	if err != nil {
		t.Fatal(err)
	}
	defer v.stop()
	m, err := do(&v.site)
	if err != nil {
		t.Fatalf("%v\n%s", err, v.logs())
	}
	return m
}

func phaseOf(open func(uint16, *site) (load, error)) func(at *site) (measure, error) {
	return func(at *site) (measure, error) {
		l, err := open(9, at)
		if err != nil {
			return measure{}, err
		}
		m, err := l.Run(shortPhase)
		return m, errors.Join(err, l.Close())
	}
}

func wantFigures(t *testing.T, m measure, names ...string) {
	t.Helper()
	for _, name := range names {
		if v, ok := m.Extra[name]; !ok || v <= 0 {
			t.Errorf("%s is %v: %v", name, v, m.Extra)
		}
	}
}

func TestAccountsOfTheSettingsAndOfAnOperator(t *testing.T) {
	s := referenceSide(t)
	pairs := arrival{delivery{pubs: 7, subscribers: 7, pairs: true, size: 32}}
	for _, sc := range []scenario{{tenants: conf{accounts: 3, users: 2}.settings}, {tenants: remembered(tokens{accounts: 3}.settings)}} {
		m := on(t, s, sc, phaseOf(pairs.open))
		if m.Messages < 7 {
			t.Errorf("%d messages", m.Messages)
		}
		wantFigures(t, m, "start to first PONG, ms", "resident MB after start", "CPU of the start, ms")
	}
}

func TestIdleConnections(t *testing.T) {
	s := referenceSide(t)
	load := idle{conns: 20, step: 10, quiet: 20 * time.Millisecond, burst: 32 << 10}
	for name, sc := range map[string]scenario{"plain": {}, "TLS": {tls: true}, "WebSocket": {ws: true}} {
		t.Run(name, func(t *testing.T) {
			m := on(t, s, sc, func(at *site) (measure, error) { return load.once(9, at, 0) })
			if m.CPU <= 0 || m.Rate <= 0 {
				t.Errorf("%+v", m)
			}
			wantFigures(t, m, "resident after / before a burst", "threads")
		})
	}
}

func TestSeriesAndWhatIsMeasuredBesides(t *testing.T) {
	s := referenceSide(t)
	one := delivery{pubs: 1, subscribers: 1, size: 64}
	few := delivery{pubs: 1, subscribers: 1, size: 64, subjects: 10, installed: 50, match: true, weigh: time.Millisecond}
	parts := series{unit: "wide", parts: []part{{label: "1", open: few.open}, {label: "2", by: 2, open: delivery{pubs: 1, subscribers: 2, size: 64}.open}}}
	m := on(t, s, scenario{}, func(at *site) (measure, error) { return parts.once(9, at, shortPhase) })
	wantFigures(t, m, "CPU us, 1 wide", "CPU us, 2 wide", "2 / 1 wide", "install, s")

	churned := func() measure {
		return on(t, s, scenario{}, phaseOf(besideChurn{delivery{pubs: 1, subscribers: 1, size: 64, rate: 1000, churn: 5000}}.open))
	}
	m = churned()
	for try := 0; try < 4 && m.Extra["churn pairs/s"] == 0; try++ { // the phase is so short that a busy machine may see none
		m = churned()
	}
	wantFigures(t, m, "CPU of the flow alone, us", "churn pairs/s", "p50 alone, us")
	wantFigures(t, on(t, s, scenario{}, func(at *site) (measure, error) {
		return settle{one, time.Millisecond}.once(9, at, shortPhase)
	}), resting, "MB before", "MB at the end")
	wantFigures(t, on(t, s, scenario{profile: true}, phaseOf(counted{one}.open)), allocated)
	wantFigures(t, on(t, s, scenario{tls: true}, phaseOf(delivery{pubs: 1, subscribers: 1, size: 16 << 10}.open)), "records/16 KiB")
	wantFigures(t, on(t, s, scenario{topo: route, routes: 2}, phaseOf(delivery{pubs: 1, subscribers: 2, size: 64, each: true}.open)), perDelivery)
}

func TestProfilesAreFetched(t *testing.T) {
	s := referenceSide(t)
	s.profile = true
	dir := t.TempDir()
	on(t, s, scenario{}, func(at *site) (measure, error) {
		return measure{}, profiling(dir, "x", at.profile, time.Millisecond)()
	})
	if b, err := os.ReadFile(dir + "/x-0.pprof"); err != nil || len(b) == 0 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := profiling("", "x", []string{"http://127.0.0.1:1"}, 0)(); err != nil {
		t.Error("profiles were fetched though nobody wants them:", err)
	}
	if err := profiling(dir, "x", []string{"http://127.0.0.1:1"}, 0)(); err == nil {
		t.Error("a profile came from nowhere")
	}
}

// Every installed broker delivers what it is given, over its own protocol.
func TestOtherBrokers(t *testing.T) {
	for _, b := range brokers() {
		t.Run(b.name, func(t *testing.T) {
			s, err := b.side(t.TempDir())
			if err != nil {
				t.Skip(err)
			}
			v, err := s.start(&scenario{})
			if err != nil {
				t.Fatal(err)
			}
			defer v.stop()
			for name, d := range map[string]delivery{
				"pairs":  {pubs: 5, subscribers: 5, pairs: true, size: 128, rate: 500},
				"fanout": {pubs: 1, subscribers: 10, size: 128, rate: 100},
				"flood":  {pubs: 1, subscribers: 1, size: 1 << 10},
			} {
				t.Run(name, func(t *testing.T) { twoPhases(t, d.open, &v.site) })
			}
		})
	}
}

// A run that its limit cuts short keeps its figures and touches no document.
func TestARunCutShortWritesNoDocument(t *testing.T) {
	s := referenceSide(t)
	dir := t.TempDir()
	md, js := dir+"/b.md", dir+"/b.json"
	code := run([]string{"--a", s.Exe, "--b", "none", "--limit", "1ns", "--json", js, "--markdown", md, "--scenarios", "^publish-16$"})
	if code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(md); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a document was written, or not: %v", err)
	}
	if _, err := os.Stat(js); err != nil {
		t.Error(err)
	}
}
