package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/nats-io/nuid"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
	"github.com/banyanmq/banyan/pkg/tlsmaterial"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/version"
)

// Phase says when a part is stopped: what takes work in before what carries it on.
type Phase int

// The phases, in the order of stopping.
const (
	Intake   Phase = iota // clients, leaf links
	Services              // what we serve ourselves
	Mesh                  // links to the rest of the cluster and to other regions
	Watching              // what lets people look in
)

// Part is one thing that a daemon is made of. Parts are started in the order in
// which they were added and stopped by phase. All functions may be nil.
type Part struct {
	Name  string
	Phase Phase
	// Start must not block beyond opening listeners; what it starts ends with Stop.
	Start func() error
	// Drain stops gently: it returns when the part's connections are gone, or
	// when ctx ends.
	Drain func(ctx context.Context)
	// Stop ends the part at once and waits for its goroutines.
	Stop func()
	// Prepare takes new settings; nil: none concern the part.
	Prepare Prepare
	// Endpoint is what the ports file says of the part, if it listens.
	Endpoint *Endpoint

	asks func(reload func() error)
}

// Endpoint is a listener, for the ports file and for the log.
type Endpoint struct {
	Kind   string // key in the ports file: nats, cluster, gateway, leafnodes, websocket, monitoring, profile
	Scheme string
	Addr   func() *net.TCPAddr // nil result: not listening
}

// Process is a daemon that is being put together, or that runs.
type Process struct {
	// Config is what the process was started with; see Settings.
	Config *config.Config
	Log    *logging.Logger
	Server *link.Server
	Keys   Keys
	Broker *broker.Broker

	// What this server and its peers tell clients, leaf nodes and gateways.
	ClientURLs    *link.URLs
	WebSocketURLs *link.URLs
	LeafURLs      *link.URLs
	GatewayURLs   *link.URLs

	// Open and recently closed connections by kind.
	Clients  *link.Registry
	Routes   *link.Registry
	Gateways *link.Registry
	Leafs    *link.Registry

	// TLS keeps the material of the settings' tls blocks fresh.
	TLS   *tlsmaterial.Keeper
	fatal chan error

	log      *logging.Log
	reload   reloading
	parts    []Part
	started  int
	draining chan struct{}
	trimmer  *trimmer
	portFile string
	super    *supervisor
}

// New makes a process from its settings: its identity, log and broker, and no
// parts yet.
func New(cfg *config.Config) (*Process, error) {
	lg, err := logging.New(logOptions(cfg))
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	srv, keys, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	name, _ := srv.Cluster()
	b := broker.New(srv.ID, name, cfg.SystemAccount)
	srv.OnCluster(b.SetCluster)
	for i := range cfg.Accounts {
		b.Account(cfg.Accounts[i].Name)
	}
	if cfg.Daemon != config.Gwd { // which passes on what accounts say to each other
		if err := b.Share(cfg.Definitions()); err != nil {
			return nil, err
		}
	}
	fatal := make(chan error, 1)
	closed := cfg.Client.MaxClosed
	return &Process{
		Config:        cfg,
		Log:           lg.Logger(),
		Server:        srv,
		Keys:          keys,
		Broker:        b,
		ClientURLs:    new(link.URLs),
		WebSocketURLs: new(link.URLs),
		LeafURLs:      new(link.URLs),
		GatewayURLs:   new(link.URLs),
		Clients:       link.NewRegistry(closed),
		Routes:        link.NewRegistry(closed),
		Gateways:      link.NewRegistry(closed),
		Leafs:         link.NewRegistry(closed),
		TLS:           keepTLS(cfg, lg.Logger(), fatal),
		fatal:         fatal,
		log:           lg,
		draining:      make(chan struct{}),
		super:         newSupervisor(),
	}, nil
}

// Keys are the private parts of what [link.Server] is known by, made anew at each
// start and kept nowhere else.
type Keys struct {
	Identity nkeys.KeyPair // of its ID
	Curve    nkeys.KeyPair // of its XKey
}

