package config

import (
	"errors"
	"fmt"

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
	r := &Report{File: l.cfg.File, Digest: l.cfg.Digest, Errors: l.sorted(l.errors), Warnings: l.sorted(l.warnings)}
	if r.OK() {
		r.Config = l.cfg
	}
	return r
}

// certificates loads every TLS block in the roles it has.
func (l *loader) certificates() {
	try := func(key string, t *TLS, listens bool) {
		if t == nil {
			return
		}
		var err error
		if listens {
			_, err = t.Server()
		} else {
			_, err = t.Client("")
		}
		if err != nil {
			l.errorf(l.firstOrigin(key), key, "%v", err)
		}
	}
	c := l.cfg
	try("clients.tls", c.Client.TLS, true)
	if c.Cluster != nil {
		try("cluster.tls", c.Cluster.TLS, true)
	}
	if c.Gateway != nil && c.Daemon == Gwd {
		try("gateway.tls", c.Gateway.TLS, true)
		for i, r := range c.Gateway.Remotes {
			try(fmt.Sprintf("gateway.remotes[%d].tls", i), r.TLS, false)
		}
	}
	if c.LeafNodes != nil {
		try("leafs.tls", c.LeafNodes.TLS, c.LeafNodes.Enabled())
		for i, r := range c.LeafNodes.Remotes {
			try(fmt.Sprintf("upstreams[%d].tls", i), r.TLS, false)
		}
	}
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
