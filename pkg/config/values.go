package config

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config/conf"
)

// hostPort is the value of kListen.
type hostPort struct {
	host string
	// hasHost is false for a bare port, which leaves the host as it is.
	hasHost bool
	port    int
}

// value reads the value of an option by its kind. The second result is false
// when an error was reported.
func (d *decoder) value(o *option, path string, v *conf.Value) (any, bool) {
	want := func(what string) (any, bool) {
		d.errorf(v.Pos, path, "want %s, got %s%s", what, v.Describe(), d.hint(o, v))
		return nil, false
	}
	switch o.kind {
	case kString, kPath, kUserPath:
		if v.Kind != conf.String {
			return want("string")
		}
		switch o.kind {
		case kPath:
			return d.path(v.Str), true
		case kUserPath:
			return d.path(d.expand(v.Str)), true
		}
		return v.Str, true
	case kSecret:
		return d.secret(path, v)
	case kBool:
		if v.Kind != conf.Bool {
			return want("true or false")
		}
		return v.Bool, true
	case kInteger:
		if v.Kind != conf.Integer {
			return want("integer")
		}
		if v.Int != int64(int32(v.Int)) {
			d.errorf(v.Pos, path, "%d is out of range", v.Int)
			return nil, false
		}
		return int(v.Int), true
	case kSize:
		return d.size(o, path, v)
	case kDuration, kStrictDuration, kSeconds:
		return d.duration(o, path, v)
	case kListen:
		return d.listen(path, v)
	case kLevel, kWord:
		if v.Kind != conf.String || !slices.Contains(o.words, v.Str) {
			return want("one of " + strings.Join(o.words, ", "))
		}
		return v.Str, true
	case kStrings:
		return d.strings(path, v)
	case kURLs:
		return d.urls(o.text, path, v)
	case kCustom:
		return o.read(d, path, v)
	}
	panic(fmt.Sprintf("config: option %q has no value", o.key()))
}

// hint adds what to do about the most common mistakes.
func (d *decoder) hint(o *option, v *conf.Value) string {
	switch {
	case d.lang == langYAML && (o.kind == kString || o.kind == kPath) && v.Kind != conf.Map && v.Kind != conf.Array && v.Kind != conf.Null:
		return "; put it in quotes"
	case d.lang == langConf && v.Kind == conf.String && (o.kind == kInteger || o.kind == kBool):
		return "; remove the quotes if there are any"
	}
	return ""
}

// secret is a string, in YAML also {file: path} or {env: NAME}.
func (d *decoder) secret(path string, v *conf.Value) (any, bool) {
	if v.Kind == conf.String {
		d.holdsLiteral(v, v.Str)
		return Secret(v.Str), true
	}
	if d.lang == langConf || v.Kind != conf.Map || len(v.Entries) != 1 || v.Entries[0].Value.Kind != conf.String {
		kind := v.Kind.String() // not the value: it may be the secret
		hint := ""
		if v.Kind != conf.Map && v.Kind != conf.Array {
			hint = "; put it in quotes"
		}
		d.errorf(v.Pos, path, "want string%s, got %s%s", map[lang]string{langYAML: ", {file: path} or {env: NAME}"}[d.lang], kind, hint)
		return nil, false
	}
	from, name := v.Entries[0].Key, v.Entries[0].Value.Str
	switch from {
	case "env":
		text, ok := d.lookup(name)
		if !ok {
			d.errorf(v.Pos, path, "environment variable %s is not set", name)
			return nil, false
		}
		return Secret(strings.TrimRight(text, "\r\n")), true
	case "file":
		text, err := d.readFile(d.path(name))
		if err != nil {
			d.errorf(v.Pos, path, "%v", err)
			return nil, false
		}
		d.holds(d.path(name), "a secret")
		return Secret(strings.TrimRight(string(text), "\r\n")), true
	}
	d.errorf(v.Entries[0].Pos, path, "unknown field %q; want file or env", from)
	return nil, false
}

