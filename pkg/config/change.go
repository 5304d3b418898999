package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Change is the difference between the settings in force and those that are to
// take their place.
type Change struct {
	Old, New *Config
	// Options that differ, in the order of the table.
	Options []ChangedOption
}

// ChangedOption is one setting, or one list of blocks, that differs.
type ChangedOption struct {
	// Name is the one in .conf ("max_payload", "cluster.pool_size"), where it has one
	// there, else the path in YAML.
	Name string
	// Field is the path below [Config].
	Field string
	// Old and New as text; secrets are not shown.
	Old, New string
	// Live says that a reload applies it.
	Live bool
}

// Compare finds what differs between the settings of one daemon. What files hold
// that the settings only name, certificates for one, is not looked at.
func Compare(old, next *Config) *Change {
	c := &Change{Old: old, New: next}
	seen := map[string]bool{}
	for _, o := range rootScope().rows {
		field, _, _ := strings.Cut(o.field, "[")
		if field == "" || seen[field] || o.kind == kLater || o.kind == kNone {
			continue
		}
		seen[field] = true
		a, b := valueAt(old, field), valueAt(next, field)
		if o.kind == kBlock {
			a, b = presence(a), presence(b)
		}
		if sameValue(a, b) {
			continue
		}
		c.Options = append(c.Options, ChangedOption{
			Name: shownName(o), Field: field, Old: display(a), New: display(b), Live: c.live(field),
		})
	}
	return c
}

// Any tells whether a setting at or below one of these fields differs.
func (c *Change) Any(fields ...string) bool {
	return slices.ContainsFunc(c.Options, func(o ChangedOption) bool {
		return slices.ContainsFunc(fields, func(f string) bool { return within(o.Field, f) })
	})
}

// Refused is nil if a reload can apply all that differs; else it names all that
// needs a restart.
func (c *Change) Refused() error {
	if (c.Old.Operator == nil) != (c.New.Operator == nil) {
		return errors.New("config reload does not support moving to or from an account resolver")
	}
	var errs []string
	for _, o := range c.Options {
		if !o.Live {
			errs = append(errs, fmt.Sprintf("config reload not supported for %s: old=%s, new=%s", refusalName(o.Field), o.Old, o.New))
		}
	}
	if errs == nil {
		return nil
	}
	return errors.New(strings.Join(errs, "; "))
}

// liveFields are what a reload applies: a field stands for all below it. What is not
// listed needs a restart.
var liveFields = []string{
	"Tags", "Metadata", "Client.Advertise", "Client.TLS",
	"Limits.MaxConnections", "Limits.MaxPayload", "Limits.MaxPending", "Limits.MaxControlLine", "Limits.MaxSubscriptions",
	"Limits.PingInterval", "Limits.PingMax", "Limits.WriteDeadline",
	"Auth.User", "Auth.Password", "Auth.Token", "Auth.Users", "Auth.Timeout", "Auth.DefaultPermissions", "Auth.NoAuthUser",
	"Auth.ProxyRequired", "Auth.TrustedProxies", "Auth.FailedLogin", "Auth.Callout", "Accounts", "Mappings",
	"Operator.JWTs", "Operator.TrustedKeys", "Operator.Preload", "Operator.PinnedAccounts", "Operator.DefaultSentinel", "Operator.ResolverTLS",
	"Cluster.Name", "Cluster.Advertise", "Cluster.NoAdvertise", "Cluster.Routes", "Cluster.Auth", "Cluster.TLS", "Cluster.Permissions",
	"Cluster.PoolSize", "Cluster.Accounts", "Cluster.Compression", "Cluster.PingInterval", "Cluster.PingMax", "Cluster.ConnectRetries",
	"Cluster.ConnectBackoff", "Cluster.WriteDeadline", "Cluster.WriteTimeout",
	"Gateway.Auth", "Gateway.TLS", "Gateway.Remotes", "Gateway.RejectUnknown", "Gateway.ConnectRetries", "Gateway.ConnectBackoff",
	"Gateway.WriteDeadline", "Gateway.WriteTimeout",
	"LeafNodes.Advertise", "LeafNodes.NoAdvertise", "LeafNodes.Auth", "LeafNodes.TLS", "LeafNodes.Remotes", "LeafNodes.Reconnect",
	"LeafNodes.ReconnectSpread", "LeafNodes.ReconnectMax", "LeafNodes.DialTimeout", "LeafNodes.HandshakeTimeout", "LeafNodes.MinVersion",
	"LeafNodes.Compression", "LeafNodes.Isolate", "LeafNodes.PingInterval", "LeafNodes.PingMax", "LeafNodes.WriteDeadline", "LeafNodes.WriteTimeout",
	"WebSocket.TLS", "WebSocket.Advertise", "WebSocket.SameOrigin", "WebSocket.AllowedOrigins", "WebSocket.Compression", "WebSocket.HandshakeTimeout",
	"WebSocket.Auth", "WebSocket.NoAuthUser", "WebSocket.JWTCookie", "WebSocket.UserCookie", "WebSocket.PasswordCookie", "WebSocket.TokenCookie",
	"WebSocket.Headers", "WebSocket.PingInterval", "WebSocket.ProxyProtocol", "WebSocket.TrustedProxies",
	"Log", "LameDuck", "ConnectErrorReports", "ReconnectErrorReports", "PidFile", "PortsFileDir", "ProfBlockRate", "Reload",
}

