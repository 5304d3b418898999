//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/procs"
)

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

func command(t *testing.T, stdin, exe string, args ...string) result {
	t.Helper()
	return commandEnv(t, nil, stdin, exe, args...)
}

func commandEnv(t *testing.T, env []string, stdin, exe string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), estate.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %q: %v", exe, args, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCheckCommand(t *testing.T) {
	e := estate.New(t, bins)
	dir := t.TempDir()
	for _, c := range []struct {
		name, daemon, file, text string
		args                     []string
		code                     int
		says                     string // a regular expression that stderr must match
	}{
		{name: "good", daemon: "hubd", file: "a.yaml", text: "clients: {listen: 127.0.0.1:4333}\n", says: `is valid \(sha256:`},
		{name: "unknown key", daemon: "hubd", file: "b.yaml", text: "clients:\n  lissten: 127.0.0.1:4333\n", code: 1, says: `b\.yaml:2:.*lissten.*listen`},
		{name: "wrong type", daemon: "hubd", file: "c.yaml", text: "clients: {limits: {max_connections: many}}\n", code: 1, says: `c\.yaml:1:.*max_connections`},
		{name: "block of another daemon", daemon: "leafd", file: "d.yaml", text: "cluster: {name: c}\n", code: 1, says: `d\.yaml:1:.*cluster`},
		{name: "leafd on all interfaces", daemon: "leafd", file: "e.yaml", text: "clients: {listen: 0.0.0.0:4222}\n", code: 1, says: `allow_lan`},
		{name: "conf", daemon: "hubd", file: "f.conf", text: "listen: 127.0.0.1:4333\nauthorization { user: a, password: b }\n", says: `is valid`},
		{name: "conf, later option", daemon: "hubd", file: "g.conf", text: "jetstream: enabled\n", code: 1, says: `g\.conf:1.*jetstream.*not supported`},
		{name: "conf, unknown option", daemon: "hubd", file: "h.conf", text: "listten: 127.0.0.1:4333\n", code: 1, says: `h\.conf:1.*listten`},
		{name: "gwd without hubs", daemon: "gwd", file: "i.yaml", text: "log: {level: info}\n", code: 1, says: `(?i)gateway|cluster`},
		{name: "missing file", daemon: "hubd", file: "none.yaml", code: 1, says: `none\.yaml`},
		{name: "no file", daemon: "hubd", code: 2, says: `-c FILE is needed`},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"check"}
			if c.file != "" {
				args = append(args, "-c", filepath.Join(dir, c.file))
				if c.text != "" {
					write(t, filepath.Join(dir, c.file), c.text)
				}
			}
			r := command(t, "", e.Build(c.daemon), args...)
			if r.code != c.code || !regexp.MustCompile(c.says).MatchString(r.err) {
				t.Errorf("exit %d, want %d; stderr %q, want a match of %q", r.code, c.code, r.err, c.says)
			}
		})
	}
	t.Run("reference's flag", func(t *testing.T) {
		file := write(t, filepath.Join(dir, "t.conf"), "listen: 127.0.0.1:4333\n")
		if r := command(t, "", e.Build("hubd"), "-t", "-c", file); r.code != 0 {
			t.Errorf("exit %d: %s", r.code, r.err)
		}
	})
}

// What configs/ shows starts, once certificates and passwords are there.
func TestWorkedSettings(t *testing.T) {
	e := estate.New(t, bins)
	root, err := procs.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "configs"))); err != nil {
		t.Fatal(err)
	}
	env := []string{}
	for _, name := range []string{"ROUTE", "GATEWAY", "LEAF", "SYS", "APP", "MONITOR", "LOCAL"} {
		env = append(env, name+"_PASSWORD=not-a-secret")
	}
	n := 0
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if path == "helm" {
			return fs.SkipDir // templates, which test/helm renders and checks
		}
		daemon := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if err != nil || d.IsDir() || !slices.Contains([]string{"hubd", "gwd", "leafd"}, daemon) {
			return err
		}
		n++
		tls := filepath.Join(dir, filepath.Dir(path), "tls")
		for _, name := range []string{"hub", "gwd", "leaf"} {
			c, err := certs.Ensure(certs.Spec{Dir: tls, Name: name, Usage: certs.Server | certs.Client, Hosts: []string{"localhost"}})
			if err != nil {
				return err
			}
			for to, from := range map[string]string{name + ".pem": c.Cert, name + "-key.pem": c.Key, "ca.pem": c.CA} {
				b, err := os.ReadFile(from)
				if err != nil {
					return err
				}
				write(t, filepath.Join(tls, to), string(b))
			}
		}
		if r := commandEnv(t, env, "", e.Build(daemon), "check", "-c", filepath.Join(dir, path)); r.code != 0 {
			t.Errorf("%s: exit %d: %s", path, r.code, r.err)
		}
		return nil
	})
	if err != nil || n != 12 {
		t.Errorf("%d files, %v; want 12", n, err)
	}
}

