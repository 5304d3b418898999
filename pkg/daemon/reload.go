package daemon

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/config"
)

// Load reads the settings again, from where they were read at the start.
type Load func() (*config.Config, []config.Warning, error)

// Prepare judges a change of settings for one part and makes ready what the part
// needs for it; nothing that runs is touched. What it returns puts the change into
// force and can't fail; nil: the change does not concern the part. An error refuses
// the change for all parts.
//
// When the returned function is called the new tls material, what accounts share and
// who may log in are in force already.
type Prepare func(ch *config.Change) (apply func(), err error)

// Reloader is a [Service] that takes new settings while it runs; see [Prepare].
type Reloader interface {
	Prepare(ch *config.Change) (apply func(), err error)
}

// reloading is the state of reloads.
type reloading struct {
	load Load // nil: there is no file
	// now is what is in force; it and what it points to are never changed.
	now    atomic.Pointer[config.Config]
	loaded atomic.Int64 // when, in Unix nanoseconds
	failed atomic.Bool  // the last attempt

	mu      sync.Mutex // one reload at a time
	watcher *watcher   // nil: the settings do not want it
	wg      sync.WaitGroup
}

var (
	errNoFile  = errors.New("can only reload config when a file is provided using -c or --config")
	errLeaving = errors.New("the server is stopping")
)

// SetLoad gives what reads the settings again; Run does so. Before Start.
func (p *Process) SetLoad(load Load) { p.reload.load = load }

// Settings are those in force: Config at first, others after a reload. They are not to
// be changed.
func (p *Process) Settings() *config.Config {
	if c := p.reload.now.Load(); c != nil {
		return c
	}
	return p.Config
}

// Loaded is when the settings in force were read.
func (p *Process) Loaded() time.Time {
	if at := p.reload.loaded.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return p.Server.Started
}

// ReloadFailed tells that the last attempt to read settings again failed, so that
// older ones are in force.
func (p *Process) ReloadFailed() bool { return p.reload.failed.Load() }

// Reload reads the settings again and puts what has changed into force, all of it or,
// with an error, nothing. The error is logged as well. It may take as long as the
// slowest part takes to prepare.
func (p *Process) Reload() error {
	p.reload.mu.Lock()
	defer p.reload.mu.Unlock()
	p.tellReloading()
	defer p.tellReady()
	err := p.reloadLocked()
	p.reload.failed.Store(err != nil)
	if err != nil {
		p.Log.Errorf("Failed to reload server configuration: %v", err)
	}
	return err
}

func (p *Process) reloadLocked() error {
	if p.reload.load == nil || p.Config.File == "" {
		return errNoFile
	}
	select {
	case <-p.draining:
		return errLeaving
	default:
	}
	next, _, err := p.reload.load()
	if err != nil {
		return err
	}
	ch := config.Compare(p.Settings(), next)
	if err := ch.Refused(); err != nil {
		return err
	}
	r := &round{p: p, ch: ch}
	if err := r.prepare(); err != nil {
		r.discard()
		return err
	}
	for _, f := range r.apply {
		f()
	}
	p.reload.now.Store(next)
	p.reload.loaded.Store(time.Now().UnixNano())
	p.watch()
	p.logReloaded(ch)
	p.Log.Noticef("Reloaded server configuration (%s)", next.Digest)
	return nil
}

// round is one reload.
type round struct {
	p     *Process
	ch    *config.Change
	apply []func()
	undo  []func() // what preparing took, if it comes to nothing
}

func (r *round) discard() {
	for _, f := range r.undo {
		f()
	}
}

func (r *round) then(f func()) {
	if f != nil {
		r.apply = append(r.apply, f)
	}
}

// prepare is the first phase. What is appended to apply runs in this order.
func (r *round) prepare() error {
	for _, f := range []func() error{r.log, r.tls, r.accounts, r.files} {
		if err := f(); err != nil {
			return err
		}
	}
	for i := range r.p.parts {
		part := &r.p.parts[i]
		if part.Prepare == nil {
			continue
		}
		f, err := part.Prepare(r.ch)
		if err != nil {
			return fmt.Errorf("%s: %w", part.Name, err)
		}
		r.then(f)
	}
	return nil
}

