//go:build linux

package estate

import (
	"fmt"
	"strings"

	"github.com/banyanmq/banyan/test/delayproxy"
)

// ReferenceSpec says how a reference server differs from others.
type ReferenceSpec struct {
	Name    string
	Exe     string
	Cluster string  // "" for a server that stands alone
	Routes  []*Node // servers of the cluster that run already
	// Remotes are other regions, for a server with a gateway: addresses by name. Nil for a server without one. Road is in
	// front of the gateway.
	Remotes map[string][]string
	Road    *delayproxy.Proxy
	// Upstreams are hubs that it is a leaf node of.
	Upstreams []string
	More      string
}

// ReferenceNode makes a reference server that has not been started.
func (e *Estate) ReferenceNode(s ReferenceSpec) *Node {
	return e.Prepare(Spec{Name: s.Name, Exe: s.Exe, Road: s.Road, Settings: func(n *Node) string {
		var b strings.Builder
		fmt.Fprintf(&b, "server_name: %s\nports_file_dir: \"{{dir}}\"\nlisten: %q\nhttp: %q\n", s.Name, n.Listen("nats"), n.Listen("monitoring"))
		b.WriteString(ReferenceAccounts)
		if s.Cluster != "" {
			fmt.Fprintf(&b, "cluster {\n  name: %s\n  listen: %q\n  routes: %s\n}\n", s.Cluster, n.Listen("cluster"), list(addrs(s.Routes, "cluster")))
		}
		if s.Remotes != nil {
			fmt.Fprintf(&b, "gateway {\n  name: %s\n  listen: %q\n  advertise: %q\n  gateways: [\n", s.Cluster, n.Listen("gateway"), s.Road.Addr())
			for name, urls := range s.Remotes {
				fmt.Fprintf(&b, "    {name: %s, urls: %s}\n", name, list(urls))
			}
			b.WriteString("  ]\n}\n")
		}
		fmt.Fprintf(&b, "leafnodes {\n  listen: %q\n  authorization { users = [{user: edge, password: %q, account: APP}] }\n  reconnect: 1\n", n.Listen("leafnodes"), Password)
		if len(s.Upstreams) > 0 {
			urls := make([]string, len(s.Upstreams))
			for i, u := range s.Upstreams {
				urls[i] = fmt.Sprintf("%q", "nats://edge:"+Password+"@"+u)
			}
			fmt.Fprintf(&b, "  remotes: [{urls: [%s], account: APP}]\n", strings.Join(urls, ", "))
		}
		b.WriteString("}\n")
		b.WriteString(s.More)
		return b.String()
	}})
}
