//go:build linux

package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/test/procs"
)

// estate is a hub, its gwd, and a leaf node, with an application at the hub and one
// at the leaf node.
type estate struct {
	hub, gwd, leaf procs.Ports
	hubProcess     *procs.Process
	sys            *nats.Conn // of the hub's system account
	app            *nats.Conn
}

const patience = 30 * time.Second

// startEstate builds the daemons and starts them.
func startEstate(t *testing.T) *estate {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "banyan-compat-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	bins := procs.NewBinaries(dir)
	start := func(name, conf string) (procs.Ports, *procs.Process) {
		t.Helper()
		exe, err := bins.Build(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := procs.Start(procs.Spec{Exe: exe, Dir: t.TempDir(), Config: "http: 127.0.0.1:-1\nports_file_dir: \"{{dir}}\"\n" + conf})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			p.Kill()
			if t.Failed() {
				t.Logf("%s:\n%s", name, p.Log.Tail(40))
			}
		})
		ports, err := p.Ports(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return ports, p
	}
	e := &estate{}
	e.hub, e.hubProcess = start("hubd", `
listen: 127.0.0.1:-1
server_name: hub
cluster { name: c, listen: "127.0.0.1:-1" }
leafnodes { listen: "127.0.0.1:-1" }
lame_duck_duration: "30s", lame_duck_grace_period: "100ms"
accounts {
  SYS { users [{user: sys, password: p}] }
  APP { users [{user: app, password: p}], imports [{service {account: SYS, subject: "$SYS.DEBUG.SUBSCRIBERS"}}] }
}
no_auth_user: app
system_account: SYS
`)
	e.gwd, _ = start("gwd", fmt.Sprintf(`
border {}
server_name: gw
cluster { name: c, listen: "127.0.0.1:-1", routes: ["nats://%s"] }
gateway { name: c, listen: "127.0.0.1:-1" }
system_account: SYS
`, procs.Addr(e.hub.Cluster[0])))
	e.leaf, _ = start("leafd", fmt.Sprintf("listen: 127.0.0.1:-1\nleafnodes { remotes [ { url: \"nats://%s\" } ] }\n", procs.Addr(e.hub.LeafNodes[0])))
	e.sys = connect(t, e.hub, nats.UserInfo("sys", "p"))
	e.app = connect(t, e.hub, nats.UserInfo("app", "p"))
	for _, nc := range []*nats.Conn{e.app, connect(t, e.leaf)} {
		if _, err := nc.SubscribeSync("orders.>"); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "route and leaf link", func() bool {
		return number(t, e.gwd, "/varz", "routes") > 0 && number(t, e.leaf, "/varz", "leafnodes") > 0
	})
	return e
}

