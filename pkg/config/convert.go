package config

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/config/conf"
)

// Convert reads opts.File, which is in the .conf format, and renders it in YAML.
// Loading the result gives the settings that loading the file gives; neither the
// daemon's own environment variables nor flags are part of either. Variables and
// includes are resolved, paths of files made absolute, comments left out. A
// secret that the file takes from the environment is taken from there by the
// result as well, so that no secret is printed that was not in the file.
//
// The error is as Load's; of what has no form in YAML it is [Errors] too.
func Convert(opts LoadOptions) ([]byte, []Warning, error) {
	opts.Flags, opts.Set, opts.fileOnly = nil, nil, true
	l, err := load(opts)
	if err != nil {
		return nil, nil, err
	}
	warnings := l.sorted(l.warnings)
	if err := l.err(); err != nil {
		return nil, warnings, err
	}
	if l.tree == nil {
		return nil, warnings, errors.New("no file to convert")
	}
	if l.lang != langConf {
		return nil, warnings, fmt.Errorf("%s is read as YAML already; --config-format conf reads it as .conf", opts.File)
	}
	c := &converter{decoder: l.decoder(langConf), l: l}
	c.report = &report{files: l.files}
	if l.cfg.SharedWithHub {
		c.decoder.daemon, c.shared = Hubd, true
	}
	root := c.block(rootScope(), l.tree, "")
	if l.cfg.SharedWithHub {
		c.beside(root)
	}
	if err := c.err(); err != nil {
		return nil, warnings, err
	}
	text, err := root.render(l.cfg)
	if err != nil {
		return nil, warnings, err
	}
	check, err := load(LoadOptions{Daemon: opts.Daemon, File: opts.File, Format: "yaml", Env: opts.Env, fileOnly: true, content: text})
	if err == nil {
		err = check.err()
	}
	if err != nil {
		return nil, warnings, fmt.Errorf("the settings cannot be said in YAML: %w", err)
	}
	return text, warnings, nil
}

// converter walks a .conf tree and builds the YAML one.
type converter struct {
	*decoder
	l *loader
}

// branch is a map of the YAML tree. Keys keep the order in which they were last
// set: among listen, host and port the later one counts.
type branch struct {
	keys   []string
	values map[string]any // *branch or *yaml.Node
}

func newBranch() *branch { return &branch{values: map[string]any{}} }

// set puts a value at a path of the schema.
func (b *branch) set(path string, v any) {
	name, rest, more := strings.Cut(path, ".")
	if more {
		sub, ok := b.values[name].(*branch)
		if !ok {
			sub = newBranch()
			b.put(name, sub)
		}
		sub.set(rest, v)
		return
	}
	b.put(name, v)
}

func (b *branch) put(name string, v any) {
	b.drop(name)
	b.keys = append(b.keys, name)
	b.values[name] = v
}

func (b *branch) drop(path string) {
	name, rest, more := strings.Cut(path, ".")
	if more {
		if sub, ok := b.values[name].(*branch); ok {
			if sub.drop(rest); len(sub.keys) == 0 {
				b.drop(name)
			}
		}
		return
	}
	if _, ok := b.values[name]; ok {
		delete(b.values, name)
		b.keys = slices.DeleteFunc(b.keys, func(k string) bool { return k == name })
	}
}

func (b *branch) node() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range b.keys {
		v, ok := b.values[k].(*yaml.Node)
		if !ok {
			v = b.values[k].(*branch).node()
		}
		n.Content = append(n.Content, yString(k), v)
	}
	if len(b.keys) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// render writes the tree, its blocks in the order of the documentation.
