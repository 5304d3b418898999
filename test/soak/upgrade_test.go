//go:build soak && linux

package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/test/e2e/rolling"
	"github.com/banyanmq/banyan/test/procs"
)

// Two regions are upgraded under load, then restarted without a warning, then killed one by one. SOAK_WRITE=1 writes the
// figures into docs/UPGRADES.md.
func TestUpgrade(t *testing.T) {
	cfg := rolling.Config{
		Hubs: setting(t, "SOAK_HUBS", 3), RTT: 10 * time.Millisecond, Rate: setting(t, "SOAK_RATE", 50), Asks: 20, Grace: 2 * time.Second,
	}
	versions := []string{"9.9.1", "9.9.2"}
	w := rolling.New(t, bins, cfg, versions...)
	var all []*rolling.Outcome
	for i, way := range []rolling.Way{rolling.Drain, rolling.Term, rolling.Kill} {
		// Forward, back, and forward again: each version meets the other in every role.
		o := w.Upgrade(way, versions[i%2])
		all = append(all, o)
		if way == rolling.Drain {
			rolling.Check(t, o)
		}
	}
	table := figures(cfg, all)
	t.Logf("\n%s", table)
	if os.Getenv("SOAK_WRITE") != "" && !t.Failed() {
		write(t, table)
	}
}

func figures(cfg rolling.Config, all []*rolling.Outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d servers in two regions (%d hubs, 2 gwd and 2 leafd each, %v apart), restarted one by one; %d clients of each kind, half of them at edges;\n"+
		"each publisher sends %d messages a second, each requester asks %d times a second, both regions in turn. `make soak SOAK=TestUpgrade` makes these figures.\n\n",
		all[0].Servers, cfg.Hubs, cfg.RTT, all[0].Results[0].Clients, cfg.Rate, cfg.Asks)
	b.WriteString("| restart | applications | took | moved | cut off without a warning | requests failed | of that 503 / time-outs | slowest request | lost by groups | lost by subscribers | twice |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	names := map[rolling.Way]string{rolling.Drain: "drain (SIGUSR2)", rolling.Term: "stop (SIGTERM)", rolling.Kill: "kill (SIGKILL)"}
	kinds := map[string]string{rolling.Defaults: "official client as it is", rolling.Advised: "follow the advice"}
	for _, o := range all {
		for _, r := range o.Results {
			fmt.Fprintf(&b, "| %s | %s | %v | %d | %d | %d of %d | %d / %d | %v | %d of %d | %d of %d | %d |\n",
				names[o.Way], kinds[r.Kind], o.Took.Round(time.Second), r.Moved, r.Cut, r.Failed(), r.Requests, r.NoResponders, r.Timeouts,
				r.SlowestRequest.Round(time.Millisecond), r.GroupLost, r.GroupSent, r.PlainLost, r.PlainExpected, r.GroupTwice+r.PlainTwice)
		}
	}
	return b.String()
}

// write puts the figures into the document, between its marks.
func write(t *testing.T, table string) {
	t.Helper()
	root, err := procs.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "docs", "UPGRADES.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- figures -->\n", "<!-- end of figures -->\n"
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no marks for the figures", file)
	}
	if err := os.WriteFile(file, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
