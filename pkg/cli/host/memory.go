package host

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// What an idle client takes, plain and with TLS, and a daemon without any; docs/BENCHMARKS.md
// has what was measured.
const (
	clientMemory    = 6 << 10
	clientTLSMemory = 16 << 10
	daemonMemory    = 32 << 20
)

// memoryLimit is the least of the control groups' limits; false: there is none.
func (l *look) memoryLimit() (uint64, bool) {
	limit, found := uint64(math.MaxUint64), false
	take := func(n uint64) {
		// The first version writes a number near 2^63 for none.
		if n < 1<<60 {
			limit, found = min(limit, n), true
		}
	}
	if l.unit != nil {
		for _, key := range []string{"MemoryMax", "MemoryHigh", "MemoryLimit"} {
			if n, ok := size(l.unit.get(key, ""), l.memTotal()); ok {
				take(n)
			}
		}
		return limit, found
	}
	read := func(text string) {
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			take(n)
		}
	}
	l.upwards("memory", "memory.max", read)
	l.upwards("memory", "memory.limit_in_bytes", read)
	return limit, found
}

// variable is one of the process that is or would be started; hidden is a file that it may
// stand in and that cannot be read.
func (l *look) variable(name string) (value, hidden string) {
	if l.unit != nil {
		return l.unit.env(l.Machine, name)
	}
	return l.env(name), ""
}

func (l *look) memory() {
	total := l.memTotal()
	limit, limited := l.memoryLimit()
	if total > 0 && limit >= total {
		limited = false
	}
	have := total
	if limited {
		have = limit
	}
	if have == 0 {
		l.add(Finding{Name: "memory", State: Unseen, Found: "not to be seen here"})
		return
	}
	each := uint64(clientMemory)
	if l.cfg.Client.TLS != nil {
		each = clientTLSMemory
	}
	need := daemonMemory + each*uint64(l.clients())
	f := Finding{Name: "memory", State: OK, Found: bytes(have) + l.where(), Wanted: bytes(need)}
	if !limited {
		f.Found = bytes(have) + " of the machine, no limit" + l.where()
	}
	if have < need {
		f.State = Warn
		f.Why = fmt.Sprintf("%d clients are admitted, and idle ones would take that much", l.clients())
		f.Change = []string{fmt.Sprintf("clients.limits.max_connections: %d", (have-min(have, daemonMemory))/each), "or more memory"}
	}
	l.add(f)
	l.memLimit(have, limited)
}

// memLimit is about GOMEMLIMIT, by which the runtime knows what it may take.
func (l *look) memLimit(have uint64, limited bool) {
	text, hidden := l.variable("GOMEMLIMIT")
	fit := fmt.Sprintf("%dMiB", have/5*4>>20)
	f := Finding{Name: "GOMEMLIMIT", State: OK, Found: text + l.where(), Wanted: "four fifths of the limit: " + fit}
	change := []string{l.line("Environment=GOMEMLIMIT=" + fit), "or in /etc/default/" + l.short() + ": GOMEMLIMIT=" + fit}
	n, ok := goBytes(text)
	switch {
	case text == "" && !limited:
		f.Found, f.Wanted = "not set, and there is no limit", ""
	case text == "" && hidden != "":
		f.State, f.Found = Unseen, "only root can read "+hidden
	case text == "" || text == "off":
		f.State, f.Found, f.Change = Warn, "not set"+l.where(), change
		f.Why = "memory is limited to " + bytes(have) + ": near that the runtime has to collect harder, and only this tells it so"
	case !ok:
		f.State, f.Why, f.Change = Bad, "the runtime does not start with such a value: it takes 512MiB, 4GiB or bytes", change
	case n > have/100*95:
		f.State, f.Change = Bad, change
		f.Why = "the kernel ends the process at " + bytes(have) + ", before the runtime begins to save"
		if !limited {
			f.State = Warn
		}
	}
	l.add(f)
}

// goBytes reads a size as the Go runtime does.
func goBytes(text string) (uint64, bool) {
	shift := 0
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			text, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(text, "B"), 10, 64)
	return n << shift, err == nil
}

// paging: what the kernel does with memory that looks unused.
func (l *look) paging() {
	if n, ok := l.number("vm.overcommit_memory"); ok {
		f := Finding{Name: "vm.overcommit_memory", State: OK, Found: fmt.Sprint(n), Wanted: "0 or 1"}
		if n == 2 {
			f.State, f.Why, f.Sysctl = Warn, "memory that the runtime has asked for but does not use counts, and the next that it asks for may be refused, which ends it", "vm.overcommit_memory = 0"
		}
		l.add(f)
	}
	l.swap()
	l.hugePages()
}

func (l *look) swap() {
	text, ok := l.read("proc/swaps")
	if !ok {
		return
	}
	f := Finding{Name: "swap", State: OK, Found: "none"}
	swappiness, _ := l.number("vm.swappiness")
	if strings.Count(text, "\n") > 0 { // a headline, and a line for each
		f.Found = fmt.Sprintf("there is some, vm.swappiness %d", swappiness)
		switch {
		case l.in != nil && l.in.get("MemorySwapMax", "") == "0":
			f.Found = "not for " + l.in.name
		case swappiness > 10:
			f.State, f.Wanted = Warn, "none for the daemon, or vm.swappiness 10"
			f.Why = "the collector looks at all memory: what was swapped out stops it, and messages, until it is back"
			f.Change, f.Sysctl = []string{l.line("MemorySwapMax=0")}, "vm.swappiness = 10"
		}
	}
	l.add(f)
}

