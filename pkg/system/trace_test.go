package system_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/test/daemons"
)

const traced = `
accounts {
  SYS { users: [{user: sys, password: pw}] }
  APP {
    users: [
      {user: ann, password: pw}
      {user: ltd, password: pw, permissions: {publish: {deny: ["tr.no", "t.no"]}, subscribe: {deny: "t.secret"}}}
    ]
    mappings: {"old.*": "t.mapped"}
    exports: [{stream: "t.>"}, {service: open, allow_trace: true}, {service: shut}]
  }
  IMP {
    users: [{user: imp, password: pw}]
    imports: [
      {stream: {account: APP, subject: "t.open"}, to: "in.open", allow_trace: true}
      {stream: {account: APP, subject: "t.shut"}, to: "in.shut"}
      {service: {account: APP, subject: open}, to: "ask.open"}, {service: {account: APP, subject: shut}, to: "ask.shut"}
    ]
  }
  OTEL { users: [{user: otel, password: pw}], msg_trace: tr.otel }
}
system_account: SYS
`

// collect sends a message with a trace destination, as the CLI does, and gathers
// reports until as many came as they say that there are.
func collect(t testing.TB, nc, listener *nats.Conn, m *nats.Msg) map[string]map[string]any {
	t.Helper()
	dest := listen(t, listener, nats.NewInbox())
	m.Header.Set("Nats-Trace-Dest", dest.Subject)
	if err := nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	return reports(t, dest)
}

// reports gathers until the first server has reported, and each that was asked to.
func reports(t testing.TB, dest *nats.Subscription) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	asked, answered := map[string]bool{"": true}, map[string]bool{}
	for len(answered) < len(asked) || !answered[""] {
		m, err := dest.NextMsg(patience)
		if err != nil {
			t.Fatalf("%v after %v", err, all)
		}
		b := m.Data
		if m.Header.Get("Content-Encoding") == "snappy" {
			if b, err = io.ReadAll(s2.NewReader(bytes.NewReader(b))); err != nil {
				t.Fatal(err)
			}
		}
		v := decode(t, b)
		name := fmt.Sprint(at(v, "server", "name"))
		if all[name] != nil {
			t.Fatalf("a second report of %s: %s", name, b)
		}
		all[name] = v
		hop := ""
		if h, ok := at(v, "request", "header", "Nats-Trace-Hop").([]any); ok {
			hop = fmt.Sprint(h[0])
		}
		asked[hop], answered[hop] = true, true
		hops := 0.0
		for _, e := range v["events"].([]any) {
			if h, ok := at(e, "hop").(string); ok {
				asked[h] = true
				hops++
			}
		}
		if n, _ := v["hops"].(float64); n != hops {
			t.Errorf("%s tells of %v hops, and has %v", name, n, hops)
		}
	}
	if m, err := dest.NextMsg(50 * time.Millisecond); err == nil {
		t.Fatalf("one report too many: %s", m.Data)
	}
	return all
}

// story is the events of a report in short.
func story(v map[string]any) string {
	var out []string
	events, _ := v["events"].([]any)
	for _, e := range events {
		s := fmt.Sprint(at(e, "type"))
		for _, key := range []string{"kind", "name", "acc", "subj", "from", "to", "sub", "queue", "hop", "error"} {
			if x := at(e, key); x != nil {
				s += fmt.Sprintf(" %s=%v", key, x)
			}
		}
		if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(at(e, "ts"))); err != nil {
			s += " " + err.Error()
		}
		out = append(out, s)
	}
	slices.Sort(out[1:])
	return strings.Join(out, "; ")
}

func tell(t testing.TB, what string, got map[string]any, want string) {
	t.Helper()
	if s := story(got); s != want {
		t.Errorf("%s:\n got %s\nwant %s", what, s, want)
	}
}

