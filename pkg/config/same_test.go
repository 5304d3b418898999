package config

import (
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// TestOneTreeFromAllSources: YAML, JSON, .conf, the environment and flags give
// the same settings.
func TestOneTreeFromAllSources(t *testing.T) {
	sources := map[string]LoadOptions{
		"yaml": {File: "a.yaml", content: []byte(`
server: {name: Hub-1}
clients:
  listen: 127.0.0.1:4300
  limits: {max_payload: 2MiB, max_subscriptions: 7}
  ping: {interval: 20s, max: 3}
cluster: {name: sfo, listen: "127.0.0.1:6300", routes: ["nats://a:1", "nats://b:2"], pool_size: 5, compression: s2_fast, connect: {retries: 4, backoff: true}}
auth: {user: u, password: p, timeout: 3s, system_account: Sys.Acc}
monitor: {listen: "127.0.0.1:8300"}
log: {debug: true, time: false, file: /tmp/x.log}
lifecycle: {drain: 50s, drain_grace: 2s}
`)},
		"conf": {File: "a.conf", content: []byte(`
server_name: Hub-1
listen: "127.0.0.1:4300"
max_payload: 2mb, max_subs: 7
ping_interval: "20s"; ping_max: 3
cluster { name: sfo, port: 6300, host: 127.0.0.1, routes = [
  nats://a:1
  nats://b:2
  ], pool_size: 5, compression: on, connect_retries: 4, connect_backoff: yes }
AUTHORIZATION { username: u, pass: p, timeout: 3 }
system_account: Sys.Acc
http: "127.0.0.1:8300"
debug: on, logtime: off, log_file: "/tmp/x.log"
lame_duck_duration: "50s"
lame_duck_grace_period: "2s"
`)},
		"json": {File: "a.json", content: []byte(`{"server": {"name": "Hub-1"}, "clients": {"host": "127.0.0.1", "port": 4300, "limits": {"max_payload": 2097152, "max_subscriptions": 7},
"ping": {"interval": "20s", "max": 3}}, "cluster": {"name": "sfo", "listen": "127.0.0.1:6300", "routes": ["nats://a:1", "nats://b:2"], "pool_size": 5,
"compression": {"mode": "s2_fast"}, "connect": {"retries": 4, "backoff": true}}, "auth": {"user": "u", "password": "p", "timeout": "3s", "system_account": "Sys.Acc"},
"monitor": {"listen": "127.0.0.1:8300"}, "log": {"level": "debug", "time": false, "file": "/tmp/x.log"}, "lifecycle": {"drain": "50s", "drain_grace": "2s"}}`)},
		"env": {Env: strings.Split(`HUBD_SERVER_NAME=Hub-1 HUBD_CLIENTS_LISTEN=127.0.0.1:4300 HUBD_CLIENTS_LIMITS_MAX_PAYLOAD=2MiB HUBD_CLIENTS_LIMITS_MAX_SUBSCRIPTIONS=7 HUBD_CLIENTS_PING_INTERVAL=20s
HUBD_CLIENTS_PING_MAX=3 HUBD_CLUSTER_NAME=sfo HUBD_CLUSTER_LISTEN=127.0.0.1:6300 HUBD_CLUSTER_ROUTES=nats://a:1,nats://b:2 HUBD_CLUSTER_POOL_SIZE=5 HUBD_CLUSTER_COMPRESSION_MODE=fast
HUBD_CLUSTER_CONNECT_RETRIES=4 HUBD_CLUSTER_CONNECT_BACKOFF=true HUBD_AUTH_USER=u HUBD_AUTH_PASSWORD=p HUBD_AUTH_TIMEOUT=3s HUBD_AUTH_SYSTEM_ACCOUNT=Sys.Acc HUBD_MONITOR_LISTEN=127.0.0.1:8300
HUBD_LOG_DEBUG=1 HUBD_LOG_TIME=off HUBD_LOG_FILE=/tmp/x.log HUBD_LIFECYCLE_DRAIN=50s HUBD_LIFECYCLE_DRAIN_GRACE=2s`, "\n")},
		"flags": {Flags: parsed(t, Hubd, `-n Hub-1 -a 127.0.0.1 -p 4300 --clients-limits-max-payload 2097152 --clients-limits-max-subscriptions 7 --clients-ping-interval 20s --clients-ping-max 3
--cluster nats://127.0.0.1:6300 --cluster_name sfo --routes nats://a:1,nats://b:2 --cluster-pool-size 5 --cluster-compression-mode on --connect_retries 4 --cluster-connect-backoff
--user u --pass p --auth-timeout 3s --auth-system-account Sys.Acc -m 8300 -D -T=false -l /tmp/x.log --lifecycle-drain 50s --lifecycle-drain-grace 2s`)},
	}
	want := &Config{}
	for _, name := range []string{"yaml", "conf", "json", "env", "flags"} {
		opts := sources[name]
		opts.Daemon = Hubd
		if name == "env" {
			opts.Env = strings.Fields(strings.Join(opts.Env, " "))
		}
		got, warnings, err := Load(opts)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(warnings) > 0 {
			t.Errorf("%s: warnings %v", name, warnings)
		}
		got.File, got.Files, got.Digest = "", nil, ""
		if name == "yaml" {
			want = got
			continue
		}
		a, b := flatten(reflect.ValueOf(*want), ""), flatten(reflect.ValueOf(*got), "")
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s differs from yaml:\n%s\n---\n%s", name, strings.Join(b, "\n"), strings.Join(a, "\n"))
		}
	}
	if want.Limits.MaxPayload != 2<<20 || want.Cluster.PoolSize != 5 || want.SystemAccount != "Sys.Acc" || want.LameDuck.Duration != 50*time.Second {
		t.Errorf("not what was written: %+v", want)
	}
}

