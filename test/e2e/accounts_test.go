//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/e2e/estate"
)

// foundations are two accounts: ACME exports a stream and a service, CNCF imports them under
// names of its own. Every server that clients or leaf nodes of either account are on
// has the same.
const foundations = `accounts:
  - name: ACME
    users: [{name: acme, password: ` + estate.Password + `}]
    exports: [{stream: "acme.>"}, {service: hello}]
  - name: CNCF
    users: [{name: cncf, password: ` + estate.Password + `}]
    imports:
      - {stream: {account: ACME, subject: "acme.>"}, prefix: cncf}
      - {service: {account: ACME, subject: hello}, to: cncf.hello}
  - name: SYS
    users: [{name: sys, password: ` + estate.Password + `}]
auth: {system_account: SYS}
`

type talkEstate struct {
	*estate.Estate
	hub1, hub2, far      *estate.Node
	edgeACME, edgeCNCF   *estate.Node
	borderSFO, borderAMS *estate.Node
}

func newTalk(t *testing.T) *talkEstate {
	e := &talkEstate{Estate: estate.New(t, bins)}
	hub := func(name, cluster string, routes ...*estate.Node) *estate.Node {
		return e.Prepare(estate.Spec{Name: name, Exe: e.Build("hubd"), Settings: func(n *estate.Node) string {
			return talkHead(n) + foundations + fmt.Sprintf("clients: {listen: %q}\n", n.Listen("nats")) +
				fmt.Sprintf("cluster: {name: %s, listen: %q, routes: %s}\n", cluster, n.Listen("cluster"), urlsOf(routes, "cluster")) +
				fmt.Sprintf("leafs: {listen: %q, users: [{name: a, password: %s, account: ACME}, {name: c, password: %[2]s, account: CNCF}]}\n",
					n.Listen("leafnodes"), estate.Password)
		}})
	}
	border := func(name, cluster string, hubs []*estate.Node, remote string, others ...*estate.Node) *estate.Node {
		return e.Prepare(estate.Spec{Name: name, Exe: e.Build("gwd"), Settings: func(n *estate.Node) string {
			remotes := ""
			if len(others) > 0 {
				remotes = fmt.Sprintf(", remotes: [{name: %s, urls: %s}]", remote, urlsOf(others, "gateway"))
			}
			return talkHead(n) + "auth: {system_account: SYS}\n" +
				fmt.Sprintf("cluster: {name: %s, listen: %q, routes: %s}\n", cluster, n.Listen("cluster"), urlsOf(hubs, "cluster")) +
				fmt.Sprintf("gateway: {listen: %q%s}\n", n.Listen("gateway"), remotes)
		}})
	}
	edge := func(name, account, user string) *estate.Node {
		return e.Prepare(estate.Spec{Name: name, Exe: e.Build("leafd"), Settings: func(n *estate.Node) string {
			return talkHead(n) + fmt.Sprintf("clients: {listen: %q}\naccounts: [{name: %s, users: [{name: u, password: %s}]}]\nauth: {no_auth_user: u}\n",
				n.Listen("nats"), account, estate.Password) +
				fmt.Sprintf("upstreams: [{urls: [\"nats://%s\"], user: %s, password: %s, local_account: %s}]\n",
					e.hub1.Addr("leafnodes"), user, estate.Password, account)
		}})
	}
	e.hub1, e.far = hub("hub-sfo-1", "sfo"), hub("hub-ams-1", "ams")
	e.Start(e.hub1, e.far)
	e.hub2 = hub("hub-sfo-2", "sfo", e.hub1)
	e.borderSFO = border("gwd-sfo-1", "sfo", []*estate.Node{e.hub1}, "")
	e.edgeACME, e.edgeCNCF = edge("edge-acme", "ACME", "a"), edge("edge-cncf", "CNCF", "c")
	e.Start(e.hub2, e.borderSFO, e.edgeACME, e.edgeCNCF)
	e.borderAMS = border("gwd-ams-1", "ams", []*estate.Node{e.far}, "sfo", e.borderSFO)
	e.Start(e.borderAMS)
	e.AwaitMesh(&estate.Region{Name: "sfo", Hubs: []*estate.Node{e.hub1, e.hub2}, Borders: []*estate.Node{e.borderSFO}},
		&estate.Region{Name: "ams", Hubs: []*estate.Node{e.far}, Borders: []*estate.Node{e.borderAMS}})
	return e
}

func talkHead(n *estate.Node) string {
	return fmt.Sprintf("server: {name: %s}\nlifecycle: {ports_dir: \"{{dir}}\"}\nmonitor: {listen: %q}\n", n.Name, n.Listen("monitoring"))
}

