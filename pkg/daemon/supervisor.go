package daemon

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// supervisor tells the service manager how we are (sd_notify). Without one, that is
// without NOTIFY_SOCKET, nothing is sent.
type supervisor struct {
	on     bool
	checks []func() // further things that must return for a sign of life

	mu   sync.Mutex
	last string // the state that was told last
	quit chan struct{}
	done sync.WaitGroup
}

func newSupervisor() *supervisor {
	return &supervisor{on: os.Getenv("NOTIFY_SOCKET") != "", quit: make(chan struct{})}
}

// tell sends a state, its status text below.
func (s *supervisor) tell(state, status string) {
	if s == nil || !s.on {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == sd.SdNotifyStopping {
		return // nothing comes after that
	}
	s.last = state
	// A manager that cannot be reached is no reason to do otherwise.
	_, _ = sd.SdNotify(false, state+"\nSTATUS="+status)
}

// tellReady says that the start, or a reload, is over.
func (p *Process) tellReady() {
	if p.super == nil || !p.super.on {
		return
	}
	n := len(p.endpoints())
	p.super.tell(sd.SdNotifyReady, fmt.Sprintf("Serving on %d listeners as %s", n, p.Server.Name))
}

// tellReloading says that settings are being read; tellReady ends it.
func (p *Process) tellReloading() {
	if p.super == nil || !p.super.on {
		return
	}
	p.super.tell(sd.SdNotifyReloading+"\n"+strings.TrimSpace(sd.SdNotifyMonotonicUsec()), "Reading the settings")
}

func (p *Process) tellStopping(status string) { p.super.tell(sd.SdNotifyStopping, status) }

// feedWatchdog feeds the manager's watchdog, twice in its time, as long as the process can do
// what it is for: look into its accounts and its connections. What hangs there keeps
// the next sign of life from being sent, and the manager restarts the process.
func (p *Process) feedWatchdog() (stop func()) {
	every, err := sd.SdWatchdogEnabled(false)
	if p.super == nil || !p.super.on || err != nil || every <= 0 {
		return func() {}
	}
	p.super.done.Go(func() {
		tick := time.NewTicker(every / 2)
		defer tick.Stop()
		for {
			select {
			case <-p.super.quit:
				return
			case <-tick.C:
				p.alive()
				_, _ = sd.SdNotify(false, sd.SdNotifyWatchdog)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(p.super.quit)
		p.super.done.Wait()
	})
}

// alive takes the locks that serving takes, and returns when it has had them all.
func (p *Process) alive() {
	p.Broker.SystemAccount()
	for _, r := range []interface{ Len() int }{p.Clients, p.Routes, p.Gateways, p.Leafs} {
		r.Len()
	}
	for _, check := range p.super.checks {
		check()
	}
}
