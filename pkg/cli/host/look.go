package host

import (
	"fmt"
	"math"
	"strings"

	"github.com/banyanmq/banyan/pkg/config"
)

// look is one comparison under way.
type look struct {
	*Machine
	cfg  *config.Config
	unit *unit // nil: there is none, or the process that is looked at runs in it
	in   *unit // the unit in any case
	out  []Finding
}

// Look compares a machine with settings.
func Look(m Machine, cfg *config.Config) []Finding {
	if m.Process == "" {
		m.Process = "self"
	}
	l := &look{Machine: &m, cfg: cfg, in: readUnit(&m, m.Unit)}
	if l.unit = l.in; l.unit != nil && (m.Process != "self" || l.inUnit()) {
		l.unit = nil // what is, counts more than what is written
	}
	l.openFiles()
	l.clock()
	l.dirs()
	if m.OS != "linux" {
		l.add(Finding{Name: "kernel, memory, service", State: Unseen, Found: "not to be seen on " + m.OS})
		return l.out
	}
	l.fileTables()
	l.backlog()
	l.ports()
	l.buffers()
	l.conntrack()
	l.memory()
	l.paging()
	l.processors()
	l.cores()
	l.service()
	return l.out
}

func (l *look) add(f Finding) { l.out = append(l.out, f) }

// inUnit says whether this process was started by the unit.
func (l *look) inUnit() bool {
	for _, g := range l.groups() {
		if strings.Contains(g+"/", "/"+l.Unit+"/") {
			return true
		}
	}
	return false
}

// where names what a figure comes from, for what a unit would set.
func (l *look) where() string {
	switch {
	case l.unit != nil:
		return " (" + l.unit.name + ")"
	case l.Process != "self":
		return " (process " + l.Process + ")"
	}
	return ""
}

// line is how a line of the service is changed.
func (l *look) line(text string) string {
	return fmt.Sprintf("systemctl edit %s, below [Service]: %s", l.short(), text)
}

// clients is how many clients the settings admit.
func (l *look) clients() int {
	if !l.cfg.Client.Enabled() {
		return 0
	}
	return max(l.cfg.Limits.MaxConnections, 0)
}

// atLeast compares a kernel setting with a number.
func (l *look) atLeast(name string, wanted int64, why string) {
	found, ok := l.number(name)
	if !ok {
		l.add(Finding{Name: name, State: Unseen, Found: "not to be seen here"})
		return
	}
	f := Finding{Name: name, State: OK, Found: fmt.Sprint(found), Wanted: fmt.Sprint(wanted)}
	if found < wanted {
		f.State, f.Why = Warn, why
		f.Sysctl = fmt.Sprintf("%s = %d", name, wanted)
	}
	l.add(f)
}

func bytes(n uint64) string {
	switch {
	case n >= math.MaxInt64:
		return "no limit"
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