func urlsOf(nodes []*estate.Node, kind string) string {
	var all []string
	for _, n := range nodes {
		all = append(all, fmt.Sprintf("%q", "nats://"+n.Addr(kind)))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// as connects to a server; edge nodes let everybody in.
func (e *talkEstate) as(n *estate.Node, user string) *nats.Conn {
	if n == e.edgeACME || n == e.edgeCNCF {
		return e.Connect(n)
	}
	return e.Connect(n, nats.UserInfo(user, estate.Password))
}

// The example that the product grew from, over each kind of connection.
func TestAccountsShare(t *testing.T) {
	e := newTalk(t)
	for _, c := range []struct {
		name       string
		acme, cncf *estate.Node
	}{
		{"OneHub", e.hub1, e.hub1},
		{"Cluster", e.hub1, e.hub2},
		{"ClusterBack", e.hub2, e.hub1},
		{"Gateway", e.far, e.hub2},
		{"GatewayBack", e.hub2, e.far},
		{"LeafOfImporter", e.hub1, e.edgeCNCF},
		{"LeafOfImporterAndCluster", e.hub2, e.edgeCNCF},
		{"LeafOfImporterAndGateway", e.far, e.edgeCNCF},
		{"LeafOfExporter", e.edgeACME, e.hub1},
		{"LeafOfExporterAndCluster", e.edgeACME, e.hub2},
		{"LeafOfExporterAndGateway", e.edgeACME, e.far},
		{"LeafToLeaf", e.edgeACME, e.edgeCNCF},
	} {
		t.Run(c.name, func(t *testing.T) {
			acme, cncf := e.as(c.acme, "acme"), e.as(c.cncf, "cncf")
			defer acme.Close()
			defer cncf.Close()
			e.ticker(t, acme, cncf)
			e.hello(t, acme, cncf)
		})
	}
	t.Run("GroupOverTheCluster", e.groupOverCluster)
}

// ticker: what ACME publishes is seen once and in order under CNCF's prefix, and no other way.
func (e *talkEstate) ticker(t *testing.T, acme, cncf *nats.Conn) {
	const n = 200
	got := make(chan *nats.Msg, 2*n)
	own := make(chan *nats.Msg, n)
	for subj, ch := range map[string]chan *nats.Msg{"cncf.acme.>": got, "acme.>": own} {
		if _, err := cncf.ChanSubscribe(subj, ch); err != nil {
			t.Fatal(err)
		}
	}
	cncf.Flush()
	e.Eventually("the ticker is heard", func() error {
		if err := errors.Join(acme.Publish("acme.probe", nil), acme.Flush()); err != nil {
			return err
		}
		select {
		case <-got:
			return nil
		case <-time.After(50 * time.Millisecond):
			return errors.New("not yet")
		}
	})
	for i := range n {
		if err := acme.PublishRequest("acme.ticker", "reply.to", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	acme.Flush()
	for i := 0; i < n; {
		select {
		case m := <-got:
			switch {
			case m.Subject == "cncf.acme.probe":
				continue
			case m.Subject != "cncf.acme.ticker" || m.Reply != "reply.to" || string(m.Data) != fmt.Sprint(i):
				t.Fatalf("got %s on %s, reply %q; want %d", m.Data, m.Subject, m.Reply, i)
			}
			i++
		case <-time.After(estate.Patience / 2):
			t.Fatalf("%d of %d ticks came", i, n)
		}
	}
	cncf.Flush()
	if len(got) > 0 || len(own) > 0 {
		t.Errorf("%d messages came twice, %d by their own name", len(got), len(own))
	}
}

// hello: a request to the mounted service is answered once, with an inbox of its own each time.
func (e *talkEstate) hello(t *testing.T, acme, cncf *nats.Conn) {
	var served atomic.Int64
	info := make(chan string, 1000)
	sub, err := acme.QueueSubscribe("hello", "workers", func(m *nats.Msg) {
		served.Add(1)
		info <- m.Header.Get("Nats-Request-Info")
		m.Respond(append([]byte("hello, "), m.Data...))
	})
	if err != nil {
		t.Fatal(err)
	}
	acme.Flush()
	e.Eventually("the service answers", func() error {
		_, err := cncf.Request("cncf.hello", []byte("probe"), time.Second)
		return err
	})
	before := served.Load()
	for i := range 50 {
		inbox := nats.NewInbox()
		s, err := cncf.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		cncf.PublishRequest("cncf.hello", inbox, fmt.Append(nil, i))
		m, err := s.NextMsg(estate.Patience / 2)
		if err != nil || string(m.Data) != fmt.Sprintf("hello, %d", i) || m.Subject != inbox {
			t.Fatalf("request %d: %v, %v", i, m, err)
		}
		s.Unsubscribe()
	}
	if n := served.Load() - before; n != 50 {
		t.Errorf("%d requests were served, not 50", n)
	}
	if s := <-info; !strings.Contains(s, `"acc":"CNCF"`) {
		t.Errorf("the service learns %q of who asks", s)
	}
	sub.Unsubscribe()
	acme.Flush()
	e.Eventually("nobody answers any more", func() error {
		if _, err := cncf.Request("cncf.hello", nil, 200*time.Millisecond); err == nil {
			return errors.New("somebody does")
		}
		return nil
	})
}

// groupOverCluster: the members of a group on two hubs share the requests of another account.
func (e *talkEstate) groupOverCluster(t *testing.T) {
	var served [2]atomic.Int64
	for i, n := range []*estate.Node{e.hub1, e.hub2} {
		nc := e.as(n, "acme")
		defer nc.Close()
		if _, err := nc.QueueSubscribe("hello", "workers", func(m *nats.Msg) { served[i].Add(1); m.Respond(nil) }); err != nil {
			t.Fatal(err)
		}
		nc.Flush()
	}
	cncf := e.as(e.hub1, "cncf")
	defer cncf.Close()
	e.Eventually("both members serve", func() error {
		if _, err := cncf.Request("cncf.hello", nil, time.Second); err != nil {
			return err
		}
		if served[0].Load() == 0 || served[1].Load() == 0 {
			return fmt.Errorf("%d and %d", served[0].Load(), served[1].Load())
		}
		return nil
	})
	before := served[0].Load() + served[1].Load()
	for range 200 {
		if _, err := cncf.Request("cncf.hello", nil, estate.Patience/2); err != nil {
			t.Fatal(err)
		}
	}
	if n := served[0].Load() + served[1].Load() - before; n != 200 {
		t.Errorf("%d requests were served, not 200", n)
	}
}

// The same with a reference server as the other member of the cluster, as the leaf node, and as
// the hub of an edge node.
func TestAccountsShareWithReference(t *testing.T) {
	exe := estate.Reference(t)
	e := &talkEstate{Estate: estate.New(t, bins)}
	e.hub1 = e.Prepare(estate.Spec{Name: "hub", Exe: e.Build("hubd"), Settings: func(n *estate.Node) string {
		return talkHead(n) + foundations + fmt.Sprintf("clients: {listen: %q}\ncluster: {name: mixed, listen: %q}\n", n.Listen("nats"), n.Listen("cluster")) +
			fmt.Sprintf("leafs: {listen: %q, users: [{name: c, password: %s, account: CNCF}]}\n", n.Listen("leafnodes"), estate.Password)
	}})
	e.Start(e.hub1)
	reference := func(name, body string) *estate.Node {
		return e.Prepare(estate.Spec{Name: name, Exe: exe, Settings: func(n *estate.Node) string {
			s := fmt.Sprintf("server_name: %s\nports_file_dir: \"{{dir}}\"\nlisten: %q\nhttp: %q\n", name, n.Listen("nats"), n.Listen("monitoring")) + body
			return strings.NewReplacer("$CLUSTER", n.Listen("cluster"), "$LEAF", n.Listen("leafnodes"), "$PASSWORD", estate.Password).Replace(s)
		}})
	}
	e.hub2 = reference("ref", `
accounts {
  ACME { users: [{user: acme, password: "$PASSWORD"}], exports: [{stream: "acme.>"}, {service: hello}] }
  CNCF {
    users: [{user: cncf, password: "$PASSWORD"}]
    imports: [{stream: {account: ACME, subject: "acme.>"}, prefix: cncf}, {service: {account: ACME, subject: hello}, to: cncf.hello}]
  }
  SYS { users: [{user: sys, password: "$PASSWORD"}] }
}
system_account: SYS
cluster { name: mixed, listen: "$CLUSTER", routes: ["nats://`+e.hub1.Addr("cluster")+`"] }
leafnodes { listen: "$LEAF", authorization { users: [{user: c, password: "$PASSWORD", account: CNCF}] } }
`)
	e.Start(e.hub2)
	leaf := `
accounts { CNCF { users: [{user: u, password: "$PASSWORD"}] } }
no_auth_user: u
leafnodes { listen: "$LEAF", remotes: [{url: "nats://c:$PASSWORD@` + e.hub1.Addr("leafnodes") + `", account: CNCF}] }
`
	e.edgeCNCF = reference("ref-leaf", leaf)
	e.edgeACME = e.Prepare(estate.Spec{Name: "edge", Exe: e.Build("leafd"), Settings: func(n *estate.Node) string {
		return talkHead(n) + fmt.Sprintf("clients: {listen: %q}\naccounts: [{name: CNCF, users: [{name: u, password: %s}]}]\nauth: {no_auth_user: u}\n", n.Listen("nats"), estate.Password) +
			fmt.Sprintf("upstreams: [{urls: [\"nats://%s\"], user: c, password: %s, local_account: CNCF}]\n", e.hub2.Addr("leafnodes"), estate.Password)
	}})
	e.Start(e.edgeCNCF, e.edgeACME)
	for _, c := range []struct {
		name       string
		acme, cncf *estate.Node
	}{
		{"OursExports", e.hub1, e.hub2},
		{"OursImports", e.hub2, e.hub1},
		{"ReferenceAsLeaf", e.hub1, e.edgeCNCF},
		{"ReferenceAsLeafAndMember", e.hub2, e.edgeCNCF},
		{"ReferenceAsHub", e.hub2, e.edgeACME},
		{"ReferenceAsHubAndOurs", e.hub1, e.edgeACME},
	} {
		t.Run(c.name, func(t *testing.T) {
			acme, cncf := e.as(c.acme, "acme"), e.as(c.cncf, "cncf")
			defer acme.Close()
			defer cncf.Close()
			e.ticker(t, acme, cncf)
			e.hello(t, acme, cncf)
		})
	}
}