func (r *round) log() error {
	if !r.ch.Any("Log") {
		return nil
	}
	next, err := r.p.log.Prepare(logOptions(r.ch.New))
	if err != nil {
		return err
	}
	r.undo = append(r.undo, next.Discard)
	r.then(next.Commit)
	return nil
}

// tls reads all certificates anew, whether the settings name others or not. Blocks that
// stand in both settings go on with their material, so that who uses it need not know.
func (r *round) tls() error {
	old := make(map[string]*config.TLS)
	for _, b := range r.ch.Old.TLSBlocks() {
		old[b.Key] = b.TLS
	}
	for _, b := range r.ch.New.TLSBlocks() {
		was := old[b.Key]
		if was != nil && (!b.InList() || was.Same(b.TLS)) {
			delete(old, b.Key)
			commit, err := was.Prepare(b.TLS)
			if err != nil {
				return fmt.Errorf("%s: %w", b.Key, err)
			}
			r.then(commit)
			continue
		}
		b.TLS.Keep(r.p.TLS, b.Key)
		r.undo = append(r.undo, b.TLS.Material().Release)
		var err error
		if b.Accepts {
			_, err = b.TLS.Server()
		} else {
			_, err = b.TLS.Client("")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", b.Key, err)
		}
	}
	for _, t := range old {
		r.then(t.Material().Release)
	}
	return nil
}

// accounts is what accounts share with each other. With an operator, tokens say so.
func (r *round) accounts() error {
	next := r.ch.New
	if next.Daemon == config.Gwd || next.InOperatorMode() || !r.ch.Any("Accounts", "Mappings") {
		return nil
	}
	defs := next.Definitions()
	if bad := account.Check(defs); len(bad) > 0 {
		return fmt.Errorf("account %s: %w", defs[bad[0].Account].Name, bad[0].Err)
	}
	r.then(func() {
		if err := r.p.Broker.Share(defs); err != nil {
			r.p.Log.Errorf("Sharing between accounts: %v", err)
		}
		for i := range next.Accounts {
			r.p.Broker.Account(next.Accounts[i].Name)
		}
	})
	return nil
}

// files are those that tell others of this process.
func (r *round) files() error {
	p, ch := r.p, r.ch
	if ch.Any("PidFile") {
		r.then(func() {
			removePid(ch.Old.PidFile)
			if f := ch.New.PidFile; f != "" {
				if _, err := writePid(f); err != nil {
					p.Log.Errorf("Could not write pidfile: %v", err)
				}
			}
		})
	}
	if ch.Any("ProfBlockRate") {
		r.then(func() { runtime.SetBlockProfileRate(ch.New.ProfBlockRate) })
	}
	if ch.Any("PortsFileDir") {
		r.then(func() {
			if p.portFile != "" {
				os.Remove(p.portFile)
				p.portFile = ""
			}
			if d := ch.New.PortsFileDir; d != "" {
				f, err := writePorts(d, p.endpoints())
				if err != nil {
					p.Log.Errorf("Writing the ports file: %v", err)
					return
				}
				p.portFile = f
			}
		})
	}
	return nil
}

// logReloaded says what has changed, in the words that people look for.
func (p *Process) logReloaded(ch *config.Change) {
	for _, o := range ch.Options {
		switch block, rest, _ := strings.Cut(o.Field, "."); {
		case block == "Accounts" || block == "Mappings" || block == "Auth" && rest == "Users":
			// said below, each time
		case o.Field == "Client.TLS":
			p.Log.Noticef("Reloaded: tls = %s", onOff(o.New == "true"))
		case o.Field == "Cluster.Routes":
			p.Log.Noticef("Reloaded: cluster routes")
		case o.Field == "LeafNodes.Remotes" || o.Field == "LeafNodes":
			// the links say it themselves
		case block == "Auth" || o.New == o.Old || o.Old == "[REDACTED]":
			p.Log.Noticef("Reloaded: %s", o.Name)
		default:
			p.Log.Noticef("Reloaded: %s = %s", o.Name, o.New)
		}
	}
	if ch.New.Daemon != config.Gwd {
		p.Log.Noticef("Reloaded: accounts")
		p.Log.Noticef("Reloaded: authorization users")
	}
}

func onOff(on bool) string {
	if on {
		return "enabled"
	}
	return "disabled"
}