func (d *decoder) size(o *option, path string, v *conf.Value) (any, bool) {
	if v.Kind == conf.Integer {
		return v.Int, true
	}
	if v.Kind == conf.String && d.lang == langYAML {
		n, ok, err := conf.Size(v.Str)
		if err != nil {
			d.errorf(v.Pos, path, "%v", err)
			return nil, false
		}
		if ok {
			return n, true
		}
	}
	d.errorf(v.Pos, path, "want a size such as 1048576 or 1MiB, got %s", v.Describe())
	return nil, false
}

func (d *decoder) duration(o *option, path string, v *conf.Value) (any, bool) {
	switch {
	case v.Kind == conf.String:
		t, err := time.ParseDuration(v.Str)
		if err != nil {
			d.errorf(v.Pos, path, "want a duration such as 250ms, 30s or 1h30m, got %q", v.Str)
			return nil, false
		}
		return t, true
	case d.lang == langYAML || o.kind == kStrictDuration:
	case v.Kind == conf.Integer && v.Int <= math.MaxInt64/int64(time.Second) && v.Int >= math.MinInt64/int64(time.Second):
		if o.kind == kDuration {
			name := path[strings.LastIndexByte(path, '.')+1:]
			d.warnf(v.Pos, path, "invalid use of field %q: %s should be converted to a duration", name, name)
		}
		return time.Duration(v.Int) * time.Second, true
	case v.Kind == conf.Float && math.Abs(v.Float) < float64(math.MaxInt64/int64(time.Second)) && o.kind == kSeconds:
		return time.Duration(v.Float * float64(time.Second)), true
	}
	d.errorf(v.Pos, path, "want a duration such as \"30s\", got %s", v.Describe())
	return nil, false
}

func (d *decoder) listen(path string, v *conf.Value) (any, bool) {
	switch v.Kind {
	case conf.Integer:
		if port, ok := d.port(path, v.Pos, v.Int); ok {
			return hostPort{port: port}, true
		}
		return nil, false
	case conf.String:
		if n, err := strconv.Atoi(v.Str); err == nil && d.lang == langYAML {
			if port, ok := d.port(path, v.Pos, int64(n)); ok {
				return hostPort{port: port}, true
			}
			return nil, false
		}
		host, text, err := net.SplitHostPort(v.Str)
		if err != nil {
			d.errorf(v.Pos, path, "could not parse address string %q: want host:port or a port", redactURL(v.Str))
			return nil, false
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			d.errorf(v.Pos, path, "could not parse port %q", text)
			return nil, false
		}
		if host == "" {
			host = "0.0.0.0"
		}
		if port, ok := d.port(path, v.Pos, int64(n)); ok {
			return hostPort{host, true, port}, true
		}
		return nil, false
	}
	d.errorf(v.Pos, path, "want host:port or a port, got %s", v.Describe())
	return nil, false
}

func (d *decoder) port(path string, pos conf.Pos, n int64) (int, bool) {
	if n < -1 || n > 65535 {
		d.errorf(pos, path, "port %d is out of range: want 1 to 65535, or -1 for one that the kernel chooses", n)
		return 0, false
	}
	return int(n), true
}

func (d *decoder) strings(path string, v *conf.Value) (any, bool) {
	if v.Kind == conf.String {
		return []string{v.Str}, true
	}
	if v.Kind != conf.Array {
		d.errorf(v.Pos, path, "want a string or a list of strings, got %s", v.Describe())
		return nil, false
	}
	list := make([]string, 0, len(v.Items))
	ok := true
	for i, it := range v.Items {
		if it.Kind != conf.String {
			d.errorf(it.Pos, fmt.Sprintf("%s[%d]", path, i), "want string, got %s", it.Describe())
			ok = false
			continue
		}
		list = append(list, it.Str)
	}
	return list, ok
}

