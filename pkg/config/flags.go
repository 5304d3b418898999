package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// flagDef is one of the flags that the reference binary knows (config-cli 3.2).
type flagDef struct {
	// names: the first is shown in the help text, the others are hidden.
	names []string
	short string
	// key is the option it sets; "" when do has it.
	key     string
	boolean bool
	in      daemons
	usage   string
	// arg is what help calls the value, where the option's kind is no name for it.
	arg string
	// check judges such a value while flags are parsed; nil: do alone judges it.
	check func(string, Daemon) error
	// do is what a flag does that is more than setting one option.
	do func(l *loader, values map[string]any, s string, pos conf.Pos)
	// later marks what is refused as not supported yet, and not shown.
	later bool
}

// referenceFlags is the table of them.
func referenceFlags() []flagDef {
	return []flagDef{
		{names: []string{"addr", "net"}, short: "a", key: "clients.host", in: noClients, usage: "bind to this host"},
		{names: []string{"port"}, short: "p", in: noClients, do: flagPort, arg: "port", check: checkPort, usage: "port for clients (default 4222; -1: the kernel chooses)"},
		{names: []string{"name", "server_name"}, short: "n", key: "server.name", usage: "name of this server (default: its id)"},
		{names: []string{"pid"}, short: "P", key: "lifecycle.pid_file", usage: "file to write the process id to"},
		{names: []string{"http_port"}, short: "m", key: "monitor.port", arg: "port", usage: "port for monitoring over HTTP"},
		{names: []string{"https_port", "ms"}, key: "monitor.https.port", arg: "port", usage: "port for monitoring over HTTPS"},
		{names: []string{"client_advertise"}, key: "clients.advertise", in: noClients, usage: "host:port told to clients of the cluster"},
		{names: []string{"ports_file_dir"}, key: "lifecycle.ports_dir", usage: "directory to write the ports file to"},
		{names: []string{"log"}, short: "l", key: "log.file", usage: "file to log to"},
		{names: []string{"logtime"}, short: "T", key: "log.time", boolean: true, usage: "time stamps in the log (default true)"},
		{names: []string{"logtime_utc"}, key: "log.utc", boolean: true, usage: "time stamps in UTC"},
		{names: []string{"log_size_limit"}, key: "log.max_size", usage: "rotate the log file at this size"},
		{names: []string{"syslog"}, short: "s", key: "log.syslog", boolean: true, usage: "log to the local syslog"},
		{names: []string{"remote_syslog"}, short: "r", key: "log.remote_syslog", arg: "url", usage: "log to a syslog server, udp://host:514, tcp://host:514 or unix:///path"},
		{names: []string{"debug"}, short: "D", key: "log.debug", boolean: true, usage: "log debugging output"},
		{names: []string{"trace"}, short: "V", key: "log.trace", boolean: true, usage: "log the protocol"},
		{names: []string{"VV"}, boolean: true, do: flagLevels("log.trace", "log.trace_verbose"), usage: "log the protocol, system account included"},
		{names: []string{"DV"}, boolean: true, do: flagLevels("log.debug", "log.trace"), usage: "debug and trace"},
		{names: []string{"DVV"}, boolean: true, do: flagLevels("log.debug", "log.trace", "log.trace_verbose"), usage: "debug and trace, system account included"},
		{names: []string{"max_traced_msg_len"}, key: "log.max_traced", usage: "cut traced payloads to this length"},
		{names: []string{"jetstream", "js"}, boolean: true, in: noClients, later: true, usage: "enable streams"},
		{names: []string{"store_dir", "sd"}, in: noClients, later: true, usage: "directory of streams"},
		{names: []string{"user"}, key: "auth.user", in: noClients, usage: "user that clients need"},
		{names: []string{"pass"}, key: "auth.password", in: noClients, usage: "password that clients need"},
		{names: []string{"auth"}, key: "auth.token", in: noClients, usage: "token that clients need"},
		{names: []string{"tls"}, boolean: true, in: noClients, do: flagTLS("tls"), usage: "TLS for clients, without verification"},
		{names: []string{"tlsverify"}, boolean: true, in: noClients, do: flagTLS("verify"), usage: "TLS for clients, with client certificates"},
		{names: []string{"tlscert"}, in: noClients, do: flagTLS("cert"), arg: "path", usage: "certificate file"},
		{names: []string{"tlskey"}, in: noClients, do: flagTLS("key"), arg: "path", usage: "key file"},
		{names: []string{"tlscacert"}, in: noClients, do: flagTLS("ca"), arg: "path", usage: "file of the authorities of client certificates"},
		{names: []string{"routes"}, in: inHub | inGw, do: flagRoutes, arg: "urls", check: checkRoutes, usage: "routes to dial, comma separated"},
		{names: []string{"cluster", "cluster_listen"}, in: inHub | inGw, do: flagCluster, arg: "url", check: checkCluster, usage: "URL to listen on for routes"},
		{names: []string{"cluster_name"}, key: "cluster.name", in: inHub | inGw, usage: "name of the cluster"},
		{names: []string{"cluster_advertise"}, key: "cluster.advertise", in: inHub | inGw, usage: "host:port told to other servers"},
		{names: []string{"no_advertise"}, key: "cluster.no_advertise", boolean: true, in: inHub | inGw, usage: "do not tell clients of other servers"},
		{names: []string{"connect_retries"}, key: "cluster.connect.retries", in: inHub | inGw, usage: "attempts for routes learned by gossip"},
		{names: []string{"profile"}, key: "profiling.port", arg: "port", usage: "port for profiling over HTTP"},
	}
}

