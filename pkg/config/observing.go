package config

import (
	"strconv"
	"strings"
	"sync"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/config/conf"
)

// What is measured of services, and which messages are traced.

var latencyScope = sync.OnceValue(func() *scope {
	return newScope("latency", "Unknown field %q parsing latency", []*option{
		{yaml: "subject", conf: "subject/dest/destination", kind: kString, field: "Subject"},
		{yaml: "sampling", conf: "sampling", kind: kCustom, read: readSampling(true), field: "Sampling"},
	})
})

var traceScope = sync.OnceValue(func() *scope {
	return newScope("msg_trace", "Unknown field %q parsing message tracing", []*option{
		{yaml: "dest", conf: "dest/subject/destination", kind: kString, field: "Dest"},
		{yaml: "sampling", conf: "sampling", kind: kCustom, read: readSampling(false), field: "Sampling"},
	})
})

// everything is the sampling of those who do not say.
const everything = 100

// readLatency reads a subject, or {subject, sampling}.
func readLatency(d *decoder, path string, v *conf.Value) (any, bool) {
	l := &account.Latency{Sampling: everything}
	if v.Kind == conf.String {
		l.Subject = v.Str
		return l, true
	}
	return l, d.observed(latencyScope(), path, v, l)
}

// readTrace reads a subject, or {dest, sampling}.
func readTrace(d *decoder, path string, v *conf.Value) (any, bool) {
	d.place(account.OfTrace, v.Pos, path)
	t := &account.Trace{Sampling: everything}
	if v.Kind == conf.String {
		t.Dest = v.Str
		return t, true
	}
	return t, d.observed(traceScope(), path, v, t)
}

func (d *decoder) observed(s *scope, path string, v *conf.Value, target any) bool {
	if v.Kind != conf.Map {
		d.errorf(v.Pos, path, "want a subject, or a block with a subject and sampling, got %s", v.Describe())
		return false
	}
	before := len(d.errors)
	d.object(s, v, path, target)
	return len(d.errors) == before
}

// readSampling reads 1 to 100, with or without a percent sign; headers means that those
// of each request decide.
func readSampling(headers bool) reader {
	return func(d *decoder, path string, v *conf.Value) (any, bool) {
		n, ok := v.Int, v.Kind == conf.Integer
		if v.Kind == conf.String {
			if headers && strings.EqualFold(v.Str, "headers") {
				return 0, true
			}
			k, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v.Str), "%")))
			n, ok = int64(k), err == nil
		}
		switch {
		case !ok:
			d.errorf(v.Pos, path, "want a percentage, got %s", v.Describe())
		case n < 1 || n > 100:
			d.errorf(v.Pos, path, "sampling value should be in range [1..100], got %d", n)
		default:
			return int(n), true
		}
		return nil, false
	}
}
