//go:build linux

package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/test/procs"
)

// side is one of those that are compared.
type side struct {
	Name    string   `json:"name"`
	Exe     string   `json:"exe"`           // the hub, or another server
	Version string   `json:"version"`       // what it says of itself
	Env     []string `json:"env,omitempty"` // settings of the runtime
	broker  *broker  // nil: a server of the client protocol
	ours    bool     // gateways and leaf nodes are processes of their own
	flags   bool     // started by flags instead of a settings file
	profile bool     // with a listener for profiles
	work    string   // directory for its files
	tls     *serverTLS
	started int // sites so far, for names
}

func newSide(name, exe, work string, flags bool, certs *serverTLS) (*side, error) {
	path, err := exec.LookPath(exe)
	if err != nil {
		return nil, fmt.Errorf("side %s: %w", name, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	s := &side{Name: name, Exe: path, flags: flags, work: filepath.Join(work, name), tls: certs}
	s.ours = strings.HasPrefix(filepath.Base(path), "hubd")
	s.Version = versionOf(path, "version", "--version")
	return s, os.MkdirAll(s.work, 0o700)
}

// versionOf asks a program for its version in one of several ways.
func versionOf(exe string, ways ...string) string {
	for _, arg := range ways {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		out, err := exec.CommandContext(ctx, exe, strings.Fields(arg)...).Output()
		cancel()
		if line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n"); err == nil && line != "" {
			return line
		}
	}
	return ""
}

// builtFrom is the commit that the binary itself says it was built from; "" when it says nothing.
func (s *side) builtFrom() string {
	info, err := buildinfo.ReadFile(s.Exe)
	if err != nil {
		return ""
	}
	rev, dirty := "", ""
	for _, kv := range info.Settings {
		switch {
		case kv.Key == "vcs.revision":
			rev = kv.Value[:min(len(kv.Value), 10)]
		case kv.Key == "vcs.modified" && kv.Value == "true":
			dirty = " with uncommitted changes"
		}
	}
	if rev == "" {
		return ""
	}
	return ", built from commit " + rev + dirty
}

// beside is another daemon of ours, from the directory that the hub is in.
func (s *side) beside(name string) (string, error) {
	p := filepath.Join(filepath.Dir(s.Exe), name)
	if _, err := os.Stat(p); err != nil {
		return "", fmt.Errorf("%w: %s is not beside %s", errUnavailable, name, s.Exe)
	}
	return p, nil
}

// errUnavailable marks a scenario that a side can't take part in.
var errUnavailable = errors.New("not available")

// topology is how many servers there are and what joins them.
type topology string

const (
	single  topology = "single"
	route   topology = "route"
	gateway topology = "gateway"
	leaf    topology = "leaf"
)

// servers are the processes of one side.
type servers struct {
	site
	procs []*procs.Process
	ports *procs.Reservation // nil if all ports are the kernel's choice
}

// reserve takes ports for listeners that the peers must know before they start.
func (v *servers) reserve(n int) (ports []int, err error) {
	if v.ports, err = procs.Reserve(n); err != nil {
		return nil, err
	}
	return v.ports.Ports, nil
}

func (v *servers) stop() {
	for _, p := range v.procs {
		p.Kill()
	}
	_ = v.ports.Close()
}

// logs are the last lines of every process, for errors.
func (v *servers) logs() string {
	if v == nil {
		return ""
	}
	var b strings.Builder
	for _, p := range v.procs {
		fmt.Fprintf(&b, "--- %s\n%s\n", p.Dir(), p.Log.Tail(8))
	}
	return b.String()
}

// startPatience is how long servers may take until they take clients and have found each other.
const startPatience = 2 * time.Minute

// start runs the servers that a scenario wants and waits until they take clients.
func (s *side) start(sc *scenario) (*servers, error) {
	s.started++
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	v := &servers{}
	err := s.launchAll(ctx, v, sc)
	if err == nil {
		for _, p := range v.procs {
			v.pids = append(v.pids, p.Pid())
		}
		if sc.back {
			v.pub, v.subs = v.subs[0], []string{v.pub}
		}
		if sc.topo != "" && sc.topo != single {
			err = v.linked()
		}
	}
	if err != nil {
		logs := v.logs()
		v.stop()
		return nil, fmt.Errorf("starting side %s: %w\n%s", s.Name, err, logs)
	}
	return v, nil
}

func (s *side) launchAll(ctx context.Context, v *servers, sc *scenario) error {
	switch {
	case s.broker != nil:
		return s.broker.start(ctx, s, v)
	case sc.topo == route:
		return s.startRoute(ctx, v, sc)
	case sc.topo == gateway:
		return s.startGateway(ctx, v, sc)
	case sc.topo == leaf:
		return s.startLeaf(ctx, v, sc)
	}
	return s.startSingle(ctx, v, sc)
}

// linked waits until the links between the servers carry messages both ways. Subscriptions made while a link comes up are
// a matter of their own (the reference server misses one now and then); here only the cost of messages is measured.
func (v *servers) linked() error {
	deadline := time.Now().Add(patience)
	for _, other := range v.subs {
		for _, at := range []*site{{pub: v.pub, subs: []string{other}}, {pub: other, subs: []string{v.pub}}} {
			for run := uint16(linkRuns); ; run++ {
				err := tryLink(run, at)
				if err == nil {
					break
				}
				if time.Now().After(deadline) {
					return err
				}
			}
		}
	}
	return nil
}

// linkRuns is where the session numbers of linked begin.
const linkRuns = 60_000

func tryLink(run uint16, at *site) error {
	s, err := newSession(run, at)
	if err != nil {
		return err
	}
	s.reach = time.Second
	d := &deliverySession{session: s, spec: delivery{pubs: 1, subscribers: 1, size: stampLen}}
	return errors.Join(d.connect(), s.Close())
}

// common is the part of the settings that every server has.
func (s *side) common(name string, sc *scenario) string {
	c := fmt.Sprintf("server_name: %s\nlisten: 127.0.0.1:-1\nports_file_dir: \"{{dir}}\"\n%s", name, sc.conf)
	if sc.tls {
		c += fmt.Sprintf("tls { cert_file: %q, key_file: %q }\n", s.tls.cert, s.tls.key)
	}
	if s.profile || sc.profile {
		c += "prof_port: -1\n"
	}
	return c
}

func (s *side) launch(v *servers, exe, name, config string, args ...string) (*procs.Process, error) {
	return s.launchWith(v, procs.Spec{Exe: exe, Config: config, Args: args}, name)
}

func (s *side) launchWith(v *servers, spec procs.Spec, name string) (*procs.Process, error) {
	spec.Dir = filepath.Join(s.work, fmt.Sprintf("%03d-%s", s.started, name))
	spec.Env = append(spec.Env, s.Env...)
	if err := os.MkdirAll(spec.Dir, 0o700); err != nil {
		return nil, err
	}
	if len(v.procs) == 0 {
		v.started = time.Now()
	}
	p, err := procs.Start(spec)
	if err == nil {
		v.procs = append(v.procs, p)
	}
	return p, err
}

// hub launches a server for clients and returns its client address.
func (s *side) hub(ctx context.Context, v *servers, name, config string) (string, error) {
	return s.hubOf(ctx, v, s.Exe, name, config)
}

func (s *side) hubOf(ctx context.Context, v *servers, exe, name, config string) (string, error) {
	p, err := s.launch(v, exe, name, config)
	if err != nil {
		return "", err
	}
	return client(ctx, v, p)
}

func client(ctx context.Context, v *servers, p *procs.Process) (string, error) {
	ports, err := p.Ports(ctx)
	if err != nil {
		return "", err
	}
	if ports.Client() == "" {
		return "", fmt.Errorf("the ports file of %s names no client port", p.Dir())
	}
	v.profile = append(v.profile, ports.Profile...)
	return procs.Addr(ports.Client()), nil
}

func (s *side) startSingle(ctx context.Context, v *servers, sc *scenario) (err error) {
	exe := s.Exe
	if sc.daemon != "" && s.ours {
		if exe, err = s.beside(sc.daemon); err != nil {
			return err
		}
	}
	conf := s.common("a", sc)
	if sc.ws {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience/4)
		defer cancel()
		free, err := v.reserve(1)
		if err != nil {
			return err
		}
		conf += fmt.Sprintf("websocket { listen: \"127.0.0.1:%d\", no_tls: true }\n", free[0])
	}
	if sc.tenants != nil {
		more, login, err := sc.tenants()
		if err != nil {
			return err
		}
		conf += more
		v.login = login
	}
	if s.flags && conf == s.common("a", &scenario{}) {
		v.pub, err = s.startByFlags(ctx, v)
	} else {
		v.pub, err = s.hubOf(ctx, v, exe, "a", conf)
	}
	if sc.ws {
		if err == nil {
			v.pub, v.site.ws = fmt.Sprintf("127.0.0.1:%d", v.ports.Ports[0]), true
			err = awaitListener(ctx, v.procs[0], v.pub)
		}
		if err != nil { // that is no failure of this programme
			return fmt.Errorf("%w: side %s takes no WebSocket clients: %w", errUnavailable, s.Name, err)
		}
	}
	v.subs = []string{v.pub}
	if sc.tls {
		v.site.tls = s.tls.client
	}
	return err
}

