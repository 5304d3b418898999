package config

import (
	"slices"
	"strings"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// EnvPrefix is what a daemon's environment variables begin with.
func (d Daemon) EnvPrefix() string { return strings.ToUpper(string(d)) + "_" }

// envName is the variable that sets a key: cluster.pool_size is
// HUBD_CLUSTER_POOL_SIZE.
func envName(d Daemon, key string) string {
	return d.EnvPrefix() + strings.ToUpper(strings.ReplaceAll(strings.ReplaceAll(key, ".", "_"), "-", "_"))
}

// injected are the variables that container platforms make for a service of
// the daemon's name.
var injected = pattern(`^(SERVICE_|PORT(_|$)|.*_(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_\d+_(TCP|UDP).*)$)`)

// environment reads the daemon's variables into viper, above the file.
func (l *loader) environment() {
	names, files := map[string]*option{}, map[string]*option{}
	for _, o := range rootScope().rows {
		if !o.scalar() || !o.in.has(l.opts.Daemon) {
			continue
		}
		names[envName(l.opts.Daemon, o.key())] = o
		if o.kind == kSecret {
			files[envName(l.opts.Daemon, o.key())+fileSuffix] = o
		}
	}
	d := l.decoder(langYAML)
	d.dir = "" // what a process is told is relative to the process
	values := map[string]any{}
	seen := map[string]bool{}
	env := slices.Clone(l.opts.Env)
	slices.Sort(env)
	for _, kv := range env {
		name, _, ok := strings.Cut(kv, "=")
		if !ok || !strings.HasPrefix(name, l.opts.Daemon.EnvPrefix()) || seen[name] {
			continue
		}
		seen[name] = true
		val, _ := l.lookup(name)
		switch o, f := names[name], files[name]; {
		case o != nil:
			l.override(d, values, o, val, conf.Pos{File: name})
		case f != nil:
			l.overrideFromFile(d, values, f, val, conf.Pos{File: name})
		default:
			l.strangeVariable(name, names)
		}
	}
	l.merge(values)
}

// fileSuffix ends the name of a variable that says in which file a secret stands:
// HUBD_CLUSTER_PASSWORD_FILE. The file is one that the settings were read from, so
// that reload.watch looks at it too.
const fileSuffix = "_FILE"

func (l *loader) overrideFromFile(d *decoder, values map[string]any, o *option, file string, pos conf.Pos) {
	direct := strings.TrimSuffix(pos.File, fileSuffix)
	if _, both := l.lookup(direct); both {
		l.errorf(pos, "", "%s is set too: one of the two", direct)
		return
	}
	text, err := l.readFile(file)
	if err != nil {
		l.errorf(pos, "", "%v", err)
		return
	}
	l.holds(file, "a secret")
	l.override(d, values, o, strings.TrimRight(string(text), "\r\n"), pos)
}

// override reads one textual setting from outside the file.
func (l *loader) override(d *decoder, values map[string]any, o *option, s string, pos conf.Pos) {
	val, ok := d.value(o, o.key(), text(o, s, pos))
	if !ok {
		return
	}
	l.put(values, o, val, pos)
	l.explicit[o.key()] = true
	if o.kind == kListen {
		l.explicit[strings.TrimSuffix(o.key(), "listen")+"port"] = true
	}
}

func (l *loader) merge(values map[string]any) {
	if err := l.v.MergeConfigMap(nested(values)); err != nil {
		l.errorf(conf.Pos{}, "", "%v", err)
	}
}

// strangeVariable warns of a variable that looks like a misspelt setting.
func (l *loader) strangeVariable(name string, names map[string]*option) {
	if injected().MatchString(strings.TrimPrefix(name, l.opts.Daemon.EnvPrefix())) {
		return
	}
	best, distance := "", 4
	for n := range names {
		if e := editDistance(name, n); e < distance || e == distance && n < best {
			best, distance = n, e
		}
	}
	if best == "" {
		l.warnf(conf.Pos{}, "", "environment variable %s is no setting of %s", name, l.opts.Daemon)
		return
	}
	l.warnf(conf.Pos{}, "", "environment variable %s is no setting of %s; did you mean %s?", name, l.opts.Daemon, best)
}
