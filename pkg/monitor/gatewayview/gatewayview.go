// Package gatewayview shows what package gateway knows of other regions in the
// words of package monitor: the hooks monitor.Hooks.Gateway and GatewayAccounts.
// It imports the two.
package gatewayview

import (
	"cmp"
	"slices"

	"github.com/banyanmq/banyan/pkg/gateway"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// interestOnlyThreshold is how many refusals of subjects make a region ask for
// interest only, as tools know it (monitoring-events 6).
const interestOnlyThreshold = 1000

// Details is monitor.Hooks.Gateway.
func Details(i link.Info) monitor.GatewayDetails {
	d, ok := i.More.(gateway.Details)
	if !ok {
		return monitor.GatewayDetails{Remote: i.Name, RemoteID: i.Name}
	}
	return monitor.GatewayDetails{
		Remote: d.Gateway, RemoteID: i.Name, Outbound: d.Outbound, Configured: d.Configured, Lost: monitor.Losses{Full: d.Dropped},
	}
}

// Accounts makes monitor.Hooks.GatewayAccounts of the function that tells the
// state of all gateways.
func Accounts(status func(accounts bool) gateway.Status) func(remote string) []monitor.GatewayAccount {
	return func(remote string) (out []monitor.GatewayAccount) {
		for _, r := range status(true).Outbound {
			if r.Name != remote {
				continue
			}
			for _, a := range r.Accounts {
				out = append(out, monitor.GatewayAccount{
					Name: a.Account, InterestMode: a.Mode, NoInterestCount: a.Refused, InterestOnlyThreshold: interestOnlyThreshold,
					NumSubs: a.Subs, NumQueueSubs: a.Queues,
				})
			}
		}
		slices.SortFunc(out, func(a, b monitor.GatewayAccount) int { return cmp.Compare(a.Name, b.Name) })
		return out
	}
}
