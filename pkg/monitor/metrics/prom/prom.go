// Package prom shows the metrics of package metrics by the client library of
// Prometheus, with the library's collectors of the process and the runtime. It has a
// registry of its own: what else is linked in can't add to it.
package prom

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/metrics"
)

// maxScrapes are answered at a time; others are told to come later.
const maxScrapes = 4

// Handler answers scrapes.
func Handler(r *monitor.Reports) http.Handler {
	return promhttp.HandlerFor(Registry(r), promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes})
}

// Registry has all metrics.
func Registry(r *monitor.Reports) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	c := metrics.NewCollector(r)
	reg.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newCollector(c), aliases{c},
	)
	return reg
}

// collector puts samples into the library's form.
type collector struct {
	c     *metrics.Collector
	descs map[*metrics.Family]*prometheus.Desc
}

func newCollector(c *metrics.Collector) *collector {
	p := &collector{c: c, descs: make(map[*metrics.Family]*prometheus.Desc)}
	for _, f := range metrics.Families() {
		p.descs[f] = prometheus.NewDesc(f.FullName(), f.Help, f.Labels, prometheus.Labels{"daemon": c.Daemon()})
	}
	return p
}

// Describe implements prometheus.Collector.
func (p *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range p.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (p *collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range p.c.Collect() {
		kind := prometheus.GaugeValue
		if s.Family.Counter {
			kind = prometheus.CounterValue
		}
		m, err := prometheus.NewConstMetric(p.descs[s.Family], kind, s.Value, s.Labels...)
		if err != nil {
			m = prometheus.NewInvalidMetric(p.descs[s.Family], err)
		}
		ch <- m
	}
}

// aliases are the names that the settings may ask for besides. Which there are, who asks
// finds out: nothing is described.
type aliases struct{ c *metrics.Collector }

// Describe implements prometheus.Collector.
func (aliases) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (a aliases) Collect(ch chan<- prometheus.Metric) {
	for _, x := range a.c.Aliases() {
		var labels, values []string
		for i := 0; i+1 < len(x.Labels); i += 2 {
			labels, values = append(labels, x.Labels[i]), append(values, x.Labels[i+1])
		}
		d := prometheus.NewDesc(x.Name, metrics.AliasHelp, labels, nil)
		m, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, x.Value, values...)
		if err != nil {
			m = prometheus.NewInvalidMetric(d, err)
		}
		ch <- m
	}
}
