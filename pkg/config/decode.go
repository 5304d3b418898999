package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// decoder checks one file's tree against the table and collects what it says.
type decoder struct {
	*report
	lang   lang
	daemon Daemon
	// dir is what paths in YAML are relative to; .conf leaves them to the
	// process's directory, as the reference does.
	dir string
	// lookup resolves {env: NAME}; readFile {file: path}.
	lookup   func(string) (string, bool)
	readFile func(string) ([]byte, error)
	// seen are the names that must be unique in the file, with what they name.
	seen map[string]bool
	// shared is set while gwd reads a hub's file: what belongs to later work
	// is the hub's affair and passed over.
	shared bool
}

// sink takes one option that was found.
type sink func(o *option, path string, e *conf.Entry)

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// first says that a name of a kind was not met before.
func (d *decoder) first(kind, name string) bool {
	if d.seen == nil {
		d.seen = map[string]bool{}
	}
	key := kind + " " + name
	old := d.seen[key]
	d.seen[key] = true
	return !old
}

// walk passes over a map and hands each option in it to put.
func (d *decoder) walk(s *scope, n *node, v *conf.Value, path string, put sink) {
	for _, e := range v.Entries {
		if d.full() {
			return
		}
		name, p := e.Key, join(path, e.Key)
		if d.lang == langConf {
			name = lower(name)
		}
		child := n.children[name]
		switch {
		case child == nil:
			if !e.Variable {
				d.unknown(s, n, e, path)
			}
		case !child.in.has(d.daemon):
			if other := d.elsewhere(s, path, e.Key); other != "" {
				d.errorf(e.Pos, nestedKey(path, p), "unknown field %q%s", e.Key, other)
				break
			}
			d.errorf(e.Pos, p, "is not an option of %s but of %s; remove it", d.daemon, child.in)
		case child.opt != nil && child.opt.kind != kBlock && (len(child.children) == 0 || e.Value.Kind != conf.Map):
			put(child.opt, p, e)
		case e.Value.Kind == conf.String && e.Value.Str == "inherit" && child.opt != nil && child.opt.inherit != nil:
			put(child.opt.inherit, p, &conf.Entry{Key: e.Key, Value: &conf.Value{Kind: conf.Bool, Bool: true, Pos: e.Value.Pos}, Pos: e.Pos})
		case e.Value.Kind == conf.Map || e.Value.Kind == conf.Null:
			if child.opt != nil && child.opt.kind == kBlock {
				put(child.opt, p, e)
			}
			d.walk(s, child, e.Value, p, put)
		case e.Value.Kind == conf.Bool && !e.Value.Bool && child.opt != nil && child.opt.kind == kBlock:
			// "tls: false" and the like: the block is not there.
		default:
			d.errorf(e.Value.Pos, p, "want a map, got %s", e.Value.Describe())
		}
	}
}

// lower folds ASCII only: option names have nothing else.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func (d *decoder) unknown(s *scope, n *node, e *conf.Entry, path string) {
	format := s.unknown
	if format == "" || n != s.tree(d.lang) {
		format = "unknown field %q"
	}
	msg := fmt.Sprintf(format, e.Key)
	if near := n.nearest(e.Key, d.daemon); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	} else {
		msg += d.elsewhere(s, path, e.Key)
	}
	d.errorf(e.Pos, nestedKey(path, join(path, e.Key)), "%s", msg)
}

// nestedKey leaves the path out where the message alone says it all.
func nestedKey(path, p string) string {
	if path == "" {
		return ""
	}
	return p
}

// elsewhere says how YAML spells the option that .conf knows by this name: one of
// the same block, else one that stands at the top there.
func (d *decoder) elsewhere(s *scope, path, name string) string {
	if d.lang == langConf {
		return ""
	}
	top := ""
	for _, o := range s.rows {
		key := o.key()
		if key == "" || key == name || !o.in.has(d.daemon) {
			continue
		}
		for p := range strings.FieldsSeq(o.conf) {
			dot := strings.LastIndexByte(p, '.')
			if !slices.Contains(strings.Split(p[dot+1:], "/"), lower(name)) {
				continue
			}
			if path != "" && strings.HasPrefix(key, path+".") {
				return fmt.Sprintf("; in this format it is %q", key)
			}
			if dot < 0 && top == "" {
				top = key
			}
		}
	}
	if top == "" {
		return ""
	}
	return fmt.Sprintf("; in this format it is %q", top)
}

