package config

import (
	"errors"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// Report is all that can be said about settings without starting a daemon.
type Report struct {
	File   string
	Digest string
	// Config is nil when there are errors.
	Config   *Config
	Errors   []Finding
	Warnings []Warning
}

// OK says that a daemon would get past its settings.
func (r *Report) OK() bool { return len(r.Errors) == 0 }

// Check does what Load does and also reads the certificates, so that it finds
// everything that would keep a daemon from starting but ports in use. Errors
// and warnings are sorted by position.
func Check(opts LoadOptions) *Report {
	l, err := load(opts)
	if err != nil {
		return &Report{File: opts.File, Errors: []Finding{{Message: err.Error()}}}
	}
	if len(l.errors) == 0 {
		l.certificates()
	}
	l.warnings = append(l.warnings, l.cfg.Exposed()...)
	r := &Report{File: l.cfg.File, Digest: l.cfg.Digest, Errors: l.sorted(l.errors), Warnings: l.sorted(l.warnings)}
	if r.OK() {
		r.Config = l.cfg
	}
	return r
}

// Findings are the single errors in what Load returned; an error of another
// kind is one finding.
func Findings(err error) []Finding {
	var list Errors
	if errors.As(err, &list) {
		return list
	}
	if err == nil {
		return nil
	}
	return []Finding{{Pos: conf.Pos{}, Message: err.Error()}}
}
