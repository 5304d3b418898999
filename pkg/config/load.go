package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// LoadOptions say where settings come from.
type LoadOptions struct {
	Daemon Daemon
	// File to read. "" takes the value of the flag --config, and without that
	// no file.
	File string
	// Format is "auto" (or ""), "yaml" (JSON too) or "conf" ("native" is the
	// same): auto takes .yaml and .yml as YAML, .json as whichever of the two
	// it fits, and everything else as .conf.
	Format string
	// Flags that RegisterFlags prepared; nil for none. Only flags that were set
	// count.
	Flags *pflag.FlagSet
	// Set overrides settings by their YAML path, e.g. "clients.listen"; it
	// stands above everything else. For tests and programs.
	Set map[string]string
	// Env is the environment as os.Environ returns it.
	Env []string

	// content stands for the file's: in tests, and of what Convert made.
	content []byte
	// fileOnly leaves the environment and flags out.
	fileOnly bool
}

// Load reads, checks and completes the settings of a daemon. The error is
// either [Errors], one per finding, or that of a file that could not be read.
// Warnings may come with or without an error.
func Load(opts LoadOptions) (*Config, []Warning, error) {
	l, err := load(opts)
	if err != nil {
		return nil, nil, err
	}
	warnings := l.sorted(l.warnings)
	if err := l.err(); err != nil {
		return nil, warnings, err
	}
	return l.cfg, warnings, nil
}

// loader carries one Load from the sources to the finished Config.
type loader struct {
	*report
	opts LoadOptions
	cfg  *Config
	v    *viper.Viper
	// origin is where the effective value of a key was set.
	origin map[string]conf.Pos
	// explicit are the keys that the environment, a flag or Set gave.
	explicit map[string]bool
	// present are the optional blocks that something mentions, by field path.
	present map[string]bool
	// dropped are key prefixes that a flag replaces as a whole.
	dropped []string
	// lang of the file, and what it holds.
	lang lang
	tree *conf.Value
}

func load(opts LoadOptions) (*loader, error) {
	l := &loader{report: &report{}, opts: opts, cfg: &Config{Daemon: opts.Daemon}, v: viper.New(),
		origin: map[string]conf.Pos{}, explicit: map[string]bool{}, present: map[string]bool{}}
	if opts.File == "" && opts.Flags != nil {
		if f := opts.Flags.Lookup("config"); f != nil {
			l.opts.File = f.Value.String()
		}
	}
	if opts.Format == "" && opts.Flags != nil {
		if f := opts.Flags.Lookup("config-format"); f != nil {
			l.opts.Format = f.Value.String()
		}
	}
	for _, o := range rootScope().rows {
		if o.def != nil && o.scalar() {
			l.v.SetDefault(o.key(), o.def)
		}
	}
	if l.opts.File != "" {
		if err := l.file(); err != nil {
			return nil, err
		}
	}
	if !l.opts.fileOnly {
		l.environment()
		l.flags()
	}
	l.apply()
	l.complete()
	l.keyFiles()
	l.cfg.secrets = l.secrets
	if len(l.errors) == 0 {
		l.validate()
	}
	return l, nil
}

// file reads the file, checks it and makes it viper's lowest layer above the
// defaults.
func (l *loader) file() error {
	name := l.opts.File
	text := l.opts.content
	if text == nil {
		var err error
		if text, err = os.ReadFile(name); err != nil {
			return err
		}
	}
	l.cfg.File, l.cfg.Files = name, []string{name}
	tree, err := l.parse(name, text)
	if err != nil {
		var found Errors
		if !errors.As(err, &found) {
			return err
		}
		l.errors = append(l.errors, found...)
		return nil
	}
	l.tree = tree
	if len(tree.Entries) == 0 {
		l.warnf(conf.Pos{}, "", "%s: config has no values or is empty", name)
	}
	if l.cfg.Digest, err = tree.Digest(); err != nil {
		return err
	}
	l.files = appendFiles(nil, tree)
	l.cfg.SharedWithHub = l.opts.Daemon == Gwd && l.lang == langConf && !hasBlock(tree, "border")
	d := l.decoder(l.lang)
	if l.cfg.SharedWithHub {
		d.daemon, d.shared = Hubd, true
	}
	if l.opts.Daemon == Hubd && l.lang == langConf && hasBlock(tree, "border") {
		l.errorf(tree.Pos, "border", "this file is gwd's own; start gwd with it, or remove the block so that hubd and gwd can share it")
		return nil
	}
	values := map[string]any{}
	d.walk(rootScope(), rootScope().tree(l.lang), tree, "", l.sink(d, values))
	return l.v.MergeConfigMap(nested(values))
}

func hasBlock(tree *conf.Value, name string) bool {
	return slices.ContainsFunc(tree.Entries, func(e *conf.Entry) bool { return lower(e.Key) == name })
}

// appendFiles lists the files that a tree was read from, in order.
func appendFiles(files []string, v *conf.Value) []string {
	for _, e := range v.Entries {
		if !slices.Contains(files, e.Pos.File) {
			files = append(files, e.Pos.File)
		}
		if e.Value.Kind == conf.Map {
			files = appendFiles(files, e.Value)
		}
	}
	return files
}

// parse reads the text in the language it is in.
func (l *loader) parse(name string, text []byte) (*conf.Value, error) {
	switch l.opts.Format {
	case "", "auto":
		switch strings.ToLower(filepath.Ext(name)) {
		case ".yaml", ".yml":
			l.lang = langYAML
		case ".json":
			return l.parseJSON(name, text)
		default:
			l.lang = langConf
		}
	case "yaml", "json":
		l.lang = langYAML
	case "conf", "native":
		l.lang = langConf
	default:
		return nil, fmt.Errorf("config format %q is none of auto, yaml, conf", l.opts.Format)
	}
	if l.lang == langYAML {
		return parseYAML(name, text)
	}
	return l.parseConf(name, text)
}