// live tells whether a reload applies a change of a field.
func (c *Change) live(field string) bool {
	if c.New.Daemon == Hubd && within(field, "Gateway") {
		return true // which gwd serves
	}
	if within(field, "LeafNodes") && (c.Old.LeafNodes == nil || c.New.LeafNodes == nil) {
		// Links that are dialed come and go; a listener does not.
		listens := func(n *LeafNodes) bool { return n != nil && n.Enabled() }
		return field == "LeafNodes" && !listens(c.Old.LeafNodes) && !listens(c.New.LeafNodes) ||
			field != "LeafNodes" && field != "LeafNodes.Port" || listens(c.Old.LeafNodes) == listens(c.New.LeafNodes)
	}
	return liveField(field)
}

func liveField(field string) bool {
	return slices.ContainsFunc(liveFields, func(f string) bool { return within(field, f) })
}

// within tells whether a field is f or below it.
func within(field, f string) bool {
	return strings.HasPrefix(field, f) && (len(field) == len(f) || field[len(f)] == '.')
}

// knownNames are what tools know settings as that can't be reloaded.
var knownNames = map[string]string{
	"Client.Host": "Host", "Client.Port": "Port", "Client.AllowNonTLS": "AllowNonTLS", "Client.ProxyProtocol": "ProxyProtocol",
	"Client.NoHeaders": "NoHeaderSupport", "Client.MaxClosed": "MaxClosedClients", "Limits.MaxSubscriptionTokens": "MaxSubTokens",
	"Limits.WriteTimeout": "WriteTimeout", "HTTP.Host": "HTTPHost", "HTTP.Port": "HTTPPort", "HTTP.BasePath": "HTTPBasePath",
	"Cluster.Host": "cluster host", "Cluster.Port": "cluster port", "NoSystemAccount": "SystemAccount",
}

func refusalName(field string) string {
	if n := knownNames[field]; n != "" {
		return n
	}
	block, rest, below := strings.Cut(field, ".")
	if block == "LeafNodes" {
		block = "LeafNode"
	}
	switch {
	case !below:
		return block
	case block == "Client" || block == "Operator":
		return rest
	}
	return fmt.Sprintf("%s: field %q", block, rest)
}

func shownName(o *option) string {
	if o.conf == "" {
		return o.key()
	}
	first, _, _ := strings.Cut(o.conf, " ")
	segments := strings.Split(first, ".")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, "/")
	}
	return strings.Join(segments, ".")
}

// valueAt is the value of a field; invalid behind a nil pointer.
func valueAt(c *Config, path string) reflect.Value {
	v := reflect.ValueOf(c)
	for name := range strings.SplitSeq(path, ".") {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}
			}
			v = v.Elem()
		}
		v = v.FieldByName(name)
	}
	return v
}

// presence is whether a block is there.
func presence(v reflect.Value) reflect.Value {
	return reflect.ValueOf(v.IsValid() && (v.Kind() != reflect.Pointer || !v.IsNil()))
}

// sameValue compares what is behind pointers; nil and empty lists are the same. An
// absent block is the same as one that holds nothing: that it is absent is a
// difference of its own.
func sameValue(a, b reflect.Value) bool {
	if !a.IsValid() || !b.IsValid() {
		return empty(a) && empty(b)
	}
	if a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return sameValue(a.Elem(), b.Elem())
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !sameValue(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Struct:
		for i := range a.NumField() {
			// What is not exported is how something is done, not what is asked for; but
			// for the types of other packages, which are compared whole.
			if f := a.Type().Field(i); f.IsExported() {
				if !sameValue(a.Field(i), b.Field(i)) {
					return false
				}
			} else if !strings.HasPrefix(a.Type().PkgPath(), "github.com/banyanmq/") && !reflect.DeepEqual(a.Interface(), b.Interface()) {
				return false
			}
		}
		return true
	case reflect.Func:
		return a.IsNil() == b.IsNil()
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func empty(v reflect.Value) bool {
	return !v.IsValid() || v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
}

// Same tells whether two blocks or lists of settings ask for the same.
func Same[T any](a, b T) bool { return sameValue(reflect.ValueOf(&a), reflect.ValueOf(&b)) }

// display is a value as text, without secrets.
func display(v reflect.Value) string {
	if !v.IsValid() {
		return ""
	}
	if v.Kind() == reflect.Pointer && !v.IsNil() && v.Type() != reflect.TypeFor[*url.URL]() {
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case []*url.URL:
		var hosts []string
		for _, u := range x {
			if u == nil {
				continue
			}
			hosts = append(hosts, u.Scheme+"://"+u.Host)
		}
		return fmt.Sprint(hosts)
	default:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
			return fmt.Sprintf("[%d]", v.Len())
		}
		return fmt.Sprint(x)
	}
}

// reloads tells whether a reload applies a row of the table; list is the field of the
// list that it is in.
func reloads(o *option, d Daemon, list string) bool {
	field := list
	if field == "" {
		field, _, _ = strings.Cut(o.field, "[")
	}
	switch {
	case o.kind == kLevel:
		return true
	case field == "":
		return false
	}
	c := Change{Old: &Config{Daemon: d, LeafNodes: &LeafNodes{}}, New: &Config{Daemon: d, LeafNodes: &LeafNodes{}}}
	return c.live(field)
}
