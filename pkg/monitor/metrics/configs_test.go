package metrics_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/metrics"
	"github.com/banyanmq/banyan/pkg/monitor/metrics/prom"
)

var (
	metricPattern = regexp.MustCompile(`\b((?:banyan|process|go)_[a-z0-9_]+)(\{[^}]*\})?`)
	labelName     = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	grouping      = regexp.MustCompile(`\b(?:by|on|without|ignoring)\s*\(([^)]*)\)`)
)

// checkExpression tells whether all metrics of a query are there, with the labels that
// they are asked for.
func checkExpression(t *testing.T, where, expr string) {
	t.Helper()
	known := map[string][]string{"up": {"job"}}
	for _, f := range metrics.Families() {
		known[f.FullName()] = f.Labels
	}
	r := monitor.NewReports(options(t))
	for name := range gather(t, r) {
		if _, ok := known[name]; !ok {
			known[name] = nil
		}
	}
	own := string(metrics.NewCollector(r).Text(false)) // leafd's
	hits := metricPattern.FindAllStringSubmatch(expr, -1)
	if len(hits) == 0 && !strings.Contains(expr, "up{") {
		t.Errorf("%s asks for nothing: %s", where, expr)
	}
	labels := []string{"daemon", "instance", "job"}
	for _, h := range hits {
		have, ok := known[h[1]]
		if !ok {
			t.Errorf("%s: there is no %s", where, h[1])
		}
		if !strings.HasPrefix(h[1], metrics.Prefix) && !strings.Contains(own, "\n"+h[1]+" ") {
			t.Errorf("%s: leafd has no %s", where, h[1])
		}
		labels = append(labels, have...)
		for _, l := range labelName.FindAllStringSubmatch(h[2], -1) {
			if !slices.Contains(have, l[1]) && !slices.Contains([]string{"daemon", "instance", "job"}, l[1]) {
				t.Errorf("%s: %s has no label %s", where, h[1], l[1])
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			if l = strings.TrimSpace(l); l != "" && !slices.Contains(labels, l) {
				t.Errorf("%s groups by %s, which nothing in it has: %s", where, l, expr)
			}
		}
	}
}

// TestPromtool: what promtool says of rules, settings and both writers.
func TestPromtool(t *testing.T) {
	exe, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("TestPromtool: no promtool on PATH: apt-get install prometheus")
	}
	run := func(in []byte, args ...string) {
		t.Helper()
		cmd := exec.Command(exe, args...)
		cmd.Dir, cmd.Stdin = "../../../configs/prometheus", bytes.NewReader(in)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	run(nil, "check", "rules", "alerts.yaml")
	run(nil, "check", "config", "prometheus.yaml")
	o := options(t)
	r := monitor.NewReports(o)
	fill(o)
	run(metrics.NewCollector(r).Text(false), "check", "metrics")
	w := httptest.NewRecorder()
	prom.Handler(r).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	run(w.Body.Bytes(), "check", "metrics")
}

// TestDashboard: it can be read, and everything that it asks for is there.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../../configs/grafana/banyan.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title, UID string
		Panels     []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Annotations struct {
			List []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	ids, variables, n := map[int]bool{}, map[string]bool{"__rate_interval": true}, 0
	for _, v := range d.Templating.List {
		variables[v.Name] = true
		if v.Definition != "" {
			checkExpression(t, "variable "+v.Name, v.Definition)
		}
	}
	for i, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: its id, title or place", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, q := range d.Panels[:i] {
			if a, b := p.GridPos, q.GridPos; a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q lie on each other", p.Title, q.Title)
			}
		}
		for _, q := range p.Targets {
			n++
			checkExpression(t, p.Title, q.Expr)
			for _, v := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(q.Expr, -1) {
				if !variables[v[1]] {
					t.Errorf("%s: no variable %s", p.Title, v[1])
				}
			}
		}
	}
	for _, a := range d.Annotations.List {
		checkExpression(t, "annotation", a.Expr)
	}
	if d.UID == "" || n < 20 {
		t.Errorf("%q has %d queries", d.Title, n)
	}
}

// TestAlerts: they can be read, and everything that they ask for is there.
func TestAlerts(t *testing.T) {
	b, err := os.ReadFile("../../../configs/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For string
				Labels           map[string]string
				Annotations      map[string]string
			}
		}
	}
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if seen[r.Alert] || r.Alert == "" || r.Annotations["summary"] == "" || !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
				t.Errorf("%q: its name, severity or summary", r.Alert)
			}
			seen[r.Alert] = true
			checkExpression(t, r.Alert, r.Expr)
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d alerts", len(seen))
	}
	b, err = os.ReadFile("../../../configs/prometheus/prometheus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var any map[string]any
	if err := yaml.Unmarshal(b, &any); err != nil || any["scrape_configs"] == nil {
		t.Errorf("prometheus.yaml: %v", err)
	}
}
