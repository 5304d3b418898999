package monitor

import (
	"fmt"
	"net/http"
	"strings"

	"net"
)

// HealthzOptions are what /healthz may be asked for. Those about streams change
// little while there are none.
type HealthzOptions struct {
	JSEnabled     bool   `json:"js-enabled"` // older spelling of js-enabled-only
	JSEnabledOnly bool   `json:"js-enabled-only"`
	JSServerOnly  bool   `json:"js-server-only"`
	JSMetaOnly    bool   `json:"js-meta-only"`
	Account       string `json:"account"`
	Stream        string `json:"stream"`
	Consumer      string `json:"consumer"`
	Details       bool   `json:"details"`
}

// Healthz is the answer of /healthz.
type Healthz struct {
	Status     string        `json:"status"`
	StatusCode int           `json:"status_code,omitempty"`
	Error      string        `json:"error,omitempty"`
	Errors     []HealthError `json:"errors,omitempty"`
}

// HealthError is one finding.
type HealthError struct {
	Type  string `json:"type"`
	Error string `json:"error"`
}

// Healthz tells whether the daemon can work. A draining daemon is not ready, but
// alive: asked with js-enabled-only, as charts do for liveness, it is well.
func (r *Reports) Healthz(o HealthzOptions) *Healthz {
	if o.JSEnabled {
		r.o.Log.RateLimitedWarnf("Healthcheck: js-enabled is deprecated, use js-enabled-only instead")
	}
	bad := func(code int, kind, text string) *Healthz {
		r.o.Log.RateLimitedWarnf("Healthcheck failed: %q", text)
		h := &Healthz{Status: "error", StatusCode: code}
		if o.Details {
			h.Errors = []HealthError{{kind, text}}
		} else {
			h.Error = text
		}
		return h
	}
	switch {
	case o.Stream != "" && o.Account == "":
		return bad(http.StatusBadRequest, "BAD_REQUEST", `"account" must not be empty when checking stream health`)
	case o.Consumer != "" && o.Stream == "":
		return bad(http.StatusBadRequest, "BAD_REQUEST", `"stream" must not be empty when checking consumer health`)
	}
	alive := o.JSEnabledOnly && !o.JSServerOnly
	if missing := r.notReady(alive); len(missing) > 0 {
		return bad(http.StatusInternalServerError, "CONNECTION",
			fmt.Sprintf("failed to be ready for connections after 1ms: %s", strings.Join(missing, ", ")))
	}
	return &Healthz{Status: "ok", StatusCode: http.StatusOK}
}

// Draining tells whether the process has begun to stop gently.
func (r *Reports) Draining() bool {
	select {
	case <-r.o.Draining:
		return r.o.Draining != nil
	default:
		return false
	}
}

// notReady names the listeners that should be open and are not, and what else
// keeps the daemon from work.
func (r *Reports) notReady(alive bool) (names []string) {
	if r.Draining() {
		if alive {
			return nil
		}
		return []string{"server"}
	}
	c, h := r.Settings(), &r.o.Hooks
	check := func(name string, wanted bool, addr func() *net.TCPAddr) {
		if wanted && addr != nil && addr() == nil {
			names = append(names, name)
		}
	}
	check("server", c.Client.Enabled(), h.ClientAddr)
	check("route", c.Cluster != nil && c.Cluster.Enabled(), h.RouteAddr)
	check("gateway", c.Gateway != nil && c.Gateway.Enabled(), h.GatewayAddr)
	check("leafnode", c.LeafNodes != nil && c.LeafNodes.Enabled(), h.LeafAddr)
	if h.NotReady != nil {
		names = append(names, h.NotReady()...)
	}
	return names
}