// commandFlags are the reference's flags that are the command line's own affair:
// NormalizeArgs knows them, RegisterFlags leaves them to the command. The value
// says whether one takes an argument.
var commandFlags = map[string]bool{"signal": true, "sl": true, "help": false, "version": false, "help_tls": false, "config": true, "config-format": true}

// flagValue is the textual value of a flag, checked when it is set.
type flagValue struct {
	text  string
	kind  string
	check func(string) error
}

func (v *flagValue) String() string { return v.text }
func (v *flagValue) Type() string   { return v.kind }
func (v *flagValue) Set(s string) error {
	if v.check != nil {
		if err := v.check(s); err != nil {
			return err
		}
	}
	v.text = s
	return nil
}

// shownFlags are the settings whose flags the help text lists; the others work
// as well.
var shownFlags = []string{"server.name", "clients.listen", "listen.allow_lan", "cluster.name", "cluster.listen", "cluster.routes", "gateway.listen", "leafs.listen", "monitor.listen", "log.level", "log.format"}

// RegisterFlags adds the flags of a daemon's settings: --config and
// --config-format, one per scalar setting (cluster.pool_size is
// --cluster-pool-size), and those of the reference binary. Load reads them from
// the same set.
func RegisterFlags(fs *pflag.FlagSet, d Daemon) { register(fs, d, func(string) bool { return true }) }

// RegisterUsedFlags is RegisterFlags without the flags of single settings that a
// command line does not mention: there are hundreds, and a start needs few. Help and
// messages about wrong flags want them all.
func RegisterUsedFlags(fs *pflag.FlagSet, d Daemon, args []string) {
	register(fs, d, func(name string) bool {
		return slices.ContainsFunc(args, func(arg string) bool { return longName(arg) == name })
	})
}

func register(fs *pflag.FlagSet, d Daemon, used func(name string) bool) {
	fs.VarP(&flagValue{kind: "file"}, "config", "c", "file of settings: .yaml, .yml or .json; everything else is read as .conf")
	fs.Var(&flagValue{text: "auto", kind: "format"}, "config-format", "format of that file: auto, yaml or conf")
	for _, f := range referenceFlags() {
		if !f.in.has(d) {
			continue
		}
		for i, name := range f.names {
			v := &flagValue{kind: cmp.Or(f.arg, "string")}
			if check := f.check; check != nil {
				v.check = func(s string) error { return check(s, d) }
			}
			if o := optionByKey(f.key); f.key != "" && o != nil {
				v.kind, v.check = cmp.Or(f.arg, kindWords[o.kind]), checkText(o, d)
			}
			short := ""
			if i == 0 {
				short = f.short
			}
			add(fs, v, name, short, f.usage, f.boolean)
			fs.Lookup(name).Hidden = i > 0 || f.later
		}
	}
	for _, o := range rootScope().rows {
		if o.scalar() && o.in.has(d) && used(flagName(o)) {
			v := &flagValue{kind: kindWords[o.kind], check: checkText(o, d)}
			usage := o.text
			if usage == "" || o.kind == kURLs {
				usage = "sets " + o.key()
			}
			add(fs, v, flagName(o), "", usage, o.kind == kBool)
			fs.Lookup(flagName(o)).Hidden = !slices.Contains(shownFlags, o.key())
		}
	}
}

func add(fs *pflag.FlagSet, v *flagValue, name, short, usage string, boolean bool) {
	if boolean {
		v.kind = "bool"
	}
	f := fs.VarPF(v, name, short, usage)
	if boolean {
		f.NoOptDefVal = "true"
	}
}

func flagName(o *option) string {
	return strings.ReplaceAll(strings.ReplaceAll(o.key(), ".", "-"), "_", "-")
}

// checkText is what a flag's value is checked with while flags are parsed.
func checkText(o *option, d Daemon) func(string) error {
	return func(s string) error {
		dec := &decoder{report: &report{}, lang: langYAML, daemon: d}
		if _, ok := dec.value(o, "", text(o, s, conf.Pos{})); !ok {
			return fmt.Errorf("%s", dec.errors[0].Message)
		}
		return nil
	}
}

