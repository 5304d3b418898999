package metrics

import (
	"bytes"
	"fmt"
	"strings"
)

// Prefix is that of all names but those of the runtime.
const Prefix = "banyan_"

// Other is the label of what is summed up because there is too much of it.
const Other = "other"

// Family is one metric: a name with a value for each combination of labels.
type Family struct {
	// Name without the prefix.
	Name    string
	Help    string
	Counter bool
	Labels  []string
	// When says under which condition there are values; "" is always.
	When string
}

// FullName is the name with the prefix.
func (f *Family) FullName() string { return Prefix + f.Name }

// The metrics, in the order in which they are shown.
var (
	buildInfo     = Family{Name: "build_info", Help: "What runs here; the value is always 1.", Labels: []string{"version", "name", "cluster", "goversion"}}
	startTime     = Family{Name: "start_time_seconds", Help: "When the process was started, in seconds since 1970."}
	ready         = Family{Name: "ready", Help: "1 if all listeners are open and the process does not drain."}
	draining      = Family{Name: "draining", Help: "1 once the process has begun to send its clients away."}
	reloadSuccess = Family{Name: "config_reload_success", Help: "1 if the settings that were loaded last are in force."}
	reloadTime    = Family{Name: "config_reload_timestamp_seconds", Help: "Since when the settings in force are, in seconds since 1970."}
	configInfo    = Family{Name: "config_info", Help: "The digest of the settings in force; the value is always 1.", Labels: []string{"digest"}}
	limit         = Family{Name: "limit", Help: "Limits of this server for clients.", Labels: []string{"limit"}, When: "the limit is set"}
	memoryLimit   = Family{Name: "memory_limit_bytes", Help: "Soft limit of the runtime's memory (GOMEMLIMIT).", When: "there is one"}
	messages      = Family{Name: "messages_total", Help: "Messages that came in and went out.", Counter: true, Labels: []string{"kind", "dir"}}
	volume        = Family{Name: "bytes_total", Help: "Bytes of messages that came in and went out.", Counter: true, Labels: []string{"kind", "dir"}}
	connections   = Family{Name: "connections", Help: "Open connections.", Labels: []string{"kind", "transport"}}
	opened        = Family{Name: "connections_opened_total", Help: "Connections that there ever were.", Counter: true, Labels: []string{"kind"}}
	closed        = Family{Name: "connections_closed_total", Help: "Connections that were closed.", Counter: true, Labels: []string{"kind", "reason"}}
	subscriptions = Family{Name: "subscriptions", Help: "Subscriptions, those of other servers among them."}
	slow          = Family{Name: "slow_consumers_total", Help: "Connections that did not take what was sent to them: their queue was full (pending), a write took too long (write), or the same without being closed (flagged).", Counter: true, Labels: []string{"kind", "cause"}}
	stale         = Family{Name: "stale_total", Help: "Connections that were closed because they did not answer pings.", Counter: true, Labels: []string{"kind"}}
	lost          = Family{Name: "dropped_messages_total", Help: "Messages that were not passed on: there was no room because the peer takes them too slowly (full), the peer takes none of that size (size), or they may not be (denied). What waited for a connection when it was closed is not counted.", Counter: true, Labels: []string{"kind", "cause"}}
	noResponders  = Family{Name: "no_responders_total", Help: "Requests of clients that were answered at once because nobody serves them.", Counter: true, When: "there are clients"}
	authFailures  = Family{Name: "auth_failures_total", Help: "Connections that were closed because who they are was not shown in time, or not believed, or not any more.", Counter: true, Labels: []string{"kind", "cause"}}
	pendingBytes  = Family{Name: "pending_bytes", Help: "Bytes that wait to be written to connections.", Labels: []string{"kind"}}
	pendingMax    = Family{Name: "pending_bytes_max", Help: "The longest queue of one connection.", Labels: []string{"kind"}}
	routeUp       = Family{Name: "route_up", Help: "1 if there is a route to the server; 0 for an hour after the last one was closed.", Labels: []string{"peer"}, When: "there are or were routes"}
	gatewayUp     = Family{Name: "gateway_up", Help: "1 if there is a connection to the region.", Labels: []string{"remote"}, When: "in a gwd"}
	leafUp        = Family{Name: "leaf_up", Help: "1 if the link to the hub is up.", Labels: []string{"remote", "account"}, When: "the settings name hubs"}
	routeRTT      = Family{Name: "route_rtt_seconds", Help: "Round trip time to the server, the longest of its routes.", Labels: []string{"peer"}, When: "measured"}
	gatewayRTT    = Family{Name: "gateway_rtt_seconds", Help: "Round trip time to the region.", Labels: []string{"remote"}, When: "measured"}
	leafRTT       = Family{Name: "leaf_rtt_seconds", Help: "Round trip time of the leaf link.", Labels: []string{"remote"}, When: "measured"}
	linkConns     = Family{Name: "link_connections", Help: "Open connections to the peer.", Labels: []string{"kind", "peer"}}
	linkMessages  = Family{Name: "link_messages_total", Help: "Messages from and to the peer.", Counter: true, Labels: []string{"kind", "peer", "dir"}}
	linkBytes     = Family{Name: "link_bytes_total", Help: "Bytes of messages from and to the peer.", Counter: true, Labels: []string{"kind", "peer", "dir"}}
	linkPending   = Family{Name: "link_pending_bytes", Help: "Bytes that wait to be written to the peer.", Labels: []string{"kind", "peer"}}
	linkInterest  = Family{Name: "link_interest", Help: "Subjects that the peer wants, as it has told.", Labels: []string{"kind", "peer"}, When: "gateways and leaf links"}
	accounts      = Family{Name: "accounts", Help: "Accounts that are known here."}
	accConns      = Family{Name: "account_connections", Help: "Connections to this server of the account.", Labels: []string{"account", "kind"}, When: perAccount}
	accSubs       = Family{Name: "account_subscriptions", Help: "Subscriptions of the account, those of other servers among them.", Labels: []string{"account"}, When: perAccount}
	accMessages   = Family{Name: "account_messages_total", Help: "Messages of the account. Those on routes that several accounts share are in none.", Counter: true, Labels: []string{"account", "dir"}, When: perAccount}
	accBytes      = Family{Name: "account_bytes_total", Help: "Bytes of messages of the account, as above.", Counter: true, Labels: []string{"account", "dir"}, When: perAccount}
	accSlow       = Family{Name: "account_slow_consumers_total", Help: "Connections of the account that were closed as slow.", Counter: true, Labels: []string{"account"}, When: perAccount}
	accLimit      = Family{Name: "account_limit", Help: "Limits of the account.", Labels: []string{"account", "limit"}, When: perAccount + " and the limit is set"}
	accUsage      = Family{Name: "account_usage", Help: "What of the limits is used on this server.", Labels: []string{"account", "limit"}, When: perAccount + " and the limit is set"}
	certExpiry    = Family{Name: "tls_certificate_not_after_seconds", Help: "When the certificate of the listener ends, in seconds since 1970.", Labels: []string{"listener"}, When: "the listener has one"}
	credExpiry    = Family{Name: "credential_not_after_seconds", Help: "When the credentials end by which the hub is told who we are, in seconds since 1970.", Labels: []string{"remote", "account"}, When: "the settings name credentials, and they end"}
	httpRequests  = Family{Name: "http_requests_total", Help: "Requests to the monitoring endpoints.", Counter: true, Labels: []string{"path"}}
	seriesDropped = Family{Name: "series_dropped", Help: "Accounts and links without values of their own, because monitor.metrics.max_series is reached.", Labels: []string{"of"}}
)

