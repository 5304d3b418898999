package leafview

import (
	"reflect"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/leaf"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
)

func TestDetails(t *testing.T) {
	got := Details(link.Info{More: leaf.Details{IsSpoke: true, IsIsolated: true, Compression: "s2_fast", Subscriptions: []string{"a"}}})
	want := monitor.LeafDetails{IsSpoke: true, IsIsolated: true, Compression: "s2_fast", Subs: []string{"a"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := Details(link.Info{}); !reflect.DeepEqual(got, monitor.LeafDetails{}) {
		t.Errorf("of another kind: %+v", got)
	}
}

func TestRemotes(t *testing.T) {
	failed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	utc := failed.UTC()
	all := Remotes(func() []leaf.RemoteStatus {
		return []leaf.RemoteStatus{
			{Name: "hub", Account: "A", URLs: []string{"h:1"}, URL: "h:1", State: leaf.RemoteWaiting, Attempts: 2, LastErr: "refused", FailedAt: failed},
			{State: leaf.RemoteUp, UpSince: failed},
		}
	})()
	want := []monitor.LeafRemote{
		{Name: "hub", Account: "A", URLs: []string{"h:1"}, URL: "h:1", State: "waiting", Attempts: 2, LastError: "refused", FailedAt: &utc},
		{State: "up", UpSince: &utc},
	}
	if !reflect.DeepEqual(all, want) {
		t.Errorf("%+v, want %+v", all, want)
	}
}
