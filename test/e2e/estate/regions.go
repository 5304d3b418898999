//go:build linux

package estate

import (
	"fmt"
	"strings"
	"time"

	"github.com/banyanmq/banyan/test/delayproxy"
)

// Password of users, routes and edge nodes: all of it is on loopback.
const Password = "not-a-secret"

// RegionSpec says what a region is made of.
type RegionSpec struct {
	Name string
	Hubs int           // 2 if 0
	Gwds int           // 2 if 0
	RTT  time.Duration // how far away it is from all others
	// More blocks of settings, e.g. "clients.limits: ...".
	Hub, Gwd string
	LeafTLS  string        // as of [HubSpec]
	Grace    time.Duration // between the warning and the end of the first client in a gentle stop; 100 ms if 0
	// Reference makes the hubs reference servers of this path: with a gateway on each of them, or, if Gwds is not 0, with
	// that many gwd in single-owner mode.
	Reference string
}

// Region is a running region.
type Region struct {
	Name    string
	Hubs    []*Node
	Borders []*Node
}

// Accounts are the accounts of every server here: APP for applications, which need no password, and SYS.
const Accounts = `accounts:
  - name: APP
    users: [{name: app, password: ` + Password + `}]
  - name: OTHER
    users: [{name: other, password: ` + Password + `}]
  - name: SYS
    users: [{name: sys, password: ` + Password + `}]
auth: {system_account: SYS, no_auth_user: app}
`

// ReferenceAccounts are the same in the reference server's words.
const ReferenceAccounts = `accounts {
  APP { users = [{user: app, password: "` + Password + `"}] }
  OTHER { users = [{user: other, password: "` + Password + `"}] }
  SYS { users = [{user: sys, password: "` + Password + `"}] }
}
system_account: SYS
no_auth_user: app
`

func head(n *Node, grace time.Duration) string {
	if grace == 0 {
		grace = 100 * time.Millisecond
	}
	return fmt.Sprintf("server: {name: %s}\nlifecycle: {ports_dir: \"{{dir}}\", drain: 30s, drain_grace: %v}\nmonitor: {listen: %q}\nprofiling: {port: %s}\n",
		n.Name, grace, n.Listen("monitoring"), n.Port("profile"))
}