// TestTraceOnOneServer: what is told of a message that stays on a server.
func TestTraceOnOneServer(t *testing.T) {
	h := daemons.Hub(t, "hub", traced)
	ann, ltd := h.Nats("ann", nats.Name("pub"), nats.NoEcho()), h.Nats("ltd", nats.Name("sub"))
	got := listen(t, ltd, "t.x")
	listen(t, ann, "t.x")
	send := func(nc *nats.Conn, subject string, header ...string) map[string]any {
		t.Helper()
		m := nats.NewMsg(subject)
		m.Data = []byte("hello")
		for i := 0; i < len(header); i += 2 {
			m.Header.Set(header[i], header[i+1])
		}
		return collect(t, nc, ltd, m)["hub"]
	}
	v := send(ann, "t.x", "Foo", "bar")
	tell(t, "plain", v, "in kind=0 name=pub acc=APP subj=t.x; eg kind=0 name=pub sub=t.x error=Not delivered because of no echo; eg kind=0 name=sub sub=t.x")
	if m, err := got.NextMsg(patience); err != nil || string(m.Data) != "hello" || m.Header.Get("Foo") != "bar" {
		t.Errorf("delivered %v: %v", m, err)
	}
	if fmt.Sprint(at(v, "request", "header", "Foo")) != "[bar]" || at(v, "request", "msgsize") == 0.0 || v["hops"] != nil {
		t.Errorf("request %v", v["request"])
	}
	// As `nats trace` does: not delivered, and compressed.
	v = send(ann, "t.x", "Nats-Trace-Only", "True", "Accept-Encoding", "snappy")
	tell(t, "trace-only", v, "in kind=0 name=pub acc=APP subj=t.x; eg kind=0 name=pub sub=t.x error=Not delivered because of no echo; eg kind=0 name=sub sub=t.x")
	if m, err := got.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("delivered although trace-only: %v", m)
	}
	tell(t, "nobody there", send(ann, "t.nobody"), "in kind=0 name=pub acc=APP subj=t.nobody")
	if _, err := ltd.QueueSubscribeSync("t.q", "g"); err != nil {
		t.Fatal(err)
	}
	if err := ltd.Flush(); err != nil {
		t.Fatal(err)
	}
	tell(t, "queue group", send(ann, "t.q"), "in kind=0 name=pub acc=APP subj=t.q; eg kind=0 name=sub sub=t.q queue=g")
	listen(t, ltd, "t.mapped")
	tell(t, "mapping", send(ann, "old.1"), "in kind=0 name=pub acc=APP subj=old.1; eg kind=0 name=sub sub=t.mapped; sm to=t.mapped")
	listen(t, ltd, "t.>")
	tell(t, "denied to the subscriber", send(ann, "t.secret"),
		"in kind=0 name=pub acc=APP subj=t.secret; eg kind=0 name=sub sub=t.> error=Not delivered because subscription denies this subject")
	if v = send(ltd, "t.no"); !strings.Contains(story(v), "error=Permissions Violation for Publish") || strings.Contains(story(v), "eg ") {
		t.Errorf("denied to the publisher: %s", story(v))
	}
}