func newServer(cfg *config.Config) (*link.Server, Keys, error) {
	var k Keys
	fail := func(what string, err error) (*link.Server, Keys, error) {
		return nil, k, fmt.Errorf("making the server's %s: %w", what, err)
	}
	var err error
	if k.Identity, err = nkeys.CreateServer(); err != nil {
		return fail("identity", err)
	}
	id, err := k.Identity.PublicKey()
	if err != nil {
		return fail("identity", err)
	}
	if k.Curve, err = nkeys.CreateCurveKeys(); err != nil {
		return fail("curve key", err)
	}
	xkey, err := k.Curve.PublicKey()
	if err != nil {
		return fail("curve key", err)
	}
	s := &link.Server{
		ID: id, XKey: xkey, Name: cfg.ServerName, Product: string(cfg.Daemon),
		Version: version.Version, Started: time.Now(),
		Poller: transport.NewPoller(0),
	}
	if s.Name == "" {
		s.Name = id
	}
	cluster, dynamic := clusterName(cfg)
	if cluster == "" && cfg.LeafNodes != nil && len(cfg.LeafNodes.Remotes) > 0 {
		// A leaf node that stands alone is a cluster of one: its hubs tell by the
		// name what not to send back (leafnodes 2.3).
		cluster = s.Name
	}
	s.SetCluster(cluster, dynamic)
	return s, k, nil
}

// clusterName is the cluster's name and whether it is only a stand-in until
// another's is adopted (cluster-routes 6).
func clusterName(cfg *config.Config) (name string, dynamic bool) {
	switch {
	case cfg.Cluster != nil && cfg.Cluster.Name != "":
		return cfg.Cluster.Name, false
	case cfg.Gateway != nil:
		return cfg.Gateway.Name, false
	case cfg.Cluster != nil:
		return nuid.Next(), true
	}
	return "", false
}

func logOptions(cfg *config.Config) logging.Options {
	l := cfg.Log
	return logging.Options{
		File: l.File, Format: logging.Format(l.Format), Debug: l.Debug, Trace: l.Trace || l.TraceVerbose,
		Syslog: l.Syslog, RemoteSyslog: l.RemoteSyslog, NoTime: !l.Time, UTC: l.UTC, SizeLimit: l.SizeLimit, MaxFiles: l.MaxFiles,
	}
}

// Add appends a part. Before Start only.
func (p *Process) Add(part Part) {
	if part.asks != nil {
		part.asks(p.Reload)
	}
	p.parts = append(p.parts, part)
}

// Draining is closed when the process has begun to stop gently.
func (p *Process) Draining() <-chan struct{} { return p.draining }

// Start starts all parts and writes the files that settings ask for. On an
// error everything that was started is stopped again.
func (p *Process) Start() error {
	p.banner()
	var former []byte
	if f := p.Config.PidFile; f != "" {
		var err error
		if former, err = writePid(f); err != nil {
			return p.startFailed(fmt.Errorf("could not write pidfile: %w", err))
		}
	}
	if err := p.startParts(); err != nil {
		err = p.startFailed(err)
		if former != nil {
			restorePid(p.Config.PidFile, former)
		}
		p.Stop()
		return err
	}
	p.reload.mu.Lock()
	p.watch()
	p.reload.mu.Unlock()
	p.trimmer = startTrimmer()
	p.Log.Noticef("Server is ready")
	return nil
}

// startFailed leaves the reason in the log file, which else would end without
// one; the caller's error is for stderr.
func (p *Process) startFailed(err error) error {
	if p.Config.Log.File != "" {
		p.Log.Errorf("The start failed: %v", err)
	}
	return err
}

