package routeview

import (
	"reflect"
	"testing"

	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/route"
	"github.com/banyanmq/banyan/pkg/wire"
)

func TestDetails(t *testing.T) {
	got := Details(link.Info{More: route.Details{
		RemoteID: "N", RemoteName: "n", DidSolicit: true, IsConfigured: true, Account: "A", Compression: "off",
		Import: &wire.SubjectPermission{Allow: []string{"a"}}, Export: &wire.SubjectPermission{},
	}})
	want := monitor.RouteDetails{
		RemoteID: "N", RemoteName: "n", DidSolicit: true, IsConfigured: true, Account: "A", Compression: "off",
		Import: &monitor.SubjectPermission{Allow: []string{"a"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := Details(link.Info{Name: "N"}); got.RemoteID != "N" {
		t.Errorf("of another kind: %+v", got)
	}
}
