package gatewayview

import (
	"reflect"
	"testing"

	"github.com/banyanmq/banyan/pkg/gateway"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
)

func TestDetails(t *testing.T) {
	got := Details(link.Info{Name: "NAMS", More: gateway.Details{Gateway: "ams", Outbound: true, Configured: true, ServerName: "x"}})
	want := monitor.GatewayDetails{Remote: "ams", RemoteID: "NAMS", Outbound: true, Configured: true}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := Details(link.Info{Name: "N"}); got.RemoteID != "N" || got.Outbound {
		t.Errorf("of another kind: %+v", got)
	}
}

func TestAccounts(t *testing.T) {
	f := Accounts(func(accounts bool) gateway.Status {
		if !accounts {
			t.Error("the accounts are not asked for")
		}
		return gateway.Status{Outbound: []gateway.RegionStatus{
			{Name: "sgp", Accounts: []gateway.AccountInterest{{Account: "X"}}},
			{Name: "ams", Accounts: []gateway.AccountInterest{{Account: "B", Mode: "Optimistic", Refused: 3}, {Account: "A", Mode: "Interest-Only", Subs: 2, Queues: 1}}},
		}}
	})
	want := []monitor.GatewayAccount{
		{Name: "A", InterestMode: "Interest-Only", InterestOnlyThreshold: 1000, NumSubs: 2, NumQueueSubs: 1},
		{Name: "B", InterestMode: "Optimistic", NoInterestCount: 3, InterestOnlyThreshold: 1000},
	}
	if got := f("ams"); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := f("nowhere"); got != nil {
		t.Errorf("%+v, want none", got)
	}
}