// startByFlags is for servers without a ports file: the port is chosen before.
func (s *side) startByFlags(ctx context.Context, v *servers) (string, error) {
	free, err := v.reserve(1)
	if err != nil {
		return "", err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", free[0])
	p, err := s.launch(v, s.Exe, "a", "", "-a", "127.0.0.1", "-p", fmt.Sprint(free[0]))
	if err != nil {
		return "", err
	}
	return addr, awaitListener(ctx, p, addr)
}

// startRoute makes a full mesh of a server for publishers and sc.routes (1 if it says none) for subscribers.
func (s *side) startRoute(ctx context.Context, v *servers, sc *scenario) (err error) {
	n := max(sc.routes, 1) + 1
	free, err := v.reserve(n)
	if err != nil {
		return err
	}
	var urls []string
	for _, port := range free {
		urls = append(urls, fmt.Sprintf("\"nats-route://127.0.0.1:%d\"", port))
	}
	for i := range n {
		others := slices.Delete(slices.Clone(urls), i, i+1)
		addr, err := s.hub(ctx, v, fmt.Sprintf("n%d", i), s.common(fmt.Sprintf("n%d", i), sc)+fmt.Sprintf(
			"cluster { name: bench, listen: \"127.0.0.1:%d\", routes: [ %s ] }\n", free[i], strings.Join(others, ", ")))
		if err != nil {
			return err
		}
		if i == 0 {
			v.pub = addr
		} else {
			v.subs = append(v.subs, addr)
		}
	}
	return nil
}

// startLeaf puts publishers on the leaf node and subscribers on the hub.
func (s *side) startLeaf(ctx context.Context, v *servers, sc *scenario) (err error) {
	free, err := v.reserve(1)
	if err != nil {
		return err
	}
	leafExe := s.Exe
	if s.ours {
		if leafExe, err = s.beside("leafd"); err != nil {
			return err
		}
	}
	hub, err := s.hub(ctx, v, "hub", s.common("hub", sc)+fmt.Sprintf("leafnodes { listen: \"127.0.0.1:%d\" }\n", free[0]))
	if err != nil {
		return err
	}
	p, err := s.launch(v, leafExe, "leaf", s.common("leaf", sc)+
		fmt.Sprintf("leafnodes { remotes: [ { url: \"nats-leaf://127.0.0.1:%d\" } ] }\n", free[0]))
	if err != nil {
		return err
	}
	v.subs = []string{hub}
	v.pub, err = client(ctx, v, p)
	return err
}

// startGateway makes two regions: of one server each for the reference, of a hub and a gateway process each for ours.
func (s *side) startGateway(ctx context.Context, v *servers, sc *scenario) (err error) {
	free, err := v.reserve(4)
	if err != nil {
		return err
	}
	names := [2]string{"east", "west"}
	conf := func(i int) string {
		c := s.common("hub-"+names[i], sc)
		if s.ours {
			c += fmt.Sprintf("cluster { name: %s, listen: \"127.0.0.1:%d\" }\n", names[i], free[2+i])
		}
		return c + fmt.Sprintf("gateway { name: %s, listen: \"127.0.0.1:%d\", gateways: [ { name: %s, urls: [ \"nats://127.0.0.1:%d\" ] } ] }\n",
			names[i], free[i], names[1-i], free[1-i])
	}
	v.subs = make([]string, 1)
	for i, addr := range [2]*string{&v.pub, &v.subs[0]} {
		if *addr, err = s.hub(ctx, v, "hub-"+names[i], conf(i)); err != nil {
			return err
		}
		if !s.ours {
			continue
		}
		gwd, err := s.beside("gwd")
		if err != nil {
			return err
		}
		var args []string
		if s.profile { // a gwd takes a listener of its own only when told apart from the hub's settings
			args = []string{"--profile", "-1"}
		}
		p, err := s.launch(v, gwd, "gwd-"+names[i], conf(i), args...)
		if err != nil {
			return err
		}
		if s.profile {
			ports, err := p.Ports(ctx)
			if err != nil {
				return err
			}
			v.profile = append(v.profile, ports.Profile...)
		}
	}
	return nil
}
