// Package routeview shows what package route knows of a connection in the words
// of package monitor: the hook monitor.Hooks.Route. It imports the two.
package routeview

import (
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/route"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Details is monitor.Hooks.Route.
func Details(i link.Info) monitor.RouteDetails {
	d, ok := i.More.(route.Details)
	if !ok {
		return monitor.RouteDetails{RemoteID: i.Name}
	}
	return monitor.RouteDetails{
		RemoteID: d.RemoteID, RemoteName: d.RemoteName, DidSolicit: d.DidSolicit, IsConfigured: d.IsConfigured,
		Border:  d.Role == wire.RoleGateway,
		Account: d.Account, Compression: d.Compression, Import: lists(d.Import), Export: lists(d.Export),
		Lost: monitor.Losses{Full: d.Lost},
	}
}

func lists(p *wire.SubjectPermission) *monitor.SubjectPermission {
	if p == nil || len(p.Allow)+len(p.Deny) == 0 {
		return nil
	}
	return &monitor.SubjectPermission{Allow: p.Allow, Deny: p.Deny}
}