func (l *look) hugePages() {
	const dir = "sys/kernel/mm/transparent_hugepage/"
	text, ok := l.read(dir + "enabled")
	if !ok {
		return
	}
	_, mode, _ := strings.Cut(text, "[")
	mode, _, _ = strings.Cut(mode, "]")
	empty, _ := l.read(dir + "khugepaged/max_ptes_none")
	f := Finding{Name: "transparent huge pages", State: OK, Found: mode}
	if mode == "always" && empty != "0" {
		f.State, f.Found, f.Wanted = Warn, "always, max_ptes_none "+empty, "madvise, or max_ptes_none 0"
		f.Why = "pages that the runtime gave back are filled up again: the process grows beyond what it uses"
		f.Change = []string{"in /etc/tmpfiles.d/" + l.short() + ".conf: w /" + dir + "khugepaged/max_ptes_none - - - - 0"}
	}
	l.add(f)
}

// quota is how many processors the control groups allow; false: all.
func (l *look) quota() (float64, bool) {
	least, found := math.Inf(1), false
	if l.unit != nil {
		if p, ok := strings.CutSuffix(l.unit.get("CPUQuota", ""), "%"); ok {
			n, err := strconv.ParseFloat(p, 64)
			return n / 100, err == nil && n > 0
		}
		return 0, false
	}
	l.upwards("cpu", "cpu.max", func(text string) {
		w := strings.Fields(text)
		if len(w) != 2 {
			return
		}
		n, err := strconv.ParseFloat(w[0], 64) // "max" is none
		period, err2 := strconv.ParseFloat(w[1], 64)
		if err == nil && err2 == nil && period > 0 {
			least, found = min(least, n/period), true
		}
	})
	return least, found
}

func (l *look) processors() {
	quota, limited := l.quota()
	f := Finding{Name: "processors", State: OK, Found: fmt.Sprintf("%d, no quota%s", l.CPUs, l.where())}
	if limited {
		f.Found = fmt.Sprintf("%.2f of %d by quota%s", quota, l.CPUs, l.where())
		f.Wanted = "whole processors"
		if quota < float64(l.CPUs) && quota != math.Floor(quota) {
			f.State = Warn
			f.Why = "what is left of a period after a burst is waited for: delays of up to 100 ms"
			f.Change = []string{l.line(fmt.Sprintf("CPUQuota=%.0f%%", 100*math.Ceil(quota)))}
		}
	}
	most := float64(l.CPUs)
	if limited {
		most = min(most, math.Ceil(quota))
	}
	text, _ := l.variable("GOMAXPROCS")
	if n, err := strconv.Atoi(text); err == nil && float64(n) > most {
		f.State, f.Found = Warn, f.Found+fmt.Sprintf(", GOMAXPROCS %d", n)
		f.Why = "more than there are: the quota is used up early in each period, then everything waits"
		f.Change = []string{"leave GOMAXPROCS out: the runtime reads the quota itself"}
	}
	l.add(f)
}

// cores: a core file holds keys and messages, and is written only when asked for twice.
func (l *look) cores() {
	var limit uint64
	if l.unit != nil {
		limit = limitValue(l.unit.get("LimitCORE", "0"))
	} else {
		soft, _, ok := l.limit("Max core file size")
		if !ok {
			return
		}
		limit = soft
	}
	trace, _ := l.variable("GOTRACEBACK")
	wants := trace == "crash"
	f := Finding{Name: "core files", State: OK, Found: "none are written" + l.where()}
	switch {
	case wants && limit == 0:
		f.State, f.Found = Warn, "GOTRACEBACK=crash, but the limit is 0"
		f.Why = "none will be written"
		f.Change = []string{l.line("LimitCORE=infinity")}
	case wants:
		f.State, f.Found = Warn, "written when it crashes"
		f.Why = "they hold keys, passwords and messages"
		f.Change = []string{"keep them where only root can read, or leave GOTRACEBACK=crash out"}
	}
	l.add(f)
}

func (l *look) clock() {
	f := Finding{Name: "clock", State: OK}
	if l.Clock == nil {
		f.State, f.Found = Unseen, ErrUnseen.Error()
		l.add(f)
		return
	}
	c, err := l.Clock()
	switch {
	case err != nil:
		f.State, f.Found = Unseen, err.Error()
	case !c.Synced:
		f.State, f.Found, f.Wanted = Warn, "nobody sets it right", "synchronised"
		f.Why = "certificates and tokens are judged by it, and figures of different servers are compared"
		f.Change = []string{"install chrony or enable systemd-timesyncd"}
	default:
		f.Found = "synchronised, off by at most " + c.Error.Round(time.Millisecond).String()
	}
	l.add(f)
}
