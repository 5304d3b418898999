// Package leafview shows what package leaf knows of a link in the words of
// package monitor: the hooks monitor.Hooks.Leaf and LeafRemotes. It imports the two.
package leafview

import (
	"time"

	"github.com/banyanmq/banyan/pkg/leaf"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
)

// Details is monitor.Hooks.Leaf.
func Details(i link.Info) monitor.LeafDetails {
	d, ok := i.More.(leaf.Details)
	if !ok {
		return monitor.LeafDetails{}
	}
	return monitor.LeafDetails{
		IsSpoke: d.IsSpoke, IsIsolated: d.IsIsolated, Compression: d.Compression, Proxy: d.Proxy, Subs: d.Subscriptions,
		Lost: monitor.Losses{Full: d.Dropped, Denied: d.Denied, Oversized: d.Oversized},
	}
}

// Remotes makes monitor.Hooks.LeafRemotes of the function that lists the state of
// all remotes.
func Remotes(status func() []leaf.RemoteStatus) func() []monitor.LeafRemote {
	return func() []monitor.LeafRemote {
		all := status()
		out := make([]monitor.LeafRemote, len(all))
		for i := range all {
			r := &all[i]
			out[i] = monitor.LeafRemote{
				Name: r.Name, Account: r.Account, URLs: r.URLs, URL: r.URL, State: string(r.State), Attempts: r.Attempts,
				LastError: r.LastErr, FailedAt: at(r.FailedAt), NextDial: at(r.NextDial), UpSince: at(r.UpSince),
			}
		}
		return out
	}
}

// at is nil for a time that is not set.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
