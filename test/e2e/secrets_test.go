//go:build linux

package e2e

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/bcrypt"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/procs"
)

// canaries are secrets that must be found nowhere.
type canaries struct {
	t   *testing.T
	all map[string]string // by what they are
}

// new makes one that is found by its text alone.
func (c *canaries) new(what string) string {
	s := fmt.Sprintf("CaNaRy%02d", len(c.all))
	c.all[what] = s
	return s
}

func (c *canaries) add(what, s string) string {
	c.all[what] = s
	return s
}

// absent looks for all of them.
func (c *canaries) absent(where, text string) {
	c.t.Helper()
	for what, s := range c.all {
		if i := strings.Index(text, s); i >= 0 {
			from, to := max(0, i-120), min(len(text), i+len(s)+40)
			c.t.Errorf("%s: %s is shown: …%s…", where, what, text[from:to])
		}
	}
}

func (c *canaries) user(what string) nkeys.KeyPair {
	kp, err := nkeys.CreateUser()
	if err != nil {
		c.t.Fatal(err)
	}
	seed, err := kp.Seed()
	if err != nil {
		c.t.Fatal(err)
	}
	c.add(what, string(seed))
	return kp
}

func seedOf(kp nkeys.KeyPair) string {
	s, _ := kp.Seed()
	return string(s)
}

