// Package metrics shows a daemon's figures to Prometheus (monitoring-events 17). It
// holds the table of all metrics and makes their values when somebody scrapes, from
// counters that are kept anyhow: nothing is done per message, and no subscription is
// looked at.
//
// [Handler] writes them in the text format and in OpenMetrics by itself, for leafd,
// whose binary is to stay small. Package prom hands the same values to the client
// library of Prometheus, for the daemons that can afford it. docs/METRICS.md is
// written from the table.
//
// It may import monitor and what that may.
package metrics