func (p *Process) startParts() error {
	if err := p.TLS.Start(); err != nil {
		return err
	}
	for i := range p.parts {
		part := &p.parts[i]
		if part.Start == nil {
			p.started = i + 1
			continue
		}
		if err := part.Start(); err != nil {
			if strings.HasPrefix(err.Error(), part.Name+": ") {
				return err // it says itself who it is
			}
			return fmt.Errorf("%s: %w", part.Name, err)
		}
		p.started = i + 1
	}
	if d := p.Config.PortsFileDir; d != "" {
		f, err := writePorts(d, p.endpoints())
		if err != nil {
			return fmt.Errorf("writing the ports file: %w", err)
		}
		p.portFile = f
	}
	return nil
}

func (p *Process) banner() {
	name, _ := p.Server.Cluster()
	p.Log.Noticef("Starting %s", p.Server.Product)
	p.Log.Noticef("  Version:  %s (%s %s)", version.Protocol, version.Product, version.Version)
	p.Log.Noticef("  Go build: %s", runtime.Version())
	if name != "" {
		p.Log.Noticef("  Cluster:  %s", name)
	}
	p.Log.Noticef("  Name:     %s", p.Server.Name)
	p.Log.Noticef("  ID:       %s", p.Server.ID)
	if f := p.Config.File; f != "" {
		p.Log.Noticef("Using configuration file: %s (%s)", f, p.Config.Digest)
	}
}

func (p *Process) endpoints() []Endpoint {
	var all []Endpoint
	for i := range p.parts {
		if e := p.parts[i].Endpoint; e != nil && e.Addr != nil && e.Addr() != nil {
			all = append(all, *e)
		}
	}
	return all
}

// Drain stops gently: each part's Drain in turn, then Stop.
func (p *Process) Drain(ctx context.Context) {
	select {
	case <-p.draining:
		return
	default:
		close(p.draining)
	}
	p.tellStopping("Sending clients away")
	p.Log.Noticef("Entering lame duck mode, stop accepting new clients")
	for i := range p.parts[:p.started] {
		if f := p.parts[i].Drain; f != nil {
			f(ctx)
		}
	}
}

// Stop stops all parts that were started.
func (p *Process) Stop() {
	p.tellStopping("Stopping")
	p.Log.Noticef("Initiating Shutdown...")
	p.unwatch()
	running := slices.Clone(p.parts[:p.started])
	slices.SortStableFunc(running, func(a, b Part) int { return cmp.Compare(a.Phase, b.Phase) })
	for i := range running {
		if f := running[i].Stop; f != nil {
			f()
		}
	}
	p.started = 0
	if p.trimmer != nil {
		p.trimmer.stop()
		p.trimmer = nil
	}
	p.Server.Poller.Close()
	p.TLS.Close()
	if p.portFile != "" {
		os.Remove(p.portFile)
	}
	removePid(p.Settings().PidFile)
	p.Log.Noticef("Server Exiting..")
}

// Run makes, starts and serves a daemon until it is told to stop: by ctx, by
// SIGINT or SIGTERM at once, by SIGUSR2 gently. build adds the parts. warnings
// are logged at the start. load reads the settings again at SIGHUP; nil: they can't be.
func Run(ctx context.Context, cfg *config.Config, warnings []config.Warning, load Load, build func(*Process) error) error {
	p, err := New(cfg)
	if err != nil {
		return err
	}
	defer p.log.Close() // a system logger may still have to be sent lines
	p.reload.load = load
	sig, ignore := catchSignals()
	defer ignore()
	tuneCollector()
	p.sampleBlocking()
	for _, w := range slices.Concat(warnings, cfg.Exposed()) {
		p.Log.Warnf("%s", w)
	}
	p.warnOpenFiles(openFileLimit())
	if err := build(p); err != nil {
		return err
	}
	if cfg.ProfPort != 0 {
		p.Add(profilerPart(p))
	}
	if err := p.Start(); err != nil {
		return err
	}
	p.tellReady()
	unwatch := p.feedWatchdog()
	defer unwatch()
	ctx, why := p.orFatal(ctx)
	p.serve(ctx, sig)
	ignore() // who signals once more does not want to wait for the stop
	err = why()
	p.Stop()
	return err
}

var errStopped = errors.New("stopped")
