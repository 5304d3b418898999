package host

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/banyanmq/banyan/pkg/config"
)

// systemdOpenFiles is the hard limit of services that set none.
const systemdOpenFiles = 524288

func (l *look) openFiles() {
	least, wanted := l.cfg.OpenFiles()
	var have uint64
	switch {
	case l.unit != nil:
		have = systemdOpenFiles
		if v := l.unit.get("LimitNOFILE", ""); v != "" {
			_, hard, both := strings.Cut(v, ":")
			if !both {
				hard = v
			}
			have = limitValue(hard)
		}
	case l.OS == "linux":
		soft, hard, ok := l.limit("Max open files")
		if !ok {
			l.add(Finding{Name: "open files", State: Unseen, Found: "not to be seen here"})
			return
		}
		if have = hard; l.Process != "self" {
			have = soft // at its start a daemon raises it to the hard one, as far as it may
		}
	default:
		var err error
		if l.OpenFiles == nil {
			err = ErrUnseen
		} else {
			have, err = l.OpenFiles()
		}
		if err != nil {
			l.add(Finding{Name: "open files", State: Unseen, Found: err.Error()})
			return
		}
	}
	f := Finding{Name: "open files", State: OK, Found: number(have) + l.where(), Wanted: number(wanted)}
	if have < wanted {
		f.State, f.Why = Warn, "twice clients.limits.max_connections and 10000 is room for links, files and a fleet that comes back"
		if have < least {
			f.State, f.Why = Bad, fmt.Sprintf("each connection is one: %d clients are admitted, fewer fit", l.clients())
		}
		f.Change = []string{l.line(fmt.Sprintf("LimitNOFILE=%d", wanted)), fmt.Sprintf("without systemd: ulimit -n %d before the start", wanted)}
		if l.clients() > 0 {
			f.Change = append(f.Change, "or a lower clients.limits.max_connections")
		}
	}
	l.add(f)
}

func number(n uint64) string {
	if n > 1<<62 {
		return "no limit"
	}
	return fmt.Sprint(n)
}

// fileTables are the kernel's own limits, which a unit's cannot pass.
func (l *look) fileTables() {
	_, wanted := l.cfg.OpenFiles()
	if l.in != nil {
		if v := limitValue(l.in.get("LimitNOFILE", "0")); v != ^uint64(0) {
			wanted = max(wanted, v)
		}
	}
	l.atLeast("fs.nr_open", int64(wanted), "a service whose LimitNOFILE is above it does not start")
	l.atLeast("fs.file-max", 2*int64(wanted), "all processes of the machine share it")
}

// place is a directory that the settings make the daemon write to.
type place struct {
	setting string
	dir     string
	data    bool // what is there is missed when it is gone
}

func (l *look) places() []place {
	var list []place
	file := func(setting, name string) {
		if name != "" {
			list = append(list, place{setting: setting, dir: filepath.Dir(name)})
		}
	}
	dir := func(setting, name string, data bool) {
		if name != "" {
			list = append(list, place{setting, name, data})
		}
	}
	c := l.cfg
	file("log.file", c.Log.File)
	file("lifecycle.pid_file", c.PidFile)
	dir("lifecycle.ports_dir", c.PortsFileDir, false)
	if c.Operator != nil {
		dir("auth.resolver", c.Operator.Resolver.Dir, c.Operator.Resolver.Kind == config.ResolverFull)
	}
	dir("ocsp.dir", c.OCSP.Dir, false)
	if c.OCSPCache.Type == config.OCSPCacheLocal {
		dir("ocsp_cache.dir", c.OCSPCache.Dir, false)
	}
	return list
}

func (l *look) dirs() {
	for _, p := range l.places() {
		abs, err := filepath.Abs(p.dir)
		if err != nil {
			abs = p.dir
		}
		p.dir = abs
		l.writable(p)
		l.disk(p)
	}
}

// writable: a sandbox decides before permissions do.
func (l *look) writable(p place) {
	f := Finding{Name: p.setting, State: OK, Found: p.dir + " can be written to"}
	if l.unit != nil {
		if l.unit.opens(p.dir) {
			f.Found = p.dir + " is made and opened by " + l.unit.name
			l.add(f)
			return
		}
		if l.unit.get("ProtectSystem", "no") == "strict" {
			f.State, f.Found = Bad, p.dir+" is read-only in "+l.unit.name
			f.Why = "the service may write to its own directories only (ProtectSystem=strict)"
			f.Change = []string{l.line("ReadWritePaths=" + p.dir),
				"or a place below /var/lib/" + l.short() + ", /var/log/" + l.short() + " or /run/" + l.short()}
			l.add(f)
			return
		}
	}
	if l.Writable == nil {
		f.State, f.Found = Unseen, p.dir+": "+ErrUnseen.Error()
	} else if err := l.Writable(p.dir); err != nil {
		f.State, f.Found = Bad, p.dir+": "+err.Error()
		f.Why = "the daemon would not start, or not keep what it should"
		f.Change = []string{"make the directory, and give it to the user that runs the daemon"}
	}
	l.add(f)
}

func (l *look) short() string { return strings.TrimSuffix(l.Unit, ".service") }

// opens says whether a unit makes a path writable.
func (u *unit) opens(dir string) bool {
	var open []string
	for key, base := range map[string]string{"StateDirectory": "/var/lib", "LogsDirectory": "/var/log", "RuntimeDirectory": "/run", "CacheDirectory": "/var/cache"} {
		for _, w := range u.words(key) {
			open = append(open, filepath.Join(base, w))
		}
	}
	for _, w := range append(u.words("ReadWritePaths"), u.words("BindPaths")...) {
		open = append(open, strings.TrimLeft(w, "-+"))
	}
	if u.yes("PrivateTmp") || u.yes("DynamicUser") {
		open = append(open, "/tmp", "/var/tmp")
	}
	for _, o := range open {
		if dir == o || strings.HasPrefix(dir, o+"/") {
			return true
		}
	}
	return false
}

// fullFrom: disks count as nearly full with less than this part free.
const fullFrom = 0.15

func (l *look) disk(p place) {
	if l.Disk == nil {
		return
	}
	d, err := l.Disk(p.dir)
	if err != nil || d.Size == 0 {
		return // that there is no such directory has been said
	}
	f := Finding{Name: p.setting + ", disk", State: OK, Wanted: "15% free",
		Found: fmt.Sprintf("%s of %s free, %s", bytes(d.Free), bytes(d.Size), d.Kind)}
	switch {
	case d.Free < 16<<20 || d.Files > 0 && d.Left < 100:
		f.State, f.Why, f.Change = Bad, "the disk is full", []string{"make room, or choose another directory"}
	case float64(d.Free) < fullFrom*float64(d.Size) && d.Free < 10<<30:
		f.State, f.Why, f.Change = Warn, "the disk is nearly full", []string{"make room, or choose another directory"}
	case p.data && (d.Kind == "tmpfs" || d.Kind == "ramfs"):
		f.State, f.Why, f.Change = Warn, "what is kept there is gone after a restart of the machine", []string{"choose a directory on a disk"}
	case p.data && strings.HasPrefix(d.Kind, "nfs"):
		f.State, f.Why, f.Change = Warn, "a network that is away blocks the daemon", []string{"choose a directory on a local disk"}
	}
	l.add(f)
}
