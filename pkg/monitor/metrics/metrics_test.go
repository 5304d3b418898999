package metrics_test

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/metrics"
	"github.com/banyanmq/banyan/pkg/monitor/metrics/prom"
	"github.com/banyanmq/banyan/pkg/wire"
)

var update = flag.Bool("update", false, "write docs/METRICS.md")

const page = "../../../docs/METRICS.md"

// TestDocument: the page is what the table says.
func TestDocument(t *testing.T) {
	want := metrics.Document()
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/METRICS.md is not what the table says: go test ./pkg/monitor/metrics -update")
	}
}

type fake struct{ i link.Info }

func (f *fake) ID() uint64             { return f.i.ID }
func (f *fake) Info(bool) link.Info    { return f.i }
func (f *fake) Close(wire.CloseReason) {}

// options are those of a daemon that has some of everything.
func options(t testing.TB, change ...func(*config.Config)) monitor.Options {
	t.Helper()
	c := &config.Config{
		Daemon: config.Hubd, SystemAccount: "$SYS", Digest: "sha256:abc",
		Limits:  config.Limits{MaxConnections: 100, MaxPayload: 1 << 20, MaxPending: 1 << 26, MaxControlLine: 4096},
		HTTP:    config.HTTP{Metrics: config.Metrics{Enabled: true, Path: "/metrics", PerAccount: true, MaxSeries: 1000}},
		Gateway: &config.Gateway{Name: "sfo", Remotes: []config.RemoteGateway{{Name: "sfo"}, {Name: "ams"}, {Name: "sgp"}}},
	}
	for _, f := range change {
		f(c)
	}
	b := broker.New("N", "", "$SYS")
	if err := b.Share([]account.Definition{{Name: "APP", Limits: account.Limits{MaxConnections: 10, MaxLeafNodes: 3}}}); err != nil {
		t.Fatal(err)
	}
	b.Account("APP").Clients.Add(2)
	b.Account("bad\xff\"\n\\name")
	o := monitor.Options{
		Server: &link.Server{ID: "N", Name: "hub", Version: "1.2.3", Product: "hubd", Started: time.Unix(1700000000, 0)}, Config: c, Broker: b,
		Clients: link.NewRegistry(10), Routes: link.NewRegistry(10), Gateways: link.NewRegistry(10), Leafs: link.NewRegistry(10),
		Hooks: monitor.Hooks{
			Client: func(link.Info) monitor.ClientDetails { return monitor.ClientDetails{Type: "websocket"} },
			Route: func(i link.Info) monitor.RouteDetails {
				return monitor.RouteDetails{RemoteName: i.Name, Lost: monitor.Losses{Full: 5}}
			},
			Leaf: func(i link.Info) monitor.LeafDetails {
				return monitor.LeafDetails{Lost: monitor.Losses{Full: 1, Denied: 2, Oversized: 3}}
			},
			ClientCounts: func() monitor.ClientCounts { return monitor.ClientCounts{Denied: 7, NoResponders: 9} },
			Gateway: func(i link.Info) monitor.GatewayDetails {
				return monitor.GatewayDetails{Remote: i.Name, Outbound: true}
			},
			LeafRemotes: func() []monitor.LeafRemote {
				return []monitor.LeafRemote{{Name: "hub", State: "waiting"}, {Name: "hub", State: "up"}, {URLs: []string{"h:1"}, Account: "APP", State: "dialing"}}
			},
		},
	}
	return o
}

func fill(o monitor.Options) {
	id := uint64(0)
	add := func(r *link.Registry, kind link.Kind, name string, in int64) *fake {
		id++
		f := &fake{link.Info{
			ID: id, Kind: kind, Name: name, Account: "APP", Started: time.Now(), InMsgs: in, InBytes: 10 * in, OutMsgs: 2 * in, OutBytes: 20 * in, Pending: in, RTT: time.Duration(in) * time.Millisecond, Subs: 8 + int(in),
		}}
		r.Add(f)
		return f
	}
	end := func(r *link.Registry, f *fake, reason wire.CloseReason) {
		f.i.Stopped, f.i.Reason = time.Now(), reason
		r.Remove(f, f.i)
	}
	add(o.Clients, link.KindClient, "a", 1)
	add(o.Clients, link.KindClient, "b", 2)
	end(o.Clients, add(o.Clients, link.KindClient, "c", 4), wire.ReasonSlowPending)
	end(o.Clients, add(o.Clients, link.KindClient, "c", 8), wire.ReasonAuthFailure)
	add(o.Routes, link.KindRoute, "peer", 1)
	add(o.Routes, link.KindRoute, "peer", 2)
	end(o.Routes, add(o.Routes, link.KindRoute, "peer", 4), wire.ReasonStale)
	end(o.Routes, add(o.Routes, link.KindRoute, "gone", 8), wire.ReasonClientClosed)
	add(o.Gateways, link.KindGateway, "ams", 3)
	add(o.Leafs, link.KindLeaf, "edge\"1", 5)
}