// flags reads the flags that were set, and Set, into viper above all else.
func (l *loader) flags() {
	d := l.decoder(langYAML)
	d.dir = ""
	values := map[string]any{}
	if l.opts.Flags != nil {
		known := map[string]flagDef{}
		for _, f := range referenceFlags() {
			for _, name := range f.names {
				known[name] = f
			}
		}
		paths := map[string]*option{}
		for _, o := range rootScope().rows {
			if o.scalar() {
				paths[flagName(o)] = o
			}
		}
		l.opts.Flags.Visit(func(f *pflag.Flag) {
			pos := conf.Pos{File: "--" + f.Name}
			def, ok := known[f.Name]
			switch {
			case ok && def.later:
				if s := f.Value.String(); s != "false" && s != "" {
					l.errorf(pos, "", "not supported yet")
				}
			case ok && def.do != nil:
				def.do(l, values, f.Value.String(), pos)
			case ok:
				l.override(d, values, optionByKey(def.key), f.Value.String(), pos)
			case paths[f.Name] != nil:
				l.override(d, values, paths[f.Name], f.Value.String(), pos)
			}
		})
	}
	for _, key := range sortedKeys(l.opts.Set) {
		o := optionByKey(key)
		if o == nil || !o.scalar() {
			l.errorf(conf.Pos{File: "set"}, key, "is not a setting that can be overridden")
			continue
		}
		l.override(d, values, o, l.opts.Set[key], conf.Pos{File: "set"})
	}
	l.merge(values)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// try runs what a flag does on the side and returns what it has to complain of.
func try(do func(*loader, map[string]any, string, conf.Pos), s string, d Daemon) error {
	l := &loader{report: &report{}, opts: LoadOptions{Daemon: d}, cfg: &Config{Daemon: d},
		origin: map[string]conf.Pos{}, explicit: map[string]bool{}, present: map[string]bool{}}
	do(l, map[string]any{}, s, conf.Pos{})
	if len(l.errors) > 0 {
		return errors.New(l.errors[0].Message)
	}
	return nil
}

func checkPort(s string, d Daemon) error    { return try(flagPort, s, d) }
func checkRoutes(s string, d Daemon) error  { return try(flagRoutes, s, d) }
func checkCluster(s string, d Daemon) error { return try(flagCluster, s, d) }

// flagPort: 0 is the default.
func flagPort(l *loader, values map[string]any, s string, pos conf.Pos) {
	if s == "0" {
		s = strconv.Itoa(DefaultPort)
	}
	l.override(l.decoder(langYAML), values, optionByKey("clients.port"), s, pos)
}

func flagLevels(keys ...string) func(*loader, map[string]any, string, conf.Pos) {
	return func(l *loader, values map[string]any, s string, pos conf.Pos) {
		for _, k := range keys {
			l.override(l.decoder(langYAML), values, optionByKey(k), s, pos)
		}
	}
}

// flagTLS: any of the TLS flags replaces the file's block; --tls=false removes it.
func flagTLS(name string) func(*loader, map[string]any, string, conf.Pos) {
	return func(l *loader, values map[string]any, s string, pos conf.Pos) {
		if !l.explicit["clients.tls"] {
			l.drop("clients.tls.", "Client.TLS")
			l.explicit["clients.tls"] = true
		}
		if name == "tls" && s == "false" {
			return
		}
		l.present["Client.TLS"] = true
		l.explicit["--tls"] = true
		if name != "tls" {
			d := l.decoder(langYAML)
			d.dir = ""
			l.override(d, values, optionByKey("clients.tls."+name), s, pos)
		}
	}
}

// drop forgets what the file and the environment said about a block.
func (l *loader) drop(prefix, field string) {
	l.dropped = append(l.dropped, prefix)
	for g := range l.present {
		if g == field || strings.HasPrefix(g, field+".") {
			delete(l.present, g)
		}
	}
	for k := range l.explicit {
		if strings.HasPrefix(k, prefix) {
			delete(l.explicit, k)
		}
	}
}

// isDropped says that a key must not be taken from the file or environment.
func (l *loader) isDropped(key string) bool {
	return !l.explicit[key] && slices.ContainsFunc(l.dropped, func(p string) bool { return strings.HasPrefix(key, p) })
}

func flagRoutes(l *loader, values map[string]any, s string, pos conf.Pos) {
	l.override(l.decoder(langYAML), values, optionByKey("cluster.routes"), s, pos)
}

// flagCluster replaces the address and the user of the route listener; "" turns
// clustering off.
func flagCluster(l *loader, values map[string]any, s string, pos conf.Pos) {
	if s == "" {
		l.drop("cluster.", "Cluster")
		return
	}
	// A URL cannot have the port -1 that stands for "the kernel chooses".
	host, chosen := strings.CutSuffix(strings.TrimSuffix(s, "/"), ":-1")
	if chosen {
		host += ":0"
	}
	u, err := url.Parse(host)
	if err != nil || u.Port() == "" {
		l.errorf(pos, "", "could not parse %q: want nats://[user:password@]host:port", redactURL(s))
		return
	}
	host = u.Host
	if chosen {
		host = strings.TrimSuffix(host, ":0") + ":-1"
	}
	set := func(key, s string) { l.override(l.decoder(langYAML), values, optionByKey(key), s, pos) }
	set("cluster.listen", host)
	user, password := "", ""
	if u.User != nil {
		var ok bool
		if password, ok = u.User.Password(); !ok {
			l.errorf(pos, "", "expected cluster password to be set")
			return
		}
		user = u.User.Username()
	}
	set("cluster.user", user)
	set("cluster.password", password)
}