// The flags that client suites start a server with; files that they read; signals that they send.
func TestReferenceFlagsAndFiles(t *testing.T) {
	e := estate.New(t, bins)
	hubd, dir := e.Build("hubd"), t.TempDir()
	pidFile, logFile := filepath.Join(dir, "hub.pid"), filepath.Join(dir, "hub.log")
	p, err := procs.Start(procs.Spec{Exe: hubd, Dir: dir, Args: []string{
		"-a", "127.0.0.1", "-p", "-1", "-m", "-1", "-n", "flagged", "--ports_file_dir", dir, "-P", pidFile, "-l", logFile,
		"--user", "u", "--pass", "p", "-DV",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	ports, err := p.Ports(e.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(ports.Nats) != 1 || !strings.HasPrefix(ports.Client(), "nats://127.0.0.1:") || !strings.HasPrefix(ports.HTTP(), "http://127.0.0.1:") {
		t.Errorf("ports file %+v", ports)
	}
	if b, err := os.ReadFile(pidFile); err != nil || string(b) != strconv.Itoa(p.Pid()) {
		t.Errorf("pid file %q, %v; want %d and no more", b, err, p.Pid())
	}
	nc, err := nats.Connect(ports.Client(), nats.UserInfo("u", "p"), nats.Timeout(estate.Patience/2))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if nc.ConnectedServerName() != "flagged" || !regexp.MustCompile(`^2\.\d+\.\d+$`).MatchString(nc.ConnectedServerVersion()) {
		t.Errorf("connected to %q version %q", nc.ConnectedServerName(), nc.ConnectedServerVersion())
	}
	if _, err := nats.Connect(ports.Client(), nats.Timeout(estate.Patience/2)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without the password: %v, want %v", err, nats.ErrAuthorization)
	}
	log, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`Listening for client connections on ` + regexp.QuoteMeta(procs.Addr(ports.Client())), `Server is ready`,
		`\[` + strconv.Itoa(p.Pid()) + `\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[INF\] `, `\[TRC\] .*<<- \[CONNECT `,
	} {
		if !regexp.MustCompile(want).Match(log) {
			t.Errorf("the log lacks a line that matches %q", want)
		}
	}
	if strings.Contains(string(log), `"pass":"p"`) {
		t.Error("the log shows a password")
	}

	if err := os.Rename(logFile, logFile+".old"); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "", hubd, "--signal", "reopen="+pidFile); r.code != 0 || r.out+r.err != "" {
		t.Errorf("--signal reopen: %+v", r)
	}
	e.Eventually("the log is opened again", func() error { _, err := os.Stat(logFile); return err })
	if r := command(t, "", hubd, "--signal", "bogus="+pidFile); r.code != 1 || !strings.Contains(r.err, `unknown signal "bogus"`) {
		t.Errorf("--signal bogus: %+v", r)
	}
	if r := command(t, "", hubd, "-sl=term="+strconv.Itoa(p.Pid())); r.code != 0 {
		t.Errorf("-sl=term: %+v", r)
	}
	if code, err := p.Wait(e.Context()); err != nil || code != 0 {
		t.Errorf("after term: exit %d, %v; want 0", code, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.ports")); len(left) != 0 {
		t.Errorf("ports files left: %q", left)
	}
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	e := estate.New(t, bins)
	name := func(env []string, args ...string) string {
		t.Helper()
		p, err := procs.Start(procs.Spec{
			Exe: e.Build("hubd"), Dir: t.TempDir(), Env: env, Args: args, ConfigName: "s.yaml",
			Config: "server: {name: of-the-file}\nclients: {listen: \"127.0.0.1:-1\"}\nlifecycle: {ports_dir: \"{{dir}}\"}\n",
		})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Kill()
		ports, err := p.Ports(e.Context())
		if err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect(ports.Client(), nats.Timeout(estate.Patience/2))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		return nc.ConnectedServerName()
	}
	env := []string{"HUBD_SERVER_NAME=of-the-environment"}
	if got := name(nil); got != "of-the-file" {
		t.Errorf("file alone: %q", got)
	}
	if got := name(env); got != "of-the-environment" {
		t.Errorf("with the environment: %q", got)
	}
	if got := name(env, "--server-name", "of-the-flag"); got != "of-the-flag" {
		t.Errorf("with a flag: %q", got)
	}
}

// A hub in lame duck mode tells its clients, takes no new ones, and ends by itself; they find the other hub.
func TestLameDuck(t *testing.T) {
	e := estate.New(t, bins)
	one := e.Hub(estate.HubSpec{Name: "one", Cluster: "duck"})
	e.Start(one)
	two := e.Hub(estate.HubSpec{Name: "two", Cluster: "duck", Routes: []*estate.Node{one}})
	e.Start(two)
	e.AwaitMesh(&estate.Region{Hubs: []*estate.Node{one, two}})
	told := make(chan struct{}, 1)
	nc := e.Connect(one, nats.LameDuckModeHandler(func(*nats.Conn) { told <- struct{}{} }))
	e.Eventually("the client knows the other hub", func() error {
		if n := len(nc.DiscoveredServers()); n != 1 {
			return fmt.Errorf("it knows %d", n)
		}
		return nil
	})
	sub, err := nc.SubscribeSync("still.here")
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Process().Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
	case <-time.After(estate.Patience):
		t.Fatal("the client was not told")
	}
	if c, err := net.Dial("tcp", one.Addr("nats")); err == nil {
		c.Close()
		t.Error("it takes new clients")
	}
	_ = one.Process().Signal(syscall.SIGTERM) // does not cut a lame duck short
	if code, err := one.Process().Wait(e.Context()); err != nil || code != 0 {
		t.Errorf("exit %d, %v; want 0", code, err)
	}
	e.Eventually("the client is at the other hub", func() error {
		if !nc.IsConnected() || nc.ConnectedServerName() != "two" {
			return fmt.Errorf("%v, at %q", nc.Status(), nc.ConnectedServerName())
		}
		return nil
	})
	if err := e.Connect(two).Publish("still.here", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.NextMsg(estate.Patience); err != nil {
		t.Errorf("its subscription did not come along: %v", err)
	}
}

// A hub's .conf with a gateway block serves hubd and, beside it, gwd. Two such regions talk.
func TestHubConfReadByGwd(t *testing.T) {
	e := estate.New(t, bins)
	names := []string{"east", "west"}
	ports, err := procs.FreePorts(6) // both daemons read them from the same file
	if err != nil {
		t.Fatal(err)
	}
	gateway := func(i int) int { return ports[3*i] }
	var conns []*nats.Conn
	for i, name := range names {
		other := 1 - i
		conf := fmt.Sprintf(`server_name: %[1]s-hub
listen: 127.0.0.1:-1
http: 127.0.0.1:%[6]d
ports_file_dir: "{{dir}}"
cluster { name: %[1]s, listen: 127.0.0.1:%[2]d }
gateway {
  name: %[1]s
  listen: 127.0.0.1:%[3]d
  gateways: [ {name: %[4]s, url: nats://127.0.0.1:%[5]d} ]
}
`, name, ports[3*i+1], gateway(i), names[other], gateway(other), ports[3*i+2])
		dir := e.Dir(name)
		hub, err := procs.Start(procs.Spec{Exe: e.Build("hubd"), Dir: dir, Config: conf})
		if err != nil {
			t.Fatal(err)
		}
		defer hub.Kill()
		gwd, err := procs.Start(procs.Spec{Exe: e.Build("gwd"), Dir: dir, Config: conf})
		if err != nil {
			t.Fatal(err)
		}
		defer gwd.Kill()
		hubPorts, err := hub.Ports(e.Context())
		if err != nil {
			t.Fatal(err)
		}
		gwdPorts, err := gwd.Ports(e.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(gwdPorts.Nats) != 0 {
			t.Errorf("gwd opened a client port: %q", gwdPorts.Nats)
		}
		if len(gwdPorts.Cluster) != 1 || procs.Addr(gwdPorts.Cluster[0]) == procs.Addr(hubPorts.Cluster[0]) {
			t.Errorf("route listeners: gwd %q, hub %q", gwdPorts.Cluster, hubPorts.Cluster)
		}
		if !strings.Contains(hub.Log.String(), "gateway block is served by gwd") {
			t.Errorf("hubd says nothing about its gateway block:\n%s", hub.Log)
		}
		if !strings.Contains(gwd.Log.String(), name+"-hub-gwd") {
			t.Errorf("gwd did not take a name beside the hub's:\n%s", gwd.Log)
		}
		nc, err := nats.Connect(hubPorts.Client(), nats.Timeout(estate.Patience/2))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		conns = append(conns, nc)
	}
	for i, nc := range conns {
		subject := "where.is." + names[i]
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(names[i])) }); err != nil {
			t.Fatal(err)
		}
		e.Eventually("the other region answers "+names[1-i], func() error {
			m, err := conns[1-i].Request(subject, nil, 2*time.Second)
			if err == nil && string(m.Data) != names[i] {
				err = fmt.Errorf("%q answered", m.Data)
			}
			return err
		})
	}
}

// The commands for people and scripts, against a running hub.
func TestPubSubRequestReplyStatus(t *testing.T) {
	e := estate.New(t, bins)
	hub := e.Hub(estate.HubSpec{Name: "hub"})
	e.Start(hub)
	hubd := e.Build("hubd")
	sub, err := procs.Start(procs.Spec{Exe: hubd, Dir: t.TempDir(), Args: []string{"sub", "-s", hub.URL(), "--json", "--count", "3", "lines.>"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Kill()
	reply, err := procs.Start(procs.Spec{Exe: hubd, Dir: t.TempDir(), Args: []string{"reply", "-s", hub.URL(), "--count", "1", "clock", "noon"}})
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Kill()
	e.Eventually("both subscribe", func() error {
		v, err := hub.Varz()
		if err == nil && v.Connections < 2 {
			err = fmt.Errorf("%d connections", v.Connections)
		}
		return err
	})
	// A connection may be there before its subscription; what is published too early is not seen.
	e.Eventually("requests are answered", func() error {
		if r := command(t, "", hubd, "request", "-s", hub.URL(), "--raw", "clock", "what time?"); r.code != 0 || r.out != "noon\n" {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	if code, err := reply.Wait(e.Context()); err != nil || code != 0 {
		t.Errorf("reply --count 1 ended with %d, %v", code, err)
	}
	if r := command(t, "", hubd, "request", "-s", hub.URL(), "clock", "what time?"); r.code != 4 {
		t.Errorf("a request to nobody: exit %d, want 4: %s", r.code, r.err)
	}
	var subs struct {
		Num int `json:"num_subscriptions"`
	}
	e.Eventually("the subscriber subscribes", func() error {
		if err := hub.Get("/subsz?acc=APP", &subs); err != nil || subs.Num == 0 {
			return fmt.Errorf("%+v, %v", subs, err)
		}
		return nil
	})
	if r := command(t, "one\ntwo\nthree\n", hubd, "pub", "-s", hub.URL(), "lines.in"); r.code != 0 {
		t.Fatalf("pub: %+v", r)
	}
	if code, err := sub.Wait(e.Context()); err != nil || code != 0 {
		t.Errorf("sub --count 3 ended with %d, %v", code, err)
	}
	for _, line := range []string{"one", "two", "three"} {
		if !strings.Contains(sub.Log.String(), line) {
			t.Errorf("sub did not print %q:\n%s", line, sub.Log)
		}
	}
	r := command(t, "", hubd, "status", "--json", "--http", "http://"+hub.Addr("monitoring"))
	var status struct {
		Varz struct {
			Name string `json:"server_name"`
		} `json:"varz"`
	}
	if err := json.Unmarshal([]byte(r.out), &status); r.code != 0 || err != nil || status.Varz.Name != "hub" {
		t.Errorf("status: exit %d, %v, name %q\n%.200s", r.code, err, status.Varz.Name, r.out)
	}
	if r := command(t, "", hubd, "pub", "-s", "nats://127.0.0.1:1", "x", "y"); r.code != 5 {
		t.Errorf("pub to nobody: exit %d, want 5", r.code)
	}
}