func connect(t *testing.T, p procs.Ports, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(p.Client(), append(opts, nats.Name("app"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

func get(t *testing.T, p procs.Ports, path string) (int, []byte) {
	t.Helper()
	resp, err := http.Get(p.HTTP() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func number(t *testing.T, p procs.Ports, path, key string) float64 {
	t.Helper()
	_, body := get(t, p, path)
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	n, _ := m[key].(float64)
	return n
}

// paths of all keys in a value; list elements and the values of the maps named have
// no step of their own.
func paths(v any, prefix string, maps []string, into map[string]bool) {
	switch x := v.(type) {
	case map[string]any:
		for k, sub := range x {
			p := strings.TrimPrefix(prefix+"."+k, ".")
			if slices.Contains(maps, prefix) {
				p = prefix
			}
			into[p] = true
			paths(sub, p, maps, into)
		}
	case []any:
		for _, sub := range x {
			paths(sub, prefix, maps, into)
		}
	}
}

// byName are the maps whose keys are data.
var byName = []string{"outbound_gateways", "inbound_gateways", "http_req_stats", "metadata"}

// declared are the paths that a type can have; "*" stands for all below.
func declared(typ reflect.Type, prefix string, into map[string]bool, depth int) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
		typ = typ.Elem()
	}
	if typ.Kind() == reflect.Interface {
		into[prefix+".*"] = true
	}
	if typ.Kind() != reflect.Struct || depth > 6 || typ == reflect.TypeFor[time.Time]() {
		return
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			declared(f.Type, prefix, into, depth+1)
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		p := strings.TrimPrefix(prefix+"."+name, ".")
		into[p] = true
		declared(f.Type, p, into, depth+1)
	}
}

var shapes = map[string]reflect.Type{
	"monitor.Varz": reflect.TypeFor[monitor.Varz](), "monitor.Connz": reflect.TypeFor[monitor.Connz](), "monitor.Routez": reflect.TypeFor[monitor.Routez](),
	"monitor.Gatewayz": reflect.TypeFor[monitor.Gatewayz](), "monitor.Leafz": reflect.TypeFor[monitor.Leafz](), "monitor.Subsz": reflect.TypeFor[monitor.Subsz](),
	"monitor.Accountz": reflect.TypeFor[monitor.Accountz](), "monitor.AccountStatz": reflect.TypeFor[monitor.AccountStatz](), "monitor.Jsz": reflect.TypeFor[monitor.Jsz](),
	"monitor.Healthz": reflect.TypeFor[monitor.Healthz](),
}

func known(fields map[string]bool, path string) bool {
	for p := path; p != ""; p = p[:max(strings.LastIndexByte(p, '.'), 0)] {
		if fields[p+".*"] {
			return true
		}
	}
	return fields[path]
}

// TestAgainstRunningDaemons holds fields.txt and system.txt against what a hub, a gwd
// and a leaf node say.
func TestAgainstRunningDaemons(t *testing.T) {
	e := startEstate(t)
	defer http.DefaultClient.CloseIdleConnections()
	t.Run("fields", e.fields)
	t.Run("system", e.system)
	t.Run("end", e.end)
}

func (e *estate) fields(t *testing.T) {
	all := map[string]procs.Ports{"hubd": e.hub, "gwd": e.gwd, "leafd": e.leaf}
	asked := func(r Row) []string {
		if r.Sample == "all" {
			return []string{"hubd", "gwd", "leafd"}
		}
		return strings.Fields(r.Sample)
	}
	for _, table := range tables(t, "fields.txt") {
		if table.Title == "Other endpoints" {
			for _, row := range table.Rows {
				for _, d := range asked(row) {
					code, body := get(t, all[d], row.Names[0])
					if code != http.StatusOK && code != http.StatusNotFound || len(body) == 0 || strings.HasPrefix(string(body), "404 page") {
						t.Errorf("%s at %s: %d %.60q", row.Names[0], d, code, body)
					}
				}
			}
			continue
		}
		fields := map[string]bool{}
		declared(shapes[table.Around], "", fields, 0)
		if len(fields) == 0 {
			t.Fatalf("%s: no type %s", table.Title, table.Around)
		}
		seen := map[string]map[string]bool{}
		for d, p := range all {
			path, _, _ := strings.Cut(table.Title, " ")
			_, body := get(t, p, strings.ReplaceAll(path, "$G", map[string]string{"hubd": "APP", "leafd": "$G", "gwd": "$G"}[d]))
			var v any
			if strings.HasPrefix(string(body), "{") {
				if err := json.Unmarshal(body, &v); err != nil {
					t.Fatalf("%s at %s: %v", path, d, err)
				}
			}
			seen[d] = map[string]bool{}
			paths(v, "", byName, seen[d])
		}
		for _, row := range table.Rows {
			for _, name := range row.Names {
				where := fmt.Sprintf("fields.txt:%d: %s %s (%s)", row.Line, table.Title, name, row.State)
				switch row.State {
				case "works":
					for _, d := range asked(row) {
						if !seen[d][name] {
							t.Errorf("%s: not in the answer of %s", where, d)
						}
					}
				case "maybe":
					if !known(fields, name) {
						t.Errorf("%s: the answer cannot have it", where)
					}
				case "planned", "none":
					if seen["hubd"][name] {
						t.Errorf("%s: it is there", where)
					}
				}
			}
		}
	}
}

// system asks each service and watches for each event.
func (e *estate) system(t *testing.T) {
	ids := map[string]string{}
	for d, p := range map[string]procs.Ports{"hubd": e.hub, "gwd": e.gwd} {
		_, body := get(t, p, "/varz")
		var v struct {
			ID string `json:"server_id"`
		}
		if err := json.Unmarshal(body, &v); err != nil {
			t.Fatal(err)
		}
		ids[d] = v.ID
	}
	ask := func(nc *nats.Conn, subject, body string) (map[string]any, error) {
		m, err := nc.Request(subject, []byte(body), 5*time.Second)
		if err != nil {
			return nil, err
		}
		var v map[string]any
		err = json.Unmarshal(m.Data, &v)
		return v, err
	}
	bodies := map[string]string{"ACCOUNTZ": "{}", "PROFILEZ": `{"name":"goroutine"}`, "KICK": `{"cid":999999}`, "LDM": `{"cid":999999}`}
	for _, table := range tables(t, "system.txt") {
		for _, row := range table.Rows {
			for _, name := range row.Names {
				where := fmt.Sprintf("system.txt:%d: %s", row.Line, name)
				if row.State != "works" {
					continue
				}
				switch {
				case strings.Contains(table.Title, "SERVER.PING.<Z>"):
					for _, d := range strings.Fields(row.Sample) {
						v, err := ask(e.sys, "$SYS.REQ.SERVER."+ids[d]+"."+name, bodies[name])
						if err != nil || v["error"] != nil && name != "RAFTZ" {
							t.Errorf("%s: %s says %v, %v", where, d, v, err)
						}
					}
					if v, err := ask(e.sys, "$SYS.REQ.SERVER.PING."+name, bodies[name]); err != nil {
						t.Errorf("%s: PING: %v, %v", where, v, err)
					}
				case strings.Contains(table.Title, "SERVER.<id>.<Z>"):
					if v, err := ask(e.sys, "$SYS.REQ.SERVER."+ids["hubd"]+"."+name, bodies[name]); err != nil || v["server"] == nil {
						t.Errorf("%s: %v, %v", where, v, err)
					}
				case strings.Contains(table.Title, "ACCOUNT.<acc>"):
					if v, err := ask(e.sys, "$SYS.REQ.ACCOUNT.APP."+name, ""); err != nil {
						t.Errorf("%s: %v, %v", where, v, err)
					}
				case table.Title == "Other requests" && name == "$SYS.DEBUG.SUBSCRIBERS":
					m, err := e.app.Request(name, []byte("orders.>"), 5*time.Second)
					if err != nil || string(m.Data) == "" || string(m.Data) == "0" {
						t.Errorf("%s: %v, %v", where, m, err)
					}
				case table.Title == "Other requests":
					nc := e.app
					if name == "$SYS.REQ.SERVER.PING" {
						nc = e.sys
					}
					if v, err := ask(nc, name, ""); err != nil || v["server"] == nil {
						t.Errorf("%s: %v, %v", where, v, err)
					}
				}
			}
		}
	}
}

// end watches for the events while clients come, go and are refused, and while the hub
// stops gently.
func (e *estate) end(t *testing.T) {
	seen := map[string]bool{}
	all, err := e.sys.SubscribeSync("$SYS.>")
	if err != nil {
		t.Fatal(err)
	}
	own, err := e.app.SubscribeSync("$SYS.ACCOUNT.CLIENT.AUTH.ERR")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.app.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := e.sys.Flush(); err != nil {
		t.Fatal(err)
	}
	connect(t, e.hub, nats.UserInfo("app", "p")).Close()
	if nc, err := nats.Connect(e.hub.Client(), nats.UserInfo("app", "wrong")); err == nil {
		nc.Close()
		t.Fatal("a wrong password is accepted")
	}
	_ = own
	note := func(m *nats.Msg) {
		tokens := strings.Split(m.Subject, ".")
		for i, tok := range tokens {
			switch {
			case len(tok) == 56:
				tokens[i] = "<id>"
			case tok == "APP" || tok == "SYS":
				tokens[i] = "<acc>"
			}
		}
		seen[strings.Join(tokens, ".")] = true
	}
	drain := func(until func() bool) {
		for end := time.Now().Add(patience); !until() && time.Now().Before(end); {
			m, err := all.NextMsg(time.Second)
			if err == nil {
				note(m)
			} else if e.sys.IsClosed() || e.sys.IsReconnecting() {
				return
			}
		}
	}
	drain(func() bool { return seen["$SYS.SERVER.<id>.STATSZ"] && seen["$SYS.SERVER.<id>.CLIENT.AUTH.ERR"] })
	if err := e.hubProcess.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	drain(func() bool { return seen["$SYS.SERVER.<id>.SHUTDOWN"] })
	for _, table := range tables(t, "system.txt") {
		if table.Title != "Events" {
			continue
		}
		for _, row := range table.Rows {
			for _, name := range row.Names {
				if row.State == "works" && !seen[name] && row.Remark == "" {
					t.Errorf("system.txt:%d: %s was not seen; %v were", row.Line, name, seen)
				}
			}
		}
	}
}
