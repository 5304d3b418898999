//go:build linux

package estate

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/banyanmq/banyan/test/delayproxy"
	"github.com/banyanmq/banyan/test/procs"
)

// Node is one server. Its methods are safe for concurrent use.
type Node struct {
	Name string

	est      *Estate
	settings func(*Node) string
	args     []string
	road     *delayproxy.Proxy // in front of the gateway listener; nil elsewhere

	mu    sync.Mutex
	exe   string            // guarded by mu
	proc  *procs.Process    // guarded by mu
	fixed map[string]string // address by kind of listener, since the first start; guarded by mu
}

// Spec says what a server is.
type Spec struct {
	Name string
	Exe  string
	Args []string
	// Settings returns the settings file. It is asked at each start; n.Listen gives the addresses to listen on.
	Settings func(n *Node) string
	Road     *delayproxy.Proxy
}

// Prepare makes a node that has not been started.
func (e *Estate) Prepare(s Spec) *Node {
	n := &Node{Name: s.Name, est: e, exe: s.Exe, settings: s.Settings, args: s.Args, road: s.Road, fixed: make(map[string]string)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nodes = append(e.nodes, n)
	return n
}

// Start makes nodes and starts them, all at the same time, and waits until they listen.
func (e *Estate) Start(nodes ...*Node) {
	e.t.Helper()
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = n.start() })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			e.t.Fatalf("starting %s: %v", nodes[i].Name, err)
		}
	}
}

// Listen is the address for a kind of listener in the words of the ports file: nats, cluster, gateway, leafnodes, monitoring,
// profile. It is any port before the first start and the same afterwards.
func (n *Node) Listen(kind string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.fixed[kind]; a != "" {
		return a
	}
	return "127.0.0.1:-1"
}

// Port is the port part of [Node.Listen].
func (n *Node) Port(kind string) string {
	_, port, _ := net.SplitHostPort(n.Listen(kind))
	return port
}

func (n *Node) start() error {
	var err error
	for range 20 {
		if err = n.startOnce(); err == nil || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
		// Somebody's outgoing connection has our port for the moment.
		time.Sleep(250 * time.Millisecond)
	}
	return err
}

func (n *Node) startOnce() error {
	settings := n.settings(n)
	p, err := procs.Start(procs.Spec{Exe: n.binary(), Dir: n.est.Dir(n.Name), Config: settings, ConfigName: n.configName(), Args: n.args})
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.proc = p
	n.mu.Unlock()
	ports, err := p.Ports(n.est.Context())
	if err != nil {
		p.Kill()
		return err
	}
	told, err := n.logged(p)
	if err != nil {
		p.Kill()
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for kind, addr := range told {
		n.fixed[kind] = addr
	}
	for kind, urls := range map[string][]string{
		"nats": ports.Nats, "cluster": ports.Cluster, "gateway": ports.Gateway, "leafnodes": ports.LeafNodes,
		"monitoring": ports.Monitoring, "profile": ports.Profile,
	} {
		if len(urls) > 0 {
			n.fixed[kind] = procs.Addr(urls[0])
		}
	}
	if n.road != nil {
		n.road.SetTarget(n.fixed["gateway"])
	}
	return nil
}

// logged returns the addresses of listeners that older reference servers leave out of the ports file.
func (n *Node) logged(p *procs.Process) (map[string]string, error) {
	if n.native() {
		return nil, nil
	}
	kinds := map[string]string{"leafnodes": "Listening for leafnode connections on "}
	if n.road != nil {
		kinds["gateway"] = "Listening for gateways connections on "
	}
	for kind, text := range kinds {
		m, err := p.Log.Wait(n.est.Context(), regexp.MustCompile(text+`(\S+)`))
		if err != nil {
			return nil, err
		}
		kinds[kind] = m[1]
	}
	return kinds, nil
}

func (n *Node) configName() string {
	if n.native() {
		return "server.yaml"
	}
	return "server.conf"
}

func (n *Node) native() bool { return !strings.Contains(n.binary(), "nats-server") }

func (n *Node) process() *procs.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// Process is the running or last process, nil before the first start.
func (n *Node) Process() *procs.Process { return n.process() }

// Pid is the process id.
func (n *Node) Pid() int { return n.process().Pid() }

// Log is the output since the last start.
func (n *Node) Log() *procs.Log {
	if p := n.process(); p != nil {
		return p.Log
	}
	return new(procs.Log)
}

// Kill ends the process with no chance to say goodbye.
func (n *Node) Kill() {
	if p := n.process(); p != nil {
		p.Kill()
	}
}

func (n *Node) stop() {
	n.Kill()
	if n.road != nil {
		n.road.Close()
	}
}

var crashed = regexp.MustCompile(`(?m)^(panic: |fatal error: |runtime: goroutine stack exceeds|SIGSEGV|SIGABRT|unexpected fault)`)

// Crash returns what the process said when it crashed, "" if it did not.
func (n *Node) Crash() string {
	log := n.Log().String()
	at := crashed.FindStringIndex(log)
	if at == nil {
		return ""
	}
	lines := strings.SplitAfterN(log[at[0]:], "\n", 61)
	return strings.Join(lines[:min(len(lines), 60)], "")
}

// Restart kills the process if it runs and starts it again on the same ports.
func (n *Node) Restart() error {
	n.Kill()
	return n.start()
}

// Use makes the next start use another binary of the same name.
func (n *Node) Use(exe string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.exe = exe
}

func (n *Node) binary() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.exe
}