const perAccount = "`monitor.metrics.per_account` is on"

// Families are all metrics, in their order.
func Families() []*Family {
	return []*Family{
		&buildInfo, &startTime, &ready, &draining, &reloadSuccess, &reloadTime, &configInfo, &limit, &memoryLimit,
		&messages, &volume, &connections, &opened, &closed, &subscriptions,
		&slow, &lost, &noResponders, &stale, &authFailures, &pendingBytes, &pendingMax,
		&routeUp, &gatewayUp, &leafUp, &routeRTT, &gatewayRTT, &leafRTT, &linkConns, &linkMessages, &linkBytes, &linkPending, &linkInterest,
		&accounts, &accConns, &accSubs, &accMessages, &accBytes, &accSlow, &accLimit, &accUsage,
		&certExpiry, &credExpiry, &httpRequests, &seriesDropped,
	}
}

const docHead = `# Metrics

Each daemon serves its metrics for Prometheus itself, at ` + "`/metrics`" + ` on the monitoring listener; there is no exporter to
run. The format is the text format or OpenMetrics, as the scraper asks for.

` + "```yaml" + `
# a daemon's settings                       # Prometheus
monitor:                                    scrape_configs:
  listen: 0.0.0.0:8222                        - job_name: banyan
  metrics:                                      static_configs:
    enabled: true       # the default             - targets: [hub-0:8222, hub-1:8222, gw-0:8222]
    per_account: true
    max_series: 1000
` + "```" + `

Nothing is counted for metrics alone: a scrape reads what is kept anyhow and looks once at each open connection. It neither
holds up messages nor walks subscriptions.

Accounts and links are as many as users make them. The first ` + "`monitor.metrics.max_series`" + ` of each have values of their
own; all others are summed up with the label ` + "`" + Other + "`" + ` (for times the longest), and ` + "`" + Prefix + `series_dropped` + "`" + ` says how many those
are.

A Grafana dashboard is in [configs/grafana](../configs/grafana), alert rules are in [configs/prometheus](../configs/prometheus).

` + "`dir`" + ` is in or out, as the server sees it. ` + "`kind`" + ` is client, route, gateway or leaf. All have the label ` + "`daemon`" + `: hubd, gwd or
leafd.

| metric | type | labels | what | there if |
|---|---|---|---|---|
`