func parsed(t *testing.T, d Daemon, args string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	RegisterFlags(fs, d)
	if err := fs.Parse(NormalizeArgs(strings.Fields(args))); err != nil {
		t.Fatal(err)
	}
	return fs
}

// TestOptionsAreKnown: every setting can be said through the environment and a flag, and nothing
// that Options lists is unknown.
func TestOptionsAreKnown(t *testing.T) {
	for _, d := range []Daemon{Hubd, Gwd, Leafd} {
		fs := parsed(t, d, "")
		for _, o := range Options(d) {
			if o.Flag != "" && fs.Lookup(strings.TrimPrefix(o.Flag, "--")) == nil {
				t.Errorf("%s has no flag %s", d, o.Flag)
			}
			if o.Key == "" && len(o.Conf) == 0 {
				t.Errorf("%s: option without a name: %+v", d, o)
			}
			if o.Status == "" && o.Key != "" && o.Env == "" && o.Kind != "list" {
				t.Errorf("%s: %s has no environment variable", d, o.Key)
			}
		}
	}
}

// TestDefaults pins the values that the specification gives.
func TestDefaults(t *testing.T) {
	c, _, err := Load(LoadOptions{Daemon: Hubd})
	if err != nil {
		t.Fatal(err)
	}
	if c.Client.Addr() != "0.0.0.0:4222" || c.Limits != (Limits{65536, 1 << 20, 64 << 20, 4096, 0, 0, 2 * time.Minute, 2, 10 * time.Second, WriteTimeoutClose}) ||
		c.Auth.Timeout != 2*time.Second || c.SystemAccount != "$SYS" || c.LameDuck != (LameDuck{2 * time.Minute, 10 * time.Second, false}) || c.Client.MaxClosed != 10000 ||
		!c.Log.Time || c.Log.Format != LogText || c.HTTP.Enabled() || c.Cluster != nil || c.Gateway != nil || c.LeafNodes != nil || c.AuthRequired() {
		t.Errorf("got %+v", c)
	}
	if c, _, err = Load(LoadOptions{Daemon: Leafd}); err != nil || c.Client.Addr() != "127.0.0.1:4222" {
		t.Errorf("leafd: %+v, %v", c, err)
	}
	if _, _, err = Load(LoadOptions{Daemon: Gwd}); err == nil || len(Findings(err)) != 2 {
		t.Errorf("gwd without settings: %v", err)
	}
	if _, _, err = Load(LoadOptions{Daemon: Hubd, File: "nofile.conf"}); err == nil || err.Error() != "open nofile.conf: no such file or directory" {
		t.Errorf("missing file: %v", err)
	}
	if (Listen{"::1", -1}).Addr() != "[::1]:0" {
		t.Errorf("address of a port that the kernel chooses is %q", Listen{"::1", -1}.Addr())
	}
}