// TestTraceThatIsNone: headers that ask for no trace, or for one that can't be.
func TestTraceThatIsNone(t *testing.T) {
	h := daemons.Hub(t, "hub", traced)
	errs := make(chan error, 10)
	ltd := h.Nats("ltd", nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	got := listen(t, ltd, "t.x")
	all := listen(t, ltd, "tr.>")
	for name, row := range map[string]struct {
		header    []string
		delivered bool
	}{
		"only, without a destination":        {[]string{"Nats-Trace-Only", "true"}, true},
		"a destination with wildcards":       {[]string{"Nats-Trace-Dest", "tr.*"}, true},
		"the same, only":                     {[]string{"Nats-Trace-Dest", "tr.*", "Nats-Trace-Only", "1"}, false},
		"disabled":                           {[]string{"Nats-Trace-Dest", "trace disabled", "Nats-Trace-Only", "1"}, true},
		"an early implementation":            {[]string{"Nats-Trace-Dest", "tr.x", "Nats-Trace-Origin-Account", "APP"}, true},
		"an early implementation, only":      {[]string{"Nats-Trace-Dest", "tr.x", "Nats-Trace-Origin-Account", "APP", "Nats-Trace-Only", "on"}, false},
		"a destination that is denied":       {[]string{"Nats-Trace-Dest", "tr.no"}, false},
		"traceparent, in an account without": {[]string{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, true},
	} {
		m := nats.NewMsg("t.x")
		for i := 0; i < len(row.header); i += 2 {
			m.Header[row.header[i]] = []string{row.header[i+1]}
		}
		if err := ltd.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		if err := ltd.Flush(); err != nil {
			t.Fatal(err)
		}
		_, err := got.NextMsg(50 * time.Millisecond)
		if (err == nil) != row.delivered {
			t.Errorf("%s: delivered: %v", name, err)
		}
	}
	if m, err := all.NextMsg(0); err == nil {
		t.Errorf("a report: %s", m.Data)
	}
	select {
	case err := <-errs:
		if !strings.Contains(err.Error(), `Permissions Violation for Publish to "tr.no"`) {
			t.Errorf("the client was told %v", err)
		}
	case <-time.After(patience):
		t.Error("the client was not told that the destination is denied")
	}
}

// TestTraceAcrossAccounts: with and without leave to go on there.
func TestTraceAcrossAccounts(t *testing.T) {
	h := daemons.Hub(t, "hub", traced)
	ann, imp := h.Nats("ann", nats.Name("ann")), h.Nats("imp", nats.Name("imp"))
	opened, shut := listen(t, imp, "in.open"), listen(t, imp, "in.shut")
	tell(t, "stream, allowed", collect(t, ann, ann, nats.NewMsg("t.open"))["hub"],
		"in kind=0 name=ann acc=APP subj=t.open; eg kind=0 name=imp acc=IMP sub=in.open; se acc=IMP to=in.open")
	tell(t, "stream, not allowed", collect(t, ann, ann, nats.NewMsg("t.shut"))["hub"], "in kind=0 name=ann acc=APP subj=t.shut")
	for _, s := range []*nats.Subscription{opened, shut} {
		m, err := s.NextMsg(patience)
		if err != nil {
			t.Fatalf("%s: %v", s.Subject, err)
		}
		if off := m.Header.Get("Nats-Trace-Dest") == "trace disabled"; off != (s == shut) {
			t.Errorf("%s came with %v", s.Subject, m.Header)
		}
	}
	only := func(subject string) *nats.Msg {
		m := nats.NewMsg(subject)
		m.Header.Set("Nats-Trace-Only", "1")
		return m
	}
	collect(t, ann, ann, only("t.open"))
	collect(t, ann, ann, only("t.shut"))
	for _, s := range []*nats.Subscription{opened, shut} {
		if m, err := s.NextMsg(20 * time.Millisecond); err == nil {
			t.Errorf("%s: trace-only was delivered: %v", s.Subject, m)
		}
	}
	requests := listen(t, ann, "open")
	closed := listen(t, ann, "shut")
	tell(t, "service, allowed", collect(t, imp, imp, nats.NewMsg("ask.open"))["hub"],
		"in kind=0 name=imp acc=IMP subj=ask.open; eg kind=0 name=ann acc=APP sub=open; si acc=APP from=ask.open to=open")
	tell(t, "service, not allowed", collect(t, imp, imp, nats.NewMsg("ask.shut"))["hub"], "in kind=0 name=imp acc=IMP subj=ask.shut")
	if m, err := requests.NextMsg(patience); err != nil || m.Header.Get("Nats-Request-Info") == "" {
		t.Errorf("request %v: %v", m, err)
	}
	if m, err := closed.NextMsg(patience); err != nil || m.Header.Get("Nats-Trace-Dest") != "trace disabled" {
		t.Errorf("request %v: %v", m, err)
	}
	collect(t, imp, imp, only("ask.shut"))
	if m, err := closed.NextMsg(20 * time.Millisecond); err == nil {
		t.Errorf("trace-only was delivered: %v", m)
	}
}

// TestTraceByTraceparent: an account that wants those traces.
func TestTraceByTraceparent(t *testing.T) {
	all := daemons.Cluster(t, "c", 2, func(int) string { return traced })
	pub, sub := all[0].Nats("otel", nats.Name("pub")), all[1].Nats("otel", nats.Name("sub"))
	got, dest := listen(t, sub, "x"), listen(t, all[0].Nats("otel"), "tr.otel")
	all[0].Knows("OTEL", "x", broker.Route)
	all[1].Knows("OTEL", "tr.otel", broker.Route)
	for flags, want := range map[string]bool{"01": true, "00": false, "81": true, "zz": false} {
		m := nats.NewMsg("x")
		m.Header["TraceParent"] = []string{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-" + flags}
		if err := pub.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		if _, err := got.NextMsg(patience); err != nil {
			t.Fatalf("%s: %v", flags, err)
		}
		if want {
			r := reports(t, dest)
			if len(r) != 2 || !strings.Contains(story(r["c2"]), "eg kind=0 name=sub sub=x") {
				t.Errorf("%s: %v", flags, r)
			}
		} else if m, err := dest.NextMsg(50 * time.Millisecond); err == nil {
			t.Errorf("%s: %s", flags, m.Data)
		}
	}
}

// TestTraceOverRoutesAndLeafs: each server reports, and hops are numbered.
func TestTraceOverRoutesAndLeafs(t *testing.T) {
	all := daemons.Cluster(t, "c", 3, func(i int) string {
		if i == 1 {
			return traced + `leafnodes { listen: "127.0.0.1:-1", authorization { user: edge, password: pw, account: APP } }`
		}
		return traced
	})
	edge := daemons.Leaf(t, "edge", fmt.Sprintf("leafnodes { remotes: [{url: \"nats://edge:pw@%s\"}] }\n", all[1].Addr("leafnodes")))
	pub := all[0].Nats("ann", nats.Name("pub"))
	listen(t, all[2].Nats("ann", nats.Name("third")), "t.x")
	far := listen(t, edge.Nats("", nats.Name("far")), "t.x")
	all[0].Knows("APP", "t.x", broker.Route)
	daemons.Eventually(t, "both are known", func() bool {
		return len(all[0].Broker.Account("APP").Matching([]byte("t.x"), nil)) == 2
	})
	r := collect(t, pub, pub, nats.NewMsg("t.x"))
	if len(r) != 4 {
		t.Fatalf("%d reports: %v", len(r), r)
	}
	first := story(r["c1"])
	if !strings.HasPrefix(first, "in kind=0 name=pub acc=APP subj=t.x; eg kind=1 name=c2 hop=") || !strings.Contains(first, "; eg kind=1 name=c3 hop=") {
		t.Errorf("c1: %s", first)
	}
	two := "1"
	if strings.Contains(first, "name=c2 hop=2") {
		two = "2"
	}
	tell(t, "c2", r["c2"], "in kind=1 name=c1 acc=APP subj=t.x; eg kind=4 name=edge hop="+two+".1")
	tell(t, "c3", r["c3"], "in kind=1 name=c1 acc=APP subj=t.x; eg kind=0 name=third sub=t.x")
	tell(t, "edge", r["edge"], "in kind=4 name=c2 acc=$G subj=t.x; eg kind=0 name=far sub=t.x")
	m, err := far.NextMsg(patience)
	if err != nil || m.Header.Get("Nats-Trace-Hop") != two+".1" {
		t.Errorf("delivered %v: %v", m, err)
	}
	only := nats.NewMsg("t.x")
	only.Header.Set("Nats-Trace-Only", "true")
	if r = collect(t, pub, pub, only); len(r) != 4 {
		t.Errorf("trace-only: %d reports", len(r))
	}
	if m, err = far.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("trace-only was delivered: %v", m)
	}
	// A request to a service whose account lets traces on; the responder is elsewhere.
	imp := all[0].Nats("imp", nats.Name("imp"))
	listen(t, all[2].Nats("ann", nats.Name("server")), "open")
	all[0].Knows("APP", "open", broker.Route)
	dest := listen(t, imp, "my.traces")
	all[2].Knows("IMP", "my.traces", broker.Route)
	ask := nats.NewMsg("ask.open")
	ask.Header.Set("Nats-Trace-Dest", "my.traces")
	if err := imp.PublishMsg(ask); err != nil {
		t.Fatal(err)
	}
	r = reports(t, dest)
	tell(t, "requester's server", r["c1"], "in kind=0 name=imp acc=IMP subj=ask.open; eg kind=1 name=c3 acc=APP hop=1; si acc=APP from=ask.open to=open")
	tell(t, "responder's server", r["c3"], "in kind=1 name=c1 acc=APP subj=open; eg kind=0 name=server sub=open")
}

// TestTraceOfAnotherAccount: nobody but servers says in which account is reported.
func TestTraceOfAnotherAccount(t *testing.T) {
	all := daemons.Cluster(t, "c", 2, func(int) string { return traced })
	pub := all[0].Nats("ann", nats.Name("pub"))
	got := listen(t, all[1].Nats("ann", nats.Name("sub")), "t.x")
	victim := listen(t, all[1].Nats("imp"), "tr.>")
	dest := listen(t, pub, "tr.mine")
	all[0].Knows("APP", "t.x", broker.Route)
	all[1].Knows("APP", "tr.mine", broker.Route)
	for _, extra := range []string{"", "tr.*"} {
		m := nats.NewMsg("t.x")
		m.Header["X-Banyan-Trace-Account"] = []string{"IMP"}
		m.Header["Nats-Trace-Dest"] = []string{"tr.mine"}
		if extra != "" {
			m.Header["Nats-Trace-Dest"] = []string{extra}
		}
		if err := pub.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		if _, err := got.NextMsg(patience); err != nil {
			t.Fatal(err)
		}
		if extra == "" {
			if r := reports(t, dest); len(r) != 2 {
				t.Errorf("%d reports", len(r))
			}
		}
	}
	if m, err := victim.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("reported in another account: %s", m.Data)
	}
}

// TestTraceOverRegions: hub, gwd, gwd, hub.
func TestTraceOverRegions(t *testing.T) {
	one := daemons.Hub(t, "sfo1", "cluster { name: sfo, listen: \"127.0.0.1:-1\" }\n"+traced)
	two := daemons.Hub(t, "ams1", "cluster { name: ams, listen: \"127.0.0.1:-1\" }\n"+traced)
	gate := func(name, cluster string, hub *daemons.Server, others string) *daemons.Server {
		return daemons.Gwd(t, name, fmt.Sprintf("system_account: SYS\ncluster { name: %s, listen: \"127.0.0.1:-1\", routes: [\"nats://%s\"] }\n"+
			"gateway { name: %[1]s, listen: \"127.0.0.1:-1\"%[3]s }\n", cluster, hub.Addr("cluster"), others))
	}
	g1 := gate("gwsfo", "sfo", one, "")
	gate("gwams", "ams", two, fmt.Sprintf(", gateways: [{name: sfo, url: \"nats://%s\"}]", g1.Addr("gateway")))
	pub, sub := one.Nats("ann", nats.Name("pub")), two.Nats("ann", nats.Name("sub"))
	got := listen(t, sub, "t.x")
	one.Knows("APP", "t.x", broker.Border)
	dest := listen(t, pub, "tr.here")
	two.Knows("APP", "tr.here", broker.Border)
	m := nats.NewMsg("t.x")
	m.Header.Set("Nats-Trace-Dest", "tr.here")
	if err := pub.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	r := reports(t, dest)
	tell(t, "hub", r["sfo1"], "in kind=0 name=pub acc=APP subj=t.x; eg kind=1 name=gwsfo hop=1")
	tell(t, "gwd", r["gwsfo"], "in kind=1 name=sfo1 acc=APP subj=t.x; eg kind=2 name=gwams hop=1.1")
	tell(t, "other gwd", r["gwams"], "in kind=2 name=gwsfo acc=APP subj=t.x; eg kind=1 name=ams1 hop=1.1.1")
	tell(t, "other hub", r["ams1"], "in kind=1 name=gwams acc=APP subj=t.x; eg kind=0 name=sub sub=t.x")
	if m, err := got.NextMsg(patience); err != nil || m.Header.Get("Nats-Trace-Hop") != "1.1.1" {
		t.Errorf("delivered %v: %v", m, err)
	}
}