// urls reads a list of URLs; kind is "route", "gateway" or "leafnode".
func (d *decoder) urls(kind, path string, v *conf.Value) (any, bool) {
	read, ok := d.strings(path, v)
	if !ok {
		return nil, false
	}
	texts := read.([]string)
	list := make([]*url.URL, 0, len(texts))
	seen := map[string]bool{}
	for i, text := range texts {
		pos, p := v.Pos, path
		if v.Kind == conf.Array {
			pos, p = v.Items[i].Pos, fmt.Sprintf("%s[%d]", path, i)
		}
		u, err := parseURL(kind, text)
		if err != nil {
			d.errorf(pos, p, "%v", err)
			ok = false
			continue
		}
		if strings.HasPrefix(u.Scheme, "ws") && !strings.Contains(text, u.Host) {
			d.warnf(pos, p, "%s has no port and is dialed at that of its scheme; nats-server would take 7422", u.Redacted())
		}
		if p, has := u.User.Password(); has {
			d.holdsLiteral(v, p)
		}
		if seen[u.String()] {
			d.warnf(pos, p, "duplicate %s entry %s is dropped", kind, u.Redacted())
			continue
		}
		seen[u.String()] = true
		list = append(list, u)
	}
	return list, ok
}

// urlSchemes are what URLs may begin with, and the port they get without one.
var urlSchemes = map[string]struct {
	port    string
	schemes []string
}{
	"route":    {"6222", []string{"nats", "nats-route", "tls"}},
	"gateway":  {"7222", []string{"nats", "nats-gateway", "tls"}},
	"leafnode": {"7422", []string{"nats", "nats-leaf", "leaf", "leafnode", "tls", "ws", "wss"}},
}

func parseURL(kind, text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Host == "" || u.Hostname() == "" {
		if cut := strings.LastIndexByte(text, '@'); cut >= 0 { // may hold a password
			text = redacted + text[cut:]
		}
		return nil, fmt.Errorf("error parsing %s url [%q]: want scheme://host:port", kind, text)
	}
	rule := urlSchemes[kind]
	if !slices.Contains(rule.schemes, u.Scheme) {
		return nil, fmt.Errorf("error parsing %s url [%q]: scheme %q is none of %s", kind, u.Redacted(), u.Scheme, strings.Join(rule.schemes, ", "))
	}
	if u.Port() == "" {
		port := rule.port
		switch u.Scheme {
		case "ws":
			port = "80"
		case "wss":
			port = "443"
		}
		u.Host = net.JoinHostPort(u.Hostname(), port)
	} else if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
		return nil, fmt.Errorf("error parsing %s url [%q]: port %s is out of range: want 1 to 65535", kind, u.Redacted(), u.Port())
	}
	return u, nil
}

// text turns what an environment variable or a flag says into a value of the
// kind that the option wants, so that it is read as if it stood in YAML.
func text(o *option, s string, pos conf.Pos) *conf.Value {
	v := &conf.Value{Kind: conf.String, Str: s, Pos: pos}
	switch o.kind {
	case kInteger, kCustom:
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			v.Kind, v.Int = conf.Integer, n
			return v
		}
		if o.kind == kInteger {
			return v
		}
		if strings.Contains(s, ",") {
			return text(&option{kind: kStrings}, s, pos)
		}
		fallthrough
	case kBool:
		switch strings.ToLower(s) {
		case "true", "yes", "on", "1", "t":
			v.Kind, v.Bool = conf.Bool, true
		case "false", "no", "off", "0", "f":
			v.Kind = conf.Bool
		}
	case kStrings, kURLs:
		v.Kind = conf.Array
		for _, part := range strings.Split(s, ",") {
			if part = strings.TrimSpace(part); part != "" {
				v.Items = append(v.Items, &conf.Value{Kind: conf.String, Str: part, Pos: pos})
			}
		}
	}
	return v
}
