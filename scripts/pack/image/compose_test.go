package image

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// service is what of a compose file's service makes a process.
type service struct {
	Command     string
	ReadOnly    bool `yaml:"read_only"`
	Healthcheck struct{ Test []string }
}

// variable is ${NAME}, ${NAME:-default} or ${NAME:?message}.
var variable = regexp.MustCompile(`\$\{(\w+)(?::([-?])([^}]*))?\}`)

// composed reads a compose file as engines do, variables included.
func composed(t *testing.T, file string, values map[string]string) map[string]service {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var missing string
	text := variable.ReplaceAllStringFunc(string(b), func(v string) string {
		m := variable.FindStringSubmatch(v)
		value := values[m[1]]
		switch {
		case value == "" && m[2] == "?":
			missing = m[3]
		case value == "" && m[2] == "-":
			value = m[3]
		}
		return value
	})
	if missing != "" {
		t.Fatal(missing)
	}
	var f struct{ Services map[string]service }
	if err := yaml.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	return f.Services
}

// node is a service on loopback: each of the container's ports is one that the kernel chose.
type node struct {
	client, routes, http string
}

// nodes chooses ports. All are held until all are chosen, so that no two are the same.
func nodes(t *testing.T, names []string) map[string]node {
	t.Helper()
	var held []net.Listener
	port := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
		return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	all := map[string]node{}
	for _, n := range names {
		all[n] = node{port(), port(), port()}
	}
	for _, l := range held {
		l.Close()
	}
	return all
}

// onLoopback puts the addresses of processes in place of those of containers.
func (n node) onLoopback(text string, all map[string]node) string {
	text = strings.ReplaceAll(text, "0.0.0.0:6222", "127.0.0.1:"+n.routes)
	for name, other := range all {
		text = strings.ReplaceAll(text, "@"+name+":6222", "@127.0.0.1:"+other.routes)
	}
	text = strings.ReplaceAll(text, "--http_port 8222", "--monitor-listen 127.0.0.1:"+n.http)
	return strings.ReplaceAll(text, "127.0.0.1:8222", "127.0.0.1:"+n.http)
}

// The three commands of the compose file form a cluster, and its probe says so.
func TestComposeFile(t *testing.T) {
	services := composed(t, "../../../configs/compose/compose.yaml", map[string]string{"ROUTE_PASSWORD": "0123abcd"})
	names := slices.Sorted(maps.Keys(services))
	if len(names) != 3 {
		t.Fatalf("services %q", names)
	}
	hubd := binary(t, "hubd")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tool := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, hubd, args...).CombinedOutput()
		return string(out), err
	}

	at := nodes(t, names)
	logs := map[string]*output{}
	defer func() {
		if t.Failed() {
			for _, name := range names {
				t.Logf("%s:\n%s", name, logs[name])
			}
		}
	}()
	for _, name := range names {
		s, n := services[name], at[name]
		args := append(strings.Fields(n.onLoopback(s.Command, at)), "-a", "127.0.0.1", "-p", n.client)
		cmd := exec.CommandContext(ctx, hubd, args...)
		log := &output{}
		cmd.Stdout, cmd.Stderr, logs[name] = log, log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}()
	}
	for _, name := range names {
		n := at[name]
		if out, err := tool("wait", "--ready", "--routes", "2", "--timeout", "30s", "--http", "127.0.0.1:"+n.http); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		probe := services[name].Healthcheck.Test
		if len(probe) < 2 || probe[0] != "CMD" || probe[1] != "hubd" {
			t.Fatalf("probe %q", probe)
		}
		if out, err := tool(strings.Fields(n.onLoopback(strings.Join(probe[2:], " "), at))...); err != nil {
			t.Errorf("the probe of %s: %v: %s", name, err, out)
		}
	}

	// A request to one node is answered by a program at another.
	answers := exec.CommandContext(ctx, hubd, "reply", "svc.where", "at n3", "-s", "nats://127.0.0.1:"+at["n3"].client)
	if err := answers.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = answers.Process.Kill()
		_ = answers.Wait()
	}()
	for {
		out, err := tool("request", "svc.where", "", "--raw", "-s", "nats://127.0.0.1:"+at["n1"].client)
		if err == nil {
			if strings.TrimSpace(out) != "at n3" {
				t.Errorf("answer %q", out)
			}
			break
		}
		if ctx.Err() != nil || !strings.Contains(fmt.Sprint(err), "exit status 4") {
			t.Fatalf("request: %v: %s", err, out)
		}
	}

	// Who does not have the password is no member.
	stranger := nodes(t, []string{"n4"})["n4"]
	cmd := exec.CommandContext(ctx, hubd, append(strings.Fields(stranger.onLoopback(strings.ReplaceAll(services["n1"].Command, "0123abcd", "another"), at)), "-n", "n4", "-a", "127.0.0.1", "-p", stranger.client)...)
	log := &output{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for !strings.Contains(strings.ToLower(log.String()), "authorization") {
		if ctx.Err() != nil {
			t.Fatalf("n4 is not told that it is refused:\n%s", log)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if out, err := tool("wait", "--routes", "1", "--timeout", "1s", "--http", "127.0.0.1:"+stranger.http); err == nil {
		t.Errorf("n4 is a member: %s", out)
	}
}
