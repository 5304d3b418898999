package metrics

import (
	"bytes"
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// Alias is one value under a name that the exporter of monitoring pages gives it. All of
// these are gauges, as there. Label names and values are in turn.
type Alias struct {
	Name   string
	Labels []string
	Value  float64
}

// AliasHelp describes all of them.
const AliasHelp = "As of the monitoring page, under the name that prometheus-nats-exporter gives it."

// aliasPrefix is what the names begin with; "" if none are wanted.
func aliasPrefix(m config.MetricsCompat) string {
	switch m {
	case config.CompatExporter:
		return "nats_"
	case config.CompatGnatsd:
		return "gnatsd_"
	}
	return ""
}

// Aliases makes those that the settings ask for, ordered by name. Accounts and links are as
// many as among the metrics of our own.
func (c *Collector) Aliases() []Alias {
	m := &c.r.Settings().HTTP.Metrics
	prefix := aliasPrefix(m.Compat)
	if prefix == "" {
		return nil
	}
	v := c.r.Varz()
	a := &aliases{prefix: prefix, server: []string{"server_id", v.ID}, most: m.MaxSeries}
	a.page("varz", v)
	if z, err := c.r.Subsz(monitor.SubszOptions{}); err == nil {
		a.page("subsz", z)
	}
	a.page("routez", struct { // without the routes themselves: their interest would be walked
		ID     string `json:"server_id"`
		Name   string `json:"server_name"`
		Routes int    `json:"num_routes"`
	}{v.ID, v.Name, v.Routes})
	a.connz(c.r.Figures())
	if m.PerAccount {
		a.accounts(c.r)
	}
	a.health(c.r)
	sort.SliceStable(a.all, func(i, j int) bool { return a.all[i].Name < a.all[j].Name })
	return a.all
}

type aliases struct {
	prefix string
	server []string // the label that all have
	most   int
	all    []Alias
}

// add adds a value. Names of others may hold anything.
func (a *aliases) add(name string, v float64, labels ...string) {
	labels = append(slices.Clone(a.server), labels...)
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
	}
	a.all = append(a.all, Alias{a.prefix + name, labels, v})
}

// notOfVarz are numbers of /varz that the exporter leaves out, or has under another name.
var notOfVarz = map[string]bool{
	"leaf": true, "trusted_operators_claim": true, "cluster_tls_timeout": true, "cluster_cluster_port": true, "cluster_auth_timeout": true,
	"gateway_port": true, "gateway_auth_timeout": true, "gateway_tls_timeout": true, "gateway_connect_retries": true,
}

// page adds every number of a page.
func (a *aliases) page(name string, page any) {
	b, err := json.Marshal(page)
	if err != nil {
		return
	}
	d := json.NewDecoder(bytes.NewReader(b))
	var m map[string]any
	if d.Decode(&m) == nil {
		a.object(name, "", m)
	}
}

func (a *aliases) object(page, path string, m map[string]any) {
	each(m, func(key string, v any) {
		at := key
		if path != "" {
			at = path + "_" + key
		}
		if notOfVarz[at] {
			return
		}
		name := metricName(page + "_" + at)
		switch x := v.(type) {
		case float64:
			a.add(name, x)
		case map[string]any:
			a.object(page, at, x)
		case string:
			switch key {
			case "server_id", "server_name", "version", "domain", "leader", "name":
				a.add(name, 1, "value", x)
			case "start", "config_load_time":
				if t, err := time.Parse(time.RFC3339Nano, x); err == nil {
					a.add(name, float64(t.UnixMilli()))
				}
			}
		}
	})
}

// metricName puts one low line in the place of whatever can't stand in a name.
func metricName(s string) string {
	b := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			c = '_'
		}
		if c == '_' && len(b) > 0 && b[len(b)-1] == '_' {
			continue
		}
		b = append(b, c)
	}
	return string(b)
}

// connz adds the sums over all clients: the page has but the first thousand of them.
func (a *aliases) connz(f *monitor.Figures) {
	i := slices.IndexFunc(f.Kinds, func(k monitor.KindFigures) bool { return k.Kind == "client" })
	if i < 0 {
		return
	}
	k := &f.Kinds[i]
	open := 0
	for _, n := range k.Open {
		open += n
	}
	for _, x := range []struct {
		name string
		v    float64
	}{
		{"num_connections", float64(open)}, {"total", float64(open)}, {"offset", 0}, {"limit", 1024},
		{"pending_bytes", float64(k.Pending)}, {"subscriptions", float64(k.Subs)},
		{"in_bytes", float64(k.OpenIn.Bytes)}, {"out_bytes", float64(k.OpenOut.Bytes)},
		{"in_msgs", float64(k.OpenIn.Msgs)}, {"out_msgs", float64(k.OpenOut.Msgs)},
	} {
		a.add("connz_"+x.name, x.v)
	}
}

// health is 0 for a server that is well.
func (a *aliases) health(r *monitor.Reports) {
	bad := func(o monitor.HealthzOptions) float64 {
		if r.Healthz(o).StatusCode != 200 {
			return 1
		}
		return 0
	}
	a.add("healthz_status", bad(monitor.HealthzOptions{}))
	a.add("healthz_js_enabled_only_status", bad(monitor.HealthzOptions{JSEnabledOnly: true}))
	a.add("healthz_js_server_only_status", bad(monitor.HealthzOptions{JSServerOnly: true}))
}

// accounts adds what /accstatz has of each account.
func (a *aliases) accounts(r *monitor.Reports) {
	list := r.AccountStatz(monitor.AccountStatzOptions{Unused: true}).Accounts
	for i := range list[:min(len(list), a.most)] {
		s := &list[i]
		for _, x := range []struct {
			name string
			v    int64
		}{
			{"current_connections", s.Conns}, {"total_connections", s.TotalConns}, {"subscriptions", int64(s.NumSubs)}, {"leaf_nodes", s.LeafNodes},
			{"sent_messages", s.Sent.Msgs}, {"sent_bytes", s.Sent.Bytes}, {"received_messages", s.Received.Msgs}, {"received_bytes", s.Received.Bytes},
			{"slow_consumers", s.SlowConsumers},
		} {
			a.add("accstatz_"+x.name, float64(x.v), "account", s.Account)
		}
	}
}
