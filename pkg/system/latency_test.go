package system_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/test/daemons"
)

const measured = `
accounts {
  SYS { users: [{user: sys, password: pw}] }
  A {
    users: [{user: a, password: pw}]
    exports: [
      {service: "svc.*", latency: lat.svc}
      {service: slow, latency: {subject: lat.slow, sampling: 100%}, threshold: "200ms"}
      {service: traced, latency: {subject: lat.traced, sampling: headers}}
    ]
  }
  B {
    users: [{user: b, password: pw}]
    imports: [{service: {account: A, subject: "svc.*"}, to: "my.*"}, {service: {account: A, subject: slow}}, {service: {account: A, subject: traced}}]
  }
  C { users: [{user: c, password: pw}], imports: [{service: {account: A, subject: "svc.*"}, share: true}] }
}
system_account: SYS
`

// pause is how long the service works.
const pause = 30 * time.Millisecond

func serve(t testing.TB, nc *nats.Conn, subject string) {
	t.Helper()
	if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
		time.Sleep(pause) // it works
		if err := m.Respond([]byte("answer")); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestLatency: a measured service, with requester and responder on one server and on two.
func TestLatency(t *testing.T) {
	all := daemons.Cluster(t, "c", 2, func(int) string { return strings.Replace(measured, `"my.*"`, `"my.$1"`, 1) })
	one := all[0]
	for _, on := range all {
		t.Run("responder on "+on.Server.Name, func(t *testing.T) {
			a, b, c := on.Nats("a", nats.Name("responder")), one.Nats("b", nats.Name("asker")), one.Nats("c", nats.Name("sharer"))
			name := "svc." + on.Server.Name
			serve(t, a, name)
			events := listen(t, on.Nats("a"), "lat.svc")
			one.Knows("A", name, broker.Client|broker.Route)
			one.Knows("A", "lat.svc", broker.Client|broker.Route)
			for _, nc := range []*nats.Conn{b, c} {
				to, shared := "my."+on.Server.Name, false
				if nc == c {
					to, shared = name, true
				}
				before := time.Now()
				if m, err := nc.Request(to, []byte("x"), patience); err != nil || string(m.Data) != "answer" {
					t.Fatalf("%s: %v, %v", to, m, err)
				}
				took := time.Since(before)
				_, v := next(t, events)
				if v["type"] != "io.nats.server.metric.v1.service_latency" || v["status"] != 200.0 || v["description"] != nil || len(fmt.Sprint(v["id"])) != 22 {
					t.Errorf("head of %v", v)
				}
				for key, want := range map[string]any{"name": "responder", "acc": "A", "user": "a", "server": on.Server.Name, "kind": "Client", "lang": "go"} {
					if at(v, "responder", key) != want {
						t.Errorf("responder: %s is %v, want %v", key, at(v, "responder", key), want)
					}
				}
				if at(v, "requestor", "acc") != strings.ToUpper(nc.Opts.User) || (at(v, "requestor", "name") == "sharer") != shared || at(v, "requestor", "rtt") == nil {
					t.Errorf("requestor %v", v["requestor"])
				}
				service, total := span(v, "service"), span(v, "total")
				system := span(v, "system")
				if service < pause/2 || total < service || system < 0 || total > took+time.Second || service+system > total {
					t.Errorf("service %v, system %v, total %v; the request took %v", service, system, total, took)
				}
				if start, err := time.Parse(time.RFC3339Nano, fmt.Sprint(v["start"])); err != nil || start.After(time.Now()) || start.Before(before.Add(-time.Second)) {
					t.Errorf("start %v: %v", v["start"], err)
				}
			}
		})
	}
}

func span(v map[string]any, key string) time.Duration {
	n, _ := v[key].(float64)
	return time.Duration(n)
}

// TestLatencyOfFailures: each status.
func TestLatencyOfFailures(t *testing.T) {
	h := daemons.Hub(t, "hub", strings.Replace(measured, `"my.*"`, `"my.$1"`, 1))
	a, b := h.Nats("a"), h.Nats("b")
	events, slow := listen(t, a, "lat.svc"), listen(t, a, "lat.slow")
	expect := func(s *nats.Subscription, status float64, text string) {
		t.Helper()
		if _, v := next(t, s); v["status"] != status || v["description"] != text || at(v, "requestor", "acc") != "B" || v["responder"] != nil {
			t.Errorf("want %v %s: %v", status, text, v)
		}
	}
	if _, err := b.Request("my.none", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("nobody serves: %v", err)
	}
	expect(events, 503, "Service Unavailable")
	listen(t, a, "svc.deaf")
	listen(t, a, "slow")
	if err := b.Publish("my.deaf", nil); err != nil {
		t.Fatal(err)
	}
	expect(events, 400, "Bad Request")
	inbox := listen(t, b, "private.inbox")
	if err := b.PublishRequest("my.deaf", inbox.Subject, nil); err != nil {
		t.Fatal(err)
	}
	if err := inbox.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	expect(events, 408, "Request Timeout")
	if err := b.PublishRequest("slow", listen(t, b, "other.inbox").Subject, nil); err != nil {
		t.Fatal(err)
	}
	expect(slow, 504, "Service Timeout")
}

// TestLatencyByHeader: which traces are sampled, and what of their headers is told.
func TestLatencyByHeader(t *testing.T) {
	h := daemons.Hub(t, "hub", strings.Replace(measured, `"my.*"`, `"my.$1"`, 1))
	a, b := h.Nats("a"), h.Nats("b")
	events := listen(t, a, "lat.traced")
	if _, err := a.Subscribe("traced", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		header map[string]string
		want   string // names of the event's header; "no": not measured
	}{
		{nil, "no"},
		{map[string]string{"uber-trace-id": "a:b:c:1", "uberctx-x": "y"}, "Uber-Trace-Id uberctx-x"},
		{map[string]string{"Uber-Trace-Id": "a:b:c:2"}, "no"},
		{map[string]string{"Uber-Trace-Id": "a:b:c"}, "no"},
		{map[string]string{"X-B3-Sampled": "1", "X-B3-TraceId": "t", "X-B3-SpanId": "s"}, "X-B3-Sampled X-B3-SpanId X-B3-TraceId"},
		{map[string]string{"X-B3-Sampled": "0", "X-B3-TraceId": "t"}, "no"},
		{map[string]string{"X-B3-TraceId": "t", "X-B3-ParentSpanId": "p"}, "X-B3-ParentSpanId X-B3-TraceId"},
		{map[string]string{"B3": "t-s-1"}, "B3"},
		{map[string]string{"b3": "t-s-0"}, "no"},
		{map[string]string{"B3": "0"}, "no"},
		{map[string]string{"traceparent": "00-aa-bb-01", "tracestate": "x=y"}, "Traceparent Tracestate"},
		{map[string]string{"Traceparent": "00-aa-bb-ff"}, "Traceparent"},
		{map[string]string{"Traceparent": "00-aa-bb-00"}, "no"},
		{map[string]string{"Other": "x"}, "no"},
	}
	for _, row := range rows {
		m := nats.NewMsg("traced")
		for k, v := range row.header {
			m.Header[k] = []string{v}
		}
		if _, err := b.RequestMsg(m, patience); err != nil {
			t.Fatal(err)
		}
		got := "no"
		// A request that is measured for sure ends the wait.
		end := nats.NewMsg("traced")
		end.Header["B3"] = []string{base64.StdEncoding.EncodeToString([]byte("end"))}
		if _, err := b.RequestMsg(end, patience); err != nil {
			t.Fatal(err)
		}
		_, v := next(t, events)
		if fmt.Sprint(at(v, "header", "B3")) != "["+end.Header["B3"][0]+"]" {
			var names []string
			for k := range v["header"].(map[string]any) {
				names = append(names, k)
			}
			slices.Sort(names)
			got = strings.Join(names, " ")
			next(t, events)
		}
		if got != row.want {
			t.Errorf("%v: %s, want %s", row.header, got, row.want)
		}
	}
}