const docTail = `
Besides these there are the usual ` + "`process_*` and `go_*`" + ` metrics. hubd and gwd have all that the client library of Prometheus
collects; leafd, to stay small, has those that alerts look at:

`

const docEnd = `
With ` + "`monitor.metrics.compat: exporter`" + ` the names that prometheus-nats-exporter makes of the monitoring pages are there
besides, so that dashboards that were made for it go on: ` + "`nats_varz_*`, `nats_connz_*`, `nats_subsz_*`, `nats_routez_*`,\n`nats_accstatz_*`, `nats_healthz_*`" + `. All are gauges, as there; ` + "`nats_varz_start`" + ` and ` + "`nats_varz_config_load_time`" + ` are in
milliseconds. Of accounts the first ` + "`max_series`" + ` are shown and no sum of the others. Those of single connections, gateways
and leaf nodes are not among them; ` + "`banyan_link_*`" + ` has these. With ` + "`compat: gnatsd`" + ` the names begin with gnatsd_, as the
exporter's do when it is started by hand.

What others have and these do not, and why:

- Stalls of publishers: publishers are never stalled. A connection that does not take what it is sent is closed instead, and
  counted.
- Messages that waited for a client when it was closed as slow: what waits is bytes, and ` + "`banyan_slow_consumers_total`" + `
  counts the clients.
- Histograms of round trip times: one is measured with each ping, every half a minute or so, and a gauge shows it.
- How much interest a route has told of: the interest of a cluster is shared, and ` + "`banyan_subscriptions`" + ` has it.
- Streams: there are none yet.
`

// Document is docs/METRICS.md.
func Document() []byte {
	var b bytes.Buffer
	b.WriteString(docHead)
	for _, f := range Families() {
		kind := "gauge"
		if f.Counter {
			kind = "counter"
		}
		labels := ""
		if len(f.Labels) > 0 {
			labels = "`" + strings.Join(f.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.FullName(), kind, labels, f.Help, f.When)
	}
	b.WriteString(docTail)
	for _, f := range runtimeFamilies() {
		fmt.Fprintf(&b, "- `%s`: %s\n", f.name, f.help)
	}
	b.WriteString(docEnd)
	return b.Bytes()
}