// TestWorkedFiles loads what configs/ shows; certificates need not be there.
func TestWorkedFiles(t *testing.T) {
	env := []string{"ROUTE_PASSWORD=r", "GATEWAY_PASSWORD=g", "LEAF_PASSWORD=l", "SYS_PASSWORD=s", "APP_PASSWORD=a", "MONITOR_PASSWORD=m", "LOCAL_PASSWORD=x"}
	for _, region := range []string{"sfo", "ams", "sgp"} {
		loaded := map[Daemon]*Config{}
		for _, d := range []Daemon{Hubd, Gwd, Leafd} {
			file := filepath.Join("..", "..", "configs", region, string(d)+".yaml")
			c, warnings, err := Load(LoadOptions{Daemon: d, File: file, Env: env})
			if err != nil {
				t.Fatalf("%v", err)
			}
			if len(warnings) > 0 {
				t.Errorf("%s: %v", file, warnings)
			}
			loaded[d] = c
		}
		hub, gw, leaf := loaded[Hubd], loaded[Gwd], loaded[Leafd]
		if hub.Cluster.Name != region || gw.Cluster.Name != region || gw.Gateway.Name != region {
			t.Errorf("%s: cluster %q, gateway %q", region, hub.Cluster.Name, gw.Gateway.Name)
		}
		if hub.SystemAccount != gw.SystemAccount || len(gw.Gateway.Remotes) != 3 || !gw.Gateway.RejectUnknown {
			t.Errorf("%s: system accounts %q and %q, %d remotes", region, hub.SystemAccount, gw.SystemAccount, len(gw.Gateway.Remotes))
		}
		if hub.Client.TLS == nil || hub.Cluster.TLS == nil || !gw.Gateway.TLS.Mutual || leaf.LeafNodes.Remotes[0].TLS == nil || !hub.LeafNodes.Enabled() {
			t.Errorf("%s: TLS is missing", region)
		}
		first := leaf.LeafNodes.Remotes[0].URLs[0]
		if !strings.Contains(first.Host, region) || !leaf.LeafNodes.Remotes[0].NoRandomize {
			t.Errorf("%s: leafd dials %s first", region, first.Host)
		}
		if !filepath.IsAbs(hub.Client.TLS.CAFile) && !strings.HasPrefix(hub.Client.TLS.CAFile, filepath.Join("..", "..", "configs", region)) {
			t.Errorf("%s: CA file %q is not beside the settings", region, hub.Client.TLS.CAFile)
		}
	}
}

func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("testdata/load/*")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "\n\n") {
			body, _, _ := strings.Cut(part, "\n----")
			_, body, _ = strings.Cut(body, "\n")
			f.Add(uint8(len(body)), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, pick uint8, text []byte) {
		opts := LoadOptions{Daemon: []Daemon{Hubd, Gwd, Leafd}[pick%3], File: []string{"f.yaml", "f.conf", "f.json"}[pick/3%3], content: append([]byte{}, text...)}
		c, _, err := Load(opts)
		if err != nil {
			for _, e := range Findings(err) {
				if e.Message == "" {
					t.Fatalf("an error that says nothing: %+v", e)
				}
			}
			return
		}
		checkInvariants(t, c)
	})
}

// checkInvariants is what every part relies on.
func checkInvariants(t *testing.T, c *Config) {
	ports := []int{c.Client.Port, c.HTTP.Port, c.ProfPort}
	times := []time.Duration{c.Limits.PingInterval, c.Limits.WriteDeadline, c.Auth.Timeout, c.LameDuck.Duration}
	var urls []*url.URL
	if k := c.Cluster; k != nil {
		ports = append(ports, k.Port)
		times = append(times, k.PingInterval, k.WriteDeadline, k.Auth.Timeout)
		urls = append(urls, k.Routes...)
		if k.PoolSize < -1 || k.WriteTimeout == WriteTimeoutDefault || k.PingInterval > MaxRoutePingInterval {
			t.Fatalf("cluster %+v", k)
		}
	}
	if g := c.Gateway; g != nil {
		ports = append(ports, g.Port)
		times = append(times, g.WriteDeadline, g.Auth.Timeout)
		for _, r := range g.Remotes {
			urls = append(urls, r.URLs...)
		}
		if g.Name == "" || c.Cluster != nil && c.Cluster.Name != g.Name {
			t.Fatalf("gateway %+v", g)
		}
	}
	if n := c.LeafNodes; n != nil {
		ports = append(ports, n.Port)
		times = append(times, n.PingInterval, n.WriteDeadline, n.DialTimeout, n.Reconnect, n.HandshakeTimeout, n.Auth.Timeout)
		for _, r := range n.Remotes {
			urls = append(urls, r.URLs...)
			if len(r.URLs) == 0 || r.Account == "" {
				t.Fatalf("remote %+v", r)
			}
			times = append(times, r.DialTimeout, r.FirstInfoTimeout)
		}
	}
	for _, p := range ports {
		if p < -1 || p > 65535 {
			t.Fatalf("port %d", p)
		}
	}
	for _, d := range times {
		if d <= 0 {
			t.Fatalf("a time is %v", d)
		}
	}
	for _, u := range urls {
		if u.Hostname() == "" || u.Port() == "" {
			t.Fatalf("url %v", u)
		}
	}
	if c.Limits.MaxPayload > c.Limits.MaxPending || c.SystemAccount == "" && !c.NoSystemAccount || c.Daemon == Gwd && c.Client.Enabled() {
		t.Fatalf("limits %+v, system account %q", c.Limits, c.SystemAccount)
	}
}
