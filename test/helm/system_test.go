package helm

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// made runs the script beside worked values and returns the directory of the Secrets.
func made(t *testing.T, kind string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("sh", filepath.Join(workedDir, kind, "secrets.sh"), "make", dir)
	cmd.Env = append(os.Environ(), "HUBD="+filepath.Join(binaries(t), "hubd"), "EXTRA_HOSTS=127.0.0.1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
	return dir
}

// cluster is one release.
type cluster struct {
	*machine
	region string
	hubs   []*pod
	gwds   []*pod
}

// install renders worked values with a few of the test's own over them.
func install(t *testing.T, kind, region, secrets, more string) *cluster {
	t.Helper()
	values := merged(readValues(t, filepath.Join(workedDir, kind, region+".yaml")), parseValues(t, more))
	r, err := render("banyan", values)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{machine: newMachine(t, r, filepath.Join(secrets, region)), region: region}
	c.hubs = c.place("banyan")
	return c
}

// connect is a client of one hub, as user app unless options say otherwise.
func (c *cluster) connect(hub int, opts ...nats.Option) *nats.Conn {
	c.t.Helper()
	var urls []string
	for i := range c.hubs {
		urls = append(urls, "nats://"+c.hubs[(hub+i)%len(c.hubs)].ports["nats"])
	}
	opts = append([]nats.Option{nats.DontRandomize(), nats.IgnoreAuthErrorAbort(), nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond), nats.Timeout(5 * time.Second)}, opts...)
	nc, err := nats.Connect(strings.Join(urls, ","), opts...)
	if err != nil {
		c.t.Fatalf("%s: %v", c.region, err)
	}
	c.t.Cleanup(nc.Close)
	return nc
}

func (c *cluster) app() nats.Option {
	return nats.UserInfo("app", strings.TrimSpace(c.secret("banyan-app")["password"]))
}

// answer makes a responder that says where it is.
func answer(t *testing.T, nc *nats.Conn, subject, text string) {
	t.Helper()
	if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(text)) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// ask repeats a request until the answer is the one wanted.
func ask(t *testing.T, nc *nats.Conn, subject, want string) {
	t.Helper()
	await(t, 20*time.Second, "an answer to "+subject, func() error {
		m, err := nc.Request(subject, nil, 2*time.Second)
		if err != nil {
			return err
		}
		if string(m.Data) != want {
			return fmt.Errorf("got %q, want %q", m.Data, want)
		}
		return nil
	})
}

// TestGatewayRegions: the worked values of three regions, and what docs/KUBERNETES.md does with them.
func TestGatewayRegions(t *testing.T) {
	if testing.Short() {
		t.Skip("starts twelve processes")
	}
	// What one machine is spared, and a drain that a test can wait for.
	const more = "config: {cluster: {replicas: 2}}\ndrain: {grace: 1s}\n"
	secrets := made(t, "gateways")
	regions := map[string]*cluster{}
	for _, r := range []string{"sfo", "ams", "sgp"} {
		c := install(t, "gateways", r, secrets, more)
		c.gwds = c.place("banyan-gwd")
		c.balancer("gw."+r+".example.net:7222", "gateway", func() []*pod { return c.gwds })
		regions[r] = c
	}
	for _, c := range regions { // the names of the balancers are in the public DNS
		for _, other := range regions {
			name := "gw." + other.region + ".example.net:7222"
			c.names[name] = other.names[name]
		}
	}
	for _, c := range regions {
		c.up(append(c.hubs[:len(c.hubs):len(c.hubs)], c.gwds...)...)
	}
	for _, c := range regions {
		checkNames(t, c)
		answer(t, c.connect(0, c.app()), "who."+c.region, c.region)
	}
	for _, from := range regions {
		nc := from.connect(1, from.app())
		for to := range regions {
			ask(t, nc, "who."+to, to)
		}
	}
	publishEverywhere(t, regions)
	t.Run("what is kept at home", func(t *testing.T) {
		sub, err := regions["ams"].connect(0, regions["ams"].app()).SubscribeSync("local.>")
		if err != nil {
			t.Fatal(err)
		}
		nc := regions["sfo"].connect(0, regions["sfo"].app())
		answer(t, regions["ams"].connect(0, regions["ams"].app()), "after", "after")
		if err := nc.Publish("local.secret", nil); err != nil {
			t.Fatal(err)
		}
		ask(t, nc, "after", "after") // what was sent before it would be there by now
		if n, _, _ := sub.Pending(); n != 0 {
			t.Errorf("local.secret has crossed the border")
		}
	})
	t.Run("settings change without a restart", func(t *testing.T) { reloads(t, regions["sgp"], more) })
	t.Run("a gateway's password is changed everywhere", func(t *testing.T) { rotates(t, regions) })
	t.Run("pods leave", func(t *testing.T) { leaves(t, regions) })
}