// TestSecretsAreShownNowhere gives each daemon a secret wherever it takes one, lets
// peers show right and wrong ones, and looks into all that it says.
func TestSecretsAreShownNowhere(t *testing.T) {
	e := estate.New(t, bins)
	c := &canaries{t: t, all: map[string]string{}}
	tls, err := certs.Ensure(certs.Spec{Dir: e.Dir("tls"), Name: "server", Usage: certs.Both, Hosts: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := certs.LoadPair(tls.Cert, tls.Key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	c.add("the TLS key", base64.StdEncoding.EncodeToString(der)[30:60])
	hash, err := bcrypt.GenerateFromPassword([]byte("behind-the-hash"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	c.add("a hash", string(hash))
	c.add("the password of a hash", "behind-the-hash")
	known, stranger, leafKey := c.user("a user's seed"), c.user("a stranger's seed"), c.user("a leaf node's seed")
	knownPub, _ := known.PublicKey()
	block := fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q }", tls.Cert, tls.Key, tls.CA)

	clientPass, sysPass, leafPass := c.new("a client's password"), c.new("the system user's password"), c.new("a leaf node's password")
	clusterPass, gatewayPass := c.new("the cluster's password"), c.new("the gateway's password")
	const dead = "127.0.0.1:1"
	common := "ports_file_dir: \"{{dir}}\"\npid_file: \"{{dir}}/pid\"\nhttp: 127.0.0.1:-1\ndebug: true\ntrace: true\ntrace_verbose: true\n"
	hub := start(t, e, "hubd", "hub", common+fmt.Sprintf(`
listen: 127.0.0.1:-1
server_name: hub
cluster { name: sfo, listen: 127.0.0.1:-1, authorization { user: route, password: %[1]s }, routes: ["nats://route:%[2]s@%[3]s"] }
accounts {
  A { users: [ { user: app, password: %[4]s, permissions: { publish: ["ok", "_INBOX.>"], subscribe: ["ok", "_INBOX.>"] } }, { user: hashed, password: %[5]q }, { nkey: %[6]s } ] }
  SYS { users: [ { user: sys, password: %[7]s } ] }
}
system_account: SYS
leafnodes {
  listen: 127.0.0.1:-1, %[8]s
  authorization { users: [ { user: edge, password: %[9]s, account: A } ] }
  remotes: [ { url: "nats-leaf://up:%[10]s@%[3]s", account: A }, { url: "nats-leaf://%[3]s", nkey: %[11]s, account: SYS } ]
}
`, clusterPass, c.new("a route's URL"), dead, clientPass, hash, knownPub, sysPass, block, leafPass, c.new("a remote's URL"), c.add("a remote's seed", seedOf(leafKey))))
	hubPorts, err := hub.Ports(e.Context())
	if err != nil {
		t.Fatal(err)
	}
	creds := filepath.Join(e.Dir("leaf"), "user.creds")
	write(t, creds, "-----BEGIN NATS USER JWT-----\n"+c.new("a token in a credentials file")+"\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n"+seedOf(c.user("a seed in a credentials file"))+"\n------END USER NKEY SEED------\n")
	leaf := start(t, e, "leafd", "leaf", common+fmt.Sprintf(`
listen: 127.0.0.1:-1
server_name: leaf
authorization { token: %q }
leafnodes { remotes: [
  { url: "tls://edge:%s@%s", tls { ca_file: %q } }
  { url: "nats-leaf://%s", credentials: %q, account: "$SYS" }
] }
`, c.new("a token"), leafPass, procs.Addr(hubPorts.LeafNodes[0]), tls.CA, dead, creds))
	gw := start(t, e, "gwd", "gw", common+fmt.Sprintf(`
server_name: gw
cluster { name: sfo, listen: 127.0.0.1:-1, authorization { user: route, password: %[1]s }, routes: ["nats://route:%[1]s@%[2]s"] }
gateway { name: sfo, listen: 127.0.0.1:-1, authorization { user: gate, password: %[3]s }, gateways: [ { name: ams, url: "nats://gate:%[4]s@%[5]s" } ] }
border { ready_timeout: 1s }
system_account: SYS
`, clusterPass, procs.Addr(hubPorts.Cluster[0]), gatewayPass, c.new("a gateway's URL"), dead))
	all := map[string]*procs.Process{"hubd": hub, "leafd": leaf, "gwd": gw}
	ports := map[string]procs.Ports{"hubd": hubPorts}
	for _, name := range []string{"leafd", "gwd"} {
		if ports[name], err = all[name].Ports(e.Context()); err != nil {
			t.Fatal(err)
		}
	}

	// Clients, with what is right and what is not.
	url := hubPorts.Client()
	right := func(o ...nats.Option) {
		t.Helper()
		nc, err := nats.Connect(url, append(o, nats.Timeout(estate.Patience/2))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		nc.Publish("not.allowed", []byte("x"))
		nc.Flush()
	}
	wrong := func(server string, o ...nats.Option) {
		t.Helper()
		if nc, err := nats.Connect(server, o...); err == nil {
			nc.Close()
			t.Error("what is wrong was let in")
		} else {
			c.absent("an error of a client", err.Error())
		}
	}
	sign := func(kp nkeys.KeyPair) nats.Option {
		pub, _ := kp.PublicKey()
		return nats.Nkey(pub, kp.Sign)
	}
	right(nats.UserInfo("app", clientPass))
	right(nats.UserInfo("hashed", "behind-the-hash"))
	right(sign(known))
	wrong(url, nats.UserInfo("app", c.new("a wrong password")))
	wrong(url, nats.Token(c.new("a wrong token")))
	wrong(url, sign(stranger))
	wrong(ports["leafd"].Client(), nats.Token(c.new("leafd's wrong token")))
	sys, err := nats.Connect(url, nats.UserInfo("sys", sysPass))
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()

	// The links are up.
	e.Eventually("leafd and gwd are linked", func() error {
		for _, path := range []string{"/leafz", "/routez"} {
			_, text := get(t, hubPorts.HTTP()+path)
			if !regexp.MustCompile(`"num_(leafs|routes|leafnodes)": ?[1-9]|"leafnodes": ?[1-9]`).MatchString(text) {
				return fmt.Errorf("%s: %s", path, text)
			}
		}
		return nil
	})
	e.Eventually("dead URLs were dialed", func() error {
		for name, n := range map[string]int{"hubd": 2, "leafd": 1, "gwd": 1} {
			if got := strings.Count(all[name].Log.String(), dead); got < n {
				return fmt.Errorf("%s: %d times", name, got)
			}
		}
		return nil
	})

	for name, p := range all {
		for _, path := range []string{"/", "/varz", "/connz?auth=1&subs=detail&state=any", "/routez?subs=1", "/gatewayz?accs=1", "/leafz?subs=1",
			"/subsz?subs=1", "/accountz?acc=A", "/accountz?acc=SYS", "/accstatz", "/jsz?accounts=1&config=1", "/healthz", "/expvarz", "/ipqueuesz", "/stacksz", "/debug/vars", "/metrics", "/ui", "/config", "/raftz"} {
			_, text := get(t, ports[name].HTTP()+path)
			c.absent(name+" "+path, text)
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Pid()))
		if err != nil {
			t.Fatal(err)
		}
		c.absent(name+" command line", string(cmdline))
		entries, err := filepath.Glob(filepath.Join(p.Dir(), "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range entries {
			if b, err := os.ReadFile(f); err == nil && !strings.HasSuffix(f, ".conf") && !strings.HasSuffix(f, ".creds") {
				c.absent(f, string(b))
			}
		}
	}
	for _, kind := range []string{"VARZ", "CONNZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "SUBSZ", "ACCOUNTZ", "JSZ", "HEALTHZ", "STATSZ", "IDZ", "EXPVARZ", "PROFILEZ", "IPQUEUESZ", "RAFTZ"} {
		c.absent("$SYS "+kind, answers(t, sys, "$SYS.REQ.SERVER.PING."+kind, `{"auth":true,"subscriptions":true,"state":2}`))
	}
	c.absent("$SYS user info", answers(t, sys, "$SYS.REQ.USER.INFO", ""))
	for name, p := range all {
		text := p.Log.String()
		if len(text) < 1000 || !strings.Contains(text, "[DBG]") || name == "hubd" && !strings.Contains(text, "[TRC]") {
			t.Errorf("%s has not logged what is looked through:\n%s", name, text)
		}
		c.absent(name+" log", text)
	}
}

func start(t *testing.T, e *estate.Estate, daemon, dir, config string, args ...string) *procs.Process {
	t.Helper()
	p, err := procs.Start(procs.Spec{Exe: e.Build(daemon), Dir: e.Dir(dir), Config: config, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// answers are all that come within a moment.
func answers(t *testing.T, nc *nats.Conn, subject, body string) string {
	t.Helper()
	inbox := nats.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	if err := nc.PublishRequest(subject, inbox, []byte(body)); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for {
		m, err := sub.NextMsg(150 * time.Millisecond)
		if err != nil {
			return b.String()
		}
		b.Write(m.Data)
	}
}

// TestSecretsOfTheCommandLine: they are gone from the list of processes, and still
// what counts.
func TestSecretsOfTheCommandLine(t *testing.T) {
	e := estate.New(t, bins)
	c := &canaries{t: t, all: map[string]string{}}
	pass, routes, cluster := c.new("--pass"), c.new("a URL of --routes"), c.new("a URL of --cluster")
	hub := start(t, e, "hubd", "hub", "ports_file_dir: \"{{dir}}\"\nhttp: 127.0.0.1:-1\n", "-DVV", "-a", "127.0.0.1", "-p", "-1",
		"--user", "app", "--pass", pass, "--routes", "nats://r:"+routes+"@127.0.0.1:1", "--cluster", "nats://r:"+cluster+"@127.0.0.1:-1", "--monitor-auth-token="+c.new("--monitor-auth-token"))
	ports, err := hub.Ports(e.Context())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(ports.Client(), nats.UserInfo("app", pass))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if status, _ := get(t, ports.HTTP()+"/varz"); status != http.StatusUnauthorized {
		t.Errorf("without the token the status is %d", status)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", hub.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(cmdline), "--routes") {
		t.Errorf("command line %q", cmdline)
	}
	c.absent("the command line", string(cmdline))
	e.Eventually("the route is dialed", func() error {
		if !strings.Contains(hub.Log.String(), "127.0.0.1:1") {
			return fmt.Errorf("it is not: %s", hub.Log.Tail(5))
		}
		return nil
	})
	c.absent("the log", hub.Log.String())
}

// TestSecretsInErrors: settings that are wrong are quoted without them.
func TestSecretsInErrors(t *testing.T) {
	e := estate.New(t, bins)
	for daemon, texts := range map[string][]string{
		"hubd": {
			"authorization { user: a, password: [%s] }", "authorization { user: a, pasword: %s }", "authorization { token: %s, user: a }",
			"authorization { users: [ { user: a, password: { x: %s } } ] }", "authorization { users: [ { nkey: %s } ] }",
			"cluster { name: c, port: 6222, routes: [\"nats://u:%s@\"] }", "cluster { name: c, port: 6222, routes: [\"http://u:%s@h:1\"] }", "cluster { name: c, port: 6222, routes: [\"nats://u:%s@h:99999\"] }",
			"cluster { name: c, port: 6222, authorization { user: a, password: 'x\"%s } }", "cluster { name: c, listen: \"nats://u:%s@h:1\" }",
			"leafnodes { remotes: [ { url: \"nats://u:%s@h:1\", urls: [\"nats://u:%[1]s@h:2\"], foo: 1 } ] }", "leafnodes { remotes: [ { url: \"nats://h:1\", nkey: %s, credentials: x } ] }",
			"accounts { A { users: [ { user: a, password: \"%s\" }, { user: a, password: \"%[1]s\" } ] } }", "include \"%s", "no_auth_user: x\nauthorization { users: [ { user: a, password: %s } ] }",
			"websocket { port: 1, no_tls: true, authorization { token: %s } }\nauthorization { users: [ { user: a, password: %[1]s } ] }",
		},
		"leafd": {"leafnodes { remotes: [ { url: \"nats://u:%s@h:x\" } ] }"},
		"gwd":   {"gateway { name: g, port: 7222, gateways: [ { name: x, url: \"nats://u:%s@h:y\" }, { name: x, url: \"nats://u:%[1]s@h:1\" } ] }"},
	} {
		for i, text := range texts {
			c := &canaries{t: t, all: map[string]string{}}
			file := write(t, filepath.Join(e.Dir(daemon), fmt.Sprintf("%d.conf", i)), fmt.Sprintf(text, c.new("a secret")))
			for _, args := range [][]string{{"check", "-c", file}, {"check", "--json", "-c", file}, {"-c", file}} {
				r := command(t, "", e.Build(daemon), args...)
				if r.code == 0 {
					t.Errorf("%s %s: accepted", daemon, text)
				}
				c.absent(fmt.Sprintf("%s %v %s", daemon, args, text), r.out+r.err)
			}
		}
	}
}

// TestExposedFilesAreNamed: files with secrets that everybody can read.
func TestExposedFilesAreNamed(t *testing.T) {
	e := estate.New(t, bins)
	dir := e.Dir("x")
	tls, err := certs.Ensure(certs.Spec{Dir: dir, Name: "server"})
	if err != nil {
		t.Fatal(err)
	}
	pass, seed, creds := filepath.Join(dir, "pass"), filepath.Join(dir, "seed"), filepath.Join(dir, "my creds")
	text := fmt.Sprintf(`
clients: {listen: 127.0.0.1:-1, tls: {cert: %q, key: %q}}
auth: {users: [{name: a, password: {file: %q}}]}
upstreams: [{urls: [nats://h:1], seed: %q}, {urls: [nats://h:1], credentials: %q, local_account: $SYS}]
`, tls.Cert, tls.Key, pass, seed, creds)
	file := write(t, filepath.Join(dir, "hubd.yaml"), text)
	for _, f := range []string{pass, seed, creds} {
		write(t, f, "secret")
	}
	if r := command(t, "", e.Build("hubd"), "check", "-c", file); r.code != 0 || strings.Contains(r.err, "chmod") {
		t.Errorf("nothing is exposed: exit %d: %s", r.code, r.err)
	}
	for _, f := range []string{tls.Key, pass, seed, creds, file} {
		if err := os.Chmod(f, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := command(t, "", e.Build("hubd"), "check", "-c", file)
	for _, f := range []string{tls.Key, pass, seed, "'" + creds + "'"} {
		if n := strings.Count(r.err, "run chmod o-rwx "+f+"\n"); n != 1 {
			t.Errorf("%s is named %d times in:\n%s", f, n, r.err)
		}
	}
	if strings.Contains(r.err, "chmod o-rwx "+file) || strings.Contains(r.err, tls.Cert) || r.code != 0 {
		t.Errorf("exit %d: files without secrets are named in:\n%s", r.code, r.err)
	}
	// With a password in it the settings file is one.
	write(t, file, strings.ReplaceAll(text, fmt.Sprintf("{file: %q}", pass), "hunter2"))
	os.Chmod(file, 0o644)
	p, err := procs.Start(procs.Spec{Exe: e.Build("hubd"), Dir: dir, Args: []string{"-c", file, "--lifecycle-ports-dir", dir}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if _, err := p.Ports(e.Context()); err != nil {
		t.Fatal(err)
	}
	if log := p.Log.String(); strings.Count(log, "[WRN] "+file+": holds passwords, tokens or seeds, and every user of this machine can read it: run chmod o-rwx "+file) != 1 || strings.Contains(log, "hunter2") {
		t.Errorf("log:\n%s", log)
	}
}