func list(addrs []string) string {
	quoted := make([]string, len(addrs))
	for i, a := range addrs {
		quoted[i] = fmt.Sprintf("%q", "nats://"+a)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// HubSpec says how a hub differs from others.
type HubSpec struct {
	Name    string
	Cluster string   // "" for a hub that stands alone
	Routes  []*Node  // servers of the cluster that run already
	LeafTLS string   // a TLS block for the leaf listener
	Clients string   // more of the block "clients", in one line: ", limits: {...}"
	Leafs   string   // more of the block "leafs", a line each, indented by two
	More    string   // further blocks
	Args    []string // of the command line
	Grace   time.Duration
}

// Hub makes a hub that has not been started.
func (e *Estate) Hub(s HubSpec) *Node {
	e.t.Helper()
	return e.Prepare(Spec{Name: s.Name, Exe: e.Build("hubd"), Args: s.Args, Settings: func(n *Node) string {
		var b strings.Builder
		b.WriteString(head(n, s.Grace))
		fmt.Fprintf(&b, "clients: {listen: %q%s}\n", n.Listen("nats"), s.Clients)
		b.WriteString(Accounts)
		if s.Cluster != "" {
			fmt.Fprintf(&b, "cluster:\n  name: %s\n  listen: %q\n  routes: %s\n", s.Cluster, n.Listen("cluster"), list(addrs(s.Routes, "cluster")))
		}
		fmt.Fprintf(&b, "leafs:\n  listen: %q\n  users: [{name: edge, password: %s, account: APP}]\n%s", n.Listen("leafnodes"), Password, s.Leafs)
		if s.LeafTLS != "" {
			fmt.Fprintf(&b, "  tls: %s\n", s.LeafTLS)
		}
		b.WriteString(s.More)
		return b.String()
	}})
}

func addrs(nodes []*Node, kind string) []string {
	var all []string
	for _, n := range nodes {
		if a := n.Addr(kind); a != "" {
			all = append(all, a)
		}
	}
	return all
}

// EdgeSpec says how an edge node differs from others.
type EdgeSpec struct {
	Name string
	URLs []string // of hubs, in the order of preference
	TLS  string   // a TLS block for the link
	More string   // further blocks
	Link string   // more of the upstream, a line each, indented by four
	Down bool     // takes leaf links of other edge nodes
	// Grace is as of [RegionSpec].
	Grace time.Duration
}

// Edge makes an edge node that has not been started.
func (e *Estate) Edge(s EdgeSpec) *Node {
	e.t.Helper()
	return e.Prepare(Spec{Name: s.Name, Exe: e.Build("leafd"), Settings: func(n *Node) string {
		var b strings.Builder
		b.WriteString(head(n, s.Grace))
		fmt.Fprintf(&b, "clients: {listen: %q}\n", n.Listen("nats"))
		b.WriteString(Accounts)
		b.WriteString("leafs:\n  timeouts: {reconnect: 100ms, reconnect_max: 500ms, handshake: 20s}\n")
		if s.Down {
			fmt.Fprintf(&b, "  listen: %q\n  users: [{name: edge, password: %s, account: APP}]\n", n.Listen("leafnodes"), Password)
		}
		quoted := make([]string, len(s.URLs))
		for i, u := range s.URLs {
			quoted[i] = fmt.Sprintf("%q", u)
		}
		fmt.Fprintf(&b, "upstreams:\n  - urls: [%s]\n    order: listed\n    local_account: APP\n"+
			"    timeouts: {dial: 10s, first_info: 10s, reconnect_spread: 100ms}\n", strings.Join(quoted, ", "))
		if !strings.Contains(s.Link, "user:") && !strings.Contains(s.Link, "cert:") {
			fmt.Fprintf(&b, "    user: edge\n    password: %s\n", Password)
		}
		if s.TLS != "" {
			fmt.Fprintf(&b, "    tls: %s\n", s.TLS)
		}
		b.WriteString(s.Link)
		b.WriteString(s.More)
		return b.String()
	}})
}

// Regions starts regions that all know each other and waits until every border node has a connection to each other region.
func (e *Estate) Regions(specs ...RegionSpec) []*Region {
	e.t.Helper()
	roads := make(map[string][]*delayproxy.Proxy)
	known := make(map[string][]string)
	for i := range specs {
		s := &specs[i]
		s.Hubs = orTwo(s.Hubs)
		if s.Reference == "" {
			s.Gwds = orTwo(s.Gwds)
		}
		for range s.gateways() {
			p, err := delayproxy.Start(delayproxy.Config{Target: "127.0.0.1:1", RTT: s.RTT})
			if err != nil {
				e.t.Fatal(err)
			}
			e.t.Cleanup(func() { p.Close() })
			roads[s.Name] = append(roads[s.Name], p)
			known[s.Name] = append(known[s.Name], p.Addr())
		}
	}
	regions := make([]*Region, len(specs))
	var firsts, others, borders []*Node
	for i := range specs {
		s := &specs[i]
		r := &Region{Name: s.Name}
		for k := range s.Hubs {
			name := fmt.Sprintf("hub-%s-%d", s.Name, k+1)
			if s.Reference != "" {
				spec := ReferenceSpec{Name: name, Exe: s.Reference, Cluster: s.Name, Routes: r.Hubs[:min(k, 1)]}
				if s.Gwds == 0 {
					spec.Road, spec.Remotes = roads[s.Name][k], known
				}
				r.Hubs = append(r.Hubs, e.ReferenceNode(spec))
			} else {
				r.Hubs = append(r.Hubs, e.Hub(HubSpec{Name: name, Cluster: s.Name, Routes: r.Hubs[:min(k, 1)], LeafTLS: s.LeafTLS, More: s.Hub, Grace: s.Grace}))
			}
		}
		for k := range s.Gwds {
			r.Borders = append(r.Borders, e.border(s, fmt.Sprintf("gwd-%s-%d", s.Name, k+1), k, r.Hubs, roads[s.Name][k], known))
		}
		firsts, others, borders = append(firsts, r.Hubs[0]), append(others, r.Hubs[1:]...), append(borders, r.Borders...)
		regions[i] = r
	}
	e.Start(firsts...)
	e.Start(others...)
	e.Start(borders...)
	e.AwaitMesh(regions...)
	return regions
}

// gateways is how many servers of the region have a gateway.
func (s *RegionSpec) gateways() int {
	if s.Reference != "" && s.Gwds == 0 {
		return s.Hubs
	}
	return s.Gwds
}

func orTwo(n int) int {
	if n == 0 {
		return 2
	}
	return n
}

func (e *Estate) border(s *RegionSpec, name string, index int, hubs []*Node, road *delayproxy.Proxy, known map[string][]string) *Node {
	e.t.Helper()
	return e.Prepare(Spec{Name: name, Exe: e.Build("gwd"), Road: road, Settings: func(n *Node) string {
		var b strings.Builder
		b.WriteString(head(n, s.Grace))
		b.WriteString("auth: {system_account: SYS}\n")
		fmt.Fprintf(&b, "cluster:\n  name: %s\n  listen: %q\n  routes: %s\n", s.Name, n.Listen("cluster"), list(addrs(hubs, "cluster")))
		fmt.Fprintf(&b, "gateway:\n  listen: %q\n  advertise: %q\n  reject_unknown: true\n  remotes:\n", n.Listen("gateway"), road.Addr())
		for region, urls := range known {
			fmt.Fprintf(&b, "    - {name: %s, urls: %s}\n", region, list(urls))
		}
		if s.Reference != "" {
			fmt.Fprintf(&b, "border: {mode: single_owner, priority: %d}\n", 10-index)
		}
		b.WriteString(s.Gwd)
		return b.String()
	}})
}

// AwaitMesh waits until the servers of each region have routes to each other and every border node has a connection to each
// other region.
func (e *Estate) AwaitMesh(regions ...*Region) {
	e.t.Helper()
	for _, r := range regions {
		all := append(append([]*Node(nil), r.Hubs...), r.Borders...)
		for _, n := range all {
			e.Eventually(n.Name+" has routes to its whole region", func() error {
				peers, err := n.Peers()
				if err != nil {
					return err
				}
				for _, m := range all {
					if m == n || peers[m.Name] > 0 {
						continue
					}
					if v, err := m.Varz(); err != nil || peers[v.ID] == 0 {
						return fmt.Errorf("none to %s, only to %v", m.Name, peers)
					}
				}
				return nil
			})
		}
		for _, n := range all {
			if n.road == nil {
				continue
			}
			e.Eventually(n.Name+" reaches the other regions", func() error {
				out, _, err := n.Remotes()
				if err != nil {
					return err
				}
				for _, other := range regions {
					if other != r && !out[other.Name] {
						return fmt.Errorf("not %s, only %v", other.Name, out)
					}
				}
				return nil
			})
		}
	}
}
