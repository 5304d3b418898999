package metrics

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/banyanmq/banyan/pkg/monitor"
)

// The content types of both formats.
const (
	textType        = "text/plain; version=0.0.4; charset=utf-8"
	openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// Handler answers scrapes without the client library of Prometheus.
func Handler(r *monitor.Reports) http.Handler {
	c := NewCollector(r)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		open := acceptsOpenMetrics(req.Header.Get("Accept"))
		kind := textType
		if open {
			kind = openMetricsType
		}
		w.Header().Set("Content-Type", kind)
		monitor.Send(w, req, http.StatusOK, c.Text(open))
	})
}

func acceptsOpenMetrics(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		kind, params, _ := strings.Cut(part, ";")
		if strings.TrimSpace(kind) == "application/openmetrics-text" && !strings.Contains(params, "q=0,") {
			return true
		}
	}
	return false
}

// Text writes all samples in the text format, or in that of OpenMetrics.
func (c *Collector) Text(openMetrics bool) []byte {
	w := writer{open: openMetrics}
	daemon := c.Daemon()
	var last *Family
	for _, s := range c.Collect() {
		if s.Family != last {
			last = s.Family
			w.head(last.FullName(), last.Help, last.Counter)
		}
		w.sample(last.FullName(), append([]string{"daemon"}, last.Labels...), append([]string{daemon}, s.Labels...), s.Value)
	}
	name := ""
	for _, a := range c.Aliases() {
		if a.Name != name {
			name = a.Name
			w.head(name, AliasHelp, false)
		}
		var labels, values []string
		for i := 0; i+1 < len(a.Labels); i += 2 {
			labels, values = append(labels, a.Labels[i]), append(values, a.Labels[i+1])
		}
		w.sample(name, labels, values, a.Value)
	}
	for _, f := range runtimeFamilies() {
		v, ok := f.value()
		if !ok {
			continue
		}
		w.head(f.name, f.help, f.counter)
		w.sample(f.name, nil, nil, v)
	}
	if openMetrics {
		w.b = append(w.b, "# EOF\n"...)
	}
	return w.b
}

// writer renders lines of either format.
type writer struct {
	b    []byte
	open bool
}

func (w *writer) head(name, help string, counter bool) {
	kind := "gauge"
	if counter {
		kind = "counter"
		if w.open {
			name = strings.TrimSuffix(name, "_total")
		}
	}
	w.b = append(w.b, "# HELP "...)
	w.b = append(w.b, name...)
	w.b = append(w.b, ' ')
	w.escape(help, w.open)
	w.b = append(w.b, "\n# TYPE "...)
	w.b = append(w.b, name...)
	w.b = append(append(append(w.b, ' '), kind...), '\n')
}

func (w *writer) sample(name string, labels, values []string, v float64) {
	w.b = append(w.b, name...)
	for i := range labels {
		w.b = append(w.b, "{,"[min(i, 1)])
		w.b = append(append(w.b, labels[i]...), `="`...)
		w.escape(values[i], true)
		w.b = append(w.b, '"')
	}
	if len(labels) > 0 {
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ' ')
	w.number(v)
	w.b = append(w.b, '\n')
}

// number writes whole ones without exponent, as they are counted.
func (w *writer) number(v float64) {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		w.b = strconv.AppendInt(w.b, int64(v), 10)
		if w.open {
			w.b = append(w.b, ".0"...)
		}
		return
	}
	w.b = strconv.AppendFloat(w.b, v, 'g', -1, 64)
}

// escape keeps a text on its line, and in its quotes. What is no UTF-8 is replaced.
func (w *writer) escape(s string, quotes bool) {
	for _, c := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case c == '\\':
			w.b = append(w.b, `\\`...)
		case c == '\n':
			w.b = append(w.b, `\n`...)
		case c == '"' && quotes:
			w.b = append(w.b, `\"`...)
		default:
			w.b = append(w.b, string(c)...)
		}
	}
}