// Road is the proxy in front of the gateway listener.
func (n *Node) Road() *delayproxy.Proxy { return n.road }

// URL is where clients connect.
func (n *Node) URL() string { return "nats://" + n.Addr("nats") }

// Addr is the address of a listener, by its kind as in [Node.Listen], "" if it is off.
func (n *Node) Addr(kind string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fixed[kind]
}

// Get reads a monitoring page into v.
func (n *Node) Get(path string, v any) error {
	c := http.Client{Timeout: 10 * time.Second}
	resp, err := c.Get("http://" + n.Addr("monitoring") + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// Varz is the part of /varz that tests look at.
type Varz struct {
	ID            string `json:"server_id"`
	Name          string `json:"server_name"`
	Banyan        string `json:"x_banyan"`
	Connections   int    `json:"connections"`
	Routes        int    `json:"routes"`
	Leafs         int    `json:"leafnodes"`
	SlowConsumers int64  `json:"slow_consumers"`
	InMsgs        int64  `json:"in_msgs"`
	OutMsgs       int64  `json:"out_msgs"`
	Subscriptions int    `json:"subscriptions"`
}

// Varz reads /varz.
func (n *Node) Varz() (v Varz, err error) {
	err = n.Get("/varz", &v)
	return v, err
}

// Peers returns the names of the servers that this one has routes to.
func (n *Node) Peers() (map[string]int, error) {
	var z struct {
		Routes []struct {
			RemoteName string `json:"remote_name"`
			RemoteID   string `json:"remote_id"`
		} `json:"routes"`
	}
	if err := n.Get("/routez", &z); err != nil {
		return nil, err
	}
	peers := make(map[string]int)
	for _, r := range z.Routes {
		name := r.RemoteName
		if name == "" {
			name = r.RemoteID
		}
		peers[name]++
	}
	return peers, nil
}

// Remotes returns how many connections go out to and come in from each other region.
func (n *Node) Remotes() (out map[string]bool, in map[string]int, err error) {
	var raw struct {
		Outbound map[string]json.RawMessage   `json:"outbound_gateways"`
		Inbound  map[string][]json.RawMessage `json:"inbound_gateways"`
	}
	if err := n.Get("/gatewayz", &raw); err != nil {
		return nil, nil, err
	}
	out, in = make(map[string]bool), make(map[string]int)
	for name := range raw.Outbound {
		out[name] = true
	}
	for name, all := range raw.Inbound {
		in[name] = len(all)
	}
	return out, in, nil
}

// Leafs returns the names of the leaf links that are up.
func (n *Node) Leafs() ([]string, error) {
	var z struct {
		Leafs []struct {
			Name string `json:"name"`
		} `json:"leafs"`
	}
	if err := n.Get("/leafz", &z); err != nil {
		return nil, err
	}
	names := make([]string, len(z.Leafs))
	for i := range z.Leafs {
		names[i] = z.Leafs[i].Name
	}
	return names, nil
}