// gather is what the library makes of it.
func gather(t testing.TB, r *monitor.Reports) map[string]*dto.MetricFamily {
	t.Helper()
	list, err := prom.Registry(r).Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*dto.MetricFamily)
	for _, f := range list {
		all[f.GetName()] = f
	}
	return all
}

// value finds one sample by its labels but daemon, name and value in turn.
func value(t testing.TB, all map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range all["banyan_"+name].GetMetric() {
		hit := len(m.Label) == len(labels)/2+1
		for _, l := range m.Label {
			at := slices.Index(labels, l.GetName())
			hit = hit && (l.GetName() == "daemon" && l.GetValue() == "hubd" || at >= 0 && labels[at+1] == l.GetValue())
		}
		if hit {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Errorf("no %s with %v", name, labels)
	return -1
}

// TestValues: sums over what is open and what is closed.
func TestValues(t *testing.T) {
	o := options(t)
	r := monitor.NewReports(o)
	fill(o)
	all := gather(t, r)
	for _, row := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "build_info", []string{"version", "1.2.3", "name", "hub", "cluster", "", "goversion", goVersion(all)}},
		{1700000000, "start_time_seconds", nil},
		{1, "ready", nil},
		{15, "messages_total", []string{"kind", "client", "dir", "in"}},
		{300, "bytes_total", []string{"kind", "client", "dir", "out"}},
		{2, "connections", []string{"kind", "client", "transport", "websocket"}},
		{4, "connections_opened_total", []string{"kind", "client"}},
		{1, "connections_closed_total", []string{"kind", "client", "reason", "Slow Consumer (Pending Bytes)"}},
		{1, "slow_consumers_total", []string{"kind", "client", "cause", "pending"}},
		{0, "slow_consumers_total", []string{"kind", "client", "cause", "flagged"}},
		{1, "auth_failures_total", []string{"kind", "client", "cause", "refused"}},
		{1, "stale_total", []string{"kind", "route"}},
		{3, "pending_bytes", []string{"kind", "client"}},
		{2, "pending_bytes_max", []string{"kind", "client"}},
		{1, "route_up", []string{"peer", "peer"}},
		{0, "route_up", []string{"peer", "gone"}},
		{0.002, "route_rtt_seconds", []string{"peer", "peer"}},
		{2, "link_connections", []string{"kind", "route", "peer", "peer"}},
		{7, "link_messages_total", []string{"kind", "route", "peer", "peer", "dir", "in"}},
		{8, "link_messages_total", []string{"kind", "route", "peer", "gone", "dir", "in"}},
		{1, "gateway_up", []string{"remote", "ams"}},
		{0, "gateway_up", []string{"remote", "sgp"}},
		{1, "leaf_up", []string{"remote", "hub", "account", "$G"}},
		{0, "leaf_up", []string{"remote", "h:1", "account", "APP"}},
		{2, "account_connections", []string{"account", "APP", "kind", "client"}},
		{10, "account_limit", []string{"account", "APP", "limit", "connections"}},
		{2, "account_usage", []string{"account", "APP", "limit", "connections"}},
		{0, "series_dropped", []string{"of", "links"}},
		{100, "limit", []string{"limit", "connections"}},
		{7, "dropped_messages_total", []string{"kind", "client", "cause", "denied"}},
		{0, "dropped_messages_total", []string{"kind", "client", "cause", "full"}},
		{4 * 5, "dropped_messages_total", []string{"kind", "route", "cause", "full"}},
		{3, "dropped_messages_total", []string{"kind", "leaf", "cause", "size"}},
		{9, "no_responders_total", nil},
		{11, "link_interest", []string{"kind", "gateway", "peer", "ams"}},
	} {
		if got := value(t, all, row.name, row.labels...); got != row.want {
			t.Errorf("%s %v is %v, want %v", row.name, row.labels, got, row.want)
		}
	}
	for _, m := range all["banyan_gateway_up"].GetMetric() {
		for _, l := range m.Label {
			if l.GetValue() == "sfo" {
				t.Error("a region is a remote of itself")
			}
		}
	}
}

func goVersion(all map[string]*dto.MetricFamily) string {
	for _, l := range all["banyan_build_info"].GetMetric()[0].Label {
		if l.GetName() == "goversion" {
			return l.GetValue()
		}
	}
	return ""
}

