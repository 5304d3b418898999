package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func loaded(t *testing.T, d Daemon, text string) *Config {
	t.Helper()
	c, _, err := Load(LoadOptions{Daemon: d, File: "x.conf", content: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is said to be live is a field of an option, and each option is known as one
// or the other.
func TestLiveFields(t *testing.T) {
	var fields []string
	for _, o := range rootScope().rows {
		if o.field != "" {
			fields = append(fields, o.field)
		}
	}
	known := func(f string) bool { return slices.ContainsFunc(fields, func(x string) bool { return within(x, f) }) }
	for _, f := range liveFields {
		if !known(f) {
			t.Errorf("%s is no option's field", f)
		}
	}
	for f := range knownNames {
		if !known(f) {
			t.Errorf("%s is no option's field", f)
		}
		if liveField(f) {
			t.Errorf("%s is live and has a name for its refusal", f)
		}
	}
}

// Each option is found when it alone differs.
func TestCompareFindsEachOption(t *testing.T) {
	for _, o := range rootScope().rows {
		field, _, _ := strings.Cut(o.field, "[")
		if field == "" || o.kind == kLater || o.kind == kNone {
			continue
		}
		a, b := new(Config), new(Config)
		for _, g := range pointersOn(reflect.TypeFor[Config](), field) {
			if g != field {
				touch(a, g)
				touch(b, g)
			}
		}
		if ch := Compare(a, b); len(ch.Options) != 0 {
			t.Fatalf("%v of nothing", ch.Options)
		}
		vary(fieldOf(reflect.ValueOf(b).Elem(), field))
		ch := Compare(a, b)
		if !slices.ContainsFunc(ch.Options, func(c ChangedOption) bool { return c.Field == field }) {
			t.Errorf("a change of %s is not found: %+v", field, ch.Options)
		}
		if err := ch.Refused(); (err == nil) == slices.ContainsFunc(ch.Options, func(c ChangedOption) bool { return !c.Live }) {
			t.Errorf("%s: %v for %+v", field, err, ch.Options)
		}
	}
}

// vary makes a zero value another one.
func vary(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"a": "b"}))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Struct:
		vary(v.Field(v.NumField() - 1))
	default:
		if v.CanInt() {
			v.SetInt(7)
		} else {
			v.SetUint(7)
		}
	}
}

func TestCompare(t *testing.T) {
	const leafs = "leafnodes { remotes: [{url: \"nats://u:secret@h:7422\"}] }\n"
	for _, c := range []struct {
		daemon            Daemon
		old, next         string
		changed, refusals string
	}{
		{Hubd, "port: 4222", "# the same\nport = 4222", "", ""},
		{Hubd, "max_payload: 1024", "max_payload: 2kb", "max_payload", ""},
		{Hubd, "port: -1", "port: 4333, server_name: b", "server_name port",
			"config reload not supported for ServerName: old=, new=b; config reload not supported for Port: old=-1, new=4333"},
		{Hubd, "max_sub_tokens: 2", "max_sub_tokens: 3", "max_sub_tokens", "config reload not supported for MaxSubTokens: old=2, new=3"},
		{Hubd, "authorization {user: a, password: b}", "authorization {user: a, password: c}", "authorization.pass", ""},
		{Hubd, "cluster {port: -1}", "cluster {port: -1, listen: \"127.0.0.1:-1\"}", "cluster.host", "config reload not supported for cluster host: old=0.0.0.0, new=127.0.0.1"},
		{Hubd, "cluster {port: -1}", "", "", "config reload not supported for Cluster: old=true, new=false"},
		{Hubd, "", leafs, "", ""},
		{Hubd, leafs, "leafnodes {port: -1}", "", "config reload not supported for LeafNode: field \"Port\": old=0, new=-1"},
		{Hubd, "", "leafnodes {port: -1}", "", "config reload not supported for LeafNode: field \"Port\": old=, new=-1"},
		{Leafd, "port: 4222", "port: 4222\n" + leafs, "", ""},
		{Hubd, "gateway {name: a, port: -1}\ncluster {name: a}", "gateway {name: b, port: 7222}\ncluster {name: b}", "", ""},
	} {
		ch := Compare(loaded(t, c.daemon, c.old), loaded(t, c.daemon, c.next))
		var names []string
		for _, o := range ch.Options {
			names = append(names, o.Name)
		}
		if got := strings.Join(names, " "); c.changed != "" && got != c.changed {
			t.Errorf("%q to %q changes %s, want %s", c.old, c.next, got, c.changed)
		}
		text := ""
		if err := ch.Refused(); err != nil {
			text = err.Error()
		}
		if c.refusals == "" && text != "" || !strings.Contains(text, c.refusals) {
			t.Errorf("%q to %q is refused with %q, want %q", c.old, c.next, text, c.refusals)
		}
		if strings.Contains(text, "secret") {
			t.Errorf("a secret in %q", text)
		}
	}
}
