package daemon

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/banyanmq/banyan/pkg/process"
)

// catchSignals begins before anything is started: whoever reads the pid file
// may send a signal at once, and one that asks to reopen the log or to reload
// must not kill. What comes during the start is handled after it, except that
// who interrupts twice does not want to wait.
func catchSignals() (<-chan os.Signal, func()) {
	sig := make(chan os.Signal, 8)
	for _, s := range process.Signals() {
		signal.Notify(sig, s)
	}
	return sig, func() { signal.Stop(sig) }
}

// serve handles signals until it is time to stop (config-cli 10).
func (p *Process) serve(ctx context.Context, sig <-chan os.Signal) {
	drainCtx, abort := context.WithCancelCause(ctx)
	defer abort(errStopped)
	drained := make(chan struct{})
	draining := false
	drain := func() {
		if draining {
			return
		}
		draining = true
		go func() {
			defer close(drained)
			p.Drain(drainCtx)
		}()
	}
	for {
		select {
		case <-ctx.Done():
			abort(errStopped)
			if draining {
				<-drained
			}
			return
		case <-drained:
			return
		case s := <-sig:
			p.Log.Debugf("Trapped %q signal", s)
			switch s {
			case syscall.SIGINT:
				abort(errStopped)
				if draining {
					<-drained
				}
				return
			case syscall.SIGTERM:
				if draining {
					continue // the gentle stop goes on
				}
				if !p.Settings().LameDuck.OnTerm {
					return
				}
				drain()
			case process.Drain:
				drain()
			case process.Reopen:
				if err := p.log.Reopen(); err != nil {
					p.Log.Errorf("Reopening the log: %v", err)
				}
			case syscall.SIGHUP:
				_ = p.Reload() // which logs why not
			}
		}
	}
}