// TestBothWritersSayTheSame: what leafd writes by itself is what the library writes.
func TestBothWritersSayTheSame(t *testing.T) {
	o := options(t)
	r := monitor.NewReports(o)
	fill(o)
	c := metrics.NewCollector(r)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(bytes.NewReader(c.Text(false))); err != nil {
		t.Fatalf("%v in\n%s", err, c.Text(false))
	}
	for _, format := range []struct {
		open  bool
		write func(io.Writer, *dto.MetricFamily) error
	}{
		{false, func(w io.Writer, f *dto.MetricFamily) error { _, err := expfmt.MetricFamilyToText(w, f); return err }},
		{true, func(w io.Writer, f *dto.MetricFamily) error {
			_, err := expfmt.MetricFamilyToOpenMetrics(w, f)
			return err
		}},
	} {
		var b bytes.Buffer
		for name, f := range gather(t, r) {
			if strings.HasPrefix(name, metrics.Prefix) {
				if err := format.write(&b, f); err != nil {
					t.Fatal(err)
				}
			}
		}
		want, got := lines(b.String()), lines(string(c.Text(format.open)))
		for _, l := range want {
			if !slices.Contains(got, l) {
				t.Errorf("missing: %s", l)
			}
		}
		for _, l := range got {
			if !slices.Contains(want, l) {
				t.Errorf("too much: %s", l)
			}
		}
	}
	if !bytes.HasSuffix(c.Text(true), []byte("\n# EOF\n")) || bytes.Contains(c.Text(false), []byte("# EOF")) {
		t.Error("the end of OpenMetrics")
	}
}

var exponent = regexp.MustCompile(` (-?[0-9.]+)e\+([0-9]+)$`)

// lines are those of our own metrics, with labels in order and numbers in one form.
func lines(s string) (out []string) {
	for l := range strings.SplitSeq(s, "\n") {
		if !strings.Contains(l, metrics.Prefix) {
			continue
		}
		if name, rest, ok := strings.Cut(l, "{"); ok && l[0] != '#' {
			at := strings.LastIndex(rest, "} ")
			labels := labelPattern.FindAllString(rest[:at], -1)
			slices.Sort(labels)
			l = name + "{" + strings.Join(labels, ",") + rest[at:]
		}
		if m := exponent.FindStringSubmatch(l); m != nil {
			var v float64
			fmt.Sscan(m[1]+"e"+m[2], &v)
			l = strings.TrimSuffix(l, m[0]) + fmt.Sprintf(" %.0f", v)
		}
		out = append(out, strings.TrimSuffix(l, ".0"))
	}
	return out
}

var labelPattern = regexp.MustCompile(`[a-z]+="(?:[^"\\]|\\.)*"`)