// object decodes a map into target, a pointer to the scope's struct.
func (d *decoder) object(s *scope, v *conf.Value, path string, target any) {
	setDefaults := func(block string) {
		for _, o := range s.rows {
			if o.def != nil && blockOf(target, o.field) == block {
				setField(target, o.field, o.def)
			}
		}
	}
	setDefaults("")
	d.walk(s, s.tree(d.lang), v, path, func(o *option, p string, e *conf.Entry) {
		if d.special(o, p, e) {
			return
		}
		if o.kind == kBlock {
			if o.field != "" {
				f := fieldOf(reflect.ValueOf(target).Elem(), o.field)
				if f.Kind() == reflect.Pointer && f.IsNil() {
					f.Set(reflect.New(f.Type().Elem()))
					setDefaults(o.field)
				}
			}
			return
		}
		if o.kind == kList {
			d.list(o, p, e.Value, target)
			return
		}
		if val, ok := d.value(o, p, e.Value); ok && o.field != "" {
			setField(target, o.field, val)
		}
	})
}

// special deals with options that hold nothing: not supported yet, or without
// effect.
func (d *decoder) special(o *option, path string, e *conf.Entry) bool {
	switch o.kind {
	case kLater:
		if !d.shared && !turnedOff(e.Value) {
			d.errorf(e.Pos, path, "%s", later(o))
		}
	case kNone:
		if !d.shared {
			d.warnf(e.Pos, path, "has no effect: %s", o.text)
		}
	default:
		return false
	}
	return true
}

func later(o *option) string {
	if o.text == "" {
		return "not supported yet"
	}
	return "not supported yet: " + o.text
}

// turnedOff says that a value asks for the absence of something.
func turnedOff(v *conf.Value) bool {
	switch v.Kind {
	case conf.Null:
		return true
	case conf.Bool:
		return !v.Bool
	case conf.String:
		return v.Str == "" || v.Str == "disabled" || v.Str == "off"
	case conf.Array:
		return len(v.Items) == 0
	case conf.Map:
		on := v.Get("enabled")
		return on != nil && on.Kind == conf.Bool && !on.Bool
	}
	return false
}

// list decodes an array of maps, or a map of maps by name, and appends to the
// field.
func (d *decoder) list(o *option, path string, v *conf.Value, target any) {
	f := fieldOf(reflect.ValueOf(target).Elem(), o.field)
	add := func(p, name string, pos conf.Pos, v *conf.Value) {
		item := reflect.New(f.Type().Elem())
		before := len(d.errors)
		switch {
		case v != nil && v.Kind == conf.Map:
			d.object(o.item(), v, p, item.Interface())
		case v == nil && o.item().bare:
		default:
			d.errorf(pos, p, "want a map, got %s", describe(v))
			return
		}
		if name != "" {
			item.Elem().FieldByName("Name").SetString(name)
		}
		if o.item().check != nil && len(d.errors) == before {
			o.item().check(d, pos, p, item.Interface())
		}
		f.Set(reflect.Append(f, item.Elem()))
	}
	switch {
	case v.Kind == conf.Array:
		for i, it := range v.Items {
			p := fmt.Sprintf("%s[%d]", path, i)
			if it.Kind == conf.String && o.item().bare {
				add(p, it.Str, it.Pos, nil)
				continue
			}
			if o.item().byName && d.lang == langConf {
				d.errorf(it.Pos, p, "want a name, got %s", it.Describe())
				continue
			}
			add(p, "", it.Pos, it)
		}
	case v.Kind == conf.Map && o.item().byName && d.lang == langConf:
		for _, e := range v.Entries {
			if e.Variable && e.Value.Kind != conf.Map {
				continue
			}
			add(join(path, e.Key), e.Key, e.Value.Pos, e.Value)
		}
	case v.Kind == conf.Null:
	default:
		d.errorf(v.Pos, path, "want a list, got %s", v.Describe())
	}
}

func describe(v *conf.Value) string {
	if v == nil {
		return "nothing"
	}
	return v.Describe()
}

// path makes a file name of a YAML file relative to that file.
func (d *decoder) path(name string) string {
	if d.lang == langConf || name == "" || filepath.IsAbs(name) || d.dir == "" {
		return name
	}
	return filepath.Join(d.dir, name)
}

// expand puts the user's directory for a leading ~ and the environment's values
// for $NAME and ${NAME}. What is not set stays as it is written, so that the
// error about the file says it.
func (d *decoder) expand(name string) string {
	if d.lookup == nil {
		return name
	}
	if rest, ok := strings.CutPrefix(name, "~"); ok && (rest == "" || rest[0] == '/') {
		if home, ok := d.lookup("HOME"); ok {
			name = home + rest
		}
	}
	return os.Expand(name, func(variable string) string {
		if text, ok := d.lookup(variable); ok {
			return text
		}
		return "$" + variable
	})
}
