// Package clientview shows what package client knows of a connection in the
// words of package monitor: the hook monitor.Hooks.Client. It imports the two.
package clientview

import (
	"strings"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/client"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// Details is monitor.Hooks.Client.
func Details(i link.Info) monitor.ClientDetails {
	d, ok := i.More.(client.Details)
	if !ok {
		return monitor.ClientDetails{}
	}
	out := monitor.ClientDetails{
		Type: kind(d.Type), Lang: d.Lang, Version: d.Version, TLSFirst: d.TLSFirst, Permissions: Permissions(d.Permissions),
	}
	if id := d.Identity; id != nil {
		out.Proxy, out.JWT, out.Issuer, out.NameTag, out.Tags = id.Proxy, id.JWT, id.IssuerKey, id.NameTag, id.Tags
		out.AccountTag, out.Expires = id.AccountTag, id.Expires
	}
	for _, c := range d.PeerCerts {
		out.PeerCerts = append(out.PeerCerts, monitor.PeerCert(c))
	}
	for _, s := range d.Subs {
		out.Subs = append(out.Subs, monitor.SubDetail{
			Account: s.Account, Subject: s.Subject, Queue: s.Queue, SID: s.SID, Msgs: s.Msgs, Max: s.Max, CID: i.ID,
		})
	}
	return out
}

// kind is what tools call a type of connection.
func kind(t config.ConnectionType) string {
	switch t {
	case config.WebSocket:
		return "websocket"
	case config.MQTT, config.MQTTWS:
		return "mqtt"
	}
	return "nats"
}

// Permissions shows what an identity may do, as the settings say it; nil if it may
// do everything.
func Permissions(p *auth.Permissions) *monitor.Permissions {
	if p == nil || p.Source == nil {
		return nil
	}
	s := p.Source
	out := &monitor.Permissions{Publish: lists(&s.Publish), Subscribe: lists(&s.Subscribe)}
	if r := s.AllowResponses; r != nil {
		out.Responses = &monitor.ResponsePermission{Max: r.Max, TTL: int64(r.Expires)}
	}
	return out
}

func lists(p *config.SubjectPermission) *monitor.SubjectPermission {
	if len(p.Allow)+len(p.Deny) == 0 {
		return nil
	}
	return &monitor.SubjectPermission{Allow: clean(p.Allow), Deny: clean(p.Deny)}
}

// clean writes subject and queue with one space between them.
func clean(entries []string) []string {
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = strings.Join(strings.Fields(e), " ")
	}
	return out
}

// Counts is monitor.Hooks.ClientCounts.
func Counts(s *client.Service) func() monitor.ClientCounts {
	return func() monitor.ClientCounts {
		n := s.Stats()
		return monitor.ClientCounts{Denied: n.Denied, NoResponders: n.NoResponders}
	}
}

// SlowEvents is monitor.Hooks.SlowEvents for a daemon with clients: those that
// were found slow and not closed for it.
func SlowEvents(s *client.Service) func(link.Kind) int64 {
	return func(k link.Kind) int64 {
		if k != link.KindClient {
			return 0
		}
		n := s.Stats()
		return n.SlowConsumers - n.SlowPending - n.SlowWrite
	}
}