// checkNames: names are unique over all regions by the prefix.
func checkNames(t *testing.T, c *cluster) {
	t.Helper()
	for _, p := range append(c.hubs[:len(c.hubs):len(c.hubs)], c.gwds...) {
		var v struct {
			Name    string   `json:"server_name"`
			Tags    []string `json:"tags"`
			Cluster struct {
				Name string `json:"name"`
			} `json:"cluster"`
		}
		body, _, err := p.get("/varz")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if v.Name != c.region+"-"+p.name || v.Cluster.Name != c.region || fmt.Sprint(v.Tags) != "[region:"+c.region+"]" {
			t.Errorf("%s says that it is %+v", p.name, v)
		}
	}
}

// publishEverywhere: each message is received once in each region.
func publishEverywhere(t *testing.T, regions map[string]*cluster) {
	t.Helper()
	subs := map[string]*nats.Subscription{}
	for r, c := range regions {
		nc := c.connect(1, c.app())
		sub, err := nc.SubscribeSync("news.>")
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		answer(t, nc, "heard."+r, r)
		subs[r] = sub
	}
	for r, c := range regions {
		nc := c.connect(0, c.app())
		for to := range regions {
			ask(t, nc, "heard."+to, to) // interest came after that in news.>, on the same connection
		}
		if err := nc.Publish("news."+r, []byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	for r, sub := range subs {
		got := map[string]int{}
		for range regions {
			m, err := sub.NextMsg(10 * time.Second)
			if err != nil {
				t.Fatalf("%s: %v after %v", r, err, got)
			}
			got[m.Subject]++
		}
		for from := range regions {
			if got["news."+from] != 1 {
				t.Errorf("%s received %v", r, got)
			}
		}
	}
}

// reloads: another ConfigMap and another Secret are in force without a restart.
func reloads(t *testing.T, c *cluster, more string) {
	// `helm upgrade` with a third hub in view, and a tag.
	values := merged(readValues(t, filepath.Join(workedDir, "gateways", c.region+".yaml")), parseValues(t, more))
	values = merged(values, parseValues(t, "config: {cluster: {replicas: 3}, merge: {server_tags: [second]}}\ngwd: {config: {server: {tags: [second]}}}"))
	next, err := render("banyan", values)
	if err != nil {
		t.Fatal(err)
	}
	pods := append(c.hubs[:len(c.hubs):len(c.hubs)], c.gwds...)
	for _, p := range pods {
		p.mountConfig("config", next)
	}
	for _, p := range pods {
		await(t, 15*time.Second, p.name+" has the new settings", func() error {
			body, _, err := p.get("/varz")
			if err == nil && !strings.Contains(body, `"second"`) {
				err = fmt.Errorf("no new tag; %s", p.log.tail(3))
			}
			return err
		})
	}
	// The third hub comes up from the new values, and the others find its name.
	c.rendered = next
	placed := c.place("banyan")
	third := placed[2]
	for i, p := range c.hubs { // two of those that were placed run already
		for _, port := range p.container.Ports {
			c.names[fmt.Sprintf("%s.banyan-headless:%d", p.name, port.ContainerPort)] = p.ports[port.Name]
		}
		placed[i].release()
	}
	c.up(third)
	for _, p := range pods {
		p.mountConfig("config", next)
	}
	await(t, 20*time.Second, "the third hub has routes to the others", func() error {
		body, _, err := third.get("/varz")
		var v struct {
			Remotes int `json:"remotes"`
		}
		if err == nil {
			err = json.Unmarshal([]byte(body), &v)
		}
		if err == nil && v.Remotes < 4 { // two hubs and two gwd
			err = fmt.Errorf("%d routes", v.Remotes)
		}
		return err
	})
	// A user's password is another one in the Secret.
	old := c.secret("banyan-accounts")["accounts.conf"]
	password := strings.TrimSpace(c.secret("banyan-app")["password"])
	for _, p := range append(c.hubs[:len(c.hubs):len(c.hubs)], third) {
		p.volume("include-0", map[string]string{"accounts.conf": strings.ReplaceAll(old, password, "another")})
	}
	await(t, 15*time.Second, "the new password is good", func() error {
		nc, err := nats.Connect("nats://"+c.hubs[0].ports["nats"], nats.UserInfo("app", "another"))
		if err == nil {
			nc.Close()
		}
		return err
	})
	if nc, err := nats.Connect("nats://"+c.hubs[0].ports["nats"], c.app()); err == nil {
		nc.Close()
		t.Error("the old password is good too")
	}
	for _, p := range append(c.hubs[:len(c.hubs):len(c.hubs)], third) {
		p.volume("include-0", map[string]string{"accounts.conf": old})
	}
	await(t, 15*time.Second, "the old password is good again", func() error {
		nc, err := nats.Connect("nats://"+c.hubs[0].ports["nats"], c.app())
		if err == nil {
			nc.Close()
		}
		return err
	})
	for _, p := range pods {
		select {
		case <-p.gone:
			t.Errorf("%s was restarted", p.name)
		default:
		}
	}
}

// rotates: the gateways' password comes from a file that is watched.
func rotates(t *testing.T, regions map[string]*cluster) {
	const reloaded = "Reloaded server configuration"
	before := map[*pod]int{}
	for _, c := range regions {
		for _, p := range c.gwds {
			before[p] = strings.Count(p.log.String(), reloaded)
			p.volume("gateway", map[string]string{"user": "gateway", "password": "the next one"})
		}
	}
	for p, n := range before {
		await(t, 15*time.Second, p.name+" has read the password", func() error {
			if strings.Count(p.log.String(), reloaded) == n {
				return fmt.Errorf("%s", p.log.tail(5))
			}
			return nil
		})
	}
	ask(t, regions["sfo"].connect(0, regions["sfo"].app()), "who.ams", "ams")
}

// leaves: a hub and a gwd are stopped as a kubelet stops them. A client that was told moves in
// time, and requests across the border go on.
func leaves(t *testing.T, regions map[string]*cluster) {
	sfo, ams := regions["sfo"], regions["ams"]
	var told, repeated, failed, asked atomic.Int64
	var phase atomic.Value
	phase.Store("before")
	nc := sfo.connect(0, sfo.app(), nats.LameDuckModeHandler(func(*nats.Conn) { told.Add(1) }))
	if nc.ConnectedUrl() != "nats://"+sfo.hubs[0].ports["nats"] {
		t.Fatalf("connected to %s", nc.ConnectedUrl())
	}
	stop, done := make(chan struct{}), make(chan struct{})
	end := sync.OnceFunc(func() { close(stop); <-done })
	steady := sfo.connect(1, sfo.app())
	defer end()
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked.Add(1)
			ok := func() bool {
				m, err := steady.Request("who.ams", nil, 3*time.Second)
				if err != nil {
					t.Logf("while %s: %v", phase.Load(), err)
				}
				return err == nil && string(m.Data) == "ams"
			}
			if ok() {
				time.Sleep(5 * time.Millisecond)
				continue
			}
			// Behind one name a region has one connection from each gwd of another; while it is made anew, and
			// on the way through it, requests get lost. Who asks again is answered.
			repeated.Add(1)
			again := time.Now().Add(10 * time.Second)
			for !ok() {
				if time.Now().After(again) {
					failed.Add(1)
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
	}()
	phase.Store("a hub of sfo leaves")
	if code := sfo.hubs[0].stop(); code != 0 {
		t.Errorf("the hub ended with %d", code)
	}
	if told.Load() != 1 {
		t.Errorf("the client was told %d times to move", told.Load())
	}
	await(t, 10*time.Second, "the client has moved", func() error {
		if nc.Status() != nats.CONNECTED || nc.ConnectedUrl() != "nats://"+sfo.hubs[1].ports["nats"] {
			return fmt.Errorf("%s, %s", nc.Status(), nc.ConnectedUrl())
		}
		return nil
	})
	ask(t, nc, "who.sgp", "sgp")
	phase.Store("a gwd of sfo leaves")
	if code := sfo.gwds[0].stop(); code != 0 {
		t.Errorf("gwd ended with %d", code)
	}
	phase.Store("a gwd of ams leaves")
	if code := ams.gwds[1].stop(); code != 0 {
		t.Errorf("gwd ended with %d", code)
	}
	ask(t, nc, "who.ams", "ams")
	end()
	t.Logf("%d requests meanwhile, %d had to be repeated", asked.Load(), repeated.Load())
	if failed.Load() > 0 || repeated.Load() > 5 || asked.Load() == 0 {
		t.Errorf("%d of %d requests had to be repeated, %d of them were not answered in ten seconds", repeated.Load(), asked.Load(), failed.Load())
	}
}

// TestLeafRegions: three clusters that are leaf nodes of a fourth, which is in operator mode.
func TestLeafRegions(t *testing.T) {
	if testing.Short() {
		t.Skip("starts eight processes")
	}
	const more = "config: {cluster: {replicas: 2}}\n"
	secrets := made(t, "leafs")
	core := install(t, "leafs", "core", secrets, more)
	core.balancer("leaf.core.example.net:7422", "leafnodes", func() []*pod { return core.hubs })
	core.up(core.hubs...)
	regions := map[string]*cluster{}
	for _, r := range []string{"sfo", "ams", "sgp"} {
		c := install(t, "leafs", r, secrets, more)
		c.names["leaf.core.example.net:7422"] = core.names["leaf.core.example.net:7422"]
		regions[r] = c
		c.up(c.hubs...)
	}
	creds := filepath.Join(secrets, "core", "banyan-app-creds", "app.creds")
	central := core.connect(0, nats.UserCredentials(creds))
	answer(t, central, "who.core", "core")
	for _, c := range regions {
		answer(t, c.connect(0, c.app()), "who."+c.region, c.region)
	}
	for _, from := range regions {
		nc := from.connect(1, from.app())
		ask(t, nc, "who.core", "core")
		for to := range regions {
			ask(t, nc, "who."+to, to)
		}
		ask(t, central, "who."+from.region, from.region)
	}
	// Without credentials nobody comes in.
	if nc, err := nats.Connect("nats://" + core.hubs[0].ports["nats"]); err == nil {
		nc.Close()
		t.Error("core lets everybody in")
	}
}

// TestDefaultRuns: what `helm install` gives without any values is a cluster.
func TestDefaultRuns(t *testing.T) {
	r, err := render("banyan", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{machine: newMachine(t, r, t.TempDir()), region: "default"}
	c.hubs = c.place("banyan")
	if len(c.hubs) != 3 {
		t.Fatalf("%d hubs", len(c.hubs))
	}
	c.up(c.hubs...)
	answer(t, c.connect(0), "who", "hub 0")
	ask(t, c.connect(2), "who", "hub 0")
	// The pod of `helm test` does the same with the image's own commands.
	testPod := r.workload("banyan-test")
	run := func(i int) *exec.Cmd {
		k := testPod.spec.Containers[i]
		p := &pod{m: c.machine, w: testPod, name: testPod.name, container: k}
		line := p.args(append(k.Command[:1:1], k.Args...)...)
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Env = p.env()
		return cmd
	}
	reply := run(0)
	if err := reply.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reply.Process.Kill(); _ = reply.Wait() })
	await(t, 20*time.Second, "helm test", func() error {
		out, err := run(1).CombinedOutput()
		if err == nil && strings.TrimSpace(string(out)) != "the message came back" {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
}