func (b *branch) render(cfg *Config) ([]byte, error) {
	rank := map[string]int{}
	for i, o := range rootScope().rows {
		name, _, _ := strings.Cut(o.key(), ".")
		if _, ok := rank[name]; !ok {
			rank[name] = i
		}
	}
	slices.SortStableFunc(b.keys, func(x, y string) int { return rank[x] - rank[y] })
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Settings of %s, converted from %q.\n", cfg.Daemon, cfg.File)
	if len(b.keys) == 0 {
		return out.Bytes(), nil
	}
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(b.node()); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

// block converts what stands in a map.
func (c *converter) block(s *scope, v *conf.Value, path string) *branch {
	out := newBranch()
	var empty []*option // blocks that were mentioned
	reached := map[string]bool{}
	c.walk(s, s.tree(langConf), v, path, func(o *option, p string, e *conf.Entry) {
		switch {
		case o.kind == kLater, o.kind == kNone, !o.in.has(c.l.opts.Daemon):
			return
		case o.kind == kBlock:
			if o.yaml != "" {
				empty = append(empty, o)
			}
			return
		}
		key, n := o.key(), (*yaml.Node)(nil)
		if key == "" {
			key, n = c.unnamed(o, p, e.Value)
		} else {
			n = c.value(o, p, e.Value)
		}
		if n == nil {
			return
		}
		out.set(key, n)
		for i := range len(o.field) {
			if o.field[i] == '.' {
				reached[o.field[:i]] = true
			}
		}
	})
	for _, o := range empty {
		if o.field != "" && !reached[o.field] {
			out.set(o.key(), newBranch())
		}
	}
	return out
}

// unnamed deals with options that YAML has in another form.
func (c *converter) unnamed(o *option, path string, v *conf.Value) (string, *yaml.Node) {
	if o.field == "NoRandomize" {
		if v.Bool {
			return "order", yString("listed")
		}
		return "order", yString("random")
	}
	c.errorf(v.Pos, path, "has no form in YAML")
	return "", nil
}

// value converts one option's value; nil leaves it out.
func (c *converter) value(o *option, path string, v *conf.Value) *yaml.Node {
	if o.kind == kList {
		return c.items(o, path, v)
	}
	if o.kind == kSecret {
		return c.secretNode(path, v)
	}
	if o.kind == kURLs {
		c.noPassword(path, v)
	}
	read, ok := c.decoder.value(o, path, v)
	if !ok {
		return nil
	}
	switch x := read.(type) {
	case Resolver:
		if v.Kind == conf.Map {
			return c.block(resolverScope(), v, path).node()
		}
	case []string:
		if o.field == "Operator.JWTs" {
			return c.tokens(v)
		}
		return yStrings(x)
	case string:
		if o.kind == kPath || o.kind == kUserPath {
			return yString(absolute(x))
		}
	case time.Duration:
		return yDuration(x)
	case int64:
		return ySize(x)
	case hostPort:
		if x.hasHost {
			return yString(Listen{x.host, x.port}.address())
		}
		return yInt(int64(x.port))
	case []*url.URL:
		list := make([]string, len(x))
		for i, u := range x {
			list[i] = u.String()
		}
		return yStrings(list)
	case *Permissions:
		if x == nil {
			return nil
		}
		return permissionsNode(x)
	case SubjectPermission:
		return subjectsNode(x)
	case []account.Mapping:
		return mappingsNode(x)
	case []Certificate:
		n := ySeq()
		for _, p := range x {
			n.Content = append(n.Content, yMap("cert", yString(absolute(p.CertFile)), "key", yString(absolute(p.KeyFile))))
		}
		return n
	case map[string]string:
		n := ySeq()
		for _, k := range sortedKeys(x) {
			n.Content = append(n.Content, yMap("name", yString(k), "value", yString(x[k])))
		}
		return n
	case []AccountJWT:
		n := ySeq()
		for _, a := range x {
			n.Content = append(n.Content, yMap("account", yString(a.Account), "jwt", yString(a.JWT)))
		}
		return n
	}
	return plainNode(v)
}

// address is a listener's with the port as written.
func (l Listen) address() string {
	if strings.Contains(l.Host, ":") {
		return "[" + l.Host + "]:" + strconv.Itoa(l.Port)
	}
	return l.Host + ":" + strconv.Itoa(l.Port)
}

// absolute makes the name of a file that the process finds from its directory one
// that does not depend on it; YAML's are relative to the file of settings.
func absolute(name string) string {
	if name == "" {
		return ""
	}
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

// tokens are JWTs, or files with them.
func (c *converter) tokens(v *conf.Value) *yaml.Node {
	read, _ := c.strings("", v)
	var list []string
	for _, s := range read.([]string) {
		if fi, err := os.Stat(s); err == nil && fi.Mode().IsRegular() {
			s = absolute(s)
		}
		list = append(list, s)
	}
	return yStrings(list)
}

// secretNode is a secret as the file has it: written out, or the name of the
// variable that holds it.
func (c *converter) secretNode(path string, v *conf.Value) *yaml.Node {
	switch {
	case v.Env != "":
		if text, _ := c.lookup(v.Env); strings.TrimRight(text, "\r\n") == v.Str {
			return yMap("env", yString(v.Env))
		}
		c.errorf(v.Pos, path, "the environment variable %s holds the secret in quotes or with escapes, which YAML would take literally: set it without", v.Env)
		return nil
	case strings.HasPrefix(v.Pos.File, "$"):
		c.errorf(v.Pos, path, "this secret is part of what the environment variable %s holds, and there is no way to refer to it in YAML: give the secret a variable of its own", v.Pos.File[1:])
		return nil
	}
	return yString(v.Str)
}

// noPassword refuses to print a password that a URL has from the environment.
func (c *converter) noPassword(path string, v *conf.Value) {
	list := []*conf.Value{v}
	if v.Kind == conf.Array {
		list = append(list, v.Items...)
	}
	for _, it := range list {
		if it.Kind != conf.String || it.Env == "" && v.Env == "" && !strings.HasPrefix(it.Pos.File, "$") {
			continue
		}
		if u, err := url.Parse(it.Str); err == nil && u.User != nil {
			c.errorf(v.Pos, path, "a URL of the environment holds a password, which would be printed: use user and password of the block with a variable each")
		}
	}
}

// items converts a list of blocks, which .conf may write as a map by name.
func (c *converter) items(o *option, path string, v *conf.Value) *yaml.Node {
	n := ySeq()
	add := func(p, name string, v *conf.Value) {
		b := newBranch()
		if v != nil {
			b = c.block(o.item(), v, p)
		}
		if name != "" {
			b.drop("name")
			b.keys = append([]string{"name"}, b.keys...)
			b.values["name"] = yString(name)
		}
		n.Content = append(n.Content, b.node())
	}
	switch v.Kind {
	case conf.Array:
		for i, it := range v.Items {
			p := fmt.Sprintf("%s[%d]", path, i)
			if it.Kind == conf.String {
				add(p, it.Str, nil)
			} else {
				add(p, "", it)
			}
		}
	case conf.Map:
		for _, e := range v.Entries {
			if !e.Variable || e.Value.Kind == conf.Map {
				add(join(path, e.Key), e.Key, e.Value)
			}
		}
	}
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// beside writes down what Load derives for a gwd from a hub's file (see
// shareWithHub), so that the result is a file of gwd's own.
func (c *converter) beside(root *branch) {
	cfg := c.l.cfg
	for _, path := range []string{"accounts", "monitor.listen", "monitor.host", "monitor.port", "profiling.port", "cluster.listen", "cluster.advertise"} {
		root.drop(path)
	}
	replace := func(path, s string) {
		if s != "" {
			root.set(path, yString(s))
		}
	}
	replace("server.name", cfg.ServerName)
	replace("lifecycle.pid_file", absolute(cfg.PidFile))
	replace("log.file", absolute(cfg.Log.File))
	root.set("cluster.host", yString(cfg.Cluster.Host))
	root.set("cluster.port", yInt(int64(cfg.Cluster.Port)))
	var routes *yaml.Node
	if b, ok := root.values["cluster"].(*branch); ok {
		routes, _ = b.values["routes"].(*yaml.Node)
	}
	if routes == nil {
		routes = ySeq()
	}
	if len(cfg.Cluster.Routes) > len(routes.Content) { // the hub itself
		u := *cfg.Cluster.Routes[0]
		u.User = nil
		routes.Content = append([]*yaml.Node{yString(u.String())}, routes.Content...)
	}
	routes.Style = 0
	root.set("cluster.routes", routes)
}