func (l *loader) parseConf(name string, text []byte) (*conf.Value, error) {
	tree, err := conf.Parse(name, text, conf.Options{Lookup: l.lookup, ReadFile: l.readFile})
	var syntax *conf.SyntaxError
	if errors.As(err, &syntax) && err == error(syntax) {
		return nil, Errors{{Pos: syntax.Pos, Message: fmt.Sprintf("Parse error on line %d: '%s'", syntax.Pos.Line, syntax.Detail)}}
	}
	if err != nil {
		return nil, Errors{{Message: err.Error()}}
	}
	return tree, nil
}

// parseJSON takes a .json file as the language in which fewer things are wrong
// with it, ours when it fits both.
func (l *loader) parseJSON(name string, text []byte) (*conf.Value, error) {
	tree, err := parseYAML(name, text)
	if err != nil {
		return nil, err
	}
	count := func(in lang) int {
		d := l.decoder(in)
		d.report = &report{}
		scratch := &loader{report: d.report, opts: l.opts, cfg: &Config{}, origin: map[string]conf.Pos{}, present: map[string]bool{}}
		d.walk(rootScope(), rootScope().tree(in), tree, "", scratch.sink(d, map[string]any{}))
		return len(d.errors)
	}
	if l.lang = langYAML; count(langConf) < count(langYAML) {
		l.lang = langConf
	}
	return tree, nil
}

func (l *loader) decoder(in lang) *decoder {
	dir := filepath.Dir(l.opts.File)
	if l.opts.File == "" {
		dir = ""
	}
	return &decoder{report: l.report, lang: in, daemon: l.opts.Daemon, dir: dir, lookup: l.lookup, readFile: l.readFile}
}

// readFile reads a file that the settings name, and notes that they depend on it.
func (l *loader) readFile(name string) ([]byte, error) {
	if !slices.Contains(l.cfg.Files, name) {
		l.cfg.Files = append(l.cfg.Files, name)
	}
	return conf.ReadFile(name)
}

func (l *loader) lookup(name string) (string, bool) {
	for _, kv := range slices.Backward(l.opts.Env) {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// sink puts what the root's walk finds where it belongs: scalars into values,
// lists into the Config.
func (l *loader) sink(d *decoder, values map[string]any) sink {
	return func(o *option, path string, e *conf.Entry) {
		if d.special(o, path, e) {
			return
		}
		for _, g := range gatesOf(o) {
			l.present[g] = true
		}
		switch {
		case o.kind == kBlock:
			if o.field != "" {
				l.present[o.field] = true
				l.origin[o.key()] = e.Pos
			}
		case o.kind == kList:
			setField(l.cfg, o.field, nil) // the last one wins
			d.list(o, path, e.Value, l.cfg)
			l.origin[o.key()] = e.Pos
		default:
			if val, ok := d.value(o, path, e.Value); ok && o.yaml != "" {
				l.put(values, o, val, e.Value.Pos)
			}
		}
	}
}

func gatesOf(o *option) []string {
	if o.field == "" {
		return nil
	}
	return gates(o.field)
}

// put stores a value under its key, and the two that are short for others under
// theirs.
func (l *loader) put(values map[string]any, o *option, val any, pos conf.Pos) {
	set := func(key string, val any) {
		values[key] = val
		l.origin[key] = pos
		if o := optionByKey(key); o != nil {
			for _, g := range gatesOf(o) {
				l.present[g] = true
			}
		}
	}
	switch o.kind {
	case kListen:
		hp := val.(hostPort)
		base := strings.TrimSuffix(o.key(), "listen")
		if hp.hasHost {
			set(base+"host", hp.host)
		}
		set(base+"port", hp.port)
	case kLevel:
		set("log.debug", val != "info")
		set("log.trace", val == "trace")
	default:
		set(o.key(), val)
	}
}

func optionByKey(key string) *option {
	n := rootScope().tree(langYAML)
	for _, name := range strings.Split(key, ".") {
		if n = n.children[name]; n == nil {
			return nil
		}
	}
	return n.opt
}

// nested turns paths into maps of maps.
func nested(values map[string]any) map[string]any {
	root := map[string]any{}
	for key, val := range values {
		m := root
		parts := strings.Split(key, ".")
		for _, p := range parts[:len(parts)-1] {
			sub, ok := m[p].(map[string]any)
			if !ok {
				sub = map[string]any{}
				m[p] = sub
			}
			m = sub
		}
		m[parts[len(parts)-1]] = val
	}
	return root
}

// apply takes the effective value of each scalar from viper into the Config.
func (l *loader) apply() {
	for _, o := range rootScope().rows {
		if !o.scalar() || o.field == "" {
			continue
		}
		missing := slices.ContainsFunc(gatesOf(o), func(g string) bool { return !l.present[g] })
		switch {
		case missing:
		case l.isDropped(o.key()):
			if o.def != nil {
				setField(l.cfg, o.field, o.def)
			}
		default: // nil: nobody has set it, and there is no default
			if val := l.v.Get(o.key()); val != nil {
				setField(l.cfg, o.field, val)
			}
		}
	}
	// Blocks that are mentioned but hold nothing.
	for _, o := range rootScope().rows {
		if o.kind == kBlock && o.field != "" && l.present[o.field] {
			touch(l.cfg, o.field)
		}
	}
}
