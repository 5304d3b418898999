package clientview

import (
	"reflect"
	"testing"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/client"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
)

func TestDetails(t *testing.T) {
	perms := auth.NewPermissions(&config.Permissions{
		Publish:        config.SubjectPermission{Deny: []string{"no.>"}},
		Subscribe:      config.SubjectPermission{Allow: []string{"a.*   q"}},
		AllowResponses: &config.ResponsePermission{Max: 3, Expires: time.Second},
	})
	i := link.Info{ID: 7, More: client.Details{
		Type: config.MQTTWS, Lang: "go", Version: "1.2", TLSFirst: true, PeerCerts: []client.PeerCert{{Subject: "CN=x"}},
		Permissions: perms, Subs: []client.Subscription{{Account: "A", Subject: "s", Queue: "q", SID: "1", Msgs: 2, Max: 3}},
	}}
	want := monitor.ClientDetails{
		Type: "mqtt", Lang: "go", Version: "1.2", TLSFirst: true, PeerCerts: []monitor.PeerCert{{Subject: "CN=x"}},
		Permissions: &monitor.Permissions{
			Publish:   &monitor.SubjectPermission{Allow: []string{}, Deny: []string{"no.>"}},
			Subscribe: &monitor.SubjectPermission{Allow: []string{"a.* q"}, Deny: []string{}},
			Responses: &monitor.ResponsePermission{Max: 3, TTL: 1e9},
		},
		Subs: []monitor.SubDetail{{Account: "A", Subject: "s", Queue: "q", SID: "1", Msgs: 2, Max: 3, CID: 7}},
	}
	if got := Details(i); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for kind, name := range map[config.ConnectionType]string{config.Standard: "nats", config.WebSocket: "websocket", config.MQTT: "mqtt", config.InProcess: "nats"} {
		if got := Details(link.Info{More: client.Details{Type: kind}}).Type; got != name {
			t.Errorf("type %s is %q, want %q", kind, got, name)
		}
	}
	if got := Details(link.Info{More: 1}); !reflect.DeepEqual(got, monitor.ClientDetails{}) {
		t.Errorf("of another kind: %+v", got)
	}
}
