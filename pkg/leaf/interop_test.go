package leaf

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
	"github.com/banyanmq/banyan/test/procs"
)

// reference starts the installed reference server.
func reference(t *testing.T, conf string) (*procs.Process, procs.Ports) {
	t.Helper()
	exe, err := procs.Reference()
	if errors.Is(err, procs.ErrNoReference) {
		t.Skip("TestInterop: no reference server: install nats-server or set NATS_SERVER")
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := procs.Start(procs.Spec{
		Exe: exe, Dir: t.TempDir(), Args: []string{"-D"},
		Config: "listen: 127.0.0.1:-1\nports_file_dir: \"{{dir}}\"\n" + conf,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("reference server:\n%s", p.Log.Tail(3000))
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ports, err := p.Ports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return p, ports
}

// leafListener is the settings of a leaf listener. The reference server does not list it in its
// ports file, so its port is chosen here.
func leafListener(t *testing.T) (conf, addr string) {
	t.Helper()
	p, err := procs.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprintf("127.0.0.1:%d", p[0])
	return "leafnodes { listen: \"" + addr + "\" }\n", addr
}

func (n *node) remoteConf(extra string) string {
	return fmt.Sprintf("leafnodes { remotes: [ { url: \"nats-leaf://%s\", %s } ] }\n", n.addr(), extra)
}

// referenceWants waits until a subject has interest at a reference server, by a request that
// only then finds a responder, or a message that only then arrives.
func referenceWants(t *testing.T, nc *nats.Conn, in *box, subj string) {
	t.Helper()
	eventually(t, "interest of the reference server in "+subj, func() bool {
		publish(t, nc, subj, "probe")
		select {
		case <-in.c:
			return true
		default:
			return false
		}
	})
	// What is left of the probes is gone once a marker has come.
	publish(t, nc, subj, "marker")
	for string(in.get().Data) != "marker" {
	}
}

// interopTraffic checks everything both ways between a node of ours and a reference server.
func interopTraffic(t *testing.T, n *node, ref string) {
	t.Helper()
	// From them to us.
	their, our := connect(t, ref), n.nats()
	in := subscribe(t, our, "down.>", "")
	referenceWants(t, their, in, "down.x")
	numbered(t, their, in, "down.x", 10000)
	q1, q2 := subscribe(t, our, "dq", "g"), subscribe(t, our, "dq", "g")
	dq := subscribe(t, our, "dq", "")
	referenceWants(t, their, dq, "dq")
	drain(t, our, q1, q2)
	shared(t, their, "dq", 1000, q1, q2)
	respond(t, our, "dsvc", "ours")
	eventually(t, "our responder at the reference server", func() bool {
		_, err := their.Request("dsvc", nil, patience)
		return err == nil
	})
	request(t, their, "dsvc", "hi", "ours got hi")

	// From us to them.
	up := subscribe(t, their, "up.>", "")
	n.wants("$G", "up.x")
	numbered(t, our, up, "up.x", 10000)
	u1, u2 := subscribe(t, their, "uq", "g"), subscribe(t, their, "uq", "g")
	n.wants("$G", "uq")
	shared(t, our, "uq", 1000, u1, u2)
	respond(t, their, "usvc", "theirs")
	n.wants("$G", "usvc")
	request(t, our, "usvc", "hi", "theirs got hi")

	// A member on our side is served first, and interest goes away.
	mine := subscribe(t, our, "uq", "g")
	counts := shared(t, our, "uq", 100, mine, u1, u2)
	if counts[0] != 100 {
		t.Errorf("of 100 messages the member beside the publisher got %d", counts[0])
	}
	their.Close()
	n.hasInterest("$G", "up.x", false)
}

// drain empties boxes of a connection whose group got probes.
func drain(t *testing.T, nc *nats.Conn, boxes ...*box) {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		for len(b.c) > 0 {
			<-b.c
		}
	}
}

func TestInteropReferenceIsHub(t *testing.T) {
	conf, addr := leafListener(t)
	_, ports := reference(t, conf)
	l := startNode(t, "EDGE", dialing(addr))
	l.links(1)
	interopTraffic(t, l, ports.Client())
}

func TestInteropReferenceIsLeaf(t *testing.T) {
	h := startNode(t, "HUB", listening)
	_, ports := reference(t, h.remoteConf("hub: false"))
	h.links(1)
	interopTraffic(t, h, ports.Client())
}

func TestInteropRolesSwapped(t *testing.T) {
	// The reference server dials and is the hub.
	h := startNode(t, "SPOKE", listening)
	_, ports := reference(t, h.remoteConf("hub: true"))
	h.links(1)
	interopTraffic(t, h, ports.Client())
}

func TestInteropReferenceReconnects(t *testing.T) {
	h := startNode(t, "HUB", listening)
	reference(t, h.remoteConf("hub: false"))
	h.links(1)
	for _, c := range h.reg.Open() {
		c.Close(wire.ReasonKicked)
	}
	eventually(t, "a second link", func() bool { return h.reg.Total() == 2 && h.reg.Len() == 1 })
}

func TestInteropPermissions(t *testing.T) {
	conf, addr := leafListener(t)
	_, ports := reference(t, conf+`
accounts { A { users: [ { user: u, password: p, permissions: {
	publish: { allow: ["up.>", "_INBOX.>"], deny: "up.secret" }
	subscribe: { allow: ["down.>", "_INBOX.>"] } } }, { user: admin, password: p } ] } }
no_auth_user: admin
`)
	l := startNode(t, "EDGE", dialing("u:p@"+addr, func(r *config.LeafRemote) { r.Account = "$G" }))
	l.links(1)
	their, our := connect(t, ports.Client()), l.nats()
	all := subscribe(t, their, ">", "")
	l.wants("$G", "anything.at.all")
	subscribe(t, our, "not.for.us", "")
	subscribe(t, our, "down.>", "")
	publish(t, our, "other", "1")
	publish(t, our, "up.secret", "2")
	publish(t, our, "up.ok", "3")
	all.expect("3")
	l.links(1)
	if got := l.reg.Total(); got != 1 {
		t.Fatalf("%d links in all: we were cut off for a breach", got)
	}
}

func (p *pki) conf(name, more string) string {
	return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, timeout: 5 %s }",
		p.tls(name).Certificates[0].CertFile, p.tls(name).Certificates[0].KeyFile, p.ca().CAFile, more)
}

