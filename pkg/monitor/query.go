package monitor

import (
	"fmt"
	"net/url"
	"strconv"
)

// query reads parameters. The first that can't be read is kept in err; later
// ones are not looked at.
type query struct {
	v   url.Values
	err error
}

func (q *query) bool(name string) bool {
	s := q.v.Get(name)
	if s == "" || q.err != nil {
		return false
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		q.err = fmt.Errorf("Error decoding boolean for '%s': %w", name, err) //nolint:revive,staticcheck // the text that tools know
	}
	return b
}

func (q *query) int(name string) int {
	s := q.v.Get(name)
	if s == "" || q.err != nil {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		q.err = fmt.Errorf("Error decoding int for '%s': %w", name, err) //nolint:revive,staticcheck // the text that tools know
	}
	return n
}

func (q *query) uint64(name string) uint64 {
	s := q.v.Get(name)
	if s == "" || q.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		q.err = fmt.Errorf("Error decoding uint64 for '%s': %w", name, err) //nolint:revive,staticcheck // the text that tools know
	}
	return n
}

// subs reads the parameter that is a boolean or the word detail.
func (q *query) subs() (list, detail bool) {
	if q.v.Get("subs") == "detail" {
		return false, true
	}
	return q.bool("subs"), false
}

func (q *query) state() ConnState {
	s := q.v.Get("state")
	switch s {
	case "", "open":
		return ConnOpen
	case "closed":
		return ConnClosed
	case "any", "all":
		return ConnAll
	}
	if q.err == nil {
		q.err = fmt.Errorf("Error decoding state for %s", s) //nolint:revive,staticcheck // the text that tools know
	}
	return ConnOpen
}

func (q *query) connz() (o ConnzOptions) {
	o.Sort = q.v.Get("sort")
	o.Auth = q.bool("auth")
	o.Subs, o.SubsDetail = q.subs()
	o.Offset, o.Limit = q.int("offset"), q.int("limit")
	o.CID = q.uint64("cid")
	o.State = q.state()
	o.User, o.Account, o.MQTTClient = q.v.Get("user"), q.v.Get("acc"), q.v.Get("mqtt_client")
	return o
}

func (q *query) routez() (o RoutezOptions) {
	o.Subs, o.SubsDetail = q.subs()
	return o
}

func (q *query) gatewayz() (o GatewayzOptions) {
	o.Subs, o.SubsDetail = q.subs()
	o.Accounts = q.bool("accs")
	o.Name, o.Account = q.v.Get("gw_name"), q.v.Get("acc_name")
	return o
}

func (q *query) leafz() LeafzOptions {
	return LeafzOptions{Subs: q.bool("subs"), Account: q.v.Get("acc")}
}

func (q *query) subsz() SubszOptions {
	return SubszOptions{
		Subs: q.bool("subs"), Offset: q.int("offset"), Limit: q.int("limit"), Test: q.v.Get("test"), Account: q.v.Get("acc"),
	}
}

func (q *query) healthz() HealthzOptions {
	return HealthzOptions{
		JSEnabled: q.bool("js-enabled"), JSEnabledOnly: q.bool("js-enabled-only"), JSServerOnly: q.bool("js-server-only"),
		JSMetaOnly: q.bool("js-meta-only"), Details: q.bool("details"),
		Account: q.v.Get("account"), Stream: q.v.Get("stream"), Consumer: q.v.Get("consumer"),
	}
}
