package host

import (
	"fmt"
	"strings"
	"time"
)

// overhead is what a stop may take beyond the drain.
const overhead = 10 * time.Second

// service holds what the unit says against what the daemon does.
func (l *look) service() {
	u := l.in
	if u == nil {
		l.add(Finding{Name: "service", State: OK, Found: "no " + l.Unit + " here"})
		return
	}
	l.stopTime(u)
	f := Finding{Name: "Type=", State: OK, Found: u.get("Type", "simple") + " (" + u.name + ")", Wanted: "notify or notify-reload"}
	if !strings.HasPrefix(f.Found, "notify") {
		f.State, f.Why, f.Change = Warn, "what is ordered after the service starts before it is ready", []string{l.line("Type=notify")}
	}
	l.add(f)
	l.watchdog(u)
	f = Finding{Name: "Restart=", State: OK, Found: u.get("Restart", "no") + " (" + u.name + ")", Wanted: "on-failure or always"}
	if f.Found == "no ("+u.name+")" {
		f.State, f.Why, f.Change = Warn, "after a crash it stays away", []string{l.line("Restart=on-failure")}
	}
	l.add(f)
}

// stopTime: who is killed in the middle of a drain has told clients to leave, and cut off those who had not yet.
func (l *look) stopTime(u *unit) {
	d := l.cfg.LameDuck
	drains := d.OnTerm
	switch strings.TrimPrefix(u.get("KillSignal", "SIGTERM"), "SIG") {
	case "USR2", "12":
		drains = true
	}
	text := u.get("TimeoutStopSec", u.get("TimeoutSec", "90"))
	timeout, ok := span(text)
	f := Finding{Name: "TimeoutStopSec=", State: OK, Found: text + " (" + u.name + ")"}
	switch need := d.Duration + overhead; {
	case !ok:
		f.State = Unseen
	case !drains:
		f.Found += ", stops without a drain"
	case timeout < need:
		f.State, f.Wanted = Bad, need.String()
		f.Why = fmt.Sprintf("a drain may take lifecycle.drain, %v, and what is left before it ends is cut off", d.Duration)
		f.Change = []string{l.line(fmt.Sprintf("TimeoutStopSec=%.0f", need.Seconds())), "or a shorter lifecycle.drain"}
	default:
		f.Wanted = need.String()
	}
	l.add(f)
}

func (l *look) watchdog(u *unit) {
	text := u.get("WatchdogSec", "0")
	every, ok := span(text)
	f := Finding{Name: "WatchdogSec=", State: OK, Found: text + " (" + u.name + ")", Wanted: "30"}
	switch {
	case !ok:
		f.State = Unseen
	case every == 0:
		f.State, f.Why, f.Change = Warn, "a process that hangs is not noticed", []string{l.line("WatchdogSec=30")}
	case every < 5*time.Second:
		f.State, f.Why, f.Change = Warn, "a machine that is busy for a moment is taken for a process that hangs", []string{l.line("WatchdogSec=30")}
	}
	l.add(f)
}