// TestLint: nothing that promtool would complain of.
func TestLint(t *testing.T) {
	o := options(t)
	r := monitor.NewReports(o)
	fill(o)
	problems, err := promlint.New(bytes.NewReader(metrics.NewCollector(r).Text(false))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	list, err := prom.Registry(r).Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err = promlint.NewWithMetricFamilies(list).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, metrics.Prefix) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestBounds: beyond the limit accounts and links are one, and what was one stays it.
func TestBounds(t *testing.T) {
	o := options(t, func(c *config.Config) { c.HTTP.Metrics.MaxSeries = 3 })
	r := monitor.NewReports(o)
	for i := range 20 {
		name := fmt.Sprintf("A%02d", i)
		o.Broker.Account(name).Clients.Add(1)
		o.Leafs.Add(&fake{link.Info{ID: uint64(i), Name: name, Account: name, InMsgs: 1, RTT: time.Duration(i) * time.Second}})
	}
	c := metrics.NewCollector(r)
	count := func(family, label string) (n int, values map[string]float64) {
		values = map[string]float64{}
		for _, s := range c.Collect() {
			if s.Family.Name == family {
				n++
				values[s.Labels[slices.Index(s.Family.Labels, label)]] += s.Value
			}
		}
		return n, values
	}
	if n, v := count("account_connections", "account"); n != 2*4 || v["other"] < 17 {
		t.Errorf("%d series of accounts: %v", n, v)
	}
	n, v := count("link_messages_total", "peer")
	if n != 2*4 || v["other"] != 17 {
		t.Errorf("%d series of links: %v", n, v)
	}
	if _, rtt := count("leaf_rtt_seconds", "remote"); rtt["other"] != 19 {
		t.Errorf("times are not the longest: %v", rtt)
	}
	if _, d := count("series_dropped", "of"); d["links"] != 17 || d["accounts"] < 17 {
		t.Errorf("dropped: %v", d)
	}
	o.Broker.Account("A")
	o.Leafs.Add(&fake{link.Info{ID: 99, Name: "A", InMsgs: 1}})
	_, again := count("link_messages_total", "peer")
	for name := range v {
		if _, ok := again[name]; !ok {
			t.Errorf("%s has lost its place to one who came later: %v", name, again)
		}
	}
	off := monitor.NewReports(options(t, func(c *config.Config) { c.HTTP.Metrics.PerAccount = false }))
	for _, s := range metrics.NewCollector(off).Collect() {
		if strings.HasPrefix(s.Family.Name, "account_") {
			t.Fatalf("figures of accounts though they are off: %+v", s)
		}
	}
}

// TestNegotiation: both handlers answer in the format that is asked for.
func TestNegotiation(t *testing.T) {
	r := monitor.NewReports(options(t))
	for name, h := range map[string]http.Handler{"own": metrics.Handler(r), "library": prom.Handler(r)} {
		for accept, want := range map[string]string{
			"": "text/plain; version=0.0.4", "text/plain": "text/plain; version=0.0.4",
			"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1": "application/openmetrics-text; version=1.0.0",
		} {
			req := httptest.NewRequest("GET", "/metrics", nil)
			req.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if got := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(got, want) || !strings.Contains(w.Body.String(), "banyan_build_info{") {
				t.Errorf("%s %q: %d %s", name, accept, w.Code, got)
			}
		}
	}
}

func BenchmarkScrape(b *testing.B) {
	o := options(b)
	r := monitor.NewReports(o)
	for i := range 10_000 {
		o.Clients.Add(&fake{link.Info{ID: uint64(i), Kind: link.KindClient, Account: fmt.Sprintf("A%d", i%500)}})
	}
	c := metrics.NewCollector(r)
	b.ReportAllocs()
	for b.Loop() {
		c.Text(false)
	}
}

// TestManyAccounts: ten thousand accounts and leaf nodes are as many series as the settings
// allow, in every form, and whoever comes and goes makes no more.
func TestManyAccounts(t *testing.T) {
	const n, most = 10_000, 100
	o := options(t, func(c *config.Config) {
		c.HTTP.Metrics.MaxSeries, c.HTTP.Metrics.Compat = most, config.CompatExporter
	})
	r := monitor.NewReports(o)
	conns := make([]*fake, 0, 2*n)
	for i := range n {
		name := fmt.Sprintf("A%05d", i)
		o.Broker.Account(name).Clients.Add(1)
		c := &fake{link.Info{ID: uint64(2 * i), Kind: link.KindClient, Account: name, InMsgs: 1, InBytes: 3}}
		l := &fake{link.Info{ID: uint64(2*i + 1), Kind: link.KindLeaf, Name: "edge-" + name, Account: name, InMsgs: 1}}
		o.Clients.Add(c)
		o.Leafs.Add(l)
		conns = append(conns, c, l)
	}
	library, own := prom.Handler(r), metrics.Handler(r)
	scrape := func(h http.Handler) (lines int, text string) {
		begun := time.Now()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		t.Logf("%d bytes in %s", w.Body.Len(), time.Since(begun))
		return strings.Count(w.Body.String(), "\n"), w.Body.String()
	}
	sum := func(text, family string, labels ...string) (total float64) {
		for l := range strings.SplitSeq(text, "\n") {
			name, rest, ok := strings.Cut(l, "{")
			if !ok || name != family {
				continue
			}
			for _, x := range labels {
				ok = ok && strings.Contains(rest, x)
			}
			if ok {
				var v float64
				fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v)
				total += v
			}
		}
		return total
	}
	for name, h := range map[string]http.Handler{"library": library, "own": own} {
		lines, text := scrape(h)
		// A family has a line an account or link, or two, and one for the others.
		if limit := 30 * (most + 1) * 2; lines > limit {
			t.Errorf("%s: %d lines, want at most %d", name, lines, limit)
		}
		if got := sum(text, "banyan_account_messages_total", `dir="in"`); got != 2*n {
			t.Errorf("%s: %v messages of all accounts", name, got)
		}
		if got := sum(text, "banyan_link_connections", `kind="leaf"`); got != n {
			t.Errorf("%s: %v links", name, got)
		}
		if got := sum(text, "banyan_series_dropped", `of="links"`); got != n-most {
			t.Errorf("%s: %v links without series", name, got)
		}
	}
	before, _ := scrape(own)
	for i, c := range conns {
		last := c.i
		last.Stopped, last.Reason = time.Now(), wire.ReasonClientClosed
		if c.i.Kind == link.KindClient {
			o.Clients.Remove(c, last)
		} else {
			o.Leafs.Remove(c, last)
			o.Leafs.Add(&fake{link.Info{ID: uint64(10*n + i), Kind: link.KindLeaf, Name: fmt.Sprintf("other-%d", i), Account: "APP", InMsgs: 1}})
		}
	}
	after, text := scrape(own)
	if after > before+100 {
		t.Errorf("%d lines became %d", before, after)
	}
	if got := sum(text, "banyan_account_messages_total", `dir="in"`); got != 3*n {
		t.Errorf("%v messages of all accounts after all have gone and others have come", got)
	}
}