func TestInteropTLSToReference(t *testing.T) {
	p := newPKI(t)
	ports, err := procs.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	_, at := reference(t, fmt.Sprintf("leafnodes { listen: \"127.0.0.1:%d\", %s }\n", ports[0], p.conf("hub", ", verify: true")))
	l := startNode(t, "EDGE", dialing(fmt.Sprintf("localhost:%d", ports[0]), with(p.tls("edge"))))
	l.links(1)
	interopTraffic(t, l, at.Client())
}

func TestInteropTLSFromReference(t *testing.T) {
	p := newPKI(t)
	server := p.tls("hub")
	server.Verify = true
	h := startNode(t, "HUB", listening, secured(server))
	_, at := reference(t, h.remoteConf(p.conf("edge", "")))
	h.links(1)
	interopTraffic(t, h, at.Client())
}

// Our node between two reference servers: their loop subjects go through, and a ring of the
// three is found.
func TestInteropChainAndLoop(t *testing.T) {
	conf, top := leafListener(t)
	_, ports := reference(t, "server_name: TOP\n"+conf)
	mid := startNode(t, "MID", listening, dialing(top), hurried)
	mid.links(1)
	_, bottom := reference(t, "server_name: BOTTOM\n"+mid.remoteConf("hub: false"))
	mid.links(2)
	their := connect(t, ports.Client())
	in := subscribe(t, connect(t, bottom.Client()), "deep", "")
	referenceWants(t, their, in, "deep")
	numbered(t, their, in, "deep", 1000)

	// A third leaf node of both closes the ring.
	p, _ := reference(t, fmt.Sprintf("server_name: RING\nleafnodes { remotes: [ { url: \"nats-leaf://%s\" }, { url: \"nats-leaf://%s\" } ] }\n", top, mid.addr()))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := p.Log.Wait(ctx, regexp.MustCompile("Loop detected")); err != nil {
		t.Fatal(err)
	}
}