// TestExporterNames: those of the exporter, by either writer the same, and none that is
// there twice.
func TestExporterNames(t *testing.T) {
	for compat, prefix := range map[config.MetricsCompat]string{config.CompatOff: "", config.CompatExporter: "nats_", config.CompatGnatsd: "gnatsd_"} {
		o := options(t, func(c *config.Config) { c.HTTP.Metrics.Compat = compat })
		r := monitor.NewReports(o)
		fill(o)
		own := string(metrics.NewCollector(r).Text(false))
		w := httptest.NewRecorder()
		prom.Handler(r).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", compat, w.Code, w.Body)
		}
		if compat == config.CompatOff {
			if strings.Contains(own+w.Body.String(), "nats_") || strings.Contains(own+w.Body.String(), "gnatsd_") {
				t.Error("names of the exporter that nobody has asked for")
			}
			continue
		}
		for name, text := range map[string]string{"own": own, "library": w.Body.String()} {
			for _, want := range []string{
				"varz_connections{server_id=\"N\"} 2", "varz_in_msgs{server_id=\"N\"} ", "varz_mem{server_id=\"N\"} ", "varz_http_req_stats_varz{server_id=\"N\"} 0",
				"varz_server_name{server_id=\"N\",value=\"hub\"} 1", "varz_max_payload{server_id=\"N\"} ",
				"connz_num_connections{server_id=\"N\"} 2", "connz_in_msgs{server_id=\"N\"} 3", "connz_pending_bytes{server_id=\"N\"} 3", "connz_subscriptions{server_id=\"N\"} 19",
				"routez_num_routes{server_id=\"N\"} 2", "subsz_num_subscriptions{server_id=\"N\"} 0", "healthz_status{server_id=\"N\"} 0",
				"accstatz_current_connections{", "accstatz_received_bytes{", "accstatz_slow_consumers{",
			} {
				if !strings.Contains(text, "\n"+prefix+want) {
					t.Errorf("%s, %s: no %s%s", compat, name, prefix, want)
				}
			}
			for _, not := range []string{"varz_gateway_port", "varz_leaf_", "varz_tags", "varz_now"} {
				if strings.Contains(text, "\n"+prefix+not) {
					t.Errorf("%s, %s: %s%s", compat, name, prefix, not)
				}
			}
			if _, err := promlint.New(strings.NewReader(text)).Lint(); err != nil {
				t.Errorf("%s, %s: %v", compat, name, err)
			}
		}
	}
}

// TestCredentialsEnd: of a file of credentials the token says it.
func TestCredentialsEnd(t *testing.T) {
	dir := t.TempDir()
	put := func(name, claims string) string {
		token := "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
		file := filepath.Join(dir, name)
		text := "-----BEGIN NATS USER JWT-----\n" + token + "\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\nSUA\n------END USER NKEY SEED------\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	o := options(t, func(c *config.Config) {
		c.LeafNodes = &config.LeafNodes{Remotes: []config.LeafRemote{
			{Name: "hub", Credentials: put("a", `{"exp":1900000000}`)}, {Name: "hub", Credentials: put("b", `{"exp":1800000000}`)},
			{URLs: []*url.URL{{Scheme: "nats-leaf", Host: "h:1"}}, Account: "APP", Credentials: put("c", `{"exp":1850000000,"nats":{}}`)},
			{Name: "for ever", Credentials: put("d", `{"jti":"X"}`)}, {Name: "gone", Credentials: filepath.Join(dir, "none")}, {Name: "without"},
			{Name: "odd", Credentials: put("e", `no json`)},
		}}
	})
	got := map[string]float64{}
	for _, s := range metrics.NewCollector(monitor.NewReports(o)).Collect() {
		if s.Family.Name == "credential_not_after_seconds" {
			got[strings.Join(s.Labels, " ")] = s.Value
		}
	}
	if want := map[string]float64{"hub $G": 1800000000, "[h:1] APP": 1850000000}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
